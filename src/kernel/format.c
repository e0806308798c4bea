/* Parses `format` files. The file's lines are read in order; what is not known is passed over, so
 * that kernels with more lines are read too. */
#include "kernel/format.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct span { /* text not owned */
	const char *s;
	size_t n;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static struct span trim(struct span t)
{
	while (t.n && is_space(t.s[0]))
		t.s++, t.n--;
	while (t.n && is_space(t.s[t.n - 1]))
		t.n--;
	return t;
}

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || (unsigned char)c >= 0x80;
}

/* Takes `word` off the front. */
static bool take(struct span *t, const char *word)
{
	size_t n = strlen(word);

	if (t->n < n || memcmp(t->s, word, n) != 0)
		return false;
	t->s += n;
	t->n -= n;
	return true;
}

static bool same(struct span t, const char *word)
{
	return t.n == strlen(word) && memcmp(t.s, word, t.n) == 0;
}

/* Takes a decimal number off the front. */
static bool take_number(struct span *t, uint32_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	*t = trim(*t);
	for (; n < t->n && t->s[n] >= '0' && t->s[n] <= '9'; n++) {
		v = v * 10 + (uint64_t)(t->s[n] - '0');
		if (v > UINT32_MAX)
			return false;
	}
	t->s += n;
	t->n -= n;
	*ret = (uint32_t)v;
	return n > 0;
}

/* ---- declarations ---- */

