/* Sessions from boot on as kernel command lines, and command lines taken apart; see boot.h. Parameters:
 * Documentation/admin-guide/kernel-parameters.txt, [FTRACE]. */
#include "kernel/boot-impl.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
	struct buf *b;
	struct error *e;
};

static int unsayable(struct line *l, const char *what, const char *of)
{
	(void)error_set(l->e, 0, "a kernel command line has no %s%s%s", what, of ? " for " : "",
		of ? of : "");
	error_hint(l->e, "a bootconfig can: cairn boot write --config");
	return -EOPNOTSUPP;
}

/* " name" or " name=value", in quotes if it has spaces. max: bytes the kernel keeps of it. */
static int param(struct line *l, const char *name, const char *value, size_t max)
{
	bool quoted = value && strpbrk(value, " \t");

	if (value && strpbrk(value, "\"\n"))
		return error_set(l->e, -EOPNOTSUPP,
			"a kernel command line cannot hold quotes or newlines: %s", value);
	if (value && strlen(value) > max) {
		error_hint(l->e, "a bootconfig can: cairn boot write --config");
		return error_set(l->e, -EOPNOTSUPP,
			"%s= is longer than the %zu bytes the kernel keeps", name, max);
	}
	buf_printf(l->b, "%s%s", l->b->len ? " " : "", name);
	if (value && *value)
		buf_printf(l->b, quoted ? "=\"%s\"" : "=%s", value);
	return 0;
}

/* The items are separated by commas: none may have one. */
static int list_param(struct line *l, const char *name, const struct boot_list *items, size_t max)
{
	AUTO(buf) struct buf b = {0};

	if (!items->len)
		return 0;
	for (size_t i = 0; i < items->len; i++) {
		if (strchr(items->items[i], ','))
			return unsayable(l, "commas in items of lists", name);
		buf_printf(&b, "%s%s", i ? "," : "", items->items[i]);
	}
	return b.err ? b.err : param(l, name, b.data, max);
}

/* Events of an instance, joined to b; each after a comma if `first` is false. */
static int events(struct line *l, const struct boot_instance *i, bool first, struct buf *b)
{
	for (size_t n = 0; n < i->nevents; n++) {
		const char *p = i->events[n].pattern;

		if (i->events[n].filter)
			return unsayable(l, "filters of events", p);
		if (strpbrk(p, ", "))
			return error_set(l->e, -EINVAL, "'%s' is no pattern of events", p);
		buf_printf(b, "%s%s", first && n == 0 ? "" : ",", p);
	}
	return 0;
}

/* "p:NAME,PLACE,ARG,ARG;...": commas for spaces, semicolons between. */
static int probes(struct line *l, const struct boot_instance *i)
{
	AUTO(buf) struct buf b = {0};

	for (size_t n = 0; n < i->nprobes; n++) {
		const struct boot_probe *p = &i->probes[n];

		if (strpbrk(p->args, ",;") || strpbrk(p->place, ",;"))
			return unsayable(l, "commas and semicolons in probes", p->event);
		buf_printf(&b, "%s%c", n ? ";" : "", p->is_return ? 'r' : 'p');
		if (p->maxactive)
			buf_printf(&b, "%u", p->maxactive);
		buf_printf(&b, ":%s%s%s,%s", p->group ? p->group : "", p->group ? "/" : "",
			p->event, p->place);
		for (const char *a = p->args; *a; a += strspn(a, " \t")) {
			int len = (int)strcspn(a, " \t");

			if (len)
				buf_printf(&b, ",%.*s", len, a);
			a += len;
		}
	}
	if (b.err)
		return b.err;
	return b.data ? param(l, "kprobe_event", b.data, BOOT_CMDLINE_MAX) : 0;
}

