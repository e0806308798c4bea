/* What the files of `cairn kernel` share: one trace of one kernel tracer, and how its records show. */
#ifndef CAIRN_CLI_KERNEL_H
#define CAIRN_CLI_KERNEL_H

#include "cli/cli.h"
#include "kernel/rawread.h"
#include "kernel/tracer.h"
#include "symbol/symbol.h"
#include "view/out.h"

/* verbs */
extern const struct command command_kernel_check, command_kernel_list, command_kernel_trace;

/* Opens tracefs, and sweeps what dead ones left. 0, or the exit code once the error is said. */
int kernel_open(const struct command *c, struct tracefs **ret);

/* ---- cairn kernel trace ---- */

enum {
	KIND_TASKS = 1, /* follows tasks: only the command's, unless --all */
	KIND_LATENCY = 2, /* one longest section, told at the end */
	KIND_FIELDS = 4, /* its records have fields: --json */
	KIND_SUMMARY = 8, /* a table sums it up */
	KIND_SNAPSHOT = 16, /* the spare buffer, told at the end */
};

struct ktracer {
	const char *name; /* what users call it */
	const char *tracer; /* the kernel's word */
	unsigned kind;
	/* the settings that options are for; NULL: it has none of that kind */
	const char *period, *runtime, *stop, *stop_total;
	bool own_cpus; /* CPUs are a setting of osnoise's, not of the instance */
	const char *args, *retval; /* options of the tracer */
};

struct ktrace {
	const struct command *c;
	const struct ktracer *what;
	char **argv; /* the command; NULL: none */
	struct strings events;
	const char *output; /* a file; NULL: standard output */
	const char *cpus, *when;
	int32_t pids[64];
	size_t npids;
	bool all, json, summary, graph, args, retval;
	const char *graph_option; /* given, and only function_graph's */
	uint64_t duration_ns; /* 0: until the command ends, or Ctrl-C */
	uint64_t buffer_bytes;
	struct tracer_line lists[64], settings[16], options[8];
	size_t nlists, nsettings, noptions;
	struct arena arena; /* of texts that are made */
};

/* Runs it: prints what it finds. An exit code. */
int ktrace_run(struct ktrace *k);

/* ---- records with fields (kernel-show.c) ---- */

/* One record as a line of JSON; syms: tracers' addresses of functions get names; may be NULL. */
void kernel_json(struct out *o, const struct kraw_event *ev, const struct kallsyms *syms);

struct ksummary; /* of osnoise, timerlat or hwlat */
struct ksummary *ksummary_new(const struct ktracer *what); /* NULL without memory */
void ksummary_free(struct ksummary *s); /* takes NULL */
int ksummary_add(struct ksummary *s, const struct kraw_event *ev); /* 0 or -ENOMEM */
void ksummary_print(const struct ksummary *s, struct out *o, bool json);

#endif
