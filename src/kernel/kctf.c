/* Records: from the bytes of a page to those of a packet. What an event becomes: kctf-class.c. */
#include "kernel/kctf-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IDS_SHORT 1024 /* ids below it fit into the short headers */
#define FORM_DENSE 0u
#define FORM_SPARSE 1u
#define FORM_EXTENDED 2u
#define BODY_FIRST (64u << 10)
#define KERNEL_IDS 65536 /* common_type has 16 bits */
#define IDS (KCTF_OWN_LAST + 1)

struct kctf {
	struct ctf_trace *trace; /* owned */
	uint32_t stream, state;
	bool as_lttng;
	struct kclass **by_id; /* owned: IDS of owned */
	uint8_t *asked; /* owned: a bit for each id that fn was told of */
	void (*fn)(void *arg, uint32_t id);
	void *arg;
};

int kctf_new(const struct ctf_facts *facts, const struct ctf_clock *clock, struct kctf **ret)
{
	struct ctf_stream s = {.kind = CTF_STREAM_KERNEL, .name = "kernel"};
	struct ctf_stream state = {.kind = CTF_STREAM_STATE, .name = "state"};
	struct kctf *k = calloc(1, sizeof(*k));
	int err = -ENOMEM;

	if (!k)
		return -ENOMEM;
	k->as_lttng = facts->as_lttng;
	k->by_id = calloc(IDS, sizeof(struct kclass *));
	k->asked = calloc(KERNEL_IDS / 8, 1);
	if (k->by_id && k->asked)
		err = ctf_trace_new(facts, clock, &k->trace);
	if (err == 0)
		err = ctf_trace_add_stream(k->trace, &s, &k->stream);
	if (err == 0)
		err = ctf_trace_add_stream(k->trace, &state, &k->state);
	if (err < 0) {
		kctf_free(k);
		return err;
	}
	*ret = k;
	return 0;
}

void kctf_free(struct kctf *k)
{
	if (!k)
		return;
	for (size_t i = 0; k->by_id && i < IDS; i++)
		kclass_free(k->by_id[i]);
	free(k->by_id);
	free(k->asked);
	ctf_trace_free(k->trace);
	free(k);
}

struct ctf_trace *kctf_trace(struct kctf *k)
{
	return k->trace;
}

int kctf_add(struct kctf *k, struct kformat *f, struct error *e)
{
	struct kclass *c;
	uint32_t id = f->id;
	int err;

	if (id >= IDS) {
		kformat_free(f);
		return error_set(e, -EPROTO, "a kernel event's id is %u: more than 65535", id);
	}
	err = kclass_new(f, k->as_lttng, &c, e);
	if (err < 0)
		return err;
	if (k->by_id[id]) {
		c->take = k->by_id[id]->take;
		c->take_arg = k->by_id[id]->take_arg;
		c->is_plain &= !c->take;
	}
	kclass_free(k->by_id[id]);
	k->by_id[id] = c;
	return 0;
}

const struct kformat *kctf_format(const struct kctf *k, uint32_t id)
{
	return id < IDS && k->by_id[id] ? k->by_id[id]->format : NULL;
}

bool kctf_occurred(const struct kctf *k, uint32_t id)
{
	return kctf_format(k, id) &&
		(k->by_id[id]->form[KFORM_WIDE].id >= 0 ||
			k->by_id[id]->form[KFORM_NARROW].id >= 0);
}

void kctf_on_unknown(struct kctf *k, void (*fn)(void *arg, uint32_t id), void *arg)
{
	k->fn = fn;
	k->arg = arg;
}

static struct kclass *class_of(struct kctf *k, uint32_t id)
{
	if (k->by_id[id])
		return k->by_id[id];
	if (k->fn && !(k->asked[id / 8] & 1u << id % 8)) {
		k->asked[id / 8] |= (uint8_t)(1u << id % 8);
		k->fn(k->arg, id);
	}
	return k->by_id[id];
}

