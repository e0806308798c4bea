/* heap: the cost of one malloc and free of 32 bytes, with whatever is preloaded. */
#include "bench.h"

static void pairs(long count)
{
	for (long i = 0; i < count; i++) {
		void *p = malloc(32);

		__asm__ volatile("" : "+r"(p) : : "memory");
		free(p);
	}
}

int main(void)
{
	static const struct bench_op op = {"malloc and free", pairs, 200000};

	bench_pin(0);
	bench_measure(&op);
	return 0;
}
