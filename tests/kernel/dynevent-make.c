/* Texts of probes at random. See dynevent-make.h. */
#include "kernel/dynevent-make.h"

unsigned maker_below(struct maker *m, unsigned n)
{
	m->state ^= m->state << 13;
	m->state ^= m->state >> 7;
	m->state ^= m->state << 17;
	return (unsigned)((m->state >> 11) % n);
}

#define PICK(m, list) list[maker_below(m, ARRAY_SIZE(list))]
/* The first `good` of the list mostly, any of it else. */
#define MOSTLY(m, list, good) \
	list[maker_below(m, maker_below(m, 8) ? (good) : (unsigned)ARRAY_SIZE(list))]

static const char *const offsets[] = {"0", "8", "0x10", "16", "010", "4096", "-8", "+8", "08", "0x",
	"x", "", "99999999999999999999", "0x7fffffffffffffff", "0xffffffffffffffff"};

static void add_variable(struct maker *m, struct buf *b, char kind)
{
	static const char *const any[] = {"$stack", "$stack0", "$stack3", "$comm", "$COMM", "$arg1",
		"$arg2", "$arg3", "$retval", "$arg4", "$arg7", "$arg0", "$arg9", "$arg129",
		"$stack2048", "$stack2049", "$stackx", "$stack-1", "$stack0x1", "$stack08", "$arg",
		"$arg0x1", "$arg1x", "$argx", "$", "$retval1", "$nothing", "$common_pid", "$arg*"};
	static const char *const fields[] = {"$prev_pid", "$prev_comm", "$next_pid", "$filename",
		"$id", "$args", "$vec", "$ptr", "$comm", "$COMM", "$name", "$skbaddr",
		"$common_pid", "$prev_pi", "$stack", "$arg1", "$", "$retval"};

	if (kind == 'e')
		buf_str(b, MOSTLY(m, fields, 10));
	else
		buf_str(b, MOSTLY(m, any, kind == 'r' ? 9 : 8));
}

static void add_expression(struct maker *m, struct buf *b, char kind, unsigned depth)
{
	static const char *const registers[] = {"%ax", "%di", "%si", "%sp", "%ip", "%r8", "%cs",
		"%flags", "%orig_ax", "%rax", "%foo", "%", "%eax", "%al"};
	static const char *const memory[] = {"@jiffies", "@jiffies+8", "@init_task-0x10", "@0x1000",
		"@0xffffffff81000000", "@no_such_symbol", "@", "@vfs_read", "@jiffies+x", "@0xzz",
		"@+16", "@+", "@-8", "@jiffies+8+8"};
	static const char *const immediate[] = {"\\1", "\\0x10", "\\-1", "\\+1", "\\\"text\"",
		"\\\"\"", "\\", "\\x", "\\\"text", "\\08", "\\-", "\\18446744073709551615",
		"\\18446744073709551616"};
	static const char *const names[] = {"file", "count", "file->f_pos", "file->f_path.dentry",
		"file->f_inode->i_ino", "pos", "buf", "path", "file.f_pos", "count->x",
		"file->nothing", "filp", "p->comm", "p", "prev->pid", "next->comm", "preempt",
		"file->", "->f_pos", "file->f_path", "dfd", "how->flags", "filename"};

	switch (maker_below(m, depth ? 6 : 10)) {
	case 0:
	case 1:
		buf_str(b,
			kind == 'e' || kind == 'f' || kind == 't' ? "" : MOSTLY(m, registers, 9));
		if (kind != 'e' && kind != 'f' && kind != 't')
			break;
		/* fall through */
	case 2:
	case 3: add_variable(m, b, kind); break;
	case 4: buf_str(b, kind == 'u' ? MOSTLY(m, registers, 9) : MOSTLY(m, names, 8)); break;
	case 5: buf_str(b, MOSTLY(m, memory, 5)); break;
	case 6: buf_str(b, MOSTLY(m, immediate, 5)); break;
	default: {
		unsigned n = maker_below(m, 10) ? 1 + maker_below(m, 3) : 10 + maker_below(m, 8);

		for (unsigned i = 0; i < n; i++)
			buf_printf(b, "%s%s(",
				maker_below(m, 6)	    ? "+"
					: maker_below(m, 2) ? "-"
							    : "+u",
				MOSTLY(m, offsets, 6));
		add_expression(m, b, kind, depth + 1);
		for (unsigned i = maker_below(m, 40) == 0; i < n; i++)
			buf_char(b, ')');
	}
	}
}

