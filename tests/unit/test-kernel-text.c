/* Plans of kernel events print what libtraceevent prints: over all formats of a trace.dat, and of this
 * machine's kernel if it shows them, with records made at random. */
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/format.h"
#include "kernel/trace-dat.h"
#include "test.h"
#include "view/kernel-text.h"

/* AddressSanitizer: libtraceevent 1.7 loses a few bytes of some formats. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libtraceevent";
}

enum { RECORDS = 40, RECORD_MAX = 16384 };

static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed * 0x2545f4914f6cdd1d;
}

/* Small numbers, flags and big ones, all often enough. */
static uint64_t some_number(void)
{
	switch (random64() % 6) {
	case 0: return 0;
	case 1: return random64() % 16;
	case 2: return UINT64_C(1) << random64() % 64;
	case 3: return UINT64_MAX - random64() % 16;
	case 4: return random64() & random64() & random64();
	default: return random64();
	}
}

static void some_text(uint8_t *p, size_t n)
{
	static const char letters[] = "abcdefghij-_/0123456789 ABC%.:";
	size_t len = n ? random64() % (n + 1) : 0;

	for (size_t i = 0; i < n; i++)
		p[i] = i < len ? (uint8_t)letters[random64() % (sizeof(letters) - 1)] : 0;
}

static void put(uint8_t *p, uint64_t v, size_t n, bool big)
{
	for (size_t i = 0; i < n; i++)
		p[big ? n - 1 - i : i] = (uint8_t)(v >> 8 * i);
}

/* A record of this format: *ret_n bytes. */
static void some_record(const struct kformat *f, bool big, uint8_t *record, size_t *ret_n)
{
	size_t n = f->fixed_size;

	memset(record, 0, RECORD_MAX);
	for (size_t i = 0; i < f->nfields; i++) {
		const struct kfield *k = &f->fields[i];
		uint8_t *p = record + k->offset;

		if (k->form == KFIELD_DATA_LOC || k->form == KFIELD_REL_LOC) {
			size_t len = k->kind == KFIELD_CHAR ? 1 + random64() % 24
							    : k->elem * (random64() % 6);
			size_t at = n - (k->form == KFIELD_REL_LOC ? k->offset + 4 : 0);

			if (k->kind == KFIELD_CHAR)
				some_text(record + n, len - 1);
			else
				for (size_t b = 0; b < len; b++)
					record[n + b] = (uint8_t)random64();
			put(p, len << 16 | at, 4, big);
			n += len;
		} else if (k->kind == KFIELD_CHAR && k->form != KFIELD_REST) {
			some_text(p, k->size);
		} else {
			for (size_t b = 0; b + k->elem <= k->size; b += k->elem)
				put(p + b, some_number(), k->elem, big);
		}
	}
	if (f->nfields)
		put(record, f->id, 2, big);
	*ret_n = (n + 3) & ~(size_t)3;
}

struct counts {
	unsigned events, plans, differ, unparsed;
};

static void compare(const char *system, const char *text, size_t len, bool big, unsigned long_size,
	bool like_report, struct counts *c)
{
	static uint8_t record[RECORD_MAX];
	static char kept[1 << 20];
	struct kernel_text_options o = {
		.big_endian = big, .long_size = long_size, .ncpus = 4, .like_report = like_report};
	struct kernel_text *with, *without;
	struct kernel_text_event *a, *b;
	struct kformat *f;
	struct error err;

	if (kformat_parse(text, len, system, long_size, &f, &err) < 0) {
		c->unparsed++;
		return;
	}
	CHECK_INT(kernel_text_new(&o, &with), 0);
	o.no_plans = true;
	CHECK_INT(kernel_text_new(&o, &without), 0);
	a = kernel_text_event(with, system, text, len);
	b = kernel_text_event(without, system, text, len);
	c->events++;
	if (kernel_text_has_plan(a))
		c->plans++;
	else if (getenv("SHOW"))
		printf("# no plan: %s:%s %s\n", system, f->name, f->print_fmt);
	for (int i = 0; kernel_text_has_plan(a) && i < RECORDS; i++) {
		size_t n, na, nb;
		const char *p, *q;

		some_record(f, big, record, &n);
		kernel_text_unchecked(with, a);
		p = kernel_text_put(with, a, record, n, 0, &na);
		if (kernel_text_was_unsafe(with))
			continue; /* libtraceevent would read beyond */
		q = kernel_text_put(without, b, record, n, 0, &nb);
		memcpy(kept, q, nb);
		if (na != nb || memcmp(p, kept, na) != 0) {
			c->differ++;
			printf("# %s:%s\n#  plan    '%.*s'\n#  library '%.*s'\n", system, f->name,
				(int)na, p, (int)nb, kept);
			break;
		}
	}
	kernel_text_free(with);
	kernel_text_free(without);
	kformat_free(f);
}

static void report(const char *what, const struct counts *c)
{
	printf("# %s: %u events, %u of them with plans, %u differ\n", what, c->events, c->plans,
		c->differ);
	CHECK(c->events > 0);
	CHECK_INT(c->differ, 0);
	CHECK(c->plans * 10 >= c->events * 8); /* at least 80 % are fast */
}

/* The trace.dat: argument of the test. */
static const char *dat_path(void)
{
	return getenv("CAIRN_TEST_FORMATS");
}

TEST(formats_of_file)
{
	struct trace_dat *d;
	struct error err;

	if (!dat_path())
		SKIP("CAIRN_TEST_FORMATS does not name a trace.dat");
	CHECK_INT(trace_dat_open(dat_path(), &d, &err), 0);
	for (int like = 0; like < 2; like++) {
		struct counts c = {0};

		for (size_t i = 0; i < d->nformats; i++)
			compare(d->formats[i].system, d->formats[i].text, d->formats[i].len, false,
				8, like, &c);
		report(like ? "as trace-cmd report" : "as the kernel", &c);
	}
	trace_dat_free(d);
}

TEST(big_endian)
{
	struct trace_dat *d;
	struct counts c = {0};
	struct error err;

	if (!dat_path())
		SKIP("CAIRN_TEST_FORMATS does not name a trace.dat");
	CHECK_INT(trace_dat_open(dat_path(), &d, &err), 0);
	for (size_t i = 0; i < d->nformats; i += 7)
		compare(d->formats[i].system, d->formats[i].text, d->formats[i].len, true, 8, false,
			&c);
	report("big endian", &c);
	trace_dat_free(d);
}

TEST(formats_of_kernel)
{
	struct counts c = {0};
	glob_t found;

	if (glob("/sys/kernel/tracing/events/*/*/format", 0, NULL, &found) != 0)
		SKIP("no formats in /sys/kernel/tracing");
	for (size_t i = (size_t)(random64() % 40); i < found.gl_pathc; i += 40) {
		AUTO(buf) struct buf text = {0};
		const char *path = found.gl_pathv[i];
		char system[128];

		if (sscanf(path, "/sys/kernel/tracing/events/%127[^/]", system) != 1 ||
			read_file(path, 1 << 20, &text) < 0 || !text.len)
			continue;
		compare(system, text.data, text.len, false, 8, false, &c);
	}
	globfree(&found);
	if (c.events)
		report("this kernel", &c);
}

TEST_MAIN()
