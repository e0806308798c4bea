/* SPDX-License-Identifier: MIT
 *
 * Sessions: recording events of running programs into traces.
 *
 * A *session host* (struct cairn_host) accepts the programs that want to be traced, owns the
 * rings they write to, and writes what it reads there into CTF traces. It lives in the process
 * that calls cairn_host_new(): `cairn record` and `cairn daemon` are two such. It has no thread
 * and no signal handler of its own: the caller calls cairn_host_step() in a loop, or whenever
 * cairn_host_fd() is readable.
 *
 * Commands (create a session, start it, list programs...) go through a *control*
 * (struct cairn_control), which is either local, to a host in this process, or a connection to a
 * host in another process. The same functions serve both. A local control runs its host while it
 * waits for programs to act, so its functions must not be called from inside another one.
 *
 *	struct cairn_host *host;
 *	struct cairn_control *ctl;
 *	struct cairn_host_options opts = {.size = sizeof(opts), .wanted = CAIRN_WANT_CHILDREN};
 *	struct cairn_rule rule = {.pattern = "http:*", .loglevel = CAIRN_LOGLEVEL_ANY};
 *	struct cairn_session_config cfg = {.size = sizeof(cfg), .name = "mine",
 *		.output = "trace", .output_fd = -1, .rules = &rule, .nrules = 1};
 *
 *	cairn_host_new(&opts, &host, &err);
 *	cairn_control_local(host, &ctl, &err);
 *	cairn_session_create(ctl, &cfg, &err);
 *	cairn_session_start(ctl, "mine", 1000, NULL, &err);
 *	... fork a child with CAIRN_HOST=cairn_host_socket(host), CAIRN_RT=cairn_host_runtime(host)
 *	while (child lives)
 *		cairn_host_step(host, 100);
 *	cairn_session_stop(ctl, "mine", 1000, NULL, &err);
 *	cairn_session_destroy(ctl, "mine", &err);
 *	cairn_control_free(ctl);
 *	cairn_host_free(host);
 *
 * Results: 0 or a count, or a negative errno value with *err filled (err may be NULL).
 * Threads: one thread at a time for a host and its local controls, and for each remote control.
 * No function here is async-signal-safe. Nothing here prints, exits or changes signal handling;
 * under a limit on the size of files (RLIMIT_FSIZE) let the host's process ignore SIGXFSZ, else it
 * dies of the first write beyond it.
 * Each struct that a caller fills begins with its `size`, so that it may grow.
 */
#ifndef CAIRN_SESSION_H
#define CAIRN_SESSION_H

#include <cairn/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CAIRN_NAME_MAX 64 /* bytes of a session's or channel's name, with NUL */
#define CAIRN_LOST_MAX 16 /* reasons for losses; cairn_lost_reason() names them */

struct cairn_host;
struct cairn_control;

/* ---- the host ---- */

enum cairn_wanted {
	CAIRN_WANT_ALL = 0, /* every program that comes: public socket in the run directory */
	CAIRN_WANT_PIDS = 1, /* only options.pids and their children: public socket */
	CAIRN_WANT_CHILDREN = 2, /* who is given cairn_host_socket(): no public socket */
};

struct cairn_host_options {
	size_t size; /* sizeof(struct cairn_host_options) */
	enum cairn_wanted wanted;
	const pid_t *pids; /* CAIRN_WANT_PIDS */
	size_t npids;
	const char *name; /* public socket is RUNDIR/hosts/NAME.sock; NULL: "host-PID" */
	const char *rundir; /* NULL: $CAIRN_RUNDIR, else /run/cairn or /run/user/UID/cairn */
	const char *runtime; /* path of libcairn-rt.so; NULL: $CAIRN_RT, beside the executable,
				else the installed one */
	const char *output_root; /* where sessions without an output of their own write, in
				    OUTPUT_ROOT/NAME (root's host: OUTPUT_ROOT/UID/NAME for others);
				    NULL: such sessions keep everything in memory */
	const char *ring_dir; /* keep rings as files here, so that they survive a crash of the
				 machine (see cairn-recover(1)); NULL: in memory only */
	/* Asked while the reader of a session's output_fd does not read, and again when output_wake
	 * is readable: for how many ms to wait for it at most (-1: as long as it takes). The
	 * trace ends there when they are over (-ETIMEDOUT). It may not call the host.
	 * NULL: as long as it takes. */
	int (*output_wait)(void *data);
	void *output_wait_data;
	int output_wake; /* a descriptor; -1: none. Counts with output_wait only */
};

