/* Tracing from boot on: what the kernel is to record before there is a user space, written for it in
 * one of two forms, and texts in these forms checked.
 *
 *   bootconfig      a tree of keys below "ftrace" (and "kernel" for parameters) in the initrd; read at
 *                   core_initcall_sync (Documentation/trace/boottime-trace.rst)
 *   command line    parameters (Documentation/admin-guide/kernel-parameters.txt); read earlier,
 *                   and by kernels without CONFIG_BOOT_CONFIG, but says less
 *
 * Neither form says all; what one cannot say is an error that names the other.
 */
#ifndef CAIRN_KERNEL_BOOT_H
#define CAIRN_KERNEL_BOOT_H

#include "base/base.h"
#include "kernel/bootconfig.h"

/* ---- a session from boot on ---- */

struct boot_list { /* of texts; borrowed */
	const char **items; /* owned */
	size_t len, cap;
};

struct boot_event {
	const char *pattern; /* "sched:sched_switch", "irq:*", "initcall" (a system, or an event) */
	const char *filter; /* NULL: none */
};

struct boot_trigger {
	const char *system, *event;
	const char *text; /* "stacktrace if prio < 5" */
};

struct boot_probe {
	const char *event; /* its name; the group is kprobes */
	const char *group; /* NULL: kprobes */
	const char *place; /* [MODULE:]FUNCTION[+OFFSET], without %return */
	const char *args; /* fetch arguments, separated by spaces; may be "" */
	unsigned maxactive; /* of a return probe; 0: the kernel's choice */
	bool is_return;
};

struct boot_synth {
	const char *event;
	struct boot_list fields; /* "u64 lat" */
};

enum boot_switch { BOOT_DEFAULT, BOOT_OFF, BOOT_ON };
enum boot_dump { BOOT_DUMP_NONE, BOOT_DUMP_ALL, BOOT_DUMP_CPU };

struct boot_instance {
	const char *name; /* NULL: the top one */
	const char *tracer, *clock; /* NULL: the kernel's */
	const char *cpumask; /* as in the file tracing_cpumask; NULL: all */
	uint64_t buffer_bytes; /* of each CPU; 0: the kernel's */
	uint64_t graph_depth; /* 0: no limit; top only */
	enum boot_switch tracing;
	enum boot_dump dump; /* of its buffer on an oops */
	bool snapshot; /* room for one */
	bool boot_snapshot; /* taken at the end of boot */
	struct boot_list options, functions, not_functions, graph, not_graph;
	struct boot_event *events; /* owned */
	size_t nevents, cap_events;
	struct boot_trigger *triggers; /* owned */
	size_t ntriggers, cap_triggers;
	struct boot_probe *probes; /* owned; recorded in this instance */
	size_t nprobes, cap_probes;
	struct boot_synth *synths; /* owned */
	size_t nsynths, cap_synths;
};

struct boot_session {
	struct boot_instance **instances; /* owned; the top one is the first */
	size_t len, cap;
	bool traceoff_on_warning, tp_printk;
	struct arena arena; /* for texts that are made, not borrowed */
};

int boot_session_init(struct boot_session *s); /* with the top instance; 0 or -ENOMEM */
void boot_session_done(struct boot_session *s);
void auto_boot_session(struct boot_session *s);
/* The instance of this name, made if need be; NULL without memory. */
struct boot_instance *boot_session_instance(struct boot_session *s, const char *name);
int boot_list_add(struct boot_list *l, const char *text); /* 0 or -ENOMEM */

/* Appends the text of each form. 0; -EOPNOTSUPP: this form cannot say it, e->hint names one that can;
 * -EINVAL: none can; -E2BIG; -ENOMEM. */
int boot_session_config(const struct boot_session *s, struct buf *ret, struct error *e);
int boot_session_cmdline(const struct boot_session *s, struct buf *ret, struct error *e);

/* One probe from its definition for the kernel, "p:GROUP/EVENT PLACE ARGS", or by names, "PLACE ARGS"
 * (`is_return`: a return probe); texts of ret are in the arena. An event without a name gets one: the
 * kernel's own, or of its function. Only the shape is checked. 0; -EINVAL, *fault; -ENOMEM. */
int boot_probe_parse(struct arena *arena, const char *text, bool is_return, struct boot_probe *ret,
	struct text_fault *fault);

/* ---- command lines, taken apart ---- */

struct boot_param {
	size_t at, len; /* the whole word in the text, quotes too */
	size_t value_at; /* where its value begins */
	const char *name, *value; /* in the arena; value NULL: none */
};

struct boot_params {
	struct boot_param *items; /* owned */
	size_t len, cap;
	struct arena arena;
};

/* Words as the kernel takes them: separated by spaces outside of double quotes; up to "--". 0; -EINVAL:
 * an open quote, *fault; -ENOMEM. *ret needs boot_params_done() in any case. */
int boot_params_parse(
	const char *text, size_t len, struct boot_params *ret, struct text_fault *fault);
void boot_params_done(struct boot_params *p);
void auto_boot_params(struct boot_params *p);

#endif
