/* A trace from a pipe: packets of all streams one after the other, and between them packets with
 * more metadata. Each data packet goes to the queue of its stream (stream_id and
 * stream_instance_id); they wait there for their order in time.
 *
 * There may be several traces (a program's and the kernel's), whose packets say by their UUIDs whose they
 * are, those of metadata too; and packets with texts for views (ctf.h).
 *
 * Bytes that are no packet (a serial line lost some) are passed over up to the next that begins like
 * one of this trace, if its packets have a UUID; a notice says so.
 */
#include "ctf/ctf.h"
#include "reader/bytes.h"
#include "reader/reader-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (256u << 10)
#define PACKET_MAX (2ull << 30)
#define TRACES_MAX 64
#define TEXTS_MAX (256u << 20)

void pipe_done(struct cairn_reader *r)
{
	free(r->pipe.buf);
	free(r->pipe.slots);
}

static int damaged(struct error *err, const char *what)
{
	error_set(err, -EIO, "the input is damaged: %s", what);
	error_hint(err, "a trace in its streamed form is expected, as cairn record -o - writes it");
	return -EIO;
}

/* ---- packets of metadata and of texts ---- */

static bool begins_metadata(const struct buf *text)
{
	return text->len &&
		(memmem(text->data, MIN(text->len, 64), "/* CTF", 6) ||
			memmem(text->data, MIN(text->len, 128), "preamble", 8));
}

/* The trace that this text goes on or begins; NULL without memory, or if there are too many. */
static struct trace *trace_for_text(
	struct cairn_reader *r, const uint8_t uuid[16], const struct buf *text)
{
	struct trace *first = r->traces, *t;
	unsigned n = 0;

	for (t = first; t; t = t->next, n++)
		if (t->meta_seen && memcmp(t->pipe_uuid, uuid, sizeof(t->pipe_uuid)) == 0)
			return t;
	if (first->meta_seen && !begins_metadata(text))
		return first; /* its uuid is damaged, or was never meant */
	t = first->meta_seen ? NULL : first;
	if (!t && n < TRACES_MAX)
		t = trace_new(r, "-");
	if (!t)
		return NULL;
	memcpy(t->pipe_uuid, uuid, sizeof(t->pipe_uuid));
	if (t != first) {
		*r->traces_tail = t;
		r->traces_tail = &t->next;
	}
	return t;
}

static int take_texts(struct cairn_reader *r, const uint8_t *p, size_t n, size_t *ret_used)
{
	uint32_t content, size;
	struct trace *t = r->traces;

	*ret_used = 0;
	if (n < CTFR_META_HEADER)
		return 0;
	memcpy(&content, p + 24, sizeof(content));
	memcpy(&size, p + 28, sizeof(size));
	content /= 8;
	size /= 8;
	if (content < CTFR_META_HEADER || content > size || size > CTFR_MAX_META) {
		*ret_used = n < MARK_MAX ? n : 4; /* no such packet: the next is looked for */
		return 0;
	}
	if (size > n)
		return 0;
	*ret_used = size;
	while (t && memcmp(t->pipe_uuid, p + 4, sizeof(t->pipe_uuid)) != 0)
		t = t->next;
	if (t && t->texts.len < TEXTS_MAX)
		buf_add(&t->texts, p + CTFR_META_HEADER, content - CTFR_META_HEADER);
	return 0; /* without memory events are shown with their fields */
}

const char *reader_texts(const struct cairn_trace *pub, size_t *ret_n)
{
	const struct trace *t =
		(const struct trace *)((const char *)pub - offsetof(struct trace, meta.pub));

	*ret_n = t->texts.err ? 0 : t->texts.len;
	return t->texts.data;
}

static int take_metadata(
	struct cairn_reader *r, const uint8_t *p, size_t n, size_t *ret_used, struct error *err)
{
	AUTO(buf) struct buf text = {0};
	struct trace *t;
	uint32_t size;
	int e;

	*ret_used = 0;
	if (n < CTFR_META_HEADER)
		return 0;
	memcpy(&size, p + 28, sizeof(size));
	if (p[0] != (CTFR_META_MAGIC & 0xff))
		size = __builtin_bswap32(size);
	if (size / 8 > n)
		return size / 8 > CTFR_MAX_META ? damaged(err, "metadata is too large") : 0;
	/* up to the first packet that is no metadata */
	e = ctfr_unpack(p, size / 8, &text, ret_used, err);
	if (e < 0)
		return e;
	if (*ret_used == 0)
		return damaged(err, "a packet of metadata without a size");
	t = trace_for_text(r, p + 4, &text);
	if (!t)
		return error_set(err, -ENOMEM, "no memory for another trace in the input");
	t->meta_seen += text.len;
	return ctfr_meta_feed(&t->meta, text.data ? text.data : "", text.len, false, err);
}

/* ---- packets of data ---- */

