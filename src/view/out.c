/* A big output buffer and number formatting that keeps up with the reader. */
#include "view/out.h"
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* "00" to "99": two digits a step. */
static const char pairs[] = "0001020304050607080910111213141516171819"
			    "2021222324252627282930313233343536373839"
			    "4041424344454647484950515253545556575859"
			    "6061626364656667686970717273747576777879"
			    "8081828384858687888990919293949596979899";

int out_init(struct out *o, int fd)
{
	*o = (struct out){.fd = fd, .data = malloc(OUT_BUFFER)};
	return o->data ? 0 : -ENOMEM;
}

int out_flush(struct out *o)
{
	if (!o->err && o->len)
		o->err = o->wait ? write_waiting(o->fd, o->data, o->len, o->wait)
				 : write_all(o->fd, o->data, o->len);
	o->bytes += o->err ? 0 : o->len;
	o->len = 0;
	return o->err;
}

void out_done(struct out *o)
{
	free(o->data);
	o->data = NULL;
}

void auto_out(struct out *o)
{
	out_done(o);
}

void out_drain(struct out *o)
{
	(void)out_flush(o); /* the error stays in o->err */
}

void out_bytes(struct out *o, const void *p, size_t n)
{
	const char *s = p;

	while (n > OUT_BUFFER - o->len) {
		size_t part = OUT_BUFFER - o->len;

		memcpy(o->data + o->len, s, part);
		o->len += part;
		s += part;
		n -= part;
		(void)out_flush(o); /* the error stays in o->err */
	}
	memcpy(o->data + o->len, s, n);
	o->len += n;
}

/* Number of decimal digits: a guess by the number of bits, put right by a comparison. */
static unsigned digits_of(uint64_t v)
{
	static const uint64_t least[] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
		100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
		100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
		1000000000000000000, 10000000000000000000u};
	unsigned guess = (unsigned)(64 - __builtin_clzll(v | 1)) * 1233 >> 12;

	return guess + (v >= least[guess]);
}

static inline void put_digits(char *p, uint64_t v, unsigned n)
{
	for (; n > 1; n -= 2) {
		uint64_t q = v / 100;

		memcpy(p + n - 2, pairs + 2 * (v - q * 100), 2);
		v = q;
	}
	if (n)
		*p = (char)('0' + v % 10);
}

/* 8 digits of a number below 10^8, the first in the lowest byte: halves, pairs and then digits, each in its own
 * part of a word. */
static inline uint64_t eight_digits(uint32_t v)
{
	uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32, q;

	q = (x * 10486 >> 20) & 0x0000007f0000007f; /* each by 100 */
	x = q | (x - 100 * q) << 16;
	q = (x * 103 >> 10) & 0x000f000f000f000f; /* each by 10 */
	return q | (x - 10 * q) << 8;
}

static inline void put_eight(char *p, uint64_t digits)
{
	digits = htole64(digits + 0x3030303030303030);
	memcpy(p, &digits, sizeof(digits));
}

char *put_nine(char *p, uint32_t v)
{
	uint32_t high = v / 100000000;

	*p = (char)('0' + high);
	put_eight(p + 1, eight_digits(v - high * 100000000));
	return p + 9;
}

char *put_u64(char *p, uint64_t v)
{
	unsigned n;

	if (v < 10) {
		*p = (char)('0' + v);
		return p + 1;
	}
	if (v < 100000000) {
		uint64_t digits = eight_digits((uint32_t)v);
		unsigned zeros = (unsigned)__builtin_ctzll(digits) / 8;

		put_eight(p, digits >> 8 * zeros);
		return p + 8 - zeros;
	}
	n = digits_of(v);
	put_digits(p, v, n);
	return p + n;
}

char *put_padded(char *p, uint64_t v, int width, char pad)
{
	int n = (int)digits_of(v);

	for (; n < width; width--)
		*p++ = pad;
	put_digits(p, v, (unsigned)n);
	return p + n;
}

void out_u64(struct out *o, uint64_t v)
{
	out_wrote(o, put_u64(out_room(o), v));
}

