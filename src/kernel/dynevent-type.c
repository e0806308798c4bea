/* Dynamic events: types of what is fetched, names of the fields, and the arguments as a whole:
 * [NAME=]EXPR[:TYPE]. Which types fit which expressions is the kernel's rule, step by step. */
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct type {
	const char *name;
	unsigned size; /* in the record; strings: of their location */
	bool is_string, is_signed, is_hex;
} types[] = {
	{"string", 4, true, false, false},
	{"ustring", 4, true, false, false},
	{"symstr", 4, true, false, false},
	{"u8", 1, false, false, false},
	{"u16", 2, false, false, false},
	{"u32", 4, false, false, false},
	{"u64", 8, false, false, false},
	{"s8", 1, false, true, false},
	{"s16", 2, false, true, false},
	{"s32", 4, false, true, false},
	{"s64", 8, false, true, false},
	{"x8", 1, false, false, true},
	{"x16", 2, false, false, true},
	{"x32", 4, false, false, true},
	{"x64", 8, false, false, true},
	{"char", 1, false, false, false},
	{"symbol", 8, false, false, true},
};

struct wanted {
	const struct type *type; /* of an element, or of the word that bits are in */
	bool bits;
	unsigned count; /* 0: no array */
	bool dentry, file; /* %pd, %pD */
};

static const struct type *find_type(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strlen(types[i].name) == n && memcmp(types[i].name, name, n) == 0)
			return &types[i];
	}
	return NULL;
}

/* ---- TYPE ---- */

/* "b3@1/8" */
static int parse_bits(struct parse *p, struct span s, struct wanted *w)
{
	AUTO(free) char *text = strndup(p->text + s.at, s.len);
	char *at = text ? strchr(text, '@') : NULL, *slash = at ? strchr(at, '/') : NULL;
	uint64_t width, offset, size;

	if (!text)
		return no_memory(p);
	if (!slash)
		return refuse(
			p, s.at, s.len, "a bit field is b<width>@<offset>/<bits of its word>");
	*at = *slash = '\0';
	if (kernel_ulong(text + 1, &width) || kernel_ulong(at + 1, &offset) ||
		kernel_ulong(slash + 1, &size))
		return refuse(
			p, s.at, s.len, "a bit field is b<width>@<offset>/<bits of its word>");
	if (size != 8 && size != 16 && size != 32 && size != 64)
		return refuse(p, s.at + (size_t)(slash + 1 - text),
			s.len - (size_t)(slash + 1 - text), "a word has 8, 16, 32 or 64 bits");
	if (width == 0 || width > size || offset > size - width)
		return refuse(
			p, s.at, s.len, "these bits do not lie in a word of %u", (unsigned)size);
	w->bits = true;
	w->type = find_type(size == 8 ? "u8"
			: size == 16  ? "u16"
			: size == 32  ? "u32"
				      : "u64",
		size == 8 ? 2 : 3);
	return 0;
}

static int parse_array(struct parse *p, struct span s, struct wanted *w)
{
	const char *t = p->text + s.at, *close = memchr(t, ']', s.len);
	AUTO(free) char *digits = close ? strndup(t + 1, (size_t)(close - t) - 1) : NULL;
	uint64_t n;

	if (!close)
		return refuse(p, s.at + s.len, 0, "']' is missing");
	if (!digits)
		return no_memory(p);
	if (close + 1 != t + s.len)
		return refuse(p, (size_t)(close + 1 - p->text), s.len - (size_t)(close + 1 - t),
			"nothing can follow the ']'");
	if (kernel_ulong(digits, &n) || n == 0)
		return refuse(
			p, s.at + 1, s.len - 2, "the number of elements, from 1, is needed here");
	if (n > ARRAY_MAX)
		return refuse(
			p, s.at + 1, s.len - 2, "an array has %d elements at most", ARRAY_MAX);
	w->count = (unsigned)n;
	return 0;
}

