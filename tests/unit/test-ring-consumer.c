/* ring/ringset.c, consumer.c, snapshot.c: whole ring sets, made, filled, taken, adopted, broken. */
#include "ring-decode.h"
#include "ring-map.h"
#include "test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint64_t words[16384] = {0x1122334455667788, 0x99aabbccddeeff00, 3, 4};

/* A ring set of solo rings (no thread area needed) and its producer. */
struct fixture {
	struct ringset *s;
	struct ring_set_producer *set;
	uint32_t busy;
};

static const struct ringset_config config = {.kind = CAIRN_RING_SOLO,
	.clock = CAIRN_CLOCK_MONOTONIC,
	.nrings = 2,
	.ring_bytes = 65536,
	.contexts = 1,
	.session_id = 7,
	.session = "s",
	.channel = "c"};

static void fixture_init(struct fixture *f, struct ringset_config cfg)
{
	*f = (struct fixture){0};
	CHECK_INT(ringset_create(&cfg, &f->s), 0);
	f->set = map_producer(f->s);
	CHECK(f->set);
}

static void fixture_done(struct fixture *f)
{
	for (uint32_t i = 0; i < f->set->nrings; i++)
		munmap(f->set->rings[i].data, 2 * (f->set->rings[i].mask + 1));
	munmap(f->set->rings[0].ctl, f->set->nrings * 4096ul);
	munmap((void *)((uintptr_t)f->set->closed & ~4095ul), 4096);
	free(f->set);
	ringset_free(f->s);
}

static enum ring_result put(struct fixture *f, uint32_t len, uint32_t id)
{
	return ring_append_solo(f->set, &f->set->rings[1], &f->busy, words, len, id);
}

/* Records in a view, each with id = its body's length; checks times and contents. */
static int count_records(const struct ring_view *v)
{
	uint64_t ts = v->begin_ts;
	const uint8_t *p = v->data;
	int n = 0;

	for (; p < v->data + v->len; n++) {
		struct decoded d = decode_header(p, ts);

		CHECK(d.ts >= ts && d.ts <= v->end_ts);
		CHECK(memcmp(d.body, words, d.id) == 0);
		ts = d.ts;
		p = d.body + d.id;
	}
	CHECK(p == v->data + v->len);
	return n;
}

TEST(take_and_release)
{
	struct fixture f;
	struct ring_view v;
	uint64_t at = 0, ts = 0;

	fixture_init(&f, config);
	CHECK_INT(ring_take(f.s, 1, &v), 0);
	for (int round = 0; round < 200; round++) {
		for (uint32_t i = 0; i < 10; i++)
			CHECK_INT(put(&f, (i * 37 + (uint32_t)round * 11) % 300, 0), RING_OK);
		CHECK(ring_pending(f.s, 1) > 0);
		CHECK_INT(ring_take(f.s, 1, &v), 1);
		CHECK_INT(v.begin_pos, at);
		CHECK(ts == 0 || v.begin_ts == ts);
		CHECK(v.end_ts >= v.begin_ts);
		CHECK_INT(v.end_pos - v.begin_pos, v.len);
		at = v.end_pos;
		ts = v.end_ts;
		ring_release(f.s, 1);
		CHECK_INT(f.set->rings[1].ctl->read_pos, at);
		CHECK_INT(ring_take(f.s, 1, &v), 0);
	}
	CHECK(at > 2 * 65536);
	CHECK_INT(ring_take(f.s, 0, &v), 0);
	CHECK_INT(ring_take(f.s, 2, &v), -EINVAL);
	fixture_done(&f);
}

TEST(contents_over_the_end)
{
	struct fixture f;
	struct ring_view v;
	int n = 0, put_n = 0;

	fixture_init(&f, config);
	for (int round = 0; round < 30; round++) {
		while (put(&f, (uint32_t)put_n * 7 % 1000, (uint32_t)put_n * 7 % 1000) == RING_OK)
			put_n++;
		ring_count_lost(&f.set->rings[1], CAIRN_LOST_FULL);
		CHECK_INT(ring_take(f.s, 1, &v), 1);
		CHECK_INT(v.lost[CAIRN_LOST_FULL], round + 1);
		CHECK_INT(v.lost_total, round + 1);
		n += count_records(&v);
		ring_release(f.s, 1);
	}
	CHECK_INT(n, put_n);
	ring_count_lost(&f.set->rings[1], CAIRN_LOST_TOO_BIG);
	CHECK_INT(ring_take(f.s, 1, &v), 1); /* nothing but news of a loss */
	CHECK_INT(v.len, 0);
	CHECK_INT(v.lost[CAIRN_LOST_TOO_BIG], 1);
	ring_release(f.s, 1);
	CHECK_INT(ring_take(f.s, 1, &v), 0);
	ringset_close(f.s);
	CHECK_INT(put(&f, 4, 4), RING_RETIRED);
	fixture_done(&f);
}

