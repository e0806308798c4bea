/* TSDL, values of attributes, and the types that are made of attributes alone: integer,
 * floating_point, string. */
#include "ctf/tsdl-impl.h"

#include <errno.h>
#include <string.h>

/* ---- values ---- */

struct ctfr_path *tsdl_path(struct tsdl *p, const char **ret_text)
{
	struct ctfr_path *path = arena_alloc(&p->meta->arena, sizeof(*path));
	AUTO(buf) struct buf text = {0};
	const char *names[CTFR_MAX_DEPTH];

	if (!path) {
		tsdl_no_memory(p);
		return NULL;
	}
	path->line = p->tok.line;
	path->column = p->tok.column;
	do {
		if (p->tok.kind != TSDL_WORD || path->n == ARRAY_SIZE(names)) {
			tsdl_expected(p, "a name");
			return NULL;
		}
		names[path->n++] = tsdl_copy(p, &p->tok);
		if (text.len)
			buf_char(&text, '.');
		buf_add(&text, p->tok.start, p->tok.len);
		tsdl_next(p);
	} while (tsdl_accept(p, '.') || tsdl_accept(p, TSDL_ARROW));
	path->names = arena_alloc(&p->meta->arena, path->n * sizeof(*path->names));
	if (path->names)
		memcpy(path->names, names, path->n * sizeof(*path->names));
	if (ret_text)
		*ret_text = arena_strndup(&p->meta->arena, text.data ? text.data : "", text.len);
	if (!path->names || text.err || (ret_text && !*ret_text))
		tsdl_no_memory(p);
	return p->failed ? NULL : path;
}

struct tsdl_value tsdl_value(struct tsdl *p)
{
	struct tsdl_value v = {.tok = p->tok, .text = ""};
	int parens = 0;

	while (parens < CTFR_MAX_DEPTH && tsdl_accept(p, '('))
		parens++;
	while (p->tok.kind == '-' || p->tok.kind == '+') {
		v.negative ^= p->tok.kind == '-';
		tsdl_next(p);
	}
	if (p->tok.kind == TSDL_NUMBER) {
		v.kind = TSDL_V_NUMBER;
		v.number = p->tok.number;
		tsdl_next(p);
	} else if (p->tok.kind == TSDL_STRING && !v.negative) {
		v.kind = TSDL_V_STRING;
		v.text = tsdl_copy(p, &p->tok);
		tsdl_next(p);
	} else if (p->tok.kind == TSDL_WORD && !v.negative) {
		v.kind = TSDL_V_PATH;
		v.path = tsdl_path(p, &v.text);
	} else {
		tsdl_expected(p, "a value");
	}
	while (parens-- > 0)
		tsdl_expect(p, ')', "')'");
	if (!v.text)
		v.text = "";
	return v;
}

bool tsdl_as_bool(struct tsdl *p, const struct tsdl_value *v)
{
	if (v->kind == TSDL_V_NUMBER)
		return v->number != 0;
	if (strcmp(v->text, "true") == 0 || strcmp(v->text, "TRUE") == 0)
		return true;
	if (strcmp(v->text, "false") != 0 && strcmp(v->text, "FALSE") != 0)
		tsdl_fail(p, &v->tok, "expected true or false, found '%.40s'", v->text);
	return false;
}

uint64_t tsdl_as_u64(struct tsdl *p, const struct tsdl_value *v, const char *what, uint64_t max)
{
	if (p->failed)
		return 0;
	if (v->kind != TSDL_V_NUMBER || (v->negative && v->number))
		tsdl_fail(p, &v->tok, "%s must be a number of at least 0", what);
	else if (v->number > max)
		tsdl_fail(p, &v->tok, "%s is %llu, the most is %llu", what,
			(unsigned long long)v->number, (unsigned long long)max);
	return p->failed ? 0 : v->number;
}

const char *tsdl_as_text(struct tsdl *p, const struct tsdl_value *v, const char *what)
{
	if (!p->failed && v->kind == TSDL_V_NUMBER)
		tsdl_fail(p, &v->tok, "%s must be a string or a name", what);
	return v->text;
}

/* ---- attributes of integer, floating_point, string ---- */

/* Takes "name = value ;" of a body; false at its '}' (taken) or after a failure. */
static bool attribute(struct tsdl *p, const char **ret_name, struct tsdl_value *ret_value)
{
	if (p->failed || tsdl_accept(p, '}'))
		return false;
	if (!tsdl_path(p, ret_name))
		return false;
	tsdl_expect(p, '=', "'=' after the attribute");
	*ret_value = tsdl_value(p);
	tsdl_expect(p, ';', "';' after the value");
	return !p->failed;
}

uint64_t tsdl_as_align(struct tsdl *p, const struct tsdl_value *v)
{
	uint64_t align = tsdl_as_u64(p, v, "an alignment", 1u << 30);

	if (!p->failed && (align == 0 || (align & (align - 1)) != 0))
		tsdl_fail(p, &v->tok, "an alignment must be a power of two");
	return p->failed ? 1 : align;
}

static enum ctfr_order as_order(struct tsdl *p, const struct tsdl_value *v)
{
	if (strcmp(v->text, "native") == 0)
		return CTFR_NATIVE;
	if (strcmp(v->text, "le") == 0)
		return CTFR_LE;
	if (strcmp(v->text, "be") != 0 && strcmp(v->text, "network") != 0)
		tsdl_fail(p, &v->tok, "expected the byte order native, le, be or network");
	return CTFR_BE;
}

