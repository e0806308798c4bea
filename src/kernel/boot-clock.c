/* The kernel's trace clocks as clocks of traces; see boot-read.h. */
#include "kernel/boot-read.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define NS 1000000000u

/* The boot id as bytes. */
static void boot_uuid(uint8_t *uuid)
{
	AUTO(buf) struct buf b = {0};
	unsigned n = 0;

	if (read_file("/proc/sys/kernel/random/boot_id", 128, &b) < 0)
		return;
	for (size_t i = 0; i + 1 < b.len && n < 16; i++) {
		unsigned v;

		if (b.data[i] != '-' && sscanf(b.data + i, "%2x", &v) == 1) {
			uuid[n++] = (uint8_t)v;
			i++;
		}
	}
}

static uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	return now_ns(CLOCK_MONOTONIC);
#endif
}

/* Cycles a second, over 100 ms. */
static uint64_t cycles_freq(void)
{
	uint64_t begin_ns = now_ns(CLOCK_MONOTONIC), begin = cycles(), ns;

	do
		ns = now_ns(CLOCK_MONOTONIC) - begin_ns;
	while (ns < 100000000);
	return (uint64_t)((unsigned __int128)(cycles() - begin) * NS / ns);
}

static const struct {
	const char *kernel, *name, *description;
	int id; /* of clock_gettime, whose zero it shares, or nearly; -1: cycles; -2: none */
	uint8_t number; /* of its uuid: 0: the session host's */
} clocks[] = {
	{"x86-tsc", "tsc", "Time stamp counter of the CPUs", -1, 0},
	{"mono", "monotonic", "CLOCK_MONOTONIC", CLOCK_MONOTONIC, 0},
	{"mono_raw", "monotonic_raw", "CLOCK_MONOTONIC_RAW", CLOCK_MONOTONIC_RAW, 1},
	{"boot", "boottime", "CLOCK_BOOTTIME", CLOCK_BOOTTIME, 2},
	{"tai", "tai", "CLOCK_TAI", CLOCK_TAI, 3},
	{"local", "local", "The kernel's trace clock local", CLOCK_MONOTONIC, 4},
	{"global", "global", "The kernel's trace clock global", CLOCK_MONOTONIC, 5},
	{"perf", "perf", "The kernel's trace clock perf", CLOCK_MONOTONIC, 6},
	{"uptime", "uptime", "The kernel's trace clock uptime", CLOCK_MONOTONIC, 7},
	{"counter", "counter", "The kernel's trace clock counter: events, no time", -2, 8},
};

void boot_clock_read(const char *text, struct boot_clock *ret)
{
	const char *at = strchr(text, '[');
	size_t len = at ? strcspn(++at, "]\n") : 0, i = ARRAY_SIZE(clocks) - 1;
	__int128 zero;
	uint64_t now;

	*ret = (struct boot_clock){0};
	(void)snprintf(
		ret->name, sizeof(ret->name), "%.*s", (int)len, at ? at : ""); /* cut: unknown */
	while (i && strcmp(clocks[i].kernel, ret->name) != 0)
		i--;
	if (i == 0 && strcmp(clocks[0].kernel, ret->name) != 0)
		i = ARRAY_SIZE(clocks) - 1; /* of another machine: what it counts is not known */
	ret->ctf.name = clocks[i].name;
	ret->ctf.description = clocks[i].description;
	ret->ctf.freq = clocks[i].id == -1 ? cycles_freq() : NS;
	boot_uuid(ret->ctf.uuid);
	ret->ctf.uuid[15] ^= clocks[i].number;
	if (clocks[i].id == -2)
		return; /* its zero is nowhere */
	now = clocks[i].id == -1 ? cycles() : now_ns(clocks[i].id);
	zero = (__int128)now_ns(CLOCK_REALTIME) - (__int128)now * NS / ret->ctf.freq;
	ret->ctf.offset_s = (int64_t)(zero / NS);
	ret->ctf.offset_cycles =
		(uint64_t)((unsigned __int128)(zero % NS) * ret->ctf.freq / NS); /* zero > 1970 */
}
