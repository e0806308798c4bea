/* Dynamic events: giving definitions to the kernel, taking events away. They are global in tracefs,
 * whatever instance records them: so each is in a group that says whose it is. */
#include "kernel/dynevent-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_NAME "dynamic_events"

int dynevent_create(struct dynevent_world *w, const struct dynevent *d, struct error *e)
{
	struct tracefs *t = world_tracefs(w, e);
	AUTO(buf) struct buf line = {0};

	if (!t)
		return -EACCES;
	buf_printf(&line, "%s\n", d->definition);
	return line.err ? error_set(e, -ENOMEM, "out of memory")
			: tracefs_append(t, FILE_NAME, line.data, e);
}

static int remove_event(struct tracefs *t, const char *group, const char *event, struct error *e)
{
	AUTO(buf) struct buf line = {0};

	buf_printf(&line, "-:%s/%s\n", group, event);
	return line.err ? error_set(e, -ENOMEM, "out of memory")
			: tracefs_append(t, FILE_NAME, line.data, e);
}

int dynevent_remove(struct dynevent_world *w, const char *group, const char *event, struct error *e)
{
	struct tracefs *t = world_tracefs(w, e);

	return t ? remove_event(t, group, event, e) : -EACCES;
}

/* A line of dynamic_events: "p:GROUP/EVENT ...". */
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

int dynevent_remove_group(struct dynevent_world *w, const char *group, struct error *e)
{
	struct tracefs *t = world_tracefs(w, e);
	AUTO(buf) struct buf all = {0};
	int r, removed = 0, first = 0;

	if (!t)
		return -EACCES;
	r = tracefs_read(t, FILE_NAME, &all, e);
	if (r)
		return r;
	for (char *save, *line = strtok_r(all.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char *g, *event;

		if (!read_line(line, &g, &event) || strcmp(g, group) != 0)
			continue;
		r = remove_event(t, g, event, first ? NULL : e);
		if (r == 0)
			removed++;
		else if (r != -ENOENT && !first) /* several probes of one event go together */
			first = r;
	}
	return first ? first : removed;
}

int dynevent_each_group(struct dynevent_world *w, void (*each)(const char *group, void *data),
	void *data, struct error *e)
{
	struct tracefs *t = world_tracefs(w, e);
	AUTO(buf) struct buf all = {0};
	struct map seen = {0};
	int r;

	if (!t)
		return -EACCES;
	r = tracefs_read(t, FILE_NAME, &all, e);
	for (char *save, *line = r || !all.data ? NULL : strtok_r(all.data, "\n", &save); line;
		line = strtok_r(NULL, "\n", &save)) {
		char *group, *event;

		if (!read_line(line, &group, &event) || map_get(&seen, group, strlen(group)))
			continue;
		r = map_put(&seen, group, strlen(group), group);
		if (r)
			break;
		each(group, data);
	}
	map_done(&seen);
	return r;
}
