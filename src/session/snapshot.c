/* Snapshots and chunks: traces of their own, made while programs run.
 *
 * Both work by giving the output another place for a while: a snapshot writes what overwrite
 * rings hold into a new directory and returns to the old place; a rotation closes the old place
 * and stays in the new one. Each place gets the whole metadata and a state dump.
 *
 *	OUTPUT/chunk-1, chunk-2...	the session has been rotated: chunks of its trace
 *	OUTPUT/snapshot-1...		snapshots without a directory of their own
 *
 * With kernel events each of them has two traces in it: user and kernel.
 */
#include "session/kernel.h"
#include "session/session-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* All programs of the session, for a place that has no state dump yet. */
void session_dump_all(struct session *s)
{
	struct cairn_host *h = s->host;

	for (size_t i = 0; i < h->nconns; i++) {
		struct process_facts *f = NULL;

		if (program_attach_find(h->conns[i], s))
			f = process_facts_read(h->conns[i]->pid);
		if (f)
			session_dump_program(s, h->conns[i], f, clock_cycles(h->clock));
		process_facts_free(f);
	}
}

/* What a place has of its own; swapped in and out as a whole. */
struct saved {
	struct place place;
	struct stream state;
	struct stream **streams;
	size_t nstreams, cstreams;
	struct stream **of_rings; /* owned vector: streams of the rings, in order */
	size_t n, cap;
};

static int save(struct session *s, struct saved *sv)
{
	struct output *o = s->output;

	*sv = (struct saved){.place = o->place,
		.state = o->state,
		.streams = o->streams,
		.nstreams = o->nstreams,
		.cstreams = o->cstreams};
	for (size_t i = 0; i < s->nrsets; i++) {
		for (uint32_t k = 0; k < s->rsets[i]->nrings; k++) {
			struct stream **at = VEC_ADD(sv->of_rings, sv->n, sv->cap);

			if (!at) {
				free(sv->of_rings);
				return -ENOMEM;
			}
			*at = s->rsets[i]->rings[k].stream;
		}
	}
	for (size_t i = 0; i < s->nrsets; i++) {
		for (uint32_t k = 0; k < s->rsets[i]->nrings; k++)
			s->rsets[i]->rings[k].stream = NULL;
	}
	place_init(&o->place);
	o->streams = NULL;
	o->nstreams = o->cstreams = 0;
	o->state = (struct stream){.fd = -1, .instance = o->state.instance};
	return 0;
}

static void restore(struct session *s, struct saved *sv)
{
	struct output *o = s->output;
	size_t n = 0;

	output_close_streams(s);
	free(o->streams);
	place_done(&o->place);
	o->place = sv->place;
	o->state = sv->state;
	o->streams = sv->streams;
	o->nstreams = sv->nstreams;
	o->cstreams = sv->cstreams;
	for (size_t i = 0; i < s->nrsets; i++) {
		for (uint32_t k = 0; k < s->rsets[i]->nrings; k++)
			s->rsets[i]->rings[k].stream = sv->of_rings[n++];
	}
	free(sv->of_rings);
}

static int count_block(void *arg, const struct ring_view *view)
{
	++*(unsigned *)arg;
	return 0;
}

/* How many of a ring's oldest blocks the limit of a snapshot leaves out. */
static unsigned blocks_to_skip(struct rset *r, uint32_t ring)
{
	const struct cairn_ringset_hdr *hdr = ringset_hdr(r->rs);
	uint64_t limit = r->session->snapshot_bytes / r->nrings;
	uint64_t keep = limit / (hdr->ring_bytes / CAIRN_RING_BLOCKS);
	unsigned blocks = 0;

	if (!r->session->snapshot_bytes)
		return 0;
	(void)ring_snapshot(r->rs, ring, count_block, &blocks);
	keep = MAX(keep, 1u);
	return blocks > keep ? blocks - (unsigned)keep : 0;
}

static void write_overwrite_rings(struct session *s)
{
	for (size_t i = 0; i < s->nrsets; i++) {
		struct rset *r = s->rsets[i];

		if (ringset_hdr(r->rs)->mode != CAIRN_MODE_OVERWRITE)
			continue;
		for (uint32_t k = 0; k < r->nrings; k++)
			output_snapshot_ring(r, k, blocks_to_skip(r, k));
	}
}

static bool has_overwrite(const struct session *s)
{
	for (size_t i = 0; i < s->nchannels; i++) {
		if (s->channels[i].mode == CAIRN_MODE_OVERWRITE)
			return true;
	}
	return false;
}

/* Writes everything of a new place at dir; o->place is it. */
static int fill_snapshot(struct session *s, const char *dir, bool new_clock, struct error *err)
{
	struct output *o = s->output;
	struct ctf_clock clock;
	int before = o->write_error, r = output_open(s, dir, err);

	if (r == 0)
		r = krec_snapshot_begin(s, dir, err);
	if (r < 0)
		return r;
	o->write_error = 0;
	if (new_clock)
		clock_describe(s->host, &o->begin, &clock);
	if (new_clock && ctf_trace_set_clock(o->trace, &clock) >= 0) {
		o->clock = clock;
		output_text_anew(s);
		krec_set_clock(s, &clock);
	}
	output_flush_metadata(s);
	session_dump_all(s);
	write_overwrite_rings(s);
	r = krec_snapshot_write(s);
	if (r == 0)
		r = -o->write_error;
	o->write_error = before;
	return r < 0
		? error_set(err, r, "the snapshot in %s is not complete: %s", dir, strerror(-r))
		: 0;
}

