/* Events in the words of the kernel's user_events. See uevents.h. */
#include "uevents/uevents.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct text {
	char *at;
	size_t len; /* may be over UEVENTS_TEXT_MAX: then it did not fit */
};

static void add(struct text *t, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++, t->len++)
		if (t->len < UEVENTS_TEXT_MAX)
			t->at[t->len] = s[i];
}

/* An identifier of C, whatever the expression was: "p->len" is p_len. */
static void add_name(struct text *t, const char *name)
{
	bool gap = false;

	if (!*name || (*name >= '0' && *name <= '9'))
		add(t, "_", 1);
	for (; *name; name++) {
		bool word = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z') ||
			(*name >= '0' && *name <= '9') || *name == '_';

		if (word && gap)
			add(t, "_", 1);
		gap = !word;
		if (word)
			add(t, name, 1);
	}
}

static const char *type_of(const struct cairn_field *f)
{
	static const char *const types[2][4] = {
		{"u8", "u16", "u32", "u64"}, {"s8", "s16", "s32", "s64"}};
	bool is_signed = f->kind == CAIRN_KIND_INT ||
		(f->kind == CAIRN_KIND_ENUM && f->flags & CAIRN_FIELD_SIGNED);

	if (f->kind == CAIRN_KIND_CHAR || f->kind == CAIRN_KIND_STR)
		return "char";
	return types[is_signed][f->width == 8 ? 3 : f->width / 2];
}

static bool is_dynamic(const struct cairn_field *f)
{
	return f->form == CAIRN_FORM_SEQUENCE || f->kind == CAIRN_KIND_STR;
}

static uint32_t fixed_bytes(const struct cairn_field *f)
{
	return is_dynamic(f) ? 4 : f->form == CAIRN_FORM_ARRAY ? f->count * f->width : f->width;
}

static void add_field(struct text *t, const struct cairn_field *f, const char *name)
{
	char text[64];
	bool array = f->form == CAIRN_FORM_ARRAY && f->kind != CAIRN_KIND_STR;
	bool chars = array && f->kind == CAIRN_KIND_CHAR;
	int n;

	if (is_dynamic(f)) /* arrays of strings there are none */
		n = snprintf(text, sizeof(text), "__rel_loc %s[] ",
			f->kind == CAIRN_KIND_CHAR ? "u8" : type_of(f)); /* char: ends with a NUL */
	else if (chars)
		n = snprintf(text, sizeof(text), "char[%u] ", f->count);
	else if (array)
		n = snprintf(text, sizeof(text), "struct %s ",
			f->kind == CAIRN_KIND_BYTES ? "bytes" : "array");
	else
		n = snprintf(text, sizeof(text), "%s ", type_of(f));
	add(t, text, (size_t)n);
	add_name(t, name);
	if (array && !chars) {
		n = snprintf(text, sizeof(text), " %u", fixed_bytes(f));
		add(t, text, (size_t)n);
	}
}

static const char *next(const char *s)
{
	return s + strlen(s) + 1;
}

int uevents_text(const struct cairn_desc *d, char text[UEVENTS_TEXT_MAX], struct uevent *ret)
{
	const struct cairn_field *f = (const struct cairn_field *)(d + 1);
	const char *provider = (const char *)(f + d->nfields) + d->nlabels * sizeof(int64_t);
	const char *event = next(provider), *at = next(event);
	struct text t = {.at = text};

	ret->fixed_bytes = 0;
	ret->is_fixed = true;
	add_name(&t, provider);
	add(&t, "_", 1);
	add_name(&t, event);
	if (d->flags & CAIRN_DESC_LOG)
		at = next(at);
	at = next(next(at)); /* file, function */
	for (unsigned i = 0; i < d->nfields; i++) {
		add(&t, i ? "; " : " ", i ? 2 : 1);
		add_field(&t, &f[i], at);
		ret->fixed_bytes += fixed_bytes(&f[i]);
		ret->is_fixed &= !is_dynamic(&f[i]);
		at = next(at);
		for (unsigned l = 0; l < f[i].nlabels; l++)
			at = next(at);
	}
	if (t.len >= UEVENTS_TEXT_MAX)
		return -E2BIG;
	text[t.len] = '\0';
	return (int)t.len;
}
