/* Programs traced by today's runtime, and the records they must give (runtime-program.c, under the
 * host of runtime-host.c). Arguments: the program, the runtime, the plugin. */
#include "e2e/runtime-host.h"
#include "test.h"
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *program, *static_program;

static struct host *started(const struct ringset_config *cfg, const char *what)
{
	static struct host h;
	const char *argv[] = {program, what, NULL};

	host_start(&h, cfg);
	host_run(&h, argv);
	return &h;
}

static void check_ended(struct host *h)
{
	CHECK(!h->timed_out);
	CHECK(WIFEXITED(h->status));
	CHECK_INT(WEXITSTATUS(h->status), 0);
}

/* Runs the program to its end and takes the records. */
static struct host *ran(const struct ringset_config *cfg, const char *what)
{
	struct host *h = started(cfg, what);

	host_serve_end(h);
	host_collect(h);
	check_ended(h);
	return h;
}

TEST(events_from_the_first_on)
{
	struct host *h = ran(NULL, "once");

	CHECK_INT(h->npeers, 1);
	CHECK_INT(host_count(h, "test:tick"), 100);
	CHECK_INT(host_sum(h, "test:tick"), 5050);
	CHECK_INT(host_count_tid(h, "test:tick", h->program), 100);
	CHECK_INT(host_lost(h), 0);
	CHECK_INT(h->peers[0].failed, 0);
	host_end(h);
}

