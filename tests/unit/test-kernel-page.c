/* Pages of the ring buffer: a kernel's, and made ones of every kind, both endiannesses and longs. */
#include "kernel-fixture.h"
#include <errno.h>

TEST(layouts)
{
	AUTO(buf) struct buf t = {0};
	struct kpage_layout l;
	static const char small[] = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
				    "\tfield: local_t commit;\toffset:8;\tsize:4;\tsigned:1;\n"
				    "\tfield: char data;\toffset:12;\tsize:4084;\tsigned:0;\n";
	static const char wrong[] = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\n";

	fixture("texts", &t);
	l = fixture_layout(&t);
	CHECK_INT(l.long_size, 8);
	CHECK_INT(l.commit_at, 8);
	CHECK_INT(l.data_at, 16);
	CHECK_INT(l.size, 4096);
	CHECK_INT(kpage_layout_parse(small, sizeof(small) - 1, 65536, true, &l, NULL), 0);
	CHECK_INT(l.long_size, 4);
	CHECK_INT(l.data_at, 12);
	CHECK_INT(l.size, 65536);
	CHECK_INT(kpage_layout_parse(wrong, sizeof(wrong) - 1, 0, false, &l, NULL), -EPROTO);
	CHECK_INT(kpage_layout_parse("", 0, 0, false, &l, NULL), -EPROTO);
}

TEST(pages_of_a_kernel)
{
	AUTO(buf) struct buf t = {0};
	AUTO(buf) struct buf pages = {0};
	struct kpage_layout l;
	uint64_t unknown = 0, known = 0, events = 0;

	fixture("texts", &t);
	fixture("pages", &pages);
	l = fixture_layout(&t);
	CHECK_INT(pages.len % PAGE, 0);
	for (size_t i = 0; i + PAGE <= pages.len; i += PAGE) {
		struct kpage p;
		struct kpage_event ev;
		uint64_t before;
		int got;

		CHECK_INT(kpage_begin(&p, &l, pages.data + i, PAGE), 0);
		unknown += p.lost == KPAGE_LOST_UNKNOWN;
		known += p.lost != KPAGE_LOST_UNKNOWN && p.lost ? p.lost : 0;
		before = p.begin_ts;
		while ((got = kpage_next(&p, &ev)) == 1) {
			CHECK(ev.ts >= before);
			CHECK(ev.len >= 8 && ev.len % 4 == 0);
			CHECK((const char *)ev.data >= pages.data + i + 16 &&
				(const char *)ev.data + ev.len <= pages.data + i + PAGE);
			before = ev.ts;
			events++;
		}
		CHECK_INT(got, 0);
		CHECK(p.p == p.end);
	}
	CHECK_INT(unknown, 1);
	CHECK(known > 0);
	CHECK(events > 300);
}

/* ---- made pages ---- */

struct page {
	uint8_t b[PAGE];
	size_t at; /* of the next event */
	bool big;
	unsigned long_size;
};

static void put(struct page *p, size_t at, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		p->b[at + (p->big ? size - 1 - i : i)] = (uint8_t)(v >> 8 * i);
}

static struct page page_new(bool big, unsigned long_size, uint64_t ts)
{
	struct page p = {.big = big, .long_size = long_size, .at = 8 + long_size};

	put(&p, 0, ts, 8);
	return p;
}

static void head(struct page *p, uint32_t type, uint32_t delta)
{
	put(p, p->at, p->big ? type << 27 | delta : delta << 5 | type, 4);
	p->at += 4;
}

static void word(struct page *p, uint32_t v)
{
	put(p, p->at, v, 4);
	p->at += 4;
}

static struct kpage_layout seal(struct page *p, uint64_t flags, uint64_t lost)
{
	struct kpage_layout l = {.swap = p->big,
		.long_size = (uint8_t)p->long_size,
		.commit_at = 8,
		.data_at = (uint16_t)(8 + p->long_size),
		.size = PAGE};

	put(p, 8, (p->at - l.data_at) | flags, p->long_size);
	put(p, p->at, lost, p->long_size);
	return l;
}

static void check_next(struct kpage *p, uint64_t ts, uint32_t len)
{
	struct kpage_event ev = {0};

	CHECK_INT(kpage_next(p, &ev), 1);
	CHECK_INT(ev.ts, ts);
	CHECK_INT(ev.len, len);
}

