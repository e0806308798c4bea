/* Packets of a stream: files opened in turn, heads read and checked, losses found between packets,
 * the window on the current packet.
 *
 * A file's packets are trusted as far as their heads make sense: sizes within the file, sizes not
 * below the head's own, the trace's magic number and UUID, one stream class. Behind a head that makes
 * no sense the next packet is searched (resync.c); a packet that the file ends within is read as far
 * as it goes.
 */
#include "reader/reader-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctf/ctf.h"
#include "ring/ring.h"

void stream_notice(
	struct stream *s, enum cairn_notice_kind kind, uint64_t offset, const char *fmt, ...)
{
	struct cairn_error *e = &s->notice.error;
	va_list ap;

	memset(&s->notice, 0, sizeof(s->notice));
	s->notice.kind = kind;
	s->notice.stream = &s->info;
	va_start(ap, fmt);
	(void)vsnprintf(e->message, sizeof(e->message), fmt, ap); /* cut if too long */
	va_end(ap);
	error_where(as_error(e), "%s, byte %" PRIu64, s->info.path, offset);
	s->has_notice = true;
}

int stream_slots(struct stream *s)
{
	struct ctfr_meta *m = &s->trace->meta;

	if (s->nslots < m->nslots) {
		uint64_t *grown = realloc(s->slots, m->nslots * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		memset(grown + s->nslots, 0, (m->nslots - s->nslots) * sizeof(*grown));
		s->slots = grown;
		s->nslots = m->nslots;
	}
	memcpy(s->slots, m->env_slots, sizeof(m->env_slots));
	s->c.slots = s->slots;
	return 0;
}

/* ---- heads ---- */

static int head_bad(struct packet_head *h, const char *why)
{
	h->why = why;
	return -CTFR_BAD;
}

static int read_part(struct ctfr_cursor *c, const struct ctfr_node *n, struct packet_head *h)
{
	int r = n ? ctfr_skip(c, n) : 0;

	if (r == -CTFR_BAD)
		h->why = c->why;
	return r;
}

static int check_head(const struct trace *t, const struct ctfr_cursor *c, struct packet_head *h)
{
	if (h->seen & 1u << CTFR_ROLE_MAGIC && h->roles[CTFR_ROLE_MAGIC] != CTFR_MAGIC)
		return head_bad(h, "it does not begin with the magic number 0xc1fc1fc1");
	if (h->seen & 1u << CTFR_ROLE_UUID && t->meta.has_uuid &&
		memcmp(c->uuid, t->meta.uuid, 16) != 0)
		return head_bad(h, "its UUID is not that of the metadata");
	if (h->seen & 1u << CTFR_ROLE_STREAM_ID)
		h->cls = ctfr_meta_stream(&t->meta, h->roles[CTFR_ROLE_STREAM_ID]);
	else
		h->cls = t->meta.streams;
	if (!h->cls || !h->cls->planned)
		return head_bad(h, "the metadata does not describe its stream");
	return 0;
}

int packet_head(
	const struct trace *t, const uint8_t *buf, size_t n, uint64_t *slots, struct packet_head *h)
{
	struct ctfr_cursor c = {.buf = buf,
		.end = (uint64_t)n * 8,
		.slots = slots,
		.roles = h->roles,
		.max_work = 65536};
	int r;

	memset(h, 0, sizeof(*h));
	h->begin_ns = h->end_ns = INT64_MIN;
	r = read_part(&c, t->meta.packet_header, h);
	h->seen = c.roles_seen;
	if (r < 0)
		return r;
	r = check_head(t, &c, h);
	if (r == 0)
		r = read_part(&c, h->cls->packet_context, h);
	h->seen = c.roles_seen;
	if (r < 0)
		return r;
	h->head_bits = c.pos;
	if (h->seen & 1u << CTFR_ROLE_PACKET_SIZE) {
		uint64_t bits = h->roles[CTFR_ROLE_PACKET_SIZE];

		if (bits % 8 || bits < h->head_bits || bits == 0 || bits > INT64_MAX)
			return head_bad(h, "its packet_size makes no sense");
		h->bytes = bits / 8;
	}
	if (h->seen & 1u << CTFR_ROLE_CONTENT_SIZE) {
		h->content_bits = h->roles[CTFR_ROLE_CONTENT_SIZE];
		if (h->content_bits < h->head_bits ||
			(h->bytes && h->content_bits > h->bytes * 8) || h->content_bits > INT64_MAX)
			return head_bad(h, "its content_size makes no sense");
	}
	if (h->seen & 1u << CTFR_ROLE_TIME_BEGIN)
		h->begin_ns = clock_epoch_ns(h->cls->clock, h->roles[CTFR_ROLE_TIME_BEGIN]);
	if (h->seen & 1u << CTFR_ROLE_TIME_END)
		h->end_ns = clock_epoch_ns(h->cls->clock, h->roles[CTFR_ROLE_TIME_END]);
	return 0;
}

/* ---- files and windows ---- */

int stream_open(struct stream *s)
{
	struct stat st;

	if (s->fd < 0) {
		s->fd = open(s->files[s->file].path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (s->fd < 0)
			return -errno;
		s->r->open_files++;
	}
	if (fstat(s->fd, &st) < 0)
		return -errno;
	s->file_size = (uint64_t)st.st_size;
	return 0;
}

void stream_close(struct stream *s)
{
	if (s->fd >= 0) {
		(void)close(s->fd); /* only read: nothing is lost */
		s->r->open_files--;
	}
	s->fd = -1;
}

ssize_t stream_read(struct stream *s, void *p, size_t n, uint64_t offset)
{
	size_t got = 0;
	int err = 0;

	if (s->fd < 0) {
		err = stream_open(s);
		if (err < 0)
			return err;
	}
	while (got < n) {
		ssize_t r = pread(s->fd, (uint8_t *)p + got, n - got, (off_t)(offset + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			err = -errno;
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	if (s->r->open_files > MAX_OPEN)
		stream_close(s);
	return err < 0 ? err : (ssize_t)got;
}

int stream_window(struct stream *s, size_t cap)
{
	uint8_t *w;

	if (s->window_cap >= cap)
		return 0;
	w = realloc(s->window, cap + CTFR_SLACK);
	if (!w)
		return -ENOMEM;
	s->window = w;
	s->window_cap = cap;
	return 0;
}

/* Windows share a budget, so that many streams do not need much memory. */
static size_t window_size(const struct stream *s)
{
	size_t each = (64u << 20) / (s->r->nstreams + 1);

	return MAX(MIN(each & ~(size_t)4095, WINDOW_MAX), WINDOW_MIN);
}

/* What the cursor may read: the window, up to the content's end. */
static void set_end(struct stream *s)
{
	uint64_t bits = (uint64_t)s->window_len * 8;

	s->c.end = s->content_bits > s->c.base ? MIN(bits, s->content_bits - s->c.base) : 0;
	memset(s->window + s->window_len, 0, CTFR_SLACK);
}

int stream_refill(struct stream *s, uint64_t from)
{
	uint64_t skip = from / 8 & ~63ull, first = s->c.base / 8 + skip;
	uint64_t left = (s->content_bits + 7) / 8;
	size_t want, keep = s->window_len - (size_t)skip;
	ssize_t got;

	if (s->queue || s->c.base + (uint64_t)s->window_len * 8 >= s->content_bits)
		return 0;
	if (skip == 0) {
		if (s->window_cap >= EVENT_MAX)
			return 0;
		if (stream_window(s, s->window_cap * 2) < 0)
			return -ENOMEM;
	}
	memmove(s->window, s->window + skip, keep);
	want = (size_t)MIN(left - first, (uint64_t)s->window_cap) - keep;
	got = stream_read(s, s->window + keep, want, s->packet_at + first + keep);
	s->c.buf = s->window;
	s->c.base = first * 8;
	s->c.pos -= MIN(s->c.pos, skip * 8);
	s->window_len = keep + (got > 0 ? (size_t)got : 0);
	set_end(s);
	return got > 0 ? 1 : (int)got;
}

/* ---- losses ---- */

static void add_loss(struct stream *s, const char *reason, uint64_t count, int64_t begin)
{
	struct cairn_loss *l;

	if (s->nlosses == MAX_LOSSES)
		return;
	l = &s->losses[s->nlosses++];
	l->stream = &s->info;
	l->reason = reason;
	l->count = count;
	l->begin_ns = begin;
	l->end_ns = s->packet_end_ns != INT64_MIN ? s->packet_end_ns : begin;
}

bool stream_tail_losses(struct stream *s, const struct packet_head *h, bool report, int64_t begin)
{
	uint8_t bytes[512];
	size_t n = (size_t)MIN(s->packet_bytes, sizeof(bytes));
	uint64_t lost[CAIRN_LOST_REASONS];
	struct ctf_tail tail;

	if (!s->trace->meta.pub.is_cairn || s->cut)
		return false;
	if (s->queue)
		memcpy(bytes, s->queue->data + s->packet_bytes - n, n);
	else if (stream_read(s, bytes, n, s->packet_at + s->packet_bytes - n) != (ssize_t)n)
		return false;
	if (!ctf_tail_find(bytes, n, &tail, lost) ||
		h->content_bits + (sizeof(tail) + tail.nlost * 8) * 8 > s->packet_bytes * 8)
		return false;
	for (unsigned i = 0; i < CAIRN_LOST_REASONS && i < ARRAY_SIZE(s->tail_lost); i++) {
		const char *name = cairn_lost_name((enum cairn_lost)i);

		if (report && lost[i] > s->tail_lost[i])
			add_loss(s, name ? name : "other", lost[i] - s->tail_lost[i], begin);
		s->tail_lost[i] = lost[i];
	}
	return true;
}

static void find_losses(struct stream *s, const struct packet_head *h)
{
	bool has_seq = h->seen & 1u << CTFR_ROLE_SEQ_NUM;
	bool has_lost = h->seen & 1u << CTFR_ROLE_DISCARDED;
	uint64_t seq = h->roles[CTFR_ROLE_SEQ_NUM], lost = h->roles[CTFR_ROLE_DISCARDED];
	int64_t begin = s->last_ns != INT64_MIN ? s->last_ns : s->packet_begin_ns;

	s->nlosses = s->loss = 0;
	if (has_seq && s->seen_seq && seq > s->seq + 1)
		add_loss(s, "packets", seq - s->seq - 1, begin);
	/* before the first packet of a ring nothing was counted yet */
	if (stream_tail_losses(s, h, s->seen_tail || !has_seq || seq == 0, begin)) {
		s->seen_tail = true;
	} else if (has_lost && s->seen_discarded && lost != s->discarded) {
		add_loss(s, "discarded", lost > s->discarded ? lost - s->discarded : 0, begin);
	} else if (has_lost && !s->seen_discarded && lost) {
		add_loss(s, "discarded", 0, begin);
	}
	s->seen_seq = has_seq;
	s->seen_discarded = has_lost;
	s->seq = seq;
	s->discarded = lost;
}

/* ---- the next packet ---- */

static void begin_packet(struct stream *s, const struct packet_head *h, uint64_t avail)
{
	s->cls = h->cls;
	s->packet_bytes = h->bytes ? h->bytes : avail;
	s->cut = s->packet_bytes > avail;
	s->content_bits = h->content_bits ? h->content_bits : s->packet_bytes * 8;
	s->content_bits = MIN(s->content_bits, avail * 8);
	s->c.buf = s->queue ? s->queue->data : s->window;
	s->c.base = 0;
	s->c.pos = h->head_bits;
	s->c.roles = s->roles;
	s->c.work = 0;
	s->c.max_work = 65536 + s->packet_bytes * 16;
	if (s->queue)
		s->c.end = s->content_bits;
	else
		set_end(s);
	s->head_bits = h->head_bits <= 512 * 8 ? h->head_bits : 0;
	memcpy(s->head, s->c.buf, (size_t)(s->head_bits + 7) / 8);
	s->packet_begin_ns = h->begin_ns;
	s->packet_end_ns = h->end_ns;
	if (h->seen & 1u << CTFR_ROLE_TIME_BEGIN)
		s->clock = h->roles[CTFR_ROLE_TIME_BEGIN];
	s->info.cpu = -1;
	if (h->seen & 1u << CTFR_ROLE_CPU && h->roles[CTFR_ROLE_CPU] <= INT32_MAX)
		s->info.cpu = (int64_t)h->roles[CTFR_ROLE_CPU];
	s->ev.cpu = (int32_t)s->info.cpu;
	s->info.trace = &s->trace->meta.pub;
	s->info.class_id = h->cls->id;
	if (!s->known && h->seen & 1u << CTFR_ROLE_INSTANCE_ID)
		s->info.instance_id = h->roles[CTFR_ROLE_INSTANCE_ID];
	s->known = true;
	s->skim = s->r->keep_state && h->end_ns < s->r->begin_ns && h->begin_ns <= h->end_ns &&
		h->end_ns != INT64_MIN;
	if (!s->skim) {
		s->info.packets++;
		s->info.bytes += MIN(s->packet_bytes, avail);
	}
	s->in_packet = true;
	s->packet_done = false;
	find_losses(s, h);
	if (s->packet_begin_ns != INT64_MIN && s->packet_begin_ns > s->last_ns)
		s->last_ns = s->packet_begin_ns;
	if (s->packet_end_ns > s->r->newest_ns)
		s->r->newest_ns = s->packet_end_ns;
}

static int next_of_queue(struct stream *s)
{
	struct packet_head h;
	struct packet *p;
	int r;

	if (s->head_taken) { /* the one before is done */
		p = s->queue;
		s->queue = p->next;
		s->r->pipe.held -= p->bytes;
		free(p);
		s->head_taken = false;
	}
	if (!s->queue) {
		s->queue_tail = &s->queue;
		if (s->r->pipe.eof)
			s->ended = true;
		else
			s->state = STREAM_WAIT;
		return 0;
	}
	s->head_taken = true;
	r = stream_slots(s);
	if (r < 0)
		return r;
	r = packet_head(s->trace, s->queue->data, s->queue->bytes, s->slots, &h);
	s->packet_at = s->next_packet;
	s->next_packet += s->queue->bytes;
	if (r < 0) { /* was good when it came: pipe.c looked */
		stream_notice(s, CAIRN_NOTICE_DAMAGED, s->packet_at, "a packet is damaged: %s",
			h.why ? h.why : "it is too short");
		return 0;
	}
	begin_packet(s, &h, s->queue->bytes);
	return 0;
}

int stream_next_file(struct stream *s)
{
	stream_close(s);
	s->file++;
	s->next_packet = s->sound_end = 0;
	s->searching = false;
	if (s->file < s->nfiles) {
		s->trace = s->files[s->file].trace;
		s->info.path = s->files[s->file].path;
		return 0;
	}
	s->ended = true;
	free(s->window);
	s->window = NULL;
	s->window_cap = s->window_len = 0;
	return 0;
}

/* The end of the current file, or of what there is of it so far. */
static int at_end(struct stream *s)
{
	if (!s->r->follow || s->file + 1 < s->nfiles)
		return stream_next_file(s);
	s->state = STREAM_WAIT;
	return 0;
}

static int cut_off(struct stream *s, uint64_t avail)
{
	if (s->r->follow && s->file + 1 == s->nfiles)
		return at_end(s);
	stream_notice(s, CAIRN_NOTICE_CUT, s->next_packet,
		"the last packet is cut off after %" PRIu64 " bytes, within its head", avail);
	return stream_next_file(s);
}

int stream_next_packet(struct stream *s)
{
	struct packet_head h;
	uint64_t avail;
	ssize_t got;
	int r;

	if (s->r->is_pipe)
		return next_of_queue(s);
	r = stream_slots(s);
	if (r == 0)
		r = stream_window(s, window_size(s));
	if (r < 0)
		return r;
	r = stream_open(s);
	if (r < 0) {
		stream_notice(s, CAIRN_NOTICE_DAMAGED, 0, "cannot be read: %s", strerror(-r));
		return stream_next_file(s);
	}
	avail = s->file_size > s->next_packet ? s->file_size - s->next_packet : 0;
	if (avail == 0)
		return at_end(s);
	for (;;) {
		got = stream_read(s, s->window, (size_t)MIN(s->window_cap, avail), s->next_packet);
		if (got < 0) {
			stream_notice(s, CAIRN_NOTICE_DAMAGED, s->next_packet, "cannot be read: %s",
				strerror((int)-got));
			return stream_next_file(s);
		}
		s->window_len = (size_t)got;
		memset(s->window + got, 0, CTFR_SLACK);
		r = packet_head(s->trace, s->window, s->window_len, s->slots, &h);
		if (r != -CTFR_SHORT || s->window_len < s->window_cap ||
			s->window_cap >= (16u << 20))
			break;
		if (stream_window(s, s->window_cap * 2) < 0)
			return -ENOMEM;
	}
	if (r == -CTFR_SHORT)
		return cut_off(s, avail);
	if (r == 0 && s->known && h.cls->id != s->info.class_id)
		r = head_bad(&h, "its stream_id is not that of its file");
	if (r == 0 && h.bytes > avail) {
		if (s->r->follow && s->file + 1 == s->nfiles)
			return at_end(s); /* it is being written */
		r = stream_oversized(s, &h);
	}
	if (r < 0)
		return r == -CTFR_BAD ? stream_damaged(s, h.why) : r;
	if (h.begin_ns != INT64_MIN && h.begin_ns >= s->r->end_ns && !s->r->follow) {
		s->ended = true; /* it and all that follow are later than what is asked for */
		stream_close(s);
		return 0;
	}
	s->packet_at = s->next_packet;
	s->next_packet += h.bytes ? h.bytes : avail;
	begin_packet(s, &h, avail);
	return 0;
}
