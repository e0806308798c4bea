/* Sessions from boot on as boot configurations; see boot.h. Names of keys: as kernel/trace/trace_boot.c
 * reads them. */
#include "kernel/boot-impl.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct writer {
	struct bootconfig c;
	const struct boot_instance *i; /* now */
	struct bootconfig_key *under; /* its key */
	struct error *e;
};

static void auto_writer(struct writer *w)
{
	bootconfig_done(&w->c);
}

static int no_memory(struct writer *w)
{
	return error_set(w->e, -ENOMEM, "out of memory");
}

/* After error_set(): what can be said, only not here. */
static int unsayable(struct writer *w)
{
	error_hint(w->e, "a command line can: cairn boot write --cmdline");
	return -EOPNOTSUPP;
}

/* The key of these dotted words below `under`. Instances and events are words of their own. */
static int key_at(struct writer *w, struct bootconfig_key *under, const char *path,
	struct bootconfig_key **ret)
{
	char word[BOOTCONFIG_KEY_MAX + 1];

	for (;;) {
		size_t n = strcspn(path, ".");

		(void)snprintf(word, sizeof(word), "%.*s", (int)n, path); /* ours: they fit */
		under = bootconfig_key(&w->c, under, word);
		if (!under)
			return no_memory(w);
		if (!path[n])
			break;
		path += n + 1;
	}
	*ret = under;
	return 0;
}

/* Names of instances, systems and events become words of keys. */
static int name_key(struct writer *w, struct bootconfig_key *under, const char *name,
	struct bootconfig_key **ret)
{
	if (!bootconfig_is_word(name)) {
		(void)error_set(w->e, 0,
			"a bootconfig cannot name '%s': only letters, digits, - and _", name);
		return unsayable(w);
	}
	*ret = bootconfig_key(&w->c, under, name);
	return *ret ? 0 : no_memory(w);
}

static int value_add(struct writer *w, struct bootconfig_key *k, const char *text)
{
	int r;

	if (strlen(text) > BOOT_TEXT_MAX)
		return error_set(w->e, -E2BIG, "'%.60s...' is longer than the %d bytes it may have",
			text, BOOT_TEXT_MAX);
	r = bootconfig_value(&w->c, k, text);
	if (r == -EINVAL)
		return error_set(w->e, r,
			"no quotes of a bootconfig can hold this (it has no escapes): %s", text);
	return r < 0 ? no_memory(w) : 0;
}

/* path = text, below `under`; NULL: nothing. */
static int set(struct writer *w, struct bootconfig_key *under, const char *path, const char *text)
{
	struct bootconfig_key *k;
	int r;

	if (!text)
		return 0;
	r = key_at(w, under, path, &k);
	return r < 0 || !*text ? r : value_add(w, k, text);
}

static int set_list(struct writer *w, const char *path, const struct boot_list *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->len; i++)
		r = set(w, w->under, path, l->items[i]);
	return r;
}

/* A parameter of the command line: one word, however many things it lists (older kernels take the
 * last of several words). */
static int set_param(struct writer *w, const char *name, const struct boot_list *l)
{
	AUTO(buf) struct buf b = {0};
	struct bootconfig_key *k, *kernel;
	int r;

	for (size_t i = 0; i < l->len; i++)
		buf_printf(&b, "%s%s", i ? "," : "", l->items[i]);
	if (b.err)
		return no_memory(w);
	if (!l->len)
		return 0;
	r = key_at(w, NULL, "kernel", &kernel);
	r = r < 0 ? r : key_at(w, kernel, name, &k);
	if (r < 0 || !b.len)
		return r;
	return bootconfig_value(&w->c, k, b.data) == 0
		? 0
		: error_set(w->e, -EINVAL, "no quotes of a bootconfig can hold this: %s", b.data);
}

static int event_key(
	struct writer *w, const char *system, const char *event, struct bootconfig_key **ret)
{
	struct bootconfig_key *k;
	int r = key_at(w, w->under, "event", &k);

	r = r < 0 ? r : name_key(w, k, system, &k);
	return r < 0 ? r : name_key(w, k, event, ret);
}

