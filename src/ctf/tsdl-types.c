/* TSDL, names of types: scopes, type specifiers, declarators, typedef and typealias.
 *
 * A name is looked up by a key: "unsigned long" and "struct page *" for names of the C kind
 * (`const` is left out), "struct:x", "variant:x", "enum:x" for declared bodies.
 */
#include "ctf/tsdl-impl.h"

#include <errno.h>
#include <string.h>

struct ctfr_type *tsdl_new(struct tsdl *p, enum cairn_type_kind kind)
{
	struct ctfr_type *t = arena_alloc(&p->meta->arena, sizeof(*t));

	if (!t) {
		tsdl_no_memory(p);
		return NULL;
	}
	t->kind = kind;
	t->align = 1;
	t->base = 10;
	return t;
}

struct ctfr_type *tsdl_lookup(struct tsdl *p, const char *key)
{
	for (const struct ctfr_scope *s = p->scope; s; s = s->parent)
		for (struct tsdl_entry *e = s->entries; e; e = e->next)
			if (strcmp(e->key, key) == 0)
				return e->type;
	return map_get(&p->meta->types, key, strlen(key));
}

void tsdl_define(struct tsdl *p, const char *key, struct ctfr_type *t, const struct tsdl_token *at)
{
	struct tsdl_entry *e;

	if (p->failed || !t)
		return;
	if (!p->scope) {
		if (map_get(&p->meta->types, key, strlen(key)))
			tsdl_fail(p, at, "'%.80s' is declared twice", key);
		else if (map_put(&p->meta->types, key, strlen(key), t) < 0)
			tsdl_no_memory(p);
		return;
	}
	for (e = p->scope->entries; e; e = e->next)
		if (strcmp(e->key, key) == 0) {
			tsdl_fail(p, at, "'%.80s' is declared twice", key);
			return;
		}
	e = arena_alloc(&p->meta->arena, sizeof(*e));
	if (e)
		e->key = arena_strndup(&p->meta->arena, key, strlen(key));
	if (!e || !e->key) {
		tsdl_no_memory(p);
		return;
	}
	e->type = t;
	e->next = p->scope->entries;
	p->scope->entries = e;
}

static bool is_c_word(const struct tsdl *p)
{
	static const char *const words[] = {"void", "char", "short", "int", "long", "float",
		"double", "signed", "unsigned", "_Bool", "_Complex", "_Imaginary"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (tsdl_is_word(p, words[i]))
			return true;
	return false;
}

static const struct {
	const char *word;
	struct ctfr_type *(*parse)(struct tsdl *p);
} specifiers[] = {
	{"struct", tsdl_struct},
	{"variant", tsdl_variant},
	{"enum", tsdl_enum},
	{"integer", tsdl_integer},
	{"floating_point", tsdl_float},
	{"string", tsdl_string},
};

bool tsdl_begins_type(const struct tsdl *p)
{
	if (p->tok.kind != TSDL_WORD)
		return false;
	if (!p->tok.is_keyword || is_c_word(p) || tsdl_is_word(p, "const"))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(specifiers); i++)
		if (tsdl_is_word(p, specifiers[i].word))
			return true;
	return false;
}

static void add_word(struct tsdl *p, struct buf *name)
{
	if (name->len)
		buf_char(name, ' ');
	buf_add(name, p->tok.start, p->tok.len);
	tsdl_next(p);
}

/* Parses type specifiers. A body or a known struct, variant or enum gives its type; names of the C
 * kind are only collected in *name (resolve with finish_name(), once pointers are known). */
struct ctfr_type *tsdl_specifier(struct tsdl *p, struct buf *name)
{
	while (tsdl_accept_word(p, "const"))
		;
	for (size_t i = 0; i < ARRAY_SIZE(specifiers); i++) {
		if (!tsdl_is_word(p, specifiers[i].word))
			continue;
		struct tsdl ahead = *p; /* "struct page *" is a name when no such struct is known */

		tsdl_next(&ahead);
		if (i <= 2 && ahead.tok.kind == TSDL_WORD) {
			buf_add(name, p->tok.start, p->tok.len);
			buf_char(name, ' ');
			buf_add(name, ahead.tok.start, ahead.tok.len);
			tsdl_next(&ahead);
			while (tsdl_is_word(&ahead, "const"))
				tsdl_next(&ahead);
			if (ahead.tok.kind == '*') {
				*p = ahead;
				return NULL;
			}
			buf_clear(name);
		}
		struct ctfr_type *t = NULL;

		if (tsdl_enter(p)) {
			tsdl_next(p);
			t = specifiers[i].parse(p);
			tsdl_leave(p);
		}
		while (tsdl_accept_word(p, "const"))
			;
		return t;
	}
	if (is_c_word(p)) {
		while (is_c_word(p) || tsdl_is_word(p, "const")) {
			if (tsdl_is_word(p, "const"))
				tsdl_next(p);
			else
				add_word(p, name);
		}
		return NULL;
	}
	if (p->tok.kind == TSDL_WORD && !p->tok.is_keyword)
		add_word(p, name);
	else
		tsdl_expected(p, "a type");
	while (tsdl_accept_word(p, "const"))
		;
	return NULL;
}

