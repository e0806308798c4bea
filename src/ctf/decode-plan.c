/* From declared types to nodes: one node for each place where a type is used. Byte order, tags and
 * lengths are settled here, so that decoding looks nothing up by name.
 */
#include "ctf/decode-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static int no_memory(struct planner *p)
{
	return error_set(p->err, -ENOMEM, "no memory for the metadata");
}

/* ---- building ---- */

static int build(
	struct planner *p, const struct ctfr_type *t, const char *name, struct ctfr_node **ret);

static int build_kids(struct planner *p, const struct ctfr_type *t, struct ctfr_node *n)
{
	n->kids = arena_alloc(&p->m->arena, (t->nmembers + 1) * sizeof(struct ctfr_node *));
	if (!n->kids)
		return no_memory(p);
	n->pub.members = (const struct cairn_type *const *)(const void *)n->kids;
	p->frames[p->depth++] = n;
	for (size_t i = 0; i < t->nmembers; i++) {
		int r = build(p, t->members[i].type, t->members[i].name, &n->kids[i]);

		if (r < 0)
			return r;
		n->nkids++;
	}
	p->depth--;
	n->pub.nmembers = n->nkids;
	return 0;
}

static int build_element(struct planner *p, const struct ctfr_type *t, struct ctfr_node *n)
{
	bool is_optional = t->kind == CAIRN_TYPE_OPTIONAL;
	int r;

	n->kids = arena_alloc(&p->m->arena, sizeof(struct ctfr_node *));
	if (!n->kids)
		return no_memory(p);
	if (p->depth >= CTFR_MAX_DEPTH)
		return error_set(
			p->err, -EINVAL, "types are nested deeper than %d", CTFR_MAX_DEPTH);
	p->frames[p->depth++] = n; /* counts the depth; no field is found in it */
	r = build(p, t->of, is_optional ? n->raw_name : NULL, &n->kids[0]);
	p->depth--;
	if (r < 0)
		return r;
	n->nkids = 1;
	n->pub.nmembers = 1;
	n->pub.members = (const struct cairn_type *const *)(const void *)n->kids;
	if (is_optional)
		return 0;
	n->align = MAX(n->align, n->kids[0]->align);
	if (n->kids[0]->pub.kind == CAIRN_TYPE_INT && n->kids[0]->bits == 8 &&
		n->kids[0]->align == 8) {
		n->pub.is_text = n->kids[0]->pub.is_text;
		n->bytes_form = n->pub.is_text					   ? 1
			: n->kids[0]->pub.base == 16 && !n->kids[0]->pub.is_signed ? 2
										   : 0;
	}
	return 0;
}

static void add_option(struct ctfr_node *n, const struct cairn_label *l)
{
	const struct ctfr_node *kid =
		n->pub.kind == CAIRN_TYPE_OPTIONAL ? n->kids[0] : plan_kid(n, l->name);

	for (uint32_t k = 0; kid && k < n->nkids; k++) {
		if (n->kids[k] != kid)
			continue;
		n->options[n->noptions++] = (struct ctfr_option){l->first, l->last, k};
		break;
	}
}

/* Which values of the tag select which option; of an optional field: which say that it is there. */
static int build_options(struct planner *p, const struct ctfr_path *path,
	const struct ctfr_node *tag, struct ctfr_node *n)
{
	static const struct cairn_label all_but_0 = {.name = "", .first = 1, .last = -1};
	const struct cairn_label *labels = n->type->own_ranges ? n->type->labels : tag->pub.labels;
	size_t nlabels = n->type->own_ranges ? n->type->nlabels : tag->pub.nlabels;

	n->tag_unsigned = !tag->pub.is_signed;
	if (n->pub.kind == CAIRN_TYPE_OPTIONAL && !n->type->own_ranges) {
		if (tag->pub.is_signed)
			return plan_bad_path(p, path, "is no boolean, so ranges must be given");
		labels = &all_but_0;
		nlabels = 1;
	} else if (tag->pub.kind != CAIRN_TYPE_ENUM && !n->type->own_ranges) {
		return plan_bad_path(p, path, "is a tag, so it must be an enum");
	}
	n->options = arena_alloc(&p->m->arena, (nlabels + 1) * sizeof(*n->options));
	if (!n->options)
		return no_memory(p);
	p->m->nnodes += (uint32_t)nlabels;
	if (p->m->nnodes > CTFR_MAX_NODES)
		return plan_bad_path(p, path, "has too many labels");
	for (size_t i = 0; i < nlabels; i++)
		add_option(n, &labels[i]);
	return 0;
}

