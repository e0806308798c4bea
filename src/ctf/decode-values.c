/* Values of fields, for those who look at them: made from nodes when asked for. */
#include "ctf/ctf-read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

#define CHUNK 256

struct ctfr_chunk {
	struct ctfr_chunk *next;
	uint32_t cap;
	struct cairn_value values[];
};

void ctfr_values_reset(struct ctfr_values *v)
{
	v->current = v->first;
	v->used = v->total = 0;
}

void ctfr_values_done(struct ctfr_values *v)
{
	while (v->first) {
		struct ctfr_chunk *next = v->first->next;

		free(v->first);
		v->first = next;
	}
	*v = (struct ctfr_values){0};
}

struct cairn_value *ctfr_values_alloc(struct ctfr_values *v, uint32_t n)
{
	struct cairn_value *out;

	if (n > CTFR_MAX_VALUES || v->total + n > CTFR_MAX_VALUES)
		return NULL;
	v->total += n;
	while (!v->current || v->current->cap - v->used < n) {
		struct ctfr_chunk *next = v->current ? v->current->next : v->first;

		if (next && next->cap >= n) {
			v->current = next;
			v->used = 0;
			continue;
		}
		uint32_t cap = MAX(n, CHUNK);

		next = malloc(sizeof(*next) + cap * sizeof(next->values[0]));
		if (!next)
			return NULL;
		next->cap = cap;
		next->next = v->current ? v->current->next : v->first;
		if (v->current)
			v->current->next = next;
		else
			v->first = next;
		v->current = next;
		v->used = 0;
	}
	out = v->current->values + v->used;
	v->used += n;
	return out;
}

/* ---- values ---- */

static void set_number(const struct ctfr_node *n, uint64_t raw, struct cairn_value *ret)
{
	ret->kind = n->pub.is_signed ? CAIRN_VALUE_INT : CAIRN_VALUE_UINT;
	if (n->pub.is_signed)
		ret->i = ctfr_sign_extend(raw, n->bits);
	else
		ret->u = raw;
}

/* One INT, ENUM or FLOAT at bit pos of buf, all of it there. */
void ctfr_scalar(
	const uint8_t *buf, uint64_t pos, const struct ctfr_node *n, struct cairn_value *ret)
{
	ret->type = &n->pub;
	ret->name = n->pub.name;
	ret->count = 0;
	if (n->pub.kind != CAIRN_TYPE_FLOAT) {
		set_number(n, ctfr_bits(buf, pos, n->bits, n->be), ret);
	} else if (n->bits == 64 && n->type->exp_bits == 11) {
		uint64_t raw = ctfr_bits(buf, pos, 64, n->be);

		ret->kind = CAIRN_VALUE_FLOAT;
		memcpy(&ret->d, &raw, 8);
	} else if (n->bits == 32 && n->type->exp_bits == 8) {
		uint32_t raw = (uint32_t)ctfr_bits(buf, pos, 32, n->be);
		float f;

		memcpy(&f, &raw, 4);
		ret->kind = CAIRN_VALUE_FLOAT;
		ret->d = (double)f;
	} else if (pos % 8 == 0) {
		ret->kind = CAIRN_VALUE_BYTES;
		ret->bytes = buf + pos / 8;
		ret->count = (n->bits + 7) / 8;
	} else {
		ret->kind = CAIRN_VALUE_UINT;
		ret->u = n->bits <= 64 ? ctfr_bits(buf, pos, n->bits, n->be) : 0;
	}
}

static int no_values(struct ctfr_cursor *c, const struct ctfr_values *mem, uint32_t n)
{
	c->why = "an event has too many values";
	return n > CTFR_MAX_VALUES || mem->total + n > CTFR_MAX_VALUES ? -CTFR_BAD : -ENOMEM;
}

static int struct_value(struct ctfr_cursor *c, const struct ctfr_node *n, struct ctfr_values *mem,
	struct cairn_value *ret)
{
	struct cairn_value *members = ctfr_values_alloc(mem, n->nkids ? n->nkids : 1);

