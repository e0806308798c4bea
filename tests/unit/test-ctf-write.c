/* The writer's half of src/ctf: descriptions, names, events of a trace, packets. That a whole trace
 * reads back is tested by test-ctf-write.py. */
#include "ctf/ctf.h"
#include "test.h"
#include <errno.h>

static void simple(struct buf *out, const char *event, unsigned width)
{
	struct ctf_maker m;

	ctf_make(&m, "p", event, 6, NULL);
	ctf_make_field(&m, "n", CAIRN_KIND_UINT, CAIRN_FORM_ONE, width, 0, 0);
	CHECK_INT(ctf_make_done(&m, out), 0);
}

static struct ctf_trace *new_trace(uint32_t *stream)
{
	struct ctf_facts facts = {.uuid = {1}, .hostname = "h"};
	struct ctf_clock clock = {.name = "tsc", .freq = 1000};
	struct ctf_stream s = {.name = "c", .contexts = 1};
	struct ctf_trace *t = NULL;

	CHECK_INT(ctf_trace_new(&facts, &clock, &t), 0);
	CHECK_INT(ctf_trace_add_stream(t, &s, stream), 0);
	return t;
}

TEST(made_descriptions_are_valid)
{
	AUTO(buf) struct buf b = {0};
	struct ctf_desc d;
	struct ctf_maker m;
	struct error e = {0};

	ctf_make(&m, "prov", "ev", 4, "fmt %d");
	ctf_make_field(&m, "a", CAIRN_KIND_INT, CAIRN_FORM_ONE, 4, 0, 0);
	ctf_make_field(&m, "e", CAIRN_KIND_ENUM, CAIRN_FORM_ARRAY, 2, 3, 0);
	ctf_make_label(&m, 5, "five");
	ctf_make_label(&m, 6, "six");
	CHECK_INT(ctf_make_done(&m, &b), 0);
	CHECK_INT(ctf_desc_parse(b.data, b.len, &d, &e), 0);
	CHECK_STR(e.message, "");
	CHECK_STR(d.provider, "prov");
	CHECK_STR(d.event, "ev");
	CHECK_STR(d.format, "fmt %d");
	CHECK_STR(d.fields[1].name, "e");
	CHECK_STR(d.fields[1].labels, "five");
	CHECK_INT(d.fields[1].values[1], 6);
}

/* One byte changed: refused, or still whole (names and values may be anything). */
TEST(every_damaged_byte_is_survived)
{
	AUTO(buf) struct buf b = {0};
	struct ctf_maker m;

	ctf_make(&m, "prov", "ev", 4, "f");
	ctf_make_field(&m, "a", CAIRN_KIND_STR, CAIRN_FORM_ONE, 1, 0, 0);
	ctf_make_field(&m, "e", CAIRN_KIND_ENUM, CAIRN_FORM_SEQUENCE, 1, 0, 0);
	ctf_make_label(&m, 5, "five");
	CHECK_INT(ctf_make_done(&m, &b), 0);
	for (size_t i = 0; i < b.len; i++)
		for (int v = 0; v < 256; v++) {
			char *copy = malloc(b.len); /* exactly: ASan sees each byte too far */

			memcpy(copy, b.data, b.len);
			copy[i] = (char)v;
			(void)ctf_desc_check(copy, b.len, NULL); /* must only not crash */
			free(copy);
		}
	for (size_t n = 0; n < b.len; n++) {
		char *copy = malloc(n + 1);

		memcpy(copy, b.data, n);
		CHECK_INT(ctf_desc_check(copy, n, NULL), -EPROTO);
		free(copy);
	}
}

static int check_changed(size_t offset, uint8_t value)
{
	AUTO(buf) struct buf b = {0};

	simple(&b, "e", 4);
	b.data[offset] = (char)value;
	return ctf_desc_check(b.data, b.len, NULL);
}

