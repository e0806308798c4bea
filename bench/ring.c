/* What one append costs, without the runtime around it: nanoseconds each, median of 7, by mode and
 * size of the body; beside it rdtsc alone, and clock_gettime (cg), which the targets are given in.
 *
 *	bench-ring [CPU]
 */
#include "../tests/unit/ring-map.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define N 2000000
#define ROUNDS 7

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

/* One round in a ring that never fills: the consumer's position is dragged along. */
static double appends(struct ring_set_producer *set, struct rseq *rs, uint32_t len)
{
	uint64_t body[34] = {1, 2, 3}, start = monotonic_now(NULL);
	const struct ring_producer *ring;

	for (int i = 0; i < N; i++) {
		body[0] = (uint64_t)i;
		if (ring_append(set, rs, body, len, 17, &ring) == RING_FULL)
			ring->ctl->read_pos = ring->ctl->pos;
	}
	return (double)(monotonic_now(NULL) - start) / N;
}

static void bench_mode(const char *name, enum cairn_ring_mode mode, enum cairn_clock clock)
{
	static const uint32_t lens[] = {4, 8, 16, 20, 64, 256};
	struct ringset_config cfg = {.mode = mode,
		.clock = clock,
		.nrings = (uint32_t)sysconf(_SC_NPROCESSORS_CONF),
		.ring_bytes = 1 << 20,
		.prefault = true};
	struct ringset *s;
	struct ring_set_producer *set;

	if (ringset_create(&cfg, &s) < 0 || !(set = map_producer(s)))
		exit(1);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		double v[ROUNDS];

		for (int r = 0; r < ROUNDS; r++)
			v[r] = appends(set, thread_rseq(), lens[i]);
		printf("%-24s %4u bytes %7.2f ns\n", name, lens[i], median(v));
	}
}

int main(int argc, char **argv)
{
	double tsc[ROUNDS], cg[ROUNDS];
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(argc > 1 ? atoi(argv[1]) : 0, &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus);
	if (!thread_rseq())
		return puts("no rseq here"), 0;
	for (int r = 0; r < ROUNDS; r++) {
		uint64_t start = monotonic_now(NULL), x = 0;

		for (int i = 0; i < N; i++) {
#if defined(__x86_64__)
			x += __builtin_ia32_rdtsc();
#endif
			__asm__ volatile("" ::"r"(x));
		}
		tsc[r] = (double)(monotonic_now(NULL) - start) / N;
		start = monotonic_now(NULL);
		for (int i = 0; i < N / 4; i++)
			(void)monotonic_now(NULL);
		cg[r] = (double)(monotonic_now(NULL) - start) / (N / 4);
	}
	printf("%-24s            %7.2f ns\n", "rdtsc", median(tsc));
	printf("%-24s            %7.2f ns\n", "clock_gettime (cg)", median(cg));
	bench_mode("discard", CAIRN_MODE_DISCARD, CAIRN_CLOCK_TSC);
	bench_mode("overwrite", CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_TSC);
	bench_mode("overwrite, monotonic", CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_MONOTONIC);
	return 0;
}
