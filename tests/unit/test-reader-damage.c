/* Damaged packets: what is whole is read, what is not is said, reading goes on behind it. */
#include "made-trace.h"
#include "test.h"

#include <cairn/reader.h>

#define PACKETS 6
#define EVENTS 10
#define ALL (((UINT64_C(1) << EVENTS) - 1)) /* a packet's ticks, one bit each */

struct got {
	uint64_t ticks[PACKETS]; /* bit n: tick n of that packet */
	uint64_t others, packets_lost, skipped;
	int events, damaged, cut;
	char message[400], where[400]; /* of the first notice */
	int end;
};

static off_t begins[PACKETS + 1];

static void make(struct made *m)
{
	made_begin(m);
	for (uint64_t p = 0; p < PACKETS; p++) {
		for (uint64_t i = 0; i < EVENTS; i++)
			made_tick(m, 1, 7, p * 1000 + i, (uint32_t)(p * EVENTS + i));
		made_packet(m, 1, p * 1000, p * 1000 + 999);
		begins[p] = m->begin[1];
	}
	begins[PACKETS] = m->end[1];
}

static void take(struct got *g, const struct cairn_item *it)
{
	if (it->kind == CAIRN_ITEM_LOSS && strcmp(it->loss->reason, "packets") == 0)
		g->packets_lost += it->loss->count;
	if (it->kind == CAIRN_ITEM_NOTICE) {
		g->damaged += it->notice->kind == CAIRN_NOTICE_DAMAGED;
		g->cut += it->notice->kind == CAIRN_NOTICE_CUT;
		g->skipped += it->notice->skipped;
		if (!g->message[0]) {
			(void)snprintf(
				g->message, sizeof(g->message), "%s", it->notice->error.message);
			(void)snprintf(g->where, sizeof(g->where), "%s", it->notice->error.where);
		}
	}
	if (it->kind == CAIRN_ITEM_EVENT) {
		const struct cairn_value *n = cairn_event_get(it->event, "n");

		g->events++;
		if (n && n->u < PACKETS * EVENTS)
			g->ticks[n->u / EVENTS] |= UINT64_C(1) << n->u % EVENTS;
		else
			g->others++;
	}
}

static struct got read_options(const struct cairn_reader_options *o)
{
	struct cairn_reader *r;
	struct cairn_item it;
	struct cairn_error e;
	struct got g = {0};

	g.end = cairn_reader_open(o, &r, &e);
	if (g.end < 0) {
		printf("# %s %s\n", e.message, e.where);
		return g;
	}
	while ((g.end = cairn_reader_next(r, &it, &e)) > 0)
		if (it.kind == CAIRN_ITEM_WAIT)
			(void)cairn_reader_wait(r, -1); /* look again in any case */
		else
			take(&g, &it);
	cairn_reader_free(r);
	return g;
}

static struct got read_it(const struct made *m)
{
	const char *paths[] = {m->dir};
	struct cairn_reader_options o = {.size = sizeof(o), .paths = paths, .npaths = 1};

	return read_options(&o);
}

/* Of all packets but those of `gone` (bit p: packet p) all events came, of these none. */
static void check_but(const struct got *g, unsigned gone)
{
	CHECK_INT(g->end, 0);
	CHECK_INT(g->others, 0);
	for (unsigned p = 0; p < PACKETS; p++)
		if (g->ticks[p] != (gone >> p & 1 ? 0 : ALL))
			printf("# packet %u: ticks %#" PRIx64 "\n", p, g->ticks[p]);
	for (unsigned p = 0; p < PACKETS; p++)
		CHECK_INT(g->ticks[p], gone >> p & 1 ? 0 : ALL);
	CHECK_INT(g->events, EVENTS * (PACKETS - __builtin_popcount(gone)));
}

#define HEAD(member) offsetof(struct ctf_head, member)

static void damage_head(const struct made *m, int packet, size_t at, uint64_t v, size_t bytes)
{
	made_damage(m, 1, begins[packet] + (off_t)at, &v, bytes);
}

TEST(whole)
{
	struct made m;
	struct got g;

	make(&m);
	g = read_it(&m);
	check_but(&g, 0);
	CHECK_INT(g.damaged + g.cut, 0);
	made_end(&m);
}

