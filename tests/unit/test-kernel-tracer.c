/* Tracers, settings that are put back, what kernels lack, records in order: in a directory of plain
 * files in place of the kernel's. */
#include "fake-tracefs.h"
#include "kernel/facts.h"
#include "kernel/rawread.h"
#include "kernel/restore.h"
#include "kernel/tracer.h"
#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct tracefs *setup(void)
{
	fake_begin();
	put("trace_clock", "[local] global mono x86-tsc\n");
	put("available_tracers", "mmiotrace function nop\n");
	put("current_tracer", "nop\n");
	put("tracing_on", "1\n");
	put("trace", "");
	put("max_graph_depth", "0\n");
	put("set_graph_function", "#### all functions enabled ####\n");
	put("set_ftrace_pid", "no pid\n");
	put("options/funcgraph-tail", "0\n");
	put("events/enable", "0\n");
	put("events/sched/sched_switch/enable", "0\n");
	put("available_events", "sched:sched_switch\n");
	return fake_open();
}

TEST(settings_are_put_back)
{
	struct tracefs *t = setup();
	struct restore *r = NULL;
	struct error e = {0};

	CHECK_INT(restore_begin(t, &r, &e), 0);
	CHECK_INT(restore_set(r, "max_graph_depth", "3", &e), 0);
	CHECK_INT(restore_set(r, "trace_clock", "mono", &e), 0);
	CHECK_INT(restore_set(r, "max_graph_depth", "5", &e), 0);
	CHECK_INT(restore_set(r, "set_graph_function", "vfs_open", &e), 0);
	CHECK_INT(restore_set(r, "set_ftrace_pid", "1", &e), 0);
	CHECK_INT(restore_set(r, "nosuchfile", "1", &e), -ENOENT);
	check_file("max_graph_depth", "5");
	check_file("set_graph_function", "vfs_open");
	CHECK_INT(restore_end(r, &e), 0);
	check_file("max_graph_depth", "0\n"); /* what was there first, not second */
	check_file("trace_clock", "local"); /* the word that was in brackets */
	check_file("set_graph_function", "\n"); /* none, in the kernel's terms */
	check_file("set_ftrace_pid", "\n");
	CHECK_INT(restore_dead(t, &e), 0);
	cleanup(t);
}

/* Runs in a child: changes a setting, says so, and waits to be killed. */
static void change_and_wait(struct tracefs *t, int said)
{
	struct restore *r;

	if (restore_begin(t, &r, NULL) == 0 && restore_set(r, "max_graph_depth", "7", NULL) == 0)
		(void)write_all(said, "x", 1);
	for (;;)
		(void)pause();
}

TEST(settings_of_the_dead_are_put_back)
{
	struct tracefs *t = setup();
	struct kernel_swept swept;
	struct restore *r = NULL;
	struct error e = {0};
	int said[2];
	char c;
	pid_t pid;

	CHECK_INT(pipe(said), 0);
	pid = fork();
	if (pid == 0)
		change_and_wait(t, said[1]);
	(void)close(said[1]);
	CHECK_INT(read(said[0], &c, 1), 1);
	(void)close(said[0]);
	/* it lives: its settings stay, and nobody else may change any */
	CHECK_INT(restore_dead(t, &e), 0);
	CHECK_INT(restore_begin(t, &r, &e), -EBUSY);
	CHECK(!r && e.hint[0]);
	check_file("max_graph_depth", "7");
	CHECK_INT(kill(pid, SIGKILL), 0);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	CHECK_INT(kernel_sweep(t, &swept, &e), 0);
	CHECK_INT(swept.settings, 1);
	check_file("max_graph_depth", "0\n");
	CHECK_INT(restore_dead(t, &e), 0);
	cleanup(t);
}

/* A probe is removed by a text appended to dynamic_events: in the fake that is what can be seen. */
TEST(probes_of_the_dead)
{
	struct tracefs *t = setup();
	struct kernel_swept swept;
	struct error e = {0};
	char mine[TRACEFS_GROUP_MAX];
	AUTO(buf) struct buf list = {0};
	bool alive = false;

	tracefs_group_name(mine);
	CHECK(tracefs_group_owner(mine, &alive) && alive);
	CHECK(tracefs_group_owner("cairn_1_99", &alive) && !alive);
	CHECK(!tracefs_group_owner("cairn_1_99x", &alive) &&
		!tracefs_group_owner("cairn_1", &alive) &&
		!tracefs_group_owner("xcairn_1_99", &alive) &&
		!tracefs_group_owner("kprobes", &alive));
	buf_printf(&list, "p:%s/a x\np:kprobes/b x\nr8:cairn_1_99/c x\np:cairn_x/d x\n", mine);
	put("dynamic_events", list.data);
	CHECK_INT(kernel_sweep(t, &swept, &e), 0);
	CHECK_INT(swept.probes, 1);
	buf_str(&list, "-:cairn_1_99/c\n");
	check_file("dynamic_events", list.data);
	cleanup(t);
}

