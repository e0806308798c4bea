/* One of the kernel's tracers at work. See tracer.h. */
#include "kernel/tracer.h"
#include "kernel/dynevent.h"
#include "kernel/facts.h"
#include "kernel/restore.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tracer {
	struct tracefs *top; /* borrowed */
	struct tracefs *instance; /* owned; NULL: in the top directory */
	struct restore *restore; /* owned; NULL until a setting is changed */
	bool functions; /* the tracer follows functions */
	bool latency; /* it keeps the longest of something */
	bool at_top; /* the top directory is ours for now */
};

struct tracefs *tracer_dir(struct tracer *t)
{
	return t->instance ? t->instance : t->top;
}

bool tracer_at_top(const struct tracer *t)
{
	return t->at_top;
}

/* ---- settings ---- */

/* Of the top directory, remembered. */
static int set_top(struct tracer *t, const char *file, const char *value, struct error *e)
{
	int err = t->restore ? 0 : restore_begin(t->top, &t->restore, e);

	return err < 0 ? err : restore_set(t->restore, file, value, e);
}

/* Of where the tracer is: an instance goes with all that is in it. */
static int set_own(struct tracer *t, const char *file, const char *value, struct error *e)
{
	return t->instance ? tracefs_write(t->instance, file, value, e)
			   : set_top(t, file, value, e);
}

/* Appends to a list (of functions, of triggers); in the top directory the list is remembered first. */
static int add_own(struct tracer *t, const struct tracer_line *l, bool first, struct error *e)
{
	char text[512];

	/* without the newline the kernel judges it when the file is closed, and tells nobody */
	if ((size_t)snprintf(text, sizeof(text), "%s\n", l->text) >= sizeof(text))
		return error_set(e, -EINVAL, "'%.40s...' is too long", l->text);
	if (t->instance)
		return tracefs_append(t->instance, l->file, text, e);
	return first ? set_top(t, l->file, text, e) : tracefs_append(t->top, l->file, text, e);
}

static int refused(int err, const char *tracer, struct error *e)
{
	(void)error_set(e, err, "this kernel refuses the tracer '%s', even to root: %s", tracer,
		strerror(-err));
	error_hint(e,
		"lockdown, or tracing of functions was switched off for good: see the "
		"kernel's log");
	return err;
}

static int set_lists(struct tracer *t, const struct tracer_setup *s, struct error *e)
{
	for (size_t i = 0; i < s->nlists; i++) {
		const struct tracer_line *l = &s->lists[i];
		bool first = true;
		int err;

		for (size_t j = 0; j < i; j++)
			first = first && strcmp(s->lists[j].file, l->file) != 0;
		err = add_own(t, l, first, e);
		if (err == -EINVAL && strstr(l->file, "ftrace")) {
			(void)error_set(e, -ENOENT, "no function that can be traced is called '%s'",
				l->text);
			error_hint(e, "%s/available_filter_functions has them", t->top->path);
			return -ENOENT;
		}
		if (err == -EPERM)
			return refused(err, s->tracer, e);
		if (err < 0) {
			tracefs_error_log(tracer_dir(t), e);
			return err;
		}
	}
	return 0;
}

/* Options of tracers: one flag for all instances in most kernels, one of each instance in others. So the
 * top directory's is remembered, and ours is set. */
static int no_option(const char *path, const char *name, struct error *e)
{
	(void)error_set(e, -ENOENT, "this kernel's tracers have no option '%s'", name);
	for (const struct kfact *f = kfacts; f->name; f++)
		if (strncmp(f->sign, "file ", 5) == 0 && strcmp(f->sign + 5, path) == 0)
			error_hint(e, "kernels built with %s have it", f->config);
	return -ENOENT;
}

static int set_options(struct tracer *t, const struct tracer_setup *s, struct error *e)
{
	char path[128];
	int err = 0;

	for (size_t i = 0; i < s->noptions && err == 0; i++) {
		const struct tracer_line *o = &s->options[i];
		bool own, top;

		(void)snprintf(path, sizeof(path), "options/%s", o->file); /* cut: no such option */
		own = t->instance && tracefs_has(t->instance, path);
		top = tracefs_has(t->top, path);
		if (!own && !top && strcmp(o->text, "0") != 0)
			return no_option(path, o->file, e);
		if (top)
			err = set_top(t, path, o->text, e);
		if (own && err == 0)
			err = tracefs_write(t->instance, path, o->text, e);
	}
	return err;
}

