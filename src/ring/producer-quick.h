/* The append that events take nearly always, to be inlined into who fires them: a per-CPU ring, the
 * TSC, one try, a small id, and a record whose first four bytes (the tid) are the same each time.
 *
 * What an event costs beside the clock is the number of its instructions, and even more that of its
 * stores, so this has few of both: it needs no register beyond those that any function may change,
 * what is used once is an operand in memory, header and tid are one store, and ring and CPU are
 * looked up inside the section. So is the target: who replaces a target and then restarts all
 * sections (membarrier) knows that nobody uses the old one. What does not succeed here is no loss:
 * the caller goes on with ring_append(), which says why, restarts, and begins the blocks of
 * overwrite rings. Whether the set is closed is left to it, too: who writes on into a closed set
 * comes to the end of a block, or of what is free, and so to ring_append().
 *
 * What must hold between the stores is said in producer-section.h; it is the same here.
 *
 * Registers: rax T, then copied words; rcx pos, then the new one; rdx scratch; `at` the set, then
 * its ring, then where the record goes; `to` the target.
 */
#ifndef CAIRN_RING_PRODUCER_QUICK_H
#define CAIRN_RING_PRODUCER_QUICK_H

#include "ring/ring.h"

/* Where records of one id go. */
struct ring_target {
	const struct ring_set_producer *set; /* quick: ring_set_is_quick() */
	uint64_t id; /* RING_QUICK_ID(id), of at most RING_QUICK_ID_MAX */
	uint64_t end; /* `len` must be less; at most ring_max_body() - 3. 0: nothing goes here */
};
#define RING_QUICK_ID(id) ((uint64_t)(id) << 2)
#define RING_QUICK_ID_MAX 1023u

/* One record. */
struct ring_quick {
	const struct ring_target *const *to; /* there; NULL: nowhere */
	struct rseq *const *rs;
	const uint64_t *first; /* the first 4 bytes in the upper half, 0 in the lower */
	const void *rest; /* what follows; with 8 readable bytes after its end */
	uint64_t len; /* of rest */
};

#if defined(__x86_64__)

#include "ring/producer-section.h"

_Static_assert(sizeof(struct ring_producer) == 32, "QUICK_BEGIN shifts by 5");

/* Goes on at label 31 for overwrite rings. Which CPU this is is read inside, so nothing needs to be
 * compared later. */
#define QUICK_BEGIN \
	SECTION_DESCRIPTOR \
	"movq %[rs], %%rdx\n\t" \
	"leaq 3b(%%rip), %%rax\n\t" \
	"movq %%rax, %c[o_cs](%%rdx)\n" \
	"1:\n\t" \
	"movq (%[to]), %[to]\n\t" \
	"testq %[to], %[to]\n\t" \
	"jz %l[again]\n\t" \
	"cmpq %c[o_end](%[to]), %[len]\n\t" \
	"jae %l[again]\n\t" \
	"movq %c[o_set](%[to]), %[at]\n\t" \
	"movl %c[o_cpu](%%rdx), %%eax\n\t" \
	"cmpl %c[o_active](%[at]), %%eax\n\t" \
	"jae %l[again]\n\t" \
	"shlq $5, %%rax\n\t" \
	"cmpl %[overwrite], %c[o_mode](%[at])\n\t" \
	"leaq %c[o_rings](%[at], %%rax), %[at]\n\t" \
	"movq %c[o_ctl](%[at]), %[ctl]\n\t" \
	"movq %c[o_pos](%[ctl]), %%rcx\n\t" \
	"je 31f\n\t"

/* SECTION_ROOM, with the first four bytes. */
#define QUICK_ROOM \
	"movq %%rcx, %%rax\n\t" \
	"subq %c[o_read](%[ctl]), %%rax\n\t" \
	"leaq 23(%%rax, %[len]), %%rax\n\t" \
	"cmpq %%rax, %c[o_mask](%[at])\n\t" \
	"jb %l[again]\n\t"

