/* cairn session: commands to a running session host, one verb each. */
#include "cli/commands.h"
#include "cli/reach.h"
#include "cli/recording-kernel.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPT_S_START = OPT_FIRST, OPT_S_ALL };

static int run_create(const struct command *c, int argc, char **argv);
static int run_channel(const struct command *c, int argc, char **argv);
static int run_list(const struct command *c, int argc, char **argv);
static int run_start(const struct command *c, int argc, char **argv);
static int run_stop(const struct command *c, int argc, char **argv);
static int run_enable(const struct command *c, int argc, char **argv);
static int run_disable(const struct command *c, int argc, char **argv);
static int run_snapshot(const struct command *c, int argc, char **argv);
static int run_rotate(const struct command *c, int argc, char **argv);
static int run_destroy(const struct command *c, int argc, char **argv);

static const struct option_def create_options[] = {
	{OPT_OUTPUT, 'o', "output", "DIR", "the trace; default: below the daemon's folder"},
	ROW_EVENT,
	ROW_EXCLUDE,
	ROW_LOGLEVEL,
	ROW_MODE,
	ROW_RING_SIZE,
	ROW_BLOCK_TIME,
	ROW_CONTEXT,
	{OPT_CHANNEL, 0, "channel", "NAME", "name of its first channel"},
	{OPT_PID, 'p', "pid", "PID", "only these programs and their children"},
	ROW_KERNEL,
	ROW_KERNEL_FILTER,
	ROWS_KERNEL_HOW,
	{OPT_S_ALL, 0, "kernel-all", NULL, "kernel events of all tasks, also with -p"},
	ROWS_PROBES,
	ROW_CTF2,
	{OPT_S_START, 0, "start", NULL, "and start it"},
	ROW_TIMEOUT,
	ROW_HOST,
	ROW_JSON,
	{0},
};
static const struct option_def channel_options[] = {
	ROW_MODE, ROW_RING_SIZE, ROW_BLOCK_TIME, ROW_CONTEXT, ROW_HOST, {0}};
static const struct option_def act_options[] = {ROW_TIMEOUT, ROW_HOST, ROW_JSON, {0}};
static const struct option_def enable_options[] = {
	{OPT_EVENT, 'e', "event", "PATTERN", "as PATTERN; may be repeated"},
	ROW_EXCLUDE,
	ROW_LOGLEVEL,
	ROW_CHANNEL,
	ROW_KERNEL,
	ROW_KERNEL_FILTER,
	ROWS_PROBES,
	ROW_TIMEOUT,
	ROW_HOST,
	ROW_JSON,
	{0},
};
static const struct option_def disable_options[] = {
	{OPT_EVENT, 'e', "event", "PATTERN", "as PATTERN; may be repeated"},
	ROW_CHANNEL,
	{OPT_KERNEL, 'k', "kernel", "PATTERN",
		"kernel events and probes that match, as\n'sched:*'; may be repeated"},
	ROW_TIMEOUT,
	ROW_HOST,
	ROW_JSON,
	{0},
};
static const struct option_def snapshot_options[] = {
	{OPT_OUTPUT, 'o', "output", "DIR", "the new trace; default: below the session's"}, ROW_HOST,
	ROW_JSON, {0}};
static const struct option_def look_options[] = {ROW_HOST, ROW_JSON, {0}};

#define VERB(id, words, does, opts) \
	static const struct command verb_##id = {.name = #id, \
		.parent = "session", \
		.summary = does, \
		.usage = words, \
		.options = opts, \
		.run = run_##id}
VERB(create, "[OPTION...] NAME", "make a session", create_options);
VERB(channel, "[OPTION...] NAME CHANNEL", "add a channel to a new session", channel_options);
VERB(list, "[OPTION...] [NAME]", "show sessions", look_options);
VERB(start, "[OPTION...] NAME", "begin to record", act_options);
VERB(stop, "[OPTION...] NAME", "stop recording; the trace is whole then", act_options);
VERB(enable, "[OPTION...] NAME [PATTERN...]", "record these events too", enable_options);
VERB(disable, "[OPTION...] NAME [PATTERN...]", "record these events no more", disable_options);
VERB(snapshot, "[OPTION...] NAME", "write what a flight recorder holds", snapshot_options);
VERB(rotate, "[OPTION...] NAME", "close this piece of the trace, begin another", look_options);
VERB(destroy, "[OPTION...] NAME...", "finish the trace and forget the session", look_options);

