/* ftrace's own events as trace-cmd report prints them: stacks, and function graphs. A call that calls
 * nothing is one line, of its entry and the return behind it. */
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
		(void)snprintf(text + n, sizeof(text) - (size_t)n, ".%03llu",
			(unsigned long long)(ns % 1000)); /* fits */
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

enum kernel_graph kernel_text_graph(const struct kernel_text_event *e)
{
	return e->by_hand == graph_entry   ? KERNEL_GRAPH_ENTRY
		: e->by_hand == graph_exit ? KERNEL_GRAPH_EXIT
					   : KERNEL_GRAPH_NONE;
}

static bool is_whole(const struct kernel_text *k, const struct kernel_record *r)
{
	const uint32_t *at = r->event->offsets;

	if (r->n < 8 || r->event->by_hand == graph_entry)
		return r->n >= 8 && at[0] + k->o.long_size <= r->n && at[1] + 4 <= r->n;
	return at[0] + 8 <= r->n && at[1] + 8 <= r->n && at[3] + k->o.long_size <= r->n;
}

const char *kernel_text_leaf(struct kernel_text *k, const struct kernel_record *entry,
	const struct kernel_record *exit, size_t *ret_n)
{
	const uint32_t *in = entry->event->offsets, *out = exit->event->offsets;
	uint64_t func;

	if (entry->event->by_hand != graph_entry || exit->event->by_hand != graph_exit ||
		!is_whole(k, entry) || !is_whole(k, exit) ||
		memcmp(entry->data + 4, exit->data + 4, 4) != 0) /* common_pid */
		return NULL;
	func = kernel_load(k, entry->data + in[0], k->o.long_size);
	if (func != kernel_load(k, exit->data + out[3], k->o.long_size))
		return NULL;
	k->p = k->line;
	duration(
		k, kernel_load(k, exit->data + out[1], 8) - kernel_load(k, exit->data + out[0], 8));
	indent(k, kernel_load(k, entry->data + in[1], 4));
	put_function(k, func, "");
	kline_put(k, "();", 3);
	*ret_n = (size_t)(k->p - k->line);
	return k->line;
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
	if (strcmp(t->name, "funcgraph_exit") == 0 &&
		offset_of(t, "func", long_size, &e->offsets[3]) &&
		offset_of(t, "calltime", 8, &e->offsets[0]) &&
		offset_of(t, "rettime", 8, &e->offsets[1]) &&
		offset_of(t, "depth", 4, &e->offsets[2]))
		e->by_hand = graph_exit;
}
