/* What a flight recorder keeps of probes by BPF: the newest, whole and in order, in rooms of all sizes. */
#include "session/kernel-impl.h"
#include "test.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES = 20 };

struct made { /* the record of a number, and nothing else */
	uint8_t data[128], kernel[8 * FRAMES], user[8 * FRAMES];
	struct kbpf_record r;
};

static void make(struct made *m, uint32_t number)
{
	uint32_t hash = number * 2654435761u;

	memset(m->data, (int)(number & 0xff), sizeof(m->data));
	memset(m->kernel, (int)((number + 1) & 0xff), sizeof(m->kernel));
	memset(m->user, (int)((number + 2) & 0xff), sizeof(m->user));
	m->r = (struct kbpf_record){.data = m->data,
		.len = 16 + hash % 100,
		.process = number,
		.kernel = {m->kernel, hash >> 8 & 1 ? hash >> 10 & 15 : 0},
		.user = {m->user, hash >> 9 & 1 ? hash >> 14 & 15 : 0}};
}

static bool is_same(const struct kbpf_record *a, const struct kbpf_record *b)
{
	return a->len == b->len && a->process == b->process && a->kernel.n == b->kernel.n &&
		a->user.n == b->user.n && memcmp(a->data, b->data, a->len) == 0 &&
		memcmp(a->kernel.frames, b->kernel.frames, a->kernel.n * 8) == 0 &&
		memcmp(a->user.frames, b->user.frames, a->user.n * 8) == 0;
}

static bool is_lost(uint32_t number)
{
	return number % 7 == 3;
}

/* All from the oldest on, up to `next`, which was not added yet. The number of them. */
static unsigned check_rest(const struct krec_keep *k, uint32_t next, uint64_t limit)
{
	uint64_t at = krec_keep_begin(k, limit), begin = at;
	struct krec_kept got;
	struct made m;
	unsigned n = 0;
	uint32_t number = 0;

	while (krec_keep_next(k, &at, &got)) {
		if (n++ == 0)
			number = (uint32_t)(got.lost ? got.lost : got.ts);
		make(&m, number);
		if (is_lost(number))
			CHECK_INT(got.lost, number);
		else if (got.lost || got.ts != number || !is_same(&got.r, &m.r))
			CHECK(false);
		number++;
	}
	if (n)
		CHECK_INT(number, next);
	CHECK_INT(at, k->tail);
	CHECK(k->tail - begin <= k->size);
	return n;
}

TEST(the_newest_are_kept)
{
	for (size_t size = 512; size < 2100; size += 8) {
		struct krec_keep k = {.size = size};
		struct made m;

		for (uint32_t i = 1; i < 300; i++) {
			unsigned n;

			make(&m, i);
			CHECK_INT(
				is_lost(i) ? krec_keep_lost(&k, i) : krec_keep_add(&k, i, &m.r), 0);
			n = check_rest(&k, i + 1, 0);
			/* one has 480 bytes at most, and as much may be left before the room's end */
			CHECK(n >= MIN(i, MAX((size - 480) / 480, 1u)));
			CHECK(check_rest(&k, i + 1, size / 2) <= n);
		}
		krec_keep_clear(&k);
		CHECK_INT(check_rest(&k, 300, 0), 0);
		make(&m, 300);
		CHECK_INT(krec_keep_add(&k, 300, &m.r), 0);
		CHECK_INT(check_rest(&k, 301, 0), 1);
		free(k.bytes);
	}
}

TEST(what_is_greater_than_the_room)
{
	struct krec_keep k = {.size = 160};
	unsigned added = 0, refused = 0;
	struct krec_kept got;
	struct made m;

	for (uint32_t i = 1; i < 50; i++) {
		uint64_t at = k.head, tail = k.tail;
		int err;

		make(&m, i);
		err = krec_keep_add(&k, i, &m.r);
		CHECK(err == 0 || err == -ENOSPC);
		added += err == 0;
		refused += err != 0;
		if (err) {
			CHECK_INT(k.tail, tail);
			CHECK_INT(k.head, at);
			continue;
		}
		at = krec_keep_begin(&k, 1);
		CHECK(at == k.tail); /* a limit that is too low for one */
		for (at = k.head, got.ts = 0; krec_keep_next(&k, &at, &got);)
			;
		CHECK(got.ts == i && is_same(&got.r, &m.r));
	}
	CHECK(added > 3 && refused > 3);
	CHECK_INT(krec_keep_lost(&k, 0), 0); /* nothing to be said */
	free(k.bytes);
}

TEST_MAIN()