/* Bytes of an element of a dynamic array: the one thing that only the C text says. 0: not known. */
static uint32_t size_of(struct span type, unsigned long_size)
{
	static const struct {
		const char *name;
		uint8_t size; /* 0: of a long */
	} known[] = {
		{"char", 1},
		{"unsigned char", 1},
		{"signed char", 1},
		{"u8", 1},
		{"s8", 1},
		{"__u8", 1},
		{"__s8", 1},
		{"uint8_t", 1},
		{"int8_t", 1},
		{"bool", 1},
		{"short", 2},
		{"unsigned short", 2},
		{"u16", 2},
		{"s16", 2},
		{"__u16", 2},
		{"__s16", 2},
		{"__le16", 2},
		{"__be16", 2},
		{"uint16_t", 2},
		{"int16_t", 2},
		{"int", 4},
		{"unsigned int", 4},
		{"unsigned", 4},
		{"u32", 4},
		{"s32", 4},
		{"__u32", 4},
		{"__s32", 4},
		{"__le32", 4},
		{"__be32", 4},
		{"uint32_t", 4},
		{"int32_t", 4},
		{"pid_t", 4},
		{"long long", 8},
		{"unsigned long long", 8},
		{"u64", 8},
		{"s64", 8},
		{"__u64", 8},
		{"__s64", 8},
		{"__le64", 8},
		{"__be64", 8},
		{"uint64_t", 8},
		{"int64_t", 8},
		{"long", 0},
		{"unsigned long", 0},
		{"size_t", 0},
		{"cpumask_t", 0},
		{"cpumask_t *", 0},
		{"cpumask", 0},
		{"unsigned long *", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (same(type, known[i].name))
			return known[i].size ? known[i].size : long_size;
	return type.n && type.s[type.n - 1] == '*' ? long_size : 0;
}

static bool is_number_size(uint32_t n)
{
	return n == 1 || n == 2 || n == 4 || n == 8;
}

static enum kfield_kind kind_of(struct span type, bool array)
{
	if (type.n >= 7 && memcmp(type.s, "cpumask", 7) == 0)
		return KFIELD_CPUMASK;
	if (type.n && type.s[type.n - 1] == '*')
		return KFIELD_PTR;
	if (same(type, "bool") || same(type, "_Bool"))
		return KFIELD_BOOL;
	if (array && (same(type, "char") || same(type, "const char")))
		return KFIELD_CHAR;
	return KFIELD_INT;
}

/* "T name", "T name[N]", "T[] name": cuts it; *ret_count: N, or 0. */
struct declaration {
	struct span type, name;
	enum kfield_form form;
	bool brackets;
	uint32_t count; /* product of the numbers in the brackets; 0: none, or no numbers */
};

/* Takes "[...]"s off the end. */
static void cut_brackets(struct span *t, struct declaration *d)
{
	uint32_t n;

	while (t->n && t->s[t->n - 1] == ']') {
		size_t at = t->n - 1;
		struct span inner;

		while (at && t->s[at] != '[')
			at--;
		inner = (struct span){t->s + at + 1, t->n - at - 2};
		d->count = take_number(&inner, &n) && trim(inner).n == 0 && n < 65536
			? (d->brackets ? d->count : 1) * n
			: 0;
		d->brackets = true;
		t->n = at;
		*t = trim(*t);
	}
}

static bool cut(struct span t, struct declaration *d)
{
	size_t n = 0;

	t = trim(t);
	*d = (struct declaration){.form = KFIELD_SCALAR};
	if (take(&t, "__data_loc "))
		d->form = KFIELD_DATA_LOC;
	else if (take(&t, "__rel_loc "))
		d->form = KFIELD_REL_LOC;
	cut_brackets(&t, d);
	while (n < t.n && is_word(t.s[t.n - 1 - n]))
		n++;
	if (!n)
		return false;
	d->name = (struct span){t.s + t.n - n, n};
	d->type = trim((struct span){t.s, t.n - n});
	if (d->form != KFIELD_SCALAR)
		cut_brackets(&d->type, d);
	return true;
}

/* ---- fields ---- */

/* form, kind, elem and count of a field whose numbers are known. */
static void classify(struct kfield *f, const struct declaration *d, unsigned long_size)
{
	uint32_t by_text = size_of(d->type, long_size);

	f->form = d->form;
	f->kind = kind_of(d->type, d->brackets);
	if (f->form != KFIELD_SCALAR) {
		f->elem = f->kind == KFIELD_CPUMASK ? long_size : by_text;
	} else if (!d->brackets && is_number_size(f->size)) {
		f->elem = f->size;
		f->count = 1;
		if (f->kind == KFIELD_CPUMASK || (f->kind == KFIELD_BOOL && f->size != 1) ||
			(f->kind == KFIELD_PTR && f->size != long_size))
			f->kind = KFIELD_INT;
		return;
	} else if (f->size == 0 && d->brackets) {
		f->form = KFIELD_REST;
		f->elem = by_text;
	} else {
		f->form = KFIELD_ARRAY;
		f->elem = d->brackets && d->count && f->size % d->count == 0 ? f->size / d->count
									     : by_text;
		if (f->elem == 0 || f->size % f->elem != 0)
			f->elem = 0;
	}
	if (!is_number_size(f->elem)) {
		f->elem = 1;
		f->kind = KFIELD_BYTES;
	}
	if (f->elem != 1 && (f->kind == KFIELD_CHAR || f->kind == KFIELD_BOOL))
		f->kind = KFIELD_INT;
	if (f->form == KFIELD_ARRAY)
		f->count = f->size / f->elem;
}

static const char *keep(struct kformat *f, struct span t)
{
	return arena_strndup(&f->arena, t.s, t.n);
}

static bool take_numbers(struct span t, struct kfield *f)
{
	uint32_t sign = 0;

	t = trim(t);
	if (!take(&t, "offset:") || !take_number(&t, &f->offset) || !take(&t, ";"))
		return false;
	t = trim(t);
	if (!take(&t, "size:") || !take_number(&t, &f->size) || !take(&t, ";"))
		return false;
	t = trim(t);
	if (take(&t, "signed:") && !take_number(&t, &sign)) /* old kernels say none */
		return false;
	f->is_signed = sign != 0;
	return f->offset < 1u << 16 && f->size < 1u << 16;
}

/* "__data_loc char[][2] s" of a probe has so many places: fields s_0, s_1. text: the declaration. */
static int split_texts(struct kformat *f, const struct declaration *d, struct span text,
	unsigned long_size, struct error *e)
{
	struct kfield whole = f->fields[--f->nfields];
	const char *at = memmem(text.s, text.n, "][", 2);
	struct span rest = {at ? at + 2 : "", at ? (size_t)(text.s + text.n - at) - 2 : 0};
	char name[128];
	uint32_t n;

	if (!take_number(&rest, &n) || n > KFORMAT_MAX_FIELDS || whole.size != n * 4)
		return error_set(e, -EPROTO, "field '%s': a __data_loc of %u bytes, not 4",
			whole.name, whole.size);
	for (uint32_t i = 0; i < n; i++) {
		struct kfield *k = f->nfields < KFORMAT_MAX_FIELDS
			? VEC_ADD(f->fields, f->nfields, f->fields_cap)
			: NULL;

		if (!k)
			return error_set(e, -ENOMEM, "no memory for a field, or too many");
		*k = whole;
		k->offset += 4 * i;
		k->size = 4;
		(void)snprintf(
			name, sizeof(name), "%.100s_%u", whole.name, i); /* a cut one is fine */
		k->name = keep(f, (struct span){name, strlen(name)});
		if (!k->name)
			return error_set(e, -ENOMEM, "no memory for a field");
		classify(k, d, long_size);
		f->fixed_size = MAX(f->fixed_size, k->offset + k->size);
	}
	return 0;
}

static int add_field(struct kformat *f, struct span t, unsigned long_size, struct error *e)
{
	const char *semicolon = memchr(t.s, ';', t.n);
	struct span whole = t;
	struct declaration d;
	struct kfield *k;

	if (f->nfields >= KFORMAT_MAX_FIELDS)
		return error_set(e, -EPROTO, "more than %d fields", KFORMAT_MAX_FIELDS);
	k = VEC_ADD(f->fields, f->nfields, f->fields_cap);
	if (!k)
		return error_set(e, -ENOMEM, "no memory for a field");
	if (!semicolon || !cut((struct span){t.s, (size_t)(semicolon - t.s)}, &d))
		return error_set(e, -EPROTO, "a field without a name");
	t = (struct span){semicolon + 1, (size_t)(t.s + t.n - semicolon - 1)};
	if (!take_numbers(t, k))
		return error_set(e, -EPROTO,
			"expected \"offset:N; size:N; signed:N;\" after field '%.*s'",
			(int)MIN(d.name.n, 64), d.name.s);
	k->name = keep(f, d.name);
	k->type = keep(f, d.type);
	if (!k->name || !k->type)
		return error_set(e, -ENOMEM, "no memory for a field");
	classify(k, &d, long_size);
	if (d.form != KFIELD_SCALAR && k->size != 4)
		return split_texts(f, &d, whole, long_size, e);
	if (f->ncommon + 1 == f->nfields && strncmp(k->name, "common_", 7) == 0)
		f->ncommon++;
	f->fixed_size = MAX(f->fixed_size, k->offset + k->size);
	return 0;
}

/* ---- the file ---- */

struct lines {
	struct kformat *f;
	unsigned long_size;
	bool has_id;
};

static int take_line(struct lines *l, struct span t, struct error *e)
{
	struct kformat *f = l->f;

	if (take(&t, "name:")) {
		f->name = keep(f, trim(t));
		return f->name ? 0 : error_set(e, -ENOMEM, "no memory for a format");
	}
	if (take(&t, "ID:")) {
		l->has_id = take_number(&t, &f->id);
		return l->has_id ? 0 : error_set(e, -EPROTO, "\"ID:\" without a number");
	}
	t = trim(t);
	if (take(&t, "field:"))
		return add_field(f, t, l->long_size, e);
	return 0;
}

/* The print format may have newlines in its strings: it is the rest of the text. */
static int take_print(struct kformat *f, struct span rest, struct error *e)
{
	while (rest.n && rest.s[rest.n - 1] == '\n')
		rest.n--;
	f->print_fmt = keep(f, trim(rest));
	return f->print_fmt ? 0 : error_set(e, -ENOMEM, "no memory for a format");
}

/* Entries of stacks are as many as were taken, whatever the declaration says. */
static void adjust(struct kformat *f)
{
	struct kfield *last = f->nfields ? &f->fields[f->nfields - 1] : NULL;

	if (last && strcmp(f->system, "ftrace") == 0 && strcmp(f->name, "kernel_stack") == 0 &&
		last->form == KFIELD_ARRAY) {
		last->form = KFIELD_REST;
		last->count = 0;
		f->fixed_size = last->offset;
	}
}

static int parse(struct lines *l, struct span text, struct error *e)
{
	unsigned line = 1;
	int err = 0;

	for (; text.n && err == 0; line++) {
		const char *newline = memchr(text.s, '\n', text.n);
		size_t n = newline ? (size_t)(newline - text.s) : text.n;
		struct span t = {text.s, n};

		if (take(&t, "print fmt:")) {
			err = take_print(l->f, (struct span){t.s, text.n - 10}, e);
			break;
		}
		err = take_line(l, t, e);
		n += newline ? 1 : 0;
		text.s += n;
		text.n -= n;
	}
	if (err < 0)
		error_where(e, "line %u", line);
	else if (!l->f->name || !l->has_id)
		err = error_set(e, -EPROTO, "no \"name:\" or no \"ID:\"");
	return err;
}

int kformat_parse(const char *text, size_t len, const char *system, unsigned long_size,
	struct kformat **ret, struct error *e)
{
	struct kformat *f;
	struct lines l = {.long_size = long_size};
	int err;

	if (len > KFORMAT_MAX_TEXT)
		return error_set(e, -EPROTO, "a format of more than %u bytes", KFORMAT_MAX_TEXT);
	f = calloc(1, sizeof(*f));
	if (!f)
		return error_set(e, -ENOMEM, "no memory for a format");
	l.f = f;
	f->print_fmt = "";
	f->system = arena_strndup(&f->arena, system, strlen(system));
	err = f->system ? parse(&l, (struct span){text, len}, e)
			: error_set(e, -ENOMEM, "no memory for a format");
	if (err < 0) {
		kformat_free(f);
		return err;
	}
	adjust(f);
	*ret = f;
	return 0;
}

void kformat_free(struct kformat *f)
{
	if (!f)
		return;
	free(f->fields);
	arena_done(&f->arena);
	free(f);
}

bool kformat_prints_symbols(const struct kformat *f)
{
	static const char *const specs[] = {"%ps", "%pS", "%pF", "%pf"};

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		if (strstr(f->print_fmt, specs[i]))
			return true;
	/* of probes it says "%lx", and the kernel prints names all the same */
	return strcmp(f->system, "uprobes") != 0 &&
		(kformat_field(f, "__probe_ip") || kformat_field(f, "__probe_func"));
}

bool kfield_is_common(const struct kfield *f)
{
	static const char *const names[] = {
		"common_type", "common_flags", "common_preempt_count", "common_pid"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(f->name, names[i]) == 0)
			return true;
	return false;
}

const struct kfield *kformat_field(const struct kformat *f, const char *name)
{
	for (size_t i = 0; i < f->nfields; i++)
		if (strcmp(f->fields[i].name, name) == 0)
			return &f->fields[i];
	return NULL;
}
