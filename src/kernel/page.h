/* Pages of the kernel's ring buffer, as trace_pipe_raw gives them and trace.dat keeps them.
 *
 * One sub-buffer ("page"), with the numbers of events/header_page:
 *
 *	u64	time of the page: deltas are counted from it
 *	long	commit: low 27 bits: bytes of data; bit 31: events are missing before this page;
 *		bit 30: how many stands in a long behind the data
 *	data	events. Each begins with a u32: type_len (5 bits), delta of time (27 bits)
 *
 *	type_len 1..28	event of type_len * 4 bytes
 *	0		event; a u32 says its length with that u32; rounded up to 4 in the page
 *	29		padding: delta 0: the rest is empty; else a u32 length, which is skipped
 *	30		time extend: a u32 follows; time += u32 << 27 | delta
 *	31		time stamp: likewise, but absolute, below the top 5 bits of the time before
 *
 * Pages are not trusted: what does not fit ends the page with -EPROTO.
 */
#ifndef CAIRN_KERNEL_PAGE_H
#define CAIRN_KERNEL_PAGE_H

#include <string.h>

#include "base/base.h"

struct kpage_layout {
	bool swap; /* the other endianness than this machine's */
	uint8_t long_size; /* 4 or 8: of `commit` */
	uint16_t commit_at, data_at;
	uint32_t size; /* bytes of a sub-buffer */
};

/* From the text of events/header_page; size: of a sub-buffer, 0: as the text says. 0 or -EPROTO. */
int kpage_layout_parse(const char *text, size_t len, uint32_t size, bool swap,
	struct kpage_layout *ret, struct error *e);

#define KPAGE_LOST_UNKNOWN UINT64_MAX

struct kpage {
	const struct kpage_layout *layout; /* borrowed */
	const uint8_t *p, *end; /* what is left of the data */
	uint64_t ts; /* of the event given last; at first of the page */
	uint64_t begin_ts; /* of the page */
	uint64_t lost; /* events missing before this page; KPAGE_LOST_UNKNOWN: some */
};

struct kpage_event {
	uint64_t ts;
	const uint8_t *data; /* in the page; begins with the common fields */
	uint32_t len; /* as the page says: with padding up to 4 bytes if type_len said it */
};

/* bytes: layout->size of them, or less if the page was cut to its data (len). 0 or -EPROTO. */
int kpage_begin(struct kpage *p, const struct kpage_layout *layout, const void *bytes, size_t len);
/* 1 and *ret, 0 at the end, -EPROTO (the rest of this page is not to be read). */
static inline int kpage_next(struct kpage *p, struct kpage_event *ret);

/* ---- the rest is how ---- */

#define KPAGE_PADDING 29u
#define KPAGE_TIME_EXTEND 30u
#define KPAGE_TIME_STAMP 31u

int kpage_next_slow(struct kpage *p, struct kpage_event *ret); /* anything; page.c */

static inline int kpage_next(struct kpage *p, struct kpage_event *ret)
{
	uint32_t head, len;

	if (p->end - p->p < 4)
		return 0;
	memcpy(&head, p->p, sizeof(head));
	len = (head & 31) * 4;
	/* The usual: a short event of this endianness, all there. */
	if (p->layout->swap || len - 4 > 27 * 4 || (size_t)(p->end - p->p) < 4 + (size_t)len)
		return kpage_next_slow(p, ret);
	p->ts += head >> 5;
	ret->ts = p->ts;
	ret->data = p->p + 4;
	ret->len = len;
	p->p += 4 + len;
	return 1;
}

#endif