void kctf_stream_done(struct kctf_stream *s)
{
	free(s->body);
	s->body = NULL;
	s->len = s->cap = 0;
}

/* ---- records ---- */

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Does every field of the narrow form fit? */
static inline bool fits(const struct kclass *c, const uint8_t *rec)
{
	uint64_t bad = 0;

	for (const struct kfit *f = c->fits, *end = f + c->nfits; f < end; f++) {
		uint64_t v = f->is_int32 ? (uint64_t)(int64_t)(int32_t)load32(rec + f->from)
					 : load64(rec + f->from);

		bad |= (v + f->bias) & f->too_big;
	}
	return bad == 0;
}

static int64_t id_of(struct kctf *k, struct kclass *c, enum kform form)
{
	struct kclass_form *f = &c->form[form];
	struct ctf_added added;

	if (f->id >= 0)
		return f->id;
	if (ctf_trace_add_event(k->trace, k->stream, f->desc.data, f->desc.len, &added, NULL) < 0)
		return -1;
	f->id = added.id;
	f->is_usual = f->id < IDS_SHORT;
	return f->id;
}

static inline uint8_t *put_header(uint8_t *to, uint64_t id, uint64_t ts, uint64_t before)
{
	uint64_t delta = ts - before; /* huge if time went back */

	if (id < IDS_SHORT && delta < 1u << 20) {
		uint32_t w = FORM_DENSE | (uint32_t)id << 2 | (uint32_t)ts << 12;

		memcpy(to, &w, sizeof(w));
		return to + sizeof(w);
	}
	if (id < IDS_SHORT && delta < 1ull << 52) {
		uint64_t w = FORM_SPARSE | id << 2 | ts << 12;

		memcpy(to, &w, sizeof(w));
		return to + sizeof(w);
	}
	uint32_t w = FORM_EXTENDED | (uint32_t)id << 2;

	memcpy(to, &w, sizeof(w));
	memcpy(to + sizeof(w), &ts, sizeof(ts));
	return to + KCLASS_HEADER_MAX;
}

/* Where a dynamic field's bytes are: *n of them, none if the record does not hold them. */
static const uint8_t *locate(const uint8_t *rec, uint32_t len, const struct kop *op, uint32_t *n)
{
	uint32_t word, at;

	if (op->relative == 2) {
		*n = len - op->from;
		return rec + op->from;
	}
	word = load32(rec + op->from);
	at = (word & 0xffff) + (op->relative ? op->from + 4u : 0);
	*n = word >> 16;
	if (at > len || *n > len - at)
		*n = 0;
	return rec + MIN(at, len);
}

static uint8_t *put_string(uint8_t *to, const uint8_t *s, uint32_t n)
{
	const uint8_t *nul = memchr(s, 0, n);

	n = nul ? (uint32_t)(nul - s) : n;
	memcpy(to, s, n);
	to[n] = 0;
	return to + n + 1;
}

static uint8_t *put_list(uint8_t *to, const uint8_t *s, uint32_t n, uint32_t elem)
{
	uint32_t count = n / elem;

	memcpy(to, &count, sizeof(count));
	memcpy(to + sizeof(count), s, (size_t)count * elem);
	return to + sizeof(count) + (size_t)count * elem;
}

/* An event without fields has no memory for them. */
static inline const struct kop *ops_end(const struct kclass_form *f)
{
	return f->nops ? f->ops + f->nops : f->ops;
}

static inline uint8_t *put_fields(
	uint8_t *to, const struct kclass_form *f, const uint8_t *rec, uint32_t len)
{
	const struct kop *end = ops_end(f);
	const uint8_t *s;
	uint32_t n;

	for (const struct kop *op = f->ops; op < end; op++) {
		switch (op->code) {
		case KOP_COPY: to = kctf_copy(to, rec + op->from, op->n); break;
		case KOP_STRING:
			s = locate(rec, len, op, &n);
			to = put_string(to, s, n);
			break;
		case KOP_LIST:
			s = locate(rec, len, op, &n);
			to = put_list(to, s, n, op->n);
			break;
		case KOP_REST: to = put_list(to, rec + op->from, len - op->from, op->n); break;
		}
	}
	return to;
}

