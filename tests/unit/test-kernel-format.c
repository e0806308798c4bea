/* Formats of events: those of a kernel, those of no kernel, and every one of the kernel at hand. */
#include "kernel-fixture.h"
#include "kernel/enums.h"
#include "kernel/tracefs.h"
#include <errno.h>

static void check(const struct kformat *f, const char *name, uint32_t offset, uint32_t size,
	bool is_signed, enum kfield_form form, enum kfield_kind kind, uint32_t elem, uint32_t count)
{
	const struct kfield *k = kformat_field(f, name);

	CHECK(k != NULL);
	if (!k)
		return;
	CHECK_INT(k->offset, offset);
	CHECK_INT(k->size, size);
	CHECK_INT(k->is_signed, is_signed);
	CHECK_INT(k->form, form);
	CHECK_INT(k->kind, kind);
	CHECK_INT(k->elem, elem);
	CHECK_INT(k->count, count);
}

TEST(fields_of_a_kernel)
{
	AUTO(buf) struct buf t = {0};
	struct kformat *f;

	fixture("texts", &t);
	f = fixture_format(&t, "sched", "sched_switch");
	CHECK_STR(f->name, "sched_switch");
	CHECK_STR(f->system, "sched");
	CHECK_INT(f->ncommon, 4);
	CHECK_INT(f->nfields, 11);
	CHECK_INT(f->fixed_size, 64);
	CHECK(strncmp(f->print_fmt, "\"prev_comm=%s", 13) == 0);
	check(f, "common_type", 0, 2, false, KFIELD_SCALAR, KFIELD_INT, 2, 1);
	check(f, "common_pid", 4, 4, true, KFIELD_SCALAR, KFIELD_INT, 4, 1);
	check(f, "prev_comm", 8, 16, false, KFIELD_ARRAY, KFIELD_CHAR, 1, 16);
	check(f, "prev_state", 32, 8, true, KFIELD_SCALAR, KFIELD_INT, 8, 1);
	CHECK_STR(kformat_field(f, "prev_state")->type, "long");
	CHECK(!kformat_field(f, "prev"));
	kformat_free(f);
	f = fixture_format(&t, "syscalls", "sys_enter_openat");
	/* an int of 8 bytes without sign: the numbers count */
	check(f, "dfd", 16, 8, false, KFIELD_SCALAR, KFIELD_INT, 8, 1);
	check(f, "filename", 24, 8, false, KFIELD_SCALAR, KFIELD_PTR, 8, 1);
	CHECK_STR(kformat_field(f, "filename")->type, "const char *");
	kformat_free(f);
	f = fixture_format(&t, "raw_syscalls", "sys_enter");
	check(f, "args", 16, 48, false, KFIELD_ARRAY, KFIELD_INT, 8, 6);
	kformat_free(f);
	f = fixture_format(&t, "ipi", "ipi_send_cpumask");
	check(f, "cpumask", 8, 4, false, KFIELD_DATA_LOC, KFIELD_CPUMASK, 8, 0);
	kformat_free(f);
	f = fixture_format(&t, "irq", "irq_handler_entry");
	check(f, "name", 12, 4, false, KFIELD_DATA_LOC, KFIELD_CHAR, 1, 0);
	CHECK_STR(kformat_field(f, "name")->type, "char");
	kformat_free(f);
	f = fixture_format(&t, "dma", "dma_map_sg");
	CHECK_INT(kformat_field(f, "phys_addrs")->form, KFIELD_DATA_LOC);
	CHECK_INT(kformat_field(f, "phys_addrs")->elem, 8);
	CHECK_INT(kformat_field(f, "lengths")->elem, 4);
	kformat_free(f);
	f = fixture_format(&t, "tcp", "tcp_probe");
	CHECK_INT(kformat_field(f, "saddr")->form, KFIELD_ARRAY);
	CHECK_INT(kformat_field(f, "saddr")->kind, KFIELD_INT);
	CHECK_INT(kformat_field(f, "saddr")->count, 28);
	kformat_free(f);
}

