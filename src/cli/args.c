/* Options, from a command's table. As getopt_long, but a wrong option is answered with the right
 * one, and the table is the one that help prints. */
#include "cli/cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void args_init(struct args *a, const struct command *c, int argc, char **argv, enum arg_order o)
{
	*a = (struct args){.c = c, .argc = argc, .argv = argv, .order = o, .at = 1};
}

static int unknown_option(struct args *a, const char *name, size_t len)
{
	const char *names[64];
	size_t n = 0;
	char wrong[64];
	const char *near;

	(void)snprintf(wrong, sizeof(wrong), "%.*s", (int)len, name); /* a cut name is fine */
	for (const struct option_def *o = a->c->options; o && o->id && n < 62; o++)
		names[n++] = o->name;
	names[n++] = "help";
	names[n] = NULL;
	near = suggest(wrong, names);
	if (near)
		(void)usage_error(a->c, "unknown option --%s; did you mean --%s?", wrong, near);
	else
		(void)usage_error(a->c, "unknown option --%s", wrong);
	return ARG_BAD;
}

static int long_option(struct args *a, const char *s)
{
	const char *eq = strchr(s, '=');
	size_t len = eq ? (size_t)(eq - s) : strlen(s);

	if (len == 4 && memcmp(s, "help", 4) == 0)
		return help_command(a->c) ? ARG_HELP : ARG_BAD;
	for (const struct option_def *o = a->c->options; o && o->id; o++) {
		if (strlen(o->name) != len || memcmp(o->name, s, len) != 0)
			continue;
		a->value = eq ? eq + 1 : NULL;
		if (!o->arg && eq) {
			(void)usage_error(a->c, "option --%s takes no argument", o->name);
			return ARG_BAD;
		}
		if (o->arg && !eq) {
			if (a->at >= a->argc) {
				(void)usage_error(
					a->c, "option --%s needs an argument %s", o->name, o->arg);
				return ARG_BAD;
			}
			a->value = a->argv[a->at++];
		}
		return o->id;
	}
	return unknown_option(a, s, len);
}

static int letter_option(struct args *a)
{
	char c = *a->letters++;

	for (const struct option_def *o = a->c->options; o && o->id; o++) {
		if (o->letter != c)
			continue;
		a->value = NULL;
		if (o->arg) {
			if (*a->letters)
				a->value = a->letters;
			else if (a->at < a->argc)
				a->value = a->argv[a->at++];
			else {
				(void)usage_error(
					a->c, "option -%c needs an argument %s", c, o->arg);
				return ARG_BAD;
			}
			a->letters = NULL;
		}
		return o->id;
	}
	if (c == 'h')
		return help_command(a->c) ? ARG_HELP : ARG_BAD;
	(void)usage_error(a->c, "unknown option -%c", c);
	return ARG_BAD;
}

int args_next(struct args *a)
{
	char *s;

	if (a->letters && *a->letters)
		return letter_option(a);
	if (a->at >= a->argc)
		return ARG_END;
	s = a->argv[a->at++];
	if (!a->only_positional && s[0] == '-' && s[1]) {
		if (strcmp(s, "--") == 0) {
			a->only_positional = a->dashdash = true;
			return args_next(a);
		}
		if (s[1] == '-')
			return long_option(a, s + 2);
		a->letters = s + 1;
		return letter_option(a);
	}
	if (a->order == ARG_OPTIONS_FIRST)
		a->only_positional = true;
	a->value = s;
	return ARG_POSITIONAL;
}

int args_exit(int got)
{
	return got == ARG_HELP ? CLI_OK : CLI_USAGE;
}

int strings_add(struct strings *l, const char *s)
{
	const char **slot = VEC_ADD(l->items, l->len, l->cap);

	if (!slot)
		return -ENOMEM;
	*slot = s;
	return 0;
}

void auto_strings(struct strings *l)
{
	free(l->items);
}
