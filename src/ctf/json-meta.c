/* Metadata of CTF 2: a JSON text sequence (each fragment between RS and LF) becomes the same declared
 * types that TSDL gives (json-types.c); what follows (plans, decoding) is shared.
 *
 * Extensions are refused.
 */
#include "ctf/json-impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct ctfr_type *scope(struct json_parse *p, json *o, const char *key)
{
	json *fc = jm_get(o, key);
	struct ctfr_type *t = fc ? jm_field_class(p, fc, 0) : NULL;

	if (t && t->kind != CAIRN_TYPE_STRUCT)
		return jm_bad(p, "this must be a structure:", key);
	return t;
}

/* ---- fragments ---- */

static void preamble(struct json_parse *p, json *o)
{
	json *uuid = jm_get(o, "uuid"), *extensions = jm_get(o, "extensions");
	char text[37] = "";
	const uint8_t *b = p->m->uuid;

	if (jm_u64(p, o, "version", 0) != 2)
		(void)jm_bad(p, "only version 2 is read of", "preamble");
	if (json_object_is_type(extensions, json_type_object) &&
		json_object_object_length(extensions))
		(void)jm_bad(p, "the trace needs extensions of CTF 2:",
			json_object_to_json_string(extensions));
	if (jm_length(uuid) != 16)
		return;
	for (size_t i = 0; i < 16; i++)
		p->m->uuid[i] = (uint8_t)json_object_get_int(json_object_array_get_idx(uuid, i));
	p->m->has_uuid = true;
	for (size_t i = 0, n = 0; i < 16; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	p->m->pub.uuid = jm_keep(p, text);
}

static void trace_class(struct json_parse *p, json *o)
{
	json *env = jm_get(o, "environment");
	struct ctfr_meta *m = p->m;

	m->has_trace = true;
	m->packet_header_type = scope(p, o, "packet-header-field-class");
	if (!json_object_is_type(env, json_type_object))
		return;
	if (m->nfacts) {
		(void)jm_bad(p, "there are two fragments", "trace-class");
		return;
	}
	m->facts = jm_alloc(p, (size_t)json_object_object_length(env) * sizeof(*m->facts));
	if (!m->facts)
		return;
	json_object_object_foreach(env, key, value)
	{
		struct cairn_fact *f = &m->facts[m->nfacts++];

		*f = (struct cairn_fact){.name = jm_keep(p, key)};
		if (json_object_is_type(value, json_type_string))
			f->text = jm_keep(p, json_object_get_string(value));
		f->number = f->text ? 0 : json_object_get_int64(value);
		if ((strcmp(key, "tracer_name") == 0 && f->text && strcmp(f->text, "cairn") == 0) ||
			strcmp(key, "cairn_version") == 0)
			m->pub.is_cairn = 1;
	}
	m->pub.facts = m->facts;
	m->pub.nfacts = m->nfacts;
}

static void clock_class(struct json_parse *p, json *o)
{
	struct ctfr_clock *k = jm_alloc(p, sizeof(*k));
	const char *id = jm_text(o, "id"), *name = jm_text(o, "name");
	json *offset = jm_get(o, "offset-from-origin");
	struct ctfr_clock **slot;

	if (!k)
		return;
	k->pub = (struct cairn_clock_info){.name = jm_keep(p,
						   id		  ? id
							   : name ? name
								  : "default"),
		.description =
			jm_keep(p, jm_text(o, "description") ? jm_text(o, "description") : ""),
		.uuid = jm_keep(p, jm_text(o, "uid") ? jm_text(o, "uid") : ""),
		.freq = jm_u64(p, o, "frequency", 0),
		.precision = jm_u64(p, o, "precision", 0),
		.offset = jm_u64(p, offset, "cycles", 0)};
	if (jm_get(offset, "seconds"))
		k->pub.offset_s = json_object_get_int64(jm_get(offset, "seconds"));
	k->pub.absolute = jm_text(o, "origin") && strcmp(jm_text(o, "origin"), "unix-epoch") == 0;
	if (k->pub.freq == 0 || k->pub.freq > INT64_MAX) {
		(void)jm_bad(p, "a frequency makes no sense:", k->pub.name);
		return;
	}
	ctfr_clock_prepare(k);
	slot = VEC_ADD(p->m->clocks, p->m->nclocks, p->m->clocks_cap);
	if (slot)
		*slot = k;
	else
		p->failed = -ENOMEM;
}

static void stream_class(struct json_parse *p, json *o)
{
	struct ctfr_stream *s = jm_alloc(p, sizeof(*s));
	const char *clock = jm_text(o, "default-clock-class-id");

	if (!s)
		return;
	p->m->has_trace = true;
	s->id = jm_u64(p, o, "id", 0);
	s->has_id = true;
	for (size_t i = 0; clock && i < p->m->nclocks; i++)
		if (strcmp(p->m->clocks[i]->pub.name, clock) == 0)
			s->clock = p->m->clocks[i];
	s->packet_context_type = scope(p, o, "packet-context-field-class");
	p->in_event_header = true;
	s->header_type = scope(p, o, "event-record-header-field-class");
	p->in_event_header = false;
	s->context_type = scope(p, o, "event-record-common-context-field-class");
	if (p->failed || ctfr_meta_stream(p->m, s->id)) {
		(void)jm_bad(p, "two have one id:", "data-stream-class");
		return;
	}
	*p->m->streams_tail = s;
	p->m->streams_tail = &s->next;
	p->m->nstreams++;
}

static const char *const loglevels[] = {"emergency", "alert", "critical", "error", "warning",
	"notice", "info", "debug:system", "debug:program", "debug:process", "debug:module",
	"debug:unit", "debug:function", "debug:line", "debug"};

static void event_class(struct json_parse *p, json *o)
{
	struct ctfr_event *e = jm_alloc(p, sizeof(*e));
	json *about = jm_get(jm_get(o, "attributes"), "babeltrace.org,2020");
	const char *name = jm_text(o, "name"), *level = jm_text(about, "log-level"),
		   *uri = jm_text(about, "emf-uri");

	if (!e)
		return;
	e->pub.name = jm_keep(p, name ? name : "(unnamed)");
	e->pub.uri = jm_keep(p, uri ? uri : "");
	e->pub.loglevel = -1;
	for (size_t i = 0; level && i < ARRAY_SIZE(loglevels); i++)
		if (strcmp(level, loglevels[i]) == 0)
			e->pub.loglevel = (int)i;
	e->pub.id = jm_u64(p, o, "id", 0);
	e->pub.stream_class_id = jm_u64(p, o, "data-stream-class-id", 0);
	e->has_id = e->has_stream_id = true;
	e->context_type = scope(p, o, "specific-context-field-class");
	e->fields_type = scope(p, o, "payload-field-class");
	e->meta = p->m;
	if (p->failed)
		return;
	*p->m->pending_tail = e;
	p->m->pending_tail = &e->next_pending;
}

static void alias(struct json_parse *p, json *o)
{
	const char *name = jm_text(o, "name");
	struct ctfr_type *t = jm_field_class(p, jm_get(o, "field-class"), 0);

	if (t && name && map_put(&p->m->types, name, strlen(name), t) < 0)
		p->failed = -ENOMEM;
}

static const struct {
	const char *type;
	void (*parse)(struct json_parse *p, json *o);
} fragments[] = {
	{"preamble", preamble},
	{"field-class-alias", alias},
	{"trace-class", trace_class},
	{"clock-class", clock_class},
	{"data-stream-class", stream_class},
	{"event-record-class", event_class},
};

static int fragment(struct json_parse *p, const char *text, size_t n)
{
	struct json_tokener *tok = json_tokener_new_ex(CTFR_MAX_DEPTH * 4);
	json *o = tok ? json_tokener_parse_ex(tok, text, (int)n) : NULL;
	const char *kind = jm_text(o, "type");

	if (!kind)
		(void)jm_bad(p, "a fragment is no JSON object with a type:",
			tok ? json_tokener_error_desc(json_tokener_get_error(tok)) : "");
	for (size_t i = 0; kind && i < ARRAY_SIZE(fragments); i++)
		if (strcmp(kind, fragments[i].type) == 0)
			fragments[i].parse(p, o);
	json_object_put(o);
	if (tok)
		json_tokener_free(tok);
	return p->failed;
}

int ctfr_json_parse(struct ctfr_meta *m, bool final, struct error *err)
{
	struct json_parse p = {.m = m, .err = err};

	m->order = CTFR_LE;
	while (!p.failed && m->parsed < m->text.len) {
		const char *begin = m->text.data + m->parsed, *end;
		size_t left = m->text.len - m->parsed;

		if (*begin == '\x1e' || *begin == '\n') {
			m->parsed++;
			continue;
		}
		end = memchr(begin, '\x1e', left);
		if (!end && (begin[left - 1] == '\n' || final))
			end = begin + left;
		if (!end)
			break;
		(void)fragment(&p, begin, (size_t)(end - begin)); /* p.failed says */
		m->parsed += (size_t)(end - begin);
	}
	m->broken |= p.failed != 0;
	return p.failed;
}