static int build_compound(struct planner *p, const struct ctfr_type *t, struct ctfr_node *n)
{
	struct ctfr_node *target = NULL;
	int r;

	if (t->kind == CAIRN_TYPE_VARIANT && !t->path) {
		error_set(p->err, -EINVAL, "variant '%.80s' has no tag",
			n->raw_name ? n->raw_name : "");
		error_where(p->err, "%s", p->m->name);
		return -EINVAL;
	}
	if (t->path) {
		r = plan_resolve(p, t->path, &n->ref, &target);
		if (r < 0)
			return r;
	}
	if (t->kind == CAIRN_TYPE_STRUCT || t->kind == CAIRN_TYPE_VARIANT) {
		r = build_kids(p, t, n);
	} else {
		n->pub.length = t->length;
		r = build_element(p, t, n);
	}
	if (r < 0 || (t->kind != CAIRN_TYPE_VARIANT && t->kind != CAIRN_TYPE_OPTIONAL))
		return r;
	return target ? build_options(p, t->path, target, n)
		      : plan_bad_path(p, t->path, "is no enum");
}

static int64_t fixed_struct(const struct ctfr_node *n)
{
	int64_t off = 0;

	for (uint32_t i = 0; i < n->nkids; i++) {
		const struct ctfr_node *k = n->kids[i];

		if (k->fixed_bits < 0)
			return -1;
		off = (int64_t)(((uint64_t)off + k->align - 1) & ~(k->align - 1)) + k->fixed_bits;
	}
	return off;
}

/* Size from a byte-aligned begin, if it is always the same; kept below 2^40 bits. */
static int64_t fixed_size(const struct ctfr_node *n)
{
	int64_t size = -1;

	if (n->align > 8)
		return -1;
	switch (n->pub.kind) {
	case CAIRN_TYPE_INT:
	case CAIRN_TYPE_ENUM:
	case CAIRN_TYPE_FLOAT: size = n->varlen ? -1 : (int64_t)n->bits; break;
	case CAIRN_TYPE_STRUCT: size = fixed_struct(n); break;
	case CAIRN_TYPE_ARRAY:
		size = n->kids[0]->fixed_bits;
		if (size >= 0 && n->pub.length) {
			uint64_t align = n->kids[0]->align;
			uint64_t step = ((uint64_t)size + align - 1) & ~(align - 1);

			size = n->pub.length >= (1ull << 32) || step >= (1ull << 32)
				? -1
				: (int64_t)((n->pub.length - 1) * step) + size;
		} else if (size >= 0) {
			size = 0;
		}
		break;
	default: break;
	}
	return size >= (1ll << 40) ? -1 : size;
}

static int build(
	struct planner *p, const struct ctfr_type *t, const char *name, struct ctfr_node **ret)
{
	struct ctfr_node *n = arena_alloc(&p->m->arena, sizeof(*n));
	bool big = t->order == CTFR_BE || (t->order == CTFR_NATIVE && p->m->order == CTFR_BE);
	int r = 0;

	if (!n)
		return no_memory(p);
	if (++p->m->nnodes > CTFR_MAX_NODES)
		return error_set(p->err, -EINVAL, "the metadata describes more than %u fields",
			CTFR_MAX_NODES);
	if (p->depth >= CTFR_MAX_DEPTH)
		return error_set(
			p->err, -EINVAL, "types are nested deeper than %d", CTFR_MAX_DEPTH);
	*n = (struct ctfr_node){.raw_name = name,
		.align = t->align,
		.bits = t->bits,
		.be = big,
		.slot = -1,
		.ref = -1,
		.role = t->role,
		.type = t};
	n->pub = (struct cairn_type){.kind = t->kind,
		.name = name && !p->m->is_json ? ctfr_shown(name) : name,
		.bits = t->bits,
		.base = t->base,
		.is_signed = t->is_signed,
		.is_text = t->is_text,
		.labels = t->labels,
		.nlabels = t->nlabels};
	n->varlen = t->is_varlen;
	n->simple = (t->kind == CAIRN_TYPE_INT || t->kind == CAIRN_TYPE_ENUM) && t->align >= 8 &&
		!n->varlen && (t->bits == 8 || t->bits == 16 || t->bits == 32 || t->bits == 64);
	if (p->depth == 0)
		p->roots[p->current] = n;
	if (t->kind >= CAIRN_TYPE_STRUCT)
		r = build_compound(p, t, n);
	n->fixed_bits = fixed_size(n);
	*ret = n;
	return r;
}

