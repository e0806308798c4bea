/* Ways through the kernel's structures: "->dev->name" to offsets. See btf.h.
 *
 * While walking, the thing looked at is either the base itself, or lies in memory at an address that
 * is (what the steps so far load) + offset. `->` and indexing a pointer load; `.` and indexing an
 * array add.
 */
#include "kernel/btf.h"
#include "kernel/near.h"
#include <bpf/btf.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NESTED_MAX = 64, ANONYMOUS_MAX = 16 };

struct walk {
	const struct btf *b;
	const char *text;
	size_t len, at; /* where in the text */
	struct kbtf_fault *fault;
	struct kbtf_way *way;
	uint32_t type; /* of the thing; typedefs and all */
	bool in_memory;
	int64_t offset; /* of the thing; in memory or in the base */
	unsigned bit, bits; /* a bit field: bits != 0 */
};

static int wrong(struct walk *w, size_t at, size_t len, const char *fmt, ...) PRINTF_LIKE(4, 5);

static int wrong(struct walk *w, size_t at, size_t len, const char *fmt, ...)
{
	va_list ap;

	w->fault->at = at;
	w->fault->len = len;
	(void)error_set(&w->fault->error, -EINVAL, " ");
	va_start(ap, fmt);
	(void)vsnprintf(w->fault->error.message, sizeof(w->fault->error.message), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static const struct btf_type *bare(const struct btf *b, uint32_t *id)
{
	const struct btf_type *t = btf__type_by_id(b, *id);

	for (int i = 0; t && i < NESTED_MAX; i++) {
		if (!btf_is_mod(t) && !btf_is_typedef(t))
			return t;
		*id = t->type;
		t = btf__type_by_id(b, *id);
	}
	return NULL;
}

/* ---- members ---- */

struct member {
	uint32_t type;
	uint64_t bit;
	unsigned bits;
};

typedef void (*member_fn)(const char *name, void *data);

/* Calls each() for the members of t and of the anonymous structures in it. */
static void each_member(
	const struct btf *b, const struct btf_type *t, member_fn each, void *data, int depth)
{
	const struct btf_member *m = btf_members(t);

	for (unsigned i = 0; i < btf_vlen(t); i++, m++) {
		const char *name = btf__name_by_offset(b, m->name_off);
		uint32_t id = m->type;
		const struct btf_type *inner;

		if (name && name[0]) {
			each(name, data);
			continue;
		}
		inner = bare(b, &id);
		if (inner && btf_is_composite(inner) && depth < ANONYMOUS_MAX)
			each_member(b, inner, each, data, depth + 1);
	}
}

static bool find_member(const struct btf *b, const struct btf_type *t, const char *name, size_t len,
	uint64_t base, struct member *ret, int depth)
{
	const struct btf_member *m = btf_members(t);

	for (unsigned i = 0; i < btf_vlen(t); i++, m++) {
		const char *s = btf__name_by_offset(b, m->name_off);
		uint64_t bit = base + btf_member_bit_offset(t, i);
		uint32_t id = m->type;
		const struct btf_type *inner;

		if (s && s[0]) {
			if (strlen(s) == len && memcmp(s, name, len) == 0) {
				*ret = (struct member){
					m->type, bit, btf_member_bitfield_size(t, i)};
				return true;
			}
			continue;
		}
		inner = bare(b, &id);
		if (inner && btf_is_composite(inner) && depth < ANONYMOUS_MAX &&
			find_member(b, inner, name, len, bit, ret, depth + 1))
			return true;
	}
	return false;
}

static void look_near(const char *name, void *data)
{
	near_look(data, name);
}

struct listing {
	char *text;
	size_t size, len;
	bool cut;
};

static void list_member(const char *name, void *data)
{
	struct listing *l = data;
	size_t n = strlen(name);

	if (l->cut || l->len + n + 8 > l->size) {
		l->cut = true;
		return;
	}
	l->len += (size_t)snprintf(
		l->text + l->len, l->size - l->len, "%s%s", l->len ? ", " : "", name);
}

static void hint_members(struct walk *w, const struct btf_type *t, const char *before)
{
	char names[160];
	struct listing l = {names, sizeof(names), 0, false};

	names[0] = '\0';
	each_member(w->b, t, list_member, &l, 0);
	error_hint(&w->fault->error, "%s%s%s", before, names, l.cut ? ", ..." : "");
}

static int no_member(struct walk *w, size_t at, size_t len, const struct btf_type *t, uint32_t id)
{
	AUTO(buf) struct buf text = {0};
	struct near near;

	kbtf_type_text(w->b, id, &text);
	(void)wrong(w, at, len, "there is no member '%.*s' in %s", (int)MIN(len, (size_t)80),
		w->text + at, text.data ? text.data : "?");
	near_init(&near, w->text + at, len);
	each_member(w->b, t, look_near, &near, 0);
	if (near.best[0])
		error_hint(&w->fault->error, "did you mean '%s'?", near.best);
	else
		hint_members(w, t, "it has: ");
	return -EINVAL;
}

/* ---- steps ---- */

/* The thing is a pointer: from now on it is what that points to. */
static int load(struct walk *w, size_t at, uint32_t to)
{
	if (w->in_memory) {
		if (w->way->n + 1 >= KBTF_STEPS_MAX)
			return wrong(w, at, w->len - at,
				"the way is too long: the kernel follows %d pointers at most",
				KBTF_STEPS_MAX - 2);
		w->way->at[w->way->n++] = w->offset;
	} else if (w->offset || w->bits) {
		return wrong(w, at, 2,
			"a pointer inside a structure that is passed by value in a "
			"register cannot be followed");
	}
	w->in_memory = true;
	w->offset = 0;
	w->type = to;
	return 0;
}

static int not_known(struct walk *w, size_t at, uint32_t id)
{
	AUTO(buf) struct buf text = {0};

	kbtf_type_text(w->b, id, &text);
	(void)wrong(w, at, 2, "this points to %s: what that holds is not known here",
		text.data ? text.data : "?");
	error_hint(&w->fault->error, "say what it is: (STRUCT)NAME->MEMBER");
	return -EINVAL;
}

static int take_member(struct walk *w, size_t name_at)
{
	size_t end = name_at;
	uint32_t id = w->type;
	const struct btf_type *t = bare(w->b, &id);
	struct member m;

	while (end < w->len && (isalnum((unsigned char)w->text[end]) || w->text[end] == '_'))
		end++;
	if (end == name_at)
		return wrong(w, name_at, end < w->len, "the name of a member is missing");
	if (!find_member(w->b, t, w->text + name_at, end - name_at, 0, &m, 0))
		return no_member(w, name_at, end - name_at, t, id);
	w->type = m.type;
	w->offset += (int64_t)(m.bit / 8);
	w->bit = (unsigned)(m.bit % 8);
	w->bits = m.bits;
	w->at = end;
	return 0;
}

static int arrow(struct walk *w)
{
	uint32_t id = w->type;
	const struct btf_type *t = bare(w->b, &id), *target;
	size_t at = w->at;
	uint32_t to;
	int r;

	if (t && btf_is_composite(t) && w->in_memory && at == 0)
		return take_member(w, 2); /* the base is the address of a structure */
	if (t && btf_is_composite(t))
		return wrong(w, at, 2, "this is a structure, not a pointer to one: write '.'");
	if (!t || (!btf_is_ptr(t) && !btf_is_array(t)) || w->bits)
		return wrong(w, at, 2, "this is no pointer to a structure");
	to = btf_is_ptr(t) ? t->type : btf_array(t)->type;
	id = to;
	target = bare(w->b, &id);
	if (!target || id == 0 || btf_is_fwd(target))
		return not_known(w, at, to);
	if (!btf_is_composite(target))
		return wrong(w, at, 2, "this is no pointer to a structure");
	if (btf_is_ptr(t)) {
		r = load(w, at, to);
		if (r)
			return r;
	} else {
		w->type = to; /* the first element */
	}
	return take_member(w, at + 2);
}

static int dot(struct walk *w)
{
	uint32_t id = w->type;
	const struct btf_type *t = bare(w->b, &id);

	if (t && btf_is_ptr(t))
		return wrong(w, w->at, 1, "this is a pointer: write '->'");
	if (!t || !btf_is_composite(t))
		return wrong(w, w->at, 1, "this is no structure, so it has no members");
	return take_member(w, w->at + 1);
}

static int element(struct walk *w)
{
	uint32_t id = w->type;
	const struct btf_type *t = bare(w->b, &id);
	size_t at = w->at, close = at + 1;
	char digits[24];
	uint64_t n;
	int64_t size;

	while (close < w->len && w->text[close] != ']')
		close++;
	if (close == w->len)
		return wrong(w, at, close - at, "']' is missing");
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)MIN(close - at - 1, sizeof(digits)),
		w->text + at + 1);
	if (parse_u64(digits, &n) || n > INT32_MAX)
		return wrong(w, at + 1, close - at - 1, "a number is needed here: which element");
	if (!t || (!btf_is_array(t) && !btf_is_ptr(t)) || w->bits)
		return wrong(w, at, close + 1 - at, "this is neither an array nor a pointer");
	if (btf_is_array(t) && btf_array(t)->nelems && n >= btf_array(t)->nelems)
		return wrong(w, at + 1, close - at - 1, "the array has %u elements: 0 to %u",
			btf_array(t)->nelems, btf_array(t)->nelems - 1);
	id = btf_is_array(t) ? btf_array(t)->type : t->type;
	size = id ? btf__resolve_size(w->b, id) : 0;
	if (size <= 0)
		return wrong(w, at, close + 1 - at, "the size of the elements is not known");
	if (btf_is_array(t)) {
		w->type = id;
	} else {
		int r = load(w, at, id);

		if (r)
			return r;
	}
	if (w->offset + (int64_t)n * size > INT32_MAX)
		return wrong(w, at + 1, close - at - 1, "this is too far away");
	w->offset += (int64_t)n * size;
	w->at = close + 1;
	return 0;
}

