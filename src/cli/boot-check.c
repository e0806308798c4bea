/* cairn boot check: bootconfigs and kernel command lines, before the kernel reads them. */
#include "kernel/boot-check.h"
#include "cli/boot.h"
#include "view/out.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { OPT_CONFIG = OPT_FIRST, OPT_CMDLINE, OPT_LIST, OPT_NO_KERNEL, OPT_JSON };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_CONFIG, 0, "config", NULL, "it is a bootconfig"},
	{OPT_CMDLINE, 0, "cmdline", NULL, "it is a kernel command line"},
	{OPT_LIST, 0, "list", NULL, "print what is right: a line for each key or word"},
	{OPT_NO_KERNEL, 0, "no-kernel", NULL, "do not compare with the running kernel"},
	{OPT_JSON, 0, "json", NULL, "print what is wrong as JSON"},
	{0},
};

const struct command boot_verb_check = {
	.name = "check",
	.parent = "boot",
	.summary = "check a bootconfig or kernel command line",
	.usage = "[OPTION...] FILE|-",
	.options = options,
	.notes =
		"A text of several lines, or with braces, is taken for a bootconfig, one of words\n"
		"as name=value for a command line. Names of events, tracers, clocks and options\n"
		"are compared with the running kernel's, if it may be looked at.",
	.run = run,
};

struct check {
	const struct command *c;
	const char *name; /* of the text, for people */
	const char *text;
	size_t len;
	bool cmdline;
};

/* Looks at the running kernel. *ret_why: why not, if it cannot. */
static struct boot_kernel *look(struct boot_kernel *k, struct error *why)
{
	return boot_kernel_read(NULL, k, why) == 0 ? k : NULL;
}

static int examine(const struct check *q, struct boot_kernel *kernel, struct boot_report *report)
{
	int r = q->cmdline ? boot_check_cmdline(q->text, q->len, kernel, report)
			   : boot_check_config(q->text, q->len, kernel, report);

	return r < 0 ? fail_text(q->c, NULL, "out of memory") : CLI_OK;
}

static int say_findings(const struct check *q, const struct boot_report *report)
{
	for (size_t i = 0; i < report->len; i++)
		(void)boot_fault(q->c, q->name, q->text, q->len, report->items[i].at,
			report->items[i].message);
	return report->len ? CLI_FAIL : CLI_OK;
}

int boot_check_written(const struct command *c, bool cmdline, const char *text, size_t len)
{
	struct check q = {c, cmdline ? "command line" : "bootconfig", text, len, cmdline};
	struct boot_report report AUTO(boot_report) = {0};
	struct boot_kernel kernel AUTO(boot_kernel) = {0};
	struct error why = {0};
	int r = examine(&q, look(&kernel, &why), &report);

	if (r == CLI_OK && say_findings(&q, &report) != CLI_OK) {
		(void)fputs("hint: for another kernel than the running one: --no-kernel\n", stderr);
		return CLI_FAIL;
	}
	return r;
}

/* A bootconfig has more than one line or a brace; a command line neither. One line with a value of
 * several words, as "ftrace.events = a", is no command line: there, spaces end words. */
static bool looks_like_cmdline(const char *text, size_t len)
{
	const char *nl;
	bool quoted = false;

	while (len && strchr(" \t\n", text[len - 1]))
		len--;
	nl = memchr(text, '\n', len);
	if (nl || memchr(text, '{', len) || memchr(text, '#', len))
		return false;
	for (size_t i = 0; i + 1 < len; i++) {
		quoted ^= text[i] == '"';
		if (!quoted && text[i] == '=' && (text[i + 1] == ' ' || (i && text[i - 1] == ' ')))
			return false;
	}
	return len < 7 || strncmp(text, "ftrace.", 7) != 0;
}