TEST(fields_of_ftrace_itself)
{
	AUTO(buf) struct buf t = {0};
	struct kformat *f;

	fixture("texts", &t);
	f = fixture_format(&t, "ftrace", "function");
	check(f, "args", 24, 0, false, KFIELD_REST, KFIELD_INT, 8, 0);
	CHECK_INT(f->fixed_size, 24);
	kformat_free(f);
	f = fixture_format(&t, "ftrace", "kernel_stack"); /* says 8 entries; there are `size` */
	check(f, "caller", 16, 64, false, KFIELD_REST, KFIELD_INT, 8, 0);
	CHECK_INT(f->fixed_size, 16);
	kformat_free(f);
	f = fixture_format(&t, "ftrace", "branch");
	check(f, "func", 12, 31, false, KFIELD_ARRAY, KFIELD_CHAR, 1, 31);
	kformat_free(f);
}

#define HEAD "name: x\nID: 7\nformat:\n"

static struct kformat *parse(const char *text, int want)
{
	struct kformat *f = NULL;
	struct error e = {0};

	CHECK_INT(kformat_parse(text, strlen(text), "made", 8, &f, &e), want);
	CHECK(want == 0 || (e.message[0] && !f));
	return f;
}

TEST(fields_of_other_kernels)
{
	static const char narrow[] =
		HEAD "\tfield:__data_loc unsigned long[] l;\toffset:8;\tsize:4;\tsigned:0;\n";
	struct kformat *f =
		parse(HEAD "\tfield:__rel_loc char[] who;\toffset:8;\tsize:4;\tsigned:1;\n"
			   "\tfield:struct in6_addr a;\toffset:12;\tsize:16;\tsigned:0;\n"
			   "\tfield:char comm[TASK_COMM_LEN];\toffset:28;\tsize:16;\tsigned:1;\n"
			   "\tfield:u16 m[2][3];\toffset:44;\tsize:12;\tsigned:0;\n"
			   "\tfield:__data_loc struct thing[] t;\toffset:56;\tsize:4;\tsigned:0;\n"
			   "\tfield:u64 old;\toffset:64;\tsize:8;\n"
			   "\tfield:unknown_t v[3];\toffset:72;\tsize:12;\tsigned:1;\n"
			   "\tfield:bool yes;\toffset:84;\tsize:1;\tsigned:0;\n"
			   "\tunknown:line;\n"
			   "\nprint fmt: \"a\nb\", REC->x\n",
			0);

	check(f, "who", 8, 4, true, KFIELD_REL_LOC, KFIELD_CHAR, 1, 0);
	check(f, "a", 12, 16, false, KFIELD_ARRAY, KFIELD_BYTES, 1, 16);
	check(f, "comm", 28, 16, true, KFIELD_ARRAY, KFIELD_CHAR, 1, 16);
	check(f, "m", 44, 12, false, KFIELD_ARRAY, KFIELD_INT, 2, 6);
	check(f, "t", 56, 4, false, KFIELD_DATA_LOC, KFIELD_BYTES, 1, 0);
	check(f, "old", 64, 8, false, KFIELD_SCALAR, KFIELD_INT, 8, 1);
	check(f, "v", 72, 12, true, KFIELD_ARRAY, KFIELD_INT, 4, 3);
	check(f, "yes", 84, 1, false, KFIELD_SCALAR, KFIELD_BOOL, 1, 1);
	CHECK_STR(f->print_fmt, "\"a\nb\", REC->x");
	CHECK_INT(f->ncommon, 0);
	kformat_free(f);
	/* a foreign trace's kernel with longs of 4 bytes */
	CHECK_INT(kformat_parse(narrow, strlen(narrow), "made", 4, &f, NULL), 0);
	CHECK_INT(f->fields[0].elem, 4);
	kformat_free(f);
}

TEST(what_is_no_format)
{
	parse("", -EPROTO);
	parse("name: x\n", -EPROTO);
	parse("ID: 3\n", -EPROTO);
	parse("name: x\nID: many\n", -EPROTO);
	parse("name: x\nID: 99999999999\n", -EPROTO);
	parse(HEAD "\tfield:int;\toffset:0;\tsize:4;\tsigned:1;\n\tfield:;\toffset:0;\tsize:4;\n",
		-EPROTO);
	parse(HEAD "\tfield:int a\n", -EPROTO);
	parse(HEAD "\tfield:int a;\toffset:;\tsize:4;\tsigned:1;\n", -EPROTO);
	parse(HEAD "\tfield:int a;\toffset:4;\n", -EPROTO);
	parse(HEAD "\tfield:int a;\toffset:70000;\tsize:4;\tsigned:1;\n", -EPROTO);
	parse(HEAD "\tfield:__data_loc char[] a;\toffset:8;\tsize:8;\tsigned:1;\n", -EPROTO);
	parse(HEAD "\tfield:__data_loc char[][3] a;\toffset:8;\tsize:8;\tsigned:1;\n", -EPROTO);
	kformat_free(
		parse(HEAD "\tfield:__data_loc char[][2] a;\toffset:8;\tsize:8;\tsigned:1;\n", 0));
}

