/* Checks of bootconfigs; see boot-check.h. Keys: as kernel/trace/trace_boot.c and init/main.c read them. */
#include "kernel/boot-check-impl.h"
#include "kernel/boot-impl.h"
#include "kernel/near.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

struct row {
	const char *key;
	enum boot_kind kind;
	bool several; /* may have more than one value */
	bool copied; /* into a buffer of BOOT_TEXT_MAX bytes */
};

static const struct row instance_rows[] = {
	{"options", KIND_OPTION, true, true},
	{"tracing_on", KIND_SWITCH, false, false},
	{"trace_clock", KIND_CLOCK, false, false},
	{"buffer_size", KIND_SIZE, false, false},
	{"alloc_snapshot", KIND_FLAG, false, false},
	{"cpumask", KIND_MASK, false, false},
	{"events", KIND_EVENT, true, true},
	{"tracer", KIND_TRACER, false, false},
	{"ftrace", KIND_ANY, false, false}, /* .filters, .notraces: looked at apart */
	{"event", KIND_ANY, false, false},
	{"instance", KIND_ANY, false, false},
	{0},
};
static const struct row function_rows[] = {
	{"filters", KIND_ANY, true, false}, {"notraces", KIND_ANY, true, false}, {0}};
static const struct row event_rows[] = {
	{"enable", KIND_FLAG, false, false},
	{"filter", KIND_ANY, false, true},
	{"actions", KIND_ANY, true, true},
	{"hist", KIND_ANY, false, false},
	{"probes", KIND_PROBE, true, true},
	{"fields", KIND_ANY, true, true},
	{0},
};
static const struct row root_rows[] = {
	{"ftrace", KIND_ANY, false, false},
	{"kernel", KIND_ANY, false, false},
	{"init", KIND_ANY, false, false},
	{0},
};

/* The row of a key; NULL after a finding. */
static const struct row *row_of(
	struct checker *c, const struct row *rows, const struct bootconfig_key *k, const char *of)
{
	struct near n;

	near_init(&n, k->word, strlen(k->word));
	for (; rows->key; rows++) {
		if (strcmp(rows->key, k->word) == 0)
			return rows;
		near_look(&n, rows->key);
	}
	found(c, k->at, "the kernel reads no key '%s'%s%s%s%s%s", k->word, *of ? " " : "", of,
		n.best[0] ? "; did you mean '" : "", n.best, n.best[0] ? "'?" : "");
	return NULL;
}

static void check_values(struct checker *c, const struct row *row, const struct bootconfig_key *k)
{
	if (!row)
		return;
	if (row->kind != KIND_FLAG && row->kind != KIND_ANY && !k->values)
		found(c, k->at, "'%s' needs a value", k->word);
	for (const struct bootconfig_value *v = k->values; v; v = v->next) {
		if (v != k->values && !row->several)
			found(c, v->at, "the kernel reads only the first value of '%s'", k->word);
		if (row->copied && strlen(v->text) > BOOT_TEXT_MAX)
			found(c, v->at, "longer than the %d bytes that the kernel takes",
				BOOT_TEXT_MAX);
		check_value(c, row->kind, v->text, strlen(v->text), v->at);
	}
}

/* Probes of a bootconfig: PLACE and ARGS, the kernel puts the rest before them. */
static void check_probes(
	struct checker *c, const struct bootconfig_key *event, const struct bootconfig_key *k)
{
	for (const struct bootconfig_value *v = k->values; v; v = v->next) {
		AUTO(buf) struct buf b = {0};
		size_t skip;

		buf_printf(&b, "p:kprobes/%s ", event->word);
		skip = b.len;
		buf_str(&b, v->text);
		if (b.err)
			c->err = b.err;
		else if (v->text[0])
			check_definition(c, b.data, skip, v->at);
	}
}

static void check_one_event(
	struct checker *c, const struct bootconfig_key *group, const struct bootconfig_key *event)
{
	bool kprobes = strcmp(group->word, "kprobes") == 0;
	bool synthetic = strcmp(group->word, "synthetic") == 0;
	bool defined = false;

	for (const struct bootconfig_key *k = event->first; k; k = k->next) {
		const struct row *row = row_of(c, event_rows, k, "of an event");

		check_values(c, row, k);
		for (const struct bootconfig_value *v = k->values; v; v = v->next)
			if (strcmp(k->word, "filter") == 0)
				check_filter(c, group->word, event->word, v->text, v->at);
			else if (strcmp(k->word, "actions") == 0)
				check_trigger(c, group->word, event->word, v->text, v->at);
		if (row && row->kind == KIND_PROBE && kprobes)
			check_probes(c, event, k);
		if (row && row->kind == KIND_PROBE && !kprobes)
			found(c, k->at, "probes are defined in the group kprobes");
		if (row && strcmp(k->word, "fields") == 0 && !synthetic)
			found(c, k->at, "fields are defined in the group synthetic");
		defined = defined || (row && row->kind == KIND_PROBE) ||
			strcmp(k->word, "fields") == 0;
	}
	if (event->values)
		found(c, event->values->at,
			"an event has keys, as filter and enable, and no value");
	if ((kprobes || synthetic) && !defined)
		found(c, event->at, "'%s' is not defined: %s is missing", event->word,
			kprobes ? "probes" : "fields");
	else if (!kprobes && !synthetic)
		check_event(c, group->word, event->word, event->at);
}

