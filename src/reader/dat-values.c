/* Fields and contexts of records of the kernel's ring buffer, as values. */
#include "reader/dat-impl.h"

#include <string.h>

const uint8_t *dat_record(const struct cairn_event *ev, size_t *ret_n)
{
	const struct stream *s = (const struct stream *)(const void *)((const char *)ev -
		offsetof(struct stream, ev));

	*ret_n = s->dat->e.len;
	return s->dat->e.data;
}

/* Where the bytes of a field are in a record of n; false if they are not in it. */
static bool place_of(const struct dat *d, const struct kfield *f, const uint8_t *record, size_t n,
	size_t *ret_at, size_t *ret_len)
{
	uint32_t word;

	if (f->offset > n)
		return false;
	*ret_at = f->offset;
	*ret_len = f->size;
	if (f->form == KFIELD_REST) {
		*ret_len = n - f->offset;
		return true;
	}
	if (f->size > n - f->offset)
		return false;
	if (f->form == KFIELD_DATA_LOC || f->form == KFIELD_REL_LOC) {
		word = dat_number32(d, record + f->offset);
		*ret_at = (word & 0xffff) + (f->form == KFIELD_REL_LOC ? f->offset + 4 : 0);
		*ret_len = word >> 16;
	}
	return *ret_at <= n && *ret_len <= n - *ret_at;
}

static void field_value(const struct dat *d, const struct kfield *f, const struct ctfr_node *node,
	const uint8_t *record, size_t n, struct cairn_value *ret)
{
	static const uint8_t zero[16];
	size_t at = 0, len = 0;
	bool there = place_of(d, f, record, n, &at, &len);

	if (node->pub.kind == CAIRN_TYPE_INT) {
		ctfr_scalar(there ? record + at : zero, 0, node, ret);
		return;
	}
	len = there ? len : 0;
	*ret = (struct cairn_value){.type = &node->pub, .name = node->pub.name};
	if (node->pub.kind == CAIRN_TYPE_STRING) {
		ret->kind = CAIRN_VALUE_STRING;
		ret->str = len ? (const char *)record + at : "";
		ret->count = (uint32_t)strnlen(ret->str, len);
	} else if (f->kind == KFIELD_BYTES) {
		ret->kind = CAIRN_VALUE_BYTES;
		ret->bytes = len ? record + at : zero;
		ret->count = (uint32_t)len;
	} else {
		ret->kind = CAIRN_VALUE_ARRAY;
		ret->elements = len ? record + at : zero;
		ret->count = (uint32_t)(len / f->elem);
	}
}

/* What has no format: the record's bytes, or a line of text. */
static void bare_value(const struct dat_stream *ds, struct cairn_value *ret)
{
	const struct ctfr_node *node = ds->cls->fields->kids[0];

	*ret = (struct cairn_value){.type = &node->pub, .name = node->pub.name};
	if (ds->text) {
		ret->kind = CAIRN_VALUE_STRING;
		ret->str = ds->line;
		ret->count = (uint32_t)ds->line_len;
	} else {
		ret->kind = CAIRN_VALUE_BYTES;
		ret->bytes = ds->e.data;
		ret->count = ds->e.len;
	}
}

const struct cairn_value *dat_fields(struct stream *s, size_t *ret_n)
{
	const struct dat_stream *ds = s->dat;
	const struct dat_class *cls = ds->cls;
	uint32_t n = cls->fields->nkids;
	struct cairn_value *all;

	if (!s->fields_done) {
		s->fields_done = true;
		ctfr_values_reset(&s->fields_mem);
		all = ctfr_values_alloc(&s->fields_mem, MAX(n, 1u));
		if (all && !cls->fmt)
			bare_value(ds, all);
		for (uint32_t i = 0; all && cls->fmt && i < n; i++)
			field_value(ds->dat, &cls->fmt->fields[cls->fmt->ncommon + i],
				cls->fields->kids[i], ds->e.data, ds->e.len, &all[i]);
		s->fields = all;
		s->nfields = all ? n : 0;
	}
	*ret_n = s->nfields;
	return s->fields;
}

const struct cairn_value *dat_contexts(struct stream *s, size_t *ret_n)
{
	const struct dat_stream *ds = s->dat;
	const struct dat_class *cls = ds->cls;
	uint32_t n = cls->contexts->nkids;
	struct cairn_value *all;

	if (!s->contexts_done) {
		s->contexts_done = true;
		ctfr_values_reset(&s->contexts_mem);
		all = ctfr_values_alloc(&s->contexts_mem, MAX(n, 1u));
		for (uint32_t i = 0; all && i < n; i++)
			field_value(ds->dat, &cls->fmt->fields[1 + i], cls->contexts->kids[i],
				ds->e.data, ds->e.len, &all[i]);
		s->contexts = all;
		s->ncontexts = all ? n : 0;
	}
	*ret_n = s->ncontexts;
	return s->contexts;
}

int64_t dat_tid(const struct stream *s)
{
	const struct dat_stream *ds = s->dat;

	if (ds->text || ds->e.len < ds->cls->tid_at + 4)
		return -1;
	return (int32_t)dat_number32(ds->dat, ds->e.data + ds->cls->tid_at);
}

const char *dat_comm(const struct stream *s, size_t *ret_len)
{
	const char *name = s->dat->text ? NULL : dat_name(s->dat->dat, (int32_t)dat_tid(s));

	*ret_len = name ? strlen(name) : 0;
	return name;
}

const char *dat_buffer_name(const struct cairn_stream_info *stream)
{
	const struct stream *s = (const struct stream *)(const void *)stream;

	return s->dat ? s->dat->buffer->name : "";
}
