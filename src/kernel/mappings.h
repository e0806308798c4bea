/* Which file was mapped where, in every process, at every time of a recording.
 *
 * So that addresses of user space become (file, offset), which mean something when the process is gone.
 * The kernel tells of each executable mapping, fork and exec with its time, by perf's side band
 * (mappings-perf.c); what was there before is read from /proc. An address is looked up as of a time, so
 * that records may be taken apart later than they were made: processes that ended are forgotten
 * MAPPINGS_KEEP_NS later.
 *
 * A child has its parent's mappings as of the fork; exec empties a process. Of two mappings of an
 * address the later one holds. Unmapping is not told of: an address there is none that runs.
 *
 * Times are of CLOCK_MONOTONIC, in ns. Not thread-safe.
 */
#ifndef CAIRN_KERNEL_MAPPINGS_H
#define CAIRN_KERNEL_MAPPINGS_H

#include "base/base.h"

#define MAPPINGS_KEEP_NS 30000000000u
#define MAPPINGS_NO_FILE UINT32_MAX /* memory that runs, but is of no file */

struct mapped_file {
	const char *path; /* as the kernel says it: "/usr/bin/ls", "[vdso]" */
	uint8_t build_id[20];
	uint32_t build_id_len; /* 0: it has none, or nobody could say */
	int64_t shift; /* SYMBOL_NO_SHIFT if not known; see symbol/symbol.h */
	int64_t seen_ns; /* from 1970: when it was mapped first */
	uint64_t dev, ino; /* of a file without build id; 0: unknown */
	bool looked; /* shift was tried */
};

struct mapping {
	uint64_t t_ns, begin, end, offset;
	uint32_t file; /* MAPPINGS_NO_FILE; of `cleared`: any */
	bool cleared; /* not a mapping: all before it ended */
};

struct mapped_process {
	struct mapped_process *older; /* owned: of the same pid */
	struct mapped_process *parent; /* borrowed; NULL: none known */
	uint32_t children; /* that have it as parent: it stays as long as they */
	uint64_t born_ns; /* 0: before the recording, or not told yet */
	uint64_t died_ns; /* 0: it lives */
	struct mapping *all; /* owned, by time */
	size_t n, cap;
};

struct mappings {
	struct map processes; /* int32_t -> struct mapped_process: the newest; owned */
	struct map by_name; /* of files: their key -> index + 1 */
	struct mapped_file *files; /* owned */
	size_t nfiles, files_cap;
	struct arena arena;
	struct mapping_source *source; /* owned; NULL: none */
};

struct mappings *mappings_new(void); /* or NULL */
void mappings_free(struct mappings *m); /* takes NULL */

/* ---- what is told (mappings.c); 0 or -ENOMEM ---- */

/* Index of a file; MAPPINGS_NO_FILE for what is none ("//anon"), or without memory. */
uint32_t mappings_add_file(struct mappings *m, const struct mapped_file *file);
int mappings_on_map(struct mappings *m, int32_t pid, const struct mapping *map);
int mappings_on_fork(struct mappings *m, int32_t pid, int32_t parent, uint64_t t_ns);
int mappings_on_exec(struct mappings *m, int32_t pid, uint64_t t_ns);
void mappings_on_exit(struct mappings *m, int32_t pid, uint64_t t_ns);
/* Forgets who ended long enough before t_ns, and has no children that are remembered. */
int mappings_prune(struct mappings *m, uint64_t t_ns);

/* ---- what is asked ---- */

/* The file and offset of an address; false if none is known. */
bool mappings_find(const struct mappings *m, int32_t pid, uint64_t t_ns, uint64_t address,
	uint32_t *ret_file, uint64_t *ret_offset);
/* With what can be learnt of it from the file itself. */
const struct mapped_file *mappings_file(struct mappings *m, uint32_t file);

/* ---- where it comes from (mappings-perf.c) ---- */

/* Listens to the kernel from now on, on each CPU. 0 or -errno: what is running is known from
 * mappings_read_process() alone, then. tsc: times given to mappings_time() are cycles. */
int mappings_listen(struct mappings *m, uint32_t ncpus, bool tsc, struct error *e);
/* Listens no more, and forgets who had what mapped; files keep their numbers. */
void mappings_stop(struct mappings *m);
/* The mappings that a process has now; pid 0: of all processes. */
int mappings_read_process(struct mappings *m, int32_t pid);
/* Takes what the kernel has told. To be called after a page of events was read, before its stacks
 * are looked up: all that came before them is known then. */
int mappings_update(struct mappings *m);
/* A time stamp of events in ns of CLOCK_MONOTONIC: to some 100 ns for those of the last second. */
uint64_t mappings_time(const struct mappings *m, uint64_t ts);

#endif
