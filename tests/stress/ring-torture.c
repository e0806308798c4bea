/* Rings under torture: processes that share them are preempted, moved between CPUs, interrupted by
 * signal handlers that append too, and killed with SIGKILL at random instants. The reader checks
 * every record (checksum, order, time) and the books: each append that returned RING_OK is read
 * exactly once, or in overwrite mode counted; each loss is counted.
 *
 *	ring-torture [SECONDS [SEED]]
 *
 * Each life of a process has two streams of records: its main loop's and its handler's. The
 * sequence number goes up only when an append returned RING_OK, by one store into shared memory; so
 * of a stream with `ok` there, the records 0..ok-1 were published, and if it was killed in between
 * perhaps one more.
 */
#include "../unit/ring-decode.h"
#include "../unit/ring-map.h"
#include "base/atomic.h"
#include "base/base.h"
#include "ring/producer-quick.h"
#include "test.h"
#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITERS 4
#define STREAMS 65536
#define MAX_RINGS 512

struct stream { /* shared; written by its own life only */
	uint64_t ok; /* appends that returned RING_OK */
	uint64_t lost; /* appends that did not and were counted in the ring */
};

/* What the reader knows of a stream. */
struct ledger {
	uint64_t records, sum, last_seq;
};

struct ring_book {
	uint64_t ts; /* of the last packet's end */
	uint64_t next_index; /* overwrite: first record no snapshot had */
	uint64_t fresh; /* overwrite: records read for the first time */
	uint64_t packets;
};

struct torture {
	const char *name;
	struct ringset_config cfg;
};

static struct stream *streams;
static struct ledger *ledgers;
static struct ring_book books[MAX_RINGS];
static struct ringset *set_c;
static struct ring_set_producer *set_p;
static uint64_t deadline_ns, random_state = 88172645463325252u;
static double seconds = 5;
static unsigned int kills;

static uint64_t random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	return random_state ^= random_state << 17;
}

/* ---- writers ---- */

struct record {
	uint32_t len, stream;
	uint64_t seq;
	uint8_t fill
		[520]; /* the last 8 bytes before len are a checksum; 8 more are read by copying */
};

static uint64_t checksum(const uint8_t *p, uint32_t len)
{
	uint64_t sum = len;

	for (uint32_t i = 0; i < len; i++)
		sum = (sum ^ p[i]) * 0x100000001b3u;
	return sum;
}

static uint32_t my_writer, my_main, my_handler;
static uint32_t solo_busy;

static void make_record(struct record *r, uint32_t stream, uint64_t seq)
{
	uint32_t fill = (uint32_t)((seq * 2654435761u >> 7) % 480);
	uint64_t sum;

	r->len = 16 + fill + 8;
	r->stream = stream;
	r->seq = seq;
	for (uint32_t i = 0; i < fill; i++)
		r->fill[i] = (uint8_t)(seq + i);
	sum = checksum((const uint8_t *)r, r->len - 8);
	memcpy((uint8_t *)r + r->len - 8, &sum, 8);
}

static bool append_quick(const struct record *r)
{
	struct rseq *rs = thread_rseq();
	uint64_t first = 0;
	const struct ring_target target = {set_p, RING_QUICK_ID(r->stream % 1500),
					 ring_max_body(&set_p->rings[0]) - 3},
				 *to = &target;
	struct ring_quick record = {&to, &rs, &first, (const uint8_t *)r + 4, r->len - 4};

	memcpy((char *)&first + 4, r, 4);
	return ring_append_quick(&record);
}

static enum ring_result append_once(const struct record *r, const struct ring_producer **ring)
{
	if (ringset_hdr(set_c)->kind != CAIRN_RING_SOLO) {
		/* every second one first as events do it */
		if (r->seq % 2 && r->stream % 1500 <= RING_QUICK_ID_MAX &&
			thread_rseq()->cpu_id < set_p->nrings && ring_set_is_quick(set_p) &&
			append_quick(r)) {
			*ring = &set_p->rings[0];
			return RING_OK;
		}
		return ring_append(set_p, thread_rseq(), r, r->len, r->stream % 1500, ring);
	}
	*ring = &set_p->rings[my_writer];
	return ring_append_solo(set_p, *ring, &solo_busy, r, r->len, r->stream % 1500);
}

