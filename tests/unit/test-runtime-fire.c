/* What fire() does with threads, contexts and large payloads (fire.c, thread.c, context.c, grace.c),
 * above all when it is left in the middle. Ring sets have a clock that the tests provide: it is read
 * within an append, so leaving from there is leaving at the worst of moments. */
#include "runtime/runtime-impl.h"
#include "test.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LAST_RESORT_MS 60000 /* only a hang takes that long */
#define DEEP (128u << 10) /* bytes of stack: other regions than those at the top */

static struct {
	struct ringset *set;
	struct rt_set *mapped;
	struct rt_sinks *sinks;
	struct cairn_slot slot;
} one;
static void (*in_clock)(void); /* called once by the clock */

static uint64_t test_clock(const struct ring_set_producer *set)
{
	struct timespec ts;
	void (*call)(void) = __atomic_exchange_n(&in_clock, NULL, __ATOMIC_RELAXED);

	if (call)
		call();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A slot whose events go to a new ring set. */
static void begin(enum cairn_ring_kind kind, uint32_t contexts, uint32_t perf_count)
{
	struct ringset_config cfg = {.kind = kind,
		.clock = CAIRN_CLOCK_MONOTONIC,
		.nrings = kind == CAIRN_RING_SOLO ? 256 : (uint32_t)sysconf(_SC_NPROCESSORS_CONF),
		.ring_bytes = kind == CAIRN_RING_SOLO ? CAIRN_RING_MIN : 4 << 20,
		.contexts = contexts,
		.perf_count = perf_count,
		.session_id = 1};
	struct cairn_msg_ringset m = {1, kind, 0, 1};

	setenv("CAIRN_RUNDIR", "/nonexistent/cairn", 1);
	for (uint32_t i = 0; i < perf_count; i++) /* software: no descriptors */
		cfg.perf[i] = (struct cairn_perf_ctx){.type = 1, .config = i, .name = "perf"};
	CHECK_INT(rt_init(), 0);
	rt.clock = test_clock;
	rt.no_rseq = kind == CAIRN_RING_SOLO;
	if (rt_self)
		rt_self->rseq = rt.no_rseq ? NULL : rt_libc_rseq();
	CHECK_INT(ringset_create(&cfg, &one.set), 0);
	m.bytes = ringset_bytes(one.set);
	CHECK_INT(rt_set_map(dup(ringset_fd(one.set)), &m, &one.mapped), 0);
	one.sinks = rt_alloc(sizeof(*one.sinks) + sizeof(struct rt_sink));
	one.sinks->n = 1;
	one.sinks->sink[0] = (struct rt_sink){one.mapped, 5, 0};
	one.slot.sinks = one.sinks;
	if (kind == CAIRN_RING_SOLO)
		one.mapped->solo = one.mapped;
}

static void end(void)
{
	one.slot.sinks = NULL;
	rt_set_retire(one.mapped);
	rt_set_recycle(one.mapped);
	rt_defer(rt_free, one.sinks);
	for (int i = 0; i < LAST_RESORT_MS && rt_grace_poll(); i++)
		usleep(1000);
	CHECK(!rt_grace_poll());
	ringset_free(one.set);
}

static __thread struct {
	uint64_t head[CAIRN_HEADROOM / 8], payload[CAIRN_STACK_MAX / 8 + 1];
} staged;

static void fire(void)
{
	rt_fire(&one.slot, staged.payload, 8, fire);
}

static __attribute__((noinline)) void fire_deep(void)
{
	volatile char room[DEEP];

	room[0] = room[sizeof(room) - 1] = 1;
	fire();
	room[1] = room[0];
}

/* Bytes of records so far, and records lost. */
static __attribute__((noinline)) uint64_t written(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < one.mapped->p->nrings; i++)
		n += one.mapped->p->rings[i].ctl->pos;
	return n;
}

static __attribute__((noinline)) uint64_t lost(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < one.mapped->p->nrings; i++)
		for (int why = 0; why < CAIRN_LOST_REASONS; why++)
			n += one.mapped->p->rings[i].ctl->lost[why];
	return n;
}

/* pthread_join() returns a moment before the kernel has forgotten the thread, and until then it is
 * not dead to others. */
static void wait_until_dead(pid_t tid)
{
	for (int i = 0; i < LAST_RESORT_MS && !rt_thread_is_dead(getpid(), tid); i++)
		usleep(1000);
	CHECK(rt_thread_is_dead(getpid(), tid));
}

/* ---- left by siglongjmp ---- */

static sigjmp_buf out;

static void on_signal(int sig)
{
	(void)sig;
	siglongjmp(out, 1);
}

static void interrupt(void)
{
	raise(SIGUSR1);
}

