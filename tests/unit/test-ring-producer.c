/* ring/producer.c and producer-solo.c: what stands in a ring after appends, read by an independent
 * decoder. */
#include "ring-decode.h"
#include "ring/ring.h"
#include "test.h"
#include <sys/mman.h>
#include <sys/rseq.h>
#include <unistd.h>

#define SIZE 65536u
#define BLOCK (SIZE / 16)

static uint64_t fake_time;

static uint64_t fake_now(const struct ring_set_producer *set)
{
	return fake_time;
}

/* A ring in this process, and a thread area of our own that says CPU 0: the kernel knows nothing
 * of it, so nothing restarts. */
struct fixture {
	struct ring_set_producer *set;
	struct cairn_ring_ctl *ctl;
	uint8_t *data;
	uint32_t closed, busy;
	struct rseq area;
	bool solo;
};

static void fixture_init(struct fixture *f, uint32_t mode, bool solo)
{
	int fd = memfd_create("test", 0);
	uint8_t *data;

	memset(f, 0, sizeof(*f));
	CHECK(fd >= 0 && ftruncate(fd, SIZE) == 0);
	data = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2; i++)
		CHECK(mmap(data + i * SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			      fd, 0) != MAP_FAILED);
	close(fd);
	f->data = data;
	f->ctl = calloc(1, sizeof(*f->ctl));
	f->set = calloc(1, sizeof(*f->set) + sizeof(f->set->rings[0]));
	*f->set = (struct ring_set_producer){.closed = &f->closed,
		.active = 1,
		.nrings = 1,
		.mode = mode,
		.clock = CAIRN_CLOCK_MONOTONIC,
		.now = fake_now};
	f->set->rings[0] = (struct ring_producer){f->ctl, data, SIZE - 1, BLOCK - 1};
	f->solo = solo;
	fake_time = 1000;
}

static void fixture_done(struct fixture *f)
{
	munmap(f->data, 2 * SIZE);
	free(f->ctl);
	free(f->set);
}

static enum ring_result put(struct fixture *f, const void *body, uint32_t len, uint32_t id)
{
	const struct ring_producer *ring = NULL;

	if (f->solo)
		return ring_append_solo(f->set, &f->set->rings[0], &f->busy, body, len, id);
	return ring_append(f->set, &f->area, body, len, id, &ring);
}

static const uint64_t words[16384] = {0x1122334455667788, 0x99aabbccddeeff00, 3, 4};

static void check_forms(struct fixture *f)
{
	struct decoded d;

	CHECK_INT(put(f, words, 12, 7), RING_OK); /* 0: near enough to time 0 */
	d = decode_header(f->data, 0);
	CHECK_INT(d.form, 0);
	CHECK_INT(d.id, 7);
	CHECK_INT(d.ts, 1000);
	CHECK(memcmp(d.body, words, 12) == 0);
	CHECK_INT(f->ctl->pos, 16);

	fake_time += (1 << 20) - 1; /* the last that is dense */
	CHECK_INT(put(f, words, 0, 1023), RING_OK);
	d = decode_header(f->data + 16, 1000);
	CHECK_INT(d.form, 0);
	CHECK_INT(d.id, 1023);
	CHECK_INT(d.ts, fake_time);
	CHECK_INT(f->ctl->pos, 20);

	fake_time += 1 << 20; /* the first that is sparse */
	CHECK_INT(put(f, words, 1, 1023), RING_OK);
	d = decode_header(f->data + 20, 0);
	CHECK_INT(d.form, 1);
	CHECK_INT(d.id, 1023);
	CHECK_INT(d.ts, fake_time);
	CHECK_INT(f->ctl->pos, 29);

	CHECK_INT(put(f, words, 8, 1024), RING_OK); /* too large an id */
	d = decode_header(f->data + 29, 0);
	CHECK_INT(d.form, 2);
	CHECK_INT(d.id, 1024);
	CHECK_INT(d.ts, fake_time);
	CHECK_INT(f->ctl->pos, 49);

	fake_time += 1ull << 52; /* too long a pause */
	CHECK_INT(put(f, words, 8, 5), RING_OK);
	d = decode_header(f->data + 49, 0);
	CHECK_INT(d.form, 2);
	CHECK_INT(d.id, 5);
	CHECK_INT(d.ts, fake_time);

	f->ctl->pend_pos++; /* a writer died before it committed */
	CHECK_INT(put(f, words, 8, (1 << 30) - 1), RING_OK);
	d = decode_header(f->data + 69, 0);
	CHECK_INT(d.form, 2);
	CHECK_INT(d.id, (1 << 30) - 1);
	CHECK_INT(f->ctl->pend_pos, f->ctl->pos);
	CHECK_INT(f->ctl->ts_upper, fake_time);
}

