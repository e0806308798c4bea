/* Kernel events as text: which way each event is printed. See kernel-text.h. */
#include "view/kernel-text-impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <trace-seq.h>

enum {
	LINE_MAX_BYTES = 512 << 10,
	COPY_BYTES = 3 << 16, /* a record, and whatever its 16-bit offsets and lengths point to */
	RISKY_DEPTH = 64, /* of expressions: deeper ones are not believed */
	CHECKS = 16, /* records of each event that are printed both ways */
};

static char *resolve(void *arg, unsigned long long *addr, char **module)
{
	uint64_t begin;
	const char *name = kernel_text_function(arg, *addr, &begin);

	if (!name)
		return NULL;
	*addr = begin;
	*module = NULL;
	return (char *)(uintptr_t)name;
}

static int start_tep(struct kernel_text *k)
{
	AUTO(buf) struct buf printk = {0};

	tep_set_loglevel(TEP_LOG_NONE);
	k->tep = tep_alloc();
	if (!k->tep)
		return -ENOMEM;
	tep_set_file_bigendian(k->tep, k->o.big_endian ? TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN);
	tep_set_local_bigendian(k->tep, tep_is_bigendian() ? TEP_BIG_ENDIAN : TEP_LITTLE_ENDIAN);
	tep_set_long_size(k->tep, (int)k->o.long_size);
	tep_set_cpus(k->tep, (int)MIN(k->o.ncpus, 65536u));
	if (k->o.like_report)
		k->plugins = tep_load_plugins(k->tep); /* none: as good as without */
	(void)tep_set_function_resolver(k->tep, resolve, k); /* without memory: no names */
	if (k->o.printk && k->o.printk(k->o.arg, &printk) == 0 && printk.data)
		(void)tep_parse_printk_formats(k->tep, printk.data); /* likewise */
	return 0;
}

int kernel_text_new(const struct kernel_text_options *o, struct kernel_text **ret)
{
	struct kernel_text *k = calloc(1, sizeof(*k));
	int e;

	if (!k)
		return -ENOMEM;
	k->o = *o;
	k->swap = o->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
	k->line = malloc(LINE_MAX_BYTES + 1);
	k->other = malloc(LINE_MAX_BYTES + 1);
	k->copy = calloc(1, COPY_BYTES);
	e = k->line && k->other && k->copy ? start_tep(k) : -ENOMEM;
	if (e < 0) {
		kernel_text_free(k);
		return e;
	}
	k->end = k->line + LINE_MAX_BYTES;
	*ret = k;
	return 0;
}

void kernel_text_free(struct kernel_text *k)
{
	if (!k)
		return;
	if (k->plugins)
		tep_unload_plugins(k->plugins, k->tep);
	tep_free(k->tep);
	free(k->line);
	free(k->other);
	free(k->copy);
	free(k->symbols);
	free(k->found);
	buf_done(&k->symbol_text);
	arena_done(&k->arena);
	free(k);
}

/* ---- events ---- */

/* libtraceevent 1.7 takes "a & (1 | 2)" for "(a & 1) | 2": brackets of numbers become their sum.
 * text: NUL-terminated. */
static void fold_numbers(const char *text, struct buf *ret)
{
	const char *done = text;

	for (const char *p = text; (p = strchr(p, '(')); p++) {
		const char *at = p + 1;
		unsigned long long sum = 0;
		int n = 0;

		for (char *next; *at >= '0' && *at <= '9'; n++) {
			sum |= strtoull(at, &next, 0);
			at = next + strspn(next, "UL");
			at += strncmp(at, " | ", 3) == 0 ? 3 : 0;
		}
		if (n < 2 || *at != ')')
			continue;
		buf_add(ret, done, (size_t)(p - done));
		buf_printf(ret, "0x%llx", sum);
		done = at + 1;
		p = at;
	}
	buf_str(ret, done);
}

/* The formats of probes say "(%lx)" of where they are; the kernel prints names, of the kernel's code, and
 * "0x...". Of those at a return, it says first to where. text: NUL-terminated. */
static void name_places(const char *text, struct buf *ret)
{
	static const char at[] = "print fmt: \"(%lx)", back[] = "print fmt: \"(%lx <- %lx)",
			  back_args[] = "\", REC->__probe_func, REC->__probe_ret_ip";
	const char *fmt = strstr(text, "print fmt: "), *args = fmt ? strstr(fmt, back_args) : NULL;

	if (fmt && strncmp(fmt, at, sizeof(at) - 1) == 0 && strstr(fmt, "\", REC->__probe_ip")) {
		buf_add(ret, text, (size_t)(fmt - text));
		buf_str(ret, "print fmt: \"(%pS)");
		buf_str(ret, fmt + sizeof(at) - 1);
	} else if (args && strncmp(fmt, back, sizeof(back) - 1) == 0) {
		buf_add(ret, text, (size_t)(fmt - text));
		buf_str(ret, "print fmt: \"(%pS <- %ps)");
		fmt += sizeof(back) - 1;
		buf_add(ret, fmt, (size_t)(args - fmt));
		buf_str(ret, "\", REC->__probe_ret_ip, REC->__probe_func");
		buf_str(ret, args + sizeof(back_args) - 1);
	} else {
		buf_str(ret, text);
	}
}

