/* cairn user-events: a command whose marked events the kernel's own tools see.
 *
 * The command is executed with another runtime (src/uevents) in the place of Cairn's own: each marked
 * event is a user event of the kernel then, which perf, trace-cmd, bpftrace and `cairn record -k` can
 * record while the command runs.
 */
#include "cli/child.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{0},
};

const struct command command_user_events = {
	.name = "user-events",
	.summary = "run a command so that perf and trace-cmd see its events",
	.usage = "-- COMMAND [ARGUMENT...]",
	.options = options,
	.notes = "Its marked events are user_events of the kernel while it runs:\n"
		 "  cairn user-events -- ./server\n"
		 "  perf record -e 'user_events:http_*' -a\n"
		 "Sessions of Cairn record them by -k 'user_events:http_*', and not otherwise.",
	.run = run,
};

/* Says why the kernel cannot be told of events, if so. */
static int check_kernel(const struct command *c)
{
	static const char file[] = "/sys/kernel/tracing/user_events_data";

	if (access(file, R_OK | W_OK) == 0)
		return CLI_OK;
	if (errno == ENOENT && access("/sys/kernel/tracing/README", F_OK) == 0)
		return fail_text(c, "Linux 6.4 or later with CONFIG_USER_EVENTS",
			"this kernel has no user events");
	return fail_text(c,
		errno == EACCES ? "root may allow it: chmod of that file and its directory" : NULL,
		"%s: %s", file, strerror(errno));
}

static int run(const struct command *c, int argc, char **argv)
{
	char library[PATH_MAX];
	struct args a;
	int got;

	args_init(&a, c, argc, argv, ARG_OPTIONS_FIRST);
	got = args_next(&a);
	if (got == ARG_HELP || got == ARG_BAD)
		return args_exit(got);
	if (got != ARG_POSITIONAL)
		return usage_error(c, "a command is missing");
	argv += a.at - 1;
	if (library_find("libcairn-user-events.so", library, sizeof(library)) != 0)
		return fail_text(c, "it lies beside the program `cairn`, or is installed with it",
			"libcairn-user-events.so was not found");
	got = check_kernel(c);
	if (got != CLI_OK)
		return got;
	if (setenv("CAIRN_RT", library, 1) != 0)
		return fail_text(c, NULL, "out of memory");
	(void)execvp(argv[0], argv);
	return fail_text(c, NULL, "cannot run %s: %s", argv[0], strerror(errno));
}
