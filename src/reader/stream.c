/* A stream: its items, one at a time. The fast way through a packet is step_fast(): header by a
 * form, the rest by a program; all else walks the nodes. */
#include "reader/dat-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct stream *stream_new(struct cairn_reader *r)
{
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->r = r;
	s->fd = -1;
	s->queue_tail = &s->queue;
	s->info.cpu = -1;
	s->info.instance_id = UINT64_MAX;
	s->info.path = "-";
	s->ev.stream = &s->info;
	s->last_ns = INT64_MIN;
	s->packet_begin_ns = s->packet_end_ns = INT64_MIN;
	return s;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	stream_close(s);
	dat_stream_free(s->dat);
	while (s->queue) {
		struct packet *next = s->queue->next;

		free(s->queue);
		s->queue = next;
	}
	for (size_t i = 0; i < s->nfiles; i++)
		free(s->files[i].path);
	free(s->files);
	free(s->window);
	free(s->slots);
	ctfr_values_done(&s->fields_mem);
	ctfr_values_done(&s->contexts_mem);
	ctfr_values_done(&s->packet_mem);
	free(s);
}

/* ---- events ---- */

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v; /* little endian machines only */
}

/* A time of n bits is that next after the last one. */
static inline void update_clock(struct stream *s, uint64_t v, uint64_t mask)
{
	uint64_t next = (s->clock & ~mask) | v;

	if (mask != UINT64_MAX && next < s->clock)
		next += mask + 1;
	s->clock = next;
}

static inline void set_event(struct stream *s, const struct ctfr_event *cls, uint64_t begin,
	uint64_t end, uint64_t context_at)
{
	s->event_cls = cls;
	s->context_at = context_at;
	s->c.pos = end;
	s->fields_done = s->contexts_done = false;
	s->ev.cls = &cls->pub;
	s->ev.cycles = s->clock;
	s->ev.flags = 0;
	s->ev.bytes = (uint32_t)((end - begin + 7) / 8);
	s->ev.time_ns = clock_epoch_ns(s->cls->clock, s->clock);
}

/* Where a fast step ends. */
struct step {
	const struct ctfr_event *e;
	const struct ctfr_header_form *form;
	const uint8_t *begin, *end; /* with its header */
};

/* The event at the cursor, whole in the window and of the usual kind; false: take the slow way. */
__attribute__((always_inline)) static inline bool step_fast(
	const struct stream *s, struct step *ret)
{
	const struct ctfr_stream *cls = s->cls;
	const struct ctfr_header_form *f = cls->forms, *last = cls->forms + cls->nforms;
	const struct ctfr_event *e;
	const uint8_t *p, *q, *end = s->c.buf + s->c.end / 8;
	uint64_t at, tag, id;

	if (cls->nforms == 0 || s->c.pos % 8 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__)
		return false;
	at = (s->c.pos / 8 + cls->header_align - 1) & ~(uint64_t)(cls->header_align - 1);
	p = s->c.buf + at;
	if (p >= end)
		return false;
	tag = load64(p) & cls->tag_mask;
	while (tag < f->first || tag > f->last)
		if (++f == last)
			return false;
	if (end - p < f->bytes)
		return false;
	id = (load64(p + f->id_byte) >> f->id_shift) & f->id_mask;
	if (id >= cls->by_id_cap || !(e = cls->by_id[id]))
		return false;
	q = p + f->bytes;
	if (e->fixed_bytes >= 0) {
		if (end - q < e->fixed_bytes)
			return false;
		q += e->fixed_bytes;
	} else {
		q = e->program ? ctfr_run(e->program, s->c.buf, q, end) : NULL;
		if (!q)
			return false;
	}
	*ret = (struct step){e, f, p, q};
	return true;
}

static inline void take_time(struct stream *s, const struct step *st)
{
	const struct ctfr_header_form *f = st->form;

	if (f->time_bits)
		update_clock(s, (load64(st->begin + f->time_byte) >> f->time_shift) & f->time_mask,
			f->time_mask);
}

__attribute__((always_inline)) static inline bool event_fast(struct stream *s)
{
	struct step st;
	uint64_t at;

	if (!step_fast(s, &st))
		return false;
	take_time(s, &st);
	at = (uint64_t)(st.begin - s->c.buf);
	set_event(s, st.e, at * 8, (uint64_t)(st.end - s->c.buf) * 8, (at + st.form->bytes) * 8);
	return true;
}

/* Goes over events that nobody asked for, up to one that says who is who, or that needs the slow
 * way. */
static void skim(struct stream *s)
{
	struct step st;

	while (step_fast(s, &st) && !st.e->says_who) {
		take_time(s, &st);
		s->c.pos = (uint64_t)(st.end - s->c.buf) * 8;
	}
}

static int walk_event(struct stream *s, const struct ctfr_event **ret)
{
	struct ctfr_cursor *c = &s->c;
	const struct ctfr_event *e;
	int r = 0;

	c->roles_seen = 0;
	if (s->cls->header)
		r = ctfr_skip(c, s->cls->header);
	if (r < 0)
		return r;
	s->context_at = c->pos;
	if (c->roles_seen & 1u << CTFR_ROLE_EVENT_ID)
		e = ctfr_stream_event(s->cls, s->roles[CTFR_ROLE_EVENT_ID]);
	else
		e = s->cls->only ? s->cls->only : ctfr_stream_event(s->cls, 0);
	if (!e) {
		c->why = "the metadata does not describe an event of this id";
		return -CTFR_BAD;
	}
	if (s->cls->context)
		r = ctfr_skip(c, s->cls->context);
	if (r == 0 && e->context)
		r = ctfr_skip(c, e->context);
	if (r == 0 && e->fields)
		r = ctfr_skip(c, e->fields);
	*ret = e;
	return r;
}