/* By what may be zero. */
static bool divides(const struct tep_print_arg *arg)
{
	const struct tep_print_arg *by = arg->op.right;

	if (strcmp(arg->op.op, "/") != 0 && strcmp(arg->op.op, "%") != 0)
		return false;
	return !by || by->type != TEP_PRINT_ATOM || strtoull(by->atom.atom, NULL, 0) == 0;
}

static bool is_risky(const struct tep_print_arg *arg, int depth)
{
	for (; arg; arg = arg->next) {
		if (depth > RISKY_DEPTH)
			return true;
		switch (arg->type) {
		case TEP_PRINT_HEX:
		case TEP_PRINT_HEX_STR:
		case TEP_PRINT_INT_ARRAY: return true;
		case TEP_PRINT_OP:
			if (arg->op.op[0] == '[' || divides(arg) ||
				is_risky(arg->op.left, depth + 1) ||
				is_risky(arg->op.right, depth + 1))
				return true;
			break;
		case TEP_PRINT_TYPE:
			if (is_risky(arg->typecast.item, depth + 1))
				return true;
			break;
		case TEP_PRINT_DYNAMIC_ARRAY:
			if (arg->dynarray.index)
				return true;
			break;
		default: break;
		}
	}
	return false;
}

static void choose(struct kernel_text *k, struct kernel_text_event *e)
{
	const char *fmt = e->tep->print_fmt.format;

	e->is_risky = is_risky(e->tep->print_fmt.args, 0);
	e->has_lines = fmt && (strstr(fmt, "\\n") || strstr(fmt, "\\t") || strpbrk(fmt, "\n\t"));
	if (k->o.like_report) {
		kernel_ftrace_take(k, e);
		if (e->by_hand)
			return;
	}
	if (k->o.no_plans)
		return;
	if (k->o.like_kernel && (e->plan = kplan_syscall(k, e->tep)))
		return; /* its format says something else: nothing to check it by */
	e->plan = e->tep->handler ? kplan_by_plugin(k, e->tep) : kplan_make(k, e->tep, NULL);
	e->checks = e->plan && e->plan->has_chars ? 0 : CHECKS;
}

struct kernel_text_event *kernel_text_event(
	struct kernel_text *k, const char *system, const char *format, size_t len)
{
	struct kernel_text_event *e = arena_alloc(&k->arena, sizeof(*e));
	AUTO(buf) struct buf copy = {0}, named = {0}, folded = {0};
	const char *id = len ? memmem(format, len, "\nID:", 4) : NULL;

	if (!e)
		return NULL;
	e->next = k->events;
	k->events = e;
	if (k->o.like_kernel && id) {
		buf_add(&copy, format, len);
		if (copy.err == 0)
			name_places(copy.data, &named);
		if (copy.err == 0 && named.err == 0)
			fold_numbers(named.data, &folded);
		if (copy.err || named.err || folded.err)
			return NULL;
		format = folded.data;
		len = folded.len;
		id = memmem(format, len, "\nID:", 4);
	}
	if (!id || tep_parse_event(k->tep, format, len, system) == TEP_ERRNO__MEM_ALLOC_FAILED)
		return id ? NULL : e;
	e->tep = tep_find_event(k->tep, atoi(id + 4));
	if (e->tep && strcmp(e->tep->system, system) != 0)
		e->tep = NULL; /* another event of this number */
	if (e->tep)
		choose(k, e);
	return e;
}

bool kernel_text_has_plan(const struct kernel_text_event *e)
{
	return e->plan || e->by_hand;
}

bool kernel_text_was_unsafe(const struct kernel_text *k)
{
	return k->unsafe;
}

void kernel_text_unchecked(struct kernel_text *k, struct kernel_text_event *e)
{
	(void)k;
	e->checks = 0;
}

/* ---- records ---- */

/* A copy with zeroes behind it. */
static uint8_t *safe_copy(struct kernel_text *k, const void *record, size_t n)
{
	n = MIN(n, (size_t)65536);
	memcpy(k->copy, record, n);
	if (k->copied > n)
		memset(k->copy + n, 0, k->copied - n);
	k->copied = n;
	return k->copy;
}

