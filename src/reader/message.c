/* Messages of CAIRN_LOG events. The format comes from the trace, so it is interpreted here, piece
 * by piece, and never reaches printf: a conversion takes the next field whatever its type is, and
 * what does not fit is shown in the field's own way.
 */
#include "reader/reader-impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WIDTH_MAX 4096

struct out {
	char *buf;
	size_t size, len; /* len: of all, also what did not fit */
};

struct spec {
	bool left, plus, space, alt, zero;
	int width, precision; /* -1: none */
	uint32_t bits; /* of an integer argument, by its length modifier; 0: it has none */
	char conv;
};

static void put(struct out *o, const char *s, size_t n)
{
	if (o->len < o->size)
		memcpy(o->buf + o->len, s, MIN(n, o->size - o->len));
	o->len += n;
}

static void put_many(struct out *o, char c, size_t n)
{
	while (n--)
		put(o, &c, 1);
}

static void put_padded(struct out *o, const struct spec *sp, const char *s, size_t n)
{
	size_t pad = sp->width > 0 && (size_t)sp->width > n ? (size_t)sp->width - n : 0;

	if (!sp->left)
		put_many(o, ' ', pad);
	put(o, s, n);
	if (sp->left)
		put_many(o, ' ', pad);
}

/* Digits with sign or prefix, precision and zero padding. */
static void put_digits(
	struct out *o, const struct spec *sp, const char *prefix, const char *digits, size_t n)
{
	size_t np = strlen(prefix), zeros = 0, pad;

	if (sp->precision >= 0 && (size_t)sp->precision > n)
		zeros = (size_t)sp->precision - n;
	else if (sp->precision < 0 && sp->zero && !sp->left && sp->width > 0 &&
		(size_t)sp->width > n + np)
		zeros = (size_t)sp->width - n - np;
	pad = sp->width > 0 && (size_t)sp->width > n + np + zeros
		? (size_t)sp->width - n - np - zeros
		: 0;
	if (!sp->left)
		put_many(o, ' ', pad);
	put(o, prefix, np);
	put_many(o, '0', zeros);
	put(o, digits, n);
	if (sp->left)
		put_many(o, ' ', pad);
}

static size_t to_digits(uint64_t v, unsigned base, bool upper, char buf[65])
{
	const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char rev[65];
	size_t n = 0;

	do
		rev[n++] = set[v % base];
	while (v /= base);
	for (size_t i = 0; i < n; i++)
		buf[i] = rev[n - 1 - i];
	return n;
}

static void put_integer(struct out *o, const struct spec *sp, const struct cairn_value *v)
{
	bool is_signed = v->kind == CAIRN_VALUE_INT;
	bool decimal = strchr("diu", sp->conv) != NULL;
	const char *prefix = "";
	uint64_t u = v->u;
	unsigned base = 10;
	char digits[65];
	size_t n;

	if (decimal && is_signed && sp->conv != 'u') {
		prefix = v->i < 0 ? "-" : sp->plus ? "+" : sp->space ? " " : "";
		u = v->i < 0 ? 0 - (uint64_t)v->i : (uint64_t)v->i;
	} else if (is_signed && v->type->bits < 64) {
		u &= (1ull << v->type->bits) - 1;
	}
	if (sp->conv == 'x' || sp->conv == 'X' || sp->conv == 'p') {
		base = 16;
		if ((sp->alt && u) || sp->conv == 'p')
			prefix = sp->conv == 'X' ? "0X" : "0x";
	} else if (sp->conv == 'o') {
		base = 8;
		prefix = sp->alt && u ? "0" : "";
	}
	if (sp->conv == 'p' && u == 0) {
		put_padded(o, sp, "(nil)", 5);
		return;
	}
	n = to_digits(u, base, sp->conv == 'X', digits);
	if (u == 0 && sp->precision == 0)
		n = 0;
	put_digits(o, sp, prefix, digits, n);
}

