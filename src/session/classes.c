/* Event classes: one for all programs that describe an event equally.
 *
 * A class lives as long as a program has the event or a channel has an id for it.
 */
#include "session/session-impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void eclass_free(struct eclass *c)
{
	if (!c)
		return;
	free(c->key);
	free(c->desc_bytes);
	free(c);
}

static struct eclass *eclass_new(const struct ctf_desc *d, const struct buf *key)
{
	struct eclass *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->key = malloc(key->len);
	c->desc_bytes = malloc(d->d->size);
	if (!c->key || !c->desc_bytes) {
		eclass_free(c);
		return NULL;
	}
	memcpy(c->key, key->data, key->len);
	c->key_len = key->len;
	memcpy(c->desc_bytes, d->d, d->d->size);
	(void)ctf_desc_parse(c->desc_bytes, d->d->size, &c->d, NULL); /* it passed before */
	return c;
}

struct eclass *eclass_get(struct cairn_host *h, const struct ctf_desc *d)
{
	AUTO(buf) struct buf key = {0};
	struct eclass *c;

	ctf_desc_key(d, &key);
	if (key.err)
		return NULL;
	c = map_get(&h->classes, key.data, key.len);
	if (!c) {
		c = eclass_new(d, &key);
		if (!c || map_put(&h->classes, c->key, c->key_len, c) < 0) {
			eclass_free(c);
			return NULL;
		}
	}
	c->refs++;
	return c;
}

void eclass_unref(struct cairn_host *h, struct eclass *c)
{
	if (!c || --c->refs)
		return;
	(void)map_remove(&h->classes, c->key, c->key_len);
	eclass_free(c);
}

void desc_field_type(const struct ctf_desc *d, unsigned i, char *buf, size_t size)
{
	static const char *const names[] = {
		[CAIRN_KIND_UINT] = "uint",
		[CAIRN_KIND_INT] = "int",
		[CAIRN_KIND_BOOL] = "bool",
		[CAIRN_KIND_CHAR] = "char",
		[CAIRN_KIND_PTR] = "pointer",
		[CAIRN_KIND_ENUM] = "enum",
		[CAIRN_KIND_STR] = "string",
		[CAIRN_KIND_BYTES] = "bytes",
	};
	const struct cairn_field *f = d->fields[i].f;
	char scalar[32], form[16] = "";

	if (f->kind == CAIRN_KIND_UINT || f->kind == CAIRN_KIND_INT)
		(void)snprintf(scalar, sizeof(scalar), "%s%d", names[f->kind], f->width * 8);
	else if (f->kind == CAIRN_KIND_FLOAT)
		(void)snprintf(scalar, sizeof(scalar), "%s", f->width == 4 ? "float" : "double");
	else
		(void)snprintf(scalar, sizeof(scalar), "%s", names[f->kind]);
	if (f->form == CAIRN_FORM_ARRAY)
		(void)snprintf(form, sizeof(form), "[%u]", f->count);
	else if (f->form == CAIRN_FORM_SEQUENCE)
		(void)snprintf(form, sizeof(form), "[]");
	(void)snprintf(buf, size, "%s%s", scalar, form);
}
