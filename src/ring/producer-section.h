/* The restartable section in which a record is written and published (x86-64 machine code).
 *
 * Private to producer.c; producer-quick.h has a shorter one for most events. One section, put
 * together from pieces: a clock (the TSC, or a time read before) and a mode (discard, overwrite). From label 1 to label 2 the kernel sends a thread that is preempted,
 * migrated or signalled to label 4, which starts again; the last instruction of the section is the
 * store of `pos`, which publishes. So everything before it may be repeated or left
 * off at any instruction, and nothing after it is needed. What must hold in between:
 *
 *	discard: pend_pos = newpos, then ts_upper = T (in this order), both before pos
 *	overwrite: likewise `count`, which says the new position, too
 *	a short header only if that says pos: then ts_upper is the time of the last published record
 *	read_pos is loaded inside, after the CPU was checked (or was read inside, which is as good)
 *
 * x86 keeps stores in order, and writers of one ring share a CPU, so no fence is needed. The model
 * of exactly this order, and of those that fail, is tests/model/ring-model.c.
 *
 * Registers: rax T, then copied words; rcx pos; r8 newpos; r9 where the next byte goes; r10 id
 * with its form bits clear (bit 32 set: extended header wanted); rdx, r11 scratch.
 */
#ifndef CAIRN_RING_PRODUCER_SECTION_H
#define CAIRN_RING_PRODUCER_SECTION_H

#include "ring/ring.h"
#include <linux/rseq.h>

/* The four bytes that the kernel wants before an abort address; glibc registers with them. */
#define SECTION_SIGNATURE "0x53053053"

/* The descriptor; arms it; are we still on the CPU whose ring this is; is the set still in use. */
#define SECTION_DESCRIPTOR \
	".pushsection __rseq_cs, \"aw\"\n\t" \
	".balign 32\n" \
	"3:\n\t" \
	".long 0, 0\n\t" \
	".quad 1f, 2f - 1f, 4f\n\t" \
	".popsection\n\t"
#define SECTION_BEGIN \
	SECTION_DESCRIPTOR \
	"leaq 3b(%%rip), %%rax\n\t" \
	"movq %%rax, %c[o_cs](%[rs])\n" \
	"1:\n\t" \
	"movl %[cpu], %%eax\n\t" \
	"cmpl %%eax, %c[o_cpu](%[rs])\n\t" \
	"jne 4f\n\t" \
	"cmpl $0, %c[o_active](%[set])\n\t" \
	"je %l[retired]\n\t" \
	"movq %c[o_closed](%[set]), %%rax\n\t" \
	"cmpl $0, (%%rax)\n\t" \
	"jne %l[retired]\n\t" \
	"movq %c[o_pos](%[ctl]), %%rcx\n\t"

/* Room for the longest header this mode writes here (12) and for what copying in whole words may
 * overshoot (8): pos - read_pos + len + 20 <= size. */
#define SECTION_ROOM \
	"movq %%rcx, %%rax\n\t" \
	"subq %c[o_read](%[ctl]), %%rax\n\t" \
	"leaq 19(%%rax, %[len]), %%rax\n\t" \
	"cmpq %%rax, %c[o_mask](%[ring])\n\t" \
	"jb %l[full]\n\t"

/* T. The TSC may have stepped back (a restored VM): leave, count, come back with a given time. */
#define SECTION_CLOCK_TSC \
	"rdtsc\n\t" \
	"shlq $32, %%rdx\n\t" \
	"orq %%rdx, %%rax\n\t" \
	"cmpq %c[o_upper](%[ctl]), %%rax\n\t" \
	"jb %l[back]\n\t"

/* A time read before the section is older than what others published since: take the later. */
#define SECTION_CLOCK_GIVEN \
	"movq %[now], %%rax\n\t" \
	"cmpq %c[o_upper](%[ctl]), %%rax\n\t" \
	"cmovbq %c[o_upper](%[ctl]), %%rax\n\t"

/* Where position %reg stands in the data. */
#define SECTION_ADDRESS(reg) \
	"movq %c[o_mask](%[ring]), %%r9\n\t" \
	"andq " reg ", %%r9\n\t" \
	"addq %c[o_data](%[ring]), %%r9\n\t"

/* Does the record fit in this block, and is it not the first of it? Else: block header (label 15).
 * Leaves the block's mask in r11. */
