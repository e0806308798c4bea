/* Tests of src/kernel/boot-*.c: sessions from boot on in both forms, command lines taken apart. */
#include "kernel/boot-check.h"
#include "kernel/boot-read.h"
#include "kernel/tracefs.h"
#include "test.h"
#include <errno.h>

/* A session with something of everything that both forms can say of the top instance. */
static void fill(struct boot_session *s)
{
	struct boot_instance *top;

	CHECK_INT(boot_session_init(s), 0);
	top = s->instances[0];
	top->tracer = "function_graph";
	top->clock = "x86-tsc";
	top->buffer_bytes = 1 << 20;
	top->graph_depth = 3;
	top->boot_snapshot = true;
	top->dump = BOOT_DUMP_CPU;
	boot_list_add(&top->options, "sym-addr");
	boot_list_add(&top->options, "nooverwrite");
	boot_list_add(&top->functions, "vfs_*");
	boot_list_add(&top->graph, "do_sys_open");
	*VEC_ADD(top->events, top->nevents, top->cap_events) = (struct boot_event){"sched:*", NULL};
	*VEC_ADD(top->events, top->nevents, top->cap_events) =
		(struct boot_event){"initcall", NULL};
	*VEC_ADD(top->probes, top->nprobes, top->cap_probes) = (struct boot_probe){.event = "open",
		.place = "do_sys_openat2",
		.args = "dfd=$arg1  f=+0($arg2):ustring"};
	*VEC_ADD(top->probes, top->nprobes, top->cap_probes) = (struct boot_probe){
		.event = "opened", .place = "do_sys_openat2", .args = "$retval", .is_return = true};
	s->traceoff_on_warning = s->tp_printk = true;
}

/* function_graph stops the kernel (a null pointer while it boots); others come up too late. */
TEST(tracers_that_are_not_there_yet)
{
	static const char config[] = "ftrace.instance.x.tracer = function_graph\n"
				     "ftrace.tracer = timerlat\n"
				     "ftrace.instance.y.tracer = function\n"
				     "ftrace.instance.z.tracer = osnoise\n";
	static const char *const wrong[] = {"function_graph", "timerlat", "osnoise"};
	struct boot_session s AUTO(boot_session);
	struct boot_report report AUTO(boot_report) = {0};
	AUTO(buf) struct buf b = {0};
	struct error e = {0};

	CHECK_INT(boot_check_config(config, sizeof(config) - 1, NULL, &report), 0);
	CHECK_INT(report.len, ARRAY_SIZE(wrong));
	for (size_t i = 0; i < report.len; i++)
		CHECK(report.items[i].at == (size_t)(strstr(config, wrong[i]) - config));
	CHECK_INT(boot_session_init(&s), 0);
	s.instances[0]->tracer = "timerlat";
	CHECK_INT(boot_session_config(&s, &b, &e), 0);
	CHECK(strstr(b.data, "kernel.ftrace = timerlat\n"));
	boot_session_instance(&s, "x")->tracer = "function_graph";
	CHECK_INT(boot_session_config(&s, &b, &e), -EINVAL);
	CHECK(strstr(e.message, "stops the kernel") && strstr(e.hint, "'x'"));
}

TEST(as_bootconfig)
{
	struct boot_session s AUTO(boot_session);
	AUTO(buf) struct buf b = {0};
	struct error e = {0};
	struct boot_instance *foo;

	fill(&s);
	foo = boot_session_instance(&s, "foo");
	CHECK(foo == boot_session_instance(&s, "foo"));
	foo->tracer = "function";
	foo->tracing = BOOT_OFF;
	foo->cpumask = "f";
	*VEC_ADD(foo->events, foo->nevents, foo->cap_events) =
		(struct boot_event){"sched:sched_switch", "prev_pid > 3 && next_comm == \"x\""};
	*VEC_ADD(foo->triggers, foo->ntriggers, foo->cap_triggers) =
		(struct boot_trigger){"sched", "sched_switch", "traceoff if prio < 5"};
	CHECK_INT(boot_session_config(&s, &b, &e), 0);
	CHECK_STR(b.data,
		"ftrace {\n"
		"\toptions = sym-addr, nooverwrite\n"
		"\ttrace_clock = x86-tsc\n"
		"\tbuffer_size = 1024KB\n"
		"\tftrace.filters = \"vfs_*\"\n"
		"\ttracer = function_graph\n"
		"\talloc_snapshot\n"
		"\tevent.kprobes {\n"
		"\t\topen {\n"
		"\t\t\tprobes = \"do_sys_openat2 dfd=$arg1  f=+0($arg2):ustring\"\n"
		"\t\t\tenable\n"
		"\t\t}\n"
		"\t\topened {\n"
		"\t\t\tprobes = \"do_sys_openat2%return $retval\"\n"
		"\t\t\tenable\n"
		"\t\t}\n"
		"\t}\n"
		"\tevents = \"sched:*\", initcall\n"
		"\tinstance.foo {\n"
		"\t\ttracing_on = 0\n"
		"\t\tcpumask = f\n"
		"\t\ttracer = function\n"
		"\t\tevent.sched.sched_switch {\n"
		"\t\t\tfilter = 'prev_pid > 3 && next_comm == \"x\"'\n"
		"\t\t\tenable\n"
		"\t\t\tactions = \"traceoff if prio < 5\"\n"
		"\t\t}\n"
		"\t}\n"
		"}\n"
		"kernel {\n"
		"\tftrace_graph_filter = do_sys_open\n"
		"\tftrace_graph_max_depth = 3\n"
		"\tftrace_dump_on_oops = orig_cpu\n"
		"\tftrace_boot_snapshot\n"
		"\ttraceoff_on_warning\n"
		"\ttp_printk\n"
		"}\n");
	/* An instance's own graph filter is nowhere. */
	boot_list_add(&foo->graph, "schedule");
	CHECK_INT(boot_session_config(&s, &b, &e), -EINVAL);
}

