/* What kernels may have of tracing. See facts.h.
 *
 * A sign begins with what kind of sign it is:
 *	tracer		the name is a word of available_tracers
 *	file PATH	tracefs has the file
 *	readme TEXT	the kernel's README has the text
 *	symbol NAME TEXT	so it has, but only with this function it is true (where kallsyms tells)
 *	path PATH	the file is there, anywhere
 */
#include "kernel/facts.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct kfact kfacts[] = {
	{KFACT_TRACER, "function", "CONFIG_FUNCTION_TRACER", "each call of kernel functions",
		"tracer"},
	{KFACT_TRACER, "function_graph", "CONFIG_FUNCTION_GRAPH_TRACER",
		"calls and returns, with durations", "tracer"},
	{KFACT_TRACER, "irqsoff", "CONFIG_IRQSOFF_TRACER", "longest time with interrupts off",
		"tracer"},
	{KFACT_TRACER, "preemptoff", "CONFIG_PREEMPT_TRACER", "longest time without preemption",
		"tracer"},
	{KFACT_TRACER, "preemptirqsoff", "CONFIG_IRQSOFF_TRACER and CONFIG_PREEMPT_TRACER",
		"longest time with either off", "tracer"},
	{KFACT_TRACER, "wakeup", "CONFIG_SCHED_TRACER", "longest time from wakeup to running",
		"tracer"},
	{KFACT_TRACER, "wakeup_rt", "CONFIG_SCHED_TRACER", "the same of real-time tasks", "tracer"},
	{KFACT_TRACER, "wakeup_dl", "CONFIG_SCHED_TRACER", "the same of deadline tasks", "tracer"},
	{KFACT_TRACER, "hwlat", "CONFIG_HWLAT_TRACER", "gaps that hardware or firmware makes",
		"tracer"},
	{KFACT_TRACER, "osnoise", "CONFIG_OSNOISE_TRACER", "what takes time from a thread",
		"tracer"},
	{KFACT_TRACER, "timerlat", "CONFIG_TIMERLAT_TRACER", "latency of timers and wakeups",
		"tracer"},
	{KFACT_TRACER, "mmiotrace", "CONFIG_MMIOTRACE", "drivers' accesses to devices", "tracer"},
	{KFACT_TRACER, "blk", "CONFIG_BLK_DEV_IO_TRACE", "requests to block devices", "tracer"},

	{KFACT_PROBE, "kprobe", "CONFIG_KPROBE_EVENTS", "anywhere in the kernel",
		"file kprobe_events"},
	{KFACT_PROBE, "uprobe", "CONFIG_UPROBE_EVENTS", "anywhere in programs",
		"file uprobe_events"},
	{KFACT_PROBE, "fprobe", "CONFIG_FPROBE_EVENTS", "entry and exit of kernel functions",
		"readme f[:[<group>/][<event>]] <func-name>"},
	{KFACT_PROBE, "tprobe", "CONFIG_FPROBE_EVENTS", "kernel tracepoints without event",
		"readme t[:[<group>/][<event>]] <tracepoint>"},
	{KFACT_PROBE, "eprobe", "CONFIG_EPROBE_EVENTS", "fields of other events",
		"symbol eprobe_dyn_event_create e[:[<group>/][<event>]]"},
	{KFACT_PROBE, "synthetic", "CONFIG_SYNTH_EVENTS", "events made of two others",
		"file synthetic_events"},
	{KFACT_PROBE, "user_events", "CONFIG_USER_EVENTS", "events that programs register",
		"file user_events_data"},

	{KFACT_OTHER, "BTF", "CONFIG_DEBUG_INFO_BTF", "names and types of the kernel's own",
		"path /sys/kernel/btf/vmlinux"},
	{KFACT_OTHER, "arguments by name", "CONFIG_PROBE_EVENTS_BTF_ARGS",
		"the kernel itself resolves names in probes",
		"readme <argname>[->field[->field|.field...]]"},
	{KFACT_OTHER, "system calls", "CONFIG_FTRACE_SYSCALLS", "an event for each system call",
		"file events/syscalls"},
	{KFACT_OTHER, "snapshot", "CONFIG_TRACER_SNAPSHOT", "a spare buffer, swapped in at once",
		"file snapshot"},
	{KFACT_OTHER, "histograms", "CONFIG_HIST_TRIGGERS", "tables counted in the kernel",
		"readme hist trigger"},
	{KFACT_OTHER, "return values", "CONFIG_FUNCTION_GRAPH_RETVAL", "of function_graph",
		"file options/funcgraph-retval"},
	{KFACT_OTHER, "function arguments", "CONFIG_FUNCTION_TRACE_ARGS", "of the tracer function",
		"file options/func-args"},
	{KFACT_OTHER, "graph arguments", "CONFIG_FUNCTION_TRACE_ARGS", "of function_graph",
		"file options/funcgraph-args"},
	{KFACT_OTHER, "function profile", "CONFIG_FUNCTION_PROFILER", "counts and times of each",
		"file function_profile_enabled"},
	{KFACT_OTHER, "stack depth", "CONFIG_STACK_TRACER", "the deepest kernel stack",
		"file stack_trace"},
	{KFACT_OTHER, "runtime verification", "CONFIG_RV", "monitors in the kernel", "file rv"},
	{KFACT_OTHER, "boot configuration", "CONFIG_BOOT_CONFIG", "tracing from boot, in a file",
		"path /proc/bootconfig"},
	{KFACT_OTHER, "injection", "CONFIG_TRACE_EVENT_INJECT", "events by hand, for tests",
		"file events/sched/sched_switch/inject"},
	{0},
};