/* A view in two parts: the second goes on with the time of the first, and tells what was lost. */
TEST(shortened)
{
	struct fixture f;
	struct ring_view v;
	struct decoded d = {0};
	const uint8_t *p;

	fixture_init(&f, config);
	for (uint32_t i = 0; i < 20; i++)
		CHECK_INT(put(&f, i * 3, i * 3), RING_OK);
	ring_count_lost(&f.set->rings[1], CAIRN_LOST_FULL);
	CHECK_INT(ring_take(f.s, 1, &v), 1);
	CHECK_INT(v.lost_total, 1);
	p = v.data;
	for (uint32_t i = 0; i < 7; i++) {
		d = decode_header(p, i ? d.ts : v.begin_ts);
		p = d.body + d.id;
	}
	ring_shorten(f.s, 1, &v, (uint64_t)(p - v.data), d.ts);
	CHECK_INT(count_records(&v), 7);
	CHECK_INT(v.end_ts, d.ts);
	CHECK_INT(v.lost_total, 0);
	CHECK_INT(v.lost[CAIRN_LOST_FULL], 0);
	ring_release(f.s, 1);
	CHECK_INT(f.set->rings[1].ctl->read_pos, v.end_pos);
	CHECK_INT(ring_take(f.s, 1, &v), 1);
	CHECK_INT(v.begin_ts, d.ts);
	CHECK_INT(count_records(&v), 13);
	CHECK_INT(v.lost[CAIRN_LOST_FULL], 1);
	ring_release(f.s, 1);
	CHECK_INT(ring_take(f.s, 1, &v), 0);
	fixture_done(&f);
}

TEST(senseless_positions)
{
	struct fixture f;
	struct ring_view v;
	struct cairn_ring_ctl *ctl;
	static const uint64_t jumps[] = {0, 65537, UINT64_MAX, 1ull << 63, 12345};

	fixture_init(&f, config);
	ctl = f.set->rings[1].ctl;
	CHECK_INT(put(&f, 100, 100), RING_OK);
	CHECK_INT(ring_take(f.s, 1, &v), 1);
	ring_release(f.s, 1);
	for (uint64_t i = 0; i < 5; i++) {
		ctl->pos = ctl->pos + 65536 * 3 + jumps[i];
		CHECK_INT(ring_take(f.s, 1, &v), 1);
		CHECK_INT(v.len, 0);
		CHECK_INT(v.lost[CAIRN_LOST_CORRUPT], i + 1);
		CHECK_INT(ctl->read_pos, ctl->pos);
		CHECK_INT(put(&f, 100, 100), RING_OK); /* and all goes on */
		CHECK_INT(ring_take(f.s, 1, &v), 1);
		CHECK_INT(count_records(&v), 1);
		ring_release(f.s, 1);
	}
	ctl->pos -= 50; /* backwards, as an unregistered writer does it */
	CHECK_INT(ring_take(f.s, 1, &v), 1);
	CHECK_INT(v.len, 0);
	CHECK_INT(v.lost[CAIRN_LOST_CORRUPT], 6);
	ctl->ts_upper =
		0; /* a time that goes back must not give a packet that ends before it began */
	ctl->pos += 4;
	CHECK_INT(ring_take(f.s, 1, &v), 1);
	CHECK(v.end_ts >= v.begin_ts);
	fixture_done(&f);
}

/* Another host goes on where the dead one stopped, with the time that short headers need. */
TEST(adopted)
{
	struct fixture f;
	struct ringset *second;
	struct ring_view v, w;
	size_t len;

	fixture_init(&f, config);
	for (int i = 0; i < 5; i++) {
		CHECK_INT(put(&f, 10, 10), RING_OK);
		CHECK_INT(ring_take(f.s, 1, &v), 1);
		ring_release(f.s, 1);
	}
	CHECK_INT(ringset_set_meta(f.s, "hello", 5), 0);
	CHECK_INT(ringset_set_meta(f.s, "hello there", 11), 0);
	CHECK_INT(put(&f, 10, 10), RING_OK);
	CHECK_INT(ring_take(f.s, 1, &w), 1); /* taken but not released: read again */
	CHECK_INT(ringset_open(dup(ringset_fd(f.s)), &second), 0);
	CHECK_INT(ring_take(second, 1, &v), 1);
	CHECK_INT(v.begin_pos, w.begin_pos);
	CHECK_INT(v.begin_ts, w.begin_ts);
	CHECK_INT(count_records(&v), 1);
	CHECK_STR(ringset_meta(second, &len), "hello there");
	CHECK_INT(ringset_hdr(second)->session_id, 7);
	CHECK_INT(ringset_set_meta(second, "x", CAIRN_RING_META + 1ul), -ENOSPC);
	ringset_free(second);
	fixture_done(&f);
}

