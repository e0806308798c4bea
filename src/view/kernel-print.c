/* Runs plans: a record in, its text out. Made for millions of lines a second. */
#include "view/kernel-fast.h"

#include <stdarg.h>
#include <stdio.h>

uint64_t kernel_load(const struct kernel_text *k, const uint8_t *p, unsigned size)
{
	uint64_t v8;
	uint32_t v4;
	uint16_t v2;

	switch (size) {
	case 8: memcpy(&v8, p, 8); return k->swap ? __builtin_bswap64(v8) : v8;
	case 4: memcpy(&v4, p, 4); return k->swap ? __builtin_bswap32(v4) : v4;
	case 2: memcpy(&v2, p, 2); return k->swap ? __builtin_bswap16(v2) : v2;
	default: return *p;
	}
}

/* ---- the line ---- */

void kline_put(struct kernel_text *k, const char *s, size_t n)
{
	n = MIN(n, (size_t)(k->end - k->p));
	memcpy(k->p, s, n);
	k->p += n;
}

void kline_printf(struct kernel_text *k, const char *fmt, ...)
{
	size_t room = (size_t)(k->end - k->p);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(k->p, room + 1, fmt, ap); /* there is a byte more for the NUL */
	va_end(ap);
	k->p += MIN((size_t)MAX(n, 0), room);
}

/* Bytes of the UTF-8 character at s, 0 if it is none. */
static size_t utf8(const uint8_t *s, size_t n)
{
	size_t len = *s >= 0xf0 && *s < 0xf5 ? 4
		: *s >= 0xe0 && *s < 0xf0    ? 3
		: *s >= 0xc2 && *s < 0xe0    ? 2
					     : 0;

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xf0 && s[1] < 0x90) ||
		(*s == 0xed && s[1] > 0x9f) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

static void escape(struct kernel_text *k, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;

	for (size_t i = 0; i < n;) {
		size_t len = p[i] >= 0x20 && p[i] < 0x7f ? 1 : utf8(p + i, n - i);

		/* U+0080 to U+009F are control characters, too */
		if (len == 0 || (p[i] == 0xc2 && p[i + 1] < 0xa0)) {
			kline_printf(k, "\\x%02x", p[i]);
			i++;
		} else {
			kline_put(k, s + i, len);
			i += len;
		}
	}
}

void kline_safe(struct kernel_text *k, const char *s, size_t n)
{
	size_t i = 0;
	char *p = k->p;

	if ((size_t)(k->end - p) < n) {
		escape(k, s, n);
		return;
	}
	for (; n - i >= 8; i += 8) { /* bytes below 0x20 and above 0x7e leave a high bit */
		uint64_t v;

		memcpy(&v, s + i, sizeof(v));
		if (((v - 0x2020202020202020) | v | (v + 0x0101010101010101)) & 0x8080808080808080)
			break;
		memcpy(p + i, &v, sizeof(v));
	}
	for (; i < n && s[i] >= 0x20 && s[i] < 0x7f; i++)
		p[i] = s[i];
	k->p = p + i;
	if (i < n)
		escape(k, s + i, n - i);
}

/* ---- numbers ---- */

static uint64_t eval(struct kernel_text *k, const struct kexpr *x, const uint8_t *record);

static uint64_t eval_binary(struct kernel_text *k, const struct kexpr *x, const uint8_t *record)
{
	uint64_t a = eval(k, x->a, record), b = eval(k, x->b, record);

	switch ((enum kexpr_op)x->op) {
	case KX_OR: return a | b;
	case KX_OR_OR: return a || b;
	case KX_AND: return a & b;
	case KX_AND_AND: return a && b;
	case KX_XOR: return a ^ b;
	case KX_LT: return a < b;
	case KX_LE: return a <= b;
	case KX_GT: return a > b;
	case KX_GE: return a >= b;
	case KX_EQ: return a == b;
	case KX_NE: return a != b;
	case KX_SHL: return a << (b & 63);
	case KX_SHR: return a >> (b & 63);
	case KX_ADD: return a + b;
	case KX_SUB: return a - b;
	case KX_MUL: return a * b;
	case KX_DIV:
	case KX_MOD: k->unsafe |= b == 0; return b == 0 ? 0 : x->op == KX_DIV ? a / b : a % b;
	}
	return 0;
}