static struct stream *stream_for(
	struct cairn_reader *r, struct trace *t, const struct packet_head *h)
{
	bool has = h->seen & 1u << CTFR_ROLE_INSTANCE_ID;
	uint64_t instance = has ? h->roles[CTFR_ROLE_INSTANCE_ID] : UINT64_MAX;
	struct stream *s;

	for (size_t i = 0; i < r->nstreams; i++)
		if (r->streams[i]->trace == t && r->streams[i]->info.class_id == h->cls->id &&
			r->streams[i]->info.instance_id == instance)
			return r->streams[i];
	if (r->nstreams > 65536)
		return NULL;
	s = stream_new(r);
	if (!s)
		return NULL;
	s->trace = t;
	s->state = STREAM_WAIT;
	s->info.trace = &t->meta.pub;
	s->info.class_id = h->cls->id;
	s->info.instance_id = instance;
	return reader_add_stream(r, s) < 0 ? NULL : s;
}

static int queue_packet(struct cairn_reader *r, struct trace *t, const struct packet_head *h,
	const uint8_t *p, size_t n, struct error *err)
{
	struct stream *s = stream_for(r, t, h);
	struct packet *q = s ? malloc(sizeof(*q) + n + CTFR_SLACK) : NULL;

	if (!q)
		return error_set(err, -ENOMEM, "no memory for a packet of %zu bytes", n);
	q->next = NULL;
	q->bytes = n;
	memcpy(q->data, p, n);
	memset(q->data + n, 0, CTFR_SLACK);
	if (!s->queue)
		s->queue_tail = &s->queue;
	*s->queue_tail = q;
	s->queue_tail = &q->next;
	r->pipe.held += n;
	if (h->end_ns != INT64_MIN && h->end_ns > r->newest_ns)
		r->newest_ns = h->end_ns;
	return reader_wake(r, s);
}

static const uint8_t *first_of(const uint8_t *a, const uint8_t *b)
{
	return !a || (b && b < a) ? b : a;
}

/* The next place behind p at which a packet of the trace begins, of any kind; NULL if there is none. */
static const uint8_t *next_mark_of(const struct trace *t, const uint8_t *p, size_t n)
{
	static const uint32_t magics[] = {CTFR_META_MAGIC, CTF_TEXT_MAGIC};
	uint8_t mark[MARK_MAX];
	const uint8_t *found;
	bool be;

	if (n <= MARK_MAX || packet_mark(t, mark) != MARK_MAX)
		return NULL;
	found = memmem(p + 1, n - 1, mark, MARK_MAX);
	be = t->meta.packet_header->kids[0]->be;
	for (size_t m = 0; m < ARRAY_SIZE(magics); m++) {
		for (unsigned i = 0; i < 4; i++)
			mark[be ? 3 - i : i] = (uint8_t)(magics[m] >> 8 * i);
		found = first_of(found, memmem(p + 1, n - 1, mark, MARK_MAX));
	}
	return found;
}

static const uint8_t *next_mark(const struct cairn_reader *r, const uint8_t *p, size_t n)
{
	const uint8_t *found = NULL;

	for (const struct trace *t = r->traces; t; t = t->next)
		found = first_of(found, next_mark_of(t, p, n));
	return found;
}

/* Whose packet begins at p? NULL: nobody's. */
static struct trace *whose(const struct cairn_reader *r, const uint8_t *p, size_t n)
{
	uint8_t mark[MARK_MAX];

	for (struct trace *t = r->traces; t; t = t->next)
		if (t->meta.has_trace && n >= MARK_MAX && packet_mark(t, mark) == MARK_MAX &&
			memcmp(p, mark, MARK_MAX) == 0)
			return t;
	return NULL;
}

static bool is_texts(const uint8_t *p, size_t n)
{
	uint32_t magic;

	if (n < sizeof(magic))
		return false;
	memcpy(&magic, p, sizeof(magic));
	return magic == CTF_TEXT_MAGIC;
}

/* Passes over what is no packet; once for each such place it is said. */
static int pass_over(struct cairn_reader *r, const uint8_t *p, size_t n, const char *why,
	size_t *ret_used, struct error *err)
{
	struct error *e = as_error(&r->notice.error);
	const uint8_t *found = next_mark(r, p, n);
	uint8_t mark[MARK_MAX];

	if (packet_mark(r->traces, mark) != MARK_MAX)
		return damaged(err, why);
	if (!r->pipe.lost_way) {
		memset(&r->notice, 0, sizeof(r->notice));
		r->notice.kind = CAIRN_NOTICE_DAMAGED;
		error_set(e, -EIO,
			"the input is damaged, bytes up to the next packet are skipped: %s", why);
		error_where(e, "the input, byte %" PRIu64, r->pipe.passed);
		r->has_notice = true;
		r->pipe.lost_way = true;
	}
	*ret_used = found ? (size_t)(found - p) : n - MIN(n, (size_t)MARK_MAX - 1);
	return 0;
}

