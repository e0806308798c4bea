/* Probes by BPF: programs that the kernel runs (BPF_PROG_TEST_RUN, and uprobes of this program), whose records
 * are looked at byte by byte; and its refusals. Skipped without root or BPF. */
#include "kernel/bpf-impl.h"
#include "kernel/dynevent-impl.h"
#include "test.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct dynevent_world *world(void)
{
	struct dynevent_world *w = dynevent_world_new(NULL, karch_native());

	CHECK(w != NULL);
	return w;
}

/* ---- programs that run ---- */

struct ran { /* one probe, made and to be run */
	struct dynevent_world *w;
	struct kbpf *k;
	struct bprobe p; /* where its fields are */
	unsigned given;
	struct buf record; /* the last one */
	struct buf kernel, user; /* its stacks */
	uint32_t process;
	uint64_t last_ns;
};

static bool have_bpf(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "cairn_test", 4, 8, 1, NULL);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0 && access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

/* What is given is in order of time only within a ring. */
static void stay_on_one_cpu(void)
{
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET((unsigned)sched_getcpu(), &cpu);
	CHECK_INT(sched_setaffinity(0, sizeof(cpu), &cpu), 0);
}

/* A tracepoint's program takes its arguments from whoever runs it. */
static bool make_with(struct ran *r, const char *text, bool limited, unsigned stacks)
{
	struct kbpf_config c = {.ncpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF),
		.ring_bytes = 65536,
		.no_types = true, /* those would take true arguments only */
		.limited = limited,
		.stacks = stacks};
	AUTO(dynevent) struct dynevent d = {0};
	AUTO(buf) struct buf format = {0};
	struct dynevent_fault fault = {0};
	struct error e = {0};
	bool is_bpf, well;

	stay_on_one_cpu();
	memset(r, 0, sizeof(*r));
	r->w = world();
	well = kprobe_parse(
		       r->w, DYNEVENT_TPROBE, KPROBE_WITH_BPF, "g", text, &d, &is_bpf, &fault) == 0;
	if (!well)
		e = fault.error;
	well = well && is_bpf && kbpf_new(&c, &r->k, &e) == 0 &&
		kbpf_add(r->k, r->w, &d, 60000, &format, &e) == 0 &&
		bprobe_read(&r->p, r->w, &d, &e) == 0 && bprobe_lay_out(&r->p, &d, &format) == 0;
	CHECK(well);
	if (!well)
		printf("# %s: %s\n", text, e.message);
	return well;
}

static bool make(struct ran *r, const char *text, bool limited)
{
	return make_with(r, text, limited, 0);
}

static void unmake(struct ran *r)
{
	kbpf_free(r->k);
	bprobe_done(&r->p);
	dynevent_world_free(r->w);
	buf_done(&r->record);
	buf_done(&r->kernel);
	buf_done(&r->user);
}

static int take(void *arg, const struct kbpf_record *rec)
{
	struct ran *r = arg;

	buf_clear(&r->record);
	buf_add(&r->record, rec->data, rec->len);
	buf_clear(&r->kernel);
	buf_add(&r->kernel, rec->kernel.frames, (size_t)rec->kernel.n * 8);
	buf_clear(&r->user);
	buf_add(&r->user, rec->user.frames, (size_t)rec->user.n * 8);
	r->process = rec->process;
	r->given++;
	CHECK(rec->t_ns >= r->last_ns);
	r->last_ns = rec->t_ns;
	return 0;
}

static void run(struct ran *r, const void *a, const void *b)
{
	uint64_t args[12] = {(uintptr_t)a, (uintptr_t)b};
	LIBBPF_OPTS(bpf_test_run_opts, o, .ctx_in = args, .ctx_size_in = sizeof(args));

	CHECK_INT(bpf_prog_test_run_opts(kbpf_program(r->k, 60000), &o), 0);
}

static void collect(struct ran *r)
{
	for (uint32_t i = 0; i < (uint32_t)sysconf(_SC_NPROCESSORS_CONF); i++) {
		r->last_ns = 0;
		CHECK(kbpf_read(r->k, i, take, r) >= 0);
	}
}

static uint64_t number(const struct ran *r, unsigned field)
{
	const struct bfetch *f = &r->p.fetches[field];
	uint64_t v = 0;

	if (r->record.len >= f->at + f->type->size)
		memcpy(&v, r->record.data + f->at, f->type->size);
	return v;
}

static const char *string(const struct ran *r, unsigned field, unsigned element)
{
	uint32_t where;

	if (r->record.len < r->p.fixed)
		return NULL;
	memcpy(&where, r->record.data + r->p.fetches[field].at + 4 * element, 4);
	if ((where & 0xffff) + (where >> 16) > r->record.len || !(where >> 16) ||
		r->record.data[(where & 0xffff) + (where >> 16) - 1] != '\0')
		return NULL;
	return r->record.data + (where & 0xffff);
}