static void put_float(struct out *o, const struct spec *sp, double d)
{
	int prec = sp->precision < 0 ? 6 : MIN(sp->precision, 64);
	char text[512];
	bool negative;
	int n;

	switch (sp->conv) {
	case 'e': n = snprintf(text, sizeof(text), "%.*e", prec, d); break;
	case 'E': n = snprintf(text, sizeof(text), "%.*E", prec, d); break;
	case 'f':
	case 'F': n = snprintf(text, sizeof(text), "%.*f", prec, d); break;
	case 'a': n = snprintf(text, sizeof(text), "%a", d); break;
	case 'A': n = snprintf(text, sizeof(text), "%A", d); break;
	case 'G': n = snprintf(text, sizeof(text), "%.*G", prec, d); break;
	default: n = snprintf(text, sizeof(text), "%.*g", prec, d); break;
	}
	if (n < 0)
		return;
	negative = text[0] == '-';
	struct spec whole = *sp;

	whole.precision = -1;
	if (d - d != 0) /* inf, nan: no zeros before them */
		whole.zero = false;
	put_digits(o, &whole,
		negative	    ? "-"
			: sp->plus  ? "+"
			: sp->space ? " "
				    : "",
		text + negative, MIN((size_t)n, sizeof(text) - 1) - negative);
}

/* A value in its own way. */
static void put_plain(struct out *o, const struct cairn_value *v, int depth)
{
	struct spec sp = {.width = -1, .precision = -1, .conv = 'd'};
	const char *label = cairn_value_label(v);
	char digits[65];

	switch (v->kind) {
	case CAIRN_VALUE_UINT:
	case CAIRN_VALUE_INT:
		if (label) {
			put(o, label, strlen(label));
			break;
		}
		sp.conv = v->type->base == 16 ? 'x' : v->type->base == 8 ? 'o' : 'd';
		sp.alt = true;
		put_integer(o, &sp, v);
		break;
	case CAIRN_VALUE_FLOAT:
		sp.conv = 'g';
		put_float(o, &sp, v->d);
		break;
	case CAIRN_VALUE_STRING: put(o, v->str, v->count); break;
	case CAIRN_VALUE_BYTES:
		for (uint32_t i = 0; i < v->count; i++) {
			size_t n = to_digits(0x100u | v->bytes[i], 16, false, digits);

			put(o, digits + n - 2, 2);
		}
		break;
	case CAIRN_VALUE_ARRAY:
		put(o, "[", 1);
		for (uint32_t i = 0; i < v->count && o->len < o->size; i++) {
			struct cairn_value e;

			if (i)
				put(o, ", ", 2);
			if (cairn_value_element(v, i, &e) == 0 && depth < CTFR_MAX_DEPTH)
				put_plain(o, &e, depth + 1);
		}
		put(o, "]", 1);
		break;
	case CAIRN_VALUE_STRUCT:
	case CAIRN_VALUE_VARIANT:
		put(o, "{", 1);
		for (uint32_t i = 0; i < v->count && depth < CTFR_MAX_DEPTH; i++) {
			if (i)
				put(o, ", ", 2);
			put(o, v->members[i].name, strlen(v->members[i].name));
			put(o, " = ", 3);
			put_plain(o, &v->members[i], depth + 1);
		}
		put(o, "}", 1);
		break;
	case CAIRN_VALUE_NONE: put(o, "<none>", 6); break;
	}
}

/* What printf sees of an integer: promoted to int, then as wide as the length modifier says. A
 * value wider than an int is not cut for want of a modifier. */
static struct cairn_value as_argument(const struct spec *sp, const struct cairn_value *v)
{
	struct cairn_value arg = *v;
	uint32_t bits = sp->conv == 'p' ? 64 : sp->bits ? sp->bits : MAX(v->type->bits, 32u);

	if (v->kind == CAIRN_VALUE_UINT && v->type->is_text && v->type->bits == 8)
		arg.i = (int8_t)v->u; /* a char */
	if (sp->conv == 'd' || sp->conv == 'i') {
		arg.kind = CAIRN_VALUE_INT;
		arg.i = ctfr_sign_extend(arg.u, bits);
	} else {
		arg.kind = CAIRN_VALUE_UINT;
		arg.u &= bits < 64 ? (1ull << bits) - 1 : UINT64_MAX;
	}
	return arg;
}