static const struct command *const verbs[] = {&verb_create, &verb_channel, &verb_list, &verb_start,
	&verb_stop, &verb_enable, &verb_disable, &verb_snapshot, &verb_rotate, &verb_destroy, NULL};

const struct command command_session = {
	.name = "session",
	.summary = "make, start, stop and change sessions of a running host",
	.usage = "VERB [OPTION...] NAME",
	.verbs = verbs,
	.notes = "examples, with `cairn daemon` running:\n"
		 "  cairn session create web -e 'http:*' -o /tmp/web --start\n"
		 "  cairn session stop web\n"
		 "  cairn session create box --mode overwrite -k 'sched:*' --start\n"
		 "  cairn session snapshot box -o /tmp/last-moments",
	.run = run_verb,
};

/* ---- what all verbs do ---- */

struct call {
	const struct command *c;
	struct recording what;
	struct recording_kernel kernel;
	struct strings names; /* positional arguments */
	bool start, all;
	struct cairn_control *ctl; /* owned */
	struct cairn_error err;
	struct out out;
};

static void auto_call(struct call *k)
{
	auto_recording(&k->what);
	auto_recording_kernel(&k->kernel);
	auto_strings(&k->names);
	cairn_control_free(k->ctl);
	out_done(&k->out);
}

/* Parses, checks the number of arguments, connects. CALL_GO, or the exit code. */
enum { CALL_GO = -1 };
static int call_begin(
	struct call *k, const struct command *c, int argc, char **argv, size_t min, size_t max)
{
	struct args a;
	int got, ret = CLI_OK;

	*k = (struct call){.c = c};
	recording_init(&k->what);
	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while (ret == CLI_OK && (got = args_next(&a)) != ARG_END) {
		if (got == ARG_HELP || got == ARG_BAD)
			return args_exit(got);
		if (got == ARG_POSITIONAL)
			ret = strings_add(&k->names, a.value) == 0
				? CLI_OK
				: fail_text(c, NULL, "out of memory");
		else if (got == OPT_S_START)
			k->start = true;
		else if (got == OPT_S_ALL)
			k->all = true;
		else if (recording_kernel_is(got))
			ret = recording_kernel_option(&k->kernel, c, got, a.value);
		else
			ret = recording_option(&k->what, c, got, a.value);
	}
	if (ret == CLI_OK)
		ret = recording_kernel_check(&k->kernel, c);
	if (ret != CLI_OK)
		return ret;
	if (k->names.len < min)
		return usage_error(c,
			k->names.len ? "an argument is missing"
				     : "the name of a session is missing");
	if (k->names.len > max)
		return usage_error(c, "'%s': one argument too many", k->names.items[max]);
	if (out_init(&k->out, STDOUT_FILENO) != 0)
		return fail_text(c, NULL, "out of memory");
	if (cairn_connect(k->what.host, &k->ctl, &k->err) < 0)
		return fail(c, &k->err);
	return CALL_GO;
}

static int call_end(struct call *k)
{
	if (out_flush(&k->out) != 0 && k->out.err != -EPIPE)
		return fail_text(k->c, NULL, "cannot write: %s", strerror(-k->out.err));
	return CLI_OK;
}

/* What programs answered; a program that failed makes the command fail. */
static int call_report(struct call *k, const struct cairn_report *report, const char *what)
{
	if (k->what.json) {
		report_json(&k->out, report);
		out_char(&k->out, '\n');
	} else
		report_say(k->c, report, what);
	return call_end(k) != CLI_OK || report->failed ? CLI_FAIL : CLI_OK;
}

/* The host has a working directory of its own: gives it whole paths. NULL: out of memory. */
static const char *whole_path(const char *path, struct buf *b)
{
	char cwd[PATH_MAX];

	if (path[0] == '/')
		return path;
	if (!getcwd(cwd, sizeof(cwd)))
		return path;
	buf_printf(b, "%s/%s", cwd, path);
	return b->err ? NULL : b->data;
}

/* ---- the verbs ---- */

