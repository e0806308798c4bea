/* Taking over from a host that died.
 *
 * A program kept the rings of the dead host and shows them to us by HAVE. The ring set says which
 * session it belonged to and carries the metadata of the whole trace. We make a session of that
 * name ("recovered", in the directory NAME-recovered-N below the output root) that writes what is
 * and will be in the rings under exactly that metadata. Nothing can be added to it: it records
 * what was on until it is stopped. Several programs show the same rings: the memfd's inode tells.
 *
 * A fork child shows the rings that it inherited in the same way; those are rings of ours.
 */
#include "session/session-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rset *find_by_inode(struct cairn_host *h, int fd)
{
	struct stat want, have;

	if (fstat(fd, &want) < 0)
		return NULL;
	for (size_t i = 0; i < h->nsessions; i++) {
		struct session *s = h->sessions[i];

		for (size_t k = 0; k < s->nrsets; k++) {
			if (fstat(ringset_fd(s->rsets[k]->rs), &have) == 0 &&
				have.st_ino == want.st_ino && have.st_dev == want.st_dev)
				return s->rsets[k];
		}
	}
	return NULL;
}

/* One more channel; also in the trace, if that is made: its packets' heads depend on the kind. */
static int add_channel(struct session *s, const char *name)
{
	struct cairn_channel_config cfg = {.name = name, .contexts = ""};
	struct ctf_stream st = {.kind = CTF_STREAM_EVENTS, .name = name};
	uint32_t number;
	int r = session_channel_add(s, &cfg, NULL);

	if (r == 0 && s->output->trace)
		r = ctf_trace_add_stream(s->output->trace, &st, &number);
	return MIN(r, 0);
}

/* Channels 0..n as the ring's header has them; those we know nothing of have no contexts. */
static int make_channels(struct session *s, const struct cairn_ringset_hdr *hdr)
{
	while (s->nchannels <= hdr->channel_id) {
		char name[CAIRN_NAME_MAX];
		int r;

		if (s->nchannels == hdr->channel_id)
			(void)snprintf(name, sizeof(name), "%s", hdr->channel);
		else
			(void)snprintf(name, sizeof(name), "unknown-%zu", s->nchannels);
		r = add_channel(s, name);
		if (r < 0)
			return r;
	}
	struct channel *ch = &s->channels[hdr->channel_id];

	(void)snprintf(ch->name, sizeof(ch->name), "%.63s", hdr->channel);
	ch->mode = (enum cairn_ring_mode)hdr->mode;
	ch->ring_bytes = hdr->ring_bytes;
	ch->block_ns = hdr->block_ns;
	ch->contexts = hdr->contexts;
	ch->perf_count = hdr->perf_count;
	memcpy(ch->perf, hdr->perf, sizeof(ch->perf));
	return session_name_check(ch->name, "channel", NULL);
}

static int recovered_output(struct session *s, const struct ringset *rs)
{
	struct cairn_host *h = s->host;
	const char *root = h->output_root ? h->output_root : ".";
	size_t len;
	const char *meta = ringset_meta(rs, &len);
	char dir[4096];
	int r = -EEXIST;

	if (s->uid != h->uid && !h->output_root)
		return -ENOENT; /* nowhere to write another user's data */
	r = output_new(s, NULL, -1, NULL);
	if (r < 0)
		return r;
	buf_add(&s->output->meta, meta, len);
	s->output->verbatim = true;
	r = -EEXIST;
	for (unsigned n = 1; r == -EEXIST && n < 1000; n++) {
		if (s->uid != h->uid)
			(void)snprintf(dir, sizeof(dir), "%s/%u/%s-recovered-%u", root,
				(unsigned)s->uid, s->name, n);
		else
			(void)snprintf(dir, sizeof(dir), "%s/%s-recovered-%u", root, s->name, n);
		r = place_open(s, &s->output->place, dir, NULL);
	}
	if (r == 0 && !(s->output->dir = strdup(dir)))
		r = -ENOMEM;
	return r < 0 ? r : s->output->meta.err;
}

static int fill_session(struct session *s, const struct ringset *rs)
{
	const struct cairn_ringset_hdr *hdr = ringset_hdr(rs);
	int r;

	s->recovered = true;
	s->id = hdr->session_id;
	memcpy(s->uuid, hdr->trace_uuid, sizeof(s->uuid));
	r = recovered_output(s, rs);
	if (r == 0)
		r = make_channels(s, hdr);
	if (r == 0)
		r = output_make_trace(s);
	if (r == 0)
		(void)records_from_metadata(s); /* else its events are not counted */
	if (r == 0) {
		s->state = SESSION_RUNNING;
		s->ran = true;
		s->started_ns = now_ns(CLOCK_MONOTONIC);
	}
	return r;
}