/* The slow way. 1: an event, 0: the packet has no more (perhaps a notice), or -Exxx. */
static int event_slow(struct stream *s)
{
	const struct ctfr_event *e = NULL;
	uint64_t begin = s->c.pos;
	int r, more;

	for (;;) {
		if (s->c.base + s->c.pos >= s->content_bits)
			return 0;
		r = walk_event(s, &e);
		if (r != -CTFR_SHORT)
			break;
		s->c.pos = begin;
		more = stream_refill(s, begin);
		if (more < 0)
			return more;
		if (more == 0)
			break;
		begin = s->c.pos;
	}
	if (r == 0 && s->c.pos == begin) {
		s->c.why = "an event without a size";
		r = -CTFR_BAD;
	}
	if (r == 0) {
		s->ev.flags = 0;
		if (s->c.roles_seen & 1u << CTFR_ROLE_TIME)
			update_clock(s, s->roles[CTFR_ROLE_TIME],
				s->c.time_bits >= 64 ? UINT64_MAX : (1ull << s->c.time_bits) - 1);
		set_event(s, e, begin, s->c.pos, s->context_at);
		if (!(s->c.roles_seen & 1u << CTFR_ROLE_TIME))
			s->ev.flags |= CAIRN_EVENT_NO_TIME;
		return 1;
	}
	s->c.pos = begin;
	if (r == -CTFR_SHORT && s->cut)
		return 0; /* a notice comes at the packet's end */
	stream_notice(s, CAIRN_NOTICE_DAMAGED, s->packet_at + (s->c.base + begin) / 8,
		"an event is damaged, the rest of its packet is not read: %s",
		r == -CTFR_SHORT ? "it is longer than the packet" : s->c.why);
	s->notice.skipped = (s->content_bits - s->c.base - begin + 7) / 8;
	return 0;
}

/* ---- items ---- */

static void end_packet(struct stream *s)
{
	s->in_packet = false;
	s->sound_end = s->packet_at + (MIN(s->c.base + s->c.pos, s->content_bits) + 7) / 8;
	if (s->packet_end_ns != INT64_MIN && s->packet_end_ns > s->last_ns && !s->cut)
		s->last_ns = s->packet_end_ns;
	if (s->cut)
		stream_notice(s, CAIRN_NOTICE_CUT, s->packet_at,
			"the last packet is cut off: it has %" PRIu64 " of %" PRIu64 " bytes",
			s->queue ? s->queue->bytes : s->file_size - s->packet_at, s->packet_bytes);
}

static inline void give(struct stream *s, enum cairn_item_kind kind)
{
	s->kind = kind;
	s->state = STREAM_ITEM;
	if (kind == CAIRN_ITEM_EVENT)
		s->key = s->ev.time_ns;
	else if (s->last_ns != INT64_MIN)
		s->key = s->last_ns;
}

/* Whether the event is in the asked range, or says who is who in it; beyond the range's end the
 * stream ends. */
static inline bool wanted(struct stream *s)
{
	if (s->ev.time_ns >= s->r->end_ns) {
		s->in_packet = false;
		s->ended = true;
		stream_close(s);
		return false;
	}
	return s->ev.time_ns >= s->r->begin_ns || (s->r->keep_state && s->event_cls->says_who);
}

bool stream_next_event(struct stream *s)
{
	if (s->dat)
		return dat_next_event(s);
	while (event_fast(s)) {
		if (s->ev.time_ns > s->last_ns)
			s->last_ns = s->ev.time_ns;
		if (wanted(s)) {
			s->info.events++;
			give(s, CAIRN_ITEM_EVENT);
			return true;
		}
		if (!s->in_packet)
			break;
	}
	return false;
}

int stream_advance(struct stream *s)
{
	if (s->dat)
		return dat_advance(s);
	s->state = STREAM_ITEM;
	s->calm = false;
	for (;;) {
		int r;

		if (s->has_notice) {
			s->has_notice = false;
			give(s, CAIRN_ITEM_NOTICE);
			return 0;
		}
		if (s->loss < s->nlosses) {
			s->loss++;
			if (s->last_ns < s->r->begin_ns || s->last_ns >= s->r->end_ns)
				continue;
			give(s, CAIRN_ITEM_LOSS);
			return 0;
		}
		if (!s->in_packet) {
			if (s->ended) {
				s->state = STREAM_END;
				return 0;
			}
			r = stream_next_packet(s);
			if (r < 0 || s->state == STREAM_WAIT)
				return r;
			continue;
		}
		if (s->skim)
			skim(s);
		if (!event_fast(s)) {
			r = event_slow(s);
			if (r < 0)
				return r;
			if (r == 0) {
				if (s->has_notice)
					s->cut = false; /* one notice is enough */
				end_packet(s);
				continue;
			}
		}
		if (s->ev.time_ns > s->last_ns)
			s->last_ns = s->ev.time_ns;
		if (wanted(s)) {
			s->info.events++;
			s->calm = !s->skim;
			give(s, CAIRN_ITEM_EVENT);
			return 0;
		}
	}
}
