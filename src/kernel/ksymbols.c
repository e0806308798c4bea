/* See ksymbols.h. */
#include "kernel/ksymbols.h"
#include "symbol/symbol.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES_MAX = 1 << 17 };

void ksymbols_done(struct ksymbols *s)
{
	free(s->slots);
	*s = (struct ksymbols){0};
}

/* ---- addresses ---- */

/* x86-64 has its code and its modules in the last 2 GiB; elsewhere all of the kernel's half is meant. */
static inline bool is_of_kernel(uint64_t v)
{
#ifdef __x86_64__
	return v >= 0xffffffff80000000u;
#else
	return v >> 48 == 0xffff;
#endif
}

static uint64_t *slot_of(uint64_t *slots, size_t cap, uint64_t v)
{
	size_t i = (size_t)(v * 0x9e3779b97f4a7c15u >> 32) & (cap - 1);

	while (slots[i] && slots[i] != v)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static bool grow(struct ksymbols *s)
{
	size_t cap = s->cap ? 2 * s->cap : 1024;
	uint64_t *slots = cap > 2 * ADDRESSES_MAX ? NULL : calloc(cap, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < s->cap; i++)
		if (s->slots[i])
			*slot_of(slots, cap, s->slots[i]) = s->slots[i];
	free(s->slots);
	s->slots = slots;
	s->cap = cap;
	return true;
}

static void add(struct ksymbols *s, uint64_t v)
{
	uint64_t *slot;

	if (2 * s->n >= s->cap && !grow(s)) {
		ksymbols_done(s);
		s->all = true;
		return;
	}
	slot = slot_of(s->slots, s->cap, v);
	s->n += *slot == 0;
	*slot = v;
}

enum { BLOCK = 64 };
typedef uint32_t four __attribute__((vector_size(16)));

/* No half word of the block is the upper half of an address of x86-64's code: most blocks of most pages. */
static inline bool is_boring(const uint8_t *data)
{
#ifdef __x86_64__
	const four upper = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
	uint64_t any[2];
	four w[BLOCK / sizeof(four)], found = {0};

	memcpy(w, data, sizeof(w));
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		found |= (four)(w[i] == upper);
	memcpy(any, &found, sizeof(any));
	return !(any[0] | any[1]);
#else
	(void)data;
	return false;
#endif
}

static void scan_words(struct ksymbols *s, const uint8_t *data, size_t len, size_t step)
{
	for (size_t at = 0; at + sizeof(uint64_t) <= len && !s->all; at += step) {
		uint64_t v;

		memcpy(&v, data + at, sizeof(v));
		if (__builtin_expect(is_of_kernel(v), 0) && v != UINT64_MAX)
			add(s, v);
	}
}

void ksymbols_scan(struct ksymbols *s, const uint8_t *data, size_t len, size_t step)
{
	size_t at = 0;

	if (step == 4) /* of the words that begin in a block, the upper halves are 4 behind */
		for (; at + BLOCK + 4 <= len; at += BLOCK)
			if (!is_boring(data + at + 4))
				scan_words(s, data + at, BLOCK + 4, step);
	scan_words(s, data + at, len - at, step);
}

/* ---- lines ---- */

enum { NOT_NEEDED, AS_BOUND, NEEDED };

struct line {
	uint64_t address; /* first: see first_above() */
	uint32_t at; /* in the text */
	bool is_function;
	uint8_t need;
};

struct lines {
	struct line *all; /* owned */
	size_t n, cap;
};

static int by_address(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int by_place(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static const char *line_end(const char *p, const char *end)
{
	const char *newline = memchr(p, '\n', (size_t)(end - p));

	return newline ? newline : end;
}

static int read_lines(struct lines *l, const char *text, size_t len)
{
	const char *end = text + len, *eol;

	for (const char *p = text; p < end; p = eol + 1) {
		struct kallsyms_line line;
		struct line *got;

		eol = line_end(p, end);
		if (!kallsyms_line(p, eol, &line) || !line.address || strchr("aA", line.type) ||
			line.name[0] == '$')
			continue;
		got = VEC_ADD(l->all, l->n, l->cap);
		if (!got)
			return -ENOMEM;
		*got = (struct line){line.address, (uint32_t)(p - text),
			kallsyms_is_function(&line), NOT_NEEDED};
	}
	if (l->n)
		qsort(l->all, l->n, sizeof(*l->all), by_address);
	return 0;
}

/* Those that the address is in, and the next behind them, of functions alone or of all. */
static void mark(struct lines *l, uint64_t address, bool functions)
{
	size_t lo = first_above(l->all, l->n, sizeof(*l->all), address), i;
	uint64_t begin;

	for (i = lo; i > 0 && functions && !l->all[i - 1].is_function;)
		i--;
	if (i == 0)
		return;
	begin = l->all[i - 1].address;
	for (; i > 0 && l->all[i - 1].address == begin; i--)
		if (!functions || l->all[i - 1].is_function)
			l->all[i - 1].need = NEEDED;
	while (lo < l->n && functions && !l->all[lo].is_function)
		lo++;
	if (lo < l->n && l->all[lo].need == NOT_NEEDED)
		l->all[lo].need = AS_BOUND;
}

static void put_line(struct buf *b, const struct line *line, const char *p, const char *eol)
{
	struct kallsyms_line l;

	if (line->need == NEEDED || !kallsyms_line(p, eol, &l)) {
		buf_add(b, p, (size_t)(eol - p));
	} else { /* what is behind the name stays: the module */
		buf_add(b, p, (size_t)(l.name - p));
		buf_str(b, "??");
		buf_add(b, l.name + l.name_len, (size_t)(eol - l.name) - l.name_len);
	}
	buf_char(b, '\n');
}

int ksymbols_lines(const struct ksymbols *s, const char *text, size_t len, struct buf *ret)
{
	struct lines l = {0};
	int err = 0;

	if (s->all || len > UINT32_MAX) {
		buf_add(ret, text, len);
		return ret->err;
	}
	if (s->n)
		err = read_lines(&l, text, len);
	for (size_t i = 0; err == 0 && i < s->cap; i++) {
		for (unsigned back = 0; s->slots[i] && back < 2;
			back++) { /* behind a call: one less */
			mark(&l, s->slots[i] - back, true);
			mark(&l, s->slots[i] - back, false);
		}
	}
	if (l.n)
		qsort(l.all, l.n, sizeof(*l.all), by_place);
	for (size_t i = 0; err == 0 && i < l.n; i++)
		if (l.all[i].need)
			put_line(ret, &l.all[i], text + l.all[i].at,
				line_end(text + l.all[i].at, text + len));
	free(l.all);
	return err ? err : ret->err;
}
