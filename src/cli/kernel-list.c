/* cairn kernel list: events by pattern, tracers, clocks, and what this kernel lacks. */
#include "cli/kernel.h"
#include "kernel/facts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { OPT_L_JSON = OPT_FIRST, OPT_L_FIELDS };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_L_FIELDS, 0, "fields", NULL, "with the fields of each event"},
	{OPT_L_JSON, 0, "json", NULL, "as one JSON object"},
	{0},
};

const struct command command_kernel_list = {
	.name = "list",
	.parent = "kernel",
	.summary = "show events, tracers, clocks, and what this kernel lacks",
	.usage = "[OPTION...] [PATTERN...]",
	.options = options,
	.notes = "PATTERN is SYSTEM:EVENT, or one of both alone, with * and ?: the events\n"
		 "that match are listed. Without one, what the kernel has of all kinds, and what\n"
		 "it lacks, with the option of its configuration that would bring it.",
	.run = run,
};

struct listing {
	const struct command *c;
	struct tracefs *top; /* owned */
	struct strings patterns;
	bool json, fields;
	struct out out;
	struct error e;
};

static void auto_listing(struct listing *l)
{
	tracefs_free(l->top);
	auto_strings(&l->patterns);
	out_done(&l->out);
}

/* ---- events ---- */

static void field_json(struct out *o, const struct kfield *f, bool first)
{
	out_str(o, first ? "{\"name\": " : ", {\"name\": ");
	out_json(o, f->name, strlen(f->name));
	out_str(o, ", \"type\": ");
	out_json(o, f->type, strlen(f->type));
	out_printf(o, ", \"offset\": %u, \"size\": %u, \"signed\": %s}", f->offset, f->size,
		f->is_signed ? "true" : "false");
}

static void field_text(struct out *o, const struct kfield *f)
{
	out_printf(o, "    %s %s", f->type, f->name);
	if (f->form == KFIELD_ARRAY)
		out_printf(o, "[%u]", f->count);
	else if (f->form != KFIELD_SCALAR)
		out_str(o, "[]");
	out_char(o, '\n');
}

static int fields(struct listing *l, const struct tracefs_event *ev)
{
	AUTO(buf) struct buf text = {0};
	struct kformat *f;
	int err = tracefs_format(l->top, ev->system, ev->name, &text, &l->e);

	if (err == -ENOENT)
		return 0; /* it went meanwhile: a probe of somebody's */
	if (err == 0)
		err = kformat_parse(text.data, text.len, ev->system, sizeof(long), &f, &l->e);
	if (err < 0)
		return err;
	if (l->json)
		out_printf(&l->out, ", \"id\": %u, \"fields\": [", f->id);
	for (size_t i = f->ncommon; i < f->nfields; i++) {
		if (l->json)
			field_json(&l->out, &f->fields[i], i == f->ncommon);
		else
			field_text(&l->out, &f->fields[i]);
	}
	if (l->json)
		out_char(&l->out, ']');
	kformat_free(f);
	return 0;
}

static int event(struct listing *l, const struct tracefs_event *ev, bool first)
{
	int err = 0;

	if (l->json) {
		out_str(&l->out, first ? "\n  {\"event\": \"" : ",\n  {\"event\": \"");
		out_printf(&l->out, "%s:%s\"", ev->system, ev->name);
	} else
		out_printf(&l->out, "%s:%s\n", ev->system, ev->name);
	if (l->fields)
		err = fields(l, ev);
	if (l->json)
		out_char(&l->out, '}');
	return err;
}

/* Those that match the pattern (NULL: all) and are not in `seen`. */
static int matching(struct listing *l, const char *pattern, struct map *seen)
{
	AUTO(tracefs_events) struct tracefs_events list = {0};
	int err = tracefs_events(l->top, pattern, &list, &l->e);

	for (size_t i = 0; i < list.n && err == 0; i++) {
		char name[256];
		int n = snprintf(name, sizeof(name), "%s:%s", list.all[i].system, list.all[i].name);
		bool first = seen->len == 0;

		if (map_get(seen, name, (size_t)n))
			continue;
		err = map_put(seen, name, (size_t)n, l);
		if (err == 0)
			err = event(l, &list.all[i], first);
	}
	return err;
}

static int count_events(struct listing *l, size_t *ret_events, size_t *ret_systems)
{
	AUTO(tracefs_events) struct tracefs_events all = {0};
	int err = tracefs_events(l->top, "*", &all, &l->e);

	*ret_events = all.n;
	*ret_systems = 0;
	for (size_t i = 0; i < all.n; i++)
		*ret_systems += i == 0 || strcmp(all.all[i].system, all.all[i - 1].system) != 0;
	return err;
}

/* ---- what there is ---- */

static const char *const kinds[] = {
	[KFACT_TRACER] = "tracers", [KFACT_PROBE] = "probes", [KFACT_OTHER] = "features"};

enum { WHAT_COLUMN = 35, COLUMNS = 80 };