static int set_events(struct tracer *t, const struct tracer_setup *s, struct error *e)
{
	for (size_t i = 0; i < s->nevents; i++) {
		AUTO(tracefs_events) struct tracefs_events list = {0};
		int err = tracefs_events(tracer_dir(t), s->events[i], &list, e);

		if (err == 0 && list.n == 0)
			err = tracefs_no_event(tracer_dir(t), s->events[i], e);
		for (size_t k = 0; k < list.n && err == 0; k++) {
			char path[256];

			(void)snprintf(path, sizeof(path), "events/%s/%s/enable",
				list.all[k].system, list.all[k].name); /* cut: not there */
			err = set_own(t, path, "1", e);
		}
		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- where it runs ---- */

static bool allowed_in(struct tracefs *dir, const char *tracer)
{
	AUTO(buf) struct buf b = {0};

	return tracefs_read(dir, "available_tracers", &b, NULL) == 0 && has_word(b.data, tracer);
}

static int refuse_unknown(const struct kernel_signs *signs, const char *tracer, struct error *e)
{
	const struct kfact *f = kfact_find(KFACT_TRACER, tracer);

	(void)error_set(e, -ENOENT,
		f ? "this kernel has no tracer '%s'" : "no tracer is called '%s'", tracer);
	if (f)
		error_hint(e, "kernels built with %s have it", f->config);
	else
		error_hint(e, "this one has: %.*s", (int)strcspn(signs->tracers.data, "\n"),
			signs->tracers.data);
	return -ENOENT;
}

static bool starts_with(struct tracefs *t, const char *file, const char *text)
{
	AUTO(buf) struct buf b = {0};

	return tracefs_read(t, file, &b, NULL) == 0 && b.data &&
		strncmp(b.data, text, strlen(text)) == 0;
}

/* The top directory is everybody's: it is taken only while nobody uses it. */
static int take_top(struct tracer *t, const char *tracer, struct error *e)
{
	bool tracing = !starts_with(t->top, "current_tracer", "nop");
	bool events =
		!starts_with(t->top, "events/enable", "0") && tracefs_has(t->top, "events/enable");

	if (!tracing && !events) {
		t->at_top = true;
		return 0;
	}
	(void)error_set(e, -EBUSY,
		"'%s' works in the top directory of tracing only, where %s on already", tracer,
		tracing ? "a tracer is" : "events are");
	error_hint(e, "whoever set it must end first; or: echo %s >%s/%s", tracing ? "nop" : "0",
		t->top->path, tracing ? "current_tracer" : "events/enable");
	return -EBUSY;
}

static int refuse_without(const struct kfact *f, struct error *e)
{
	(void)error_set(e, -ENOENT, "this kernel has no '%s': %s", f->name, f->what);
	error_hint(e, "kernels built with %s have it", f->config);
	return -ENOENT;
}

static int choose_place(struct tracer *t, const char *tracer, const char *feature, struct error *e)
{
	const struct kfact *needed = feature ? kfact_find(KFACT_OTHER, feature) : NULL;
	AUTO(kernel_signs) struct kernel_signs signs;
	int err = kernel_signs_init(&signs, t->top, e);

	if (err < 0)
		return err;
	if (!kernel_has_tracer(&signs, tracer))
		return refuse_unknown(&signs, tracer, e);
	if (needed && !kernel_has(&signs, needed))
		return refuse_without(needed, e);
	err = tracefs_instance_new(t->top, &t->instance, e);
	if (err < 0)
		return err;
	if (allowed_in(t->instance, tracer))
		return 0;
	err = tracefs_instance_remove(TAKE(t->instance), e);
	return err < 0 ? err : take_top(t, tracer, e);
}

static int set_tracer(struct tracer *t, const char *tracer, struct error *e)
{
	int err = set_own(t, "current_tracer", tracer, e);

	if (err == -EPERM || err == -ENODEV)
		return refused(err, tracer, e);
	if (err == -EBUSY)
		(void)error_set(e, err, "the tracer '%s' is at work for somebody else", tracer);
	return err;
}

/* ---- public ---- */

int tracer_open(
	struct tracefs *top, const struct tracer_setup *s, struct tracer **ret, struct error *e)
{
	AUTO(tracer) struct tracer *t = calloc(1, sizeof(*t));
	char size[32];
	int err;

	if (!t)
		return error_set(e, -ENOMEM, "out of memory");
	t->top = top;
	t->functions = strncmp(s->tracer, "function", strlen("function")) == 0;
	t->latency = s->latency;
	err = choose_place(t, s->tracer, s->feature, e);
	if (err == 0 && !t->instance)
		err = set_top(t, "tracing_on", "0", e);
	if (err == 0)
		err = set_own(t, "trace_clock", s->clock, e);
	if (err == 0 && s->buffer_bytes) {
		(void)snprintf(size, sizeof(size), "%llu", /* fits */
			(unsigned long long)MAX(s->buffer_bytes / 1024, 4));
		err = set_own(t, "buffer_size_kb", size, e);
	}
	for (size_t i = 0; i < s->nsettings && err == 0; i++)
		err = set_top(t, s->settings[i].file, s->settings[i].text, e);
	if (err == 0)
		err = set_lists(t, s, e);
	if (err == 0)
		err = set_options(t, s, e);
	if (err == 0) /* last: with all functions it takes time */
		err = set_tracer(t, s->tracer, e);
	if (err == 0)
		err = set_events(t, s, e);
	if (err < 0)
		return err;
	*ret = TAKE(t);
	return 0;
}

int tracer_close(struct tracer *t, struct error *e)
{
	struct error other;
	int err = 0, last;

	if (!t)
		return 0;
	if (t->instance || t->at_top)
		(void)tracer_on(t, false, NULL); /* it goes in any case */
	if (t->instance) /* stops the tracer, before its settings change */
		err = tracefs_instance_remove(TAKE(t->instance), e);
	else if (t->at_top)
		(void)tracefs_write(t->top, "trace", "\n", NULL); /* what we recorded */
	last = restore_end(TAKE(t->restore), &other);
	if (last < 0 && err == 0) {
		err = last;
		if (e)
			*e = other;
	}
	free(t);
	return err;
}

void auto_tracer(struct tracer **t)
{
	(void)tracer_close(*t, NULL); /* an earlier error is being told */
}

/* `file` has a list of pids, which is remembered if it is the top directory's. */
static int set_pids(
	struct tracer *t, const char *file, const int32_t *pids, size_t n, struct error *e)
{
	int err = set_own(t, file, "\n", e);

	for (size_t i = 0; i < n && err == 0; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "%d\n", pids[i]); /* fits */
		err = tracefs_append(tracer_dir(t), file, text, e);
	}
	return err;
}

int tracer_pids(struct tracer *t, const int32_t *pids, size_t n, struct error *e)
{
	static const char *const lists[] = {"set_event_pid", "set_ftrace_pid"};
	static const char *const forks[] = {"options/event-fork", "options/function-fork"};
	int err = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lists) && err == 0; i++) {
		if (i == 1 && !t->functions)
			continue;
		err = set_own(t, forks[i], "1", e);
		if (err == 0)
			err = set_pids(t, lists[i], pids, n, e);
	}
	return err;
}

