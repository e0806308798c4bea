/* The consumer: reads rings at a rate that follows how fast they fill.
 *
 * Looking costs a load of one cache line a ring, so all rings are looked at in each round; a
 * packet is taken from a ring when a quarter of it (at most TAKE_BYTES) waits, or when what waits
 * is TAKE_AGE_NS old. It is of TAKE_MAX bytes at most: these are still in the cache when they are
 * written after they were checked, their space is free again soon, and no ring waits long for the
 * others. The next round comes after the time in which the fullest ring could fill at
 * FILL_BYTES_US, the most that a CPU was ever seen to write, and sooner if it is half full. After
 * IDLE_NS in which no ring was found fuller than a BUSY_SHARE-th it comes IDLE_FACTOR times later, and
 * after LONG_IDLE_NS so much later that only a burst of 250 MB/s on one CPU would fill a ring meanwhile. Rings that nobody has are
 * swept only. Overwrite rings are never read here.
 */
#include "session/kernel.h"
#include "session/session-impl.h"

#define TAKE_BYTES (256u << 10)
#define TAKE_MAX (512u << 10)
#define TAKE_AGE_NS 100000000u
#define SWEEP_NS 250000000u /* news of losses alone */
#define FILL_BYTES_US 1000u /* 1 GB/s a ring */
#define ROUND_MIN_NS 500000u
#define ROUND_MAX_NS 8000000u
#define BUSY_SHARE 64
#define IDLE_NS 1000000000u
#define IDLE_FACTOR 2
#define LONG_IDLE_NS 5000000000u
#define LONG_IDLE_FACTOR 8
#define DRAIN_ROUNDS 64

enum { TOOK = 1, TOOK_PART };

/* TOOK, TOOK_PART (more waits), 0: nothing waits, -EAGAIN. *ret_bytes: of the packet. */
static int take(struct rset *r, uint32_t ring, uint64_t *ret_bytes)
{
	struct ring_view view;
	int got = ring_take(r->rs, ring, &view);
	uint64_t events;
	bool part;

	*ret_bytes = 0;
	if (got <= 0)
		return got;
	part = output_check(r, ring, &view, TAKE_MAX, &events);
	output_packet(r, ring, &view, events, false);
	ring_release(r->rs, ring);
	*ret_bytes = view.end_pos - view.begin_pos;
	r->rings[ring].first_pending_ns = 0;
	return part ? TOOK_PART : TOOK;
}

/* What waits in a ring now; it may be that more has come meanwhile. */
static int take_all(struct rset *r, uint32_t ring)
{
	uint64_t left = ring_pending(r->rs, ring), bytes;
	int got;

	do {
		got = take(r, ring, &bytes);
		left -= MIN(left, bytes);
	} while (got == TOOK_PART && left);
	return got;
}

static bool is_due(struct rset *r, uint32_t ring, uint64_t pending, uint64_t now)
{
	uint64_t size = ringset_hdr(r->rs)->ring_bytes;
	uint64_t *since = &r->rings[ring].first_pending_ns;

	if (!pending) {
		*since = 0;
		return false;
	}
	if (!*since)
		*since = now;
	return pending >= MIN(size / 4, TAKE_BYTES) || now - *since >= TAKE_AGE_NS;
}

/* Looks at the rings of one set. *most: the most that waits in one; set *busy if that is much.
 * Returns ns until the next look. */
static uint64_t look(struct rset *r, uint64_t now, uint64_t *most, bool *busy)
{
	const struct cairn_ringset_hdr *hdr = ringset_hdr(r->rs);
	uint64_t wait = hdr->ring_bytes / FILL_BYTES_US * 1000u / 2;

	wait = MIN(MAX(wait, ROUND_MIN_NS), ROUND_MAX_NS);
	for (uint32_t i = 0; i < r->nrings; i++) {
		uint64_t pending = ring_pending(r->rs, i), bytes;

		*most = MAX(*most, pending);
		*busy |= pending > hdr->ring_bytes / BUSY_SHARE;
		if (!is_due(r, i, pending, now))
			continue;
		if (take(r, i, &bytes) < 0)
			wait = 0; /* writers kept moving: at once again */
		if (is_due(r, i, ring_pending(r->rs, i), now))
			wait = 0; /* faster than we write */
	}
	return wait;
}

static uint64_t look_at_session(struct session *s, uint64_t now)
{
	uint64_t wait = SWEEP_NS;
	bool busy = false, sweep = now >= s->next_sweep_ns;

	for (size_t i = 0; i < s->nrsets; i++) {
		struct rset *r = s->rsets[i];
		uint64_t w, waits = 0;

		if (ringset_hdr(r->rs)->mode == CAIRN_MODE_OVERWRITE)
			continue;
		w = look(r, now, &waits, &busy);
		if (r->users || waits)
			wait = MIN(wait, w);
		for (uint32_t k = 0; sweep && k < r->nrings; k++)
			(void)take_all(r, k); /* nothing there is no news */
	}
	if (sweep) {
		s->next_sweep_ns = now + SWEEP_NS;
		session_sweep_rsets(s, now);
	}
	if (busy)
		s->busy_ns = now;
	if (now - s->busy_ns > LONG_IDLE_NS)
		wait *= LONG_IDLE_FACTOR;
	else if (now - s->busy_ns > IDLE_NS)
		wait *= IDLE_FACTOR;
	return MIN(wait, SWEEP_NS);
}

uint64_t consume_step(struct cairn_host *h, uint64_t now)
{
	uint64_t wait = UINT64_MAX;

	rate_follow(h, now);
	for (size_t i = 0; i < h->nsessions; i++) {
		struct session *s = h->sessions[i];
		uint64_t w;

		if (s->state != SESSION_RUNNING && s->state != SESSION_STOPPING)
			continue;
		w = krec_step(s, now);
		wait = MIN(wait, w);
		if (!s->nrsets)
			continue;
		output_flush_metadata(s);
		w = look_at_session(s, now);
		wait = MIN(wait, w);
	}
	return wait;
}

#define BREATH_NS 5000000u

void host_breathe(struct cairn_host *h)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (now - h->breath_ns < BREATH_NS)
		return;
	h->breath_ns = now;
	(void)consume_step(h, now); /* the loop asks again when */
}

void consume_rset_drain(struct rset *r)
{
	for (uint32_t i = 0; i < r->nrings; i++) {
		if (ringset_hdr(r->rs)->mode == CAIRN_MODE_OVERWRITE) {
			output_snapshot_ring(r, i, 0);
			continue;
		}
		for (int k = 0; k < DRAIN_ROUNDS && take_all(r, i) != 0; k++)
			;
		output_final_losses(r, i);
	}
}

void consume_all(struct session *s)
{
	output_flush_metadata(s);
	for (size_t i = 0; i < s->nrsets; i++) {
		for (uint32_t k = 0; k < s->rsets[i]->nrings; k++) {
			if (ringset_hdr(s->rsets[i]->rs)->mode != CAIRN_MODE_OVERWRITE)
				(void)take_all(s->rsets[i], k); /* busy writers: the next chunk */
		}
	}
}

void consume_drain(struct session *s)
{
	output_flush_metadata(s);
	for (size_t i = 0; i < s->nrsets; i++)
		consume_rset_drain(s->rsets[i]);
}
