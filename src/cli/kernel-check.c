/* cairn kernel check: texts of probes and filters, judged without recording anything. */
#include "cli/kernel-texts.h"
#include "cli/kernel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_C_KERNEL = 'k',
	OPT_C_FILTER = OPT_FIRST,
	OPT_C_PROBE, /* + DYNEVENT_ANY, DYNEVENT_KPROBE... */
	OPT_C_JSON = OPT_C_PROBE + DYNEVENT_KINDS,
};

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_C_KERNEL, 'k', "kernel", "EVENT", "'PATTERN if FILTER': which events the filter fits"},
	{OPT_C_FILTER, 0, "kernel-filter", "TEXT", "'EVENT: FILTER': the same in two words"},
	{OPT_C_PROBE + DYNEVENT_KPROBE, 0, "kprobe", "TEXT",
		"a function of the kernel: FUNCTION ARG..."},
	{OPT_C_PROBE + DYNEVENT_KRETPROBE, 0, "kretprobe", "TEXT", "its return"},
	{OPT_C_PROBE + DYNEVENT_FPROBE, 0, "fprobe", "TEXT",
		"the same by ftrace: FUNCTION[%return]"},
	{OPT_C_PROBE + DYNEVENT_TPROBE, 0, "tprobe", "TEXT", "a tracepoint"},
	{OPT_C_PROBE + DYNEVENT_EPROBE, 0, "eprobe", "TEXT",
		"an event: SYSTEM/EVENT FIELD... [if FILTER]"},
	{OPT_C_PROBE + DYNEVENT_UPROBE, 0, "uprobe", "TEXT",
		"a function of a program: PATH:FUNCTION"},
	{OPT_C_PROBE + DYNEVENT_ANY, 0, "probe", "TEXT",
		"any, in the kernel's grammar: 'p:NAME PLACE ...',\nalso s: (synthetic) and u: (user) "
		"events"},
	{OPT_C_JSON, 0, "json", NULL, "as one JSON object"},
	{0},
};

const struct command command_kernel_check = {
	.name = "check",
	.parent = "kernel",
	.summary = "judge texts of probes and filters without recording",
	.usage = "OPTION TEXT [OPTION TEXT...]",
	.options = options,
	.notes =
		"The options of `cairn record`, each as often as wanted. For each text: the event\n"
		"that it would make, its definition as the kernel gets it, and its fields; or the\n"
		"reason why it is refused, with a caret under the place. Nothing is changed. The\n"
		"exit code is 1 if a text is refused.\n"
		"\n"
		"examples:\n"
		"  cairn kernel check --kprobe 'ip_rcv_core skb dev=skb->dev->name'\n"
		"  cairn kernel check -k 'sched:* if prev_prio < 100'",
	.run = run,
};

struct asked {
	int id;
	const char *text;
};

struct check {
	const struct command *c;
	struct asked *asked; /* owned */
	size_t n, cap;
	bool json;
	struct out out;
	struct dynevent_world *w; /* owned */
	struct tracefs *top; /* owned */
	bool refused, first;
};

static void auto_check(struct check *k)
{
	free(k->asked);
	out_done(&k->out);
	dynevent_world_free(k->w);
	tracefs_free(k->top);
}

static const char *option_name(int id)
{
	const struct option_def *o = options;

	while (o->id != id)
		o++;
	return o->name;
}

/* ---- what is shown ---- */

static void string_json(struct check *k, const char *key, const char *value)
{
	out_printf(&k->out, "\"%s\": ", key);
	out_json(&k->out, value, strlen(value));
}

/* `"option": "kprobe", "text": "...", "ok": true`, of a new object. */
static void begin_json(struct check *k, const struct asked *a, bool ok)
{
	out_str(&k->out, k->first ? "\n  {" : ",\n  {");
	k->first = false;
	string_json(k, "option", option_name(a->id));
	out_str(&k->out, ", ");
	string_json(k, "text", a->text);
	out_printf(&k->out, ", \"ok\": %s", ok ? "true" : "false");
}

/* shift: of the text in a->text that the fault is in. */
static void show_fault(
	struct check *k, const struct asked *a, size_t shift, const struct dynevent_fault *f)
{
	struct dynevent_fault whole = *f;
	char option[32];

	k->refused = true;
	whole.at += shift;
	if (!k->json) {
		(void)out_flush(&k->out); /* in the order of the texts */
		(void)snprintf(option, sizeof(option), "--%s", option_name(a->id)); /* fits */
		texts_say(k->c, option, a->text, &whole);
		return;
	}
	begin_json(k, a, false);
	out_printf(&k->out, ", \"at\": %zu, \"len\": %zu, ", whole.at, whole.len);
	string_json(k, "message", f->error.message);
	out_str(&k->out, ", ");
	string_json(k, "hint", f->error.hint);
	out_char(&k->out, '}');
}

static void fields_text(struct check *k, const struct dynevent *d)
{
	size_t widest = 4, type = 4;

	for (size_t i = 0; i < d->len; i++) {
		widest = MAX(widest, strlen(d->fields[i].name));
		type = MAX(type, strlen(d->fields[i].type));
	}
	for (size_t i = 0; i < d->len; i++)
		out_printf(&k->out, "  %-10s  %-*s  %-*s  %s\n", i ? "" : "fields", (int)widest,
			d->fields[i].name, (int)type, d->fields[i].type, d->fields[i].text);
}

