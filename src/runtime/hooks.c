/* Libc functions that need our help while we record: vfork, unshare, setns, prctl, syscall.
 *
 * vfork: the child runs on the parent's thread area, where rseq looks registered but, for the
 * child, is not: sections would not restart. So after the system call the child registers the same
 * area for itself (the parent sleeps, and the kernel refreshes the area when it wakes), and both
 * sides make the slot find out again who is running.
 *
 * unshare and setns refuse some things in a program with a second thread, and our control thread
 * may be that: it ends before the call, and starts again after it. Rings are left for new ones, as
 * the program may be in another sharing domain then.
 *
 * prctl and syscall may take the time stamp counter from a thread (PR_SET_TSC, strict seccomp), whose
 * next event would then kill it: it hears of that first (clock.c).
 *
 * How: all have `mov $NUMBER, %eax; syscall`, or, in syscall(), `mov 8(%rsp), %r9; syscall`. The mov
 * is one instruction of 5 bytes, like a site's NOP, and becomes a jump the same way (patch.c): to
 * code here that does the call and goes on behind it. Functions that look otherwise are left alone:
 * then a vfork child's events are counted as foreign where its stack tells, unshare may fail, and
 * who gives up the time stamp counter must do so before its first event. x86-64 only.
 */
#include "runtime/runtime-impl.h"
#include <linux/sched.h>

#define RSEQ_AREA_BYTES 32
#define SCAN_BYTES 128
#define RET 0xc3
#define CODE_BYTES 5

#if defined(__x86_64__)

/* Where the hooked functions go on: behind their system call. Set before the jump is there. */
RT_HIDDEN uintptr_t rt_vfork_resume, rt_unshare_resume, rt_setns_resume, rt_prctl_resume,
	rt_syscall_resume;
RT_HIDDEN extern const uint8_t rt_vfork_entry[], rt_unshare_entry[], rt_setns_entry[],
	rt_prctl_entry[], rt_syscall_entry[];
RT_HIDDEN void rt_vfork_after(long result);
RT_HIDDEN void rt_unshare_before(uint64_t flags);
RT_HIDDEN void rt_setns_before(void);
RT_HIDDEN void rt_unshare_after(void);

/* vfork has its return address in rdi here, and the stack at a multiple of 16. Parent and child
 * share the stack: what the child pushes, the parent has no use for. */
__asm__(".pushsection .text\n"
	"rt_vfork_entry:\n"
	"	movl $58, %eax\n"
	"	syscall\n"
	"	pushq %rdi\n"
	"	pushq %rax\n"
	"	movq %rax, %rdi\n"
	"	call rt_vfork_after\n"
	"	popq %rax\n"
	"	popq %rdi\n"
	"	jmp *rt_vfork_resume(%rip)\n"
	"rt_unshare_entry:\n"
	"	pushq %rdi\n"
	"	call rt_unshare_before\n"
	"	popq %rdi\n"
	"	movl $272, %eax\n"
	"	syscall\n"
	"	pushq %rax\n"
	"	call rt_unshare_after\n"
	"	popq %rax\n"
	"	jmp *rt_unshare_resume(%rip)\n"
	"rt_setns_entry:\n"
	"	pushq %rdi\n"
	"	pushq %rsi\n"
	"	subq $8, %rsp\n"
	"	call rt_setns_before\n"
	"	addq $8, %rsp\n"
	"	popq %rsi\n"
	"	popq %rdi\n"
	"	movl $308, %eax\n"
	"	syscall\n"
	"	pushq %rax\n"
	"	call rt_unshare_after\n"
	"	popq %rax\n"
	"	jmp *rt_setns_resume(%rip)\n"
	".popsection\n");

/* Before the system call rax has its number, and its arguments are where the kernel wants them; what
 * is below the stack pointer may be in use. Leaves the result in rax. */
#define CLOCK_CALL \
	"	leaq -128(%rsp), %rsp\n" \
	"	pushq %rbp\n" \
	"	movq %rsp, %rbp\n" \
	"	pushq %rax\n" \
	"	pushq %rdi\n" \
	"	pushq %rsi\n" \
	"	pushq %rdx\n" \
	"	pushq %r10\n" \
	"	pushq %r8\n" \
	"	pushq %r9\n" \
	"	andq $-16, %rsp\n" \
	"	movq %rsi, %rdx\n" \
	"	movq %rdi, %rsi\n" \
	"	movq %rax, %rdi\n" \
	"	call rt_clock_before\n" \
	"	movq -8(%rbp), %rax\n" \
	"	movq -16(%rbp), %rdi\n" \
	"	movq -24(%rbp), %rsi\n" \
	"	movq -32(%rbp), %rdx\n" \
	"	movq -40(%rbp), %r10\n" \
	"	movq -48(%rbp), %r8\n" \
	"	movq -56(%rbp), %r9\n" \
	"	syscall\n" \
	"	movq -8(%rbp), %rdi\n" \
	"	movq %rax, -8(%rbp)\n" \
	"	movq -16(%rbp), %rsi\n" \
	"	movq -24(%rbp), %rdx\n" \
	"	movq %rax, %rcx\n" \
	"	call rt_clock_after\n" \
	"	movq -8(%rbp), %rax\n" \
	"	movq -16(%rbp), %rdi\n" \
	"	movq -24(%rbp), %rsi\n" \
	"	movq -32(%rbp), %rdx\n" \
	"	movq -40(%rbp), %r10\n" \
	"	movq -48(%rbp), %r8\n" \
	"	movq -56(%rbp), %r9\n" \
	"	movq %rbp, %rsp\n" \
	"	popq %rbp\n" \
	"	leaq 128(%rsp), %rsp\n"