/* "system:event" with a filter needs both names whole. */
static int add_filtered(struct writer *w, const struct boot_event *ev)
{
	char system[128];
	const char *colon = strchr(ev->pattern, ':');
	struct bootconfig_key *k;
	int r;

	if (!colon || strpbrk(ev->pattern, "*?[") ||
		colon - ev->pattern >= (ptrdiff_t)sizeof(system))
		return error_set(w->e, -EINVAL,
			"a filter at boot is for one event: SYSTEM:EVENT, not '%s'", ev->pattern);
	(void)snprintf(system, sizeof(system), "%.*s", (int)(colon - ev->pattern), ev->pattern);
	r = event_key(w, system, colon + 1, &k);
	r = r < 0 ? r : set(w, k, "filter", ev->filter);
	return r < 0 ? r : set(w, k, "enable", "");
}

static int add_probe(struct writer *w, const struct boot_probe *p)
{
	AUTO(buf) struct buf b = {0};
	struct bootconfig_key *k;
	int r;

	if (p->group && strcmp(p->group, "kprobes") != 0) {
		(void)error_set(w->e, 0,
			"probes of a bootconfig are in the group kprobes, not '%s'", p->group);
		return unsayable(w);
	}
	if (p->maxactive) {
		(void)error_set(w->e, 0,
			"a bootconfig cannot say how many calls of '%s' may be pending (r%u)",
			p->place, p->maxactive);
		return unsayable(w);
	}
	buf_printf(&b, "%s%s%s%s", p->place, p->is_return ? "%return" : "", *p->args ? " " : "",
		p->args);
	if (b.err)
		return no_memory(w);
	/* The kernel puts "p:kprobes/EVENT " before it, in the same buffer. */
	if (b.len + strlen("p:kprobes/ ") + strlen(p->event) > BOOT_TEXT_MAX) {
		(void)error_set(w->e, 0,
			"the probe %s is longer than the %d bytes that a "
			"bootconfig takes",
			p->event, BOOT_TEXT_MAX);
		return unsayable(w);
	}
	r = event_key(w, "kprobes", p->event, &k);
	r = r < 0 ? r : set(w, k, "probes", b.data);
	return r < 0 ? r : set(w, k, "enable", "");
}

static int add_events(struct writer *w)
{
	const struct boot_instance *i = w->i;
	struct bootconfig_key *k;
	int r = 0;

	for (size_t n = 0; r == 0 && n < i->nprobes; n++)
		r = add_probe(w, &i->probes[n]);
	for (size_t n = 0; r == 0 && n < i->nsynths; n++) {
		r = event_key(w, "synthetic", i->synths[n].event, &k);
		for (size_t f = 0; r == 0 && f < i->synths[n].fields.len; f++)
			r = set(w, k, "fields", i->synths[n].fields.items[f]);
		r = r < 0 ? r : set(w, k, "enable", "");
	}
	for (size_t n = 0; r == 0 && n < i->nevents; n++)
		r = i->events[n].filter ? add_filtered(w, &i->events[n])
					: set(w, w->under, "events", i->events[n].pattern);
	for (size_t n = 0; r == 0 && n < i->ntriggers; n++) {
		r = event_key(w, i->triggers[n].system, i->triggers[n].event, &k);
		r = r < 0 ? r : set(w, k, "actions", i->triggers[n].text);
	}
	return r;
}

/* What only the command line has, and only for the top instance. */
static int add_graph(struct writer *w)
{
	const struct boot_instance *i = w->i;
	char depth[24];
	const char *text = depth;
	struct boot_list one = {.items = &text, .len = i->graph_depth != 0};
	int r;

	if (i->name && (i->graph.len || i->not_graph.len || i->graph_depth)) {
		(void)error_set(w->e, 0,
			"the kernel has no filters of function graphs for instances (%s) at boot",
			i->name);
		error_hint(w->e, "use them outside of instances, or --function");
		return -EINVAL;
	}
	(void)snprintf(depth, sizeof(depth), "%" PRIu64, i->graph_depth); /* fits */
	r = set_param(w, "ftrace_graph_filter", &i->graph);
	r = r < 0 ? r : set_param(w, "ftrace_graph_notrace", &i->not_graph);
	return r < 0 ? r : set_param(w, "ftrace_graph_max_depth", &one);
}

