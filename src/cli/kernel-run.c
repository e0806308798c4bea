/* cairn kernel trace at work: the tracer, the command as our child, and the kernel's text as it comes.
 *
 * Text is the kernel's own: trace_pipe while it runs, behind the head of `trace`; what the latency
 * tracers found, and snapshots, at the end. With --json and --summary records are read instead, typed
 * (kernel/rawread.h). Signals come as data, so that whatever ends it, it is taken down in order.
 */
#include "cli/child.h"
#include "cli/kernel-texts.h"
#include "cli/kernel.h"
#include "kernel/filter.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum {
	READS_AT_ONCE = 1024, /* entries may come faster than they can be read */
	LOOK_MS = 50, /* how often the kernel's buffers are looked at */
	KALLSYMS_MAX = 128 << 20,
};

struct running {
	struct ktrace *k;
	struct tracefs *top; /* owned */
	struct tracer *tracer; /* owned */
	struct kraw *raw; /* owned; NULL: text */
	struct ksummary *summary; /* owned */
	struct kallsyms *syms; /* owned; NULL: addresses stay numbers */
	struct child child;
	struct out out;
	struct write_wait wait; /* of `out`, for who reads it */
	int text; /* owned: trace_pipe; -1: none */
	int signals; /* owned */
	int output; /* owned: of -o */
	sigset_t old_mask;
	uint64_t end_ns; /* of CLOCK_MONOTONIC; 0: none */
	bool interrupted,
		reached; /* reached: the kernel switched it off, or the snapshot was taken */
	int command_code; /* 126, 127: it could not be run */
	struct error e;
};

static void auto_running(struct running *x)
{
	if (x->child.pid > 0 && x->child.gate >= 0) { /* never let go: it must not run */
		(void)kill(x->child.pid, SIGKILL);
		(void)child_ended(&x->child, true);
	}
	kraw_close(x->raw);
	if (x->text >= 0)
		(void)close(x->text);
	(void)tracer_close(x->tracer, NULL); /* an error is told already */
	tracefs_free(x->top);
	ksummary_free(x->summary);
	kallsyms_free(x->syms);
	if (x->signals >= 0)
		(void)close(x->signals);
	if (x->output >= 0)
		(void)close(x->output);
	(void)sigprocmask(SIG_SETMASK, &x->old_mask, NULL); /* a known mask */
	out_done(&x->out);
}

/* ---- setting up ---- */

