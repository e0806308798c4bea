/* CTF, the writer's half: descriptions in, metadata text and packets out. (Reading: ctf-read.h.)
 *
 * Pure: builds bytes in memory, touches no file. A session keeps one struct ctf_trace for each
 * trace it writes, tells it of streams and events as they come, and asks it for the metadata text
 * that is new since last time. Packets are the bytes that rings hold between a head and a tail:
 *
 *	head	 CTF packet header and packet context, fixed layout (struct ctf_head)
 *	body	 records as the ring has them (abi/ring.h)
 *	tail	 what other readers skip as padding: loss counts by reason, ring positions
 *		 (struct ctf_tail); packets end at a multiple of 8 bytes
 *
 * Record headers in a trace: dense, sparse and extended, exactly the ring's bytes. A block header
 * (form 3, first record of a block of an overwrite ring) becomes an extended one in the head, since
 * CTF 1.8 readers complain of counts in an event header; so ctf_frame() says where the body begins.
 *
 * Nothing here is thread-safe; different traces may be used by different threads.
 */
#ifndef CAIRN_CTF_CTF_H
#define CAIRN_CTF_CTF_H

#include "abi/ring.h"
#include "base/base.h"
#include "cairn/site.h"
#include "ring/ring.h"

/* ---- descriptions (desc.c): what processes send is checked here and nowhere else ---- */

/* Of one event: programs have at most CAIRN_MAX_FIELDS, the kernel may have more. */
#define CTF_MAX_FIELDS 64

struct ctf_field {
	const struct cairn_field *f; /* borrowed from the description's bytes */
	const char *name; /* as written; borrowed */
	const int64_t *values; /* f->nlabels label values; borrowed */
	const char *labels; /* f->nlabels strings, one after the other; borrowed */
};

struct ctf_desc {
	const struct cairn_desc *d; /* borrowed */
	const char *provider, *event, *format, *file, *function; /* borrowed; format may be NULL */
	struct ctf_field fields[CTF_MAX_FIELDS];
};

/* Longest of each name, in bytes; descriptions with longer ones are refused. */
#define CTF_NAME_MAX 256
/* Largest description. */
#define CTF_DESC_MAX 32768

/* Checks a description from a hostile process, every byte: size, counts, kinds, forms, widths,
 * flags, terminations, UTF-8, names. `bytes` must be 8-byte aligned. 0, or -EPROTO with e saying
 * what is wrong. */
int ctf_desc_check(const void *bytes, size_t len, struct error *e);
/* The same, and fills *ret with pointers into `bytes`. */
int ctf_desc_parse(const void *bytes, size_t len, struct ctf_desc *ret, struct error *e);
/* Adds to `key` what makes two descriptions the same event: all but line, file and function.
 * Equal keys: one event. Equal provider and event, unequal keys: a conflict. */
void ctf_desc_key(const struct ctf_desc *desc, struct buf *key);

/* Makes descriptions (state dump, tests). Fields may be followed by ctf_make_label(s). */
struct ctf_maker {
	struct cairn_desc d;
	struct cairn_field fields[CTF_MAX_FIELDS];
	struct buf values, names; /* owned */
};
void ctf_make(struct ctf_maker *m, const char *provider, const char *event, int loglevel,
	const char *format);
void ctf_make_field(struct ctf_maker *m, const char *name, enum cairn_kind kind,
	enum cairn_form form, unsigned width, unsigned count, unsigned flags);
void ctf_make_label(struct ctf_maker *m, int64_t value, const char *label);
/* The bytes into out (cleared first); frees what m holds. 0, -ENOMEM or -EINVAL. */
int ctf_make_done(struct ctf_maker *m, struct buf *out);

/* ---- names (names.c) ---- */

/* Names of the fields in the trace: identifiers made from expressions ("p->len" is p_len), no two
 * alike (numbered from 2), without the leading '_' that metadata text adds to each. */
struct ctf_names {
	char name[CTF_MAX_FIELDS][CTF_NAME_MAX + 16];
};
void ctf_field_names(const struct ctf_desc *desc, struct ctf_names *ret);

/* ---- a trace: its facts, streams and events (trace.c) ---- */

struct ctf_facts { /* strings are copied; NULL ones are left out */
	uint8_t uuid[16];
	const char *hostname, *kernel_release, *kernel_version, *machine;
	const char *session; /* its name */
	const char *command; /* as typed; recorded command or record's own arguments */
	const char *created; /* ISO 8601 with zone */
	const char *tracer_version; /* "0.1.0" */
	const char *domain; /* NULL: "ust" */
	bool as_lttng; /* kernel streams: env and names of events as LTTng has them */
};

