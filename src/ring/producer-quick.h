/* The append that events take nearly always, to be inlined into who fires them: a per-CPU ring, the
 * TSC, one try, and a record whose first four bytes (the tid) are at hand in a register.
 *
 * The section is that of producer-section.h. What does not succeed here is no loss: the caller goes
 * on with ring_append(), which says why, and restarts.
 */
#ifndef CAIRN_RING_PRODUCER_QUICK_H
#define CAIRN_RING_PRODUCER_QUICK_H

#include "base/atomic.h"
#include "ring/ring.h"

#if defined(__x86_64__)

#include "ring/producer-section.h"

/* All that one try needs; in the fast path the compiler keeps it in registers. */
struct section {
	struct rseq *rs;
	const struct ring_set_producer *set;
	const struct ring_producer *ring;
	struct cairn_ring_ctl *ctl;
	const void *body;
	uint64_t len, id, now;
	uint32_t cpu, first;
};

enum outcome { DONE, AGAIN, FULL, RETIRED, BACK };

#define INLINE inline __attribute__((always_inline))

static INLINE enum outcome try_discard_quick(const struct section *s)
{
	__asm__ goto(SECTION_DISCARD(SECTION_CLOCK_TSC, SECTION_COPY_FIRST)
		     :
		     : SECTION_OPERANDS(s), [first] "rm"(s->first)
		     : SECTION_CLOBBERS
		     : again, retired, full, back);
	return DONE;
again:
retired:
full:
back:
	return AGAIN;
}

static INLINE enum outcome try_overwrite_quick(const struct section *s)
{
	__asm__ goto(SECTION_OVERWRITE(SECTION_CLOCK_TSC, SECTION_COPY_FIRST)
		     :
		     : SECTION_OPERANDS(s), [first] "rm"(s->first)
		     : SECTION_CLOBBERS
		     : again, retired, back);
	return DONE;
again:
retired:
back:
	return AGAIN;
}

/* Whether the ring of each CPU takes ring_append_quick(). */
static inline bool ring_set_is_quick(const struct ring_set_producer *set)
{
	for (uint32_t i = 0; i < set->nrings; i++)
		if (!set->rings[i].ctl)
			return false;
	return set->clock == CAIRN_CLOCK_TSC;
}

/* Appends `first` and then bytes 4 to len - 1 of `body`. len: 4 to ring_max_body(). True: it is
 * published. False: nothing is, and nothing counted. The set is quick; rs may be any area whose
 * cpu_id is not that of a CPU, and is not written then. Otherwise as ring_append(). */
static INLINE bool ring_append_quick(const struct ring_set_producer *set, struct rseq *rs,
	uint32_t first, const void *body, uint32_t len, uint32_t id)
{
	struct section s = {rs, set, NULL, NULL, body, len, (uint32_t)(id << 2), 0,
		load_relaxed(&rs->cpu_id), first};

	if (__builtin_expect(s.cpu >= set->nrings, 0))
		return false;
	s.ring = &set->rings[s.cpu];
	s.ctl = s.ring->ctl;
	if (set->mode == CAIRN_MODE_OVERWRITE)
		return try_overwrite_quick(&s) == DONE;
	return try_discard_quick(&s) == DONE;
}

#else

static inline bool ring_set_is_quick(const struct ring_set_producer *set)
{
	(void)set;
	return false;
}

static inline bool ring_append_quick(const struct ring_set_producer *set, struct rseq *rs,
	uint32_t first, const void *body, uint32_t len, uint32_t id)
{
	(void)set, (void)rs, (void)first, (void)body, (void)len, (void)id;
	return false;
}

#endif
#endif
