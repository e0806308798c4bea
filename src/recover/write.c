/* What was found, as trace directories: one for each trace uuid.
 *
 * If all sets belong to one trace, that is outdir itself; else each trace has a folder in it, named
 * for its session. A ring becomes a file "ring-CHANNEL-DOMAIN[s]-INDEX", one packet for each view
 * that the consumer gives (a whole ring, or each block of a flight recorder).
 */
#include "ctf/ctf.h"
#include "recover/recover-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct writer {
	struct recover_report *report; /* borrowed */
	struct error *e; /* borrowed */
	const struct cairn_ringset_hdr *hdr; /* of the set being written */
	struct check *check; /* owned: of the trace being written */
	int dir; /* owned: folder of the trace being written; -1 */
	int fd; /* owned: file of the ring being written; -1: none yet */
	uint32_t ring;
	uint64_t seq;
	uint64_t cut; /* packets of the ring that were cut or left out */
	uint32_t views, stale; /* of the ring; how many of the first are overwritten */
	uint64_t begin_ts; /* of the view before */
	uint64_t lost[CAIRN_LOST_REASONS]; /* the ring's last word */
};

static int create_at(struct writer *w, const char *name)
{
	int fd = openat(w->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int err = -errno;

	if (fd >= 0)
		return fd;
	(void)error_set(w->e, err, "cannot make %s: %s", name, strerror(-err));
	if (err == -EEXIST)
		error_hint(w->e, "give a new folder");
	return err;
}

static int open_ring(struct writer *w)
{
	char name[80];

	if (w->fd >= 0)
		return 0;
	(void)snprintf(name, sizeof(name), "ring-%u-%u%s-%u", w->hdr->channel_id, /* fits */
		w->hdr->domain_id, w->hdr->kind == CAIRN_RING_SOLO ? "s" : "", w->ring);
	w->fd = create_at(w, name);
	if (w->fd < 0)
		return w->fd;
	w->report->rings++;
	return 0;
}

static int write_view(void *arg, const struct ring_view *whole)
{
	struct writer *w = arg;
	struct ring_view cut = *whole, *view = &cut;
	bool solo = w->hdr->kind == CAIRN_RING_SOLO;
	struct ctf_packet p = {.stream = ctf_stream_of_channel(w->hdr->channel_id),
		.instance =
			ctf_instance(w->hdr->channel_id, w->hdr->domain_id, w->hdr->kind, w->ring),
		.cpu = solo ? CTF_NO_CPU : w->ring,
		.view = view};
	struct ctf_frame f;
	int err;

	if (w->views++ < w->stale) {
		w->cut++;
		return 0;
	}
	p.seq = w->seq++;
	err = open_ring(w);
	if (err < 0)
		return err;
	view->len = check_whole(w->check, p.stream, whole);
	w->cut += view->len < whole->len; /* how many events that were, nobody knows */
	view->lost[CAIRN_LOST_CORRUPT] += w->cut;
	view->lost_total += w->cut;
	ctf_frame_events(w->hdr->trace_uuid, &p, &f);
	err = write_all(w->fd, f.head, f.head_len);
	if (err == 0)
		err = write_all(w->fd, f.body, f.body_len);
	if (err == 0)
		err = write_all(w->fd, f.tail, f.tail_len);
	if (err < 0)
		return error_set(w->e, err, "cannot write the trace: %s", strerror(-err));
	w->report->packets++;
	w->report->bytes += view->len;
	memcpy(w->lost, view->lost, sizeof(w->lost));
	return 0;
}

/* Blocks that are later than the one after them were written while the core file was. */
static int find_stale(void *arg, const struct ring_view *view)
{
	struct writer *w = arg;

	if (view->begin_ts < w->begin_ts)
		w->stale = w->views;
	w->begin_ts = view->begin_ts;
	w->views++;
	return 0;
}

static int write_ring(struct writer *w, struct ringset *s)
{
	struct ring_view view;
	int err;

	w->seq = w->cut = w->begin_ts = 0;
	w->views = w->stale = 0;
	memset(w->lost, 0, sizeof(w->lost));
	if (w->hdr->mode == CAIRN_MODE_OVERWRITE) {
		(void)ring_snapshot(s, w->ring, find_stale, w); /* the next call says the same */
		w->views = 0;
		err = ring_snapshot(s, w->ring, write_view, w);
	} else { /* losses alone make a packet too */
		err = ring_take(s, w->ring, &view);
		if (err == 1)
			err = write_view(w, &view);
	}
	for (unsigned i = 0; i < CAIRN_LOST_REASONS; i++)
		w->report->lost[i] += w->lost[i];
	if (w->fd >= 0)
		(void)close(take_fd(&w->fd)); /* written is written: errors came from write */
	return err;
}

static int write_set(struct writer *w, struct ringset *s)
{
	w->hdr = ringset_hdr(s);
	w->report->sets++;
	for (w->ring = 0; w->ring < w->hdr->nrings; w->ring++) {
		uint32_t packets = w->report->packets;
		int err = write_ring(w, s);

		if (err < 0 && w->e && w->e->message[0])
			return err; /* ours: the output failed */
		if (err < 0 || (packets == w->report->packets && ring_pending(s, w->ring)))
			w->report->damaged++;
	}
	return 0;
}

/* The longest text of the sets of this trace. */
static int write_metadata(struct writer *w, const struct finds *f, const uint8_t *uuid)
{
	const char *best = NULL;
	size_t best_len = 0;
	int err;

	for (size_t i = 0; i < f->len; i++) {
		size_t len;
		const char *text = ringset_meta(f->items[i].set, &len);

		if (memcmp(ringset_hdr(f->items[i].set)->trace_uuid, uuid, 16) == 0 &&
			len > best_len) {
			best = text;
			best_len = len;
		}
	}
	if (!best) {
		w->report->no_metadata++;
		return 0;
	}
	w->fd = create_at(w, "metadata");
	if (w->fd < 0)
		return w->fd;
	w->check = check_new(best, best_len);
	err = write_all(w->fd, best, best_len);
	(void)close(take_fd(&w->fd)); /* as above */
	return err < 0 ? error_set(w->e, err, "cannot write metadata: %s", strerror(-err)) : 0;
}

static bool is_same_trace(const struct finds *f, size_t a, size_t b)
{
	return memcmp(ringset_hdr(f->items[a].set)->trace_uuid,
		       ringset_hdr(f->items[b].set)->trace_uuid, 16) == 0;
}

/* Whether an earlier set was of this trace; `same_ring` also of this channel, domain and kind. */
static bool is_repeated(const struct finds *f, size_t i, bool same_rings)
{
	const struct cairn_ringset_hdr *h = ringset_hdr(f->items[i].set);

	for (size_t k = 0; k < i; k++) {
		const struct cairn_ringset_hdr *o = ringset_hdr(f->items[k].set);

		if (is_same_trace(f, i, k) &&
			(!same_rings ||
				(h->channel_id == o->channel_id && h->domain_id == o->domain_id &&
					h->kind == o->kind)))
			return true;
	}
	return false;
}

static int write_trace(struct writer *w, struct finds *f, size_t first, const char *path)
{
	int err = mkdir_p(path, 0777);

	if (err < 0)
		return error_set(w->e, err, "cannot make %s: %s", path, strerror(-err));
	w->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir < 0)
		return error_set(w->e, -errno, "cannot open %s", path);
	err = write_metadata(w, f, ringset_hdr(f->items[first].set)->trace_uuid);
	for (size_t i = first; err == 0 && i < f->len; i++) {
		if (!is_same_trace(f, first, i))
			continue;
		if (is_repeated(f, i, true))
			w->report->damaged++;
		else
			err = write_set(w, f->items[i].set);
	}
	(void)close(take_fd(&w->dir)); /* read only */
	check_free(w->check);
	w->check = NULL;
	w->report->traces++;
	return err;
}