struct ctf_clock {
	const char *name; /* an identifier: "tsc", "monotonic"; copied */
	const char *description; /* copied */
	uint8_t uuid[16]; /* boot id: traces of one boot share their time */
	uint64_t freq; /* cycles a second */
	int64_t offset_s; /* real time at cycle 0: seconds since 1970 ... */
	uint64_t offset_cycles; /* ... plus these, below freq */
};

enum ctf_stream_kind {
	CTF_STREAM_EVENTS = 0, /* the packets of rings of one channel */
	CTF_STREAM_STATE = 1, /* the state dump: no contexts, no cpu; events added by itself */
	CTF_STREAM_KERNEL = 2, /* a CPU's kernel events: contexts as struct ctf_kernel_context. One
				* event may be there in several forms, which share their name */
};

struct ctf_stream {
	enum ctf_stream_kind kind;
	const char *name; /* channel; copied */
	uint32_t contexts; /* bit n: enum cairn_ctx n, but not PERF */
	uint32_t perf_count; /* at most CAIRN_CTX_PERF_MAX */
	const struct cairn_perf_ctx *perf; /* copied */
};

/* The contexts of a kernel stream's records, packed. */
struct ctf_kernel_context {
	int32_t tid;
	uint8_t common_flags, common_preempt_count;
} __attribute__((packed));

struct ctf_trace; /* opaque */

int ctf_trace_new(
	const struct ctf_facts *facts, const struct ctf_clock *clock, struct ctf_trace **ret);
void ctf_trace_free(struct ctf_trace *t);
/* More of env: facts of yours. Before the first ctf_metadata() only. 0, -ENOMEM, -EBUSY. */
int ctf_trace_env(struct ctf_trace *t, const char *name, const char *value);
/* A better calibrated clock. Shows when the text is made anew from a zeroed position. */
int ctf_trace_set_clock(struct ctf_trace *t, const struct ctf_clock *clock);
/* *ret_stream: its number, 0, 1, 2... Before the events of it. 0, -ENOMEM, -EINVAL. */
int ctf_trace_add_stream(struct ctf_trace *t, const struct ctf_stream *s, uint32_t *ret_stream);

struct ctf_added {
	uint32_t id; /* event id in records of this stream; from 0, dense */
	bool conflict; /* another description has this name: this one is called NAME~2, ~3... */
	const char *name; /* "provider:event" in the trace; lives as long as the trace */
};
/* Finds the event in this stream or adds it. 0: was there; 1: added, the metadata grew; -EPROTO:
 * bad description; -ENOMEM, -EINVAL (no such stream), -ENOSPC (too many events). */
int ctf_trace_add_event(struct ctf_trace *t, uint32_t stream, const void *desc, size_t len,
	struct ctf_added *ret, struct error *e);

/* ---- metadata text ---- */

enum ctf_version { CTF_1_8 = 0, CTF_2 = 1 };

/* How much of a trace a text already has. Zeroed: nothing. */
struct ctf_text_pos {
	uint32_t streams, events;
	bool begun;
};
/* Appends to out all that is not in *pos yet, and moves *pos. Texts in order make the metadata
 * file; each addition is whole blocks. 0 or -ENOMEM. */
int ctf_metadata(
	struct ctf_trace *t, enum ctf_version version, struct ctf_text_pos *pos, struct buf *out);

/* ---- packets (packet-write.c) ---- */

#define CTF_MAGIC 0xc1fc1fc1u
#define CTF_META_MAGIC 0x75d11d57u
#define CTF_TEXT_MAGIC 0x75d11d58u /* of packets of texts, in streams */
#define CTF_TAIL_MAGIC 0x4c494154u /* "TAIL" */
#define CTF_NO_CPU 0xffffffffu /* cpu_id of rings that belong to no CPU */

struct ctf_head { /* as in the file, packed; little endian */
	uint32_t magic;
	uint8_t uuid[16];
	uint32_t stream_id;
	uint64_t stream_instance_id;
	uint64_t timestamp_begin, timestamp_end;
	uint64_t content_size, packet_size; /* bits, all included */
	uint64_t events_discarded, packet_seq_num;
	uint32_t cpu_id; /* not there in a state stream */
} __attribute__((packed));

/* Ends at the packet's end: first lost[nlost], then this. Between content_size and packet_size, so
 * other readers skip it as padding. */
struct ctf_tail {
	uint64_t begin_pos, end_pos; /* of the ring; a new host goes on at end_pos */
	uint32_t nlost; /* counts before this, in order of enum cairn_lost; the rest are 0 */
	uint32_t magic; /* CTF_TAIL_MAGIC */
};