/* A loop that is left by a signal in the middle of a fire() in some rounds, and goes on: as of an
 * interpreter that returns to its prompt. The last rounds are not disturbed. */
static void interrupted_loop(void (*how)(void), uint64_t least)
{
	volatile int left = 0;
	volatile uint64_t before = written();

	signal(SIGUSR1, on_signal);
	for (volatile int i = 0; i < 100; i++) {
		if (sigsetjmp(out, 1) != 0) {
			left++;
			continue;
		}
		in_clock = i % 10 == 0 ? interrupt : NULL;
		how();
	}
	CHECK_INT(left, 10);
	CHECK(written() - before >= 90 * least);
	CHECK_INT(lost(), 0);
	CHECK_INT(rt_self->active, 0);
	CHECK(rt_grace_wait(LAST_RESORT_MS));
}

static void left_and_goes_on(enum cairn_ring_kind kind)
{
	begin(kind, 1 << CAIRN_CTX_TID, 0);
	interrupted_loop(fire_deep, 12);
	interrupted_loop(fire, 12);
	end();
}

TEST(a_slot_left_by_siglongjmp_serves_on)
{
	left_and_goes_on(CAIRN_RING_PERCPU);
}

TEST(a_solo_append_left_by_siglongjmp_serves_on)
{
	left_and_goes_on(CAIRN_RING_SOLO);
}

/* Whether the frame is still there cannot be known from deeper on: until the thread fires where
 * that frame was, memory is kept for it; records are written all the time. */
TEST(deeper_than_the_frame_that_was_left)
{
	begin(CAIRN_RING_PERCPU, 1 << CAIRN_CTX_TID, 0);
	signal(SIGUSR1, on_signal);
	for (volatile int i = 0; i < 2; i++) {
		if (sigsetjmp(out, 1) == 0) {
			in_clock = i == 0 ? interrupt : NULL;
			fire();
		}
		if (i)
			break;
		CHECK(rt_self->active);
		for (int k = 0; k < 100; k++)
			fire_deep();
		CHECK(written() >= 100 * 12);
		CHECK(!rt_grace_wait(1));
	}
	CHECK_INT(lost(), 0);
	CHECK_INT(rt_self->active, 0);
	CHECK(rt_grace_wait(LAST_RESORT_MS));
	end();
}

/* A handler that returns is inside, whatever its stack; what it fires is not the outermost. */
static void fire_inside(void)
{
	uintptr_t before = rt_self->active;

	fire();
	CHECK_INT(rt_self->active, before);
}

static void on_signal_fire(int sig)
{
	(void)sig;
	fire_inside();
}