TEST(bad_descriptions_are_refused)
{
	size_t f = sizeof(struct cairn_desc), strings = f + sizeof(struct cairn_field);

	CHECK_INT(check_changed(offsetof(struct cairn_desc, abi), 1), 0);
	CHECK_INT(check_changed(offsetof(struct cairn_desc, abi), 2), -EPROTO);
	CHECK_INT(check_changed(offsetof(struct cairn_desc, size), 1), -EPROTO);
	CHECK_INT(check_changed(offsetof(struct cairn_desc, loglevel), 15), -EPROTO);
	CHECK_INT(check_changed(offsetof(struct cairn_desc, flags), 2), -EPROTO);
	CHECK_INT(check_changed(offsetof(struct cairn_desc, nfields), 33), -EPROTO);
	CHECK_INT(check_changed(offsetof(struct cairn_desc, nlabels), 1), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, kind), 0), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, kind), 10), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, form), 3), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, width), 3), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, width), 0), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, flags), 4), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, count), 1), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, nlabels), 1), -EPROTO);
	CHECK_INT(check_changed(f + offsetof(struct cairn_field, reserved), 1), -EPROTO);
	CHECK_INT(check_changed(strings, ':'), -EPROTO);
	CHECK_INT(check_changed(strings, '\n'), -EPROTO);
	CHECK_INT(check_changed(strings, 0x80), -EPROTO);
	CHECK_INT(check_changed(strings, 'q'), 0);
	CHECK_INT(check_changed(strings, 0), -EPROTO);
}

