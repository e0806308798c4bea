/* What a session host has, as text and JSON: sessions with their channels, programs with events. */
#include "cli/recording.h"

static const char *const states[] = {[CAIRN_SESSION_NEW] = "new",
	[CAIRN_SESSION_RUNNING] = "running",
	[CAIRN_SESSION_STOPPED] = "stopped"};

static const char *state_name(enum cairn_session_state s)
{
	return (unsigned)s < ARRAY_SIZE(states) ? states[s] : "unknown";
}

/* ---- sessions ---- */

static void losses_text(struct out *o, const struct cairn_stats *s)
{
	char n[HUMAN_MAX];
	bool first = true;

	out_printf(o, ", %s lost", s->lost_total ? human_count(n, s->lost_total) : "none");
	for (unsigned i = 0; i < CAIRN_LOST_MAX; i++) {
		const char *reason = cairn_lost_reason(i);

		if (!s->lost[i])
			continue;
		out_printf(o, "%s%s %s", first ? " (" : ", ", reason ? reason : "unknown",
			human_count(n, s->lost[i]));
		first = false;
	}
	out_str(o, first ? "" : ")");
}

static void rule_text(struct out *o, const struct cairn_rule_info *r)
{
	out_str(o, "  event    ");
	out_safe(o, r->pattern, strlen(r->pattern));
	for (size_t i = 0; i < r->nexcludes; i++) {
		out_str(o, i ? ", " : " but not ");
		out_safe(o, r->excludes[i], strlen(r->excludes[i]));
	}
	if (r->loglevel != CAIRN_LOGLEVEL_ANY)
		out_printf(o, ", %slog level %s", r->loglevel_only ? "only " : "up to ",
			loglevel_name(r->loglevel));
	if (r->channel) {
		out_str(o, " into ");
		out_safe(o, r->channel, strlen(r->channel));
	}
	out_char(o, '\n');
}

static void kernel_text(struct out *o, const struct cairn_session_info *s)
{
	const struct cairn_kernel_info *k = s->kernel;
	char a[HUMAN_MAX], b[HUMAN_MAX];

	out_printf(o, "  kernel   %s events", human_count(a, s->stats.kernel_events));
	out_printf(o, ", %s lost",
		s->stats.kernel_lost ? human_count(b, s->stats.kernel_lost) : "none");
	if (s->stats.kernel_gap_ns)
		out_printf(o, ", but for %s in which its buffers grew",
			human_ns(a, s->stats.kernel_gap_ns));
	out_printf(o, "; %sbuffers of %s\n", k->flight_recorder ? "flight recorder, " : "",
		human_bytes(a, k->buffer_bytes));
	for (size_t i = 0; i < k->nrules; i++) {
		const struct cairn_kernel_rule_info *r = &k->rules[i];

		out_str(o, "  kernel   ");
		out_safe(o, r->pattern, strlen(r->pattern));
		for (size_t j = 0; j < r->nexcludes; j++) {
			out_str(o, j ? ", " : " but not ");
			out_safe(o, r->excludes[j], strlen(r->excludes[j]));
		}
		if (r->filter) {
			out_str(o, " if ");
			out_safe(o, r->filter, strlen(r->filter));
		}
		out_char(o, '\n');
	}
	for (size_t i = 0; i < k->nprobes; i++) {
		out_printf(o, "  %-8s ", k->probes[i].kind);
		out_safe(o, k->probes[i].text, strlen(k->probes[i].text));
		out_char(o, '\n');
	}
}

