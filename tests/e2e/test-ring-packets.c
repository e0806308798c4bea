/* What rings hold, as packets, read by babeltrace2: each time of each record, exactly. The clock is
 * ours, so that all forms of headers come up, and time moves on between cutting and writing. */
#include "../unit/ring-decode.h"
#include "../unit/ring-map.h"
#include "ctf/ctf.h"
#include "test.h"
#include <fcntl.h>
#include <unistd.h>

#define RECORDS 4000
#define MAX_EVENTS (4 * RECORDS)

static uint64_t fake_time = 1ull << 53;

static uint64_t fake_now(const struct ring_set_producer *set)
{
	return fake_time;
}

struct writer {
	struct ctf_trace *trace; /* owned */
	uint32_t stream;
	uint64_t seq;
	int fd; /* owned */
	uint64_t expected[MAX_EVENTS][2]; /* time, n */
	size_t nexpected;
	unsigned forms[4]; /* how many of each */
};

static int write_view(void *arg, const struct ring_view *v)
{
	struct writer *w = arg;
	struct ctf_packet p = {.stream = w->stream, .instance = 1, .seq = w->seq++, .view = v};
	uint64_t ts = v->begin_ts;
	struct ctf_frame f;

	for (const uint8_t *at = v->data; v->len && at < v->data + v->len;) {
		struct decoded d = decode_header(at, ts);

		CHECK(w->nexpected < MAX_EVENTS);
		ts = w->expected[w->nexpected][0] = d.ts;
		w->expected[w->nexpected++][1] = decode_bytes(d.body, 4);
		w->forms[d.form]++;
		at = d.body + 12;
	}
	ctf_frame(w->trace, &p, &f);
	CHECK_INT(write_all(w->fd, f.head, f.head_len), 0);
	CHECK_INT(write_all(w->fd, f.body, f.body_len), 0);
	CHECK_INT(write_all(w->fd, f.tail, f.tail_len), 0);
	return 0;
}

static void make_trace(struct writer *w, const char *dir)
{
	struct ctf_facts facts = {.hostname = "h"};
	struct ctf_clock clock = {.name = "monotonic", .freq = 1000000000};
	struct ctf_stream stream = {.name = "c"};
	AUTO(buf) struct buf desc = {0}, text = {0};
	struct ctf_text_pos pos = {0};
	struct ctf_added added;
	struct ctf_maker m;
	char path[64];

	CHECK_INT(ctf_trace_new(&facts, &clock, &w->trace), 0);
	CHECK_INT(ctf_trace_add_stream(w->trace, &stream, &w->stream), 0);
	for (int i = 0; i < 3; i++) {
		char name[] = "e0";

		name[1] = (char)('0' + i);
		ctf_make(&m, "test", name, 6, NULL);
		ctf_make_field(&m, "n", CAIRN_KIND_UINT, CAIRN_FORM_ONE, 4, 0, 0);
		ctf_make_field(&m, "rest", CAIRN_KIND_UINT, CAIRN_FORM_ONE, 8, 0, 0);
		CHECK_INT(ctf_make_done(&m, &desc), 0);
		CHECK_INT(ctf_trace_add_event(w->trace, 0, desc.data, desc.len, &added, NULL), 1);
	}
	CHECK_INT(ctf_metadata(w->trace, CTF_1_8, &pos, &text), 0);
	(void)snprintf(path, sizeof(path), "%s/metadata", dir); /* fits */
	w->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	CHECK_INT(write_all(w->fd, text.data, text.len), 0);
	close(w->fd);
	(void)snprintf(path, sizeof(path), "%s/ring", dir); /* fits */
	w->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	CHECK(w->fd >= 0);
}

/* Time goes on: mostly by little, sometimes by more than a dense header holds. */
static void move_time(unsigned *seed)
{
	int r = rand_r(seed) % 100;

	fake_time += r < 80 ? (uint64_t)(rand_r(seed) % 1000)
		: r < 90    ? (1u << 20) - 3 + (uint64_t)(rand_r(seed) % 6)
		: r < 99    ? 1ull << (20 + rand_r(seed) % 30)
			    : 0;
}

