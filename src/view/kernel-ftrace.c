/* ftrace's own events as trace-cmd report prints them: stacks, and function graphs. */
#include "view/kernel-text-impl.h"

enum { INDENT = 2 };

static bool offset_of(const struct tep_event *e, const char *name, uint32_t size, uint32_t *ret)
{
	const struct tep_format_field *f =
		tep_find_any_field((struct tep_event *)(uintptr_t)e, name);

	if (!f || f->offset < 0 || (size && (uint32_t)f->size != size))
		return false;
	*ret = (uint32_t)f->offset;
	return true;
}

static void put_function(struct kernel_text *k, uint64_t addr, const char *unknown)
{
	uint64_t begin;
	const char *name = kernel_text_function(k, addr, &begin);

	if (name)
		kline_safe(k, name, strlen(name));
	else
		kline_printf(k, "%s%llx", unknown, (unsigned long long)addr);
}

static void stack(
	struct kernel_text *k, struct kernel_text_event *e, const uint8_t *record, size_t n)
{
	unsigned size = k->o.long_size;
	uint64_t end = size == 8 ? UINT64_MAX : UINT32_MAX;

	kline_put(k, "<stack trace >", 14);
	for (size_t at = e->offsets[0]; at + size <= n; at += size) {
		uint64_t addr = kernel_load(k, record + at, size), begin;
		const char *name;

		if (addr == end)
			break;
		name = kernel_text_function(k, addr, &begin);
		kline_put(k, "\n=> ", 4);
		if (name) {
			kline_safe(k, name, strlen(name));
			kline_printf(k, " (%llx)", (unsigned long long)addr);
		} else
			kline_printf(k, "%llx", (unsigned long long)addr);
	}
}

static void indent(struct kernel_text *k, uint64_t depth)
{
	kline_printf(k, "%*s", (int)(MIN(depth, 1000u) * INDENT), "");
}

static void graph_entry(
	struct kernel_text *k, struct kernel_text_event *e, const uint8_t *record, size_t n)
{
	uint64_t func, depth;

	if (e->offsets[0] + k->o.long_size > n || e->offsets[1] + 4 > n)
		return;
	func = kernel_load(k, record + e->offsets[0], k->o.long_size);
	depth = kernel_load(k, record + e->offsets[1], 4);
	kline_put(k, "             |  ", 16);
	indent(k, depth);
	put_function(k, func, "");
	kline_put(k, "() {", 4);
}

/* "+ 12.345 us  |  " */
static void duration(struct kernel_text *k, uint64_t ns)
{
	char text[40];
	int n;

	kline_put(k,
		ns > 1000000000	       ? "$ "
			: ns > 1000000 ? "# "
			: ns > 100000  ? "! "
			: ns > 10000   ? "+ "
				       : "  ",
		2);
	n = snprintf(text, sizeof(text), "%llu", (unsigned long long)(ns / 1000));
	if (n < 7)
		n += snprintf(text + n, (size_t)MIN(5, 8 - n), ".%03llu",
			(unsigned long long)(ns % 1000));
	n = (int)strlen(text);
	kline_put(k, text, (size_t)n);
	kline_put(k, " us ", 4);
	for (; n < 7; n++)
		kline_put(k, " ", 1);
	kline_put(k, "|  ", 3);
}

static void graph_exit(
	struct kernel_text *k, struct kernel_text_event *e, const uint8_t *record, size_t n)
{
	if (e->offsets[0] + 8 > n || e->offsets[1] + 8 > n || e->offsets[2] + 4 > n)
		return;
	duration(k,
		kernel_load(k, record + e->offsets[1], 8) -
			kernel_load(k, record + e->offsets[0], 8));
	indent(k, kernel_load(k, record + e->offsets[2], 4));
	kline_put(k, "}", 1);
}

void kernel_ftrace_take(struct kernel_text *k, struct kernel_text_event *e)
{
	const struct tep_event *t = e->tep;
	uint32_t long_size = k->o.long_size;

	if (strcmp(t->system, "ftrace") != 0)
		return;
	if (strcmp(t->name, "kernel_stack") == 0 && offset_of(t, "caller", 0, &e->offsets[0]))
		e->by_hand = stack;
	if (strcmp(t->name, "funcgraph_entry") == 0 &&
		offset_of(t, "func", long_size, &e->offsets[0]) &&
		offset_of(t, "depth", 4, &e->offsets[1]))
		e->by_hand = graph_entry;
	if (strcmp(t->name, "funcgraph_exit") == 0 && offset_of(t, "calltime", 8, &e->offsets[0]) &&
		offset_of(t, "rettime", 8, &e->offsets[1]) &&
		offset_of(t, "depth", 4, &e->offsets[2]))
		e->by_hand = graph_exit;
}
