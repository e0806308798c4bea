/* Names of numbers in print formats: found, looked up, replaced. See enums.h. */
#include "kernel/enums.h"
#include <bpf/btf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct value {
	int64_t v;
	bool is_known;
};

struct kenums {
	struct map names; /* -> struct value, owned */
};

struct kenums *kenums_new(void)
{
	return calloc(1, sizeof(struct kenums));
}

void kenums_free(struct kenums *k)
{
	void *v;

	if (!k)
		return;
	for (size_t i = 0; (v = map_next(&k->names, &i, NULL, NULL));)
		free(v);
	map_done(&k->names);
	free(k);
}

/* ---- names in a print format ---- */

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_';
}

/* The next word outside of strings that may name a number: not a member, not a function. */
static bool next_name(const char **at, const char *end, const char **ret, size_t *ret_n)
{
	const char *p = *at;

	while (p < end) {
		const char *begin = p;

		if (*p == '"') {
			for (p++; p < end && *p != '"'; p++)
				p += *p == '\\' && p + 1 < end;
			p += p < end;
			continue;
		}
		if (!is_word(*p)) {
			/* what is behind an arrow or a dot is a member */
			p += p + 1 < end && p[0] == '-' && p[1] == '>' ? 2 : 1;
			if (p > begin + 1 || *begin == '.')
				while (p < end && is_word(*p))
					p++;
			continue;
		}
		while (p < end && is_word(*p))
			p++;
		if ((*begin < 'A' || *begin > 'Z') && *begin != '_')
			continue;
		if ((p < end && *p == '(') || (p - begin == 3 && memcmp(begin, "REC", 3) == 0))
			continue; /* REC: the record itself */
		*at = p;
		*ret = begin;
		*ret_n = (size_t)(p - begin);
		return true;
	}
	*at = end;
	return false;
}

static const char *print_format(const char *format, size_t len)
{
	const char *p = memmem(format, len, "print fmt:", 10);

	return p ? p + 10 : format + len;
}

size_t kenums_note(struct kenums *k, const char *format, size_t len)
{
	const char *at = print_format(format, len), *name;
	size_t n, found = 0;

	while (next_name(&at, format + len, &name, &n)) {
		struct value *v;

		found++;
		if (map_get(&k->names, name, n))
			continue;
		v = calloc(1, sizeof(*v));
		if (!v || map_put(&k->names, name, n, v) < 0) {
			free(v); /* then it stays a name */
			break;
		}
	}
	return found;
}

bool kenums_replace(const struct kenums *k, const char *format, size_t len, struct buf *ret)
{
	const char *at = print_format(format, len), *name, *done = format;
	bool changed = false;
	size_t n;

	while (next_name(&at, format + len, &name, &n)) {
		const struct value *v = map_get(&k->names, name, n);

		if (!v || !v->is_known)
			continue;
		buf_add(ret, done, (size_t)(name - done));
		buf_printf(ret, v->v < 0 ? "(%" PRId64 ")" : "%" PRId64, v->v);
		done = name + n;
		changed = true;
	}
	buf_add(ret, done, (size_t)(format + len - done));
	return changed && !ret->err;
}

/* ---- values ---- */

static int learn(struct kenums *k, const char *name, int64_t value)
{
	struct value *v = name ? map_get(&k->names, name, strlen(name)) : NULL;

	if (!v || v->is_known)
		return 0;
	v->v = value;
	v->is_known = true;
	return 1;
}

static int learn_enum(struct kenums *k, const struct btf *b, const struct btf_type *t)
{
	bool is_signed = btf_kflag(t);
	int found = 0;

	for (unsigned i = 0; i < btf_vlen(t); i++) {
		if (btf_is_enum64(t)) {
			const struct btf_enum64 *e = btf_enum64(t) + i;

			found += learn(k, btf__name_by_offset(b, e->name_off),
				(int64_t)btf_enum64_value(e));
		} else {
			const struct btf_enum *e = btf_enum(t) + i;

			found += learn(k, btf__name_by_offset(b, e->name_off),
				is_signed ? e->val : (int64_t)(uint32_t)e->val);
		}
	}
	return found;
}

int kenums_load(struct kenums *k, const char *path)
{
	struct btf *b = btf__parse_raw(path);
	int found = 0;
	uint32_t n;

	if (!b)
		return errno ? -errno : -EINVAL;
	n = btf__type_cnt(b);
	for (uint32_t i = 1; i < n; i++) {
		const struct btf_type *t = btf__type_by_id(b, i);

		if (btf_is_any_enum(t))
			found += learn_enum(k, b, t);
	}
	btf__free(b);
	return found;
}
