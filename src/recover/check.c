/* Which records of a ring make sense, by the trace's own metadata.
 *
 * A core file is no photograph: programs go on writing into shared rings while the memory of a
 * dead host is written out, so the oldest blocks of a flight recorder may be half overwritten. A
 * packet is cut before its first record that the metadata does not describe, that does not end
 * where the packet does, or that is later than the packet.
 */
#include "ctf/ctf-read.h"
#include "recover/recover-impl.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct check {
	struct ctfr_meta meta;
	uint64_t *slots; /* owned */
};

struct check *check_new(const char *text, size_t len)
{
	struct check *k = calloc(1, sizeof(*k));
	struct error e;

	if (!k)
		return NULL;
	if (ctfr_meta_init(&k->meta, "metadata") == 0 &&
		ctfr_meta_feed(&k->meta, text, len, true, &e) == 0)
		k->slots = calloc(k->meta.nslots + 1, sizeof(*k->slots));
	if (k->slots)
		return k;
	check_free(k);
	return NULL;
}

void check_free(struct check *k)
{
	if (!k)
		return;
	ctfr_meta_done(&k->meta);
	free(k->slots);
	free(k);
}

/* The header of the record at p, of one of the forms that rings have (abi/ring.h): its length, and
 * the id and time in it; `before` is the time of the record before. */
static size_t header(const uint8_t *p, uint64_t before, uint32_t *ret_id, uint64_t *ret_ts)
{
	static const uint8_t length[4] = {4, 8, 12, 24};
	const uint64_t dense = 0xfffff, sparse = (1ull << 52) - 1;
	uint64_t word;
	uint32_t low;

	memcpy(&low, p, sizeof(low)); /* there is slack */
	low = le32toh(low);
	memcpy(&word, (low & 3) == 1 ? p : p + 4, sizeof(word));
	word = le64toh(word);
	*ret_id = (low & 3) < 2 ? low >> 2 & 0x3ff : low >> 2;
	*ret_ts = (low & 3) == 0 ? before + (((low >> 12) - before) & dense)
		: (low & 3) == 1 ? before + (((word >> 12) - before) & sparse)
				 : word;
	return length[low & 3];
}

/* Steps over the record at the cursor: 0, or < 0: it makes no sense. */
static int step(struct ctfr_cursor *c, const struct ctfr_stream *s, uint64_t end_ts, uint64_t *ts)
{
	const struct ctfr_event *e;
	uint32_t id;
	int r = 0;

	c->pos += header(c->buf + c->pos / 8, *ts, &id, ts) * 8;
	e = ctfr_stream_event(s, id);
	if (!e || *ts > end_ts || c->pos > c->end)
		return -1;
	if (s->context)
		r = ctfr_skip(c, s->context);
	if (r == 0 && e->context)
		r = ctfr_skip(c, e->context);
	if (r == 0 && e->fields)
		r = ctfr_skip(c, e->fields);
	return r;
}

size_t check_whole(struct check *k, uint64_t stream, const struct ring_view *v)
{
	struct ctfr_stream *s = k ? ctfr_meta_stream(&k->meta, stream) : NULL;
	uint8_t *copy AUTO(free) = s && s->planned ? malloc(v->len + CTFR_SLACK) : NULL;
	uint64_t ts = v->begin_ts, whole = 0;
	struct ctfr_cursor c;

	if (!copy) /* nothing to go by */
		return v->len;
	memcpy(copy, v->data, v->len);
	memset(copy + v->len, 0, CTFR_SLACK);
	c = (struct ctfr_cursor){.buf = copy,
		.end = (uint64_t)v->len * 8,
		.slots = k->slots,
		.max_work = UINT64_MAX};
	while (c.pos < c.end && step(&c, s, v->end_ts, &ts) == 0 && c.pos <= c.end)
		whole = c.pos / 8;
	return whole;
}
