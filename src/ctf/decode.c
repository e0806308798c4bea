/* Stepping through a packet: bits, walking over nodes, running programs, clocks. */
#include "ctf/ctf-read.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

static inline uint64_t load_le64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return le64toh(v);
}

static inline uint64_t load_be64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return be64toh(v);
}

/* Little endian: consecutive integers go from low bits to high bits. Big endian: the other way. */
uint64_t ctfr_bits(const uint8_t *buf, uint64_t pos, uint32_t bits, bool be)
{
	const uint8_t *p = buf + pos / 8;
	uint32_t shift = (uint32_t)(pos % 8);
	uint64_t v;

	if (be) {
		v = load_be64(p) << shift;
		if (shift + bits > 64)
			v |= p[8] >> (8 - shift);
		return v >> (64 - bits);
	}
	v = load_le64(p) >> shift;
	if (shift + bits > 64)
		v |= (uint64_t)p[8] << (64 - shift);
	return bits == 64 ? v : v & ((1ull << bits) - 1);
}

static inline int align_to(struct ctfr_cursor *c, uint64_t align)
{
	uint64_t at = c->base + c->pos;

	at = (at + align - 1) & ~(align - 1);
	c->pos = at - c->base;
	return c->pos > c->end ? -CTFR_SHORT : 0;
}

static int bad(struct ctfr_cursor *c, const char *why)
{
	c->why = why;
	return -CTFR_BAD;
}

static void keep(struct ctfr_cursor *c, const struct ctfr_node *n, uint64_t v, uint32_t bits)
{
	if (n->slot >= 0)
		c->slots[n->slot] = v;
	if (n->role && c->roles) {
		c->roles[n->role] = v;
		c->roles_seen |= 1u << n->role;
		if (n->role == CTFR_ROLE_TIME)
			c->time_bits = bits;
	}
}

static int skip_scalar(struct ctfr_cursor *c, const struct ctfr_node *n)
{
	uint64_t v;

	if (c->end - c->pos < n->bits)
		return -CTFR_SHORT;
	if (n->slot >= 0 || (n->role && c->roles)) {
		v = ctfr_bits(c->buf, c->pos, n->bits, n->be);
		if (n->pub.is_signed)
			v = (uint64_t)ctfr_sign_extend(v, n->bits);
		keep(c, n, v, n->bits);
	}
	c->pos += n->bits;
	return 0;
}

/* Seven bits a byte, the lowest first; all bytes but the last have the top bit set. What does not
 * fit 64 bits may only repeat the sign. */
int ctfr_varlen(struct ctfr_cursor *c, const struct ctfr_node *n, uint64_t *ret)
{
	const uint8_t *p = c->buf + c->pos / 8, *end = c->buf + c->end / 8;
	bool negative = false;
	uint64_t v = 0;
	uint32_t bits = 0;
	uint8_t byte;

	do {
		if (p >= end)
			return -CTFR_SHORT;
		byte = *p++;
		if (bits < 63) {
			v |= (uint64_t)(byte & 0x7f) << bits;
		} else if (bits == 63) {
			v |= (uint64_t)(byte & 1) << 63;
			negative = n->pub.is_signed && byte & 1;
		}
		if (bits >= 63 &&
			(byte & 0x7f) >> (bits == 63) != (negative ? 0x7f >> (bits == 63) : 0))
			return bad(c, "an integer of variable length has more than 64 bits");
		bits += 7;
		if (bits > 7 * 64)
			return bad(c, "an integer of variable length has more than 64 bytes");
	} while (byte & 0x80);
	if (n->pub.is_signed && bits < 64)
		v = (uint64_t)ctfr_sign_extend(v, bits);
	c->pos = (uint64_t)(p - c->buf) * 8;
	keep(c, n, v, MIN(bits, 64u));
	*ret = v;
	return 0;
}

int ctfr_skip_string(struct ctfr_cursor *c, uint64_t *ret_len)
{
	const uint8_t *s = c->buf + c->pos / 8;
	size_t left = (size_t)((c->end - c->pos) / 8);
	const uint8_t *nul = left ? memchr(s, 0, left) : NULL;

	if (!nul)
		return -CTFR_SHORT;
	*ret_len = (uint64_t)(nul - s);
	c->pos += (*ret_len + 1) * 8;
	return 0;
}

int ctfr_length(struct ctfr_cursor *c, const struct ctfr_node *n, uint64_t *ret)
{
	*ret = n->pub.kind == CAIRN_TYPE_ARRAY ? n->pub.length : c->slots[n->ref];
	/* each limit is far beyond what a packet can hold */
	if (*ret > UINT32_MAX)
		return bad(c, "a sequence is longer than 2^32 elements");
	return 0;
}

/* The option that the tag selects, or NULL. */
static const struct ctfr_option *option_of(const struct ctfr_cursor *c, const struct ctfr_node *n)
{
	uint64_t tag = c->slots[n->ref];

	for (uint32_t i = 0; i < n->noptions; i++) {
		const struct ctfr_option *o = &n->options[i];
		bool in = n->tag_unsigned ? tag >= (uint64_t)o->first && tag <= (uint64_t)o->last
					  : (int64_t)tag >= o->first && (int64_t)tag <= o->last;

		if (in)
			return o;
	}
	return NULL;
}