void out_i64(struct out *o, int64_t v)
{
	char *p = out_room(o);

	if (v < 0)
		*p++ = '-';
	out_wrote(o, put_u64(p, v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
}

void out_hex(struct out *o, uint64_t v)
{
	char *p = out_room(o);
	int digits = v ? (67 - __builtin_clzll(v)) / 4 : 1;

	*p++ = '0';
	*p++ = 'x';
	for (int i = digits; i-- > 0;)
		*p++ = "0123456789abcdef"[v >> (4 * i) & 15];
	out_wrote(o, p);
}

void out_double(struct out *o, double v)
{
	char *p = out_room(o);
	int n = 0;

	if (isnan(v) || isinf(v)) {
		out_str(o, isnan(v) ? "nan" : v < 0 ? "-inf" : "inf");
		return;
	}
	for (int digits = 6; digits <= 17; digits += digits == 6 ? 9 : 1) {
		n = snprintf(p, 64, "%.*g", digits, v);
		if (strtod(p, NULL) == v)
			break;
	}
	o->len += (size_t)n;
}

void out_printf(struct out *o, const char *fmt, ...)
{
	char tmp[4096];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	if (n > 0)
		out_bytes(o, tmp, MIN((size_t)n, sizeof(tmp) - 1));
}

/* Bytes of the valid UTF-8 sequence at s; 0 if none. C1 controls (U+0080..9F) count as none: a
 * terminal may obey them. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	unsigned char c = s[0];
	size_t len = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (len == 0 || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) ||
		(c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f) ||
		(c == 0xc2 && s[1] < 0xa0))
		return 0;
	return len;
}

static bool plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f;
}

void out_safe(struct out *o, const char *s, size_t n)
{
	size_t i = 0;

	while (i < n) {
		size_t run = i, seq;

		while (run < n && plain((unsigned char)s[run]))
			run++;
		out_bytes(o, s + i, run - i);
		i = run;
		if (i == n)
			break;
		seq = utf8_len((const unsigned char *)s + i, n - i);
		if (seq) {
			out_bytes(o, s + i, seq);
			i += seq;
		} else {
			unsigned char c = (unsigned char)s[i++];
			char esc[4] = {
				'\\', 'x', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};

			out_bytes(o, esc, 4);
		}
	}
}

void out_json(struct out *o, const char *s, size_t n)
{
	size_t run = 0;

	while (run < n && plain((unsigned char)s[run]) && s[run] != '"' && s[run] != '\\')
		run++;
	if (run == n) { /* nearly always */
		out_char(o, '"');
		out_bytes(o, s, n);
		out_char(o, '"');
	} else {
		struct buf b AUTO(buf) = {0};

		buf_json_str(&b, s, n);
		if (b.err)
			o->err = o->err ? o->err : b.err;
		else
			out_bytes(o, b.data, b.len);
	}
}

char *human_bytes(char buf[HUMAN_MAX], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	size_t u = 0;

	for (; v >= 1023.95 && u + 1 < ARRAY_SIZE(units); u++)
		v /= 1024;
	(void)snprintf(buf, HUMAN_MAX, u ? "%.1f %s" : "%.0f %s", v, units[u]); /* fits */
	return buf;
}

char *human_count(char buf[HUMAN_MAX], uint64_t n)
{
	char digits[20], *end = put_u64(digits, n), *p = buf;

	for (const char *d = digits; d < end; d++) {
		*p++ = *d;
		if (end - d > 1 && (end - d - 1) % 3 == 0)
			*p++ = ',';
	}
	*p = '\0';
	return buf;
}

char *human_rate(char buf[HUMAN_MAX], uint64_t n, uint64_t t_ns)
{
	static const char *const units[] = {"", " k", " M", " G"};
	double v = t_ns ? (double)n * 1e9 / (double)t_ns : 0;
	size_t u = 0;

	for (; v >= 999.95 && u + 1 < ARRAY_SIZE(units); u++)
		v /= 1000;
	(void)snprintf(buf, HUMAN_MAX, "%.*f%s/s", u || v < 9.95 ? 1 : 0, v, units[u]); /* fits */
	return buf;
}

char *human_ns(char buf[HUMAN_MAX], uint64_t t_ns)
{
	double v = (double)t_ns;

	if (t_ns < 1000)
		(void)snprintf(buf, HUMAN_MAX, "%.0f ns", v); /* all of these fit */
	else if (t_ns < 1000000)
		(void)snprintf(buf, HUMAN_MAX, "%.1f us", v / 1e3);
	else if (t_ns < 1000000000)
		(void)snprintf(buf, HUMAN_MAX, "%.1f ms", v / 1e6);
	else if (t_ns < 600000000000u)
		(void)snprintf(buf, HUMAN_MAX, "%.3f s", v / 1e9);
	else
		(void)snprintf(buf, HUMAN_MAX, "%.1f min", v / 60e9);
	return buf;
}
