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

#ifdef __SANITIZE_THREAD__ /* which slows this down most, and there is one thread */
enum { RECORDS = 10 };
#else
enum { RECORDS = 40 };
#endif
enum { RECORD_MAX = 16384 };

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
	struct kernel_text *with, *without; /* plans */
	bool big;
	unsigned events, plans, differ, unparsed;
};

static struct counts begin(bool big, bool like_report)
{
	struct kernel_text_options o = {
		.big_endian = big, .long_size = 8, .ncpus = 4, .like_report = like_report};
	struct counts c = {.big = big};

	CHECK_INT(kernel_text_new(&o, &c.with), 0);
	o.no_plans = true;
	CHECK_INT(kernel_text_new(&o, &c.without), 0);
	return c;
}

static void compare(struct counts *c, const char *system, const char *text, size_t len)
{
	static uint8_t record[RECORD_MAX];
	static char kept[1 << 20];
	struct kernel_text *with = c->with, *without = c->without;
	struct kernel_text_event *a, *b;
	struct kformat *f;
	struct error err;

	if (kformat_parse(text, len, system, 8, &f, &err) < 0) {
		c->unparsed++;
		return;
	}
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

		some_record(f, c->big, record, &n);
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
	kformat_free(f);
}

static void end(struct counts *c, const char *what)
{
	kernel_text_free(c->with);
	kernel_text_free(c->without);
	if (!what)
		return;
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
		struct counts c = begin(false, like);

		for (size_t i = 0; i < d->nformats; i++)
			compare(&c, d->formats[i].system, d->formats[i].text, d->formats[i].len);
		end(&c, like ? "as trace-cmd report" : "as the kernel");
	}
	trace_dat_free(d);
}

TEST(big_endian)
{
	struct trace_dat *d;
	struct counts c;
	struct error err;

	if (!dat_path())
		SKIP("CAIRN_TEST_FORMATS does not name a trace.dat");
	CHECK_INT(trace_dat_open(dat_path(), &d, &err), 0);
	c = begin(true, false);
	for (size_t i = 0; i < d->nformats; i += 7)
		compare(&c, d->formats[i].system, d->formats[i].text, d->formats[i].len);
	end(&c, "big endian");
	trace_dat_free(d);
}

TEST(formats_of_kernel)
{
	struct counts c;
	glob_t found;

	if (glob("/sys/kernel/tracing/events/*/*/format", 0, NULL, &found) != 0)
		SKIP("no formats in /sys/kernel/tracing");
	c = begin(false, false);
	for (size_t i = (size_t)(random64() % 40); i < found.gl_pathc; i += 40) {
		AUTO(buf) struct buf text = {0};
		const char *path = found.gl_pathv[i];
		char system[128];

		if (sscanf(path, "/sys/kernel/tracing/events/%127[^/]", system) != 1 ||
			read_file(path, 1 << 20, &text) < 0 || !text.len)
			continue;
		compare(&c, system, text.data, text.len);
	}
	globfree(&found);
	end(&c, c.events ? "this kernel" : NULL);
}

/* ---- as the kernel's trace file, where libtraceevent prints something else ---- */

#define COMMON \
	"format:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n" \
	"\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
#define WORD(name, at) "\tfield:unsigned long " name ";\toffset:" at ";\tsize:8;\tsigned:0;\n"
#define BYTES(name, n, at) "\tfield:u8 " name "[" n "];\toffset:" at ";\tsize:" n ";\tsigned:0;\n"

static void check_line(const char *system, const char *format, unsigned version,
	const uint8_t *record, size_t size, const char *expected)
{
	struct kernel_text_options o = {
		.long_size = 8, .ncpus = 1, .like_kernel = true, .kernel_version = version};
	struct kernel_text_event *e;
	struct kernel_text *k;
	char line[256];
	size_t n;

	CHECK_INT(kernel_text_new(&o, &k), 0);
	e = kernel_text_event(k, system, format, strlen(format));
	for (int i = 0; i < 20; i++) { /* also behind those that are compared with libtraceevent */
		const char *text = kernel_text_put(k, e, record, size, 0, &n);

		CHECK(n < sizeof(line));
		memcpy(line, text, n);
		line[n] = 0;
		CHECK_STR(line, expected);
	}
	kernel_text_free(k);
}