static bool type_known(struct parse *p, const char *name)
{
	if (p->user && (strcmp(name, "symbol") == 0 || strcmp(name, "symstr") == 0))
		return false;
	if (strcmp(name, "symstr") == 0)
		return world_has(p->w, WORLD_SYMSTR);
	if (strcmp(name, "ustring") == 0)
		return world_has(p->w, WORLD_USTRING);
	return strcmp(name, "char") != 0 || world_has(p->w, WORLD_CHAR);
}

static int parse_type(struct parse *p, struct span s, struct wanted *w)
{
	const char *t = p->text + s.at, *open = memchr(t, '[', s.len);
	struct span name = {s.at, open ? (size_t)(open - t) : s.len};
	struct near near;
	int r = 0;

	if (open)
		r = parse_array(p, (struct span){s.at + name.len, s.len - name.len}, w);
	if (r)
		return r;
	if (span_is(p, s, "%pd") || span_is(p, s, "%pD")) {
		if (p->user || p->format || !world_has(p->w, WORLD_DENTRY))
			return refuse(
				p, s.at, s.len, "names of files are not known to this kernel here");
		w->dentry = span_is(p, s, "%pd");
		w->file = !w->dentry;
		w->type = find_type("string", 6);
		return 0;
	}
	w->type = find_type(p->text + name.at, name.len);
	if (w->type && type_known(p, w->type->name))
		return 0;
	if (name.len && p->text[name.at] == 'b')
		return parse_bits(p, name, w);
	if (w->type)
		return refuse(p, name.at, name.len, "%ss of this kernel have no type '%s'",
			dynevent_kind_name(p->d->kind), w->type->name);
	(void)refuse(p, name.at, name.len, "there is no type '%.*s'",
		(int)MIN(name.len, (size_t)40), p->text + name.at);
	near_init(&near, p->text + name.at, name.len);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		near_look(&near, types[i].name);
	if (near.best[0] && name.len > 2)
		hint(p, "did you mean '%s'?", near.best);
	else
		hint(p,
			"types are u8 to u64, s8 to s64, x8 to x64, char, string, ustring, symbol, symstr, "
			"b<width>@<offset>/<word>, and arrays TYPE[N]");
	return -EINVAL;
}

/* ---- does the type fit? ---- */

static int check_string(
	struct parse *p, struct span type, const struct wanted *w, const struct expr *e)
{
	bool symstr = strcmp(w->type->name, "symstr") == 0, fits;

	if (symstr)
		fits = e->last == OP_REG || e->last == OP_STACK || e->last == OP_RETVAL ||
			e->last == OP_ARG || e->last == OP_DEREF || e->last == OP_FIELD;
	else
		fits = e->last == OP_DEREF || e->last == OP_UDEREF || e->last == OP_IMM ||
			e->last == OP_COMM || e->last == OP_DATA || e->last == OP_FIELD;
	if (fits)
		return 0;
	(void)refuse(p, type.at, type.len, "%s",
		symstr ? "this is no address in the kernel's code"
		       : "text lies in memory, and this is a value");
	if (!symstr)
		hint(p, "if the value says where it lies: +0(...):%s", w->type->name);
	return -EINVAL;
}

/* The steps that storing takes, as the kernel counts them; and what it does not combine. */
static int check_store(
	struct parse *p, struct span s, struct span type, const struct wanted *w, struct expr *e)
{
	bool memory = e->last == OP_DEREF || e->last == OP_UDEREF;
	bool symstr = strcmp(w->type->name, "symstr") == 0;
	int r = 0;

	if (w->type->is_string) {
		r = check_string(p, type, w, e);
		if (!r && (symstr || !memory || w->count))
			r = add_op(p, e, s.at);
	} else if (!memory) {
		r = add_op(p, e, s.at);
	}
	if (!r && w->bits)
		r = add_op(p, e, s.at);
	if (r || !w->count)
		return r;
	if (symstr || (!w->type->is_string && e->last != OP_DEREF))
		return refuse(p, type.at, type.len, "an array lies in memory, and this is a value");
	return add_op(p, e, s.at);
}

