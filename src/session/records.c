/* Counting and checking records before they go to disk.
 *
 * Programs write the rings, and a hostile or broken one may leave anything there. Each packet is
 * walked once, record by record, by a table of sizes: that counts the events, and cuts off a
 * packet at the first record that makes no sense, so that traces stay readable. Events with
 * strings or sequences have no fixed size and are walked field by field.
 */
#include "session/session-impl.h"
#include <errno.h>
#include <string.h>

uint32_t records_context_bytes(const struct channel *ch)
{
	static const uint8_t size[] = {
		[CAIRN_CTX_TID] = 4,
		[CAIRN_CTX_PID] = 4,
		[CAIRN_CTX_COMM] = 16,
		[CAIRN_CTX_CPU] = 4,
		[CAIRN_CTX_NICE] = 4,
		[CAIRN_CTX_SCHED] = 4,
		[CAIRN_CTX_CGROUP] = 8,
		[CAIRN_CTX_IP] = 8,
	};
	uint32_t bytes = ch->perf_count * 8;

	for (unsigned i = 0; i < ARRAY_SIZE(size); i++)
		bytes += ch->contexts & 1u << i ? size[i] : 0;
	return bytes;
}

static bool is_fixed(const struct cairn_field *f)
{
	return f->kind != CAIRN_KIND_STR && f->form != CAIRN_FORM_SEQUENCE;
}

int records_add(struct channel *ch, uint32_t id, struct eclass *cls)
{
	uint32_t fixed = records_context_bytes(ch);

	while (ch->nsizes <= id) {
		if (!VEC_ADD(ch->sizes, ch->nsizes, ch->csizes))
			return -ENOMEM;
	}
	for (unsigned i = 0; i < cls->d.d->nfields; i++) {
		const struct cairn_field *f = cls->d.fields[i].f;

		if (!is_fixed(f)) {
			fixed = 0;
			break;
		}
		fixed += f->form == CAIRN_FORM_ARRAY ? f->count * f->width : f->width;
	}
	ch->sizes[id] = (struct record_size){.varies = fixed == 0 && cls->d.d->nfields != 0,
		.is_state = strcmp(cls->d.provider, CTF_STATE_PROVIDER) == 0,
		.fixed = fixed,
		.cls = cls};
	return 0;
}

/* Bytes of one field at p, or -1. */
static int64_t field_bytes(const struct cairn_field *f, const uint8_t *p, size_t n)
{
	uint32_t count = 1;
	uint64_t bytes;

	if (f->kind == CAIRN_KIND_STR) {
		const uint8_t *nul = memchr(p, 0, n);

		return nul ? nul - p + 1 : -1;
	}
	if (f->form == CAIRN_FORM_SEQUENCE) {
		if (n < sizeof(count))
			return -1;
		memcpy(&count, p, sizeof(count));
		bytes = sizeof(count) + (uint64_t)count * f->width;
	} else
		bytes = f->form == CAIRN_FORM_ARRAY ? (uint64_t)f->count * f->width : f->width;
	return bytes > n ? -1 : (int64_t)bytes;
}

static int64_t varying_bytes(
	const struct channel *ch, const struct eclass *cls, const uint8_t *p, size_t n)
{
	size_t at = records_context_bytes(ch);

	if (at > n)
		return -1;
	for (unsigned i = 0; i < cls->d.d->nfields; i++) {
		int64_t b = field_bytes(cls->d.fields[i].f, p + at, n - at);

		if (b < 0)
			return -1;
		at += (size_t)b;
	}
	return (int64_t)at;
}

/* Length of the record header at p, and its event id; 0: no room for one. */
static size_t header(const uint8_t *p, size_t n, uint32_t *ret_id)
{
	static const uint8_t length[4] = {4, 8, 12, 24};
	uint32_t word;
	size_t len;

	if (n < sizeof(word))
		return 0;
	memcpy(&word, p, sizeof(word));
	len = length[word & 3];
	*ret_id = (word & 3) < 2 ? word >> 2 & 0x3ff : word >> 2;
	return len <= n ? len : 0;
}

/* Bytes of the record at p (of n that there are), or 0 if it makes no sense. */
static size_t record_bytes(const struct channel *ch, const uint8_t *p, size_t n, uint32_t *ret_id)
{
	size_t head = header(p, n, ret_id);
	int64_t body;

	if (!head || *ret_id >= ch->nsizes || !ch->sizes[*ret_id].cls)
		return 0;
	body = ch->sizes[*ret_id].varies
		? varying_bytes(ch, ch->sizes[*ret_id].cls, p + head, n - head)
		: ch->sizes[*ret_id].fixed;
	return body < 0 || (size_t)body > n - head ? 0 : head + (size_t)body;
}

/* Runs of one event of fixed size with short headers are what fills rings. Their step is known
 * before the header is read, so the processor reads many headers at once. */
static size_t run_bytes(const uint8_t *p, size_t n, size_t step, uint64_t *count)
{
	uint32_t first, word;
	size_t at = step;

	memcpy(&first, p, sizeof(first));
	for (; step <= n - at; at += step) {
		memcpy(&word, p + at, sizeof(word));
		if ((word ^ first) & 0xfff) /* form and id */
			break;
		++*count;
	}
	return at;
}

uint64_t records_count(const struct channel *ch, const uint8_t *p, size_t n, size_t *ret_good)
{
	uint64_t count = 0;
	size_t at = 0;

	while (at < n) {
		uint64_t run = 1;
		uint32_t id;
		size_t step = record_bytes(ch, p + at, n - at, &id);

		if (!step)
			break;
		if ((p[at] & 3) == 0 && !ch->sizes[id].varies)
			step = run_bytes(p + at, n - at, step, &run);
		at += step;
		count += ch->sizes[id].is_state ? 0 : run;
	}
	*ret_good = at;
	return count;
}