TEST(journals_that_are_cut)
{
	struct tracefs *t = setup();
	static const char whole[] = "max_graph_depth 2\n4\n\ntrace_clock 6\nglobal\n";
	static const struct {
		size_t len;
		int settings;
	} cases[] = {{sizeof(whole) - 1, 2}, {sizeof(whole) - 2, 1}, {36, 1}, {21, 1}, {20, 0},
		{10, 0}, {0, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error e = {0};

		put("max_graph_depth", "9");
		put("trace_clock", "mono");
		put_bytes(".cairn-settings", whole, cases[i].len);
		CHECK_INT(restore_dead(t, &e), cases[i].settings);
		check_file("max_graph_depth", cases[i].settings ? "4\n" : "9");
		check_file("trace_clock", cases[i].settings == 2 ? "global" : "mono");
		check_file(".cairn-settings", "");
	}
	/* not ours at all: nothing is written, nothing is read beyond the end */
	put(".cairn-settings", "max_graph_depth 18446744073709551615\n4\n");
	CHECK_INT(restore_dead(t, NULL), 0);
	cleanup(t);
}

TEST(long_lists_are_put_back_line_by_line)
{
	struct tracefs *t = setup();
	struct restore *r = NULL;
	AUTO(buf) struct buf list = {0}, want = {0};
	struct error e = {0};

	for (int i = 0; i < 2000; i++)
		buf_printf(&list, "function_%d\n", i);
	put("set_graph_function", list.data);
	CHECK_INT(restore_begin(t, &r, &e), 0);
	CHECK_INT(restore_set(r, "set_graph_function", "one", &e), 0);
	CHECK_INT(restore_end(r, &e), 0);
	buf_printf(&want, "\n%s", list.data); /* emptied first */
	check_file("set_graph_function", want.data);
	cleanup(t);
}

/* In the fake, no instance has tracers: so it is the top directory's turn. */
TEST(a_tracer_in_the_top_directory)
{
	struct tracefs *t = setup();
	struct tracer *tr = NULL;
	struct error e = {0};
	const struct tracer_line settings[] = {{"max_graph_depth", "2"}},
				 options[] = {{"funcgraph-tail", "1"}, {"nosuch", "0"}};
	const char *const events[] = {"sched:*"};
	struct tracer_setup s = {.tracer = "mmiotrace",
		.latency = true,
		.clock = "mono",
		.settings = settings,
		.nsettings = 1,
		.options = options,
		.noptions = 2,
		.events = events,
		.nevents = 1};

	put("tracing_max_latency", "7\n");
	CHECK_INT(tracer_open(t, &s, &tr, &e), 0);
	CHECK(tr && tracer_at_top(tr) && tracer_dir(tr) == t);
	put("tracing_max_latency", "123\n"); /* measured before it is on */
	check_file("current_tracer", "mmiotrace");
	check_file("trace_clock", "mono");
	check_file("max_graph_depth", "2");
	check_file("options/funcgraph-tail", "1");
	check_file("events/sched/sched_switch/enable", "1");
	check_file("tracing_on", "0");
	CHECK_INT(tracer_on(tr, true, &e), 0);
	CHECK(tracer_is_on(tr));
	check_file("tracing_max_latency", "0");
	CHECK_INT(tracer_close(tr, &e), 0);
	check_file("current_tracer", "nop\n");
	check_file("trace_clock", "local");
	check_file("max_graph_depth", "0\n");
	check_file("options/funcgraph-tail", "0\n");
	check_file("events/sched/sched_switch/enable", "0\n");
	check_file("tracing_on", "1\n");
	cleanup(t);
}

/* What is refused, and that nothing has changed afterwards. */
TEST(what_is_refused)
{
	static const struct {
		const char *tracer, *option, *event, *used, *text;
		int err;
		const char *message, *hint;
	} cases[] = {
		{"osnoise", NULL, NULL, NULL, NULL, -ENOENT, "no tracer 'osnoise'",
			"CONFIG_OSNOISE_TRACER"},
		{"nosuch", NULL, NULL, NULL, NULL, -ENOENT, "no tracer is called", "mmiotrace"},
		{"function", "funcgraph-retval", NULL, NULL, NULL, -ENOENT, "funcgraph-retval",
			"CONFIG_FUNCTION_GRAPH_RETVAL"},
		{"function", NULL, "nosuch:*", NULL, NULL, -ENOENT, "nosuch:*", "list"},
		{"function", NULL, NULL, "current_tracer", "blk\n", -EBUSY, "a tracer is on",
			"nop"},
		{"function", NULL, NULL, "events/enable", "X\n", -EBUSY, "events are on", "echo 0"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tracefs *t = setup();
		struct tracer *tr = NULL;
		struct error e = {0};
		const struct tracer_line option = {cases[i].option, "1"};
		struct tracer_setup s = {.tracer = cases[i].tracer,
			.clock = "mono",
			.options = &option,
			.noptions = cases[i].option != NULL,
			.events = &cases[i].event,
			.nevents = cases[i].event != NULL};

		if (cases[i].used)
			put(cases[i].used, cases[i].text);
		CHECK_INT(tracer_open(t, &s, &tr, &e), cases[i].err);
		CHECK(!tr);
		CHECK(strstr(e.message, cases[i].message) && strstr(e.hint, cases[i].hint));
		if (cases[i].used)
			check_file(cases[i].used, cases[i].text);
		else
			check_file("current_tracer", "nop\n");
		check_file("tracing_on", "1\n");
		cleanup(t);
	}
}

TEST(what_a_kernel_has)
{
	struct tracefs *t = setup();
	AUTO(kernel_signs) struct kernel_signs s = {0};
	struct error e = {0};

	put("README", "x f[:[<group>/][<event>]] <func-name>[%return] [<args>]\n");
	put("kprobe_events", "");
	CHECK_INT(kernel_signs_init(&s, t, &e), 0);
	CHECK(kernel_has_tracer(&s, "function") && kernel_has_tracer(&s, "nop"));
	CHECK(!kernel_has_tracer(&s, "func") && !kernel_has_tracer(&s, ""));
	CHECK(kernel_has(&s, kfact_find(KFACT_TRACER, "mmiotrace")));
	CHECK(!kernel_has(&s, kfact_find(KFACT_TRACER, "hwlat")));
	CHECK(kernel_has(&s, kfact_find(KFACT_PROBE, "kprobe")));
	CHECK(kernel_has(&s, kfact_find(KFACT_PROBE, "fprobe")));
	CHECK(!kernel_has(&s, kfact_find(KFACT_PROBE, "tprobe")));
	CHECK(!kfact_find(KFACT_PROBE, "mmiotrace"));
	cleanup(t);
}

/* ---- records ---- */

#define FORMAT(id) \
	"name: x\nID: " id "\nformat:\n" \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n" \
	"\tfield:int n;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n"

/* A page of events of id 7 at ts, ts + 10, ts + 20...; `lost` before it. */
static void page(uint8_t *at, uint64_t ts, unsigned n, bool lost)
{
	uint64_t commit = n * 16 | (lost ? UINT64_C(1) << 31 : 0);

	memset(at, 0, 4096);
	memcpy(at, &ts, 8);
	memcpy(at + 8, &commit, 8);
	for (unsigned i = 0; i < n; i++) {
		uint32_t words[4] = {3 | (i ? 10 : 0) << 5, 7, 0, i};

		memcpy(at + 16 + (size_t)16 * i, words, sizeof(words));
	}
}

struct seen {
	uint64_t ts[64];
	uint32_t cpu[64];
	size_t n;
};

static int note(const struct kraw_event *ev, void *data)
{
	struct seen *s = data;

	CHECK_STR(ev->format->system, "ftrace");
	CHECK_INT(ev->len, 12);
	s->ts[s->n] = ev->ts;
	s->cpu[s->n++] = ev->cpu;
	return s->n == 64 ? -E2BIG : 0;
}

TEST(records_in_order_of_time)
{
	static uint8_t pages[2][2 * 4096];
	struct tracefs *t = setup();
	struct kraw *r = NULL;
	struct seen s = {.n = 0};
	struct error e = {0};

	put("events/header_page",
		"\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
		"\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
		"\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n");
	put("events/ftrace/x/format", FORMAT("7"));
	page(pages[0], 1000, 3, false); /* 1000 1010 1020 */
	page(pages[0] + 4096, 1100, 2, true); /* 1100 1110 */
	page(pages[1], 1005, 2, false); /* 1005 1015 */
	page(pages[1] + 4096, 1105, 1, false);
	pages[1][4096 + 16 + 4] = 9; /* of an event that is not known */
	put_bytes("per_cpu/cpu0/trace_pipe_raw", pages[0], sizeof(pages[0]));
	put_bytes("per_cpu/cpu1/trace_pipe_raw", pages[1], sizeof(pages[1]));
	CHECK_INT(kraw_open(t, NULL, 0, &r, &e), 0);
	CHECK_INT(kraw_read(r, 1100, note, &s, &e), 0);
	CHECK_INT(s.n, 5);
	for (size_t i = 0; i < 5; i++) {
		static const uint64_t want[] = {1000, 1005, 1010, 1015, 1020};

		CHECK_INT(s.ts[i], want[i]);
		CHECK_INT(s.cpu[i], i % 2);
	}
	CHECK_INT(kraw_lost(r), 1);
	CHECK_INT(kraw_read(r, UINT64_MAX, note, &s, &e), 0);
	CHECK_INT(s.n, 7);
	CHECK_INT(s.ts[6], 1110);
	kraw_close(r);
	cleanup(t);
}

TEST_MAIN()
