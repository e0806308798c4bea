/* SPDX-License-Identifier: MIT
 *
 * Reading traces: any CTF 1.8 or CTF 2 trace (Cairn's, LTTng's, barectf's, ...) and trace-cmd's
 * trace.dat (versions 6 and 7) as one stream of events in time order.
 *
 *	struct cairn_reader *r;
 *	const char *paths[] = {"my-trace"};
 *	struct cairn_reader_options opts = {.size = sizeof(opts), .paths = paths, .npaths = 1};
 *	struct cairn_error err;
 *	struct cairn_item item;
 *	int got;
 *
 *	if (cairn_reader_open(&opts, &r, &err) < 0)
 *		...
 *	while ((got = cairn_reader_next(r, &item, &err)) > 0) {
 *		if (item.kind == CAIRN_ITEM_EVENT)
 *			printf("%" PRId64 " %s\n", item.event->time_ns, item.event->cls->name);
 *	}
 *	cairn_reader_free(r);
 *
 * Order: (time, trace and stream in the order they were found, position in the stream).
 * Memory is bounded: it does not grow with the length of the trace.
 *
 * Threads: one reader is used by one thread at a time; several readers are independent.
 * Lifetimes: what a reader hands out through pointers to const lives as long as the reader, but
 * for an event, its values and messages, and losses and notices, which live until the next
 * cairn_reader_next(), _seek() or _free(). Nothing here prints, exits or installs signal handlers.
 *
 * Traces are not trusted: damaged ones give notices or errors, never a crash.
 */
#ifndef CAIRN_READER_H
#define CAIRN_READER_H

#include <stddef.h>
#include <stdint.h>

#include <cairn/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cairn_reader;

/* ---- what there is in a trace ---- */

struct cairn_clock_info {
	const char *name; /* "" if the trace has no clock */
	const char *description; /* may be "" */
	const char *uuid; /* text form, or "" */
	uint64_t freq; /* Hz */
	uint64_t precision;
	int64_t offset_s; /* clock's zero, from 1970: offset_s + offset / freq */
	uint64_t offset;
	int absolute;
};

/* One entry of the trace's environment. */
struct cairn_fact {
	const char *name;
	const char *text; /* NULL: it is a number */
	int64_t number;
};

/* One trace: a directory with a metadata file, a trace.dat, or what a pipe gives (a recording with kernel
 * events is two traces, in a pipe too; the second may come up while reading). */
struct cairn_trace {
	const char *path; /* "-" for a pipe */
	const char *uuid; /* text form, or "" */
	const struct cairn_fact *facts;
	size_t nfacts;
	const struct cairn_clock_info *clocks;
	size_t nclocks;
	const struct cairn_event_class *const
		*classes; /* every event described, in metadata order */
	size_t nclasses; /* with follow, and in a pipe, both grow */
	int big_endian;
	int is_cairn; /* made by Cairn */
};

/* One stream: the packets of one ring, in one or several files. */
struct cairn_stream_info {
	const struct cairn_trace *trace; /* with several files: that of the current one */
	const char *path; /* current file, or "-" */
	uint64_t class_id; /* stream_id */
	uint64_t instance_id; /* stream_instance_id; UINT64_MAX if it has none */
	int64_t cpu; /* -1: not known; of the current packet */
	uint64_t packets; /* read so far */
	uint64_t events; /* read so far */
	uint64_t bytes; /* of packets, read so far */
};

/* The static type of a field. */
enum cairn_type_kind {
	CAIRN_TYPE_INT = 1,
	CAIRN_TYPE_FLOAT = 2,
	CAIRN_TYPE_ENUM = 3,
	CAIRN_TYPE_STRING = 4,
	CAIRN_TYPE_STRUCT = 5,
	CAIRN_TYPE_VARIANT = 6,
	CAIRN_TYPE_ARRAY = 7, /* fixed length */
	CAIRN_TYPE_SEQUENCE = 8, /* length in another field */
	CAIRN_TYPE_OPTIONAL = 9, /* there or not, as another field says (CTF 2) */
};