/* ---- types that are known without being said ---- */

static int whole_structure(struct parse *p, struct span s, const struct expr *e)
{
	AUTO(buf) struct buf text = {0};
	const char *name;

	kbtf_type_text(e->value.btf, e->value.type, &text);
	name = text.data ? text.data : "?";
	if (e->value.kind == KVALUE_STRUCT || strchr(name, '[')) {
		(void)refuse(
			p, s.at, s.len, "this is %s as a whole: a field holds one value", name);
		hint(p,
			e->value.kind == KVALUE_STRUCT ? "say which member: ->MEMBER, .MEMBER"
						       : "say which element: [0]");
		return -EINVAL;
	}
	return refuse(p, s.at, s.len, "a value of type %s cannot be fetched", name);
}

/* The kernel's word for the value's type, by names. */
static int word_by_names(struct parse *p, struct span s, struct expr *e, char *word, size_t size)
{
	const struct kbtf_value *v = &e->value;
	const char *letter = v->is_signed ? "s" : "u";

	word[0] = '\0';
	switch (v->kind) {
	case KVALUE_INT: (void)snprintf(word, size, "%s%u", letter, v->size * 8); return 0;
	case KVALUE_ARRAY:
	case KVALUE_POINTER_ARRAY:
		if (v->count == 0 || v->count > ARRAY_MAX) {
			(void)refuse(p, s.at, s.len,
				"this array has %u elements: a field holds %d at most", v->count,
				ARRAY_MAX);
			hint(p, "say which element: [0], or how many: :%s%u[%d]", letter,
				v->size * 8, ARRAY_MAX);
			return -EINVAL;
		}
		(void)snprintf(word, size, "%s%u[%u]", v->kind == KVALUE_ARRAY ? letter : "x",
			v->size * 8, v->count);
		return 0;
	case KVALUE_CODE: (void)snprintf(word, size, "symbol"); return 0;
	case KVALUE_POINTER: (void)snprintf(word, size, "x64"); return 0;
	case KVALUE_STRING:
	case KVALUE_STRING_POINTER:
		(void)snprintf(word, size, "%s", v->user ? "ustring" : "string");
		return 0;
	default: return whole_structure(p, s, e);
	}
}

/* The same, as the kernel with types of its own would choose. */
static void word_of_kernel(struct parse *p, const struct expr *e, char *word, size_t size)
{
	const struct kbtf_value *v = &e->value;

	(void)snprintf(word, size, "x64");
	if (v->kind == KVALUE_INT && world_has(p->w, WORLD_BTF))
		(void)snprintf(word, size, "%s%u", v->is_signed ? "s" : "u", v->size * 8);
}

static int choose_word(struct parse *p, struct span s, struct expr *e, char *word, size_t size)
{
	const struct kbtf_value *v = &e->value;

	word[0] = '\0';
	if (!e->typed) {
		if (e->type && (p->by_names || p->user))
			(void)snprintf(word, size, "%s", e->type);
		return 0;
	}
	if (v->kind == KVALUE_BITS || (v->kind == KVALUE_INT && e->base_offset))
		(void)snprintf(word, size, "b%u@%u/%u",
			v->kind == KVALUE_BITS ? v->bit_width : v->size * 8,
			(v->kind == KVALUE_BITS ? v->bit_offset : 0) + e->base_offset * 8,
			e->last == OP_DEREF ? v->size * 8 : 64);
	else if (p->by_names)
		return word_by_names(p, s, e, word, size);
	else
		word_of_kernel(p, e, word, size);
	return 0;
}

/* A pointer to text is followed; text in place is not. What the types call a pointer to something else
 * may be text all the same, by names; the kernel insists on char. */
