/* Finding packets by their heads alone: the packet of a time, and the time that a trace covers. */
#include "reader/dat-impl.h"

#include <errno.h>
#include <string.h>

/* The head of the packet at `offset` of the current file: 1; 0 at the file's end; -CTFR_BAD if it
 * cannot be read or makes no sense; -ENOMEM. */
static int peek_head(struct stream *s, uint64_t offset, struct packet_head *h)
{
	int r = stream_open(s);
	size_t want = 512;

	if (r == 0)
		r = stream_slots(s);
	if (r == 0)
		r = stream_window(s, WINDOW_MIN);
	if (r < 0)
		return r == -ENOMEM ? r : -CTFR_BAD;
	for (;;) {
		ssize_t got = stream_read(s, s->window, want, offset);

		if (got <= 0)
			return got < 0 ? -CTFR_BAD : 0;
		memset(s->window + got, 0, CTFR_SLACK);
		r = packet_head(s->trace, s->window, (size_t)got, s->slots, h);
		if (r != -CTFR_SHORT || (size_t)got < want || want >= s->window_cap)
			break;
		want = s->window_cap;
	}
	if (r < 0)
		return -CTFR_BAD;
	if (!h->bytes)
		h->bytes = s->file_size - offset;
	return h->bytes ? 1 : 0;
}

/* Whether all of the packet is before a time. Without an end it may hold it, so it is read. */
static bool is_before(const struct packet_head *h, int64_t time_ns)
{
	return h->end_ns != INT64_MIN && h->end_ns < time_ns && h->begin_ns <= h->end_ns;
}

/* What is to be known of a packet when the next one comes. */
static void pass(struct stream *s, uint64_t at, const struct packet_head *h)
{
	s->packet_at = at;
	s->packet_bytes = h->bytes;
	s->cut = at + h->bytes > s->file_size;
	(void)stream_tail_losses(s, h, false, 0); /* the counts so far, if it has any */
	s->seen_tail = true;
	s->seen_seq = h->seen & 1u << CTFR_ROLE_SEQ_NUM;
	s->seq = h->roles[CTFR_ROLE_SEQ_NUM];
	s->seen_discarded = h->seen & 1u << CTFR_ROLE_DISCARDED;
	s->discarded = h->roles[CTFR_ROLE_DISCARDED];
	s->last_ns = h->end_ns;
	s->sound_end = at + (h->content_bits ? h->content_bits + 7 : h->head_bits + 7) / 8;
}

/* Goes over the packets of the current file that are before a time. 1: there is one that is not,
 * or damage, at s->next_packet; 0: there is none; or -ENOMEM. */
static int seek_in_file(struct stream *s, int64_t time_ns, int64_t *ret_key)
{
	struct packet_head h;
	uint64_t at = 0;
	int r;

	while ((r = peek_head(s, at, &h)) > 0 && is_before(&h, time_ns)) {
		pass(s, at, &h);
		at += h.bytes;
	}
	s->next_packet = at;
	stream_close(s);
	if (r == -ENOMEM)
		return r;
	*ret_key = r > 0 ? h.begin_ns : s->last_ns;
	return r != 0;
}

/* Whether a file of it may tell who is who before the time asked for. */
static bool may_say_who(const struct stream *s)
{
	for (size_t i = 0; i < s->nfiles; i++) {
		const struct ctfr_stream *cls =
			ctfr_meta_stream(&s->files[i].trace->meta, s->info.class_id);

		if (cls && cls->says_who)
			return true;
	}
	return false;
}

static void go_to_file(struct stream *s, size_t i)
{
	s->file = i;
	s->next_packet = s->sound_end = 0;
	s->searching = false;
	if (i < s->nfiles) {
		s->trace = s->files[i].trace;
		s->info.path = s->files[i].path;
	}
}

int stream_seek(struct stream *s, int64_t time_ns)
{
	int64_t key = INT64_MIN;
	int r = 0;

	if (s->dat)
		return dat_seek(s, time_ns);
	stream_close(s);
	s->in_packet = s->has_notice = s->ended = false;
	s->nlosses = s->loss = 0;
	s->last_ns = INT64_MIN;
	s->seen_seq = s->seen_discarded = s->seen_tail = false;
	memset(s->tail_lost, 0, sizeof(s->tail_lost));
	s->state = STREAM_LAZY;
	go_to_file(s, 0);
	if (s->r->keep_state && may_say_who(s)) {
		s->key = s->files[0].begin_ns;
		return 0;
	}
	while (s->file < s->nfiles) {
		r = seek_in_file(s, time_ns, &key);
		if (r < 0)
			return r;
		if (r > 0)
			break;
		if (s->file + 1 == s->nfiles && s->r->follow) { /* goes on where it ends */
			s->state = STREAM_WAIT;
			return 0;
		}
		go_to_file(s, s->file + 1);
	}
	s->ended = s->file == s->nfiles;
	s->key = key;
	return 0;
}

int stream_range(struct stream *s, int64_t *begin, int64_t *end)
{
	for (go_to_file(s, 0); s->file < s->nfiles; go_to_file(s, s->file + 1)) {
		struct packet_head h;
		uint64_t at = 0;
		int r;

		for (;; at += h.bytes) {
			r = peek_head(s, at, &h);
			if (r == -CTFR_BAD && stream_resync(s, at + 1, at, &at) > 0)
				r = peek_head(s, at, &h);
			if (r <= 0)
				break;
			if (h.begin_ns != INT64_MIN)
				*begin = MIN(*begin, h.begin_ns);
			if (h.end_ns != INT64_MIN)
				*end = MAX(*end, h.end_ns);
		}
		stream_close(s);
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}
