/* cairn record at work: a session host in this process, the command as its child.
 *
 * Signals come as data (signalfd), so that the host is never interrupted half way. Ctrl-C reaches
 * the command from the terminal, as always; we wait for it and then finish the trace. A second
 * Ctrl-C does not wait any more. SIGTERM and SIGHUP, and SIGINT sent by kill(1), are passed on.
 */
#include "cli/preload.h"
#include "cli/progress.h"
#include "cli/reach.h"
#include "cli/record.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SESSION "record"
enum { STOP_TIMEOUT_MS = 1000 };

struct running {
	struct record *r;
	struct cairn_host *host; /* owned */
	struct cairn_control *ctl; /* owned */
	struct child child;
	struct progress progress;
	sigset_t old_mask;
	sighandler_t old_xfsz;
	int old_nice;
	int signals; /* owned; signalfd */
	int *pidfds; /* owned; of -p, -1 when ended */
	uint64_t end_ns; /* of CLOCK_MONOTONIC; 0: no limit */
	uint64_t reach_ns; /* when those of -p must have connected; 0: looked at */
	bool interrupted, command_failed, unreached;
};

static void messages(struct running *x)
{
	char text[512];

	while (cairn_host_message(x->host, text, sizeof(text)) > 0) {
		progress_clear(&x->progress);
		say("%s", text);
	}
}

/* ---- signals ---- */

static void on_signal(struct running *x, const struct signalfd_siginfo *si)
{
	bool by_kill = si->ssi_code == SI_USER || si->ssi_code == SI_TKILL;

	if (si->ssi_signo == SIGCHLD)
		return; /* looked at by the loop */
	if (x->interrupted || x->child.pid <= 0) {
		x->interrupted = true;
		x->end_ns = 1; /* at once */
		return;
	}
	x->interrupted = true;
	if (si->ssi_signo != SIGINT || by_kill)
		(void)kill(x->child.pid, (int)si->ssi_signo); /* it may have ended */
}

static void read_signals(struct running *x)
{
	struct signalfd_siginfo si;

	while (read(x->signals, &si, sizeof(si)) == sizeof(si))
		on_signal(x, &si);
}

/* Of a stream's reader: see struct cairn_host_options. */
static int wait_ms(void *data)
{
	struct running *x = data;

	read_signals(x);
	return x->interrupted ? GIVE_UP_MS : -1;
}

/* ---- setting up ---- */

static int prepare_signals(struct running *x)
{
	/* a file that may not grow is a failed write like others, said and counted */
	x->old_xfsz = signal(SIGXFSZ, SIG_IGN);
	x->old_nice = priority_raise();
	x->signals = catch_signals(&x->old_mask);
	return x->signals >= 0 ? 0 : x->signals;
}

static int open_host(struct running *x)
{
	struct record *r = x->r;
	struct cairn_error err = {0};
	struct cairn_host_options opts = {.size = sizeof(opts),
		.wanted = r->argv	? CAIRN_WANT_CHILDREN
			: r->what.npids ? CAIRN_WANT_PIDS
					: CAIRN_WANT_ALL,
		.pids = r->what.pids,
		.npids = r->what.npids,
		.ring_dir = r->ring_dir,
		.output_wait = wait_ms,
		.output_wait_data = x,
		.output_wake = x->signals};

	if (cairn_host_new(&opts, &x->host, &err) < 0 ||
		cairn_control_local(x->host, &x->ctl, &err) < 0)
		return fail(r->c, &err);
	if (!cairn_host_runtime(x->host))
		return fail_text(r->c,
			"it lies beside the program `cairn`, or is installed with it",
			"libcairn-rt.so was not found");
	return CLI_OK;
}