int ctfr_selected(struct ctfr_cursor *c, const struct ctfr_node *n, const struct ctfr_node **ret)
{
	const struct ctfr_option *o = option_of(c, n);

	if (!o)
		return bad(c, "the tag of a variant selects none of its options");
	*ret = n->kids[o->kid];
	return 0;
}

bool ctfr_is_there(const struct ctfr_cursor *c, const struct ctfr_node *n)
{
	return option_of(c, n) != NULL;
}

static int skip_elements(struct ctfr_cursor *c, const struct ctfr_node *n)
{
	const struct ctfr_node *k = n->kids[0];
	uint64_t len, begin;
	int r = ctfr_length(c, n, &len);

	if (r < 0)
		return r;
	if (n->role == CTFR_ROLE_UUID && c->roles && len == 16 && c->pos % 8 == 0 &&
		c->end - c->pos >= 128) {
		memcpy(c->uuid, c->buf + c->pos / 8, 16);
		c->roles_seen |= 1u << CTFR_ROLE_UUID;
	}
	begin = c->pos;
	if (k->fixed_bits > 0 && len && (c->pos % 8 == 0 || k->align == 1)) {
		uint64_t size = (uint64_t)k->fixed_bits;
		uint64_t step = (size + k->align - 1) & ~(k->align - 1);

		if (step > UINT32_MAX || (len - 1) * step + size > c->end - c->pos)
			return -CTFR_SHORT;
		c->pos += (len - 1) * step + size;
		return 0;
	}
	for (uint64_t i = 0; i < len; i++) {
		if (i == 65536 && c->pos == begin)
			return bad(c, "a very long array of elements without a size");
		r = ctfr_skip(c, k);
		if (r < 0)
			return r;
	}
	return 0;
}

int ctfr_skip(struct ctfr_cursor *c, const struct ctfr_node *n)
{
	const struct ctfr_node *selected;
	uint64_t len, v;
	int r = align_to(c, n->align);

	if (r < 0)
		return r;
	if (c->work++ >= c->max_work)
		return bad(c, "more elements than its size explains");
	switch (n->pub.kind) {
	case CAIRN_TYPE_INT:
	case CAIRN_TYPE_ENUM:
	case CAIRN_TYPE_FLOAT: return n->varlen ? ctfr_varlen(c, n, &v) : skip_scalar(c, n);
	case CAIRN_TYPE_STRING: return ctfr_skip_string(c, &len);
	case CAIRN_TYPE_STRUCT:
		for (uint32_t i = 0; i < n->nkids && r == 0; i++)
			r = ctfr_skip(c, n->kids[i]);
		return r;
	case CAIRN_TYPE_VARIANT:
		r = ctfr_selected(c, n, &selected);
		return r < 0 ? r : ctfr_skip(c, selected);
	case CAIRN_TYPE_ARRAY:
	case CAIRN_TYPE_SEQUENCE: return skip_elements(c, n);
	case CAIRN_TYPE_OPTIONAL: return ctfr_is_there(c, n) ? ctfr_skip(c, n->kids[0]) : 0;
	}
	return bad(c, "a type that is not known");
}

const uint8_t *ctfr_run(
	const struct ctfr_op *op, const uint8_t *buf, const uint8_t *p, const uint8_t *end)
{
	uint64_t regs[CTFR_REGS];

	for (;; op++) {
		uint64_t n;
		size_t at;

		switch (op->op) {
		case CTFR_OP_FIX:
			if ((size_t)(end - p) < op->n)
				return NULL;
			p += op->n;
			break;
		case CTFR_OP_ALIGN:
			at = ((size_t)(p - buf) + op->n - 1) & ~((size_t)op->n - 1);
			if (at > (size_t)(end - buf))
				return NULL;
			p = buf + at;
			break;
		case CTFR_OP_LOAD:
			if (end - p < op->size)
				return NULL;
			n = op->be ? load_be64(p) : load_le64(p) << (64 - 8 * op->size);
			regs[op->reg] = n >> (64 - 8 * op->size);
			break;
		case CTFR_OP_STRING:
			p = p < end ? memchr(p, 0, (size_t)(end - p)) : NULL;
			if (!p)
				return NULL;
			p++;
			break;
		case CTFR_OP_SEQ:
			n = regs[op->reg];
			if (n > UINT32_MAX || n * op->n > (size_t)(end - p))
				return NULL;
			p += n * op->n;
			break;
		default: return p;
		}
	}
}

/* ---- clocks ---- */

/* 10^9 / freq as a whole number and a fraction of 2^64. */
void ctfr_clock_prepare(struct ctfr_clock *k)
{
	const uint64_t giga = 1000000000;
	uint64_t freq = k->pub.freq, rest = giga % freq;

	k->ns_whole = giga / freq;
	k->ns_frac = (uint64_t)(((unsigned __int128)rest << 64) / freq);
	k->base_ns = (int64_t)((uint64_t)k->pub.offset_s * giga +
		(uint64_t)ctfr_clock_ns(k, k->pub.offset));
}
