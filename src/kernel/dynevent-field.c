/* Dynamic events: the fields of an event that an eprobe is on, and how they are fetched. */
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int no_field(struct parse *p, struct span name)
{
	AUTO(buf) struct buf all = {0};
	struct near near;

	near_init(&near, p->text + name.at, name.len);
	for (size_t i = p->format->ncommon; i < p->format->nfields; i++) {
		near_look(&near, p->format->fields[i].name);
		buf_printf(&all, "%s$%s", all.len ? ", " : "", p->format->fields[i].name);
	}
	(void)refuse(p, name.at, name.len, "%.60s:%.60s has no field '%.*s'", p->format->system,
		p->format->name, (int)MIN(name.len, (size_t)60), p->text + name.at);
	if (near.best[0])
		hint(p, "did you mean '$%s'?", near.best);
	else if (all.len)
		hint(p, "it has: %s, and $comm", all.data);
	return -EINVAL;
}

/* The kernel's word for numbers of this size. */
static const char *number(uint32_t size, bool is_signed)
{
	switch (size) {
	case 1: return is_signed ? "s8" : "u8";
	case 2: return is_signed ? "s16" : "u16";
	case 4: return is_signed ? "s32" : "u32";
	case 8: return is_signed ? "s64" : "u64";
	default: return NULL;
	}
}

/* Pointers to text in the arguments of system calls come from user space. */
static bool is_user_text(const struct parse *p, const struct kfield *f)
{
	return f->kind == KFIELD_PTR && strcmp(p->format->system, "syscalls") == 0 &&
		strstr(f->type, "char *") && !strstr(f->type, "* *");
}

/* Type and fetch text of a whole field. */
static int whole_field(struct parse *p, struct span name, const struct kfield *f, struct expr *e)
{
	if (f->form == KFIELD_SCALAR || f->kind == KFIELD_CHAR) {
		if (f->kind == KFIELD_CHAR && f->form != KFIELD_SCALAR)
			e->type = "string";
		else if (is_user_text(p, f))
			e->type = "ustring";
		else if (f->kind == KFIELD_PTR)
			e->type = f->size == 8 ? "x64" : "x32";
		else
			e->type = number(f->size, f->is_signed);
		buf_printf(e->out, "$%s", f->name);
		return 0;
	}
	buf_printf(e->out, "$%s", f->name);
	if (!p->by_names || e->nested || f->form != KFIELD_ARRAY ||
		!number(f->elem, f->is_signed) || f->kind == KFIELD_BYTES || f->count == 0)
		return 0; /* the kernel gives its address */
	/* An array of numbers: the field is its address. */
	e->out->len -= strlen(f->name) + 1;
	buf_printf(e->out, "+0($%s)", f->name);
	e->last = OP_DEREF;
	e->type = text_printf(p, "%s[%u]", number(f->elem, f->is_signed), f->count);
	return add_op(p, e, name.at);
}

/* "$args[1]" */
static int element(struct parse *p, const struct kfield *f, struct span rest, struct expr *e)
{
	AUTO(free) char *digits = NULL;
	uint64_t n;

	if (p->text[rest.at] != '[' || p->text[rest.at + rest.len - 1] != ']') {
		(void)refuse(
			p, rest.at, rest.len, "a field is a value, not a structure with members");
		hint(p, "if it points to one, say to which: (STRUCT)$%s->MEMBER", f->name);
		return -EINVAL;
	}
	digits = strndup(p->text + rest.at + 1, rest.len - 2);
	if (!digits || parse_u64(digits, &n))
		return refuse(
			p, rest.at + 1, rest.len - 2, "a number is needed here: which element");
	if (f->form != KFIELD_ARRAY || !number(f->elem, f->is_signed))
		return refuse(p, rest.at, rest.len, "this field is no array of numbers");
	if (n >= f->count)
		return refuse(p, rest.at + 1, rest.len - 2, "the array has %u elements: 0 to %u",
			f->count, f->count - 1);
	buf_printf(e->out, "+%llu($%s)", (unsigned long long)n * f->elem, f->name);
	e->last = OP_DEREF;
	e->type = number(f->elem, f->is_signed);
	return add_op(p, e, rest.at);
}

int parse_field(struct parse *p, struct span s, struct expr *e)
{
	size_t dollar = p->text[s.at] == '$', n = dollar;
	struct span name, rest;
	const struct kfield *f = NULL;

	while (n < s.len && (isalnum((unsigned char)p->text[s.at + n]) || p->text[s.at + n] == '_'))
		n++;
	name = (struct span){s.at + dollar, n - dollar};
	rest = (struct span){s.at + n, s.len - n};
	e->ops = 1;
	e->last = OP_FIELD;
	e->name = name;
	for (size_t i = p->format->ncommon; i < p->format->nfields && !f; i++) {
		if (span_is(p, name, p->format->fields[i].name))
			f = &p->format->fields[i];
	}
	if (!f && rest.len == 0 && (span_is(p, name, "comm") || span_is(p, name, "COMM"))) {
		e->last = OP_COMM;
		e->type = "string";
		buf_printf(e->out, "$%.*s", (int)name.len, p->text + name.at);
		return 0;
	}
	if (!f)
		return no_field(p, name);
	return rest.len ? element(p, f, rest, e) : whole_field(p, name, f, e);
}