static int create_session(struct running *x)
{
	struct record *r = x->r;
	struct cairn_error err = {0};
	pid_t child = x->child.pid;
	struct cairn_kernel_config kernel;
	bool memory = r->what.channel.mode == CAIRN_CHANNEL_OVERWRITE;
	int nrules = recording_rules(&r->what, true), got;
	struct cairn_session_config cfg = {.size = sizeof(cfg),
		.name = SESSION,
		.output = r->stream || memory ? NULL : r->what.output,
		.output_fd = r->stream ? STDOUT_FILENO : -1,
		.channels = &r->what.channel,
		.nchannels = 1,
		.rules = r->what.rules,
		.nrules = (size_t)MAX(nrules, 0),
		.ctf_version = r->what.ctf_version,
		.command = r->command.len ? r->command.data : NULL,
		.kernel = recording_kernel_any(&r->kernel) ? &kernel : NULL};
	struct cairn_report report = {0};

	if (nrules < 0 || recording_kernel_config(&r->kernel, &kernel) < 0)
		return fail_text(r->c, NULL, "out of memory");
	kernel.all = r->all;
	kernel.flight_recorder = memory;
	kernel.pids = child ? &child : r->what.pids;
	kernel.npids = child ? 1 : r->what.npids;
	got = cairn_session_create(x->ctl, &cfg, &err);
	if (got < 0)
		return fail_by(r->c, got, &err);
	if (cairn_session_start(x->ctl, SESSION, r->what.timeout_ms, &report, &err) < 0)
		return recording_kernel_refused(&r->kernel, r->c) ? CLI_FAIL : fail(r->c, &err);
	report_say(r->c, &report, "be traced");
	return CLI_OK;
}

static int command_failed(struct running *x, int err)
{
	(void)fail_text(x->r->c, err == -ENOENT ? "is the name right, and in PATH?" : NULL,
		"cannot run '%s': %s", x->r->argv[0], strerror(-err));
	x->command_failed = true;
	return err == -ENOENT ? 127 : 126; /* as shells have it */
}

/* The command waits at its gate: its pid is known, and nothing of it has happened yet. */
static int start_command(struct running *x)
{
	struct record *r = x->r;
	struct child_setup setup = {.argv = r->argv,
		.host = cairn_host_socket(x->host),
		.runtime = cairn_host_runtime(x->host),
		.preload = r->preload.len ? r->preload.data : "",
		.stdout_to_stderr = r->stream,
		.mask = &x->old_mask,
		.xfsz = x->old_xfsz,
		.nice = x->old_nice};
	int err = child_start(&x->child, &setup);

	return err ? command_failed(x, err) : CLI_OK;
}

static int release_command(struct running *x)
{
	int err = child_release(&x->child);

	return err ? command_failed(x, err) : CLI_OK;
}

/* Opens a descriptor for each process of -p, readable when it has ended. */
static int watch_pids(struct running *x)
{
	size_t n = x->r->what.npids;

	x->pidfds = calloc(n ? n : 1, sizeof(int));
	if (!x->pidfds)
		return fail_text(x->r->c, NULL, "out of memory");
	for (size_t i = 0; i < n; i++)
		x->pidfds[i] = (int)syscall(SYS_pidfd_open, x->r->what.pids[i], 0);
	return CLI_OK;
}

/* ---- the loop ---- */

/* Whether every process of -p has ended. */
static bool pids_ended(struct running *x)
{
	size_t n = x->r->what.npids, ended = 0;

	for (size_t i = 0; i < n; i++) {
		struct pollfd p = {.fd = x->pidfds[i], .events = POLLIN};

		ended += x->pidfds[i] < 0 ? kill(x->r->what.pids[i], 0) != 0 : poll(&p, 1, 0) == 1;
	}
	return n > 0 && ended == n;
}

/* Once, some time after the start: who of -p has not connected? */
static void check_reach(struct running *x, bool ending)
{
	const struct recording *what = &x->r->what;

	if (!x->reach_ns || (!ending && now_ns(CLOCK_MONOTONIC) < x->reach_ns))
		return;
	x->reach_ns = 0;
	if (x->r->all)
		reach_say_others(x->ctl);
	else
		x->unreached = reach_missing(x->r->c, x->ctl, what->pids, what->npids, true) != 0;
}