/* Makes a host and its socket, and removes what dead hosts left in the run directory.
 * -EADDRINUSE: a live host has that name. -EACCES, -EROFS...: run directory not usable. */
int cairn_host_new(const struct cairn_host_options *opts, struct cairn_host **ret_host,
	struct cairn_error *err);
/* Stops and destroys its sessions (programs run on untraced) and removes socket and link.
 * Invalidates local controls, which must be freed before. Takes NULL. */
void cairn_host_free(struct cairn_host *host);
/* Paths for the environment of a child: CAIRN_HOST and CAIRN_RT. Owned by the host.
 * cairn_host_runtime() is NULL if no libcairn-rt.so was found. */
const char *cairn_host_socket(const struct cairn_host *host);
const char *cairn_host_runtime(const struct cairn_host *host);
/* A descriptor that polls readable when cairn_host_step(host, 0) has something to do. */
int cairn_host_fd(const struct cairn_host *host);
/* Waits at most timeout_ms (-1: for ever) for something to do, and does it: accepts programs,
 * reads rings, writes traces, answers commands. Returns 0, -EINTR if a signal came, or another
 * negative errno value if the host cannot go on. */
int cairn_host_step(struct cairn_host *host, int timeout_ms);
/* The next thing the host has to say to its user (a full disk, a conflict of two descriptions, a
 * program that was refused...): copied to buf. Returns 1, or 0 if there is none. */
int cairn_host_message(struct cairn_host *host, char *buf, size_t size);

/* ---- control: a way to give commands to a host ---- */

int cairn_control_local(
	struct cairn_host *host, struct cairn_control **ret_ctl, struct cairn_error *err);
/* Connects to a running host: `where` is a socket path or a host's NAME in the run directory;
 * NULL: "daemon" of this user, else of root. -ENOENT, -ECONNREFUSED: none runs. -EPERM: it belongs
 * to neither this user nor root. */
int cairn_connect(const char *where, struct cairn_control **ret_ctl, struct cairn_error *err);
void cairn_control_free(struct cairn_control *ctl); /* takes NULL */

/* ---- sessions ---- */

enum cairn_channel_mode {
	CAIRN_CHANNEL_DISCARD = 0, /* ring full: new events are dropped and counted */
	CAIRN_CHANNEL_OVERWRITE = 1, /* flight recorder: the oldest go; written by snapshots only */
	CAIRN_CHANNEL_BLOCK = 2, /* ring full: the program waits, at most block_ns */
};

#define CAIRN_RING_BYTES_DEFAULT (1u << 20) /* of each CPU */
#define CAIRN_BLOCK_NS_DEFAULT 100000000u /* 100 ms */

struct cairn_channel_config {
	const char *name; /* NULL: "channel0" */
	enum cairn_channel_mode mode;
	uint64_t ring_bytes; /* of each CPU, rounded up to a power of two; 0: the default */
	uint64_t block_ns; /* longest wait in blocking mode, at most 10 s; 0: the default */
	const char *contexts; /* list by commas: tid pid comm cpu nice sched cgroup ip perf:EVENT;
				 NULL: "tid"; "": none. perf:EVENT is one of cycles instructions
				 cache-misses cache-references branches branch-misses task-clock
				 page-faults minor-faults major-faults context-switches migrations */
};

#define CAIRN_LOGLEVEL_ANY (-1)

struct cairn_rule {
	const char *pattern; /* 'provider:event' with * and ?; without ':' the whole provider */
	const char *const *excludes; /* patterns that it leaves out */
	size_t nexcludes;
	int loglevel; /* CAIRN_LOGLEVEL_ANY, or 0 (emergency) .. 14 (debug): that severe or more */
	int loglevel_only; /* != 0: exactly that level */
	const char *channel; /* NULL: the session's first */
};

