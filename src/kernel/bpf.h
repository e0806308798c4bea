/* Probes by BPF: the texts of dynevent.h, recorded by programs that are generated here and loaded with
 * bpf(2), where tracefs has no such probes or where it is asked for. No compiler takes part.
 *
 *	tprobe			a tracepoint with types (BTF), else a raw one
 *	kprobe, fprobe		fentry of the function (kernels that let BPF trace functions)
 *	kretprobe, %return	fexit
 *	uprobe			uprobe_multi (6.6 and later), else a uprobe of perf_event_open(2)
 *
 * A record is, byte by byte, what tracefs would have for the same definition, and kbpf_add() gives
 * the `format` text that tracefs would show: whoever converts and prints the kernel's records does these.
 *
 *	u16	id, as kbpf_add() was told		u8	flags: 0
 *	u8	preemption count: 0			s32	thread
 *	u64	address (returns: function, then u64 return address; 0 where nobody can tell)
 *	...	the fields as tracefs lays them out; texts behind them, found by __data_loc
 *
 * Stacks are beside the record that they belong to (struct kbpf_record), taken in the same moment: the kernel's from
 * the function that is traced (of a uprobe none: the kernel did nothing yet), the program's as far as frame pointers
 * lead, 127 frames at most.
 *
 * Transport: one BPF ring buffer a CPU, mapped. The place of a record is taken before the clock is
 * read, so records that interrupt each other are published together, and sorting what a read finds
 * gives each CPU's order of time. What finds no room is counted, by CPU. The time is
 * CLOCK_MONOTONIC, the one clock that all BPF programs have.
 *
 * Limits are by process: a table of them, a bit each, that two programs of ours keep (fork adds a child of
 * one that is there, the end of a process takes it away). Of sched_switch, sched_wakeup, sched_wakeup_new and
 * sched_waking the other task counts, too, as tracefs has it.
 *
 * Nothing is pinned: programs, links, maps and rings end with the file descriptors, whatever ends
 * the process that holds them. Not thread-safe.
 */
#ifndef CAIRN_KERNEL_BPF_H
#define CAIRN_KERNEL_BPF_H

#include "base/base.h"
#include "kernel/dynevent.h"

/* By what a probe is made. */
enum kprobe_with {
	KPROBE_WITH_AUTO, /* tracefs where it has such probes, else BPF */
	KPROBE_WITH_TRACEFS,
	KPROBE_WITH_BPF,
};

/* dynevent_parse() for the one or the other: *ret_bpf says for which the event is. */
int kprobe_parse(struct dynevent_world *w, enum dynevent_kind kind, enum kprobe_with with,
	const char *group, const char *text, struct dynevent *ret, bool *ret_bpf,
	struct dynevent_fault *fault);

/* Can BPF make this probe, as far as the text says and BPF may trace functions here? 0, or an error with
 * the reason. */
int kbpf_check(struct dynevent_world *w, const struct dynevent *d, struct error *e);

struct kbpf; /* the programs and rings of one session */

struct kbpf_config {
	uint32_t
		ncpus; /* CPUs 0 to ncpus - 1; others' records are lost, and counted as the first one's */
	uint64_t ring_bytes; /* of each CPU; rounded up to a power of two */
	bool limited; /* to processes that kbpf_limit() names, and their children */
	bool no_multi; /* uprobes one by one, as kernels before 6.6 have them */
	bool no_types; /* tracepoints without their types, for tests */
	unsigned stacks; /* KBPF_STACK_* */
};
#define KBPF_STACK_KERNEL 1u
#define KBPF_STACK_USER 2u
#define KBPF_FRAMES_MAX 127u

/* Makes the rings. 0; -EPERM: not allowed; -EOPNOTSUPP: this kernel has no such BPF. */
int kbpf_new(const struct kbpf_config *config, struct kbpf **ret, struct error *e);
void kbpf_free(struct kbpf *k);

/* Makes and loads the program of a probe; its records have this id. *format gets the text that tracefs
 * would show as the event's format. -EINVAL: BPF cannot do this probe; what refuses, and the last words of the
 * kernel's verifier, are in e. */
int kbpf_add(struct kbpf *k, struct dynevent_world *w, const struct dynevent *d, uint16_t id,
	struct buf *format, struct error *e);
/* From now on all record that were not switched off; or none does. */
int kbpf_start(struct kbpf *k, struct error *e);
/* One, by its id. Those switched off before kbpf_start() stay so. */
int kbpf_switch(struct kbpf *k, uint16_t id, bool on, struct error *e);
void kbpf_remove(struct kbpf *k, uint16_t id); /* if there is such a one */
/* A process whose events are wanted; after kbpf_start() its children are followed. */
void kbpf_limit(struct kbpf *k, pid_t pid);
void kbpf_stop(struct kbpf *k);

struct kbpf_stack {
	const uint8_t *frames; /* u64s, the innermost first */
	uint32_t n; /* 0: none was asked for, or there is none */
};
struct kbpf_record {
	uint64_t t_ns; /* CLOCK_MONOTONIC */
	const uint8_t *data;
	uint32_t len;
	uint32_t process; /* of the stacks */
	struct kbpf_stack kernel, user;
};
/* Gives what the CPU's ring has, in the order of time, to fn, whose error ends it: what was not given is
 * lost. The number of records, or the error. */
typedef int kbpf_record_fn(void *arg, const struct kbpf_record *r);
int kbpf_read(struct kbpf *k, uint32_t cpu, kbpf_record_fn *fn, void *arg);
/* To be polled: readable when a quarter of the ring is full, at the latest. Borrowed. */
int kbpf_fd(const struct kbpf *k, uint32_t cpu);
/* Is so much in any of them? */
bool kbpf_is_full(const struct kbpf *k);
/* Records that found no room so far. */
uint64_t kbpf_lost(const struct kbpf *k, uint32_t cpu);
/* Hits that a program missed because it ran already on that CPU. */
uint64_t kbpf_missed(const struct kbpf *k);

#endif
