/* src/session as its users see it: a host in this process, programs played by fake-runtime.h. */
#include "session-fixture.h"

TEST(records_what_a_program_fires)
{
	struct fixture f;
	struct cairn_report rep;
	struct cairn_session_info *list = NULL;
	size_t n = 0;

	if (!thread_rseq())
		SKIP("no rseq");
	if (fixture_init(&f, CAIRN_WANT_CHILDREN))
		return;
	CHECK_INT(create(&f, "one", "fake:*", NULL), 0);
	CHECK_INT(cairn_session_start(f.ctl, "one", 1000, &rep, &f.err), 0);
	CHECK_INT(rep.asked, 0);

	struct fake p = fake_start(cairn_host_socket(f.host), false);
	CHECK_INT(await(&f, &p), 's');
	emit(&f, &p, 1000);
	CHECK_INT(cairn_session_stop(f.ctl, "one", 5000, &rep, &f.err), 0);
	CHECK_INT(rep.asked, 1);
	CHECK_INT(rep.acted, 1);
	CHECK_INT(cairn_session_list(f.ctl, "one", &list, &n, &f.err), 0);
	CHECK_INT(n, 1);
	if (n == 1) {
		CHECK_INT(list->stats.events, 2000);
		CHECK_INT(list->stats.lost_total, 0);
		CHECK_INT(list->state, CAIRN_SESSION_STOPPED);
		CHECK_INT(list->nrules, 1);
		CHECK_STR(list->channels[0].name, "channel0");
		if (have_babeltrace()) {
			CHECK_INT(count_lines(list->output, "fake:first"), 1000);
			CHECK_INT(count_lines(list->output, "fake:second"), 1000);
			CHECK_INT(count_lines(list->output, "other:third"), 0);
			CHECK(count_lines(list->output, "cairn_state:") > 0);
		}
	}
	cairn_session_list_free(list);
	CHECK_INT(cairn_session_stop(f.ctl, "one", 0, NULL, &f.err), -EALREADY);
	CHECK_INT(cairn_session_destroy(f.ctl, "one", &f.err), 0);
	CHECK_INT(cairn_session_destroy(f.ctl, "one", &f.err), -ENOENT);
	fake_stop(&p);
	fixture_done(&f);
}

TEST(sessions_and_channels_do_not_mix)
{
	struct cairn_channel_config ch[2] = {{.name = "a", .contexts = "tid"},
		{.name = "b", .contexts = "tid", .ring_bytes = 1 << 16}};
	struct cairn_rule rules[2] = {{.pattern = "fake:first", .loglevel = -1, .channel = "a"},
		{.pattern = "fake:*", .loglevel = 5, .loglevel_only = 1, .channel = "b"}};
	struct cairn_session_config cfg = {.size = sizeof(cfg), .name = "two", .output_fd = -1};
	struct fixture f;
	struct cairn_session_info *i;

	if (!thread_rseq())
		SKIP("no rseq");
	if (fixture_init(&f, CAIRN_WANT_CHILDREN))
		return;
	cfg.channels = ch;
	cfg.nchannels = 2;
	cfg.rules = rules;
	cfg.nrules = 2;
	CHECK_INT(cairn_session_create(f.ctl, &cfg, &f.err), 0);
	CHECK_INT(cairn_session_create(f.ctl, &cfg, &f.err), -EEXIST);
	CHECK_INT(create(&f, "third", "other", NULL), 0);

	struct fake p = fake_start(cairn_host_socket(f.host), false);
	CHECK_INT(await(&f, &p), 's');
	CHECK_INT(cairn_session_start(f.ctl, "two", 5000, NULL, &f.err), 0);
	CHECK_INT(cairn_session_start(f.ctl, "third", 5000, NULL, &f.err), 0);
	CHECK_INT(cairn_channel_add(f.ctl, "two", &ch[0], &f.err), -EBUSY);
	emit(&f, &p, 10);
	CHECK_INT(cairn_session_disable(f.ctl, "two", "fake:first", NULL, 5000, NULL, &f.err), 0);
	emit(&f, &p, 10);
	rules[0].channel = NULL;
	CHECK_INT(cairn_session_enable(f.ctl, "two", &rules[0], 5000, NULL, &f.err), 0);
	emit(&f, &p, 10);
	rules[0].channel = "none";
	CHECK_INT(cairn_session_enable(f.ctl, "two", &rules[0], 0, NULL, &f.err), -ENOENT);
	CHECK_INT(cairn_session_stop(f.ctl, "two", 5000, NULL, &f.err), 0);
	CHECK_INT(cairn_session_stop(f.ctl, "third", 5000, NULL, &f.err), 0);
	i = info(&f, "two");
	if (i) {
		CHECK_INT(i->nchannels, 2);
		CHECK_INT(i->channels[0].stats.events, 20);
		CHECK_INT(i->channels[1].stats.events, 30);
	}
	cairn_session_list_free(i);
	CHECK_INT(events_of(&f, "third"), 30);
	/* and once more */
	CHECK_INT(cairn_session_start(f.ctl, "third", 5000, NULL, &f.err), 0);
	emit(&f, &p, 5);
	CHECK_INT(cairn_session_stop(f.ctl, "third", 5000, NULL, &f.err), 0);
	CHECK_INT(events_of(&f, "third"), 35);
	i = info(&f, "third");
	if (i && have_babeltrace())
		CHECK_INT(count_lines(i->output, "other:third"), 35);
	cairn_session_list_free(i);
	fake_stop(&p);
	fixture_done(&f);
}

