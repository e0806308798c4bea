/* What is worked out once for an event class: its names as they stand in a line, and which way its
 * events are written. */
#include "view/view-impl.h"
#include <errno.h>
#include <stdlib.h>

enum { PLAIN_MAX = OUT_ROOM - 256 };

int64_t clock_zero_ns(const struct cairn_trace *trace)
{
	const struct cairn_clock_info *c;
	int64_t ns;

	if (!trace || !trace->nclocks || !trace->clocks[0].freq)
		return 0;
	c = &trace->clocks[0];
	ns = (int64_t)((unsigned __int128)c->offset * 1000000000u / c->freq);
	if (__builtin_add_overflow(ns, c->offset_s * INT64_C(1000000000), &ns))
		return 0;
	return ns;
}

void view_class_free(struct view_class *c)
{
	if (!c)
		return;
	view_ctf_class_free(c->ctf_kernel);
	free(c->fields);
	buf_done(&c->text);
	free(c);
}

static bool has_member(const struct cairn_type *t, const char *a, const char *b)
{
	for (size_t i = 0; t && i < t->nmembers; i++)
		if (t->members[i]->name &&
			(strcmp(t->members[i]->name, a) == 0 ||
				strcmp(t->members[i]->name, b) == 0))
			return true;
	return false;
}

/* Text that a terminal may have, through out_safe(). */
void buf_safe(struct buf *b, const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			buf_printf(b, "\\x%02x", (unsigned char)*s);
		else
			buf_char(b, *s);
	}
}

/* The length that stands before a sequence "x" as "_x_length" (Cairn, LTTng) says nothing new. */
static bool is_length(const struct cairn_type *fields, uint32_t i)
{
	const char *name = fields->members[i]->name, *next;
	size_t n;

	if (i + 1 >= fields->nmembers || !name || !(next = fields->members[i + 1]->name))
		return false;
	n = strlen(next);
	return fields->members[i + 1]->kind == CAIRN_TYPE_SEQUENCE && name[0] == '_' &&
		strncmp(name + 1, next, n) == 0 && strcmp(name + 1 + n, "_length") == 0;
}

/* The texts of a class one after the other in c->text; at[] gets where each ends. */
static void class_text(
	const struct view *v, struct view_class *c, const struct cairn_event_class *cls, size_t *at)
{
	struct buf *b = &c->text;

	if (v->style == VIEW_JSON) {
		buf_str(b, ",\"provider\":");
		buf_json_str(b, cls->provider, strlen(cls->provider));
		buf_str(b, ",\"event\":");
		buf_json_str(b, cls->event, strlen(cls->event));
	} else {
		buf_safe(b, cls->name);
		buf_char(b, ':');
	}
	at[0] = b->len;
	for (uint32_t i = 0; i < c->nfields; i++) {
		const char *name = cls->fields->members[i]->name;

		at[i + 1] = b->len;
		name = name ? name : "";
		if (is_length(cls->fields, i))
			continue;
		if (v->style == VIEW_JSON) {
			buf_str(b, b->len > at[0] ? "," : "");
			buf_json_str(b, name, strlen(name));
			buf_char(b, ':');
		} else {
			buf_char(b, ' ');
			buf_safe(b, name);
			buf_char(b, '=');
		}
		at[i + 1] = b->len;
	}
}

static bool is_decimal(const struct cairn_type *t)
{
	return t->kind == CAIRN_TYPE_INT && t->bits <= 64 && !t->is_text && !t->nlabels &&
		(t->base == 10 || t->base == 0);
}

/* "name=" and a decimal number each, nothing else: line_plain() may write it. */
static bool is_plain(
	const struct view *v, const struct view_class *c, const struct cairn_event_class *cls)
{
	if ((v->style != VIEW_TRACE && v->style != VIEW_REPORT) || c->is_log || c->more_contexts ||
		c->text.len + (size_t)c->nfields * 20 > PLAIN_MAX)
		return false;
	for (uint32_t i = 0; i < c->nfields; i++)
		if (!is_decimal(cls->fields->members[i]))
			return false;
	return true;
}

bool view_names_thread(const char *name)
{
	return strcmp(name, "tid") == 0 || strcmp(name, "vtid") == 0 || strcmp(name, "comm") == 0 ||
		strcmp(name, "procname") == 0;
}

static bool has_more_contexts(const struct cairn_type *type)
{
	for (size_t i = 0; type && i < type->nmembers; i++)
		if (type->members[i]->name && !view_names_thread(type->members[i]->name))
			return true;
	return false;
}

static int class_make(struct view *v, const struct cairn_event_class *cls, struct view_class **ret)
{
	struct view_class *c = calloc(1, sizeof(*c));
	size_t *at AUTO(free) = NULL;

	if (!c)
		return -ENOMEM;
	c->nfields = cls->fields ? (uint32_t)cls->fields->nmembers : 0;
	c->zero_ns = clock_zero_ns(cls->trace);
	c->is_log = cls->format != NULL;
	c->has_comm = has_member(cls->stream_context, "comm", "procname") ||
		has_member(cls->context, "comm", "procname");
	c->more_contexts =
		has_more_contexts(cls->stream_context) || has_more_contexts(cls->context);
	c->names_threads = threads_teaches(cls);
	c->stack = stacks_kind(cls);
	c->fields = calloc(c->nfields + 1, sizeof(*c->fields));
	at = calloc(c->nfields + 1, sizeof(*at));
	if (c->fields && at) {
		class_text(v, c, cls, at);
		c->plain = is_plain(v, c, cls);
		buf_add(&c->text, (const char[PIECE_PAD]){0}, PIECE_PAD); /* see put_piece() */
	}
	if (!c->fields || !at || c->text.err) {
		view_class_free(c);
		return -ENOMEM;
	}
	c->name = (struct piece){c->text.data, (uint32_t)at[0], false};
	for (uint32_t i = 0; i < c->nfields; i++)
		c->fields[i] = (struct piece){c->text.data + at[i], (uint32_t)(at[i + 1] - at[i]),
			is_decimal(cls->fields->members[i])};
	if (view_kernel_class(v, cls, c) < 0 || view_ctf_class(v, cls, c) < 0) {
		view_class_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

const struct view_class *view_class_make(struct view *v, const struct cairn_event_class *cls)
{
	uint32_t i = cls->index;

	if (i >= v->nclasses) {
		if (vec_reserve((void **)&v->classes, &v->classes_cap, (size_t)i + 1,
			    sizeof(struct view_class *)) != 0) {
			v->err = -ENOMEM;
			return NULL;
		}
		while (v->nclasses <= i)
			v->classes[v->nclasses++] = NULL;
	}
	if (!v->classes[i] && (v->err = class_make(v, cls, &v->classes[i])) != 0)
		return NULL;
	return v->classes[i];
}