static void fact_text(struct out *o, const struct kfact *f, bool have)
{
	bool fits =
		WHAT_COLUMN + strlen(f->what) + strlen(": needs ") + strlen(f->config) <= COLUMNS;

	out_printf(o, "  %-10s %-21s %s", kinds[f->kind], f->name, f->what);
	if (!have && fits)
		out_printf(o, ": needs %s", f->config);
	else if (!have)
		out_printf(o, ":\n%*sneeds %s", WHAT_COLUMN, "", f->config);
	out_char(o, '\n');
}

static void facts_text(struct out *o, const struct kernel_signs *signs, bool have)
{
	for (unsigned kind = 0; kind < ARRAY_SIZE(kinds); kind++)
		for (const struct kfact *f = kfacts; f->name; f++)
			if (f->kind == kind && kernel_has(signs, f) == have)
				fact_text(o, f, have);
}

static void facts_json(struct out *o, const struct kernel_signs *signs)
{
	for (unsigned kind = 0; kind < ARRAY_SIZE(kinds); kind++) {
		bool first = true;

		out_printf(o, ", \"%s\": [", kinds[kind]);
		for (const struct kfact *f = kfacts; f->name; f++) {
			if (f->kind != kind)
				continue;
			out_printf(o, "%s\n  {\"name\": \"%s\", \"have\": %s, \"config\": \"%s\"}",
				first ? "" : ",", f->name, kernel_has(signs, f) ? "true" : "false",
				f->config);
			first = false;
		}
		out_str(o, "]");
	}
}

/* The words of trace_clock; the one in brackets is in use. */
static void clocks(struct listing *l)
{
	AUTO(buf) struct buf b = {0};
	bool first = true;

	if (tracefs_read(l->top, "trace_clock", &b, NULL) < 0 || !b.data)
		return;
	out_str(&l->out, l->json ? ", \"clocks\": [" : "\nclocks\n ");
	for (char *save, *w = strtok_r(b.data, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
		size_t n = strlen(w);

		if (w[0] == '[' && n > 2) {
			w[n - 1] = '\0';
			w++;
		}
		out_printf(&l->out, l->json ? (first ? "\"%s\"" : ", \"%s\"") : " %s", w);
		first = false;
	}
	out_str(&l->out, l->json ? "]" : "\n");
}

static int overview(struct listing *l)
{
	AUTO(kernel_signs) struct kernel_signs signs = {0};
	struct utsname u;
	size_t nevents = 0, nsystems = 0;
	int err = kernel_signs_init(&signs, l->top, &l->e);

	if (err == 0)
		err = count_events(l, &nevents, &nsystems);
	if (err < 0)
		return err;
	(void)uname(&u); /* cannot fail */
	if (l->json) {
		out_printf(&l->out,
			"{\"kernel\": \"%s\", \"tracefs\": \"%s\", \"events\": %zu, "
			"\"systems\": %zu",
			u.release, l->top->path, nevents, nsystems);
		facts_json(&l->out, &signs);
		clocks(l);
		out_str(&l->out, "}\n");
		return 0;
	}
	out_printf(&l->out, "Linux %s, %s\n\n%zu events of %zu systems: cairn kernel list '*'\n",
		u.release, l->top->path, nevents, nsystems);
	out_str(&l->out, "\nthis kernel has\n");
	facts_text(&l->out, &signs, true);
	clocks(l);
	out_str(&l->out, "\nthis kernel lacks\n");
	facts_text(&l->out, &signs, false);
	return 0;
}

static int list_events(struct listing *l)
{
	struct map seen = {0};
	int err = 0;
	size_t n;

	if (l->json)
		out_str(&l->out, "{\"events\": [");
	if (!l->patterns.len)
		err = matching(l, NULL, &seen);
	for (size_t i = 0; i < l->patterns.len && err == 0; i++)
		err = matching(l, l->patterns.items[i], &seen);
	n = seen.len;
	map_done(&seen);
	if (l->json)
		out_str(&l->out, "]}\n");
	if (err < 0)
		return err;
	if (n == 0 && !l->json)
		return tracefs_no_event(
			l->top, l->patterns.len ? l->patterns.items[0] : "*", &l->e);
	return 0;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct listing l AUTO(listing) = {.c = c};
	struct args a;
	int got, err;

	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == OPT_L_JSON)
			l.json = true;
		else if (got == OPT_L_FIELDS)
			l.fields = true;
		else if (got != ARG_POSITIONAL)
			return args_exit(got);
		else if (strings_add(&l.patterns, a.value) != 0)
			return fail_text(c, NULL, "out of memory");
	}
	if (out_init(&l.out, STDOUT_FILENO) != 0)
		return fail_text(c, NULL, "out of memory");
	err = tracefs_open(NULL, &l.top, &l.e);
	if (err == 0)
		err = l.patterns.len || l.fields ? list_events(&l) : overview(&l);
	if (out_flush(&l.out) != 0 && l.out.err != -EPIPE)
		return fail_text(c, NULL, "cannot write: %s", strerror(-l.out.err));
	return err < 0 ? fail_error(c, err == -EINVAL ? -EIO : err, &l.e) : CLI_OK;
}