static void fill_and_take(struct writer *w, enum cairn_ring_mode mode)
{
	struct ringset_config cfg = {.kind = CAIRN_RING_SOLO,
		.mode = mode,
		.clock = CAIRN_CLOCK_MONOTONIC,
		.nrings = 1,
		.ring_bytes = CAIRN_RING_MIN};
	struct ring_set_producer *set;
	struct ringset *s = NULL;
	struct ring_view v;
	uint32_t busy = 0;
	unsigned seed = 3;

	CHECK_INT(ringset_create(&cfg, &s), 0);
	set = map_producer(s);
	set->now = fake_now;
	fake_time += monotonic_now(set); /* later than the rings' beginning */
	for (uint32_t n = 0; n < RECORDS; n++) {
		uint32_t body[5] = {n, ~n, n};

		move_time(&seed);
		CHECK_INT(ring_append_solo(set, &set->rings[0], &busy, body, 12, n % 3), RING_OK);
		if (mode == CAIRN_MODE_OVERWRITE || rand_r(&seed) % 50 || ring_take(s, 0, &v) != 1)
			continue;
		CHECK_INT(write_view(w, &v), 0);
		ring_release(s, 0);
	}
	CHECK(ring_snapshot(s, 0, write_view, w) > 0);
	free(set);
	ringset_free(s);
	close(w->fd);
}

/* "[00009007199254740993] h test:e1: { cpu_id = 0 }, { n = 1, rest = 5 }" */
static void compare(const struct writer *w, const char *dir)
{
	char command[128], line[256];
	size_t i = 0;
	FILE *f;

	(void)snprintf(command, sizeof(command), /* fits */
		"babeltrace2 --clock-cycles --no-delta '%s' 2>'%s/../cairn-said-%d'", dir, dir,
		getpid());
	f = popen(command, "r");
	for (; f && fgets(line, sizeof(line), f) && test_failures == 0; i++) {
		const char *n = strstr(line, " n = ");

		CHECK(i < w->nexpected && n != NULL);
		if (test_failures)
			break;
		CHECK_INT(strtoull(line + 1, NULL, 10), w->expected[i][0]);
		CHECK_INT(strtoull(n + 5, NULL, 10), w->expected[i][1]);
		CHECK_INT(strstr(line, "test:e")[6] - '0', w->expected[i][1] % 3);
	}
	CHECK_INT(f ? pclose(f) : -1, 0);
	CHECK_INT(i, w->nexpected);
	(void)snprintf(command, sizeof(command), /* fits */
		"! grep -v -e '^$' -e '^WARNING: Tracer' '%s/../cairn-said-%d'", dir, getpid());
	CHECK_INT(system(command), 0);
	(void)snprintf(command, sizeof(command), "rm -rf '%s/../cairn-said-%d' '%s'", dir, getpid(),
		dir); /* fits */
	CHECK_INT(system(command), 0);
}

static void run(enum cairn_ring_mode mode, struct writer *w)
{
	char dir[] = "/tmp/cairn-packets-XXXXXX";

	if (system("command -v babeltrace2 >/dev/null 2>&1") != 0)
		SKIP("no babeltrace2");
	CHECK(mkdtemp(dir));
	make_trace(w, dir);
	fill_and_take(w, mode);
	compare(w, dir);
	ctf_trace_free(w->trace);
}

TEST(packets_of_a_discard_ring)
{
	static struct writer w;

	run(CAIRN_MODE_DISCARD, &w);
	if (test_skipped)
		return;
	CHECK_INT(w.nexpected, RECORDS);
	CHECK(w.seq > 20);
	CHECK(w.forms[0] > 1000 && w.forms[1] > 100);
}

TEST(packets_of_a_flight_recorder)
{
	static struct writer w;

	run(CAIRN_MODE_OVERWRITE, &w);
	if (test_skipped)
		return;
	CHECK(w.seq > 10 && w.forms[3] == w.seq);
}

TEST_MAIN()
