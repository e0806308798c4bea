/* One event, one line: in the kernel's style, babeltrace2's, or JSON.
 *
 * Made for 10 million lines a second: what belongs to an event class (names, escaped) is worked
 * out once (class.c), "comm-tid [cpu]" is kept for each thread on a CPU, whole seconds are
 * formatted once.
 */
#include "view/view-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MESSAGE_MAX = 8192, MESSAGE_LONGEST = 16 << 20 }; /* usual; what is shown of one */

int view_init(struct view *v, struct out *out, enum view_style style, enum view_time time)
{
	*v = (struct view){.style = style,
		.time = time,
		.out = out,
		.second = INT64_MIN,
		.last_ns = INT64_MIN};
	v->prefixes = calloc(VIEW_PREFIXES, sizeof(*v->prefixes));
	return v->prefixes ? 0 : -ENOMEM;
}

void view_done(struct view *v)
{
	for (size_t i = 0; i < v->nclasses; i++)
		view_class_free(v->classes[i]);
	free(v->classes);
	view_kernels_free(v->kernels);
	view_ctf_kernels_free(v->ctf_kernels);
	free(v->prefixes);
	threads_done(&v->threads);
}

void auto_view(struct view *v)
{
	view_done(v);
}

void view_set_start(struct view *v, int64_t start_ns)
{
	v->start_ns = start_ns;
	v->started = true;
}

/* ---- the kernel's style ---- */

static void prefix_make(struct view_prefix *p, int64_t tid, int32_t cpu, const char *comm)
{
	struct buf b AUTO(buf) = {0};
	int n;

	p->tid = tid;
	p->cpu = cpu;
	(void)snprintf(p->comm, sizeof(p->comm), "%s", comm); /* same size */
	if (comm[0])
		buf_safe(&b, comm);
	if (tid >= 0)
		n = snprintf(p->text, sizeof(p->text), "%16s-%-7lld ", b.len ? b.data : "<...>",
			(long long)tid);
	else
		n = snprintf(p->text, sizeof(p->text), "%24s ", "");
	if (cpu >= 0)
		n += snprintf(p->text + n, sizeof(p->text) - (size_t)n, "[%03d] ", cpu);
	else
		n += snprintf(p->text + n, sizeof(p->text) - (size_t)n, "[---] ");
	p->len = (uint32_t)n;
}

static const struct view_prefix *prefix_of(
	struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	int64_t tid = cairn_event_tid(ev);
	struct view_prefix *p =
		&v->prefixes[((uint64_t)tid * 31 + (uint32_t)ev->cpu) % VIEW_PREFIXES];
	char comm[THREAD_COMM + 1];

	if (p->len && p->tid == tid && p->cpu == ev->cpu && !c->has_comm)
		return p;
	if (!threads_comm(&v->threads, ev, tid, comm))
		comm[0] = '\0';
	if (!p->len || p->tid != tid || p->cpu != ev->cpu || strcmp(p->comm, comm) != 0)
		prefix_make(p, tid, ev->cpu, comm);
	return p;
}

/* Whole seconds, or the time of day of a second, formatted when it changes. */
static void second_make(struct view *v, int64_t second)
{
	struct tm tm;
	time_t t = (time_t)second;
	int n;

	v->second = second;
	if (v->style != VIEW_JSON && v->time == VIEW_TIME_DATE && localtime_r(&t, &tm))
		n = snprintf(v->second_text, sizeof(v->second_text), "%02d:%02d:%02d.", tm.tm_hour,
			tm.tm_min, tm.tm_sec);
	else
		n = snprintf(v->second_text, sizeof(v->second_text),
			v->style == VIEW_JSON ? "%lld" : "%5lld.", (long long)second);
	v->second_len = (uint32_t)n;
}

static char *put_time(struct view *v, char *p, int64_t t_ns)
{
	int64_t second = t_ns / 1000000000, ns = t_ns % 1000000000;

	if (ns < 0) {
		second--;
		ns += 1000000000;
	}
	if (second != v->second)
		second_make(v, second);
	memcpy(p, v->second_text, v->second_len);
	return put_nine(p + v->second_len, (uint32_t)ns);
}

static int64_t shown_time(
	const struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	switch (v->time) {
	case VIEW_TIME_CLOCK: return ev->time_ns - c->zero_ns;
	case VIEW_TIME_START: return ev->time_ns - v->start_ns;
	case VIEW_TIME_UNIX:
	case VIEW_TIME_DATE: return ev->time_ns;
	}
	return ev->time_ns;
}

