/* cairn record: its options, and the session made of them. The recording itself: record-run.c. */
#include "cli/record.h"
#include "cli/commands.h"
#include "cli/preload.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OPT_R_WITH = OPT_FIRST, OPT_R_DURATION, OPT_R_RING_DIR, OPT_R_ALL, OPT_R_QUIET = 'q' };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_OUTPUT, 'o', "output", "DIR",
		"the trace; default ./cairn-DATE-TIME; '-': stream\nit to stdout"},
	ROW_EVENT,
	ROW_EXCLUDE,
	ROW_LOGLEVEL,
	{OPT_R_WITH, 0, "with", "LIST", "also record what unmodified programs do:\nlibc, pthread"},
	ROW_MODE,
	ROW_RING_SIZE,
	ROW_BLOCK_TIME,
	ROW_CONTEXT,
	{OPT_R_DURATION, 0, "duration", "TIME", "stop recording after TIME: 10s, 500ms, 2m"},
	{OPT_R_RING_DIR, 0, "ring-dir", "DIR",
		"keep rings as files in DIR, for `cairn recover`\nafter a crash of the machine"},
	ROW_CTF2,
	{OPT_PID, 'p', "pid", "PID",
		"record these running programs and their\nchildren; ids by commas"},
	{OPT_R_ALL, 'a', "all", NULL,
		"record every program of this user; with -k, all\nthat the kernel sees (also beside a COMMAND)"},
	ROW_KERNEL,
	ROW_KERNEL_FILTER,
	ROWS_KERNEL_HOW,
	ROWS_PROBES,
	{OPT_R_QUIET, 'q', "quiet", NULL, "no progress and no summary"},
	{0},
};

const struct command command_record = {
	.name = "record",
	.summary = "run a command, or find programs, and record their events",
	.usage = "[OPTION...] -- COMMAND [ARGUMENT...]\n[OPTION...] -p PID\n[OPTION...] --all",
	.options = options,
	.notes =
		"Ctrl-C ends a recording. The exit status is COMMAND's (128 + signal if killed).\n\n"
		"examples:\n"
		"  cairn record -- ./server             events marked in ./server\n"
		"  cairn record --with libc -- ls -l    what ls asks of the C library\n"
		"  cairn record -e 'http:*' --all --duration 10s\n"
		"  cairn record -k 'sched:*' -k 'syscalls:sys_enter_open*' -- ./server",
	.run = run,
};

/* "libc,pthread" into the paths of the wrapper libraries, by ':'. */
static int with(struct record *r, const struct command *c, const char *list)
{
	static const char *const names[] = {"libc", "pthread", NULL};
	const char *s = list;

	while (*s) {
		size_t len = strcspn(s, ","), i = 0;
		char name[32], path[4096];

		while (names[i] && (strlen(names[i]) != len || memcmp(names[i], s, len) != 0))
			i++;
		if (!names[i])
			return usage_error(
				c, "--with: '%.*s' is none of libc, pthread", (int)len, s);
		(void)snprintf(name, sizeof(name), "libcairn-%s.so", names[i]); /* fits */
		if (library_find(name, path, sizeof(path)) != 0)
			return fail_text(c,
				"it lies beside the program `cairn`, or is installed with it",
				"%s was not found", name);
		if (strpbrk(path, ": "))
			return fail_text(c, "move Cairn to a path without them",
				"%s: LD_PRELOAD cannot hold paths with spaces or colons", path);
		if (r->preload.len)
			buf_char(&r->preload, ':');
		buf_str(&r->preload, path);
		s += len + (s[len] == ',');
	}
	return r->preload.err ? fail_text(c, NULL, "out of memory") : CLI_OK;
}