static int check_tracer(struct writer *w)
{
	const struct boot_instance *i = w->i;
	const char *why = i->name && i->tracer ? boot_not_in_instances(i->tracer) : NULL;

	if (!why)
		return 0;
	(void)error_set(w->e, 0, "%s: %s", i->tracer, why);
	error_hint(w->e, "use it outside of instances, or another one in '%s'", i->name);
	return -EINVAL;
}

static int add_tracer(struct writer *w)
{
	const char *tracer = w->i->tracer;
	struct boot_list one = {.items = &tracer, .len = 1};

	return tracer && boot_tracer_is_late(tracer) ? set_param(w, "ftrace", &one)
						     : set(w, w->under, "tracer", tracer);
}

static int add_instance(struct writer *w, const struct boot_instance *i)
{
	char size[32] = "";
	int r = key_at(w, NULL, i->name ? "ftrace.instance" : "ftrace", &w->under);

	w->i = i;
	r = r < 0 ? r : check_tracer(w);
	r = r < 0 || !i->name ? r : name_key(w, w->under, i->name, &w->under);
	if (i->buffer_bytes)
		(void)snprintf(
			size, sizeof(size), "%" PRIu64 "KB", (i->buffer_bytes + 1023) / 1024);
	r = r < 0 ? r : set_list(w, "options", &i->options);
	if (r == 0 && i->tracing != BOOT_DEFAULT)
		r = set(w, w->under, "tracing_on", i->tracing == BOOT_ON ? "1" : "0");
	r = r < 0 ? r : set(w, w->under, "trace_clock", i->clock);
	r = r < 0 ? r : set(w, w->under, "buffer_size", *size ? size : NULL);
	r = r < 0 ? r : set(w, w->under, "cpumask", i->cpumask);
	r = r < 0 ? r : set_list(w, "ftrace.filters", &i->functions);
	r = r < 0 ? r : set_list(w, "ftrace.notraces", &i->not_functions);
	r = r < 0 ? r : add_tracer(w);
	r = r < 0 ? r
		  : set(w, w->under, "alloc_snapshot", i->snapshot || i->boot_snapshot ? "" : NULL);
	r = r < 0 ? r : add_events(w);
	return r < 0 ? r : add_graph(w);
}

/* Dumps and snapshots at the end of boot name instances in one parameter. */
static int add_globals(struct writer *w, const struct boot_session *s)
{
	static const char *empty = "";
	struct boot_list bare = {.items = &empty, .len = 1};
	AUTO(buf) struct buf dump = {0}, shot = {0};
	const char *text;
	struct boot_list one = {.items = &text, .len = 1};
	int r = 0;

	boot_dump_text(s, &dump);
	boot_snapshot_text(s, &shot);
	if (dump.err || shot.err)
		return no_memory(w);
	if (dump.data) {
		text = dump.data;
		r = set_param(w, "ftrace_dump_on_oops", &one);
	}
	if (r == 0 && shot.data) {
		text = shot.data;
		r = set_param(w, "ftrace_boot_snapshot", &one);
	}
	if (r == 0 && s->traceoff_on_warning)
		r = set_param(w, "traceoff_on_warning", &bare);
	if (r == 0 && s->tp_printk)
		r = set_param(w, "tp_printk", &bare);
	return r;
}

int boot_session_config(const struct boot_session *s, struct buf *ret, struct error *e)
{
	struct writer w AUTO(writer) = {.e = e};
	struct text_fault f;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->len; i++)
		r = add_instance(&w, s->instances[i]);
	r = r < 0 ? r : add_globals(&w, s);
	if (r < 0)
		return r;
	/* Nothing of the top instance's own? */
	if (w.c.first && !w.c.first->first)
		w.c.first = w.c.first->next;
	r = bootconfig_write(&w.c, BOOTCONFIG_TREE, ret, &f);
	return r < 0 ? error_set(e, r, "the bootconfig would have %s", f.message) : 0;
}
