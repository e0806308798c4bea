/* Programs: how to step over events of a class without walking their nodes.
 *
 * A header has forms (struct ctfr_header_form) if it is a flat struct of integers, or a tag and a
 * variant of such structs, all in fixed places, little endian and read by nobody else. An event
 * has a program if everything after its header is made of byte-aligned integers and floats,
 * strings, and arrays and sequences of fixed-size elements whose lengths are in the same event.
 * All other events are walked (decode.c): slower, never wrong.
 */
#include "ctf/ctf-read.h"

#include <errno.h>
#include <string.h>

/* ---- header forms ---- */

static uint64_t align_up(uint64_t v, uint64_t align)
{
	return (v + align - 1) & ~(align - 1);
}

/* Where to load the 8 bytes that hold bits at..at+bits; false if they do not fit. */
static bool place(uint64_t at, uint32_t bits, uint16_t *ret_byte, uint8_t *ret_shift)
{
	*ret_byte = (uint16_t)(at / 8);
	*ret_shift = (uint8_t)(at % 8);
	return at / 8 < 256 && *ret_shift + bits <= 64;
}

/* Adds the integers of a struct, that begins at *at, to a form. */
static bool add_fields(
	struct ctfr_header_form *f, const struct ctfr_node *n, uint64_t max_align, uint64_t *at)
{
	*at = align_up(*at, n->align);
	if (n->align > max_align)
		return false;
	for (uint32_t i = 0; i < n->nkids; i++) {
		const struct ctfr_node *k = n->kids[i];

		if (k->pub.kind == CAIRN_TYPE_VARIANT)
			return i + 1 == n->nkids; /* the caller goes on with it */
		if ((k->pub.kind != CAIRN_TYPE_INT && k->pub.kind != CAIRN_TYPE_ENUM) || k->be ||
			k->varlen || k->align > max_align)
			return false;
		*at = align_up(*at, k->align);
		if (k->role == CTFR_ROLE_EVENT_ID) {
			f->id_bits = (uint8_t)k->bits;
			if (!place(*at, k->bits, &f->id_byte, &f->id_shift))
				return false;
		} else if (k->role == CTFR_ROLE_TIME) {
			f->time_bits = (uint8_t)k->bits;
			if (!place(*at, k->bits, &f->time_byte, &f->time_shift))
				return false;
		}
		*at += k->bits;
	}
	return true;
}

static bool finish_form(struct ctfr_header_form *f, uint64_t at)
{
	f->bytes = (uint16_t)(at / 8);
	f->id_mask = f->id_bits ? ~0ull >> (64 - f->id_bits) : 0;
	f->time_mask = f->time_bits ? ~0ull >> (64 - f->time_bits) : 0;
	return at % 8 == 0 && at / 8 < 256 && at > 0;
}

void ctfr_program_header(struct ctfr_stream *s)
{
	const struct ctfr_node *h = s->header, *v, *tag;
	struct ctfr_header_form base = {0};
	uint64_t at = 0, max_align;

	s->nforms = 0;
	if (!h || h->nkids == 0 || h->align > 512)
		return;
	max_align = MAX(h->align, 8u);
	s->header_align = (uint32_t)(max_align / 8);
	if (h->align % 8) /* may begin anywhere; it does not if it never leaves a byte open */
		s->header_align = 1;
	if (!add_fields(&base, h, max_align, &at))
		return;
	v = h->kids[h->nkids - 1];
	if (v->pub.kind != CAIRN_TYPE_VARIANT) {
		base.last = UINT64_MAX;
		s->tag_mask = 0;
		if (finish_form(&base, at))
			s->forms[s->nforms++] = base;
		return;
	}
	tag = h->kids[0];
	if (tag->slot < 0 || tag->slot != v->ref || tag->pub.is_signed || tag->bits > 32 ||
		tag->pub.kind != CAIRN_TYPE_ENUM || v->noptions > CTFR_HEADER_FORMS)
		return;
	s->tag_mask = (1ull << tag->bits) - 1;
	for (uint32_t i = 0; i < v->noptions; i++) {
		struct ctfr_header_form f = base;
		const struct ctfr_node *k = v->kids[v->options[i].kid];
		uint64_t end = at;

		f.first = (uint64_t)v->options[i].first;
		f.last = (uint64_t)v->options[i].last;
		if (k->pub.kind != CAIRN_TYPE_STRUCT ||
			(k->nkids && k->kids[k->nkids - 1]->pub.kind == CAIRN_TYPE_VARIANT) ||
			!add_fields(&f, k, max_align, &end) || !finish_form(&f, end)) {
			s->nforms = 0;
			return;
		}
		s->forms[s->nforms++] = f;
	}
}