static int option(struct record *r, const struct command *c, int id, const char *value)
{
	if (recording_kernel_is(id))
		return recording_kernel_option(&r->kernel, c, id, value);
	switch (id) {
	case OPT_R_WITH: return with(r, c, value);
	case OPT_R_ALL: r->all = true; return CLI_OK;
	case OPT_R_QUIET: r->quiet = true; return CLI_OK;
	case OPT_R_RING_DIR: r->ring_dir = value; return CLI_OK;
	case OPT_R_DURATION:
		if (parse_duration_ns(value, &r->duration_ns) == 0 && r->duration_ns)
			return CLI_OK;
		return usage_error(c, "'%s' is not a time; examples: 500ms, 10s, 2m", value);
	default: return recording_option(&r->what, c, id, value);
	}
}

/* Who is recorded: exactly one of a command, -p, --all. */
static int check(struct record *r, const struct command *c)
{
	bool kernel = recording_kernel_any(&r->kernel);
	int ways = (r->argv != NULL) + (r->what.npids > 0) + (r->all && !(r->argv && kernel));

	if (ways == 0)
		return usage_error(c, "nothing to record: give -- COMMAND, -p PID or --all");
	if (ways > 1)
		return usage_error(c, "give only one of -- COMMAND, -p PID and --all");
	if (r->preload.len && !r->argv)
		return usage_error(
			c, "--with works with -- COMMAND: it acts when a program starts");
	for (size_t i = 0; i < r->what.npids; i++)
		if (kill(r->what.pids[i], 0) != 0 && errno == ESRCH)
			return fail_text(c, NULL, "there is no process %d", r->what.pids[i]);
	r->stream = r->what.output && strcmp(r->what.output, "-") == 0;
	if (recording_kernel_check(&r->kernel, c) != CLI_OK)
		return CLI_USAGE;
	if (r->stream && r->what.channel.mode == CAIRN_CHANNEL_OVERWRITE)
		return usage_error(c,
			"--mode overwrite keeps events in memory until the end; "
			"it cannot be streamed by -o -");
	if (r->stream && isatty(STDOUT_FILENO))
		return fail_text(c, "cairn record -o - ... | cairn print -",
			"-o - would write a binary trace to the terminal");
	return CLI_OK;
}

static void default_output(struct record *r)
{
	time_t t = time(NULL);
	struct tm tm;

	if (r->what.output || !localtime_r(&t, &tm))
		return;
	for (unsigned n = 1; n < 1000; n++) {
		size_t len = strftime(
			r->directory, sizeof(r->directory) - 8, "cairn-%Y%m%d-%H%M%S", &tm);

		if (n > 1)
			(void)snprintf(r->directory + len, 8, "-%u", n); /* fits */
		if (access(r->directory, F_OK) != 0)
			break;
	}
	r->what.output = r->directory;
}

static void command_text(struct record *r)
{
	for (char **a = r->argv; a && *a; a++) {
		if (r->command.len)
			buf_char(&r->command, ' ');
		buf_str(&r->command, *a);
	}
}

static int run(const struct command *c, int argc, char **argv)
{
	struct record r = {.c = c};
	struct args a;
	int got, ret = CLI_OK;

	recording_init(&r.what);
	args_init(&a, c, argc, argv, ARG_OPTIONS_FIRST);
	while (ret == CLI_OK && (got = args_next(&a)) != ARG_END) {
		if (got == ARG_POSITIONAL) {
			r.argv = argv + a.at - 1;
			break;
		}
		ret = got == ARG_HELP || got == ARG_BAD ? args_exit(got)
							: option(&r, c, got, a.value);
		if (got == ARG_HELP)
			break;
	}
	if (ret == CLI_OK && got != ARG_HELP) {
		ret = check(&r, c);
		if (ret == CLI_OK) {
			default_output(&r);
			command_text(&r);
			r.with = r.preload.len > 0;
			if (r.with && !preload_check(c, r.argv[0]))
				buf_done(&r.preload);
			ret = record_run(&r);
		}
	}
	buf_done(&r.preload);
	buf_done(&r.command);
	auto_recording_kernel(&r.kernel);
	auto_recording(&r.what);
	return ret;
}