TEST(events_before_main_and_after_it)
{
	struct host *h = ran(NULL, "edges");

	CHECK_INT(host_count(h, "test:edge"), 5);
	CHECK_INT(host_sum(h, "test:edge"), 11111);
	CHECK_INT(host_tids(h, "test:edge"), 2);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(threads)
{
	struct host *h = ran(NULL, "threads");

	CHECK_INT(host_count(h, "test:tick"), 8000);
	CHECK_INT(host_tids(h, "test:tick"), 8);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(slots_of_dead_threads_serve_again)
{
	struct ringset_config cfg = {.mode = CAIRN_MODE_DISCARD, .ring_bytes = 4 << 20};
	struct host *h = ran(&cfg, "many-threads");

	CHECK_INT(host_count(h, "test:tick"), 30000);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(signal_handlers_fire)
{
	struct ringset_config cfg = {.mode = CAIRN_MODE_DISCARD, .ring_bytes = 256 << 20};
	struct host *h = ran(&cfg, "signals");

	CHECK_INT(host_count(h, "test:signal"), host_sum(h, "test:total"));
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(fork_children_record)
{
	struct host *h = ran(NULL, "forks");

	CHECK_INT(host_sum(h, "test:tick"), 20 * 5050 + 20 * 1000);
	CHECK_INT(host_tids(h, "test:tick"), 21);
	CHECK_INT(host_count_tid(h, "test:tick", h->program), 20);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(raw_clone_child_records)
{
	struct host *h = ran(NULL, "raw-clone");

	CHECK_INT(host_count(h, "test:rawchild"), 50);
	CHECK_INT(host_count_tid(h, "test:rawchild", h->program), 0);
	CHECK_INT(host_count_tid(h, "test:tick", h->program), 2);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(vfork_children_record)
{
	struct host *h = ran(NULL, "vforks");

	CHECK_INT(host_count(h, "test:vchild"), 20);
	CHECK_INT(host_tids(h, "test:vchild"), 20);
	CHECK_INT(host_count_tid(h, "test:vchild", h->program), 0);
	CHECK_INT(host_count_tid(h, "test:tick", h->program), 20);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(unshare_is_as_untraced)
{
	struct host *h = started(NULL, "unshares");

	CHECK(host_serve_step(h));
	while (h->npeers < 2 || h->peers[1].acks < 2)
		if (!host_serve_once(h))
			break;
	host_go(h);
	host_serve_end(h);
	host_collect(h);
	if (h->status == 42 << 8) {
		host_end(h);
		SKIP("user namespaces are not allowed here");
	}
	check_ended(h);
	CHECK_INT(host_sum(h, "test:tick"), 3);
	host_end(h);
}

TEST(task_on_a_borrowed_thread_area_is_counted)
{
	struct host *h = ran(NULL, "foreign");

	CHECK_INT(host_count(h, "test:foreign"), 0);
	CHECK_INT(h->lost[CAIRN_LOST_FOREIGN], 1);
	CHECK_INT(host_count_tid(h, "test:tick", h->program), 2);
	host_end(h);
}

TEST(daemon_goes_on)
{
	struct host *h = started(NULL, "daemon");

	CHECK(host_serve_step(h)); /* the child's: its parent may have ended long before */
	host_go(h);
	host_serve_end(h);
	host_collect(h);
	check_ended(h);
	CHECK_INT(host_sum(h, "test:tick"), 3);
	CHECK_INT(host_tids(h, "test:tick"), 2);
	host_end(h);
}

TEST(closing_all_descriptors_loses_nothing)
{
	struct host *h = started(NULL, "closes");

	CHECK(host_serve_step(h));
	host_switch(h, false);
	host_switch(h, true);
	host_go(h);
	host_serve_end(h);
	host_collect(h);
	check_ended(h);
	CHECK_INT(host_sum(h, "test:tick"), 3);
	host_end(h);
}

TEST(exit_while_threads_fire)
{
	for (int i = 0; i < 10; i++) {
		struct host *h = ran(NULL, "exits");

		CHECK(host_count(h, "test:tick") > 0);
		host_end(h);
	}
}

TEST(plugins_come_and_go)
{
	struct ringset_config cfg = {.mode = CAIRN_MODE_DISCARD, .ring_bytes = 256 << 20};
	struct host *h = ran(&cfg, "plugins");

	CHECK_INT(host_count(h, "plugin:work"), 100);
	CHECK_INT(host_sum(h, "plugin:work"), 99 * 100 / 2);
	host_end(h);
}

TEST(switching_beside_threads_that_block_all_signals)
{
	struct host *h = started(NULL, "flips");

	CHECK(host_serve_step(h));
	for (int i = 0; i < 200; i++)
		host_switch(h, i & 1);
	CHECK_INT(h->peers[0].failed, 0);
	host_go(h);
	host_serve_end(h);
	host_collect(h);
	check_ended(h);
	CHECK(host_count(h, "test:tick") > 0);
	host_end(h);
}

TEST(disabled_means_nothing_more)
{
	struct host *h = started(NULL, "idle");

	CHECK(host_serve_step(h));
	host_switch(h, false);
	host_go(h);
	CHECK(host_serve_step(h));
	host_go(h);
	host_serve_end(h);
	host_collect(h);
	check_ended(h);
	CHECK_INT(host_count(h, "test:tick"), 0);
	host_end(h);
}

TEST(host_dies_and_another_takes_over)
{
	struct host *h = started(NULL, "takeover");
	uint32_t last;

	CHECK(host_serve_step(h));
	host_die(h);
	host_go(h);
	CHECK(host_serve_step(h)); /* records without a host */
	host_listen(h);
	last = h->npeers;
	while (h->npeers == last || !h->peers[last].have_events)
		if (!host_serve_once(h))
			break;
	CHECK(h->peers[last].hello.flags & CAIRN_HELLO_AGAIN);
	CHECK_INT(h->peers[last].haves, 1);
	host_go(h);
	CHECK(host_serve_step(h));
	host_go(h);
	host_serve_end(h);
	host_collect(h);
	check_ended(h);
	CHECK_INT(host_sum(h, "test:tick"), 6);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(closed_sets_leave_the_program_unharmed)
{
	struct host *h = started(NULL, "jumps");

	CHECK(host_serve_step(h));
	host_close_sets(h);
	host_go(h);
	CHECK(host_serve_step(h));
	host_go(h);
	host_serve_end(h);
	host_collect(h);
	check_ended(h);
	CHECK_INT(host_count(h, "test:tick"), 100);
	host_end(h);
}

TEST(large_payloads)
{
	struct ringset_config cfg = {.mode = CAIRN_MODE_DISCARD, .ring_bytes = 4 << 20};
	struct host *h = ran(&cfg, "large");

	CHECK_INT(host_count(h, "test:large"), 1);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
	h = ran(NULL, "large"); /* a block of 64 KiB holds it not */
	CHECK_INT(host_count(h, "test:after"), 1);
	CHECK_INT(h->lost[CAIRN_LOST_TOO_BIG] + host_count(h, "test:large"), 1);
	host_end(h);
}

TEST(declined)
{
	static struct host h;
	const char *argv[] = {program, "once", NULL};

	host_start(&h, NULL);
	h.decline = true;
	host_run(&h, argv);
	host_serve_end(&h);
	check_ended(&h);
	host_collect(&h);
	CHECK_INT(host_count(&h, "test:tick"), 0);
	CHECK_INT(h.npeers, 1);
	host_end(&h);
}

TEST(full_rings_are_counted)
{
	struct ringset_config cfg = {.mode = CAIRN_MODE_DISCARD, .ring_bytes = 64 << 10};
	struct host *h = ran(&cfg, "threads");

	CHECK_INT(host_count(h, "test:tick") + h->lost[CAIRN_LOST_FULL], 8000);
	host_end(h);
}

TEST(blocking_mode_gives_up)
{
	struct ringset_config cfg = {
		.mode = CAIRN_MODE_BLOCK, .ring_bytes = 64 << 10, .block_ns = 1000000};
	struct host *h = ran(&cfg, "threads");

	CHECK_INT(host_count(h, "test:tick") + h->lost[CAIRN_LOST_TIMEOUT], 8000);
	host_end(h);
}

/* Who waits for a reader does not do so after its death, however long it might. */
TEST(blocking_mode_notices_a_dead_host)
{
	struct ringset_config cfg = {
		.mode = CAIRN_MODE_BLOCK, .ring_bytes = 64 << 10, .block_ns = 10000000000u};
	struct host *h = started(&cfg, "many-threads");
	time_t begin;

	host_serve_blocked(h);
	begin = time(NULL);
	host_die(h);
	host_serve_end(h);
	CHECK(time(NULL) - begin < 8); /* less than one wait */
	host_collect(h);
	check_ended(h);
	CHECK_INT(host_count(h, "test:tick") + h->lost[CAIRN_LOST_TIMEOUT], 30000);
	host_end(h);
}

static void let_others_in(const struct host *h)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/hosts", h->dir);
	CHECK(chmod(h->dir, 0755) == 0 && chmod(path, 0755) == 0 && chmod(h->socket, 0777) == 0);
}

/* Like h->set; the caller's to free. */
static struct ringset *another_set(struct host *h)
{
	struct ringset *s = NULL;

	h->cfg.kind = CAIRN_RING_PERCPU;
	h->cfg.nrings = ringset_hdr(h->set)->nrings;
	CHECK_INT(ringset_create(&h->cfg, &s), 0);
	return s;
}

/* A record that waits for room in the rings that are being left is put there, though the program has
 * others already. */
TEST(waiting_for_room_while_the_user_changes)
{
	struct ringset_config cfg = {
		.mode = CAIRN_MODE_BLOCK, .ring_bytes = 64 << 10, .block_ns = 10000000000u};
	const char *argv[] = {program, "another-user", NULL};
	static struct host h;
	struct ringset *old, *fresh;

	if (geteuid() != 0)
		SKIP("needs root");
	host_start(&h, &cfg);
	let_others_in(&h);
	host_run(&h, argv);
	CHECK(host_serve_step(&h));
	host_serve_blocked(&h);
	old = h.set;
	h.set = fresh = another_set(&h);
	host_go(&h);
	while (h.npeers < 2 || h.peers[h.npeers - 1].acks < 2) /* one more only asks who we are */
		if (!host_serve_once(&h))
			break;
	host_switch(&h, true); /* it is answered after SYNCED has been heard */
	h.set = old;
	host_collect(&h);
	CHECK_INT(host_lost(&h), 0);
	h.set = fresh;
	CHECK(host_serve_step(&h));
	host_go(&h);
	host_serve_end(&h);
	host_collect(&h);
	CHECK_INT(host_lost(&h), 0);
	h.set = old;
	host_collect(&h);
	check_ended(&h);
	CHECK_INT(host_count(&h, "test:tick"), 6000);
	CHECK_INT(host_sum(&h, "test:tick"), 6000 * 6001 / 2);
	CHECK_INT(host_lost(&h), 0);
	ringset_free(fresh);
	host_end(&h);
}

static const struct host_peer *forked_peer(const struct host *h)
{
	for (uint32_t i = 0; i < h->npeers && i < HOST_PEERS; i++)
		if ((h->peers[i].hello.flags & CAIRN_HELLO_FORKED) && h->peers[i].acks >= 2)
			return &h->peers[i];
	return NULL;
}

/* It does not show the rings of the user that it was: a host would switch off what goes there, and events
 * would be lost until it has given others. */
TEST(a_fork_child_of_another_user)
{
	const char *argv[] = {program, "child-of-another-user", NULL};
	const struct host_peer *p;
	static struct host h;

	if (geteuid() != 0)
		SKIP("needs root");
	host_start(&h, NULL);
	let_others_in(&h);
	host_run(&h, argv);
	CHECK(host_serve_step(&h));
	while (!(p = forked_peer(&h)))
		if (!host_serve_once(&h))
			break;
	CHECK(p && p->haves + p->have_events == 0);
	host_go(&h);
	host_serve_end(&h);
	host_collect(&h);
	check_ended(&h);
	CHECK_INT(host_sum(&h, "test:tick"), 7);
	CHECK_INT(host_lost(&h), 0);
	host_end(&h);
}

TEST(threads_without_rseq)
{
	struct host *h;

	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	h = ran(NULL, "threads");
	unsetenv("GLIBC_TUNABLES");
	CHECK_INT(host_count(h, "test:tick"), 8000);
	CHECK_INT(host_tids(h, "test:tick"), 8);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

TEST(under_valgrind)
{
	static struct host h;
	const char *argv[] = {"valgrind", "-q", "--error-exitcode=9", program, "late", NULL};

	if (system("valgrind --version >/dev/null 2>&1") != 0)
		SKIP("no valgrind");
	host_start(&h, NULL);
	host_run(&h, argv);
	CHECK(host_serve_step(&h)); /* 50 ms may be too short for valgrind */
	while (!h.npeers || h.peers[0].acks < 3)
		if (!host_serve_once(&h))
			break;
	host_go(&h);
	host_serve_end(&h);
	host_collect(&h);
	check_ended(&h);
	CHECK(h.peers[0].hello.flags & CAIRN_HELLO_NO_RSEQ);
	CHECK_INT(host_count(&h, "test:tick"), 100);
	CHECK_INT(host_lost(&h), 0);
	host_end(&h);
}

TEST(static_program)
{
	const char *shared = program;
	struct host *h;

	program = static_program;
	h = ran(NULL, "threads");
	program = shared;
	CHECK(h->peers[0].hello.flags & CAIRN_HELLO_STATIC);
	CHECK_INT(host_count(h, "test:tick"), 8000);
	CHECK_INT(host_lost(h), 0);
	host_end(h);
}

__attribute__((constructor)) static void find_programs(void)
{
	program = getenv("TEST_PROGRAM");
	static_program = getenv("TEST_STATIC_PROGRAM");
}

TEST_MAIN()
