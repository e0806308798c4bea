/* For tests of the reader: Cairn traces made packet by packet in a directory of their own.
 *
 *	struct made m;
 *	made_begin(&m);				a directory below $TMPDIR, metadata in it
 *	made_tick(&m, ring, tid, t, n);		records, collected for the ring's next packet ...
 *	made_packet(&m, ring, begin, end);	... which is appended to the ring's file
 *	made_end(&m);				all is removed
 *
 * Events: test:tick {n}, test:say {text}, cairn_state:thread {pid, tid, comm}, with the context tid;
 * and a state dump. Times are nanoseconds from MADE_T0.
 */
#ifndef CAIRN_TESTS_MADE_TRACE_H
#define CAIRN_TESTS_MADE_TRACE_H

#include "ctf/ctf.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MADE_RINGS 4 /* ring 0 is the state dump */
#define MADE_T0 INT64_C(1700000000000000000)

struct made {
	struct ctf_trace *trace;
	char dir[256], sub[300]; /* of all; where files are written now */
	uint32_t state, events, tick, say, thread;
	uint64_t seq[MADE_RINGS], pos[MADE_RINGS];
	struct buf records[MADE_RINGS];
	off_t begin[MADE_RINGS], end[MADE_RINGS]; /* of the packet written last */
};

static void made_die(const char *what)
{
	perror(what);
	abort();
}

static uint32_t made_event(struct made *m, struct buf *desc)
{
	struct ctf_added added;

	if (ctf_trace_add_event(m->trace, m->events, desc->data, desc->len, &added, NULL) < 0)
		made_die("event");
	return added.id;
}

static void made_path(const struct made *m, const char *name, char path[400])
{
	(void)snprintf(path, 400, "%s/%s", m->sub, name); /* fits */
}

static void made_append(const char *path, const void *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0 || write_all(fd, p, n) < 0)
		made_die(path);
	close(fd);
}

static void made_metadata(struct made *m)
{
	struct ctf_text_pos pos = {0};
	struct buf text = {0};
	char path[400];

	made_path(m, "metadata", path);
	if (ctf_metadata(m->trace, CTF_1_8, &pos, &text) < 0)
		made_die("metadata");
	made_append(path, text.data, text.len);
	buf_done(&text);
}

/* Goes on in a folder of its own, as rotation does. */
__attribute__((unused)) static void made_rotate(struct made *m, const char *name)
{
	(void)snprintf(m->sub, sizeof(m->sub), "%s/%s", m->dir, name); /* fits */
	if (mkdir(m->sub, 0777) < 0)
		made_die(m->sub);
	made_metadata(m);
}

static void made_describe(struct made *m)
{
	struct buf desc = {0};
	struct ctf_maker e;

	ctf_make(&e, "test", "tick", 6, NULL);
	ctf_make_field(&e, "n", CAIRN_KIND_UINT, CAIRN_FORM_ONE, 4, 0, 0);
	(void)ctf_make_done(&e, &desc); /* no memory: made_event() fails */
	m->tick = made_event(m, &desc);
	ctf_make(&e, "test", "say", 6, NULL);
	ctf_make_field(&e, "text", CAIRN_KIND_STR, CAIRN_FORM_ONE, 1, 0, 0);
	(void)ctf_make_done(&e, &desc);
	m->say = made_event(m, &desc);
	(void)ctf_state_thread_desc(&desc);
	m->thread = made_event(m, &desc);
	buf_done(&desc);
}

