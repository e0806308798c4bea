/* What enabled sites call, and how a payload becomes the kernel's record. No libc here. */
#include "base/atomic.h"
#include "runtime/sys.h"
#include "uevents/uevents.h"
#include <linux/fcntl.h>
#include <linux/stat.h>

struct uevents_file uevents_file = {.fd = -1};

struct gathering {
	struct iovec *parts;
	int n;
	const uint8_t *from, *at,
		*end; /* of the payload: what is fixed and not added yet; where we are */
};

static void add_part(struct gathering *g, const void *p, size_t n)
{
	if (n)
		g->parts[g->n++] = (struct iovec){(void *)(uintptr_t)p, n};
}

/* A dynamic field's bytes: a string with its NUL, or the elements behind their number. */
static bool take_dynamic(
	struct gathering *g, const struct cairn_field *f, const uint8_t **ret, uint32_t *ret_n)
{
	uint32_t count;
	uint64_t n = 0;

	if (f->kind == CAIRN_KIND_STR) {
		const uint8_t *p = g->at;

		while (p < g->end && *p)
			p++;
		if (p == g->end)
			return false;
		n = (uint64_t)(p - g->at) + 1;
	} else {
		if (g->end - g->at < 4)
			return false;
		rt_copy(&count, g->at, sizeof(count));
		g->at += sizeof(count);
		n = (uint64_t)count * f->width;
	}
	if (n > (uint64_t)(g->end - g->at) || n > UINT16_MAX)
		return false;
	*ret = g->at;
	*ret_n = (uint32_t)n;
	g->at += n;
	return true;
}

int uevents_gather(const struct uevent *e, const uint8_t *payload, uint32_t size,
	struct iovec parts[UEVENTS_PARTS_MAX], uint32_t locs[CAIRN_MAX_FIELDS])
{
	const struct cairn_field *f = (const struct cairn_field *)(e->desc + 1);
	struct gathering g = {parts, 0, payload, payload, payload + size};
	const uint8_t *data[CAIRN_MAX_FIELDS];
	uint32_t fixed = 0, dynamic = e->fixed_bytes, nlocs = 0;

	for (unsigned i = 0; i < e->desc->nfields && i < CAIRN_MAX_FIELDS; i++) {
		uint32_t n = f[i].form == CAIRN_FORM_ARRAY ? f[i].count * f[i].width : f[i].width;

		if (f[i].form != CAIRN_FORM_SEQUENCE && f[i].kind != CAIRN_KIND_STR) {
			if (n > (size_t)(g.end - g.at))
				return 0;
			g.at += n;
			fixed += n;
			continue;
		}
		add_part(&g, g.from, (size_t)(g.at - g.from));
		if (!take_dynamic(&g, &f[i], &data[nlocs], &n))
			return 0;
		g.from = g.at;
		add_part(&g, &locs[nlocs], sizeof(locs[0]));
		fixed += 4;
		if (dynamic - fixed > UINT16_MAX)
			return 0;
		locs[nlocs++] = n << 16 | (dynamic - fixed);
		dynamic += n;
	}
	add_part(&g, g.from, (size_t)(g.at - g.from));
	for (uint32_t i = 0; i < nlocs; i++)
		add_part(&g, data[i], locs[i] >> 16);
	return g.n;
}

/* Is the descriptor still what it was? */
static bool is_ours(void)
{
	struct statx st = {0};

	return SYS(statx, uevents_file.fd, "", AT_EMPTY_PATH, STATX_INO, &st) == 0 &&
		st.stx_ino == uevents_file.ino && st.stx_dev_major == uevents_file.dev_major &&
		st.stx_dev_minor == uevents_file.dev_minor;
}

static __attribute__((noinline)) void write_event(
	const struct uevent *e, const uint8_t *payload, uint32_t size)
{
	struct iovec parts[UEVENTS_PARTS_MAX + 1];
	uint32_t locs[CAIRN_MAX_FIELDS];
	int n;

	if (!is_ours())
		return;
	parts[0] = (struct iovec){(void *)(uintptr_t)&e->index, sizeof(e->index)};
	if (e->is_fixed) {
		parts[1] = (struct iovec){(void *)(uintptr_t)payload, size};
		n = 1;
	} else
		n = uevents_gather(e, payload, size, parts + 1, locs);
	if (n > 0) /* a lost event is the kernel's to count */
		(void)SYS(writev, uevents_file.fd, parts, e->is_fixed && !size ? 1 : n + 1);
}

void uevents_fire(struct cairn_slot *slot, void *payload, uint32_t size, const void *ip)
{
	/* pairs with [uevent] in register.c */
	const struct uevent *e = load_acquire((struct uevent *const *)&slot->sinks);

	(void)ip;
	if (e && load_relaxed(&e->enabled) & 1 && payload)
		write_event(e, payload, size);
}

/* Payloads of more than CAIRN_STACK_MAX bytes are too rare here to have memory at hand. */
void *uevents_scratch(uint32_t size)
{
	(void)size;
	return NULL;
}

void uevents_scratch_done(void *payload)
{
	(void)payload;
}
