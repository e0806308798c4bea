/* Names as LTTng's kernel tracer has them, for programs that know kernel traces by these: Trace Compass. Values
 * stay what the kernel gave. */
#include "kernel/kctf-impl.h"
#include <stdio.h>
#include <string.h>

/* "SYSTEM:NAME", where LTTng's name is not the kernel's. */
static const struct {
	const char *system, *name, *lttng;
} events[] = {
	{"raw_syscalls", "sys_enter", "syscall_entry_unknown"},
	{"raw_syscalls", "sys_exit", "syscall_exit_unknown"},
	{"irq", "softirq_entry", "irq_softirq_entry"},
	{"irq", "softirq_exit", "irq_softirq_exit"},
	{"irq", "softirq_raise", "irq_softirq_raise"},
	{"power", "cpu_frequency", "power_cpu_frequency"},
	{"power", "cpu_idle", "power_cpu_idle"},
	{"kmem", "kmalloc", "kmem_kmalloc"},
	{"kmem", "kfree", "kmem_kfree"},
	{"kmem", "mm_page_alloc", "kmem_mm_page_alloc"},
	{"kmem", "mm_page_free", "kmem_mm_page_free"},
	{"timer", "hrtimer_init", "timer_hrtimer_init"},
	{"timer", "hrtimer_start", "timer_hrtimer_start"},
	{"timer", "hrtimer_cancel", "timer_hrtimer_cancel"},
	{"timer", "hrtimer_expire_entry", "timer_hrtimer_expire_entry"},
	{"timer", "hrtimer_expire_exit", "timer_hrtimer_expire_exit"},
	{"exceptions", "page_fault_user", "x86_exceptions_page_fault_user"},
	{"exceptions", "page_fault_kernel", "x86_exceptions_page_fault_kernel"},
};

/* In the events of the scheduler a "pid" of the kernel's is what everybody else calls a thread. */
static const struct {
	const char *name, *lttng;
} fields[] = {{"pid", "tid"}, {"prev_pid", "prev_tid"}, {"next_pid", "next_tid"},
	{"parent_pid", "parent_tid"}, {"child_pid", "child_tid"}, {"old_pid", "old_tid"}};

void klttng_event(const struct kformat *f, char *buf, size_t size)
{
	const char *name = f->name;

	if (strcmp(f->system, "syscalls") == 0 && strncmp(name, "sys_enter_", 10) == 0) {
		(void)snprintf(buf, size, "syscall_entry_%s", name + 10); /* cut: still a name */
		return;
	}
	if (strcmp(f->system, "syscalls") == 0 && strncmp(name, "sys_exit_", 9) == 0) {
		(void)snprintf(buf, size, "syscall_exit_%s", name + 9);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (strcmp(events[i].system, f->system) == 0 && strcmp(events[i].name, name) == 0)
			name = events[i].lttng;
	(void)snprintf(buf, size, "%s", name);
}

const char *klttng_field(const struct kformat *f, const char *name)
{
	for (size_t i = 0; strcmp(f->system, "sched") == 0 && i < ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return fields[i].lttng;
	return name;
}