/* Takes pointers, then gives the type that the collected name stands for. */
static struct ctfr_type *finish_name(struct tsdl *p, struct ctfr_type *base, struct buf *name)
{
	struct tsdl_token at = p->tok;
	bool pointers = false;

	while (p->tok.kind == '*') {
		buf_str(name, " *");
		pointers = true;
		tsdl_next(p);
		while (tsdl_accept_word(p, "const"))
			;
	}
	if (p->failed)
		return NULL;
	if (base && pointers) {
		tsdl_fail(p, &at, "a pointer to a type that has no name");
		return NULL;
	}
	if (base)
		return base;
	if (name->err || !name->data) {
		tsdl_no_memory(p);
		return NULL;
	}
	base = tsdl_lookup(p, name->data);
	if (!base)
		tsdl_fail(p, &at, "the type '%.80s' is not declared", name->data);
	return base;
}

/* "[8]", "[len]", "[8][len]": the first bracket is the outermost type. */
static struct ctfr_type *brackets(struct tsdl *p, struct ctfr_type *elem)
{
	struct tsdl_value v;
	struct ctfr_type *t;

	if (p->failed || p->tok.kind != '[' || !tsdl_enter(p))
		return elem;
	tsdl_next(p);
	v = tsdl_value(p);
	tsdl_expect(p, ']', "']' after the length");
	elem = brackets(p, elem);
	tsdl_leave(p);
	t = tsdl_new(p, v.kind == TSDL_V_PATH ? CAIRN_TYPE_SEQUENCE : CAIRN_TYPE_ARRAY);
	if (p->failed || !elem || !t)
		return NULL;
	t->of = elem;
	t->align = elem->align;
	if (v.kind == TSDL_V_PATH)
		t->path = v.path;
	else
		t->length = tsdl_as_u64(p, &v, "the length of an array", UINT32_MAX);
	return t;
}

/* A declarator: pointers, a name, brackets. *ret_field is the name, NULL if there is none. */
struct ctfr_type *tsdl_declarator(
	struct tsdl *p, struct ctfr_type *base, struct buf *name, const char **ret_field)
{
	int parens = 0;

	*ret_field = NULL;
	base = finish_name(p, base, name);
	while (parens < CTFR_MAX_DEPTH && tsdl_accept(p, '('))
		parens++;
	if (p->tok.kind == TSDL_WORD) {
		if (p->tok.is_keyword) {
			tsdl_expected(p, "a name that is no keyword");
			return NULL;
		}
		*ret_field = tsdl_copy(p, &p->tok);
		tsdl_next(p);
	}
	while (parens-- > 0)
		tsdl_expect(p, ')', "')'");
	base = brackets(p, base);
	if (p->tok.kind == ':')
		tsdl_fail(p, &p->tok,
			"bit fields of the C kind are not supported: use an integer type of that size");
	return p->failed ? NULL : base;
}

void tsdl_typedef(struct tsdl *p)
{
	AUTO(buf) struct buf name = {0};
	AUTO(buf) struct buf used = {0};
	struct ctfr_type *base = tsdl_specifier(p, &name);

	do {
		struct tsdl_token at = p->tok;
		const char *field;
		struct ctfr_type *t;

		buf_clear(&used);
		if (name.len)
			buf_add(&used, name.data, name.len);
		t = tsdl_declarator(p, base, &used, &field);
		if (p->failed)
			return;
		if (!field)
			tsdl_expected(p, "the name of the new type");
		else
			tsdl_define(p, field, t, &at);
	} while (tsdl_accept(p, ','));
	tsdl_expect(p, ';', "';' after the typedef");
}

/* The name given by a typealias: "unsigned long", "struct page *", "my_t". */
static void alias_name(struct tsdl *p, struct buf *name)
{
	while (!p->failed && p->tok.kind == TSDL_WORD) {
		if (tsdl_is_word(p, "const"))
			tsdl_next(p);
		else
			add_word(p, name);
	}
	while (p->tok.kind == '*' || tsdl_is_word(p, "const")) {
		if (p->tok.kind == '*')
			buf_str(name, " *");
		tsdl_next(p);
	}
	if (!p->failed && !name->len)
		tsdl_expected(p, "the name of the new type");
	else if (name->err)
		tsdl_no_memory(p);
}

void tsdl_typealias(struct tsdl *p)
{
	AUTO(buf) struct buf name = {0};
	AUTO(buf) struct buf alias = {0};
	struct ctfr_type *t = tsdl_specifier(p, &name);
	const char *field;
	struct tsdl_token at;

	t = tsdl_declarator(p, t, &name, &field);
	if (field && !p->failed)
		tsdl_fail(p, &p->tok, "a name ('%.40s') where only a type may be", field);
	tsdl_expect(p, TSDL_ASSIGN_TYPE, "':=' after the type");
	at = p->tok;
	alias_name(p, &alias);
	if (!p->failed)
		tsdl_define(p, alias.data, t, &at);
	tsdl_expect(p, ';', "';' after the typealias");
}