/* ---- event programs ---- */

#define MAX_OPS 64

struct emitter {
	struct ctfr_op ops[MAX_OPS];
	uint32_t nops;
	uint64_t bits; /* not yet emitted */
	bool failed;
	int32_t slots[CTFR_REGS]; /* slot in each register */
	uint32_t nslots;
	struct ctfr_op nowhere; /* what is emitted when there is no room */
};

static struct ctfr_op *op(struct emitter *e, enum ctfr_opcode code)
{
	if (e->nops >= MAX_OPS - 1) {
		e->failed = true;
		return &e->nowhere;
	}
	e->ops[e->nops] = (struct ctfr_op){.op = (uint8_t)code};
	return &e->ops[e->nops++];
}

static void flush(struct emitter *e)
{
	if (e->bits % 8 || e->bits / 8 > UINT32_MAX)
		e->failed = true;
	if (e->bits && !e->failed)
		op(e, CTFR_OP_FIX)->n = (uint32_t)(e->bits / 8);
	e->bits = 0;
}

static void align(struct emitter *e, uint64_t bits)
{
	if (bits <= 8) {
		e->bits = align_up(e->bits, bits);
	} else if (bits <= 512) {
		e->bits = align_up(e->bits, 8);
		flush(e);
		op(e, CTFR_OP_ALIGN)->n = (uint32_t)(bits / 8);
	} else {
		e->failed = true;
	}
}

static void emit(struct emitter *e, const struct ctfr_node *n);

static void emit_scalar(struct emitter *e, const struct ctfr_node *n)
{
	if (n->varlen) {
		e->failed = true;
		return;
	}
	if (n->slot >= 0) {
		struct ctfr_op *o;

		if (!n->simple || n->pub.is_signed || e->nslots == CTFR_REGS) {
			e->failed = true;
			return;
		}
		flush(e);
		o = op(e, CTFR_OP_LOAD);
		o->reg = (uint8_t)e->nslots;
		o->size = (uint8_t)(n->bits / 8);
		o->be = n->be;
		e->slots[e->nslots++] = n->slot;
	}
	e->bits += n->bits;
	if (e->bits > 1ull << 34)
		e->failed = true;
}

static void emit_sequence(struct emitter *e, const struct ctfr_node *n)
{
	const struct ctfr_node *k = n->kids[0];
	bool scalar = ctfr_is_fixed_scalar(k);
	int64_t size = scalar ? (int64_t)k->bits : k->fixed_bits;
	struct ctfr_op *o;

	for (uint32_t r = 0; r < e->nslots; r++) {
		if (e->slots[r] != n->ref)
			continue;
		if (size <= 0 || size % 8 || (uint64_t)size % k->align || size > (1 << 24))
			break;
		e->bits = align_up(e->bits, 8);
		flush(e);
		o = op(e, CTFR_OP_SEQ);
		o->reg = (uint8_t)r;
		o->n = (uint32_t)(size / 8);
		return;
	}
	e->failed = true; /* its length is elsewhere, or its elements vary */
}

static void emit_array(struct emitter *e, const struct ctfr_node *n)
{
	if (n->fixed_bits >= 0) {
		e->bits += (uint64_t)n->fixed_bits;
		if (e->bits > 1ull << 34)
			e->failed = true;
		return;
	}
	if (n->pub.length > 16)
		e->failed = true;
	for (uint64_t i = 0; i < n->pub.length && !e->failed; i++)
		emit(e, n->kids[0]);
}

static void emit(struct emitter *e, const struct ctfr_node *n)
{
	if (e->failed)
		return;
	align(e, n->align);
	switch (n->pub.kind) {
	case CAIRN_TYPE_INT:
	case CAIRN_TYPE_ENUM:
	case CAIRN_TYPE_FLOAT: emit_scalar(e, n); break;
	case CAIRN_TYPE_STRING:
		flush(e);
		op(e, CTFR_OP_STRING);
		break;
	case CAIRN_TYPE_STRUCT:
		for (uint32_t i = 0; i < n->nkids; i++)
			emit(e, n->kids[i]);
		break;
	case CAIRN_TYPE_ARRAY: emit_array(e, n); break;
	case CAIRN_TYPE_SEQUENCE: emit_sequence(e, n); break;
	default: e->failed = true;
	}
}

