/* Writes a trace that has everything: test-ctf-write-sample DIR 1|2|stream. What it must read back
 * as is in test-ctf-write.txt; test-ctf-write.py compares. */
#include "ctf/ctf.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DENSE 0u
#define SPARSE 1u
#define EXTENDED 2u
#define BLOCK 3u
#define T0 ((5ull << 52) + 0xffff0)
#define FILLERS 1100 /* more events than short headers can name */

static struct ctf_trace *trace;
static uint32_t stream_full, stream_small, stream_state;
static uint32_t id_scalars, id_lists, id_names, id_log, id_empty, id_other, id_filler;

#define ADD(b, type, v) \
	do { \
		type add_v = (v); \
		buf_add(b, &add_v, sizeof(add_v)); \
	} while (0)

static uint32_t add_event(uint32_t stream, struct ctf_maker *m)
{
	AUTO(buf) struct buf desc = {0};
	struct ctf_added added;
	struct error e = {0};

	if (ctf_make_done(m, &desc) < 0 ||
		ctf_trace_add_event(trace, stream, desc.data, desc.len, &added, &e) < 0) {
		fprintf(stderr, "%s\n", e.message);
		exit(1);
	}
	return added.id;
}

static void field(struct ctf_maker *m, const char *name, enum cairn_kind kind, unsigned width)
{
	ctf_make_field(m, name, kind, CAIRN_FORM_ONE, width, 0, 0);
}

static void list(
	struct ctf_maker *m, const char *name, enum cairn_kind kind, unsigned width, unsigned count)
{
	ctf_make_field(m, name, kind, count == UINT32_MAX ? CAIRN_FORM_SEQUENCE : CAIRN_FORM_ARRAY,
		width, count == UINT32_MAX ? 0 : count, 0);
}

static void describe_scalars(void)
{
	struct ctf_maker m;

	ctf_make(&m, "test", "scalars", 6, NULL);
	field(&m, "u8", CAIRN_KIND_UINT, 1);
	field(&m, "u16", CAIRN_KIND_UINT, 2);
	field(&m, "u32", CAIRN_KIND_UINT, 4);
	field(&m, "u64", CAIRN_KIND_UINT, 8);
	field(&m, "i8", CAIRN_KIND_INT, 1);
	field(&m, "i16", CAIRN_KIND_INT, 2);
	field(&m, "i32", CAIRN_KIND_INT, 4);
	field(&m, "i64", CAIRN_KIND_INT, 8);
	ctf_make_field(&m, "hex", CAIRN_KIND_UINT, CAIRN_FORM_ONE, 4, 0, CAIRN_FIELD_HEX);
	field(&m, "flag", CAIRN_KIND_BOOL, 1);
	field(&m, "letter", CAIRN_KIND_CHAR, 1);
	field(&m, "f", CAIRN_KIND_FLOAT, 4);
	field(&m, "d", CAIRN_KIND_FLOAT, 8);
	field(&m, "p", CAIRN_KIND_PTR, 8);
	field(&m, "s", CAIRN_KIND_STR, 1);
	ctf_make_field(&m, "colour", CAIRN_KIND_ENUM, CAIRN_FORM_ONE, 4, 0, CAIRN_FIELD_SIGNED);
	ctf_make_label(&m, -1, "NONE");
	ctf_make_label(&m, 0, "RED");
	ctf_make_label(&m, 1, "say \"green\\\"");
	ctf_make_label(&m, 7, "RED");
	field(&m, "bare", CAIRN_KIND_ENUM, 2);
	ctf_make_field(&m, "top", CAIRN_KIND_ENUM, CAIRN_FORM_ONE, 8, 0, 0);
	ctf_make_label(&m, -1, "ALL");
	id_scalars = add_event(stream_full, &m);
}