TEST(snapshots_and_chunks)
{
	struct cairn_channel_config ch = {.mode = CAIRN_CHANNEL_OVERWRITE, .ring_bytes = 1 << 16},
				    all = {.ring_bytes = 4
						    << 20}; /* though nobody reads meanwhile */
	struct fixture f;
	char one[256] = "", two[256] = "", chunk[256] = "";

	if (!thread_rseq())
		SKIP("no rseq");
	if (!have_babeltrace())
		SKIP("no babeltrace2");
	if (fixture_init(&f, CAIRN_WANT_CHILDREN))
		return;
	CHECK_INT(create(&f, "flight", "fake:first", &ch), 0);
	CHECK_INT(create(&f, "plain", "fake:first", &all), 0);
	CHECK_INT(cairn_session_start(f.ctl, "flight", 0, NULL, &f.err), 0);
	CHECK_INT(cairn_session_start(f.ctl, "plain", 0, NULL, &f.err), 0);

	struct fake p = fake_start(cairn_host_socket(f.host), false);
	CHECK_INT(await(&f, &p), 's');
	emit(&f, &p, 100);
	CHECK_INT(cairn_session_snapshot(f.ctl, "flight", NULL, one, sizeof(one), &f.err), 0);
	CHECK_INT(count_lines(one, "fake:first"), 100);
	CHECK(count_lines(one, "cairn_state:") > 0);
	emit(&f, &p, 100000);
	CHECK_INT(cairn_session_snapshot(
			  f.ctl, "flight", in_scratch("snap"), two, sizeof(two), &f.err),
		0);
	CHECK(count_lines(two, "fake:first") > 3000);
	CHECK_INT(cairn_session_snapshot(f.ctl, "flight", two, NULL, 0, &f.err), -EEXIST);
	CHECK_INT(cairn_session_snapshot(f.ctl, "plain", NULL, NULL, 0, &f.err), -ENOTSUP);

	CHECK_INT(cairn_session_rotate(f.ctl, "plain", chunk, sizeof(chunk), &f.err), 0);
	CHECK_INT(count_lines(chunk, "fake:first"), 100100);
	emit(&f, &p, 7);
	CHECK_INT(cairn_session_rotate(f.ctl, "plain", chunk, sizeof(chunk), &f.err), 0);
	CHECK_INT(count_lines(chunk, "fake:first"), 7);
	CHECK(count_lines(chunk, "cairn_state:") > 0);
	CHECK_INT(cairn_session_destroy(f.ctl, "plain", &f.err), 0);
	CHECK_INT(cairn_session_destroy(f.ctl, "flight", &f.err), 0);
	fake_stop(&p);
	fixture_done(&f);
}