char *view_put_time(
	struct view *v, char *p, const struct view_class *c, const struct cairn_event *ev)
{
	return put_time(v, p, shown_time(v, c, ev));
}

/* The message of a log event, escaped; false if it has none. */
static void message(struct out *o, const struct cairn_event *ev, bool json)
{
	char some[MESSAGE_MAX], *text = some;
	size_t whole = cairn_event_message(ev, some, sizeof(some)),
	       len = MIN(whole, MESSAGE_LONGEST);
	AUTO(free) char *all = len < sizeof(some) ? NULL : malloc(len + 1);

	if (all) {
		text = all;
		(void)cairn_event_message(ev, all, len + 1); /* as long as before */
	}
	len = all ? len : MIN(len, sizeof(some) - 1);
	if (json) {
		out_json(o, text, len);
		return;
	}
	while (len == whole && len && text[len - 1] == '\n') /* as printf users end theirs */
		whole = --len;
	out_safe(o, text, len);
	if (len < whole)
		out_printf(o, "... (%zu bytes)", whole);
}

/* " {pid=7 nice=0}": the contexts that do not stand first in the line. */
static void more_contexts(struct out *o, const struct cairn_event *ev)
{
	size_t n;
	const struct cairn_value *values = cairn_event_contexts(ev, &n);
	const char *before = " {";

	for (size_t i = 0; values && i < n; i++) {
		if (!values[i].name || view_names_thread(values[i].name))
			continue;
		out_str(o, before);
		out_str(o, values[i].name);
		out_char(o, '=');
		value_text(o, &values[i]);
		before = " ";
	}
	out_str(o, before[1] ? "" : "}");
}

/* Copies more than there is, which the next text covers: most pieces are short. */
static inline char *put_piece(char *p, const struct piece *piece)
{
	memcpy(p, piece->text, PIECE_PAD);
	if (piece->len > PIECE_PAD)
		memcpy(p + PIECE_PAD, piece->text + PIECE_PAD, piece->len - PIECE_PAD);
	return p + piece->len;
}

static inline void out_piece(struct out *o, const struct piece *piece)
{
	if (piece->len <= PIECE_PAD)
		out_wrote(o, put_piece(out_room(o), piece));
	else
		out_bytes(o, piece->text, piece->len);
}

static inline void out_integer(struct out *o, const struct cairn_value *v)
{
	char *p = out_room(o);
	bool minus = v->kind == CAIRN_VALUE_INT && v->i < 0;

	if (minus)
		*p++ = '-';
	out_wrote(o, put_u64(p, minus ? 0 - v->u : v->u));
}

static void line_plain(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	const struct view_prefix *prefix = prefix_of(v, c, ev);
	const struct cairn_value *fields;
	struct out *o = v->out;
	char *p = out_room(o);
	size_t n;

	memcpy(p, prefix->text, sizeof(prefix->text));
	p = put_time(v, p + prefix->len, shown_time(v, c, ev));
	*p++ = ':';
	*p++ = ' ';
	p = put_piece(p, &c->name);
	fields = cairn_event_fields(ev, &n);
	n = MIN(n, c->nfields);
	for (size_t i = 0; i < n; i++) {
		if (!c->fields[i].len)
			continue;
		p = put_piece(p, &c->fields[i]);
		if (fields[i].kind == CAIRN_VALUE_INT && fields[i].i < 0) {
			*p++ = '-';
			p = put_u64(p, 0 - fields[i].u);
		} else
			p = put_u64(p, fields[i].u);
	}
	if (ev->flags & CAIRN_EVENT_LATE) {
		memcpy(p, " (late)", 7);
		p += 7;
	}
	*p++ = '\n';
	out_wrote(o, p);
}

static bool shows_frames(const struct view *v, const struct view_class *c)
{
	return v->stacks && (c->stack == STACKS_KERNEL || c->stack == STACKS_USER);
}