static void session_text(struct out *o, const struct cairn_session_info *s)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], t[HUMAN_MAX];

	out_safe(o, s->name, strlen(s->name));
	out_printf(o, ": %s%s, %u program%s, %s", state_name(s->state),
		s->recovered ? " (taken over from a host that died)" : "", s->processes,
		s->processes == 1 ? "" : "s", human_ns(t, s->stats.run_ns));
	out_str(o, "\n  output   ");
	if (strcmp(s->output, "-") == 0)
		out_str(o, "a stream");
	else if (!s->output[0])
		out_str(o, "none: kept in memory for snapshots");
	else
		out_safe(o, s->output, strlen(s->output));
	out_printf(o, "\n  events   %s, %s", human_count(a, s->stats.events),
		human_bytes(b, s->stats.bytes));
	losses_text(o, &s->stats);
	if (s->stats.conflicts)
		out_printf(o, "; %s with two descriptions", human_count(a, s->stats.conflicts));
	if (s->stats.write_error)
		out_printf(o, "\n  error    %s", strerror(s->stats.write_error));
	out_char(o, '\n');
	for (size_t i = 0; i < s->nchannels; i++) {
		const struct cairn_channel_info *c = &s->channels[i];

		out_str(o, "  channel  ");
		out_safe(o, c->name, strlen(c->name));
		out_printf(
			o, ": %s, rings of %s", mode_name(c->mode), human_bytes(a, c->ring_bytes));
		if (c->rings)
			out_printf(o, " (%u: %s)", c->rings, human_bytes(b, c->ring_memory_bytes));
		if (c->contexts && c->contexts[0])
			out_printf(o, ", with %s", c->contexts);
		out_char(o, '\n');
	}
	for (size_t i = 0; i < s->nrules; i++)
		rule_text(o, &s->rules[i]);
	if (s->kernel)
		kernel_text(o, s);
}

void sessions_text(struct out *o, const struct cairn_session_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		out_str(o, i ? "\n" : "");
		session_text(o, &list[i]);
	}
}

static void text_or_null(struct out *o, const char *key, const char *s)
{
	out_str(o, key);
	if (s)
		out_json(o, s, strlen(s));
	else
		out_str(o, "null");
}

static void stats_json(struct out *o, const struct cairn_stats *s)
{
	bool first = true;

	out_printf(o,
		"\"events\": %llu, \"bytes\": %llu, \"packets\": %llu, \"pending_bytes\": %llu, ",
		(unsigned long long)s->events, (unsigned long long)s->bytes,
		(unsigned long long)s->packets, (unsigned long long)s->pending_bytes);
	out_str(o, "\"lost\": {");
	for (unsigned i = 0; i < CAIRN_LOST_MAX; i++) {
		const char *reason = cairn_lost_reason(i);

		if (!s->lost[i])
			continue;
		out_printf(o, "%s\"%s\": %llu", first ? "" : ", ", reason ? reason : "unknown",
			(unsigned long long)s->lost[i]);
		first = false;
	}
	out_printf(o,
		"}, \"lost_total\": %llu, \"conflicts\": %llu, \"run_ns\": %llu, "
		"\"write_error\": ",
		(unsigned long long)s->lost_total, (unsigned long long)s->conflicts,
		(unsigned long long)s->run_ns);
	if (s->write_error)
		text_or_null(o, "", strerror(s->write_error));
	else
		out_str(o, "null");
}

static void channel_json(struct out *o, const struct cairn_channel_info *c)
{
	text_or_null(o, "{\"name\": ", c->name);
	out_printf(o, ", \"mode\": \"%s\", \"ring_bytes\": %llu, \"block_ns\": %llu",
		mode_name(c->mode), (unsigned long long)c->ring_bytes,
		(unsigned long long)c->block_ns);
	text_or_null(o, ", \"contexts\": ", c->contexts);
	out_printf(o, ", \"rings\": %u, \"ring_memory_bytes\": %llu, ", c->rings,
		(unsigned long long)c->ring_memory_bytes);
	stats_json(o, &c->stats);
	out_char(o, '}');
}

static void rule_json(struct out *o, const struct cairn_rule_info *r)
{
	text_or_null(o, "{\"pattern\": ", r->pattern);
	out_str(o, ", \"excludes\": [");
	for (size_t i = 0; i < r->nexcludes; i++)
		text_or_null(o, i ? ", " : "", r->excludes[i]);
	out_str(o, "], \"loglevel\": ");
	if (r->loglevel == CAIRN_LOGLEVEL_ANY)
		out_str(o, "null");
	else
		out_i64(o, r->loglevel);
	out_printf(o, ", \"loglevel_only\": %s", r->loglevel_only ? "true" : "false");
	text_or_null(o, ", \"channel\": ", r->channel);
	out_char(o, '}');
}