/* Kernel events beside those of programs, by tracefs: in OUTPUT/kernel, on the same clock. */
struct cairn_kernel_rule {
	const char *pattern; /* 'system:name' with * and ?; without ':' a system or a name; may end
			      * in " if FILTER" */
	const char *filter; /* in the kernel's grammar, applied by it; NULL: none */
};

/* A probe: an event made for the session, and gone with it. */
struct cairn_kernel_probe {
	const char *kind; /* "kprobe", "kretprobe", "uprobe", "eprobe", "fprobe", "tprobe" */
	const char *text; /* by names, or in the kernel's grammar; see cairn-probes(7) */
	const char
		*with; /* what makes it: "tracefs" or "bpf"; NULL: tracefs if that has such probes,
			   * else BPF */
};

struct cairn_kernel_config {
	size_t size; /* sizeof(struct cairn_kernel_config) */
	const struct cairn_kernel_rule *rules;
	size_t nrules;
	const pid_t *pids; /* only these and their children; none: the session's pids, and if it has
			    * none, the whole system */
	size_t npids;
	int all; /* != 0: the whole system */
	int flight_recorder; /* != 0: events stay in the kernel, the oldest go, and a snapshot writes what
			      * is there; else they are read all the time */
	uint64_t
		buffer_bytes; /* of each CPU's buffer in the kernel; 0: 8 MiB, if there is memory */
	int buffer_adapts; /* != 0: it grows when it is too small */
	int lttng_names; /* != 0: events and environment are called as LTTng's, for Trace Compass */
	unsigned stacks; /* CAIRN_STACK_*: with each event the stack that led to it */
	const struct cairn_kernel_probe *probes;
	size_t nprobes;
};

#define CAIRN_STACK_KERNEL 1u
#define CAIRN_STACK_USER 2u /* as far as frame pointers lead; stored by file and offset */

struct cairn_session_config {
	size_t size; /* sizeof(struct cairn_session_config) */
	const char *name; /* letters, digits, '-', '_', '.'; < CAIRN_NAME_MAX */
	const char *output; /* trace directory, made by the host; must not exist or be empty.
			       NULL: below options.output_root, if that is set */
	int output_fd; /* >= 0: stream the trace there instead (local controls only; borrowed);
			  else -1. Never closed by the host */
	const struct cairn_channel_config *channels; /* none: one "channel0" in discard mode */
	size_t nchannels;
	const struct cairn_rule *rules; /* none yet: add them by cairn_session_enable() */
	size_t nrules;
	const pid_t *pids; /* none: every program of the host; else only these and their children */
	size_t npids;
	int ctf_version; /* 0 or 1: CTF 1.8; 2: CTF 2 */
	const char *command; /* what is recorded, for the trace's environment; NULL: unknown */
	uint64_t snapshot_bytes; /* limit of one snapshot, newest kept; 0: none */
	const struct cairn_kernel_config
		*kernel; /* NULL: no kernel events. Only root's, and of who may
						   * use tracefs */
};

/* What programs did about a command. A command waits for every program it concerns, at most
 * timeout_ms; it has taken effect, or will, in all programs but those that failed. */
#define CAIRN_REPORT_PIDS 32
struct cairn_report {
	unsigned asked; /* programs concerned */
	unsigned acted; /* have acted */
	unsigned failed; /* answered with an error */
	unsigned late; /* have not answered: stopped, or very busy */
	pid_t late_pid[CAIRN_REPORT_PIDS]; /* the first of them; 0 after the last */
	pid_t failed_pid[CAIRN_REPORT_PIDS];
	int failed_err[CAIRN_REPORT_PIDS]; /* negative errno values */
};

/* -EEXIST: name taken or output not empty. -EINVAL: a name, pattern, context or size. */
int cairn_session_create(struct cairn_control *ctl, const struct cairn_session_config *config,
	struct cairn_error *err);
/* All sessions below: -ENOENT: no such session (of this user). ret_report may be NULL.
 * start, enable, disable: -EPERM: it was taken over from a host that died, and records what was on
 * then until it is stopped.
 * start: events are recorded from now on. stop: nothing is recorded any more and everything
 * recorded is in the output; -EALREADY if it is so already. A stopped session can start again. */
int cairn_session_start(struct cairn_control *ctl, const char *session, int timeout_ms,
	struct cairn_report *ret_report, struct cairn_error *err);
