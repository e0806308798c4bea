/* Pages of the kernel's ring buffer: layout, begin, and all that is not the usual short event. */
#include "kernel/page.h"
#include <errno.h>

#define COMMIT_MASK ((1u << 27) - 1)
#define COMMIT_LOST (1u << 31)
#define COMMIT_STORED (1u << 30)

static uint32_t get32(const struct kpage_layout *l, const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return l->swap ? __builtin_bswap32(v) : v;
}

static uint64_t get64(const struct kpage_layout *l, const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return l->swap ? __builtin_bswap64(v) : v;
}

/* The number after `what` in the line of `field`; false if it is not there. */
static bool number_of(
	const char *text, size_t len, const char *field, const char *what, uint32_t *ret)
{
	const char *at = memmem(text, len, field, strlen(field)), *line_end;
	uint32_t v = 0;

	if (!at)
		return false;
	line_end = memchr(at, '\n', len - (size_t)(at - text));
	line_end = line_end ? line_end : text + len;
	at = memmem(at, (size_t)(line_end - at), what, strlen(what));
	if (!at)
		return false;
	at += strlen(what);
	if (at == line_end || *at < '0' || *at > '9')
		return false;
	for (; at < line_end && *at >= '0' && *at <= '9' && v < 1u << 28; at++)
		v = v * 10 + (uint32_t)(*at - '0');
	*ret = v;
	return true;
}

int kpage_layout_parse(const char *text, size_t len, uint32_t size, bool swap,
	struct kpage_layout *ret, struct error *e)
{
	uint32_t time_at, time_size, commit_at, commit_size, data_at, data_size;

	if (!number_of(text, len, " timestamp;", "offset:", &time_at) ||
		!number_of(text, len, " timestamp;", "size:", &time_size) ||
		!number_of(text, len, " commit;", "offset:", &commit_at) ||
		!number_of(text, len, " commit;", "size:", &commit_size) ||
		!number_of(text, len, " data;", "offset:", &data_at) ||
		!number_of(text, len, " data;", "size:", &data_size))
		return error_set(
			e, -EPROTO, "header_page: expected the fields timestamp, commit and data");
	if (time_at != 0 || time_size != 8 || (commit_size != 4 && commit_size != 8) ||
		commit_at < 8 || commit_at > 64 || data_at < commit_at + commit_size ||
		data_at > 128 || data_size > 1u << 24)
		return error_set(e, -EPROTO, "header_page: a layout that is not known");
	*ret = (struct kpage_layout){
		.swap = swap,
		.long_size = (uint8_t)commit_size,
		.commit_at = (uint16_t)commit_at,
		.data_at = (uint16_t)data_at,
		.size = size ? size : data_at + data_size,
	};
	return 0;
}

int kpage_begin(struct kpage *p, const struct kpage_layout *layout, const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	uint32_t commit, low;
	size_t data;

	if (len < layout->data_at)
		return -EPROTO;
	/* the flags are in the low 32 bits of the long, also if it has 64 */
	low = layout->commit_at +
		(layout->swap != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) && layout->long_size == 8
				? 4
				: 0);
	commit = get32(layout, b + low);
	data = commit & COMMIT_MASK;
	if (data > len - layout->data_at)
		return -EPROTO;
	*p = (struct kpage){
		.layout = layout,
		.p = b + layout->data_at,
		.end = b + layout->data_at + data,
		.begin_ts = get64(layout, b),
	};
	p->ts = p->begin_ts;
	if (!(commit & COMMIT_LOST))
		return 0;
	p->lost = KPAGE_LOST_UNKNOWN;
	if (commit & COMMIT_STORED && len - layout->data_at - data >= layout->long_size)
		p->lost = layout->long_size == 8 ? get64(layout, p->end) : get32(layout, p->end);
	return 0;
}

/* Time extends and stamps: 5 + 27 bits, then 32 more. */
static void move_time(struct kpage *p, uint32_t type, uint32_t delta)
{
	uint64_t t = ((uint64_t)get32(p->layout, p->p + 4) << 27) + delta;

	p->ts = type == KPAGE_TIME_EXTEND ? p->ts + t : t | (p->ts & 0xf8ull << 56);
	p->p += 8;
}

int kpage_next_slow(struct kpage *p, struct kpage_event *ret)
{
	while (p->end - p->p >= 4) {
		uint32_t head = get32(p->layout, p->p);
		bool big = p->layout->swap != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
		uint32_t type = big ? head >> 27 : head & 31;
		uint32_t delta = big ? head & ((1u << 27) - 1) : head >> 5;
		size_t left = (size_t)(p->end - p->p), len;

		if (type == KPAGE_PADDING && delta == 0) {
			p->p = p->end;
			return 0;
		}
		if (type >= KPAGE_PADDING || type == 0) {
			if (left < 8)
				goto bad;
			if (type == KPAGE_TIME_EXTEND || type == KPAGE_TIME_STAMP) {
				move_time(p, type, delta);
				continue;
			}
		}
		p->ts += delta;
		len = type == 0 || type == KPAGE_PADDING ? get32(p->layout, p->p + 4) : type * 4;
		if (type == KPAGE_PADDING) {
			/* the length counts its own word */
			len = (len + 3) & ~(size_t)3;
			if (len < 4 || len > left - 4)
				goto bad;
			p->p += 4 + len;
			continue;
		}
		if (type == 0 && (len < 4 || len > left - 4))
			goto bad;
		ret->ts = p->ts;
		ret->data = p->p + (type == 0 ? 8 : 4);
		ret->len = (uint32_t)(type == 0 ? len - 4 : len);
		len = (len + 3) & ~(size_t)3;
		if (len > left - 4)
			goto bad;
		p->p += 4 + len;
		return 1;
	}
	return 0;
bad:
	p->p = p->end;
	return -EPROTO;
}
