/* Event descriptions as processes send them (layout: cairn/site.h): the one place that checks them.
 *
 * Whoever sends a description may be hostile, so nothing is read before it is known to lie inside
 * `len` bytes. After ctf_desc_parse() succeeded, these hold: all strings end inside the bytes;
 * provider, event, field names and labels are valid UTF-8 without control characters, at most
 * CTF_NAME_MAX bytes, provider and event not empty, provider without ':'; the format is valid UTF-8; file
 * and function may hold any bytes; kinds, forms and widths fit together; reserved bits are 0.
 */
#include "ctf/ctf.h"
#include <errno.h>
#include <string.h>

#define FLAGS_KNOWN (CAIRN_FIELD_SIGNED | CAIRN_FIELD_HEX)
#define LOGLEVEL_MAX 14
#define PADDING_MAX 16 /* zero bytes that a compiler may leave at the end of the struct */

struct cursor { /* the strings not read yet */
	const char *p, *end;
	struct error *e;
};

static int bad(struct error *e, const char *what)
{
	return error_set(e, -EPROTO, "event description: %s", what);
}

static size_t utf8_step(const unsigned char *s)
{
	unsigned char c = s[0], lo = 0x80, hi = 0xbf;
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (c == 0xe0)
		lo = 0xa0;
	else if (c == 0xed)
		hi = 0x9f;
	else if (c == 0xf0)
		lo = 0x90;
	else if (c == 0xf4)
		hi = 0x8f;
	for (size_t i = 1; i < n; i++, lo = 0x80, hi = 0xbf)
		if (s[i] < lo || s[i] > hi) /* the NUL ends it too */
			return 0;
	return n;
}

static bool is_text(const char *s, bool control_allowed)
{
	const unsigned char *u = (const unsigned char *)s;

	while (*u) {
		size_t n = utf8_step(u);

		if (n == 0 || (!control_allowed && (*u < 0x20 || *u == 0x7f)))
			return false;
		u += n;
	}
	return true;
}

static int take_string(struct cursor *c, const char **ret)
{
	const char *nul = memchr(c->p, '\0', (size_t)(c->end - c->p));

	if (!nul)
		return bad(c->e, "a string does not end");
	*ret = c->p;
	c->p = nul + 1;
	return 0;
}

static int take_name(struct cursor *c, const char **ret)
{
	int err = take_string(c, ret);

	if (err < 0)
		return err;
	if (strlen(*ret) > CTF_NAME_MAX)
		return bad(c->e, "a name is too long");
	if (!is_text(*ret, false))
		return bad(c->e, "a name is not printable UTF-8");
	return 0;
}

static int take_event_names(struct cursor *c, struct ctf_desc *d)
{
	int err = take_name(c, &d->provider);

	if (err == 0)
		err = take_name(c, &d->event);
	if (err == 0 && (!*d->provider || !*d->event))
		err = bad(c->e, "provider or event has no name");
	/* an event may have one: CAIRN_LOG names events "file.c:42"; readers split at the first */
	if (err == 0 && strchr(d->provider, ':'))
		err = bad(c->e, "the provider has a ':' in its name");
	if (err == 0 && d->d->flags & CAIRN_DESC_LOG) {
		err = take_string(c, &d->format);
		if (err == 0 && !is_text(d->format, true))
			err = bad(c->e, "the format is not UTF-8");
	}
	if (err == 0)
		err = take_string(c, &d->file);
	if (err == 0)
		err = take_string(c, &d->function);
	return err;
}

static bool width_fits(const struct cairn_field *f)
{
	bool integer = f->width == 1 || f->width == 2 || f->width == 4 || f->width == 8;

	switch (f->kind) {
	case CAIRN_KIND_UINT:
	case CAIRN_KIND_INT:
	case CAIRN_KIND_ENUM: return integer;
	case CAIRN_KIND_BOOL:
	case CAIRN_KIND_CHAR:
	case CAIRN_KIND_BYTES: return f->width == 1;
	case CAIRN_KIND_FLOAT: return f->width == 4 || f->width == 8;
	case CAIRN_KIND_PTR: return f->width == 8;
	case CAIRN_KIND_STR: return f->width <= 1;
	default: return false;
	}
}