static void every_kind(bool big, unsigned long_size)
{
	struct page m = page_new(big, long_size, 1000);
	struct kpage_layout l;
	struct kpage p;
	struct kpage_event ev;

	head(&m, 2, 5); /* 8 bytes */
	m.at += 8;
	head(&m, 28, 0); /* the longest short one */
	m.at += 112;
	head(&m, 0, 7); /* a long one: 201 bytes, padded */
	word(&m, 4 + 201);
	m.at += 204;
	head(&m, 30, 3); /* time extend */
	word(&m, 2);
	head(&m, 1, 1);
	m.at += 4;
	head(&m, 29, 10); /* discarded: 16 bytes with its length */
	word(&m, 16);
	m.at += 12;
	head(&m, 31, 9); /* absolute */
	word(&m, 1u << 20);
	head(&m, 1, 2);
	m.at += 4;
	head(&m, 29, 0); /* nothing more */
	m.at += 100;
	l = seal(&m, 1ull << 31 | 1u << 30, 77);
	CHECK_INT(kpage_begin(&p, &l, m.b, PAGE), 0);
	CHECK_INT(p.lost, 77);
	CHECK_INT(p.begin_ts, 1000);
	check_next(&p, 1005, 8);
	check_next(&p, 1005, 112);
	check_next(&p, 1012, 201);
	check_next(&p, 1012 + (2ull << 27) + 3 + 1, 4);
	check_next(&p, (1ull << 47) + 9 + 2, 4);
	CHECK_INT(kpage_next(&p, &ev), 0);
	CHECK_INT(kpage_next(&p, &ev), 0);
}

TEST(every_kind_of_event)
{
	every_kind(false, 8);
	every_kind(false, 4);
	every_kind(true, 8);
	every_kind(true, 4);
}

TEST(absolute_times_keep_the_top_bits)
{
	struct page m = page_new(false, 8, 0xf8ull << 56 | 5);
	struct kpage_layout l;
	struct kpage p;

	head(&m, 31, 1);
	word(&m, 2);
	head(&m, 1, 0);
	m.at += 4;
	l = seal(&m, 0, 0);
	CHECK_INT(kpage_begin(&p, &l, m.b, PAGE), 0);
	CHECK_INT(p.lost, 0);
	check_next(&p, 0xf8ull << 56 | 2ull << 27 | 1, 4);
}

static void check_bad(struct page *m, int events)
{
	struct kpage_layout l = seal(m, 0, 0);
	struct kpage p;
	struct kpage_event ev;

	CHECK_INT(kpage_begin(&p, &l, m->b, PAGE), 0);
	for (int i = 0; i < events; i++)
		CHECK_INT(kpage_next(&p, &ev), 1);
	CHECK_INT(kpage_next(&p, &ev), -EPROTO);
	CHECK_INT(kpage_next(&p, &ev), 0); /* over */
}

TEST(what_does_not_fit)
{
	static const uint32_t lengths[] = {0, 3, 5000, 0xffffffffu, 0xfffffffdu};
	struct page m = page_new(false, 8, 1);
	struct kpage_layout l;
	struct kpage p;

	head(&m, 1, 1);
	m.at += 4;
	head(&m, 28, 1); /* 112 bytes, of which 8 are there */
	m.at += 8;
	check_bad(&m, 1);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		m = page_new(false, 8, 1);
		head(&m, 0, 1);
		word(&m, lengths[i]);
		m.at += 8;
		check_bad(&m, 0);
		m = page_new(false, 8, 1);
		head(&m, 29, 1);
		word(&m, lengths[i]);
		m.at += 8;
		check_bad(&m, 0);
	}
	m = page_new(false, 8, 1);
	head(&m, 30, 1); /* its second word is not there */
	check_bad(&m, 0);
	m = page_new(false, 8, 1);
	l = seal(&m, 0, 0);
	put(&m, 8, PAGE - 15, 8);
	CHECK_INT(kpage_begin(&p, &l, m.b, PAGE), -EPROTO);
	CHECK_INT(kpage_begin(&p, &l, m.b, 15), -EPROTO);
	put(&m, 8, (PAGE - 16) | 1ull << 31 | 1u << 30, 8); /* no room for the count */
	CHECK_INT(kpage_begin(&p, &l, m.b, PAGE), 0);
	CHECK(p.lost == KPAGE_LOST_UNKNOWN);
}

TEST_MAIN()