static uint32_t as_base(struct tsdl *p, const struct tsdl_value *v)
{
	static const struct {
		const char *name;
		uint32_t base;
	} names[] = {{"decimal", 10}, {"dec", 10}, {"d", 10}, {"i", 10}, {"u", 10},
		{"hexadecimal", 16}, {"hex", 16}, {"x", 16}, {"X", 16}, {"p", 16}, {"octal", 8},
		{"oct", 8}, {"o", 8}, {"binary", 2}, {"b", 2}};

	if (v->kind == TSDL_V_NUMBER &&
		(v->number == 2 || v->number == 8 || v->number == 10 || v->number == 16))
		return (uint32_t)v->number;
	for (size_t i = 0; v->kind != TSDL_V_NUMBER && i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i].name, v->text) == 0)
			return names[i].base;
	tsdl_fail(p, &v->tok, "expected the base decimal, hexadecimal, octal or binary");
	return 10;
}

static bool as_encoding(struct tsdl *p, const struct tsdl_value *v)
{
	if (strcmp(v->text, "none") == 0)
		return false;
	if (strcmp(v->text, "UTF8") != 0 && strcmp(v->text, "ASCII") != 0 &&
		strcmp(v->text, "utf8") != 0 && strcmp(v->text, "ascii") != 0)
		tsdl_fail(p, &v->tok, "expected the encoding UTF8, ASCII or none");
	return true;
}

static const char *as_clock(struct tsdl *p, const struct tsdl_value *v)
{
	if (v->kind == TSDL_V_PATH && v->path && v->path->n == 3 &&
		strcmp(v->path->names[0], "clock") == 0 && strcmp(v->path->names[2], "value") == 0)
		return v->path->names[1];
	tsdl_fail(p, &v->tok, "expected clock.NAME.value");
	return NULL;
}

struct ctfr_type *tsdl_integer(struct tsdl *p)
{
	struct ctfr_type *t = tsdl_new(p, CAIRN_TYPE_INT);
	struct tsdl_token at = p->tok;
	struct tsdl_value v;
	const char *name;

	tsdl_expect(p, '{', "'{' after integer");
	if (p->failed)
		return NULL;
	t->align = 0;
	while (attribute(p, &name, &v)) {
		if (strcmp(name, "size") == 0)
			t->bits = (uint32_t)tsdl_as_u64(p, &v, "the size of an integer", 64);
		else if (strcmp(name, "align") == 0)
			t->align = tsdl_as_align(p, &v);
		else if (strcmp(name, "signed") == 0)
			t->is_signed = tsdl_as_bool(p, &v);
		else if (strcmp(name, "byte_order") == 0)
			t->order = as_order(p, &v);
		else if (strcmp(name, "base") == 0)
			t->base = as_base(p, &v);
		else if (strcmp(name, "encoding") == 0)
			t->is_text = as_encoding(p, &v);
		else if (strcmp(name, "map") == 0)
			t->clock = as_clock(p, &v);
		/* others: of newer writers; they do not change the layout */
	}
	if (!p->failed && t->bits == 0)
		tsdl_fail(p, &at, "an integer needs a size of 1 to 64 bits");
	if (t->align == 0)
		t->align = t->bits % 8 ? 1 : 8;
	return p->failed ? NULL : t;
}

struct ctfr_type *tsdl_float(struct tsdl *p)
{
	struct ctfr_type *t = tsdl_new(p, CAIRN_TYPE_FLOAT);
	struct tsdl_token at = p->tok;
	uint32_t mant = 0;
	struct tsdl_value v;
	const char *name;

	tsdl_expect(p, '{', "'{' after floating_point");
	if (p->failed)
		return NULL;
	t->align = 0;
	while (attribute(p, &name, &v)) {
		if (strcmp(name, "exp_dig") == 0)
			t->exp_bits = (uint32_t)tsdl_as_u64(p, &v, "exp_dig", 64);
		else if (strcmp(name, "mant_dig") == 0)
			mant = (uint32_t)tsdl_as_u64(p, &v, "mant_dig", 448);
		else if (strcmp(name, "align") == 0)
			t->align = tsdl_as_align(p, &v);
		else if (strcmp(name, "byte_order") == 0)
			t->order = as_order(p, &v);
	}
	if (!p->failed && (t->exp_bits == 0 || mant == 0))
		tsdl_fail(p, &at, "a floating_point needs exp_dig and mant_dig");
	t->bits = t->exp_bits + mant;
	if (t->align == 0)
		t->align = t->bits % 8 ? 1 : 8;
	return p->failed ? NULL : t;
}

struct ctfr_type *tsdl_string(struct tsdl *p)
{
	struct ctfr_type *t = tsdl_new(p, CAIRN_TYPE_STRING);
	struct tsdl_value v;
	const char *name;

	if (p->failed)
		return NULL;
	t->align = 8;
	t->is_text = true;
	if (!tsdl_accept(p, '{'))
		return t;
	while (attribute(p, &name, &v))
		if (strcmp(name, "encoding") == 0)
			(void)as_encoding(p, &v); /* both kinds are bytes to us */
	return p->failed ? NULL : t;
}
