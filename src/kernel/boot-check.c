/* What texts for boot name, against what the running kernel has; see boot-check.h. */
#include "kernel/boot-check-impl.h"
#include "kernel/facts.h"
#include "kernel/filter.h"
#include "kernel/near.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the running kernel ---- */

int boot_kernel_read(const char *root, struct boot_kernel *ret, struct error *e)
{
	int r;

	*ret = (struct boot_kernel){0};
	r = tracefs_open(root, &ret->tracefs, e);
	r = r < 0 ? r : tracefs_events(ret->tracefs, NULL, &ret->events, e);
	r = r < 0 ? r : tracefs_read(ret->tracefs, "available_tracers", &ret->tracers, e);
	r = r < 0 ? r : tracefs_read(ret->tracefs, "trace_clock", &ret->clocks, e);
	return r < 0 ? r : tracefs_read(ret->tracefs, "trace_options", &ret->options, e);
}

void boot_kernel_done(struct boot_kernel *k)
{
	tracefs_events_done(&k->events);
	buf_done(&k->tracers);
	buf_done(&k->clocks);
	buf_done(&k->options);
	if (k->trial)
		(void)tracefs_instance_remove(k->trial, NULL); /* else the next start sweeps it */
	dynevent_world_free(k->world);
	tracefs_free(k->tracefs);
	*k = (struct boot_kernel){0};
}

void auto_boot_kernel(struct boot_kernel *k)
{
	boot_kernel_done(k);
}

/* ---- findings ---- */

void found(struct checker *c, size_t at, const char *fmt, ...)
{
	struct boot_report *r = c->report;
	struct boot_finding *f;
	char text[400];
	va_list ap;
	size_t i;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* names of users are cut */
	va_end(ap);
	f = VEC_ADD(r->items, r->len, r->cap);
	if (!f || !(f->message = arena_strndup(&r->arena, text, strlen(text)))) {
		r->len -= f != NULL;
		c->err = -ENOMEM;
		return;
	}
	f->at = at;
	for (i = r->len - 1; i > 0 && r->items[i - 1].at > at; i--) {
		struct boot_finding later = r->items[i - 1];

		r->items[i - 1] = r->items[i];
		r->items[i] = later;
	}
}

void boot_report_done(struct boot_report *r)
{
	free(r->items);
	arena_done(&r->arena);
	*r = (struct boot_report){0};
}

void auto_boot_report(struct boot_report *r)
{
	boot_report_done(r);
}

void checker_done(struct checker *c)
{
	free(c->own.items);
	arena_done(&c->arena);
}

/* ---- names ---- */

/* Is it one of the words? If not, the nearest one is looked for. A leading "no" and brackets around
 * words ("[local]") are passed over if `loose`. */
static bool is_among(
	const struct buf *words, const char *name, size_t len, bool loose, struct near *n)
{
	const char *w = words->data ? words->data : "";
	char word[128];

	while (*(w += strspn(w, " \n\t[]"))) {
		size_t wlen = strcspn(w, " \n\t[]");
		size_t skip = loose && wlen > 2 && memcmp(w, "no", 2) == 0 ? 2 : 0;

		if ((wlen == len && memcmp(w, name, len) == 0) ||
			(skip && wlen - skip == len && memcmp(w + skip, name, len) == 0) ||
			(loose && len == wlen + 2 && memcmp(name, "no", 2) == 0 &&
				memcmp(name + 2, w, wlen) == 0))
			return true;
		(void)snprintf(word, sizeof(word), "%.*s", (int)(wlen - skip), w + skip);
		near_look(n, word);
		w += wlen;
	}
	return false;
}

static void unknown(struct checker *c, size_t at, const char *what, const char *name, size_t len,
	const struct near *n)
{
	found(c, at, "this kernel has no %s '%.*s'%s%s%s", what, (int)len, name,
		n->best[0] ? "; did you mean '" : "", n->best, n->best[0] ? "'?" : "");
}

static void check_word(struct checker *c, const struct buf *words, const char *what,
	const char *text, size_t len, size_t at)
{
	struct near n;

	near_init(&n, text, len);
	if (!is_among(words, text, len, false, &n))
		unknown(c, at, what, text, len, &n);
}

static void check_tracer(struct checker *c, const char *text, size_t len, size_t at)
{
	char name[64];
	const struct kfact *fact;
	struct near n;

	(void)snprintf(name, sizeof(name), "%.*s", (int)len, text); /* cut: none of the known */
	near_init(&n, text, len);
	if (is_among(&c->kernel->tracers, text, len, false, &n))
		return;
	fact = kfact_find(KFACT_TRACER, name);
	if (fact)
		found(c, at, "this kernel has no tracer '%s'; it would need %s", name,
			fact->config);
	else
		unknown(c, at, "tracer", text, len, &n);
}

