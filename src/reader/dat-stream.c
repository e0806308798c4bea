/* Streams of a trace.dat: the pages of one CPU of one buffer, event by event; and the text of a
 * latency tracer, line by line.
 *
 * A page that makes no sense is passed over; those that follow it without one that does are one
 * notice. What is missing before a page is a loss in front of its first event.
 */
#include "reader/dat-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- making ---- */

void dat_stream_free(struct dat_stream *ds)
{
	if (!ds)
		return;
	dat_pages_done(&ds->pages);
	buf_done(&ds->lines);
	free(ds->copy);
	free(ds);
}

static struct stream *new_stream(struct cairn_reader *r, struct trace *t, size_t buffer)
{
	struct stream *s = stream_new(r);

	if (!s)
		return NULL;
	s->dat = calloc(1, sizeof(*s->dat));
	if (!s->dat) {
		stream_free(s);
		return NULL;
	}
	s->trace = t;
	s->dat->dat = t->dat;
	s->dat->buffer = &t->dat->file->buffers[buffer];
	s->dat->layout = t->dat->layout;
	s->dat->layout.size = s->dat->buffer->page_bytes;
	s->info.trace = &t->meta.pub;
	s->info.path = t->dir;
	s->info.class_id = buffer;
	return s;
}

static inline int64_t time_of(const struct stream *s, uint64_t ts)
{
	const struct dat *d = s->dat->dat;

	if (d->is_plain_time)
		return (int64_t)(ts + (uint64_t)d->file->add_ns);
	return (int64_t)trace_dat_time(d->file, (uint32_t)s->info.cpu, ts);
}

static int next_page(struct stream *s);

/* 1: it has something to give; 0: it has not, and was freed; -ENOMEM. */
static int add_cpu(struct cairn_reader *r, struct trace *t, size_t buffer, size_t i)
{
	const struct dat_cpu *c = &t->dat->file->buffers[buffer].cpus[i];
	struct stream *s;
	int e;

	if (c->size == 0)
		return 0;
	s = new_stream(r, t, buffer);
	if (!s)
		return -ENOMEM;
	s->info.cpu = c->cpu;
	s->info.instance_id = r->nstreams;
	dat_pages_init(&s->dat->pages, t->dat->file, s->dat->buffer, i);
	e = next_page(s);
	if (e < 0) {
		stream_free(s);
		return e;
	}
	s->key = s->dat->has_page ? time_of(s, s->dat->page.begin_ts) : INT64_MIN;
	return reader_add_stream(r, s);
}

static int add_text(struct cairn_reader *r, struct trace *t, size_t buffer)
{
	struct dat_buffer *b = &t->dat->file->buffers[buffer];
	struct dat_blob text = {
		.at = b->text_at, .size = b->text_bytes, .is_section = t->dat->file->version >= 7};
	struct stream *s = new_stream(r, t, buffer);
	int e;

	if (!s)
		return -ENOMEM;
	s->dat->text = true;
	e = trace_dat_text(t->dat->file, &text, &s->dat->lines);
	s->dat->cls = e == 0 ? dat_add_line_class(t->dat) : NULL;
	if (!s->dat->cls) {
		stream_free(s);
		if (e == -EPROTO)
			e = dat_notice(t->dat->file, b->text_at,
				"the latency tracer's text cannot be read");
		return e == -EPROTO ? 0 : -ENOMEM;
	}
	s->key = t->dat->file->add_ns;
	return reader_add_stream(r, s);
}

int dat_add_streams(struct cairn_reader *r, struct trace *t)
{
	const struct trace_dat *f = t->dat->file;
	int e = 0;

	for (size_t b = 0; b < f->nbuffers && e >= 0; b++) {
		if (f->buffers[b].is_text)
			e = add_text(r, t, b);
		for (size_t c = 0; c < f->buffers[b].ncpus && e >= 0; c++)
			e = add_cpu(r, t, b, c);
	}
	return e < 0 ? e : 0;
}

/* ---- pages ---- */

/* A page that was cut, or that says it is longer than it is: a copy with room behind, of which as
 * much is read as there is. */
static int begin_cut(struct stream *s, const uint8_t *bytes, size_t len)
{
	struct dat_stream *ds = s->dat;
	int e;

	if (!ds->copy)
		ds->copy = malloc(ds->layout.size + 64u);
	if (!ds->copy)
		return -ENOMEM;
	memset(ds->copy, 0, ds->layout.size + 64u);
	memcpy(ds->copy, bytes, MIN(len, (size_t)ds->layout.size));
	e = kpage_begin(&ds->page, &ds->layout, ds->copy, ds->layout.size);
	if (e == 0 && ds->page.end > ds->copy + len)
		ds->page.end = MAX(ds->copy + len, ds->page.p);
	return e;
}