#define SECTION_BLOCK_CHECK \
	"movq %c[o_block](%[ring]), %%r11\n\t" \
	"movq %%r11, %%rdx\n\t" \
	"andq %%rcx, %%rdx\n\t" \
	"jz 15f\n\t" \
	"leaq 11(%%rdx, %[len]), %%rdx\n\t" \
	"cmpq %%r11, %%rdx\n\t" \
	"ja 15f\n\t"

/* Whether the last writer committed: "equal" if so. */
#define SECTION_BY_PEND_POS "cmpq %%rcx, %c[o_ppos](%[ctl])\n\t"
#define SECTION_BY_COUNT \
	"movl %c[o_count](%[ctl]), %%edx\n\t" \
	"subl %%ecx, %%edx\n\t" \
	"testl $0xffffff, %%edx\n\t"

/* Dense, sparse or extended header; all go on at label 17. */
#define SECTION_HEADER(is_committed) \
	SECTION_ADDRESS("%%rcx") \
	"movq %[id], %%r10\n\t" is_committed "jne 16f\n\t" \
	"cmpq $4096, %%r10\n\t" \
	"jae 16f\n\t" \
	"movq %%rax, %%rdx\n\t" \
	"subq %c[o_upper](%[ctl]), %%rdx\n\t" \
	"cmpq $0x100000, %%rdx\n\t" \
	"jae 14f\n\t" \
	"leaq 4(%%rcx, %[len]), %%r8\n\t" /* form 0 */ \
	"movl %%eax, %%edx\n\t" \
	"shll $12, %%edx\n\t" \
	"orl %%r10d, %%edx\n\t" \
	"movl %%edx, (%%r9)\n\t" \
	"addq $4, %%r9\n\t" \
	"jmp 17f\n" \
	"14:\n\t" /* form 1 */ \
	"shrq $52, %%rdx\n\t" \
	"jnz 16f\n\t" \
	"leaq 8(%%rcx, %[len]), %%r8\n\t" \
	"movq %%rax, %%rdx\n\t" \
	"shlq $12, %%rdx\n\t" \
	"leaq 1(%%rdx, %%r10), %%rdx\n\t" \
	"movq %%rdx, (%%r9)\n\t" \
	"addq $8, %%r9\n\t" \
	"jmp 17f\n" \
	"16:\n\t" /* form 2 */ \
	"leaq 12(%%rcx, %[len]), %%r8\n\t" \
	"addl $2, %%r10d\n\t" \
	"movl %%r10d, (%%r9)\n\t" \
	"movq %%rax, 4(%%r9)\n\t" \
	"addq $12, %%r9\n\t" \
	"jmp 17f\n"

/* Records published before pos, into reg, shifted by 24. The count word is that plus pos; if it is
 * more, whoever stored it did not commit, and it has one record too many. */
#define SECTION_COUNT(reg, reg32) \
	"movq %c[o_count](%[ctl]), " reg "\n\t" \
	"subq %%rcx, " reg "\n\t" \
	"testl $0xffffff, " reg32 "\n\t" \
	"jz 18f\n\t" \
	"andq $-0x1000000, " reg "\n\t" \
	"subq $0x1000000, " reg "\n" \
	"18:\n\t"

/* Form 3, at the next block's start. r11: the block's mask. The 40 bits of the count are completed from the
 * header of the block before. */
#define SECTION_HEADER_BLOCK \
	"15:\n\t" SECTION_COUNT("%%rdx", \
		"%%edx") "xorl %%r8d, %%r8d\n\t" \
			 "testq %%rcx, %%rcx\n\t" \
			 "jz 19f\n\t" \
			 "leaq -1(%%rcx), %%r10\n\t" \
			 "notq %%r11\n\t" \
			 "andq %%r11, %%r10\n\t" /* start of the block before */ \
			 "notq %%r11\n\t" SECTION_ADDRESS( \
				 "%%r10") "movq 16(%%r9), %%r8\n" /* its count */ \
					  "19:\n\t" \
					  "movq %%r8, %%r10\n\t" \
					  "shlq $24, %%r10\n\t" \
					  "subq %%r10, %%rdx\n\t" \
					  "shrq $24, %%rdx\n\t" \
					  "addq %%r8, %%rdx\n\t" /* count */ \
					  "movq %%rcx, %%r10\n\t" \
					  "negq %%r10\n\t" \
					  "andq %%r11, %%r10\n\t" /* pad */ \
					  "leaq (%%rcx, %%r10), %%r8\n\t" /* start of the new block */ \
		SECTION_ADDRESS("%%r8") "movl %%r10d, 12(%%r9)\n\t" \
					"movq %%rdx, 16(%%r9)\n\t" \
					"movq %%rax, 4(%%r9)\n\t" \
					"movq %[id], %%r10\n\t" \
					"addl $3, %%r10d\n\t" \
					"movl %%r10d, (%%r9)\n\t" \
					"addq $24, %%r9\n\t" \
					"leaq 24(%%r8, %[len]), %%r8\n"