/* The session for a ring set of a dead host: adopted before, or made now. */
static int session_for(struct conn *c, const struct ringset *rs, struct session **ret)
{
	const struct cairn_ringset_hdr *hdr = ringset_hdr(rs);
	struct cairn_host *h = c->host;
	struct session *s = session_by_id(h, hdr->session_id);
	char name[CAIRN_NAME_MAX];
	int r;

	if (s && (!s->recovered || (s->uid != c->uid && s->uid != 0)))
		return -EPERM; /* a number of ours that it cannot know by right */
	if (s) {
		*ret = s;
		r = hdr->channel_id < MAX_CHANNELS ? make_channels(s, hdr) : -EPROTO;
		if (r == 0)
			(void)records_from_metadata(s); /* it has more channels */
		return r;
	}
	if (hdr->channel_id >= MAX_CHANNELS)
		return -EPROTO;
	(void)snprintf(name, sizeof(name), "%.63s", hdr->session);
	r = session_new(h, name, c->uid, c->gid, &s, NULL);
	if (r == -EEXIST) {
		(void)snprintf(name, sizeof(name), "%.40s-recovered", hdr->session);
		r = session_new(h, name, c->uid, c->gid, &s, NULL);
	}
	if (r < 0)
		return r;
	r = fill_session(s, rs);
	if (r < 0) {
		session_free(s);
		return r;
	}
	host_say(h, "session %s of a host that died goes on in %s", name, s->output->dir);
	*ret = s;
	return 0;
}

static int adopt(struct conn *c, int fd, uint32_t number, struct rset **ret)
{
	struct domain_key key;
	struct ringset *rs = NULL;
	struct session *s = NULL;
	int r = ringset_open(fd, &rs); /* takes fd */

	if (r < 0)
		return r;
	key = domain_of(c, ringset_hdr(rs)->kind == CAIRN_RING_SOLO);
	r = session_for(c, rs, &s);
	if (r == 0)
		r = rset_adopt(s, ringset_hdr(rs)->channel_id, rs, &key, ret);
	if (r < 0)
		ringset_free(rs);
	else
		(*ret)->number = number;
	return r;
}

/* A fork child has no descriptor of the sets that it inherited: it names them. */
static struct rset *find_by_number(struct cairn_host *h, const struct cairn_msg_ringset *m)
{
	const struct session *s = session_by_id(h, m->session_id);

	for (size_t i = 0; s && i < s->nrsets; i++)
		if (s->rsets[i]->number == m->ringset)
			return s->rsets[i];
	return NULL;
}

/* Notes that the program has the ring set, and says so to it: the set is ours now. */
static int affirm(struct conn *c, struct rset *r, const struct cairn_msg_ringset *m)
{
	struct attach *at = program_attach(c, r->session);
	struct cairn_msg_ringset msg = {.ringset = m->ringset,
		.kind = ringset_hdr(r->rs)->kind,
		.bytes = ringset_bytes(r->rs),
		.session_id = r->session->id};
	struct attach_channel *ac;
	bool solo = msg.kind == CAIRN_RING_SOLO;

	if (!at)
		return -ENOMEM;
	ac = &at->channels[r->channel];
	if (solo ? ac->solo != NULL : ac->percpu != NULL)
		return 0; /* said twice */
	r->users++;
	r->idle_since_ns = 0;
	if (solo) {
		ac->solo = rset_ref(r);
		ac->solo_number = m->ringset;
	} else {
		ac->percpu = rset_ref(r);
		ac->percpu_number = m->ringset;
	}
	host_wake(c->host);
	return conn_ask(c, CAIRN_MSG_RINGSET, &msg, sizeof(msg), r, msg.ringset, NULL);
}

int program_have(struct conn *c, const struct cairn_msg_ringset *m, int fd)
{
	struct rset *r = fd >= 0 ? find_by_inode(c->host, fd) : find_by_number(c->host, m);
	int rc = 0;

	if (r && r->key.uid != c->uid) /* rings of another user cannot be had by right */
		rc = -EPERM;
	else if (!r && fd >= 0)
		rc = adopt(c, take_fd(&fd), m->ringset, &r);
	auto_fd(&fd);
	if (rc < 0 || !r) {
		host_say(c->host, "rings that process %d (%s) kept cannot be taken over: %s",
			(int)c->pid, c->hello.comm, strerror(rc < 0 ? -rc : ENOENT));
		return 0; /* these rings only: their events are lost */
	}
	return affirm(c, r, m);
}

/* An enabling that is in force: noted if it means what our session says, else switched off. */
int program_have_event(struct conn *c, const struct cairn_msg_enable *e)
{
	struct pevent *ev = program_event(c, e->event);
	struct {
		uint32_t count, pad;
		struct cairn_msg_enable item;
	} off = {.count = 1, .item = *e};

	for (struct attach *at = c->attached; at && ev; at = at->next) {
		for (unsigned ch = 0; ch < at->nchannels; ch++) {
			struct session *s = at->session;
			struct on *on;
			size_t id;

			if (!at->channels[ch].percpu ||
				at->channels[ch].percpu_number != e->ringset)
				continue;
			id = (size_t)map_get(&s->channels[ch].ids, &ev->cls, sizeof(ev->cls));
			if (!s->output->verbatim && id != (size_t)e->id + 1)
				break;
			on = VEC_ADD(ev->on, ev->non, ev->con);
			if (!on)
				return -ENOMEM;
			*on = (struct on){.at = at, .id = e->id, .channel = (uint16_t)ch};
			return 0;
		}
	}
	return conn_ask(c, CAIRN_MSG_DISABLE, &off, sizeof(off), NULL, 0, NULL);
}