/* Fields in order, no two of them in one place, all common ones there, and each with elements that fit. */
static void check_sanity(const struct kformat *f, const char *system, const char *name)
{
	uint32_t end = 0;

	for (size_t i = 0; i < f->nfields; i++) {
		const struct kfield *k = &f->fields[i];
		bool ok = k->offset >= end && k->name[0] && k->type[0];

		if (k->form == KFIELD_SCALAR || k->form == KFIELD_ARRAY)
			ok &= k->elem * k->count == k->size;
		ok &= k->elem == 1 || k->elem == 2 || k->elem == 4 || k->elem == 8;
		ok &= k->form != KFIELD_SCALAR || k->offset % k->elem == 0;
		if (!ok)
			printf("# %s:%s: field %s\n", system, name, k->name);
		CHECK(ok);
		end = k->offset + k->size;
	}
	CHECK_INT(f->ncommon, 4);
	CHECK(end <= 4096);
	CHECK(f->fixed_size <= MAX(end, 8));
}

TEST(every_event_of_this_kernel)
{
	AUTO(tracefs) struct tracefs *t = NULL;
	AUTO(tracefs_events) struct tracefs_events l = {0};
	struct error e = {0};

	if (tracefs_open(NULL, &t, &e) < 0)
		SKIP("tracefs is not to be had");
	CHECK_INT(tracefs_events(t, NULL, &l, &e), 0);
	CHECK(l.n > 100);
	for (size_t i = 0; i < l.n; i++) {
		AUTO(buf) struct buf text = {0};
		struct kformat *f = NULL;
		const struct tracefs_event *ev = &l.all[i];
		int r = tracefs_format(t, ev->system, ev->name, &text, &e);

		if (r == -ENOENT)
			continue; /* somebody else's probe, gone meanwhile */
		CHECK_INT(r, 0);
		r = kformat_parse(text.data, text.len, ev->system, sizeof(long), &f, &e);
		if (r < 0)
			printf("# %s:%s: %s\n", ev->system, ev->name, e.message);
		CHECK_INT(r, 0);
		if (f)
			check_sanity(f, ev->system, ev->name);
		kformat_free(f);
	}
}

static const char named[] =
	"name: HRTIMER_MODE_REL\nprint fmt: \"HRTIMER_MODE_ABS %s \\\" HRTIMER_MODE_REL\", "
	"__print_symbolic(REC->HRTIMER_MODE_ABS, { HRTIMER_MODE_ABS, \"ABS\" }, "
	"{ HRTIMER_MODE_PINNED|NO_SUCH_NUMBER, \"x\" }), HRTIMER_MODE_ABS(REC->a.HRTIMER_MODE_REL)";

TEST(names_of_numbers)
{
	struct kenums *k = kenums_new();
	AUTO(buf) struct buf b = {0};

	CHECK_INT(kenums_note(k, named, strlen(named)), 3); /* REC is none */
	CHECK(!kenums_replace(k, named, strlen(named), &b)); /* nothing is known yet */
	CHECK_STR(b.data, named);
	buf_clear(&b);
	CHECK_INT(kenums_note(k, "print fmt: \"", 12), 0);
	CHECK_INT(kenums_note(k, "no format", 9), 0);
	CHECK(kenums_load(k, "/nonexistent") < 0);
	if (kenums_load(k, "/sys/kernel/btf/vmlinux") != 2) {
		kenums_free(k);
		SKIP("the kernel has no BTF, or no timers as they were in 2026");
	}
	CHECK(kenums_replace(k, named, strlen(named), &b));
	CHECK_STR(b.data,
		"name: HRTIMER_MODE_REL\nprint fmt: \"HRTIMER_MODE_ABS %s \\\" HRTIMER_MODE_REL\", "
		"__print_symbolic(REC->HRTIMER_MODE_ABS, { 0, \"ABS\" }, "
		"{ 2|NO_SUCH_NUMBER, \"x\" }), HRTIMER_MODE_ABS(REC->a.HRTIMER_MODE_REL)");
	kenums_free(k);
}

TEST_MAIN()
