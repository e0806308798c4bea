/* TSDL, types with bodies: struct, variant, enum. */
#include "ctf/tsdl-impl.h"

#include <errno.h>
#include <string.h>

/* ---- struct and variant ---- */

static void add_member(struct tsdl *p, struct ctfr_type *owner, const char *name,
	struct ctfr_type *type, const struct tsdl_token *at)
{
	struct ctfr_member *grown;

	if (p->failed)
		return;
	for (size_t i = 0; i < owner->nmembers; i++)
		if (strcmp(owner->members[i].name, name) == 0) {
			tsdl_fail(p, at, "two members are called '%.80s'", name);
			return;
		}
	if (owner->nmembers == owner->members_cap) {
		size_t cap = owner->members_cap ? owner->members_cap * 2 : 8;

		if (cap > 4096) {
			tsdl_fail(p, at, "more than 4096 members");
			return;
		}
		grown = arena_alloc(&p->meta->arena, cap * sizeof(*grown));
		if (!grown) {
			tsdl_no_memory(p);
			return;
		}
		if (owner->nmembers)
			memcpy(grown, owner->members, owner->nmembers * sizeof(*grown));
		owner->members = grown;
		owner->members_cap = cap;
	}
	owner->members[owner->nmembers].name = name;
	owner->members[owner->nmembers++].type = type;
	if (owner->kind == CAIRN_TYPE_STRUCT)
		owner->align = MAX(owner->align, type->align);
}

static void members(struct tsdl *p, struct ctfr_type *owner)
{
	struct ctfr_scope scope = {.parent = p->scope};

	tsdl_expect(p, '{', "'{'");
	p->scope = &scope;
	while (!p->failed && !tsdl_accept(p, '}')) {
		AUTO(buf) struct buf name = {0};
		AUTO(buf) struct buf used = {0};
		struct ctfr_type *base, *type;

		if (tsdl_accept_word(p, "typedef")) {
			tsdl_typedef(p);
			continue;
		}
		if (tsdl_accept_word(p, "typealias")) {
			tsdl_typealias(p);
			continue;
		}
		base = tsdl_specifier(p, &name);
		if (base && tsdl_accept(p, ';'))
			continue; /* only declares a name */
		do {
			struct tsdl_token at = p->tok;
			const char *field;

			buf_clear(&used);
			if (name.len)
				buf_add(&used, name.data, name.len);
			type = tsdl_declarator(p, base, &used, &field);
			if (!p->failed && !field)
				tsdl_expected(p, "the name of the field");
			else
				add_member(p, owner, field, type, &at);
		} while (tsdl_accept(p, ','));
		tsdl_expect(p, ';', "';' after the field");
	}
	p->scope = scope.parent;
	owner->has_body = true;
}

/* Looks up or, if a body follows, makes the struct, variant or enum called by the current token
 * (if there is one). *ret_name: its key if it is to be defined. */
static struct ctfr_type *named(struct tsdl *p, const char *prefix, enum cairn_type_kind kind,
	struct buf *key, struct tsdl_token *ret_at, bool *ret_body)
{
	struct tsdl_token at = p->tok, after;
	struct ctfr_type *t;

	*ret_at = at;
	if (p->tok.kind == TSDL_WORD && !p->tok.is_keyword) {
		buf_printf(key, "%s:%.*s", prefix, (int)MIN(at.len, 4096), at.start);
		tsdl_next(p);
	}
	if (key->err)
		tsdl_no_memory(p);
	after = p->tok;
	*ret_body = p->tok.kind == '{' || p->tok.kind == '<' || p->tok.kind == ':';
	if (p->failed)
		return NULL;
	if (p->tok.kind == '{' || (p->tok.kind == ':' && kind == CAIRN_TYPE_ENUM))
		return tsdl_new(p, kind);
	*ret_body = false;
	if (!key->len && p->tok.kind == '<')
		return tsdl_new(p, kind);
	t = key->len ? tsdl_lookup(p, key->data) : NULL;
	if (!t && p->tok.kind == '<')
		return tsdl_new(p, kind);
	if (!t && key->len)
		tsdl_fail(p, &at, "the %s '%.*s' is not declared", prefix, (int)MIN(at.len, 80),
			at.start);
	else if (!t)
		tsdl_fail(p, &after, "expected a name or '{' after %s", prefix);
	return t;
}

struct ctfr_type *tsdl_struct(struct tsdl *p)
{
	AUTO(buf) struct buf key = {0};
	struct tsdl_token at;
	struct tsdl_value v;
	bool body;
	struct ctfr_type *t = named(p, "struct", CAIRN_TYPE_STRUCT, &key, &at, &body);

	if (p->failed)
		return NULL;
	if (body)
		members(p, t);
	if (tsdl_accept_word(p, "align")) {
		tsdl_expect(p, '(', "'(' after align");
		v = tsdl_value(p);
		tsdl_expect(p, ')', "')' after the alignment");
		uint64_t align = tsdl_as_align(p, &v);

		if (!body && !p->failed) { /* of this use only */
			struct ctfr_type *copy = tsdl_new(p, CAIRN_TYPE_STRUCT);

			if (!copy)
				return NULL;
			*copy = *t;
			t = copy;
		}
		if (!p->failed)
			t->align = MAX(t->align, align);
	}
	if (body && key.len && !p->failed)
		tsdl_define(p, key.data, t, &at);
	return p->failed ? NULL : t;
}

