/* Recipes: the steps of kernel/kctf-class.c the other way. */
#include "view/kernel-record.h"
#include "kernel/kctf.h"
#include <stdlib.h>
#include <string.h>

enum step_code {
	STEP_COPY, /* n bytes */
	STEP_WIDEN, /* n bytes to `size` */
	STEP_STRING, /* to the end of the record; its place into the u32 at `to` */
	STEP_LIST, /* likewise; elements of n bytes */
	STEP_REST_STRING, /* from `to` on */
	STEP_REST_LIST,
};

struct step {
	uint8_t code, size;
	bool is_signed, relative;
	uint16_t to, n;
};

struct kernel_recipe {
	struct step *steps; /* owned */
	size_t nsteps, cap;
	uint32_t fixed; /* bytes of a record without dynamic fields */
	uint16_t id;
};

/* ---- making ---- */

static bool add(struct kernel_recipe *r, struct step s)
{
	struct step *last = r->nsteps ? &r->steps[r->nsteps - 1] : NULL, *k;

	if (last && last->code == STEP_COPY && s.code == STEP_COPY && last->to + last->n == s.to) {
		last->n = (uint16_t)(last->n + s.n);
		return true;
	}
	k = VEC_ADD(r->steps, r->nsteps, r->cap);
	if (k)
		*k = s;
	return k != NULL;
}

/* Bits of the elements of an array or sequence of integers; 0: it is none. */
static uint32_t element_bits(const struct cairn_type *t)
{
	const struct cairn_type *e = t->nmembers ? t->members[0] : NULL;

	return e && (e->kind == CAIRN_TYPE_INT || e->kind == CAIRN_TYPE_ENUM) ? e->bits : 0;
}

static bool add_scalar(struct kernel_recipe *r, const struct kfield *f, const struct cairn_type *t)
{
	struct step s = {.code = STEP_COPY,
		.to = (uint16_t)f->offset,
		.n = (uint16_t)(t->bits / 8),
		.size = (uint8_t)f->size,
		.is_signed = f->is_signed};

	if ((t->kind != CAIRN_TYPE_INT && t->kind != CAIRN_TYPE_ENUM) || t->bits % 8 ||
		t->bits / 8 > f->size || !t->bits)
		return false;
	if (s.n < f->size)
		s.code = STEP_WIDEN;
	return add(r, s);
}

static bool add_list(struct kernel_recipe *r, const struct kfield *f, const struct cairn_type *t)
{
	struct step s = {.to = (uint16_t)f->offset,
		.n = (uint16_t)f->elem,
		.relative = f->form == KFIELD_REL_LOC};

	if (f->form == KFIELD_ARRAY) {
		s.n = (uint16_t)f->size;
		return t->kind == CAIRN_TYPE_ARRAY && element_bits(t) == f->elem * 8 &&
			t->length == f->count && add(r, s);
	}
	if (t->kind == CAIRN_TYPE_STRING && f->kind == KFIELD_CHAR)
		s.code = f->form == KFIELD_REST ? STEP_REST_STRING : STEP_STRING;
	else if (t->kind == CAIRN_TYPE_SEQUENCE && element_bits(t) == f->elem * 8)
		s.code = f->form == KFIELD_REST ? STEP_REST_LIST : STEP_LIST;
	else
		return false;
	return add(r, s);
}

/* The contexts must be struct ctf_kernel_context. */
static bool has_contexts(const struct cairn_event_class *cls)
{
	static const uint32_t bits[] = {32, 8, 8};
	const struct cairn_type *t = cls->stream_context;

	if (!t || t->nmembers != ARRAY_SIZE(bits) || cls->context)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
		if (t->members[i]->kind != CAIRN_TYPE_INT || t->members[i]->bits != bits[i])
			return false;
	return true;
}

static bool make(
	struct kernel_recipe *r, const struct kformat *f, const struct cairn_event_class *cls)
{
	size_t at = 0, n = cls->fields ? cls->fields->nmembers : 0;