static void line_trace(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	const struct view_prefix *prefix = prefix_of(v, c, ev);
	const struct cairn_value *fields;
	struct out *o = v->out;
	char *p = out_room(o);
	size_t n;

	memcpy(p, prefix->text, prefix->len);
	p = put_time(v, p + prefix->len, shown_time(v, c, ev));
	*p++ = ':';
	*p++ = ' ';
	out_wrote(o, p);
	out_piece(o, &c->name);
	if (shows_frames(v, c)) {
		out_char(o, '\n');
		stacks_text(v->stacks, ev, o);
		return;
	}
	if (c->is_log) {
		out_char(o, ' ');
		message(o, ev, false);
	} else {
		fields = cairn_event_fields(ev, &n);
		n = MIN(n, c->nfields);
		for (size_t i = 0; i < n; i++) {
			if (!c->fields[i].len)
				continue;
			out_piece(o, &c->fields[i]);
			if (c->fields[i].decimal)
				out_integer(o, &fields[i]);
			else
				value_text(o, &fields[i]);
		}
	}
	if (c->more_contexts)
		more_contexts(o, ev);
	if (ev->flags & CAIRN_EVENT_LATE)
		out_str(o, " (late)");
	out_char(o, '\n');
}

/* ---- babeltrace2's style ---- */

static const char *host_name(const struct cairn_trace *trace)
{
	for (size_t i = 0; i < trace->nfacts; i++)
		if (strcmp(trace->facts[i].name, "hostname") == 0 && trace->facts[i].text)
			return trace->facts[i].text;
	return NULL;
}

/* What babeltrace2 does not show of a packet's context. */
static bool is_hidden(const char *name)
{
	static const char *const hidden[] = {"timestamp_begin", "timestamp_end", "content_size",
		"packet_size", "events_discarded", "packet_seq_num"};

	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++)
		if (strcmp(name, hidden[i]) == 0)
			return true;
	return false;
}

static bool shows_packet(const struct cairn_value *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_hidden(v[i].name))
			return true;
	return false;
}

/* " name = value" of each, in braces. */
static void braces(struct out *o, const struct cairn_value *v, size_t n, bool packet)
{
	bool first = true;

	out_char(o, '{');
	for (size_t i = 0; i < n; i++) {
		if (packet && is_hidden(v[i].name))
			continue;
		out_str(o, first ? " " : ", ");
		out_str(o, v[i].name);
		out_str(o, " = ");
		value_babeltrace(o, &v[i]);
		first = false;
	}
	out_str(o, " }");
}

static void line_babeltrace(
	struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	struct out *o = v->out;
	const char *host = host_name(ev->cls->trace);
	const struct cairn_value *values;
	int64_t delta = v->last_ns == INT64_MIN ? 0 : ev->time_ns - v->last_ns;
	size_t of_stream = ev->cls->stream_context ? ev->cls->stream_context->nmembers : 0, n;
	char *p;

	out_char(o, '[');
	out_wrote(o, put_time(v, out_room(o), shown_time(v, c, ev)));
	if (v->last_ns == INT64_MIN)
		out_str(o,
			"] (+?.?"
			"?"
			"?"
			"?"
			"?"
			"?"
			"?"
			"?"
			"?) "); /* apart: trigraphs */
	else {
		out_str(o, delta < 0 ? "] (-" : "] (+");
		delta = delta < 0 ? -delta : delta;
		p = put_u64(out_room(o), (uint64_t)delta / 1000000000);
		*p++ = '.';
		out_wrote(o, put_padded(p, (uint64_t)delta % 1000000000, 9, '0'));
		out_str(o, ") ");
	}
	v->last_ns = ev->time_ns;
	if (host) {
		out_safe(o, host, strlen(host));
		out_char(o, ' ');
	}
	out_bytes(o, c->name.text, c->name.len);
	out_char(o, ' ');
	values = cairn_event_packet(ev, &n);
	if (shows_packet(values, values ? n : 0)) {
		braces(o, values, n, true);
		out_str(o, ", ");
	}
	values = cairn_event_contexts(ev, &n);
	if (values && n && of_stream) {
		braces(o, values, MIN(n, of_stream), false);
		out_str(o, ", ");
	}
	if (values && n > of_stream) {
		braces(o, values + of_stream, n - of_stream, false);
		out_str(o, ", ");
	}
	values = cairn_event_fields(ev, &n);
	braces(o, values, values ? n : 0, false);
	out_char(o, '\n');
}

/* ---- JSON ---- */

/* Contexts but those that are members of the object itself. */
static void json_contexts(struct out *o, const struct cairn_value *v, size_t n)
{
	static const char *const shown[] = {
		"tid", "vtid", "pid", "vpid", "tgid", "comm", "procname"};
	bool first = true;

	for (size_t i = 0; i < n; i++) {
		const char *name = v[i].name ? v[i].name : "";
		size_t s = 0;

		while (s < ARRAY_SIZE(shown) && strcmp(shown[s], name) != 0)
			s++;
		if (s < ARRAY_SIZE(shown))
			continue;
		out_str(o, first ? ",\"context\":{" : ",");
		first = false;
		out_json(o, name, strlen(name));
		out_char(o, ':');
		value_json(o, &v[i]);
	}
	out_str(o, first ? "" : "}");
}