struct cairn_type {
	enum cairn_type_kind kind;
	const char *name; /* of the member, without its leading '_'; NULL for an element */
	uint32_t bits; /* INT, ENUM, FLOAT; 64 if their length varies (CTF 2) */
	uint32_t base; /* INT, ENUM: 2, 8, 10 or 16, how it is best shown */
	int is_signed; /* INT, ENUM */
	int is_text; /* INT, and arrays of it: encoding UTF8 or ASCII */
	uint64_t length; /* ARRAY: elements */
	const struct cairn_type *const *members; /* STRUCT, VARIANT: each; ARRAY, SEQUENCE,
						  * OPTIONAL: [0] */
	size_t nmembers;
	const struct cairn_label
		*labels; /* ENUM; INT: it is a bit map, and these are names of its bits
					   * (first and last are numbers of bits) */
	size_t nlabels;
};

/* One label of an enumeration: the range of values it stands for. If the enumeration is unsigned,
 * first and last are to be read as uint64_t. */
struct cairn_label {
	const char *name;
	int64_t first, last;
};

struct cairn_event_class {
	const struct cairn_trace *trace;
	const char *name; /* as written in the trace: "provider:event" */
	const char *provider; /* what stands before the first ':'; "" if there is none */
	const char *event; /* what stands after it; the whole name if there is none */
	uint64_t id, stream_class_id;
	int loglevel; /* 0 emergency .. 14 debug, -1 if not said */
	const char *format; /* of CAIRN_LOG events: the printf-like format; else NULL */
	const char *uri; /* model.emf.uri, or "" */
	const struct cairn_type *fields; /* the struct of the payload, NULL if it has none */
	const struct cairn_type *context; /* the event's own context, or NULL */
	const struct cairn_type *stream_context; /* the stream's event context (tid...), or NULL */
	uint32_t index; /* of this class among all of this reader: 0, 1, ... */
	void *user; /* the caller's own; NULL at first (the only member a caller may write) */
};

/* ---- values ---- */

enum cairn_value_kind {
	CAIRN_VALUE_UINT = 1, /* u */
	CAIRN_VALUE_INT = 2, /* i */
	CAIRN_VALUE_FLOAT = 3, /* d */
	CAIRN_VALUE_STRING = 4, /* str, count bytes without the NUL; may hold any bytes. Also arrays
				 * and sequences of text characters, up to their first NUL. str is
				 * not always NUL-terminated */
	CAIRN_VALUE_BYTES = 5, /* bytes, count: unsigned byte arrays shown in base 16; integers and
				* floats of sizes that have no C type */
	CAIRN_VALUE_STRUCT = 6, /* members[0 .. count-1] */
	CAIRN_VALUE_ARRAY = 7, /* arrays and sequences: cairn_value_element(v, 0 .. count-1) */
	CAIRN_VALUE_VARIANT = 8, /* members[0] is the selected one (its name is the option's) */
	CAIRN_VALUE_NONE = 9, /* an OPTIONAL that is not there. One that is, is what it holds */
};

struct cairn_value {
	const struct cairn_type *type;
	const char *name; /* of the field; NULL for an element of an array */
	enum cairn_value_kind kind; /* an enumeration is UINT or INT: see cairn_value_label() */
	uint32_t count;
	union {
		uint64_t u;
		int64_t i;
		double d;
		const char *str;
		const uint8_t *bytes;
		const struct cairn_value *members;
		const void *elements; /* private: use cairn_value_element() */
	};
	uint64_t where; /* private */
};

/* The label of an enumeration's value, or NULL if it has none (or is no enumeration). If several
 * ranges hold it, the first. */
const char *cairn_value_label(const struct cairn_value *v);
/* Element i of an ARRAY; 0 or -EINVAL (no array, or i out of range). */
int cairn_value_element(const struct cairn_value *v, uint32_t i, struct cairn_value *ret);
/* The member called `name` of a STRUCT (also inside the selected member of a VARIANT), or NULL. */
const struct cairn_value *cairn_value_member(const struct cairn_value *v, const char *name);