static int build_root(
	struct planner *p, enum root root, const struct ctfr_type *t, struct ctfr_node **ret)
{
	p->current = root;
	p->depth = 0;
	*ret = NULL;
	return t ? build(p, t, NULL, ret) : 0;
}

/* ---- roles ---- */

static const struct {
	const char *name;
	enum ctfr_role role;
} header_roles[] =
	{
		{"magic", CTFR_ROLE_MAGIC},
		{"uuid", CTFR_ROLE_UUID},
		{"stream_id", CTFR_ROLE_STREAM_ID},
		{"stream_instance_id", CTFR_ROLE_INSTANCE_ID},
},
  context_roles[] = {
	  {"packet_size", CTFR_ROLE_PACKET_SIZE},
	  {"content_size", CTFR_ROLE_CONTENT_SIZE},
	  {"timestamp_begin", CTFR_ROLE_TIME_BEGIN},
	  {"timestamp_end", CTFR_ROLE_TIME_END},
	  {"events_discarded", CTFR_ROLE_DISCARDED},
	  {"packet_seq_num", CTFR_ROLE_SEQ_NUM},
	  {"cpu_id", CTFR_ROLE_CPU},
};

static bool is_scalar(const struct ctfr_node *n)
{
	return n->pub.kind == CAIRN_TYPE_INT || n->pub.kind == CAIRN_TYPE_ENUM;
}

static struct ctfr_clock *clock_called(const struct ctfr_meta *m, const char *name)
{
	for (size_t i = 0; i < m->nclocks; i++)
		if (strcmp(m->clocks[i]->pub.name, name) == 0)
			return m->clocks[i];
	return NULL;
}

static void mark_context(const struct ctfr_meta *m, struct ctfr_stream *s)
{
	for (uint32_t i = 0; s->packet_context && i < s->packet_context->nkids; i++) {
		struct ctfr_node *k = s->packet_context->kids[i];

		for (size_t j = 0; is_scalar(k) && j < ARRAY_SIZE(context_roles); j++)
			if (strcmp(k->raw_name, context_roles[j].name) == 0 &&
				(!m->is_json || context_roles[j].role == CTFR_ROLE_CPU))
				k->role = context_roles[j].role;
		if (k->role == CTFR_ROLE_TIME_BEGIN && k->type->clock)
			s->clock = clock_called(m, k->type->clock);
	}
}

/* Fields of an event's header, at any depth: "id", and those mapped to a clock or, failing that,
 * called "timestamp". */
static void mark_header(
	const struct ctfr_meta *m, struct ctfr_stream *s, struct ctfr_node *n, bool by_name)
{
	for (uint32_t i = 0; i < n->nkids; i++) {
		struct ctfr_node *k = n->kids[i];

		if (!is_scalar(k)) {
			if (k->pub.kind == CAIRN_TYPE_STRUCT || k->pub.kind == CAIRN_TYPE_VARIANT)
				mark_header(m, s, k, by_name);
			continue;
		}
		const char *clock = k->pub.kind == CAIRN_TYPE_INT ? k->type->clock : NULL;

		if (m->is_json) {
			if (k->role == CTFR_ROLE_EVENT_ID)
				s->id_bits = MAX(s->id_bits, k->bits);
		} else if (strcmp(k->raw_name, "id") == 0) {
			k->role = CTFR_ROLE_EVENT_ID;
			s->id_bits = MAX(s->id_bits, k->bits);
		} else if (clock) {
			k->role = CTFR_ROLE_TIME;
			s->clock = clock_called(m, clock);
		} else if (by_name && strcmp(k->raw_name, "timestamp") == 0) {
			k->role = CTFR_ROLE_TIME;
		}
	}
}

static bool has_mapped(const struct ctfr_node *n)
{
	if (n->pub.kind == CAIRN_TYPE_INT && n->type->clock)
		return true;
	for (uint32_t i = 0; i < n->nkids; i++)
		if (has_mapped(n->kids[i]))
			return true;
	return false;
}