/* What the runtime does in blocking mode, in short. */
static enum ring_result append_waiting(const struct record *r, const struct ring_producer **ring)
{
	enum ring_result result = append_once(r, ring);

	while (result == RING_FULL) {
		struct cairn_ring_ctl *ctl = (*ring)->ctl;
		uint32_t wake = load_acquire(&ctl->wake);
		const struct timespec limit = {0, 100000000};

		fetch_add_acq_rel(&ctl->waiters, 1);
		result = append_once(r, ring);
		if (result == RING_FULL)
			syscall(SYS_futex, &ctl->wake, FUTEX_WAIT, wake, &limit, NULL, 0);
		fetch_sub_acq_rel(&ctl->waiters, 1);
	}
	return result;
}

static void append_one(uint32_t id, bool may_wait)
{
	struct record r;
	struct stream *s = &streams[id];
	const struct ring_producer *ring = NULL;
	enum ring_result result;

	make_record(&r, id, s->ok);
	result = may_wait ? append_waiting(&r, &ring) : append_once(&r, &ring);
	if (result == RING_OK) {
		store_release(&s->ok, s->ok + 1);
	} else if (result == RING_RETIRED) {
		_exit(0);
	} else {
		ring_count_lost(ring,
			result == RING_FULL		? CAIRN_LOST_FULL
				: result == RING_NESTED ? CAIRN_LOST_NESTED
							: CAIRN_LOST_RESTARTS);
		store_release(&s->lost, s->lost + 1);
	}
}

static void on_alarm(int sig)
{
	int saved = errno;

	(void)sig;
	for (int i = 0; i < 3; i++)
		append_one(my_handler, false);
	errno = saved;
}

static void move_about(uint64_t i)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(i % (uint64_t)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
	(void)sched_setaffinity(0, sizeof(cpus), &cpus); /* fails where the CPU is not allowed */
}

static void writer(uint32_t index, uint32_t stream)
{
	const struct itimerval every = {{0, 150}, {0, 150}};
	bool block = ringset_hdr(set_c)->mode == CAIRN_MODE_BLOCK;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	my_writer = index;
	my_main = stream;
	my_handler = stream + 1;
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &every, NULL);
	for (uint64_t i = 1;; i++) {
		append_one(my_main, block);
		if (i % 512 == 0)
			move_about(i / 512 + stream);
		if (i % 64 == 0)
			sched_yield();
	}
}

/* ---- the reader ---- */

static void check_record(const uint8_t *body, uint32_t id, bool fresh)
{
	uint32_t len = (uint32_t)decode_bytes(body, 4),
		 stream = (uint32_t)decode_bytes(body + 4, 4);
	uint64_t seq = decode_bytes(body + 8, 8);
	struct ledger *l = &ledgers[stream % STREAMS];

	CHECK(len >= 24 && len <= sizeof(struct record) && stream < STREAMS);
	if (len > sizeof(struct record) || len < 24)
		return;
	CHECK(checksum(body, len - 8) == decode_bytes(body + len - 8, 8));
	CHECK_INT(id, stream % 1500);
	if (!fresh)
		return;
	l->records++;
	l->sum += seq;
	if (seq > l->last_seq)
		l->last_seq = seq;
}

/* Decodes a packet; the first record's index in the ring is `index`. Returns records. */
static uint64_t check_view(const struct ring_view *v, struct ring_book *book, uint64_t index)
{
	const uint8_t *p = v->data, *end = v->data + v->len;
	uint64_t ts = v->begin_ts, n = 0;

	for (; p < end && test_failures < 20; n++) {
		struct decoded d = decode_header(p, ts);

		CHECK(d.ts >= ts && d.ts <= v->end_ts);
		CHECK_INT(d.form == 3, n == 0 && set_p->mode == CAIRN_MODE_OVERWRITE);
		check_record(d.body, d.id, index + n >= book->next_index);
		ts = d.ts;
		p = d.body + (uint32_t)decode_bytes(d.body, 4);
	}
	CHECK(p == end || test_failures >= 20);
	book->packets++;
	return n;
}

