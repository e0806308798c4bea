/* rate EVENTS_PER_SECOND SECONDS: fires one-int events at a steady rate, in bursts of 64, and prints
 * {"fired": N, "late": N}: late is how many bursts began over 1 ms behind their time, which says that the
 * machine could not keep up with firing. Cairn's event or, with BENCH_LTTNG, LTTng-UST's.
 */
#include "bench.h"
#include <inttypes.h>

#ifdef BENCH_LTTNG
#include "lttng-events.h"
#define FIRE_INT(value) lttng_ust_tracepoint(bench, one_int, value)
#else
#include <cairn/trace.h>
#define FIRE_INT(value) CAIRN(bench, one_int, value)
#endif

#define BURST 64

int main(int argc, char **argv)
{
	double per_second = argc == 3 ? atof(argv[1]) : 0, seconds = argc == 3 ? atof(argv[2]) : 0;
	uint64_t begin, fired = 0, late = 0, total;

	if (per_second < 1 || seconds <= 0) {
		fprintf(stderr, "usage: rate EVENTS_PER_SECOND SECONDS\n");
		return 2;
	}
	bench_pin(0);
	total = (uint64_t)(per_second * seconds);
	begin = bench_clock(CLOCK_MONOTONIC);
	while (fired < total) {
		uint64_t due = begin + (uint64_t)((double)fired * 1e9 / per_second), now;

		while ((now = bench_clock(CLOCK_MONOTONIC)) < due)
			;
		late += now - due > 1000000;
		for (int value = 0; value < BURST; value++)
			FIRE_INT(value);
		fired += BURST;
	}
	printf("{\"fired\": %" PRIu64 ", \"late\": %" PRIu64 "}\n", fired, late);
	return 0;
}
