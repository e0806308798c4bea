/* The reader: opening, merging streams by time, following, seeking.
 *
 * Merging: the stream whose item was given last is kept outside the heap. As long as its next item
 * is not later than the first of the heap it goes on giving, without touching the heap.
 */
#include "reader/dat-impl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REFRESH_NS 20000000u /* follow: look for news this often */

/* ---- the heap ---- */

static inline bool before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->key != b->key ? a->key < b->key : a->s->index < b->s->index;
}

static inline bool is_first(const struct cairn_reader *r, struct stream *s)
{
	struct heap_entry mine = {s->key, s};

	return before(&mine, &r->heap[0]);
}

static void heap_sift_down(struct cairn_reader *r, struct heap_entry e)
{
	size_t i = 0, n = r->nheap;

	for (;;) {
		size_t kid = 2 * i + 1;

		if (kid >= n)
			break;
		if (kid + 1 < n && before(&r->heap[kid + 1], &r->heap[kid]))
			kid++;
		if (!before(&r->heap[kid], &e))
			break;
		r->heap[i] = r->heap[kid];
		i = kid;
	}
	r->heap[i] = e;
}

static void heap_push(struct cairn_reader *r, struct stream *s)
{
	struct heap_entry e = {s->key, s};
	size_t i = r->nheap++;

	while (i > 0 && before(&e, &r->heap[(i - 1) / 2])) {
		r->heap[i] = r->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	r->heap[i] = e;
}

static struct stream *heap_pop(struct cairn_reader *r)
{
	struct stream *s = r->heap[0].s;

	if (--r->nheap)
		heap_sift_down(r, r->heap[r->nheap]);
	return s;
}

/* ---- streams ---- */

int reader_add_stream(struct cairn_reader *r, struct stream *s)
{
	struct stream **slot = VEC_ADD(r->streams, r->nstreams, r->streams_cap);

	if (!slot ||
		vec_reserve((void **)&r->heap, &r->heap_cap, r->nstreams + 1, sizeof(*r->heap)) <
			0) {
		r->nstreams -= slot != NULL;
		stream_free(s);
		return -ENOMEM;
	}
	*slot = s;
	s->index = (uint32_t)(r->nstreams - 1);
	if (s->state == STREAM_LAZY)
		heap_push(r, s);
	r->last_change_ns = now_ns(CLOCK_MONOTONIC);
	return 0;
}

/* A stream that waited may have an item now. */
int reader_wake(struct cairn_reader *r, struct stream *s)
{
	int e;

	if (s->state != STREAM_WAIT || s == r->current)
		return 0;
	e = stream_advance(s);
	if (e == 0 && s->state == STREAM_ITEM) {
		heap_push(r, s);
		r->last_change_ns = now_ns(CLOCK_MONOTONIC);
	}
	return e;
}

/* ---- open and free ---- */

static int copy_paths(struct cairn_reader *r, const struct cairn_reader_options *o)
{
	r->paths = calloc(o->npaths + 1, sizeof(*r->paths));
	if (!r->paths)
		return -ENOMEM;
	for (; r->npaths < o->npaths; r->npaths++) {
		r->paths[r->npaths] = strdup(o->paths[r->npaths]);
		if (!r->paths[r->npaths])
			return -ENOMEM;
	}
	return 0;
}

/* Waits for the first metadata. */
static int open_pipe(struct cairn_reader *r, struct error *err)
{
	struct trace *t = trace_new(r, "-");

	if (!t)
		return error_set(err, -ENOMEM, "no memory for the reader");
	*r->traces_tail = t;
	r->traces_tail = &t->next;
	while (!t->meta.has_trace) {
		struct pollfd pfd = {.fd = r->fd, .events = POLLIN};
		int e = pipe_pump(r, err);

		if (e < 0)
			return e;
		if (r->pipe.eof && !t->meta.has_trace)
			return error_set(err, -ENOENT, "the input ends before its metadata");
		if (e == 0 && poll(&pfd, 1, -1) < 0 && errno == EINTR)
			return error_set(err, -EINTR, "interrupted");
	}
	return 0;
}

static int seek_all(struct cairn_reader *r, int64_t time_ns)
{
	r->nheap = 0;
	r->current = NULL;
	r->given_ns = INT64_MIN;
	for (size_t i = 0; i < r->nstreams; i++) {
		struct stream *s = r->streams[i];
		int e = stream_seek(s, time_ns);

		if (e < 0)
			return e;
		if (s->state == STREAM_LAZY && !s->ended)
			heap_push(r, s);
	}
	return 0;
}

/* The others are read: what is wrong with these is said as such. */
static void say_left_out(struct cairn_reader *r)
{
	for (size_t i = 0; i < r->nleft_out; i++) {
		struct cairn_error *e = &r->left_out[i].error;
		struct cairn_error why = *e;

		(void)snprintf(e->message, sizeof(e->message), "this trace is left out: %.200s",
			why.message); /* cut if too long */
	}
}

/* What of a trace.dat could not be read when it was opened. */
static int say_damage(struct cairn_reader *r)
{
	for (struct trace *t = r->traces; t; t = t->next)
		for (size_t i = 0; t->dat && i < t->dat->file->nnotices; i++) {
			struct cairn_notice *n =
				VEC_ADD(r->left_out, r->nleft_out, r->left_out_cap);

			if (!n)
				return -ENOMEM;
			n->kind = CAIRN_NOTICE_DAMAGED;
			memcpy(&n->error, &t->dat->file->notices[i], sizeof(n->error));
		}
	return 0;
}

static int open_paths(struct cairn_reader *r, struct error *err)
{
	int e = reader_discover(r, err);

	if (e < 0)
		return e;
	if (!r->traces && r->nleft_out) {
		memcpy(err, &r->left_out[0].error, sizeof(*err));
		return -EINVAL;
	}
	if (!r->traces && !r->follow) {
		error_set(err, -ENOENT,
			"no trace here: no directory with a metadata file, and no trace.dat");
		error_where(err, "%s", r->paths[0]);
		return -ENOENT;
	}
	say_left_out(r);
	e = say_damage(r);
	if (e < 0)
		return error_set(err, e, "no memory for the reader");
	r->nheap = 0; /* files found later may have come first in their streams */
	for (size_t i = 0; i < r->nstreams; i++)
		heap_push(r, r->streams[i]);
	if (r->begin_ns != INT64_MIN)
		e = seek_all(r, r->begin_ns);
	return e < 0 ? error_set(err, e, "no memory for the reader") : 0;
}

int cairn_reader_open(const struct cairn_reader_options *opts, struct cairn_reader **ret_reader,
	struct cairn_error *cerr)
{
	struct cairn_reader_options o = {0};
	struct error *err = as_error(cerr);
	struct error none;
	struct cairn_reader *r;
	int e;

	if (!err)
		err = &none;
	memset(err, 0, sizeof(*err));
	memcpy(&o, opts, MIN(opts->size, sizeof(o)));
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(err, -ENOMEM, "no memory for the reader");
	r->traces_tail = &r->traces;
	r->is_pipe = o.npaths == 0;
	r->fd = o.fd;
	r->follow = o.follow && !r->is_pipe;
	r->delay_ns = o.delay_ns ? o.delay_ns : DELAY_NS;
	r->begin_ns = o.begin_ns || o.end_ns ? o.begin_ns : INT64_MIN;
	r->end_ns = o.end_ns ? o.end_ns : INT64_MAX;
	r->given_ns = r->newest_ns = INT64_MIN;
	e = copy_paths(r, &o);
	if (e == 0)
		e = r->is_pipe ? open_pipe(r, err) : open_paths(r, err);
	if (e < 0) {
		cairn_reader_free(r);
		if (!err->message[0])
			error_set(err, e, "cannot open the trace: %s", strerror(-e));
		return e;
	}
	*ret_reader = r;
	return 0;
}

void cairn_reader_free(struct cairn_reader *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->nstreams; i++)
		stream_free(r->streams[i]);
	while (r->traces) {
		struct trace *next = r->traces->next;

		trace_free(r->traces);
		r->traces = next;
	}
	for (size_t i = 0; i < r->npaths; i++)
		free(r->paths[i]);
	free(r->paths);
	free(r->streams);
	free(r->heap);
	free(r->left_out);
	pipe_done(r);
	free(r);
}

