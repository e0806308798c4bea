/* Checks of kernel command lines; see boot-check.h. Parameters: [FTRACE] in
 * Documentation/admin-guide/kernel-parameters.txt. Others are nobody's business here. */
#include "kernel/boot-check-impl.h"
#include "kernel/boot-impl.h"
#include "kernel/near.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum form { FORM_ONE, FORM_LIST, FORM_BARE, FORM_INSTANCE, FORM_PROBES, FORM_TRIGGERS };

static const struct param {
	const char *name;
	enum form form;
	enum boot_kind kind;
	bool repeats; /* each counts; of the others the last one does */
	size_t max; /* bytes that the kernel keeps; 0: all */
} params[] = {
	{"ftrace", FORM_ONE, KIND_TRACER, false, BOOT_PARAM_MAX},
	{"trace_options", FORM_LIST, KIND_OPTION, false, BOOT_PARAM_MAX},
	{"trace_clock", FORM_ONE, KIND_CLOCK, false, BOOT_PARAM_MAX},
	{"trace_buf_size", FORM_ONE, KIND_SIZE, false, 0},
	{"trace_event", FORM_LIST, KIND_EVENT, false, 0},
	{"trace_instance", FORM_INSTANCE, KIND_EVENT, true, 0},
	{"trace_trigger", FORM_TRIGGERS, KIND_EVENT, false, 0},
	{"kprobe_event", FORM_PROBES, KIND_PROBE, false, 0},
	{"ftrace_filter", FORM_ONE, KIND_ANY, false, 0},
	{"ftrace_notrace", FORM_ONE, KIND_ANY, false, 0},
	{"ftrace_graph_filter", FORM_ONE, KIND_ANY, false, 0},
	{"ftrace_graph_notrace", FORM_ONE, KIND_ANY, false, 0},
	{"ftrace_graph_max_depth", FORM_ONE, KIND_NUMBER, false, 0},
	{"tracing_thresh", FORM_ONE, KIND_NUMBER, false, 0},
	{"alloc_snapshot", FORM_BARE, KIND_FLAG, true, 0},
	{"ftrace_boot_snapshot", FORM_BARE, KIND_FLAG, true, 0},
	{"ftrace_dump_on_oops", FORM_BARE, KIND_FLAG, false, BOOT_PARAM_MAX},
	{"traceoff_on_warning", FORM_BARE, KIND_FLAG, false, 0},
	{"traceoff_after_boot", FORM_BARE, KIND_FLAG, false, 0},
	{"tp_printk", FORM_BARE, KIND_FLAG, false, 0},
	{"tp_printk_stop_on_boot", FORM_BARE, KIND_FLAG, false, 0},
	{"stacktrace", FORM_BARE, KIND_FLAG, false, 0},
	{"stacktrace_filter", FORM_ONE, KIND_ANY, false, 0},
	{"bootconfig", FORM_BARE, KIND_FLAG, true, 0},
};

/* Names of the kernel's own documentation of bootconfig that it does not read. */
static const struct {
	const char *wrong, *right;
} documented[] = {
	{"dump_on_oops", "ftrace_dump_on_oops"},
	{"fgraph_max_depth", "ftrace_graph_max_depth"},
	{"fgraph_filters", "ftrace_graph_filter"},
	{"fgraph_notraces", "ftrace_graph_notrace"},
};

static const struct param *param_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(params); i++)
		if (strcmp(params[i].name, name) == 0)
			return &params[i];
	return NULL;
}

/* A name that is none of ours: one that was meant to be? */
static void check_name(struct checker *c, const char *name, size_t at)
{
	struct near n;
	bool ours = strncmp(name, "trace_", 6) == 0 || strncmp(name, "ftrace", 6) == 0 ||
		strncmp(name, "kprobe_", 7) == 0;

	for (size_t i = 0; i < ARRAY_SIZE(documented); i++)
		if (strcmp(documented[i].wrong, name) == 0) {
			found(c, at, "the kernel has no parameter '%s'; it is '%s'", name,
				documented[i].right);
			return;
		}
	near_init(&n, name, strlen(name));
	for (size_t i = 0; i < ARRAY_SIZE(params); i++)
		if (strlen(params[i].name) > 6) /* short ones are near to much */
			near_look(&n, params[i].name);
	if (ours || (n.best[0] && n.best_cost <= 2))
		found(c, at, "the kernel has no parameter '%s'%s%s%s", name,
			n.best[0] ? "; did you mean '" : "", n.best, n.best[0] ? "'?" : "");
}

/* Items between separators; each(c, item, its length, its place). */
static void each_item(struct checker *c, const char *value, size_t at, char separator,
	void (*each)(struct checker *c, const char *item, size_t len, size_t at))
{
	for (const char *s = value;; s++) {
		size_t len = strcspn(s, (const char[]){separator, '\0'});

		each(c, s, len, at + (size_t)(s - value));
		s += len;
		if (!*s)
			break;
	}
}

static void one_event(struct checker *c, const char *item, size_t len, size_t at)
{
	check_value(c, KIND_EVENT, item, len, at);
}

static void one_option(struct checker *c, const char *item, size_t len, size_t at)
{
	check_value(c, KIND_OPTION, item, len, at);
}