TEST(says_which_programs_have_not_acted)
{
	struct fixture f;
	struct cairn_report rep;

	if (fixture_init(&f, CAIRN_WANT_CHILDREN))
		return;
	CHECK_INT(create(&f, "late", "fake:*", NULL), 0);
	struct fake p = fake_start(cairn_host_socket(f.host), true);
	CHECK_INT(await(&f, &p), 's');
	CHECK_INT(cairn_session_start(f.ctl, "late", 20, &rep, &f.err), 0);
	CHECK_INT(rep.asked, 1);
	CHECK_INT(rep.acted, 0);
	CHECK_INT(rep.late, 1);
	CHECK_INT(rep.late_pid[0], p.pid);
	CHECK_INT(rep.late_pid[1], 0);
	CHECK_INT(cairn_session_stop(f.ctl, "late", 20, &rep, &f.err), 0);
	CHECK_INT(rep.late, 1);
	fake_stop(&p);
	fixture_done(&f);
}

TEST(refuses_what_makes_no_sense)
{
	struct cairn_channel_config ch = {.name = "../x"};
	struct fixture f, g;
	struct cairn_host_options o = {.size = sizeof(o), .name = "test"};

	if (fixture_init(&f, CAIRN_WANT_ALL))
		return;
	CHECK_INT(create(&f, "a/b", NULL, NULL), -EINVAL);
	CHECK_INT(create(&f, "", NULL, NULL), -EINVAL);
	CHECK_INT(create(&f, "ok", NULL, &ch), -EINVAL);
	ch = (struct cairn_channel_config){.ring_bytes = 1};
	CHECK_INT(create(&f, "ok", NULL, &ch), -EINVAL);
	ch = (struct cairn_channel_config){.contexts = "tid,moon"};
	CHECK_INT(create(&f, "ok", NULL, &ch), -EINVAL);
	CHECK(strstr(f.err.message, "moon") != NULL);
	CHECK_INT(cairn_session_start(f.ctl, "none", 0, NULL, &f.err), -ENOENT);
	memset(&g, 0, sizeof(g));
	o.rundir = in_scratch("run");
	CHECK_INT(cairn_host_new(&o, &g.host, &g.err), -EADDRINUSE);
	fixture_done(&f);
}

/* ---- hosts in processes of their own ---- */

struct daemon {
	pid_t pid;
	char socket[128];
};

static struct daemon daemon_start(const char *name)
{
	struct daemon d;
	int up[2];
	char c;

	CHECK_INT(pipe(up), 0);
	(void)in_scratch("");
	d.pid = fork();
	if (d.pid == 0) {
		struct cairn_host_options o = {.size = sizeof(o), .name = name};
		struct cairn_host *h;
		int r;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		o.rundir = in_scratch("run");
		o.output_root = in_scratch("daemon");
		if (cairn_host_new(&o, &h, NULL) < 0)
			_exit(1);
		(void)!write(up[1], "u", 1);
		do
			r = cairn_host_step(h, -1);
		while (r == 0);
		cairn_host_free(h);
		_exit(r == -ESHUTDOWN ? 0 : 2);
	}
	close(up[1]);
	CHECK_INT(read(up[0], &c, 1), 1);
	close(up[0]);
	snprintf(d.socket, sizeof(d.socket), "%s/hosts/%s.sock", in_scratch("run"), name);
	return d;
}

/* A program's answer, with the host in another process. */
static char answer(const struct fake *p)
{
	char c = 0;

	return read(p->from, &c, 1) == 1 ? c : 0;
}

static void emit_remote(const struct fake *p, uint32_t times)
{
	char cmd[5] = "e";

	memcpy(cmd + 1, &times, 4);
	CHECK_INT(write(p->to, cmd, 5), 5);
	CHECK_INT(answer(p), 'e');
}