	for (size_t i = 0; i < f->nfields; i++) {
		const struct kfield *k = &f->fields[i];
		const struct cairn_type *t;

		if (kfield_is_common(k))
			continue;
		/* a sequence's length goes before it, in the same step */
		if (k->form != KFIELD_SCALAR && k->form != KFIELD_ARRAY && at + 1 < n &&
			cls->fields->members[at + 1]->kind == CAIRN_TYPE_SEQUENCE) {
			if (cls->fields->members[at]->kind != CAIRN_TYPE_INT ||
				cls->fields->members[at]->bits != 32)
				return false;
			at++;
		}
		t = at < n ? cls->fields->members[at++] : NULL;
		if (!t || !t->name || strcmp(t->name, k->name) != 0)
			return false;
		if (!(k->form == KFIELD_SCALAR ? add_scalar(r, k, t) : add_list(r, k, t)))
			return false;
	}
	return at == n && has_contexts(cls);
}

struct kernel_recipe *kernel_recipe_new(
	const struct kformat *f, const struct cairn_event_class *cls)
{
	struct kernel_recipe *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->fixed = (MAX(f->fixed_size, 8) + 3) & ~3u;
	r->id = (uint16_t)f->id;
	if (r->fixed < 1u << 16 && make(r, f, cls))
		return r;
	kernel_recipe_free(r);
	return NULL;
}

void kernel_recipe_free(struct kernel_recipe *r)
{
	if (!r)
		return;
	free(r->steps);
	free(r);
}

/* ---- use ---- */

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static void widen(uint8_t *to, const struct step *s, const uint8_t *from)
{
	uint64_t v = 0;

	if (s->n == 4) {
		memcpy(&v, from, 4);
	} else {
		for (unsigned i = 0; i < s->n; i++)
			v |= (uint64_t)from[i] << 8 * i;
	}
	if (s->is_signed)
		v = (uint64_t)((int64_t)(v << (64 - 8 * s->n)) >> (64 - 8 * s->n));
	if (s->size == 8)
		memcpy(to, &v, 8);
	else
		memcpy(to, &v, s->size);
}

/* The bytes of a string with its NUL, or of a list (behind its length); false: they are not there. */
static bool take(const struct step *s, const uint8_t **p, const uint8_t *end, const uint8_t **ret,
	size_t *ret_n)
{
	const uint8_t *nul;
	uint32_t count;

	if (s->code == STEP_STRING || s->code == STEP_REST_STRING) {
		nul = memchr(*p, 0, (size_t)(end - *p));
		if (!nul)
			return false;
		*ret = *p;
		*ret_n = (size_t)(nul + 1 - *p);
	} else {
		if (end - *p < 4)
			return false;
		memcpy(&count, *p, sizeof(count));
		*ret = *p + 4;
		*ret_n = (size_t)count * s->n;
		if (*ret_n > (size_t)(end - *ret))
			return false;
	}
	*p = *ret + *ret_n;
	return true;
}

size_t kernel_record(const struct kernel_recipe *r, const uint8_t *bytes, size_t n, uint8_t *record)
{
	const uint8_t *p = bytes + sizeof(struct ctf_kernel_context), *end = bytes + n, *s;
	uint32_t len = r->fixed;
	size_t k;

	if (n < sizeof(struct ctf_kernel_context))
		return 0;
	for (size_t i = 0; i < len; i += 16) /* there is room; a call would cost more */
		memset(record + i, 0, 16);
	memcpy(record, &r->id, 2);
	record[2] = bytes[4];
	record[3] = bytes[5];
	memcpy(record + 4, bytes, 4);
	for (const struct step *st = r->steps; st < r->steps + r->nsteps; st++) {
		if (st->code == STEP_COPY || st->code == STEP_WIDEN) {
			if ((size_t)(end - p) < st->n)
				return 0;
			if (st->code == STEP_COPY)
				(void)kctf_copy(record + st->to, p, st->n);
			else
				widen(record + st->to, st, p);
			p += st->n;
			continue;
		}
		if (!take(st, &p, end, &s, &k))
			return 0;
		if (st->code == STEP_REST_STRING || st->code == STEP_REST_LIST) {
			k = MIN(k, KERNEL_RECORD_MAX - 8u - st->to);
			memcpy(record + st->to, s, k);
			len = MAX(len, st->to + (uint32_t)k);
			continue;
		}
		if (len > 0xffff || k > 0xffff || len + k > KERNEL_RECORD_MAX - 8) /* no kernel's */
			k = 0;
		put32(record + st->to,
			(uint32_t)k << 16 | ((len - (st->relative ? st->to + 4u : 0)) & 0xffff));
		memcpy(record + len, s, k);
		len += (uint32_t)k;
	}
	return len;
}