static bool grow(struct kctf_stream *s, size_t need)
{
	size_t cap = s->cap ? s->cap : BODY_FIRST;
	uint8_t *p;

	while (cap < need)
		cap *= 2;
	p = realloc(s->body, cap);
	if (!p)
		return false;
	s->body = p;
	s->cap = cap;
	return true;
}

/* Room for any form of the record. */
static inline bool reserve(struct kctf_stream *s, const struct kclass *c, uint32_t len)
{
	size_t need = s->len + c->room + c->ndynamic * ((size_t)len + 8);

	return __builtin_expect(need <= s->cap, 1) || grow(s, need);
}

/* The common fields, where they are in every kernel: type u16, flags u8, preempt count u8, pid i32. */
#define COMMON_BYTES 8

static int add_record(
	struct kctf *k, struct kctf_stream *s, struct kclass *c, const struct kpage_event *ev)
{
	uint8_t *to;
	int64_t id;
	enum kform form;

	form = c->nfits && fits(c, ev->data) ? KFORM_NARROW : KFORM_WIDE;
	id = c->form[form].id;
	if (__builtin_expect(id < 0, 0))
		id = id_of(k, c, form);
	if (id < 0 || !reserve(s, c, ev->len))
		return -ENOMEM;
	if (!s->len) {
		s->begin_ts = MAX(ev->ts, s->end_ts);
		s->end_ts = s->last_ts = s->begin_ts;
	}
	to = put_header(s->body + s->len, (uint64_t)id, ev->ts, s->last_ts);
	memcpy(to, ev->data + 4, 4);
	to[4] = ev->data[2];
	to[5] = ev->data[3];
	to = put_fields(to + sizeof(struct ctf_kernel_context), &c->form[form], ev->data, ev->len);
	s->len = (size_t)(to - s->body);
	s->last_ts = ev->ts;
	s->end_ts = MAX(ev->ts, s->end_ts);
	s->events++;
	return 0;
}

static inline uint8_t *put_copies(uint8_t *to, const struct kclass_form *f, const uint8_t *rec)
{
	for (const struct kop *op = f->ops, *end = ops_end(f); op < end; op++) {
		const uint8_t *from = rec + op->from;
		uint8_t *p = to;

		to += op->n;
		for (; p < to; p += 16, from += 16) /* both have KCTF_SLACK behind */
			memcpy(p, from, 16);
	}
	return to;
}

/* Takes the page's records up to one that is not of the usual kind: short, of fields of fixed size, in a form
 * that occurred before. Does what kpage_next() and add_record() do, all in registers. */
static void add_run(struct kctf *k, struct kctf_stream *s, struct kpage *page)
{
	const uint8_t *p = page->p;
	uint8_t *to, *limit;
	uint64_t page_ts = page->ts, last_ts = s->last_ts;

	if (page->layout->swap || !s->len)
		return;
	to = s->body + s->len;
	limit = s->body + s->cap;
	while (page->end - p >= 4) {
		uint32_t head = load32(p), len = (head & 31) * 4;
		const uint8_t *rec = p + 4;
		const struct kclass_form *f;
		const struct kclass *c;
		uint64_t ts = page_ts + (head >> 5), word;

		if (len - COMMON_BYTES > 28 * 4 - COMMON_BYTES || page->end - rec < len)
			break;
		c = k->by_id[rec[0] | (uint32_t)rec[1] << 8];
		if (!c || !c->is_plain || len < c->min_len || (size_t)(limit - to) < c->room)
			break;
		f = &c->form[c->nfits && fits(c, rec)];
		if (!f->is_usual || (ts - last_ts) >> 52)
			break;
		word = (uint64_t)f->id << 2 | ts << 12 |
			(ts - last_ts < 1u << 20 ? FORM_DENSE : FORM_SPARSE);
		memcpy(to, &word, sizeof(word));
		to += ts - last_ts < 1u << 20 ? 4 : 8;
		memcpy(to, rec + 4, 4);
		memcpy(to + 4, rec + 2, 2);
		to = put_copies(to + sizeof(struct ctf_kernel_context), f, rec);
		page_ts = last_ts = ts;
		p = rec + len;
		s->events++;
	}
	if (p == page->p)
		return;
	page->p = p;
	page->ts = page_ts;
	s->len = (size_t)(to - s->body);
	s->last_ts = last_ts;
	s->end_ts = MAX(last_ts, s->end_ts);
}