#define CTF_HEAD_MAX (sizeof(struct ctf_head) + 12)
#define CTF_TAIL_MAX (8 + CAIRN_LOST_REASONS * 8 + sizeof(struct ctf_tail))

struct ctf_packet { /* what a packet is made from */
	uint32_t stream; /* as ctf_trace_add_stream gave it */
	uint64_t instance; /* which ring: ctf_instance(); one file each */
	uint32_t cpu; /* or CTF_NO_CPU */
	uint64_t seq; /* 0, 1, 2... in this instance */
	const struct ring_view *view; /* begin, end, losses, bytes */
};

struct ctf_frame { /* write head, then body, then tail */
	uint8_t head[CTF_HEAD_MAX];
	uint8_t tail[CTF_TAIL_MAX];
	size_t head_len, tail_len;
	const uint8_t *body; /* in the view's data */
	size_t body_len;
	uint64_t total; /* bytes of the packet */
};
void ctf_frame(const struct ctf_trace *t, const struct ctf_packet *p, struct ctf_frame *ret);
/* The same for rings of a trace that nothing but the uuid is known of (recover). */
void ctf_frame_events(const uint8_t uuid[16], const struct ctf_packet *p, struct ctf_frame *ret);

/* Which ring, in one number. kind: enum cairn_ring_kind. State streams use ctf_instance(~0...) of
 * their own channel number. */
static inline uint64_t ctf_instance(
	uint32_t channel_id, uint32_t domain_id, uint32_t kind, uint32_t ring)
{
	return (uint64_t)(channel_id & 0xffff) << 48 | (uint64_t)(domain_id & 0xffffff) << 24 |
		(uint64_t)(kind & 1) << 23 | (ring & 0x7fffff);
}

/* Streams of a session's trace: first the state dump, then its channels in order, so that the rings of
 * a channel say by themselves which stream they are (recover). */
static inline uint32_t ctf_stream_of_channel(uint32_t channel_id)
{
	return channel_id + 1;
}

/* Finds the tail of a whole packet (as in the file), if it has one of ours. lost: all
 * CAIRN_LOST_REASONS counts, zero where not said. */
bool ctf_tail_find(const void *packet, size_t len, struct ctf_tail *ret, uint64_t *lost);

/* ---- streaming (stream-write.c): one byte stream of metadata and data packets ---- */

/* Wraps metadata text in packets (magic CTF_META_MAGIC); data packets follow as they are. */
void ctf_stream_metadata(const struct ctf_trace *t, enum ctf_version version, const char *text,
	size_t len, struct buf *out);
/* The same for texts that readers need beside the metadata (kernel/texts.h). */
void ctf_stream_texts(const struct ctf_trace *t, const char *text, size_t len, struct buf *out);

/* ---- the state dump (state.c), written by the host ---- */

#define CTF_STATE_PROVIDER "cairn_state"

/* Each appends one record to `out`; ts in clock cycles, never going back within a stream. The
 * records of a dump make a packet through ctf_frame() of a view over them. NULL strings are
 * written as empty. All pids are as the host sees them. */
struct ctf_process {
	int32_t pid, ppid;
	uint32_t uid, gid;
	const char *comm, *exe, *cmdline;
};
struct ctf_thread {
	int32_t pid, tid;
	const char *comm;
};
struct ctf_module {
	int32_t pid;
	uint64_t base, size; /* address of its first loaded segment; bytes of memory it spans */
	const char *path;
	const uint8_t *build_id;
	uint32_t build_id_len; /* at most 64 are written */
};
enum ctf_attach {
	CTF_ATTACH_JOINED = 0, /* its runtime registered */
	CTF_ATTACH_FORKED = 1, /* likewise, in a fork child */
	CTF_ATTACH_LEFT = 2, /* exited or closed the connection */
	CTF_ATTACH_KEPT = 3, /* was traced by a host that died, now by us */
	CTF_ATTACH_REFUSED = 4, /* may not be traced here */
};
void ctf_state_process(struct buf *out, uint64_t ts, const struct ctf_process *p);
void ctf_state_thread(struct buf *out, uint64_t ts, const struct ctf_thread *t);
void ctf_state_module(struct buf *out, uint64_t ts, const struct ctf_module *m);
void ctf_state_attach(struct buf *out, uint64_t ts, int32_t pid, enum ctf_attach what);
/* Bytes of the description of the event `thread`: programs write it too, each thread for itself. */
int ctf_state_thread_desc(struct buf *ret);
/* All that is known of this process has been said. */
void ctf_state_done(struct buf *out, uint64_t ts, int32_t pid);

#endif
