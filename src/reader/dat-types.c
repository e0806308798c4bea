/* Formats of the kernel's events as event classes with typed fields. */
#include "reader/dat-impl.h"

#include <stdio.h>
#include <string.h>

static struct ctfr_node *node(struct dat *d, enum cairn_type_kind kind, const char *name)
{
	struct ctfr_node *n = arena_alloc(&d->arena, sizeof(*n));

	if (!n)
		return NULL;
	n->pub.kind = kind;
	n->pub.name = n->raw_name = name;
	n->align = 8;
	n->slot = n->ref = -1;
	n->fixed_bits = -1;
	return n;
}

static struct ctfr_node *integer(
	struct dat *d, const char *name, uint32_t bytes, bool is_signed, uint32_t base)
{
	struct ctfr_node *n = node(d, CAIRN_TYPE_INT, name);

	if (!n)
		return NULL;
	n->pub.bits = n->bits = bytes * 8;
	n->pub.base = base;
	n->pub.is_signed = is_signed;
	n->be = d->file->big_endian;
	n->fixed_bits = n->bits;
	return n;
}

/* A node that has others in it. */
static struct ctfr_node *holder(
	struct dat *d, enum cairn_type_kind kind, const char *name, size_t nkids)
{
	struct ctfr_node *n = node(d, kind, name);
	const struct cairn_type **members;

	if (!n)
		return NULL;
	n->kids = arena_alloc(&d->arena, (nkids + 1) * sizeof(n->kids[0]));
	members = arena_alloc(&d->arena, (nkids + 1) * sizeof(struct cairn_type *));
	if (!n->kids || !members)
		return NULL;
	n->pub.members = members;
	n->pub.nmembers = nkids;
	n->nkids = (uint32_t)nkids;
	return n;
}

static bool put_kid(struct ctfr_node *n, uint32_t i, struct ctfr_node *kid)
{
	if (!kid)
		return false;
	n->kids[i] = kid;
	((const struct cairn_type **)(uintptr_t)n->pub.members)[i] = &kid->pub;
	return true;
}

/* Addresses and sets of bits read best in hexadecimal. */
static uint32_t base_of(const struct kfield *f)
{
	return f->kind == KFIELD_PTR || f->kind == KFIELD_CPUMASK || f->kind == KFIELD_BYTES ? 16
											     : 10;
}

static struct ctfr_node *field_node(struct dat *d, const struct kfield *f, const char *name)
{
	struct ctfr_node *n;
	bool is_signed = f->is_signed && f->kind != KFIELD_BYTES && f->kind != KFIELD_PTR;

	if (f->form == KFIELD_SCALAR)
		return integer(d, name, f->elem, is_signed, base_of(f));
	if (f->kind == KFIELD_CHAR)
		return node(d, CAIRN_TYPE_STRING, name);
	n = holder(d, f->form == KFIELD_ARRAY ? CAIRN_TYPE_ARRAY : CAIRN_TYPE_SEQUENCE, name, 1);
	if (!n || !put_kid(n, 0, integer(d, NULL, f->elem, is_signed, base_of(f))))
		return NULL;
	n->pub.length = f->form == KFIELD_ARRAY ? f->count : 0;
	return n;
}

/* The common fields but common_type: the contexts. common_pid is the thread's id. */
static const struct ctfr_node *contexts_of(struct dat *d, const struct kformat *fmt)
{
	size_t n = fmt->ncommon ? fmt->ncommon - 1 : 0;
	struct ctfr_node *all = holder(d, CAIRN_TYPE_STRUCT, NULL, n);

	for (uint32_t i = 0; all && i < n; i++) {
		const struct kfield *f = &fmt->fields[i + 1];
		const char *name = strcmp(f->name, "common_pid") == 0 ? "tid" : f->name;

		if (!put_kid(all, i, field_node(d, f, name)))
			return NULL;
	}
	return all;
}

static bool same_common(const struct kformat *a, const struct kformat *b)
{
	if (a->ncommon != b->ncommon)
		return false;
	for (size_t i = 0; i < a->ncommon; i++)
		if (strcmp(a->fields[i].name, b->fields[i].name) != 0 ||
			a->fields[i].offset != b->fields[i].offset ||
			a->fields[i].size != b->fields[i].size)
			return false;
	return true;
}

static bool name_class(struct dat *d, struct dat_class *c, const char *system, const char *event)
{
	AUTO(buf) struct buf name = {0};

	buf_printf(&name, "%s:%s", system, event);
	c->pub.provider = system;
	c->pub.event = event;
	c->pub.name = name.err ? NULL : arena_strndup(&d->arena, name.data, name.len);
	c->pub.loglevel = -1;
	c->pub.uri = "";
	c->pub.id = c->id;
	return c->pub.name != NULL;
}

