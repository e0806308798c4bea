/* One of the kernel's tracers at work: set up, switched on, and taken down again.
 *
 * It runs in an instance of our own where the kernel allows that tracer there, else in the top
 * directory if nobody uses that (no tracer and no event is on); what is changed in the top directory is
 * put back at the end, and after our death by whoever comes next (kernel/restore.h).
 *
 * Not thread-safe.
 */
#ifndef CAIRN_KERNEL_TRACER_H
#define CAIRN_KERNEL_TRACER_H

#include "kernel/tracefs.h"

/* A line for a file: what is written, or, of a setting, the value for a while. */
struct tracer_line {
	const char *file, *text; /* borrowed */
};

struct tracer_setup {
	const char *tracer; /* a word of available_tracers */
	const char *feature; /* that it needs, by its name among KFACT_OTHER (facts.h), or NULL */
	bool latency; /* it keeps the longest section: irqsoff, wakeup... */
	const char *clock; /* "mono"; latency tracers find their own entries with "local" only */
	const struct tracer_line *lists; /* appended one by one: set_ftrace_filter, triggers... */
	size_t nlists;
	const struct tracer_line *settings; /* exist once in the kernel: osnoise/period_us... */
	size_t nsettings;
	const struct tracer_line *options; /* names of options; text "0" or "1" */
	size_t noptions;
	const char *const *events; /* patterns, as of tracefs_events(); they come beside it */
	size_t nevents;
	uint64_t buffer_bytes; /* of each CPU; 0: the kernel's default */
};

struct tracer;

/* Sets all of it up, with tracing off. 0; -ENOENT: the kernel has no such tracer, or no function or
 * event of that name; -EBUSY: the top directory is needed and used by others; -errno. top is borrowed,
 * and should have been swept before. */
int tracer_open(struct tracefs *top, const struct tracer_setup *setup, struct tracer **ret,
	struct error *e);
/* Takes all of it down and frees t; the first thing that failed is in e, the rest is done all the same.
 * Takes NULL. */
int tracer_close(struct tracer *t, struct error *e);
void auto_tracer(struct tracer **t); /* says nothing of failures */

struct tracefs *tracer_dir(struct tracer *t); /* where its files are; borrowed */
bool tracer_at_top(const struct tracer *t);
/* Only these tasks and their children: functions and events. 0 or -errno. */
int tracer_pids(struct tracer *t, const int32_t *pids, size_t n, struct error *e);
int tracer_on(struct tracer *t, bool on, struct error *e);
/* False once tracing was switched off by the kernel: a threshold was reached. */
bool tracer_is_on(struct tracer *t);
/* Entries that were overwritten or dropped in all CPUs' buffers so far. */
uint64_t tracer_lost(struct tracer *t);

/* Removes everything that dead Cairns left in tracefs: their instances, their probes, their settings in
 * the top directory. 0, or the first error; the rest is done all the same. */
struct kernel_swept {
	int instances, probes, settings;
};
int kernel_sweep(struct tracefs *top, struct kernel_swept *ret, struct error *e);

#endif
