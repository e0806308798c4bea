/* cairn print: a trace as text, one line an event, in time order. */
#include "cli/commands.h"
#include "cli/reading.h"
#include "view/stacks.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	OPT_P_STYLE = OPT_FIRST,
	OPT_P_JSON,
	OPT_P_TIME,
	OPT_P_STACKS,
	OPT_P_FOLLOW = 'f',
	OPT_P_LIMIT = 'n',
	OPT_P_QUIET = 'q'
};

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	ROW_R_EVENT,
	ROW_R_EXCLUDE,
	ROW_R_PID,
	ROW_R_TID,
	ROW_R_SINCE,
	ROW_R_UNTIL,
	{OPT_P_LIMIT, 'n', "limit", "N", "stop after N lines"},
	{OPT_P_FOLLOW, 'f', "follow", NULL, "go on as the trace grows, until Ctrl-C"},
	{OPT_P_JSON, 0, "json", NULL, "one JSON object a line"},
	{OPT_P_STYLE, 0, "style", "STYLE",
		"trace (as the kernel's; default), babeltrace,\njson, report (as trace-cmd's; default for\ntrace.dat)"},
	{OPT_P_TIME, 0, "time", "KIND",
		"what is shown as time: clock (seconds since\nboot; default), unix, start, date (default of\nstyle babeltrace)"},
	{OPT_P_STACKS, 0, "stacks", NULL, "stacks as functions, files and lines, one a line"},
	{OPT_P_QUIET, 'q', "quiet", NULL, "say nothing of lost events and cut files"},
	{0},
};

const struct command command_print = {
	.name = "print",
	.summary = "print the events of a trace",
	.usage = "[OPTION...] DIR...\n[OPTION...] -",
	.options = options,
	.notes = "DIR is any trace in CTF 1.8 or 2 (Cairn's, LTTng's...); several are merged by\n"
		 "time. '-' reads what `cairn record -o -` writes.\n\n"
		 "examples:\n"
		 "  cairn print -e 'libc:*' -p python3 trace | less\n"
		 "  cairn print --since +2s --until +3s trace\n"
		 "  cairn record -o - -- make | cairn print -",
	.run = run,
};

static volatile sig_atomic_t interrupted; /* written by the handler, read by the loop */

static void on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

struct printing {
	struct reading reading;
	struct view view;
	struct out out;
	enum view_style style;
	bool as_said; /* style or time was asked for */
	bool time_said;
	enum view_time time;
	uint64_t limit, printed;
	bool quiet, name_stacks;
	struct stacks *stacks; /* owned */
};

static int choose(const struct command *c, const char *what, const char *value,
	const char *const *names, int *ret)
{
	const char *near;

	for (int i = 0; names[i]; i++)
		if (strcmp(value, names[i]) == 0) {
			*ret = i;
			return CLI_OK;
		}
	near = suggest(value, names);
	return usage_error(c, "unknown %s '%s'%s%s%s", what, value, near ? "; did you mean '" : "",
		near ? near : "", near ? "'?" : "");
}

static int option(struct printing *p, const struct command *c, int id, const char *value)
{
	static const char *const styles[] = {"trace", "babeltrace", "json", "report", NULL};
	static const char *const times[] = {"clock", "unix", "start", "date", NULL};
	int n = 0, got;

	switch (id) {
	case OPT_P_JSON:
		p->style = VIEW_JSON;
		p->as_said = true;
		return CLI_OK;
	case OPT_P_STYLE:
		got = choose(c, "style", value, styles, &n);
		p->style = (enum view_style)n;
		p->as_said = true;
		return got;
	case OPT_P_TIME:
		got = choose(c, "kind of time", value, times, &n);
		p->time = (enum view_time)n;
		p->as_said = p->time_said = true;
		return got;
	case OPT_P_FOLLOW: p->reading.follow = true; return CLI_OK;
	case OPT_P_STACKS: p->name_stacks = true; return CLI_OK;
	case OPT_P_QUIET: p->quiet = true; return CLI_OK;
	case OPT_P_LIMIT:
		if (parse_u64(value, &p->limit) == 0 && p->limit > 0)
			return CLI_OK;
		return usage_error(c, "'%s' is not a number of lines", value);
	default: return reading_option(&p->reading, id, value);
	}
}

/* 1: go on; 0: enough; -ENOMEM. */
static int event(struct printing *p, const struct cairn_event *ev)
{
	int got = view_learn(&p->view, ev);

	if (got < 0)
		return got;
	if (ev->time_ns >= p->reading.until_ns && !p->reading.follow)
		return 0; /* what follows is later */
	got = reading_chosen(&p->reading, &p->view.threads, ev);
	if (got <= 0)
		return got < 0 ? got : 1;
	got = view_event(&p->view, ev);
	if (got < 0)
		return got;
	return ++p->printed != p->limit && !p->out.err;
}