static void fill_scalars(struct buf *b, int32_t colour)
{
	ADD(b, uint8_t, 255);
	ADD(b, uint16_t, 65535);
	ADD(b, uint32_t, UINT32_MAX);
	ADD(b, uint64_t, UINT64_MAX);
	ADD(b, int8_t, -128);
	ADD(b, int16_t, -32768);
	ADD(b, int32_t, INT32_MIN);
	ADD(b, int64_t, INT64_MIN);
	ADD(b, uint32_t, 0xbeef);
	ADD(b, uint8_t, 1);
	ADD(b, uint8_t, 'A');
	ADD(b, float, 1.5f);
	ADD(b, double, -0.25);
	ADD(b, uint64_t, 0x7fff12345678);
	buf_add(b, "gr\303\274n", 6);
	ADD(b, int32_t, colour);
	ADD(b, uint16_t, 3);
	ADD(b, uint64_t, UINT64_MAX);
}

static void describe_lists(void)
{
	struct ctf_maker m;

	ctf_make(&m, "test", "lists", 4, NULL);
	list(&m, "three", CAIRN_KIND_UINT, 2, 3);
	list(&m, "text", CAIRN_KIND_CHAR, 1, 8);
	list(&m, "reals", CAIRN_KIND_FLOAT, 8, 2);
	list(&m, "flags", CAIRN_KIND_BOOL, 1, 2);
	list(&m, "none", CAIRN_KIND_INT, 4, 0);
	list(&m, "mac", CAIRN_KIND_BYTES, 1, 6);
	list(&m, "run", CAIRN_KIND_INT, 4, UINT32_MAX);
	list(&m, "gone", CAIRN_KIND_INT, 8, UINT32_MAX);
	list(&m, "word", CAIRN_KIND_CHAR, 1, UINT32_MAX);
	list(&m, "blob", CAIRN_KIND_BYTES, 1, UINT32_MAX);
	list(&m, "modes", CAIRN_KIND_ENUM, 1, UINT32_MAX);
	ctf_make_label(&m, 0, "off");
	ctf_make_label(&m, 1, "on");
	list(&m, "where", CAIRN_KIND_PTR, 8, 1);
	id_lists = add_event(stream_full, &m);
}

static void fill_lists(struct buf *b)
{
	ADD(b, uint16_t, 1);
	ADD(b, uint16_t, 2);
	ADD(b, uint16_t, 3);
	buf_add(b, "abc\0\0\0\0\0", 8);
	ADD(b, double, 0.5);
	ADD(b, double, 2);
	ADD(b, uint16_t, 0x0100);
	buf_add(b, "\x00\x11\x22\xaa\xbb\xff", 6);
	ADD(b, uint32_t, 2);
	ADD(b, int32_t, -7);
	ADD(b, int32_t, 8);
	ADD(b, uint32_t, 0);
	ADD(b, uint32_t, 2);
	buf_add(b, "hi", 2);
	ADD(b, uint32_t, 3);
	buf_add(b, "\x01\x02\xfe", 3);
	ADD(b, uint32_t, 3);
	buf_add(b, "\x00\x01\x02", 3);
	ADD(b, uint64_t, 0x1000);
}

static void describe_rest(void)
{
	static const char *const names[] = {"p->len", "p.len", "event", "struct", "", "1x",
		"_hidden", "seq", "_seq_length", "é"};
	struct ctf_maker m;

	ctf_make(&m, "test", "names", 6, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(names[i], "seq") == 0)
			list(&m, names[i], CAIRN_KIND_UINT, 1, UINT32_MAX);
		else
			field(&m, names[i], CAIRN_KIND_UINT, 1);
	id_names = add_event(stream_full, &m);
	ctf_make(&m, "test", "log", 3, "\"quoted\" %d%%\n\tüber\\");
	field(&m, "n", CAIRN_KIND_INT, 4);
	id_log = add_event(stream_full, &m);
	ctf_make(&m, "test", "empty", 14, NULL);
	id_empty = add_event(stream_full, &m);
	ctf_make(&m, "test", "names", 6, NULL); /* the same name, another description */
	field(&m, "other", CAIRN_KIND_UINT, 1);
	id_other = add_event(stream_full, &m);
	for (unsigned i = 0; i < FILLERS; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "filler%u", i); /* fits */
		ctf_make(&m, "test", name, 6, NULL);
		id_filler = add_event(stream_small, &m);
	}
}

