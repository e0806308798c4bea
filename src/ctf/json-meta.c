/* Metadata of CTF 2: a JSON text sequence (each fragment between RS and LF) becomes the same declared
 * types that TSDL gives; what follows (plans, decoding) is shared.
 *
 * Read are all classes of fixed length, strings, blobs, arrays, structures and variants. Optional
 * fields and integers of variable length are refused by name.
 */
#include "ctf/ctf-read.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct json_parse {
	struct ctfr_meta *m;
	struct error *err;
	int failed;
	bool in_event_header;
};

typedef struct json_object json;

static void *bad(struct json_parse *p, const char *what, const char *which)
{
	if (p->failed)
		return NULL;
	p->failed = -EINVAL;
	(void)error_set(p->err, -EINVAL, "%s '%.80s'", what, which);
	error_where(p->err, "%s", p->m->name);
	return NULL;
}

static void *alloc(struct json_parse *p, size_t n)
{
	void *a = arena_alloc(&p->m->arena, n ? n : 1);

	if (!a && !p->failed)
		p->failed = error_set(p->err, -ENOMEM, "no memory for the metadata");
	return a;
}

static const char *keep(struct json_parse *p, const char *s)
{
	char *c = alloc(p, strlen(s) + 1);

	return c ? strcpy(c, s) : "";
}

static json *get(json *o, const char *key)
{
	json *v = NULL;

	if (json_object_is_type(o, json_type_object))
		(void)json_object_object_get_ex(o, key, &v); /* NULL if it is not there */
	return v;
}

