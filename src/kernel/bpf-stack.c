/* Probes by BPF: stacks, where a program puts them in a record and where they are found; who called a function. */
#include "kernel/bpf-impl.h"
#include <errno.h>
#include <string.h>

#define STACK_HEAD 16

static unsigned rooms(unsigned stacks)
{
	return !!(stacks & KBPF_STACK_KERNEL) + !!(stacks & KBPF_STACK_USER);
}

uint32_t bstack_bytes(unsigned stacks, unsigned frames)
{
	return stacks ? STACK_HEAD + rooms(stacks) * frames * 8 : 0;
}

/* Frames of the kernel's that are of BPF itself. */
static unsigned own_frames(enum bplace place)
{
	return place == BPLACE_FENTRY || place == BPLACE_FEXIT ? 2 : 1; /* the trampoline, too */
}

/* Its bytes to `length`; what is not there, or cannot be read, is 0 or less. */
static void put_stack(
	struct bcode *c, const struct bstack *s, uint32_t at, uint32_t length, unsigned flags)
{
	int32_t bytes = (int32_t)s->frames * 8;

	bcode_mov(c, BPF_REG_1, BREG_CTX);
	bcode_mov(c, BPF_REG_2, s->room);
	bcode_math(c, BPF_ADD, BPF_REG_2, (int32_t)at);
	bcode_set(c, BPF_REG_3, bytes);
	bcode_set(c, BPF_REG_4, (int32_t)flags);
	bcode_call(c, BPF_FUNC_get_stack);
	bcode_store(c, 4, s->room, (int)length, BPF_REG_0);
	if (s->may_grow)
		bcode_jump_if(c, BPF_JEQ, BPF_REG_0, bytes, s->again);
}

void bstack_put(struct bcode *c, const struct bstack *s)
{
	uint32_t head = BRECORD_HEAD, at = head + STACK_HEAD;
	bool of_kernel = s->place != BPLACE_UPROBE && s->place != BPLACE_URETPROBE;

	if (!s->stacks)
		return;
	bcode_load(c, 4, BPF_REG_0, BPF_REG_10, s->process);
	bcode_store(c, 4, s->room, (int)head, BPF_REG_0);
	bcode_store_value(c, 4, s->room, (int)head + 4, (int32_t)s->frames);
	bcode_store_value(c, 8, s->room, (int)head + 8, 0);
	if (s->stacks & KBPF_STACK_KERNEL) {
		if (of_kernel)
			put_stack(c, s, at, head + 8, own_frames(s->place));
		at += s->frames * 8;
	}
	if (s->stacks & KBPF_STACK_USER)
		put_stack(c, s, at, head + 12, BPF_F_USER_STACK);
}

static int split_one(struct kbpf_stack *ret, const uint8_t *at, int32_t bytes, uint32_t frames)
{
	if (bytes > (int32_t)frames * 8)
		return -EPROTO;
	ret->frames = at;
	ret->n = bytes > 0 ? (uint32_t)bytes / 8 : 0;
	return 0;
}

int bstack_split(unsigned stacks, struct kbpf_record *r)
{
	const uint8_t *at = r->data + STACK_HEAD;
	uint32_t frames, all;
	int32_t bytes[2];
	int err = 0;

	r->process = 0;
	r->kernel = r->user = (struct kbpf_stack){0};
	if (!stacks)
		return 0;
	if (r->len < STACK_HEAD)
		return -EPROTO;
	memcpy(&r->process, r->data, 4);
	memcpy(&frames, r->data + 4, 4);
	memcpy(bytes, r->data + 8, 8);
	all = frames <= BSTACK_FRAMES_MAX ? bstack_bytes(stacks, frames) : UINT32_MAX;
	if (all > r->len)
		return -EPROTO;
	if (stacks & KBPF_STACK_KERNEL) {
		err = split_one(&r->kernel, at, bytes[0], frames);
		at += frames * 8;
	}
	if (err == 0 && stacks & KBPF_STACK_USER)
		err = split_one(&r->user, at, bytes[1], frames);
	r->data += all;
	r->len -= all;
	return err;
}

/* Behind the returned value in the context is the frame of the trampoline that runs the program: the caller's
 * frame pointer, where it goes on in the function, and then where that returns to. The first of these two
 * addresses shows that the kernel's trampolines are still made so. */
void bstack_caller(struct bcode *c, const struct bprobe *p, int at)
{
#if defined(__x86_64__)
	enum {
		LONGEST_WAY = 16
	}; /* from the function's begin to behind the call of the trampoline */
	unsigned known = bcode_label(c), done = bcode_label(c), not = bcode_label(c);

	bcode_to_frame(c, BPF_REG_1, at);
	bcode_set(c, BPF_REG_2, 16);
	bcode_mov(c, BPF_REG_3, BREG_CTX);
	bcode_math(c, BPF_ADD, BPF_REG_3, (int32_t)(p->nargs + 2) * 8);
	bcode_call(c, BPF_FUNC_probe_read_kernel);
	bcode_jump_if(c, BPF_JNE, BPF_REG_0, 0, not );
	bcode_load(c, 8, BPF_REG_1, BPF_REG_10, at);
	bcode_set64(c, BPF_REG_2, p->address);
	bcode_math2(c, BPF_SUB, BPF_REG_1, BPF_REG_2);
	bcode_jump_if(c, BPF_JLT, BPF_REG_1, LONGEST_WAY, known);
	bcode_here(c, not );
	bcode_set(c, BPF_REG_0, 0);
	bcode_jump(c, done);
	bcode_here(c, known);
	bcode_load(c, 8, BPF_REG_0, BPF_REG_10, at + 8);
	bcode_here(c, done);
#else
	(void)p;
	(void)at;
	bcode_set(c, BPF_REG_0, 0);
#endif
}
