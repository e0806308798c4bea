/* Sessions: their life, which programs they want, and what they ask of them.
 *
 *	NEW --start--> RUNNING --stop--> STOPPING --all programs let go--> STOPPED --start--> RUNNING
 *
 * Stopping closes the ring sets first: writers look at hdr->closed in each append. A program that
 * has ACKed its CLOSE writes no more, so the rings are drained for the last time after all ACKs
 * (or the time-out) and then forgotten; a later start makes new ones.
 */
#include "session/kernel.h"
#include "session/session-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

int session_name_check(const char *name, const char *what, struct error *err)
{
	size_t n = name ? strlen(name) : 0;

	if (n == 0 || n >= CAIRN_NAME_MAX)
		return error_set(err, -EINVAL, "a %s needs a name of 1 to %d characters", what,
			CAIRN_NAME_MAX - 1);
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i])) {
			(void)error_set(err, -EINVAL, "'%s' is no name for a %s", name, what);
			error_hint(err, "use letters, digits, '-', '_' and '.'");
			return -EINVAL;
		}
	}
	if (name[0] == '.')
		return error_set(
			err, -EINVAL, "the name of a %s must not begin with '.': '%s'", what, name);
	return 0;
}

struct session *session_find(struct cairn_host *h, const char *name, uid_t uid)
{
	struct session *found = NULL;

	for (size_t i = 0; i < h->nsessions; i++) {
		struct session *s = h->sessions[i];

		if (strcmp(s->name, name) != 0 || (uid != 0 && s->uid != uid))
			continue;
		if (s->uid == uid)
			return s;
		found = s; /* root's own come first, then anybody's */
	}
	return found;
}

struct session *session_by_id(struct cairn_host *h, uint64_t id)
{
	for (size_t i = 0; i < h->nsessions; i++) {
		if (h->sessions[i]->id == id)
			return h->sessions[i];
	}
	return NULL;
}

int session_new(struct cairn_host *h, const char *name, uid_t uid, gid_t gid, struct session **ret,
	struct error *err)
{
	struct session *s, **at;
	int r = session_name_check(name, "session", err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < h->nsessions; i++) {
		if (h->sessions[i]->uid == uid && strcmp(h->sessions[i]->name, name) == 0)
			return error_set(err, -EEXIST, "there is a session '%s' already", name);
	}
	if (h->nsessions >= MAX_SESSIONS)
		return error_set(err, -EUSERS, "there are %u sessions already", MAX_SESSIONS);
	s = calloc(1, sizeof(*s));
	at = s ? VEC_ADD(h->sessions, h->nsessions, h->csessions) : NULL;
	if (!at) {
		free(s);
		return error_set(err, -ENOMEM, "no memory for a session");
	}
	*at = s;
	s->host = h;
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	s->uid = uid;
	s->gid = gid;
	s->id = h->next_session_id++;
	if (getrandom(s->uuid, sizeof(s->uuid), GRND_NONBLOCK) < 0) /* no entropy: unique enough */
		memcpy(s->uuid, &s->id, sizeof(s->id));
	s->uuid[6] = (uint8_t)((s->uuid[6] & 0x0f) | 0x40); /* a random UUID, version 4 */
	s->uuid[8] = (uint8_t)((s->uuid[8] & 0x3f) | 0x80);
	*ret = s;
	return 0;
}

static void channel_done(struct session *s, struct channel *ch)
{
	const void *key;
	size_t n, i = 0;

	while (map_next(&ch->ids, &i, &key, &n)) {
		struct eclass *cls;

		memcpy(&cls, key, sizeof(cls));
		eclass_unref(s->host, cls);
	}
	map_done(&ch->ids);
	records_free(ch);
}

static void rule_done(struct rule *r)
{
	free(r->pattern);
	for (size_t i = 0; i < r->nexcludes; i++)
		free(r->excludes[i]);
	free(r->excludes);
}

void session_free(struct session *s)
{
	struct cairn_host *h = s->host;

	for (size_t i = 0; i < h->nsessions; i++) {
		if (h->sessions[i] == s) {
			h->sessions[i] = h->sessions[--h->nsessions];
			break;
		}
	}
	for (size_t i = 0; i < h->nconns; i++)
		program_detach(h->conns[i], s, NULL);
	session_forget_rsets(s);
	if (!s->ran)
		krec_discard(s);
	krec_free(s);
	output_discard(s);
	output_free(s);
	for (size_t i = 0; i < s->nchannels; i++)
		channel_done(s, &s->channels[i]);
	for (size_t i = 0; i < s->nrules; i++)
		rule_done(&s->rules[i]);
	free(s->channels);
	free(s->rsets);
	free(s->rules);
	free(s->pids);
	free(s->command);
	free(s);
}

