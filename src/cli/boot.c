/* cairn boot: tracing from boot on. Its verbs; one file each. */
#include "cli/boot.h"
#include "cli/commands.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct command *const verbs[] = {
	&boot_verb_write, &boot_verb_check, &boot_verb_apply, &boot_verb_read, NULL};

const struct command command_boot = {
	.name = "boot",
	.summary = "trace the kernel from boot on",
	.usage = "VERB [OPTION...]",
	.verbs = verbs,
	.notes = "examples:\n"
		 "  cairn boot write -k 'initcall:*' --tracer function_graph -o boot.conf\n"
		 "  cairn boot write --cmdline -k 'sched:*' --kernel-buffer 4M\n"
		 "  cairn boot check boot.conf\n"
		 "  cairn boot apply /boot/initrd.img boot.conf\n"
		 "  cairn boot read -o trace",
	.run = run_verb,
};

int boot_fault(const struct command *c, const char *name, const char *text, size_t len, size_t at,
	const char *message)
{
	unsigned line, column;
	size_t begin, end;

	text_place(text, len, at, &line, &column, &begin, &end);
	/* The window of a long line in which the place is. */
	if (column > 100)
		begin += column - 61;
	end = end - begin > 160 ? begin + 160 : end;
	(void)fprintf(stderr, "cairn%s%s %s: %s:%u:%u: %s\n    ", c->parent ? " " : "",
		c->parent ? c->parent : "", c->name, name, line, column, message);
	for (size_t i = begin; i < end; i++)
		(void)fputc(text[i] == '\t' || (text[i] >= ' ' && text[i] <= '~') ? text[i] : '?',
			stderr);
	(void)fputs("\n    ", stderr);
	for (size_t i = begin; i < at && i < len; i++)
		(void)fputc(text[i] == '\t' ? '\t' : ' ', stderr);
	(void)fputs("^\n", stderr);
	return CLI_FAIL;
}

int boot_read_text(const struct command *c, const char *path, size_t limit, struct buf *ret)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int r = read_file(is_stdin ? "/dev/stdin" : path, limit, ret);

	if (r == -EFBIG)
		return fail_text(c, NULL, "%s: longer than the %zu bytes it may have", path, limit);
	if (r < 0)
		return fail_text(
			c, NULL, "%s: %s", is_stdin ? "standard input" : path, strerror(-r));
	if (!ret->data)
		buf_add(ret, "", 0);
	return ret->err ? fail_text(c, NULL, "out of memory") : CLI_OK;
}
