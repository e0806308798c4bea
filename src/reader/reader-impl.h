/* The reader's own structures: traces, stream files, streams, and how they are merged.
 *
 *	struct cairn_reader	 owns traces and streams; merges streams by a heap
 *	struct trace		 one metadata file (or the metadata of a pipe)
 *	struct stream_file	 one file of packets: its path and when it begins
 *	struct stream		 files one after the other (or a queue of packets from a pipe); holds one
 *				 item at a time: an event, a loss or a notice
 *
 * A stream is opened when its time comes and closed at its end; it holds a window of its current
 * packet in memory, no more.
 */
#ifndef CAIRN_READER_IMPL_H
#define CAIRN_READER_IMPL_H

#include <cairn/reader.h>

#include "base/base.h"
#include "ctf/ctf-read.h"

#define MAX_DEPTH 8 /* of directories */
#define MAX_LOSSES 17 /* found at one packet */
#define WINDOW_MAX (256u << 10)
#define WINDOW_MIN (16u << 10)
#define EVENT_MAX (256u << 20)
#define MAX_OPEN 400 /* files kept open */
#define PIPE_MEMORY (256u << 20) /* packets held back for their order */
#define DELAY_NS 200000000u

struct dat; /* dat.h */
struct dat_stream; /* dat-impl.h */

struct trace {
	struct ctfr_meta meta;
	char *dir, *meta_path; /* owned */
	dev_t dev;
	ino_t ino; /* of the directory */
	size_t meta_seen; /* bytes of the metadata file, or from the pipe, that were fed */
	bool packetized;
	uint8_t pipe_uuid[16]; /* of a pipe's: as its packets of metadata and texts say */
	struct buf texts; /* owned: of a pipe's */
	struct dat *dat; /* owned: it is a trace.dat, and meta holds only what users see */
	struct trace *next;
};

struct stream_file {
	struct trace *trace; /* borrowed from the reader */
	char *path; /* owned */
	dev_t dev;
	ino_t ino;
	int64_t begin_ns;
};

struct packet { /* of a pipe */
	struct packet *next;
	size_t bytes;
	uint8_t data[]; /* and CTFR_SLACK */
};

enum stream_state {
	STREAM_LAZY, /* not opened; key is the time of its first packet */
	STREAM_ITEM, /* has an item */
	STREAM_WAIT, /* at the end of what there is, but more may come */
	STREAM_END,
};

struct stream {
	struct cairn_stream_info info; /* what users see; first */
	struct cairn_reader *r; /* borrowed */
	uint32_t index;
	enum stream_state state;
	int64_t key; /* time of the item */
	enum cairn_item_kind kind; /* of the item */

	struct dat_stream *dat; /* owned: of a trace.dat; then little of the following is used */
	struct stream_file *files; /* owned; in order of time */
	size_t nfiles, files_cap, file;
	struct packet *queue, **queue_tail; /* owned: packets of a pipe; the first is the current */
	struct trace *trace; /* of the current file; borrowed */
	struct ctfr_stream *cls; /* borrowed from trace */

	int fd; /* of the current file; -1 if closed */
	uint64_t file_size; /* as last seen */
	uint64_t next_packet; /* offset in the file */
	uint64_t packet_at, packet_bytes; /* the current packet: offset and whole size */
	uint64_t content_bits; /* what may be read of it */
	bool in_packet, cut;
	bool calm; /* in a packet with nothing but events to give: stream_next_event() may be called */
	bool known; /* a head has told info.class_id and .instance_id; those after it must agree */
	bool searching; /* follow: for a packet behind damage, from sound_end on */
	uint64_t sound_end; /* offset in the file: no packet is missed before it */
	bool skim; /* the current packet ends before what is asked for */
	bool ended; /* there is nothing more */
	bool head_taken; /* the first of the queue is, or was, the current packet */
	uint8_t *window; /* owned, unless it is of a queue */
	size_t window_cap, window_len;
	struct ctfr_cursor c;
	uint64_t roles[CTFR_ROLES];
	uint8_t head[512 + CTFR_SLACK]; /* copy of the packet's head, if it is not longer */
	uint64_t head_bits; /* of that copy; 0: none */
	uint64_t *slots; /* owned */
	uint32_t nslots;
	uint64_t context_at; /* bit where its contexts begin; 0: not known */