static int check_field(const struct cairn_field *f, struct error *e)
{
	if (f->kind < CAIRN_KIND_UINT || f->kind > CAIRN_KIND_BYTES)
		return bad(e, "unknown kind of field");
	if (f->form > CAIRN_FORM_SEQUENCE)
		return bad(e, "unknown form of field");
	if (!width_fits(f))
		return bad(e, "width does not fit the kind of field");
	if (f->flags & ~FLAGS_KNOWN || f->reserved)
		return bad(e, "unknown flags of a field");
	if (f->kind == CAIRN_KIND_STR && f->form != CAIRN_FORM_ONE)
		return bad(e, "arrays of strings are not known");
	if (f->kind == CAIRN_KIND_BYTES && f->form == CAIRN_FORM_ONE)
		return bad(e, "a blob is an array or a sequence");
	if (f->form != CAIRN_FORM_ARRAY && f->count)
		return bad(e, "a count without an array");
	if (f->form == CAIRN_FORM_ARRAY && f->count > CAIRN_PAYLOAD_MAX / f->width)
		return bad(e, "size of an array");
	if (f->kind != CAIRN_KIND_ENUM && f->nlabels)
		return bad(e, "labels without an enum");
	return 0;
}

static int take_fields(struct cursor *c, const struct cairn_field *fields, const int64_t *values,
	struct ctf_desc *d)
{
	uint32_t labels = 0;
	const char *label;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < d->d->nfields; i++) {
		struct ctf_field *f = &d->fields[i];

		f->f = &fields[i];
		err = check_field(f->f, c->e);
		if (err == 0 && f->f->nlabels > d->d->nlabels - labels)
			err = bad(c->e, "more labels than it says");
		if (err == 0)
			err = take_name(c, &f->name);
		f->values = values + labels;
		f->labels = c->p;
		for (uint32_t l = 0; err == 0 && l < f->f->nlabels; l++)
			err = take_name(c, &label);
		labels += f->f->nlabels;
	}
	if (err == 0 && labels != d->d->nlabels)
		err = bad(c->e, "fewer labels than it says");
	return err;
}

static int check_head(const struct cairn_desc *d, size_t len, struct error *e)
{
	if (len < sizeof(*d) || d->size != len)
		return bad(e, "its size is not what was sent");
	if (len > CTF_DESC_MAX)
		return bad(e, "too large");
	if (d->abi != CAIRN_ABI)
		return bad(e, "of an unknown version");
	if (d->loglevel > LOGLEVEL_MAX)
		return bad(e, "unknown log level");
	if (d->flags & ~CAIRN_DESC_LOG)
		return bad(e, "unknown flags");
	if (d->nfields > CTF_MAX_FIELDS)
		return bad(e, "too many fields");
	if (len - sizeof(*d) <
		d->nfields * sizeof(struct cairn_field) + d->nlabels * sizeof(int64_t))
		return bad(e, "fields and labels do not fit its size");
	return 0;
}

static bool is_padding(const char *p, const char *end)
{
	if (end - p >= PADDING_MAX)
		return false;
	while (p < end && *p == '\0')
		p++;
	return p == end;
}

int ctf_desc_parse(const void *bytes, size_t len, struct ctf_desc *ret, struct error *e)
{
	const struct cairn_desc *d = bytes;
	const struct cairn_field *fields = (const void *)(d + 1);
	struct ctf_desc parsed = {.d = d};
	struct cursor c = {.end = (const char *)bytes + len, .e = e};
	int err;

	if ((uintptr_t)bytes % _Alignof(int64_t))
		return -EINVAL;
	err = check_head(d, len, e);
	if (err < 0)
		return err;
	c.p = (const char *)(fields + d->nfields) + d->nlabels * sizeof(int64_t);
	err = take_event_names(&c, &parsed);
	if (err == 0)
		err = take_fields(&c, fields, (const void *)(fields + d->nfields), &parsed);
	if (err == 0 && !is_padding(c.p, c.end))
		err = bad(e, "something follows its last string");
	if (err == 0)
		*ret = parsed;
	return err;
}

int ctf_desc_check(const void *bytes, size_t len, struct error *e)
{
	struct ctf_desc parsed;

	return ctf_desc_parse(bytes, len, &parsed, e);
}

void ctf_desc_key(const struct ctf_desc *desc, struct buf *key)
{
	const struct cairn_desc *d = desc->d;
	uint16_t head[] = {d->loglevel, d->flags, d->nfields, d->nlabels};

	buf_add(key, head, sizeof(head));
	buf_add(key, d + 1, d->nfields * sizeof(struct cairn_field) + d->nlabels * sizeof(int64_t));
	buf_add(key, desc->provider, strlen(desc->provider) + 1);
	buf_add(key, desc->event, strlen(desc->event) + 1);
	if (desc->format)
		buf_add(key, desc->format, strlen(desc->format) + 1);
	for (unsigned i = 0; i < d->nfields; i++) {
		const struct ctf_field *f = &desc->fields[i];
		const char *l = f->labels;

		buf_add(key, f->name, strlen(f->name) + 1);
		for (uint32_t n = 0; n < f->f->nlabels; n++, l += strlen(l) + 1)
			buf_add(key, l, strlen(l) + 1);
	}
}