static uint64_t eval(struct kernel_text *k, const struct kexpr *x, const uint8_t *record)
{
	switch ((enum kexpr_kind)x->kind) {
	case KX_NUMBER: return x->number;
	case KX_LOAD: return kernel_load(k, record + x->offset, x->size);
	case KX_DYN_LEN: return kernel_load(k, record + x->offset, 4) >> 16;
	case KX_MASK: return eval(k, x->a, record) & x->number;
	case KX_COND: return eval(k, x->a, record) ? eval(k, x->b, record) : eval(k, x->c, record);
	case KX_NOT: return !eval(k, x->a, record);
	case KX_INVERT: return ~eval(k, x->a, record);
	case KX_BINARY: return eval_binary(k, x, record);
	}
	return 0;
}

/* "0x" and the like, then the number; at least `width` digits, of 16. */
static inline __attribute__((always_inline)) void put_address(
	struct kernel_text *k, const char *prefix, uint64_t v, int width)
{
	size_t n = strlen(prefix);

	if (k->end - k->p < 64)
		return;
	memcpy(k->p, prefix, n);
	k->p = kput_hex(k->p + n, v, MAX(width, 1));
}

/* The value as printf would get it for its size. */
static int64_t sized(int size, uint64_t v)
{
	return size <= -2    ? (int64_t)(int8_t)v
		: size == -1 ? (int64_t)(int16_t)v
		: size == 0  ? (int64_t)(int32_t)v
			     : (int64_t)v;
}

static uint64_t unsized(int size, uint64_t v)
{
	return size <= -2 ? (uint8_t)v : size == -1 ? (uint16_t)v : size == 0 ? (uint32_t)v : v;
}

/* Any specification, by printf with the same flags. */
static void number_printf(
	struct kernel_text *k, const struct kspec *s, uint64_t v, const uint8_t *record)
{
	char fmt[48], *begin = k->p;
	int star = s->star ? (int)eval(k, s->star, record) : 0, n = 0;
	/* "%#x" of 0 has its 0x in the kernel: that of 1, and then the digit is put right */
	bool zero = k->as_kernel && s->hash && s->conv == 'x' && unsized(s->size, v) == 0;

	v = zero ? 1 : v;

	/* a negative argument counts as if there were none */
	fmt[n++] = '%';
	n += s->minus ? (fmt[n] = '-', 1) : 0;
	n += s->zero ? (fmt[n] = '0', 1) : 0;
	n += s->plus ? (fmt[n] = '+', 1) : 0;
	n += s->space ? (fmt[n] = ' ', 1) : 0;
	n += s->hash ? (fmt[n] = '#', 1) : 0;
	if (s->star && !s->star_is_precision)
		n += snprintf(fmt + n, 12, "%d", MAX(MIN(star, 10000), 0));
	else if (s->width)
		n += snprintf(fmt + n, 12, "%d", s->width);
	if (s->star && s->star_is_precision)
		n += snprintf(fmt + n, 12, ".%d", MAX(MIN(star, 10000), 0));
	else if (s->precision >= 0)
		n += snprintf(fmt + n, 12, ".%d", s->precision);
	if (s->conv == 'c') {
		(void)snprintf(fmt + n, 4, "c");
	} else {
		fmt[n++] = 'l';
		fmt[n++] = 'l';
		fmt[n++] = s->conv;
		fmt[n] = '\0';
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (s->conv == 'c')
		kline_printf(k, fmt, (int)v);
	else if (s->conv == 'd' || s->conv == 'i')
		kline_printf(k, fmt, (long long)sized(s->size, v));
	else
		kline_printf(k, fmt, (unsigned long long)unsized(s->size, v));
#pragma GCC diagnostic pop
	for (char *p = k->p; zero && p > begin; p--) {
		if (p[-1] == '1') {
			p[-1] = '0';
			break;
		}
	}
}

static void character(struct kernel_text *k, uint64_t v)
{
	char c = (char)v;

	if (c)
		kline_safe(k, &c, 1);
}

static inline void number(
	struct kernel_text *k, const struct kspec *s, uint64_t v, const uint8_t *record)
{
	int64_t d;