/* Whether bytes went missing from a packet: the next one stands in it, and not where it ends. */
static bool is_short(const struct cairn_reader *r, const uint8_t *p, size_t bytes, size_t n)
{
	uint8_t mark[MARK_MAX];
	const uint8_t *next;

	if (n < bytes + MARK_MAX || packet_mark(r->traces, mark) != MARK_MAX ||
		whose(r, p + bytes, n - bytes) || is_texts(p + bytes, n - bytes) ||
		ctfr_is_packetized(p + bytes, n - bytes))
		return false;
	next = next_mark(r, p, bytes + MARK_MAX);
	return next && next < p + bytes;
}

/* Whether another packet stands in what came of this one, that goes on: then its size is wrong. Looks
 * at each byte once. */
static bool swallows(struct cairn_reader *r, const uint8_t *p, size_t n)
{
	size_t from = r->pipe.looked > MARK_MAX ? r->pipe.looked - MARK_MAX : 0;

	r->pipe.looked = n;
	return next_mark(r, p + from, n - from) != NULL;
}

/* One data packet, or at the end of the input what there is of it. */
static int take_data(
	struct cairn_reader *r, const uint8_t *p, size_t n, size_t *ret_used, struct error *err)
{
	struct trace *t = whose(r, p, n);
	struct packet_head h;
	uint64_t *slots;
	int e;

	*ret_used = 0;
	if (!r->traces->meta.has_trace)
		return damaged(err, "it does not begin with metadata");
	if (!t && r->traces->next && n < MARK_MAX && !r->pipe.eof)
		return 0;
	t = t ? t : r->traces;
	slots = realloc(r->pipe.slots, t->meta.nslots * sizeof(*slots));
	if (!slots)
		return error_set(err, -ENOMEM, "no memory");
	r->pipe.slots = slots;
	memset(slots, 0, t->meta.nslots * sizeof(*slots));
	memcpy(slots, t->meta.env_slots, sizeof(t->meta.env_slots));
	e = packet_head(t, p, n, slots, &h);
	if (e == -CTFR_SHORT && n < (1u << 20))
		return 0;
	if (e == -CTFR_SHORT)
		return damaged(err, "the head of a packet has no end");
	if (e < 0)
		return pass_over(r, p, n, h.why, ret_used, err);
	if (!(h.seen & 1u << CTFR_ROLE_MAGIC))
		return damaged(err, "its packets have no magic number");
	if (h.bytes == 0 || h.bytes > PACKET_MAX)
		return damaged(err, "a packet without a size, or too large");
	if (h.bytes > n && swallows(r, p, n))
		return pass_over(r, p, n, "its packet_size goes beyond the next", ret_used, err);
	if (h.bytes > n && !r->pipe.eof)
		return 0;
	*ret_used = (size_t)MIN(h.bytes, (uint64_t)n);
	if (is_short(r, p, *ret_used, n))
		return pass_over(r, p, n, "a packet is shorter than it says", ret_used, err);
	r->pipe.lost_way = false;
	return queue_packet(r, t, &h, p, *ret_used, err);
}

/* Takes all whole packets of the buffer. */
static int take_packets(struct cairn_reader *r, struct error *err)
{
	struct pipe *in = &r->pipe;
	size_t at = 0;
	int e = 0;

	while (e == 0 && in->len - at >= 4) {
		size_t used = 0;

		if (ctfr_is_packetized(in->buf + at, in->len - at))
			e = take_metadata(r, in->buf + at, in->len - at, &used, err);
		else if (is_texts(in->buf + at, in->len - at) && r->traces->meta.has_trace)
			e = take_texts(r, in->buf + at, in->len - at, &used);
		else
			e = take_data(r, in->buf + at, in->len - at, &used, err);
		if (used == 0)
			break;
		at += used;
		in->passed += used;
		in->looked = 0;
	}
	memmove(in->buf, in->buf + at, in->len - at);
	in->len -= at;
	memset(in->buf + in->len, 0, CTFR_SLACK);
	return e;
}

int pipe_pump(struct cairn_reader *r, struct error *err)
{
	struct pipe *in = &r->pipe;
	struct pollfd pfd = {.fd = r->fd, .events = POLLIN};
	ssize_t got;
	int e;

	if (in->eof)
		return 0;
	e = poll(&pfd, 1, 0);
	if (e == 0 || (e < 0 && errno == EINTR))
		return 0;
	if (in->cap - in->len < CHUNK) {
		size_t cap = MAX(in->cap * 2, 2 * (size_t)CHUNK);
		uint8_t *grown = realloc(in->buf, cap + CTFR_SLACK);

		if (!grown)
			return error_set(err, -ENOMEM, "no memory for a packet");
		in->buf = grown;
		in->cap = cap;
	}
	got = read(r->fd, in->buf + in->len, MIN(in->cap - in->len, 4 * (size_t)CHUNK));
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got < 0)
		return error_set(err, -EIO, "cannot read the input: %s", strerror(errno));
	in->eof = got == 0;
	in->len += (size_t)got;
	memset(in->buf + in->len, 0, CTFR_SLACK);
	in->last_data_ns = now_ns(CLOCK_MONOTONIC);
	e = take_packets(r, err);
	return e < 0 ? e : 1;
}
