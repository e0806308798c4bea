/* Clocks: what time is it for a thread that may not read the TSC?
 *
 * rdtsc kills where prctl(PR_SET_TSC) or strict seccomp forbade it, and clock_gettime() of the vDSO
 * does, as it reads the TSC, too. The flag belongs to a thread; threads and processes that it makes
 * inherit it. So each thread has its clock: asked for when it first fires, followed where the
 * program changes it through libc (hooks.c). With RT_CLOCK_CALL a time costs a system call,
 * clock_gettime(CLOCK_MONOTONIC_RAW), and is turned into what the TSC would say by the line that
 * the host keeps beside the rings (abi/ring.h). So all threads write to the same rings, and their
 * times compare, to within the error of that line (docs/decisions/009). RAW, because the TSC runs
 * at a constant rate against it: it is not adjusted as CLOCK_MONOTONIC is.
 *
 * All of it is async-signal-safe.
 */
#include "runtime/runtime-impl.h"
#include <linux/prctl.h>
#include <linux/seccomp.h>

#define CLOCK_MONOTONIC 1
#define CLOCK_MONOTONIC_RAW 4
#define RATE_TRIES 4

static uint64_t clock_call(int clock)
{
	int64_t ts[2] = {0, 0};

	(void)SYS(clock_gettime, clock, ts); /* 0 if refused: the last time of the ring, then */
	return (uint64_t)ts[0] * 1000000000u + (uint64_t)ts[1];
}

uint64_t rt_clock_now(void)
{
	if (rt.clock && rt_self && rt_self->clock == RT_CLOCK_TSC)
		return rt.clock(NULL);
	return clock_call(CLOCK_MONOTONIC);
}

uint64_t rt_clock_monotonic(const struct ring_set_producer *set)
{
	return clock_call(CLOCK_MONOTONIC);
}

/* A host that died while it wrote has not stored `current`; one that lives writes several times a
 * second at most. */
static struct cairn_rate read_rate(const struct cairn_ring_rate *page)
{
	struct cairn_rate rate;

	for (int i = 0;; i++) {
		uint32_t current =
			load_acquire(&page->current); /* pairs with [rate] in ringset.c */

		rate.raw_ns = load_relaxed(&page->entry[current % 2].raw_ns);
		rate.cycles = load_relaxed(&page->entry[current % 2].cycles);
		rate.mult = load_relaxed(&page->entry[current % 2].mult);
		fence_acquire();
		if (load_relaxed(&page->current) == current || i == RATE_TRIES)
			return rate;
	}
}

uint64_t rt_clock_as_tsc(const struct ring_set_producer *set)
{
	uint64_t raw_ns = clock_call(CLOCK_MONOTONIC_RAW);
	struct cairn_rate rate = read_rate(set->rate);
	__int128 cycles = (__int128)(int64_t)(raw_ns - rate.raw_ns) * (__int128)rate.mult >> 32;

	return raw_ns ? rate.cycles + (uint64_t)cycles : 0;
}

#if defined(__x86_64__)

void rt_clock_set(struct rt_thread *t, enum rt_clock clock)
{
	t->clock = clock;
	rt_thread_set_quick(t);
	compiler_barrier(); /* before what the caller does next, for signal handlers */
}

void rt_clock_ask(struct rt_thread *t)
{
	int mode = PR_TSC_ENABLE;

	/* refused: as for almost everybody */
	(void)SYS(prctl, PR_GET_TSC, &mode, 0, 0, 0);
	rt_clock_set(t, mode == PR_TSC_ENABLE ? RT_CLOCK_TSC : RT_CLOCK_CALL);
}

static bool is_strict(long call, long a, long b)
{
	return (call == __NR_prctl && a == PR_SET_SECCOMP && b == SECCOMP_MODE_STRICT) ||
		(call == __NR_seccomp && a == SECCOMP_SET_MODE_STRICT);
}

/* The thread is about to make this system call. In strict mode no other will be possible: its slot
 * must be there. */
void rt_clock_before(long call, long a, long b)
{
	bool strict = is_strict(call, a, b);
	struct rt_thread *t = rt_self;

	if (strict && !t)
		t = rt_thread_new();
	if (t && strict)
		rt_clock_set(t, RT_CLOCK_NONE);
	else if (t && call == __NR_prctl && a == PR_SET_TSC && b == PR_TSC_SIGSEGV)
		rt_clock_set(t, RT_CLOCK_CALL);
}

void rt_clock_after(long call, long a, long b, long result)
{
	struct rt_thread *t = rt_self;

	if (t && ((call == __NR_prctl && a == PR_SET_TSC) || (is_strict(call, a, b) && result < 0)))
		rt_clock_ask(t);
}

#else

void rt_clock_ask(struct rt_thread *t)
{
	(void)t; /* rings have CAIRN_CLOCK_MONOTONIC here, which every thread may read */
}

#endif