static void handler_on(void *stack)
{
	stack_t ss = {.ss_sp = stack, .ss_size = 64 << 10};
	struct sigaction sa = {.sa_handler = on_signal_fire, .sa_flags = stack ? SA_ONSTACK : 0};
	uint64_t before = written();

	if (stack)
		sigaltstack(&ss, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	in_clock = interrupt;
	fire();
	CHECK(written() - before >= 2 * 12);
	CHECK_INT(rt_self->active, 0);
	ss.ss_flags = SS_DISABLE;
	if (stack)
		sigaltstack(&ss, NULL);
}

TEST(handlers_that_return_keep_the_outer_frame)
{
	static char elsewhere[64 << 10];
	char *stacks =
		mmap(NULL, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	begin(CAIRN_RING_PERCPU, 1 << CAIRN_CTX_TID, 0);
	handler_on(NULL);
	handler_on(stacks);
	handler_on(elsewhere);
	CHECK_INT(lost(), 0);
	end();
}

static void *leaves_for_good(void *arg)
{
	*(pid_t *)arg = gettid();
	fire();
	if (sigsetjmp(out, 1) == 0) {
		in_clock = interrupt;
		fire();
	}
	return arg;
}

TEST(a_thread_that_ends_inside_holds_nothing_up)
{
	struct rt_thread_chunk *chunks;

	signal(SIGUSR1, on_signal);
	begin(CAIRN_RING_SOLO, 1 << CAIRN_CTX_TID, 0);
	fire();
	chunks = rt.chunks;
	for (int i = 0; i < 200; i++) { /* more than slots in a chunk */
		pthread_t t;
		pid_t tid = 0;

		pthread_create(&t, NULL, leaves_for_good, &tid);
		pthread_join(t, NULL);
		wait_until_dead(tid);
	}
	CHECK(rt.chunks == chunks); /* slots of the dead serve again */
	CHECK(rt_grace_wait(LAST_RESORT_MS));
	CHECK_INT(lost(), 0);
	end();
}

/* ---- memory for large payloads ---- */

static uint8_t *buffers[16];

static int take_all(void)
{
	int n = 0;

	while (n < 16 && (buffers[n] = rt_scratch(2000)))
		n++;
	return n;
}

TEST(large_buffers_are_given_and_given_back)
{
	int n;

	CHECK_INT(rt_init(), 0);
	CHECK(!rt_scratch(CAIRN_PAYLOAD_MAX + 1));
	for (int i = 0; i < 100; i++) {
		buffers[0] = rt_scratch(CAIRN_PAYLOAD_MAX);
		CHECK(buffers[0] && (uintptr_t)buffers[0] % 8 == 0);
		memset(buffers[0] - CAIRN_HEADROOM, i,
			CAIRN_HEADROOM + CAIRN_PAYLOAD_MAX + CAIRN_TAILROOM);
		rt_scratch_done(buffers[0]);
	}
	rt_scratch_done(NULL);
	rt_scratch_done(&n);
}

static void scratch_of_handler(int sig)
{
	(void)sig;
	CHECK(!rt_scratch(2000)); /* all are in use by the frame that was interrupted */
	siglongjmp(out, 1);
}

/* A buffer for each of n frames, one in the other. */
static __attribute__((noinline)) void hold_deeper(int n)
{
	volatile char room[256];

	room[0] = (char)n;
	CHECK(rt_scratch(2000));
	if (n > 1)
		hold_deeper(n - 1);
	else
		raise(SIGUSR1);
	room[1] = room[0];
}

TEST(large_buffers_left_by_siglongjmp_are_taken_over)
{
	CHECK_INT(rt_init(), 0);
	signal(SIGUSR1, scratch_of_handler);
	for (int i = 0; i < 5; i++) {
		if (sigsetjmp(out, 1) == 0)
			hold_deeper(16);
		CHECK((buffers[0] = rt_scratch(2000)) != NULL);
		rt_scratch_done(buffers[0]);
	}
}

static void *takes_and_ends(void *arg)
{
	*(pid_t *)arg = gettid();
	hold_deeper(1);
	return NULL;
}

TEST(large_buffers_of_dead_threads_are_taken_over)
{
	CHECK_INT(rt_init(), 0);
	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < 100; i++) {
		pthread_t t;
		pid_t tid = 0;

		pthread_create(&t, NULL, takes_and_ends, &tid);
		pthread_join(t, NULL);
		wait_until_dead(tid);
	}
	CHECK_INT(take_all(), 16);
	for (int i = 0; i < 16; i++)
		rt_scratch_done(buffers[i]);
}

/* ---- contexts ---- */

TEST(contexts_have_the_size_that_they_are_said_to_have)
{
	static const uint32_t sizes[] = {4, 4, 16, 4, 4, 4, 8, 8};

	CHECK_INT(rt_init(), 0);
	fire(); /* a slot, also without sinks */
	for (uint32_t mask = 0; mask < 256; mask++) {
		for (uint32_t perf = 0; perf <= CAIRN_CTX_PERF_MAX; perf += 4) {
			struct rt_set set = {.contexts = mask, .perf_count = perf};
			uint32_t want = perf * 8, got = cairn_ctx_bytes(mask, perf);
			struct rt_thread *t = rt_self ? rt_self : rt_thread_new();
			uint8_t buf[300];

			for (uint32_t i = 0; i < 8; i++)
				want += mask >> i & 1 ? sizes[i] : 0;
			CHECK_INT(got, want);
			for (uint32_t i = 0; i < perf; i++)
				set.perf[i].type = 1; /* software: no descriptors */
			memset(buf, 0xa5, sizeof(buf));
			rt_contexts(t, &set, fire, buf + 8);
			CHECK_INT(buf[7], 0xa5);
			CHECK_INT(buf[8 + want], 0xa5);
		}
	}
}

TEST(contexts_say_what_is)
{
	struct rt_set set = {.contexts = 255};
	struct {
		int32_t tid, pid;
		char comm[16];
		uint32_t cpu;
		int32_t nice;
		uint32_t sched;
		uint64_t cgroup, ip;
	} __attribute__((packed)) got;

	begin(CAIRN_RING_PERCPU, 1 << CAIRN_CTX_TID, 0);
	fire();
	prctl(PR_SET_NAME, "a name");
	errno = 0;
	rt.cgroup = 4711;
	rt_contexts(rt_self, &set, test_contexts_say_what_is, (uint8_t *)&got);
	CHECK_INT(errno, 0);
	CHECK_INT(got.tid, syscall(SYS_gettid));
	CHECK_INT(got.pid, getpid());
	CHECK_STR(got.comm, "a name");
	CHECK(got.cpu < (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
	CHECK_INT(got.nice, getpriority(PRIO_PROCESS, 0));
	CHECK_INT(got.sched, sched_getscheduler(0));
	CHECK_INT(got.cgroup, 4711);
	CHECK_INT(got.ip, (uintptr_t)test_contexts_say_what_is);
	end();
}

/* More contexts than fit before a payload: built elsewhere, and whole. */
TEST(all_contexts_before_payloads_of_any_size)
{
	uint32_t bytes = cairn_ctx_bytes(255, 8);

	begin(CAIRN_RING_PERCPU, 511, 8);
	for (uint32_t size = 0; size <= CAIRN_STACK_MAX; size += 61) {
		uint64_t before = written();

		rt_fire(&one.slot, staged.payload, size, fire);
		CHECK(written() - before >= bytes + size);
	}
	for (uint32_t size = 2000; size < 60000; size += 7001) {
		uint64_t before = written();
		void *payload = rt_scratch(size);

		rt_fire(&one.slot, payload, size, fire);
		rt_scratch_done(payload);
		CHECK(written() - before >= bytes + size);
	}
	CHECK_INT(lost(), 0);
	rt_fire(&one.slot, NULL, 0, fire);
	rt_fire(&one.slot, staged.payload, CAIRN_PAYLOAD_MAX + 1, fire);
	CHECK_INT(lost(), 2);
	end();
}

/* ---- who fires ---- */

static void *fire_some(void *arg)
{
	for (int i = 0; i < 50; i++)
		fire();
	return arg;
}

static void fire_many(int sig)
{
	(void)sig;
	for (int i = 0; i < 600000; i++)
		fire();
}

static uint64_t lost_of(enum cairn_lost why)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < one.mapped->p->nrings; i++)
		n += one.mapped->p->rings[i].ctl->lost[why];
	return n;
}

/* A ring on which somebody waited in vain is marked: nobody waits there until its reader has moved. */
static bool anybody_waited(void)
{
	for (uint32_t i = 0; i < one.mapped->p->nrings; i++)
		if (one.mapped->stall[i] != ~0ull)
			return true;
	return false;
}

static bool handler_waited;

static void raise_usr2(void)
{
	raise(SIGUSR2);
	handler_waited = anybody_waited();
}

static void stay_on_this_cpu(cpu_set_t *before)
{
	cpu_set_t one_cpu;

	CHECK_INT(sched_getaffinity(0, sizeof(*before), before), 0);
	CPU_ZERO(&one_cpu);
	CPU_SET((unsigned)sched_getcpu(), &one_cpu);
	CHECK_INT(sched_setaffinity(0, sizeof(one_cpu), &one_cpu), 0);
}

/* Blocking mode with a reader that sleeps, and handlers that fire more than a ring holds; on one
 * CPU, since the ring of another would have room. */
TEST(handlers_wait_but_not_on_a_stack_of_their_own_nor_within_fire)
{
	static char stack[64 << 10];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction own = {.sa_handler = fire_many, .sa_flags = SA_ONSTACK},
			 same = {.sa_handler = fire_many};
	struct ring_set_producer *p;
	cpu_set_t before;

	stay_on_this_cpu(&before);
	begin(CAIRN_RING_PERCPU, 1, 0);
	p = (struct ring_set_producer *)(uintptr_t)one.mapped->p;
	p->mode = CAIRN_MODE_BLOCK;
	p->block_ns = 1000000;
	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &own, NULL);
	sigaction(SIGUSR2, &same, NULL);
	fire();
	raise(SIGUSR1);
	CHECK(lost_of(CAIRN_LOST_TIMEOUT) > 0);
	CHECK(!anybody_waited());
	in_clock = raise_usr2; /* within fire() */
	fire();
	CHECK(!in_clock && !handler_waited);
	CHECK(anybody_waited()); /* what was interrupted did then */
	for (uint32_t i = 0; i < p->nrings; i++)
		one.mapped->stall[i] = ~0ull;
	raise(SIGUSR2);
	CHECK(anybody_waited());
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, NULL);
	end();
	sched_setaffinity(0, sizeof(before), &before);
}

TEST(threads_and_children_have_slots_of_their_own)
{
	pthread_t t[8];
	uint64_t before;
	int status;

	begin(CAIRN_RING_PERCPU, 1 << CAIRN_CTX_TID, 0);
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, fire_some, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	before = written();
	CHECK(before >= 8 * 50 * 16);
	if (fork() == 0) {
		fire();
		_exit(rt_self->tid != getpid() || rt_self->pid != getpid() || rt_self->active != 0);
	}
	wait(&status);
	CHECK_INT(status, 0);
	CHECK(written() > before);
	CHECK_INT(lost(), 0);
	rt_self->muted = 1;
	rt_self->region = 0;
	before = written();
	fire();
	CHECK_INT(written(), before);
	rt_self->muted = 0;
	end();
}

TEST_MAIN()
