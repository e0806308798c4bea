/* cairn boot read: what the kernel recorded from boot on, as a trace. */
#include "kernel/boot-read.h"
#include "cli/boot.h"
#include "view/out.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OPT_SNAPSHOT = OPT_FIRST, OPT_JSON };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{'o', 'o', "output", "DIR",
		"the trace to write, an instance a folder; default\n./cairn-boot"},
	{OPT_SNAPSHOT, 0, "snapshot", NULL, "read the snapshots instead of the buffers"},
	{OPT_JSON, 0, "json", NULL, "say what was read as JSON"},
	{0},
};

const struct command boot_verb_read = {
	.name = "read",
	.parent = "boot",
	.summary = "make a trace of what the kernel recorded from boot on",
	.usage = "[OPTION...] [INSTANCE...]",
	.options = options,
	.notes = "Without INSTANCE: those that this boot's command line and bootconfig made, and\n"
		 "the top one if they had it record. `top` is the top one. What is read is gone\n"
		 "from the kernel's buffers (not from snapshots); tracing goes on.",
	.run = run,
};

struct request {
	const struct command *c;
	const char *output;
	bool snapshot, json;
	struct tracefs *top; /* owned */
	struct boot_list named; /* instances */
	struct arena arena;
	struct buf said; /* JSON */
	uint64_t events;
};

static void auto_request(struct request *q)
{
	tracefs_free(q->top);
	free(q->named.items);
	arena_done(&q->arena);
	buf_done(&q->said);
}

static bool is_top(const char *name)
{
	return strcmp(name, "top") == 0;
}

/* What this boot was told to record. */
static int find_named(struct request *q)
{
	AUTO(buf) struct buf cmdline = {0}, config = {0};
	bool top = false;
	int r;

	(void)read_file("/proc/cmdline", 1 << 20, &cmdline); /* none: nothing named */
	(void)read_file("/proc/bootconfig", 1 << 20, &config); /* often there is none */
	r = boot_named(cmdline.data ? cmdline.data : "", config.data ? config.data : "", &q->arena,
		&q->named, &top);
	if (r == 0 && top)
		r = boot_list_add(&q->named, "top");
	if (r < 0)
		return fail_text(q->c, NULL, "out of memory");
	if (q->named.len == 0)
		return fail_text(q->c, "name an instance, or `top`: cairn boot read INSTANCE",
			"this boot was not told to record anything");
	return CLI_OK;
}

static void say_report(
	struct request *q, const char *name, const char *dir, const struct boot_read_report *report)
{
	char a[HUMAN_MAX];

	if (q->json) {
		buf_str(&q->said, q->said.len ? ",{\"instance\":" : "[{\"instance\":");
		buf_json_str(&q->said, name, strlen(name));
		buf_str(&q->said, ",\"trace\":");
		buf_json_str(&q->said, dir, strlen(dir));
		buf_printf(&q->said, ",\"clock\":\"%s\",\"events\":%llu,\"lost\":%llu,\"cpus\":%u}",
			report->clock.name, (unsigned long long)report->events,
			(unsigned long long)report->lost, report->cpus);
		return;
	}
	say("%s: %s events of %u CPUs by the clock %s", name, human_count(a, report->events),
		report->cpus, report->clock.name);
	if (report->lost)
		say("%s: %s events were lost", name, human_count(a, report->lost));
}

static int read_one(struct request *q, const char *name)
{
	struct tracefs *in = NULL;
	struct boot_read_report report;
	AUTO(buf) struct buf dir = {0};
	struct error e = {0};
	int r = 0;

	buf_printf(&dir, "%s/%s", q->output, name);
	if (dir.err)
		return fail_text(q->c, NULL, "out of memory");
	if (!is_top(name))
		r = tracefs_instance_open(q->top, name, &in, &e);
	if (r == 0)
		r = boot_read_instance(
			in ? in : q->top, q->snapshot, dir.data, CAIRN_VERSION, &report, &e);
	tracefs_free(in);
	if (r < 0)
		return fail_error(q->c, 0, &e);
	q->events += report.events;
	say_report(q, name, dir.data, &report);
	return CLI_OK;
}

static int finish(struct request *q)
{
	int r;

	if (q->json) {
		buf_str(&q->said, "]\n");
		r = q->said.err ? q->said.err : write_all(STDOUT_FILENO, q->said.data, q->said.len);
		return r < 0 ? fail_text(q->c, NULL, "standard output: %s", strerror(-r)) : CLI_OK;
	}
	if (q->events)
		(void)fprintf(stderr, "cairn: next: cairn print %s\n", q->output);
	return CLI_OK;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct request q AUTO(request) = {.c = c, .output = "cairn-boot"};
	struct error e = {0};
	struct args a;
	int got, r = CLI_OK;

	(void)signal(SIGXFSZ, SIG_IGN); /* a failed write, which is said */
	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == 'o')
			q.output = a.value;
		else if (got == OPT_SNAPSHOT)
			q.snapshot = true;
		else if (got == OPT_JSON)
			q.json = true;
		else if (got != ARG_POSITIONAL)
			return args_exit(got);
		else if (boot_list_add(&q.named, a.value) != 0)
			return fail_text(c, NULL, "out of memory");
	}
	if (q.named.len == 0)
		r = find_named(&q);
	if (r == CLI_OK && tracefs_open(NULL, &q.top, &e) < 0)
		r = fail_error(c, 0, &e);
	for (size_t i = 0; r == CLI_OK && i < q.named.len; i++)
		r = read_one(&q, q.named.items[i]);
	return r == CLI_OK ? finish(&q) : r;
}
