/* Probes by BPF: instructions, the format's text against the kernel's own (skipped without root), and what is
 * refused before the kernel is asked. Programs that run: test-bpf-run.c. */
#include "kernel/bpf-impl.h"
#include "kernel/dynevent-impl.h"
#include "test.h"
#include <errno.h>
#include <unistd.h>

/* ---- instructions ---- */

static void check_insn(const struct bcode *c, size_t at, int code, int to, int from, int off, int v)
{
	const struct bpf_insn *i = &c->insns[at];

	CHECK(at < c->len);
	if (at >= c->len)
		return;
	CHECK_INT(i->code, code);
	CHECK_INT(i->dst_reg, to);
	CHECK_INT(i->src_reg, from);
	CHECK_INT(i->off, off);
	CHECK_INT(i->imm, v);
}

TEST(instructions)
{
	struct bcode c = {0};

	bcode_mov(&c, 6, 1);
	bcode_set(&c, 0, -5);
	bcode_set64(&c, 2, 0xffffffff80000000u); /* fits: its sign is extended */
	bcode_set64(&c, 3, 0x80000000u); /* does not */
	bcode_map(&c, 1, 7);
	bcode_load(&c, 2, 4, 6, -8);
	bcode_store(&c, 8, 10, -16, 4);
	bcode_store_value(&c, 1, 7, 3, 9);
	bcode_math(&c, BPF_RSH, 4, 32);
	bcode_atomic(&c, BPF_ADD, 0, 0, 1);
	bcode_call(&c, BPF_FUNC_ktime_get_ns);
	bcode_exit(&c, 1);
	CHECK_INT(bcode_done(&c), 0);
	CHECK_INT(c.len, 15);
	check_insn(&c, 0, 0xbf, 6, 1, 0, 0);
	check_insn(&c, 1, 0xb7, 0, 0, 0, -5);
	check_insn(&c, 2, 0xb7, 2, 0, 0, INT32_MIN);
	check_insn(&c, 3, 0x18, 3, 0, 0, INT32_MIN);
	check_insn(&c, 4, 0, 0, 0, 0, 0);
	check_insn(&c, 5, 0x18, 1, BPF_PSEUDO_MAP_FD, 0, 7);
	check_insn(&c, 7, 0x69, 4, 6, -8, 0);
	check_insn(&c, 8, 0x7b, 10, 4, -16, 0);
	check_insn(&c, 9, 0x72, 7, 0, 3, 9);
	check_insn(&c, 10, 0x77, 4, 0, 0, 32);
	check_insn(&c, 11, 0xdb, 0, 1, 0, BPF_ADD);
	check_insn(&c, 12, 0x85, 0, 0, 0, BPF_FUNC_ktime_get_ns);
	check_insn(&c, 13, 0xb7, 0, 0, 0, 1);
	check_insn(&c, 14, 0x95, 0, 0, 0, 0);
	bcode_free(&c);
}

TEST(jumps_forward_and_back)
{
	struct bcode c = {0};
	unsigned begin = bcode_label(&c), end = bcode_label(&c), unused = bcode_label(&c);

	bcode_here(&c, begin);
	bcode_jump_if(&c, BPF_JEQ, 1, 3, end);
	bcode_jump_if_same(&c, 1, 2, end);
	CHECK(bcode_leads_to(&c, end) && !bcode_leads_to(&c, begin));
	bcode_jump(&c, begin);
	bcode_here(&c, end);
	bcode_exit(&c, 0);
	(void)unused;
	CHECK_INT(bcode_done(&c), 0);
	check_insn(&c, 0, 0x15, 1, 0, 2, 3);
	check_insn(&c, 1, 0x1d, 1, 2, 1, 0);
	check_insn(&c, 2, 0x05, 0, 0, -3, 0);
	bcode_free(&c);
}

TEST(jumps_that_cannot_be)
{
	struct bcode c = {0};
	unsigned nowhere = bcode_label(&c), far = bcode_label(&c);

	bcode_jump(&c, nowhere);
	CHECK_INT(bcode_done(&c), -EINVAL);
	bcode_set(&c, 0, 0); /* does nothing any more */
	CHECK_INT(c.len, 1);
	bcode_free(&c);
	(void)bcode_label(&c);
	far = bcode_label(&c);
	bcode_jump(&c, far);
	for (int i = 0; i < 40000; i++)
		bcode_set(&c, 0, i);
	bcode_here(&c, far);
	CHECK_INT(bcode_done(&c), -E2BIG);
	bcode_free(&c);
	bcode_load(&c, 8, 1, 2, 40000);
	CHECK_INT(bcode_done(&c), -E2BIG);
	bcode_free(&c);
}

/* ---- formats ---- */

static struct dynevent_world *world(void)
{
	struct dynevent_world *w = dynevent_world_new(NULL, karch_native());

	CHECK(w != NULL);
	return w;
}

