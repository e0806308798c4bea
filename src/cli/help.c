/* Help, made from the tables of commands and options. Fits 80 columns (tools/check-man looks). */
#include "cli/cli.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 29 };

/* Prints text with each line after the first moved to `column`. */
static void indented(const char *text, int column)
{
	for (const char *p = text; *p; p++) {
		(void)putchar(*p);
		if (*p == '\n')
			(void)printf("%*s", column, "");
	}
	(void)putchar('\n');
}

static void option_line(const struct option_def *o)
{
	char left[96];
	int n = o->letter ? snprintf(left, sizeof(left), "  -%c, --%s%s%s", o->letter, o->name,
				    o->arg ? " " : "", o->arg ? o->arg : "")
			  : snprintf(left, sizeof(left), "      --%s%s%s", o->name,
				    o->arg ? " " : "", o->arg ? o->arg : "");

	if (n > HELP_COLUMN - 2)
		(void)printf("%s\n%*s", left, HELP_COLUMN, "");
	else
		(void)printf("%-*s", HELP_COLUMN, left);
	indented(o->help, HELP_COLUMN);
}

static bool flushed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	(void)fputs("cairn: cannot write help to stdout\n", stderr);
	return false;
}

static void usage_lines(const struct command *c)
{
	const char *form = c->usage;

	for (bool first = true; form; first = false) {
		const char *end = strchr(form, '\n');

		(void)printf("%s cairn %s%s%s %.*s\n", first ? "usage:" : "      ",
			c->parent ? c->parent : "", c->parent ? " " : "", c->name,
			end ? (int)(end - form) : (int)strlen(form), form);
		form = end ? end + 1 : NULL;
	}
}

bool help_command(const struct command *c)
{
	usage_lines(c);
	(void)printf("\n%c%s.\n\n", toupper((unsigned char)c->summary[0]), c->summary + 1);
	if (c->verbs) {
		for (const struct command *const *v = c->verbs; *v; v++)
			(void)printf("  %-10s %s\n", (*v)->name, (*v)->summary);
		(void)printf("\nFor one of them: cairn %s NAME --help\n\n", c->name);
	}
	for (const struct option_def *o = c->options; o && o->id; o++)
		option_line(o);
	option_line(&(struct option_def){1, 'h', "help", NULL, "this text"});
	if (c->notes)
		(void)printf("\n%s\n", c->notes);
	return flushed();
}

bool help_all(void)
{
	(void)puts("usage: cairn COMMAND [OPTION...] [ARGUMENT...]\n\n"
		   "Cairn traces programs: mark points in them, record, read.\n");
	for (const struct command *const *c = cli_commands; *c; c++)
		(void)printf("  %-10s %s\n", (*c)->name, (*c)->summary);
	(void)puts("\n  cairn COMMAND --help       the options of one command\n"
		   "  cairn --version            version\n\n"
		   "A first trace of a program nobody marked:\n"
		   "  cairn record --with libc -o /tmp/t -- ls -l\n"
		   "  cairn stat /tmp/t\n"
		   "  cairn print /tmp/t | less");
	return flushed();
}

static void table_rows(const struct command *c)
{
	static const struct option_def help = {1, 'h', "help", NULL, ""};
	const char *parent = c->parent ? c->parent : "";

	(void)printf("command\t%s%s%s\n", parent, c->parent ? " " : "", c->name);
	for (const struct option_def *o = c->options; o && o->id; o++)
		(void)printf("option\t%s%s%s\t%s%c\t--%s\t%s\n", parent, c->parent ? " " : "",
			c->name, o->letter ? "-" : "", o->letter ? o->letter : '.', o->name,
			o->arg ? o->arg : "");
	(void)printf("option\t%s%s%s\t-%c\t--%s\t\n", parent, c->parent ? " " : "", c->name,
		help.letter, help.name);
	for (const struct command *const *v = c->verbs; v && *v; v++)
		table_rows(*v);
}

int help_table(void)
{
	for (const struct command *const *c = cli_commands; *c; c++)
		table_rows(*c);
	return flushed() ? CLI_OK : CLI_FAIL;
}

/* Edit distance with swaps of neighbours counted once; words here are short. */
static unsigned distance(const char *a, const char *b)
{
	unsigned d[32][32];
	size_t n = strlen(a), m = strlen(b);

	if (n > 31 || m > 31)
		return 99;
	for (size_t i = 0; i <= n; i++)
		for (size_t j = 0; j <= m; j++) {
			unsigned best;

			if (i == 0 || j == 0) {
				d[i][j] = (unsigned)(i + j);
				continue;
			}
			best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
			best = MIN(best, d[i - 1][j] + 1);
			best = MIN(best, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				best = MIN(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	return d[n][m];
}

const char *suggest(const char *wrong, const char *const *names)
{
	const char *best = NULL;
	size_t len = strlen(wrong);
	unsigned least = 99;

	for (; *names; names++) {
		unsigned near = distance(wrong, *names);

		if (len >= 3 && strncmp(*names, wrong, len) == 0)
			near = 1; /* the beginning of it */
		if (near < least) {
			least = near;
			best = *names;
		}
	}
	return least <= 1 + len / 4 ? best : NULL;
}