static int follow_text(struct parse *p, struct span s, const struct wanted *w, struct expr *e)
{
	bool pointer = e->user_text ||
		(e->typed &&
			(e->value.kind == KVALUE_STRING_POINTER ||
				(e->value.kind == KVALUE_POINTER && p->by_names)));
	bool user = strcmp(w->type->name, "ustring") == 0;
	char *inner;

	if (w->count || strcmp(w->type->name, "symstr") == 0 || !pointer)
		return 0;
	inner = text_printf(p, "%s", e->out->data ? e->out->data : "");
	if (!inner)
		return no_memory(p);
	buf_clear(e->out);
	buf_printf(e->out, user ? "+u0(%s)" : "+0(%s)", inner);
	e->last = user ? OP_UDEREF : OP_DEREF;
	return add_op(p, e, s.at);
}

/* ---- names ---- */

static const char *const reserved[] = {"common_type", "common_flags", "common_preempt_count",
	"common_pid", "common_tgid", "__probe_ip", "__probe_ret_ip", "__probe_func"};

static int check_name(struct parse *p, struct span s, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		if (strcmp(reserved[i], name) == 0)
			return refuse(p, s.at, s.len, "'%s' is a field of every event", name);
	}
	for (size_t i = 0; i < p->d->len; i++) {
		if (strcmp(p->d->fields[i].name, name) != 0)
			continue;
		(void)refuse(p, s.at, s.len, "there is already a field '%s'", name);
		hint(p, "give this one another name: NAME=...");
		return -EINVAL;
	}
	return 0;
}

static int given_name(struct parse *p, struct span s)
{
	if (s.len == 0)
		return refuse(p, s.at, 1, "a name is missing before '='");
	if (s.len > ARG_NAME_MAX)
		return refuse(p, s.at, s.len, "a name has %d letters at most", ARG_NAME_MAX);
	if (!is_identifier(p->text + s.at, s.len, false))
		return refuse(p, s.at, s.len, "a name is made of letters, digits and _");
	return 0;
}

/* "args_1" for "args[1]", if that is where the expression ends. */
static char *element_name(struct parse *p, struct span name, size_t end)
{
	const char *t = p->text + name.at + name.len;

	if (name.at + name.len + 2 >= end || t[0] != '[' || p->text[end - 1] != ']' ||
		memchr(t + 1, '[', end - name.at - name.len - 1))
		return span_dup(p, name);
	return text_printf(p, "%.*s_%.*s", (int)name.len, p->text + name.at,
		(int)(end - name.at - name.len - 2), t + 1);
}

/* What the kernel, or we by names, call an argument that has no name. */
static char *default_name(struct parse *p, struct span body, size_t expr_len, const struct expr *e)
{
	const char *t = p->text + body.at;

	if (p->by_names && e->name.len && e->name.len <= ARG_NAME_MAX &&
		is_identifier(p->text + e->name.at, e->name.len, false))
		return element_name(p, e->name, body.at + expr_len);
	if (!p->by_names && world_has(p->w, WORLD_BTF)) {
		unsigned n = expr_len > 4 && memcmp(t, "$arg", 4) == 0 ? (unsigned)atoi(t + 4) : 0;

		if (n && !p->user && !p->format && find_function(p, NULL) == 0 && n <= p->func.len)
			return text_printf(p, "%s", kbtf_param(&p->func, n - 1, NULL));
		if (is_identifier(t, expr_len, false))
			return span_dup(p, (struct span){body.at, expr_len});
	}
	return text_printf(p, "arg%zu", p->d->len + 1);
}

/* ---- one argument ---- */

static int add_field(struct parse *p, const char *name, const char *word, const struct wanted *w,
	struct span asked)
{
	struct dynevent_field *f = VEC_ADD(p->d->fields, p->d->len, p->d->cap);