/* Prints until the end; CLI_OK or CLI_FAIL. */
static int loop(struct printing *p, const struct command *c)
{
	struct reading *r = &p->reading;
	struct cairn_error err = {0};
	struct cairn_item item;
	int got, more = 1;

	while (more > 0 && !interrupted && (got = cairn_reader_next(r->reader, &item, &err)) != 0) {
		if (got < 0) {
			(void)out_flush(&p->out); /* what there is; its error is seen below */
			return fail(c, &err);
		}
		switch (item.kind) {
		case CAIRN_ITEM_EVENT: more = event(p, item.event); break;
		case CAIRN_ITEM_LOSS:
			view_loss(&p->view, item.loss);
			reading_loss(r, item.loss);
			break;
		case CAIRN_ITEM_NOTICE:
			(void)out_flush(&p->out); /* in order on a terminal */
			if (!p->quiet)
				reading_notice(r, item.notice);
			break;
		case CAIRN_ITEM_WAIT:
			if (out_flush(&p->out) == 0)
				(void)cairn_reader_wait(r->reader, -1); /* any result: look again */
			more = p->out.err == 0;
			break;
		}
	}
	if (more < 0)
		return fail_text(c, NULL, "out of memory");
	return CLI_OK;
}

static void say_lost(const struct reading *r)
{
	char n[HUMAN_MAX];

	if (r->lost_total) {
		(void)fprintf(
			stderr, "cairn: %s events were lost (", human_count(n, r->lost_total));
		for (size_t i = 0; i < r->nlost; i++)
			(void)fprintf(stderr, "%s%s %s", i ? ", " : "", r->lost_name[i],
				human_count(n, r->lost[i]));
		(void)fputs(")\n", stderr);
	}
	if (r->lost_unknown)
		say("events may be missing at %s more places", human_count(n, r->lost_unknown));
	if (r->packets_lost)
		say("%s packets are missing", human_count(n, r->packets_lost));
}

/* What is all of trace-cmd's is shown as trace-cmd shows it, unless another way was asked for. */
static void choose_style(struct printing *p)
{
	const struct cairn_trace *trace;
	bool all = true;

	for (size_t i = 0; (trace = cairn_reader_trace(p->reading.reader, i)); i++)
		all = all && view_is_trace_dat(trace);
	if (all && !p->as_said && cairn_reader_trace(p->reading.reader, 0))
		p->style = VIEW_REPORT;
}

static int print(struct printing *p, const struct command *c)
{
	/* a second one ends it, whatever it waits for */
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	const struct cairn_trace *trace;
	int64_t begin_ns, end_ns;
	int got = reading_open(&p->reading);

	if (got != CLI_OK)
		return got;
	choose_style(p);
	if (p->style == VIEW_BABELTRACE && !p->time_said)
		p->time = VIEW_TIME_DATE; /* as it does */
	if (out_init(&p->out, STDOUT_FILENO) != 0 ||
		view_init(&p->view, &p->out, p->style, p->time) != 0)
		return fail_text(c, NULL, "out of memory");
	if (p->name_stacks && stacks_new(NULL, &p->stacks) < 0)
		return fail_text(c, NULL, "out of memory");
	p->view.stacks = p->stacks;
	if (p->time == VIEW_TIME_START &&
		cairn_reader_range(p->reading.reader, &begin_ns, &end_ns) == 0)
		view_set_start(&p->view, begin_ns);
	for (size_t i = 0; (trace = cairn_reader_trace(p->reading.reader, i)); i++)
		view_report_head(&p->view, trace);
	if (p->reading.follow || strcmp(p->reading.paths.items[0], "-") == 0)
		(void)sigaction(SIGINT, &sa, NULL); /* cannot fail: a known signal */
	got = loop(p, c);
	view_finish(&p->view);
	(void)out_flush(&p->out); /* looked at next */
	if (p->out.err == -EPIPE)
		return CLI_OK; /* the reader has seen enough */
	if (p->out.err)
		return fail_text(c, NULL, "cannot write: %s", strerror(-p->out.err));
	if (!p->quiet)
		say_lost(&p->reading);
	if (!p->quiet && !p->printed && got == CLI_OK && !interrupted && !p->reading.all)
		say("no event of the trace is one of those asked for");
	return got != CLI_OK ? got : reading_exit(&p->reading);
}

static int run(const struct command *c, int argc, char **argv)
{
	struct printing p = {.style = VIEW_TRACE};
	struct args a;
	int got, ret = CLI_OK;

	reading_init(&p.reading, c);
	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while (ret == CLI_OK && (got = args_next(&a)) != ARG_END) {
		if (got == ARG_HELP || got == ARG_BAD)
			ret = args_exit(got);
		else
			ret = option(&p, c, got, a.value);
		if (got == ARG_HELP)
			break;
	}
	if (ret == CLI_OK && got == ARG_END)
		ret = print(&p, c);
	view_done(&p.view);
	stacks_free(p.stacks);
	out_done(&p.out);
	auto_reading(&p.reading);
	return ret;
}
