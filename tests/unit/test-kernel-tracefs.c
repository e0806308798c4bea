/* The tracing file system, by a directory of plain files in place of the kernel's. */
#include "fake-tracefs.h"
#include "kernel/filter.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct tracefs *setup(void)
{
	fake_begin();
	put("trace_clock", "[local] global x86-tsc");
	put("available_events", "sched:sched_switch\nsched:sched_waking\nirq:softirq_raise\n");
	put("events/sched/sched_switch/format", "name: sched_switch\nID: 1\nformat:\n");
	put("events/sched/sched_switch/enable", "0");
	return fake_open();
}

TEST(what_is_not_there)
{
	struct tracefs *t = NULL;
	struct error e = {0};

	CHECK_INT(tracefs_open("/nonexistent", &t, &e), -ENOENT);
	CHECK(!t && strstr(e.message, "tracefs") && e.hint[0]);
}

TEST(events_by_pattern)
{
	struct tracefs *t = setup();
	struct {
		const char *pattern;
		size_t n;
	} cases[] = {{NULL, 3}, {"sched:*", 2}, {"*:*s*", 3}, {"sched", 2}, {"softirq_raise", 1},
		{"sched:sched_wa?ing", 1}, {"sched:", 0}, {":sched_switch", 0}, {"none", 0}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		AUTO(tracefs_events) struct tracefs_events l = {0};

		CHECK_INT(tracefs_events(t, cases[i].pattern, &l, NULL), 0);
		CHECK_INT(l.n, cases[i].n);
		if (l.n == 3)
			CHECK_STR(l.all[0].system, "irq"); /* in order */
	}
	cleanup(t);
}

TEST(what_a_pattern_may_have_meant)
{
	struct tracefs *t = setup();
	static const struct {
		const char *pattern, *meant;
	} cases[] = {{"sched:sched_swich", "sched:sched_switch"}, {"shced:*", "sched:*"},
		{"shced:sched_wakeing", "sched:sched_waking"}, {"sched_swicth", "sched_switch"},
		{"scehd", "sched"}, {"sched/sched_switch", "sched:sched_switch"},
		{"sched:sched_swich*", "sched:sched_switch*"}, {"switch", "*switch*"},
		{"sched:switch", "sched:*switch*"}, {"sched:switch*", "sched:*switch*"},
		{"switch*", "*switch*"}, {"nothing:*switch*", "*:*switch*"},
		{"irq:sched_switch", "*:sched_switch"}, {"net:dev_queue", NULL},
		{"nothing:*", NULL}, {":", NULL}, {"", NULL}, {"/", NULL}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error e = {0};
		char hint[128];

		CHECK_INT(tracefs_no_event(t, cases[i].pattern, &e), -ENOENT);
		CHECK(strstr(e.message, cases[i].pattern) != NULL);
		(void)snprintf(hint, sizeof(hint), "did you mean '%s'?",
			cases[i].meant ? cases[i].meant : "");
		if (cases[i].meant)
			CHECK_STR(e.hint, hint);
		else
			CHECK(strstr(e.hint, "cairn kernel list"));
	}
	cleanup(t);
}

TEST(rules_with_filters)
{
	static const struct {
		const char *rule, *pattern, *filter;
	} cases[] = {{"sched:*", "sched:*", NULL}, {"a:b if c == 1", "a:b", "c == 1"},
		{"a:b  if \t c == 1 ", "a:b", "c == 1 "}, {"a:b if", "a:b", ""},
		{"a:b if ", "a:b", ""}, {"if", "if", NULL}, {"net:netif_rx ", "net:netif_rx", NULL},
		{"a:if if if == 2", "a:if", "if == 2"}, {"a:b iff", "a:b iff", NULL},
		{"", "", NULL}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t n = 99;
		const char *filter = kfilter_split(cases[i].rule, &n);

		CHECK_INT(n, strlen(cases[i].pattern));
		CHECK(strncmp(cases[i].rule, cases[i].pattern, n) == 0);
		CHECK(!filter == !cases[i].filter);
		if (filter && cases[i].filter)
			CHECK_STR(filter, cases[i].filter);
	}
}

