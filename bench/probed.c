/* probed WHAT COUNT: the cost of one call of what is probed: `function` (of this program, "probed_function"
 * with a number and a text) or `syscall` (getppid):
 *	{"key": "function", "ns": [...], "cg": [...]}
 */
#include "bench.h"
#include <sys/syscall.h>

void __attribute__((noinline)) probed_function(long number, const char *text);
void __attribute__((noinline)) probed_function(long number, const char *text)
{
	__asm__ volatile("" ::"r"(number), "r"(text) : "memory");
}

static void call(long count)
{
	void (*volatile function)(long, const char *) = probed_function; /* itself, no copy of it */

	for (long i = 0; i < count; i++)
		function(i, "twelve chars");
}

static void ask(long count)
{
	for (long i = 0; i < count; i++)
		syscall(SYS_getppid);
}

int main(int argc, char **argv)
{
	struct bench_op op = {argc > 1 ? argv[1] : "", call, argc > 2 ? atol(argv[2]) : 0};

	if (strcmp(op.key, "syscall") == 0)
		op.loop = ask;
	if (op.count < 1) {
		fprintf(stderr, "usage: probed function|syscall COUNT\n");
		return 2;
	}
	bench_pin(0);
	bench_measure(&op);
	return 0;
}