/* Where the usual contexts are, if that is fixed: for those who ask for nothing else. */
static void find_contexts(struct ctfr_stream *s)
{
	static const char *const tids[] = {"tid", "vtid"}, *const pids[] = {"pid", "vpid", "tgid"};
	uint64_t at = 0;

	s->tid_at = s->pid_at = -1;
	s->context_bytes = s->context ? -1 : 0;
	for (uint32_t i = 0; s->context && i < s->context->nkids; i++) {
		const struct ctfr_node *k = s->context->kids[i];

		if (k->fixed_bits < 0 || s->context->align > 8)
			return;
		at = align_up(at, k->align);
		for (size_t j = 0; k->simple && j < ARRAY_SIZE(tids); j++)
			if (strcmp(k->pub.name, tids[j]) == 0 && s->tid_at < 0) {
				s->tid_at = (int32_t)(at / 8);
				s->tid = k;
			}
		for (size_t j = 0; k->simple && j < ARRAY_SIZE(pids); j++)
			if (strcmp(k->pub.name, pids[j]) == 0 && s->pid_at < 0) {
				s->pid_at = (int32_t)(at / 8);
				s->pid = k;
			}
		at += (uint64_t)k->fixed_bits;
		if (at > 1u << 24)
			return;
	}
	if (at % 8 == 0)
		s->context_bytes = (int64_t)(at / 8);
}

static bool is_flat(const struct ctfr_event *event)
{
	const struct ctfr_node *f = event->fields;

	if (event->fixed_bytes < 0 || !f || f->pub.kind != CAIRN_TYPE_STRUCT || !f->nkids ||
		event->context || event->stream->context_bytes < 0 || f->align > 8)
		return false;
	for (uint32_t i = 0; i < f->nkids; i++)
		if (!f->kids[i]->simple || f->kids[i]->be || f->kids[i]->slot >= 0 ||
			f->kids[i]->pub.kind > CAIRN_TYPE_ENUM)
			return false;
	return true;
}

/* Values of a flat event, without their numbers. */
static int make_flat(struct ctfr_meta *m, struct ctfr_event *event)
{
	const struct ctfr_node *f = event->fields;

	if (!is_flat(event))
		return 0;
	event->flat = arena_alloc(&m->arena, f->nkids * sizeof(event->flat[0]));
	if (!event->flat)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->nkids; i++) {
		const struct cairn_type *t = &f->kids[i]->pub;

		event->flat[i] = (struct cairn_value){.type = t,
			.name = t->name,
			.kind = t->is_signed ? CAIRN_VALUE_INT : CAIRN_VALUE_UINT};
	}
	return 0;
}

static bool is_row(const struct ctfr_event *event)
{
	const struct ctfr_node *f = event->fields;

	if (!f || event->context || event->stream->context_bytes < 0 || f->align > 8)
		return false;
	for (uint32_t i = 0; i < f->nkids; i++) {
		const struct ctfr_node *k = f->kids[i];

		if (k->align != 8 || (k->pub.kind != CAIRN_TYPE_STRING && !k->simple) || k->be)
			return false;
	}
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
}

int ctfr_program_event(struct ctfr_meta *m, struct ctfr_event *event)
{
	struct emitter e = {0};
	struct ctfr_op *program;

	if (event->stream->nevents == 0)
		find_contexts(event->stream);
	if (event->stream->context)
		emit(&e, event->stream->context);
	if (event->context)
		emit(&e, event->context);
	if (event->fields)
		emit(&e, event->fields);
	flush(&e);
	event->fixed_bytes = -1;
	event->in_row = is_row(event);
	if (e.failed)
		return 0;
	if (e.nops == 0)
		event->fixed_bytes = 0;
	else if (e.nops == 1 && e.ops[0].op == CTFR_OP_FIX)
		event->fixed_bytes = e.ops[0].n;
	e.ops[e.nops++] = (struct ctfr_op){.op = CTFR_OP_END};
	program = arena_alloc(&m->arena, e.nops * sizeof(*program));
	if (!program)
		return -ENOMEM;
	memcpy(program, e.ops, e.nops * sizeof(*program));
	event->program = program;
	return make_flat(m, event);
}