static void add_argument(struct maker *m, struct buf *b, char kind, unsigned n)
{
	static const char *const types[] = {"u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64",
		"x8", "x16", "x32", "x64", "string", "ustring", "char", "symbol", "symstr",
		"b1@0/8", "b3@5/8", "b10@20/32", "b64@0/64", "u8[4]", "x64[2]", "string[2]",
		"char[16]", "u32[64]", "%pd", "%pD", "b3@6/8", "b0@0/8", "b8@0/9", "b@/",
		"b1@0/128", "u8[0]", "u8[65]", "u8[", "u8[4]x", "u8[x]", "u128", "", "x",
		"string[0]", "ustring[64]", "symstr[2]", "symbol[2]", "b1@0/8[2]", "U8",
		"string:u8", "u8[4][4]", "u8[-1]", "u8[010]", "%pd[2]", "%px"};
	static const char *const names[] = {"common_pid", "__probe_ip", "1a", "a-b", "", "a", "ip",
		"abcdefghijklmnopqrstuvwxyz012345", "abcdefghijklmnopqrstuvwxyz0123456",
		"common_type"};

	buf_char(b, ' ');
	if (maker_below(m, 20) == 0)
		buf_printf(b, "%s=", PICK(m, names));
	else if (maker_below(m, 5))
		buf_printf(b, "n%u=", n);
	add_expression(m, b, kind, 0);
	if (maker_below(m, 3))
		buf_printf(b, ":%s", MOSTLY(m, types, 28));
}

static char add_kernel_place(struct maker *m, struct buf *b)
{
	static const char *const functions[] = {"vfs_read", "vfs_write", "do_sys_openat2",
		"vfs_open", "ip_rcv", "do_filp_open", "kfree", "schedule", "jiffies", "no_such",
		"vfs_rea", "_stext", "preempt_count_add", "do_int3", "kprobe_ftrace_handler", "0",
		"0x10", "x:vfs_read"};
	static const char *const after[] = {"", "", "", "", "%return", "+0", "+0x0", "+x", "-4",
		"%foo", "%return+4", "+4%return", "+99999999", "+", "%", "+0x1000000"};
	static const char *const heads[] = {
		"p", "p", "p", "r", "r10", "p10", "r0", "r4097", "r4096", "r0x10", "rx", "r010"};
	const char *head = MOSTLY(m, heads, 4), *tail = MOSTLY(m, after, 5);

	buf_printf(b, "%s:%s/x %s%s", head, m->group, MOSTLY(m, functions, 8), tail);
	return head[0] == 'r' || tail[0] == '%' ? 'r' : 'p';
}

static char add_user_place(struct maker *m, struct buf *b)
{
	static const char *const after[] = {"", "", "", "%return", "(0x100)", "%return(0x100)",
		"(0)", "(", "()", "(x)", "%foo", "(0x100)%return", "+4", ")", "(0x100))"};
	const char *head = maker_below(m, 4) ? "p" : "r", *tail = MOSTLY(m, after, 6);

	buf_printf(b, "%s:%s/x %s:0x%llx%s", head, m->group, m->exe, m->offset, tail);
	return 'u';
}

