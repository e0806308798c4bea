/* hello [FILE]: one line out; with FILE, waits until that file (a fifo) can be opened for reading,
 * so that its memory can be looked at. Built plain, marked (BENCH_CAIRN) and with LTTng-UST.
 */
#include <fcntl.h>
#include <stdio.h>

#if defined(BENCH_LTTNG)
#include "lttng-events.h"
#define FIRE(value) lttng_ust_tracepoint(bench, one_int, value)
#elif defined(BENCH_CAIRN)
#include <cairn/trace.h>
#define FIRE(value) CAIRN(bench, one_int, value)
#else
#define FIRE(value) ((void)(value))
#endif

int main(int argc, char **argv)
{
	int value = argc;

	FIRE(value);
	puts("hello");
	fflush(stdout);
	if (argc > 1)
		return open(argv[1], O_RDONLY) < 0;
	return 0;
}