/* Whether this CPU has the section that per-CPU rings are written in. */
#if defined(__x86_64__)
enum { HAVE_SECTION = 1 };
#else
enum { HAVE_SECTION = 0 };
#endif

TEST(forms)
{
	struct fixture f;

	if (!HAVE_SECTION)
		SKIP("per-CPU rings are written on x86-64 only");
	fixture_init(&f, CAIRN_MODE_DISCARD, false);
	check_forms(&f);
	fixture_done(&f);
}

TEST(forms_solo)
{
	struct fixture f;

	fixture_init(&f, CAIRN_MODE_DISCARD, true);
	check_forms(&f);
	fixture_done(&f);
}

static void check_full(struct fixture *f)
{
	uint64_t pos;

	while (put(f, words, 100, 1) == RING_OK)
		;
	pos = f->ctl->pos;
	CHECK_INT(put(f, words, 100, 1), RING_FULL);
	CHECK(pos <= SIZE - 8 && pos > SIZE - 128);
	CHECK_INT(f->ctl->pos, pos);
	f->ctl->read_pos = pos;
	CHECK_INT(put(f, words, 100, 1), RING_OK); /* over the end, into the mirror */
	CHECK(memcmp(f->data + pos + 4, words, 100) == 0);
	CHECK_INT(put(f, words, BLOCK - 32, 1), RING_OK);
	CHECK_INT(put(f, words, BLOCK - 31, 1), RING_TOO_BIG);
	f->closed = 1;
	CHECK_INT(put(f, words, 4, 1), RING_RETIRED);
	f->closed = 0;
	f->set->active = 0;
	CHECK_INT(put(f, words, 4, 1), RING_RETIRED);
}

TEST(full)
{
	struct fixture f;

	if (!HAVE_SECTION)
		SKIP("per-CPU rings are written on x86-64 only");
	fixture_init(&f, CAIRN_MODE_DISCARD, false);
	check_full(&f);
	fixture_done(&f);
}

TEST(full_solo)
{
	struct fixture f;

	fixture_init(&f, CAIRN_MODE_DISCARD, true);
	check_full(&f);
	f.set->active = f.busy = 1;
	CHECK_INT(put(&f, words, 4, 1), RING_NESTED);
	fixture_done(&f);
}

/* Fills several times over, then decodes all blocks that are whole. */
static void check_blocks(struct fixture *f)
{
	uint64_t n = 0, count = 0, at, seen = 0;

	/* a hole in the count: its writer died before it committed */
	f->ctl->count = 1ull << 24 | 77;
	for (uint32_t len = 0; f->ctl->pos < 5 * SIZE; len = (len * 7 + 13) % 600, n++) {
		fake_time += 11;
		CHECK_INT(put(f, words, len, len), RING_OK);
	}
	CHECK_INT(f->ctl->count >> 24, n);
	CHECK_INT(f->ctl->count & 0xffffff, f->ctl->pos & 0xffffff);
	at = (f->ctl->pos / BLOCK - 14) * BLOCK;
	for (uint64_t ts = 0; at < f->ctl->pos; seen++) {
		uint64_t next_block = (at / BLOCK + 1) * BLOCK;
		struct decoded d = decode_header(f->data + at % SIZE, ts), b;

		CHECK_INT(d.form == 3, at % BLOCK == 0);
		if (d.form == 3) {
			CHECK(count == 0 || d.count == count);
			count = d.count;
		}
		CHECK(ts == 0 || d.ts == ts + 11);
		ts = d.ts;
		count++;
		CHECK(memcmp(d.body, words, d.id < 64 ? d.id : 64) == 0);
		at = (at & -(uint64_t)SIZE) + (uint64_t)(d.body - f->data) + d.id;
		if (next_block < f->ctl->pos) {
			b = decode_header(f->data + next_block % SIZE, 0);
			CHECK(at + b.pad <= next_block);
			if (at + b.pad == next_block)
				at = next_block;
		}
	}
	CHECK_INT(at, f->ctl->pos);
	CHECK_INT(count, n);
	CHECK(seen > 13 * 10);
}

TEST(blocks)
{
	struct fixture f;

	if (!HAVE_SECTION)
		SKIP("per-CPU rings are written on x86-64 only");
	fixture_init(&f, CAIRN_MODE_OVERWRITE, false);
	check_blocks(&f);
	fixture_done(&f);
}

TEST(blocks_solo)
{
	struct fixture f;

	fixture_init(&f, CAIRN_MODE_OVERWRITE, true);
	check_blocks(&f);
	fixture_done(&f);
}

