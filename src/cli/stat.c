/* cairn stat: what is in a trace: events by name and process, rates, bytes, what was lost and why,
 * the time covered. */
#include "cli/commands.h"
#include "cli/reading.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { OPT_S_JSON = OPT_FIRST, OPT_S_TOP = 'n' };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	ROW_R_EVENT,
	ROW_R_EXCLUDE,
	ROW_R_PID,
	ROW_R_TID,
	ROW_R_SINCE,
	ROW_R_UNTIL,
	{OPT_S_TOP, 'n', "top", "N", "show the N most frequent of each; default 20"},
	{OPT_S_JSON, 0, "json", NULL, "one JSON object: events, lost, bytes, by_event..."},
	{0},
};

const struct command command_stat = {
	.name = "stat",
	.summary = "count the events of a trace, by name and process",
	.usage = "[OPTION...] DIR...\n[OPTION...] -",
	.options = options,
	.notes = "examples:\n"
		 "  cairn stat trace\n"
		 "  cairn stat --json trace | jq .by_event",
	.run = run,
};

struct count {
	uint64_t events, bytes;
	const char *name; /* borrowed: of an event class, or the thread's below */
	int64_t id; /* pid or tid */
	bool teaches; /* of an event class: it names threads */
};

struct thread_count {
	struct count n;
	int64_t tid, pid;
	char comm[THREAD_COMM + 1];
};

struct stat {
	struct reading reading;
	struct view view; /* only to learn names of threads */
	struct out out;
	struct count *classes; /* owned; by class */
	size_t nclasses;
	struct map threads; /* tid -> struct thread_count, owned */
	struct thread_count *last; /* the thread of the event before */
	struct count *processes; /* owned; made at the end */
	size_t nprocesses, processes_cap;
	struct count total;
	int64_t first_ns, last_ns;
	uint64_t stream_bytes;
	uint64_t top;
	bool json, narrowed; /* narrowed: not all events were asked for */
};

static struct thread_count *thread_of(struct stat *s, const struct cairn_event *ev)
{
	int64_t tid = cairn_event_tid(ev);
	struct thread_count *t;

	if (s->last && s->last->tid == tid)
		return s->last;
	t = map_get(&s->threads, &tid, sizeof(tid));
	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t || map_put(&s->threads, &tid, sizeof(tid), t) != 0) {
			free(t);
			return NULL;
		}
		t->tid = tid;
		t->pid = -1;
	}
	if (t->pid < 0)
		t->pid = threads_pid(&s->view.threads, ev, tid);
	(void)threads_comm(&s->view.threads, ev, tid, t->comm); /* else it stays as it was */
	return s->last = t;
}

/* The count of the event's class; NULL without memory. */
static struct count *class_of(struct stat *s, const struct cairn_event_class *cls)
{
	uint32_t i = cls->index;

	if (i >= s->nclasses) {
		size_t n = MAX((size_t)i + 1, 2 * s->nclasses + 64);
		struct count *p = realloc(s->classes, n * sizeof(*p));

		if (!p)
			return NULL;
		memset(p + s->nclasses, 0, (n - s->nclasses) * sizeof(*p));
		s->classes = p;
		s->nclasses = n;
	}
	if (!s->classes[i].name) {
		s->classes[i].name = cls->name;
		s->classes[i].teaches = threads_teaches(cls);
	}
	return &s->classes[i];
}

static int count(struct stat *s, const struct cairn_event *ev)
{
	struct count *c = class_of(s, ev->cls);
	struct thread_count *t;

	if (!c)
		return -ENOMEM;
	if (c->teaches)
		(void)threads_learn(&s->view.threads, ev); /* changed or not */
	if (!s->reading.all && reading_chosen(&s->reading, &s->view.threads, ev) <= 0)
		return 0;
	t = thread_of(s, ev);
	if (!t)
		return -ENOMEM;
	c->events++;
	c->bytes += ev->bytes;
	t->n.events++;
	t->n.bytes += ev->bytes;
	if (s->first_ns > ev->time_ns)
		s->first_ns = ev->time_ns;
	if (s->last_ns < ev->time_ns)
		s->last_ns = ev->time_ns;
	return 0;
}

static void sum_classes(struct stat *s)
{
	for (size_t i = 0; i < s->nclasses; i++) {
		s->total.events += s->classes[i].events;
		s->total.bytes += s->classes[i].bytes;
	}
}