static int triggers(struct line *l, const struct boot_instance *i)
{
	AUTO(buf) struct buf b = {0};

	if (i->ntriggers > 32)
		return unsayable(l, "room for more than 32 triggers", NULL);
	for (size_t n = 0; n < i->ntriggers; n++) {
		const struct boot_trigger *t = &i->triggers[n];

		if (strchr(t->text, ','))
			return unsayable(l, "commas in triggers", t->event);
		buf_printf(&b, "%s%s.%s", n ? "," : "", t->event, t->text);
	}
	if (b.err)
		return b.err;
	return b.data ? param(l, "trace_trigger", b.data, BOOT_CMDLINE_MAX) : 0;
}

static int top_instance(struct line *l, const struct boot_instance *i)
{
	AUTO(buf) struct buf b = {0};
	char number[24];
	int r;

	if (i->tracing == BOOT_OFF)
		return unsayable(l, "word that keeps tracing off", "the top instance");
	if (i->cpumask)
		return unsayable(l, "choice of CPUs", NULL);
	if (i->nsynths)
		return unsayable(l, "synthetic events", NULL);
	r = i->tracer ? param(l, "ftrace", i->tracer, BOOT_PARAM_MAX) : 0;
	r = r < 0 ? r : list_param(l, "trace_options", &i->options, BOOT_PARAM_MAX);
	if (r == 0 && i->clock)
		r = param(l, "trace_clock", i->clock, BOOT_PARAM_MAX);
	(void)snprintf(number, sizeof(number), "%" PRIu64 "K", (i->buffer_bytes + 1023) / 1024);
	if (r == 0 && i->buffer_bytes)
		r = param(l, "trace_buf_size", number, sizeof(number));
	r = r < 0 ? r : list_param(l, "ftrace_filter", &i->functions, BOOT_CMDLINE_MAX);
	r = r < 0 ? r : list_param(l, "ftrace_notrace", &i->not_functions, BOOT_CMDLINE_MAX);
	r = r < 0 ? r : list_param(l, "ftrace_graph_filter", &i->graph, BOOT_CMDLINE_MAX);
	r = r < 0 ? r : list_param(l, "ftrace_graph_notrace", &i->not_graph, BOOT_CMDLINE_MAX);
	(void)snprintf(number, sizeof(number), "%" PRIu64, i->graph_depth); /* both fit */
	if (r == 0 && i->graph_depth)
		r = param(l, "ftrace_graph_max_depth", number, sizeof(number));
	r = r < 0 ? r : events(l, i, true, &b);
	if (r == 0 && b.data)
		r = param(l, "trace_event", b.data, BOOT_CMDLINE_MAX);
	r = r < 0 ? r : probes(l, i);
	r = r < 0 ? r : triggers(l, i);
	if (r == 0 && i->snapshot && !i->boot_snapshot)
		r = param(l, "alloc_snapshot", NULL, 0);
	return r;
}

/* "trace_instance=NAME^traceoff,EVENT,...": all that an instance can be told. */
static int other_instance(struct line *l, const struct boot_instance *i)
{
	AUTO(buf) struct buf b = {0};
	const char *what = i->tracer ? "tracers"
		: i->clock	     ? "clocks"
		: i->options.len     ? "options"
		: i->buffer_bytes    ? "buffer sizes"
		: i->cpumask	     ? "choice of CPUs"
		: i->functions.len || i->not_functions.len || i->graph.len || i->not_graph.len ||
			i->graph_depth
		? "filters of functions"
		: i->nprobes   ? "probes"
		: i->ntriggers ? "triggers"
		: i->nsynths   ? "synthetic events"
			       : NULL;
	int r;

	if (what)
		return unsayable(l, what, i->name);
	if (strpbrk(i->name, "^@,= \t\"") || !*i->name)
		return error_set(l->e, -EINVAL, "'%s' cannot be the name of an instance", i->name);
	buf_printf(&b, "%s%s", i->name, i->tracing == BOOT_OFF ? "^traceoff" : "");
	r = events(l, i, false, &b);
	if (r == 0 && i->snapshot && !i->boot_snapshot)
		r = param(l, "alloc_snapshot", i->name, BOOT_CMDLINE_MAX);
	if (r == 0 && i->boot_snapshot)
		r = param(l, "ftrace_boot_snapshot", i->name, BOOT_CMDLINE_MAX);
	if (r == 0 && b.err)
		r = b.err;
	return r < 0 ? r : param(l, "trace_instance", b.data, BOOT_CMDLINE_MAX);
}