int kernel_signs_init(struct kernel_signs *s, struct tracefs *top, struct error *e)
{
	*s = (struct kernel_signs){.top = top};
	(void)tracefs_read(top, "README", &s->readme, NULL); /* a fake may have none */
	return tracefs_read(top, "available_tracers", &s->tracers, e);
}

void kernel_signs_done(struct kernel_signs *s)
{
	buf_done(&s->tracers);
	buf_done(&s->readme);
}

void auto_kernel_signs(struct kernel_signs *s)
{
	kernel_signs_done(s);
}

bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);

	while (text && *text) {
		size_t len;

		text += strspn(text, " \t\n");
		len = strcspn(text, " \t\n");
		if (len == n && n && memcmp(text, word, n) == 0)
			return true;
		text += len;
	}
	return false;
}

bool kernel_has_tracer(const struct kernel_signs *s, const char *tracer)
{
	return has_word(s->tracers.data, tracer);
}

static bool readme_has(const struct kernel_signs *s, const char *text)
{
	return s->readme.data && strstr(s->readme.data, text);
}

/* False only if kallsyms has others, but not this one. */
static bool may_have_function(const char *name, size_t len)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512];
	bool any = false, found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *at = strrchr(line, ' ');

		any = true;
		found = at && strncmp(at + 1, name, len) == 0 && strchr("\n\t", at[1 + len]);
	}
	if (f)
		(void)fclose(f); /* was only read */
	return found || !any;
}

bool kernel_has(const struct kernel_signs *s, const struct kfact *f)
{
	const char *arg = strchr(f->sign, ' ');

	arg = arg ? arg + 1 : "";
	switch (f->sign[0]) {
	case 't': return kernel_has_tracer(s, f->name);
	case 'f': return tracefs_has(s->top, arg);
	case 'r': return readme_has(s, arg);
	case 's': {
		size_t len = strcspn(arg, " ");

		return arg[len] && readme_has(s, arg + len + 1) && may_have_function(arg, len);
	}
	default: return access(arg, F_OK) == 0;
	}
}

const struct kfact *kfact_find(enum kfact_kind kind, const char *name)
{
	for (const struct kfact *f = kfacts; f->name; f++)
		if (f->kind == kind && strcmp(f->name, name) == 0)
			return f;
	return NULL;
}
