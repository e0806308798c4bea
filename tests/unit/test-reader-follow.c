/* Following a trace that grows: packets, halves of packets, files, rotation, damage. */
#include "made-trace.h"
#include "test.h"

#include <cairn/reader.h>

#define FIRST 100 /* events of a packet */

struct follow {
	struct made m;
	struct cairn_reader *r;
	uint32_t next; /* number of the next tick that is to come; of the next one written */
	uint32_t written;
	int damaged, cut;
};

static void begin(struct follow *f)
{
	const char *paths[1];
	struct cairn_reader_options o = {
		.size = sizeof(o), .paths = paths, .npaths = 1, .follow = 1, .delay_ns = 1};
	struct cairn_error e;

	memset(f, 0, sizeof(*f));
	made_begin(&f->m);
	paths[0] = f->m.dir;
	CHECK_INT(cairn_reader_open(&o, &f->r, &e), 0);
}

static void end(struct follow *f)
{
	cairn_reader_free(f->r);
	made_end(&f->m);
}

static void write_packet(struct follow *f, int ring)
{
	uint64_t t = 10 * f->written;

	for (unsigned i = 0; i < FIRST; i++, f->written++)
		made_tick(&f->m, ring, 7, 10 * f->written, f->written);
	made_packet(&f->m, ring, t, 10 * f->written);
}

/* Reads until all ticks before number `upto` came, each once and in order. */
static void read_upto(struct follow *f, uint32_t upto)
{
	while (f->next < upto) {
		struct cairn_item it;
		struct cairn_error e;

		if (cairn_reader_next(f->r, &it, &e) != 1) {
			printf("# %s %s\n", e.message, e.where);
			CHECK(!"the reader goes on");
			return;
		}
		if (it.kind == CAIRN_ITEM_WAIT)
			(void)cairn_reader_wait(f->r, -1); /* look again in any case */
		if (it.kind == CAIRN_ITEM_NOTICE) {
			f->damaged += it.notice->kind == CAIRN_NOTICE_DAMAGED;
			f->cut += it.notice->kind == CAIRN_NOTICE_CUT;
		}
		if (it.kind != CAIRN_ITEM_EVENT)
			continue;
		CHECK_INT(cairn_event_get(it.event, "n")->u, f->next);
		CHECK_INT(it.event->flags & CAIRN_EVENT_LATE, 0);
		f->next = (uint32_t)cairn_event_get(it.event, "n")->u + 1;
	}
}

/* There is nothing to read, also after a look for news. */
static void nothing(struct follow *f)
{
	for (int i = 0; i < 2; i++) {
		struct cairn_item it = {0};
		struct cairn_error e;

		CHECK_INT(cairn_reader_next(f->r, &it, &e), 1);
		CHECK_INT(it.kind, CAIRN_ITEM_WAIT);
		for (int w = 0; w < 30; w++) /* longer than between two looks */
			(void)cairn_reader_wait(f->r, 1);
	}
}

TEST(files_that_grow_and_new_files)
{
	struct follow f;

	begin(&f);
	nothing(&f);
	for (int i = 0; i < 4; i++) {
		write_packet(&f, 1);
		read_upto(&f, f.written);
		write_packet(&f, 2);
		read_upto(&f, f.written);
	}
	write_packet(&f, 3);
	write_packet(&f, 1);
	read_upto(&f, f.written);
	nothing(&f);
	CHECK_INT(f.damaged + f.cut, 0);
	end(&f);
}

/* A packet is read when it is whole, wherever its writing was interrupted. */
TEST(packets_in_halves)
{
	static const size_t cuts[] = {1, 4, 20, 60, 79, 80, 81, 500};

	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		struct follow f;
		struct buf file = {0};
		char path[400];

		begin(&f);
		write_packet(&f, 1);
		read_upto(&f, f.written);
		write_packet(&f, 1);
		made_path(&f.m, "ring1", path);
		CHECK_INT(read_file(path, 1u << 20, &file), 0);
		CHECK_INT(truncate(path, f.m.begin[1] + (off_t)cuts[i]), 0);
		nothing(&f);
		made_append(path, file.data + f.m.begin[1] + cuts[i],
			file.len - (size_t)f.m.begin[1] - cuts[i]);
		read_upto(&f, f.written);
		CHECK_INT(f.damaged + f.cut, 0);
		buf_done(&file);
		end(&f);
	}
}

/* Chunks in folders of their own, while it is read and before. */
TEST(rotation)
{
	struct follow f;
	struct cairn_item it;
	struct cairn_error e;
	const char *paths[1];
	struct cairn_reader_options o = {.size = sizeof(o), .paths = paths, .npaths = 1};
	struct cairn_reader *r;
	uint32_t n = 0;
	int streams = 0;

	begin(&f);
	for (int i = 0; i < 4; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "chunk%d", i); /* fits */
		made_rotate(&f.m, name);
		write_packet(&f, 1);
		write_packet(&f, 2);
		if (i % 2 == 0)
			read_upto(&f, f.written);
		write_packet(&f, 1);
	}
	read_upto(&f, f.written);
	nothing(&f);
	CHECK_INT(f.damaged + f.cut, 0);
	paths[0] = f.m.dir;
	CHECK_INT(cairn_reader_open(&o, &r, &e), 0);
	while (cairn_reader_next(r, &it, &e) > 0) {
		CHECK_INT(it.kind, CAIRN_ITEM_EVENT);
		if (it.kind == CAIRN_ITEM_EVENT)
			CHECK_INT(cairn_event_get(it.event, "n")->u, n++);
	}
	CHECK_INT(n, f.written);
	while (cairn_reader_stream(r, (size_t)streams))
		streams++;
	CHECK_INT(streams, 2); /* of 8 files */
	cairn_reader_free(r);
	end(&f);
}

/* From a time on that is still to come, with and without what was said before. */
TEST(from_a_time_on)
{
	for (uint32_t flags = 0; flags <= CAIRN_LIMIT_STATE; flags++) {
		struct cairn_error e;
		struct follow f;

		begin(&f);
		write_packet(&f, 1);
		write_packet(&f, 2);
		read_upto(&f, f.written);
		CHECK_INT(cairn_reader_limit(f.r, MADE_T0 + 10 * (int64_t)(f.written + 30),
				  INT64_MAX, flags, &e),
			0);
		nothing(&f);
		f.next = f.written + 30;
		write_packet(&f, 1);
		read_upto(&f, f.written);
		write_packet(&f, 3);
		read_upto(&f, f.written);
		CHECK_INT(f.damaged + f.cut, 0);
		end(&f);
	}
}

/* Damage is said once; behind it, reading goes on as soon as there is a packet. */
TEST(damage)
{
	struct follow f;
	char path[400];

	begin(&f);
	write_packet(&f, 1);
	read_upto(&f, f.written);
	made_path(&f.m, "ring1", path);
	made_append(path, "this is no packet, but longer than the mark", 43);
	write_packet(&f, 2); /* whole: so that there is something to wait for */
	read_upto(&f, f.written);
	write_packet(&f, 1);
	write_packet(&f, 1);
	read_upto(&f, f.written);
	nothing(&f);
	CHECK_INT(f.damaged, 1);
	end(&f);
}

TEST_MAIN()
