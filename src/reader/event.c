/* What users ask of an event: its fields, contexts and packet, decoded when first asked for; and
 * the values themselves. */
#include "reader/bytes.h"
#include "reader/dat-impl.h"

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

static struct stream *stream_of(const struct cairn_event *ev)
{
	return (struct stream *)((char *)(uintptr_t)ev - offsetof(struct stream, ev));
}

int64_t cairn_event_clock_ns(const struct cairn_event *ev)
{
	const struct stream *s = stream_of(ev);

	if (s->dat)
		return ev->time_ns - s->dat->dat->file->add_ns;
	return ctfr_clock_ns(s->cls->clock, ev->cycles);
}

static struct ctfr_cursor cursor_at(const struct stream *s, uint64_t pos)
{
	struct ctfr_cursor c = s->c;

	c.pos = pos;
	c.roles = NULL;
	c.work = 0;
	c.max_work = 2 * (uint64_t)s->ev.bytes * 8 + 65536;
	return c;
}

/* Puts c before the payload. */
static int go_to_fields(const struct stream *s, struct ctfr_cursor *c)
{
	const struct ctfr_stream *cls = s->cls;
	const struct ctfr_event *e = s->event_cls;
	int r = 0;

	if (cls->context_bytes >= 0 && !e->context && !cls->context_has_slots && c->pos % 8 == 0) {
		c->pos += (uint64_t)cls->context_bytes * 8;
		return 0;
	}
	if (cls->context)
		r = ctfr_skip(c, cls->context);
	if (r == 0 && e->context)
		r = ctfr_skip(c, e->context);
	return r;
}

const uint8_t *reader_bytes(const struct cairn_event *ev, size_t *ret_n)
{
	const struct stream *s = stream_of(ev);

	if (s->dat || s->context_at % 8 || !s->context_at || s->context_at > s->c.pos)
		return NULL;
	*ret_n = (s->c.pos - s->context_at) / 8;
	return s->c.buf + s->context_at / 8;
}

/* The numbers of a flat event, which lies whole in the window. */
static const struct cairn_value *flat_values(const struct stream *s)
{
	const uint8_t *p = s->c.buf + s->context_at / 8 + s->cls->context_bytes;
	struct cairn_value *v = s->event_cls->flat;
	uint32_t n = s->event_cls->fields->nkids;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t bits = v[i].type->bits;
		uint64_t raw;

		memcpy(&raw, p, sizeof(raw)); /* behind the window's end there is room to read */
		raw = le64toh(raw);
		if (bits < 64)
			raw &= (UINT64_C(1) << bits) - 1;
		v[i].i = v[i].kind == CAIRN_VALUE_INT ? ctfr_sign_extend(raw, bits) : (int64_t)raw;
		p += bits / 8;
	}
	return v;
}

/* Fields without anything to look up: nothing to walk. */
static bool row_values(struct stream *s)
{
	const struct ctfr_event *e = s->event_cls;
	const uint8_t *begin = s->c.buf + s->context_at / 8 + s->cls->context_bytes;
	struct cairn_value *all;

	if (!e->in_row || s->context_at % 8)
		return false;
	all = ctfr_values_alloc(&s->fields_mem, MAX(e->fields->nkids, 1u));
	if (!all || !ctfr_values_row(&s->c, e->fields, begin, s->c.buf + s->c.pos / 8, all))
		return false;
	s->fields = all;
	s->nfields = e->fields->nkids;
	return true;
}

const struct cairn_value *cairn_event_fields(const struct cairn_event *ev, size_t *ret_n)
{
	struct stream *s = stream_of(ev);
	const struct ctfr_node *n;

	if (s->dat)
		return dat_fields(s, ret_n);
	n = s->event_cls->fields;
	if (s->event_cls->flat && s->context_at % 8 == 0) {
		*ret_n = n->nkids;
		return flat_values(s);
	}
	if (!s->fields_done) {
		struct ctfr_cursor c;
		struct cairn_value v;

		s->fields_done = true;
		s->fields = NULL;
		s->nfields = 0;
		ctfr_values_reset(&s->fields_mem);
		if (row_values(s)) {
			*ret_n = s->nfields;
			return s->fields;
		}
		c = cursor_at(s, s->context_at);
		if (n && go_to_fields(s, &c) == 0 && ctfr_value(&c, n, &s->fields_mem, &v) == 0) {
			s->fields = v.members;
			s->nfields = v.count;
		}
	}
	*ret_n = s->nfields;
	return s->fields;
}

