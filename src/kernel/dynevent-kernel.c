/* Dynamic events: giving definitions to the kernel, taking events away. They are global in tracefs,
 * whatever instance records them: so each is in a group that says whose it is. See dynevent.h. */
#include "kernel/dynevent-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "dynamic_events"

int dynevent_create(struct tracefs *top, const struct dynevent *d, struct error *e)
{
	AUTO(buf) struct buf line = {0};
	int r;

	buf_printf(&line, "%s\n", d->definition);
	if (line.err)
		return error_set(e, -ENOMEM, "out of memory");
	r = tracefs_append(top, FILE_NAME, line.data, e);
	if (r == -EILSEQ) /* what only the kernel knows: it has decoded the function */
		return error_set(e, -EINVAL, "no instruction begins at %.200s", d->place);
	return r;
}

int dynevent_remove(struct tracefs *top, const char *group, const char *event, struct error *e)
{
	AUTO(buf) struct buf line = {0};

	buf_printf(&line, "-:%s/%s\n", group, event);
	return line.err ? error_set(e, -ENOMEM, "out of memory")
			: tracefs_append(top, FILE_NAME, line.data, e);
}

/* A line of dynamic_events, "p:GROUP/EVENT ...", is cut up. */
static bool read_line(char *line, char **ret_group, char **ret_event)
{
	char *colon = line + strcspn(line, ": "), *slash;

	if (*colon != ':')
		return false;
	colon[1 + strcspn(colon + 1, " \t")] = '\0';
	slash = strchr(colon, '/');
	if (!slash)
		return false;
	*slash = '\0';
	*ret_group = colon + 1;
	*ret_event = slash + 1;
	return true;
}

/* Removes the events whose groups are chosen. The first error is e's; the others go all the same. */
static int remove_chosen(struct tracefs *top, bool (*chosen)(const char *group, const void *data),
	const void *data, struct error *e)
{
	AUTO(buf) struct buf all = {0};
	int r = tracefs_read(top, FILE_NAME, &all, e), removed = 0, first = 0;
	char *save;

	if (r || !all.data)
		return r;
	for (char *line = strtok_r(all.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char *group, *event;

		if (!read_line(line, &group, &event) || !chosen(group, data))
			continue;
		r = dynevent_remove(top, group, event, first ? NULL : e);
		if (r == 0)
			removed++;
		else if (r != -ENOENT && !first) /* several probes of one event go together */
			first = r;
	}
	return first ? first : removed;
}

static bool is_group(const char *group, const void *data)
{
	return strcmp(group, data) == 0;
}

int dynevent_remove_group(struct tracefs *top, const char *group, struct error *e)
{
	return remove_chosen(top, is_group, group, e);
}

/* ---- groups of instances ---- */

void dynevent_group(const char *instance, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%s", instance); /* fits: our own names */
	for (; *ret; ret++) {
		if (*ret == '-')
			*ret = '_';
	}
}

static bool is_dead(const char *group, const void *data)
{
	bool alive;

	(void)data;
	return tracefs_group_owner(group, &alive) && !alive;
}

int dynevent_sweep(struct tracefs *top, struct error *e)
{
	return tracefs_has(top, FILE_NAME) ? remove_chosen(top, is_dead, NULL, e) : 0;
}
