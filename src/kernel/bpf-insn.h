/* Instructions for the kernel's BPF machine, written one by one: no compiler is involved.
 *
 * A program is a struct bcode that calls add to; jumps go forward or back to labels, which are placed
 * once. bcode_done() puts the distances into the jumps. Without memory, or with a jump that is too far or
 * leads nowhere, err is set, and later calls do nothing: callers check once, at the end.
 *
 * Registers are numbers as in <linux/bpf.h>: BPF_REG_0 (results), 1 to 5 (arguments, gone after a
 * call), 6 to 9 (kept), 10 (the frame: 512 bytes below it).
 */
#ifndef CAIRN_KERNEL_BPF_INSN_H
#define CAIRN_KERNEL_BPF_INSN_H

#include "base/base.h"
#include <linux/bpf.h>

struct bcode_jump {
	size_t at; /* the instruction */
	unsigned to; /* the label */
};

struct bcode {
	struct bpf_insn *insns; /* owned vector */
	size_t len, cap;
	struct bcode_jump *jumps; /* owned vector */
	size_t njumps, jumps_cap;
	size_t *labels; /* owned vector: where each is; SIZE_MAX: not placed yet */
	size_t nlabels, labels_cap;
	int err; /* 0, -ENOMEM, -E2BIG (a jump), -EINVAL (a label without a place) */
};

void bcode_free(struct bcode *c); /* what it holds */
int bcode_done(struct bcode *c); /* c->err */

unsigned bcode_label(struct bcode *c); /* a new one */
bool bcode_leads_to(const struct bcode *c, unsigned label); /* does a jump so far? */
void bcode_here(struct bcode *c, unsigned label); /* it is the next instruction */

void bcode_mov(struct bcode *c, int to, int from);
void bcode_set(struct bcode *c, int to, int32_t value); /* extended with its sign */
void bcode_set64(struct bcode *c, int to, uint64_t value);
void bcode_map(struct bcode *c, int to, int map_fd);
void bcode_map_value(struct bcode *c, int to, int map_fd); /* the address of an array's bytes */
/* op: BPF_ADD, BPF_AND, BPF_LSH, BPF_RSH... of 64 bits, with a constant. */
void bcode_math(struct bcode *c, int op, int to, int32_t value);
void bcode_math2(struct bcode *c, int op, int to, int from); /* the same with a register */
void bcode_add(struct bcode *c, int to, int from);
void bcode_to_frame(struct bcode *c, int to, int at); /* the address of a place in it */
/* bytes: 1, 2, 4 or 8; the offset is of the address in a register. */
void bcode_load(struct bcode *c, unsigned bytes, int to, int address, int offset);
void bcode_store(struct bcode *c, unsigned bytes, int address, int offset, int from);
void bcode_store_value(struct bcode *c, unsigned bytes, int address, int offset, int32_t value);
/* *(u64 *) op= by, atomically; op: BPF_ADD, BPF_OR, BPF_AND */
void bcode_atomic(struct bcode *c, int op, int address, int offset, int by);
void bcode_call(struct bcode *c, int helper);
void bcode_jump(struct bcode *c, unsigned label);
/* op: BPF_JEQ, BPF_JNE, BPF_JLT (unsigned), BPF_JSLT...: if reg OP value. */
void bcode_jump_if(struct bcode *c, int op, int reg, int32_t value, unsigned label);
void bcode_jump_if_same(struct bcode *c, int reg, int other, unsigned label); /* reg == other */
void bcode_exit(struct bcode *c, int32_t result);
void bcode_return(struct bcode *c); /* with register 0 as it is */

#endif
