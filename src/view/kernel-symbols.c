/* Addresses to functions, from the text of kallsyms. Where several names have one address, the choice
 * is that of libtraceevent: a stable sort of the lines from the last to the first, and a bisection. */
#include "view/kernel-text-impl.h"

#include <stdlib.h>

static int by_address(const void *a, const void *b)
{
	const struct ksymbol *x = a, *y = b;

	if (x->addr != y->addr)
		return x->addr < y->addr ? -1 : 1;
	return x->name > y->name ? -1 : x->name < y->name; /* the later line first */
}

/* As strtoull() in base 16, which the kernel's plain digits do not need: there are 100,000 lines. */
static uint64_t take_address(char *line, char **ret_end)
{
	uint64_t v = 0;
	char *p = line;

	for (; p < line + 16; p++) {
		if (*p >= '0' && *p <= '9')
			v = v << 4 | (uint64_t)(*p - '0');
		else if (*p >= 'a' && *p <= 'f')
			v = v << 4 | (uint64_t)(*p - 'a' + 10);
		else
			break;
	}
	*ret_end = p;
	return p > line && *p == ' ' ? v : strtoull(line, ret_end, 16);
}

/* "ffffffff81000000 T name\t[module]" */
static void take_line(struct kernel_text *k, char *line)
{
	struct ksymbol *s;
	char *p, type;
	uint64_t addr = take_address(line, &p);

	if (p == line || *p != ' ' || !p[1] || p[2] != ' ' || !p[3])
		return;
	type = p[1];
	p += 3;
	if (*p == '$' || type == 'A' || type == 'a')
		return; /* no functions: as trace-cmd has it */
	p[strcspn(p, "\t\n ")] = '\0';
	s = VEC_ADD(k->symbols, k->nsymbols, k->symbols_cap);
	if (s)
		*s = (struct ksymbol){addr, p};
}

/* The kernel's text is nearly always in the order of addresses: then only equal ones change their places. */
static void sort(struct kernel_text *k)
{
	struct ksymbol *s = k->symbols;
	size_t n = k->nsymbols, end;

	for (size_t i = 1; i < n; i++) {
		if (s[i].addr < s[i - 1].addr) {
			qsort(s, n, sizeof(*s), by_address);
			return;
		}
	}
	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n && s[end].addr == s[i].addr;)
			end++;
		for (size_t a = i, b = end - 1; a < b; a++, b--) {
			struct ksymbol x = s[a];

			s[a] = s[b];
			s[b] = x;
		}
	}
}

static void load(struct kernel_text *k)
{
	char *p, *next;

	k->has_symbols = true;
	if (!k->o.symbols || k->o.symbols(k->o.arg, &k->symbol_text) < 0 || !k->symbol_text.data)
		return;
	for (p = k->symbol_text.data; *p; p = next) {
		char *newline = strchr(p, '\n');

		next = newline ? newline + 1 : p + strlen(p);
		if (newline)
			*newline = '\0';
		take_line(k, p);
	}
	sort(k);
}

/* Whether an address is in symbol i: the last one holds only its own address. */
static int compare(const struct kernel_text *k, uint64_t addr, size_t i)
{
	if (addr < k->symbols[i].addr)
		return -1;
	if (addr > k->symbols[i].addr && (i + 1 == k->nsymbols || addr >= k->symbols[i + 1].addr))
		return 1;
	return 0;
}

/* The symbol that holds an address; nsymbols: none. */
static size_t search(struct kernel_text *k, uint64_t addr)
{
	size_t low = 0, high;

	for (high = k->nsymbols; low < high;) {
		size_t middle = (low + high) / 2;
		int c = compare(k, addr, middle);

		if (c == 0)
			return *k->symbols[middle].name == '?' ? k->nsymbols
							       : middle; /* nameless */
		if (c < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return k->nsymbols;
}

/* The same; what was looked up before is remembered. */
static size_t find(struct kernel_text *k, uint64_t addr)
{
	struct kfound *f;

	if (!k->has_symbols) {
		load(k);
		k->found = calloc(KERNEL_FOUND, sizeof(*k->found));
	}
	if (!k->found)
		return search(k, addr);
	f = &k->found[(addr ^ addr >> 11) % KERNEL_FOUND];
	if (f->addr != addr || !addr)
		*f = (struct kfound){addr, search(k, addr)};
	return f->symbol;
}

const char *kernel_text_function(struct kernel_text *k, uint64_t addr, uint64_t *ret_begin)
{
	size_t i = find(k, addr);

	if (i == k->nsymbols)
		return NULL;
	*ret_begin = k->symbols[i].addr;
	return k->symbols[i].name;
}

const char *kernel_text_symbol(
	struct kernel_text *k, uint64_t addr, uint64_t *ret_begin, uint64_t *ret_size)
{
	size_t i = find(k, addr);

	if (i == k->nsymbols)
		return NULL;
	/* the last of equal ones is the first line; then comes the next function */
	while (i + 1 < k->nsymbols && k->symbols[i + 1].addr == k->symbols[i].addr)
		i++;
	*ret_begin = k->symbols[i].addr;
	*ret_size = i + 1 < k->nsymbols ? k->symbols[i + 1].addr - *ret_begin : 0;
	return k->symbols[i].name;
}