struct ctfr_type *tsdl_variant(struct tsdl *p)
{
	AUTO(buf) struct buf key = {0};
	struct ctfr_path *tag = NULL;
	struct tsdl_token at;
	bool body;
	struct ctfr_type *t = named(p, "variant", CAIRN_TYPE_VARIANT, &key, &at, &body);

	if (p->failed)
		return NULL;
	if (tsdl_accept(p, '<')) {
		tag = tsdl_path(p, NULL);
		tsdl_expect(p, '>', "'>' after the tag");
	}
	if (p->tok.kind == '{' && !t->has_body) {
		body = true;
		members(p, t);
	} else if (!body && p->tok.kind == '{') { /* hides one of an outer scope */
		t = tsdl_new(p, CAIRN_TYPE_VARIANT);
		body = true;
		if (t)
			members(p, t);
	}
	if (p->failed)
		return NULL;
	if (!t->has_body) {
		tsdl_fail(p, &at, "the variant is not declared");
		return NULL;
	}
	if (t->nmembers == 0)
		tsdl_fail(p, &at, "a variant needs at least one option");
	if (tag && !body) { /* of this use only */
		struct ctfr_type *copy = tsdl_new(p, CAIRN_TYPE_VARIANT);

		if (!copy)
			return NULL;
		*copy = *t;
		t = copy;
	}
	if (tag)
		t->path = tag;
	if (body && key.len && !p->failed)
		tsdl_define(p, key.data, t, &at);
	return p->failed ? NULL : t;
}

/* ---- enum ---- */

static struct cairn_label *new_label(struct tsdl *p, struct ctfr_type *t)
{
	struct cairn_label *grown;

	if (t->nlabels == t->labels_cap) {
		size_t cap = t->labels_cap ? t->labels_cap * 2 : 8;

		if (cap > (1u << 20)) {
			tsdl_fail(p, &p->tok, "more than a million labels");
			return NULL;
		}
		grown = arena_alloc(&p->meta->arena, cap * sizeof(*grown));
		if (!grown) {
			tsdl_no_memory(p);
			return NULL;
		}
		if (t->nlabels)
			memcpy(grown, t->labels, t->nlabels * sizeof(*grown));
		t->labels = grown;
		t->labels_cap = cap;
	}
	return &t->labels[t->nlabels++];
}

static int64_t label_number(struct tsdl *p)
{
	struct tsdl_value v = tsdl_value(p);

	if (!p->failed && v.kind != TSDL_V_NUMBER)
		tsdl_fail(p, &v.tok, "expected a number as the label's value");
	return (int64_t)(v.negative ? 0 - v.number : v.number);
}

static void enumerators(struct tsdl *p, struct ctfr_type *t)
{
	int64_t next = 0;

	tsdl_expect(p, '{', "'{' of the enum");
	while (!p->failed && !tsdl_accept(p, '}')) {
		struct tsdl_token at = p->tok;
		struct cairn_label *l;

		if (at.kind != TSDL_WORD && at.kind != TSDL_STRING) {
			tsdl_expected(p, "a label");
			return;
		}
		l = new_label(p, t);
		if (!l)
			return;
		l->name = tsdl_copy(p, &at);
		tsdl_next(p);
		l->first = l->last = next;
		if (tsdl_accept(p, '=')) {
			l->first = l->last = label_number(p);
			if (tsdl_accept(p, TSDL_DOTS))
				l->last = label_number(p);
		}
		bool wrong = t->of->is_signed ? l->first > l->last
					      : (uint64_t)l->first > (uint64_t)l->last;

		if (!p->failed && wrong)
			tsdl_fail(p, &at, "the range of a label ends before it begins");
		next = (int64_t)((uint64_t)l->last + 1);
		if (!tsdl_accept(p, ',') && p->tok.kind != '}')
			tsdl_expected(p, "',' or '}' after the label");
	}
	if (!p->failed && t->nlabels == 0)
		tsdl_fail(p, &p->tok, "an enum needs at least one label");
	t->has_body = true;
}

struct ctfr_type *tsdl_enum(struct tsdl *p)
{
	AUTO(buf) struct buf key = {0};
	AUTO(buf) struct buf name = {0};
	struct tsdl_token at;
	const char *field;
	bool body;
	struct ctfr_type *t = named(p, "enum", CAIRN_TYPE_ENUM, &key, &at, &body);

	if (p->failed || !body)
		return p->failed ? NULL : t;
	if (tsdl_accept(p, ':')) {
		t->of = tsdl_specifier(p, &name);
	} else {
		buf_str(&name, "int");
		t->of = NULL;
	}
	t->of = tsdl_declarator(p, t->of, &name, &field);
	if (!p->failed && t->of->kind != CAIRN_TYPE_INT)
		tsdl_fail(p, &at, "the container of an enum must be an integer");
	if (p->failed)
		return NULL;
	t->align = t->of->align;
	t->bits = t->of->bits;
	t->base = t->of->base;
	t->is_signed = t->of->is_signed;
	t->order = t->of->order;
	t->clock = t->of->clock;
	enumerators(p, t);
	if (key.len && !p->failed)
		tsdl_define(p, key.data, t, &at);
	return p->failed ? NULL : t;
}