static int open_output(struct running *x)
{
	int fd = STDOUT_FILENO;

	if (x->k->output) {
		fd = x->output = open(x->k->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (fd < 0)
			return fail_text(x->k->c, NULL, "cannot write %s: %s", x->k->output,
				strerror(errno));
	}
	return out_init(&x->out, fd) == 0 ? CLI_OK : fail_text(x->k->c, NULL, "out of memory");
}

/* runtime_us is at most period_us, at each moment: the one that widens goes first. */
static void order_settings(struct running *x)
{
	struct ktrace *k = x->k;
	struct tracer_line *period = NULL, *runtime = NULL, swap;
	AUTO(buf) struct buf now = {0};

	for (size_t i = 0; i < k->nsettings && k->what->period && k->what->runtime; i++) {
		if (strcmp(k->settings[i].file, k->what->period) == 0)
			period = &k->settings[i];
		if (strcmp(k->settings[i].file, k->what->runtime) == 0)
			runtime = &k->settings[i];
	}
	if (!period || !runtime || tracefs_read(x->top, period->file, &now, NULL) < 0 || !now.data)
		return;
	if ((strtoull(period->text, NULL, 10) > strtoull(now.data, NULL, 10)) !=
		(period < runtime)) {
		swap = *period;
		*period = *runtime;
		*runtime = swap;
	}
}

/* The filter of --when, which is a trigger's by now ("snapshot:1 if FILTER"). */
static int check_when(struct running *x)
{
	for (size_t i = 0; i < x->k->nlists; i++) {
		const struct tracer_line *l = &x->k->lists[i];
		const char *filter = strstr(l->text, " if ");
		struct dynevent_fault fault;
		char system[128], event[128];

		if (!filter ||
			sscanf(l->file, "events/%127[^/]/%127[^/]/trigger", system, event) != 2)
			continue;
		if (kfilter_check_event(x->top, system, event, filter + 4, &fault) == 0)
			continue;
		texts_say(x->k->c, "--when: filter", filter + 4, &fault);
		return CLI_FAIL;
	}
	return CLI_OK;
}

static int open_tracer(struct running *x)
{
	struct ktrace *k = x->k;
	struct tracer_setup setup = {.tracer = k->what->tracer,
		.feature = k->what->kind & KIND_SNAPSHOT ? "snapshot" : NULL,
		.latency = (k->what->kind & KIND_LATENCY) != 0,
		.clock = k->what->kind & KIND_LATENCY ? "local" : "mono",
		.lists = k->lists,
		.nlists = k->nlists,
		.settings = k->settings,
		.nsettings = k->nsettings,
		.options = k->options,
		.noptions = k->noptions,
		.events = k->events.items,
		.nevents = k->events.len,
		.buffer_bytes = k->buffer_bytes};
	int err;

	order_settings(x);
	err = tracer_open(x->top, &setup, &x->tracer, &x->e);
	if (err == -EBUSY && k->what->kind & KIND_SNAPSHOT && k->when)
		error_hint(&x->e, "an event has one trigger for snapshots");
	return err < 0 ? fail_error(k->c, err == -EINVAL ? -EIO : err, &x->e) : CLI_OK;
}

/* The head of `trace`, up to the first entry: what the columns are. */
static void head(struct running *x)
{
	AUTO(buf) struct buf b = {0};

	if (tracefs_read(tracer_dir(x->tracer), "trace", &b, NULL) < 0)
		return;
	for (const char *line = b.data; line && *line == '#'; line += line[0] == '\n') {
		size_t n = strcspn(line, "\n");

		if (!strstr(line, "entries-in-buffer") ||
			strstr(line, "entries-in-buffer") > line + n) {
			out_bytes(&x->out, line, n);
			out_char(&x->out, '\n');
		}
		line += n;
	}
}

static bool at_end_only(const struct running *x)
{
	return x->k->what->kind & (KIND_LATENCY | KIND_SNAPSHOT);
}

/* Of functions. Users who are shown no addresses get numbers. */
static void read_names(struct running *x)
{
	AUTO(buf) struct buf b = {0};

	if (read_file("/proc/kallsyms", KALLSYMS_MAX, &b) == 0)
		(void)kallsyms_parse(b.data, b.len, &x->syms, NULL);
}

static int open_reading(struct running *x)
{
	struct ktrace *k = x->k;
	int err = 0;

	if (at_end_only(x))
		return CLI_OK;
	if (k->json || k->summary) {
		err = kraw_open(
			tracer_dir(x->tracer), k->events.items, k->events.len, &x->raw, &x->e);
		if (err < 0)
			return fail_error(k->c, err, &x->e);
		if (k->what->args)
			read_names(x);
		x->summary = k->summary ? ksummary_new(k->what) : NULL;
		return k->summary && !x->summary ? fail_text(k->c, NULL, "out of memory") : CLI_OK;
	}
	x->text = tracefs_open_file(tracer_dir(x->tracer), "trace_pipe", O_RDONLY | O_NONBLOCK);
	if (x->text < 0)
		return fail_text(k->c, NULL, "cannot open trace_pipe: %s", strerror(-x->text));
	head(x);
	return CLI_OK;
}

static int start_child(struct running *x)
{
	struct child_setup setup = {.argv = x->k->argv,
		.preload = "",
		.mask = &x->old_mask,
		.xfsz = SIG_DFL,
		.nice = getpriority(PRIO_PROCESS, 0)};
	int err = x->k->argv ? child_start(&x->child, &setup) : 0;

	return err < 0 ? fail_text(x->k->c, NULL, "cannot fork: %s", strerror(-err)) : CLI_OK;
}

struct tasks {
	int32_t *ids; /* owned */
	size_t n, cap;
};

/* Adds the threads of a process: the kernel's lists hold threads. 0 or -errno. */
static int add_threads(struct tasks *t, int32_t pid)
{
	char path[64];
	struct dirent *entry;
	AUTO(dir) DIR *d = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid); /* fits */
	d = opendir(path);
	if (!d)
		return -ESRCH;
	while ((entry = readdir(d))) {
		int32_t *slot;

		if (entry->d_name[0] == '.')
			continue;
		slot = VEC_ADD(t->ids, t->n, t->cap);
		if (!slot)
			return -ENOMEM;
		*slot = (int32_t)strtol(entry->d_name, NULL, 10);
	}
	return 0;
}

