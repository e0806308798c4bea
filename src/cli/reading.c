/* Opening traces, choosing events, counting losses. See reading.h. */
#include "cli/reading.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { NOTICES_SAID = 20 };

void reading_init(struct reading *r, const struct command *c)
{
	*r = (struct reading){.c = c, .since_ns = INT64_MIN, .until_ns = INT64_MAX};
}

void auto_reading(struct reading *r)
{
	cairn_reader_free(r->reader);
	free(r->paths.items);
	free(r->events.items);
	free(r->excludes.items);
	free(r->pids.items);
	free(r->tids.items);
	free(r->chosen);
}

int reading_option(struct reading *r, int id, const char *value)
{
	struct strings *list = NULL;

	switch (id) {
	case OPT_R_EVENT: list = &r->events; break;
	case OPT_R_EXCLUDE: list = &r->excludes; break;
	case OPT_R_PID: list = &r->pids; break;
	case OPT_R_TID: list = &r->tids; break;
	case ARG_POSITIONAL: list = &r->paths; break;
	case OPT_R_SINCE: r->since = value; return CLI_OK;
	case OPT_R_UNTIL: r->until = value; return CLI_OK;
	default: return usage_error(r->c, "option not handled"); /* a row without a case */
	}
	return strings_add(list, value) == 0 ? CLI_OK : fail_text(r->c, NULL, "out of memory");
}

/* Seconds with a fraction; the rest of the text after them. */
static bool seconds(const char *s, int64_t *ret_ns, const char **ret_rest)
{
	uint64_t whole = 0, frac = 0, scale = 1000000000;
	const char *p = s;

	for (; *p >= '0' && *p <= '9' && whole < 100000000000; p++)
		whole = whole * 10 + (uint64_t)(*p - '0');
	if (p == s || whole > INT64_MAX / 1000000000)
		return false;
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++)
			if (scale > 1) {
				scale /= 10;
				frac += (uint64_t)(*p - '0') * scale;
			}
	*ret_ns = (int64_t)(whole * 1000000000 + frac);
	*ret_rest = p;
	return true;
}

/* HH:MM or HH:MM:SS.frac of the local day in which the trace begins. */
static bool time_of_day(const char *s, int64_t begin_ns, int64_t *ret_ns)
{
	time_t t = (time_t)(begin_ns / 1000000000);
	unsigned h, m;
	int used = 0;
	int64_t ns = 0;
	const char *rest;
	struct tm tm;

	if (sscanf(s, "%2u:%2u%n", &h, &m, &used) != 2 || h > 23 || m > 59)
		return false;
	rest = s + used;
	if (*rest == ':' && (!seconds(rest + 1, &ns, &rest) || ns >= 61 * INT64_C(1000000000)))
		return false;
	if (*rest || !localtime_r(&t, &tm))
		return false;
	tm.tm_hour = (int)h;
	tm.tm_min = (int)m;
	tm.tm_sec = 0;
	*ret_ns = (int64_t)mktime(&tm) * 1000000000 + ns;
	return true;
}

static int parse_time(struct reading *r, const char *s, int64_t *ret_ns)
{
	enum { UNIX_FROM = 1000000000 }; /* seconds: later ones are since 1970, not since boot */
	int64_t begin_ns = 0, end_ns, ns;
	uint64_t plus_ns;
	const char *rest;
	int known = cairn_reader_range(r->reader, &begin_ns, &end_ns);

	if (s[0] == '+' && parse_duration_ns(s + 1, &plus_ns) == 0) {
		if (known < 0)
			return fail_text(r->c, "give seconds as printed",
				"'%s': the begin of the trace is not known", s);
		*ret_ns = begin_ns + (int64_t)plus_ns;
		return CLI_OK;
	}
	if (strchr(s, ':') && time_of_day(s, known < 0 ? 0 : begin_ns, ret_ns))
		return CLI_OK;
	if (seconds(s, &ns, &rest) && !*rest) {
		if (ns / 1000000000 < UNIX_FROM)
			ns += clock_zero_ns(cairn_reader_trace(r->reader, 0));
		*ret_ns = ns;
		return CLI_OK;
	}
	return usage_error(r->c, "'%s' is not a time; examples: 1234.5, 14:03:26, +2s", s);
}