/* ---- following ---- */

/* Looks for new packets, files, metadata and traces. */
static int refresh(struct cairn_reader *r, struct error *err)
{
	bool changed = false;
	int e = reader_refresh_metadata(r, &changed, err);

	if (e == 0)
		e = reader_discover(r, err);
	for (size_t i = 0; i < r->nstreams && e == 0; i++)
		e = reader_wake(r, r->streams[i]);
	r->last_refresh_ns = now_ns(CLOCK_MONOTONIC);
	return e;
}

/* A time less the delay; the least there is, if that is less still. */
static int64_t delayed(const struct cairn_reader *r, int64_t time_ns)
{
	int64_t t;

	return __builtin_sub_overflow(time_ns, r->delay_ns, &t) ? INT64_MIN : t;
}

/* Nothing has come for as long as events are held back, and nothing waits to be read: that time passes also
 * while we are kept from reading. */
static bool is_idle(const struct cairn_reader *r, uint64_t now)
{
	struct pollfd pfd = {.fd = r->fd, .events = POLLIN};

	return now - r->pipe.last_data_ns >= r->delay_ns && poll(&pfd, 1, 0) == 0;
}

/* Whether an item of this time may be given: what others still write is later. */
static bool is_due(const struct cairn_reader *r, int64_t key)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (r->is_pipe)
		return r->pipe.eof || key < delayed(r, r->newest_ns) ||
			r->pipe.held > PIPE_MEMORY || is_idle(r, now);
	return key <= delayed(r, (int64_t)now_ns(CLOCK_REALTIME)) ||
		now - r->last_change_ns >= r->delay_ns;
}

