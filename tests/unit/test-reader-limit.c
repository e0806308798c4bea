/* Ranges of time and seeking: the same as a full read that is filtered, but packets outside the range
 * are passed; names of threads that were said before it are known all the same. */
#include "made-trace.h"
#include "test.h"
#include "view/view.h"

#include <cairn/reader.h>
#include <errno.h>

#define PACKETS 40
#define EVENTS 25 /* of a packet */
#define PACKET_NS 1000

/* Two rings of ticks, with threads that introduce themselves, rename and reuse ids as time goes on; and a
 * state dump that says some. Ring 2 has losses. */
static void make(struct made *m)
{
	made_begin(m);
	for (uint64_t p = 0; p < PACKETS; p++)
		for (int ring = 1; ring <= 2; ring++) {
			uint64_t begin = p * PACKET_NS;

			for (uint64_t i = 0; i < EVENTS; i++) {
				int32_t tid = 100 * ring + (int32_t)(i % 5);
				uint64_t t = begin + i * 37 + (uint64_t)ring * 3;
				char comm[16];

				(void)snprintf(comm, sizeof(comm), "t%d.%d", (int)p, (int)i % 5);
				if ((p % 7 == 0 && i < 5) || (p == 20 && i == 11))
					made_thread(m, ring, 100 * ring, tid, t, comm);
				made_tick(m, ring, tid, t, (uint32_t)(p * EVENTS + i));
			}
			made_packet_lost(
				m, ring, begin, begin + PACKET_NS - 1, ring == 2 ? p / 4 * 10 : 0);
		}
	for (uint64_t p = 0; p < 3; p++) {
		struct ctf_thread t = {100, 104, p ? "late" : "early"};
		uint64_t at = p * 15 * PACKET_NS;

		ctf_state_thread(&m->records[0], at, &t);
		made_packet(m, 0, at, at);
	}
}

struct line {
	int64_t t;
	int64_t tid;
	uint64_t n; /* of ticks; of losses */
	char comm[THREAD_COMM + 1];
};

struct lines {
	struct line *all;
	size_t n, cap;
	uint64_t packets; /* that the reader says it read */
};

static void add(struct lines *l, struct line line)
{
	struct line *slot = VEC_ADD(l->all, l->n, l->cap);

	if (!slot)
		abort();
	*slot = line;
}

static struct cairn_reader *open_all(const struct made *m)
{
	const char *paths[] = {m->dir};
	struct cairn_reader_options o = {.size = sizeof(o), .paths = paths, .npaths = 1};
	struct cairn_reader *r = NULL;
	struct cairn_error e;

	CHECK_INT(cairn_reader_open(&o, &r, &e), 0);
	return r;
}

/* All ticks of [begin, end), with the names of their threads, and the losses. */
static struct lines read_range(struct cairn_reader *r, int64_t begin, int64_t end)
{
	struct threads threads = {0};
	struct lines l = {0};
	struct cairn_item it;
	struct cairn_error e;
	const struct cairn_stream_info *s;
	int got;

	while ((got = cairn_reader_next(r, &it, &e)) > 0) {
		struct line line = {0};

		if (it.kind == CAIRN_ITEM_LOSS && it.loss->begin_ns >= begin &&
			it.loss->begin_ns < end)
			add(&l, (struct line){it.loss->begin_ns, -1, it.loss->count, "loss"});
		CHECK(it.kind != CAIRN_ITEM_NOTICE);
		if (it.kind != CAIRN_ITEM_EVENT)
			continue;
		if (threads_teaches(it.event->cls))
			(void)threads_learn(&threads, it.event); /* changed or not */
		if (it.event->time_ns < begin || it.event->time_ns >= end ||
			strcmp(it.event->cls->event, "tick") != 0)
			continue;
		line.t = it.event->time_ns;
		line.tid = cairn_event_tid(it.event);
		line.n = cairn_event_get(it.event, "n")->u;
		(void)threads_comm(&threads, it.event, line.tid, line.comm); /* or empty */
		add(&l, line);
	}
	CHECK_INT(got, 0);
	for (size_t i = 0; (s = cairn_reader_stream(r, i)); i++)
		l.packets += s->packets;
	threads_done(&threads);
	return l;
}