static void made_begin(struct made *m)
{
	struct ctf_facts facts = {.uuid = {1, 2, 3, 4, 5, 6, 7, 8}, .tracer_version = "0.1.0"};
	struct ctf_clock clock = {.name = "monotonic",
		.description = "",
		.freq = 1000000000,
		.offset_s = MADE_T0 / 1000000000};
	struct ctf_stream state = {.kind = CTF_STREAM_STATE, .name = "state"};
	struct ctf_stream events = {.name = "events", .contexts = 1u << CAIRN_CTX_TID};
	const char *tmp = getenv("TMPDIR");

	memset(m, 0, sizeof(*m));
	(void)snprintf(m->dir, sizeof(m->dir), "%s/cairn-made-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(m->dir))
		made_die(m->dir);
	(void)snprintf(m->sub, sizeof(m->sub), "%s", m->dir); /* fits */
	if (ctf_trace_new(&facts, &clock, &m->trace) < 0 ||
		ctf_trace_add_stream(m->trace, &state, &m->state) < 0 ||
		ctf_trace_add_stream(m->trace, &events, &m->events) < 0)
		made_die("trace");
	made_describe(m);
	made_metadata(m);
}

static int made_remove(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void made_end(struct made *m)
{
	(void)nftw(m->dir, made_remove, 16, FTW_DEPTH | FTW_PHYS); /* what stays is only litter */
	for (int i = 0; i < MADE_RINGS; i++)
		buf_done(&m->records[i]);
	ctf_trace_free(m->trace);
}

/* An extended header, and the context of events. */
static struct buf *made_header(struct made *m, int ring, uint32_t id, uint64_t t, int32_t tid)
{
	struct buf *b = &m->records[ring];
	uint32_t word = 2u | id << 2;

	buf_add(b, &word, sizeof(word));
	buf_add(b, &t, sizeof(t));
	buf_add(b, &tid, sizeof(tid));
	return b;
}

static void made_tick(struct made *m, int ring, int32_t tid, uint64_t t, uint32_t n)
{
	buf_add(made_header(m, ring, m->tick, t, tid), &n, sizeof(n));
}

__attribute__((unused)) static void made_say(
	struct made *m, int ring, int32_t tid, uint64_t t, const char *text)
{
	buf_add(made_header(m, ring, m->say, t, tid), text, strlen(text) + 1);
}

__attribute__((unused)) static void made_thread(
	struct made *m, int ring, int32_t pid, int32_t tid, uint64_t t, const char *comm)
{
	struct buf *b = made_header(m, ring, m->thread, t, tid);

	buf_add(b, &pid, sizeof(pid));
	buf_add(b, &tid, sizeof(tid));
	buf_add(b, comm, strlen(comm) + 1);
}

/* A packet of the ring's records; full: how many were lost so far. */
static void made_packet_lost(struct made *m, int ring, uint64_t begin, uint64_t end, uint64_t full)
{
	struct buf *b = &m->records[ring];
	struct ring_view v = {.data = (const uint8_t *)(b->data ? b->data : ""),
		.len = b->len,
		.begin_pos = m->pos[ring],
		.end_pos = m->pos[ring] + b->len,
		.begin_ts = begin,
		.end_ts = end,
		.lost = {[CAIRN_LOST_FULL] = full},
		.lost_total = full};
	struct ctf_packet p = {.stream = ring ? m->events : m->state,
		.instance = ctf_instance(ring ? 0 : 0xffff, 0, CAIRN_RING_PERCPU, (uint32_t)ring),
		.cpu = (uint32_t)ring,
		.seq = m->seq[ring]++,
		.view = &v};
	struct buf all = {0};
	struct ctf_frame f;
	char name[16], path[400];
	struct stat st;

	ctf_frame(m->trace, &p, &f);
	buf_add(&all, f.head, f.head_len);
	buf_add(&all, f.body, f.body_len);
	buf_add(&all, f.tail, f.tail_len);
	(void)snprintf(name, sizeof(name), "ring%d", ring); /* fits */
	made_path(m, name, path);
	m->begin[ring] = stat(path, &st) == 0 ? st.st_size : 0;
	made_append(path, all.data, all.len);
	m->end[ring] = m->begin[ring] + (off_t)all.len;
	m->pos[ring] += b->len;
	buf_clear(b);
	buf_done(&all);
}

static void made_packet(struct made *m, int ring, uint64_t begin, uint64_t end)
{
	made_packet_lost(m, ring, begin, end, 0);
}

/* Writes n bytes over those at `at` of the ring's file. */
__attribute__((unused)) static void made_damage(
	const struct made *m, int ring, off_t at, const void *p, size_t n)
{
	char name[16], path[400];
	int fd;

	(void)snprintf(name, sizeof(name), "ring%d", ring); /* fits */
	made_path(m, name, path);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || pwrite(fd, p, n, at) != (ssize_t)n)
		made_die(path);
	close(fd);
}

#endif