/* ---- events ---- */

#define CAIRN_EVENT_LATE 1u /* its time is before that of an event already given */
#define CAIRN_EVENT_NO_TIME 2u /* the trace has no time for it: that of its packet or zero */

struct cairn_event {
	int64_t time_ns; /* since 1970 */
	uint64_t cycles; /* the clock's value */
	const struct cairn_event_class *cls;
	const struct cairn_stream_info *stream;
	int32_t cpu; /* -1: not known */
	uint32_t flags; /* CAIRN_EVENT_* */
	uint32_t bytes; /* size in the trace with its header, rounded up */
	uint32_t reserved;
};

/* Nanoseconds since the clock's own zero (for CLOCK_MONOTONIC: since boot). */
int64_t cairn_event_clock_ns(const struct cairn_event *ev);
/* The payload's fields in order; *ret_n of them. Decoded at the first call for an event. NULL and
 * 0 if it has none, or if its contents are damaged. */
const struct cairn_value *cairn_event_fields(const struct cairn_event *ev, size_t *ret_n);
/* The contexts: those of the stream first (tid, pid, comm, ...), then the event's own. */
const struct cairn_value *cairn_event_contexts(const struct cairn_event *ev, size_t *ret_n);
/* The packet's context (cpu_id, packet_size, ...): for tools that show all there is. */
const struct cairn_value *cairn_event_packet(const struct cairn_event *ev, size_t *ret_n);
/* A field or, if there is none of this name, a context; NULL if there is neither. */
const struct cairn_value *cairn_event_get(const struct cairn_event *ev, const char *name);

/* The usual contexts, under any of their names (tid, vtid; pid, vpid, tgid; comm, procname).
 * cairn_event_tid, _pid: -1 if not recorded. _comm: not NUL-terminated; NULL, 0 if not recorded. */
int64_t cairn_event_tid(const struct cairn_event *ev);
int64_t cairn_event_pid(const struct cairn_event *ev);
const char *cairn_event_comm(const struct cairn_event *ev, size_t *ret_len);

/* The message of a CAIRN_LOG event: its format filled in with its fields, as printf would (the
 * format is data of the trace and never reaches printf). NUL-terminated, cut to `size`; returns
 * the whole length. An event without a format gives its fields as "name = value, ...". */
size_t cairn_event_message(const struct cairn_event *ev, char *buf, size_t size);

/* ---- losses and notices ---- */

/* Events that were not recorded, found between two packets of a stream. */
struct cairn_loss {
	int64_t begin_ns, end_ns; /* between these times, since 1970 */
	const struct cairn_stream_info *stream;
	const char *reason; /* "full", "overwritten", ... of Cairn's traces (cairn_lost_reason());
			     * "discarded": others' traces; "packets": whole packets missing, count
			     * is of packets; "cut": the end of the stream was cut off, count 0 */
	uint64_t count; /* 0: some, number not known */
};

enum cairn_notice_kind {
	CAIRN_NOTICE_CUT = 1, /* the last packet of a file is not whole; what is there was read */
	CAIRN_NOTICE_DAMAGED =
		2, /* an event, a packet or a whole trace makes no sense: reading goes on
				   * behind it */
	CAIRN_NOTICE_METADATA = 3, /* metadata that was not understood and not needed */
};

struct cairn_notice {
	enum cairn_notice_kind kind;
	const struct cairn_stream_info *stream; /* NULL for METADATA */
	struct cairn_error error; /* message; where = file and offset */
	uint64_t skipped; /* DAMAGED: bytes that were not read for it, as far as known */
};

enum cairn_item_kind {
	CAIRN_ITEM_EVENT = 1,
	CAIRN_ITEM_LOSS = 2,
	CAIRN_ITEM_NOTICE = 3,
	CAIRN_ITEM_WAIT = 4, /* follow and pipes: nothing to give yet. Call cairn_reader_wait() */
};