struct thing {
	int64_t number;
	const char *text;
	int16_t some[4];
	struct thing *next;
	char own[8];
	const char *list[2];
};

TEST(values)
{
	struct thing b = {.number = -7, .text = "second", .own = "inside"};
	struct thing a = {.number = 0x1122334455667788,
		.text = "first",
		.some = {1, -2, 300, -400},
		.next = &b,
		.list = {"one", "two"}};
	struct ran r;
	uint16_t id;
	int32_t tid;

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	if (make(&r,
		    "t:x sched_switch n=+0($arg1):s64 low=+0($arg1):u16 text=+0(+8($arg1)):string "
		    "some=+16($arg1):s16[4] next=+0(+24($arg1)):s32 own=+32(+24($arg1)):string raw=$arg1 "
		    "bits=+0($arg1):b8@12/32 regbits=$arg2:b4@4/8 imm=\\-3:s16 said=\\\"abc\" who=$comm "
		    "list=+40($arg1):string[2] letter=+0(+8($arg1)):char",
		    false)) {
		run(&r, &a, (void *)0xab);
		collect(&r);
		CHECK_INT(r.given, 1);
		memcpy(&id, r.record.data, 2);
		memcpy(&tid, r.record.data + 4, 4);
		CHECK_INT(id, 60000);
		CHECK_INT(tid, (int32_t)syscall(SYS_gettid));
		CHECK_INT(number(&r, 0), 0x1122334455667788);
		CHECK_INT(number(&r, 1), 0x7788);
		CHECK_STR(string(&r, 2, 0), "first");
		CHECK(memcmp(r.record.data + r.p.fetches[3].at, a.some, sizeof(a.some)) == 0);
		CHECK_INT((int32_t)number(&r, 4), -7);
		CHECK_STR(string(&r, 5, 0), "inside");
		CHECK_INT(number(&r, 6), (uintptr_t)&a);
		CHECK_INT(number(&r, 7), 0x67);
		CHECK_INT(number(&r, 8), 0xa);
		CHECK_INT((int16_t)number(&r, 9), -3);
		CHECK_STR(string(&r, 10, 0), "abc");
		CHECK(strncmp(string(&r, 11, 0), "test-bpf", 8) == 0);
		CHECK_STR(string(&r, 12, 0), "one");
		CHECK_STR(string(&r, 12, 1), "two");
		CHECK_INT(number(&r, 13), 'f');
	}
	unmake(&r);
}

TEST(what_cannot_be_read)
{
	struct thing a = {.text = (const char *)1, .next = (struct thing *)8};
	struct ran r;

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	if (make(&r,
		    "t:x sched_switch text=+0(+8($arg1)):string n=+0(+24($arg1)):u64 all=+0(+24($arg1)):u32[3] "
		    "bits=+0(+24($arg1)):b4@4/32 list=+0(+24($arg1)):string[2] deep=+0(+0(+0(+24($arg1)))):u8",
		    false)) {
		run(&r, &a, NULL);
		run(&r, (void *)16, NULL);
		collect(&r);
		CHECK_INT(r.given, 2);
		CHECK_STR(string(&r, 0, 0), "(fault)");
		CHECK_INT(number(&r, 1), 0);
		CHECK_INT(number(&r, 2), 0);
		CHECK_INT(number(&r, 3), 0);
		CHECK_STR(string(&r, 4, 0), "(fault)");
		CHECK_STR(string(&r, 4, 1), "(fault)");
		CHECK_INT(number(&r, 5), 0);
	}
	unmake(&r);
}

TEST(texts_of_all_lengths)
{
	static const unsigned lengths[] = {
		0, 1, 62, 63, 64, 65, 510, 511, 512, 513, 4094, 4095, 4096, 9000};
	static char text[10000];
	struct thing a = {.text = text};
	struct ran r;

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	if (make(&r, "t:x sched_switch c=$comm text=+0(+8($arg1)):string n=+0($arg1):u32", false)) {
		for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
			memset(text, 'a' + (int)i, sizeof(text));
			text[lengths[i]] = '\0';
			a.number = i;
			run(&r, &a, NULL);
			collect(&r);
			CHECK_INT(r.given, i + 1);
			CHECK_INT(number(&r, 2), i);
			text[MIN(lengths[i], 4095)] = '\0'; /* as tracefs cuts them */
			CHECK_STR(string(&r, 1, 0), text);
		}
	}
	unmake(&r);
}