TEST(as_command_line)
{
	struct boot_session s AUTO(boot_session);
	AUTO(buf) struct buf b = {0};
	struct error e = {0};
	struct boot_instance *foo;

	fill(&s);
	*VEC_ADD(
		s.instances[0]->triggers, s.instances[0]->ntriggers, s.instances[0]->cap_triggers) =
		(struct boot_trigger){"sched", "sched_switch", "stacktrace if prev_state == 2"};
	foo = boot_session_instance(&s, "foo");
	foo->tracing = BOOT_OFF;
	foo->snapshot = true;
	foo->dump = BOOT_DUMP_ALL;
	*VEC_ADD(foo->events, foo->nevents, foo->cap_events) = (struct boot_event){"irq:*", NULL};
	CHECK_INT(boot_session_cmdline(&s, &b, &e), 0);
	CHECK_STR(b.data,
		"ftrace=function_graph trace_options=sym-addr,nooverwrite trace_clock=x86-tsc "
		"trace_buf_size=1024K ftrace_filter=vfs_* ftrace_graph_filter=do_sys_open "
		"ftrace_graph_max_depth=3 trace_event=sched:*,initcall "
		"kprobe_event=p:open,do_sys_openat2,dfd=$arg1,f=+0($arg2):ustring;"
		"r:opened,do_sys_openat2,$retval "
		"trace_trigger=\"sched_switch.stacktrace if prev_state == 2\" alloc_snapshot=foo "
		"trace_instance=foo^traceoff,irq:* ftrace_boot_snapshot "
		"ftrace_dump_on_oops=2,foo traceoff_on_warning tp_printk\n");
}

/* What one form cannot say is said by the hint of the other. */
TEST(what_a_command_line_cannot_say)
{
	static const char *const said[] = {"filters of events for sched:x", "choice of CPUs",
		"word that keeps tracing off for the top instance", "tracers for foo",
		"commas and semicolons in probes for x"};

	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		struct boot_session s AUTO(boot_session);
		AUTO(buf) struct buf b = {0};
		struct boot_instance *top;
		struct error e = {0};

		CHECK_INT(boot_session_init(&s), 0);
		top = s.instances[0];
		if (i == 0)
			*VEC_ADD(top->events, top->nevents, top->cap_events) =
				(struct boot_event){"sched:x", "a == 1"};
		else if (i == 1)
			top->cpumask = "1";
		else if (i == 2)
			top->tracing = BOOT_OFF;
		else if (i == 3)
			boot_session_instance(&s, "foo")->tracer = "function";
		else
			*VEC_ADD(top->probes, top->nprobes, top->cap_probes) =
				(struct boot_probe){.event = "x", .place = "f", .args = "a=b;"};
		CHECK_INT(boot_session_cmdline(&s, &b, &e), -EOPNOTSUPP);
		CHECK(strstr(e.message, said[i]));
		CHECK_STR(e.hint, "a bootconfig can: cairn boot write --config");
		CHECK(b.len == 0);
	}
}

TEST(what_a_bootconfig_cannot_say)
{
	struct boot_session s AUTO(boot_session);
	AUTO(buf) struct buf b = {0};
	struct error e = {0};
	struct boot_probe *p;

	CHECK_INT(boot_session_init(&s), 0);
	p = VEC_ADD(s.instances[0]->probes, s.instances[0]->nprobes, s.instances[0]->cap_probes);
	*p = (struct boot_probe){.group = "mine", .event = "x", .place = "f", .args = ""};
	CHECK_INT(boot_session_config(&s, &b, &e), -EOPNOTSUPP);
	CHECK(strstr(e.hint, "--cmdline"));
	*p = (struct boot_probe){
		.event = "x", .place = "f", .args = "", .maxactive = 9, .is_return = true};
	CHECK_INT(boot_session_config(&s, &b, &e), -EOPNOTSUPP);
	CHECK_INT(boot_session_cmdline(&s, &b, &e), 0);
	CHECK_STR(b.data, "kprobe_event=r9:x,f\n");
	*p = (struct boot_probe){.event = "x.y", .place = "f", .args = ""};
	CHECK_INT(boot_session_config(&s, &b, &e), -EOPNOTSUPP);
}