static void put_converted(struct out *o, const struct spec *sp, const struct cairn_value *v)
{
	struct cairn_value arg;
	bool integer = v->kind == CAIRN_VALUE_INT || v->kind == CAIRN_VALUE_UINT;
	char c = (char)v->u;

	if (sp->conv == 's' && v->kind == CAIRN_VALUE_STRING) {
		size_t n = v->count;

		if (sp->precision >= 0)
			n = MIN(n, (size_t)sp->precision);
		put_padded(o, sp, v->str, n);
	} else if (sp->conv == 'c' && integer) {
		put_padded(o, sp, &c, 1);
	} else if (strchr("diuoxXp", sp->conv) && integer) {
		arg = as_argument(sp, v);
		put_integer(o, sp, &arg);
	} else if (strchr("eEfFgGaA", sp->conv) && v->kind == CAIRN_VALUE_FLOAT) {
		put_float(o, sp, v->d);
	} else {
		put_plain(o, v, 0);
	}
}

struct fields {
	const struct cairn_value *v;
	size_t n, next;
};

static const struct cairn_value *take(struct fields *f)
{
	return f->next < f->n ? &f->v[f->next++] : NULL;
}

/* A number in a format, or '*'. */
static int take_number(const char **s, struct fields *f)
{
	int64_t n = 0;

	if (**s == '*') {
		const struct cairn_value *v = take(f);

		(*s)++;
		n = v && (v->kind == CAIRN_VALUE_INT || v->kind == CAIRN_VALUE_UINT) ? v->i : 0;
		return (int)MAX(MIN(n, WIDTH_MAX), -WIDTH_MAX);
	}
	for (; **s >= '0' && **s <= '9'; (*s)++)
		n = MIN(n * 10 + (**s - '0'), WIDTH_MAX);
	return (int)n;
}

/* Parses what follows a '%'; the place after it. */
static const char *parse_spec(const char *s, struct fields *f, struct spec *sp)
{
	*sp = (struct spec){.width = -1, .precision = -1};
	for (; *s && strchr("-+ #0'", *s); s++) {
		sp->left |= *s == '-';
		sp->plus |= *s == '+';
		sp->space |= *s == ' ';
		sp->alt |= *s == '#';
		sp->zero |= *s == '0';
	}
	sp->width = take_number(&s, f);
	if (sp->width < 0) {
		sp->left = true;
		sp->width = -sp->width;
	}
	if (*s == '.') {
		s++;
		sp->precision = take_number(&s, f);
	}
	for (; *s && strchr("hlLqjzt", *s); s++)
		sp->bits = *s != 'h' ? 64 : sp->bits == 16 ? 8 : 16;
	sp->conv = *s;
	return *s ? s + 1 : s;
}

static void put_format(struct out *o, const char *s, struct fields *f)
{
	while (*s) {
		size_t n = strcspn(s, "%");
		const struct cairn_value *v;
		const char *begin;
		struct spec sp;

		put(o, s, n);
		s += n;
		if (!*s)
			return;
		begin = s++;
		if (*s == '%') {
			put(o, s++, 1);
			continue;
		}
		s = parse_spec(s, f, &sp);
		v = sp.conv ? take(f) : NULL;
		if (v)
			put_converted(o, &sp, v);
		else
			put(o, begin, (size_t)(s - begin)); /* nothing left to put there */
	}
}

size_t cairn_event_message(const struct cairn_event *ev, char *buf, size_t size)
{
	struct out o = {.buf = buf, .size = size ? size - 1 : 0};
	struct fields f = {0};

	f.v = cairn_event_fields(ev, &f.n);
	if (ev->cls->format) {
		put_format(&o, ev->cls->format, &f);
	} else {
		for (size_t i = 0; i < f.n; i++) {
			if (i)
				put(&o, ", ", 2);
			put(&o, f.v[i].name, strlen(f.v[i].name));
			put(&o, " = ", 3);
			put_plain(&o, &f.v[i], 0);
		}
	}
	if (size)
		buf[MIN(o.len, size - 1)] = '\0';
	return o.len;
}
