/* Pages become CTF, and what a reader of CTF then sees is what was in the pages: every field of every
 * event of a kernel's pages, and of made ones with the values and places that are hardest. */
#include "kernel-fixture.h"
#include "kernel/kctf.h"
#include "reader/bytes.h"
#include "view/kernel-record.h"
#include <cairn/reader.h>
#include <fcntl.h>
#include <unistd.h>

#define CPUS 2
#define EVENTS_MAX 8192

struct raw { /* an event as the page has it */
	const uint8_t *data;
	uint32_t len;
	uint64_t ts;
};

struct made {
	struct kctf *k;
	struct kctf_stream cpu[CPUS];
	struct raw raw[CPUS][EVENTS_MAX];
	size_t n[CPUS], read[CPUS];
	char dir[64];
	uint64_t bytes;
};

static void begin(struct made *m)
{
	struct ctf_facts facts = {.domain = "kernel", .uuid = {1, 2, 3}};
	struct ctf_clock clock = {.name = "tsc", .freq = 1000000000};

	memset(m, 0, sizeof(*m));
	(void)strcpy(m->dir, "/tmp/cairn-test-kctf-XXXXXX");
	CHECK(mkdtemp(m->dir) != NULL);
	CHECK_INT(kctf_new(&facts, &clock, &m->k), 0);
	for (uint32_t i = 0; i < CPUS; i++) {
		m->cpu[i].cpu = i;
		m->cpu[i].instance = i;
	}
}

static void append(const struct made *m, const char *name, const void *p, size_t n)
{
	char path[128];
	AUTO(fd) int fd = -1;

	(void)snprintf(path, sizeof(path), "%s/%s", m->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	CHECK(fd >= 0 && write_all(fd, p, n) == 0);
}

static void flush(struct made *m, uint32_t cpu)
{
	struct ring_view v;
	struct ctf_frame f;
	char name[16];

	(void)snprintf(name, sizeof(name), "cpu%u", cpu);
	kctf_packet(m->k, &m->cpu[cpu], &v, &f);
	append(m, name, f.head, f.head_len);
	append(m, name, f.body, f.body_len);
	append(m, name, f.tail, f.tail_len);
	m->bytes += f.total;
	kctf_packet_done(&m->cpu[cpu]);
}

static void take(struct made *m, uint32_t cpu, const struct kpage_layout *l, const void *bytes)
{
	static uint8_t copy[PAGE + KCTF_SLACK];
	struct kpage p;
	struct kpage_event ev;

	CHECK_INT(kpage_begin(&p, l, bytes, PAGE), 0);
	while (kpage_next(&p, &ev) == 1 && m->n[cpu] < EVENTS_MAX)
		m->raw[cpu][m->n[cpu]++] = (struct raw){ev.data, ev.len, ev.ts};
	memcpy(copy, bytes, PAGE);
	CHECK_INT(kpage_begin(&p, l, copy, PAGE), 0);
	if (kctf_page_cuts(&m->cpu[cpu], &p))
		flush(m, cpu);
	CHECK_INT(kctf_page(m->k, &m->cpu[cpu], &p), 0);
}

/* ---- values against bytes ---- */

static uint64_t number(const uint8_t *p, uint32_t size, bool is_signed)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return is_signed && size < 8
		? (uint64_t)((int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size))
		: v;
}

static bool same_list(
	const struct cairn_value *v, const struct kfield *f, const uint8_t *p, uint32_t n)
{
	struct cairn_value e;

	if (v->kind == CAIRN_VALUE_BYTES)
		return v->count == n && memcmp(v->bytes, p, n) == 0;
	if (v->kind != CAIRN_VALUE_ARRAY || v->count != n / f->elem)
		return false;
	for (uint32_t i = 0; i < v->count; i++)
		if (cairn_value_element(v, i, &e) < 0 ||
			e.u !=
				number(p + (size_t)i * f->elem, f->elem,
					f->is_signed && f->kind == KFIELD_INT))
			return false;
	return true;
}