/* Neither the first record of a block, nor beyond its end, nor after one that was not committed:
 * ts_upper is the time of the last. */
#define QUICK_BLOCK \
	"movq %c[o_block](%[at]), %%rax\n\t" \
	"andq %%rcx, %%rax\n\t" \
	"jz %l[again]\n\t" \
	"leaq 15(%%rax, %[len]), %%rax\n\t" \
	"cmpq %%rax, %c[o_block](%[at])\n\t" \
	"jb %l[again]\n\t" \
	"movl %c[o_count](%[ctl]), %%eax\n\t" \
	"subl %%ecx, %%eax\n\t" \
	"shll $8, %%eax\n\t" \
	"jnz %l[again]\n\t"

/* Where the record goes, and T. */
#define QUICK_CLOCK \
	"movq %c[o_mask](%[at]), %%rax\n\t" \
	"andq %%rcx, %%rax\n\t" \
	"movq %c[o_data](%[at]), %[at]\n\t" \
	"addq %%rax, %[at]\n\t" \
	"rdtsc\n\t" \
	"shlq $32, %%rdx\n\t" \
	"orq %%rdx, %%rax\n\t"

/* Else the last writer did not commit. */
#define QUICK_COMMITTED \
	SECTION_BY_PEND_POS \
	"jne 16f\n\t"

/* A dense header and the first four bytes; else goes on at label 14, forwards or backwards. 8(at)
 * is where the rest goes. */
#define QUICK_DENSE(f) \
	"movq %%rax, %%rdx\n\t" \
	"subq %c[o_upper](%[ctl]), %%rdx\n\t" \
	"cmpq $0x100000, %%rdx\n\t" \
	"jae 14" f "\n\t" \
	"movl %%eax, %%edx\n\t" \
	"shll $12, %%edx\n\t" \
	"orl %c[o_id](%[to]), %%edx\n\t" \
	"orq %[first], %%rdx\n\t" \
	"movq %%rdx, (%[at])\n\t" \
	"leaq 8(%%rcx, %[len]), %%rcx\n\t"

/* The other headers, then as for dense ones; discard rings have no count. */
#define QUICK_OTHERS \
	"14:\n\t" /* sparse */ \
	"shrq $52, %%rdx\n\t" \
	"jnz 16f\n\t" \
	"movq %%rax, %%rdx\n\t" \
	"shlq $12, %%rdx\n\t" \
	"orq %c[o_id](%[to]), %%rdx\n\t" \
	"incq %%rdx\n\t" \
	"movq %%rdx, (%[at])\n\t" \
	"movq %[first], %%rdx\n\t" \
	"shrq $32, %%rdx\n\t" \
	"movl %%edx, 8(%[at])\n\t" \
	"addq $4, %[at]\n\t" \
	"leaq 12(%%rcx, %[len]), %%rcx\n\t" \
	"jmp 17f\n" \
	"16:\n\t" /* extended; not here if the TSC stepped back (a restored VM) */ \
	"cmpq %c[o_upper](%[ctl]), %%rax\n\t" \
	"jb %l[again]\n\t" \
	"movl %c[o_id](%[to]), %%edx\n\t" \
	"addl $2, %%edx\n\t" \
	"movl %%edx, (%[at])\n\t" \
	"movq %%rax, 4(%[at])\n\t" \
	"movq %[first], %%rdx\n\t" \
	"shrq $32, %%rdx\n\t" \
	"movl %%edx, 12(%[at])\n\t" \
	"addq $8, %[at]\n\t" \
	"leaq 16(%%rcx, %[len]), %%rcx\n" \
	"17:\n\t" \
	"cmpq $0, %c[o_count](%[ctl])\n\t" \
	"je 18f\n\t" QUICK_COUNT_UP "18:\n\t" QUICK_PEND_POS SECTION_TIME QUICK_COPY_FIRST \
	"ja 20f\n\t" \
	"jmp 21f\n"

#define QUICK_PEND_POS "movq %%rcx, %c[o_ppos](%[ctl])\n\t"