__asm__(".pushsection .text\n"
	"rt_prctl_entry:\n"
	"	movl $157, %eax\n" CLOCK_CALL "	jmp *rt_prctl_resume(%rip)\n"
	"rt_syscall_entry:\n"
	"	movq 8(%rsp), %r9\n"
	"	cmpq $157, %rax\n" /* prctl */
	"	je 1f\n"
	"	cmpq $317, %rax\n" /* seccomp */
	"	je 1f\n"
	"	syscall\n"
	"	jmp *rt_syscall_resume(%rip)\n"
	"1:\n" CLOCK_CALL "	jmp *rt_syscall_resume(%rip)\n"
	".popsection\n");

static void forget_who_runs(struct rt_thread *t)
{
	rt_thread_forget_regions(t);
	compiler_barrier();
	t->tid = 0;
}

void rt_vfork_after(long result)
{
	struct rt_thread *t = rt_self;
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);

	if (!t)
		return;
	if (result != 0) {
		if (t->clock != RT_CLOCK_TSC) /* the child's, perhaps */
			rt_clock_ask(t);
		if (t->active && t->active < sp) { /* the child died inside fire() */
			t->active = 0;
			t->busy = 0;
		}
		forget_who_runs(t);
		return;
	}
	if (t->rseq && SYS(rseq, t->rseq, RSEQ_AREA_BYTES, 0, RT_RSEQ_SIGNATURE) < 0)
		rt_thread_forget_regions(t); /* its events count as foreign */
	else
		forget_who_runs(t);
}

void rt_unshare_before(uint64_t flags)
{
	if (flags & (CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM))
		(void)rt_control_stop();
}

void rt_setns_before(void)
{
	(void)rt_control_stop();
}

void rt_unshare_after(void)
{
	if (!load_acquire(&rt.stop))
		return;
	store_release(&rt.stop, 0); /* pairs with the loop in control.c */
	(void)rt_control_start(); /* without it the program records on, but takes no orders */
}

/* ---- putting them in place ---- */

static struct hook {
	const uint8_t *entry;
	uintptr_t *resume;
	uint8_t mov[CODE_BYTES]; /* what is replaced */
	uint8_t on;
	uint8_t tried; /* cannot be hooked: do not try each time */
} hooks[RT_HOOKS] = {
	[RT_HOOK_VFORK] = {rt_vfork_entry, &rt_vfork_resume, {0xb8, 58}, 0, 0},
	[RT_HOOK_UNSHARE] = {rt_unshare_entry, &rt_unshare_resume, {0xb8, 272 & 255, 1}, 0, 0},
	[RT_HOOK_SETNS] = {rt_setns_entry, &rt_setns_resume, {0xb8, 308 & 255, 1}, 0, 0},
	[RT_HOOK_PRCTL] = {rt_prctl_entry, &rt_prctl_resume, {0xb8, 157}, 0, 0},
	[RT_HOOK_SYSCALL] = {rt_syscall_entry, &rt_syscall_resume, {0x4c, 0x8b, 0x4c, 0x24, 8}, 0,
		0},
};

/* Address of the mov before the syscall, or 0. */
static uintptr_t find_call(uintptr_t at, const uint8_t mov[CODE_BYTES])
{
	static const uint8_t syscall_code[2] = {0x0f, 0x05};

	for (uintptr_t p = at; at && p < at + SCAN_BYTES && *(const uint8_t *)p != RET; p++)
		if (rt_equal((const void *)p, mov, CODE_BYTES) &&
			rt_equal((const void *)(p + CODE_BYTES), syscall_code, 2))
			return p;
	return 0;
}

/* The change that switches h; false: there is none. */
static bool hook_change(struct hook *h, bool on, struct rt_code *c)
{
	uintptr_t at =
		h->on ? *h->resume - CODE_BYTES - 2 : find_call(rt.hook_at[h - hooks], h->mov);
	int64_t distance = (int64_t)((uintptr_t)h->entry - (at + CODE_BYTES));
	int32_t rel = (int32_t)distance;
	uint8_t jump[CODE_BYTES] = {0xe9};

	h->tried = 1;
	if (!at || distance != rel)
		return false;
	rt_copy(jump + 1, &rel, 4);
	if (on)
		*h->resume = at + CODE_BYTES + 2;
	c->at = at;
	rt_copy(c->from, on ? h->mov : jump, CODE_BYTES);
	rt_copy(c->to, on ? jump : h->mov, CODE_BYTES);
	return true;
}

void rt_hooks_set(bool on)
{
	struct rt_code change[RT_HOOKS];
	struct hook *changed[RT_HOOKS];
	uint32_t n = 0;

	for (struct hook *h = hooks; h < hooks + RT_HOOKS; h++) {
		if (h->on == on || h->tried || !hook_change(h, on, &change[n]))
			continue;
		changed[n++] = h;
	}
	rt_patch_codes(change, n);
	for (uint32_t i = 0; i < n; i++) {
		if (change[i].err)
			continue;
		changed[i]->on = on;
		changed[i]->tried = 0;
	}
}

#else

void rt_hooks_set(bool on)
{
	(void)on;
}

#endif
