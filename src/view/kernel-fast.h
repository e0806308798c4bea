/* Private to kernel-print.c: the steps of plans that most lines consist of, done at once. Which they are is
 * found by kernel-fast.c when the plan is made; a step that meets something unusual gives NULL and is done in
 * the general way. */
#ifndef CAIRN_VIEW_KERNEL_FAST_H
#define CAIRN_VIEW_KERNEL_FAST_H

#include <endian.h>

#include "view/kernel-text-impl.h"

#define KFAST_ROOM 64 /* bytes that a fast step writes at most, the text before it apart */

/* ---- numbers ---- */

/* 8 digits of base 16 as text, the highest in the lowest byte: a nibble to a byte, then each to its letter. */
static inline uint64_t khex_digits(uint32_t v)
{
	uint64_t x = v, letters;

	x = (x << 16 | x) & 0x0000ffff0000ffff;
	x = (x << 8 | x) & 0x00ff00ff00ff00ff;
	x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0f;
	letters = (x + 0x0606060606060606) >> 4 & 0x0101010101010101; /* 1 where it is above 9 */
	return __builtin_bswap64(x + 0x3030303030303030 + letters * ('a' - '0' - 10));
}

/* At least `least` digits, 1 to 16. Room: 16 bytes. Without a branch, since no processor can guess how long
 * the next number is. */
static inline char *kput_hex(char *p, uint64_t v, int least)
{
	int n = (67 - __builtin_clzll(v | 1)) / 4;
	uint64_t first, second;
	unsigned __int128 all = khex_digits((uint32_t)v);

	n = MAX(n, least);
	all = (all << 64 | khex_digits((uint32_t)(v >> 32))) >> 8 * (16 - n); /* the last n */
	first = htole64((uint64_t)all);
	second = htole64((uint64_t)(all >> 64));
	memcpy(p, &first, sizeof(first));
	memcpy(p + 8, &second, sizeof(second));
	return p + n;
}

static inline uint64_t kload_low(const uint8_t *p, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 8: memcpy(&v8, p, 8); return v8;
	case 4: memcpy(&v4, p, 4); return v4;
	case 2: memcpy(&v2, p, 2); return v2;
	default: return *p;
	}
}

/* ---- strings ---- */

/* 0x80 in each byte that is below 0x20 or above 0x7e, and perhaps in some behind the first of those. */
static inline uint64_t kspecial_bytes(uint64_t v)
{
	return ((v - 0x2020202020202020) | v | (v + 0x0101010101010101)) & 0x8080808080808080;
}

/* Up to a NUL, or n bytes; NULL: it is too long for here, or has bytes that are not shown as they are. */
static inline char *kfast_string(char *p, const uint8_t *s, size_t n)
{
	size_t i = 0;

	for (; n - i >= 8 && i <= KFAST_ROOM - 16; i += 8) {
		uint64_t v, special;

		memcpy(&v, s + i, sizeof(v));
		memcpy(p + i, &v, sizeof(v));
		special = kspecial_bytes(le64toh(v));
		if (special) {
			i += (size_t)__builtin_ctzll(special) / 8;
			return s[i] ? NULL : p + i;
		}
	}
	if (n - i >= 8)
		return NULL;
	for (; i < n && s[i]; i++) {
		if (s[i] < 0x20 || s[i] > 0x7e)
			return NULL;
		p[i] = (char)s[i];
	}
	return p + i;
}

static inline char *kfast_dynamic(
	char *p, const struct kop *op, bool relative, const uint8_t *record, size_t n)
{
	size_t at = (kload_low(record + op->from, 4) & 0xffff) + (relative ? op->from + 4 : 0);

	at = MIN(at, n);
	return kfast_string(p, record + at, n - at);
}

/* ---- memos ---- */

static inline struct kmemo *kmemo_of(const struct kop *op, uint64_t v)
{
	return &op->memos[v * UINT64_C(0x9e3779b97f4a7c15) >> (64 - op->memo_bits)];
}

static inline char *kmemo_put(char *p, const struct kop *op, uint64_t v)
{
	const struct kmemo *m = op->memos ? kmemo_of(op, v) : NULL;

	if (!m || m->value != v || !m->len)
		return NULL;
	memcpy(p, m->text, sizeof(m->text));
	return p + m->len - 1;
}

/* kernel-fast.c: the n bytes of text are what the step wrote. */
void kfast_remember(
	struct kernel_text *k, struct kop *op, const uint8_t *record, const char *text, size_t n);

/* ---- steps ---- */

/* Where the line goes on, or NULL. There is KFAST_ROOM at p. */
static inline char *kfast_run(
	char *p, const struct kop *op, unsigned fast, const uint8_t *record, size_t n)
{
	uint64_t v;

	if (fast == KF_TEXT) {
		memcpy(p, op->text, KPLAN_PAD);
		return p + op->len;
	}
	if (fast == KF_NONE)
		return NULL;
	if (fast >= KF_FIXED)
		return fast == KF_FIXED
			? kfast_string(p, record + op->from, op->len ? op->len : n - op->from)
			: kfast_dynamic(p, op, fast == KF_RELATIVE, record, n);
	v = kload_low(record + op->from, op->size);
	if (fast == KF_HEX)
		return kput_hex(p, v, op->least);
	if (fast == KF_MEMO)
		return kmemo_put(p, op, v);
	if (fast == KF_ARGUMENT && v >= 10) {
		*p++ = '0';
		*p++ = 'x';
		return kput_hex(p, v, 1);
	}
	if (fast == KF_SIGNED) {
		unsigned shift = 64 - 8 * op->size;
		int64_t d = (int64_t)(v << shift) >> shift;

		if (d < 0)
			*p++ = '-';
		v = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
	}
	if (v >= 10)
		return put_u64(p, v);
	*p = (char)('0' + v);
	return p + 1;
}

#endif
