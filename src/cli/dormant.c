/* cairn dormant: the per-user setting that loads the runtime into every marked program.
 *
 * A program that starts while no session host is about loads nothing, and no later session can
 * reach it. With CAIRN_RT in its environment it loads the runtime all the same, which then waits for
 * a host. The setting is a file of environment.d(5), read when the user logs in:
 *
 *	$XDG_CONFIG_HOME/environment.d/50-cairn.conf	CAIRN_RT=/path/of/libcairn-rt.so
 */
#include "cli/child.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_FIRST, 0, "json", NULL, "answer in JSON (of status)"},
	{0},
};

const struct command command_dormant = {
	.name = "dormant",
	.summary = "let programs be reached that start before any session",
	.usage = "[OPTION...] on|off|status|env",
	.options = options,
	.notes = "on writes a setting for your next login: marked programs load the runtime\n"
		 "when they start, and it waits for a session. env prints the same for a shell:\n"
		 "  eval \"$(cairn dormant env)\"",
	.run = run,
};

struct dormant {
	const struct command *c;
	char runtime[PATH_MAX], dir[PATH_MAX], file[PATH_MAX + 32];
	bool json;
};

static int places(struct dormant *d)
{
	const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	int n;

	if (library_find("libcairn-rt.so", d->runtime, sizeof(d->runtime)) != 0)
		return fail_text(d->c,
			"it lies beside the program `cairn`, or is installed with it",
			"libcairn-rt.so was not found");
	if (config && *config)
		n = snprintf(d->dir, sizeof(d->dir), "%s/environment.d", config);
	else if (home && *home)
		n = snprintf(d->dir, sizeof(d->dir), "%s/.config/environment.d", home);
	else
		return fail_text(d->c, "set HOME", "there is no home directory");
	if (n < 0 || (size_t)n >= sizeof(d->dir))
		return fail_text(d->c, NULL, "the name of the home directory is too long");
	(void)snprintf(d->file, sizeof(d->file), "%s/50-cairn.conf", d->dir); /* fits */
	return CLI_OK;
}

static int on(struct dormant *d)
{
	struct buf text AUTO(buf) = {0};
	AUTO(fd) int fd = -1;
	int err = mkdir_p(d->dir, 0755);

	buf_printf(&text, "CAIRN_RT=%s\n", d->runtime);
	if (err == 0)
		err = text.err;
	if (err == 0) {
		fd = open(d->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		err = fd < 0 ? -errno : write_all(fd, text.data, text.len);
	}
	if (err)
		return fail_text(d->c, NULL, "cannot write %s: %s", d->file, strerror(-err));
	say("on from your next login; for this shell: eval \"$(cairn dormant env)\"");
	return CLI_OK;
}

static int off(struct dormant *d)
{
	if (unlink(d->file) != 0 && errno != ENOENT)
		return fail_text(d->c, NULL, "cannot remove %s: %s", d->file, strerror(errno));
	say("off from your next login; for this shell: unset CAIRN_RT");
	return CLI_OK;
}

static int status(struct dormant *d)
{
	const char *here = getenv("CAIRN_RT");
	bool set = access(d->file, F_OK) == 0;
	struct buf b AUTO(buf) = {0};

	here = here ? here : "";
	if (d->json) {
		buf_printf(&b, "{\"login\":%s,\"shell\":", set ? "true" : "false");
		buf_json_str(&b, here, strlen(here));
		buf_str(&b, "}\n");
	} else
		buf_printf(&b, "at login: %s (%s)\nin this shell: %s\n", set ? "on" : "off",
			d->file, *here ? here : "off");
	if (b.err || write_all(STDOUT_FILENO, b.data, b.len) != 0)
		return fail_text(d->c, NULL, "cannot write the answer");
	return CLI_OK;
}

static int env(struct dormant *d)
{
	struct buf b AUTO(buf) = {0};

	buf_str(&b, "export CAIRN_RT='");
	for (const char *s = d->runtime; *s; s++)
		if (*s == '\'')
			buf_str(&b, "'\\''");
		else
			buf_char(&b, *s);
	buf_str(&b, "'\n");
	if (b.err || write_all(STDOUT_FILENO, b.data, b.len) != 0)
		return fail_text(d->c, NULL, "cannot write the answer");
	return CLI_OK;
}

static int run(const struct command *c, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct dormant *d);
	} verbs[] = {{"on", on}, {"off", off}, {"status", status}, {"env", env}};
	struct dormant d = {.c = c};
	const char *verb = NULL;
	struct args a;
	int got;

	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == OPT_FIRST)
			d.json = true;
		else if (got != ARG_POSITIONAL)
			return args_exit(got);
		else if (verb)
			return usage_error(c, "one of on, off, status, env is enough");
		else
			verb = a.value;
	}
	for (size_t i = 0; verb && i < ARRAY_SIZE(verbs); i++)
		if (strcmp(verb, verbs[i].name) == 0)
			return places(&d) == CLI_OK ? verbs[i].run(&d) : CLI_FAIL;
	return verb ? usage_error(c, "'%s' is none of on, off, status, env", verb)
		    : usage_error(c, "say on, off, status or env");
}