TEST(a_daemon_obeys_over_its_socket)
{
	struct daemon d = daemon_start("daemon");
	struct fixture f = {0};
	struct cairn_process_info *progs = NULL;
	struct cairn_host_info h;
	struct cairn_report rep;
	size_t n = 0;
	int status = -1;

	setenv("CAIRN_RUNDIR", in_scratch("run"), 1);
	CHECK_INT(cairn_connect("nobody", &f.ctl, &f.err), -ENOENT);
	CHECK_INT(cairn_connect(NULL, &f.ctl, &f.err), 0);
	unsetenv("CAIRN_RUNDIR");
	if (!f.ctl)
		return;
	CHECK_INT(create(&f, "far", "fake:*", NULL), 0);
	struct fake p = fake_start(d.socket, false);
	CHECK_INT(answer(&p), 's');
	CHECK_INT(cairn_session_start(f.ctl, "far", 5000, &rep, &f.err), 0);
	CHECK_INT(rep.acted, 1);
	CHECK_INT(cairn_process_list(f.ctl, 0, CAIRN_LIST_EVENTS, &progs, &n, &f.err), 0);
	CHECK_INT(n, 1);
	if (n == 1) {
		CHECK_INT(progs->pid, p.pid);
		CHECK_STR(progs->comm, "fake");
		CHECK_INT(progs->nevents, 3);
		CHECK_STR(progs->events[0].event, "first");
		CHECK_STR(progs->events[0].fields[0].type, "int32");
		CHECK_INT(progs->events[0].enabled, 1);
		CHECK_INT(progs->events[2].enabled, 0);
	}
	cairn_process_list_free(progs);
	CHECK_INT(cairn_host_info(f.ctl, &h, &f.err), 0);
	CHECK_INT(h.pid, d.pid);
	CHECK_INT(h.processes, 1);
	CHECK_INT(h.sessions, 1);
	if (thread_rseq()) {
		emit_remote(&p, 50);
		CHECK_INT(cairn_session_stop(f.ctl, "far", 5000, &rep, &f.err), 0);
		CHECK_INT(events_of(&f, "far"), 100);
	}
	CHECK_INT(cairn_host_shutdown(f.ctl, &f.err), 0);
	CHECK_INT(waitpid(d.pid, &status, 0), d.pid);
	CHECK_INT(status, 0);
	CHECK(access(d.socket, F_OK) < 0);
	CHECK(access(in_scratch("run/libcairn-rt.so"), F_OK) < 0);
	fake_stop(&p);
	cairn_control_free(f.ctl);
}

TEST(a_new_host_takes_over)
{
	struct daemon d = daemon_start("first");
	struct fixture f = {0};
	char cmd[109] = "a";
	struct cairn_session_info *i;

	if (!thread_rseq())
		SKIP("no rseq");
	CHECK_INT(cairn_connect(d.socket, &f.ctl, &f.err), 0);
	if (!f.ctl)
		return;
	CHECK_INT(create(&f, "orphan", "fake:first", NULL), 0);
	CHECK_INT(cairn_session_start(f.ctl, "orphan", 5000, NULL, &f.err), 0);
	struct fake p = fake_start(d.socket, false);
	CHECK_INT(answer(&p), 's');
	CHECK_INT(kill(d.pid, SIGKILL), 0);
	CHECK_INT(waitpid(d.pid, NULL, 0), d.pid);
	cairn_control_free(f.ctl);
	emit_remote(&p, 40); /* nobody listens */

	d = daemon_start("second");
	CHECK(access(in_scratch("run/hosts/first.sock"), F_OK) < 0);
	snprintf(cmd + 1, sizeof(cmd) - 1, "%.107s", d.socket);
	CHECK_INT(write(p.to, cmd, sizeof(cmd)), sizeof(cmd));
	CHECK_INT(answer(&p), 'a');
	emit_remote(&p, 2);
	f.ctl = NULL;
	CHECK_INT(cairn_connect(d.socket, &f.ctl, &f.err), 0);
	if (!f.ctl)
		return;
	CHECK_INT(cairn_session_stop(f.ctl, "orphan", 5000, NULL, &f.err), 0);
	i = info(&f, "orphan");
	if (i) {
		CHECK_INT(i->recovered, 1);
		if (have_babeltrace())
			CHECK_INT(count_lines(i->output, "fake:first"), 42);
	}
	cairn_session_list_free(i);
	cairn_control_free(f.ctl);
	fake_stop(&p);
	CHECK_INT(kill(d.pid, SIGKILL), 0);
	CHECK_INT(waitpid(d.pid, NULL, 0), d.pid);
}

TEST_MAIN()