/* A definition with commas for its spaces, as the kernel reads it. NULL without memory. */
static char *definition(struct checker *c, const char *item, size_t len)
{
	char *d = arena_strndup(&c->arena, item, len);

	for (char *s = d; s && *s; s++)
		if (*s == ',')
			*s = ' ';
	if (!d)
		c->err = -ENOMEM;
	return d;
}

static void one_probe(struct checker *c, const char *item, size_t len, size_t at)
{
	char *d = definition(c, item, len);

	if (!d)
		return;
	if ((*d != 'p' && *d != 'r') || !strchr(" :0123456789", d[1]))
		found(c, at, "a probe begins with p or r: p:NAME,FUNCTION,ARG,...");
	else {
		size_t before = c->report->len;

		check_value(c, KIND_PROBE, d, len, at);
		if (c->report->len == before)
			check_definition(c, d, 0, at);
	}
}

static void one_own_probe(struct checker *c, const char *item, size_t len, size_t at)
{
	char *d = definition(c, item, len);
	struct boot_probe p;
	struct text_fault f;

	if (d && boot_probe_parse(&c->arena, d, false, &p, &f) == 0)
		own_event(c, p.group ? p.group : "kprobes", p.event);
}

static void one_trigger(struct checker *c, const char *item, size_t len, size_t at)
{
	const char *dot = memchr(item, '.', len);

	if (!dot || dot == item || dot + 1 == item + len)
		found(c, at, "expected EVENT.TRIGGER, as sched_switch.stacktrace");
	else
		check_value(c, KIND_EVENT, item, (size_t)(dot - item), at);
}

/* NAME[^FLAG...][@MEMORY][,EVENT...] */
static void check_instance(struct checker *c, const char *value, size_t at)
{
	size_t head = strcspn(value, ","), name = strcspn(value, "^@,");

	if (name == 0)
		found(c, at, "the name of the instance is missing");
	for (size_t i = name; i < head && value[i] == '^';) {
		size_t len = strcspn(value + i + 1, "^@,");
		const char *flag = value + i + 1;

		if (!(len == 8 && memcmp(flag, "traceoff", 8) == 0) &&
			!(len == 6 && memcmp(flag, "printk", 6) == 0) &&
			!(len == 11 && memcmp(flag, "traceprintk", 11) == 0) &&
			!(len == 12 && memcmp(flag, "trace_printk", 12) == 0))
			found(c, at + i + 1, "no flag of instances: traceoff, traceprintk");
		i += 1 + len;
	}
	if (value[head])
		each_item(c, value + head + 1, at + head + 1, ',', one_event);
}

void check_param(struct checker *c, const char *name, size_t at, const char *value, size_t value_at)
{
	const struct param *p = param_of(name);

	if (!p) {
		check_name(c, name, at);
		return;
	}
	if (p->form == FORM_BARE && !value)
		return;
	if (!value || (!*value && p->form != FORM_BARE)) {
		found(c, at, "'%s' needs a value", name);
		return;
	}
	if (p->max && strlen(value) > p->max)
		found(c, value_at, "longer than the %zu bytes that the kernel keeps", p->max);
	switch (p->form) {
	case FORM_BARE: break;
	case FORM_ONE: check_value(c, p->kind, value, strlen(value), value_at); break;
	case FORM_LIST:
		each_item(c, value, value_at, ',', p->kind == KIND_EVENT ? one_event : one_option);
		break;
	case FORM_PROBES: each_item(c, value, value_at, ';', one_probe); break;
	case FORM_TRIGGERS: each_item(c, value, value_at, ',', one_trigger); break;
	case FORM_INSTANCE: check_instance(c, value, value_at); break;
	}
}

void own_param(struct checker *c, const char *name, const char *value)
{
	const struct param *p = param_of(name);

	if (p && p->form == FORM_PROBES)
		each_item(c, value, 0, ';', one_own_probe);
}

int boot_check_cmdline(
	const char *text, size_t len, struct boot_kernel *kernel, struct boot_report *ret)
{
	struct checker c = {.kernel = kernel, .report = ret};
	struct boot_params all AUTO(boot_params) = {0};
	struct text_fault f;
	int r = boot_params_parse(text, len, &all, &f);

	if (r == -EINVAL)
		found(&c, f.at, "%s", f.message);
	if (len > BOOT_CMDLINE_MAX + 1)
		found(&c, BOOT_CMDLINE_MAX, "more than the 2047 bytes of a command line on x86");
	for (size_t i = 0; r == 0 && i < all.len; i++)
		if (all.items[i].value)
			own_param(&c, all.items[i].name, all.items[i].value);
	for (size_t i = 0; r == 0 && i < all.len; i++) {
		const struct boot_param *w = &all.items[i];
		const struct param *p = param_of(w->name);

		for (size_t k = 0; p && !p->repeats && k < i; k++)
			if (strcmp(all.items[k].name, w->name) == 0)
				found(&c, w->at, "%s again: the kernel takes the last one only",
					w->name);
		check_param(&c, w->name, w->at, w->value, w->value_at);
	}
	checker_done(&c);
	return r == -ENOMEM ? r : c.err;
}
