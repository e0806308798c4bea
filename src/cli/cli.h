/* What the subcommands of `cairn` share: the table they stand in, options, errors, exit codes.
 *
 * A subcommand is one file and one row of the table in cairn.c: a struct command with its option
 * table. Help, the manual pages' check and completion all read that table, so an option cannot
 * exist without being documented. Only files of this folder parse argv and print.
 */
#ifndef CAIRN_CLI_H
#define CAIRN_CLI_H

#include "base/base.h"
#include <cairn/error.h>
#include <stdio.h>

/* Exit codes, for scripts: do not change. */
enum { CLI_OK = 0, CLI_FAIL = 1, CLI_USAGE = 2 };

struct option_def {
	int id; /* what args_next() gives; the letter if there is one; > 0 */
	char letter; /* 0 if it has none */
	const char *name; /* the long name, without the dashes */
	const char *arg; /* placeholder of its argument in help; NULL if it takes none */
	const char *help; /* one line or several; \n breaks */
};

/* Ids of options without a letter begin here; each command numbers its own. */
enum { OPT_FIRST = 256 };

struct command {
	const char *name; /* "record"; of a verb, "create" */
	const char *parent; /* of a verb: "session"; else NULL */
	const char *summary; /* one line */
	const char *usage; /* what follows the name, one form a line */
	const struct option_def *options; /* ends with id 0; NULL: only --help */
	const char *notes; /* paragraphs after the options in --help: examples; may be NULL */
	const struct command *const *verbs; /* NULL-terminated; NULL: no verbs */
	int (*run)(const struct command *c, int argc, char **argv);
};

extern const struct command *const cli_commands[]; /* cairn.c; NULL-terminated */

/* ---- options (args.c) ---- */

enum { ARG_END = 0, ARG_POSITIONAL = -1, ARG_BAD = -2, ARG_HELP = -3 };
enum arg_order {
	ARG_ANY_ORDER, /* options may follow positional arguments */
	ARG_OPTIONS_FIRST, /* everything from the first positional argument on is positional */
};

struct args {
	const struct command *c;
	int argc;
	char **argv; /* argv[0] is the command's name */
	enum arg_order order;
	int at; /* next argv to look at */
	const char *letters; /* rest of a "-abc" cluster */
	bool only_positional; /* after "--" */
	bool dashdash; /* a "--" was seen */
	const char *value; /* of the option or positional argument just given */
};

void args_init(struct args *a, const struct command *c, int argc, char **argv, enum arg_order o);
/* The next option's id, ARG_POSITIONAL, ARG_END, ARG_HELP after printing help (the command then
 * returns CLI_OK), or ARG_BAD after saying why on stderr (the command returns CLI_USAGE). */
int args_next(struct args *a);
/* CLI_OK after ARG_HELP, CLI_USAGE after ARG_BAD. */
int args_exit(int got);

/* ---- help (help.c) ---- */

/* Each prints help on stdout; false if that failed, once said on stderr. */
bool help_all(void);
bool help_command(const struct command *c);
int help_table(
	void); /* for tools/check-man: every command and option, one a line, tabs; an exit code */
/* Finds the most similar name, NULL if none is near. `names` ends with NULL. */
const char *suggest(const char *wrong, const char *const *names);

/* ---- what goes wrong (report.c): all on stderr ---- */

/* "cairn COMMAND: message" and CLI_USAGE, with where to find help. */
int usage_error(const struct command *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "cairn COMMAND: where: message" and its hint; CLI_FAIL. */
int fail(const struct command *c, const struct cairn_error *e);
/* The same; CLI_USAGE if the library's answer r is that an argument makes no sense (-EINVAL). */
int fail_by(const struct command *c, int r, const struct cairn_error *e);
/* The same, of the library's own struct; r may be 0. */
int fail_error(const struct command *c, int r, const struct error *e);
int fail_text(const struct command *c, const char *hint, const char *fmt, ...) PRINTF_LIKE(3, 4);
void say(const char *fmt, ...) PRINTF_LIKE(1, 2); /* information, as one line "cairn: ..." */

/* Lists of strings that options collect, as -e does. */
struct strings {
	const char **items; /* owned; the strings are argv's, or the arena's */
	size_t len, cap;
};
int strings_add(struct strings *l, const char *s); /* 0 or -ENOMEM */
void auto_strings(struct strings *l);

#endif
