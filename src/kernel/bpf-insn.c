/* Instructions for the kernel's BPF machine. See bpf-insn.h. */
#include "kernel/bpf-insn.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void bcode_free(struct bcode *c)
{
	free(c->insns);
	free(c->jumps);
	free(c->labels);
	memset(c, 0, sizeof(*c));
}

static void add(struct bcode *c, int code, int to, int from, int offset, int32_t value)
{
	struct bpf_insn *i = c->err ? NULL : VEC_ADD(c->insns, c->len, c->cap);

	if (!i) {
		c->err = c->err ? c->err : -ENOMEM;
		return;
	}
	if (offset != (int16_t)offset)
		c->err = -E2BIG;
	i->code = (uint8_t)code;
	i->dst_reg = to & 15;
	i->src_reg = from & 15;
	i->off = (int16_t)offset;
	i->imm = value;
}

int bcode_done(struct bcode *c)
{
	for (size_t i = 0; i < c->njumps && !c->err; i++) {
		const struct bcode_jump *j = &c->jumps[i];
		int64_t away = (int64_t)c->labels[j->to] - (int64_t)j->at - 1;

		if (c->labels[j->to] == SIZE_MAX)
			c->err = -EINVAL;
		else if (away != (int16_t)away)
			c->err = -E2BIG;
		else
			c->insns[j->at].off = (int16_t)away;
	}
	return c->err;
}

unsigned bcode_label(struct bcode *c)
{
	size_t *place = c->err ? NULL : VEC_ADD(c->labels, c->nlabels, c->labels_cap);

	if (!place) {
		c->err = c->err ? c->err : -ENOMEM;
		return 0;
	}
	*place = SIZE_MAX;
	return (unsigned)c->nlabels - 1;
}

bool bcode_leads_to(const struct bcode *c, unsigned label)
{
	for (size_t i = 0; i < c->njumps; i++) {
		if (c->jumps[i].to == label)
			return true;
	}
	return false;
}

void bcode_here(struct bcode *c, unsigned label)
{
	if (!c->err)
		c->labels[label] = c->len;
}

void bcode_mov(struct bcode *c, int to, int from)
{
	add(c, BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0);
}

void bcode_set(struct bcode *c, int to, int32_t value)
{
	add(c, BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value);
}

/* The one instruction that takes two places. */
static void set_wide(struct bcode *c, int to, int what, uint64_t value)
{
	add(c, BPF_LD | BPF_DW | BPF_IMM, to, what, 0, (int32_t)(uint32_t)value);
	add(c, 0, 0, 0, 0, (int32_t)(uint32_t)(value >> 32));
}

void bcode_set64(struct bcode *c, int to, uint64_t value)
{
	if ((uint64_t)(int64_t)(int32_t)value == value)
		bcode_set(c, to, (int32_t)value);
	else
		set_wide(c, to, 0, value);
}

void bcode_map(struct bcode *c, int to, int map_fd)
{
	set_wide(c, to, BPF_PSEUDO_MAP_FD, (uint32_t)map_fd);
}

void bcode_map_value(struct bcode *c, int to, int map_fd)
{
	set_wide(c, to, BPF_PSEUDO_MAP_VALUE, (uint32_t)map_fd);
}

void bcode_math2(struct bcode *c, int op, int to, int from)
{
	add(c, BPF_ALU64 | op | BPF_X, to, from, 0, 0);
}

void bcode_math(struct bcode *c, int op, int to, int32_t value)
{
	add(c, BPF_ALU64 | op | BPF_K, to, 0, 0, value);
}

void bcode_add(struct bcode *c, int to, int from)
{
	bcode_math2(c, BPF_ADD, to, from);
}

void bcode_to_frame(struct bcode *c, int to, int at)
{
	bcode_mov(c, to, BPF_REG_10);
	bcode_math(c, BPF_ADD, to, at);
}

static int width(unsigned bytes)
{
	return bytes == 1 ? BPF_B : bytes == 2 ? BPF_H : bytes == 4 ? BPF_W : BPF_DW;
}

void bcode_load(struct bcode *c, unsigned bytes, int to, int address, int offset)
{
	add(c, BPF_LDX | BPF_MEM | width(bytes), to, address, offset, 0);
}

void bcode_store(struct bcode *c, unsigned bytes, int address, int offset, int from)
{
	add(c, BPF_STX | BPF_MEM | width(bytes), address, from, offset, 0);
}

void bcode_store_value(struct bcode *c, unsigned bytes, int address, int offset, int32_t value)
{
	add(c, BPF_ST | BPF_MEM | width(bytes), address, 0, offset, value);
}

void bcode_atomic(struct bcode *c, int op, int address, int offset, int by)
{
	add(c, BPF_STX | BPF_ATOMIC | BPF_DW, address, by, offset, op);
}

void bcode_call(struct bcode *c, int helper)
{
	add(c, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

static void note_jump(struct bcode *c, unsigned label)
{
	struct bcode_jump *j = c->err ? NULL : VEC_ADD(c->jumps, c->njumps, c->jumps_cap);

	if (j)
		*j = (struct bcode_jump){c->len, label};
	else
		c->err = c->err ? c->err : -ENOMEM;
}

void bcode_jump(struct bcode *c, unsigned label)
{
	note_jump(c, label);
	add(c, BPF_JMP | BPF_JA, 0, 0, 0, 0);
}

void bcode_jump_if(struct bcode *c, int op, int reg, int32_t value, unsigned label)
{
	note_jump(c, label);
	add(c, BPF_JMP | op | BPF_K, reg, 0, 0, value);
}

void bcode_jump_if_same(struct bcode *c, int reg, int other, unsigned label)
{
	note_jump(c, label);
	add(c, BPF_JMP | BPF_JEQ | BPF_X, reg, other, 0, 0);
}

void bcode_exit(struct bcode *c, int32_t result)
{
	bcode_set(c, BPF_REG_0, result);
	bcode_return(c);
}

void bcode_return(struct bcode *c)
{
	add(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}