/* The members of a struct, one after the other into out. */
static int members(struct ctfr_cursor *c, const struct ctfr_node *n, struct ctfr_values *mem,
	struct cairn_value *out)
{
	uint64_t at = (c->base + c->pos + n->align - 1) & ~(n->align - 1);
	int r = 0;

	c->pos = at - c->base;
	for (uint32_t i = 0; i < n->nkids && r == 0; i++)
		r = ctfr_value(c, n->kids[i], mem, &out[i]);
	return r;
}

const struct cairn_value *cairn_event_contexts(const struct cairn_event *ev, size_t *ret_n)
{
	struct stream *s = stream_of(ev);
	const struct ctfr_node *a, *b;

	if (s->dat)
		return dat_contexts(s, ret_n);
	a = s->cls->context;
	b = s->event_cls->context;
	if (!s->contexts_done) {
		struct ctfr_cursor c = cursor_at(s, s->context_at);
		uint32_t n = (a ? a->nkids : 0) + (b ? b->nkids : 0);
		struct cairn_value *all;

		s->contexts_done = true;
		s->contexts = NULL;
		s->ncontexts = 0;
		ctfr_values_reset(&s->contexts_mem);
		all = n ? ctfr_values_alloc(&s->contexts_mem, n) : NULL;
		if (all && (!a || members(&c, a, &s->contexts_mem, all) == 0) &&
			(!b || members(&c, b, &s->contexts_mem, all + (a ? a->nkids : 0)) == 0)) {
			s->contexts = all;
			s->ncontexts = n;
		}
	}
	*ret_n = s->ncontexts;
	return s->contexts;
}

/* The packet's head may have left the window: it was kept. */
static int packet_values(struct stream *s)
{
	const struct ctfr_node *n = s->cls->packet_context;
	struct ctfr_cursor c = {
		.buf = s->head, .end = s->head_bits, .slots = s->slots, .max_work = 65536};
	struct cairn_value *all = ctfr_values_alloc(&s->packet_mem, MAX(n->nkids, 1u));
	const struct ctfr_node *header = s->trace->meta.packet_header;

	if (!all)
		return -ENOMEM;
	s->packet = all;
	if (header && ctfr_skip(&c, header) < 0)
		return -EINVAL;
	return members(&c, n, &s->packet_mem, all);
}

const struct cairn_value *cairn_event_packet(const struct cairn_event *ev, size_t *ret_n)
{
	struct stream *s = stream_of(ev);
	const struct ctfr_node *n;

	if (s->dat) {
		*ret_n = 0;
		return NULL;
	}
	n = s->cls->packet_context;
	if (!s->packet_done) {
		s->packet_done = true;
		s->packet = NULL;
		s->npacket = 0;
		ctfr_values_reset(&s->packet_mem);
		if (n && packet_values(s) == 0)
			s->npacket = n->nkids;
	}
	*ret_n = s->npacket;
	return s->packet;
}

static const struct cairn_value *called(const struct cairn_value *v, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].name, name) == 0)
			return &v[i];
	return NULL;
}

const struct cairn_value *cairn_event_get(const struct cairn_event *ev, const char *name)
{
	const struct cairn_value *v, *all;
	size_t n;

	all = cairn_event_fields(ev, &n);
	v = called(all, n, name);
	if (v)
		return v;
	all = cairn_event_contexts(ev, &n);
	return called(all, n, name);
}

static const struct cairn_value *context_of(
	const struct cairn_event *ev, const char *const *names, size_t nnames)
{
	const struct stream *s = stream_of(ev);
	const struct cairn_value *all, *v = NULL;
	size_t n;

	if (!s->dat && !s->cls->context && !s->event_cls->context)
		return NULL;
	all = cairn_event_contexts(ev, &n);
	for (size_t i = 0; i < nnames && !v; i++)
		v = called(all, n, names[i]);
	return v;
}