static void say_bad(struct stream *s, uint64_t at, uint64_t n, const char *why)
{
	stream_notice(s, CAIRN_NOTICE_DAMAGED, at, "%" PRIu64 " %s%s of CPU %d cannot be read: %s",
		n, s->dat->buffer->compressed ? "chunk" : "page", n == 1 ? "" : "s",
		(int)s->info.cpu, why);
	s->notice.skipped = n * s->dat->layout.size;
}

/* The next page that makes sense: has_page, or ended; perhaps a notice of those that do not. */
static int next_page(struct stream *s)
{
	struct dat_stream *ds = s->dat;
	uint64_t bad = 0, bad_at = 0;
	const char *why = "what should be a page is none";

	ds->has_page = false;
	for (;;) {
		const uint8_t *bytes;
		size_t len;
		int e = dat_pages_next(&ds->pages, &bytes, &len);

		if (e == -EPROTO)
			why = ds->pages.why;
		else if (e < 0)
			return e;
		if (e == 0) {
			ds->ended = true;
			break;
		}
		if (e > 0) {
			s->info.packets++;
			s->info.bytes += len;
			if (len < ds->layout.size)
				e = begin_cut(s, bytes, len);
			else
				e = kpage_begin(&ds->page, &ds->layout, bytes, len);
			if (e == -ENOMEM)
				return e;
			s->packet_at = ds->pages.page_at;
			if (e == 0) {
				ds->has_page = true;
				break;
			}
		}
		if (bad++ == 0)
			bad_at = ds->pages.page_at;
	}
	if (bad)
		say_bad(s, bad_at, bad, why);
	return 0;
}

/* ---- events ---- */

static inline bool set_event(struct stream *s)
{
	struct dat_stream *ds = s->dat;
	const struct dat *d = ds->dat;
	uint32_t id = 0;
	uint16_t type;

	if (ds->e.len >= 4) {
		memcpy(&type, ds->e.data, sizeof(type));
		id = d->is_swapped ? __builtin_bswap16(type) : type;
	}
	ds->cls = d->by_id[id];
	if (!ds->cls) {
		ds->cls = dat_unknown(ds->dat, id);
		if (!ds->cls)
			return false;
	}
	s->fields_done = s->contexts_done = false;
	s->ev.cls = &ds->cls->pub;
	s->ev.cycles = ds->e.ts;
	s->ev.time_ns = time_of(s, ds->e.ts);
	s->ev.cpu = (int32_t)s->info.cpu;
	s->ev.flags = 0;
	s->ev.bytes = ds->e.len + 4;
	return true;
}

static inline bool wanted(struct stream *s)
{
	if (s->ev.time_ns >= s->r->end_ns) {
		s->dat->has_page = false;
		s->dat->ended = true;
		return false;
	}
	return s->ev.time_ns >= s->r->begin_ns;
}

static inline void give_event(struct stream *s)
{
	s->info.events++;
	s->kind = CAIRN_ITEM_EVENT;
	s->state = STREAM_ITEM;
	s->key = s->ev.time_ns;
	s->last_ns = s->ev.time_ns;
}

/* What the event given last says of names is known from now on. */
static inline void learn(struct stream *s)
{
	struct dat_stream *ds = s->dat;

	if (ds->cls && !ds->text && ds->cls->comm_at[0] >= 0)
		dat_learn(ds->dat, ds->cls, ds->e.data, ds->e.len);
	if (!ds->text)
		ds->cls = NULL;
}

bool dat_next_event(struct stream *s)
{
	struct dat_stream *ds = s->dat;
	int e;

	learn(s);
	while (ds->has_page && (e = kpage_next(&ds->page, &ds->e)) != 0) {
		ds->bad_page = e < 0;
		if (e < 0 || !set_event(s))
			return false;
		if (wanted(s)) {
			give_event(s);
			return true;
		}
	}
	return false;
}

static int next_line(struct stream *s)
{
	struct dat_stream *ds = s->dat;
	const char *p = ds->lines.data + ds->line_at, *newline;
	size_t left = ds->lines.len - ds->line_at;

	s->state = STREAM_END;
	if (left == 0 || s->key < s->r->begin_ns || s->key >= s->r->end_ns)
		return 0;
	newline = memchr(p, '\n', left);
	ds->line = p;
	ds->line_len = newline ? (size_t)(newline - p) : left;
	ds->line_at += ds->line_len + (newline ? 1 : 0);
	s->fields_done = s->contexts_done = false;
	s->ev.cls = &ds->cls->pub;
	s->ev.time_ns = s->key;
	s->ev.cycles = 0;
	s->ev.cpu = -1;
	s->ev.flags = CAIRN_EVENT_NO_TIME;
	s->ev.bytes = (uint32_t)ds->line_len + 1;
	give_event(s);
	return 0;
}