int reading_open(struct reading *r)
{
	struct cairn_reader_options opts = {.size = sizeof(opts), .follow = r->follow};
	struct cairn_error err = {0};
	bool is_pipe = r->paths.len == 1 && strcmp(r->paths.items[0], "-") == 0;
	int got;

	if (r->paths.len == 0)
		return usage_error(r->c, "a trace directory is missing");
	if (is_pipe && isatty(STDIN_FILENO))
		return fail_text(r->c, "cairn record -o - -- COMMAND | cairn print -",
			"standard input is a terminal, not a trace");
	if (is_pipe)
		opts.fd = STDIN_FILENO;
	else {
		opts.paths = r->paths.items;
		opts.npaths = r->paths.len;
	}
	got = cairn_reader_open(&opts, &r->reader, &err);
	if (got < 0)
		return fail(r->c, &err);
	got = CLI_OK;
	r->all = !r->since && !r->until && !r->events.len && !r->excludes.len && !r->pids.len &&
		!r->tids.len;
	if (r->since)
		got = parse_time(r, r->since, &r->since_ns);
	if (got == CLI_OK && r->until)
		got = parse_time(r, r->until, &r->until_ns);
	if (got == CLI_OK && !is_pipe && (r->since || r->until) &&
		cairn_reader_limit(r->reader, r->since_ns, r->follow ? INT64_MAX : r->until_ns,
			CAIRN_LIMIT_STATE, &err) < 0)
		got = fail(r->c, &err);
	return got;
}

/* ---- choosing ---- */

/* A pattern without ':' stands for a provider, or, in traces without providers, for a name. */
static bool matches(const struct cairn_event_class *cls, const char *pattern)
{
	if (strchr(pattern, ':') || !cls->provider[0])
		return glob_match(pattern, cls->name);
	return glob_match(pattern, cls->provider);
}

static bool class_chosen(const struct reading *r, const struct cairn_event_class *cls)
{
	bool yes = r->events.len == 0;

	for (size_t i = 0; i < r->events.len && !yes; i++)
		yes = matches(cls, r->events.items[i]);
	for (size_t i = 0; i < r->excludes.len && yes; i++)
		yes = !matches(cls, r->excludes.items[i]);
	return yes;
}

/* Whether one of the list is this id, or a pattern of the event's thread or process name. */
static bool id_chosen(const struct strings *list, int64_t id, const char *comm)
{
	for (size_t i = 0; i < list->len; i++) {
		uint64_t n;

		if (parse_u64(list->items[i], &n) == 0 ? id >= 0 && n == (uint64_t)id
						       : comm && glob_match(list->items[i], comm))
			return true;
	}
	return list->len == 0;
}

static bool thread_chosen(
	const struct reading *r, const struct threads *threads, const struct cairn_event *ev)
{
	int64_t tid = cairn_event_tid(ev), pid;
	char comm[THREAD_COMM + 1];
	const struct thread *leader;
	bool named;

	if (r->tids.len) {
		named = threads_comm(threads, ev, tid, comm);
		if (!id_chosen(&r->tids, tid, named ? comm : NULL))
			return false;
	}
	if (r->pids.len) {
		pid = threads_pid(threads, ev, tid);
		leader = threads_get(threads, pid);
		named = threads_comm(threads, ev, tid, comm);
		if (!id_chosen(&r->pids, pid >= 0 ? pid : tid,
			    leader	    ? leader->comm
				    : named ? comm
					    : NULL))
			return false;
	}
	return true;
}

int reading_chosen(struct reading *r, const struct threads *threads, const struct cairn_event *ev)
{
	uint32_t i = ev->cls->index;

	if (ev->time_ns < r->since_ns || ev->time_ns >= r->until_ns)
		return 0;
	if (i >= r->nchosen) {
		size_t n = MAX((size_t)i + 1, 2 * r->nchosen + 64);
		uint8_t *p = realloc(r->chosen, n);

		if (!p)
			return -ENOMEM;
		memset(p + r->nchosen, 0, n - r->nchosen);
		r->chosen = p;
		r->nchosen = n;
	}
	if (!r->chosen[i])
		r->chosen[i] = class_chosen(r, ev->cls) ? 1 : 2;
	if (r->chosen[i] == 2)
		return 0;
	return (r->pids.len || r->tids.len) ? thread_chosen(r, threads, ev) : 1;
}

/* ---- what is missing ---- */

void reading_loss(struct reading *r, const struct cairn_loss *loss)
{
	size_t i = 0;

	if (strcmp(loss->reason, "packets") == 0) {
		r->packets_lost += loss->count;
		return;
	}
	if (loss->count == 0) {
		r->lost_unknown++;
		return;
	}
	while (i < r->nlost && strcmp(r->lost_name[i], loss->reason) != 0)
		i++;
	if (i == READING_REASONS)
		i--; /* more reasons than there are: the last takes the rest */
	else if (i == r->nlost)
		r->lost_name[r->nlost++] = loss->reason;
	r->lost[i] += loss->count;
	r->lost_total += loss->count;
}

void reading_notice(struct reading *r, const struct cairn_notice *n)
{
	r->cut += n->kind == CAIRN_NOTICE_CUT;
	r->damaged += n->kind == CAIRN_NOTICE_DAMAGED;
	r->damaged_bytes += n->skipped;
	if (r->notices++ < NOTICES_SAID)
		(void)fail(r->c, &n->error); /* only says it: the rest is still read */
	else if (r->notices == NOTICES_SAID + 1)
		say("more of these are not shown");
}

int reading_exit(const struct reading *r)
{
	return r->damaged ? CLI_FAIL : CLI_OK;
}
