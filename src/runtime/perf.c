/* Performance counters beside an event.
 *
 * Software counters come from the thread's own resource usage and CPU clock: no descriptor, which
 * would have to live in the program's table, where the program may close it. Async-signal-safe.
 * What cannot be read is 0.
 */
#include "runtime/runtime-impl.h"
#include <linux/perf_event.h>

#define RUSAGE_THREAD 1
#define CLOCK_THREAD_CPUTIME 3

struct usage { /* the kernel's struct rusage */
	int64_t utime[2], stime[2];
	int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd,
		msgrcv, nsignals, nvcsw, nivcsw;
};

static uint64_t cpu_clock(void)
{
	int64_t ts[2] = {0, 0};

	(void)SYS(clock_gettime, CLOCK_THREAD_CPUTIME, ts); /* 0 if refused */
	return (uint64_t)ts[0] * 1000000000u + (uint64_t)ts[1];
}

static uint64_t software(uint64_t config)
{
	struct usage u;

	rt_zero(&u, sizeof(u));
	if (config == PERF_COUNT_SW_CPU_CLOCK || config == PERF_COUNT_SW_TASK_CLOCK)
		return cpu_clock();
	(void)SYS(getrusage, RUSAGE_THREAD, &u); /* 0 if refused */
	switch (config) {
	case PERF_COUNT_SW_PAGE_FAULTS: return (uint64_t)(u.minflt + u.majflt);
	case PERF_COUNT_SW_PAGE_FAULTS_MIN: return (uint64_t)u.minflt;
	case PERF_COUNT_SW_PAGE_FAULTS_MAJ: return (uint64_t)u.majflt;
	case PERF_COUNT_SW_CONTEXT_SWITCHES: return (uint64_t)(u.nvcsw + u.nivcsw);
	default: return 0;
	}
}

uint64_t rt_perf_read(struct rt_thread *t, const struct cairn_perf_ctx *perf)
{
	(void)t;
	return perf->type == PERF_TYPE_SOFTWARE ? software(perf->config) : 0;
}
