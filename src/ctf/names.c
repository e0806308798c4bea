/* Field names of the trace, made from what programmers wrote.
 *
 * CAIRN(http, done, p->len, (int)x) gives the names "p->len" and "(int)x"; trace formats want
 * identifiers. Each run of other characters becomes one '_', none at the ends; nothing left gives
 * "field"; a leading digit gets "n" before it. A name that is taken gets a number: len, len_2. The
 * length of a sequence X is a field of its own, "_X_length", which no field may be called then.
 */
#include "ctf/ctf.h"
#include <stdio.h>
#include <string.h>

static bool is_ident(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_';
}

static void make_ident(const char *written, char *ret, size_t size)
{
	size_t n = 0;
	bool gap = false;

	for (const char *s = written; *s && n + 3 < size; s++) {
		if (!is_ident(*s)) {
			gap = true;
			continue;
		}
		if (gap && n && ret[n - 1] != '_')
			ret[n++] = '_';
		if (n == 0 && *s >= '0' && *s <= '9')
			ret[n++] = 'n';
		ret[n++] = *s;
		gap = false;
	}
	ret[n] = '\0';
	if (n == 0)
		(void)snprintf(ret, size, "field"); /* fits */
}

/* Whether `name` is a field before i, or the length of a sequence anywhere. */
static bool is_taken(
	const struct ctf_desc *d, const struct ctf_names *names, unsigned i, const char *name)
{
	char length[sizeof(names->name[0]) + 16];

	for (unsigned k = 0; k < i; k++) {
		if (strcmp(names->name[k], name) == 0)
			return true;
		(void)snprintf(length, sizeof(length), "_%s_length", names->name[k]);
		if (d->fields[k].f->form == CAIRN_FORM_SEQUENCE && strcmp(length, name) == 0)
			return true;
		(void)snprintf(length, sizeof(length), "_%s_length", name);
		if (d->fields[i].f->form == CAIRN_FORM_SEQUENCE &&
			strcmp(length, names->name[k]) == 0)
			return true;
	}
	return false;
}

void ctf_field_names(const struct ctf_desc *desc, struct ctf_names *ret)
{
	char base[CTF_NAME_MAX];

	for (unsigned i = 0; i < desc->d->nfields; i++) {
		char *name = ret->name[i];

		make_ident(desc->fields[i].name, base, sizeof(base));
		(void)snprintf(name, sizeof(ret->name[i]), "%s", base); /* base is shorter */
		for (unsigned n = 2; is_taken(desc, ret, i, name); n++)
			(void)snprintf(name, sizeof(ret->name[i]), "%s_%u", base, n);
	}
}