static void check_option(struct checker *c, const char *text, size_t len, size_t at)
{
	size_t no = len > 2 && memcmp(text, "no", 2) == 0 ? 2 : 0;
	char path[160];
	struct near n;

	near_init(&n, text + no, len - no);
	if (len > 100 || is_among(&c->kernel->options, text, len, true, &n))
		return;
	/* Those of tracers that are not on have files, but are not in the list. */
	(void)snprintf(path, sizeof(path), "options/%.*s", (int)len, text);
	if (tracefs_has(c->kernel->tracefs, path))
		return;
	(void)snprintf(path, sizeof(path), "options/%.*s", (int)(len - no), text + no);
	if (!tracefs_has(c->kernel->tracefs, path))
		unknown(c, at, "trace option", text, len, &n);
}

/* ---- events ---- */

void own_event(struct checker *c, const char *system, const char *event)
{
	AUTO(buf) struct buf b = {0};
	char *name;

	buf_printf(&b, "%s:%s", system, event);
	name = b.err ? NULL : arena_strndup(&c->arena, b.data, b.len);
	if (!name || boot_list_add(&c->own, name) != 0)
		c->err = -ENOMEM;
}

/* As ftrace_set_clr_event(): "system:event", each may be a pattern, empty or left out; one word is a
 * system or an event. */
static bool event_matches(const char *pattern_system, const char *pattern_event, const char *system,
	const char *event)
{
	if (!pattern_event)
		return glob_match(pattern_system, system) || glob_match(pattern_system, event);
	return (!*pattern_system || glob_match(pattern_system, system)) &&
		(!*pattern_event || glob_match(pattern_event, event));
}

static bool event_exists(struct checker *c, const char *system, const char *event)
{
	const struct tracefs_events *all = &c->kernel->events;

	for (size_t i = 0; i < all->n; i++)
		if (event_matches(system, event, all->all[i].system, all->all[i].name))
			return true;
	for (size_t i = 0; i < c->own.len; i++) {
		const char *colon = strchr(c->own.items[i], ':');
		char own[256];

		(void)snprintf(
			own, sizeof(own), "%.*s", (int)(colon - c->own.items[i]), c->own.items[i]);
		if (event_matches(system, event, own, colon + 1))
			return true;
	}
	return false;
}

/* The nearest "system:event", or for one word the nearest event or system. */
static void unknown_event(struct checker *c, const char *system, const char *event, size_t at)
{
	const struct tracefs_events *all = &c->kernel->events;
	char name[256];
	struct near n;
	int len = snprintf(
		name, sizeof(name), "%s%s%s", system, event ? ":" : "", event ? event : "");
	char wrong[256];

	memcpy(wrong, name, sizeof(wrong));
	near_init(&n, wrong, strlen(wrong));
	for (size_t i = 0; i < all->n && len < 200; i++) {
		(void)snprintf(name, sizeof(name), "%s:%s", all->all[i].system, all->all[i].name);
		near_look(&n, event ? name : all->all[i].name);
		if (!event)
			near_look(&n, all->all[i].system);
	}
	if (strchr(wrong, ','))
		found(c, at, "one event a value: write \"A\", \"B\" instead of \"A,B\"");
	else
		unknown(c, at, strpbrk(wrong, "*?") ? "event like" : "event", wrong, strlen(wrong),
			&n);
}

void check_event(struct checker *c, const char *system, const char *event, size_t at)
{
	if (c->kernel && !event_exists(c, system, event))
		unknown_event(c, system, event, at);
}

/* An instance to try things in; false if there is none, or the event is not the kernel's now. */
static bool may_try(struct checker *c, const char *system, const char *event)
{
	struct boot_kernel *k = c->kernel;
	bool known = false;

	for (size_t i = 0; k && i < k->events.n && !known; i++)
		known = strcmp(k->events.all[i].system, system) == 0 &&
			strcmp(k->events.all[i].name, event) == 0;
	if (!known || k->tracefs->fake)
		return false;
	return k->trial || tracefs_instance_new(k->tracefs, &k->trial, NULL) == 0;
}

void check_filter(
	struct checker *c, const char *system, const char *event, const char *text, size_t at)
{
	struct dynevent_fault f;
	struct error e = {0};

	if (!may_try(c, system, event))
		return;
	if (kfilter_check_event(c->kernel->trial, system, event, text, &f) == -EINVAL)
		found(c, at + f.at, "%s%s%s", f.error.message, f.error.hint[0] ? "; " : "",
			f.error.hint);
	else if (tracefs_filter(c->kernel->trial, system, event, text, &e) == -EINVAL)
		found(c, at, "%s", e.message);
	else
		(void)tracefs_filter(c->kernel->trial, system, event, NULL, NULL); /* goes anyway */
}

/* Those that need nothing else to be there; histograms may name what the text makes. */
void check_trigger(
	struct checker *c, const char *system, const char *event, const char *text, size_t at)
{
	static const char *const simple[] = {"traceon", "traceoff", "stacktrace"};
	AUTO(buf) struct buf path = {0}, undo = {0};
	struct error e = {0};
	size_t word = strcspn(text, ": ");
	bool try = false;