static int open_with(const struct fixture *f, size_t offset, uint64_t value, size_t size)
{
	uint64_t old = 0;
	struct ringset *s = NULL;
	int err, fd = ringset_fd(f->s);

	CHECK(pread(fd, &old, size, (off_t)offset) == (ssize_t)size);
	CHECK(pwrite(fd, &value, size, (off_t)offset) == (ssize_t)size);
	err = ringset_open(dup(fd), &s);
	CHECK(pwrite(fd, &old, size, (off_t)offset) == (ssize_t)size);
	ringset_free(s);
	return err;
}

#define HOSTILE(field, value) \
	CHECK_INT(open_with(&f, offsetof(struct cairn_ringset_hdr, field), value, \
			  sizeof(((struct cairn_ringset_hdr *)0)->field)), \
		-EPROTO)

TEST(hostile_headers)
{
	struct fixture f;
	struct ringset *s = NULL;
	int fd;

	fixture_init(&f, config);
	HOSTILE(magic, 1);
	HOSTILE(layout, 2);
	HOSTILE(kind, 2);
	HOSTILE(mode, 3);
	HOSTILE(clock, 2);
	HOSTILE(nrings, 0);
	HOSTILE(nrings, 3);
	HOSTILE(nrings, UINT32_MAX);
	HOSTILE(contexts, 1u << 9);
	HOSTILE(ring_bytes, 0);
	HOSTILE(ring_bytes, 65536 + 4096);
	HOSTILE(ring_bytes, 131072);
	HOSTILE(ring_bytes, 1ull << 63);
	HOSTILE(meta_offset, 0);
	HOSTILE(meta_bytes, CAIRN_RING_META * 2);
	HOSTILE(meta_bytes, UINT64_MAX - 4095);
	HOSTILE(meta_len, CAIRN_RING_META + 1);
	HOSTILE(ctl_offset, 0);
	HOSTILE(data_offset, 4096);
	HOSTILE(perf_count, 9);
	HOSTILE(perf_count, 1); /* its name is empty */
	HOSTILE(boundary, 5);
	CHECK_INT(open_with(&f, offsetof(struct cairn_ringset_hdr, session), '\n', 1), -EPROTO);
	CHECK_INT(open_with(&f, offsetof(struct cairn_ringset_hdr, magic), CAIRN_RINGSET_MAGIC, 8),
		0);

	fd = memfd_create("unsealed", MFD_ALLOW_SEALING);
	CHECK(ftruncate(fd, 1 << 20) == 0);
	CHECK_INT(ringset_open(fd, &s), -EPERM);
	CHECK_INT(ringset_open(open("/dev/null", O_RDONLY), &s), -EPERM);
	CHECK_INT(ringset_open(open("/proc/self/exe", O_RDONLY), &s), -EPROTO);
	CHECK_INT(ringset_open(-1, &s), -EBADF);
	fixture_done(&f);
}

struct collected {
	int views, records;
	uint64_t last_ts, lost;
	int stop_at;
};

static int collect(void *arg, const struct ring_view *v)
{
	struct collected *c = arg;

	c->views++;
	c->records += count_records(v);
	CHECK(v->begin_ts >= c->last_ts);
	c->last_ts = v->end_ts;
	c->lost = v->lost[CAIRN_LOST_OVERWRITTEN];
	return c->views == c->stop_at ? 99 : 0;
}