static int run_create(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	struct buf path AUTO(buf) = {0};
	int got = call_begin(&k, c, argc, argv, 1, 1), nrules;
	struct cairn_report report = {0};
	struct cairn_session_config cfg = {.size = sizeof(cfg), .output_fd = -1};
	struct cairn_kernel_config kernel;
	bool own;

	if (got != CALL_GO)
		return got;
	own = k.what.events.len > 0;
	/* Saying nothing means all events only with --start; else they come by `enable`. */
	nrules = recording_rules(&k.what, k.start);
	if (nrules < 0 || recording_kernel_config(&k.kernel, &kernel) < 0 ||
		(k.what.output && !(k.what.output = whole_path(k.what.output, &path))))
		return fail_text(c, NULL, "out of memory");
	cfg.name = k.names.items[0];
	cfg.output = k.what.output;
	cfg.channels = &k.what.channel;
	cfg.nchannels = 1;
	cfg.rules = k.what.rules;
	cfg.nrules = (size_t)nrules;
	cfg.pids = k.what.pids;
	cfg.npids = k.what.npids;
	cfg.ctf_version = k.what.ctf_version;
	kernel.all = k.all;
	kernel.flight_recorder = k.what.channel.mode == CAIRN_CHANNEL_OVERWRITE;
	cfg.kernel = recording_kernel_any(&k.kernel) ? &kernel : NULL;
	if (reach_exist(c, cfg.pids, cfg.npids) != CLI_OK)
		return CLI_FAIL;
	got = cairn_session_create(k.ctl, &cfg, &k.err);
	if (got < 0)
		return fail_by(c, got, &k.err);
	if (cfg.npids && (!cfg.kernel || own)) /* the kernel reaches all */
		reach_wait(c, k.ctl, cfg.pids, cfg.npids);
	if (!k.start) {
		if (k.what.json)
			out_str(&k.out, "{}\n");
		return call_end(&k);
	}
	if (cairn_session_start(k.ctl, cfg.name, k.what.timeout_ms, &report, &k.err) < 0) {
		got = recording_kernel_refused(&k.kernel, c) ? CLI_FAIL : fail(c, &k.err);
		(void)cairn_session_destroy(k.ctl, cfg.name, NULL); /* it never was */
		return got;
	}
	return call_report(&k, &report, "be traced");
}

static int run_channel(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	int got = call_begin(&k, c, argc, argv, 2, 2);

	if (got != CALL_GO)
		return got;
	k.what.channel.name = k.names.items[1];
	got = cairn_channel_add(k.ctl, k.names.items[0], &k.what.channel, &k.err);
	if (got < 0)
		return fail_by(c, got, &k.err);
	return CLI_OK;
}

static int run_start(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	struct cairn_report report = {0};
	int got = call_begin(&k, c, argc, argv, 1, 1);

	if (got != CALL_GO)
		return got;
	if (cairn_session_start(k.ctl, k.names.items[0], k.what.timeout_ms, &report, &k.err) < 0)
		return fail(c, &k.err);
	return call_report(&k, &report, "be traced");
}

static int run_stop(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	struct cairn_report report = {0};
	int got = call_begin(&k, c, argc, argv, 1, 1);

	if (got != CALL_GO)
		return got;
	if (cairn_session_stop(k.ctl, k.names.items[0], k.what.timeout_ms, &report, &k.err) < 0)
		return fail(c, &k.err);
	return call_report(&k, &report, "stop");
}

static void report_sum(struct cairn_report *sum, const struct cairn_report *r)
{
	sum->asked = MAX(sum->asked, r->asked);
	if (r->failed + r->late >= sum->failed + sum->late) { /* the worst one is told */
		unsigned asked = sum->asked;

		*sum = *r;
		sum->asked = asked;
	}
}

/* Patterns may be said with -e or without. */
static int take_patterns(struct call *k)
{
	for (size_t i = 1; i < k->names.len; i++)
		if (strings_add(&k->what.events, k->names.items[i]) != 0)
			return fail_text(k->c, NULL, "out of memory");
	if (!k->what.events.len && !recording_kernel_any(&k->kernel))
		return usage_error(
			k->c, "say which events: 'provider:event*', or -k 'system:name*'");
	return CALL_GO;
}

static int enable_kernel(struct call *k)
{
	struct cairn_kernel_config kernel;

	if (!recording_kernel_any(&k->kernel))
		return CALL_GO;
	if (recording_kernel_config(&k->kernel, &kernel) < 0)
		return fail_text(k->c, NULL, "out of memory");
	if (cairn_session_enable_kernel(k->ctl, k->names.items[0], &kernel, &k->err) < 0)
		return recording_kernel_refused(&k->kernel, k->c) ? CLI_FAIL : fail(k->c, &k->err);
	return CALL_GO;
}