static void check_same(const struct lines *got, const struct lines *want)
{
	CHECK_INT(got->n, want->n);
	for (size_t i = 0; i < got->n && i < want->n; i++) {
		const struct line *g = &got->all[i], *w = &want->all[i];

		if (g->t == w->t && g->tid == w->tid && g->n == w->n &&
			strcmp(g->comm, w->comm) == 0)
			continue;
		printf("# line %zu: %" PRId64 " %" PRId64 " %" PRIu64 " %s, expected %" PRId64
		       " %" PRId64 " %" PRIu64 " %s\n",
			i, g->t, g->tid, g->n, g->comm, w->t, w->tid, w->n, w->comm);
		CHECK(!"lines are the same");
		return;
	}
}

static const int64_t ranges[][2] = {
	{0, PACKETS *PACKET_NS},
	{1, 2},
	{5 * PACKET_NS, 6 * PACKET_NS},
	{5 * PACKET_NS + 999, 9 * PACKET_NS + 1},
	{20 * PACKET_NS + 500, 22 * PACKET_NS + 500},
	{39 * PACKET_NS, INT64_C(1) << 40},
	{INT64_C(1) << 40, INT64_C(1) << 41},
	{-1000, 3},
};

TEST(a_range_is_a_filtered_full_read)
{
	struct made m;

	make(&m);
	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		int64_t begin = MADE_T0 + ranges[i][0], end = MADE_T0 + ranges[i][1];
		struct cairn_reader *all = open_all(&m), *some = open_all(&m);
		struct cairn_error e;
		struct lines want = read_range(all, begin, end), got;

		CHECK_INT(cairn_reader_limit(some, begin, end, CAIRN_LIMIT_STATE, &e), 0);
		got = read_range(some, begin, end);
		check_same(&got, &want);
		/* packets of ticks in the range, and all of the state dump that are not after it */
		CHECK(got.packets <= 5 + 2 * (uint64_t)((end - begin) / PACKET_NS + 2));
		free(want.all);
		free(got.all);
		cairn_reader_free(all);
		cairn_reader_free(some);
	}
	made_end(&m);
}

TEST(a_reader_goes_back_and_forth)
{
	struct made m;
	struct cairn_reader *r, *all;
	struct cairn_error e;

	make(&m);
	r = open_all(&m);
	for (int64_t p = PACKETS - 1; p >= 0; p -= 13) {
		int64_t begin = MADE_T0 + p * PACKET_NS + 100;
		struct lines want, got;

		all = open_all(&m);
		want = read_range(all, begin, INT64_MAX);
		for (size_t i = 0; i < want.n; i++) /* a seek does not tell who is who */
			memset(want.all[i].comm, 0, sizeof(want.all[i].comm));
		CHECK_INT(cairn_reader_seek(r, begin, &e), 0);
		got = read_range(r, begin, INT64_MAX);
		for (size_t i = 0; i < got.n; i++)
			memset(got.all[i].comm, 0, sizeof(got.all[i].comm));
		check_same(&got, &want);
		free(want.all);
		free(got.all);
		cairn_reader_free(all);
	}
	cairn_reader_free(r);
	made_end(&m);
}

TEST(without_state_nothing_before_the_range_is_given)
{
	struct made m;
	struct cairn_reader *r;
	struct cairn_error e;
	struct cairn_item it;
	int64_t begin = MADE_T0 + 10 * PACKET_NS;

	make(&m);
	r = open_all(&m);
	CHECK_INT(cairn_reader_limit(r, begin, INT64_MAX, 0, &e), 0);
	while (cairn_reader_next(r, &it, &e) > 0)
		if (it.kind == CAIRN_ITEM_EVENT)
			CHECK(it.event->time_ns >= begin);
	CHECK_INT(cairn_reader_limit(r, begin, INT64_MAX, 2, &e), -EINVAL);
	cairn_reader_free(r);
	made_end(&m);
}

TEST_MAIN()