static int on_block(void *arg, const struct ring_view *v)
{
	struct ring_book *book = arg;
	uint64_t index = decode_header(v->data, 0).count;
	uint64_t n = check_view(v, book, index);

	CHECK(v->lost[CAIRN_LOST_CORRUPT] == 0);
	if (index + n > book->next_index) {
		book->fresh += index + n - MAX(index, book->next_index);
		book->next_index = index + n;
	}
	return 0;
}

static void read_ring(uint32_t i)
{
	struct ring_book *book = &books[i];
	struct ring_view v;

	if (set_p->mode == CAIRN_MODE_OVERWRITE) {
		int n = ring_snapshot(set_c, i, on_block, book);

		CHECK(n >= 0 || n == -EAGAIN);
		return;
	}
	if (ring_take(set_c, i, &v) != 1)
		return;
	CHECK(book->ts == 0 || v.begin_ts == book->ts);
	CHECK_INT(v.lost[CAIRN_LOST_CORRUPT], 0);
	book->ts = v.end_ts;
	(void)check_view(&v, book, 0);
	ring_release(set_c, i);
}

/* ---- the books ---- */

static void check_streams(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const struct ledger *l = &ledgers[i];

		CHECK(l->records == streams[i].ok || l->records == streams[i].ok + 1);
		CHECK(l->records == 0 || l->last_seq == l->records - 1);
		CHECK(l->sum == l->records * (l->records - 1) / 2 || l->records == 0);
		if (test_failures > 20)
			return;
	}
}

static void check_totals(uint32_t n)
{
	uint64_t ok = 0, lost = 0, counted = 0, overwritten = 0, read = 0, fresh = 0, packets = 0;

	for (uint32_t i = 0; i < n; i++) {
		ok += streams[i].ok;
		lost += streams[i].lost;
		read += ledgers[i].records;
	}
	for (uint32_t i = 0; i < set_p->nrings; i++) {
		const struct cairn_ring_ctl *ctl = set_p->rings[i].ctl;

		counted += ctl->lost[CAIRN_LOST_FULL] + ctl->lost[CAIRN_LOST_NESTED] +
			ctl->lost[CAIRN_LOST_RESTARTS];
		overwritten += ctl->lost[CAIRN_LOST_OVERWRITTEN];
		fresh += books[i].fresh;
		packets += books[i].packets;
		CHECK_INT(ctl->lost[CAIRN_LOST_CORRUPT], 0);
		CHECK_INT(ctl->steps_back, 0);
	}
	/* one record or one loss of each killed life may have been on its way */
	CHECK(counted >= lost && counted <= lost + 2 * kills);
	if (set_p->mode == CAIRN_MODE_OVERWRITE) {
		CHECK(fresh == read);
		CHECK(read + overwritten >= ok && read + overwritten <= ok + 2 * kills);
	}
	printf("# %" PRIu64 " appended, %" PRIu64 " read, %" PRIu64 " lost, %" PRIu64
	       " overwritten, %" PRIu64 " packets, %u kills\n",
		ok, read, counted, overwritten, packets, kills);
}

/* ---- one run ---- */

enum { APPENDS_LEAST = 1000, KILLS_LEAST = 3 };

/* A slow or busy machine takes longer for the least that says anything. */
static bool enough(uint32_t n)
{
	uint64_t ok = 0;

	for (uint32_t i = 0; i < n; i++)
		ok += load_acquire(&streams[i].ok);
	return ok > APPENDS_LEAST && kills > KILLS_LEAST;
}

static pid_t spawn(uint32_t index, uint32_t *n)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		writer(index, *n);
	*n += 2;
	return pid;
}

static void kill_one(pid_t *pids, uint32_t *n)
{
	uint32_t victim = (uint32_t)(random64() % WRITERS);
	int status;

	kill(pids[victim], SIGKILL);
	waitpid(pids[victim], &status, 0);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	kills++;
	pids[victim] = spawn(victim, n);
}