static bool same(const struct cairn_value *v, const struct kfield *f, const struct raw *r)
{
	const uint8_t *p = r->data + f->offset;
	uint32_t n = f->size, word;

	if (f->form == KFIELD_DATA_LOC || f->form == KFIELD_REL_LOC) {
		memcpy(&word, p, 4);
		p = (f->form == KFIELD_REL_LOC ? p + 4 : r->data) + (word & 0xffff);
		n = word >> 16;
		if (p > r->data + r->len || n > (size_t)(r->data + r->len - p))
			n = 0;
	} else if (f->form == KFIELD_REST) {
		n = r->len - f->offset;
	}
	if (f->form == KFIELD_SCALAR)
		return (v->kind == CAIRN_VALUE_INT) == (f->is_signed && f->kind == KFIELD_INT) &&
			v->u == number(p, f->size, f->is_signed && f->kind == KFIELD_INT);
	if (f->kind == KFIELD_CHAR)
		return v->kind == CAIRN_VALUE_STRING && v->count == strnlen((const char *)p, n) &&
			memcmp(v->str, p, v->count) == 0;
	return same_list(v, f, p, n - n % f->elem);
}

/* The record made again says the same, field by field. */
static void check_record(const struct kformat *f, const struct cairn_event *ev, const struct raw *r)
{
	static uint8_t record[KERNEL_RECORD_MAX];
	struct kernel_recipe *recipe = kernel_recipe_new(f, ev->cls);
	size_t n = 0, made_n;
	const uint8_t *bytes = reader_bytes(ev, &n);

	CHECK(recipe && bytes);
	made_n = recipe && bytes ? kernel_record(recipe, bytes, n, record) : 0;
	CHECK(made_n >= 8 && memcmp(record, r->data, 8) == 0);
	for (size_t i = f->ncommon; i < f->nfields && made_n; i++) {
		const struct kfield *k = &f->fields[i];
		uint32_t size[2] = {k->size, k->size}, word;
		const uint8_t *at[2] = {r->data + k->offset, record + k->offset};
		const uint8_t *begin[2] = {r->data, record};
		size_t len[2] = {r->len, made_n};

		for (int w = 0; w < 2 && k->form >= KFIELD_DATA_LOC; w++) {
			if (k->form == KFIELD_REST) {
				size[w] = (uint32_t)(len[w] - k->offset);
			} else {
				memcpy(&word, at[w], 4);
				at[w] = (k->form == KFIELD_REL_LOC ? at[w] + 4 : begin[w]) +
					(word & 0xffff);
				size[w] = word >> 16;
				if (at[w] > begin[w] + len[w] ||
					size[w] > (size_t)(begin[w] + len[w] - at[w]))
					size[w] = 0;
			}
			size[w] -= size[w] % k->elem;
			if (k->kind == KFIELD_CHAR)
				size[w] = (uint32_t)strnlen((const char *)at[w], size[w]);
		}
		if (size[0] != size[1] || memcmp(at[0], at[1], size[0]) != 0)
			printf("# %s: %s: %u and %u bytes\n", f->name, k->name, size[0], size[1]);
		CHECK(size[0] == size[1] && memcmp(at[0], at[1], size[0]) == 0);
	}
	for (size_t cut = 0; recipe && bytes && cut < n; cut += 1 + n / 8)
		(void)kernel_record(recipe, bytes, cut, record); /* stays inside: sanitizers look */
	kernel_recipe_free(recipe);
}

