/* What there is, as JSON: sessions, programs, the host. The commander's side is look.c. */
#include "session/json.h"
#include "session/kernel.h"
#include "session/session-impl.h"
#include <string.h>

static void add_stats(struct json_object *o, const struct cairn_stats *st)
{
	struct json_object *lost = json_object_new_object();
	struct json_object *stats = json_object_new_object();

	json_add_u64(stats, "events", st->events);
	json_add_u64(stats, "bytes", st->bytes);
	json_add_u64(stats, "packets", st->packets);
	json_add_u64(stats, "pending_bytes", st->pending_bytes);
	json_add_u64(stats, "conflicts", st->conflicts);
	json_add_u64(stats, "run_ns", st->run_ns);
	json_add_u64(stats, "write_error", (uint64_t)st->write_error);
	if (st->kernel_bytes) {
		json_add_u64(stats, "kernel_events", st->kernel_events);
		json_add_u64(stats, "kernel_bytes", st->kernel_bytes);
		json_add_u64(stats, "kernel_lost", st->kernel_lost);
		json_add_u64(stats, "kernel_gap_ns", st->kernel_gap_ns);
	}
	for (unsigned i = 0; i < CAIRN_LOST_REASONS; i++) {
		const char *name = cairn_lost_reason(i);

		if (name && st->lost[i])
			json_add_u64(lost, name, st->lost[i]);
	}
	json_object_object_add(stats, "lost", lost);
	json_object_object_add(o, "stats", stats);
}

/* Counts of a channel: what is finished, and what its live rings say. */
static struct cairn_stats channel_stats(
	const struct session *s, unsigned channel, uint32_t *ret_rings, uint64_t *ret_bytes)
{
	struct cairn_stats st = s->channels[channel].stats;

	*ret_rings = 0;
	*ret_bytes = 0;
	for (size_t i = 0; i < s->nrsets; i++) {
		const struct rset *r = s->rsets[i];

		if (r->channel != channel)
			continue;
		*ret_rings += r->nrings;
		*ret_bytes += ringset_bytes(r->rs);
		for (uint32_t k = 0; k < r->nrings; k++) {
			st.pending_bytes += ring_pending(r->rs, k);
			st.lost[CAIRN_LOST_CORRUPT] += r->rings[k].lost_corrupt;
			for (unsigned w = 0; w < CAIRN_LOST_REASONS; w++)
				st.lost[w] += r->rings[k].lost[w];
		}
	}
	st.lost_total = 0;
	for (unsigned w = 0; w < CAIRN_LOST_REASONS; w++)
		st.lost_total += st.lost[w];
	return st;
}

static void sum_stats(struct cairn_stats *to, const struct cairn_stats *from)
{
	to->events += from->events;
	to->bytes += from->bytes;
	to->packets += from->packets;
	to->pending_bytes += from->pending_bytes;
	for (unsigned w = 0; w < CAIRN_LOST_REASONS; w++)
		to->lost[w] += from->lost[w];
}

static struct json_object *channel_json(
	const struct session *s, unsigned channel, struct cairn_stats *sum)
{
	const struct channel *ch = &s->channels[channel];
	struct json_object *o = json_object_new_object();
	uint32_t rings;
	uint64_t bytes;
	struct cairn_stats st = channel_stats(s, channel, &rings, &bytes);

	json_add_str(o, "name", ch->name);
	json_add_u64(o, "mode", (uint64_t)ch->mode); /* the public enum has the same numbers */
	json_add_u64(o, "ring_bytes", ch->ring_bytes);
	json_add_u64(o, "block_ns", ch->block_ns);
	json_add_str(o, "contexts", ch->contexts_text);
	json_add_u64(o, "rings", rings);
	json_add_u64(o, "ring_memory_bytes", bytes);
	add_stats(o, &st);
	sum_stats(sum, &st);
	return o;
}

static struct json_object *rules_json(const struct session *s)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < s->nrules; i++) {
		const struct rule *r = &s->rules[i];
		struct cairn_rule rule = {
			.pattern = r->pattern,
			.excludes = (const char *const *)r->excludes,
			.nexcludes = r->nexcludes,
			.loglevel = r->loglevel,
			.loglevel_only = r->loglevel_only,
			.channel = s->channels[r->channel].name,
		};

		json_object_array_add(list, json_from_rule(&rule));
	}
	return list;
}

static uint32_t programs_of(const struct session *s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s->host->nconns; i++)
		n += program_attach_find(s->host->conns[i], s) != NULL;
	return n;
}

static struct json_object *session_json(const struct session *s)
{
	struct json_object *o = json_object_new_object(), *channels = json_object_new_array();
	struct cairn_stats sum = {.bytes = s->output->bytes + s->output->place.meta_bytes,
		.conflicts = s->conflicts,
		.run_ns = s->ran_ns,
		.write_error = s->output->write_error};