	if (!f)
		return no_memory(p);
	f->name = name;
	f->type = text_printf(p, "%s", word[0] && word[0] != '%' ? word : w->type->name);
	f->text = span_dup(p, asked);
	f->count = w->count;
	f->is_string = w->type->is_string;
	f->is_signed = w->type->is_signed && !w->bits;
	f->is_hex = w->type->is_hex;
	if (!f->name || !f->type || !f->text)
		return no_memory(p);
	p->event_size += (uint64_t)w->type->size * (w->count ? w->count : 1);
	if (p->event_size > EVENT_SIZE_MAX)
		return refuse(p, asked.at, asked.len,
			"the event gets too big: %d bytes are its limit", EVENT_SIZE_MAX);
	return 0;
}

/* %pd, %pD: the name of a dentry or file, as the kernel writes it. */
static int expand_dentry(struct parse *p, struct span s, struct wanted *w, struct expr *e)
{
	if (e->last == OP_COMM || e->last == OP_DATA)
		return refuse(p, s.at, s.len, "this is text, not an address");
	e->last = OP_DEREF;
	for (int i = 0; i < 2 + w->file; i++) {
		if (add_op(p, e, s.at))
			return -EINVAL;
	}
	return 0;
}

/* Reads a type from our own word, so that one way checks all. */
static int word_type(struct parse *p, const char *word, struct span s, struct wanted *w)
{
	struct parse own = *p;

	if (!word[0]) {
		w->type = find_type("x64", 3);
		return 0;
	}
	own.text = word;
	own.len = strlen(word);
	if (parse_type(&own, (struct span){0, own.len}, w))
		return refuse(p, s.at, s.len, "this kernel has no type '%s'", word);
	return 0;
}

struct argument {
	struct span whole, body, expr, type; /* type.len 0: none given */
	bool has_type, has_name;
	struct span name;
};

static int settle_type(struct parse *p, const struct argument *a, struct expr *e, struct wanted *w,
	char *word, size_t size)
{
	int r;

	if (a->has_type) {
		(void)snprintf(
			word, size, "%.*s", (int)MIN(a->type.len, size - 1), p->text + a->type.at);
		r = parse_type(p, a->type, w);
	} else if ((e->last == OP_COMM || e->last == OP_DATA) && (p->by_names || !p->format)) {
		/* Text has its type by itself, but for events that are probed. */
		(void)snprintf(word, size, "string");
		r = word_type(p, word, a->expr, w);
		if (!p->format)
			word[0] = '\0';
	} else {
		r = choose_word(p, a->expr, e, word, size);
		if (!r)
			r = word_type(p, word, a->expr, w);
	}
	if (r)
		return r;
	if (w->dentry || w->file)
		return expand_dentry(p, a->expr, w, e);
	if ((e->last == OP_COMM || e->last == OP_DATA) && !p->format &&
		(w->count || strcmp(w->type->name, "string") != 0))
		return refuse(p, a->type.at, a->type.len, "this is text: its type is string");
	return w->type->is_string ? follow_text(p, a->expr, w, e) : 0;
}

static int write_argument(struct parse *p, const struct argument *a, const char *name,
	const struct expr *e, const char *word)
{
	size_t n = (e->out->data ? e->out->len : 0) + (word[0] ? strlen(word) + 1 : 0);

	if (e->out->err)
		return no_memory(p);
	if (n > ARG_TEXT_MAX && !p->decimal)
		return -E2BIG; /* the caller tries the shorter writing */
	if (n > ARG_TEXT_MAX) {
		(void)refuse(p, a->body.at, a->body.len,
			"this is too long for the kernel: %d letters at most", ARG_TEXT_MAX);
		hint(p, "it comes to %.150s", e->out->data);
		return -EINVAL;
	}
	buf_printf(&p->args, " %s=%s%s%s", name, e->out->data ? e->out->data : "",
		word[0] ? ":" : "", word);
	return 0;
}