static void check_event(const struct made *m, const struct cairn_event *ev, const struct raw *r)
{
	const struct kformat *f = kctf_format(m->k, r->data[0] | (uint32_t)r->data[1] << 8);
	size_t n, at = 0;
	const struct cairn_value *v = cairn_event_fields(ev, &n);
	char name[256];

	(void)snprintf(name, sizeof(name), "%s:%s", f->system, f->name);
	CHECK_STR(ev->cls->name, name);
	CHECK_INT(ev->cycles, r->ts);
	CHECK_INT(cairn_event_tid(ev), (int64_t)number(r->data + 4, 4, true));
	CHECK_INT(cairn_event_get(ev, "common_flags")->u, r->data[2]);
	CHECK_INT(cairn_event_get(ev, "common_preempt_count")->u, r->data[3]);
	check_record(f, ev, r);
	for (size_t i = f->ncommon; i < f->nfields; i++) {
		if (at < n && v[at].name && strncmp(v[at].name, "_", 1) == 0 &&
			strstr(v[at].name, "_length"))
			at++; /* that of a sequence */
		if (at >= n || strcmp(v[at].name, f->fields[i].name) != 0 ||
			!same(&v[at], &f->fields[i], r)) {
			printf("# %s: field %s differs\n", name, f->fields[i].name);
			CHECK(!"fields are as in the page");
		}
		at++;
	}
}

/* Writes the metadata, reads the trace, compares all; *ret_lost: as the reader says. */
static size_t check_all(struct made *m, uint64_t *ret_lost)
{
	AUTO(buf) struct buf text = {0};
	struct ctf_text_pos pos = {0};
	const char *paths[] = {m->dir};
	struct cairn_reader_options o = {.size = sizeof(o), .paths = paths, .npaths = 1};
	struct cairn_reader *r = NULL;
	struct cairn_error err;
	struct cairn_item item;
	size_t events = 0;

	*ret_lost = 0;
	for (uint32_t i = 0; i < CPUS; i++)
		if (m->n[i])
			flush(m, i);
	CHECK_INT(ctf_metadata(kctf_trace(m->k), CTF_1_8, &pos, &text), 0);
	append(m, "metadata", text.data, text.len);
	if (cairn_reader_open(&o, &r, &err) < 0) {
		printf("# %s %s\n", err.message, err.where);
		CHECK(!"the trace is read");
		return 0;
	}
	while (cairn_reader_next(r, &item, &err) > 0) {
		CHECK(item.kind != CAIRN_ITEM_NOTICE);
		if (item.kind == CAIRN_ITEM_LOSS)
			*ret_lost += item.loss->count;
		if (item.kind != CAIRN_ITEM_EVENT)
			continue;
		int32_t cpu = item.event->cpu;

		CHECK(cpu >= 0 && cpu < CPUS && m->read[cpu] < m->n[cpu]);
		if (cpu >= 0 && cpu < CPUS && m->read[cpu] < m->n[cpu])
			check_event(m, item.event, &m->raw[cpu][m->read[cpu]++]);
		events++;
	}
	cairn_reader_free(r);
	return events;
}

static void end(struct made *m)
{
	char command[128];

	(void)snprintf(command, sizeof(command), "rm -rf %s", m->dir);
	CHECK_INT(system(command), 0);
	for (uint32_t i = 0; i < CPUS; i++)
		kctf_stream_done(&m->cpu[i]);
	kctf_free(m->k);
}

static void learn_all(struct made *m, const struct buf *texts)
{
	struct ktext t;
	size_t at = 0;

	while (ktexts_next(texts->data, texts->len, &at, &t) == 1)
		if (strcmp(t.what, "format") == 0)
			CHECK_INT(kctf_add(m->k, fixture_format(texts, t.system, t.name), NULL), 0);
}

static struct made made;