/* An object of two texts, in a list. */
static void pair_json(struct out *o, bool first, const char *key_a, const char *a,
	const char *key_b, const char *b)
{
	out_printf(o, "%s{\"%s\": ", first ? "" : ", ", key_a);
	text_or_null(o, "", a);
	out_printf(o, ", \"%s\": ", key_b);
	text_or_null(o, "", b);
	out_char(o, '}');
}

static void kernel_json(struct out *o, const struct cairn_session_info *s)
{
	const struct cairn_kernel_info *k = s->kernel;

	out_printf(o, ", \"kernel\": {\"events\": %llu, \"bytes\": %llu, \"lost\": %llu",
		(unsigned long long)s->stats.kernel_events,
		(unsigned long long)s->stats.kernel_bytes,
		(unsigned long long)s->stats.kernel_lost);
	out_printf(o, ", \"gap_ns\": %llu", (unsigned long long)s->stats.kernel_gap_ns);
	out_printf(o, ", \"buffer_bytes\": %llu, \"flight_recorder\": %s",
		(unsigned long long)k->buffer_bytes, k->flight_recorder ? "true" : "false");
	text_or_null(o, ", \"instance\": ", k->instance);
	out_str(o, ", \"rules\": [");
	for (size_t i = 0; i < k->nrules; i++) {
		text_or_null(o, i ? ", {\"pattern\": " : "{\"pattern\": ", k->rules[i].pattern);
		text_or_null(o, ", \"filter\": ", k->rules[i].filter);
		out_str(o, ", \"excludes\": [");
		for (size_t j = 0; j < k->rules[i].nexcludes; j++)
			text_or_null(o, j ? ", " : "", k->rules[i].excludes[j]);
		out_str(o, "]}");
	}
	out_str(o, "], \"probes\": [");
	for (size_t i = 0; i < k->nprobes; i++)
		pair_json(o, i == 0, "kind", k->probes[i].kind, "text", k->probes[i].text);
	out_str(o, "]}");
}

void sessions_json(struct out *o, const struct cairn_session_info *list, size_t n)
{
	out_char(o, '[');
	for (size_t i = 0; i < n; i++) {
		const struct cairn_session_info *s = &list[i];

		text_or_null(o, i ? ",\n {\"name\": " : "{\"name\": ", s->name);
		out_printf(o,
			", \"state\": \"%s\", \"uid\": %u, \"recovered\": %s, \"processes\": %u",
			state_name(s->state), s->uid, s->recovered ? "true" : "false",
			s->processes);
		text_or_null(o, ", \"output\": ", s->output);
		out_str(o, ", ");
		stats_json(o, &s->stats);
		out_str(o, ", \"channels\": [");
		for (size_t j = 0; j < s->nchannels; j++) {
			out_str(o, j ? ", " : "");
			channel_json(o, &s->channels[j]);
		}
		out_str(o, "], \"rules\": [");
		for (size_t j = 0; j < s->nrules; j++) {
			out_str(o, j ? ", " : "");
			rule_json(o, &s->rules[j]);
		}
		out_char(o, ']');
		if (s->kernel)
			kernel_json(o, s);
		out_char(o, '}');
	}
	out_char(o, ']');
}

/* ---- programs ---- */

static const struct {
	unsigned flag;
	const char *name;
} flags[] = {{CAIRN_PROCESS_NO_RSEQ, "no-rseq"}, {CAIRN_PROCESS_FORKED, "forked"},
	{CAIRN_PROCESS_AGAIN, "taken-over"}, {CAIRN_PROCESS_STATIC, "static"},
	{CAIRN_PROCESS_DORMANT, "dormant"}, {CAIRN_PROCESS_LATE, "late"}};