/* Each makes packet 2 unreadable; the packets around it are read. */
TEST(a_bad_head_costs_its_packet)
{
	static const struct {
		size_t at;
		uint64_t v;
		size_t bytes;
		const char *why;
	} cases[] = {
		{HEAD(magic), 0, 4, "magic"},
		{HEAD(magic), 0xc1fc1fc0, 4, "magic"},
		{HEAD(uuid) + 5, 0xee, 1, "UUID"},
		{HEAD(stream_id), 77, 4, "does not describe"},
		{HEAD(stream_id), 0, 4, "stream_id is not that of its file"},
		{HEAD(packet_size), 0, 8, "packet_size"},
		{HEAD(packet_size), 12345, 8, "packet_size"},
		{HEAD(packet_size), 64, 8, "packet_size"},
		{HEAD(content_size), UINT64_MAX, 8, "content_size"},
		{HEAD(content_size), 1u << 20, 8, "content_size"},
		{HEAD(content_size), 8, 8, "content_size"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct made m;
		struct got g;
		char where[32];

		make(&m);
		damage_head(&m, 2, cases[i].at, cases[i].v, cases[i].bytes);
		g = read_it(&m);
		check_but(&g, 1u << 2);
		CHECK_INT(g.damaged, 1);
		CHECK_INT(g.packets_lost, 1);
		CHECK_INT(g.skipped, begins[3] - begins[2]);
		(void)snprintf(where, sizeof(where), "ring1, byte %d", (int)begins[2]);
		if (!strstr(g.message, cases[i].why) || !strstr(g.where, where))
			printf("# case %zu: %s (%s)\n", i, g.message, g.where);
		CHECK(strstr(g.message, cases[i].why) && strstr(g.where, where));
		made_end(&m);
	}
}

TEST(the_first_packet_and_the_last)
{
	struct made m;
	struct got g;

	make(&m);
	damage_head(&m, 0, HEAD(magic), 0, 4);
	damage_head(&m, PACKETS - 1, HEAD(magic), 0, 4);
	g = read_it(&m);
	check_but(&g, 1u | 1u << (PACKETS - 1));
	CHECK_INT(g.damaged, 2);
	made_end(&m);
}

TEST(two_in_a_row_and_one_more)
{
	struct made m;
	struct got g;

	make(&m);
	damage_head(&m, 1, HEAD(magic), 0, 4);
	damage_head(&m, 2, HEAD(packet_size), 1, 8);
	damage_head(&m, 4, HEAD(uuid), 0, 8);
	g = read_it(&m);
	check_but(&g, 1u << 1 | 1u << 2 | 1u << 4);
	CHECK_INT(g.damaged, 2);
	CHECK_INT(g.packets_lost, 3);
	made_end(&m);
}

/* Where a packet says that it is longer than it is, those it swallows are found all the same. */
TEST(a_packet_size_that_swallows_others)
{
	struct made m;
	struct got g;

	make(&m);
	damage_head(&m, 2, HEAD(packet_size), (uint64_t)(begins[4] - begins[2] + 8) * 8, 8);
	g = read_it(&m);
	check_but(&g, 0);
	CHECK_INT(g.damaged, 1);
	CHECK_INT(g.packets_lost, 0);
	made_end(&m);
}

TEST(a_packet_size_beyond_the_file)
{
	struct made m;
	struct got g;

	make(&m);
	damage_head(&m, 2, HEAD(packet_size), UINT64_C(1) << 40, 8);
	g = read_it(&m);
	check_but(&g, 0);
	CHECK_INT(g.damaged, 1);
	CHECK_INT(g.cut, 0);
	made_end(&m);
	make(&m);
	damage_head(&m, 2, HEAD(packet_size), UINT64_C(1) << 40, 8);
	damage_head(&m, 2, HEAD(content_size), UINT64_C(1) << 40, 8);
	g = read_it(&m);
	check_but(&g, 1u << 2);
	CHECK_INT(g.damaged, 1);
	CHECK_INT(g.cut, 0);
	made_end(&m);
}

TEST(several_packet_sizes_beyond_the_file)
{
	struct made m;
	struct got g;

	make(&m);
	for (int p = 0; p < 3; p++) {
		damage_head(&m, p, HEAD(packet_size), UINT64_C(1) << 40, 8);
		damage_head(&m, p, HEAD(content_size), UINT64_C(1) << 40, 8);
	}
	g = read_it(&m);
	check_but(&g, 7u);
	CHECK_INT(g.damaged, 3);
	made_end(&m);
}

TEST(a_cut_last_packet_is_read_as_far_as_it_goes)
{
	struct made m;
	struct got g;
	char path[400];

	make(&m);
	made_path(&m, "ring1", path);
	CHECK_INT(truncate(path, begins[PACKETS - 1] + (off_t)sizeof(struct ctf_head) + 4 * 20 + 7),
		0);
	g = read_it(&m);
	CHECK_INT(g.events, EVENTS * (PACKETS - 1) + 4);
	CHECK_INT(g.cut, 1);
	CHECK_INT(g.damaged, 0);
	made_end(&m);
}

/* An event that makes no sense costs the rest of its packet. */
TEST(a_bad_event_costs_the_rest_of_its_packet)
{
	struct made m;
	struct got g;
	uint32_t id = 2u | 9999u << 2;

	make(&m);
	made_damage(&m, 1, begins[2] + (off_t)sizeof(struct ctf_head) + 3 * 20, &id, sizeof(id));
	g = read_it(&m);
	CHECK_INT(g.events, EVENTS * PACKETS - 7);
	CHECK_INT(g.damaged, 1);
	CHECK_INT(g.skipped, 7 * 20);
	CHECK(strstr(g.message, "does not describe an event"));
	made_end(&m);
}

TEST(a_string_without_an_end)
{
	struct made m;
	struct got g;

	made_begin(&m);
	made_say(&m, 1, 7, 1, "first");
	made_say(&m, 1, 7, 2, "second");
	made_packet(&m, 1, 0, 9);
	made_damage(&m, 1, (off_t)sizeof(struct ctf_head) + 2 * 16 + 6 + 6, "!", 1);
	made_tick(&m, 1, 7, 10, 3);
	made_packet(&m, 1, 10, 19);
	g = read_it(&m);
	CHECK_INT(g.events, 2);
	CHECK_INT(g.ticks[0], 1u << 3);
	CHECK_INT(g.damaged, 1);
	CHECK(strstr(g.message, "longer than the packet"));
	made_end(&m);
}

/* Zeros, as a crashed machine leaves them, between packets and at the end. */
TEST(zeros)
{
	static const uint8_t zeros[1 << 20];
	struct made m;
	struct got g;
	char path[400];

	make(&m);
	made_path(&m, "ring1", path);
	made_append(path, zeros, sizeof(zeros));
	made_tick(&m, 1, 7, 9000, 5);
	made_packet(&m, 1, 9000, 9999);
	made_append(path, zeros, 100);
	g = read_it(&m);
	CHECK_INT(g.events, EVENTS * PACKETS + 1);
	CHECK_INT(g.damaged, 2);
	CHECK_INT(g.skipped, sizeof(zeros) + 100);
	made_end(&m);
}

/* A range behind damage is found. */
TEST(seeking_over_damage)
{
	const char *paths[1];
	struct cairn_reader_options o = {.size = sizeof(o), .paths = paths, .npaths = 1};
	struct made m;
	struct got g;

	make(&m);
	paths[0] = m.dir;
	damage_head(&m, 1, HEAD(magic), 0, 4);
	o.begin_ns = MADE_T0 + 3000;
	o.end_ns = MADE_T0 + 5000;
	g = read_options(&o);
	check_but(&g, 1u | 1u << 1 | 1u << 2 | 1u << 5);
	made_end(&m);
}

/* A pipe, or a serial line, that loses n bytes at a place of packet 2; and whose packet_size is size,
 * if that is not 0. */
static struct got read_lossy(off_t at, off_t n, uint64_t size)
{
	struct ctf_text_pos pos = {0};
	struct buf text = {0}, all = {0}, file = {0};
	struct cairn_reader_options o = {.size = sizeof(o)};
	char path[400];
	struct made m;
	struct got g;
	int fds[2];

	make(&m);
	if (size)
		damage_head(&m, 2, HEAD(packet_size), size, 8);
	made_path(&m, "ring1", path);
	CHECK_INT(read_file(path, 1u << 20, &file), 0);
	CHECK_INT(ctf_metadata(m.trace, CTF_1_8, &pos, &text), 0);
	ctf_stream_metadata(m.trace, CTF_1_8, text.data, text.len, &all);
	at += begins[2];
	buf_add(&all, file.data, (size_t)at);
	buf_add(&all, file.data + at + n, file.len - (size_t)(at + n));
	CHECK_INT(pipe(fds), 0);
	CHECK(all.len < 60000); /* a pipe holds it */
	CHECK_INT(write_all(fds[1], all.data, all.len), 0);
	close(fds[1]);
	o.fd = fds[0];
	g = read_options(&o);
	close(fds[0]);
	buf_done(&text);
	buf_done(&all);
	buf_done(&file);
	made_end(&m);
	return g;
}

TEST(a_pipe_that_loses_bytes)
{
	static const struct {
		off_t at, n;
		uint64_t size;
	} cases[] = {{0, 9, 0}, {0, 60, 0}, {150, 1, 0}, {200, 30, 0}, {0, 0, UINT64_C(1) << 33}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct got g = read_lossy(cases[i].at, cases[i].n, cases[i].size);

		check_but(&g, 1u << 2);
		CHECK_INT(g.damaged, 1);
		CHECK_INT(g.packets_lost, 1);
	}
}

TEST_MAIN()
