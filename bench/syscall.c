/* syscall COUNT: the cost of one getppid(2), traced or not, and what CPU time the whole process took:
 *	{"key": "getppid", "ns": [...], "cg": [...]}
 *	{"cpu_ms": 1234.5, "calls": 800000}
 */
#include "bench.h"
#include <sys/resource.h>
#include <sys/syscall.h>

static long calls;

static void ask(long count)
{
	for (long i = 0; i < count; i++)
		syscall(SYS_getppid);
	calls += count;
}

static double ms(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

int main(int argc, char **argv)
{
	struct bench_op op = {"getppid", ask, argc > 1 ? atol(argv[1]) : 0};
	struct rusage use;

	if (op.count < 1) {
		fprintf(stderr, "usage: syscall COUNT\n");
		return 2;
	}
	bench_pin(0);
	bench_measure(&op);
	getrusage(RUSAGE_SELF, &use);
	printf("{\"cpu_ms\": %.3f, \"calls\": %ld}\n", ms(&use.ru_utime) + ms(&use.ru_stime),
		calls);
	return 0;
}