static int read_all(struct stat *s, const struct command *c)
{
	struct reading *r = &s->reading;
	struct cairn_error err = {0};
	struct cairn_item item;
	int got, bad = 0;

	while (!bad && (got = cairn_reader_next(r->reader, &item, &err)) != 0) {
		if (got < 0)
			return fail(c, &err);
		switch (item.kind) {
		case CAIRN_ITEM_EVENT: bad = count(s, item.event); break;
		case CAIRN_ITEM_LOSS: reading_loss(r, item.loss); break;
		case CAIRN_ITEM_NOTICE: reading_notice(r, item.notice); break;
		case CAIRN_ITEM_WAIT:
			(void)cairn_reader_wait(r->reader, -1); /* any result: look again */
			break;
		}
	}
	return bad ? fail_text(c, NULL, "out of memory") : CLI_OK;
}

/* ---- by process ---- */

static struct count *process_of(struct stat *s, int64_t pid)
{
	for (size_t i = 0; i < s->nprocesses; i++)
		if (s->processes[i].id == pid)
			return &s->processes[i];
	return VEC_ADD(s->processes, s->nprocesses, s->processes_cap);
}

/* Threads into processes; a thread whose process is not known stands for itself. */
static int sum_processes(struct stat *s)
{
	struct thread_count *t;

	for (size_t i = 0; (t = map_next(&s->threads, &i, NULL, NULL));) {
		int64_t pid = t->pid >= 0 ? t->pid : t->tid;
		struct count *p;
		const struct thread *leader;

		if (t->n.events == 0)
			continue;
		p = process_of(s, pid);
		if (!p)
			return -ENOMEM;
		leader = threads_get(&s->view.threads, pid);
		p->id = pid;
		if (leader && leader->comm[0])
			p->name = leader->comm;
		else if ((!p->name || t->tid == pid) && t->comm[0])
			p->name = t->comm;
		p->events += t->n.events;
		p->bytes += t->n.bytes;
	}
	return 0;
}

/* Most frequent first, then by name and id, so that output is the same each time. */
static int by_events(const void *a, const void *b)
{
	const struct count *x = a, *y = b;
	int order;

	if (x->events != y->events)
		return x->events < y->events ? 1 : -1;
	order = strcmp(x->name ? x->name : "", y->name ? y->name : "");
	return order ? order : (x->id > y->id) - (x->id < y->id);
}

/* Sorts, and adds up classes of one name (of several traces or channels). Gives how many. */
static size_t merge_names(struct count *c, size_t n)
{
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		size_t j = 0;

		if (!c[i].events)
			continue;
		while (j < used && strcmp(c[j].name, c[i].name) != 0)
			j++;
		if (j < used) {
			c[j].events += c[i].events;
			c[j].bytes += c[i].bytes;
		} else
			c[used++] = c[i];
	}
	if (used)
		qsort(c, used, sizeof(*c), by_events);
	return used;
}

/* ---- output ---- */

static uint64_t covered_ns(const struct stat *s)
{
	return s->total.events ? (uint64_t)(s->last_ns - s->first_ns) : 0;
}

static void date(struct out *o, int64_t t_ns)
{
	time_t t = (time_t)(t_ns / 1000000000);
	struct tm tm;

	if (localtime_r(&t, &tm))
		out_printf(o, "%04d-%02d-%02d %02d:%02d:%02d.%06lld", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			(long long)(t_ns % 1000000000 / 1000));
}

/* Text of at most `width` columns, padded. */
static void column(struct out *o, const char *s, size_t width)
{
	size_t n = strlen(s);

	out_safe(o, s, MIN(n, width - (n > width ? 2 : 0)));
	out_str(o, n > width ? ".." : "");
	for (; n < width; n++)
		out_char(o, ' ');
}