static void make_trace(void)
{
	static const struct cairn_perf_ctx perf[] = {
		{.name = "perf_cpu_cycles"}, {.name = "perf:odd name"}};
	struct ctf_facts facts = {.uuid = {0x2a, 0x64, 0x22, 0xd0, [15] = 1},
		.hostname = "pile",
		.session = "a \"name\"",
		.created = "2026-01-02T03:04:05+0000",
		.tracer_version = "0.1.0"};
	struct ctf_clock clock = {.name = "tsc",
		.description = "cycle counter",
		.uuid = {1, 2, 3},
		.freq = 1000000000,
		.offset_s = 100,
		.offset_cycles = 7};
	struct ctf_stream full = {.name = "full",
		.contexts = (1u << CAIRN_CTX_PERF) - 1,
		.perf_count = 2,
		.perf = perf};
	struct ctf_stream small = {.name = "small", .contexts = 1u << CAIRN_CTX_TID};
	struct ctf_stream state = {.kind = CTF_STREAM_STATE, .name = "state"};

	if (ctf_trace_new(&facts, &clock, &trace) < 0 ||
		ctf_trace_env(trace, "extra", "tab\tand \"quote\"") < 0 ||
		ctf_trace_add_stream(trace, &full, &stream_full) < 0 ||
		ctf_trace_add_stream(trace, &small, &stream_small) < 0 ||
		ctf_trace_add_stream(trace, &state, &stream_state) < 0)
		exit(1);
	describe_scalars();
	describe_lists();
	describe_rest();
}

static void header(struct buf *b, unsigned form, uint32_t id, uint64_t t)
{
	switch (form) {
	case DENSE: ADD(b, uint32_t, DENSE | id << 2 | (uint32_t)(t & 0xfffff) << 12); break;
	case SPARSE: ADD(b, uint64_t, SPARSE | id << 2 | t << 12); break;
	default:
		ADD(b, uint32_t, form | id << 2);
		ADD(b, uint64_t, t);
		if (form == BLOCK) {
			ADD(b, uint32_t, 17);
			ADD(b, uint64_t, 4711);
		}
	}
}

static void full_contexts(struct buf *b)
{
	ADD(b, int32_t, 4242);
	ADD(b, int32_t, 4200);
	buf_add(b, "worker\0\0\0\0\0\0\0\0\0", 16);
	ADD(b, uint32_t, 3);
	ADD(b, int32_t, -5);
	ADD(b, uint32_t, 1);
	ADD(b, uint64_t, 99);
	ADD(b, uint64_t, 0x401000);
	ADD(b, uint64_t, 1000);
	ADD(b, uint64_t, 2000);
}

static void put(const char *path, const void *p, size_t n)
{
	AUTO(fd) int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

	if (fd < 0 || write_all(fd, p, n) < 0) {
		perror(path);
		exit(1);
	}
}

/* Ends a packet of `ring`'s file with the records in b, and empties b. */
static void packet(const char *dir, uint32_t stream, unsigned ring, uint64_t begin, uint64_t end,
	uint64_t lost, struct buf *b)
{
	static uint64_t seq[4], pos[4];
	struct ring_view v = {.data = (const uint8_t *)b->data,
		.len = b->len,
		.begin_pos = pos[ring],
		.end_pos = pos[ring] + b->len,
		.begin_ts = begin,
		.end_ts = end,
		.lost = {[CAIRN_LOST_FULL] = lost, [CAIRN_LOST_RESTARTS] = lost ? 1 : 0},
		.lost_total = lost ? lost + 1 : 0};
	struct ctf_packet p = {.stream = stream,
		.instance = ctf_instance(stream, 0, CAIRN_RING_PERCPU, ring),
		.cpu = ring,
		.seq = seq[ring]++,
		.view = &v};
	struct ctf_frame f;
	char path[4096];

	ctf_frame(trace, &p, &f);
	(void)snprintf(path, sizeof(path), "%s/ring%u", dir, ring);
	if (strcmp(dir, "-") == 0)
		(void)snprintf(path, sizeof(path), "/dev/stdout");
	put(path, f.head, f.head_len);
	put(path, f.body, f.body_len);
	put(path, f.tail, f.tail_len);
	pos[ring] += b->len;
	buf_clear(b);
}

