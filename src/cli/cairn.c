/* The `cairn` program: a table of subcommands, and the way from argv to one of them. To add a
 * subcommand, add a file and a row. */
#include "cli/cli.h"
#include "cli/commands.h"
#include <signal.h>
#include <string.h>

static int run_help(const struct command *c, int argc, char **argv);

static const struct option_def help_options[] = {
	{OPT_FIRST, 0, "table", NULL, "every command and option, one a line, for scripts"},
	{0},
};

static const struct command command_help = {
	.name = "help",
	.summary = "say how commands are used",
	.usage = "[COMMAND [VERB]]",
	.options = help_options,
	.run = run_help,
};

const struct command *const cli_commands[] = {
	&command_record,
	&command_print,
	&command_stat,
	&command_list,
	&command_session,
	&command_daemon,
	&command_kernel,
	&command_recover,
	&command_dormant,
	&command_boot,
	&command_user_events,
	&command_help,
	NULL,
};

static const struct command *find(const struct command *const *table, const char *name)
{
	for (; *table; table++)
		if (strcmp((*table)->name, name) == 0)
			return *table;
	return NULL;
}

/* Says that `name` is no command (parent NULL) or no verb of `parent`. */
static int unknown(
	const struct command *parent, const struct command *const *table, const char *name)
{
	const char *names[32];
	size_t n = 0;
	const char *near;

	for (; table[n] && n < 31; n++)
		names[n] = table[n]->name;
	names[n] = NULL;
	near = suggest(name, names);
	return usage_error(parent, "unknown %s '%s'%s%s%s", parent ? "verb" : "command", name,
		near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int run_help(const struct command *c, int argc, char **argv)
{
	const struct command *of = NULL;
	struct args a;
	int got;

	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == OPT_FIRST) {
			return help_table();
		}
		if (got != ARG_POSITIONAL)
			return args_exit(got);
		const struct command *const *table = of ? of->verbs : cli_commands;
		const struct command *next = table ? find(table, a.value) : NULL;

		if (!next && table)
			return unknown(of, table, a.value);
		if (!next)
			return usage_error(c, "'%s' has no verbs", of->name);
		of = next;
	}
	return (of ? help_command(of) : help_all()) ? CLI_OK : CLI_FAIL;
}

/* A command with verbs: finds the verb and runs it. */
int run_verb(const struct command *c, int argc, char **argv)
{
	const struct command *verb;

	if (argc < 2)
		return usage_error(c, "a verb is missing");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help_command(c) ? CLI_OK : CLI_FAIL;
	verb = find(c->verbs, argv[1]);
	if (!verb)
		return unknown(c, c->verbs, argv[1]);
	return verb->run(verb, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	const struct command *c;

	/* Output into a closed pipe is an ordinary end; writers look at EPIPE. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc < 2)
		return usage_error(NULL, "a command is missing");
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return help_all() ? CLI_OK : CLI_FAIL;
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		(void)puts("cairn " CAIRN_VERSION);
		return fflush(stdout) == 0 ? CLI_OK : CLI_FAIL;
	}
	if (argv[1][0] == '-')
		return usage_error(NULL, "unknown option %s", argv[1]);
	c = find(cli_commands, argv[1]);
	if (!c)
		return unknown(NULL, cli_commands, argv[1]);
	return c->run(c, argc - 1, argv + 1);
}