static void rows(const struct stat *s, struct out *o, const struct count *c, size_t n, bool ids)
{
	uint64_t shown = MIN((uint64_t)n, s->top), rest = 0, bytes = 0, t_ns = covered_ns(s);
	char a[HUMAN_MAX], b[HUMAN_MAX], r[HUMAN_MAX];

	for (size_t i = 0; i < n; i++) {
		if (i >= shown) {
			rest += c[i].events;
			bytes += c[i].bytes;
			continue;
		}
		if (ids && c[i].id >= 0)
			out_printf(o, "  %-9lld ", (long long)c[i].id);
		else
			out_str(o, ids ? "  -         " : "  ");
		column(o,
			c[i].name		     ? c[i].name
				: ids && c[i].id < 0 ? "(no thread)"
						     : "<...>",
			ids ? 22 : 32);
		out_printf(o, " %14s %5.1f%% %10s %11s\n", human_count(a, c[i].events),
			100.0 * (double)c[i].events / (double)s->total.events,
			human_rate(r, c[i].events, t_ns), human_bytes(b, c[i].bytes));
	}
	if (n > shown)
		out_printf(o, "  %-32s %14s %5.1f%% %10s %11s\n", "(others)", human_count(a, rest),
			100.0 * (double)rest / (double)s->total.events, human_rate(r, rest, t_ns),
			human_bytes(b, bytes));
}

static void text(struct stat *s, size_t nnames)
{
	struct out *o = &s->out;
	const struct reading *r = &s->reading;
	char a[HUMAN_MAX], b[HUMAN_MAX];

	out_printf(o, "%-10s %s", "events", human_count(a, s->total.events));
	if (covered_ns(s))
		out_printf(o, ", %s", human_rate(b, s->total.events, covered_ns(s)));
	out_printf(o, "\n%-10s %s", "bytes", human_bytes(a, s->stream_bytes));
	if (s->total.events)
		out_printf(o, ", %.1f an event in its packets",
			(double)s->total.bytes / (double)s->total.events);
	out_printf(o, "\n%-10s %s", "lost", human_count(a, r->lost_total));
	for (size_t i = 0; i < r->nlost; i++)
		out_printf(o, "%s%s %s%s", i ? ", " : " (", r->lost_name[i],
			human_count(a, r->lost[i]), i + 1 == r->nlost ? ")" : "");
	if (r->lost_unknown)
		out_printf(o, "; at %s more places the number is not known",
			human_count(a, r->lost_unknown));
	if (r->packets_lost)
		out_printf(o, "; %s packets are missing", human_count(a, r->packets_lost));
	if (s->total.events) {
		out_printf(o, "\n%-10s %s, from ", "time", human_ns(a, covered_ns(s)));
		date(o, s->first_ns);
	}
	out_char(o, '\n');
	if (!s->total.events) {
		out_str(o,
			s->narrowed ? "\nNo event of the trace is one of those asked for.\n"
				    : "\nThe trace holds no events.\n");
		return;
	}
	out_printf(o, "\n  %-32s %14s %6s %10s %11s\n", "EVENT", "COUNT", "SHARE", "RATE", "BYTES");
	rows(s, o, s->classes, nnames, false);
	out_printf(o, "\n  %-9s %-22s %14s %6s %10s %11s\n", "PROCESS", "NAME", "COUNT", "SHARE",
		"RATE", "BYTES");
	rows(s, o, s->processes, s->nprocesses, true);
}

static void json_counts(struct out *o, const struct count *c, size_t n, bool bytes)
{
	out_char(o, '{');
	for (size_t i = 0; i < n; i++) {
		out_str(o, i ? ", " : "");
		out_json(o, c[i].name, strlen(c[i].name));
		out_str(o, ": ");
		out_u64(o, bytes ? c[i].bytes : c[i].events);
	}
	out_char(o, '}');
}