struct cairn_item {
	enum cairn_item_kind kind;
	union {
		const struct cairn_event *event;
		const struct cairn_loss *loss;
		const struct cairn_notice *notice;
	};
};

/* ---- the reader ---- */

struct cairn_reader_options {
	size_t size; /* sizeof(struct cairn_reader_options) */
	/* Directories, merged by time. Each is a trace, or holds traces in its sub-directories (to a
	 * depth of 8). A metadata file or a stream file stands for its directory. A trace.dat is a
	 * trace by itself. */
	const char *const *paths;
	size_t npaths;
	/* Or, if npaths is 0: a file descriptor that gives a trace in its streamed form (packets with
	 * the metadata's packets between them). Borrowed; read with read(2), and poll(2) if
	 * non-blocking. */
	int fd;
	/* Only events with begin_ns <= time_ns < end_ns; 0 and 0: all. */
	int64_t begin_ns, end_ns;
	/* 1: go on when the end is reached: directories that grow. New packets, new stream files, new
	 * metadata and new traces in the directories are found. */
	int follow;
	/* With follow, and for fd: how long an event is held back for events of other streams that
	 * arrive later but happened before; 0: 200 ms. Those that come later still are flagged. */
	uint64_t delay_ns;
};

/* Opens; reads the metadata and the first packet header of each stream. 0 or -Exxx with err
 * filled: -ENOENT (no trace there), -EINVAL (metadata wrong: err.where is "FILE:LINE:COLUMN"),
 * -ENOMEM, or what the system said. For an fd it waits for the first metadata packet. */
int cairn_reader_open(const struct cairn_reader_options *opts, struct cairn_reader **ret_reader,
	struct cairn_error *err);
void cairn_reader_free(struct cairn_reader *r); /* takes NULL */

/* The next item: 1 and *ret_item filled, 0 at the end, or -Exxx with err filled (-EIO, -ENOMEM: the
 * reader can only be freed then). Damage in one stream is a notice; the others go on. */
int cairn_reader_next(struct cairn_reader *r, struct cairn_item *ret_item, struct cairn_error *err);

/* After CAIRN_ITEM_WAIT: sleeps until there may be more, at most timeout_ms (-1: the reader
 * chooses). 1: call cairn_reader_next() again; 0: timeout (call it too: held back events become
 * due); -EINTR: a signal came. */
int cairn_reader_wait(struct cairn_reader *r, int timeout_ms);

/* Goes on with the first event at or after time_ns (backwards too). Not for an fd: -ESPIPE. */
int cairn_reader_seek(struct cairn_reader *r, int64_t time_ns, struct cairn_error *err);

#define CAIRN_LIMIT_STATE \
	1u /* also events from before begin_ns that say who is who: all of the
			      * provider cairn_state, in Cairn's traces */

/* Gives from now on only events with begin_ns <= time_ns < end_ns (INT64_MIN, INT64_MAX: no limit),
 * from the first one on. Packets outside are passed by their heads alone; those that may hold what
 * CAIRN_LIMIT_STATE asks for are gone through, but only that is given. Losses outside are not given,
 * packets outside not counted. For an fd nothing is passed: it goes on with what comes. 0, -EINVAL
 * (flags) or as cairn_reader_next(). */
int cairn_reader_limit(struct cairn_reader *r, int64_t begin_ns, int64_t end_ns, uint32_t flags,
	struct cairn_error *err);

/* The time from the begin of the first packet to the end of the last, by packet headers alone.
 * 0, -ENODATA (no packets, or none with times), -ESPIPE for an fd. */
int cairn_reader_range(struct cairn_reader *r, int64_t *ret_begin_ns, int64_t *ret_end_ns);

/* What is being read; NULL beyond the last. */
const struct cairn_trace *cairn_reader_trace(const struct cairn_reader *r, size_t i);
const struct cairn_stream_info *cairn_reader_stream(const struct cairn_reader *r, size_t i);
/* Number of event classes known so far; each has index < this. */
size_t cairn_reader_nclasses(const struct cairn_reader *r);

#ifdef __cplusplus
}
#endif
#endif
