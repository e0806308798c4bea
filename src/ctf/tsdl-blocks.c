/* TSDL, what stands at the top: trace, env, clock, stream, event, callsite, typedef, typealias and
 * declared bodies; and the feeding of text that comes in pieces.
 *
 * Each piece of text is cut into declarations that are complete (their ';' has come); these are
 * parsed, then planned: a stream as soon as it is described, an event as soon as its stream is.
 */
#include "ctf/tsdl-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One attribute of a block: "a.b = value;" or "a.b := type;". */
struct attribute {
	const char *name;
	struct tsdl_token at;
	struct tsdl_value value;
	const struct ctfr_type *type; /* of ":=", else NULL */
};

/* The next attribute of a block; local types are declared on the way. false at the '}'. */
static bool attribute(struct tsdl *p, struct attribute *a)
{
	AUTO(buf) struct buf name = {0};
	const char *field;

	memset(a, 0, sizeof(*a));
	for (;;) {
		if (p->failed || tsdl_accept(p, '}'))
			return false;
		if (tsdl_accept_word(p, "typedef"))
			tsdl_typedef(p);
		else if (tsdl_accept_word(p, "typealias"))
			tsdl_typealias(p);
		else
			break;
	}
	a->at = p->tok;
	if (p->tok.kind == TSDL_STRING) {
		a->name = tsdl_copy(p, &p->tok);
		tsdl_next(p);
	} else {
		(void)tsdl_path(p, &a->name); /* a failure shows below */
	}
	if (tsdl_accept(p, TSDL_ASSIGN_TYPE)) {
		struct ctfr_type *t = tsdl_specifier(p, &name);

		a->type = tsdl_declarator(p, t, &name, &field);
	} else {
		tsdl_expect(p, '=', "'=' or ':='");
		a->value = tsdl_value(p);
	}
	tsdl_expect(p, ';', "';' after the attribute");
	return !p->failed && a->name;
}

static bool is(const struct attribute *a, const char *name)
{
	return strcmp(a->name, name) == 0;
}

/* The struct that a ":=" must give. */
static const struct ctfr_type *as_struct(struct tsdl *p, const struct attribute *a)
{
	if (!p->failed && (!a->type || a->type->kind != CAIRN_TYPE_STRUCT))
		tsdl_fail(p, &a->at, "'%.40s' must be given a struct by ':='", a->name);
	return a->type;
}

static void parse_uuid(struct tsdl *p, const struct attribute *a, uint8_t uuid[16])
{
	unsigned b[16];
	int n = 0;

	if (sscanf(a->value.text, "%2x%2x%2x%2x-%2x%2x-%2x%2x-%2x%2x-%2x%2x%2x%2x%2x%2x%n", &b[0],
		    &b[1], &b[2], &b[3], &b[4], &b[5], &b[6], &b[7], &b[8], &b[9], &b[10], &b[11],
		    &b[12], &b[13], &b[14], &b[15], &n) != 16 ||
		n != 36 || a->value.text[36]) {
		tsdl_fail(p, &a->at, "'%.48s' is not a UUID", a->value.text);
		return;
	}
	for (int i = 0; i < 16; i++)
		uuid[i] = (uint8_t)b[i];
}

static void trace_block(struct tsdl *p)
{
	struct ctfr_meta *m = p->meta;
	struct tsdl_token at = p->tok;
	struct attribute a;

	if (m->has_trace) {
		tsdl_fail(p, &at, "a second trace block");
		return;
	}
	while (attribute(p, &a)) {
		if (is(&a, "major")) {
			if (tsdl_as_u64(p, &a.value, "major", 255) != 1)
				tsdl_fail(p, &a.at, "only CTF 1.8 can be read");
		} else if (is(&a, "byte_order")) {
			m->order = strcmp(a.value.text, "le") == 0 ? CTFR_LE : CTFR_BE;
			if (m->order == CTFR_BE && strcmp(a.value.text, "be") != 0 &&
				strcmp(a.value.text, "network") != 0)
				tsdl_fail(p, &a.at, "the byte order of a trace is le or be");
		} else if (is(&a, "uuid")) {
			parse_uuid(p, &a, m->uuid);
			m->has_uuid = true;
			m->pub.uuid = a.value.text;
		} else if (is(&a, "packet.header")) {
			m->packet_header_type = as_struct(p, &a);
		}
	}
	if (!p->failed && m->order == CTFR_NATIVE)
		tsdl_fail(p, &at, "the trace block does not say its byte_order");
	m->pub.big_endian = m->order == CTFR_BE;
	m->has_trace = true;
}

