/* What is kept of kallsyms for the addresses in records names them as the whole text does. */
#include "kernel/ksymbols.h"
#include "symbol/symbol.h"
#include "test.h"

#define TEXT \
	"0000000000000000 A fixed_percpu_data\n" \
	"ffffffff81000000 T first\n" \
	"ffffffff81000100 t second\n" \
	"ffffffff81000100 T second_alias\n" \
	"ffffffff81000180 d data_within\n" \
	"ffffffff81000200 t third\n" \
	"ffffffff81000300 t fourth\n" \
	"ffffffff82000000 D table\n" \
	"ffffffff82000100 D behind_table\n" \
	"ffffffffc0100000 t work\t[one]\n" \
	"ffffffffc0101000 t work\t[two]\n" \
	"broken\n"

static void check_lines(const uint64_t *words, size_t n, const char *expected)
{
	struct ksymbols s = {0};
	AUTO(buf) struct buf b = {0};

	ksymbols_scan(&s, (const uint8_t *)words, n * sizeof(*words), 4);
	CHECK_INT(ksymbols_lines(&s, TEXT, strlen(TEXT), &b), 0);
	CHECK_STR(b.data ? b.data : "", expected);
	ksymbols_done(&s);
}

TEST(lines_that_are_kept)
{
	const uint64_t none[] = {0, 1, UINT64_MAX, 0xffff888000001000},
		       one[] = {0xffffffff81000010};
	const uint64_t alias[] = {0xffffffff81000150}, data[] = {0xffffffff82000008};
	const uint64_t call[] = {0xffffffff81000200}, module[] = {5, 0xffffffffc0100010};

	check_lines(none, 4, "");
	check_lines(one, 1, "ffffffff81000000 T first\nffffffff81000100 t ??\n");
	check_lines(alias, 1,
		"ffffffff81000100 t second\nffffffff81000100 T second_alias\nffffffff81000180 d ??\n"
		"ffffffff81000200 t ??\n");
	/* as a place itself, and where a call in the function before returns to */
	check_lines(call, 1,
		"ffffffff81000100 t second\nffffffff81000100 T second_alias\n"
		"ffffffff81000180 d data_within\nffffffff81000200 t third\nffffffff81000300 t ??\n");
	check_lines(data, 1,
		"ffffffff81000300 t fourth\nffffffff82000000 D table\nffffffff82000100 D ??\n"
		"ffffffffc0100000 t ??\t[one]\n");
	check_lines(module, 2, "ffffffffc0100000 t work\t[one]\nffffffffc0101000 t ??\t[two]\n");
}

TEST(names_are_those_of_the_whole)
{
	struct ksymbols s = {0};
	struct kallsyms *whole, *kept;
	struct kfunction a, b;
	AUTO(buf) struct buf lines = {0};
	static const uint64_t words[] = {
		0xffffffff81000210, 0xffffffff81000190, 0xffffffffc0100fff};
	uint8_t packed[sizeof(words) + 1];

	memcpy(packed + 1, words, sizeof(words));
	ksymbols_scan(&s, packed, sizeof(packed), 1);
	CHECK_INT(ksymbols_lines(&s, TEXT, strlen(TEXT), &lines), 0);
	CHECK_INT(kallsyms_parse(TEXT, strlen(TEXT), &whole, NULL), 0);
	CHECK_INT(kallsyms_parse(lines.data, lines.len, &kept, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		CHECK(kallsyms_find(whole, words[i], &a) && kallsyms_find(kept, words[i], &b));
		CHECK_STR(a.name, b.name);
		CHECK(a.begin == b.begin && a.size == b.size);
	}
	CHECK(!kallsyms_find(kept, 0xffffffff81000310, &b)); /* not gathered: not named wrongly */
	kallsyms_free(whole);
	kallsyms_free(kept);
	ksymbols_done(&s);
}

TEST(wherever_they_are)
{
	uint8_t page[4096 + 8] = {0};
	const uint64_t v = 0xffffffff81000010;

	for (size_t at = 0; at + sizeof(v) <= 200; at++) {
		struct ksymbols s = {0};

		memset(page, 0xff * (at % 3 == 0), sizeof(page)); /* -1 is none */
		memcpy(page + at, &v, sizeof(v));
		ksymbols_scan(&s, page, 200, at % 4 ? 1 : 4);
		CHECK(s.cap && !s.all);
		for (size_t i = 0, n = 0; i <= s.cap; i++) {
			n += i < s.cap && s.slots[i] == v;
			CHECK(i < s.cap || n == 1);
		}
		ksymbols_done(&s);
	}
}

TEST(too_many_are_all)
{
	struct ksymbols s = {0};
	AUTO(buf) struct buf b = {0};

	for (uint64_t v = 0xffffffff81000000; v < 0xffffffff81000000 + (1 << 20); v += 4)
		ksymbols_scan(&s, (const uint8_t *)&v, sizeof(v), 4);
	CHECK(s.all && !s.slots);
	CHECK_INT(ksymbols_lines(&s, TEXT, strlen(TEXT), &b), 0);
	CHECK_STR(b.data, TEXT);
	ksymbols_done(&s);
}

TEST_MAIN()