static int print_json(const struct check *q, const struct boot_report *report, bool compared)
{
	AUTO(buf) struct buf b = {0};
	int r;

	buf_printf(&b, "{\"form\":\"%s\",\"compared\":%s,\"faults\":[",
		q->cmdline ? "cmdline" : "bootconfig", compared ? "true" : "false");
	for (size_t i = 0; i < report->len; i++) {
		unsigned line, column;
		size_t begin, end;

		text_place(q->text, q->len, report->items[i].at, &line, &column, &begin, &end);
		buf_printf(&b, "%s{\"line\":%u,\"column\":%u,\"message\":", i ? "," : "", line,
			column);
		buf_json_str(&b, report->items[i].message, strlen(report->items[i].message));
		buf_char(&b, '}');
	}
	buf_str(&b, "]}\n");
	r = b.err ? b.err : write_all(STDOUT_FILENO, b.data, b.len);
	if (r < 0)
		return fail_text(q->c, NULL, "standard output: %s", strerror(-r));
	return report->len ? CLI_FAIL : CLI_OK;
}

static void list_params(const struct check *q, struct buf *b)
{
	struct boot_params all AUTO(boot_params) = {0};
	struct text_fault f;

	if (boot_params_parse(q->text, q->len, &all, &f) < 0)
		return; /* was checked */
	for (size_t i = 0; i < all.len; i++)
		buf_printf(b, "%s%s%s\n", all.items[i].name, all.items[i].value ? " = " : "",
			all.items[i].value ? all.items[i].value : "");
}

static int print_list(const struct check *q)
{
	AUTO(buf) struct buf b = {0};
	struct bootconfig config AUTO(bootconfig) = {0};
	struct text_fault f;
	int r = 0;

	if (q->cmdline)
		list_params(q, &b);
	else if (bootconfig_parse(q->text, q->len, &config, &f) == 0)
		r = bootconfig_write(&config, BOOTCONFIG_LIST, &b, &f);
	/* Too long with its quotes: it is still what it is. */
	r = b.err ? b.err : r == -E2BIG || r == 0 ? write_all(STDOUT_FILENO, b.data, b.len) : r;
	return r < 0 ? fail_text(q->c, NULL, "standard output: %s", strerror(-r)) : CLI_OK;
}

struct request {
	const char *file;
	int form;
	bool list, json, no_kernel;
};

static int check(const struct command *c, const struct request *want)
{
	struct boot_report report AUTO(boot_report) = {0};
	struct boot_kernel kernel AUTO(boot_kernel) = {0};
	struct boot_kernel *seen = NULL;
	AUTO(buf) struct buf text = {0};
	struct error why = {0};
	struct check q = {.c = c, .name = strcmp(want->file, "-") ? want->file : "standard input"};
	int r = boot_read_text(c, want->file, 1 << 20, &text);

	if (r != CLI_OK)
		return r;
	q.text = text.data;
	q.len = text.len;
	q.cmdline = want->form ? want->form == OPT_CMDLINE : looks_like_cmdline(q.text, q.len);
	if (!want->no_kernel)
		seen = look(&kernel, &why);
	r = examine(&q, seen, &report);
	if (r != CLI_OK)
		return r;
	if (want->json)
		return print_json(&q, &report, seen != NULL);
	if (!seen && !want->no_kernel)
		say("not compared with the running kernel: %s", why.message);
	r = say_findings(&q, &report);
	return r == CLI_OK && want->list ? print_list(&q) : r;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct request want = {0};
	struct args a;
	int got;

	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		switch (got) {
		case OPT_CONFIG:
		case OPT_CMDLINE: want.form = got; break;
		case OPT_LIST: want.list = true; break;
		case OPT_NO_KERNEL: want.no_kernel = true; break;
		case OPT_JSON: want.json = true; break;
		case ARG_POSITIONAL:
			if (want.file)
				return usage_error(c, "'%s': one argument too many", a.value);
			want.file = a.value;
			break;
		default: return args_exit(got);
		}
	}
	return want.file ? check(c, &want) : usage_error(c, "a file (or -) is missing");
}