	for (size_t i = 0; i < ARRAY_SIZE(simple); i++)
		try |= strlen(simple[i]) == word && memcmp(text, simple[i], word) == 0;
	if (!try || !may_try(c, system, event))
		return;
	buf_printf(&path, "events/%s/%s/trigger", system, event);
	buf_printf(&undo, "!%s", text);
	if (path.err || undo.err)
		c->err = -ENOMEM;
	else if (tracefs_append(c->kernel->trial, path.data, text, &e) == -EINVAL)
		found(c, at, "the kernel refuses the trigger '%.80s' of %s:%s", text, system,
			event);
	else
		(void)tracefs_append(c->kernel->trial, path.data, undo.data, NULL); /* as above */
}

static void check_event_pattern(struct checker *c, const char *text, size_t len, size_t at)
{
	const char *colon = memchr(text, ':', len);
	char system[256], event[256];
	int first = (int)(colon ? colon - text : (ptrdiff_t)len);

	if (len == 0) {
		found(c, at, "an event is missing here");
		return;
	}
	(void)snprintf(system, sizeof(system), "%.*s", first, text);
	(void)snprintf(
		event, sizeof(event), "%.*s", (int)len - first - !!colon, colon ? colon + 1 : "");
	check_event(c, system, colon ? event : NULL, at);
}

/* ---- probes ---- */

void check_definition(struct checker *c, const char *definition, size_t skip, size_t at)
{
	struct boot_kernel *k = c->kernel;
	struct dynevent d AUTO(dynevent) = {0};
	struct arena arena = {0};
	struct dynevent_fault f;
	struct boot_probe probe;
	struct text_fault shape;
	int r;

	if (!k || k->tracefs->fake)
		return;
	if (!k->world)
		k->world = dynevent_world_new(NULL, karch_native());
	r = k->world ? boot_probe_parse(&arena, definition, false, &probe, &shape) : -ENOMEM;
	/* A group that is said, so that it may be there already: as it is when it was booted with. */
	if (r == 0)
		r = dynevent_parse(k->world, DYNEVENT_ANY, probe.group ? probe.group : "kprobes",
			definition, &d, &f);
	if (r == -EINVAL || r == -ENOENT || r == -EOPNOTSUPP)
		found(c, at + (f.at > skip ? f.at - skip : 0), "%s%s%s", f.error.message,
			f.error.hint[0] ? "; " : "", f.error.hint);
	arena_done(&arena);
}

/* ---- values ---- */

static void check_size(struct checker *c, const char *text, size_t len, size_t at)
{
	char copy[64];
	uint64_t size;

	(void)snprintf(copy, sizeof(copy), "%.*s", (int)len, text);
	if (len >= sizeof(copy) || parse_size(copy, &size) != 0)
		found(c, at, "expected a size as 512K or 16M");
	else if (size < 4096)
		found(c, at, "a buffer has at least 4096 bytes");
}

static void check_digits(
	struct checker *c, enum boot_kind kind, const char *text, size_t len, size_t at)
{
	const char *set = kind == KIND_MASK ? "0123456789abcdefABCDEF," : "0123456789";

	if (len == 0 || strspn(text, set) < len)
		found(c, at,
			kind == KIND_MASK	      ? "expected a hexadecimal mask of CPUs"
				: kind == KIND_SWITCH ? "expected 0 or 1"
						      : "expected a number");
}

static void check_probe(struct checker *c, const char *text, size_t len, size_t at)
{
	struct arena arena = {0};
	const char *copy = arena_strndup(&arena, text, len);
	struct boot_probe probe;
	struct text_fault f;
	int r = copy ? boot_probe_parse(&arena, copy, false, &probe, &f) : -ENOMEM;

	if (r == -EINVAL)
		found(c, at + f.at, "%s", f.message);
	else if (r < 0)
		c->err = r;
	arena_done(&arena);
}

void check_value(struct checker *c, enum boot_kind kind, const char *text, size_t len, size_t at)
{
	struct boot_kernel *k = c->kernel;

	switch (kind) {
	case KIND_ANY:
	case KIND_FLAG: break;
	case KIND_SWITCH:
	case KIND_NUMBER:
	case KIND_MASK: check_digits(c, kind, text, len, at); break;
	case KIND_SIZE: check_size(c, text, len, at); break;
	case KIND_PROBE: check_probe(c, text, len, at); break;
	case KIND_EVENT: check_event_pattern(c, text, len, at); break;
	case KIND_TRACER:
		if (k)
			check_tracer(c, text, len, at);
		break;
	case KIND_CLOCK:
		if (k)
			check_word(c, &k->clocks, "trace clock", text, len, at);
		break;
	case KIND_OPTION:
		if (k)
			check_option(c, text, len, at);
		break;
	}
}