static int run_enable(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	struct cairn_report sum = {0}, report = {0};
	int got = call_begin(&k, c, argc, argv, 1, SIZE_MAX);

	if (got == CALL_GO)
		got = take_patterns(&k);
	if (got == CALL_GO)
		got = enable_kernel(&k);
	if (got != CALL_GO)
		return got;
	got = recording_rules(&k.what, false);
	if (got < 0)
		return fail_text(c, NULL, "out of memory");
	for (int i = 0; i < got; i++) {
		if (cairn_session_enable(k.ctl, k.names.items[0], &k.what.rules[i],
			    k.what.timeout_ms, &report, &k.err) < 0)
			return fail(c, &k.err);
		report_sum(&sum, &report);
	}
	return call_report(&k, &sum, "switch on events");
}

static int run_disable(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	struct cairn_report sum = {0}, report = {0};
	int got = call_begin(&k, c, argc, argv, 1, SIZE_MAX);

	if (got == CALL_GO)
		got = take_patterns(&k);
	if (got != CALL_GO)
		return got;
	for (size_t i = 0; i < k.kernel.events.len; i++)
		if (cairn_session_disable_kernel(
			    k.ctl, k.names.items[0], k.kernel.events.items[i], &k.err) < 0)
			return fail(c, &k.err);
	for (size_t i = 0; i < k.what.events.len; i++) {
		if (cairn_session_disable(k.ctl, k.names.items[0], k.what.events.items[i],
			    k.what.channel.name, k.what.timeout_ms, &report, &k.err) < 0)
			return fail(c, &k.err);
		report_sum(&sum, &report);
	}
	return call_report(&k, &sum, "switch off events");
}

static int say_directory(struct call *k, const char *dir)
{
	if (k->what.json) {
		out_str(&k->out, "{\"directory\": ");
		out_json(&k->out, dir, strlen(dir));
		out_str(&k->out, "}\n");
	} else
		out_printf(&k->out, "%s\n", dir);
	return call_end(k);
}

static int run_snapshot(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	struct buf path AUTO(buf) = {0};
	char dir[PATH_MAX] = "";
	int got = call_begin(&k, c, argc, argv, 1, 1);

	if (got != CALL_GO)
		return got;
	if (k.what.output && !(k.what.output = whole_path(k.what.output, &path)))
		return fail_text(c, NULL, "out of memory");
	if (cairn_session_snapshot(
		    k.ctl, k.names.items[0], k.what.output, dir, sizeof(dir), &k.err) < 0)
		return fail(c, &k.err);
	return say_directory(&k, dir);
}

static int run_rotate(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	char dir[PATH_MAX] = "";
	int got = call_begin(&k, c, argc, argv, 1, 1);

	if (got != CALL_GO)
		return got;
	if (cairn_session_rotate(k.ctl, k.names.items[0], dir, sizeof(dir), &k.err) < 0)
		return fail(c, &k.err);
	return say_directory(&k, dir);
}

static int run_destroy(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	int got = call_begin(&k, c, argc, argv, 1, SIZE_MAX), ret = CLI_OK;

	if (got != CALL_GO)
		return got;
	for (size_t i = 0; i < k.names.len; i++)
		if (cairn_session_destroy(k.ctl, k.names.items[i], &k.err) < 0)
			ret = fail(c, &k.err); /* the others go all the same */
	return ret;
}

static int run_list(const struct command *c, int argc, char **argv)
{
	struct call k AUTO(call);
	struct cairn_session_info *list;
	int got = call_begin(&k, c, argc, argv, 0, 1);
	size_t n;

	if (got != CALL_GO)
		return got;
	if (cairn_session_list(k.ctl, k.names.len ? k.names.items[0] : NULL, &list, &n, &k.err) < 0)
		return fail(c, &k.err);
	if (k.what.json) {
		sessions_json(&k.out, list, n);
		out_char(&k.out, '\n');
	} else if (n == 0)
		out_str(&k.out, "No sessions. `cairn session create NAME --start` makes one.\n");
	else
		sessions_text(&k.out, list, n);
	cairn_session_list_free(list);
	return call_end(&k);
}