static inline int add_event(struct kctf *k, struct kctf_stream *s, const struct kpage_event *ev)
{
	struct kclass *c;

	c = ev->len >= COMMON_BYTES ? class_of(k, ev->data[0] | (uint32_t)ev->data[1] << 8) : NULL;
	if (!c || ev->len < c->min_len) {
		s->lost[CAIRN_LOST_CORRUPT]++;
		return 0;
	}
	return c->take ? c->take(c->take_arg, s, ev) : add_record(k, s, c, ev);
}

void kctf_take(struct kctf *k, uint32_t id, kctf_take_fn *fn, void *arg)
{
	k->by_id[id]->take = fn;
	k->by_id[id]->take_arg = arg;
	k->by_id[id]->is_plain = false;
}

int kctf_emit(struct kctf *k, struct kctf_stream *s, uint32_t id, const struct kpage_event *ev)
{
	struct kclass *c = id < IDS ? k->by_id[id] : NULL;

	if (!c || ev->len < MAX(c->min_len, COMMON_BYTES)) {
		s->lost[CAIRN_LOST_CORRUPT]++;
		return 0;
	}
	return add_record(k, s, c, ev);
}

bool kctf_page_cuts(const struct kctf_stream *s, const struct kpage *page)
{
	return page->lost && s->len;
}

int kctf_page(struct kctf *k, struct kctf_stream *s, struct kpage *page)
{
	struct kpage_event ev;
	int got, err = 0;

	if (page->lost == KPAGE_LOST_UNKNOWN)
		s->unknown_gaps++;
	else
		s->lost[CAIRN_LOST_OVERWRITTEN] += page->lost;
	do {
		add_run(k, s, page);
		got = kpage_next(page, &ev);
		if (got > 0)
			err = add_event(k, s, &ev);
	} while (got > 0 && err == 0);
	if (got < 0)
		s->lost[CAIRN_LOST_CORRUPT]++;
	return err;
}

/* ---- packets ---- */

void kctf_packet(
	struct kctf *k, const struct kctf_stream *s, struct ring_view *view, struct ctf_frame *ret)
{
	struct ctf_packet p = {.stream = k->stream,
		.instance = s->instance,
		.cpu = s->cpu,
		.seq = s->seq,
		.view = view};

	*view = (struct ring_view){.data = s->body,
		.len = s->len,
		.begin_ts = s->len ? s->begin_ts : s->end_ts,
		.end_ts = s->end_ts};
	for (unsigned i = 0; i < CAIRN_LOST_REASONS; i++) {
		view->lost[i] = s->lost[i];
		view->lost_total += s->lost[i];
	}
	ctf_frame(k->trace, &p, ret);
}

int64_t kctf_state_event(struct kctf *k, const void *desc, size_t len)
{
	struct ctf_added added;
	int err = ctf_trace_add_event(k->trace, k->state, desc, len, &added, NULL);

	return err < 0 ? err : (int64_t)added.id;
}

void kctf_state_packet(struct kctf *k, const struct ring_view *view, uint64_t instance,
	uint64_t seq, struct ctf_frame *ret)
{
	struct ctf_packet p = {.stream = k->state,
		.instance = instance,
		.cpu = CTF_NO_CPU,
		.seq = seq,
		.view = view};

	ctf_frame(k->trace, &p, ret);
}

void kctf_packet_done(struct kctf_stream *s)
{
	s->len = 0;
	s->events = 0;
	s->seq++;
}