static void event_text(struct out *o, const struct cairn_event_info *e)
{
	out_printf(o, "  %c ", e->enabled ? '*' : ' ');
	out_safe(o, e->provider, strlen(e->provider));
	out_char(o, ':');
	out_safe(o, e->event, strlen(e->event));
	out_printf(o, "  (%s%s%u site%s", e->loglevel >= 0 ? loglevel_name(e->loglevel) : "",
		e->loglevel >= 0 ? ", " : "", e->nsites, e->nsites == 1 ? "" : "s");
	if (e->file && e->file[0]) {
		out_str(o, ", ");
		out_safe(o, e->file, strlen(e->file));
		out_printf(o, ":%u", e->line);
	}
	out_str(o, ")\n");
	for (size_t i = 0; i < e->nfields; i++) {
		out_str(o, i ? ", " : "      ");
		out_safe(o, e->fields[i].name, strlen(e->fields[i].name));
		out_char(o, ' ');
		out_safe(o, e->fields[i].type, strlen(e->fields[i].type));
	}
	out_str(o, e->nfields ? "\n" : "");
}

void processes_text(struct out *o, const struct cairn_process_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct cairn_process_info *p = &list[i];

		out_printf(o, "%d ", p->pid);
		out_safe(o, p->comm, strlen(p->comm));
		out_printf(o, ": %zu event%s", p->nevents, p->nevents == 1 ? "" : "s");
		if (p->exe && p->exe[0]) {
			out_str(o, ", ");
			out_safe(o, p->exe, strlen(p->exe));
		}
		if (p->own_pid != p->pid)
			out_printf(o, ", calls itself %d", p->own_pid);
		for (size_t f = 0; f < ARRAY_SIZE(flags); f++)
			if (p->flags & flags[f].flag)
				out_printf(o, ", %s", flags[f].name);
		out_char(o, '\n');
		for (size_t e = 0; p->events && e < p->nevents; e++)
			event_text(o, &p->events[e]);
	}
}

static void event_json(struct out *o, const struct cairn_event_info *e)
{
	text_or_null(o, "{\"provider\": ", e->provider);
	text_or_null(o, ", \"event\": ", e->event);
	out_printf(o, ", \"enabled\": %s, \"loglevel\": %d, \"sites\": %u",
		e->enabled ? "true" : "false", e->loglevel, e->nsites);
	text_or_null(o, ", \"file\": ", e->file);
	out_printf(o, ", \"line\": %u", e->line);
	text_or_null(o, ", \"function\": ", e->function);
	out_str(o, ", \"fields\": [");
	for (size_t i = 0; i < e->nfields; i++)
		pair_json(o, i == 0, "name", e->fields[i].name, "type", e->fields[i].type);
	out_str(o, "]}");
}

void processes_json(struct out *o, const struct cairn_process_info *list, size_t n)
{
	out_char(o, '[');
	for (size_t i = 0; i < n; i++) {
		const struct cairn_process_info *p = &list[i];
		bool first = true;

		out_printf(o, "%s{\"pid\": %d, \"own_pid\": %d, \"uid\": %u", i ? ",\n " : "",
			p->pid, p->own_pid, p->uid);
		text_or_null(o, ", \"comm\": ", p->comm);
		text_or_null(o, ", \"exe\": ", p->exe);
		out_str(o, ", \"flags\": [");
		for (size_t f = 0; f < ARRAY_SIZE(flags); f++)
			if (p->flags & flags[f].flag) {
				out_printf(o, "%s\"%s\"", first ? "" : ", ", flags[f].name);
				first = false;
			}
		out_printf(o, "], \"nevents\": %zu", p->nevents);
		if (p->events) {
			out_str(o, ", \"events\": [");
			for (size_t e = 0; e < p->nevents; e++) {
				out_str(o, e ? ",\n  " : "");
				event_json(o, &p->events[e]);
			}
			out_char(o, ']');
		}
		out_char(o, '}');
	}
	out_char(o, ']');
}