/* One record more, and the bytes from pos to the new one. */
#define QUICK_COUNT_UP \
	"movq %%rcx, %%rdx\n\t" \
	"subq %c[o_pos](%[ctl]), %%rdx\n\t" \
	"addq $0x1000000, %%rdx\n\t" \
	"addq %%rdx, %c[o_count](%[ctl])\n\t"

#define QUICK_COUNT_DENSE \
	"leaq 0x1000008(%[len]), %%rdx\n\t" \
	"addq %%rdx, %c[o_count](%[ctl])\n\t"

/* The first word, also if there is nothing: there is room for it. Flags: whether there is more. */
#define QUICK_COPY_FIRST \
	"movq (%[rest]), %%rax\n\t" \
	"movq %%rax, 8(%[at])\n\t" \
	"cmpq $8, %[len]\n\t"

#define QUICK_DISCARD \
	QUICK_ROOM QUICK_CLOCK QUICK_COMMITTED QUICK_DENSE("f") \
		QUICK_PEND_POS SECTION_TIME QUICK_COPY_FIRST "ja 20f\n\t" \
							     "jmp 21f\n"

/* Ends with the other words of all. */
#define QUICK_OVERWRITE \
	"31:\n\t" QUICK_BLOCK QUICK_CLOCK QUICK_DENSE("b") \
		QUICK_COUNT_DENSE SECTION_TIME QUICK_COPY_FIRST "jbe 21f\n" \
								"20:\n\t" \
								"movl $8, %%edx\n" \
								"22:\n\t" \
								"movq (%[rest], %%rdx), %%rax\n\t" \
								"movq %%rax, 8(%[at], %%rdx)\n\t" \
								"addq $8, %%rdx\n\t" \
								"cmpq %[len], %%rdx\n\t" \
								"jb 22b\n"

#define QUICK_COMMIT \
	"21:\n\t" \
	"movq %%rcx, %c[o_pos](%[ctl])\n" /* pairs with [commit] in consumer.c */ \
		SECTION_ABORT

#define QUICK_OFFSETS \
	SECTION_OFFSETS, [o_set] "i"(offsetof(struct ring_target, set)), \
		[o_id] "i"(offsetof(struct ring_target, id)), \
		[o_end] "i"(offsetof(struct ring_target, end)), \
		[o_mode] "i"(offsetof(struct ring_set_producer, mode)), \
		[overwrite] "i"(CAIRN_MODE_OVERWRITE)

/* Appends *r. True: it is published. False: nothing is, and nothing counted. The area of a thread
 * without rseq may be any whose cpu_id is not that of a CPU; its rseq_cs may be written.
 * Otherwise as ring_append(). */
static inline __attribute__((always_inline)) bool ring_append_quick(const struct ring_quick *r)
{
	const void *to = r->to, *at;
	struct cairn_ring_ctl *ctl;

	__asm__ volatile goto(
		QUICK_BEGIN QUICK_DISCARD QUICK_OTHERS QUICK_OVERWRITE QUICK_COMMIT
		: [to] "+&r"(to), [at] "=&r"(at), [ctl] "=&r"(ctl)
		: [rs] "m"(*r->rs), [first] "m"(*r->first), [rest] "r"(r->rest), [len] "r"(r->len),
		QUICK_OFFSETS
		: "rax", "rcx", "rdx", "memory", "cc"
		: again);
	return true;
again:
	return false;
}

/* Whether the ring of each CPU takes ring_append_quick(). */
static inline bool ring_set_is_quick(const struct ring_set_producer *set)
{
	for (uint32_t i = 0; i < set->nrings; i++)
		if (!set->rings[i].ctl)
			return false;
	return set->clock == CAIRN_CLOCK_TSC;
}

#else

static inline bool ring_set_is_quick(const struct ring_set_producer *set)
{
	(void)set;
	return false;
}

static inline bool ring_append_quick(const struct ring_quick *r)
{
	(void)r;
	return false;
}

#endif
#endif