TEST(losses_are_exact)
{
	struct thing a = {0};
	struct ran r;
	uint64_t lost = 0;

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	if (make(&r, "t:x sched_switch n=+0($arg1):u64", false)) {
		for (int round = 0; round < 3; round++) {
			for (int i = 0; i < 5000; i++)
				run(&r, &a, NULL);
			collect(&r);
		}
		for (uint32_t i = 0; i < (uint32_t)sysconf(_SC_NPROCESSORS_CONF); i++)
			lost += kbpf_lost(r.k, i);
		CHECK(lost > 0);
		CHECK_INT(r.given + lost, 15000);
	}
	unmake(&r);
}

static uint64_t frame(const struct buf *stack, size_t i)
{
	uint64_t v = 0;

	if (stack->data && 8 * (i + 1) <= stack->len)
		memcpy(&v, stack->data + 8 * i, sizeof(v));
	return v;
}

static bool in_kernel(uint64_t address)
{
	return (int64_t)address < 0;
}

TEST(stacks_beside_records)
{
	static char text[1000];
	struct thing a = {.text = text};
	struct ran r;

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	for (unsigned which = 0; which < 8; which++) {
		const char *what = which < 4 ? "t:x sched_switch n=+0($arg1):u64"
					     : "t:x sched_switch text=+0(+8($arg1)):string";

		if (make_with(&r, what, false, which % 4)) {
			for (unsigned i = 0; i < 6; i++) {
				memset(text, 'a', 70 * i);
				a.number = i;
				run(&r, &a, NULL);
				collect(&r);
				CHECK_INT(r.given, i + 1);
				if (which < 4)
					CHECK_INT(number(&r, 0), i);
				else
					CHECK_STR(string(&r, 0, 0), text);
				CHECK_INT(r.process, which % 4 ? getpid() : 0);
				CHECK_INT(r.kernel.len != 0, which % 4 & 1);
				CHECK_INT(r.user.len != 0, which % 4 >> 1);
				CHECK(!r.kernel.len || in_kernel(frame(&r.kernel, 0)));
				CHECK(!in_kernel(frame(&r.user, 0)));
			}
		}
		unmake(&r);
		memset(text, 0, sizeof(text));
	}
}

TEST(stacks_that_cannot_be)
{
	uint8_t bytes[16 + 8 * 8 + 16] = {0};
	uint32_t head[4] = {77, 4, 3 * 8, 2 * 8};
	struct kbpf_record r = {.data = bytes, .len = sizeof(bytes)};

	memcpy(bytes, head, sizeof(head));
	CHECK_INT(bstack_split(3, &r), 0);
	CHECK_INT(r.len, 16);
	CHECK_INT(r.process, 77);
	CHECK(r.data == bytes + 80 && r.kernel.frames == bytes + 16 && r.user.frames == bytes + 48);
	CHECK_INT(r.kernel.n, 3);
	CHECK_INT(r.user.n, 2);
	r = (struct kbpf_record){.data = bytes, .len = 79}; /* cut */
	CHECK_INT(bstack_split(3, &r), -EPROTO);
	r = (struct kbpf_record){.data = bytes, .len = 15};
	CHECK_INT(bstack_split(1, &r), -EPROTO);
	head[2] = 5 * 8; /* more than there is room for */
	memcpy(bytes, head, sizeof(head));
	r = (struct kbpf_record){.data = bytes, .len = sizeof(bytes)};
	CHECK_INT(bstack_split(3, &r), -EPROTO);
	head[1] = 1u << 30; /* room beyond all */
	memcpy(bytes, head, sizeof(head));
	r = (struct kbpf_record){.data = bytes, .len = sizeof(bytes)};
	CHECK_INT(bstack_split(3, &r), -EPROTO);
	head[1] = 4;
	head[2] = (uint32_t)-14; /* an error is no stack */
	memcpy(bytes, head, sizeof(head));
	r = (struct kbpf_record){.data = bytes, .len = sizeof(bytes)};
	CHECK_INT(bstack_split(3, &r), 0);
	CHECK_INT(r.kernel.n, 0);
}

/* ---- refusals of the kernel ---- */

TEST(the_verifiers_last_words)
{
	struct bload l = {.type = BPF_PROG_TYPE_RAW_TRACEPOINT, .name = "cairn_bad"};
	struct bcode c = {0};
	struct error e = {0};

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	bcode_mov(&c, 0, 3);
	bcode_return(&c);
	CHECK_INT(bcode_done(&c), 0);
	CHECK_INT(bload(&l, &c, &e), -EACCES);
	CHECK_STR(
		e.message, "the kernel's verifier refuses the program of 'cairn_bad': R3 !read_ok");
	bcode_free(&c);
}

/* In a child, which is nobody then. */
static void as_nobody(int out)
{
	struct kbpf_config c = {.ncpus = 1, .ring_bytes = 65536};
	struct kbpf *k = NULL;
	struct error e = {0};
	int err = setgroups(0, NULL) || setgid(65534) || setuid(65534) ? 0 : kbpf_new(&c, &k, &e);
	char text[600];

	(void)snprintf(text, sizeof(text), "%d %s; %s", err, e.message, e.hint);
	_exit(write(out, text, strlen(text)) < 0);
}