/* "name=value ...": what libtraceevent must not be trusted with. */
static void by_fields(
	struct kernel_text *k, const struct kernel_text_event *e, const uint8_t *record, size_t n)
{
	for (const struct tep_format_field *f = e->tep->format.fields; f; f = f->next) {
		size_t at = (size_t)MAX(f->offset, 0), size = (size_t)MAX(f->size, 0);
		uint64_t v;

		kline_printf(k, "%s%s=", k->p == k->line ? "" : " ", f->name);
		if (at > n || size > n - at) {
			kline_put(k, "?", 1);
		} else if (!(f->flags & TEP_FIELD_IS_ARRAY) &&
			(size == 1 || size == 2 || size == 4 || size == 8)) {
			v = kernel_load(k, record + at, (unsigned)size);
			kline_printf(k, f->flags & TEP_FIELD_IS_POINTER ? "0x%llx" : "%llu",
				(unsigned long long)v);
		} else {
			for (size_t i = 0; i < size; i++)
				kline_printf(k, "%02x", record[at + i]);
		}
	}
}

/* The library subtracts where text begins from the record's length, without looking. */
static bool holds_fields(const struct kernel_text_event *e, size_t n)
{
	const struct tep_format_field *lists[] = {
		e->tep->format.common_fields, e->tep->format.fields};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (const struct tep_format_field *f = lists[i]; f; f = f->next)
			if (f->offset < 0 || (size_t)f->offset > n)
				return false;
	return true;
}

/* What libtraceevent prints, appended to the line. */
static void by_library(struct kernel_text *k, const struct kernel_text_event *e, const void *record,
	size_t n, int cpu)
{
	struct tep_record r = {.data = safe_copy(k, record, n),
		.size = (int)MIN(n, (size_t)65536),
		.record_size = (int)n,
		.cpu = cpu};
	const char *p, *end;
	struct trace_seq s;

	/* The library takes the event that the record's own number says, whatever is asked for. */
	if (!holds_fields(e, n) || tep_data_type(k->tep, &r) != e->tep->id) {
		by_fields(k, e, record, n);
		return;
	}
	trace_seq_init(&s);
	tep_print_event(k->tep, &s, &r, "%s", TEP_PRINT_INFO);
	trace_seq_terminate(&s);
	if (s.state != TRACE_SEQ__GOOD || !s.buffer) {
		trace_seq_destroy(&s);
		return;
	}
	p = s.buffer;
	end = p + s.len;
	if (end > p && end[-1] == '\n')
		end--;
	while (p < end) {
		size_t part = (size_t)(end - p), i = 0;

		while (e->has_lines && i < part && p[i] != '\n' && p[i] != '\t')
			i++;
		part = e->has_lines ? i : part;
		kline_safe(k, p, part);
		p += part;
		if (p < end)
			kline_put(k, p++, 1);
	}
	trace_seq_destroy(&s);
}

/* Prints the record by libtraceevent, too; a plan that differs is not used any more. */
static void check(
	struct kernel_text *k, struct kernel_text_event *e, const void *record, size_t n, int cpu)
{
	size_t len = (size_t)(k->p - k->line);

	e->checks--;
	memcpy(k->other, k->line, len);
	k->p = k->line;
	by_library(k, e, record, n, cpu);
	if ((size_t)(k->p - k->line) != len || memcmp(k->line, k->other, len) != 0)
		e->plan = NULL;
}

static void put_plan(
	struct kernel_text *k, struct kernel_text_event *e, const void *record, size_t n, int cpu)
{
	k->as_kernel = k->o.like_kernel && !e->checks;
	kplan_run(k, e->plan, record, n);
	if (!e->checks || k->unsafe)
		return;
	check(k, e, record, n, cpu);
	if (!e->plan || !k->o.like_kernel)
		return;
	k->p = k->line; /* it is right: now as it is wanted */
	k->as_kernel = true;
	kplan_run(k, e->plan, record, n);
}

const char *kernel_text_put(struct kernel_text *k, struct kernel_text_event *e, const void *record,
	size_t n, int cpu, size_t *ret_n)
{
	k->p = k->line;
	k->unsafe = false;
	if (e->by_hand) {
		e->by_hand(k, e, record, n);
	} else if (e->plan && n < e->plan->need) { /* what is missing is zero */
		k->as_kernel = k->o.like_kernel;
		kplan_run(k, e->plan, safe_copy(k, record, n), e->plan->need);
	} else if (e->plan) {
		put_plan(k, e, record, n, cpu);
	} else if (e->tep && (!e->is_risky || k->o.no_plans)) {
		by_library(k, e, record, n, cpu);
	} else if (e->tep) {
		by_fields(k, e, record, n);
	} else {
		kline_put(k, "[its format is not understood]", 30);
	}
	if (k->p > k->line && k->p[-1] == '\n')
		k->p--;
	*ret_n = (size_t)(k->p - k->line);
	return k->line;
}