	if (k->end - k->p < 128) {
		k->p = k->end;
		return;
	}
	if (s->conv == 'x' && !s->minus && !s->plus && !s->space && !s->hash && !s->star &&
		s->precision < 0 && (s->zero || !s->width)) {
		char *end = kput_hex(k->p, unsized(s->size, v), 1);
		int n = (int)(end - k->p), pad = s->width - n;

		if (pad > 0) {
			memmove(k->p + pad, k->p, (size_t)n);
			memset(k->p, '0', (size_t)pad);
			end += pad;
		}
		k->p = end;
	} else if (s->zero && s->width && s->width < 20 && !s->plus && !s->space && !s->star &&
		s->precision < 0 && (s->conv == 'd' || s->conv == 'u') &&
		(s->conv == 'u' || sized(s->size, v) >= 0)) {
		k->p = put_padded(k->p,
			s->conv == 'u' ? unsized(s->size, v) : (uint64_t)sized(s->size, v),
			s->width, '0');
	} else if (!s->is_plain) {
		number_printf(k, s, v, record);
	} else if (s->conv == 'd' || s->conv == 'i') {
		d = sized(s->size, v);
		if (d < 0)
			*k->p++ = '-';
		k->p = put_u64(k->p, d < 0 ? 0 - (uint64_t)d : (uint64_t)d);
	} else if (s->conv == 'u') {
		k->p = put_u64(k->p, unsized(s->size, v));
	} else if (s->conv == 'c') {
		character(k, v);
	} else {
		number_printf(k, s, v, record);
	}
}

/* ---- strings ---- */

struct running {
	struct kernel_text *k;
	const struct kspec *spec;
	const uint8_t *record;
	size_t n;
	bool last; /* of the line: a newline at its end is not shown */
};

static void put_string(struct running *r, const char *s, size_t n)
{
	const struct kspec *spec = r->spec;
	int width = spec->width, precision = spec->precision, pad;

	if (spec->is_plain && !r->last) {
		kline_safe(r->k, s, n);
		return;
	}
	if (spec->star) {
		int star = (int)eval(r->k, spec->star, r->record);

		*(spec->star_is_precision ? &precision : &width) = star;
		r->k->unsafe |= star < 0; /* libtraceevent prints the format itself then */
	}
	if (precision >= 0)
		n = MIN(n, (size_t)precision);
	pad = (size_t)MAX(width, 0) > n ? width - (int)n : 0;
	if (pad > 0 && !spec->minus)
		kline_printf(r->k, "%*s", pad, "");
	if (r->last && n && s[n - 1] == '\n')
		n--;
	kline_safe(r->k, s, n);
	if (pad > 0 && spec->minus)
		kline_printf(r->k, "%*s", pad, "");
}

/* The bytes of a dynamic array, inside the record. */
static const uint8_t *dynamic(const struct running *r, const struct kstring *s, size_t *ret_left)
{
	uint64_t at = kernel_load(r->k, r->record + s->offset, 4) & 0xffff;

	at += s->rel ? s->offset + 4 : 0;
	if (at > r->n)
		at = r->n;
	*ret_left = r->n - at;
	return r->record + at;
}

static void put_flags(struct running *r, const struct kstring *s)
{
	uint64_t v = eval(r->k, s->value, r->record);
	bool some = false;

	for (uint32_t i = 0; i < s->nlabels; i++) {
		const struct klabel *l = &s->labels[i];

		if (!v && l->is_negative) {
			put_string(r, l->text, l->len);
			break;
		}
		if (l->value && !l->is_negative && (v & l->value) == l->value) {
			if (some)
				kline_put(r->k, s->text, s->len);
			put_string(r, l->text, l->len);
			some = true;
			v &= ~l->value;
		}
	}
	if (!v)
		return;
	if (some)
		kline_put(r->k, s->text, s->len);
	put_address(r->k, "0x", v, 0);
}

static void put_symbol(struct running *r, const struct kstring *s)
{
	uint64_t v = eval(r->k, s->value, r->record);

	for (uint32_t i = 0; i < s->nlabels; i++)
		if (s->labels[i].value == v) {
			put_string(r, s->labels[i].text, s->labels[i].len);
			return;
		}
	put_address(r->k, "0x", v, 0);
}

static void put_bytes(struct running *r, const struct kstring *s)
{
	uint64_t len = eval(r->k, s->value, r->record);
	const uint8_t *p = r->record + MIN(s->offset, r->n);
	size_t left = r->n - MIN(s->offset, r->n);

	if (s->dyn)
		p = dynamic(r, s, &left);
	r->k->unsafe |= len > left / s->elem;
	len = MIN(len, left / s->elem);
	for (uint64_t i = 0; i < len && s->kind == KS_ARRAY; i++) {
		uint64_t v = kernel_load(r->k, p + i * s->elem, s->elem);

		kline_printf(r->k, i ? " %llu" : "%llu", (unsigned long long)v);
	}
	for (uint64_t i = 0; i < len && s->kind == KS_HEX; i++)
		kline_printf(r->k, i && s->spaces ? " %02x" : "%02x", p[i]);
}

static void put(struct running *r, const struct kstring *s)
{
	const char *p;
	size_t left;

	switch ((enum kstring_kind)s->kind) {
	case KS_CONST: put_string(r, s->text, s->len); break;
	case KS_FIXED:
		p = (const char *)r->record + s->offset;
		put_string(r, p, strnlen(p, s->len ? s->len : r->n - s->offset));
		break;
	case KS_DYN:
		p = (const char *)dynamic(r, s, &left);
		put_string(r, p, strnlen(p, left));
		break;
	case KS_NOTHING: break;
	case KS_FLAGS: put_flags(r, s); break;
	case KS_SYMBOL: put_symbol(r, s); break;
	case KS_HEX:
	case KS_ARRAY: put_bytes(r, s); break;
	case KS_COND: put(r, eval(r->k, s->value, r->record) ? s->yes : s->no); break;
	}
}

/* ---- plans ---- */

static void function(struct kernel_text *k, uint64_t v, bool offset_too)
{
	uint64_t begin, size = 0;
	const char *name = !k->as_kernel ? kernel_text_function(k, v, &begin)
		: v >> 63		 ? kernel_text_symbol(k, v, &begin, &size)
					 : NULL; /* a program's */

	if (!name) {
		put_address(k, "0x", v, 0);
		return;
	}
	kline_safe(k, name, strlen(name));
	if (offset_too)
		put_address(k, "+0x", v - begin, 0);
	if (offset_too && k->as_kernel)
		put_address(k, "/0x", size, 0);
}

static void pointer(struct kernel_text *k, const struct kspec *s, uint64_t v)
{
	(void)s;
	if (k->as_kernel) {
		put_address(k, "", v, 16);
		return;
	}
	if (v == 0) {
		kline_put(k, "(nil)", 5);
		return;
	}
	if (k->end - k->p < 32)
		return;
	*k->p++ = '0';
	*k->p++ = 'x';
	k->p = kput_hex(k->p, v, 1);
}

/* "(kmem_cache_alloc+0x12) " as the plugin prints it; the offset has 32 bits. */
static void call_site(struct kernel_text *k, uint64_t v)
{
	uint64_t begin;
	const char *name = kernel_text_function(k, v, &begin);

	if (!name)
		return;
	kline_put(k, "(", 1);
	kline_safe(k, name, strlen(name));
	put_address(k, "+0x", (uint32_t)(v - begin), 0);
	kline_put(k, ") ", 2);
}

static void argument(struct kernel_text *k, uint64_t v)
{
	if (v >= 10)
		put_address(k, "0x", v, 0);
	else if (k->p < k->end)
		*k->p++ = (char)('0' + v);
}

void kplan_run(struct kernel_text *k, const struct kplan *plan, const uint8_t *record, size_t n)
{
	struct running r = {.k = k, .record = record, .n = n};
	char *p = k->p, *fast_end = k->end - KBEFORE - KFAST_ROOM;
	bool as_asked = k->as_kernel == k->o.like_kernel;

	for (uint32_t i = 0; i < plan->nops; i++) {
		struct kop *op = &plan->ops[i];
		unsigned fast = as_asked ? op->fast : op->fast_else;
		char *next = NULL;

		k->p = p;
		if (p <= fast_end) {
			memcpy(p, op->before, KBEFORE);
			p += op->before_len;
			next = kfast_run(p, op, fast, record, n);
			if (next) {
				p = next;
				continue;
			}
			k->p = p;
		} else {
			kline_put(k, op->before, op->before_len);
			p = k->p;
		}
		switch ((enum kop_kind)op->kind) {
		case KO_TEXT: kline_put(k, op->text, op->len); break;
		case KO_NUMBER: number(k, &op->spec, eval(k, op->value, record), record); break;
		case KO_STRING:
			r.spec = &op->spec;
			r.last = i + 1 == plan->nops;
			put(&r, op->string);
			break;
		case KO_FUNCTION: function(k, eval(k, op->value, record), op->offset_too); break;
		case KO_POINTER: pointer(k, &op->spec, eval(k, op->value, record)); break;
		case KO_CALL_SITE: call_site(k, eval(k, op->value, record)); break;
		case KO_ADDRESS: kaddress_put(k, op, record); break;
		case KO_ARGUMENT: argument(k, eval(k, op->value, record)); break;
		}
		if (fast == KF_MEMO && k->p <= fast_end)
			kfast_remember(k, op, record, p, (size_t)(k->p - p));
		p = k->p;
	}
	k->p = p;
}