int cairn_session_stop(struct cairn_control *ctl, const char *session, int timeout_ms,
	struct cairn_report *ret_report, struct cairn_error *err);
/* Stops it if need be, finishes its trace and forgets it. */
int cairn_session_destroy(struct cairn_control *ctl, const char *session, struct cairn_error *err);
/* -EBUSY: the session has been started before. */
int cairn_channel_add(struct cairn_control *ctl, const char *session,
	const struct cairn_channel_config *channel, struct cairn_error *err);
/* Adds a rule. Works on running sessions too. */
int cairn_session_enable(struct cairn_control *ctl, const char *session,
	const struct cairn_rule *rule, int timeout_ms, struct cairn_report *ret_report,
	struct cairn_error *err);
/* Takes back all rules with this pattern; or, if there is none, adds the pattern to the excludes
 * of every rule (of rules for `channel` only, if that is not NULL). */
int cairn_session_disable(struct cairn_control *ctl, const char *session, const char *pattern,
	const char *channel, int timeout_ms, struct cairn_report *ret_report,
	struct cairn_error *err);
/* Adds kernel events and probes: more's rules and probes; its other members count only if the session
 * had no kernel events before (then its own trace moves to OUTPUT/user, and if its first channel is a flight
 * recorder, so are they). Works on running sessions. All
 * or nothing. -ENOENT: no such event; -EINVAL: a filter or probe is wrong; -EPERM; -ENOTSUP: this
 * session cannot have any (it is a stream that has begun). */
int cairn_session_enable_kernel(struct cairn_control *ctl, const char *session,
	const struct cairn_kernel_config *more, struct cairn_error *err);
/* Takes back all kernel rules and probes with this pattern; or, if there is none, leaves out the
 * events that match it. Probes are called as in the trace ("kprobes:vfs_read"). -ENOENT: nothing that
 * is recorded matches. */
int cairn_session_disable_kernel(struct cairn_control *ctl, const char *session,
	const char *pattern, struct cairn_error *err);
/* Writes what the rings hold now into a new trace, while programs go on; and what the kernel's buffers
 * hold, if its events are a flight recorder, too. dir: NULL: OUTPUT/snapshot-N. ret_dir (of size bytes) gets its path; may be NULL.
 * -ENOTSUP: the session has no overwrite channel, and no flight recorder of kernel events. */
int cairn_session_snapshot(struct cairn_control *ctl, const char *session, const char *dir,
	char *ret_dir, size_t size, struct cairn_error *err);
/* Closes the present chunk as a trace of its own and goes on in a new one: OUTPUT/chunk-N.
 * ret_dir gets the path of the finished chunk. -ENOTSUP: the output is not a directory. */
int cairn_session_rotate(struct cairn_control *ctl, const char *session, char *ret_dir, size_t size,
	struct cairn_error *err);

/* ---- looking: each list is one allocation tree, freed by its _free; pointers inside are its ---- */

enum cairn_session_state {
	CAIRN_SESSION_NEW = 0, /* never started */
	CAIRN_SESSION_RUNNING = 1,
	CAIRN_SESSION_STOPPED = 2,
};

struct cairn_stats {
	uint64_t events; /* written to the output */
	uint64_t bytes; /* written to the output, metadata and state dump included */
	uint64_t packets;
	uint64_t pending_bytes; /* in the rings, not yet read */
	uint64_t lost[CAIRN_LOST_MAX]; /* by reason */
	uint64_t lost_total;
	uint64_t conflicts; /* events whose name has more than one description */
	uint64_t run_ns; /* how long it has been recording */
	int write_error; /* 0, or the errno value (-ENOSPC...) of the first failed write */
	uint64_t kernel_events, kernel_bytes, kernel_lost; /* of the kernel; not in those above */
	uint64_t
		kernel_gap_ns; /* while its buffers grew, the kernel recorded and counted nothing */
};

struct cairn_channel_info {
	const char *name;
	enum cairn_channel_mode mode;
	uint64_t ring_bytes, block_ns;
	const char *contexts;
	uint32_t rings; /* rings that exist, all domains */
	uint64_t ring_memory_bytes;
	struct cairn_stats stats;
};

