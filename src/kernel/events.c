/* The events of tracefs: which there are, their formats, switches and filters. */
#include "kernel/filter.h"
#include "kernel/near.h"
#include "kernel/tracefs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool tracefs_event_matches(const char *pattern, const char *system, const char *name)
{
	const char *colon = strchr(pattern, ':');
	char first[256];

	if (!colon)
		return glob_match(pattern, system) || glob_match(pattern, name);
	if ((size_t)(colon - pattern) >= sizeof(first))
		return false;
	memcpy(first, pattern, (size_t)(colon - pattern));
	first[colon - pattern] = 0;
	return glob_match(first, system) && glob_match(colon + 1, name);
}

static int compare(const void *a, const void *b)
{
	const struct tracefs_event *x = a, *y = b;
	int c = strcmp(x->system, y->system);

	return c ? c : strcmp(x->name, y->name);
}

static int add(struct tracefs_events *l, const char *system, const char *name)
{
	struct tracefs_event *ev = VEC_ADD(l->all, l->n, l->cap);

	if (!ev)
		return -ENOMEM;
	ev->system = arena_strndup(&l->arena, system, strlen(system));
	ev->name = arena_strndup(&l->arena, name, strlen(name));
	return ev->system && ev->name ? 0 : -ENOMEM;
}

/* 1: the pattern names one event that is there, and it was added; else 0 or -ENOMEM. */
static int add_named(struct tracefs *top, const char *pattern, struct tracefs_events *l)
{
	const char *colon = strchr(pattern, ':');
	char system[256], path[600];
	size_t n = colon ? (size_t)(colon - pattern) : 0;

	if (!n || n >= sizeof(system) || strpbrk(pattern, "*?/.") || strlen(colon) >= 256)
		return 0;
	memcpy(system, pattern, n);
	system[n] = 0;
	(void)snprintf(path, sizeof(path), "events/%s/%s/enable", system, colon + 1); /* fits */
	if (!tracefs_has(top, path))
		return 0;
	return add(l, system, colon + 1) < 0 ? -ENOMEM : 1;
}

/* Probes of sessions are theirs: who asks for all events shall not hold them when they are to go. They
 * are found by names that begin as theirs do. */
static bool is_of_others(const char *pattern, const char *system)
{
	bool alive;

	return strncmp(pattern, "cairn_", strlen("cairn_")) != 0 &&
		tracefs_group_owner(system, &alive);
}

/* The file available_events: "system:name" lines, those of ftrace itself apart. */
int tracefs_events(
	struct tracefs *t, const char *pattern, struct tracefs_events *ret, struct error *e)
{
	AUTO(buf) struct buf b = {0};
	struct tracefs_events l = {0};
	/* instances list the same events, and only the top has them in one file */
	struct tracefs *top = t->top ? (struct tracefs *)t->top : t;
	int err = pattern ? add_named(top, pattern, &l) : 0;
	char *save = NULL;

	if (err == 0 && (err = tracefs_read(top, "available_events", &b, e)) < 0)
		return err;
	for (char *line = b.data ? strtok_r(b.data, "\n", &save) : NULL; line && err == 0;
		line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = 0;
		if (!pattern ||
			(tracefs_event_matches(pattern, line, colon + 1) &&
				!is_of_others(pattern, line)))
			err = add(&l, line, colon + 1);
	}
	if (err < 0) {
		tracefs_events_done(&l);
		return error_set(e, err, "no memory for the list of kernel events");
	}
	if (l.n)
		qsort(l.all, l.n, sizeof(*l.all), compare);
	*ret = l;
	return 0;
}

void tracefs_events_done(struct tracefs_events *l)
{
	free(l->all);
	arena_done(&l->arena);
	*l = (struct tracefs_events){0};
}

void auto_tracefs_events(struct tracefs_events *l)
{
	tracefs_events_done(l);
}

/* ---- a pattern that nothing matches ---- */

static void look_at(struct near *n, const struct tracefs_events *all, const char *system)
{
	for (size_t i = 0; i < all->n; i++) {
		if (!system)
			near_look(n, all->all[i].system);
		if (!system || strcmp(system, all->all[i].system) == 0)
			near_look(n, all->all[i].name);
	}
}

static bool any_matches(const struct tracefs_events *all, const char *pattern)
{
	for (size_t i = 0; i < all->n; i++)
		if (tracefs_event_matches(pattern, all->all[i].system, all->all[i].name))
			return true;
	return false;
}

/* ret: the system that is there, or the one that is spelt most like it; "" if none is. */
static void near_system(const struct tracefs_events *all, const char *system, char ret[128])
{
	struct near near;

	near_init(&near, system, strlen(system));
	for (size_t i = 0; i < all->n; i++) {
		near_look(&near, all->all[i].system);
		if (strcmp(all->all[i].system, system) == 0)
			break;
	}
	memcpy(ret, near.best, sizeof(near.best));
}

/* "SYSTEM:*NAME*", without the stars that name has; system NULL: none is said. */
static void containing(const char *system, const char *name, char *ret, size_t size)
{
	size_t n;

	name += strspn(name, "*");
	n = strlen(name);
	while (n && name[n - 1] == '*')
		n--;
	(void)snprintf(ret, size, "%s%s*%.*s*", system ? system : "", system ? ":" : "", (int)n,
		name); /* a cut one matches nothing */
}