/* Tries to get more: 1 if something may have changed, 0 if not, or -Exxx. */
static int get_more(struct cairn_reader *r, struct error *err)
{
	int e;

	if (r->is_pipe) {
		bool was_eof = r->pipe.eof;

		e = pipe_pump(r, err);
		if (e < 0 || e == 0 || !r->pipe.eof || was_eof)
			return e;
		for (size_t i = 0; i < r->nstreams; i++) /* those that wait have ended */
			if (reader_wake(r, r->streams[i]) < 0)
				return error_set(err, -ENOMEM, "no memory for a stream");
		return 1;
	}
	if (now_ns(CLOCK_MONOTONIC) - r->last_refresh_ns < REFRESH_NS)
		return 0;
	e = refresh(r, err);
	return e < 0 ? e : 1;
}

int cairn_reader_wait(struct cairn_reader *r, int timeout_ms)
{
	int own = (int)MIN(r->delay_ns / 2000000 + 1, 50u);
	struct pollfd pfd = {.fd = r->fd, .events = POLLIN};
	int n;

	if (timeout_ms < 0 || timeout_ms > own)
		timeout_ms = own;
	n = poll(&pfd, r->is_pipe && !r->pipe.eof, timeout_ms);
	if (n < 0)
		return -errno;
	return n > 0;
}

/* ---- the next item ---- */

static inline int give(struct cairn_reader *r, struct stream *s, struct cairn_item *ret)
{
	ret->kind = s->kind;
	r->current = s;
	if (s->kind == CAIRN_ITEM_EVENT) {
		if (s->key < r->given_ns)
			s->ev.flags |= CAIRN_EVENT_LATE;
		else
			r->given_ns = s->key;
		ret->event = &s->ev;
	} else if (s->kind == CAIRN_ITEM_LOSS) {
		ret->loss = &s->losses[s->loss - 1];
	} else {
		ret->notice = &s->notice;
	}
	return 1;
}

/* The stream with the first item, in r->current; NULL if there is none. */
static int pick(struct cairn_reader *r, struct error *err)
{
	struct stream *s;
	int e;

	while (r->nheap) {
		if (r->current) {
			struct heap_entry mine = {r->current->key, r->current};

			if (before(&mine, &r->heap[0]))
				return 0;
			s = r->heap[0].s;
			heap_sift_down(r, mine);
		} else {
			s = heap_pop(r);
		}
		r->current = s;
		if (s->state == STREAM_LAZY) {
			e = stream_advance(s);
			if (e < 0)
				return error_set(err, e, "cannot read %.128s: %s", s->info.path,
					strerror(-e));
			if (s->state != STREAM_ITEM)
				r->current = NULL;
			continue; /* its time may have changed */
		}
		return 0;
	}
	return 0;
}

static int next_live(struct cairn_reader *r, struct cairn_item *ret, struct error *err)
{
	for (;;) {
		int e = pick(r, err);

		if (e < 0)
			return e;
		if (r->current && is_due(r, r->current->key))
			return give(r, r->current, ret);
		if (r->current) {
			heap_push(r, r->current);
			r->current = NULL;
		}
		if (r->is_pipe && r->pipe.eof && r->nheap == 0)
			return 0;
		e = get_more(r, err);
		if (e < 0)
			return e;
		if (e == 0) {
			ret->kind = CAIRN_ITEM_WAIT;
			return 1;
		}
	}
}

