/* Appending to per-CPU rings: the producer's driver around the restartable section.
 *
 * Lives in traced programs: freestanding (no libc, no TLS, no copies the compiler would turn into
 * memcpy calls), async-signal-safe, never touches errno. Promises: a record is published by one
 * store or not at all, whatever interrupts or kills the writer; times never go backwards in a
 * ring; at most RESTARTS_MAX restarts.
 *
 * The code and the descriptors of the section must never be unmapped: a sleeping thread's rseq_cs
 * may point at them. (The kernel clears rseq_cs lazily, so nothing here does.)
 *
 * On machines without a section (not x86-64) every thread is told RING_NO_CPU and takes a solo
 * ring; producer-solo.c is all of C.
 */
#include "base/atomic.h"
#include "ring/ring.h"

#define RESTARTS_MAX 64

void ring_count_lost(const struct ring_producer *ring, enum cairn_lost why)
{
	if (ring && ring->ctl && (unsigned int)why < CAIRN_LOST_REASONS)
		fetch_add_relaxed(&ring->ctl->lost[why], 1);
}

#if defined(__x86_64__)

#include "ring/producer-section.h"

#define EXTENDED_WANTED (1ull << 32)

/* All that one try needs, gathered for SECTION_OPERANDS. */
struct section {
	struct rseq *rs;
	const struct ring_set_producer *set;
	const struct ring_producer *ring;
	const void *body;
	uint64_t len, id, now;
	uint32_t cpu;
};

enum outcome { DONE, AGAIN, FULL, RETIRED, BACK };

#define SECTION_EXITS(...) \
	return DONE; \
again: \
	return AGAIN; \
retired: \
	return RETIRED; \
	__VA_ARGS__

static inline __attribute__((always_inline)) enum outcome try_discard_tsc(const struct section *s)
{
	__asm__ goto(SECTION_DISCARD(SECTION_CLOCK_TSC)
		     :
		     : SECTION_OPERANDS(s)
		     : SECTION_CLOBBERS
		     : again, retired, full, back);
	SECTION_EXITS(full : return FULL; back : return BACK;)
}

static inline __attribute__((always_inline)) enum outcome try_overwrite_tsc(const struct section *s)
{
	__asm__ goto(SECTION_OVERWRITE(SECTION_CLOCK_TSC)
		     :
		     : SECTION_OPERANDS(s)
		     : SECTION_CLOBBERS
		     : again, retired, back);
	SECTION_EXITS(back : return BACK;)
}

static __attribute__((noinline)) enum outcome try_discard_given(const struct section *s)
{
	__asm__ goto(SECTION_DISCARD(SECTION_CLOCK_GIVEN)
		     :
		     : SECTION_OPERANDS(s), [now] "rm"(s->now)
		     : SECTION_CLOBBERS
		     : again, retired, full);
	SECTION_EXITS(full : return FULL;)
}

static __attribute__((noinline)) enum outcome try_overwrite_given(const struct section *s)
{
	__asm__ goto(SECTION_OVERWRITE(SECTION_CLOCK_GIVEN)
		     :
		     : SECTION_OPERANDS(s), [now] "rm"(s->now)
		     : SECTION_CLOBBERS
		     : again, retired);
	SECTION_EXITS()
}

static __attribute__((noinline)) enum outcome try_given(struct section *s)
{
	return s->set->mode == CAIRN_MODE_OVERWRITE ? try_overwrite_given(s) : try_discard_given(s);
}

/* The TSC went back: the record gets the last time of its ring and a header that says it whole. */
static __attribute__((noinline, cold)) enum outcome try_stepped_back(struct section *s)
{
	struct section again = {s->rs, s->set, s->ring, s->body, s->len, s->id, 0, s->cpu};
	enum outcome done;

	again.id |= EXTENDED_WANTED;
	done = try_given(&again);
	if (done == DONE)
		fetch_add_relaxed(&s->ring->ctl->steps_back, 1);
	return done;
}

static inline __attribute__((always_inline)) enum outcome try_once(struct section *s)
{
	enum outcome done;

	if (s->set->clock != CAIRN_CLOCK_TSC) {
		s->now = s->set->now();
		return try_given(s);
	}
	done = s->set->mode == CAIRN_MODE_OVERWRITE ? try_overwrite_tsc(s) : try_discard_tsc(s);
	return __builtin_expect(done == BACK, 0) ? try_stepped_back(s) : done;
}

enum ring_result ring_append(const struct ring_set_producer *set, struct rseq *rs, const void *body,
	uint32_t len, uint32_t id, const struct ring_producer **ret_ring)
{
	struct section s = {rs, set, NULL, body, len, (uint32_t)(id << 2), 0, 0};

	for (int i = 0; i < RESTARTS_MAX; i++) {
		enum outcome done;

		s.cpu = load_relaxed(&rs->cpu_id);
		*ret_ring = NULL;
		if (s.cpu >= set->nrings) /* also what an unregistered thread's -1 and -2 are */
			return RING_NO_CPU;
		s.ring = &set->rings[s.cpu];
		if (!s.ring->ctl)
			return RING_NO_CPU;
		*ret_ring = s.ring;
		if (len > ring_max_body(s.ring))
			return RING_TOO_BIG;
		done = try_once(&s);
		if (__builtin_expect(done == DONE, 1))
			return RING_OK;
		if (done == FULL)
			return RING_FULL;
		if (done == RETIRED)
			return RING_RETIRED;
	}
	return RING_RESTARTS;
}

#else

enum ring_result ring_append(const struct ring_set_producer *set, struct rseq *rs, const void *body,
	uint32_t len, uint32_t id, const struct ring_producer **ret_ring)
{
	(void)set, (void)rs, (void)body, (void)len, (void)id;
	*ret_ring = NULL;
	return RING_NO_CPU;
}

#endif
