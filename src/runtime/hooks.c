/* Three libc functions that need our help while we record: vfork, unshare, setns.
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
 * How: all three begin `mov $NUMBER, %eax; syscall`. The mov is one instruction of 5 bytes, like a
 * site's NOP, and becomes a jump the same way (patch.c): to code here that does the call and goes
 * on behind it. Functions that look otherwise are left alone: then a vfork child's events are
 * counted as foreign where its stack tells, and unshare may fail. x86-64 only.
 */
#include "runtime/runtime-impl.h"
#include <linux/sched.h>

#define RSEQ_AREA_BYTES 32
#define SCAN_BYTES 16
#define CODE_BYTES 5
#define STOP_TRIES 2000 /* of 100 us */

#if defined(__x86_64__)

/* Where the hooked functions go on: behind their system call. Set before the jump is there. */
RT_HIDDEN uintptr_t rt_vfork_resume, rt_unshare_resume, rt_setns_resume;
RT_HIDDEN extern const uint8_t rt_vfork_entry[], rt_unshare_entry[], rt_setns_entry[];
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

/* Ends the control thread, if it is of this process and not of a vfork child's parent. */
static void stop_control(void)
{
	int32_t pid = (int32_t)SYS(getpid), tid = load_acquire(&rt.control_tid);
	int64_t nap[2] = {0, 100000};

	if (!tid || rt_thread_is_dead(pid, tid))
		return;
	store_release(&rt.stop, 1); /* pairs with the loop in control.c */
	for (int i = 0; i < STOP_TRIES && !rt_thread_is_dead(pid, tid); i++) {
		rt_control_wake();
		(void)SYS(nanosleep, nap, 0); /* shorter does no harm */
	}
}

void rt_unshare_before(uint64_t flags)
{
	if (flags & (CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM))
		stop_control();
}

void rt_setns_before(void)
{
	stop_control();
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
	uint8_t number; /* low byte of the system call's */
	uint8_t number_high;
	uint8_t on;
	uint8_t tried; /* cannot be hooked: do not try each time */
} hooks[RT_HOOKS] = {
	[RT_HOOK_VFORK] = {rt_vfork_entry, &rt_vfork_resume, 58, 0, 0, 0},
	[RT_HOOK_UNSHARE] = {rt_unshare_entry, &rt_unshare_resume, 272 & 255, 1, 0, 0},
	[RT_HOOK_SETNS] = {rt_setns_entry, &rt_setns_resume, 308 & 255, 1, 0, 0},
};

/* Address of the mov before the syscall, or 0. */
static uintptr_t find_call(uintptr_t at, const uint8_t mov[CODE_BYTES])
{
	static const uint8_t syscall_code[2] = {0x0f, 0x05};

	for (uintptr_t p = at; at && p < at + SCAN_BYTES; p++)
		if (rt_equal((const void *)p, mov, CODE_BYTES) &&
			rt_equal((const void *)(p + CODE_BYTES), syscall_code, 2))
			return p;
	return 0;
}

static void hook_set(struct hook *h, bool on)
{
	uint8_t mov[CODE_BYTES] = {0xb8, h->number, h->number_high, 0, 0}, jump[CODE_BYTES];
	uintptr_t at = h->on ? *h->resume - CODE_BYTES - 2 : find_call(rt.hook_at[h - hooks], mov);
	int64_t distance = (int64_t)((uintptr_t)h->entry - (at + CODE_BYTES));
	int32_t rel = (int32_t)distance;

	h->tried = 1;
	if (!at || distance != rel)
		return;
	jump[0] = 0xe9;
	rt_copy(jump + 1, &rel, 4);
	if (on)
		*h->resume = at + CODE_BYTES + 2;
	if (rt_patch_code(at, on ? mov : jump, on ? jump : mov, CODE_BYTES) == 0) {
		h->on = on;
		h->tried = 0;
	}
}

void rt_hooks_set(bool on)
{
	for (struct hook *h = hooks; h < hooks + RT_HOOKS; h++)
		if (h->on != on && !h->tried)
			hook_set(h, on);
}

#else

void rt_hooks_set(bool on)
{
	(void)on;
}

#endif