static int limit_to_pids(struct running *x)
{
	struct ktrace *k = x->k;
	struct tasks t = {0};
	int err = 0;

	for (size_t i = 0; i < k->npids && err == 0; i++) {
		err = add_threads(&t, k->pids[i]);
		if (err == -ESRCH)
			(void)error_set(&x->e, err, "there is no process %d", k->pids[i]);
		else if (err < 0)
			(void)error_set(&x->e, err, "out of memory");
	}
	if (err == 0)
		err = tracer_pids(x->tracer, t.ids, t.n, &x->e);
	free(t.ids);
	return err;
}

static int limit_tasks(struct running *x)
{
	struct ktrace *k = x->k;
	int err = 0;

	if (!(k->what->kind & KIND_TASKS) || k->all)
		return CLI_OK;
	if (k->npids)
		err = limit_to_pids(x);
	else if (k->argv)
		err = tracer_pids(x->tracer, &x->child.pid, 1, &x->e);
	return err < 0 ? fail_error(k->c, err, &x->e) : CLI_OK;
}

static int let_go(struct running *x)
{
	const char *name = x->k->argv ? x->k->argv[0] : "";
	int err = tracer_on(x->tracer, true, &x->e);

	if (err < 0)
		return fail_error(x->k->c, err, &x->e);
	if (x->k->duration_ns)
		x->end_ns = now_ns(CLOCK_MONOTONIC) + x->k->duration_ns;
	err = x->k->argv ? child_release(&x->child) : 0;
	if (err == 0)
		return CLI_OK;
	(void)fail_text(x->k->c, err == -ENOENT ? "is the name right, and in PATH?" : NULL,
		"cannot run '%s': %s", name, strerror(-err));
	return err == -ENOENT ? 127 : 126; /* as shells have it */
}

/* ---- while it runs ---- */

static int show(const struct kraw_event *ev, void *data)
{
	struct running *x = data;

	if (x->summary)
		return ksummary_add(x->summary, ev);
	kernel_json(&x->out, ev, x->syms);
	return x->out.err;
}

/* What is there now; at the end, all of it. 0 or -errno. */
static int look(struct running *x, bool end)
{
	char part[65536];
	int err = 0;
	ssize_t n;

	if (x->raw) {
		uint64_t until = end ? UINT64_MAX : now_ns(CLOCK_MONOTONIC);

		err = kraw_read(x->raw, until, show, x, &x->e);
	}
	for (int i = 0; x->text >= 0 && !x->out.err && (end || i < READS_AT_ONCE) &&
		(n = read(x->text, part, sizeof(part))) > 0;
		i++)
		out_bytes(&x->out, part, (size_t)n);
	(void)out_flush(&x->out); /* its error stays */
	return err < 0 ? err : x->out.err;
}