/* Latency tracers measure from when they are set, with recording off: what was longest by then has left
 * no entries, and would hide all that is shorter. */
int tracer_on(struct tracer *t, bool on, struct error *e)
{
	int err = tracefs_on(tracer_dir(t), on, e);

	if (err == 0 && on && t->latency)
		err = set_own(t, "tracing_max_latency", "0", e);
	return err;
}

bool tracer_is_on(struct tracer *t)
{
	return starts_with(tracer_dir(t), "tracing_on", "1");
}

uint64_t tracer_lost(struct tracer *t)
{
	uint64_t sum = 0;

	for (int cpu = 0; cpu < 8192; cpu++) {
		static const char *const lines[] = {"\noverrun: ", "\ndropped events: "};
		AUTO(buf) struct buf b = {0};
		char path[64];

		(void)snprintf(path, sizeof(path), "per_cpu/cpu%d/stats", cpu); /* fits */
		if (tracefs_read(tracer_dir(t), path, &b, NULL) < 0)
			break; /* numbers of possible CPUs have no gaps */
		for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
			const char *at = b.data ? strstr(b.data, lines[i]) : NULL;

			sum += at ? strtoull(at + strlen(lines[i]), NULL, 10) : 0;
		}
	}
	return sum;
}

/* ---- what the dead left ---- */

int kernel_sweep(struct tracefs *top, struct kernel_swept *ret, struct error *e)
{
	struct error other;
	int probes, settings;

	/* instances first: probes are in use by their events, and settings by their tracers */
	*ret = (struct kernel_swept){.instances = tracefs_sweep(top)};
	probes = dynevent_sweep(top, e);
	settings = restore_dead(top, probes < 0 ? &other : e);
	ret->probes = MAX(probes, 0);
	ret->settings = MAX(settings, 0);
	return probes < 0 ? probes : MIN(settings, 0);
}
