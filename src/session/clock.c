/* Clocks: which one the rings use, and what a cycle of it is worth.
 *
 * The TSC is used where the kernel itself trusts it: constant and nonstop (cpuid) and not demoted
 * from the list of clock sources. Its frequency is measured against CLOCK_MONOTONIC, first for a
 * moment when the host begins, then better the longer a session lasts: a session's final metadata
 * has the frequency over all of it.
 */
#include "session/session-impl.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

#define NS 1000000000u
#define FIRST_GUESS_NS 1000000u
#define LONG_ENOUGH_NS 20000000u

#if defined(__x86_64__)
static bool cpu_has_invariant_tsc(void)
{
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && d & 1u << 8;
}

static uint64_t read_tsc(void)
{
	return __rdtsc();
}
#else
static bool cpu_has_invariant_tsc(void)
{
	return false;
}

static uint64_t read_tsc(void)
{
	return 0;
}
#endif

bool clock_tsc_usable(void)
{
	AUTO(buf) struct buf b = {0};

	if (!cpu_has_invariant_tsc())
		return false;
	/* the kernel takes "tsc" off this list when it finds it unstable */
	if (read_file("/sys/devices/system/clocksource/clocksource0/available_clocksource", 4096,
		    &b) < 0)
		return true;
	return strstr(b.data, "tsc") != NULL;
}

uint64_t clock_cycles(enum cairn_clock kind)
{
	return kind == CAIRN_CLOCK_TSC ? read_tsc() : now_ns(CLOCK_MONOTONIC);
}

/* The three clocks at one moment: the tightest of some tries. */
void clock_now(enum cairn_clock kind, struct clock_point *ret)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 8; i++) {
		uint64_t before = clock_cycles(kind);
		uint64_t mono = now_ns(CLOCK_MONOTONIC), real = now_ns(CLOCK_REALTIME);
		uint64_t after = clock_cycles(kind);

		if (after - before >= best)
			continue;
		best = after - before;
		*ret = (struct clock_point){
			.cycles = before + (after - before) / 2,
			.mono_ns = mono,
			.real_ns = real,
		};
	}
	if (kind == CAIRN_CLOCK_MONOTONIC)
		ret->cycles = ret->mono_ns;
}

static uint64_t frequency(const struct clock_point *a, const struct clock_point *b)
{
	uint64_t ns = b->mono_ns - a->mono_ns;

	if (!ns || b->cycles <= a->cycles)
		return 0;
	return (uint64_t)(((unsigned __int128)(b->cycles - a->cycles) * NS + ns / 2) / ns);
}

void clock_init(struct cairn_host *h)
{
	struct clock_point now;

	h->clock = clock_tsc_usable() ? CAIRN_CLOCK_TSC : CAIRN_CLOCK_MONOTONIC;
	clock_now(h->clock, &h->clock_begin);
	if (h->clock == CAIRN_CLOCK_MONOTONIC)
		return;
	do
		clock_now(h->clock, &now);
	while (now.mono_ns - h->clock_begin.mono_ns < FIRST_GUESS_NS);
	h->tsc_hz = frequency(&h->clock_begin, &now);
	if (h->tsc_hz < 1000000) { /* stands still, whatever it claims */
		h->clock = CAIRN_CLOCK_MONOTONIC;
		clock_now(h->clock, &h->clock_begin);
		return;
	}
	rate_init(h);
}

/* The boot id as bytes: clocks of one boot are the same clock. */
static void boot_uuid(uint8_t *uuid)
{
	AUTO(buf) struct buf b = {0};
	unsigned n = 0, high = 0;

	if (read_file("/proc/sys/kernel/random/boot_id", 128, &b) < 0)
		return;
	for (size_t i = 0; i < b.len && n < 32; i++) {
		char ch = b.data[i];
		unsigned v = ch >= '0' && ch <= '9' ? (unsigned)(ch - '0')
			: ch >= 'a' && ch <= 'f'    ? (unsigned)(ch - 'a' + 10)
						    : 16;
		if (v > 15)
			continue;
		if (n++ % 2)
			uuid[n / 2 - 1] = (uint8_t)(high << 4 | v);
		high = v;
	}
}

void clock_describe(
	const struct cairn_host *h, const struct clock_point *begin, struct ctf_clock *ret)
{
	bool tsc = h->clock == CAIRN_CLOCK_TSC;
	struct clock_point now;
	uint64_t freq = NS;
	__int128 real_at_zero;

	clock_now(h->clock, &now);
	if (tsc) { /* the host's own life is the longest there is */
		bool longer = now.mono_ns - h->clock_begin.mono_ns > LONG_ENOUGH_NS;

		freq = longer ? frequency(&h->clock_begin, &now) : h->tsc_hz;
	}
	/* through the middle of the session: the error of the frequency is least there */
	begin = begin ? begin : &h->clock_begin;
	real_at_zero = ((__int128)begin->real_ns + now.real_ns) / 2 -
		((__int128)begin->cycles + now.cycles) * NS / freq / 2;
	*ret = (struct ctf_clock){
		.name = tsc ? "tsc" : "monotonic",
		.description = tsc ? "Time stamp counter of the CPUs" : "CLOCK_MONOTONIC",
		.freq = freq,
	};
	boot_uuid(ret->uuid);
	ret->offset_s = (int64_t)(real_at_zero / NS);
	real_at_zero %= NS;
	if (real_at_zero < 0) {
		ret->offset_s--;
		real_at_zero += NS;
	}
	ret->offset_cycles = (uint64_t)(real_at_zero * freq / NS);
}