static void show_probe(struct check *k, const struct asked *a, const struct dynevent *d, bool bpf)
{
	if (!k->json) {
		out_printf(&k->out, "--%s '%s'\n  event       %s:%s\n  definition  %s\n",
			option_name(a->id), a->text, d->group, d->event, d->definition);
		if (bpf)
			out_printf(&k->out,
				"  made by     BPF: tracefs of this kernel has no %ss\n",
				dynevent_kind_name(d->kind));
		fields_text(k, d);
		return;
	}
	begin_json(k, a, true);
	out_printf(&k->out, ", \"kind\": \"%s\", \"return\": %s, \"event\": \"%s:%s\", ",
		dynevent_kind_name(d->kind), d->is_return ? "true" : "false", d->group, d->event);
	string_json(k, "definition", d->definition);
	out_printf(&k->out, ", \"with\": \"%s\"", bpf ? "bpf" : "tracefs");
	out_str(&k->out, ", \"fields\": [");
	for (size_t i = 0; i < d->len; i++) {
		out_str(&k->out, i ? ", {" : "{");
		string_json(k, "name", d->fields[i].name);
		out_str(&k->out, ", ");
		string_json(k, "type", d->fields[i].type);
		out_str(&k->out, ", ");
		string_json(k, "from", d->fields[i].text);
		out_char(&k->out, '}');
	}
	out_str(&k->out, "]}");
}

static void show_events(struct check *k, const char *key, const struct texts_filter *f, bool fits)
{
	bool first = true;

	if (k->json)
		out_printf(&k->out, ", \"%s\": [", key);
	for (size_t i = 0; i < f->events.n; i++) {
		const struct tracefs_event *ev = &f->events.all[i];

		if (f->fits[i] != fits)
			continue;
		if (k->json)
			out_printf(&k->out, "%s\"%s:%s\"", first ? "" : ", ", ev->system, ev->name);
		else
			out_printf(&k->out, "  %-10s  %s:%s\n", first ? key : "", ev->system,
				ev->name);
		first = false;
	}
	if (k->json)
		out_char(&k->out, ']');
}

/* ---- the texts ---- */

static void check_probe(struct check *k, const struct asked *a)
{
	AUTO(dynevent) struct dynevent d = {0};
	struct dynevent_fault fault;
	bool bpf;

	if (texts_probe(k->w, (enum dynevent_kind)(a->id - OPT_C_PROBE), a->text, &d, &bpf, &fault))
		show_fault(k, a, 0, &fault);
	else
		show_probe(k, a, &d, bpf);
}

static int check_filter(struct check *k, const struct asked *a)
{
	struct texts_filter f AUTO(texts_filter) = {0};
	AUTO(free) char *pattern = NULL;
	const char *filter = texts_split(a->text, &pattern);
	int r;

	if (a->id == OPT_C_FILTER) { /* looked at when the option was read */
		const char *colon = strstr(a->text, ": ");

		free(pattern);
		pattern = strndup(a->text, (size_t)(colon - a->text));
		filter = colon + 2;
	}
	if (!pattern)
		return -ENOMEM;
	r = texts_filter(k->top, pattern, filter, &f);
	if (r == -ENOENT)
		f.fault.len = strlen(pattern);
	if (r == -ENOMEM)
		return r;
	if (r < 0 || f.n == 0) {
		show_fault(k, a, r < 0 || !filter ? 0 : (size_t)(filter - a->text), &f.fault);
		return 0;
	}
	if (k->json)
		begin_json(k, a, true);
	else
		out_printf(&k->out, "%s%s '%s'\n", a->id == OPT_C_KERNEL ? "-" : "--",
			a->id == OPT_C_KERNEL ? "k" : option_name(a->id), a->text);
	show_events(k, "events", &f, true);
	show_events(k, "without", &f, false);
	if (k->json)
		out_char(&k->out, '}');
	return 0;
}

static int parse(struct check *k, int argc, char **argv)
{
	struct args a;
	int got;

	args_init(&a, k->c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		struct asked *asked;

		if (got == ARG_HELP || got == ARG_BAD)
			return args_exit(got);
		if (got == ARG_POSITIONAL)
			return usage_error(
				k->c, "'%s': an option says what kind of text this is", a.value);
		if (got == OPT_C_JSON) {
			k->json = true;
			continue;
		}
		if (got == OPT_C_FILTER && !strstr(a.value, ": "))
			return usage_error(
				k->c, "--kernel-filter '%s': expected 'EVENT: FILTER'", a.value);
		asked = VEC_ADD(k->asked, k->n, k->cap);
		if (!asked)
			return fail_text(k->c, NULL, "out of memory");
		*asked = (struct asked){got, a.value};
	}
	return k->n ? -1 : usage_error(k->c, "a text is missing: --kprobe 'vfs_read count'");
}

static int run(const struct command *c, int argc, char **argv)
{
	struct check k AUTO(check) = {.c = c, .first = true};
	struct error e = {0};
	int r = parse(&k, argc, argv);

	if (r >= 0)
		return r;
	r = tracefs_open(NULL, &k.top, &e);
	if (r < 0)
		return fail_error(c, r, &e);
	k.w = dynevent_world_new(NULL, karch_native());
	if (!k.w || out_init(&k.out, STDOUT_FILENO) != 0)
		return fail_text(c, NULL, "out of memory");
	if (k.json)
		out_str(&k.out, "{\"checks\": [");
	for (size_t i = 0; i < k.n; i++) {
		const struct asked *a = &k.asked[i];

		if (a->id != OPT_C_KERNEL && a->id != OPT_C_FILTER)
			check_probe(&k, a);
		else if (check_filter(&k, a) < 0)
			return fail_text(c, NULL, "out of memory");
	}
	if (k.json)
		out_str(&k.out, "]}\n");
	if (out_flush(&k.out) != 0 && k.out.err != -EPIPE)
		return fail_text(c, NULL, "cannot write: %s", strerror(-k.out.err));
	return k.refused ? CLI_FAIL : CLI_OK;
}