static void read_signals(struct running *x)
{
	struct signalfd_siginfo si;

	while (read(x->signals, &si, sizeof(si)) == sizeof(si)) {
		bool by_kill = si.ssi_code == SI_USER || si.ssi_code == SI_TKILL;

		if (si.ssi_signo == SIGCHLD)
			continue; /* looked at by the loop */
		x->interrupted = true;
		if (x->child.pid > 0 && (si.ssi_signo != SIGINT || by_kill))
			(void)kill(x->child.pid, (int)si.ssi_signo); /* it may have ended */
	}
}

/* The snapshot of --when was taken: its trigger has no count left. */
static bool taken(struct running *x)
{
	AUTO(buf) struct buf b = {0};

	return x->k->when && tracefs_read(tracer_dir(x->tracer), x->k->when, &b, NULL) == 0 &&
		b.data && strstr(b.data, "snapshot:count=0");
}

static bool goes_on(struct running *x)
{
	if (x->interrupted || (x->end_ns && now_ns(CLOCK_MONOTONIC) >= x->end_ns))
		return false;
	if (x->k->argv && child_ended(&x->child, false))
		return false;
	x->reached = taken(x) || !tracer_is_on(x->tracer);
	return !x->reached;
}

static int loop(struct running *x)
{
	struct pollfd p = {.fd = x->signals, .events = POLLIN};
	int err = 0;

	while (goes_on(x) && err == 0) {
		(void)poll(&p, 1, LOOK_MS); /* a signal, or time to look */
		read_signals(x);
		err = look(x, false);
	}
	return err;
}

/* ---- the end ---- */

/* A whole file of the tracer's, as it is. */
static int copy_file(struct running *x, const char *path)
{
	AUTO(fd) int fd = tracefs_open_file(tracer_dir(x->tracer), path, O_RDONLY);
	char part[65536];
	ssize_t n = 0;

	if (fd < 0)
		return error_set(&x->e, fd, "cannot open %s: %s", path, strerror(-fd));
	while (!x->out.err && (n = read(fd, part, sizeof(part))) > 0)
		out_bytes(&x->out, part, (size_t)n);
	return n < 0 ? error_set(&x->e, -errno, "cannot read %s: %s", path, strerror(errno)) : 0;
}

/* The value of a line of the head ("# latency: 259 us, ...", "#  => started at: X"). */
static void head_value(struct out *o, const char *text, const char *line, const char *key)
{
	const char *at = strstr(text, line);

	if (!at)
		return;
	at += strlen(line);
	at += strspn(at, " ");
	out_printf(o, ", \"%s\": ", key);
	out_json(o, at, strcspn(at, "\n"));
}

static int latency_json(struct running *x)
{
	AUTO(buf) struct buf b = {0};
	struct out *o = &x->out;
	const char *task;
	int err = tracefs_read(tracer_dir(x->tracer), "trace", &b, &x->e);

	if (err < 0 || !b.data)
		return err;
	task = strstr(b.data, "| task: ");
	out_printf(o, "{\"tracer\": \"%s\", \"latency_us\": ", x->k->what->name);
	out_u64(o,
		strstr(b.data, "# latency: ")
			? strtoull(strstr(b.data, "# latency: ") + 11, NULL, 10)
			: 0);
	if (task) {
		size_t n = strcspn(task + 8, " \n");

		out_str(o, ", \"task\": ");
		out_json(o, task + 8, n);
	}
	head_value(o, b.data, "=> started at:", "started_at");
	head_value(o, b.data, "=> ended at:", "ended_at");
	out_str(o, "}\n");
	return 0;
}

static int snapshot(struct running *x)
{
	struct tracefs *dir = tracer_dir(x->tracer);
	int err = 0;

	x->reached = taken(x); /* the last event may have been the command's end */
	if (x->k->when && !x->reached)
		say("%s did not happen: the snapshot holds what came before the end", "--when");
	if (!x->reached)
		err = tracefs_write(dir, "snapshot", "1", &x->e);
	return err < 0 ? err : copy_file(x, "snapshot");
}

