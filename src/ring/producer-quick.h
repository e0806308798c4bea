/* The append that events take nearly always, to be inlined into who fires them: a per-CPU ring, the
 * TSC, one try, and a record whose first four bytes (the tid) stand elsewhere than the others.
 *
 * The section is that of producer-section.h. What an event costs beside the clock is the number of
 * its instructions, so this takes few, and few registers: what is used once is an operand in
 * memory, and the ring is found inside the section. What does not succeed here is no loss: the
 * caller goes on with ring_append(), which says why, and restarts.
 */
#ifndef CAIRN_RING_PRODUCER_QUICK_H
#define CAIRN_RING_PRODUCER_QUICK_H

#include "ring/ring.h"

/* One record. Its id is beside where the event keeps it, shifted as headers have it. */
struct ring_quick {
	struct rseq *const *rs;
	const uint32_t *first; /* the first 4 bytes */
	const void *rest; /* what follows; with 8 readable bytes after its end */
	uint64_t len; /* of all: 4 to ring_max_body() */
	const uint64_t *id; /* RING_QUICK_ID(id) */
};
#define RING_QUICK_ID(id) ((uint64_t)(uint32_t)((id) << 2))

#if defined(__x86_64__)

#include "ring/producer-section.h"

_Static_assert(sizeof(struct ring_producer) == 32, "SECTION_BEGIN_QUICK shifts by 5");

#define QUICK_OPERANDS(r) \
	[rs] "m"(*(r)->rs), [first] "m"(*(r)->first), [rest] "r"((r)->rest), [len] "r"((r)->len), \
		[id] "m"(*(r)->id), SECTION_OFFSETS

static inline __attribute__((always_inline)) bool ring_quick_discard(
	const struct ring_set_producer *set, const struct ring_quick *r)
{
	struct cairn_ring_ctl *ctl;

	__asm__ volatile goto(
		SECTION_DISCARD(SECTION_BEGIN_QUICK, SECTION_CLOCK_TSC, SECTION_COPY_FIRST)
		: [ring] "+&r"(set), [ctl] "=&r"(ctl)
		: QUICK_OPERANDS(r)
		: SECTION_CLOBBERS
		: again, full, back);
	return true;
again:
full:
back:
	return false;
}

static inline __attribute__((always_inline)) bool ring_quick_overwrite(
	const struct ring_set_producer *set, const struct ring_quick *r)
{
	struct cairn_ring_ctl *ctl;

	__asm__ volatile goto(
		SECTION_OVERWRITE(SECTION_BEGIN_QUICK, SECTION_CLOCK_TSC, SECTION_COPY_FIRST)
		: [ring] "+&r"(set), [ctl] "=&r"(ctl)
		: QUICK_OPERANDS(r)
		: SECTION_CLOBBERS
		: again, back);
	return true;
again:
back:
	return false;
}

/* Whether the ring of each CPU takes ring_append_quick(). */
static inline bool ring_set_is_quick(const struct ring_set_producer *set)
{
	for (uint32_t i = 0; i < set->nrings; i++)
		if (!set->rings[i].ctl)
			return false;
	return set->clock == CAIRN_CLOCK_TSC;
}

/* Appends *r to a set that is quick. True: it is published. False: nothing is, and nothing counted.
 * The area of a thread without rseq may be any whose cpu_id is not that of a CPU; its rseq_cs may
 * be written. Otherwise as ring_append(). */
static inline __attribute__((always_inline)) bool ring_append_quick(
	const struct ring_set_producer *set, const struct ring_quick *r)
{
	if (set->mode == CAIRN_MODE_OVERWRITE)
		return ring_quick_overwrite(set, r);
	return ring_quick_discard(set, r);
}

#else

static inline bool ring_set_is_quick(const struct ring_set_producer *set)
{
	(void)set;
	return false;
}

static inline bool ring_append_quick(
	const struct ring_set_producer *set, const struct ring_quick *r)
{
	(void)set, (void)r;
	return false;
}

#endif
#endif