	krec_stats(s, &sum);
	json_add_str(o, "name", s->name);
	json_add_u64(o, "uid", s->uid);
	json_add_u64(o, "state",
		s->state == SESSION_NEW		      ? CAIRN_SESSION_NEW
			: s->state == SESSION_RUNNING ? CAIRN_SESSION_RUNNING
						      : CAIRN_SESSION_STOPPED);
	json_add_u64(o, "recovered", s->recovered);
	json_add_str(o, "output",
		s->output->place.live	 ? "-"
			: s->output->dir ? s->output->dir
					 : "");
	json_add_u64(o, "processes", programs_of(s));
	for (unsigned i = 0; i < s->nchannels; i++)
		json_object_array_add(channels, channel_json(s, i, &sum));
	json_object_object_add(o, "channels", channels);
	json_object_object_add(o, "rules", rules_json(s));
	if (s->kernel)
		json_object_object_add(o, "kernel", krec_list(s));
	if (s->state == SESSION_RUNNING)
		sum.run_ns += now_ns(CLOCK_MONOTONIC) - s->started_ns;
	add_stats(o, &sum);
	return o;
}

struct json_object *list_sessions(struct cairn_host *h, uid_t uid, const char *name)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < h->nsessions; i++) {
		const struct session *s = h->sessions[i];

		if ((uid == 0 || s->uid == uid) && (!name || strcmp(s->name, name) == 0))
			json_object_array_add(list, session_json(s));
	}
	return list;
}

static struct json_object *event_json(const struct pevent *e)
{
	struct json_object *o = json_object_new_object(), *fields = json_object_new_array();
	const struct ctf_desc *d = &e->cls->d;

	json_add_str(o, "provider", d->provider);
	json_add_str(o, "event", d->event);
	json_add_str(o, "file", e->file);
	json_add_str(o, "function", e->file + strlen(e->file) + 1);
	json_add_u64(o, "line", e->line);
	json_add_u64(o, "loglevel", d->d->loglevel);
	json_add_u64(o, "nsites", e->nsites);
	json_add_u64(o, "enabled", e->non != 0);
	for (unsigned i = 0; i < d->d->nfields; i++) {
		struct json_object *f = json_object_new_object();
		char type[64];

		desc_field_type(d, i, type, sizeof(type));
		json_add_str(f, "name", d->fields[i].name);
		json_add_str(f, "type", type);
		json_object_array_add(fields, f);
	}
	json_object_object_add(o, "fields", fields);
	return o;
}

static struct json_object *program_json(const struct conn *c, bool events)
{
	struct json_object *o = json_object_new_object();

	json_add_u64(o, "pid", (uint64_t)c->pid);
	json_add_u64(o, "own_pid", (uint64_t)(uint32_t)c->hello.pid);
	json_add_u64(o, "uid", c->uid);
	json_add_u64(o, "flags", (c->hello.flags & 31u) | (c->nwaiting ? CAIRN_PROCESS_LATE : 0u));
	json_add_str(o, "comm", c->hello.comm);
	json_add_str(o, "exe", c->hello.exe);
	json_add_u64(o, "nevents", c->nevents);
	if (events) {
		struct json_object *list = json_object_new_array();

		for (size_t i = 0; i < c->nevents; i++)
			json_object_array_add(list, event_json(&c->events[i]));
		json_object_object_add(o, "events", list);
	}
	return o;
}

struct json_object *list_processes(struct cairn_host *h, uid_t uid, pid_t pid, bool events)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < h->nconns; i++) {
		const struct conn *c = h->conns[i];

		if (program_is_visible(c, uid) && (!pid || c->pid == pid))
			json_object_array_add(list, program_json(c, events));
	}
	return list;
}

struct json_object *list_host(struct cairn_host *h)
{
	struct json_object *o = json_object_new_object();
	uint64_t bytes = 0;

	for (size_t i = 0; i < h->nsessions; i++) {
		for (size_t k = 0; k < h->sessions[i]->nrsets; k++)
			bytes += ringset_bytes(h->sessions[i]->rsets[k]->rs);
	}
	json_add_u64(o, "pid", (uint64_t)getpid());
	json_add_u64(o, "uid", h->uid);
	json_add_str(o, "name", h->name);
	json_add_str(o, "socket", h->public_path[0] ? h->public_path : h->private_path);
	json_add_u64(o, "sessions", h->nsessions);
	json_add_u64(o, "processes", h->nprograms);
	json_add_u64(o, "joined", h->joined);
	json_add_u64(o, "described", h->described);
	json_add_u64(o, "refused", h->refused);
	json_add_u64(o, "ring_memory_bytes", bytes);
	return o;
}