TEST(what_is_missing_is_said)
{
	char text[600] = "";
	int fds[2];
	pid_t child;

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	CHECK_INT(pipe(fds), 0);
	child = fork();
	if (child == 0)
		as_nobody(fds[1]);
	(void)close(fds[1]);
	CHECK(read(fds[0], text, sizeof(text) - 1) > 0);
	CHECK_INT(waitpid(child, NULL, 0), child);
	(void)close(fds[0]);
	CHECK_STR(text,
		"-1 the kernel refuses BPF ring buffers: CAP_BPF and CAP_PERFMON are missing; as root it works");
}

/* ---- what is attached ---- */

static long __attribute__((noinline)) probed(long n, const char *text)
{
	__asm__ volatile("" ::"r"(n), "r"(text) : "memory");
	return n * 3;
}

/* The offset in this program's file of an address. */
static uint64_t file_offset(uintptr_t address)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long begin, end, offset;
	uint64_t found = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %lx", &begin, &end, &offset) == 3 &&
			address >= begin && address < end)
			found = address - begin + offset;
	if (f)
		(void)fclose(f);
	return found;
}

static bool add_uprobe(struct ran *r, const char *head, const char *arguments, uint16_t id)
{
	AUTO(dynevent) struct dynevent d = {0};
	AUTO(buf) struct buf format = {0};
	struct dynevent_fault fault = {0};
	struct error e = {0};
	char path[400], text[600];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	bool is_bpf, well;

	path[MAX(n, 0)] = '\0';
	(void)snprintf(text, sizeof(text), "%s %s:0x%lx %s", head, path,
		(unsigned long)file_offset((uintptr_t)probed), arguments);
	bprobe_done(&r->p);
	r->p.id = id;
	well = kprobe_parse(r->w, DYNEVENT_UPROBE, KPROBE_WITH_BPF, "g", text, &d, &is_bpf,
		       &fault) == 0 &&
		kbpf_add(r->k, r->w, &d, id, &format, &e) == 0 &&
		bprobe_read(&r->p, r->w, &d, &e) == 0 && bprobe_lay_out(&r->p, &d, &format) == 0;
	CHECK(well);
	if (!well)
		printf("# %s: %s%s\n", text, fault.error.message, e.message);
	return well;
}

static void one_kind_of_uprobe(bool no_multi)
{
	struct kbpf_config c = {.ncpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF),
		.ring_bytes = 65536,
		.limited = true, /* others may run this file at the same time */
		.no_multi = no_multi};
	struct ran r = {.w = world()};
	struct error e = {0};
	uint64_t ip;

	stay_on_one_cpu();
	CHECK_INT(kbpf_new(&c, &r.k, &e), 0);
	if (r.k)
		kbpf_limit(r.k, getpid());
	if (r.k && add_uprobe(&r, "r:x", "v=$retval:s64", 7) &&
		add_uprobe(&r, "p:y", "n=$arg1:s32 text=+0($arg2):string", 8)) {
		CHECK_INT(kbpf_start(r.k, &e), 0);
		CHECK_INT(probed(5, "five"), 15);
		CHECK_INT(kbpf_switch(r.k, 7, false, &e), 0);
		(void)probed(6, "six");
		collect(&r);
		CHECK_INT(r.given, 3);
		memcpy(&ip, r.record.data + 8, 8);
		CHECK_INT(ip, (uintptr_t)probed);
		CHECK_INT(number(&r, 0), 6);
		CHECK_STR(string(&r, 1, 0), "six");
		CHECK_INT(kbpf_switch(r.k, 7, true, &e), 0);
		kbpf_remove(r.k, 8);
		(void)probed(7, "seven");
		kbpf_stop(r.k);
		(void)probed(8, "eight");
		collect(&r);
		CHECK_INT(r.given, 4);
	}
	if (e.message[0])
		printf("# %s\n", e.message);
	unmake(&r);
}

TEST(uprobes_of_both_kinds)
{
	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	one_kind_of_uprobe(false);
	one_kind_of_uprobe(true);
}

TEST(limits)
{
	struct thing a = {0};
	struct ran r;

	if (geteuid() != 0 || !have_bpf())
		SKIP("needs root, BPF and BTF");
	if (make(&r, "t:x sched_stat_runtime n=$arg2", true)) {
		run(&r, &a, NULL);
		collect(&r);
		CHECK_INT(r.given, 0);
		kbpf_limit(r.k, getpid());
		run(&r, &a, NULL);
		collect(&r);
		CHECK_INT(r.given, 1);
	}
	unmake(&r);
}

TEST_MAIN()
