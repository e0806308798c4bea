/* Appending to a solo ring: one thread and its signal handlers, no rseq, any machine.
 *
 * The same records, rules and order of stores as in the restartable section (producer-section.h),
 * in C. Nothing restarts here: a signal handler that interrupts an append of its own thread is
 * turned away (RING_NESTED). Killed at any instant it leaves nothing: `pos` publishes.
 * Freestanding and async-signal-safe like producer.c.
 */
#include "base/atomic.h"
#include "ring/ring.h"

#define COUNT_ONE (1ull << 24) /* one record in ctl->count, beside the position */
#define DENSE_SPAN (1ull << 20)
#define SPARSE_SPAN (1ull << 52)

/* Memory accesses of any alignment and type. */
struct word32 {
	uint32_t v;
} __attribute__((packed, may_alias));
struct word64 {
	uint64_t v;
} __attribute__((packed, may_alias));

static void put32(uint8_t *at, uint32_t v)
{
	((struct word32 *)at)->v = v;
}

static void put64(uint8_t *at, uint64_t v)
{
	((struct word64 *)at)->v = v;
}

static uint64_t clock_read(const struct ring_set_producer *set)
{
#if defined(__x86_64__)
	if (set->clock == CAIRN_CLOCK_TSC)
		return __builtin_ia32_rdtsc();
#endif
	return set->now(set);
}

/* Records published before pos, in units of COUNT_ONE. */
static uint64_t count_before(const struct cairn_ring_ctl *ctl, uint64_t pos)
{
	uint64_t count = load_relaxed(&ctl->count) - pos, rest = count & (COUNT_ONE - 1);

	return rest ? count - rest - COUNT_ONE : count; /* whoever stored it did not commit */
}

/* Did the last writer commit? Then ts_upper is the time of the last record. */
static bool is_committed(const struct cairn_ring_ctl *ctl, uint64_t pos, bool overwrite)
{
	if (overwrite)
		return ((load_relaxed(&ctl->count) - pos) & (COUNT_ONE - 1)) == 0;
	return load_relaxed(&ctl->pend_pos) == pos;
}

/* Writes a block header at the next block's start. Returns the position after it. */
static uint64_t begin_block(
	const struct ring_producer *ring, uint64_t pos, uint64_t ts, uint32_t id)
{
	uint64_t pad = -pos & ring->block_mask, mask = ring->mask, before = 0;
	uint8_t *at = ring->data + ((pos + pad) & mask);

	if (pos != 0) {
		const uint8_t *last = ring->data + ((pos - 1) & ~ring->block_mask & mask);

		before = ((const struct word64 *)(last + 16))->v;
	}
	put32(at, id << 2 | 3);
	put64(at + 4, ts);
	put32(at + 12, (uint32_t)pad);
	put64(at + 16, before + ((count_before(ring->ctl, pos) - (before << 24)) >> 24));
	return pos + pad + 24;
}

/* Writes a short header if it may be, else an extended one. Returns the position after it. */
static uint64_t begin_record(
	const struct ring_producer *ring, uint64_t pos, uint64_t ts, uint32_t id, bool extended)
{
	const struct cairn_ring_ctl *ctl = ring->ctl;
	uint8_t *at = ring->data + (pos & ring->mask);
	uint64_t since = ts - load_relaxed(&ctl->ts_upper);

	if (extended || id >= 1024 || since >= SPARSE_SPAN) {
		put32(at, id << 2 | 2);
		put64(at + 4, ts);
		return pos + 12;
	}
	if (since >= DENSE_SPAN) {
		put64(at, ts << 12 | id << 2 | 1);
		return pos + 8;
	}
	put32(at, (uint32_t)(ts << 12) | id << 2);
	return pos + 4;
}

/* Copies in whole words: may read and write up to 7 bytes more. */
static void copy_words(uint8_t *to, const uint8_t *from, uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 8) {
		put64(to + i, ((const struct word64 *)(from + i))->v);
		compiler_barrier(); /* keeps the compiler from making this a call of memcpy */
	}
}

static enum ring_result append(const struct ring_set_producer *set,
	const struct ring_producer *ring, const void *body, uint32_t len, uint32_t id)
{
	struct cairn_ring_ctl *ctl = ring->ctl;
	uint64_t pos = load_relaxed(&ctl->pos), start, newpos, ts, upper;
	bool overwrite = set->mode == CAIRN_MODE_OVERWRITE, stepped;
	uint64_t in_block = pos & ring->block_mask;

	/* pairs with [release] in consumer.c */
	if (!overwrite && pos - load_acquire(&ctl->read_pos) + len + 19 > ring->mask)
		return RING_FULL;
	ts = clock_read(set);
	upper = load_relaxed(&ctl->ts_upper);
	stepped = ts < upper;
	if (stepped)
		ts = upper;
	if (overwrite && (in_block == 0 || in_block + 11 + len > ring->block_mask))
		start = begin_block(ring, pos, ts, id);
	else
		start = begin_record(
			ring, pos, ts, id, stepped || !is_committed(ctl, pos, overwrite));
	newpos = start + len;
	if (overwrite)
		store_relaxed(&ctl->count, count_before(ctl, pos) + COUNT_ONE + newpos);
	else
		store_relaxed(&ctl->pend_pos, newpos);
	store_release(&ctl->ts_upper, ts); /* own thread only: no pair */
	copy_words(ring->data + (start & ring->mask), body, len);
	store_release(&ctl->pos, newpos); /* pairs with [commit] in consumer.c */
	if (stepped)
		fetch_add_relaxed(&ctl->steps_back, 1);
	return RING_OK;
}

enum ring_result ring_append_solo(const struct ring_set_producer *set,
	const struct ring_producer *ring, volatile uint32_t *busy, const void *body, uint32_t len,
	uint32_t id)
{
	enum ring_result result;

	if (!load_relaxed(&set->active) || load_relaxed(set->closed))
		return RING_RETIRED;
	if (len > ring_max_body(ring))
		return RING_TOO_BIG;
	if (*busy)
		return RING_NESTED;
	*busy = 1;
	compiler_barrier();
	result = append(set, ring, body, len, id);
	compiler_barrier();
	*busy = 0;
	return result;
}
