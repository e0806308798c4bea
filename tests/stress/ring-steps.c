/* An append stopped before each of its machine instructions, one after the other: there a second
 * writer and the consumer get their turn, and then the writer is killed, or restarted as the kernel
 * would restart it (on the same CPU or on another), or just goes on when it is outside the section.
 *
 * The writer is a traced child that is stepped. Single-stepping would abort each real section, so
 * its thread area is one that the kernel does not know: the tracer plays the kernel's part and sets
 * the instruction pointer to the descriptor's abort address.
 */
#include "../unit/ring-decode.h"
#include "../unit/ring-map.h"
#include "base/base.h"
#include "ring/producer-quick.h"
#include "test.h"
#include <errno.h>
#include <linux/rseq.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

#define STEPS_MAX 2000

enum fate { FATE_KILL, FATE_RESTART, FATE_MIGRATE, FATES };

struct shared {
	struct rseq child_area, own_area;
	uint32_t done; /* the child's append has returned */
	enum ring_result result;
};

struct setup {
	enum cairn_ring_mode mode;
	enum cairn_clock clock;
	bool new_block; /* overwrite: the child's record must begin a block */
	bool quick; /* the child appends by ring_append_quick() first, as events do */
};

static struct shared *sh;
static struct ringset *set_c;
static struct ring_set_producer *set_p;
static uint64_t published[2], read_total[2], last_ts[2];
static uint64_t child_seen, own_seen; /* records met, by who wrote them */

#define BODY 61u

/* ---- records: all bytes are the writer's mark ---- */

static void make_body(uint8_t *body, bool child)
{
	memset(body, child ? 0xc5 : 0x3a, BODY + 8);
}

static void check_records(const struct ring_view *v, uint32_t ring, uint64_t skip)
{
	const uint8_t *p = v->data;
	uint64_t ts = v->begin_ts, n = 0;

	for (; p < v->data + v->len && test_failures < 10; n++) {
		struct decoded d = decode_header(p, ts);
		uint8_t mark = d.body[0];

		CHECK(d.ts >= ts && d.ts <= v->end_ts);
		CHECK_INT(d.id, mark == 0xc5 ? 1000 : 2000);
		for (uint32_t i = 0; i < BODY; i++)
			if (d.body[i] != mark)
				test_failures++;
		if (n >= skip) {
			*(mark == 0xc5 ? &child_seen : &own_seen) += 1;
			read_total[ring]++;
		}
		ts = d.ts;
		p = d.body + BODY;
	}
	CHECK(p == v->data + v->len);
}

static int on_block(void *arg, const struct ring_view *v)
{
	uint32_t ring = *(uint32_t *)arg;
	uint64_t index = decode_header(v->data, 0).count;

	CHECK(index <= read_total[ring]); /* nothing was overwritten unread */
	check_records(v, ring, read_total[ring] - index);
	return 0;
}

static void consume(void)
{
	for (uint32_t ring = 0; ring < 2; ring++) {
		struct ring_view v;

		if (set_p->mode == CAIRN_MODE_OVERWRITE) {
			CHECK(ring_snapshot(set_c, ring, on_block, &ring) >= 0);
			CHECK_INT(set_p->rings[ring].ctl->seen, read_total[ring]);
		} else if (ring_take(set_c, ring, &v) == 1) {
			CHECK(last_ts[ring] == 0 || v.begin_ts == last_ts[ring]);
			last_ts[ring] = v.end_ts;
			check_records(&v, ring, 0);
			ring_release(set_c, ring);
		}
		CHECK_INT(set_p->rings[ring].ctl->lost[CAIRN_LOST_CORRUPT], 0);
		CHECK_INT(set_p->rings[ring].ctl->lost[CAIRN_LOST_OVERWRITTEN], 0);
	}
}

static void append_own(uint32_t cpu)
{
	const struct ring_producer *ring;
	uint8_t body[BODY + 8];

	make_body(body, false);
	sh->own_area.cpu_id = cpu;
	CHECK_INT(ring_append(set_p, &sh->own_area, body, BODY, 2000, &ring), RING_OK);
	published[cpu]++;
}

/* In place of the clock: few instructions. */
static uint64_t quick_now(const struct ring_set_producer *set)
{
	return __builtin_ia32_rdtsc();
}

/* ---- the stepped child ---- */

static void child_main(bool quick)
{
	const struct ring_producer *ring;
	uint8_t body[BODY + 8];
	struct rseq *rs = &sh->child_area;
	uint64_t first = 0;
	const struct ring_target target = {set_p, RING_QUICK_ID(1000), BODY - 3}, *to = &target;
	struct ring_quick record = {&to, &rs, &first, body + 4, BODY - 4};

	make_body(body, true);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(99);
	__asm__ volatile("int3");
	memcpy((char *)&first + 4, body, 4);
	if (quick && ring_append_quick(&record))
		sh->result = RING_OK;
	else
		sh->result = ring_append(set_p, &sh->child_area, body, BODY, 1000, &ring);
	__atomic_store_n(&sh->done, 1, __ATOMIC_RELEASE);
	_exit(0);
}