TEST(snapshots_count_exactly)
{
	struct ringset_config cfg = config;
	struct fixture f;
	int total = 0, had = 0;

	cfg.mode = CAIRN_MODE_OVERWRITE;
	fixture_init(&f, cfg);
	for (int round = 0, n = 0; round < 60; round++) {
		struct collected c = {0};
		int fresh = round * round;

		for (int i = 0; i < fresh; i++, n++) {
			uint32_t len = (uint32_t)(n * 7919) % 500;

			CHECK_INT(put(&f, len, len), RING_OK);
		}
		total += fresh;
		CHECK_INT(ring_snapshot(f.s, 1, collect, &c), c.views);
		/* `had` published before; of all, those not in any snapshot are lost */
		if (c.records < fresh) /* a gap since the last snapshot */
			had += c.records;
		else
			had += fresh;
		CHECK_INT(c.lost, total - had);
		CHECK_INT(f.set->rings[1].ctl->lost[CAIRN_LOST_OVERWRITTEN], total - had);
		CHECK_INT(f.set->rings[1].ctl->lost[CAIRN_LOST_CORRUPT], 0);
		CHECK(total < 2000 || c.views >= 13);
	}
	CHECK(had < total);
	CHECK_INT(ring_snapshot(f.s, 1, collect, &(struct collected){.stop_at = 3}), 99);
	CHECK_INT(ring_snapshot(f.s, 0, collect, &(struct collected){0}), 0);
	fixture_done(&f);
}

/* Only that what is given is there, in the bounds it says. */
static int touch(void *arg, const struct ring_view *v)
{
	uint64_t sum = 0;

	CHECK(v->len > 0 && v->len <= 4096 && v->begin_ts <= v->end_ts);
	for (size_t i = 0; i < v->len; i++)
		sum += v->data[i];
	*(uint64_t *)arg += sum;
	return 0;
}

/* Block headers that make no sense cost their block, are counted, and nothing else. */
TEST(snapshots_of_nonsense)
{
	struct ringset_config cfg = config;
	struct fixture f;
	struct collected c = {0};
	uint8_t *header;
	uint64_t sum = 0;
	int whole;

	cfg.mode = CAIRN_MODE_OVERWRITE;
	fixture_init(&f, cfg);
	for (int i = 0; i < 3000; i++)
		CHECK_INT(put(&f, 100, 100), RING_OK);
	whole = ring_snapshot(f.s, 1, collect, &c);
	header = f.set->rings[1].data + (f.set->rings[1].ctl->pos - 3 * 4096) / 4096 * 4096 % 65536;
	for (int at = 0; at < 24; at++) {
		static const uint8_t values[] = {0, 0xff, 0x80};

		for (int i = 0; i < 3; i++) {
			uint8_t old = header[at];

			header[at] = values[i];
			CHECK(ring_snapshot(f.s, 1, touch, &sum) >= whole - 2);
			header[at] = old;
		}
	}
	CHECK(f.set->rings[1].ctl->lost[CAIRN_LOST_CORRUPT] > 0);
	f.set->rings[1].ctl->pos = 12345678901234567;
	(void)ring_snapshot(f.s, 1, touch, &sum);
	f.set->rings[1].ctl->pos = UINT64_MAX;
	(void)ring_snapshot(f.s, 1, touch, &sum);
	fixture_done(&f);
}

/* Found in a core file: no mirror. */
TEST(from_memory)
{
	for (int mode = 0; mode < 2; mode++) {
		struct ringset_config cfg = config;
		struct fixture f;
		struct ringset *s = NULL;
		struct collected c = {0};
		const uint8_t *data[2];
		uint8_t *image;
		size_t len;
		int n = 0, fd;

		cfg.mode = (enum cairn_ring_mode)mode;
		fixture_init(&f, cfg);
		fd = ringset_fd(f.s);
		CHECK_INT(ringset_set_meta(f.s, "text", 4), 0);
		f.set->rings[1].ctl->pos = f.set->rings[1].ctl->pend_pos =
			mode ? 0 : 65536 - 1000; /* so that it goes over the end */
		f.set->rings[1].ctl->read_pos = f.set->rings[1].ctl->pos;
		f.set->rings[1].ctl->cut[0].pos = f.set->rings[1].ctl->pos;
		for (; n < 100; n++)
			CHECK_INT(put(&f, 200, 200), RING_OK);
		len = ringset_hdr(f.s)->data_offset;
		image = malloc(len);
		CHECK(pread(fd, image, len, 0) == (ssize_t)len);
		data[0] = NULL;
		data[1] = f.set->rings[1].data;
		CHECK_INT(ringset_from_memory(image, len - 1, data, &s), -EPROTO);
		CHECK_INT(ringset_from_memory(image, len, data, &s), 0);
		CHECK_STR(ringset_meta(s, &len), "text");
		CHECK_INT(ringset_fd(s), -1);
		CHECK_INT(ring_snapshot(s, 1, collect, &c), c.views);
		CHECK_INT(c.records, n);
		CHECK_INT(ring_snapshot(s, 0, collect, &c), 0);
		ringset_free(s);
		free(image);
		fixture_done(&f);
	}
}