static const char *text_of(json *o, const char *key)
{
	json *v = get(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

static uint64_t u64_of(struct json_parse *p, json *o, const char *key, uint64_t otherwise)
{
	json *v = get(o, key);

	if (!v)
		return otherwise;
	if (!json_object_is_type(v, json_type_int) ||
		(json_object_get_int64(v) < 0 && json_object_get_uint64(v) == 0))
		(void)bad(p, "this is no number, or below 0:", key);
	return json_object_get_uint64(v);
}

static size_t length(json *a)
{
	return json_object_is_type(a, json_type_array) ? json_object_array_length(a) : 0;
}

static struct ctfr_type *type(struct json_parse *p, json *o, int depth);

static struct ctfr_type *new_type(struct json_parse *p, enum cairn_type_kind kind, uint64_t align)
{
	struct ctfr_type *t = alloc(p, sizeof(*t));

	if (!t)
		return NULL;
	t->kind = kind;
	t->align = align;
	t->base = 10;
	t->order = CTFR_LE;
	return t;
}

static const struct {
	const char *name;
	enum ctfr_role role;
} roles[] = {
	{"packet-magic-number", CTFR_ROLE_MAGIC},
	{"metadata-stream-uuid", CTFR_ROLE_UUID},
	{"data-stream-class-id", CTFR_ROLE_STREAM_ID},
	{"data-stream-id", CTFR_ROLE_INSTANCE_ID},
	{"packet-total-length", CTFR_ROLE_PACKET_SIZE},
	{"packet-content-length", CTFR_ROLE_CONTENT_SIZE},
	{"default-clock-timestamp", CTFR_ROLE_TIME_BEGIN},
	{"packet-end-default-clock-timestamp", CTFR_ROLE_TIME_END},
	{"discarded-event-record-counter-snapshot", CTFR_ROLE_DISCARDED},
	{"packet-sequence-number", CTFR_ROLE_SEQ_NUM},
	{"event-record-class-id", CTFR_ROLE_EVENT_ID},
};

static enum ctfr_role role_of(const struct json_parse *p, json *o)
{
	json *all = get(o, "roles");

	for (size_t i = 0; i < length(all); i++)
		for (size_t k = 0; k < ARRAY_SIZE(roles); k++) {
			const char *s = json_object_get_string(json_object_array_get_idx(all, i));

			if (!s || strcmp(s, roles[k].name) != 0)
				continue;
			return roles[k].role == CTFR_ROLE_TIME_BEGIN && p->in_event_header
				? CTFR_ROLE_TIME
				: roles[k].role;
		}
	return CTFR_ROLE_NONE;
}

static const struct {
	const char *origin;
	const char *names[3];
} origins[] = {
	{"packet-header", {"trace", "packet", "header"}},
	{"packet-context", {"stream", "packet", "context"}},
	{"event-record-header", {"stream", "event", "header"}},
	{"event-record-common-context", {"stream", "event", "context"}},
	{"event-record-specific-context", {"event", "context"}},
	{"event-record-payload", {"event", "fields"}},
};

static struct ctfr_path *path_of(struct json_parse *p, json *o, const char *key)
{
	json *where = get(o, key), *names = get(where, "path");
	const char *origin = text_of(where, "origin");
	struct ctfr_path *path = alloc(p, sizeof(*path));
	size_t n = length(names), known = !origin;

	if (!path || n == 0 || n > CTFR_MAX_DEPTH)
		return bad(p, "this needs a path:", key);
	path->names = alloc(p, (n + 3) * sizeof(char *));
	for (size_t i = 0; !p->failed && origin && i < ARRAY_SIZE(origins); i++)
		if (strcmp(origins[i].origin, origin) == 0)
			for (known = 1; path->n < 3 && origins[i].names[path->n]; path->n++)
				path->names[path->n] = origins[i].names[path->n];
	if (!known)
		return bad(p, "this is no origin of fields:", origin);
	for (size_t i = 0; !p->failed && i < n; i++) {
		json *name = json_object_array_get_idx(names, i);

		if (!json_object_is_type(name, json_type_string))
			return bad(p, "only names are read in the path of", key);
		path->names[path->n++] = keep(p, json_object_get_string(name));
	}
	return path;
}

/* [[first, last], ...] appended to labels (or counted, without them). */
static void ranges(
	struct json_parse *p, json *all, const char *name, bool is_signed, struct ctfr_type *t)
{
	for (size_t i = 0; !p->failed && i < length(all); i++) {
		json *r = json_object_array_get_idx(all, i), *a, *b;
		struct cairn_label *l = &t->labels[t->nlabels];

		a = length(r) == 2 ? json_object_array_get_idx(r, 0) : NULL;
		b = length(r) == 2 ? json_object_array_get_idx(r, 1) : NULL;
		if (!json_object_is_type(a, json_type_int) ||
			!json_object_is_type(b, json_type_int)) {
			(void)bad(p, "a range must be two integers:", name);
			return;
		}
		l->name = name;
		l->first =
			is_signed ? json_object_get_int64(a) : (int64_t)json_object_get_uint64(a);
		l->last = is_signed ? json_object_get_int64(b) : (int64_t)json_object_get_uint64(b);
		t->nlabels++;
	}
}

static void mappings(struct json_parse *p, json *all, struct ctfr_type *t)
{
	size_t n = 0;

	if (!json_object_is_type(all, json_type_object) || json_object_object_length(all) == 0)
		return;
	json_object_object_foreach(all, key, value)
	{
		(void)key;
		n += length(value);
	}
	t->labels = alloc(p, n * sizeof(*t->labels));
	t->kind = CAIRN_TYPE_ENUM;
	json_object_object_foreach(all, name, list)
	{
		if (!p->failed)
			ranges(p, list, keep(p, name), t->is_signed, t);
	}
}

/* A boolean is shown as Cairn's CTF 1.8 has it: by label. All but zero is true. */
static void truth(struct json_parse *p, struct ctfr_type *t)
{
	t->labels = alloc(p, 2 * sizeof(*t->labels));
	if (!t->labels)
		return;
	t->kind = CAIRN_TYPE_ENUM;
	t->labels[0] = (struct cairn_label){.name = "false"};
	t->labels[1] = (struct cairn_label){.name = "true", .first = 1, .last = -1};
	t->nlabels = 2;
}

static struct ctfr_type *number(struct json_parse *p, json *o, const char *kind)
{
	bool is_float = strstr(kind, "floating") != NULL;
	struct ctfr_type *t = new_type(
		p, is_float ? CAIRN_TYPE_FLOAT : CAIRN_TYPE_INT, u64_of(p, o, "alignment", 1));
	uint64_t bits = u64_of(p, o, "length", 0);
	const char *order = text_of(o, "byte-order");

	if (!t || bits == 0 || bits > 64 || t->align == 0 || t->align > (1u << 20) ||
		t->align & (t->align - 1) || (is_float && bits != 32 && bits != 64))
		return bad(p, "a length or alignment makes no sense:", kind);
	if (text_of(o, "bit-order") &&
		strcmp(text_of(o, "bit-order"),
			order && strcmp(order, "big-endian") == 0 ? "last-to-first"
								  : "first-to-last"))
		return bad(p, "this bit-order is not read here:", text_of(o, "bit-order"));
	t->bits = (uint32_t)bits;
	t->exp_bits = bits == 64 ? 11 : 8;
	t->order = order && strcmp(order, "big-endian") == 0 ? CTFR_BE : CTFR_LE;
	t->is_signed = strcmp(kind, "fixed-length-signed-integer") == 0;
	t->base = (uint32_t)u64_of(p, o, "preferred-display-base", 10);
	if (strcmp(kind, "fixed-length-bit-array") == 0)
		t->base = 16;
	t->is_text = get(get(get(o, "attributes"), "cairn"), "char") != NULL;
	t->role = role_of(p, o);
	if (strcmp(kind, "fixed-length-boolean") == 0)
		truth(p, t);
	else if (!is_float)
		mappings(p, get(o, "mappings"), t);
	return t;
}

/* Strings and blobs are arrays of bytes; others have an element class. */
static struct ctfr_type *list(struct json_parse *p, json *o, const char *kind, int depth)
{
	bool dynamic = strncmp(kind, "dynamic", 7) == 0;
	struct ctfr_type *t = new_type(p, dynamic ? CAIRN_TYPE_SEQUENCE : CAIRN_TYPE_ARRAY, 1);

	if (!t)
		return NULL;
	if (strstr(kind, "array")) {
		t->of = type(p, get(o, "element-field-class"), depth + 1);
	} else {
		t->of = new_type(p, CAIRN_TYPE_INT, 8);
		if (t->of) {
			t->of->bits = 8;
			t->of->is_text = strstr(kind, "string") != NULL;
			t->of->base = 16;
		}
	}
	if (p->failed || !t->of)
		return NULL;
	t->align = MAX(t->of->align, u64_of(p, o, "minimum-alignment", 1));
	t->role = role_of(p, o);
	if (dynamic)
		t->path = path_of(p, o, "length-field-location");
	else
		t->length = u64_of(p, o, "length", 0);
	if (t->align & (t->align - 1) || t->length > UINT32_MAX)
		return bad(p, "a length or alignment makes no sense:", kind);
	return t;
}

static struct ctfr_type *members(struct json_parse *p, json *o, json *all, bool variant, int depth)
{
	struct ctfr_type *t = new_type(p, variant ? CAIRN_TYPE_VARIANT : CAIRN_TYPE_STRUCT, 1);
	size_t n = length(all), nranges = 0;

	if (!t)
		return NULL;
	for (size_t i = 0; variant && i < n; i++)
		nranges += length(get(json_object_array_get_idx(all, i), "selector-field-ranges"));
	t->members = alloc(p, n * sizeof(*t->members));
	t->labels = alloc(p, nranges * sizeof(*t->labels));
	t->has_body = true;
	t->own_ranges = variant;
	if (!variant)
		t->align = u64_of(p, o, "minimum-alignment", 1);
	for (size_t i = 0; i < n && !p->failed; i++) {
		json *member = json_object_array_get_idx(all, i);
		const char *name = text_of(member, "name");
		struct ctfr_member *m = &t->members[t->nmembers++];

		m->name = keep(p, name ? name : "");
		m->type = type(p, get(member, "field-class"), depth + 1);
		if (m->type && !variant)
			t->align = MAX(t->align, m->type->align);
		if (variant && !p->failed) {
			ranges(p, get(member, "selector-field-ranges"), m->name, true, t);
		}
	}
	if (variant && !p->failed)
		t->path = path_of(p, o, "selector-field-location");
	if (!p->failed && (t->align == 0 || t->align & (t->align - 1)))
		return bad(p, "an alignment makes no sense:", "structure");
	return t;
}

static struct ctfr_type *type(struct json_parse *p, json *o, int depth)
{
	const char *kind = json_object_is_type(o, json_type_string) ? json_object_get_string(o)
								    : text_of(o, "type");

	if (p->failed)
		return NULL;
	if (!kind || depth > CTFR_MAX_DEPTH)
		return bad(p, "a field class is missing, or too deep:", "type");
	if (json_object_is_type(o, json_type_string)) { /* an alias */
		struct ctfr_type *t = map_get(&p->m->types, kind, strlen(kind));

		return t ? t : bad(p, "no field class is called", kind);
	}
	if (strncmp(kind, "fixed-length-", 13) == 0 && strcmp(kind, "fixed-length-bit-map") != 0)
		return number(p, o, kind);
	if (strcmp(kind, "null-terminated-string") == 0)
		return new_type(p, CAIRN_TYPE_STRING, 8);
	if (strncmp(kind, "static-length-", 14) == 0 || strncmp(kind, "dynamic-length-", 15) == 0)
		return list(p, o, kind, depth);
	if (strcmp(kind, "structure") == 0)
		return members(p, o, get(o, "member-classes"), false, depth);
	if (strcmp(kind, "variant") == 0)
		return members(p, o, get(o, "options"), true, depth);
	return bad(p, "fields of this class are not read here:", kind);
}

static const struct ctfr_type *scope(struct json_parse *p, json *o, const char *key)
{
	json *fc = get(o, key);
	struct ctfr_type *t = fc ? type(p, fc, 0) : NULL;

	if (t && t->kind != CAIRN_TYPE_STRUCT)
		return bad(p, "this must be a structure:", key);
	return t;
}

/* ---- fragments ---- */

static void preamble(struct json_parse *p, json *o)
{
	json *uuid = get(o, "uuid");
	char text[37] = "";
	const uint8_t *b = p->m->uuid;

	if (u64_of(p, o, "version", 0) != 2)
		(void)bad(p, "only version 2 is read of", "preamble");
	if (length(uuid) != 16)
		return;
	for (size_t i = 0; i < 16; i++)
		p->m->uuid[i] = (uint8_t)json_object_get_int(json_object_array_get_idx(uuid, i));
	p->m->has_uuid = true;
	for (size_t i = 0, n = 0; i < 16; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%02x",
			i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	p->m->pub.uuid = keep(p, text);
}

static void trace_class(struct json_parse *p, json *o)
{
	json *env = get(o, "environment");
	struct ctfr_meta *m = p->m;

	m->has_trace = true;
	m->packet_header_type = scope(p, o, "packet-header-field-class");
	if (!json_object_is_type(env, json_type_object))
		return;
	if (m->nfacts) {
		(void)bad(p, "there are two fragments", "trace-class");
		return;
	}
	m->facts = alloc(p, (size_t)json_object_object_length(env) * sizeof(*m->facts));
	if (!m->facts)
		return;
	json_object_object_foreach(env, key, value)
	{
		struct cairn_fact *f = &m->facts[m->nfacts++];

		*f = (struct cairn_fact){.name = keep(p, key)};
		if (json_object_is_type(value, json_type_string))
			f->text = keep(p, json_object_get_string(value));
		f->number = f->text ? 0 : json_object_get_int64(value);
		if (strcmp(key, "tracer_name") == 0 && f->text && strcmp(f->text, "cairn") == 0)
			m->pub.is_cairn = 1;
	}
	m->pub.facts = m->facts;
	m->pub.nfacts = m->nfacts;
}

static void clock_class(struct json_parse *p, json *o)
{
	struct ctfr_clock *k = alloc(p, sizeof(*k));
	const char *id = text_of(o, "id"), *name = text_of(o, "name");
	json *offset = get(o, "offset-from-origin");
	struct ctfr_clock **slot;

	if (!k)
		return;
	k->pub = (struct cairn_clock_info){.name = keep(p,
						   id		  ? id
							   : name ? name
								  : "default"),
		.description = keep(p, text_of(o, "description") ? text_of(o, "description") : ""),
		.uuid = keep(p, text_of(o, "uid") ? text_of(o, "uid") : ""),
		.freq = u64_of(p, o, "frequency", 0),
		.precision = u64_of(p, o, "precision", 0),
		.offset = u64_of(p, offset, "cycles", 0)};
	if (get(offset, "seconds"))
		k->pub.offset_s = json_object_get_int64(get(offset, "seconds"));
	k->pub.absolute = text_of(o, "origin") && strcmp(text_of(o, "origin"), "unix-epoch") == 0;
	if (k->pub.freq == 0 || k->pub.freq > INT64_MAX) {
		(void)bad(p, "a frequency makes no sense:", k->pub.name);
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
	struct ctfr_stream *s = alloc(p, sizeof(*s));
	const char *clock = text_of(o, "default-clock-class-id");

	if (!s)
		return;
	p->m->has_trace = true;
	s->id = u64_of(p, o, "id", 0);
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
		(void)bad(p, "two have one id:", "data-stream-class");
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
	struct ctfr_event *e = alloc(p, sizeof(*e));
	json *about = get(get(o, "attributes"), "babeltrace.org,2020");
	const char *name = text_of(o, "name"), *level = text_of(about, "log-level"),
		   *uri = text_of(about, "emf-uri");

	if (!e)
		return;
	e->pub.name = keep(p, name ? name : "(unnamed)");
	e->pub.uri = keep(p, uri ? uri : "");
	e->pub.loglevel = -1;
	for (size_t i = 0; level && i < ARRAY_SIZE(loglevels); i++)
		if (strcmp(level, loglevels[i]) == 0)
			e->pub.loglevel = (int)i;
	e->pub.id = u64_of(p, o, "id", 0);
	e->pub.stream_class_id = u64_of(p, o, "data-stream-class-id", 0);
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
	const char *name = text_of(o, "name");
	struct ctfr_type *t = type(p, get(o, "field-class"), 0);

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
	const char *kind = text_of(o, "type");

	if (!kind)
		(void)bad(p, "a fragment is no JSON object with a type:",
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
