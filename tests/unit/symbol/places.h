/* What the programs of test-symbol say of themselves: one line a place,
 *
 *	PATH OFFSET LINE FUNCTIONS
 *
 * OFFSET in the file, by this process's own maps; FUNCTIONS innermost first, with commas. */
#ifndef CAIRN_TESTS_PLACES_H
#define CAIRN_TESTS_PLACES_H

#include <stdint.h>
#include <stdio.h>

/* Sets p to an address on this line. */
#if defined(__x86_64__)
#define HERE(p, line) \
	do { \
		(line) = __LINE__; \
		__asm__ volatile("lea 0f(%%rip), %0\n0: nop" : "=r"(p)); \
	} while (0)
#else
#define HERE(p, line) \
	do { \
		(line) = __LINE__; \
		__asm__ volatile("adr %0, 0f\n0: nop" : "=r"(p)); \
	} while (0)
#endif

static inline __attribute__((always_inline)) void say_place(
	uintptr_t address, int line, const char *functions)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char text[4352], path[4097];
	unsigned long begin, end, offset;

	while (maps && fgets(text, sizeof(text), maps))
		if (sscanf(text, "%lx-%lx %*s %lx %*s %*s %4096[^\n]", &begin, &end, &offset,
			    path) == 4 &&
			address >= begin && address < end)
			printf("%s %#lx %d %s\n", path, address - begin + offset, line, functions);
	if (maps)
		(void)fclose(maps);
}

#endif
