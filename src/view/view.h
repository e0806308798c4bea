/* Events as text: one line an event, in one of the styles below.
 *
 *	VIEW_TRACE	  as the kernel's trace file:
 *			  "            bash-1234    [001]  5678.123456789: http:done: status=200 path=/x"
 *	VIEW_BABELTRACE	  as babeltrace2's text:
 *			  "[14:03:26.123456789] (+0.000001234) host http:done: { cpu_id = 1 }, { ... }"
 *	VIEW_JSON	  an object: time_ns, cpu, provider, event, tid, fields, and more
 *	VIEW_REPORT	  events of a trace.dat as trace-cmd report has them, others as VIEW_TRACE:
 *			  "            bash-1234  [001]  5678.123457: sched_waking:         comm=x ..."
 *
 * What comes from the trace is escaped: a line is a line, and a terminal is not driven by it.
 */
#ifndef CAIRN_VIEW_VIEW_H
#define CAIRN_VIEW_VIEW_H

#include "base/base.h"
#include "view/out.h"
#include <cairn/reader.h>

enum view_style { VIEW_TRACE = 0, VIEW_BABELTRACE = 1, VIEW_JSON = 2, VIEW_REPORT = 3 };

/* What VIEW_TRACE and VIEW_BABELTRACE show as time. */
enum view_time {
	VIEW_TIME_CLOCK = 0, /* seconds since the clock's zero: since boot */
	VIEW_TIME_UNIX = 1, /* seconds since 1970 */
	VIEW_TIME_START = 2, /* seconds since the first event of the trace */
	VIEW_TIME_DATE = 3, /* local time of day */
};

/* ---- values (value.c) ---- */

void value_text(struct out *o, const struct cairn_value *v);
void value_babeltrace(struct out *o, const struct cairn_value *v);
void value_json(struct out *o, const struct cairn_value *v);

/* ---- names of threads (threads.c): from contexts or the trace's state dump ---- */

#define THREAD_COMM 16
struct thread {
	int64_t tid, pid; /* pid -1: not known */
	char comm[THREAD_COMM + 1]; /* "": not known */
};
struct threads {
	struct map known; /* tid as int64_t -> struct thread, owned */
};
/* Whether events of this class say names of threads: cairn_state:process and :thread. */
bool threads_teaches(const struct cairn_event_class *cls);
/* Learns from such an event. True if something changed. */
bool threads_learn(struct threads *t, const struct cairn_event *ev);
const struct thread *threads_get(const struct threads *t, int64_t tid); /* NULL if not known */
/* The name of the event's thread: its context, else from the dump. False if not known. */
bool threads_comm(const struct threads *t, const struct cairn_event *ev, int64_t tid,
	char ret[THREAD_COMM + 1]);
/* The event's process: its context, else from the dump, else -1. */
int64_t threads_pid(const struct threads *t, const struct cairn_event *ev, int64_t tid);
void threads_done(struct threads *t);

/* ---- events (event.c) ---- */

struct view_class; /* what is worked out once for an event class */
struct view_kernel; /* and for a trace.dat */
struct stacks; /* stacks.h */

enum { VIEW_PREFIXES = 256 };
struct view_prefix { /* "comm-tid [cpu] ", made once for a thread on a CPU */
	const void *of; /* the trace.dat it is of, or NULL */
	int64_t tid;
	int32_t cpu;
	uint32_t len; /* 0: empty slot */
	char comm[THREAD_COMM + 1]; /* what it was made with; "" if not known */
	char text[160];
};

struct view {
	enum view_style style;
	enum view_time time;
	struct out *out; /* borrowed */
	struct view_kernel *kernels; /* owned: of each trace.dat (kernel-line.c) */
	struct view_kernel *holding; /* one of them that has begun a line; NULL */
	struct view_ctf_kernel
		*ctf_kernels; /* owned: of each kernel trace of ours (kernel-ctf.c) */
	struct view_class **classes; /* owned; by index of the class */
	size_t nclasses, classes_cap;
	struct threads threads;
	struct stacks *stacks; /* borrowed; frames are shown; NULL: stacks are like other events */
	struct view_prefix *prefixes; /* owned */
	int64_t start_ns, last_ns; /* first and previous event's time */
	bool started;
	int64_t second; /* what second_text stands for */
	uint32_t second_len;
	char second_text[40];
	int err; /* -ENOMEM once it ran out */
};

int view_init(struct view *v, struct out *out, enum view_style style, enum view_time time);
void view_done(struct view *v);
void auto_view(struct view *v);
/* Learns names of threads from the event, if it says any; to be called for each event of the
 * trace, shown or not, before view_event(). 0, or -ENOMEM. */
int view_learn(struct view *v, const struct cairn_event *ev);
/* Appends the event's line to the output. 0, or -ENOMEM. */
int view_event(struct view *v, const struct cairn_event *ev);
/* In the style of trace-cmd report: the line in front of a trace's events, and that of a loss;
 * otherwise nothing. */
void view_report_head(struct view *v, const struct cairn_trace *trace);
void view_loss(struct view *v, const struct cairn_loss *loss);
/* Ends a line that waits for the event behind it; to be called behind the last event. */
void view_finish(struct view *v);
bool view_is_trace_dat(const struct cairn_trace *trace);
/* Begin of the trace, for VIEW_TIME_START, if not the first event's time. */
void view_set_start(struct view *v, int64_t start_ns);
/* Nanoseconds from 1970 to the zero of the trace's clock. */
int64_t clock_zero_ns(const struct cairn_trace *trace);

#endif
