/* The kernel's functions by address. Its text has a line for each symbol, not always in order:
 *
 *	ffffffff81234560 t name	[module]
 *
 * A function ends where the next begins. The last one of the kernel or of a module has no next that
 * says so: it is given LAST_MAX bytes at most, so that a module that came later is not named after it.
 */
#include "symbol/symbol.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LAST_MAX (64u << 10)

struct entry {
	uint64_t begin;
	uint32_t name, module; /* in text; module 0: none */
};

struct kallsyms {
	char *text; /* owned */
	struct entry *all; /* owned, by address */
	size_t n, cap;
};

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool kallsyms_line(const char *p, const char *end, struct kallsyms_line *ret)
{
	const char *at = p;

	*ret = (struct kallsyms_line){0};
	while (at < end && hex(*at) >= 0 && at - p < 16)
		ret->address = ret->address << 4 | (uint64_t)hex(*at++);
	if (at == p || end - at < 4 || at[0] != ' ' || at[2] != ' ')
		return false;
	ret->type = at[1];
	ret->name = at += 3;
	while (at < end && *at != '\t' && *at != ' ')
		at++;
	ret->name_len = (size_t)(at - ret->name);
	while (at < end && (*at == '\t' || *at == ' '))
		at++;
	if (at < end && *at == '[' && end[-1] == ']') {
		ret->module = at + 1;
		ret->module_len = (size_t)(end - at) - 2;
	}
	return ret->name_len > 0;
}

bool kallsyms_is_function(const struct kallsyms_line *l)
{
	return strchr("tTwW", l->type) != NULL && l->type;
}

static int by_address(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->begin != y->begin)
		return x->begin < y->begin ? -1 : 1;
	return x->name < y->name ? -1 : x->name > y->name; /* as in the text */
}

static int read_lines(struct kallsyms *k, size_t len, size_t *ret_zero)
{
	char *end = k->text + len, *next;
	struct kallsyms_line l;

	for (char *p = k->text; p < end; p = next) {
		char *eol = memchr(p, '\n', (size_t)(end - p));
		struct entry *e;

		eol = eol ? eol : end;
		next = eol + 1;
		if (!kallsyms_line(p, eol, &l) || !kallsyms_is_function(&l))
			continue;
		if (!l.address) {
			++*ret_zero;
			continue;
		}
		e = VEC_ADD(k->all, k->n, k->cap);
		if (!e)
			return -ENOMEM;
		e->begin = l.address;
		e->name = (uint32_t)(l.name - k->text);
		e->module = l.module ? (uint32_t)(l.module - k->text) : 0;
		k->text[e->name + l.name_len] = 0;
		if (l.module)
			k->text[e->module + l.module_len] = 0;
	}
	return 0;
}

int kallsyms_parse(const char *text, size_t len, struct kallsyms **ret, struct error *e)
{
	struct kallsyms *k = calloc(1, sizeof(*k));
	size_t zero = 0;
	int err = -ENOMEM;

	if (len > UINT32_MAX / 2) {
		free(k);
		return error_set(e, -ENODATA, "kallsyms is too large");
	}
	if (k)
		k->text = malloc(len + 1);
	if (k && k->text) {
		memcpy(k->text, text, len);
		k->text[len] = 0;
		err = read_lines(k, len, &zero);
	}
	if (err == 0 && !k->n)
		err = zero ? -EACCES : -ENODATA;
	if (err < 0) {
		kallsyms_free(k);
		return error_set(e, err, "%s",
			err == -EACCES		  ? "kallsyms hides all addresses (kptr_restrict)"
				: err == -ENODATA ? "kallsyms names no function"
						  : "no memory for kallsyms");
	}
	qsort(k->all, k->n, sizeof(*k->all), by_address);
	*ret = k;
	return 0;
}

void kallsyms_free(struct kallsyms *k)
{
	if (!k)
		return;
	free(k->all);
	free(k->text);
	free(k);
}

static bool same_module(const struct kallsyms *k, const struct entry *a, const struct entry *b)
{
	return strcmp(a->module ? k->text + a->module : "", b->module ? k->text + b->module : "") ==
		0;
}

bool kallsyms_find(const struct kallsyms *k, uint64_t address, struct kfunction *ret)
{
	size_t next = first_above(k->all, k->n, sizeof(*k->all), address), lo;
	const struct entry *e;
	uint64_t end;

	if (!next)
		return false;
	lo = next - 1;
	while (lo > 0 && k->all[lo - 1].begin == k->all[lo].begin)
		lo--; /* of several names the first */
	e = &k->all[lo];
	end = next < k->n ? k->all[next].begin : UINT64_MAX;
	if ((next >= k->n || !same_module(k, e, &k->all[next])) && end - e->begin > LAST_MAX)
		end = e->begin + LAST_MAX;
	if (address >= end || k->text[e->name] == '?') /* nameless: see kernel/ksymbols.h */
		return false;
	*ret = (struct kfunction){.name = k->text + e->name,
		.module = e->module ? k->text + e->module : NULL,
		.begin = e->begin,
		.size = end - e->begin};
	return true;
}