static void env_block(struct tsdl *p)
{
	struct ctfr_meta *m = p->meta;
	struct attribute a;

	while (attribute(p, &a)) {
		struct cairn_fact *grown, *f;

		if (a.type)
			continue;
		if (m->nfacts == m->facts_cap) { /* the old array stays: users may hold it */
			size_t cap = m->facts_cap ? m->facts_cap * 2 : 32;

			grown = cap > 65536 ? NULL : arena_alloc(&m->arena, cap * sizeof(*grown));
			if (!grown) {
				tsdl_no_memory(p);
				return;
			}
			if (m->nfacts)
				memcpy(grown, m->facts, m->nfacts * sizeof(*grown));
			m->facts = grown;
			m->facts_cap = cap;
		}
		f = &m->facts[m->nfacts++];
		f->name = a.name;
		f->text = a.value.kind == TSDL_V_NUMBER ? NULL : a.value.text;
		f->number = (int64_t)(a.value.negative ? 0 - a.value.number : a.value.number);
		if ((is(&a, "tracer_name") && f->text && strcmp(f->text, "cairn") == 0) ||
			is(&a, "cairn_version"))
			m->pub.is_cairn = 1;
	}
	m->pub.facts = m->facts;
	m->pub.nfacts = m->nfacts;
}

static int64_t as_i64(struct tsdl *p, const struct tsdl_value *v, const char *what)
{
	struct tsdl_value positive = *v;
	uint64_t u;

	positive.negative = false;
	u = tsdl_as_u64(p, &positive, what, INT64_MAX);
	return v->negative ? -(int64_t)u : (int64_t)u;
}

static void clock_block(struct tsdl *p)
{
	struct ctfr_clock *k = arena_alloc(&p->meta->arena, sizeof(*k));
	struct tsdl_token at = p->tok;
	struct cairn_clock_info *pub;
	struct ctfr_clock **slot;
	int64_t offset = 0;
	struct attribute a;

	if (!k) {
		tsdl_no_memory(p);
		return;
	}
	pub = &k->pub;
	*pub = (struct cairn_clock_info){
		.name = "", .description = "", .uuid = "", .freq = 1000000000};
	while (attribute(p, &a)) {
		if (is(&a, "name"))
			pub->name = tsdl_as_text(p, &a.value, "the name of a clock");
		else if (is(&a, "description"))
			pub->description = tsdl_as_text(p, &a.value, "a description");
		else if (is(&a, "uuid"))
			pub->uuid = tsdl_as_text(p, &a.value, "a UUID");
		else if (is(&a, "freq"))
			pub->freq = tsdl_as_u64(p, &a.value, "a frequency", INT64_MAX);
		else if (is(&a, "precision"))
			pub->precision = tsdl_as_u64(p, &a.value, "a precision", UINT64_MAX);
		else if (is(&a, "offset_s"))
			pub->offset_s = as_i64(p, &a.value, "offset_s");
		else if (is(&a, "offset"))
			offset = as_i64(p, &a.value, "offset");
		else if (is(&a, "absolute"))
			pub->absolute = tsdl_as_bool(p, &a.value);
	}
	if (!p->failed && (!*pub->name || pub->freq == 0))
		tsdl_fail(p, &at, "a clock needs a name and a frequency above 0");
	for (size_t i = 0; !p->failed && i < p->meta->nclocks; i++)
		if (strcmp(p->meta->clocks[i]->pub.name, pub->name) == 0)
			tsdl_fail(p, &at, "two clocks are called '%.80s'", pub->name);
	if (p->failed)
		return;
	if (offset < 0) { /* borrow whole seconds, so that the cycles are positive */
		uint64_t back = (0 - (uint64_t)offset + pub->freq - 1) / pub->freq;

		pub->offset_s = (int64_t)((uint64_t)pub->offset_s - back);
		pub->offset = (uint64_t)offset + back * pub->freq;
	} else {
		pub->offset = (uint64_t)offset;
	}
	ctfr_clock_prepare(k);
	slot = VEC_ADD(p->meta->clocks, p->meta->nclocks, p->meta->clocks_cap);
	if (!slot)
		tsdl_no_memory(p);
	else
		*slot = k;
}

static void stream_block(struct tsdl *p)
{
	struct ctfr_stream *s = arena_alloc(&p->meta->arena, sizeof(*s));
	struct tsdl_token at = p->tok;
	struct attribute a;

	if (!s) {
		tsdl_no_memory(p);
		return;
	}
	while (attribute(p, &a)) {
		if (is(&a, "id")) {
			s->id = tsdl_as_u64(p, &a.value, "the id of a stream", UINT64_MAX);
			s->has_id = true;
		} else if (is(&a, "event.header")) {
			s->header_type = as_struct(p, &a);
		} else if (is(&a, "event.context")) {
			s->context_type = as_struct(p, &a);
		} else if (is(&a, "packet.context")) {
			s->packet_context_type = as_struct(p, &a);
		}
	}
	if (!p->failed && ctfr_meta_stream(p->meta, s->id))
		tsdl_fail(p, &at, "two streams have the id %" PRIu64, s->id);
	if (p->failed)
		return;
	*p->meta->streams_tail = s;
	p->meta->streams_tail = &s->next;
	p->meta->nstreams++;
}