static int finish(struct running *x)
{
	uint64_t lost;
	char a[HUMAN_MAX];
	int err = 0;

	/* a snapshot is a swap with the buffer: it is taken while tracing is on */
	if (x->k->what->kind & KIND_SNAPSHOT)
		err = snapshot(x);
	(void)tracer_on(x->tracer, false, NULL); /* taken down below in any case */
	if (err == 0)
		err = look(x, true);
	if (err == 0 && x->k->what->kind & KIND_LATENCY)
		err = x->k->json ? latency_json(x) : copy_file(x, "trace");
	if (x->summary)
		ksummary_print(x->summary, &x->out, x->k->json);
	lost = at_end_only(x) ? 0 : tracer_lost(x->tracer);
	if (lost)
		say("%s records were lost: --kernel-buffer gives more room, -f fewer of them",
			human_count(a, lost));
	if (x->reached && x->k->what->stop)
		say("the kernel switched it off: a limit of --stop was reached");
	return err;
}

/* Takes it down, saying what goes wrong. */
static int take_down(struct running *x, int err)
{
	int last;

	kraw_close(TAKE(x->raw));
	if (x->text >= 0)
		(void)close(take_fd(&x->text));
	if (err < 0 && err != x->out.err)
		(void)fail_error(x->k->c, err, &x->e);
	last = tracer_close(TAKE(x->tracer), &x->e);
	if (last < 0)
		return fail_error(x->k->c, last, &x->e);
	if (out_flush(&x->out) == -ETIMEDOUT)
		return fail_text(
			x->k->c, NULL, "nobody reads the output: the rest of it is left out");
	if (x->out.err && x->out.err != -EPIPE)
		return fail_text(x->k->c, NULL, "cannot write: %s", strerror(-x->out.err));
	return err < 0 && err != x->out.err ? CLI_FAIL : CLI_OK;
}

/* Once we are to end, a reader has this long for each part of the output. */
static int wait_ms(void *data)
{
	struct running *x = data;

	read_signals(x);
	return x->interrupted ? GIVE_UP_MS : -1;
}

static int set_up(struct running *x)
{
	int ret = open_output(x);

	if (ret == CLI_OK)
		ret = kernel_open(x->k->c, &x->top);
	if (ret == CLI_OK)
		ret = check_when(x);
	if (ret == CLI_OK)
		x->signals = catch_signals(&x->old_mask);
	if (ret == CLI_OK && x->signals < 0)
		ret = fail_text(x->k->c, NULL, "out of descriptors");
	x->wait = (struct write_wait){wait_ms, x, x->signals};
	x->out.wait = &x->wait;
	if (ret == CLI_OK)
		ret = open_tracer(x);
	if (ret == CLI_OK)
		ret = start_child(x);
	if (ret == CLI_OK)
		ret = limit_tasks(x);
	if (ret == CLI_OK)
		ret = open_reading(x);
	return ret == CLI_OK ? let_go(x) : ret;
}

int ktrace_run(struct ktrace *k)
{
	struct running x AUTO(running) = {.k = k,
		.text = -1,
		.signals = -1,
		.output = -1,
		.child = {.gate = -1, .failed = -1}};
	int ret, err;

	(void)sigprocmask(SIG_SETMASK, NULL, &x.old_mask); /* cannot fail */
	ret = set_up(&x);
	if (ret != CLI_OK)
		return ret;
	if (!k->argv && !k->duration_ns && isatty(STDERR_FILENO))
		say("%s: Ctrl-C ends it", k->what->name);
	err = loop(&x);
	if (err == 0 || err == -EPIPE || err == -ETIMEDOUT)
		err = finish(&x);
	ret = take_down(&x, err);
	if (x.child.pid > 0) { /* after --duration it goes on, untraced */
		(void)sigprocmask(SIG_SETMASK, &x.old_mask, NULL); /* a known mask */
		(void)child_ended(&x.child, true);
	}
	return ret == CLI_OK && k->argv ? child_exit_code(&x.child) : ret;
}
