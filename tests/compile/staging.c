/* What a switched-on site stages, byte by byte, and how it describes itself. The runtime is a fake.
 * Compiled many ways: C and C++ (staging.cc), gcc and clang, each optimisation, patched or not.
 */
#include <cairn/trace.h>
#include <errno.h>
#include <limits.h>

#include "fake.h"

#ifndef MAP_ANONYMOUS /* strict C11 */
#define MAP_ANONYMOUS 0x20
#endif

enum color { RED, GREEN = 5, BLUE = -7 };

/* ---- tests ---- */

static int evaluated;
static int count(int x)
{
	evaluated++;
	return x;
}

__attribute__((noinline)) static void fire_none(void)
{
	CAIRN(t, none);
}
__attribute__((noinline)) static int fire_once(int a)
{
	CAIRN(t, once, count(a));
	return a + 1;
}

TEST(off_is_off_and_arguments_are_evaluated_once)
{
	set_all(false);
	evaluated = 0;
	CHECK_INT(fire_once(3), 4);
	CHECK_INT(evaluated, 0);
	CHECK_INT(got.count, 0);
	set_all(true);
	CHECK_INT(fire_once(3), 4);
	CHECK_INT(evaluated, 1);
	ADD(int, 3);
	CHECK(as_wanted());
	fire_none();
	CHECK(as_wanted());
}

TEST(integers_of_all_widths)
{
	signed char sc = -1;
	unsigned char uc = 200;
	short s = -2;
	unsigned short us = 65535;
	int i = INT_MIN;
	unsigned u = UINT_MAX;
	long l = LONG_MIN;
	unsigned long ul = ULONG_MAX;
	long long ll = -3;
	unsigned long long ull = 1ull << 63;
	struct view v = view_of("ints");

	set_all(true);
	CAIRN(t, ints, sc, uc, s, us, i, u, l, ul, ll, ull);
	ADD(signed char, sc);
	ADD(unsigned char, uc);
	ADD(short, s);
	ADD(unsigned short, us);
	ADD(int, i);
	ADD(unsigned, u);
	ADD(long, l);
	ADD(unsigned long, ul);
	ADD(long long, ll);
	ADD(unsigned long long, ull);
	CHECK(as_wanted());
	CHECK_INT(v.desc->nfields, 10);
	CHECK_INT(v.desc->loglevel, CAIRN_DEBUG_LINE);
	CHECK_INT(v.desc->abi, 1);
	CHECK(field_is(&v, 0, CAIRN_KIND_INT, 0, 1, 0));
	CHECK(field_is(&v, 1, CAIRN_KIND_UINT, 0, 1, 0));
	CHECK(field_is(&v, 4, CAIRN_KIND_INT, 0, 4, 0));
	CHECK(field_is(&v, 9, CAIRN_KIND_UINT, 0, 8, 0));
	CHECK_STR(string_at(&v, 0), "t");
	CHECK_STR(string_at(&v, 4), "sc");
	CHECK_STR(string_at(&v, 13), "ull");
}

TEST(other_scalars)
{
	bool b = true;
	char c = 'x';
	float f = 1.5f;
	double d = -2.25;
	long double ld = 3.5L;
	void *p = &d;
	const int *ip = (const int *)p;
	const volatile short cv = 7;
	struct view v = view_of("others");

	set_all(true);
	CAIRN(t, others, b, c, f, d, ld, p, ip, cv, (sum, cv + 1));
	ADD(char, 1);
	ADD(char, 'x');
	ADD(float, f);
	ADD(double, d);
	ADD(double, 3.5);
	ADD(void *, p);
	ADD(void *, p);
	ADD(short, 7);
	ADD(int, 8);
	CHECK(as_wanted());
	CHECK(field_is(&v, 0, CAIRN_KIND_BOOL, 0, 1, 0));
	CHECK(field_is(&v, 1, CAIRN_KIND_CHAR, 0, 1, 0));
	CHECK(field_is(&v, 2, CAIRN_KIND_FLOAT, 0, 4, 0));
	CHECK(field_is(&v, 4, CAIRN_KIND_FLOAT, 0, 8, 0));
	CHECK(field_is(&v, 6, CAIRN_KIND_PTR, 0, 8, 0));
	CHECK(field_is(&v, 7, CAIRN_KIND_INT, 0, 2, 0));
	CHECK_STR(string_at(&v, 12), "sum");
}

