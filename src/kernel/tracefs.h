/* The kernel's tracing file system: its top directory, and instances of our own in it.
 *
 * A struct tracefs is a directory with tracing files: the top one, or an instance; all calls work on
 * both. Tests give a directory of plain files instead of a mount (tracefs_open's root).
 *
 * Instances are called cairn-PID-STARTTIME-N after the process that made them (STARTTIME: field 22 of
 * /proc/PID/stat), so that whoever comes next sees whose owner is dead, and removes them. While an
 * instance's trace files are open the kernel refuses to remove it: so a sweep never takes a living
 * session's, even from another pid namespace.
 *
 * Errors are texts for users: which file, what the kernel said (with the caret of its error_log),
 * which capability is missing. Not thread-safe.
 */
#ifndef CAIRN_KERNEL_TRACEFS_H
#define CAIRN_KERNEL_TRACEFS_H

#include "base/base.h"

struct tracefs {
	int fd; /* of the directory */
	char *path; /* owned; for error texts and users */
	char *name; /* owned; of the instance, NULL for the top */
	const struct tracefs *top; /* borrowed; NULL for the top itself */
	bool fake; /* not the kernel's: a test's directory */
};

/* root NULL: $CAIRN_TRACEFS, else where it is mounted, else mounted on /sys/kernel/tracing (root may).
 * 0, or -ENOENT (the kernel has none), -EACCES (e says which right is missing), -ENOMEM. Who may only read
 * there gets it as well: writing fails then. */
int tracefs_open(const char *root, struct tracefs **ret, struct error *e);
/* Says which right is missing to record, and what works without; -EACCES. t: what could be opened, or NULL. */
int tracefs_no_right(const struct tracefs *t, const char *path, struct error *e);
/* Forgets; an instance stays. Takes NULL. */
void tracefs_free(struct tracefs *t);
void auto_tracefs(struct tracefs **t);

/* ---- instances ---- */

/* Makes one of this process; tracing is off in it. -EACCES: e says which right is missing. */
int tracefs_instance_new(struct tracefs *top, struct tracefs **ret, struct error *e);
/* One that is there already, whoever made it; tracefs_free() leaves it there. 0, -ENOENT, -errno. */
int tracefs_instance_open(
	struct tracefs *top, const char *name, struct tracefs **ret, struct error *e);
/* Turns tracing and events off, removes it and frees t (in any case). The caller has closed all files
 * of it. 0 or -errno. */
int tracefs_instance_remove(struct tracefs *t, struct error *e);
/* True if the name is one of ours; *ret_alive: its owner lives. */
bool tracefs_instance_owner(const char *name, bool *ret_alive);
/* Removes instances of dead owners; their number. */
int tracefs_sweep(struct tracefs *top);

/* ---- groups of dynamic events, which all instances share: called after their maker, too ---- */

#define TRACEFS_GROUP_MAX 64
void tracefs_group_name(char ret[TRACEFS_GROUP_MAX]); /* of this process: cairn_PID_STARTTIME */
/* True if the name is one of ours, also that of an instance (dynevent_group()); *ret_alive: its owner
 * lives. */
bool tracefs_group_owner(const char *group, bool *ret_alive);

/* ---- files, by their path in this directory ---- */

#define TRACEFS_FILE_MAX (16u << 20)

int tracefs_open_file(struct tracefs *t, const char *path, int flags); /* a descriptor or -errno */
bool tracefs_has(struct tracefs *t, const char *path);
int tracefs_read(struct tracefs *t, const char *path, struct buf *ret, struct error *e);
/* One write(2) of the text; append: opened with O_APPEND, else O_TRUNC (which clears many files). */
int tracefs_write(struct tracefs *t, const char *path, const char *text, struct error *e);
int tracefs_append(struct tracefs *t, const char *path, const char *text, struct error *e);
/* Appends what the kernel said of the last refused text to e (message: its words; hint: text and
 * caret in one line). For probes and filters. */
void tracefs_error_log(struct tracefs *t, struct error *e);

/* ---- events ---- */

struct tracefs_event {
	char *system, *name; /* owned by the list */
};
struct tracefs_events {
	struct tracefs_event *all; /* sorted by system, then name */
	size_t n, cap;
	struct arena arena;
};
/* Events that can be switched on and whose "system:name" matches the pattern (* and ?; one without a
 * colon matches a system or a name), but not probes that a session of ours has made, unless it begins
 * as their names do, with "cairn_"; NULL: all of all. 0 or -Exxx; none is not an error here. */
int tracefs_events(
	struct tracefs *t, const char *pattern, struct tracefs_events *ret, struct error *e);
/* Says that no event matches the pattern, and which one it may have meant; -ENOENT. */
int tracefs_no_event(struct tracefs *t, const char *pattern, struct error *e);
/* Does the pattern, as above, mean this event? */
bool tracefs_event_matches(const char *pattern, const char *system, const char *name);
void tracefs_events_done(struct tracefs_events *l);
void auto_tracefs_events(struct tracefs_events *l);

/* The text of events/SYSTEM/NAME/format. */
int tracefs_format(
	struct tracefs *t, const char *system, const char *name, struct buf *ret, struct error *e);
int tracefs_enable(
	struct tracefs *t, const char *system, const char *name, bool on, struct error *e);
/* filter NULL: none. What the kernel says of a wrong one is in e. */
int tracefs_filter(struct tracefs *t, const char *system, const char *name, const char *filter,
	struct error *e);

/* ---- what all of it records ---- */

/* Only these tasks (and, with the option event-fork, their children), whoever was on the list before. The
 * first list costs the kernel nothing, another one grace periods. */
int tracefs_pids(struct tracefs *t, const int32_t *pids, size_t n, struct error *e);
int tracefs_option(struct tracefs *t, const char *name, bool on, struct error *e);
int tracefs_clock(struct tracefs *t, const char *clock, struct error *e);
int tracefs_buffer(struct tracefs *t, uint64_t bytes_per_cpu, struct error *e);
int tracefs_on(struct tracefs *t, bool on, struct error *e);
/* The hexadecimal mask of a list of CPUs "0,2-5", as the file tracing_cpumask has it; 0 or -EINVAL. */
int tracefs_cpumask(const char *list, struct buf *ret);

#endif