static const char *const uprobe_texts[] = {
	"p:EVENT PATH:OFFS",
	"p:EVENT PATH:OFFS a=%di:u32 b=+0(%si):string c=+8(%sp):x64 d=$comm e=%ax:char f=+0(%si):u8[6] "
	"g=%di:b3@1/8 h=+0(%sp):s16[3] i=+0(%si):string[2] j=\\5 k=\\\"abc\" l=$stack m=$stack2 n=@+100:u64",
	"r:EVENT PATH:OFFS r=$retval:s32 s=$comm:string x=+0($retval):ustring y=$retval",
	"p:EVENT PATH:OFFS a=%di:u8 b=%di:u16 c=%di:u64 d=%di:s8 e=%di:s64 f=%di:x8 g=%di:x16 h=%di:x32",
	"p:EVENT PATH:OFFS a=+0(%di):x64[2] b=%di:b20@3/32 c=%di:b40@3/64 d=@0x1000:char e=+0(%di):char[4]",
};

static void replace(const char *text, const char *event, uint64_t offset, struct buf *out)
{
	const char *at = strstr(text, "EVENT"), *place = strstr(text, "PATH:OFFS");

	buf_add(out, text, (size_t)(at - text));
	buf_printf(out, "%s /proc/self/exe:0x%llx%s", event, (unsigned long long)offset, place + 9);
}

/* The first instruction of this program that is called from outside. */
static uint64_t own_offset(void)
{
	AUTO(buf) struct buf b = {0};
	uint64_t e_entry;

	if (read_file("/proc/self/exe", 64u << 20, &b) < 0 || b.len < 64)
		return 0;
	memcpy(&e_entry, b.data + 24, 8);
	return e_entry; /* of a position-independent program: text is mapped where it is in the file */
}

/* Without the line "ID: N". */
static void without_id(struct buf *b)
{
	char *id = strstr(b->data, "ID: "), *end = id ? strchr(id, '\n') : NULL;

	if (end)
		memset(id, ' ', (size_t)(end - id));
	if (end)
		memmove(id, end, strlen(end) + 1);
}

static void compare_format(
	struct tracefs *t, struct dynevent_world *w, const char *text, unsigned n)
{
	AUTO(buf) struct buf whole = {0};
	AUTO(buf) struct buf ours = {0};
	AUTO(buf) struct buf theirs = {0};
	AUTO(dynevent) struct dynevent d = {0};
	struct dynevent_fault fault;
	struct bprobe p = {0};
	struct error e = {0};
	char name[64], group[64];

	(void)snprintf(group, sizeof(group), "cairn_test_%d", getpid());
	(void)snprintf(name, sizeof(name), "e%u", n);
	replace(text, name, own_offset(), &whole);
	CHECK_INT(dynevent_parse(w, DYNEVENT_UPROBE, group, whole.data, &d, &fault), 0);
	if (!d.definition) {
		printf("# %s: %s\n", whole.data, fault.error.message);
		return;
	}
	CHECK_INT(dynevent_create(t, &d, &e), 0);
	CHECK_INT(tracefs_format(t, group, name, &theirs, &e), 0);
	CHECK_INT(bprobe_read(&p, w, &d, &e), 0);
	CHECK_INT(bprobe_lay_out(&p, &d, &ours), 0);
	CHECK_INT(dynevent_remove_group(t, group, &e), 1);
	if (ours.data && theirs.data) {
		without_id(&ours);
		without_id(&theirs);
		CHECK_STR(ours.data, theirs.data);
	}
	bprobe_done(&p);
}

TEST(formats_are_the_kernels)
{
	struct dynevent_world *w = world();
	AUTO(tracefs) struct tracefs *t = NULL;

	if (geteuid() != 0 || tracefs_open(NULL, &t, NULL) < 0 || !world_has(w, WORLD_UPROBES)) {
		dynevent_world_free(w);
		SKIP("needs root and a tracefs with uprobes");
	}
	for (unsigned i = 0; i < ARRAY_SIZE(uprobe_texts); i++)
		compare_format(t, w, uprobe_texts[i], i);
	dynevent_world_free(w);
}

TEST(refusals)
{
	static const struct {
		enum dynevent_kind kind;
		const char *text, *why;
	} bad[] = {
		{DYNEVENT_KPROBE, "vfs_read+4", "entry and their return"},
		{DYNEVENT_KPROBE, "p:x vfs_read a=%di", "no registers"},
		{DYNEVENT_KPROBE, "p:x vfs_read a=$stack", "no stack"},
		{DYNEVENT_TPROBE, "t:x sched_switch a=@no_such_thing_at_all", "no symbol"},
		{DYNEVENT_EPROBE, "sched/sched_switch", "tracefs's alone"},
	};
	struct dynevent_world *w = world();

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		AUTO(dynevent) struct dynevent d = {0};
		struct dynevent_fault fault = {0};
		struct bprobe p = {0};
		struct error e = {0};
		bool is_bpf;
		int err;

		if (bad[i].kind == DYNEVENT_EPROBE && geteuid() != 0)
			continue; /* it looks at the event first */
		err = kprobe_parse(
			w, bad[i].kind, KPROBE_WITH_BPF, "g", bad[i].text, &d, &is_bpf, &fault);

		if (err == 0)
			err = bprobe_read(&p, w, &d, &e);
		else
			e = fault.error;
		CHECK(err < 0);
		CHECK(strstr(e.message, bad[i].why) != NULL);
		if (!strstr(e.message, bad[i].why))
			printf("# %s: %s\n", bad[i].text, e.message);
		bprobe_done(&p);
	}
	dynevent_world_free(w);
}

TEST_MAIN()
