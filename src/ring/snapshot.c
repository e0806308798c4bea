/* Reading a ring beside its writers, without taking anything out: flight recorders, and rings
 * whose consumer died.
 *
 * An overwrite ring of size S in blocks of B: copy, then read pos again. A writer at position Q may
 * be writing in Q's block and, if its record does not fit there, in the next: of what was copied,
 * that is whole which stands at or above (Q / B + 2) * B - S. Each block begins with an extended
 * header that has the pad at the end of the block before and the number of records before it, so
 * every block decodes alone, and the first block kept says exactly how many records are gone.
 *
 * Block headers are checked: form, pad, times and counts that grow. A block that makes no sense is
 * left off and counted as CORRUPT.
 */
#include "base/atomic.h"
#include "base/base.h"
#include "ring/ringset-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SNAPSHOT_TRIES 16
#define BLOCK_HEADER 24u
#define POS_MAX (UINT64_MAX / 2) /* no ring gets that far; sums stay in range */

/* A copy of the ring's newest blocks. */
struct blocks {
	const uint8_t *data; /* position `begin` stands here */
	uint64_t begin, end; /* begin is a block's start */
	uint64_t upper; /* no record has a later time */
	uint64_t count; /* records published below end; 40 bits */
	uint64_t size; /* of one block */
};

struct block_header {
	uint64_t ts, count;
	uint32_t pad;
	bool valid;
};

static uint64_t oldest_whole(uint64_t pos, uint64_t block, uint64_t ring_bytes)
{
	uint64_t dirty_end = (pos / block + 2) * block;

	return dirty_end > ring_bytes ? dirty_end - ring_bytes : 0;
}

