/* Counting and checking records before they go to disk.
 *
 * Programs write the rings, and a hostile or broken one may leave anything there. Each packet is
 * walked once, record by record, by a table of sizes: that counts the events, and cuts off a
 * packet at the first record that makes no sense, so that traces stay readable. Events with
 * strings or sequences have no fixed size and are walked field by field.
 */
#include "session/session-impl.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool is_fixed(const struct cairn_field *f)
{
	return f->kind != CAIRN_KIND_STR && f->form != CAIRN_FORM_SEQUENCE;
}

/* Fields of fixed size are put together; each that varies ends a step. */
static int plan(struct record_size *rs, const struct eclass *cls, uint32_t fixed)
{
	for (unsigned i = 0; i < cls->d.d->nfields; i++) {
		const struct cairn_field *f = cls->d.fields[i].f;
		struct record_step *step;

		if (is_fixed(f)) {
			fixed += f->form == CAIRN_FORM_ARRAY ? f->count * f->width : f->width;
			continue;
		}
		step = VEC_ADD(rs->steps, rs->nsteps, rs->csteps);
		if (!step)
			return -ENOMEM;
		*step = (struct record_step){fixed, f->kind == CAIRN_KIND_STR ? 0 : f->width};
		fixed = 0;
	}
	rs->fixed = fixed;
	return 0;
}

int records_add(struct channel *ch, uint32_t id, struct eclass *cls)
{
	struct record_size *rs;

	while (ch->nsizes <= id) {
		if (!VEC_ADD(ch->sizes, ch->nsizes, ch->csizes))
			return -ENOMEM;
	}
	rs = &ch->sizes[id];
	free(rs->steps);
	*rs = (struct record_size){.is_state = strcmp(cls->d.provider, CTF_STATE_PROVIDER) == 0};
	if (plan(rs, cls, cairn_ctx_bytes(ch->contexts, ch->perf_count)) < 0)
		return -ENOMEM;
	rs->known = true;
	return 0;
}

void records_free(struct channel *ch)
{
	for (size_t i = 0; i < ch->nsizes; i++)
		free(ch->sizes[i].steps);
	free(ch->sizes);
}

/* Bytes up to and with the NUL, 0 if there is none in n. Most strings are short. */
static size_t string_bytes(const uint8_t *p, size_t n)
{
	const uint64_t ones = 0x0101010101010101;
	const uint8_t *nul;
	size_t at = 0;

	for (; n - at >= sizeof(uint64_t) && at < 32; at += sizeof(uint64_t)) {
		uint64_t word, zeros;

		memcpy(&word, p + at, sizeof(word));
		word = le64toh(word);
		zeros = (word - ones) & ~word & (ones << 7);
		if (zeros)
			return at + (size_t)__builtin_ctzll(zeros) / 8 + 1;
	}
	nul = memchr(p + at, 0, n - at);
	return nul ? (size_t)(nul - p) + 1 : 0;
}

/* Bytes of the record's body at p (of n that there are); -1: it makes no sense. */
static int64_t body_bytes(const struct record_size *rs, const uint8_t *p, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < rs->nsteps; i++) {
		const struct record_step *step = &rs->steps[i];
		uint64_t bytes;
		uint32_t count;

		if (step->fixed > n - at)
			return -1;
		at += step->fixed;
		if (!step->width) {
			bytes = string_bytes(p + at, n - at);
			if (!bytes)
				return -1;
		} else {
			if (n - at < sizeof(count))
				return -1;
			memcpy(&count, p + at, sizeof(count));
			bytes = sizeof(count) + (uint64_t)count * step->width;
			if (bytes > n - at)
				return -1;
		}
		at += bytes;
	}
	return rs->fixed > n - at ? -1 : (int64_t)(at + rs->fixed);
}

/* Length of the record header at p, and its event id; 0: no room for one. */
static size_t header(const uint8_t *p, size_t n, uint32_t *ret_id)
{
	static const uint8_t length[4] = {4, 8, 12, 24};
	uint32_t word;
	size_t len;

	if (n < sizeof(word))
		return 0;
	memcpy(&word, p, sizeof(word));
	len = length[word & 3];
	*ret_id = (word & 3) < 2 ? word >> 2 & 0x3ff : word >> 2;
	return len <= n ? len : 0;
}

/* Bytes of the record at p (of n that there are), or 0 if it makes no sense. */
static size_t record_bytes(const struct channel *ch, const uint8_t *p, size_t n, uint32_t *ret_id)
{
	size_t head = header(p, n, ret_id);
	int64_t body;

	if (!head || *ret_id >= ch->nsizes || !ch->sizes[*ret_id].known)
		return 0;
	body = body_bytes(&ch->sizes[*ret_id], p + head, n - head);
	return body < 0 ? 0 : head + (size_t)body;
}

/* The time of a record, from that of the one before. */
static uint64_t record_time(const uint8_t *p, uint64_t before)
{
	const uint64_t dense = 0xfffff, sparse = (1ull << 52) - 1;
	uint64_t word = 0;
	uint32_t low;

	memcpy(&low, p, sizeof(low));
	if ((low & 3) == 0)
		return before + (((low >> 12) - before) & dense);
	memcpy(&word, (low & 3) == 1 ? p : p + 4, sizeof(word));
	return (low & 3) == 1 ? before + (((word >> 12) - before) & sparse) : word;
}

/* Runs of one event of fixed size with short headers are what fills rings. Their step is known
 * before the header is read, so the processor reads many headers at once. Goes on while there are
 * `step` bytes below n, and not beyond `limit`. *time: what passed since the first. */
static size_t run_bytes(
	const uint8_t *p, size_t n, size_t limit, size_t step, uint64_t *count, uint64_t *time)
{
	uint32_t before, word;
	uint64_t passed = 0;
	size_t at = step;

	memcpy(&before, p, sizeof(before));
	for (; at < limit && step <= n - at; at += step) {
		memcpy(&word, p + at, sizeof(word));
		if ((word ^ before) & 0xfff) /* form and id */
			break;
		passed += (word - before) >> 12;
		before = word;
		++*count;
	}
	*time += passed;
	return at;
}

void records_walk(
	const struct channel *ch, const struct ring_view *v, size_t limit, struct records *ret)
{
	uint64_t count = 0, ts = v->begin_ts;
	size_t at = 0;

	while (at < v->len && at < limit) {
		const uint8_t *p = v->data + at;
		uint64_t run = 1;
		uint32_t id;
		size_t step = record_bytes(ch, p, v->len - at, &id);

		if (!step)
			break;
		ts = record_time(p, ts);
		if ((*p & 3) == 0 && !ch->sizes[id].nsteps)
			step = run_bytes(p, v->len - at, limit - at, step, &run, &ts);
		at += step;
		count += ch->sizes[id].is_state ? 0 : run;
	}
	*ret = (struct records){
		.events = count, .bytes = at, .ts = ts, .bad = at < v->len && at < limit};
}