static int64_t number(const struct cairn_value *v)
{
	return v && (v->kind == CAIRN_VALUE_INT || v->kind == CAIRN_VALUE_UINT) ? v->i : -1;
}

static inline int64_t fixed_number(const struct stream *s, int32_t at, const struct ctfr_node *n)
{
	uint64_t raw;

	if (n->bits == 32 && !n->be) { /* nearly always */
		uint32_t word;

		memcpy(&word, s->c.buf + s->context_at / 8 + at, sizeof(word));
		word = le32toh(word);
		return n->pub.is_signed ? (int64_t)(int32_t)word : (int64_t)word;
	}
	raw = ctfr_bits(s->c.buf, s->context_at + (uint64_t)at * 8, n->bits, n->be);

	return n->pub.is_signed ? ctfr_sign_extend(raw, n->bits) : (int64_t)raw;
}

int64_t cairn_event_tid(const struct cairn_event *ev)
{
	static const char *const names[] = {"tid", "vtid"};
	const struct stream *s = stream_of(ev);

	if (s->dat)
		return dat_tid(s);
	if (s->cls->tid_at >= 0 && s->context_at % 8 == 0)
		return fixed_number(s, s->cls->tid_at, s->cls->tid);
	return number(context_of(ev, names, ARRAY_SIZE(names)));
}

int64_t cairn_event_pid(const struct cairn_event *ev)
{
	static const char *const names[] = {"pid", "vpid", "tgid"};
	const struct stream *s = stream_of(ev);

	if (s->dat)
		return -1;
	if (s->cls->pid_at >= 0 && s->context_at % 8 == 0)
		return fixed_number(s, s->cls->pid_at, s->cls->pid);
	if (s->cls->context_bytes >= 0 && !s->event_cls->context)
		return -1;
	return number(context_of(ev, names, ARRAY_SIZE(names)));
}

const char *cairn_event_comm(const struct cairn_event *ev, size_t *ret_len)
{
	static const char *const names[] = {"comm", "procname"};
	const struct cairn_value *v;

	if (stream_of(ev)->dat)
		return dat_comm(stream_of(ev), ret_len);
	v = context_of(ev, names, ARRAY_SIZE(names));
	*ret_len = v && v->kind == CAIRN_VALUE_STRING ? v->count : 0;
	return v && v->kind == CAIRN_VALUE_STRING ? v->str : NULL;
}

/* ---- values ---- */

const char *cairn_value_label(const struct cairn_value *v)
{
	const struct cairn_type *t = v->type;

	if (t->kind != CAIRN_TYPE_ENUM)
		return NULL;
	for (size_t i = 0; i < t->nlabels; i++) {
		const struct cairn_label *l = &t->labels[i];
		bool in = t->is_signed ? v->i >= l->first && v->i <= l->last
				       : v->u >= (uint64_t)l->first && v->u <= (uint64_t)l->last;

		if (in)
			return l->name;
	}
	return NULL;
}

int cairn_value_element(const struct cairn_value *v, uint32_t i, struct cairn_value *ret)
{
	const struct ctfr_node *k;
	uint64_t step;

	if (v->kind != CAIRN_VALUE_ARRAY || i >= v->count)
		return -EINVAL;
	k = (const struct ctfr_node *)(const void *)v->type->members[0];
	if (!ctfr_is_fixed_scalar(k)) {
		*ret = ((const struct cairn_value *)v->elements)[i];
		return 0;
	}
	step = (k->bits + k->align - 1) & ~(k->align - 1);
	ctfr_scalar(v->elements, v->where + i * step, k, ret);
	return 0;
}

const struct cairn_value *cairn_value_member(const struct cairn_value *v, const char *name)
{
	if (v->kind == CAIRN_VALUE_VARIANT && v->count)
		v = &v->members[0];
	return v->kind == CAIRN_VALUE_STRUCT ? called(v->members, v->count, name) : NULL;
}