TEST(an_instance_and_its_files)
{
	struct tracefs *t = setup(), *i = NULL;
	struct error e = {0};
	AUTO(buf) struct buf b = {0};
	const int32_t pids[] = {12, 345};
	char path[256];
	bool alive = false;

	CHECK_INT(tracefs_instance_new(t, &i, &e), 0);
	CHECK(tracefs_instance_owner(i->name, &alive) && alive);
	CHECK_INT(tracefs_format(i, "sched", "sched_switch", &b, &e), 0);
	CHECK(b.len > 20);
	(void)snprintf(path, sizeof(path), "instances/%s/set_event_pid", i->name);
	put(path, "1\n");
	CHECK_INT(tracefs_pids(i, pids, 2, &e), 0);
	check_file(path, "12\n345\n");
	(void)snprintf(path, sizeof(path), "instances/%s/buffer_size_kb", i->name);
	put(path, "");
	CHECK_INT(tracefs_buffer(i, 1u << 20, &e), 0);
	check_file(path, "1024");
	CHECK_INT(tracefs_clock(i, "x86-tsc", &e), -ENOENT);
	CHECK(strstr(e.message, "trace_clock") != NULL);
	CHECK_INT(tracefs_enable(i, "../..", "x", true, &e), -ENAMETOOLONG);
	CHECK_INT(tracefs_instance_remove(i, &e), 0);
	CHECK(there("instances/other"));
	*strrchr(path, '/') = 0;
	CHECK(!there(path));
	cleanup(t);
}

TEST(owners)
{
	char name[128];
	bool alive = true;

	CHECK(!tracefs_instance_owner("other", &alive));
	CHECK(!tracefs_instance_owner("cairn-", &alive));
	CHECK(!tracefs_instance_owner("cairn-12-34", &alive));
	CHECK(!tracefs_instance_owner("cairn-12-34-5x", &alive));
	CHECK(!tracefs_instance_owner("cairn--1-34-5", &alive));
	/* this process's number, but started at another time: it is another one's */
	(void)snprintf(name, sizeof(name), "cairn-%d-1-0", getpid());
	CHECK(tracefs_instance_owner(name, &alive) && !alive);
}

TEST(the_dead_are_swept)
{
	struct tracefs *t = setup(), *mine = NULL;
	struct error e = {0};
	pid_t child = fork();
	int status = 0;

	if (child == 0) { /* dies with its instance */
		struct tracefs *i = NULL;

		_exit(tracefs_instance_new(t, &i, &e) == 0 ? 0 : 1);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK_INT(tracefs_instance_new(t, &mine, &e), 0);
	put("instances/cairn-999999999-5-0/set_event", "x");
	put("instances/cairn-user-made/set_event", "x");
	CHECK_INT(tracefs_sweep(t), 2);
	CHECK_INT(tracefs_sweep(t), 0);
	CHECK(there("instances/other") && there("instances/cairn-user-made"));
	CHECK(faccessat(mine->fd, ".", F_OK, 0) == 0);
	CHECK_INT(tracefs_instance_remove(mine, &e), 0);
	cleanup(t);
}

/* A probe made at boot may be in instances only. */
TEST(a_format_that_the_top_lacks)
{
	struct tracefs *t = setup(), *i = NULL;
	AUTO(buf) struct buf b = {0};

	put("instances/other/events/kprobes/x/format", "name: x\n");
	CHECK_INT(tracefs_instance_open(t, "other", &i, NULL), 0);
	CHECK_INT(tracefs_format(t, "kprobes", "x", &b, NULL), -ENOENT);
	CHECK_INT(tracefs_format(i, "kprobes", "x", &b, NULL), 0);
	CHECK_STR(b.data, "name: x\n");
	tracefs_free(i);
	cleanup(t);
}

TEST(filters_that_are_refused)
{
	struct tracefs *t = setup();
	struct error e = {0};
	AUTO(fd) int fd = -1;

	/* the kernel's file refuses the write; a read-only directory entry stands for it */
	CHECK_INT(tracefs_filter(t, "sched", "sched_waking", "prev_pid == 1", &e), -ENOENT);
	CHECK(strstr(e.message, "prev_pid == 1") && strstr(e.message, "sched:sched_waking"));
	/* by the format, before the kernel is asked */
	put("events/sched/sched_switch/format",
		"name: sched_switch\nID: 1\nformat:\n"
		"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"
		"\tfield:pid_t prev_pid;\toffset:8;\tsize:4;\tsigned:1;\n\nprint fmt: \"\"\n");
	CHECK_INT(tracefs_filter(t, "sched", "sched_switch", "prev_pid = 1", &e), -EINVAL);
	CHECK_STR(e.where, "filter 'prev_pid = 1', column 10");
	CHECK(strstr(e.message, "an operator is missing") && strstr(e.hint, "=="));
	put("error_log",
		"[  1.0] event filter parse error: error: First one\n  Command: a\n           ^\n"
		"[  9.5] trace_kprobe: error: Failed to find symbol\n"
		"  Command: p nosuch arg=1\n"
		"             ^\n");
	e = (struct error){.message = "refused"};
	tracefs_error_log(t, &e);
	CHECK_STR(e.message, "refused: Failed to find symbol");
	CHECK_STR(e.hint, "here: p  >>nosuch arg=1");
	cleanup(t);
}

TEST_MAIN()