/* All that is not the next event of the current stream, which is first still. */
static int next_slow(
	struct cairn_reader *r, bool advanced, struct cairn_item *ret_item, struct error *err)
{
	struct stream *s = r->current;
	int e;

	r->calm = false;
	if (r->failed)
		return error_set(err, r->failed, "the reader has failed before");
	if (r->has_notice) {
		r->has_notice = false;
		ret_item->kind = CAIRN_ITEM_NOTICE;
		ret_item->notice = &r->notice;
		return 1;
	}
	if (r->left_out_given < r->nleft_out) {
		ret_item->kind = CAIRN_ITEM_NOTICE;
		ret_item->notice = &r->left_out[r->left_out_given++];
		return 1;
	}
	if (s && !advanced) {
		e = stream_advance(s);
		if (e < 0) {
			r->failed = e;
			return error_set(
				err, e, "cannot read %.128s: %s", s->info.path, strerror(-e));
		}
		if (s->state != STREAM_ITEM)
			r->current = NULL;
	}
	if (r->is_pipe || r->follow) {
		e = next_live(r, ret_item, err);
	} else {
		e = pick(r, err);
		r->calm = e == 0;
		if (e == 0 && r->current)
			return give(r, r->current, ret_item);
	}
	if (e < 0)
		r->failed = e;
	return e;
}

int cairn_reader_next(struct cairn_reader *r, struct cairn_item *ret_item, struct cairn_error *cerr)
{
	struct stream *s = r->current;
	bool advanced = false;

	if (r->calm && s && s->calm) {
		advanced = stream_next_event(s);
		if (advanced && (r->nheap == 0 || is_first(r, s)))
			return give(r, s, ret_item);
	}
	return next_slow(r, advanced, ret_item, as_error(cerr));
}

int cairn_reader_seek(struct cairn_reader *r, int64_t time_ns, struct cairn_error *cerr)
{
	int e;

	if (r->is_pipe)
		return error_set(as_error(cerr), -ESPIPE, "a pipe cannot go back");
	r->begin_ns = time_ns;
	e = seek_all(r, time_ns);
	return e < 0 ? error_set(as_error(cerr), e, "cannot seek: %s", strerror(-e)) : 0;
}

int cairn_reader_limit(struct cairn_reader *r, int64_t begin_ns, int64_t end_ns, uint32_t flags,
	struct cairn_error *cerr)
{
	int e;

	if (flags & ~CAIRN_LIMIT_STATE)
		return error_set(as_error(cerr), -EINVAL, "flags %#x are not known", flags);
	r->begin_ns = begin_ns;
	r->end_ns = end_ns;
	r->keep_state = flags & CAIRN_LIMIT_STATE;
	e = r->is_pipe ? 0 : seek_all(r, begin_ns);
	return e < 0 ? error_set(as_error(cerr), e, "cannot seek: %s", strerror(-e)) : 0;
}

int cairn_reader_range(struct cairn_reader *r, int64_t *ret_begin_ns, int64_t *ret_end_ns)
{
	int64_t begin = INT64_MAX, end = INT64_MIN;
	int e = 0;

	if (r->is_pipe)
		return -ESPIPE;
	for (size_t i = 0; i < r->nstreams && e == 0; i++) {
		struct stream *s = r->streams[i], *look;

		if (s->dat) {
			e = dat_range(s, &begin, &end);
			continue;
		}
		look = stream_new(r);
		if (!look)
			return -ENOMEM;
		look->files = s->files; /* lent */
		look->nfiles = s->nfiles;
		e = stream_range(look, &begin, &end);
		look->files = NULL;
		look->nfiles = 0;
		stream_free(look);
	}
	if (e == 0 && (begin == INT64_MAX || end == INT64_MIN))
		e = -ENODATA;
	if (e == 0) {
		*ret_begin_ns = begin;
		*ret_end_ns = end;
	}
	return e;
}

const struct cairn_trace *cairn_reader_trace(const struct cairn_reader *r, size_t i)
{
	const struct trace *t = r->traces;

	while (t && i--)
		t = t->next;
	return t ? &t->meta.pub : NULL;
}

const struct cairn_stream_info *cairn_reader_stream(const struct cairn_reader *r, size_t i)
{
	return i < r->nstreams ? &r->streams[i]->info : NULL;
}

size_t cairn_reader_nclasses(const struct cairn_reader *r)
{
	return r->nclasses;
}
