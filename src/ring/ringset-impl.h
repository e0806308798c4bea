/* What the consumer's files share: the mapped (or copied) ring set and the state of each ring. */
#ifndef CAIRN_RING_RINGSET_IMPL_H
#define CAIRN_RING_RINGSET_IMPL_H

#include "ring/ring.h"

#define RINGSET_RINGS_MAX 8192u

/* One ring, as the consumer knows it. Private: the other side can bend ctl, not this. */
struct ring_state {
	struct cairn_ring_ctl *ctl; /* shared page, or a copy */
	uint8_t *mirror; /* owned: mapped twice in a row; NULL if copied */
	const uint8_t *image; /* borrowed: from memory, not mirrored */
	uint8_t *copy; /* owned: ring_linear's and the snapshot's buffer, ring_bytes */
	uint64_t cut_pos, cut_ts; /* where the last released view ended */
	uint64_t view_pos, view_ts; /* where the last taken view ended */
	uint64_t lost_told; /* total of the losses in the last view */
	uint64_t lost[CAIRN_LOST_REASONS],
		lost_before[CAIRN_LOST_REASONS]; /* in it, the one before */
	unsigned int cut_slot; /* entry of ctl->cut that holds cut_pos */
};

struct ringset {
	int fd; /* owned; -1: from memory */
	struct cairn_ringset_hdr hdr; /* checked */
	struct cairn_ringset_hdr *shared; /* mapped page; or &hdr */
	uint8_t *ctl; /* owned: nrings pages, mapped or malloc */
	bool mapped; /* shared and ctl are mappings */
	char *meta; /* owned */
	size_t meta_len;
	struct ring_state rings[];
};

/* Is h the header of a ring set of at most `bytes` bytes? 0 or -EPROTO. */
int ringset_check(const struct cairn_ringset_hdr *h, uint64_t bytes);
/* len bytes of the ring from position pos, in one piece; valid until the next call for this ring.
 * NULL: not to be had (no memory, file cut short, not in the core). len <= ring_bytes. */
const uint8_t *ring_linear(struct ringset *s, uint32_t ring, uint64_t pos, uint64_t len);
/* pos, and ts_upper and count at a moment when pos was the ring's position. 0 or -EAGAIN. */
int ring_look(
	const struct ring_state *r, uint64_t *ret_pos, uint64_t *ret_upper, uint64_t *ret_count);
/* Fills the losses of a view. */
void ring_fill_lost(struct ring_state *r, struct ring_view *view);

#endif
