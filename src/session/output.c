/* The output of a session: its trace, as it grows.
 *
 *	stream 0	the state dump, file "state"
 *	stream 1 + n	channel n; files "CHANNEL_dDOMAIN_cpuN", "CHANNEL_dDOMAIN_threadN" (solo)
 *
 * output.meta is the whole metadata text so far; places and ring sets are brought up to it before
 * any record that needs it can be written. What cannot be written is counted as lost (disk), said
 * once, and never stops the consumer.
 */
#include "session/kernel.h"
#include "session/session-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STATE_INSTANCE 0xffffu

int output_new(struct session *s, const char *dir, int fd, struct error *err)
{
	struct output *o = calloc(1, sizeof(*o));

	if (!o)
		return error_set(err, -ENOMEM, "no memory for a session");
	s->output = o;
	o->state.fd = -1;
	o->state.instance = ctf_instance(STATE_INSTANCE, 0, 0, 0);
	place_init(&o->place);
	if (fd >= 0) {
		o->live = (struct live){.fd = fd, .wait = &s->host->live_wait};
		o->place.live = &o->live;
	}
	if (dir && !(o->dir = strdup(dir)))
		return error_set(err, -ENOMEM, "no memory for a session");
	return 0;
}

static void streams_done(struct output *o)
{
	for (size_t i = 0; i < o->nstreams; i++) {
		auto_fd(&o->streams[i]->fd);
		free(o->streams[i]);
	}
	o->nstreams = 0;
	auto_fd(&o->state.fd);
	o->state = (struct stream){.fd = -1, .instance = o->state.instance};
}

void output_free(struct session *s)
{
	struct output *o = s->output;

	if (!o)
		return;
	streams_done(o);
	free(o->streams);
	place_done(&o->place);
	ctf_trace_free(o->trace);
	buf_done(&o->meta);
	free(o->dir);
	free(o);
	s->output = NULL;
}

bool output_has_place(const struct output *o)
{
	return o->place.dirfd >= 0 || o->place.live;
}

/* Says the first failure of each kind, and again after something else happened. */
static void write_failed(struct session *s, int r, const char *what)
{
	struct output *o = s->output;

	if (o->write_error == -r)
		return;
	o->write_error = -r;
	host_say(s->host,
		"session %s: cannot write %s%s%s: %s; events that cannot be written are "
		"counted as lost",
		s->name, what, o->dir ? " in " : "", o->dir ? o->dir : "", write_strerror(-r));
}

/* ---- the trace ---- */

void output_facts(const struct session *s, struct output_facts *ret)
{
	time_t now = time(NULL);
	struct tm tm;

	*ret = (struct output_facts){.facts = {.session = s->name, .command = s->command}};
	(void)uname(&ret->u); /* cannot fail on a valid pointer */
	if (gmtime_r(&now, &tm))
		(void)strftime(ret->created, sizeof(ret->created), "%Y-%m-%dT%H:%M:%S+0000", &tm);
	memcpy(ret->facts.uuid, s->uuid, sizeof(ret->facts.uuid));
	ret->facts.hostname = ret->u.nodename;
	ret->facts.kernel_release = ret->u.release;
	ret->facts.kernel_version = ret->u.version;
	ret->facts.machine = ret->u.machine;
	ret->facts.created = ret->created;
	ret->facts.tracer_version = CAIRN_VERSION;
}

static int new_trace(struct session *s)
{
	struct output *o = s->output;
	struct output_facts of;

	output_facts(s, &of);
	clock_now(s->host->clock, &o->begin);
	clock_describe(s->host, NULL, &o->clock);
	return ctf_trace_new(&of.facts, &o->clock, &o->trace);
}

static int add_streams(struct session *s)
{
	struct ctf_stream st = {.kind = CTF_STREAM_STATE, .name = "state"};
	uint32_t number;
	int r = ctf_trace_add_stream(s->output->trace, &st, &number);

	for (size_t i = 0; i < s->nchannels && r >= 0; i++) {
		const struct channel *ch = &s->channels[i];

		st = (struct ctf_stream){
			.kind = CTF_STREAM_EVENTS,
			.name = ch->name,
			.contexts = ch->contexts,
			.perf_count = ch->perf_count,
			.perf = ch->perf,
		};
		r = ctf_trace_add_stream(s->output->trace, &st, &number);
	}
	return MIN(r, 0);
}