/* ---- what it wants ---- */

bool session_wants(const struct session *s, const struct conn *c)
{
	if (c->kind != CONN_PROGRAM || !c->synced || c->closing)
		return false;
	if (s->uid != 0 && s->uid != c->uid)
		return false;
	return s->npids == 0 || process_descends(c->pid, s->pids, s->npids);
}

/* 'provider:event', or 'provider' for all of it. */
static bool pattern_matches(const char *pattern, const struct ctf_desc *d)
{
	const char *colon = strchr(pattern, ':');
	char provider[CTF_NAME_MAX + 1];

	if (!colon)
		return glob_match(pattern, d->provider);
	if ((size_t)(colon - pattern) >= sizeof(provider))
		return false;
	memcpy(provider, pattern, (size_t)(colon - pattern));
	provider[colon - pattern] = 0;
	return glob_match(provider, d->provider) && glob_match(colon + 1, d->event);
}

bool rule_matches(const struct rule *r, const struct eclass *c)
{
	int level = c->d.d->loglevel;

	if (r->loglevel >= 0 && (r->loglevel_only ? level != r->loglevel : level > r->loglevel))
		return false;
	if (!pattern_matches(r->pattern, &c->d))
		return false;
	for (size_t i = 0; i < r->nexcludes; i++) {
		if (pattern_matches(r->excludes[i], &c->d))
			return false;
	}
	return true;
}

bool session_event_wanted(const struct session *s, unsigned channel, const struct eclass *cls)
{
	for (size_t i = 0; i < s->nrules; i++) {
		if (s->rules[i].channel == channel && rule_matches(&s->rules[i], cls))
			return true;
	}
	return false;
}

int session_event_id(struct session *s, unsigned channel, struct eclass *cls)
{
	struct channel *ch = &s->channels[channel];
	size_t known = (size_t)map_get(&ch->ids, &cls, sizeof(struct eclass *));
	struct ctf_added added = {0};
	struct error err = {0};
	int r;

	if (known)
		return (int)(known - 1);
	r = ctf_trace_add_event(
		s->output->trace, channel + 1, cls->desc_bytes, cls->d.d->size, &added, &err);
	if (r < 0) {
		host_say(s->host, "the event %s:%s cannot be recorded: %s", cls->d.provider,
			cls->d.event, *err.message ? err.message : strerror(-r));
		return r;
	}
	s->output->meta_dirty = true;
	if (added.conflict) {
		s->conflicts++;
		host_say(s->host,
			"session %s: the event %s:%s has several descriptions; one of them is %s",
			s->name, cls->d.provider, cls->d.event, added.name);
	}
	r = records_add(ch, added.id, cls);
	if (r == 0)
		r = map_put(
			&ch->ids, &cls, sizeof(struct eclass *), (void *)(size_t)(added.id + 1));
	if (r < 0)
		return r;
	cls->refs++;
	return (int)added.id;
}

/* ---- rules ---- */

int session_refuse_recovered(const struct session *s, struct error *err)
{
	if (!s->output->verbatim)
		return 0;
	(void)error_set(err, -EPERM,
		"session '%s' was taken over from a host that died: it records what was on then, "
		"until it is stopped",
		s->name);
	error_hint(err,
		"finish its trace by `cairn session destroy %s`, and make a new session by "
		"`cairn session create`",
		s->name);
	return -EPERM;
}

static int rule_exclude(struct rule *r, const char *pattern)
{
	char **x = VEC_ADD(r->excludes, r->nexcludes, r->cexcludes);

	if (!x)
		return -ENOMEM;
	*x = strdup(pattern);
	return *x ? 0 : -ENOMEM;
}

int session_channel_find(const struct session *s, const char *name, struct error *err)
{
	for (size_t i = 0; i < s->nchannels; i++) {
		if (!name || strcmp(s->channels[i].name, name) == 0)
			return (int)i;
	}
	return error_set(
		err, -ENOENT, "session '%s' has no channel '%s'", s->name, name ? name : "");
}