static void event_block(struct tsdl *p)
{
	struct ctfr_event *e = arena_alloc(&p->meta->arena, sizeof(*e));
	struct tsdl_token at = p->tok;
	struct attribute a;

	if (!e) {
		tsdl_no_memory(p);
		return;
	}
	e->pub.loglevel = -1;
	e->pub.uri = "";
	while (attribute(p, &a)) {
		if (is(&a, "name")) {
			e->pub.name = tsdl_as_text(p, &a.value, "the name of an event");
		} else if (is(&a, "id")) {
			e->pub.id = tsdl_as_u64(p, &a.value, "the id of an event", UINT64_MAX);
			e->has_id = true;
		} else if (is(&a, "stream_id")) {
			e->pub.stream_class_id =
				tsdl_as_u64(p, &a.value, "a stream_id", UINT64_MAX);
			e->has_stream_id = true;
		} else if (is(&a, "loglevel") && a.value.kind == TSDL_V_NUMBER) {
			e->pub.loglevel = (int)tsdl_as_u64(p, &a.value, "a loglevel", 255);
		} else if (is(&a, "model.emf.uri")) {
			e->pub.uri = tsdl_as_text(p, &a.value, "model.emf.uri");
		} else if (is(&a, "context")) {
			e->context_type = as_struct(p, &a);
		} else if (is(&a, "fields")) {
			e->fields_type = as_struct(p, &a);
		}
	}
	if (!p->failed && !e->pub.name)
		tsdl_fail(p, &at, "the event has no name");
	if (p->failed)
		return;
	e->meta = p->meta;
	*p->meta->pending_tail = e;
	p->meta->pending_tail = &e->next_pending;
}

static void ignored_block(struct tsdl *p)
{
	struct attribute a;

	while (attribute(p, &a))
		;
}

static const struct {
	const char *word;
	void (*parse)(struct tsdl *p);
} blocks[] = {
	{"trace", trace_block},
	{"env", env_block},
	{"clock", clock_block},
	{"stream", stream_block},
	{"event", event_block},
	{"callsite", ignored_block},
};

void tsdl_top(struct tsdl *p)
{
	AUTO(buf) struct buf name = {0};

	if (tsdl_accept_word(p, "typedef")) {
		tsdl_typedef(p);
		return;
	}
	if (tsdl_accept_word(p, "typealias")) {
		tsdl_typealias(p);
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(blocks); i++) {
		struct ctfr_scope scope = {.parent = p->scope};

		if (!tsdl_accept_word(p, blocks[i].word))
			continue;
		tsdl_expect(p, '{', "'{' of the block");
		p->scope = &scope;
		blocks[i].parse(p);
		p->scope = scope.parent;
		tsdl_expect(p, ';', "';' after the block");
		return;
	}
	if (tsdl_accept(p, ';'))
		return;
	if (tsdl_begins_type(p) && p->tok.is_keyword) {
		(void)tsdl_specifier(p, &name); /* a failure shows below */
		tsdl_expect(p, ';', "';' after the declaration");
		return;
	}
	tsdl_expected(p, "trace, env, clock, stream, event, typedef, typealias or a type");
}

/* ---- feeding ---- */

int ctfr_meta_init(struct ctfr_meta *m, const char *name)
{
	memset(m, 0, sizeof(*m));
	m->name = name;
	m->line = m->column = 1;
	m->pub.uuid = "";
	m->streams_tail = &m->streams;
	m->pending_tail = &m->pending;
	m->nslots = ARRAY_SIZE(m->env_slots);
	return 0;
}

void ctfr_meta_done(struct ctfr_meta *m)
{
	for (struct ctfr_stream *s = m->streams; s; s = s->next) {
		map_done(&s->big_ids);
		free(s->by_id);
	}
	map_done(&m->types);
	free(m->clocks);
	buf_done(&m->text);
	arena_done(&m->arena);
}

struct ctfr_stream *ctfr_meta_stream(const struct ctfr_meta *m, uint64_t id)
{
	for (struct ctfr_stream *s = m->streams; s; s = s->next)
		if (s->id == id)
			return s;
	return NULL;
}

/* The stream of an event that may not say which. */
static struct ctfr_stream *stream_of(const struct ctfr_meta *m, const struct ctfr_event *e)
{
	if (e->has_stream_id || m->nstreams != 1)
		return ctfr_meta_stream(m, e->pub.stream_class_id);
	return m->streams;
}