TEST(pages_of_a_kernel)
{
	AUTO(buf) struct buf t = {0};
	AUTO(buf) struct buf pages = {0};
	struct kpage_layout l;
	uint64_t lost, payload = 0;

	fixture("texts", &t);
	fixture("pages", &pages);
	l = fixture_layout(&t);
	begin(&made);
	learn_all(&made, &t);
	for (size_t i = 0; i * PAGE < pages.len; i++)
		take(&made, i >= 4, &l, pages.data + i * PAGE);
	CHECK_INT(check_all(&made, &lost), made.n[0] + made.n[1]);
	CHECK(made.n[0] > 50 && made.n[1] > 50);
	CHECK_INT(made.cpu[0].unknown_gaps, 1);
	CHECK_INT(lost, made.cpu[1].lost[CAIRN_LOST_OVERWRITTEN]);
	for (int c = 0; c < CPUS; c++)
		for (size_t i = 0; i < made.n[c]; i++)
			payload += 4 + made.raw[c][i].len;
	CHECK(made.bytes * 100 <
		payload * 88); /* smaller than the pages, with all heads and tails */
	end(&made);
}

/* ---- made pages ---- */

static struct kpage_layout layout = {.long_size = 8, .commit_at = 8, .data_at = 16, .size = PAGE};

struct page {
	uint8_t b[PAGE];
	size_t len;
};

static void add(struct page *p, uint16_t id, uint32_t delta, const void *fields, uint32_t n)
{
	uint32_t head = delta << 5 | (8 + (n + 3) / 4 * 4) / 4;
	uint8_t common[8] = {(uint8_t)id, (uint8_t)(id >> 8), 0xc5, 0x12, 0xff, 0xff, 0xff, 0x7f};

	memcpy(p->b + 16 + p->len, &head, 4);
	memcpy(p->b + 20 + p->len, common, 8);
	memcpy(p->b + 28 + p->len, fields, n);
	p->len += 12 + (n + 3) / 4 * 4;
	memcpy(p->b + 8, &p->len, 8);
}

#define COMMON \
	"\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n" \
	"\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n" \
	"\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n" \
	"\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n"

static void learn(const char *system, const char *text)
{
	struct kformat *f = NULL;
	struct error e = {0};

	CHECK_INT(kformat_parse(text, strlen(text), system, 8, &f, &e), 0);
	if (f)
		CHECK_INT(kctf_add(made.k, f, &e), 0);
}

/* Values at the edges of what the narrow form can hold, of either sign. */
TEST(narrow_and_wide)
{
	static const int64_t edges[] = {0, 1, -1, INT32_MAX, INT32_MIN, (int64_t)INT32_MAX + 1,
		(int64_t)INT32_MIN - 1, UINT32_MAX, (int64_t)UINT32_MAX + 1, INT64_MAX, INT64_MIN};
	static const int32_t numbers[] = {0, 32767, -32768, 32768, -32769, -1, INT32_MAX};
	struct page p = {0};
	uint64_t lost;

	begin(&made);
	learn("syscalls",
		"name: n\nID: 300\nformat:\n" COMMON
		"\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;\n"
		"\tfield:long s;\toffset:16;\tsize:8;\tsigned:1;\n"
		"\tfield:int u;\toffset:24;\tsize:8;\tsigned:0;\n"
		"\tfield:void * p;\toffset:32;\tsize:8;\tsigned:0;\n");
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		for (size_t k = 0; k < 3; k++) {
			struct {
				int32_t nr, pad;
				int64_t s, u, p;
			} f = {numbers[i % ARRAY_SIZE(numbers)], -1, k != 1 ? edges[i] : 5,
				k != 0 ? edges[i] : 5, -1};

			add(&p, 300, 1, &f, sizeof(f));
		}
	}
	take(&made, 0, &layout, p.b);
	CHECK_INT(check_all(&made, &lost), made.n[0]);
	end(&made);
}