	uint64_t clock; /* the time as last updated */
	int64_t packet_begin_ns, packet_end_ns; /* INT64_MIN: not known */
	int64_t last_ns; /* of the last event or packet */
	bool seen_packet, seen_discarded, seen_seq, seen_tail;
	uint64_t discarded, seq;
	uint64_t tail_lost[16];

	const struct ctfr_event *event_cls;
	struct cairn_event ev;
	struct cairn_loss losses[MAX_LOSSES];
	uint32_t nlosses, loss; /* losses[loss..nlosses) are still to be given */
	struct cairn_notice notice;
	bool has_notice;

	struct ctfr_values fields_mem, contexts_mem, packet_mem; /* owned */
	const struct cairn_value *fields, *contexts, *packet;
	size_t nfields, ncontexts, npacket;
	bool fields_done, contexts_done, packet_done;
};

struct heap_entry {
	int64_t key;
	struct stream *s;
};

struct pipe {
	uint8_t *buf; /* owned: what was read and is no whole packet yet */
	size_t len, cap;
	size_t held; /* bytes of all queues */
	bool eof;
	bool lost_way; /* what came last was no packet */
	uint64_t passed; /* bytes of packets taken, and of what was passed over */
	size_t looked; /* bytes of the packet at the buffer's begin in which there is no other */
	uint64_t last_data_ns; /* CLOCK_MONOTONIC */
	uint64_t *slots; /* owned: for heads */
};

struct cairn_reader {
	struct trace *traces, **traces_tail; /* owned */
	struct stream **streams; /* owned, each */
	size_t nstreams, streams_cap;
	struct heap_entry *heap; /* owned; room for all streams */
	size_t nheap, heap_cap;
	struct stream *current; /* whose item was given last; not in the heap */
	uint32_t nclasses;
	int open_files;
	char **paths; /* owned */
	size_t npaths;
	bool is_pipe, follow;
	int fd;
	struct pipe pipe;
	uint64_t delay_ns;
	int64_t begin_ns, end_ns; /* begin: INT64_MIN, end: INT64_MAX if not asked for */
	bool keep_state; /* CAIRN_LIMIT_STATE */
	bool calm; /* there is nothing to give but what streams have, and nothing to wait for */
	int64_t given_ns; /* the latest time given */
	int64_t newest_ns; /* the latest packet end seen */
	uint64_t last_change_ns, last_refresh_ns; /* follow; CLOCK_MONOTONIC */
	struct cairn_notice notice; /* of the metadata, or a pipe's packets */
	bool has_notice;
	struct cairn_notice *left_out; /* owned: of traces that cannot be read */
	size_t nleft_out, left_out_cap, left_out_given;
	int failed;
};

static inline struct error *as_error(struct cairn_error *e)
{
	return (struct error *)e; /* the same layout: base.h */
}

/* ---- trace.c ---- */

/* Finds traces and stream files in r->paths that are not known yet. */
int reader_discover(struct cairn_reader *r, struct error *err);
/* Feeds what was added to the metadata of all traces; *ret_changed if anything was. */
int reader_refresh_metadata(struct cairn_reader *r, bool *ret_changed, struct error *err);
void trace_free(struct trace *t);
struct trace *trace_new(struct cairn_reader *r, const char *dir);

/* ---- stream.c, packet.c ---- */

struct stream *stream_new(struct cairn_reader *r);
void stream_free(struct stream *s);
void stream_close(struct stream *s);
/* Goes to the next item. 0 (see s->state) or -ENOMEM, -EIO. */
int stream_advance(struct stream *s);
/* The same for the usual case, in a packet (s->calm must be set): true if there is an event; false:
 * stream_advance() has to look. */
