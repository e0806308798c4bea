/* The least that the pieces of an event can cost on this machine, in one process: the loop, a NOP,
 * a disabled site of ours, the clock, and rdtsc with a store published in a rseq section.
 */
#include "bench.h"
#include <cairn/trace.h>
#include <stddef.h>
#include <sys/rseq.h>
#include <x86intrin.h>

#define RING_BYTES (1u << 20)

static struct ring {
	uint64_t pos;
	uint8_t data[RING_BYTES];
} ring;

static void empty(long count)
{
	for (long i = 0; i < count; i++)
		__asm__ volatile("");
}

static void nop5(long count)
{
	for (long i = 0; i < count; i++)
		__asm__ volatile(".byte 0x0f, 0x1f, 0x44, 0x00, 0x00");
}

static void site_none(long count)
{
	for (long i = 0; i < count; i++)
		CAIRN(bench, off_none);
}

static void site_four(long count)
{
	for (long i = 0; i < count; i++)
		CAIRN(bench, off_four, ("a", (uint8_t)i), ("b", (int16_t)i), ("c", (int32_t)i),
			("d", (uint64_t)i));
}

static void clock_tsc(long count)
{
	for (long i = 0; i < count; i++)
		__asm__ volatile("" : : "r"(__rdtsc()));
}

/* One CPU's ring: read the clock and the position, store 32 bytes, publish; restartable. */
static inline void minimal_event(struct ring *r)
{
	struct rseq *rs = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

	__asm__ volatile(".pushsection __rseq_cs, \"aw\"\n\t"
			 ".balign 32\n"
			 "3:\t.long 0, 0\n\t"
			 ".quad 1f, 2f - 1f, 4f\n\t"
			 ".popsection\n"
			 "5:\tlea 3b(%%rip), %%rax\n\t"
			 "mov %%rax, %c[cs](%[rs])\n"
			 "1:\tmov (%[r]), %%rcx\n\t"
			 "rdtsc\n\t"
			 "shl $32, %%rdx\n\t"
			 "or %%rdx, %%rax\n\t"
			 "mov %%rcx, %%rdx\n\t"
			 "and %[mask], %%edx\n\t"
			 "mov %%rax, %c[data](%[r], %%rdx)\n\t"
			 "mov %%rcx, %c[data] + 8(%[r], %%rdx)\n\t"
			 "mov %%rax, %c[data] + 16(%[r], %%rdx)\n\t"
			 "mov %%rcx, %c[data] + 24(%[r], %%rdx)\n\t"
			 "add $32, %%rcx\n\t"
			 "mov %%rcx, (%[r])\n"
			 "2:\n\t"
			 ".pushsection .text.unlikely, \"ax\"\n\t"
			 ".byte 0x0f, 0xb9, 0x3d\n\t"
			 ".long 0x53053053\n"
			 "4:\tjmp 5b\n\t"
			 ".popsection"
			 :
			 : [rs] "r"(rs), [r] "r"(r), [cs] "i"(offsetof(struct rseq, rseq_cs)),
			 [data] "i"(offsetof(struct ring, data)), [mask] "i"(RING_BYTES - 32)
			 : "rax", "rcx", "rdx", "memory", "cc");
}

static void rseq_event(long count)
{
	for (long i = 0; i < count; i++)
		minimal_event(&ring);
}

static void locked_add(long count)
{
	for (long i = 0; i < count; i++)
		__atomic_fetch_add(&ring.pos, 1, __ATOMIC_SEQ_CST);
}

int main(void)
{
	static const struct bench_op ops[] = {
		{"empty loop", empty, 2000000},
		{"5-byte NOP", nop5, 2000000},
		{"disabled site, no field", site_none, 2000000},
		{"disabled site, 4 fields", site_four, 2000000},
		{"clock_gettime (cg)", bench_cg_loop, 500000},
		{"rdtsc", clock_tsc, 500000},
		{"locked add", locked_add, 500000},
		{"rdtsc, 32 bytes, rseq commit", rseq_event, 500000},
	};

	bench_pin(0);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (ops[i].loop == rseq_event && __rseq_size == 0)
			continue;
		bench_measure(&ops[i]);
	}
	return 0;
}
