/* Values of fields as text: integers in their base, enumerations by label, strings escaped,
 * arrays [a, b], structs {a=1}, blobs in hexadecimal. */
#include "view/view.h"
#include <math.h>

enum { NEST_MAX = 32 }; /* deeper values are shown as "..." */

static void binary(struct out *o, uint64_t v)
{
	char *p = out_room(o);

	*p++ = '0';
	*p++ = 'b';
	for (int i = v ? 63 - __builtin_clzll(v) : 0; i >= 0; i--)
		*p++ = (char)('0' + (v >> i & 1));
	out_wrote(o, p);
}

/* The bits of an integer, so that -1 in 32 bits is 0xffffffff. */
static uint64_t bits_of(const struct cairn_value *v)
{
	uint32_t bits = v->type->bits;

	return bits < 64 ? v->u & ((UINT64_C(1) << bits) - 1) : v->u;
}

/* An integer in a base other than 10. */
static void in_base(struct out *o, const struct cairn_value *v)
{
	uint64_t u = bits_of(v);

	if (v->type->base == 16)
		out_hex(o, u);
	else if (v->type->base == 2)
		binary(o, u);
	else
		out_printf(o, "0%llo", (unsigned long long)u);
}

static void integer(struct out *o, const struct cairn_value *v)
{
	if (v->type && v->type->base != 10 && v->type->base != 0)
		in_base(o, v);
	else if (v->kind == CAIRN_VALUE_UINT)
		out_u64(o, v->u);
	else
		out_i64(o, v->i);
}

static bool is_char(const struct cairn_value *v)
{
	return v->type && v->type->kind == CAIRN_TYPE_INT && v->type->is_text && v->type->bits == 8;
}

static void character(struct out *o, const struct cairn_value *v)
{
	char c = (char)v->u;

	out_char(o, '\'');
	out_safe(o, &c, 1);
	out_char(o, '\'');
}

static void blob(struct out *o, const struct cairn_value *v)
{
	static const char hex[] = "0123456789abcdef";

	for (uint32_t i = 0; i < v->count; i++) {
		char *p = out_room(o);

		p[0] = hex[v->bytes[i] >> 4];
		p[1] = hex[v->bytes[i] & 15];
		out_wrote(o, p + 2);
	}
}

/* Between quotes, so that quotes and backslashes are escaped; `letters`: \n and the like, as
 * babeltrace2 has them. */
static void quoted(struct out *o, const char *s, size_t n, bool letters)
{
	static const char from[] = "\a\b\t\n\v\f\r\x1b", to[] = "abtnvfre";
	size_t begin = 0;

	out_char(o, '"');
	for (size_t i = 0; i < n; i++) {
		const char *special = s[i] && letters ? strchr(from, s[i]) : NULL;
		char esc[2] = {'\\', special ? to[special - from] : s[i]};

		if (!special && s[i] != '"' && s[i] != '\\' &&
			(!letters || (s[i] != '\'' && s[i] != '?')))
			continue;
		out_safe(o, s + begin, i - begin);
		out_bytes(o, esc, 2);
		begin = i + 1;
	}
	out_safe(o, s + begin, n - begin);
	out_char(o, '"');
}