/* Events that say names of tasks, as trace-cmd's plugin for the scheduler knows them. */
static void find_names(struct dat_class *c)
{
	static const struct {
		const char *event, *comm[2], *pid[2];
	} known[] = {
		{"sched_switch", {"prev_comm", "next_comm"}, {"prev_pid", "next_pid"}},
		{"sched_wakeup", {"comm"}, {"pid"}},
		{"sched_wakeup_new", {"comm"}, {"pid"}},
	};

	c->comm_at[0] = c->comm_at[1] = -1;
	if (strcmp(c->pub.provider, "sched") != 0)
		return;
	for (size_t k = 0; k < ARRAY_SIZE(known); k++)
		for (int i = 0; i < 2 && strcmp(known[k].event, c->pub.event) == 0; i++) {
			const struct kfield *comm, *pid;

			comm = known[k].comm[i] ? kformat_field(c->fmt, known[k].comm[i]) : NULL;
			pid = comm ? kformat_field(c->fmt, known[k].pid[i]) : NULL;
			if (!pid || comm->form != KFIELD_ARRAY || comm->kind != KFIELD_CHAR ||
				pid->size != 4)
				return;
			c->comm_at[i] = (int32_t)comm->offset;
			c->pid_at[i] = (int32_t)pid->offset;
			c->comm_size = comm->size;
		}
}

struct dat_class *dat_class_new(struct dat *d, struct kformat *fmt, const struct dat_format *text)
{
	struct dat_class *c = arena_alloc(&d->arena, sizeof(*c));
	const struct kfield *pid = kformat_field(fmt, "common_pid");
	size_t own = fmt->nfields - fmt->ncommon;
	struct ctfr_node *fields = holder(d, CAIRN_TYPE_STRUCT, NULL, own);

	if (!c || !fields)
		goto fail;
	c->fmt = fmt;
	c->text = text;
	c->id = fmt->id;
	c->tid_at = pid && pid->size == 4 ? pid->offset : 4;
	for (uint32_t i = 0; i < own; i++) {
		const struct kfield *f = &fmt->fields[fmt->ncommon + i];

		if (!put_kid(fields, i, field_node(d, f, f->name)))
			goto fail;
	}
	c->contexts = d->like && same_common(d->like->fmt, fmt) ? d->contexts : contexts_of(d, fmt);
	if (!c->contexts || !name_class(d, c, fmt->system, fmt->name))
		goto fail;
	d->contexts = c->contexts;
	d->like = c;
	c->fields = fields;
	c->pub.fields = &fields->pub;
	c->pub.stream_context = &c->contexts->pub;
	find_names(c);
	return c;
fail:
	kformat_free(fmt);
	return NULL;
}

/* A class of one field, without a format. */
static struct dat_class *bare(struct dat *d, uint32_t id, struct ctfr_node *field)
{
	struct dat_class *c = arena_alloc(&d->arena, sizeof(*c));
	struct ctfr_node *fields = holder(d, CAIRN_TYPE_STRUCT, NULL, 1);
	struct ctfr_node *contexts = holder(d, CAIRN_TYPE_STRUCT, NULL, 0);

	if (!c || !fields || !contexts || !put_kid(fields, 0, field))
		return NULL;
	c->id = id;
	c->tid_at = 4;
	c->fields = fields;
	c->contexts = contexts;
	c->pub.fields = &fields->pub;
	c->comm_at[0] = c->comm_at[1] = -1;
	return c;
}

struct dat_class *dat_class_unknown(struct dat *d, uint32_t id)
{
	struct ctfr_node *bytes = holder(d, CAIRN_TYPE_SEQUENCE, "record", 1);
	struct dat_class *c;
	char name[32];

	if (!bytes || !put_kid(bytes, 0, integer(d, NULL, 1, false, 16)))
		return NULL;
	c = bare(d, id, bytes);
	(void)snprintf(name, sizeof(name), "unknown_%u", id); /* fits */
	return c && name_class(d, c, "ftrace", arena_strndup(&d->arena, name, strlen(name))) ? c
											     : NULL;
}

struct dat_class *dat_class_line(struct dat *d)
{
	struct ctfr_node *line = node(d, CAIRN_TYPE_STRING, "line");
	struct dat_class *c = line ? bare(d, DAT_IDS, line) : NULL;

	return c && name_class(d, c, "ftrace", "latency_text") ? c : NULL;
}