TEST(names_become_identifiers)
{
	static const char *const cases[][2] = {{"a", "a"}, {"p->len", "p_len"},
		{"*(int *)x", "int_x"}, {"a[0].b", "a_0_b"}, {"1st", "n1st"}, {"", "field"},
		{"+", "field_2"}, {"a", "a_2"}, {"__x", "__x"}};
	AUTO(buf) struct buf b = {0};
	struct ctf_names names;
	struct ctf_desc d;
	struct ctf_maker m;

	ctf_make(&m, "p", "e", 0, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ctf_make_field(&m, cases[i][0], CAIRN_KIND_INT, CAIRN_FORM_ONE, 4, 0, 0);
	CHECK_INT(ctf_make_done(&m, &b), 0);
	CHECK_INT(ctf_desc_parse(b.data, b.len, &d, NULL), 0);
	ctf_field_names(&d, &names);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_STR(names.name[i], cases[i][1]);
}

TEST(events_are_found_again_and_conflicts_told)
{
	AUTO(buf) struct buf one = {0}, other = {0};
	struct ctf_added a = {0};
	uint32_t s = 0, s2 = 0;
	struct ctf_trace *t = new_trace(&s);
	struct ctf_stream second = {.name = "d"};

	simple(&one, "e", 4);
	simple(&other, "e", 8);
	CHECK_INT(ctf_trace_add_stream(t, &second, &s2), 0);
	CHECK_INT(ctf_trace_add_event(t, s, one.data, one.len, &a, NULL), 1);
	CHECK_INT(a.id, 0);
	CHECK_INT(a.conflict, 0);
	CHECK_STR(a.name, "p:e");
	((struct cairn_desc *)(void *)one.data)->line = 7; /* the same event, another site */
	CHECK_INT(ctf_trace_add_event(t, s, one.data, one.len, &a, NULL), 0);
	CHECK_INT(a.id, 0);
	CHECK_INT(ctf_trace_add_event(t, s, other.data, other.len, &a, NULL), 1);
	CHECK_INT(a.id, 1);
	CHECK_INT(a.conflict, 1);
	CHECK_STR(a.name, "p:e~2");
	CHECK_INT(ctf_trace_add_event(t, s, other.data, other.len, &a, NULL), 0);
	CHECK_INT(a.conflict, 1);
	CHECK_INT(ctf_trace_add_event(t, s2, other.data, other.len, &a, NULL), 1);
	CHECK_INT(a.id, 0);
	CHECK_STR(a.name, "p:e");
	CHECK_INT(ctf_trace_add_event(t, 9, one.data, one.len, &a, NULL), -EINVAL);
	ctf_trace_free(t);
}

TEST(metadata_comes_in_pieces)
{
	AUTO(buf) struct buf desc = {0}, pieces = {0}, whole = {0};
	struct ctf_text_pos pos = {0}, zero = {0};
	struct ctf_added a;
	uint32_t s = 0;
	struct ctf_trace *t = new_trace(&s);
	size_t before;

	CHECK_INT(ctf_trace_env(t, "k", "v"), 0);
	CHECK_INT(ctf_metadata(t, CTF_1_8, &pos, &pieces), 0);
	CHECK_INT(ctf_trace_env(t, "k", "v"), -EBUSY);
	before = pieces.len;
	CHECK_INT(ctf_metadata(t, CTF_1_8, &pos, &pieces), 0);
	CHECK_INT(pieces.len, before);
	simple(&desc, "e", 4);
	CHECK_INT(ctf_trace_add_event(t, s, desc.data, desc.len, &a, NULL), 1);
	CHECK_INT(ctf_metadata(t, CTF_1_8, &pos, &pieces), 0);
	CHECK_STR(pieces.data + before,
		"event {\n\tname = \"p:e\";\n\tid = 0;\n\tstream_id = 0;\n\tloglevel = 6;\n"
		"\tmodel.emf.uri = \"cairn:site\";\n\tfields := struct {\n\t\tuint32_t _n;\n\t};\n"
		"};\n\n");
	CHECK_INT(ctf_metadata(t, CTF_1_8, &zero, &whole), 0);
	CHECK_STR(whole.data, pieces.data);
	ctf_trace_free(t);
}

TEST(packets_have_head_and_tail)
{
	uint8_t data[40] = {0};
	uint64_t lost[CAIRN_LOST_REASONS];
	AUTO(buf) struct buf b = {0};
	uint32_t s = 0, word = 3u | 5u << 2; /* a block header */
	struct ctf_trace *t = new_trace(&s);
	struct ring_view v = {.data = data,
		.len = 37,
		.begin_pos = 100,
		.end_pos = 137,
		.lost = {[CAIRN_LOST_TOO_BIG] = 9},
		.lost_total = 9};
	struct ctf_packet p = {.stream = s, .cpu = 6, .view = &v};
	struct ctf_tail tail = {0};
	struct ctf_frame f;

	memcpy(data, &word, sizeof(word));
	ctf_frame(t, &p, &f);
	CHECK(f.body == data + 24);
	CHECK_INT(f.body_len, 13);
	CHECK_INT(f.head_len, sizeof(struct ctf_head) + 12);
	CHECK_INT(f.head[sizeof(struct ctf_head)], 2u | 5u << 2);
	buf_add(&b, f.head, f.head_len);
	buf_add(&b, f.body, f.body_len);
	buf_add(&b, f.tail, f.tail_len);
	CHECK_INT(b.len, f.total);
	CHECK_INT(b.len % 8, 0);
	CHECK_INT(((struct ctf_head *)(void *)b.data)->content_size, (f.head_len + 13) * 8);
	CHECK_INT(((struct ctf_head *)(void *)b.data)->packet_size, b.len * 8);
	CHECK_INT(((struct ctf_head *)(void *)b.data)->events_discarded, 9);
	CHECK(ctf_tail_find(b.data, b.len, &tail, lost));
	CHECK_INT(tail.end_pos, 137);
	CHECK_INT(lost[CAIRN_LOST_TOO_BIG], 9);
	CHECK_INT(lost[CAIRN_LOST_FULL], 0);
	CHECK_INT(lost[CAIRN_LOST_DISK], 0);
	CHECK(!ctf_tail_find(b.data, b.len - 1, &tail, lost));
	ctf_trace_free(t);
}

TEST_MAIN()
