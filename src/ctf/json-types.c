/* Field classes of CTF 2: JSON objects become the same declared types that TSDL gives.
 *
 * All are read, but what no C type holds: integers of more than 64 bits, strings in UTF-16 and UTF-32,
 * bits in an order of their own. These are refused by name.
 */
#include "ctf/json-impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void *jm_bad(struct json_parse *p, const char *what, const char *which)
{
	if (p->failed)
		return NULL;
	p->failed = -EINVAL;
	(void)error_set(p->err, -EINVAL, "%s '%.80s'", what, which);
	error_where(p->err, "%s", p->m->name);
	return NULL;
}

void *jm_alloc(struct json_parse *p, size_t n)
{
	void *a = arena_alloc(&p->m->arena, n ? n : 1);

	if (!a && !p->failed)
		p->failed = error_set(p->err, -ENOMEM, "no memory for the metadata");
	return a;
}

const char *jm_keep(struct json_parse *p, const char *s)
{
	char *c = jm_alloc(p, strlen(s) + 1);

	return c ? strcpy(c, s) : "";
}

json *jm_get(json *o, const char *key)
{
	json *v = NULL;

	if (json_object_is_type(o, json_type_object))
		(void)json_object_object_get_ex(o, key, &v); /* NULL if it is not there */
	return v;
}

const char *jm_text(json *o, const char *key)
{
	json *v = jm_get(o, key);

	return json_object_is_type(v, json_type_string) ? json_object_get_string(v) : NULL;
}

uint64_t jm_u64(struct json_parse *p, json *o, const char *key, uint64_t otherwise)
{
	json *v = jm_get(o, key);

	if (!v)
		return otherwise;
	if (!json_object_is_type(v, json_type_int) ||
		(json_object_get_int64(v) < 0 && json_object_get_uint64(v) == 0))
		(void)jm_bad(p, "this is no number, or below 0:", key);
	return json_object_get_uint64(v);
}

size_t jm_length(json *a)
{
	return json_object_is_type(a, json_type_array) ? json_object_array_length(a) : 0;
}

static struct ctfr_type *new_type(struct json_parse *p, enum cairn_type_kind kind, uint64_t align)
{
	struct ctfr_type *t = jm_alloc(p, sizeof(*t));

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
	json *all = jm_get(o, "roles");

	for (size_t i = 0; i < jm_length(all); i++)
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

static const char *const origins[] = {"packet-header", "packet-context", "event-record-header",
	"event-record-common-context", "event-record-specific-context",
	"event-record-payload"}; /* as CTFR_FROM_ROOTS and on */

/* null goes to the structure around. */
static void add_step(struct json_parse *p, struct ctfr_path *path, json *name)
{
	if (json_object_is_type(name, json_type_string))
		path->names[path->n++] = jm_keep(p, json_object_get_string(name));
	else if (name)
		(void)jm_bad(p, "this is no name in a path:", json_object_get_string(name));
	else if (path->n)
		path->n--;
	else if (path->origin != CTFR_RELATIVE)
		(void)jm_bad(p, "a path leaves its", "origin");
	else
		path->ups++;
}

static struct ctfr_path *path_of(struct json_parse *p, json *o, const char *key)
{
	json *where = jm_get(o, key), *names = jm_get(where, "path");
	const char *origin = jm_text(where, "origin");
	struct ctfr_path *path = jm_alloc(p, sizeof(*path));
	size_t n = jm_length(names);

	if (!path || n == 0 || n > CTFR_MAX_DEPTH)
		return jm_bad(p, "this needs a path:", key);
	path->names = jm_alloc(p, n * sizeof(char *));
	path->origin = CTFR_RELATIVE;
	for (size_t i = 0; origin && i < ARRAY_SIZE(origins); i++)
		if (strcmp(origins[i], origin) == 0)
			path->origin = CTFR_FROM_ROOTS + (int)i;
	if (origin && path->origin == CTFR_RELATIVE)
		return jm_bad(p, "this is no origin of fields:", origin);
	for (size_t i = 0; !p->failed && i < n; i++)
		add_step(p, path, json_object_array_get_idx(names, i));
	if (!p->failed && path->n == 0)
		return jm_bad(p, "a path ends without a name:", key);
	return p->failed ? NULL : path;
}

/* [[first, last], ...] appended to labels (or counted, without them). */
static void ranges(
	struct json_parse *p, json *all, const char *name, bool is_signed, struct ctfr_type *t)
{
	for (size_t i = 0; !p->failed && i < jm_length(all); i++) {
		json *r = json_object_array_get_idx(all, i), *a, *b;
		struct cairn_label *l = &t->labels[t->nlabels];

		a = jm_length(r) == 2 ? json_object_array_get_idx(r, 0) : NULL;
		b = jm_length(r) == 2 ? json_object_array_get_idx(r, 1) : NULL;
		if (!json_object_is_type(a, json_type_int) ||
			!json_object_is_type(b, json_type_int)) {
			(void)jm_bad(p, "a range must be two integers:", name);
			return;
		}
		l->name = name;
		l->first =
			is_signed ? json_object_get_int64(a) : (int64_t)json_object_get_uint64(a);
		l->last = is_signed ? json_object_get_int64(b) : (int64_t)json_object_get_uint64(b);
		t->nlabels++;
	}
}

/* Names of values: they make an enumeration; or names of bits, which do not. */
static void mappings(
	struct json_parse *p, json *all, enum cairn_type_kind kind, struct ctfr_type *t)
{
	size_t n = 0;