/* Of "SYSTEM:NAME", to what matches something; ret "": nothing is near. */
static void near_pair(const struct tracefs_events *all, const char *system, const char *name,
	char *ret, size_t size)
{
	struct near near;
	char right[128];

	near_system(all, system, right);
	ret[0] = '\0';
	if (!right[0] && !name[strspn(name, "*?")])
		return; /* all there is was not meant */
	(void)snprintf(
		ret, size, "%s:%s", right[0] ? right : "*", name); /* a cut one matches nothing */
	if (any_matches(all, ret))
		return;
	near_init(&near, name, strlen(name));
	look_at(&near, all, right[0] ? right : NULL);
	if (near.best[0] && right[0])
		(void)snprintf(ret, size, "%s:%s%s", right, near.best,
			name[0] && name[strlen(name) - 1] == '*' ? "*" : "");
	else
		containing(right[0] ? right : "*", name, ret, size);
	if (!any_matches(all, ret)) /* of another system? */
		(void)snprintf(ret, size, "*:%s", name);
	if (!any_matches(all, ret))
		ret[0] = '\0';
}

static void near_pattern(
	const struct tracefs_events *all, const char *pattern, char *ret, size_t size)
{
	const char *between = strpbrk(pattern, ":/"); /* '/': as others write it */
	char system[128];
	struct near near;

	if (between && (size_t)(between - pattern) < sizeof(system)) {
		memcpy(system, pattern, (size_t)(between - pattern));
		system[between - pattern] = '\0';
		near_pair(all, system, between + 1, ret, size);
		return;
	}
	near_init(&near, pattern, strlen(pattern));
	look_at(&near, all, NULL);
	if (near.best[0])
		(void)snprintf(ret, size, "%s", near.best); /* fits */
	else
		containing(NULL, pattern, ret, size);
	if (!any_matches(all, ret))
		ret[0] = '\0';
}

int tracefs_no_event(struct tracefs *t, const char *pattern, struct error *e)
{
	AUTO(tracefs_events) struct tracefs_events all = {0};
	char meant[600] = "";

	(void)error_set(e, -ENOENT, "no kernel event matches '%s'", pattern);
	if (pattern[strspn(pattern, ":/*? ")] && tracefs_events(t, NULL, &all, NULL) == 0)
		near_pattern(&all, pattern, meant, sizeof(meant));
	if (meant[0])
		error_hint(e, "did you mean '%s'?", meant);
	else
		error_hint(e, "'SYSTEM:NAME' with * and ?; `cairn kernel list '*'` shows them");
	return -ENOENT;
}

static int event_path(
	char *buf, size_t size, const char *system, const char *name, const char *file)
{
	int n = snprintf(buf, size, "events/%s/%s/%s", system, name, file);

	return n > 0 && (size_t)n < size && !strstr(buf, "/../") ? 0 : -ENAMETOOLONG;
}

int tracefs_format(
	struct tracefs *t, const char *system, const char *name, struct buf *ret, struct error *e)
{
	struct tracefs *top = t->top ? (struct tracefs *)t->top : t;
	char path[512];
	int err;

	if (event_path(path, sizeof(path), system, name, "format") < 0)
		return error_set(e, -ENAMETOOLONG, "no such event: %s:%s", system, name);
	err = tracefs_read(top, path, ret, e);
	/* a probe that was made at boot may have no folder in the top directory: see boot-read.c */
	return err == -ENOENT && t != top ? tracefs_read(t, path, ret, e) : err;
}

int tracefs_enable(
	struct tracefs *t, const char *system, const char *name, bool on, struct error *e)
{
	char path[512];
	int err = event_path(path, sizeof(path), system, name, "enable");

	if (err < 0)
		return error_set(e, err, "no such event: %s:%s", system, name);
	err = tracefs_write(t, path, on ? "1" : "0", e);
	if (err == -ENODEV || err == -EOPNOTSUPP)
		error_hint(e, "the kernel lists %s:%s, but cannot switch it on here", system, name);
	return err;
}

int tracefs_filter(struct tracefs *t, const char *system, const char *name, const char *filter,
	struct error *e)
{
	AUTO(buf) struct buf said = {0};
	struct dynevent_fault fault;
	char path[512];
	const char *why;
	int err = event_path(path, sizeof(path), system, name, "filter");

	if (err < 0)
		return error_set(e, err, "no such event: %s:%s", system, name);
	err = filter ? kfilter_check_event(t, system, name, filter, &fault) : 0;
	if (err < 0) {
		if (e) {
			*e = fault.error;
			error_where(e, "filter '%.80s', column %zu", filter, fault.at + 1);
		}
		return err;
	}
	err = tracefs_write(t, path, filter ? filter : "0", e);
	if (err >= 0 || !filter)
		return err;
	err = err == -EPERM ? -EINVAL : err; /* some texts the kernel refuses so */
	(void)error_set(
		e, err, "the kernel refuses the filter '%.80s' of %s:%s", filter, system, name);
	/* the file holds the text, a caret below the place, and the reason */
	if (tracefs_read(t, path, &said, NULL) == 0 && said.data &&
		(why = strstr(said.data, "parse_error: "))) {
		size_t n = strlen(e->message);

		why += strlen("parse_error: ");
		(void)snprintf(e->message + n, sizeof(e->message) - n, ": %.*s",
			(int)strcspn(why, "\n"), why);
		(void)tracefs_write(t, path, "0", NULL); /* else it shows the error for ever */
	} else {
		tracefs_error_log(t->top ? (struct tracefs *)t->top : t, e);
	}
	return err;
}