/* Milliseconds to sleep at most: until the end, the next progress line, or a look at pids. */
static int sleep_ms(const struct running *x)
{
	int ms = x->r->quiet ? -1 : progress_due_ms(&x->progress);
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if ((x->r->what.npids || x->reach_ns) && (ms < 0 || ms > 100))
		ms = 100;
	if (x->end_ns) {
		uint64_t left_ms = x->end_ns > now ? (x->end_ns - now) / 1000000 + 1 : 0;

		if (ms < 0 || left_ms < (uint64_t)ms)
			ms = (int)MIN(left_ms, (uint64_t)INT32_MAX);
	}
	return ms;
}

static bool stats_of(struct running *x, struct cairn_stats *ret)
{
	struct cairn_session_info *list;
	size_t n;

	if (cairn_session_list(x->ctl, SESSION, &list, &n, NULL) < 0)
		return false;
	if (n)
		*ret = list[0].stats;
	cairn_session_list_free(list);
	return n > 0;
}

static void show_progress(struct running *x)
{
	struct cairn_stats stats;

	if (!x->r->quiet && progress_due_ms(&x->progress) == 0 && stats_of(x, &stats))
		progress_show(&x->progress, &stats);
}

/* Runs until there is nothing more to record. 0 or a negative error of the host. */
static int loop(struct running *x)
{
	struct pollfd fds[2] = {{.fd = cairn_host_fd(x->host), .events = POLLIN},
		{.fd = x->signals, .events = POLLIN}};
	int err = 0;

	while (err == 0 || err == -EINTR) {
		if (poll(fds, 2, sleep_ms(x)) < 0 && errno != EINTR)
			return -errno;
		err = cairn_host_step(x->host, 0);
		messages(x);
		check_reach(x, false);
		read_signals(x);
		if (x->r->argv && child_ended(&x->child, false))
			return 0;
		if (x->interrupted && !x->r->argv)
			return 0;
		if (x->end_ns && now_ns(CLOCK_MONOTONIC) >= x->end_ns)
			return 0;
		if (pids_ended(x))
			return 0;
		show_progress(x);
	}
	return err;
}

/* ---- the end ---- */

/* CLI_FAIL if that is because something failed, which was said when it did. */
static int say_nothing_recorded(const struct running *x)
{
	const struct record *r = x->r;
	struct cairn_host_info host = {0};

	(void)cairn_host_info(x->ctl, &host, NULL); /* then it says the least */
	if (host.refused)
		return fail_text(r->c, NULL,
			"nothing was recorded: %llu program%s could not be traced, see above",
			(unsigned long long)host.refused, host.refused == 1 ? "" : "s");
	if (recording_kernel_any(&r->kernel)) {
		(void)fail_text(r->c,
			r->all ? "a filter may be too narrow"
			       : "without --all: only those of the command and its children count; "
				 "a filter may be too narrow",
			"nothing was recorded: none of the kernel events asked for happened, and no "
			"program's own");
		return CLI_OK;
	}
	if (!host.joined && r->argv && reach_is_marked(r->argv[0]))
		(void)fail_text(r->c, preload_runtime_hint(r->argv[0]),
			"nothing was recorded: '%s' is marked, but did not load the runtime",
			r->argv[0]);
	else if (!host.joined && r->argv)
		(void)fail_text(r->c,
			r->with ? "what --with reaches is said in cairn-libc(7)"
				: "mark it with CAIRN() (see cairn-trace(3)), or add --with libc for "
				  "what it asks of the C library",
			"nothing was recorded: '%s' has no events of its own", r->argv[0]);
	else if (!host.joined)
		(void)fail_text(r->c,
			"programs connect when they start: start them while recording, or run "
			"`cairn daemon` first",
			"nothing was recorded: no program connected");
	else
		(void)fail_text(r->c, "`cairn list` shows the events of running programs",
			"nothing was recorded: %llu program%s connected, with %llu events, but "
			"none of those asked for was fired",
			(unsigned long long)host.joined, host.joined == 1 ? "" : "s",
			(unsigned long long)host.described);
	return x->unreached ? CLI_FAIL : CLI_OK;
}