	if (!members)
		return no_values(c, mem, n->nkids);
	ret->kind = CAIRN_VALUE_STRUCT;
	ret->count = n->nkids;
	ret->members = members;
	for (uint32_t i = 0; i < n->nkids; i++) {
		int r = ctfr_value(c, n->kids[i], mem, &members[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Elements that are scalars stay where they are; others are made one by one. */
static int array_value(struct ctfr_cursor *c, const struct ctfr_node *n, struct ctfr_values *mem,
	struct cairn_value *ret)
{
	const struct ctfr_node *k = n->kids[0];
	struct cairn_value *elements;
	uint64_t len, begin;
	int r = ctfr_length(c, n, &len);

	if (r < 0)
		return r;
	ret->kind = CAIRN_VALUE_ARRAY;
	ret->count = (uint32_t)len;
	ret->where = c->pos;
	ret->elements = c->buf;
	if (ctfr_is_fixed_scalar(k)) {
		begin = c->pos;
		r = ctfr_skip(c, n);
		if (r == 0 && n->bytes_form && begin % 8 == 0) {
			const uint8_t *bytes = c->buf + begin / 8;

			ret->kind = n->bytes_form == 1 ? CAIRN_VALUE_STRING : CAIRN_VALUE_BYTES;
			ret->bytes = bytes;
			if (n->bytes_form == 1)
				ret->count = (uint32_t)strnlen((const char *)bytes, len);
		}
		return r;
	}
	if (len > CTFR_MAX_VALUES)
		return no_values(c, mem, UINT32_MAX);
	elements = ctfr_values_alloc(mem, len ? (uint32_t)len : 1);
	if (!elements)
		return no_values(c, mem, (uint32_t)len);
	ret->elements = elements;
	for (uint64_t i = 0; i < len && r == 0; i++)
		r = ctfr_value(c, k, mem, &elements[i]);
	return r;
}

int ctfr_value(struct ctfr_cursor *c, const struct ctfr_node *n, struct ctfr_values *mem,
	struct cairn_value *ret)
{
	const struct ctfr_node *selected;
	struct cairn_value *one;
	uint64_t at, len;
	int r;

	ret->type = &n->pub;
	ret->name = n->pub.name;
	ret->count = 0;
	if (ctfr_is_fixed_scalar(n)) {
		at = (c->base + c->pos + n->align - 1) & ~(n->align - 1);
		at -= c->base;
		if (at > c->end || c->end - at < n->bits)
			return -CTFR_SHORT;
		ctfr_scalar(c->buf, at, n, ret);
		if (n->slot >= 0)
			c->slots[n->slot] = ret->u; /* a float is nobody's length */
		c->pos = at + n->bits;
		return 0;
	}
	at = (c->base + c->pos + n->align - 1) & ~(n->align - 1);
	c->pos = at - c->base;
	if (c->pos > c->end)
		return -CTFR_SHORT;
	if (c->work++ >= c->max_work) {
		c->why = "more elements than its size explains";
		return -CTFR_BAD;
	}
	switch (n->pub.kind) {
	case CAIRN_TYPE_INT:
	case CAIRN_TYPE_ENUM:
	case CAIRN_TYPE_FLOAT: /* of variable length */
		ret->kind = n->pub.is_signed ? CAIRN_VALUE_INT : CAIRN_VALUE_UINT;
		return ctfr_varlen(c, n, &ret->u);
	case CAIRN_TYPE_OPTIONAL:
		if (ctfr_is_there(c, n))
			return ctfr_value(c, n->kids[0], mem, ret);
		ret->kind = CAIRN_VALUE_NONE;
		return 0;
	case CAIRN_TYPE_STRING:
		ret->kind = CAIRN_VALUE_STRING;
		ret->str = (const char *)c->buf + c->pos / 8;
		r = ctfr_skip_string(c, &len);
		ret->count = r < 0 ? 0 : (uint32_t)len;
		return r;
	case CAIRN_TYPE_STRUCT: return struct_value(c, n, mem, ret);
	case CAIRN_TYPE_VARIANT:
		r = ctfr_selected(c, n, &selected);
		if (r < 0)
			return r;
		one = ctfr_values_alloc(mem, 1);
		if (!one)
			return no_values(c, mem, 1);
		ret->kind = CAIRN_VALUE_VARIANT;
		ret->count = 1;
		ret->members = one;
		return ctfr_value(c, selected, mem, one);
	default: return array_value(c, n, mem, ret);
	}
}

bool ctfr_values_row(struct ctfr_cursor *c, const struct ctfr_node *fields, const uint8_t *p,
	const uint8_t *end, struct cairn_value *ret)
{
	for (uint32_t i = 0; i < fields->nkids; i++, ret++) {
		const struct ctfr_node *n = fields->kids[i];
		const uint8_t *nul;
		uint32_t shift;
		uint64_t v;

		ret->type = &n->pub;
		ret->name = n->pub.name;
		ret->count = 0;
		if (n->simple) {
			if (end - p < n->bits / 8)
				return false;
			memcpy(&v, p, 8); /* a window has CTFR_SLACK bytes more */
			shift = 64 - n->bits;
			v <<= shift;
			ret->kind = n->pub.is_signed ? CAIRN_VALUE_INT : CAIRN_VALUE_UINT;
			ret->u = n->pub.is_signed ? (uint64_t)((int64_t)v >> shift) : v >> shift;
			if (n->slot >= 0)
				c->slots[n->slot] = ret->u;
			p += n->bits / 8;
		} else {
			nul = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;
			if (!nul)
				return false;
			ret->kind = CAIRN_VALUE_STRING;
			ret->str = (const char *)p;
			ret->count = (uint32_t)(nul - p);
			p = nul + 1;
		}
	}
	return true;
}