static void check_events(struct checker *c, const struct bootconfig_key *k)
{
	for (const struct bootconfig_key *group = k->first; group; group = group->next) {
		if (strcmp(group->word, "enable") == 0)
			continue; /* all there are */
		if (!group->first)
			found(c, group->at, "an event is missing: event.%s.EVENT", group->word);
		for (const struct bootconfig_key *ev = group->first; ev; ev = ev->next)
			if (strcmp(ev->word, "enable") != 0)
				check_one_event(c, group, ev);
	}
}

/* What this kernel has, but not so early, or not there. */
static void check_early_tracer(struct checker *c, const struct bootconfig_key *k, bool top)
{
	const char *tracer = k->values ? k->values->text : "";
	const char *why = top ? NULL : boot_not_in_instances(tracer);

	if (why)
		found(c, k->values->at, "%s", why);
	else if (top && boot_tracer_is_late(tracer))
		found(c, k->values->at,
			"the kernel has this tracer too late for this key: kernel.ftrace = %s waits "
			"for it",
			tracer);
}

static void check_instance(struct checker *c, const struct bootconfig_key *at, bool top)
{
	for (const struct bootconfig_key *k = at->first; k; k = k->next) {
		const struct row *row =
			row_of(c, instance_rows, k, top ? "below ftrace" : "of an instance");

		check_values(c, row, k);
		if (!row)
			continue;
		if (strcmp(k->word, "event") == 0)
			check_events(c, k);
		else if (strcmp(k->word, "tracer") == 0)
			check_early_tracer(c, k, top);
		else if (strcmp(k->word, "ftrace") == 0)
			for (const struct bootconfig_key *f = k->first; f; f = f->next)
				check_values(c, row_of(c, function_rows, f, "here"), f);
		else if (strcmp(k->word, "instance") == 0 && !top)
			found(c, k->at, "an instance has no instances");
		else if (strcmp(k->word, "instance") == 0)
			for (const struct bootconfig_key *i = k->first; i; i = i->next)
				check_instance(c, i, false);
	}
}

/* What stands under "kernel" becomes parameters of the command line. */
static void check_kernel(struct checker *c, const struct bootconfig_key *at, bool own)
{
	for (const struct bootconfig_key *k = at->first; k; k = k->next) {
		if (k->first)
			continue; /* module.parameter */
		for (const struct bootconfig_value *v = k->values; v && own; v = v->next)
			own_param(c, k->word, v->text);
		if (own)
			continue;
		if (k->values && k->values->next && strncmp(k->word, "trace_", 6) == 0 &&
			strcmp(k->word, "trace_instance") != 0)
			found(c, k->values->next->at,
				"several values are given as several parameters, of which the kernel "
				"takes the last: write one, with commas in it");
		check_param(c, k->word, k->at, k->values ? k->values->text : NULL,
			k->values ? k->values->at : k->at);
	}
}

/* Events that the text defines, so that other places may name them. */
static void own_events(struct checker *c, const struct bootconfig_key *at)
{
	static const char *const groups[] = {"kprobes", "synthetic"};

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		const struct bootconfig_key *k = at->first;

		for (; k && strcmp(k->word, "event") != 0;)
			k = k->next;
		for (k = k ? k->first : NULL; k && strcmp(k->word, groups[i]) != 0;)
			k = k->next;
		for (k = k ? k->first : NULL; k; k = k->next)
			own_event(c, groups[i], k->word);
	}
}

static void check_tree(struct checker *c, const struct bootconfig *config)
{
	const struct bootconfig_key *kernel = bootconfig_find(config, NULL, "kernel");
	const struct bootconfig_key *ftrace = bootconfig_find(config, NULL, "ftrace");
	const struct bootconfig_key *in = bootconfig_find(config, NULL, "ftrace.instance");

	if (ftrace)
		own_events(c, ftrace);
	for (in = in ? in->first : NULL; in; in = in->next)
		own_events(c, in);
	if (kernel)
		check_kernel(c, kernel, true);
	for (const struct bootconfig_key *k = config->first; k; k = k->next)
		(void)row_of(c, root_rows, k, ""); /* says it itself */
	if (ftrace)
		check_instance(c, ftrace, true);
	if (kernel)
		check_kernel(c, kernel, false);
}

int boot_check_config(
	const char *text, size_t len, struct boot_kernel *kernel, struct boot_report *ret)
{
	struct checker c = {.kernel = kernel, .report = ret};
	struct bootconfig config AUTO(bootconfig) = {0};
	struct text_fault f;
	int r = bootconfig_parse(text, len, &config, &f);

	if (r == -EINVAL)
		found(&c, f.at, "%s", f.message);
	else if (r < 0)
		return r;
	else
		check_tree(&c, &config);
	checker_done(&c);
	return c.err;
}