/* Stops the session; the trace is whole then. CLI_OK or CLI_FAIL. */
static int finish(struct running *x)
{
	struct record *r = x->r;
	struct cairn_error err = {0};
	struct cairn_report report = {0};
	struct cairn_stats stats = {0};
	bool snapshot = r->what.channel.mode == CAIRN_CHANNEL_OVERWRITE;

	if (snapshot && cairn_session_snapshot(x->ctl, SESSION, r->what.output, NULL, 0, &err) < 0)
		return fail(r->c, &err);
	if (cairn_session_stop(x->ctl, SESSION, STOP_TIMEOUT_MS, &report, &err) < 0)
		return fail(r->c, &err);
	messages(x);
	progress_clear(&x->progress);
	report_say(r->c, &report, "stop");
	if (!stats_of(x, &stats))
		return fail_text(r->c, NULL, "the session is gone");
	if (cairn_session_destroy(x->ctl, SESSION, &err) < 0)
		return fail(r->c, &err);
	messages(x);
	if (stats.write_error && stats.write_error != EPIPE && !r->quiet)
		progress_summary(&x->progress, &stats, r->what.channel.ring_bytes);
	if (stats.write_error && stats.write_error != EPIPE)
		return fail_text(r->c, "the trace holds what could be written",
			"writing the trace failed: %s", write_strerror(stats.write_error));
	if (stats.events == 0 && stats.kernel_events == 0 && !snapshot)
		return say_nothing_recorded(x);
	if (!r->quiet) {
		progress_summary(&x->progress, &stats, r->what.channel.ring_bytes);
		if (!r->stream)
			(void)fprintf(stderr, "cairn: next: cairn stat %s; cairn print %s\n",
				r->what.output, r->what.output);
	}
	return CLI_OK;
}

static void running_done(struct running *x)
{
	for (size_t i = 0; x->pidfds && i < x->r->what.npids; i++)
		if (x->pidfds[i] >= 0)
			(void)close(x->pidfds[i]);
	free(x->pidfds);
	cairn_control_free(x->ctl);
	cairn_host_free(x->host);
	if (x->signals >= 0)
		(void)close(x->signals);
}

static int record(struct running *x)
{
	struct record *r = x->r;
	int ret, err;

	if (prepare_signals(x) != 0)
		return fail_text(r->c, NULL, "cannot wait for signals");
	ret = open_host(x);
	if (ret == CLI_OK)
		ret = reach_exist(r->c, r->what.pids, r->what.npids);
	if (ret == CLI_OK)
		ret = watch_pids(x);
	if (ret == CLI_OK && r->argv)
		ret = start_command(x);
	if (ret == CLI_OK)
		ret = create_session(x);
	if (ret == CLI_OK && r->argv)
		ret = release_command(x);
	if (ret != CLI_OK) {
		child_stop(&x->child);
		return ret;
	}
	if (!r->argv && !r->quiet)
		say("recording; Ctrl-C ends it");
	if (r->what.npids || r->all)
		x->reach_ns = now_ns(CLOCK_MONOTONIC) + REACH_MS * 1000000ull;
	if (r->duration_ns)
		x->end_ns = now_ns(CLOCK_MONOTONIC) + r->duration_ns;
	err = loop(x);
	check_reach(x, true);
	ret = finish(x);
	if (err && err != -EINTR)
		ret = fail_text(r->c, NULL, "recording ended early: %s", strerror(-err));
	return ret;
}

int record_run(struct record *r)
{
	struct running x = {.r = r, .signals = -1};
	int ret;

	progress_init(&x.progress);
	x.progress.on &= !r->quiet;
	ret = record(&x);
	running_done(&x);
	if (x.child.pid > 0) { /* after --duration it goes on, untraced */
		(void)sigprocmask(SIG_SETMASK, &x.old_mask, NULL); /* a known mask */
		(void)child_ended(&x.child, true);
	}
	if (!r->argv || x.command_failed || (ret != CLI_OK && child_exit_code(&x.child) == 0))
		return ret;
	return child_exit_code(&x.child);
}