static void run(const struct torture *t, double part)
{
	pid_t pids[WRITERS];
	uint32_t n = 0;
	uint64_t next_kill = 0;
	int status;

	memset(streams, 0, STREAMS * sizeof(*streams));
	memset(ledgers, 0, STREAMS * sizeof(*ledgers));
	memset(books, 0, sizeof(books));
	kills = 0;
	CHECK_INT(ringset_create(&t->cfg, &set_c), 0);
	set_p = map_producer(set_c);
	CHECK(set_p);
	for (uint32_t i = 0; i < WRITERS; i++)
		pids[i] = spawn(i, &n);
	deadline_ns = monotonic_now(NULL) + (uint64_t)(part * 1e9);
	while ((monotonic_now(NULL) < deadline_ns || !enough(n)) && test_failures < 20) {
		for (uint32_t i = 0; i < set_p->nrings; i++)
			read_ring(i);
		if (monotonic_now(NULL) > next_kill && n + 2 < STREAMS) {
			kill_one(pids, &n);
			next_kill = monotonic_now(NULL) + random64() % 2000000;
		}
	}
	ringset_close(set_c);
	for (int i = 0; i < WRITERS; i++) {
		while (waitpid(pids[i], &status, WNOHANG) == 0)
			for (uint32_t r = 0; r < set_p->nrings; r++)
				read_ring(r); /* and wakes those who wait for room */
		CHECK_INT(status, 0);
	}
	for (uint32_t i = 0; i < set_p->nrings; i++)
		read_ring(i);
	if (set_p->mode != CAIRN_MODE_OVERWRITE)
		check_streams(n);
	check_totals(n);
	ringset_free(set_c);
}

static void torture(const char *name, enum cairn_ring_kind kind, enum cairn_ring_mode mode,
	enum cairn_clock clock)
{
	struct torture t = {name,
		{.kind = kind,
			.mode = mode,
			.clock = clock,
			.nrings = kind == CAIRN_RING_SOLO ? WRITERS
							  : (uint32_t)sysconf(_SC_NPROCESSORS_CONF),
			.ring_bytes = 65536}};

#if !defined(__x86_64__)
	if (kind == CAIRN_RING_PERCPU)
		SKIP("no restartable section on this machine");
#endif
	if (kind == CAIRN_RING_PERCPU && !thread_rseq())
		SKIP("no rseq here");
	if (t.cfg.nrings > MAX_RINGS)
		SKIP("too many CPUs");
	run(&t, seconds / 7);
}

TEST(discard)
{
	torture("discard", CAIRN_RING_PERCPU, CAIRN_MODE_DISCARD, CAIRN_CLOCK_TSC);
}
TEST(discard_monotonic)
{
	torture("discard", CAIRN_RING_PERCPU, CAIRN_MODE_DISCARD, CAIRN_CLOCK_MONOTONIC);
}
TEST(blocking)
{
	torture("blocking", CAIRN_RING_PERCPU, CAIRN_MODE_BLOCK, CAIRN_CLOCK_TSC);
}
TEST(overwrite)
{
	torture("overwrite", CAIRN_RING_PERCPU, CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_TSC);
}
TEST(overwrite_monotonic)
{
	torture("overwrite", CAIRN_RING_PERCPU, CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_MONOTONIC);
}
TEST(solo)
{
	torture("solo", CAIRN_RING_SOLO, CAIRN_MODE_DISCARD, CAIRN_CLOCK_MONOTONIC);
}
TEST(solo_overwrite)
{
	torture("solo", CAIRN_RING_SOLO, CAIRN_MODE_OVERWRITE, CAIRN_CLOCK_MONOTONIC);
}

int main(int argc, char **argv)
{
	int failed = 0, n = 0;

	if (argc > 1)
		seconds = atof(argv[1]);
	if (argc > 2)
		random_state ^= strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u;
	streams = mmap(NULL, STREAMS * sizeof(*streams), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ledgers = calloc(STREAMS, sizeof(*ledgers));
	for (struct test *t = test_first; t; t = t->next) {
		test_failures = 0;
		test_skipped = NULL;
		t->run();
		failed += test_failures != 0;
		printf("%s %d - %s%s%s\n", test_failures ? "not ok" : "ok", ++n, t->name,
			test_skipped ? " # SKIP " : "", test_skipped ? test_skipped : "");
		fflush(stdout);
	}
	printf("1..%d\n", n);
	return failed != 0;
}