	if (!json_object_is_type(all, json_type_object) || json_object_object_length(all) == 0)
		return;
	json_object_object_foreach(all, key, value)
	{
		(void)key;
		n += jm_length(value);
	}
	t->labels = jm_alloc(p, n * sizeof(*t->labels));
	t->kind = kind;
	json_object_object_foreach(all, name, list)
	{
		if (!p->failed)
			ranges(p, list, jm_keep(p, name), t->is_signed, t);
	}
}

/* A boolean is shown as Cairn's CTF 1.8 has it: by label. All but zero is true. */
static void truth(struct json_parse *p, struct ctfr_type *t)
{
	t->labels = jm_alloc(p, 2 * sizeof(*t->labels));
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
		p, is_float ? CAIRN_TYPE_FLOAT : CAIRN_TYPE_INT, jm_u64(p, o, "alignment", 1));
	uint64_t bits = jm_u64(p, o, "length", 0);
	const char *order = jm_text(o, "byte-order");

	if (!t || bits == 0 || (bits > 64 && !is_float) || t->align == 0 || t->align > (1u << 20) ||
		t->align & (t->align - 1) ||
		(is_float && bits != 16 && bits != 32 && bits != 64 && bits != 128))
		return jm_bad(p, "a length or alignment makes no sense:", kind);
	if (jm_text(o, "bit-order") &&
		strcmp(jm_text(o, "bit-order"),
			order && strcmp(order, "big-endian") == 0 ? "last-to-first"
								  : "first-to-last"))
		return jm_bad(p, "this bit-order is not read here:", jm_text(o, "bit-order"));
	t->bits = (uint32_t)bits;
	t->exp_bits = bits == 16 ? 5 : bits == 32 ? 8 : bits == 64 ? 11 : 15;
	t->order = order && strcmp(order, "big-endian") == 0 ? CTFR_BE : CTFR_LE;
	t->is_signed = strcmp(kind, "fixed-length-signed-integer") == 0;
	t->base = (uint32_t)jm_u64(p, o, "preferred-display-base", 10);
	if (strncmp(kind, "fixed-length-bit-", 17) == 0)
		t->base = 16;
	t->is_text = jm_get(jm_get(jm_get(o, "attributes"), "cairn"), "char") != NULL;
	t->role = role_of(p, o);
	if (strcmp(kind, "fixed-length-boolean") == 0)
		truth(p, t);
	else if (strcmp(kind, "fixed-length-bit-map") == 0)
		mappings(p, jm_get(o, "flags"), CAIRN_TYPE_INT, t);
	else if (!is_float)
		mappings(p, jm_get(o, "mappings"), CAIRN_TYPE_ENUM, t);
	return t;
}

static struct ctfr_type *varlen(struct json_parse *p, json *o, const char *kind)
{
	struct ctfr_type *t = new_type(p, CAIRN_TYPE_INT, 8);

	if (!t)
		return NULL;
	t->is_varlen = true;
	t->bits = 64;
	t->is_signed = strstr(kind, "unsigned") == NULL;
	t->base = (uint32_t)jm_u64(p, o, "preferred-display-base", 10);
	t->role = role_of(p, o);
	mappings(p, jm_get(o, "mappings"), CAIRN_TYPE_ENUM, t);
	return t;
}

static bool is_utf8(struct json_parse *p, json *o)
{
	const char *encoding = jm_text(o, "encoding");

	if (encoding && strcmp(encoding, "utf-8") != 0)
		(void)jm_bad(p, "strings in this encoding are not read here:", encoding);
	return !p->failed;
}

/* Strings and blobs are arrays of bytes; others have an element class. */
static struct ctfr_type *list(struct json_parse *p, json *o, const char *kind, int depth)
{
	bool dynamic = strncmp(kind, "dynamic", 7) == 0;
	struct ctfr_type *t = new_type(p, dynamic ? CAIRN_TYPE_SEQUENCE : CAIRN_TYPE_ARRAY, 1);