static void number_or_null(struct out *o, const char *key, int64_t n)
{
	out_str(o, key);
	if (n >= 0)
		out_i64(o, n);
	else
		out_str(o, "null");
}

/* Its thread's part: the same for each event of a thread, unless contexts say more. */
static void json_thread(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	int64_t tid = cairn_event_tid(ev), pid;
	struct view_prefix *p = &v->prefixes[(uint64_t)tid % VIEW_PREFIXES];
	bool same = !c->has_comm && !c->more_contexts;
	char comm[THREAD_COMM + 1];
	struct out *o = v->out;
	size_t begin;

	if (same && p->len && p->tid == tid) {
		out_bytes(o, p->text, p->len);
		return;
	}
	(void)out_room(o); /* so that what follows is not cut in two */
	begin = o->len;
	number_or_null(o, ",\"tid\":", tid);
	pid = cairn_event_pid(ev);
	if (pid >= 0)
		number_or_null(o, ",\"pid\":", pid);
	if (threads_comm(&v->threads, ev, tid, comm)) {
		out_str(o, ",\"comm\":");
		out_json(o, comm, strlen(comm));
	}
	if (same && pid < 0 && o->len - begin <= sizeof(p->text)) {
		p->tid = tid;
		p->len = (uint32_t)(o->len - begin);
		memcpy(p->text, o->data + begin, p->len);
	}
}

static void line_json(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	struct out *o = v->out;
	const struct cairn_value *values;
	size_t n;

	out_str(o, "{\"time_ns\":");
	if (ev->time_ns >= 1000000000)
		out_wrote(o, put_time(v, out_room(o), ev->time_ns));
	else
		out_i64(o, ev->time_ns);
	number_or_null(o, ",\"cpu\":", ev->cpu);
	out_piece(o, &c->name);
	json_thread(v, c, ev);
	if (c->is_log) {
		out_str(o, ",\"message\":");
		message(o, ev, true);
	}
	out_str(o, ",\"fields\":{");
	values = cairn_event_fields(ev, &n);
	n = values ? MIN(n, c->nfields) : 0;
	for (size_t i = 0; i < n; i++) {
		if (!c->fields[i].len)
			continue;
		out_piece(o, &c->fields[i]);
		if (c->fields[i].decimal)
			out_integer(o, &values[i]);
		else
			value_json(o, &values[i]);
	}
	out_char(o, '}');
	values = c->more_contexts ? cairn_event_contexts(ev, &n) : NULL;
	if (values)
		json_contexts(o, values, n);
	if (shows_frames(v, c)) {
		out_str(o, ",\"frames\":");
		stacks_json(v->stacks, ev, o);
	}
	out_str(o, ev->flags & CAIRN_EVENT_LATE ? ",\"late\":true}\n" : "}\n");
}

int view_learn(struct view *v, const struct cairn_event *ev)
{
	const struct view_class *c = view_class_of(v, ev->cls);

	if (!c)
		return v->err;
	if (c->names_threads && threads_learn(&v->threads, ev))
		for (size_t i = 0; i < VIEW_PREFIXES; i++)
			v->prefixes[i].len = 0; /* made with an older name, perhaps */
	return v->stacks && c->stack == STACKS_FILE ? stacks_learn(v->stacks, ev) : 0;
}

int view_event(struct view *v, const struct cairn_event *ev)
{
	const struct view_class *c = view_class_of(v, ev->cls);

	if (!c)
		return v->err;
	if (!v->started) {
		v->start_ns = ev->time_ns;
		v->started = true;
	}
	if (v->holding && view_kernel_join(v, c, ev))
		return 0;
	if (c->kernel) {
		view_kernel_line(v, c, ev);
		return 0;
	}
	if (c->ctf_kernel && view_ctf_line(v, c, ev, prefix_of(v, c, ev)))
		return 0;
	switch (v->style) {
	case VIEW_REPORT:
	case VIEW_TRACE: (c->plain ? line_plain : line_trace)(v, c, ev); break;
	case VIEW_BABELTRACE: line_babeltrace(v, c, ev); break;
	case VIEW_JSON: line_json(v, c, ev); break;
	}
	return 0;
}