int output_make_trace(struct session *s)
{
	struct output *o = s->output;
	int r = new_trace(s);

	if (r >= 0)
		r = add_streams(s);
	if (r < 0) {
		ctf_trace_free(o->trace);
		o->trace = NULL;
	}
	o->meta_dirty = true;
	return MIN(r, 0);
}

int output_begin(struct session *s, struct error *err)
{
	struct output *o = s->output;
	int r = 0;

	if (!o->trace)
		r = output_make_trace(s);
	if (r < 0)
		return error_set(err, r, "cannot begin the trace of session '%s': %s", s->name,
			strerror(-r));
	if (o->place.live)
		o->place.stream_trace = o->trace;
	if (o->dir && !output_has_place(o))
		r = output_open(s, o->dir, err);
	return r;
}

int output_open(struct session *s, const char *dir, struct error *err)
{
	struct output *o = s->output;
	char path[4096];
	bool made;
	int r = place_open(s, &o->place, dir, err);

	if (r < 0 || !s->kernel)
		return r;
	made = o->place.made;
	place_done(&o->place);
	r = snprintf(path, sizeof(path), "%s/user", dir);
	if (r < 0 || (size_t)r >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the path of the trace is too long");
	r = place_open(s, &o->place, path, err);
	o->made = made;
	return r;
}

int output_make_room(struct session *s, struct error *err)
{
	struct output *o = s->output;
	AUTO(free) char *dir = NULL;
	char *end;
	int r = 0;

	if (o->place.dirfd < 0)
		return 0;
	dir = strdup(o->place.dir);
	if (!dir)
		return error_set(err, -ENOMEM, "no memory for a session");
	end = strrchr(dir, '/');
	if (end && strcmp(end, "/user") == 0 && strcmp(dir, o->dir) != 0) {
		*end = 0; /* it has had kernel events before */
	} else {
		o->made |= o->place.made;
		r = place_move_down(s, &o->place, "user");
		o->place.made = true;
	}
	if (r < 0)
		return error_set(err, r, "cannot make a directory in %s: %s", dir, strerror(-r));
	return krec_place_open(s, dir, err);
}

void output_discard(struct session *s)
{
	struct output *o = s->output;

	if (s->ran || !o || o->place.dirfd < 0)
		return;
	place_discard(&o->place);
	if (o->made && o->dir)
		(void)rmdir(o->dir); /* others may have put something there */
}

/* Metadata text from the beginning: another clock may change any of it. */
void output_text_anew(struct session *s)
{
	struct output *o = s->output;
	AUTO(buf) struct buf text = {0};
	struct ctf_text_pos pos = {0};

	if (ctf_metadata(o->trace, s->ctf_version == 2 ? CTF_2 : CTF_1_8, &pos, &text) < 0 ||
		text.err)
		return; /* without memory the old text is good enough */
	buf_clear(&o->meta);
	buf_add(&o->meta, text.data, text.len);
	o->text_pos = pos;
}

void output_flush_metadata(struct session *s)
{
	struct output *o = s->output;
	int r;

	if (o->meta_dirty && o->trace && !o->verbatim) {
		o->meta_dirty = false;
		if (ctf_metadata(o->trace, s->ctf_version == 2 ? CTF_2 : CTF_1_8, &o->text_pos,
			    &o->meta) < 0)
			o->meta_dirty = true; /* no memory: next time */
		for (size_t i = 0; i < s->nrsets; i++)
			(void)ringset_set_meta(s->rsets[i]->rs, o->meta.data,
				o->meta.len); /* too long: the trace has it */
	}
	r = place_write_metadata(s, &o->place, &o->meta);
	if (r < 0)
		write_failed(s, r, "metadata");
}

void output_end(struct session *s)
{
	struct output *o = s->output;
	struct ctf_clock clock;
	int r;

	if (!o->trace || o->verbatim || o->place.dirfd < 0)
		return;
	clock_describe(s->host, &o->begin, &clock);
	if (ctf_trace_set_clock(o->trace, &clock) < 0)
		return; /* the first guess stays */
	o->clock = clock;
	krec_set_clock(s, &clock);
	output_text_anew(s);
	r = place_replace_metadata(s, &o->place, &o->meta);
	if (r < 0)
		write_failed(s, r, "metadata");
}

/* ---- packets ---- */

static struct stream *stream_new(struct rset *r, uint32_t ring, const struct place *place)
{
	struct session *s = r->session;
	const struct cairn_ringset_hdr *hdr = ringset_hdr(r->rs);
	bool solo = hdr->kind == CAIRN_RING_SOLO;
	struct stream *st = calloc(1, sizeof(*st));
	char name[CAIRN_NAME_MAX + 64];

	if (!st)
		return NULL;
	st->instance = ctf_instance(r->channel, r->domain_id, hdr->kind, ring);
	st->seq = r->rings[ring].seq;
	(void)snprintf(name, sizeof(name), "%s_d%u_%s%u", s->channels[r->channel].name,
		r->domain_id, solo ? "thread" : "cpu", ring);
	st->fd = place->dirfd >= 0 ? place_create(s, place, name) : -EBADF;
	return st;
}

static int write_view(struct rset *r, uint32_t ring, const struct place *place, struct stream *st,
	const struct ring_view *view)
{
	struct session *s = r->session;
	bool solo = ringset_hdr(r->rs)->kind == CAIRN_RING_SOLO;
	struct ring_view v = *view;
	struct ctf_packet p = {
		.stream = r->channel + 1,
		.instance = st->instance,
		.cpu = solo ? CTF_NO_CPU : ring,
		.seq = st->seq,
		.view = &v,
	};
	struct ctf_frame f;

	v.lost[CAIRN_LOST_DISK] += st->lost_disk;
	v.lost[CAIRN_LOST_CORRUPT] += r->rings[ring].lost_corrupt;
	v.lost_total += st->lost_disk + r->rings[ring].lost_corrupt;
	ctf_frame(s->output->trace, &p, &f);
	return place_write_packet(place, st, &f);
}

static struct stream *stream_of(struct rset *r, uint32_t ring)
{
	struct output *o = r->session->output;
	struct rset_ring *rr = &r->rings[ring];
	struct stream **at;

	if (rr->stream)
		return rr->stream;
	at = VEC_ADD(o->streams, o->nstreams, o->cstreams);
	if (!at)
		return NULL;
	*at = stream_new(r, ring, &o->place);
	if (!*at) {
		o->nstreams--;
		return NULL;
	}
	rr->stream = *at;
	return *at;
}

/* A file that could not be opened (EMFILE...) may open now. */
static void retry_open(struct rset *r, uint32_t ring, struct stream *st)
{
	struct stream *again;

	if (st->fd >= 0 || r->session->output->place.dirfd < 0)
		return;
	again = stream_new(r, ring, &r->session->output->place);
	if (again)
		st->fd = again->fd;
	free(again);
}

bool output_check(
	struct rset *r, uint32_t ring, struct ring_view *view, size_t limit, uint64_t *ret_events)
{
	struct session *s = r->session;
	struct records got;

	records_walk(&s->channels[r->channel], view, s->output->verbatim ? view->len : limit, &got);
	*ret_events = got.events;
	if (s->output->verbatim)
		return false; /* adopted: what is not known is no nonsense */
	if (got.bad) {
		view->len = got.bytes;
		r->rings[ring].lost_corrupt++;
		if (!r->rings[ring].said_corrupt)
			host_say(s->host,
				"session %s: a program wrote nonsense into a ring of channel %s",
				s->name, s->channels[r->channel].name);
		r->rings[ring].said_corrupt = true;
		return false;
	}
	if (got.bytes == view->len)
		return false;
	ring_shorten(r->rs, ring, view, got.bytes, got.ts);
	return true;
}

void output_packet(
	struct rset *r, uint32_t ring, const struct ring_view *view, uint64_t events, bool final)
{
	struct session *s = r->session;
	struct output *o = s->output;
	struct channel *ch = &s->channels[r->channel];
	struct stream *st;
	uint64_t before;
	int w;

	memcpy(r->rings[ring].lost, view->lost, sizeof(view->lost));
	r->rings[ring].end_ts = view->end_ts;
	r->rings[ring].end_pos = view->end_pos;
	if (!view->len && !final)
		return; /* the next packet says what was lost */
	st = output_has_place(o) ? stream_of(r, ring) : NULL;
	if (!st)
		return;
	retry_open(r, ring, st);
	before = st->offset;
	w = write_view(r, ring, &o->place, st, view);
	if (w < 0) {
		st->lost_disk += events;
		ch->stats.lost[CAIRN_LOST_DISK] += events;
		write_failed(s, w, "events");
		return;
	}
	st->lost_written = view->lost_total + st->lost_disk + r->rings[ring].lost_corrupt;
	ch->stats.events += events;
	ch->stats.bytes += st->offset - before;
	ch->stats.packets++;
}

/* The last word about losses, in a packet without events if there were none after them. */
void output_final_losses(struct rset *r, uint32_t ring)
{
	struct rset_ring *rr = &r->rings[ring];
	struct stream *st = rr->stream;
	struct ring_view v = {0};

	memcpy(v.lost, rr->lost, sizeof(v.lost));
	for (unsigned i = 0; i < CAIRN_LOST_REASONS; i++)
		v.lost_total += v.lost[i];
	if (!output_has_place(r->session->output) ||
		(st ? st->lost_written == v.lost_total + st->lost_disk + rr->lost_corrupt
		    : v.lost_total == 0))
		return;
	v.begin_ts = v.end_ts = rr->end_ts ? rr->end_ts : clock_cycles(r->session->host->clock);
	v.begin_pos = v.end_pos = rr->end_pos;
	output_packet(r, ring, &v, 0, true);
}

struct snapshot_ring {
	struct rset *rset;
	uint32_t ring;
	unsigned skip; /* blocks still to be left out */
};

static int snapshot_packet(void *arg, const struct ring_view *view)
{
	struct snapshot_ring *sr = arg;
	struct ring_view v = *view;
	uint64_t events;

	if (sr->skip) {
		sr->skip--;
		return 0;
	}
	(void)output_check(sr->rset, sr->ring, &v, v.len, &events); /* a block is all of a packet */
	output_packet(sr->rset, sr->ring, &v, events, true);
	return 0;
}

void output_snapshot_ring(struct rset *r, uint32_t ring, unsigned skip)
{
	struct snapshot_ring sr = {.rset = r, .ring = ring, .skip = skip};

	if (output_has_place(r->session->output))
		(void)ring_snapshot(r->rs, ring, snapshot_packet, &sr); /* counts its own losses */
}

void output_state(struct session *s, const struct buf *records, uint64_t begin, uint64_t end)
{
	struct output *o = s->output;
	struct ring_view v = {
		.data = (const uint8_t *)records->data,
		.len = records->len,
		.begin_pos = o->state.offset,
		.end_pos = o->state.offset + records->len,
		.begin_ts = begin,
		.end_ts = end,
	};
	struct ctf_packet p = {
		.instance = o->state.instance,
		.cpu = CTF_NO_CPU,
		.seq = o->state.seq,
		.view = &v,
	};
	struct ctf_frame f;
	int r;

	if (!records->len || records->err || !output_has_place(o) || !o->trace || o->verbatim)
		return;
	output_flush_metadata(s);
	if (o->state.fd < 0 && o->place.dirfd >= 0)
		o->state.fd = place_create(s, &o->place, "state");
	ctf_frame(o->trace, &p, &f);
	r = place_write_packet(&o->place, &o->state, &f);
	if (r < 0)
		write_failed(s, r, "the state dump");
	else
		o->bytes += f.total;
}

void output_close_streams(struct session *s)
{
	for (size_t i = 0; i < s->nrsets; i++) {
		for (uint32_t k = 0; k < s->rsets[i]->nrings; k++)
			s->rsets[i]->rings[k].stream = NULL;
	}
	streams_done(s->output);
}
