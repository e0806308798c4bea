/* Ring sets of a session: one for each channel and sharing domain, made when first needed.
 *
 * A sharing domain is what programs must have in common to write to the same rings: uid, user and
 * pid name space, ring layout. Programs without rseq get a solo set each, kept until it has been
 * read to its end some seconds after the program left (a fork child may still be on its way).
 */
#include "session/session-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rset *rset_ref(struct rset *r)
{
	r->refs++;
	return r;
}

void rset_unref(struct rset *r)
{
	if (!r || --r->refs)
		return;
	ringset_free(r->rs);
	free(r->rings);
	free(r);
}

struct domain_key domain_of(const struct conn *c, bool solo)
{
	return (struct domain_key){
		.userns = c->hello.userns,
		.pidns = c->hello.pidns,
		.uid = c->uid,
		.ring_layout = c->hello.ring_layout,
		.solo_pid = solo ? c->pid : 0,
		.solo_unique = solo ? (uint64_t)(uintptr_t)c : 0,
	};
}

int ringset_error(struct error *err, int code, const char *what, uint64_t bytes)
{
	(void)error_set(err, code, "no rings for %s (%llu KiB): %s", what,
		(unsigned long long)(bytes >> 10), strerror(-code));
	if (code == -ENOMEM || code == -ENOSPC)
		error_hint(err,
			"choose smaller rings (--ring-size), or raise the limits of memory "
			"or /dev/shm");
	else if (code == -EFBIG)
		error_hint(err,
			"raise the limit on the size of files (ulimit -f): it holds for rings "
			"too, also for those in memory");
	else if (code == -EMFILE || code == -ENFILE)
		error_hint(err, "raise the limit of open files (ulimit -n)");
	return code;
}

static int rset_add(struct session *s, unsigned channel, struct ringset *rs,
	const struct domain_key *key, uint32_t domain_id, struct rset **ret)
{
	struct rset *r = calloc(1, sizeof(*r));
	struct rset **at;

	if (!r)
		return -ENOMEM;
	r->nrings = ringset_hdr(rs)->nrings;
	r->rings = calloc(r->nrings, sizeof(*r->rings));
	at = r->rings ? VEC_ADD(s->rsets, s->nrsets, s->crsets) : NULL;
	if (!at) {
		free(r->rings);
		free(r);
		return -ENOMEM;
	}
	*at = r;
	r->refs = 1;
	r->session = s;
	r->channel = channel;
	r->domain_id = domain_id;
	r->number = s->host->next_ringset++;
	r->key = *key;
	r->rs = rs;
	rate_follow(s->host, now_ns(CLOCK_MONOTONIC));
	if (s->host->clock == CAIRN_CLOCK_TSC)
		ringset_set_rate(rs, &s->host->line.rate);
	*ret = r;
	return 0;
}

int rset_adopt(struct session *s, unsigned channel, struct ringset *rs, const struct domain_key *k,
	struct rset **ret)
{
	return rset_add(s, channel, rs, k, ringset_hdr(rs)->domain_id, ret);
}

static int rset_make(struct session *s, unsigned channel, const struct domain_key *key, bool solo,
	struct rset **ret, struct error *err)
{
	const struct channel *ch = &s->channels[channel];
	struct cairn_host *h = s->host;
	struct ringset_config cfg = {
		.kind = solo ? CAIRN_RING_SOLO : CAIRN_RING_PERCPU,
		.mode = ch->mode,
		.clock = h->clock,
		.nrings = solo ? SOLO_RINGS : h->nrings,
		.ring_bytes = ch->ring_bytes,
		.block_ns = ch->block_ns,
		.contexts = ch->contexts,
		.perf_count = ch->perf_count,
		.session_id = s->id,
		.channel_id = channel,
		.domain_id = s->next_domain,
		.session = s->name,
		.channel = ch->name,
		.dir = h->ring_dir,
		.prefault = true,
	};
	struct ringset *rs = NULL;
	int r;

	/* not in a flight recorder: overwritten records are all the programs' */
	r = ch->mode == CAIRN_MODE_OVERWRITE ? -1 : session_event_id(s, channel, h->thread_class);
	if (r < 0 && ch->mode != CAIRN_MODE_OVERWRITE)
		return error_set(err, r, "no memory for the rings of %s", s->name);
	output_flush_metadata(s); /* what can be written there is described there from the first */
	cfg.thread_event = (uint32_t)(r + 1);
	memcpy(cfg.perf, ch->perf, sizeof(cfg.perf));
	memcpy(cfg.trace_uuid, s->uuid, sizeof(cfg.trace_uuid));
	if (solo) /* many threads, each with a ring: smaller ones */
		cfg.ring_bytes = MAX(ch->ring_bytes / 4, (uint64_t)CAIRN_RING_MIN);
	r = ringset_create(&cfg, &rs);
	if (r < 0)
		return ringset_error(err, r, s->name, cfg.ring_bytes * cfg.nrings);
	(void)ringset_set_meta(rs, s->output->meta.data ? s->output->meta.data : "",
		s->output->meta.len); /* too long: rings then decode by the trace's own text */
	r = rset_add(s, channel, rs, key, s->next_domain, ret);
	if (r < 0) {
		ringset_free(rs);
		return error_set(err, r, "no memory for the rings of %s", s->name);
	}
	s->next_domain++;
	return 0;
}

int rset_get(struct session *s, unsigned channel, const struct conn *c, bool solo,
	struct rset **ret, struct error *err)
{
	struct domain_key key = domain_of(c, solo);
	unsigned domains = 0;

	for (size_t i = 0; i < s->nrsets; i++) {
		struct rset *r = s->rsets[i];

		if (r->channel != channel)
			continue;
		domains++;
		if (memcmp(&r->key, &key, sizeof(key)) == 0) {
			*ret = r;
			return 0;
		}
	}
	if (domains >= MAX_DOMAINS) {
		(void)error_set(
			err, -EUSERS, "session '%s' has %u ring sets already", s->name, domains);
		error_hint(err, "too many name spaces, users or programs without rseq");
		return -EUSERS;
	}
	return rset_make(s, channel, &key, solo, ret, err);
}

static void rset_forget(struct session *s, size_t i)
{
	struct rset *r = s->rsets[i];
	struct channel *ch = &s->channels[r->channel];

	for (uint32_t k = 0; k < r->nrings; k++) {
		for (unsigned w = 0; w < CAIRN_LOST_REASONS; w++)
			ch->stats.lost[w] += r->rings[k].lost[w];
	}
	r->session = NULL;
	s->rsets[i] = s->rsets[--s->nrsets];
	rset_unref(r);
}

void session_forget_rsets(struct session *s)
{
	while (s->nrsets)
		rset_forget(s, s->nrsets - 1);
}

void session_sweep_rsets(struct session *s, uint64_t now)
{
	for (size_t i = s->nrsets; i-- > 0;) {
		struct rset *r = s->rsets[i];

		if (!r->idle_since_ns || r->users || now - r->idle_since_ns < SOLO_GRACE_NS)
			continue;
		ringset_close(r->rs);
		consume_rset_drain(r);
		rset_forget(s, i);
	}
}