/* A loss in front of the page's first event, which is there already. True if there was one. */
static bool give_loss(struct stream *s)
{
	struct dat_stream *ds = s->dat;

	if (ds->page.lost == 0)
		return false;
	s->losses[0] = (struct cairn_loss){
		.begin_ns = s->last_ns == INT64_MIN ? s->ev.time_ns : s->last_ns,
		.end_ns = s->ev.time_ns,
		.stream = &s->info,
		.reason = "discarded",
		.count = ds->page.lost == KPAGE_LOST_UNKNOWN ? 0 : ds->page.lost,
	};
	ds->page.lost = 0;
	ds->pending = true;
	s->loss = s->nlosses = 1;
	s->kind = CAIRN_ITEM_LOSS;
	s->key = s->ev.time_ns;
	return true;
}

static void end_page(struct stream *s)
{
	struct dat_stream *ds = s->dat;

	ds->has_page = false;
	if (!ds->bad_page)
		return;
	ds->bad_page = false;
	if (ds->copy && ds->page.p >= ds->copy && ds->page.p <= ds->copy + ds->layout.size + 64)
		return; /* the file is cut: that was said */
	stream_notice(s, CAIRN_NOTICE_DAMAGED, s->packet_at,
		"the rest of a page of CPU %d is not read: an event is longer than the page",
		(int)s->info.cpu);
}

int dat_advance(struct stream *s)
{
	struct dat_stream *ds = s->dat;
	int e;

	s->calm = false;
	if (ds->text)
		return next_line(s);
	if (!ds->pending)
		learn(s);
	for (;;) {
		s->state = STREAM_ITEM;
		if (s->has_notice) {
			s->has_notice = false;
			s->kind = CAIRN_ITEM_NOTICE;
			if (s->last_ns != INT64_MIN)
				s->key = s->last_ns;
			return 0;
		}
		if (ds->pending) {
			ds->pending = false;
			give_event(s);
			s->calm = true;
			return 0;
		}
		if (!ds->has_page) {
			if (ds->ended) {
				s->state = STREAM_END;
				return 0;
			}
			e = next_page(s);
			if (e < 0)
				return e;
			continue;
		}
		e = kpage_next(&ds->page, &ds->e);
		ds->bad_page |= e < 0;
		if (e <= 0) {
			end_page(s);
			continue;
		}
		if (!set_event(s))
			return -ENOMEM;
		if (!wanted(s))
			continue;
		if (give_loss(s))
			return 0;
		give_event(s);
		s->calm = true;
		return 0;
	}
}

/* ---- time ---- */

static bool page_time(struct stream *s, uint64_t n, int64_t *ret)
{
	struct dat_stream *ds = s->dat;
	const uint8_t *bytes;
	struct kpage page;
	size_t len;

	if (!dat_pages_go(&ds->pages, n) || dat_pages_next(&ds->pages, &bytes, &len) <= 0 ||
		kpage_begin(&page, &ds->layout, bytes, len) < 0)
		return false;
	*ret = time_of(s, page.begin_ts);
	return true;
}

/* The last page that begins before the time; pages without sense count as later. */
static uint64_t find_page(struct stream *s, int64_t time_ns)
{
	uint64_t low = 0, high = dat_pages_count(&s->dat->pages);

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		int64_t t;

		if (page_time(s, middle, &t) && t < time_ns)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int dat_seek(struct stream *s, int64_t time_ns)
{
	struct dat_stream *ds = s->dat;
	uint64_t n;
	int e;

	s->has_notice = s->calm = false;
	s->nlosses = s->loss = 0;
	s->last_ns = INT64_MIN;
	s->state = STREAM_LAZY;
	ds->pending = ds->ended = ds->bad_page = ds->has_page = false;
	ds->line_at = 0;
	if (ds->text)
		return 0;
	ds->cls = NULL;
	n = find_page(s, time_ns);
	dat_pages_rewind(&ds->pages);
	if (n)
		(void)dat_pages_go(&ds->pages, n);
	e = next_page(s);
	if (e == 0 && ds->has_page)
		s->key = time_of(s, ds->page.begin_ts);
	return e;
}

int dat_range(struct stream *s, int64_t *begin, int64_t *end)
{
	struct dat_stream *ds = s->dat, look = {.dat = ds->dat, .layout = ds->layout};
	const uint8_t *bytes;
	bool at_end = false;
	size_t len;
	int e;

	if (ds->text)
		return 0;
	dat_pages_init(
		&look.pages, ds->dat->file, ds->buffer, (size_t)(ds->pages.c - ds->buffer->cpus));
	while ((e = dat_pages_next(&look.pages, &bytes, &len)) != 0) {
		uint64_t n = dat_pages_count(&look.pages);
		struct kpage page;

		if (e < 0 && e != -EPROTO)
			break;
		if (e < 0 || kpage_begin(&page, &ds->layout, bytes, len) < 0)
			continue;
		while (kpage_next(&page, &look.e) > 0) {
			*begin = MIN(*begin, time_of(s, look.e.ts));
			*end = MAX(*end, time_of(s, look.e.ts));
		}
		/* the pages between the first and the last few say nothing new */
		if (n > 8 && !at_end)
			at_end = dat_pages_go(&look.pages, n - 4);
	}
	dat_pages_done(&look.pages);
	return e == -EPROTO ? 0 : e;
}