#define SECTION_PEND_POS \
	"17:\n\t" \
	"movq %%r8, %c[o_ppos](%[ctl])\n\t"

#define SECTION_COUNT_UP \
	"17:\n\t" SECTION_COUNT("%%rdx", "%%edx") "leaq 0x1000000(%%rdx, %%r8), %%rdx\n\t" \
						  "movq %%rdx, %c[o_count](%[ctl])\n\t"

#define SECTION_TIME "movq %%rax, %c[o_upper](%[ctl])\n\t"

/* Copies in words. */
#define SECTION_COPY \
	"xorl %%edx, %%edx\n\t" \
	"testq %[len], %[len]\n\t" \
	"jz 21f\n" \
	"20:\n\t" \
	"movq (%[body], %%rdx), %%rax\n\t" \
	"movq %%rax, (%%r9, %%rdx)\n\t" \
	"addq $8, %%rdx\n\t" \
	"cmpq %[len], %%rdx\n\t" \
	"jb 20b\n"

/* The section's end, and the abort address, where everything begins again. */
#define SECTION_ABORT \
	"2:\n\t" \
	".pushsection __rseq_fail, \"ax\"\n\t" \
	".byte 0x0f, 0xb9, 0x3d\n\t" \
	".long " SECTION_SIGNATURE "\n" \
	"4:\n\t" \
	"jmp %l[again]\n\t" \
	".popsection\n"

/* Publishes. */
#define SECTION_COMMIT \
	"21:\n\t" \
	"movq %%r8, %c[o_pos](%[ctl])\n" /* pairs with [commit] in consumer.c */ \
		SECTION_ABORT

#define SECTION_DISCARD(clock) \
	SECTION_BEGIN SECTION_ROOM clock SECTION_HEADER(SECTION_BY_PEND_POS) \
	SECTION_PEND_POS SECTION_TIME SECTION_COPY SECTION_COMMIT

#define SECTION_OVERWRITE(clock) \
	SECTION_BEGIN clock SECTION_BLOCK_CHECK SECTION_HEADER(SECTION_BY_COUNT) \
	SECTION_HEADER_BLOCK SECTION_COUNT_UP SECTION_TIME SECTION_COPY SECTION_COMMIT

#define SECTION_OFFSETS \
	[o_cs] "i"(offsetof(struct rseq, rseq_cs)), [o_cpu] "i"(offsetof(struct rseq, cpu_id)), \
		[o_active] "i"(offsetof(struct ring_set_producer, active)), \
		[o_closed] "i"(offsetof(struct ring_set_producer, closed)), \
		[o_rings] "i"(offsetof(struct ring_set_producer, rings)), \
		[o_ctl] "i"(offsetof(struct ring_producer, ctl)), \
		[o_data] "i"(offsetof(struct ring_producer, data)), \
		[o_mask] "i"(offsetof(struct ring_producer, mask)), \
		[o_block] "i"(offsetof(struct ring_producer, block_mask)), \
		[o_pos] "i"(offsetof(struct cairn_ring_ctl, pos)), \
		[o_upper] "i"(offsetof(struct cairn_ring_ctl, ts_upper)), \
		[o_ppos] "i"(offsetof(struct cairn_ring_ctl, pend_pos)), \
		[o_count] "i"(offsetof(struct cairn_ring_ctl, count)), \
		[o_read] "i"(offsetof(struct cairn_ring_ctl, read_pos))

#define SECTION_OPERANDS(s) \
	[rs] "r"((s)->rs), [set] "r"((s)->set), [ring] "r"((s)->ring), [ctl] "r"((s)->ctl), \
		[body] "r"((s)->body), [len] "r"((s)->len), [cpu] "rm"((s)->cpu), \
		[id] "rm"((s)->id), SECTION_OFFSETS

#define SECTION_CLOBBERS "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc"

#endif
