/* Records of a running tracer, read as the kernel has them and given in order of time.
 *
 * Pages come from per_cpu/cpuN/trace_pipe_raw (kernel/page.h); what their records hold is said by the
 * formats of the system "ftrace" (tracers' own entries) and of the events that are on. Reading never
 * waits. Not thread-safe.
 */
#ifndef CAIRN_KERNEL_RAWREAD_H
#define CAIRN_KERNEL_RAWREAD_H

#include "kernel/format.h"
#include "kernel/tracefs.h"

struct kraw;

struct kraw_event {
	const struct kformat *format;
	uint64_t ts; /* of the trace clock */
	const uint8_t *data;
	uint32_t len, cpu;
};
/* A result other than 0 ends the reading, and is its result. */
typedef int (*kraw_each)(const struct kraw_event *ev, void *data);

/* events: patterns of what is on beside the tracer. 0 or -errno. dir is borrowed. */
int kraw_open(struct tracefs *dir, const char *const *events, size_t nevents, struct kraw **ret,
	struct error *e);
void kraw_close(struct kraw *r); /* takes NULL */
void auto_kraw(struct kraw **r);

/* Reads what all CPUs have, and gives those records that are older than `until`; the others wait for the
 * next call. Since a CPU may be late by what happens between its clock and its record, `until` should
 * be the clock's time before the call. 0, what `each` gave, or -errno. */
int kraw_read(struct kraw *r, uint64_t until, kraw_each each, void *data, struct error *e);
uint64_t kraw_lost(const struct kraw *r); /* records that the kernel dropped; at least */

#endif