static inline bool is_word(char c)
{
	return c > ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* A string as it is when it is one plain word, else quoted. */
static void string(struct out *o, const char *s, size_t n)
{
	char *p = out_room(o);
	size_t i = 0;

	for (; i < n && i < OUT_ROOM && is_word(s[i]); i++)
		p[i] = s[i];
	if (i == n && n) {
		out_wrote(o, p + n);
		return;
	}
	while (i < n && s[i] != ' ' && s[i] != '"' && s[i] != '\\')
		i++;
	if (i == n && n)
		out_safe(o, s, n);
	else
		quoted(o, s, n, false);
}

static bool has_bit(const struct cairn_value *v, const struct cairn_label *l)
{
	for (int64_t bit = MAX(l->first, 0); bit <= l->last && bit < 64; bit++)
		if (v->u >> bit & 1)
			return true;
	return false;
}

/* A name may stand for several ranges of bits, one after the other. */
static bool named_before(const struct cairn_value *v, size_t i)
{
	const struct cairn_label *all = v->type->labels;

	for (size_t k = i; k > 0 && strcmp(all[k - 1].name, all[i].name) == 0; k--)
		if (has_bit(v, &all[k - 1]))
			return true;
	return false;
}

/* " (A|B)": the names of the bits that are set, if it is a bit map. */
static void flags(struct out *o, const struct cairn_value *v)
{
	const struct cairn_type *t = v->type;
	const char *before = " (";

	if (!t || t->kind != CAIRN_TYPE_INT)
		return;
	for (size_t i = 0; i < t->nlabels; i++) {
		if (!has_bit(v, &t->labels[i]) || named_before(v, i))
			continue;
		out_str(o, before);
		out_safe(o, t->labels[i].name, strlen(t->labels[i].name));
		before = "|";
	}
	if (before[0] == '|')
		out_char(o, ')');
}

static void scalar_text(struct out *o, const struct cairn_value *v)
{
	const char *label;

	if (v->type && v->type->kind == CAIRN_TYPE_ENUM && (label = cairn_value_label(v)))
		out_safe(o, label, strlen(label));
	else if (is_char(v))
		character(o, v);
	else {
		integer(o, v);
		flags(o, v);
	}
}

static void text(struct out *o, const struct cairn_value *v, int depth)
{
	struct cairn_value e;

	if (depth > NEST_MAX) {
		out_str(o, "...");
		return;
	}
	switch (v->kind) {
	case CAIRN_VALUE_UINT:
	case CAIRN_VALUE_INT: scalar_text(o, v); return;
	case CAIRN_VALUE_FLOAT: out_double(o, v->d); return;
	case CAIRN_VALUE_STRING: string(o, v->str, v->count); return;
	case CAIRN_VALUE_BYTES: blob(o, v); return;
	case CAIRN_VALUE_STRUCT:
		out_char(o, '{');
		for (uint32_t i = 0; i < v->count; i++) {
			out_str(o, i ? " " : "");
			out_str(o, v->members[i].name);
			out_char(o, '=');
			text(o, &v->members[i], depth + 1);
		}
		out_char(o, '}');
		return;
	case CAIRN_VALUE_ARRAY:
		out_char(o, '[');
		for (uint32_t i = 0; i < v->count && cairn_value_element(v, i, &e) == 0; i++) {
			out_str(o, i ? ", " : "");
			text(o, &e, depth + 1);
		}
		out_char(o, ']');
		return;
	case CAIRN_VALUE_VARIANT:
		if (v->count)
			text(o, &v->members[0], depth + 1);
		return;
	case CAIRN_VALUE_NONE: out_str(o, "<none>"); return;
	}
}

void value_text(struct out *o, const struct cairn_value *v)
{
	text(o, v, 0);
}

/* ---- as babeltrace2 ---- */

static void scalar_babeltrace(struct out *o, const struct cairn_value *v)
{
	const char *label;

	if (v->type && v->type->base == 16 && v->type->kind == CAIRN_TYPE_INT) {
		out_printf(o, "0x%llX", (unsigned long long)bits_of(v));
		flags(o, v);
		return;
	}
	if (!v->type || v->type->kind != CAIRN_TYPE_ENUM) {
		integer(o, v);
		return;
	}
	label = cairn_value_label(v);
	out_str(o, "( ");
	if (label) {
		out_char(o, '"');
		out_safe(o, label, strlen(label));
		out_char(o, '"');
	} else
		out_str(o, "<unknown>");
	out_str(o, " : container = ");
	integer(o, v);
	out_str(o, " )");
}

static void babeltrace(struct out *o, const struct cairn_value *v, int depth)
{
	struct cairn_value e;

	if (depth > NEST_MAX) {
		out_str(o, "...");
		return;
	}
	switch (v->kind) {
	case CAIRN_VALUE_UINT:
	case CAIRN_VALUE_INT: scalar_babeltrace(o, v); return;
	case CAIRN_VALUE_FLOAT: out_printf(o, "%g", v->d); return;
	case CAIRN_VALUE_STRING: quoted(o, v->str, v->count, true); return;
	case CAIRN_VALUE_BYTES:
		out_char(o, '[');
		for (uint32_t i = 0; i < v->count; i++)
			out_printf(o, "%s[%u] = 0x%X", i ? ", " : " ", i, v->bytes[i]);
		out_str(o, " ]");
		return;
	case CAIRN_VALUE_STRUCT:
		out_char(o, '{');
		for (uint32_t i = 0; i < v->count; i++) {
			out_str(o, i ? ", " : " ");
			out_str(o, v->members[i].name);
			out_str(o, " = ");
			babeltrace(o, &v->members[i], depth + 1);
		}
		out_str(o, v->count ? " }" : "}");
		return;
	case CAIRN_VALUE_ARRAY:
		out_char(o, '[');
		for (uint32_t i = 0; i < v->count && cairn_value_element(v, i, &e) == 0; i++) {
			out_printf(o, "%s[%u] = ", i ? ", " : " ", i);
			babeltrace(o, &e, depth + 1);
		}
		out_str(o, " ]");
		return;
	case CAIRN_VALUE_VARIANT:
		out_str(o, "{ ");
		if (v->count) {
			out_str(o, v->members[0].name ? v->members[0].name : "");
			out_str(o, " = ");
			babeltrace(o, &v->members[0], depth + 1);
		}
		out_str(o, " }");
		return;
	case CAIRN_VALUE_NONE: out_str(o, "<none>"); return;
	}
}

void value_babeltrace(struct out *o, const struct cairn_value *v)
{
	babeltrace(o, v, 0);
}

/* ---- JSON ---- */

/* What Cairn's traces have for a bool: CTF 1.8 knows no other than such an enumeration. */
static bool is_bool(const struct cairn_type *t)
{
	return t->nlabels == 2 && strcmp(t->labels[0].name, "false") == 0 &&
		t->labels[0].first == 0 && t->labels[0].last == 0 &&
		strcmp(t->labels[1].name, "true") == 0 && t->labels[1].first == 1;
}

static void scalar_json(struct out *o, const struct cairn_value *v)
{
	const char *label;
	char c;

	if (v->type && v->type->kind == CAIRN_TYPE_ENUM && (label = cairn_value_label(v))) {
		if (is_bool(v->type))
			out_str(o, label);
		else
			out_json(o, label, strlen(label));
	} else if (is_char(v)) {
		c = (char)v->u;
		out_json(o, &c, 1);
	} else if (v->kind == CAIRN_VALUE_UINT)
		out_u64(o, v->u);
	else
		out_i64(o, v->i);
}

static void json(struct out *o, const struct cairn_value *v, int depth)
{
	struct cairn_value e;

	if (depth > NEST_MAX) {
		out_str(o, "null");
		return;
	}
	switch (v->kind) {
	case CAIRN_VALUE_UINT:
	case CAIRN_VALUE_INT: scalar_json(o, v); return;
	case CAIRN_VALUE_FLOAT:
		if (isfinite(v->d))
			out_double(o, v->d);
		else
			out_str(o, isnan(v->d) ? "\"nan\"" : v->d < 0 ? "\"-inf\"" : "\"inf\"");
		return;
	case CAIRN_VALUE_STRING: out_json(o, v->str, v->count); return;
	case CAIRN_VALUE_BYTES:
		out_char(o, '"');
		blob(o, v);
		out_char(o, '"');
		return;
	case CAIRN_VALUE_STRUCT:
		out_char(o, '{');
		for (uint32_t i = 0; i < v->count; i++) {
			if (i)
				out_char(o, ',');
			out_json(o, v->members[i].name, strlen(v->members[i].name));
			out_char(o, ':');
			json(o, &v->members[i], depth + 1);
		}
		out_char(o, '}');
		return;
	case CAIRN_VALUE_ARRAY:
		out_char(o, '[');
		for (uint32_t i = 0; i < v->count && cairn_value_element(v, i, &e) == 0; i++) {
			if (i)
				out_char(o, ',');
			json(o, &e, depth + 1);
		}
		out_char(o, ']');
		return;
	case CAIRN_VALUE_VARIANT:
		if (v->count)
			json(o, &v->members[0], depth + 1);
		else
			out_str(o, "null");
		return;
	case CAIRN_VALUE_NONE: out_str(o, "null"); return;
	}
}

void value_json(struct out *o, const struct cairn_value *v)
{
	json(o, v, 0);
}