/* Starts a child and makes `steps` steps. 0: it is stopped there; 1: it is done; -1: no ptrace. */
static int start_child(pid_t *pid, int steps, bool quick)
{
	int status;

	sh->child_area = (struct rseq){0};
	sh->done = 0;
	fflush(stdout);
	*pid = fork();
	if (*pid == 0)
		child_main(quick);
	if (waitpid(*pid, &status, 0) != *pid || !WIFSTOPPED(status))
		return -1;
	for (int i = 0; i < steps; i++) {
		if (ptrace(PTRACE_SINGLESTEP, *pid, NULL, NULL) < 0 ||
			waitpid(*pid, &status, 0) != *pid || !WIFSTOPPED(status))
			return -1;
		if (sh->done)
			return 1;
	}
	return 0;
}

static void end_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
}

static void let_child_finish(pid_t pid)
{
	int status;

	CHECK(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(sh->done);
	CHECK_INT(sh->result, RING_OK);
}

/* As the kernel does it: inside the section armed now, go to the abort address. */
static bool restart_child(pid_t pid)
{
	const struct rseq_cs *cs = (const struct rseq_cs *)(uintptr_t)sh->child_area.rseq_cs;
	struct user_regs_struct regs;
	uint32_t signature;

	CHECK(ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0);
	if (!cs || regs.rip - cs->start_ip >= cs->post_commit_offset)
		return false;
	memcpy(&signature, (const void *)(uintptr_t)(cs->abort_ip - 4), 4);
	CHECK_INT(signature, 0x53053053);
	CHECK(cs->abort_ip - cs->start_ip >= cs->post_commit_offset);
	regs.rip = cs->abort_ip;
	CHECK(ptrace(PTRACE_SETREGS, pid, NULL, &regs) == 0);
	return true;
}

/* ---- one trial ---- */

static void go_to_block_end(void)
{
	struct ring_producer *r = &set_p->rings[0];
	uint64_t block = r->block_mask + 1;

	while (r->ctl->pos % block == 0 || r->ctl->pos % block + 12 + BODY <= block)
		append_own(0);
	consume();
}

/* Returns false when there is no such step any more. */
static bool trial(const struct setup *setup, enum fate fate, int steps, int *inside)
{
	uint64_t pos, child_before;
	pid_t pid;
	int state;
	bool in_section, was_published;

	if (setup->new_block)
		go_to_block_end();
	child_before = child_seen;
	pos = set_p->rings[0].ctl->pos;
	state = start_child(&pid, steps, setup->quick);
	if (state != 0) {
		CHECK(state == 1);
		published[0]++;
		end_child(pid);
		consume();
		return false;
	}
	was_published = set_p->rings[0].ctl->pos != pos;
	published[0] += was_published;
	consume();
	CHECK_INT(child_seen - child_before, was_published);
	if (fate == FATE_KILL) {
		end_child(pid);
		append_own(0);
	} else {
		/* Outside the section the child is just stopped: it would not be sent back
		 * by the kernel either. */
		in_section = restart_child(pid);
		*inside += in_section;
		if (in_section && fate == FATE_MIGRATE) {
			sh->child_area.cpu_id = 1;
			append_own(1);
		}
		if (in_section)
			append_own(0);
		if (!was_published)
			published[sh->child_area.cpu_id]++;
		let_child_finish(pid);
		append_own(0);
	}
	consume();
	CHECK_INT(child_seen - child_before, fate != FATE_KILL || was_published);
	CHECK_INT(read_total[0], published[0]);
	CHECK_INT(read_total[1], published[1]);
	return true;
}

static void run(const struct setup *setup)
{
	struct ringset_config cfg = {
		.mode = setup->mode, .clock = setup->clock, .nrings = 2, .ring_bytes = 65536};
	int state, inside = 0;
	pid_t pid;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK_INT(ringset_create(&cfg, &set_c), 0);
	set_p = map_producer(set_c);
	set_p->now = quick_now;
	child_seen = own_seen = 0;
	memset(published, 0, sizeof(published));
	memset(read_total, 0, sizeof(read_total));
	memset(last_ts, 0, sizeof(last_ts));
	state = start_child(&pid, 0, setup->quick);
	end_child(pid);
	if (state < 0)
		SKIP("ptrace is not allowed here");
	for (int fate = 0; fate < FATES; fate++) {
		int steps = 0;

		while (steps < STEPS_MAX && test_failures == 0 &&
			trial(setup, (enum fate)fate, steps, &inside))
			steps++;
		CHECK(steps > 60 && steps < STEPS_MAX);
		printf("# fate %d: %d instructions\n", fate, steps);
	}
	CHECK(inside > 100);
	ringset_free(set_c);
	munmap(sh, sizeof(*sh));
}

TEST(discard)
{
	run(&(struct setup){CAIRN_MODE_DISCARD, CAIRN_CLOCK_TSC, false, false});
}
TEST(discard_monotonic)
{
	run(&(struct setup){CAIRN_MODE_DISCARD, CAIRN_CLOCK_MONOTONIC, false, false});
}
TEST(overwrite)
{
	run(&(struct setup){CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_TSC, false, false});
}
TEST(overwrite_new_block)
{
	run(&(struct setup){CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_TSC, true, false});
}
TEST(discard_quick)
{
	run(&(struct setup){CAIRN_MODE_DISCARD, CAIRN_CLOCK_TSC, false, true});
}
TEST(overwrite_quick)
{
	run(&(struct setup){CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_TSC, false, true});
}
TEST(overwrite_quick_new_block)
{
	run(&(struct setup){CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_TSC, true, true});
}
TEST(overwrite_monotonic_new_block)
{
	run(&(struct setup){CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_MONOTONIC, true, false});
}

#else

TEST(steps)
{
	SKIP("no restartable section on this machine");
}

#endif

TEST_MAIN()
