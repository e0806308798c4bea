/* Options that say what of the kernel is recorded: for `record` and for `session create`, `enable`. */
#ifndef CAIRN_CLI_RECORDING_KERNEL_H
#define CAIRN_CLI_RECORDING_KERNEL_H

#include "cli/recording.h"

enum recording_kernel_option {
	OPT_KERNEL = 'k',
	OPT_KERNEL_FILTER = 1100,
	OPT_KERNEL_BUFFER,
	OPT_KERNEL_NAMES,
	OPT_KERNEL_STACK,
	OPT_KPROBE, /* the rest in the order of probe_kinds */
	OPT_KRETPROBE,
	OPT_FPROBE,
	OPT_TPROBE,
	OPT_EPROBE,
	OPT_UPROBE,
	OPT_PROBE_WITH,
};

/* Rows for option tables. */
#define ROW_KERNEL \
	{ \
		OPT_KERNEL, 'k', "kernel", "EVENT", \
			"also record kernel events: 'sched:*', or\n'sched:sched_switch if prev_pid==1'; repeatable" \
	}
#define ROW_KERNEL_FILTER \
	{ \
		OPT_KERNEL_FILTER, 0, "kernel-filter", "TEXT", \
			"'EVENT: FILTER': the kernel keeps of EVENT what\npasses FILTER" \
	}
#define ROWS_KERNEL_HOW \
	{OPT_KERNEL_BUFFER, 0, "kernel-buffer", "SIZE", \
		"of each CPU in the kernel; default 8M; auto:\nit grows when it is too small"}, \
		{OPT_KERNEL_NAMES, 0, "names", "WHOSE", \
			"call kernel events as the kernel does (kernel;\ndefault), or as LTTng does (lttng), for Trace\nCompass"}, \
	{ \
		OPT_KERNEL_STACK, 0, "stack", "WHAT", \
			"with each kernel event the stack that led to it:\nkernel, user or both" \
	}
#define ROWS_PROBES \
	{OPT_KPROBE, 0, "kprobe", "TEXT", \
		"make an event of a kernel function, by names:\n'ip_rcv_core skb dev=skb->dev->name';\nsee cairn-probes(7)"}, \
		{OPT_KRETPROBE, 0, "kretprobe", "TEXT", \
			"of its return: 'vfs_read $retval count'"}, \
		{OPT_FPROBE, 0, "fprobe", "TEXT", \
			"of a function by ftrace: 'vfs_read file->f_pos'"}, \
		{OPT_TPROBE, 0, "tprobe", "TEXT", "of a tracepoint: 'sched_switch prev->comm'"}, \
		{OPT_EPROBE, 0, "eprobe", "TEXT", \
			"of another event:\n'syscalls/sys_enter_openat file=$filename:ustring'"}, \
		{OPT_UPROBE, 0, "uprobe", "TEXT", \
			"of a user function:\n'/usr/lib/libc.so.6:malloc size=$arg1'"}, \
	{ \
		OPT_PROBE_WITH, 0, "probe-with", "WHAT", \
			"make these probes with tracefs, with bpf, or with\nwhat the kernel has for each (auto; default)" \
	}

struct recording_kernel {
	struct strings events, filters; /* -k, --kernel-filter */
	struct cairn_kernel_probe *probes; /* owned vector; texts are argv's */
	size_t nprobes, cprobes;
	const char *probe_with; /* argv's; NULL: auto */
	struct cairn_kernel_rule *rules; /* owned; made by recording_kernel_config() */
	size_t nrules;
	uint64_t buffer_bytes; /* 0: the default */
	bool adapts, lttng_names;
	unsigned stacks; /* CAIRN_STACK_* */
};

bool recording_kernel_is(int id); /* one of these options? */
/* Takes one: CLI_OK, or the exit code after saying why. */
int recording_kernel_option(
	struct recording_kernel *k, const struct command *c, int id, const char *value);
/* CLI_OK, or CLI_USAGE after saying what is wrong. */
int recording_kernel_check(const struct recording_kernel *k, const struct command *c);
bool recording_kernel_any(const struct recording_kernel *k);
/* The configuration, but for pids, all and flight_recorder. 0 or -ENOMEM. */
int recording_kernel_config(struct recording_kernel *k, struct cairn_kernel_config *ret);
/* If a session was refused because of a text of a probe or filter, says which and where, with a caret. */
bool recording_kernel_refused(const struct recording_kernel *k, const struct command *c);
void auto_recording_kernel(struct recording_kernel *k);

#endif