/* --ring-dir: a file that is still there after the crash of the whole machine. */
TEST(in_a_file)
{
	char dir[] = "/tmp/cairn-test-ring-XXXXXX";
	char path[600];
	struct ringset_config cfg = config;
	struct fixture f;
	struct ringset *s = NULL;
	struct collected c = {0};
	struct dirent *e;
	DIR *d;

	CHECK(mkdtemp(dir));
	cfg.dir = dir;
	fixture_init(&f, cfg);
	for (int i = 0; i < 100; i++)
		CHECK_INT(put(&f, 200, 200), RING_OK);
	d = opendir(dir);
	CHECK(d);
	while ((e = readdir(d)) && e->d_name[0] == '.')
		;
	CHECK(e && snprintf(path, sizeof(path), "%s/%s", dir, e ? e->d_name : "") > 0);
	closedir(d);
	CHECK_INT(ringset_open(open(path, O_RDWR), &s), 0); /* a new host: the live rings */
	CHECK_INT(put(&f, 200, 200), RING_OK);
	CHECK_INT(ring_snapshot(s, 1, collect, &c), 1);
	CHECK_INT(c.records, 101);
	ringset_free(s);
	c = (struct collected){0};
	CHECK_INT(ringset_open(open(path, O_RDONLY), &s), 0); /* recover: a copy */
	fixture_done(&f);
	CHECK_INT(ring_snapshot(s, 1, collect, &c), 1);
	CHECK_INT(c.records, 101);
	CHECK(truncate(path, 100) == 0);
	CHECK_INT(ring_snapshot(s, 1, collect, &c), 0); /* cut short under us */
	CHECK_INT(ringset_hdr(s)->nrings, 2);
	ringset_free(s);
	CHECK_INT(ringset_open(open(path, O_RDONLY), &s), -EPROTO);
	unlink(path);
	rmdir(dir);
	cfg.dir = "/nonexistent";
	CHECK_INT(ringset_create(&cfg, &s), -ENOENT);
}

TEST(sizes)
{
	struct ringset_config cfg = config;
	struct fixture f;
	struct ring_view v;
	struct ringset *s;
	struct stat st;

	cfg.ring_bytes = 1; /* rounded up */
	cfg.prefault = true;
	fixture_init(&f, cfg);
	CHECK_INT(ringset_hdr(f.s)->ring_bytes, 65536);
	CHECK(fstat(ringset_fd(f.s), &st) == 0);
	CHECK(st.st_blocks * 512 >= 2 * 65536 + 3 * 4096);
	CHECK(st.st_blocks * 512 < 1 << 20); /* the metadata's pages are not there yet */
	fixture_done(&f);

	cfg.ring_bytes = 1 << 30;
	cfg.prefault = false;
	fixture_init(&f, cfg);
	CHECK(fstat(ringset_fd(f.s), &st) == 0);
	CHECK(st.st_size > 2ll << 30);
	f.set->rings[1].ctl->pos = f.set->rings[1].ctl->pend_pos = (1ull << 30) - 50;
	f.set->rings[1].ctl->read_pos = (1ull << 30) - 50;
	CHECK_INT(put(&f, 65536, 100), RING_OK);
	CHECK_INT(put(&f, RING_BODY_MAX + 1, 100), RING_TOO_BIG);
	CHECK_INT(ringset_open(dup(ringset_fd(f.s)), &s), 0);
	CHECK_INT(ring_take(s, 1, &v), 1);
	CHECK(v.len >= 65540 && memcmp(v.data + v.len - 65536, words, 65536) == 0);
	ringset_free(s);
	fixture_done(&f);

	cfg.ring_bytes = (1 << 30) + 1ull;
	CHECK_INT(ringset_create(&cfg, &s), -EINVAL);
	cfg = config;
	cfg.nrings = 0;
	CHECK_INT(ringset_create(&cfg, &s), -EINVAL);
	cfg = config;
	cfg.perf_count = 1;
	strcpy(cfg.perf[0].name, "not a name");
	CHECK_INT(ringset_create(&cfg, &s), -EINVAL);
	CHECK_STR(cairn_lost_name(CAIRN_LOST_FULL), "ring_full");
	CHECK(!cairn_lost_name(CAIRN_LOST_REASONS));
}

TEST_MAIN()