static void write_full(const char *dir, struct buf *b)
{
	header(b, EXTENDED, id_scalars, T0 + 1);
	full_contexts(b);
	fill_scalars(b, 7);
	header(b, DENSE, id_scalars, T0 + 40); /* the low bits wrap here */
	full_contexts(b);
	fill_scalars(b, 2);
	header(b, SPARSE, id_lists, T0 + (1ull << 30));
	full_contexts(b);
	fill_lists(b);
	packet(dir, stream_full, 0, T0, T0 + (1ull << 31), 0, b);
	packet(dir, stream_full, 0, T0 + (1ull << 31), T0 + (1ull << 31) + 10, 3, b); /* empty */
	header(b, BLOCK, id_names, T0 + (1ull << 31) + 11);
	full_contexts(b);
	buf_add(b, "\1\2\3\4\5\6\7", 7);
	ADD(b, uint32_t, 1);
	buf_add(b, "\11\12\13", 3);
	header(b, DENSE, id_log, T0 + (1ull << 31) + 12);
	full_contexts(b);
	ADD(b, int32_t, -3);
	header(b, DENSE, id_empty, T0 + (1ull << 31) + 12);
	full_contexts(b);
	header(b, DENSE, id_other, T0 + (1ull << 31) + 13);
	full_contexts(b);
	ADD(b, uint8_t, 200);
	packet(dir, stream_full, 0, T0 + (1ull << 31) + 11, T0 + (1ull << 31) + 13, 3, b);
}

static void write_small(const char *dir, struct buf *b)
{
	header(b, EXTENDED, id_filler, T0 + 20);
	ADD(b, int32_t, 7);
	header(b, DENSE, 1023, T0 + 21);
	ADD(b, int32_t, 8);
	packet(dir, stream_small, 1, T0 + 20, T0 + 30, 0, b);
}

static void write_state(const char *dir, struct buf *b)
{
	struct ctf_process p = {4200, 1, 1000, 100, "work", "/usr/bin/work", "work --hard 'a b'"};
	struct ctf_thread t = {4200, 4242, "worker"};
	struct ctf_module m = {
		4200, 0x400000, 0x3000, "/usr/bin/work", (const uint8_t *)"\xde\xad\xbe\xef", 4};
	struct ctf_module plain = {4200, 0x7f0000000000, 0x1000, NULL, NULL, 0};

	ctf_state_attach(b, T0 + 2, 4200, CTF_ATTACH_JOINED);
	ctf_state_process(b, T0 + 2, &p);
	ctf_state_thread(b, T0 + 3, &t);
	ctf_state_module(b, T0 + 4, &m);
	ctf_state_module(b, T0 + 4, &plain);
	ctf_state_done(b, T0 + 5, 4200);
	packet(dir, stream_state, 2, T0 + 2, T0 + 5, 0, b);
}

int main(int argc, char **argv)
{
	AUTO(buf) struct buf text = {0}, packets = {0}, b = {0};
	struct ctf_text_pos pos = {0};
	enum ctf_version version = argc == 3 && strcmp(argv[2], "2") == 0 ? CTF_2 : CTF_1_8;
	char path[4096];

	if (argc != 3)
		return 2;
	make_trace();
	if (ctf_metadata(trace, version, &pos, &text) < 0)
		return 1;
	if (strcmp(argv[1], "-") == 0) {
		ctf_stream_metadata(trace, version, text.data, text.len, &packets);
		put("/dev/stdout", packets.data, packets.len);
	} else {
		(void)snprintf(path, sizeof(path), "%s/metadata", argv[1]);
		put(path, text.data, text.len);
	}
	write_full(argv[1], &b);
	write_small(argv[1], &b);
	write_state(argv[1], &b);
	ctf_trace_free(trace);
	return 0;
}