	if (!t || !is_utf8(p, o))
		return NULL;
	if (strstr(kind, "array")) {
		t->of = jm_field_class(p, jm_get(o, "element-field-class"), depth + 1);
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
	t->align = MAX(t->of->align, jm_u64(p, o, "minimum-alignment", 1));
	t->role = role_of(p, o);
	if (dynamic)
		t->path = path_of(p, o, "length-field-location");
	else
		t->length = jm_u64(p, o, "length", 0);
	if (t->align & (t->align - 1) || t->length > UINT32_MAX)
		return jm_bad(p, "a length or alignment makes no sense:", kind);
	return t;
}

static struct ctfr_type *optional(struct json_parse *p, json *o, int depth)
{
	struct ctfr_type *t = new_type(p, CAIRN_TYPE_OPTIONAL, 1);
	json *which = jm_get(o, "selector-field-ranges");

	if (!t)
		return NULL;
	t->own_ranges = which != NULL;
	t->labels = jm_alloc(p, jm_length(which) * sizeof(*t->labels));
	if (t->labels)
		ranges(p, which, "", true, t);
	t->of = jm_field_class(p, jm_get(o, "field-class"), depth + 1);
	t->path = path_of(p, o, "selector-field-location");
	return p->failed ? NULL : t;
}

/* Options of a variant need no name. */
static const char *unnamed(struct json_parse *p, size_t i)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "#%zu", i); /* fits */
	return jm_keep(p, name);
}

static struct ctfr_type *members(struct json_parse *p, json *o, json *all, bool variant, int depth)
{
	struct ctfr_type *t = new_type(p, variant ? CAIRN_TYPE_VARIANT : CAIRN_TYPE_STRUCT, 1);
	size_t n = jm_length(all), nranges = 0;

	if (!t)
		return NULL;
	for (size_t i = 0; variant && i < n; i++)
		nranges += jm_length(
			jm_get(json_object_array_get_idx(all, i), "selector-field-ranges"));
	t->members = jm_alloc(p, n * sizeof(*t->members));
	t->labels = jm_alloc(p, nranges * sizeof(*t->labels));
	t->has_body = true;
	t->own_ranges = variant;
	if (!variant)
		t->align = jm_u64(p, o, "minimum-alignment", 1);
	for (size_t i = 0; i < n && !p->failed; i++) {
		json *member = json_object_array_get_idx(all, i);
		const char *name = jm_text(member, "name");
		struct ctfr_member *m = &t->members[t->nmembers++];

		m->name = name ? jm_keep(p, name) : unnamed(p, i);
		m->type = jm_field_class(p, jm_get(member, "field-class"), depth + 1);
		if (m->type && !variant)
			t->align = MAX(t->align, m->type->align);
		if (variant && !p->failed) {
			ranges(p, jm_get(member, "selector-field-ranges"), m->name, true, t);
		}
	}
	if (variant && !p->failed)
		t->path = path_of(p, o, "selector-field-location");
	if (!p->failed && (t->align == 0 || t->align & (t->align - 1)))
		return jm_bad(p, "an alignment makes no sense:", "structure");
	return t;
}

struct ctfr_type *jm_field_class(struct json_parse *p, json *o, int depth)
{
	const char *kind = json_object_is_type(o, json_type_string) ? json_object_get_string(o)
								    : jm_text(o, "type");

	if (p->failed)
		return NULL;
	if (!kind || depth > CTFR_MAX_DEPTH)
		return jm_bad(p, "a field class is missing, or too deep:", "type");
	if (json_object_is_type(o, json_type_string)) { /* an alias */
		struct ctfr_type *t = map_get(&p->m->types, kind, strlen(kind));

		return t ? t : jm_bad(p, "no field class is called", kind);
	}
	if (strncmp(kind, "fixed-length-", 13) == 0)
		return number(p, o, kind);
	if (strncmp(kind, "variable-length-", 16) == 0)
		return varlen(p, o, kind);
	if (strcmp(kind, "null-terminated-string") == 0)
		return is_utf8(p, o) ? new_type(p, CAIRN_TYPE_STRING, 8) : NULL;
	if (strcmp(kind, "optional") == 0)
		return optional(p, o, depth);
	if (strncmp(kind, "static-length-", 14) == 0 || strncmp(kind, "dynamic-length-", 15) == 0)
		return list(p, o, kind, depth);
	if (strcmp(kind, "structure") == 0)
		return members(p, o, jm_get(o, "member-classes"), false, depth);
	if (strcmp(kind, "variant") == 0)
		return members(p, o, jm_get(o, "options"), true, depth);
	return jm_bad(p, "fields of this class are not read here:", kind);
}
