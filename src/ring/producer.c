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

/* All that one try needs; in the fast path the compiler keeps it in registers. */
struct section {
	struct rseq *rs;
	const struct ring_set_producer *set;
	const struct ring_producer *ring;
	struct cairn_ring_ctl *ctl;
	const void *body;
	uint64_t len, id, now;
	uint32_t cpu;
};

enum outcome { DONE, AGAIN, FULL, RETIRED, BACK };

#define INLINE inline __attribute__((always_inline))

static INLINE enum outcome try_discard_tsc(const struct section *s)
{
	__asm__ goto(SECTION_DISCARD(SECTION_CLOCK_TSC)
		     :
		     : SECTION_OPERANDS(s)
		     : SECTION_CLOBBERS
		     : again, retired, full, back);
	return DONE;
again:
	return AGAIN;
retired:
	return RETIRED;
full:
	return FULL;
back:
	return BACK;
}

static INLINE enum outcome try_overwrite_tsc(const struct section *s)
{
	__asm__ goto(SECTION_OVERWRITE(SECTION_CLOCK_TSC)
		     :
		     : SECTION_OPERANDS(s)
		     : SECTION_CLOBBERS
		     : again, retired, back);
	return DONE;
again:
	return AGAIN;
retired:
	return RETIRED;
back:
	return BACK;
}

static INLINE enum outcome try_discard_given(const struct section *s)
{
	__asm__ goto(SECTION_DISCARD(SECTION_CLOCK_GIVEN)
		     :
		     : SECTION_OPERANDS(s), [now] "rm"(s->now)
		     : SECTION_CLOBBERS
		     : again, retired, full);
	return DONE;
again:
	return AGAIN;
retired:
	return RETIRED;
full:
	return FULL;
}

static INLINE enum outcome try_overwrite_given(const struct section *s)
{
	__asm__ goto(SECTION_OVERWRITE(SECTION_CLOCK_GIVEN)
		     :
		     : SECTION_OPERANDS(s), [now] "rm"(s->now)
		     : SECTION_CLOBBERS
		     : again, retired);
	return DONE;
again:
	return AGAIN;
retired:
	return RETIRED;
}

static INLINE enum outcome try_tsc(const struct section *s)
{
	return s->set->mode == CAIRN_MODE_OVERWRITE ? try_overwrite_tsc(s) : try_discard_tsc(s);
}

/* Not inline: together they need more registers than the fast path has. */
static __attribute__((noinline)) enum outcome try_given(const struct section *s)
{
	return s->set->mode == CAIRN_MODE_OVERWRITE ? try_overwrite_given(s) : try_discard_given(s);
}

/* The TSC went back: the record gets the last time of its ring, and a header that holds all of
 * it. */
static enum outcome try_stepped_back(struct section *s)
{
	enum outcome done;

	s->id |= EXTENDED_WANTED;
	s->now = 0;
	done = try_given(s);
	if (done == DONE)
		fetch_add_relaxed(&s->ctl->steps_back, 1);
	return done;
}

/* Finds the ring of the CPU we seem to be on. RING_OK: s is ready for a try. */
static INLINE enum ring_result section_init(
	struct section *s, const struct ring_producer **ret_ring)
{
	s->cpu = load_relaxed(&s->rs->cpu_id);
	*ret_ring = NULL;
	if (s->cpu >= s->set->nrings) /* also what an unregistered thread's -1 and -2 are */
		return RING_NO_CPU;
	s->ring = &s->set->rings[s->cpu];
	s->ctl = s->ring->ctl;
	if (!s->ctl)
		return RING_NO_CPU;
	*ret_ring = s->ring;
	return s->len > ring_max_body(s->ring) ? RING_TOO_BIG : RING_OK;
}

static enum ring_result result_of(enum outcome done)
{
	return done == DONE ? RING_OK : done == FULL ? RING_FULL : RING_RETIRED;
}

/* All but a first try with the TSC: restarts, steps back, the other clock. */
static __attribute__((noinline)) enum ring_result append_slowly(
	const struct section *args, const struct ring_producer **ret_ring)
{
	for (int i = 0; i < RESTARTS_MAX; i++) {
		struct section s = {
			args->rs, args->set, NULL, NULL, args->body, args->len, args->id, 0, 0};
		enum ring_result bad = section_init(&s, ret_ring);
		enum outcome done;

		if (bad)
			return bad;
		if (s.set->clock == CAIRN_CLOCK_TSC) {
			done = try_tsc(&s);
			if (done == BACK)
				done = try_stepped_back(&s);
		} else {
			s.now = s.set->now(s.set);
			done = try_given(&s);
		}
		if (done != AGAIN)
			return result_of(done);
	}
	return RING_RESTARTS;
}

enum ring_result ring_append(const struct ring_set_producer *set, struct rseq *rs, const void *body,
	uint32_t len, uint32_t id, const struct ring_producer **ret_ring)
{
	struct section s = {rs, set, NULL, NULL, body, len, (uint32_t)(id << 2), 0, 0};
	enum ring_result bad = section_init(&s, ret_ring);

	if (__builtin_expect(bad, 0))
		return bad;
	if (set->clock == CAIRN_CLOCK_TSC) {
		enum outcome done = try_tsc(&s);

		if (__builtin_expect(done != AGAIN && done != BACK, 1))
			return result_of(done);
	}
	struct section args = {rs, set, NULL, NULL, body, len, (uint32_t)(id << 2), 0, 0};

	return append_slowly(&args, ret_ring);
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