TEST(cpumasks)
{
	static const struct {
		const char *list, *mask;
	} good[] = {{"0", "1"}, {"0,2-3", "d"}, {"32", "1,00000000"}, {"0-39", "ff,ffffffff"}};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		AUTO(buf) struct buf b = {0};

		CHECK_INT(tracefs_cpumask(good[i].list, &b), 0);
		CHECK_STR(b.data, good[i].mask);
	}
	for (const char *const *bad =
			(const char *const[]){"", "a", "1-", "3-1", "1,", "8192", "-1", NULL};
		*bad; bad++) {
		AUTO(buf) struct buf b = {0};

		CHECK_INT(tracefs_cpumask(*bad, &b), -EINVAL);
	}
}

TEST(parameters)
{
	struct boot_params p AUTO(boot_params);
	struct text_fault f;
	const char *text = "quiet  a=b=c \"x=y z\" t=\"u v\" empty= -- init args";

	CHECK_INT(boot_params_parse(text, strlen(text), &p, &f), 0);
	CHECK_INT(p.len, 5);
	CHECK_STR(p.items[0].name, "quiet");
	CHECK(!p.items[0].value);
	CHECK_STR(p.items[1].name, "a");
	CHECK_STR(p.items[1].value, "b=c");
	CHECK_STR(p.items[2].name, "x");
	CHECK_STR(p.items[2].value, "y z");
	CHECK_STR(p.items[3].value, "u v");
	CHECK_INT(p.items[3].value_at, 24);
	CHECK_STR(p.items[4].value, "");
	boot_params_done(&p);
	CHECK_INT(boot_params_parse("a \"b c", 6, &p, &f), -EINVAL);
	CHECK_INT(f.at, 2);
}

TEST(what_a_boot_was_told)
{
	struct arena arena = {0};
	struct boot_list l = {0};
	bool top = false;

	CHECK_INT(boot_named("quiet trace_instance=foo^traceoff,sched:* trace_instance=bar@x",
			  "ftrace.instance.foo.tracer = \"nop\"\n"
			  "ftrace.instance.baz.events = \"a\", \"b\"\n",
			  &arena, &l, &top),
		0);
	CHECK_INT(l.len, 3);
	CHECK_STR(l.items[0], "foo");
	CHECK_STR(l.items[1], "bar");
	CHECK_STR(l.items[2], "baz");
	CHECK(!top);
	CHECK_INT(boot_named("a", "ftrace.events = \"a\"\n", &arena, &l, &top), 0);
	CHECK(top);
	top = false;
	CHECK_INT(boot_named("trace_event=a", "", &arena, &l, &top), 0);
	CHECK(top && l.len == 3);
	free(l.items);
	arena_done(&arena);
}

TEST(clocks)
{
	struct boot_clock c;

	boot_clock_read("local global [boot] tai\n", &c);
	CHECK_STR(c.name, "boot");
	CHECK_STR(c.ctf.name, "boottime");
	CHECK_INT(c.ctf.freq, 1000000000);
	CHECK(c.ctf.offset_s > 1600000000);
	boot_clock_read("[something-new]\n", &c);
	CHECK_STR(c.ctf.name, "counter");
	CHECK_INT(c.ctf.offset_s, 0);
	boot_clock_read("", &c);
	CHECK_STR(c.name, "");
}

TEST(probes)
{
	static const struct {
		const char *text, *event, *place, *args;
		bool is_return;
		unsigned maxactive;
	} good[] = {
		{"p vfs_read", "p_vfs_read_0", "vfs_read", "", false, 0},
		{"p:x vfs_read+8 a=%ax  b=$arg1", "x", "vfs_read+8", "a=%ax  b=$arg1", false, 0},
		{"r10:g/x mod:f $retval", "x", "mod:f", "$retval", true, 10},
		{"p:x f%return", "x", "f", "", true, 0},
		{"vfs_read fd=$arg1", "vfs_read", "vfs_read", "fd=$arg1", false, 0},
		{"mod:f%return", "f__return", "mod:f", "", true, 0},
		{"p 0xffffffff81000000", "p_0xffffffff81000000_0", "0xffffffff81000000", "", false,
			0},
	};
	static const struct {
		const char *text;
		size_t at;
	} bad[] = {{"", 0}, {"p:x", 3}, {"p:1x f", 2}, {"p:a.b/x f", 2}, {"p:x $arg1", 4},
		{"f a=b->c", 5}};
	struct arena arena = {0};
	struct boot_probe p;
	struct text_fault f;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CHECK_INT(boot_probe_parse(&arena, good[i].text, false, &p, &f), 0);
		CHECK_STR(p.event, good[i].event);
		CHECK_STR(p.place, good[i].place);
		CHECK_STR(p.args, good[i].args);
		CHECK_INT(p.is_return, good[i].is_return);
		CHECK_INT(p.maxactive, good[i].maxactive);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_INT(boot_probe_parse(&arena, bad[i].text, false, &p, &f), -EINVAL);
		CHECK_INT(f.at, bad[i].at);
	}
	arena_done(&arena);
}

TEST_MAIN()