/* ---- the end ---- */

/* A bit field as bits of the smallest word that holds it whole and is aligned as words are. */
static int set_bits(struct walk *w, struct kbtf_value *v)
{
	uint64_t bit = (uint64_t)w->offset * 8 + w->bit;

	for (unsigned size = 1; size <= 8; size *= 2) {
		uint64_t begin = bit / (size * 8) * (size * 8);

		if (bit + w->bits > begin + size * 8)
			continue;
		v->kind = KVALUE_BITS;
		v->size = size;
		v->bit_width = w->bits;
		v->bit_offset = (unsigned)(bit - begin);
		w->offset = (int64_t)(begin / 8);
		return 0;
	}
	return wrong(w, 0, w->len, "this bit field crosses words: it cannot be fetched");
}

static int finish(struct walk *w)
{
	struct kbtf_value *v = &w->way->value;

	kbtf_classify(w->b, w->type, v);
	if (w->bits && set_bits(w, v))
		return -EINVAL;
	if (w->in_memory)
		w->way->at[w->way->n++] = w->offset;
	else
		w->way->base_offset = (unsigned)w->offset;
	return 0;
}

int kbtf_walk(const struct btf *b, uint32_t base, bool in_memory, const char *text, size_t len,
	struct kbtf_way *ret, struct kbtf_fault *fault)
{
	struct kbtf_way way = {0};
	struct walk w = {.b = b,
		.text = text,
		.len = len,
		.fault = fault,
		.way = &way,
		.type = base,
		.in_memory = in_memory};

	while (w.at < len) {
		int r;

		if (len - w.at >= 2 && memcmp(text + w.at, "->", 2) == 0)
			r = arrow(&w);
		else if (text[w.at] == '.')
			r = dot(&w);
		else if (text[w.at] == '[')
			r = element(&w);
		else if (text[w.at] == '-')
			r = wrong(&w, w.at, 1,
				"'-' alone means nothing here: '->' leads to a member");
		else
			r = wrong(
				&w, w.at, len - w.at, "'->MEMBER', '.MEMBER' or '[N]' can follow");
		if (r)
			return r;
	}
	if (finish(&w))
		return -EINVAL;
	*ret = way;
	return 0;
}