/* Copies what is whole; b->begin == b->end: nothing yet. 0, -EAGAIN, -ENOMEM. */
static int copy_blocks(struct ringset *s, uint32_t ring, struct blocks *b)
{
	struct ring_state *r = &s->rings[ring];
	uint64_t bytes = s->hdr.ring_bytes, whole, pos, word;

	b->size = bytes / CAIRN_RING_BLOCKS;
	for (int i = 0; i < SNAPSHOT_TRIES; i++) {
		int err = ring_look(r, &b->end, &b->upper, &word);

		if (err < 0)
			return err;
		if (b->end > POS_MAX)
			return -EPROTO;
		/* more than whole records beside the position: of a writer not yet done */
		word -= b->end;
		b->count = (word >> 24) - (word & 0xffffff ? 1 : 0);
		b->begin = oldest_whole(b->end, b->size, bytes);
		if (b->begin >= b->end) {
			b->begin = b->end;
			return 0;
		}
		b->data = ring_linear(s, ring, b->begin, b->end - b->begin);
		if (!b->data)
			return -EIO;
		if (r->mirror) {
			if (!r->copy && !(r->copy = malloc(bytes)))
				return -ENOMEM;
			memcpy(r->copy, b->data, b->end - b->begin);
			b->data = r->copy;
		}
		fence_acquire();
		pos = load_relaxed(&r->ctl->pos); /* pairs with [commit] in producer-section.h */
		whole = oldest_whole(pos, b->size, bytes);
		if (pos < b->end || pos > POS_MAX || whole >= b->end)
			continue;
		if (whole > b->begin) {
			b->data += whole - b->begin;
			b->begin = whole;
		}
		return 0;
	}
	return -EAGAIN;
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* The header of the block that starts at pos; invalid if it is not there. */
static struct block_header header_at(const struct blocks *b, uint64_t pos)
{
	const uint8_t *p = b->data + (pos - b->begin);
	struct block_header h = {0};

	if (pos >= b->end || b->end - pos < BLOCK_HEADER || (p[0] & 3) != 3)
		return h;
	h.ts = get64(p + 4);
	memcpy(&h.pad, p + 12, sizeof(h.pad));
	h.count = get64(p + 16);
	h.valid = h.ts <= b->upper && h.pad <= b->size - BLOCK_HEADER;
	return h;
}

/* The run of records in the block that starts at pos. Whether it makes sense. */
static bool block_view(const struct blocks *b, uint64_t pos, struct ring_view *view)
{
	struct block_header h = header_at(b, pos), next = {.ts = b->upper};
	uint64_t next_pos = pos + b->size;

	if (!h.valid)
		return false;
	view->begin_pos = pos;
	view->begin_ts = h.ts;
	view->end_pos = MIN(next_pos, b->end);
	if (next_pos < b->end) {
		next = header_at(b, next_pos);
		if (!next.valid || next.ts < h.ts || next.count <= h.count ||
			next.count - h.count > b->size / 4)
			return false;
		view->end_pos -= next.pad;
	}
	view->end_ts = next.ts;
	view->data = b->data + (pos - b->begin);
	view->len = view->end_pos - pos;
	return true;
}

/* Records published below b->end, all 64 bits: the newest block header completes the 40. */
static uint64_t complete_count(const struct blocks *b)
{
	const uint64_t low40 = (1ull << 40) - 1;

	for (uint64_t pos = (b->end - 1) / b->size * b->size; b->begin < b->end; pos -= b->size) {
		struct block_header h = header_at(b, pos);

		if (h.valid)
			return h.count + ((b->count - h.count) & low40);
		if (pos == b->begin)
			break;
	}
	return b->count & low40;
}

/* Counts the records that are gone and that no snapshot has had. */
static void count_overwritten(struct ringset *s, uint32_t ring, const struct blocks *b)
{
	struct cairn_ring_ctl *ctl = s->rings[ring].ctl;
	uint64_t total = complete_count(b), seen = load_relaxed(&ctl->seen), first = total;

	for (uint64_t pos = b->begin; pos < b->end; pos += b->size) {
		struct block_header h = header_at(b, pos);

		if (h.valid) {
			first = MIN(h.count, total);
			break;
		}
	}
	if (first > seen)
		ringset_count_lost(s, ring, CAIRN_LOST_OVERWRITTEN, first - seen);
	store_relaxed(&ctl->seen, total);
}

static int snapshot_blocks(struct ringset *s, uint32_t ring,
	int (*fn)(void *arg, const struct ring_view *view), void *arg)
{
	struct blocks b = {0};
	int n = 0, err = copy_blocks(s, ring, &b);

	if (err == -EPROTO)
		ringset_count_lost(s, ring, CAIRN_LOST_CORRUPT, 1);
	if (err < 0)
		return err;
	count_overwritten(s, ring, &b);
	for (uint64_t pos = b.begin; pos < b.end; pos += b.size) {
		struct ring_view view = {0};

		if (!block_view(&b, pos, &view)) {
			ringset_count_lost(s, ring, CAIRN_LOST_CORRUPT, 1);
			continue;
		}
		ring_fill_lost(&s->rings[ring], &view);
		err = fn(arg, &view);
		if (err)
			return err;
		n++;
	}
	return n;
}

/* A ring that is not overwritten: all since the last release, left where it is. */
static int snapshot_rest(struct ringset *s, uint32_t ring,
	int (*fn)(void *arg, const struct ring_view *view), void *arg)
{
	struct ring_view view;
	int got = ring_take(s, ring, &view), err;

	if (got <= 0)
		return got;
	if (view.len == 0)
		return 0;
	err = fn(arg, &view);
	return err ? err : 1;
}

int ring_snapshot(struct ringset *s, uint32_t ring,
	int (*fn)(void *arg, const struct ring_view *view), void *arg)
{
	if (ring >= s->hdr.nrings)
		return -EINVAL;
	return s->hdr.mode == CAIRN_MODE_OVERWRITE ? snapshot_blocks(s, ring, fn, arg)
						   : snapshot_rest(s, ring, fn, arg);
}