static void json(struct stat *s, size_t nnames)
{
	struct out *o = &s->out;
	const struct reading *r = &s->reading;
	uint64_t t_ns = covered_ns(s);

	out_printf(o,
		"{\"events\": %llu,\n \"bytes\": %llu,\n \"event_bytes\": %llu,\n \"lost\": {",
		(unsigned long long)s->total.events, (unsigned long long)s->stream_bytes,
		(unsigned long long)s->total.bytes);
	for (size_t i = 0; i < r->nlost; i++)
		out_printf(o, "%s\"%s\": %llu", i ? ", " : "", r->lost_name[i],
			(unsigned long long)r->lost[i]);
	out_printf(o,
		"},\n \"lost_total\": %llu,\n \"lost_unknown\": %llu,\n"
		" \"packets_lost\": %llu,\n \"cut_files\": %llu,\n \"damaged_files\": %llu,\n"
		" \"damaged_bytes\": %llu,\n",
		(unsigned long long)r->lost_total, (unsigned long long)r->lost_unknown,
		(unsigned long long)r->packets_lost, (unsigned long long)r->cut,
		(unsigned long long)r->damaged, (unsigned long long)r->damaged_bytes);
	if (s->total.events)
		out_printf(o, " \"begin_ns\": %lld,\n \"end_ns\": %lld,\n \"duration_ns\": %llu,\n",
			(long long)s->first_ns, (long long)s->last_ns, (unsigned long long)t_ns);
	out_str(o, " \"events_per_second\": ");
	out_double(o, t_ns ? (double)s->total.events * 1e9 / (double)t_ns : 0);
	out_str(o, ",\n \"by_event\": ");
	json_counts(o, s->classes, nnames, false);
	out_str(o, ",\n \"bytes_by_event\": ");
	json_counts(o, s->classes, nnames, true);
	out_str(o, ",\n \"by_process\": [");
	for (size_t i = 0; i < s->nprocesses; i++) {
		const struct count *p = &s->processes[i];

		out_printf(o, "%s{\"pid\": ", i ? ", " : "");
		if (p->id >= 0)
			out_i64(o, p->id);
		else
			out_str(o, "null");
		out_str(o, ", \"comm\": ");
		if (p->name)
			out_json(o, p->name, strlen(p->name));
		else
			out_str(o, "null");
		out_printf(o, ", \"events\": %llu, \"bytes\": %llu}", (unsigned long long)p->events,
			(unsigned long long)p->bytes);
	}
	out_str(o, "]}\n");
}

static int stat_run(struct stat *s, const struct command *c)
{
	const struct cairn_stream_info *stream;
	size_t nnames;
	int got = reading_open(&s->reading);

	if (got != CLI_OK)
		return got;
	if (out_init(&s->out, STDOUT_FILENO) != 0 ||
		view_init(&s->view, &s->out, VIEW_TRACE, VIEW_TIME_CLOCK) != 0)
		return fail_text(c, NULL, "out of memory");
	got = read_all(s, c);
	if (got != CLI_OK)
		return got;
	for (size_t i = 0; (stream = cairn_reader_stream(s->reading.reader, i)); i++)
		s->stream_bytes += stream->bytes;
	sum_classes(s);
	nnames = merge_names(s->classes, s->nclasses);
	if (sum_processes(s) != 0)
		return fail_text(c, NULL, "out of memory");
	if (s->nprocesses)
		qsort(s->processes, s->nprocesses, sizeof(*s->processes), by_events);
	if (s->json)
		json(s, nnames);
	else
		text(s, nnames);
	if (out_flush(&s->out) != 0 && s->out.err != -EPIPE)
		return fail_text(c, NULL, "cannot write: %s", strerror(-s->out.err));
	return reading_exit(&s->reading);
}

static int option(struct stat *s, const struct command *c, int id, const char *value)
{
	switch (id) {
	case OPT_S_JSON: s->json = true; return CLI_OK;
	case OPT_S_TOP:
		if (parse_u64(value, &s->top) == 0 && s->top > 0)
			return CLI_OK;
		return usage_error(c, "'%s' is not a number of rows", value);
	default: s->narrowed |= id != ARG_POSITIONAL; return reading_option(&s->reading, id, value);
	}
}

static int run(const struct command *c, int argc, char **argv)
{
	struct stat s = {.top = 20, .first_ns = INT64_MAX, .last_ns = INT64_MIN};
	struct args a;
	int got, ret = CLI_OK;
	void *t;

	reading_init(&s.reading, c);
	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while (ret == CLI_OK && (got = args_next(&a)) != ARG_END) {
		if (got == ARG_HELP || got == ARG_BAD)
			ret = args_exit(got);
		else
			ret = option(&s, c, got, a.value);
		if (got == ARG_HELP)
			break;
	}
	if (ret == CLI_OK && got == ARG_END)
		ret = stat_run(&s, c);
	for (size_t i = 0; (t = map_next(&s.threads, &i, NULL, NULL));)
		free(t);
	map_done(&s.threads);
	free(s.classes);
	free(s.processes);
	view_done(&s.view);
	out_done(&s.out);
	auto_reading(&s.reading);
	return ret;
}