/* The 40 bits of the count word run over; block headers carry all 64. */
TEST(count_wraps)
{
	struct fixture f;

	for (int solo = !HAVE_SECTION; solo < 2; solo++) {
		uint64_t start = (5ull << 40) - 3;

		fixture_init(&f, CAIRN_MODE_OVERWRITE, solo);
		f.ctl->count = start << 24; /* matches pos 0 */
		CHECK_INT(put(&f, words, 40, 1), RING_OK);
		CHECK_INT(decode_bytes(f.data + 16, 8), start & 0xffffffffff);
		memcpy(f.data + 16, &start, 8);
		while (f.ctl->pos < BLOCK)
			CHECK_INT(put(&f, words, 1000, 1), RING_OK);
		CHECK_INT(decode_header(f.data + BLOCK, 0).count, start + 5);
		fixture_done(&f);
	}
}

TEST(clock_steps_back)
{
	struct fixture f;

#if defined(__x86_64__)
	for (int mode = 0; mode < 2; mode++) {
		struct decoded d;
		uint64_t future = __builtin_ia32_rdtsc() + (1ull << 50), at;

		fixture_init(&f, mode, false);
		f.set->clock = CAIRN_CLOCK_TSC;
		CHECK_INT(put(&f, words, 8, 9), RING_OK);
		CHECK_INT(f.ctl->steps_back, 0);
		at = f.ctl->pos;
		f.ctl->ts_upper = future;
		CHECK_INT(put(&f, words, 8, 9), RING_OK);
		CHECK_INT(f.ctl->steps_back, 1);
		d = decode_header(f.data + at, 0);
		CHECK_INT(d.form, 2);
		CHECK_INT(d.id, 9);
		CHECK_INT(d.ts, future);
		fixture_done(&f);
	}
#endif
	fixture_init(&f, CAIRN_MODE_DISCARD, true);
	CHECK_INT(put(&f, words, 8, 9), RING_OK);
	fake_time--;
	CHECK_INT(put(&f, words, 8, 9), RING_OK);
	CHECK_INT(f.ctl->steps_back, 1);
	CHECK_INT(decode_header(f.data + 12, 0).form, 2);
	CHECK_INT(decode_header(f.data + 12, 0).ts, 1000);
	fixture_done(&f);
}

TEST(not_registered)
{
	struct fixture f;
	const struct ring_producer *ring;

	fixture_init(&f, CAIRN_MODE_DISCARD, false);
	for (int id = -2; id < 0; id++) {
		f.area.cpu_id = (uint32_t)id;
		CHECK_INT(put(&f, words, 8, 9), RING_NO_CPU);
	}
	f.area.cpu_id = 1; /* a CPU that appeared later */
	CHECK_INT(put(&f, words, 8, 9), RING_NO_CPU);
	f.area.cpu_id = 0;
	f.set->rings[0].ctl = NULL;
	CHECK_INT(put(&f, words, 8, 9), RING_NO_CPU);
	f.set->rings[0].ctl = f.ctl;
	ring_count_lost(&f.set->rings[0], CAIRN_LOST_TOO_BIG);
	CHECK_INT(f.ctl->lost[CAIRN_LOST_TOO_BIG], 1);
	if (HAVE_SECTION) {
		CHECK_INT(ring_append(f.set, &f.area, words, 8, 1, &ring), RING_OK);
		CHECK(ring == &f.set->rings[0]);
	}
	fixture_done(&f);
}

/* The real thread area: as long as the kernel lets us be. */
TEST(registered)
{
	struct fixture f;
	struct rseq *rs = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	const struct ring_producer *ring = NULL;
	int ok = 0;

	if (__rseq_size == 0 || !HAVE_SECTION)
		SKIP("no rseq here");
	fixture_init(&f, CAIRN_MODE_DISCARD, false);
	f.set = realloc(f.set, sizeof(*f.set) + 4096 * sizeof(f.set->rings[0]));
	f.set->nrings = 4096;
	f.set->clock = CAIRN_CLOCK_TSC;
	for (int i = 1; i < 4096; i++)
		f.set->rings[i].ctl = NULL;
	for (int i = 0; i < 1000; i++) {
		uint32_t cpu = rs->cpu_id;

		f.set->rings[cpu] = (struct ring_producer){f.ctl, f.data, SIZE, BLOCK};
		ok += ring_append(f.set, rs, words, 16, 1, &ring) == RING_OK;
		if (cpu)
			f.set->rings[cpu].ctl = NULL;
	}
	CHECK(ok > 900);
	fixture_done(&f);
}

TEST_MAIN()