int boot_session_cmdline(const struct boot_session *s, struct buf *ret, struct error *e)
{
	AUTO(buf) struct buf b = {0}, dump = {0};
	struct line l = {.b = &b, .e = e};
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->len; i++)
		r = s->instances[i]->name ? other_instance(&l, s->instances[i])
					  : top_instance(&l, s->instances[i]);
	if (r == 0 && s->instances[0]->boot_snapshot)
		r = param(&l, "ftrace_boot_snapshot", NULL, 0);
	boot_dump_text(s, &dump);
	if (r == 0 && dump.data)
		r = param(&l, "ftrace_dump_on_oops", dump.data, BOOT_PARAM_MAX);
	if (r == 0 && s->traceoff_on_warning)
		r = param(&l, "traceoff_on_warning", NULL, 0);
	if (r == 0 && s->tp_printk)
		r = param(&l, "tp_printk", NULL, 0);
	if (r == 0 && (b.err || dump.err))
		r = -ENOMEM;
	if (r == -ENOMEM)
		return error_set(e, r, "out of memory");
	if (r == 0 && b.len > BOOT_CMDLINE_MAX)
		return unsayable(&l, "room for more than 2047 bytes", NULL);
	if (r == 0 && b.len)
		buf_printf(ret, "%s\n", b.data);
	return r < 0 ? r : ret->err;
}

/* ---- command lines, taken apart ---- */

/* The word from `at` on without its quotes; returns where it ends. As next_arg() of the kernel: quotes
 * may be around the word, or around the value. */
static size_t take_word(
	struct boot_params *p, const char *text, size_t len, size_t at, struct boot_param *w)
{
	bool quoted = false;
	size_t end = at, equals = 0, from = at, value;
	char *name;

	for (; end < len && (quoted || !isspace((unsigned char)text[end])); end++) {
		if (text[end] == '=' && !equals && end > at)
			equals = end;
		quoted ^= text[end] == '"';
	}
	*w = (struct boot_param){.at = at, .len = end - at};
	if (quoted)
		return SIZE_MAX;
	from += text[at] == '"';
	name = arena_strndup(&p->arena, text + from, (equals ? equals : end) - from);
	if (!name)
		return end;
	w->name = name;
	if (!equals) {
		if (*name && name[strlen(name) - 1] == '"')
			name[strlen(name) - 1] = '\0';
		return end;
	}
	value = equals + 1;
	from = value < end && text[value] == '"';
	w->value_at = value + from;
	name = arena_strndup(&p->arena, text + value + from, end - value - from);
	if (name && *name && name[strlen(name) - 1] == '"' && (from || text[at] == '"'))
		name[strlen(name) - 1] = '\0';
	w->value = name;
	return end;
}

int boot_params_parse(
	const char *text, size_t len, struct boot_params *ret, struct text_fault *fault)
{
	*ret = (struct boot_params){0};
	*fault = (struct text_fault){0};
	for (size_t at = 0; at < len;) {
		struct boot_param *w;

		if (isspace((unsigned char)text[at])) {
			at++;
			continue;
		}
		w = VEC_ADD(ret->items, ret->len, ret->cap);
		if (!w)
			return -ENOMEM;
		at = take_word(ret, text, len, at, w);
		if (at == SIZE_MAX) {
			*fault = (struct text_fault){
				w->at, "the quotes in this word are not closed"};
			return -EINVAL;
		}
		if (!w->name)
			return -ENOMEM;
		if (strcmp(w->name, "--") == 0 && !w->value) {
			ret->len--; /* the rest is for init */
			break;
		}
	}
	return 0;
}

void boot_params_done(struct boot_params *p)
{
	free(p->items);
	arena_done(&p->arena);
	*p = (struct boot_params){0};
}

void auto_boot_params(struct boot_params *p)
{
	boot_params_done(p);
}
