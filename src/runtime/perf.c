/* Performance counters beside an event.
 *
 * Software counters come from the thread's own resource usage and CPU clock: no descriptor, which
 * would have to live in the program's table, where the program may close it. Hardware counters
 * are the calling thread's, user space only, read by rdpmc through the event's page.
 * Async-signal-safe. What cannot be read is 0; the host has refused what this machine cannot do
 * (session/channel.c).
 */
#include "runtime/runtime-impl.h"
#include <linux/mman.h>
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

/* ---- hardware ---- */

#if defined(__x86_64__)
static uint64_t read_counter(uint32_t index, uint32_t width)
{
	uint32_t low, high;

	__asm__ volatile("rdpmc" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)((int64_t)(((uint64_t)high << 32 | low) << (64 - width)) >> (64 - width));
}
#else
static uint64_t read_counter(uint32_t index, uint32_t width)
{
	(void)index;
	(void)width;
	return 0; /* the host does not offer these counters here */
}
#endif

/* As linux/perf_event.h has it for self-monitoring: the kernel counts `lock` up around changes.
 * Index 0: the event is not on the processor now; `offset` is what it had counted. */
static uint64_t read_page(const struct perf_event_mmap_page *page)
{
	uint64_t count;
	uint32_t lock, index;

	do {
		lock = *(const volatile uint32_t *)&page->lock;
		compiler_barrier();
		index = *(const volatile uint32_t *)&page->index;
		count = (uint64_t)page->offset;
		if (page->cap_user_rdpmc && index)
			count += read_counter(index - 1, page->pmc_width);
		compiler_barrier();
	} while (*(const volatile uint32_t *)&page->lock != lock);
	return count;
}

/* The page keeps the event alive: its descriptor is in the program's table for a moment only. */
static struct perf_event_mmap_page *open_page(const struct cairn_perf_ctx *perf)
{
	struct perf_event_attr attr;
	long fd, page;

	rt_zero(&attr, sizeof(attr));
	attr.size = sizeof(attr);
	attr.type = perf->type;
	attr.config = perf->config;
	attr.exclude_kernel = 1;
	attr.exclude_hv = 1;
	fd = SYS(perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (SYS_IS_ERR(fd))
		return NULL;
	page = SYS(mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, 0);
	(void)SYS(close, fd); /* nothing was written */
	return SYS_IS_ERR(page) ? NULL : (struct perf_event_mmap_page *)page;
}

/* The slot's pages are of another thread. Of another process, too: they are not mapped here. */
static void forget_pages(struct rt_thread *t)
{
	for (uint32_t i = 0; i < CAIRN_CTX_PERF_MAX; i++) {
		if (t->perf[i].page && t->perf_gen == t->gen)
			(void)SYS(munmap, t->perf[i].page, 4096); /* stays mapped: harmless */
		t->perf[i].page = NULL;
		t->perf[i].key = 0;
	}
	t->nperf = 0;
	t->perf_gen = t->gen;
	t->perf_tid = t->tid;
}

static uint64_t hardware(struct rt_thread *t, const struct cairn_perf_ctx *perf)
{
	uint64_t key = (uint64_t)perf->type << 56 | (perf->config + 1);
	uint32_t n;

	if (t->perf_gen != t->gen || t->perf_tid != t->tid)
		forget_pages(t);
	for (uint32_t i = 0; i < CAIRN_CTX_PERF_MAX; i++)
		if (t->perf[i].key == key)
			return t->perf[i].page ? read_page(t->perf[i].page) : 0;
	n = fetch_add_relaxed(&t->nperf, 1); /* a signal handler takes the next */
	if (n >= CAIRN_CTX_PERF_MAX)
		return 0;
	t->perf[n].page = open_page(perf);
	compiler_barrier();
	t->perf[n].key = key;
	return t->perf[n].page ? read_page(t->perf[n].page) : 0;
}

uint64_t rt_perf_read(struct rt_thread *t, const struct cairn_perf_ctx *perf)
{
	return perf->type == PERF_TYPE_SOFTWARE ? software(perf->config) : hardware(t, perf);
}