/* outdir, or a folder in it: "SESSION-2", with nothing in it that a path could stumble over. */
static void name_trace(
	const struct finds *f, size_t i, bool alone, const char *outdir, struct buf *ret)
{
	const char *session = ringset_hdr(f->items[i].set)->session;

	buf_clear(ret);
	buf_str(ret, outdir);
	if (alone)
		return;
	buf_char(ret, '/');
	for (const char *c = session; *c; c++)
		buf_char(ret, *c == '/' || *c == '.' ? '_' : *c);
	buf_printf(ret, "-%zu", i + 1);
}

int recover_write(struct finds *f, const char *outdir, struct recover_report *ret, struct error *e)
{
	AUTO(buf) struct buf path = {0};
	struct error scratch = {{0}};
	struct writer w = {.report = ret, .e = e ? e : &scratch, .dir = -1, .fd = -1};
	bool alone = true;
	int err = 0;

	ret->damaged += f->damaged;
	w.e->message[0] = '\0';
	for (size_t i = 1; i < f->len; i++)
		alone &= is_same_trace(f, 0, i);
	for (size_t i = 0; err == 0 && i < f->len; i++) {
		if (is_repeated(f, i, false))
			continue;
		name_trace(f, i, alone, outdir, &path);
		err = path.err ? path.err : write_trace(&w, f, i, path.data);
	}
	if (err == 0 && ret->no_metadata) {
		err = error_set(w.e, -ENODATA, "the rings were written, but had no metadata");
		error_hint(
			w.e, "put the file `metadata` of the session's own trace into %s", outdir);
	}
	return err;
}
