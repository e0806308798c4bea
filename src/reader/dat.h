/* Traces of the kernel's ring buffer in the reader: trace.dat files. What the rest of the reader sees
 * of them, and what views need to print their records.
 *
 *	struct dat		one file: its classes by id, and the names of tasks
 *	struct dat_stream	the pages of one CPU of one buffer, as a stream
 *
 * A record is given as it stands in the page; its fields are found by its class's format.
 */
#ifndef CAIRN_READER_DAT_H
#define CAIRN_READER_DAT_H

#include <cairn/reader.h>

#include "ctf/ctf-read.h"
#include "kernel/format.h"
#include "kernel/trace-dat.h"

#define DAT_IDS 65536

struct dat_class {
	struct cairn_event_class pub; /* must be the first member */
	const struct kformat *fmt; /* owned; NULL: no format has this id */
	const struct dat_format *text; /* borrowed; NULL likewise */
	uint32_t id;
	const struct ctfr_node *fields, *contexts; /* structs; kids in the order of fmt's fields */
	uint32_t tid_at; /* offset of common_pid */
	int32_t comm_at[2], pid_at[2]; /* of tasks whose names it says; -1: none */
	uint32_t comm_size;
};

struct dat {
	struct trace_dat *file; /* owned */
	struct cairn_trace *pub; /* borrowed */
	struct cairn_reader *r; /* borrowed */
	struct arena arena;
	struct dat_class **by_id; /* owned: DAT_IDS; each in the arena */
	struct kpage_layout layout; /* size is that of each buffer */
	const struct ctfr_node *contexts; /* of the class made last */
	const struct dat_class *like; /* that class */
	struct cairn_clock_info clock;
	struct map names; /* pid -> char *, owned each */
	uint32_t names_version; /* changes with each new name */
	size_t notices_given; /* of file->notices */
	bool is_plain_time; /* only add_ns is to be added */
	bool is_swapped;
	const struct cairn_event_class **classes; /* owned */
	size_t nclasses, classes_cap;
	struct cairn_fact *facts; /* owned */
	size_t nfacts, facts_cap;
};

/* The file that a trace is, or NULL if it is none. */
const struct dat *dat_of(const struct cairn_trace *trace);
/* The record of an event of such a trace as it stands in the page, *ret_n bytes; at least one page
 * with room behind it may be read. */
const uint8_t *dat_record(const struct cairn_event *ev, size_t *ret_n);
static inline const struct dat_class *dat_class_of(const struct cairn_event_class *cls)
{
	return (const struct dat_class *)(const void *)cls;
}
/* The buffer that a stream is of: "" is the top one. And how many CPUs the file has data of. */
const char *dat_buffer_name(const struct cairn_stream_info *stream);
/* The name of a task, or NULL. */
const char *dat_name(const struct dat *d, int32_t pid);

#endif