bool stream_next_event(struct stream *s);
/* What the head of a packet says. */
struct packet_head {
	struct ctfr_stream *cls;
	uint64_t roles[CTFR_ROLES];
	uint32_t seen; /* bit n: roles[n] */
	uint64_t bytes; /* of the packet; 0: up to the end of the file */
	uint64_t content_bits; /* 0: all */
	uint64_t head_bits;
	int64_t begin_ns, end_ns; /* INT64_MIN: not said */
	const char *why; /* after -CTFR_BAD */
};
/* Reads the head of a packet in buf (and CTFR_SLACK more); 0, -CTFR_SHORT or -CTFR_BAD. slots: of
 * t->meta.nslots. */
int packet_head(const struct trace *t, const uint8_t *buf, size_t n, uint64_t *slots,
	struct packet_head *ret);
/* The next packet: fills in_packet, or has_notice, or state WAIT or END. */
int stream_next_packet(struct stream *s);
/* Moves the window so that it begins at or before bit `from` of buf and holds more than before.
 * 1: done, 0: there is no more, or -Exxx. */
int stream_refill(struct stream *s, uint64_t from);
ssize_t stream_read(struct stream *s, void *p, size_t n, uint64_t offset);
int stream_open(struct stream *s); /* its current file, if it is not open; 0 or -errno */
int stream_window(struct stream *s, size_t cap); /* makes room for cap bytes; 0 or -ENOMEM */
/* Notes the counts by reason behind the content of our packets, as losses since `begin` if they are
 * to be reported; false if there are none. */
bool stream_tail_losses(struct stream *s, const struct packet_head *h, bool report, int64_t begin);
int stream_slots(struct stream *s); /* makes s->slots fit s->trace */
void stream_notice(struct stream *s, enum cairn_notice_kind kind, uint64_t offset, const char *fmt,
	...) PRINTF_LIKE(4, 5);
int stream_next_file(struct stream *s);

/* ---- resync.c ---- */

#define MARK_MAX 20
/* How all packets of a trace begin: 20 bytes (magic number, UUID), or 4, or 0 if it has no magic. */
size_t packet_mark(const struct trace *t, uint8_t mark[MARK_MAX]);
struct resync { /* where to look for a packet, and of which stream */
	const struct trace *trace;
	int fd;
	uint64_t size; /* of the file */
	uint64_t bad; /* the head there is wrong */
	bool known; /* class_id and instance_id are what it must have */
	uint64_t class_id, instance_id;
};
/* The first packet at or after `from`: 1, 0 or -ENOMEM. */
int packet_search(const struct resync *r, uint64_t from, uint64_t *ret_at);
int stream_resync(struct stream *s, uint64_t from, uint64_t bad, uint64_t *ret_at);
/* The head at s->next_packet is wrong: goes to the next packet that can be trusted, or the next
 * file, with a notice. 0 or -ENOMEM. */
int stream_damaged(struct stream *s, const char *why);
/* The packet at s->next_packet is longer than what there is of the file. 0: read it, as it is or up
 * to h->bytes; -CTFR_BAD; -ENOMEM. */
int stream_oversized(struct stream *s, struct packet_head *h);

/* ---- seek.c ---- */

/* Puts the stream at the packet in which time_ns is; at its begin, if r->keep_state and it may say
 * who is who: then what comes before is skimmed. */
int stream_seek(struct stream *s, int64_t time_ns);
int stream_range(struct stream *s, int64_t *begin, int64_t *end);

static inline int64_t clock_epoch_ns(const struct ctfr_clock *k, uint64_t cycles)
{
	return (int64_t)((uint64_t)ctfr_clock_ns(k, cycles) + (uint64_t)k->base_ns);
}

/* ---- pipe.c ---- */

/* Reads what is there; 1: something came, 0: nothing now, or the end (pipe.eof), or -Exxx. */
int pipe_pump(struct cairn_reader *r, struct error *err);
void pipe_done(struct cairn_reader *r);

/* ---- reader.c ---- */

int reader_add_stream(struct cairn_reader *r, struct stream *s); /* takes s; 0 or -ENOMEM */
int reader_wake(struct cairn_reader *r, struct stream *s); /* WAIT -> in the heap again */

#endif