/* The clocks for users, in a row. */
static int show_clocks(struct ctfr_meta *m)
{
	struct cairn_clock_info *all;

	if (m->pub.nclocks == m->nclocks)
		return 0;
	all = arena_alloc(&m->arena, m->nclocks * sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < m->nclocks; i++)
		all[i] = m->clocks[i]->pub;
	m->pub.clocks = all;
	m->pub.nclocks = m->nclocks;
	return 0;
}

static int plan_new(struct ctfr_meta *m, struct error *err)
{
	struct ctfr_event **link = &m->pending;
	int r = 0;

	if (!m->has_trace)
		return 0;
	if (show_clocks(m) < 0)
		return error_set(err, -ENOMEM, "no memory for the metadata");
	r = ctfr_plan_trace(m, err);
	for (struct ctfr_stream *s = m->streams; s && r == 0; s = s->next)
		if (!s->planned)
			r = ctfr_plan_stream(m, s, err);
	while (*link && r == 0) {
		struct ctfr_event *e = *link;

		e->stream = stream_of(m, e);
		if (!e->stream) {
			link = &e->next_pending;
			continue;
		}
		e->pub.stream_class_id = e->stream->id;
		r = ctfr_plan_event(m, e, err);
		*link = e->next_pending;
	}
	m->pending_tail = link;
	return r;
}

/* Metadata without a stream or with events of a stream that never came. */
static int settle(struct ctfr_meta *m, struct error *err)
{
	if (!m->has_trace) {
		error_set(err, -EINVAL, "the metadata has no trace block");
	} else if (m->pending && m->nstreams == 0) {
		/* no stream block at all: one with nothing said */
		struct ctfr_stream *s = arena_alloc(&m->arena, sizeof(*s));

		if (!s)
			return error_set(err, -ENOMEM, "no memory for the metadata");
		*m->streams_tail = s;
		m->streams_tail = &s->next;
		m->nstreams++;
		return plan_new(m, err);
	} else if (m->pending) {
		error_set(err, -EINVAL,
			"event '%.80s' is of stream %" PRIu64 ", which is not described",
			m->pending->pub.name, m->pending->pub.stream_class_id);
	} else {
		return 0;
	}
	error_where(err, "%s", m->name);
	return -EINVAL;
}

bool ctfr_meta_is_cut(const struct ctfr_meta *m)
{
	return m->parsed < m->text.len;
}

static int finish(struct ctfr_meta *m, bool final, struct error *err)
{
	int r = plan_new(m, err);

	if (r == 0 && final)
		r = settle(m, err);
	if (r == 0 && final && ctfr_meta_is_cut(m)) {
		r = error_set(err, -EINVAL, "the metadata ends inside a declaration");
		error_where(err, "%s:%u:%u", m->name, m->line, m->column);
	}
	return r;
}

int ctfr_meta_feed(struct ctfr_meta *m, const char *text, size_t n, bool final, struct error *err)
{
	struct tsdl p = {.meta = m, .err = err, .line = m->line, .column = m->column};
	bool blank = false;
	int r;

	if (m->broken)
		return error_set(err, -EINVAL, "the metadata has an error");
	if (n && m->text.len == 0)
		m->is_json = text[0] == '\x1e'; /* a JSON text sequence */
	if (m->text.len + n > CTFR_MAX_META)
		return error_set(
			err, -EFBIG, "the metadata is larger than %u MiB", CTFR_MAX_META >> 20);
	if (n && memchr(text, 0, n)) { /* padding of packets, or damage: no text */
		size_t clean = strnlen(text, n);

		while (clean < n && text[clean] == 0)
			clean++;
		if (clean < n)
			return error_set(err, -EINVAL, "the metadata has a NUL byte in it");
		n = strnlen(text, n);
	}
	buf_add(&m->text, text, n);
	if (m->text.err)
		return error_set(err, -ENOMEM, "no memory for the metadata");
	if (m->is_json) {
		r = ctfr_json_parse(m, final, err);
		return r < 0 ? r : finish(m, final, err);
	}
	p.at = m->text.data + m->parsed;
	for (;;) {
		const char *begin = p.at;
		size_t len;

		p.end = m->text.data + m->text.len;
		len = m->text.len == m->parsed ? 0 : tsdl_declaration(&p, &blank);
		if (len == 0)
			break;
		p.end = begin + len;
		if (blank)
			break;
		tsdl_next(&p);
		tsdl_top(&p);
		if (p.failed) {
			m->broken = true;
			return p.failed;
		}
		/* the token after the ';' is the end of this piece, so p.at is there */
		m->parsed = (size_t)(p.at - m->text.data);
		m->line = p.line;
		m->column = p.column;
	}
	if (blank && final)
		m->parsed = m->text.len;
	return finish(m, final, err);
}