int session_rule_add(struct session *s, const struct cairn_rule *cfg, struct error *err)
{
	int channel = session_channel_find(s, cfg->channel, err);
	struct rule *r;

	if (channel < 0)
		return channel;
	if (!cfg->pattern || !*cfg->pattern || strlen(cfg->pattern) > 512)
		return error_set(err, -EINVAL, "a rule needs a pattern as 'provider:event*'");
	if (cfg->loglevel < CAIRN_LOGLEVEL_ANY || cfg->loglevel > 14)
		return error_set(err, -EINVAL, "a log level is 0 (emergency) to 14 (debug), not %d",
			cfg->loglevel);
	r = s->nrules < MAX_RULES ? VEC_ADD(s->rules, s->nrules, s->crules) : NULL;
	if (!r)
		return error_set(err, -ENOMEM, "too many rules in session '%s'", s->name);
	r->pattern = strdup(cfg->pattern);
	r->loglevel = cfg->loglevel;
	r->loglevel_only = cfg->loglevel_only != 0;
	r->channel = (unsigned)channel;
	for (size_t i = 0; i < cfg->nexcludes && r->pattern; i++) {
		if (rule_exclude(r, cfg->excludes[i]) < 0) {
			free(r->pattern);
			r->pattern = NULL;
		}
	}
	if (r->pattern)
		return 0;
	rule_done(r);
	s->nrules--;
	return error_set(err, -ENOMEM, "no memory for a rule");
}

int session_rule_take_back(
	struct session *s, const char *pattern, const char *channel, struct error *err)
{
	int ch = channel ? session_channel_find(s, channel, err) : -1;
	size_t kept = 0, before = s->nrules;

	if (channel && ch < 0)
		return ch;
	for (size_t i = 0; i < before; i++) {
		struct rule *r = &s->rules[i];

		if (strcmp(r->pattern, pattern) == 0 && (ch < 0 || r->channel == (unsigned)ch))
			rule_done(r);
		else
			s->rules[kept++] = *r;
	}
	s->nrules = kept;
	if (kept != before)
		return 0;
	for (size_t i = 0; i < s->nrules; i++) {
		if (ch >= 0 && s->rules[i].channel != (unsigned)ch)
			continue;
		if (rule_exclude(&s->rules[i], pattern) < 0)
			return error_set(err, -ENOMEM, "no memory for a rule");
	}
	return 0;
}

/* ---- life ---- */

int session_update_programs(struct session *s, struct command *cmd)
{
	struct cairn_host *h = s->host;
	int first = 0;

	for (size_t i = 0; i < h->nconns; i++) {
		int r = session_wants(s, h->conns[i]) ? program_update(h->conns[i], s, cmd) : 0;

		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

int session_start(struct session *s, struct command *cmd, struct error *err)
{
	struct cairn_host *h = s->host;
	int r;

	if (s->state == SESSION_RUNNING || s->state == SESSION_STOPPING)
		return error_set(err, -EALREADY, "session '%s' is running", s->name);
	r = session_refuse_recovered(s, err);
	if (r == 0)
		r = output_begin(s, err);
	if (r < 0)
		return r;
	s->state = SESSION_RUNNING;
	s->started_ns = now_ns(CLOCK_MONOTONIC);
	output_flush_metadata(s);
	r = krec_start(s, err);
	if (r < 0) {
		s->state = s->ran ? SESSION_STOPPED : SESSION_NEW;
		return r;
	}
	s->ran = true;
	r = session_update_programs(s, cmd);
	if (r == -ENOMEM || r == -ENOSPC || r == -EFBIG || r == -EMFILE || r == -ENFILE) {
		session_stop(s, NULL);
		session_stopped(s);
		return ringset_error(err, r, s->name, 0);
	}
	session_dump_all(s);
	host_wake(h);
	return 0;
}

void session_stop(struct session *s, struct command *cmd)
{
	struct cairn_host *h = s->host;

	if (s->state != SESSION_RUNNING)
		return;
	s->state = SESSION_STOPPING;
	s->ran_ns += now_ns(CLOCK_MONOTONIC) - s->started_ns;
	krec_off(s);
	for (size_t i = 0; i < s->nrsets; i++)
		ringset_close(s->rsets[i]->rs);
	for (size_t i = 0; i < h->nconns; i++)
		program_detach(h->conns[i], s, cmd);
}

void session_stopped(struct session *s)
{
	if (s->state != SESSION_STOPPING)
		return;
	consume_drain(s);
	session_forget_rsets(s);
	krec_end(s);
	output_end(s);
	s->state = SESSION_STOPPED;
}

void session_note_left(struct session *s, const struct conn *c)
{
	AUTO(buf) struct buf records = {0};
	uint64_t ts;

	if (s->state != SESSION_RUNNING || s->output->verbatim)
		return;
	ts = clock_cycles(s->host->clock);
	ctf_state_attach(&records, ts, c->pid, CTF_ATTACH_LEFT);
	output_state(s, &records, ts, ts);
}
