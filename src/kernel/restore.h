/* Settings of the top directory that are changed for a while, and put back whatever happens.
 *
 * Some of what tracers need (the period of osnoise, the depth of function graphs, a tracer that no
 * instance may have) exists once in the kernel. Each such setting is written down before it is changed,
 * in a journal that is held by a lock: a journal that nobody holds was left by a process that died,
 * and is put back by the next one that looks. So one process at a time may change such settings, and
 * what others had set before returns.
 *
 * The journal is /run/cairn/kernel-settings (of a fake: .cairn-settings in its directory), any number
 * of:
 *
 *	PATH SPACE LENGTH NEWLINE VALUE NEWLINE		the value before, in the order of the changes
 *
 * A last entry that is not whole belongs to a change that was not made yet.
 *
 * Values are written in the kernel's terms: of trace_clock the one in brackets, lists of functions and
 * of pids without the line that says "all functions", "no pid". Not thread-safe.
 */
#ifndef CAIRN_KERNEL_RESTORE_H
#define CAIRN_KERNEL_RESTORE_H

#include "kernel/tracefs.h"

struct restore;

/* Takes the lock, and puts back what a dead one left. 0; -EBUSY: another process has changed settings
 * and lives (e says which); -errno. top is borrowed. */
int restore_begin(struct tracefs *top, struct restore **ret, struct error *e);
/* Writes value to the file at path of the top directory, remembering what was there. 0 or -errno: then
 * the setting is as before. */
int restore_set(struct restore *r, const char *path, const char *value, struct error *e);
/* Puts everything back, the last change first, and frees r. The first thing that could not be put
 * back is in e; the others are put back all the same. Takes NULL. */
int restore_end(struct restore *r, struct error *e);

/* Puts back what a dead process left: the number of settings, 0 if there is nothing or its owner
 * lives, or -errno. */
int restore_dead(struct tracefs *top, struct error *e);

#endif
