/* Probes by BPF: the table of processes that a session is limited to. A bit for each process that there
 * can be on Linux, in an array of one value; programs look and change, the session adds to it. */
#include "kernel/bpf-impl.h"
#include <assert.h>

enum { AT_PID = -8, AT_TGID = -16 }; /* in the frame */

static_assert((BPROCESSES & (BPROCESSES - 1)) == 0 && BPROCESSES % 64 == 0, "see find()");

void bprocess_of_task(struct bcode *c, unsigned n, uint32_t offset, int at)
{
	bcode_store_value(c, 8, BPF_REG_10, at, 0);
	bcode_to_frame(c, BPF_REG_1, at);
	bcode_set(c, BPF_REG_2, 4);
	bcode_load(c, 8, BPF_REG_3, BREG_CTX, (int)n * 8);
	bcode_math(c, BPF_ADD, BPF_REG_3, (int32_t)offset);
	bcode_call(c, BPF_FUNC_probe_read);
}

/* r1 = the address of the word of the table that has the process (r0) in it; r2 = its bit */
static void find(struct bcode *c, int map)
{
	bcode_map_value(c, BPF_REG_1, map);
	bcode_math(c, BPF_AND, BPF_REG_0, BPROCESSES - 1); /* as the verifier must see */
	bcode_mov(c, BPF_REG_2, BPF_REG_0);
	bcode_math(c, BPF_RSH, BPF_REG_2, 6);
	bcode_math(c, BPF_LSH, BPF_REG_2, 3);
	bcode_add(c, BPF_REG_1, BPF_REG_2);
	bcode_math(c, BPF_AND, BPF_REG_0, 63);
	bcode_set(c, BPF_REG_2, 1);
	bcode_math2(c, BPF_LSH, BPF_REG_2, BPF_REG_0);
}

void bprocess_jump_if_there(struct bcode *c, int map, unsigned there)
{
	find(c, map);
	bcode_load(c, 8, BPF_REG_1, BPF_REG_1, 0);
	bcode_math2(c, BPF_AND, BPF_REG_1, BPF_REG_2);
	bcode_jump_if(c, BPF_JNE, BPF_REG_1, 0, there);
}

int bprogram_fork(struct bcode *c, const struct bmaps *m)
{
	unsigned ours = bcode_label(c);

	bcode_mov(c, BREG_CTX, BPF_REG_1);
	bprocess_of_task(c, 0, m->task_tgid, AT_TGID);
	bcode_load(c, 4, BPF_REG_0, BPF_REG_10, AT_TGID);
	bprocess_jump_if_there(c, m->limit, ours);
	bcode_exit(c, 0);
	bcode_here(c, ours);
	bprocess_of_task(c, 1, m->task_tgid, AT_TGID);
	bcode_load(c, 4, BPF_REG_0, BPF_REG_10, AT_TGID);
	find(c, m->limit);
	bcode_atomic(c, BPF_OR, BPF_REG_1, 0, BPF_REG_2);
	bcode_exit(c, 0);
	return bcode_done(c);
}

/* The last thread of a process to be freed is the one that it is called after. */
int bprogram_end(struct bcode *c, const struct bmaps *m)
{
	unsigned first = bcode_label(c);

	bcode_mov(c, BREG_CTX, BPF_REG_1);
	bprocess_of_task(c, 0, m->task_pid, AT_PID);
	bprocess_of_task(c, 0, m->task_tgid, AT_TGID);
	bcode_load(c, 4, BPF_REG_0, BPF_REG_10, AT_PID);
	bcode_load(c, 4, BPF_REG_1, BPF_REG_10, AT_TGID);
	bcode_jump_if_same(c, BPF_REG_0, BPF_REG_1, first);
	bcode_exit(c, 0);
	bcode_here(c, first);
	find(c, m->limit);
	bcode_math(c, BPF_XOR, BPF_REG_2, -1);
	bcode_atomic(c, BPF_AND, BPF_REG_1, 0, BPF_REG_2);
	bcode_exit(c, 0);
	return bcode_done(c);
}
