/* Timing of small operations, shared by the benchmark programs.
 *
 * One sample is the mean CPU time of one operation over a loop; just before each sample one vDSO
 * clock_gettime is measured the same way, so that every sample has its own yardstick ("cg") and
 * ratios survive a machine whose clock changes. A program prints one JSON object a measurement:
 *	{"key": "...", "ns": [...], "cg": [...]}
 * bench/run gathers them. $BENCH_CPU: the CPU of the first thread; $BENCH_REPS: samples.
 */
#ifndef CAIRN_BENCH_H
#define CAIRN_BENCH_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BENCH_MAX 64
#define BENCH_CG_CALLS 20000

struct bench_samples {
	int n;
	double ns[BENCH_MAX];
	double cg[BENCH_MAX];
};

/* An operation: `loop` does it `count` times. */
struct bench_op {
	const char *key;
	void (*loop)(long count);
	long count;
};

static inline uint64_t bench_clock(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline int bench_env(const char *name, int otherwise)
{
	const char *s = getenv(name);

	return s ? atoi(s) : otherwise;
}

/* Pins the calling thread to CPU $BENCH_CPU + k. */
static inline void bench_pin(int k)
{
	int cpu = bench_env("BENCH_CPU", -1);
	cpu_set_t set;

	if (cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((size_t)((cpu + k) % sysconf(_SC_NPROCESSORS_CONF)), &set);
	(void)sched_setaffinity(0, sizeof(set), &set); /* unpinned figures are still figures */
}

static inline void bench_cg_loop(long count)
{
	struct timespec t;

	for (long i = 0; i < count; i++)
		clock_gettime(CLOCK_MONOTONIC, &t);
}

static inline double bench_time(void (*loop)(long), long count)
{
	uint64_t begin = bench_clock(CLOCK_THREAD_CPUTIME_ID);

	loop(count);
	return (double)(bench_clock(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)count;
}

/* One warm-up, then the samples. `together`: threads that must run at the same time, or NULL. */
static inline void bench_sample(
	const struct bench_op *op, pthread_barrier_t *together, struct bench_samples *ret)
{
	int reps = bench_env("BENCH_REPS", 7);

	ret->n = 0;
	for (int rep = -1; rep < reps && ret->n < BENCH_MAX; rep++) {
		double cg = bench_time(bench_cg_loop, BENCH_CG_CALLS);
		double ns;

		if (together)
			pthread_barrier_wait(together);
		ns = bench_time(op->loop, op->count);
		if (rep < 0)
			continue;
		ret->ns[ret->n] = ns;
		ret->cg[ret->n++] = cg;
	}
}

static inline void bench_print_list(const char *name, const double *v, int n)
{
	printf(", \"%s\": [", name);
	for (int i = 0; i < n; i++)
		printf("%s%.4f", i ? ", " : "", v[i]);
	printf("]");
}

static inline void bench_print(const char *key, const struct bench_samples *s)
{
	printf("{\"key\": \"%s\"", key);
	bench_print_list("ns", s->ns, s->n);
	bench_print_list("cg", s->cg, s->n);
	printf("}\n");
	fflush(stdout);
}

static inline void bench_measure(const struct bench_op *op)
{
	struct bench_samples s;

	bench_sample(op, NULL, &s);
	bench_print(op->key, &s);
}
#endif
