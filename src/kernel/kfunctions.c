/* The kernel's functions by address. See ksyms.h.
 *
 * A line of kallsyms is "ffffffff81000000 T name" or, of a module, "... t name	[module]".
 */
#include "kernel/kfunctions.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 128 << 20 };

struct symbol {
	uint64_t address;
	const char *name; /* in `text` */
};

struct kfunctions {
	struct buf text;
	struct symbol *all; /* owned; sorted by address */
	size_t n, cap;
};

static int by_address(const void *pa, const void *pb)
{
	const struct symbol *a = pa, *b = pb;

	return a->address < b->address ? -1 : a->address > b->address;
}

/* Cuts the text into lines and names; only functions are kept. */
static int parse(struct kfunctions *s)
{
	bool any = false;
	char *next;

	for (char *line = s->text.data; line && *line; line = next) {
		char *end, kind;
		uint64_t address = strtoull(line, &end, 16);
		struct symbol *sym;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (end == line || end[0] != ' ' || !end[1] || end[2] != ' ')
			continue;
		kind = end[1];
		any = any || address;
		if (!strchr("tTwW", kind))
			continue;
		sym = VEC_ADD(s->all, s->n, s->cap);
		if (!sym)
			return -ENOMEM;
		*sym = (struct symbol){address, end + 3};
		end[3 + strcspn(end + 3, " \t")] = '\0';
	}
	return any ? 0 : -EACCES;
}

int kfunctions_read(const char *path, struct kfunctions **ret, struct error *e)
{
	struct kfunctions *s = calloc(1, sizeof(*s));
	int err = s ? read_file(path ? path : "/proc/kallsyms", TEXT_MAX, &s->text) : -ENOMEM;

	if (err == 0)
		err = parse(s);
	if (err < 0) {
		kfunctions_free(s);
		return error_set(e, err, "cannot read the kernel's symbols: %s", strerror(-err));
	}
	qsort(s->all, s->n, sizeof(*s->all), by_address);
	*ret = s;
	return 0;
}

void kfunctions_free(struct kfunctions *s)
{
	if (!s)
		return;
	buf_done(&s->text);
	free(s->all);
	free(s);
}

const char *kfunctions_find(const struct kfunctions *s, uint64_t address, uint64_t *ret_offset)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->all[mid].address <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (!low)
		return NULL;
	*ret_offset = address - s->all[low - 1].address;
	return s->all[low - 1].name;
}