static char add_other_place(struct maker *m, struct buf *b)
{
	static const char *const events[] = {"sched.sched_switch", "sched/sched_switch",
		"syscalls.sys_enter_openat", "raw_syscalls.sys_enter", "irq.softirq_entry",
		"kmem.kmalloc", "net.net_dev_queue", "sched.sched_process_exec", "sched.nothing",
		"sched", "sched:sched_switch", "sched.sched_switch.x", "ftrace.function"};
	static const char *const functions[] = {"vfs_read", "vfs_open", "do_filp_open", "vfs_write",
		"vfs_read%return", "do_sys_openat2%return", "vfs_open%return", "no_such",
		"vfs_read+4", "jiffies", "vfs_read%foo", "%return", "0x10"};
	static const char *const points[] = {"sched_switch", "sched_wakeup", "sched_process_exit",
		"sys_enter", "softirq_entry", "nothing", "sched/sched_switch",
		"sched_switch%return", "sched:sched_switch", "1x"};

	switch (maker_below(m, 3)) {
	case 0: buf_printf(b, "e:%s/x %s", m->group, MOSTLY(m, events, 8)); return 'e';
	case 1: buf_printf(b, "f:%s/x %s", m->group, MOSTLY(m, functions, 7)); return 'f';
	default: buf_printf(b, "t:%s/x %s", m->group, MOSTLY(m, points, 5)); return 't';
	}
}

/* Always of the same name, if it is a good one: MAKER_SYNTH. */
static void make_synthetic(struct maker *m, struct buf *b)
{
	static const char *const heads[] = {"s:" MAKER_SYNTH, "s:synthetic/" MAKER_SYNTH, "s:1x",
		"s:", "s:other/" MAKER_SYNTH, "s:a-b", "s"};
	static const char *const types[] = {"u64", "s32", "u8", "pid_t", "unsigned long", "char",
		"bool", "unsigned int", "long", "int", "gfp_t", "s8", "unsigned char", "char *",
		"void", "struct x", "unsigned", "u128", "unsigned u64", "x64", "", "unsigned bool",
		"unsigned pid_t"};
	static const char *const names[] = {"a", "b", "c", "lat", "text[16]", "text[]", "text[256]",
		"text[257]", "n[4]", "stack[]", "text[0]", "text[x]", "text[", "1a", "a-b", "",
		"text[16]x", "text[0x10]", "text[010]", "text[1024]"};
	unsigned n = 1 + maker_below(m, 4);

	buf_str(b, MOSTLY(m, heads, 2));
	if (maker_below(m, 40) == 0)
		n = 62 + maker_below(m, 5);
	for (unsigned i = 0; i < n; i++) {
		buf_printf(b, " %s ", n > 8 ? "u8" : MOSTLY(m, types, 13));
		if (n > 8 || maker_below(m, 2))
			buf_printf(b, "f%u", i);
		else
			buf_str(b, MOSTLY(m, names, 7));
		buf_str(b, maker_below(m, 20) ? ";" : maker_below(m, 2) ? ";;" : "");
	}
}

void make_probe(struct maker *m, struct buf *out)
{
	static const char *const filters[] = {" if prev_pid > 1", " if prev_comm ~ \"a*\"",
		" if id == 3", " if flags & 1 && dfd != 3", " if prev_pid =< 1", " if",
		" if CPU & CPUS{0}", " if x"};
	char kind;
	unsigned n;

	if (maker_below(m, 8) == 0) {
		make_synthetic(m, out);
		return;
	}
	switch (maker_below(m, 5)) {
	case 0:
	case 1: kind = add_kernel_place(m, out); break;
	case 2: kind = add_user_place(m, out); break;
	default: kind = add_other_place(m, out);
	}
	n = maker_below(m, 60) ? maker_below(m, 4) : 126 + maker_below(m, 5);
	for (unsigned i = 0; i < n; i++) {
		if (n > 100) /* too many, or just not */
			buf_printf(out, " n%u=$stack%u:u8", i, i);
		else
			add_argument(m, out, kind, i);
	}
	if (kind == 'e' && maker_below(m, 3) == 0)
		buf_str(out, PICK(m, filters));
}