struct cairn_rule_info {
	const char *pattern;
	const char *const *excludes;
	size_t nexcludes;
	int loglevel, loglevel_only;
	const char *channel;
};

struct cairn_kernel_rule_info {
	const char *pattern, *filter; /* filter: NULL: none */
	const char *const *excludes;
	size_t nexcludes;
};

struct cairn_kernel_info {
	const struct cairn_kernel_rule_info *rules;
	size_t nrules;
	const struct cairn_kernel_probe *probes;
	size_t nprobes;
	uint64_t buffer_bytes; /* of each CPU, now */
	int flight_recorder;
	const char *instance; /* of tracefs; "": not recording */
};

struct cairn_session_info {
	const char *name;
	uid_t uid; /* owner */
	enum cairn_session_state state;
	int recovered; /* != 0: its rings were taken over from a host that died */
	const char *output; /* directory; "-": a stream; "": memory only */
	const struct cairn_channel_info *channels;
	size_t nchannels;
	const struct cairn_rule_info *rules;
	size_t nrules;
	uint32_t processes; /* programs that record into it */
	struct cairn_stats stats; /* sum of its channels */
	const struct cairn_kernel_info *kernel; /* NULL: no kernel events */
};

/* name: NULL: all. An unknown name gives -ENOENT. */
int cairn_session_list(struct cairn_control *ctl, const char *name,
	struct cairn_session_info **ret_list, size_t *ret_n, struct cairn_error *err);
void cairn_session_list_free(struct cairn_session_info *list);

struct cairn_field_info {
	const char *name;
	const char *type; /* "int32", "uint64", "string", "double[4]", "uint8[]", "bytes[]"... */
};

struct cairn_event_info {
	const char *provider, *event;
	const char *file, *function;
	uint32_t line;
	int loglevel;
	uint32_t nsites; /* places in code that fire it */
	int enabled; /* in some session */
	const struct cairn_field_info *fields;
	size_t nfields;
};

enum cairn_process_flag {
	CAIRN_PROCESS_NO_RSEQ = 1, /* some threads write without restartable sequences */
	CAIRN_PROCESS_FORKED = 2,
	CAIRN_PROCESS_AGAIN = 4, /* had a host before, that died */
	CAIRN_PROCESS_STATIC = 8,
	CAIRN_PROCESS_DORMANT = 16,
	CAIRN_PROCESS_LATE = 256, /* has not yet acted on a command: stopped, or very busy */
};

struct cairn_process_info {
	pid_t pid; /* as the host sees it */
	pid_t own_pid; /* as it sees itself (containers) */
	uid_t uid;
	unsigned flags; /* enum cairn_process_flag */
	const char *comm, *exe;
	const struct cairn_event_info *events; /* NULL unless asked for */
	size_t nevents; /* known even if not asked for */
};

#define CAIRN_LIST_EVENTS 1u /* with their events, fields, sites */

/* Programs connected to the host; pid: only that one, or 0. */
int cairn_process_list(struct cairn_control *ctl, pid_t pid, unsigned flags,
	struct cairn_process_info **ret_list, size_t *ret_n, struct cairn_error *err);
void cairn_process_list_free(struct cairn_process_info *list);

struct cairn_host_info {
	pid_t pid;
	uid_t uid;
	char name[CAIRN_NAME_MAX];
	char socket[108];
	uint32_t sessions, processes;
	uint64_t ring_memory_bytes;
	uint64_t joined; /* programs that ever connected */
	uint64_t described; /* events that they described */
	uint64_t refused; /* programs that could not be traced; a message said why */
};
int cairn_host_info(
	struct cairn_control *ctl, struct cairn_host_info *ret_info, struct cairn_error *err);
/* Asks a host in another process to stop all its sessions and end, and waits for that, a minute at
 * most (-ETIMEDOUT). cairn_host_step() of that host then returns -ESHUTDOWN, once; its caller frees
 * the host. A local host is only asked. */
int cairn_host_shutdown(struct cairn_control *ctl, struct cairn_error *err);

/* Name of a reason for losses ("ring_full"...), 0 <= reason < CAIRN_LOST_MAX; NULL if unused. */
const char *cairn_lost_reason(unsigned reason);

#ifdef __cplusplus
}
#endif
#endif