/* Strings and lists wherever a record may say they are, also where it may not. */
TEST(dynamic_fields)
{
	static const uint32_t places[] = {16 | 5 << 16, 16 | 0 << 16, 20 | 8 << 16, 39 | 1 << 16,
		40 | 0 << 16, 40 | 1 << 16, 0xffff | 1u << 16, 16 | 0xffffu << 16, 0xffffffff, 0,
		17 | 7 << 16};
	struct page p = {0};
	uint64_t lost;

	begin(&made);
	learn("made",
		"name: d\nID: 65535\nformat:\n" COMMON
		"\tfield:__data_loc char[] s;\toffset:8;\tsize:4;\tsigned:1;\n"
		"\tfield:__rel_loc u32[] l;\toffset:12;\tsize:4;\tsigned:0;\n"
		"\tfield:__data_loc cpumask_t m;\toffset:16;\tsize:4;\tsigned:0;\n"
		"\tfield:__rel_loc char[] r;\toffset:20;\tsize:4;\tsigned:0;\n");
	learn("made",
		"name: rest\nID: 301\nformat:\n" COMMON
		"\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n"
		"\tfield:char buf[];\toffset:12;\tsize:0;\tsigned:0;\n");
	learn("ftrace",
		"name: kernel_stack\nID: 4\nformat:\n" COMMON
		"\tfield:int size;\toffset:8;\tsize:4;\tsigned:1;\n"
		"\tfield:unsigned long caller[8];\toffset:16;\tsize:64;\tsigned:0;\n");
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		uint32_t f[8] = {places[i], places[(i + 3) % ARRAY_SIZE(places)],
			places[(i + 5) % ARRAY_SIZE(places)], places[(i + 7) % ARRAY_SIZE(places)],
			0x64636261, 0x00676665, 0x6b6a6968, 0x6f6e6d6c};

		add(&p, 65535, 1u << 26, f, sizeof(f));
		add(&p, 301, 0, "\1\0\0\0nul not there", 17);
	}
	add(&p, 301, 0, "\1\0\0\0", 4);
	for (uint32_t n = 1; n < 40; n += 12) {
		uint64_t stack[64] = {n};

		for (uint32_t i = 1; i <= n; i++)
			stack[i] = 0xffffffff81000000 + i;
		if (n < 12)
			add(&p, 4, 1, stack, 8 + 8 * n);
	}
	take(&made, 1, &layout, p.b);
	CHECK_INT(check_all(&made, &lost), made.n[1]);
	CHECK(made.n[1] > 20);
	end(&made);
}

/* More ids than the short headers hold, times of all distances, and steps back. */
TEST(headers)
{
	struct page p = {0};
	uint64_t lost, extend;
	uint32_t word;

	begin(&made);
	for (unsigned i = 0; i < 1200; i++) {
		char text[1024];

		(void)snprintf(text, sizeof(text),
			"name: e%u\nID: %u\nformat:\n" COMMON
			"\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n",
			i, 100 + i);
		learn("many", text);
	}
	for (unsigned page = 0; page < 10; page++) {
		static struct page kept[10];

		p = (struct page){.len = 0};
		extend = 1000ull << (page * 5); /* the page's time: from 1 us to 10 hours */
		memcpy(p.b, &extend, 8);
		for (unsigned i = 0; i < 200; i++)
			add(&p, (uint16_t)(100 + (page * 131 + i * 7) % 1200),
				i % 50 ? i : 1u << 21, &i, 4);
		kept[page] = p;
		take(&made, 0, &layout, kept[page].b);
	}
	word = 0; /* of an id that nobody knows, and one that is too short */
	p = (struct page){.len = 0};
	extend = 1000ull << 50;
	memcpy(p.b, &extend, 8);
	add(&p, 99, 1, &word, 4);
	add(&p, 100, 1, &word, 0);
	CHECK_INT(made.cpu[0].lost[CAIRN_LOST_CORRUPT], 0);
	take(&made, 0, &layout, p.b);
	CHECK_INT(made.cpu[0].lost[CAIRN_LOST_CORRUPT], 2);
	made.n[0] -= 2;
	CHECK_INT(check_all(&made, &lost), 2000);
	end(&made);
}

TEST_MAIN()