TEST(system_calls_as_the_kernel)
{
	static const char enter[] =
		"name: sys_enter_dup2\nID: 700\n" COMMON WORD("oldfd", "16") WORD("newfd",
			"24") "\nprint fmt: \"oldfd: 0x%08lx, newfd: 0x%08lx\", "
			      "((unsigned long)(REC->oldfd)), ((unsigned long)(REC->newfd))\n";
	static const char none[] = "name: sys_enter_getpid\nID: 701\n" COMMON "\nprint fmt: \"\"\n";
	static const char leave[] = "name: sys_exit_dup2\nID: 702\n" COMMON WORD(
		"ret", "16") "\nprint fmt: \"0x%lx\", REC->ret\n";
	uint64_t record[4] = {700, 0, 0xffffff9c, 9};

	check_line("syscalls", enter, 6 << 8 | 18, (uint8_t *)record, sizeof(record),
		"sys_dup2(oldfd: 0xffffff9c, newfd: 9)");
	check_line("syscalls", enter, 0, (uint8_t *)record, sizeof(record),
		"sys_dup2(oldfd: 0xffffff9c, newfd: 9)");
	check_line("syscalls", enter, 6 << 8 | 12, (uint8_t *)record, sizeof(record),
		"sys_dup2(oldfd: ffffff9c, newfd: 9)");
	check_line("syscalls", none, 0, (uint8_t *)record, 16, "sys_getpid()");
	record[0] = 702;
	record[2] = 3;
	check_line("syscalls", leave, 0, (uint8_t *)record, 24, "sys_dup2 -> 0x3");
	check_line("mine", leave, 0, (uint8_t *)record, 24, "0x3");
}

TEST(what_libtraceevent_has_otherwise)
{
	static const char flags[] = "name: flags\nID: 703\n" COMMON WORD("a", "16") WORD("b",
		"24") "\nprint fmt: "
		      "\"%s mark=%#x %#lx %#010x [%c%c]\", __print_flags(REC->a & (0x40000 | 0x80000UL | 2), \"|\", "
		      "{ 0x40000, \"M\" }, { 0x80000, \"D\" }, { 2, \"P\" }), REC->b, REC->b, REC->b, "
		      "REC->a ? 'F' : ' ', REC->b ? 'S' : '.'\n";
	static const char nets[] = "name: nets\nID: 704\n" COMMON BYTES("four", "4", "16") BYTES(
		"six", "16", "20") BYTES("sock", "28",
		"36") "\nprint fmt: \"%pI4 %pI6 %pI6c %pISpc\", REC->four, REC->six, REC->six, "
		      "REC->sock\n";
	uint64_t record[4] = {703, 0, 0xd0000000080001, 0};
	uint8_t net[64] = {704 & 255, 704 >> 8, [16] = 127, [19] = 1, [20] = 0x20, 1, 0x0d,
		0xb8, [35] = 0x1f, [36] = 2, 0, 0x1f, 0x90, 10, 0, 0, 7};

	check_line("mine", flags, 0, (uint8_t *)record, sizeof(record),
		"D mark=0x0 0x0 0x00000000 [F.]");
	check_line("mine", nets, 0, net, sizeof(net),
		"127.0.0.1 2001:0db8:0000:0000:0000:0000:0000:001f 2001:db8::1f 10.0.0.7:8080");
	memset(net + 36, 0, 28);
	net[36] = 10;
	net[38] = 1;
	memset(net + 44 + 10, 0xff, 2);
	net[44 + 12] = 192;
	check_line("mine", nets, 0, net, sizeof(net),
		"127.0.0.1 2001:0db8:0000:0000:0000:0000:0000:001f 2001:db8::1f [::ffff:192.0.0.0]:256");
}

TEST_MAIN()