/* parameter: of a $arg*; -1: what the text says. */
static int parse_once(struct parse *p, const struct argument *a, int parameter)
{
	AUTO(buf) struct buf out = {0};
	struct expr e = {.out = &out};
	struct wanted w = {0};
	char word[80] = "";
	char *name;
	int r;

	p->unnamed = !a->has_name;
	if (parameter >= 0)
		r = parse_parameter(p, (unsigned)parameter, a->whole,
			(struct span){a->whole.at + a->whole.len, 0}, &e);
	else
		r = parse_expression(p, a->expr, &e);
	if (!r)
		r = settle_type(p, a, &e, &w, word, sizeof(word));
	if (!r)
		r = check_store(p, a->expr, a->has_type ? a->type : a->expr, &w, &e);
	if (r)
		return r;
	if (parameter >= 0)
		name = text_printf(p, "%s", kbtf_param(&p->func, (unsigned)parameter, NULL));
	else
		name = a->has_name ? span_dup(p, a->name)
				   : default_name(p, a->body, a->expr.len, &e);
	if (!name)
		return no_memory(p);
	r = check_name(p, a->has_name ? a->name : a->body, name);
	if (!r)
		r = write_argument(p, a, name, &e, word);
	return r ? r : add_field(p, name, word, &w, a->body);
}

static int parse_one(struct parse *p, const struct argument *a, int parameter)
{
	int r;

	if (p->d->len >= ARGS_MAX)
		return refuse(
			p, a->whole.at, a->whole.len, "an event has %d fields at most", ARGS_MAX);
	p->decimal = false;
	r = parse_once(p, a, parameter);
	if (r != -E2BIG)
		return r;
	p->decimal = true;
	return parse_once(p, a, parameter);
}

/* $arg*: all arguments, by their names. */
static int parse_all_arguments(struct parse *p, struct span s)
{
	struct argument a = {.whole = s, .body = s, .expr = s};
	struct error e = {0};
	int r = 0;

	if (p->user || p->format || (!p->at_entry && !p->d->is_return))
		return refuse(p, s.at, s.len,
			"all arguments are known at a kernel function's entry only");
	if (p->all_args)
		return refuse(p, s.at, s.len, "all arguments are there already");
	p->all_args = true;
	r = find_function(p, &e);
	if (r == -ENOENT || (r == 0 && p->func.len == 0))
		return refuse(p, s.at, s.len,
			r ? "the kernel's types do not describe this function"
			  : "this function has no arguments");
	if (r)
		return refuse_err(p, r, s.at, s.len, "%s", e.message);
	for (unsigned i = 0; i < p->func.len && !r; i++)
		r = parse_one(p, &a, (int)i);
	return r;
}

static int parse_argument(struct parse *p, struct span s)
{
	const char *t = p->text + s.at, *equal = memchr(t, '=', s.len), *colon;
	struct argument a = {.whole = s, .body = s};

	if (span_is(p, s, "$arg*"))
		return parse_all_arguments(p, s);
	if (equal) {
		a.has_name = true;
		a.name = (struct span){s.at, (size_t)(equal - t)};
		a.body = (struct span){s.at + a.name.len + 1, s.len - a.name.len - 1};
		if (given_name(p, a.name))
			return -EINVAL;
	}
	if (a.body.len == 0)
		return refuse(p, a.body.at, 0, "what is to be fetched is missing");
	a.expr = a.body;
	colon = memchr(p->text + a.body.at, ':', a.body.len);
	if (colon) {
		a.has_type = true;
		a.expr.len = (size_t)(colon - p->text) - a.body.at;
		a.type = (struct span){a.expr.at + a.expr.len + 1, a.body.len - a.expr.len - 1};
	}
	return parse_one(p, &a, -1);
}

int parse_arguments(struct parse *p)
{
	for (; p->next < p->nwords; p->next++) {
		int r = parse_argument(p, p->words[p->next]);

		if (r)
			return r;
	}
	return 0;
}