/* The clock of a trace that describes none: nanoseconds since 1970. */
static struct ctfr_clock *default_clock(struct ctfr_meta *m)
{
	struct ctfr_clock *k;

	if (m->nclocks)
		return m->clocks[0];
	if (m->unnamed)
		return m->unnamed;
	k = arena_alloc(&m->arena, sizeof(*k));
	if (!k)
		return NULL;
	k->pub = (struct cairn_clock_info){
		.name = "", .description = "", .uuid = "", .freq = 1000000000};
	ctfr_clock_prepare(k);
	m->unnamed = k;
	return k;
}

/* ---- the three kinds of plans ---- */

int ctfr_plan_trace(struct ctfr_meta *m, struct error *err)
{
	struct planner p = {.m = m, .err = err};
	int r;

	if (m->packet_header || !m->packet_header_type)
		return 0;
	r = build_root(&p, ROOT_PACKET_HEADER, m->packet_header_type, &m->packet_header);
	if (m->is_json)
		return r;
	for (uint32_t i = 0; r == 0 && i < m->packet_header->nkids; i++) {
		struct ctfr_node *k = m->packet_header->kids[i];
		bool uuid = strcmp(k->raw_name, "uuid") == 0;

		if (uuid &&
			(k->pub.kind != CAIRN_TYPE_ARRAY || k->pub.length != 16 ||
				k->kids[0]->bits != 8))
			continue;
		for (size_t j = 0; (uuid || is_scalar(k)) && j < ARRAY_SIZE(header_roles); j++)
			if (strcmp(k->raw_name, header_roles[j].name) == 0)
				k->role = header_roles[j].role;
	}
	return r;
}

int ctfr_plan_stream(struct ctfr_meta *m, struct ctfr_stream *s, struct error *err)
{
	struct planner p = {.m = m, .err = err};
	int r;

	p.roots[ROOT_PACKET_HEADER] = m->packet_header;
	r = build_root(&p, ROOT_PACKET_CONTEXT, s->packet_context_type, &s->packet_context);
	if (r == 0)
		r = build_root(&p, ROOT_EVENT_HEADER, s->header_type, &s->header);
	if (r == 0)
		r = build_root(&p, ROOT_STREAM_CONTEXT, s->context_type, &s->context);
	if (r < 0)
		return r;
	mark_context(m, s);
	if (s->header)
		mark_header(m, s, s->header, !has_mapped(s->header));
	if (!s->clock)
		s->clock = default_clock(m);
	if (!s->clock)
		return no_memory(&p);
	ctfr_program_header(s);
	s->planned = true;
	return 0;
}

int ctfr_plan_event(struct ctfr_meta *m, struct ctfr_event *e, struct error *err)
{
	struct ctfr_stream *s = e->stream;
	struct planner p = {.m = m, .err = err};
	int r;

	p.roots[ROOT_PACKET_HEADER] = m->packet_header;
	p.roots[ROOT_PACKET_CONTEXT] = s->packet_context;
	p.roots[ROOT_EVENT_HEADER] = s->header;
	p.roots[ROOT_STREAM_CONTEXT] = s->context;
	if (ctfr_stream_event(s, e->pub.id)) {
		error_set(err, -EINVAL, "two events of stream %" PRIu64 " have the id %" PRIu64,
			s->id, e->pub.id);
		error_where(err, "%s", m->name);
		return -EINVAL;
	}
	r = build_root(&p, ROOT_EVENT_CONTEXT, e->context_type, &e->context);
	if (r == 0)
		r = build_root(&p, ROOT_FIELDS, e->fields_type, &e->fields);
	if (r < 0)
		return r;
	e->pub.trace = &m->pub;
	e->pub.fields = e->fields ? &e->fields->pub : NULL;
	e->pub.context = e->context ? &e->context->pub : NULL;
	e->pub.stream_context = s->context ? &s->context->pub : NULL;
	if (s->context && (e->context || e->fields))
		s->context_has_slots = ctfr_has_slots(s->context);
	if (m->class_counter)
		e->pub.index = (*m->class_counter)++;
	if (ctfr_program_event(m, e) < 0 || ctfr_class_add(m, e) < 0)
		return no_memory(&p);
	return 0;
}