TEST(strings)
{
	const char *s = "hello, a string of more than thirty-two bytes";
	char *null = NULL, text[8] = "text", full[4] = {'f', 'u', 'l', 'l'};
	struct view v = view_of("strings");

	set_all(true);
	CAIRN(t, strings, s, null, text, full, "", (n, 1));
	ADD_STR(s);
	ADD_STR("(null)");
	ADD_STR("text");
	ADD_STR("full");
	ADD_STR("");
	ADD(int, 1);
	CHECK(as_wanted());
	CHECK(field_is(&v, 0, CAIRN_KIND_STR, 0, 1, 0));
	CHECK(field_is(&v, 3, CAIRN_KIND_STR, 0, 1, 0));
}

/* At each alignment, each length, and at the end of a page with nothing behind it. */
TEST(strings_wherever_they_lie)
{
	char *pages = (char *)mmap(
		NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t len, at;

	set_all(true);
	if (mprotect(pages + 4096, 4096, PROT_NONE) != 0)
		abort();
	for (len = 0; len < 40; len++)
		for (at = 0; at < 9; at++) {
			char *s = at == 8 ? pages + 4096 - len - 1 : pages + 64 + at;

			memset(pages, at & 1 ? 0xff : 0, 4096);
			memset(s, 'a' + (int)at, len);
			s[len] = 0;
			CAIRN(t, somewhere, s, (n, (int)len));
			ADD_STR(s);
			ADD(int, len);
			CHECK(as_wanted());
			if (len < 4) /* no NUL within the array */
				continue;
			CAIRN(t, bounded, (s, *(char(*)[4])s));
			add(s, 4);
			ADD(char, 0);
			CHECK(as_wanted());
		}
	munmap(pages, 8192);
}

TEST(arrays_and_sequences)
{
	const int a[3] = {1, -2, 3};
	unsigned char mac[6] = {1, 2, 3, 4, 5, 6};
	void *ps[2] = {mac, NULL};
	double ds[2] = {1, 2};
	size_t n = 2;
	int minus = -1;
	struct view v = view_of("arrays");

	set_all(true);
	CAIRN(t, arrays, a, mac, ps, CAIRN_SEQ(ds, ds, n), CAIRN_BYTES(blob, mac, 4),
		CAIRN_SEQ(none, (int *)NULL, 9), CAIRN_SEQ(minus, a, minus), CAIRN_HEX(h, n));
	add(a, sizeof(a));
	add(mac, sizeof(mac));
	add(ps, sizeof(ps));
	ADD(uint32_t, 2);
	add(ds, sizeof(ds));
	ADD(uint32_t, 4);
	add(mac, 4);
	ADD(uint32_t, 0);
	ADD(uint32_t, 0);
	ADD(size_t, 2);
	CHECK(as_wanted());
	CHECK(field_is(&v, 0, CAIRN_KIND_INT, CAIRN_FORM_ARRAY, 4, 3));
	CHECK(field_is(&v, 1, CAIRN_KIND_UINT, CAIRN_FORM_ARRAY, 1, 6));
	CHECK(field_is(&v, 2, CAIRN_KIND_PTR, CAIRN_FORM_ARRAY, 8, 2));
	CHECK(field_is(&v, 3, CAIRN_KIND_FLOAT, CAIRN_FORM_SEQUENCE, 8, 0));
	CHECK(field_is(&v, 4, CAIRN_KIND_BYTES, CAIRN_FORM_SEQUENCE, 1, 0));
	CHECK(field_is(&v, 7, CAIRN_KIND_UINT, CAIRN_FORM_ONE, 8, 0));
	CHECK_INT(v.fields[7].flags, CAIRN_FIELD_HEX);
}

TEST(enums_with_labels)
{
	enum color c = BLUE;
	unsigned char bits = 4;
	struct view v = view_of("enums");

	set_all(true);
	CAIRN(t, enums, CAIRN_ENUM(color, c, RED, GREEN, BLUE), (errno, count(2)),
		CAIRN_ENUM(bits, bits, EINTR, EPERM));
	ADD(int, BLUE);
	ADD(int, 2);
	ADD(unsigned char, 4);
	CHECK(as_wanted());
	CHECK_INT(v.desc->nlabels, 5);
	CHECK(field_is(&v, 0, CAIRN_KIND_ENUM, 0, 4, 0));
	CHECK_INT(v.fields[0].flags, CAIRN_FIELD_SIGNED);
	CHECK_INT(v.fields[0].nlabels, 3);
	CHECK(field_is(&v, 2, CAIRN_KIND_ENUM, 0, 1, 0));
	CHECK_INT(v.fields[2].flags, 0);
	CHECK_INT(v.labels[2], BLUE);
	CHECK_INT(v.labels[3], EINTR);
	CHECK_STR(string_at(&v, 4), "color");
	CHECK_STR(string_at(&v, 7), "BLUE");
	CHECK_STR(string_at(&v, 8), "errno");
	CHECK_STR(string_at(&v, 10), "EINTR");
}

/* Users' own macros pass fields on: these are expanded before CAIRN sees them. */
#define MINE(event, ...) CAIRN(t, event, __VA_ARGS__, (last, 1))

TEST(within_macros)
{
	unsigned char two[2] = {1, 2};
	int n = 3;
	struct view v = view_of("within");

	set_all(true);
	MINE(within, CAIRN_HEX(hex, n), CAIRN_BYTES(bytes, two, 2), (pair, n), n,
		CAIRN_ENUM(color, RED, RED, GREEN));
	ADD(int, 3);
	ADD(uint32_t, 2);
	add(two, 2);
	ADD(int, 3);
	ADD(int, 3);
	ADD(int, RED);
	ADD(int, 1);
	CHECK(as_wanted());
	CHECK_STR(string_at(&v, 4), "hex");
	CHECK_STR(string_at(&v, 5), "bytes");
	CHECK_STR(string_at(&v, 6), "pair");
	CHECK_STR(string_at(&v, 9), "RED");
	CHECK_STR(string_at(&v, 11), "last");
	CHECK_INT(v.fields[0].flags, CAIRN_FIELD_HEX);
	CHECK_INT(v.fields[1].kind, CAIRN_KIND_BYTES);
}

TEST(logs_and_levels)
{
	const char *who = "you";
	char place[64];
	int line;
	struct view v;

	set_all(true);
	line = __LINE__ + 1;
	CAIRN_LOG(t, CAIRN_INFO, "hello %s, %d", who, 7);
	ADD_STR("you");
	ADD(int, 7);
	CHECK(as_wanted());
	CAIRN_LOG(t, CAIRN_ERR, "no arguments");
	CHECK(as_wanted());
	snprintf(place, sizeof(place), "staging.c:%d", line);
	v = view_of(place);
	CHECK(v.desc != NULL);
	if (!v.desc)
		return;
	CHECK_INT(v.desc->flags, CAIRN_DESC_LOG);
	CHECK_INT(v.desc->loglevel, CAIRN_INFO);
	CHECK_INT(v.desc->line, line);
	CHECK_STR(string_at(&v, 2), "hello %s, %d");
	CAIRN_LEVEL(CAIRN_CRIT, t, level);
	CHECK(as_wanted());
	CHECK_INT(view_of("level").desc->loglevel, CAIRN_CRIT);
}

TEST(around)
{
	int before = 0, ran = 0;

	set_all(false);
	CAIRN_AROUND(t, around, before++, ran++, before, ran);
	CHECK_INT(before, 0);
	CHECK_INT(ran, 1);
	CHECK_INT(got.count, 0);
	set_all(true);
	CAIRN_AROUND(t, around2, before++, ran++, before, ran);
	ADD(int, 1);
	ADD(int, 2);
	CHECK(as_wanted());
}

TEST(long_payloads)
{
	static char text[CAIRN_PAYLOAD_MAX + 100], two[3000];
	static int many[400];
	size_t n;

	set_all(true);
	memset(text, 'a', sizeof(text) - 1);
	memset(two, 'b', sizeof(two) - 1);
	for (n = 0; n < 400; n++)
		many[n] = (int)n;
	CAIRN(t, long_strings, (const char *)two, (const char *)two + 2000, (x, 5));
	ADD_STR(two);
	ADD_STR(two + 2000);
	ADD(int, 5);
	CHECK(as_wanted());
	CAIRN(t, long_array, many, CAIRN_SEQ(many, many, 400), (const char *)two);
	add(many, sizeof(many));
	ADD(uint32_t, 400);
	add(many, sizeof(many));
	ADD_STR(two);
	CHECK(as_wanted());
	/* a string over the limit is cut, what follows is whole */
	CAIRN(t, cut, (const char *)text, (x, 6));
	CHECK_INT(got.size, CAIRN_PAYLOAD_MAX);
	text[CAIRN_PAYLOAD_MAX - 5] = 0;
	ADD_STR(text);
	ADD(int, 6);
	CHECK(as_wanted());
	/* a sequence over the limit is a lost record */
	CAIRN(t, lost, CAIRN_SEQ(many, many, 1 << 20));
	CHECK_INT(got.count, 1);
	CHECK_INT(got.lost, 1);
	CHECK_INT(scratches, 0);
}

TEST(many_fields)
{
	int i = 1;
	const char *s = "s";

	set_all(true);
	CAIRN(t, many, (a, i), (b, i), (c, i), (d, i), (e, s), (f, i), (g, i), (h, i), (i, i),
		(j, i), (k, i), (l, i), (m, i), (n, i), (o, i), (p, i), (q, i), (r, s), (s, i),
		(t, i), (u, i), (v, i), (w, i), (x, i), (y, i), (z, i), (aa, i), (ab, i), (ac, i),
		(ad, i), (ae, i), (af, 2.0));
	for (i = 1; i < 32; i++)
		if (i == 5 || i == 18)
			ADD_STR("s");
		else
			ADD(int, 1);
	ADD(double, 2.0);
	CHECK(as_wanted());
	CHECK_INT(view_of("many").desc->nfields, 32);
}

/* All registers and the red zone survive a site that fires. */
__attribute__((noinline)) static double mix(const long *a, const double *d, int n)
{
	long s0 = 1, s1 = 2, s2 = 3, s3 = 4, s4 = 5, s5 = 6, s6 = 7, s7 = 8;
	double f = 0;
	int i;

	for (i = 0; i < n; i++) {
		CAIRN(t, mix, i, s0, s3, f);
		s0 += a[i];
		s1 ^= s0 << 1;
		s2 += s1 * 3;
		s3 ^= s2;
		s4 += s3 + i;
		s5 -= s4 * 5;
		s6 ^= s5;
		s7 += s6 + a[i];
		f += d[i] * (double)s7;
	}
	return f + (double)(s0 ^ s1 ^ s2 ^ s3 ^ s4 ^ s5 ^ s6);
}

TEST(code_around_is_not_disturbed)
{
	static const long a[9] = {3, 1, 4, 1, 5, 9, 2, 6, 5};
	static const double d[9] = {2, 7, 1, 8, 2, 8, 1, 8, 2};
	double off, on;

	set_all(false);
	off = mix(a, d, 9);
	set_all(true);
	on = mix(a, d, 9);
	CHECK_INT(got.count, 9);
	CHECK(memcmp(&off, &on, sizeof(on)) == 0);
	errno = 4711;
	fire_once(1);
	CHECK_INT(errno, 4711);
}

#ifdef __cplusplus
#include <string>
#include <string_view>

enum class big_enum : unsigned long { top = ~0ul, one = 1 };

template <class T> static inline T in_template(T t)
{
	CAIRN(t, in_template, t);
	return t;
}

static std::string make(const char *s)
{
	return std::string(s) + std::string(s);
}

TEST(cxx)
{
	std::string s = "string";
	std::string_view part = std::string_view("partial").substr(0, 4);
	big_enum e = big_enum::top;
	auto lambda = [&](int x) {
		CAIRN(t, lambda, x, s);
		return x;
	};
	struct {
		int bits : 3;
	} b = {-2};

	set_all(true);
	CAIRN(t, cxx, s, part, e, nullptr, b.bits, make("0123456789abcdef"),
		CAIRN_ENUM(e, e, big_enum::top, big_enum::one));
	ADD_STR("string");
	ADD_STR("part");
	ADD(unsigned long, ~0ul);
	ADD(void *, 0);
	ADD(int, -2);
	ADD_STR("0123456789abcdef0123456789abcdef");
	ADD(unsigned long, ~0ul);
	CHECK(as_wanted());
	lambda(5);
	ADD(int, 5);
	ADD_STR("string");
	CHECK(as_wanted());
	in_template(2.5);
	ADD(double, 2.5);
	CHECK(as_wanted());
	in_template("text");
	ADD_STR("text");
	CHECK(as_wanted());
}
#endif

TEST_MAIN()
