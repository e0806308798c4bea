/* What went wrong, as a user reads it on stderr: what, where, what to do next. */
#include "cli/cli.h"
#include <errno.h>
#include <string.h>

static void command_name(const struct command *c)
{
	(void)fprintf(stderr, "cairn%s%s%s%s: ", c && c->parent ? " " : "",
		c && c->parent ? c->parent : "", c ? " " : "", c ? c->name : "");
}

int usage_error(const struct command *c, const char *fmt, ...)
{
	va_list ap;

	command_name(c);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (c)
		(void)fprintf(stderr, "\ntry: cairn %s%s%s --help\n", c->parent ? c->parent : "",
			c->parent ? " " : "", c->name);
	else
		(void)fputs("\ntry: cairn help\n", stderr);
	return CLI_USAGE;
}

int fail(const struct command *c, const struct cairn_error *e)
{
	command_name(c);
	if (e->where[0])
		(void)fprintf(stderr, "%s: ", e->where);
	(void)fprintf(stderr, "%s\n", e->message[0] ? e->message : "failed");
	if (e->hint[0])
		(void)fprintf(stderr, "hint: %s\n", e->hint);
	return CLI_FAIL;
}

int fail_by(const struct command *c, int r, const struct cairn_error *e)
{
	int code = fail(c, e);

	return r == -EINVAL ? CLI_USAGE : code;
}

int fail_error(const struct command *c, int r, const struct error *e)
{
	struct cairn_error err;

	_Static_assert(sizeof(err) == sizeof(*e), "the same layout, see base.h");
	memcpy(&err, e, sizeof(err));
	return fail_by(c, r, &err);
}

int fail_text(const struct command *c, const char *hint, const char *fmt, ...)
{
	va_list ap;

	command_name(c);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	if (hint)
		(void)fprintf(stderr, "hint: %s\n", hint);
	return CLI_FAIL;
}

void say(const char *fmt, ...)
{
	va_list ap;

	(void)fputs("cairn: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}