int output_snapshot(
	struct session *s, const char *dir, char *ret_dir, size_t size, struct error *err)
{
	struct output *o = s->output;
	char path[4096];
	struct saved sv;
	bool new_clock;
	int r;

	if (!has_overwrite(s) && !krec_is_recorder(s)) {
		(void)error_set(err, -ENOTSUP, "session '%s' has no overwrite channel", s->name);
		error_hint(err, "make one by: cairn session create --mode overwrite");
		return -ENOTSUP;
	}
	if (s->state != SESSION_RUNNING)
		return error_set(err, -EINVAL, "session '%s' is not running", s->name);
	if (!dir && !o->dir)
		return error_set(err, -EINVAL, "say where the snapshot of '%s' goes", s->name);
	if (dir)
		r = snprintf(path, sizeof(path), "%s", dir);
	else
		r = snprintf(path, sizeof(path), "%s/snapshot-%u", o->dir, ++o->snapshot);
	if (r < 0 || (size_t)r >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the path of the snapshot is too long");
	if (save(s, &sv) < 0)
		return error_set(err, -ENOMEM, "no memory for a snapshot");
	/* what is streamed already cannot be said anew */
	new_clock = !o->verbatim && !sv.place.live;
	r = fill_snapshot(s, path, new_clock, err);
	krec_snapshot_end(s);
	restore(s, &sv);
	if (new_clock && place_replace_metadata(s, &o->place, &o->meta) < 0)
		host_say(s->host, "session %s: cannot write metadata in %s", s->name, o->dir);
	if (r == 0)
		(void)snprintf(ret_dir, size, "%s", path);
	return r;
}

/* Numbers of packets go on in the next chunk: readers merge chunks, by the UUID of their trace. */
static void count_packets(struct session *s)
{
	for (size_t i = 0; i < s->nrsets; i++) {
		for (uint32_t k = 0; k < s->rsets[i]->nrings; k++) {
			struct rset_ring *ring = &s->rsets[i]->rings[k];

			ring->seq = ring->stream ? ring->stream->seq : ring->seq;
		}
	}
}

/* The first piece: what is in OUTPUT moves to OUTPUT/chunk-1. */
static int move_to_chunk(struct session *s, const char *name, struct error *err)
{
	struct output *o = s->output;
	struct place chunk;
	char path[4096], user[4128];
	int r;

	if (!s->kernel)
		return place_move_down(s, &o->place, name);
	(void)snprintf(path, sizeof(path), "%s/%s", o->dir, name); /* cut: cannot be made */
	place_init(&chunk);
	r = place_open(s, &chunk, path, err);
	place_done(&chunk);
	(void)snprintf(user, sizeof(user), "%s/user", path); /* fits */
	if (r == 0)
		r = place_move(&o->place, user);
	return r < 0 ? r : krec_place_move(s, path);
}

static int rotate_away(struct session *s, struct error *err)
{
	struct output *o = s->output;
	char name[32];
	int r = 0;

	output_end(s);
	if (!o->chunked) {
		(void)snprintf(name, sizeof(name), "chunk-%u", ++o->chunk);
		r = move_to_chunk(s, name, err);
		if (r < 0)
			return error_set(
				err, r, "cannot make a chunk in %s: %s", o->dir, strerror(-r));
		o->chunked = true;
	}
	return 0;
}

/* The places of a new piece, which is begun; the old ones stay if that is not possible. */
static int open_next(struct session *s, const char *path, struct error *err)
{
	struct output *o = s->output;
	struct place old = o->place;
	int r;

	place_init(&o->place);
	r = output_open(s, path, err);
	if (r == 0)
		r = krec_place_next(s, path, err);
	if (r < 0) {
		place_done(&o->place);
		o->place = old;
		return r;
	}
	place_done(&old);
	return 0;
}

int output_rotate(struct session *s, char *ret_dir, size_t size, struct error *err)
{
	struct output *o = s->output;
	uint64_t state_seq = o->state.seq;
	char path[4096];
	int r;

	if (o->place.dirfd < 0)
		return error_set(
			err, -ENOTSUP, "session '%s' does not write into a directory", s->name);
	consume_all(s);
	krec_cut(s);
	r = rotate_away(s, err);
	if (r < 0)
		return r;
	r = snprintf(path, sizeof(path), "%s/chunk-%u", o->dir, o->chunk + 1);
	if (r < 0 || (size_t)r >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the path of the chunk is too long");
	r = open_next(s, path, err);
	if (r < 0)
		return r;
	(void)snprintf(ret_dir, size, "%s/chunk-%u", o->dir, o->chunk);
	o->chunk++;
	count_packets(s);
	output_close_streams(s);
	o->state.seq = state_seq;
	output_flush_metadata(s);
	session_dump_all(s);
	return 0;
}
