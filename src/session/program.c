/* Programs: what one traced process says, and what is switched on in it.
 *
 * A program's events are compared with the rules of each running session when it says SYNC (or
 * when a session starts or changes its rules): program_update() sends the difference between what
 * should be on and what is. Ring sets are sent before the first enabling that needs them.
 */
#include "session/session-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENABLES_A_MESSAGE 4000u

static void pevent_done(struct conn *c, struct pevent *e)
{
	eclass_unref(c->host, e->cls);
	free(e->file);
	free(e->on);
}

static void attach_free(struct attach *at)
{
	for (size_t i = 0; i < at->nchannels; i++) {
		struct attach_channel *ac = &at->channels[i];

		if (ac->percpu)
			ac->percpu->users--;
		if (ac->solo && --ac->solo->users == 0)
			ac->solo->idle_since_ns = now_ns(CLOCK_MONOTONIC);
		rset_unref(ac->percpu);
		rset_unref(ac->solo);
	}
	free(at->channels);
	free(at);
}

void program_done(struct conn *c)
{
	struct cairn_host *h = c->host;

	for (size_t i = 0; i < c->nwaiting; i++) {
		if (c->waiting[i].cmd) /* it died: whatever was asked is true of it now */
			command_answered(c->waiting[i].cmd, c, 0);
	}
	c->nwaiting = 0;
	while (c->attached) {
		struct attach *at = c->attached;

		c->attached = at->next;
		session_note_left(at->session, c);
		attach_free(at);
	}
	for (size_t i = 0; i < c->nevents; i++)
		pevent_done(c, &c->events[i]);
	map_done(&c->event_by_number);
	free(c->events);
	free(c->waiting);
	if (c->synced)
		h->nprograms--;
}

/* ---- what it says ---- */

static void note_refused(struct conn *c)
{
	c->host->refused += !c->refused;
	c->refused = true;
}

static int decline(struct conn *c, const char *why)
{
	if (why)
		note_refused(c);
	if (why)
		host_say(c->host, "process %d (%s) is not traced: %s", (int)c->pid, c->hello.comm,
			why);
	(void)conn_send(c, CAIRN_MSG_DECLINE, NULL, 0, NULL, NULL); /* it closes either way */
	conn_close(c);
	return 0;
}

static bool host_wants(const struct conn *c)
{
	const struct cairn_host *h = c->host;

	if (h->uid != 0 && c->uid != h->uid)
		return false;
	if (c->is_private || h->wanted == CAIRN_WANT_ALL)
		return true;
	return h->wanted == CAIRN_WANT_PIDS && process_descends(c->pid, h->pids, h->npids);
}

static int on_hello(struct conn *c, const struct msg_view *m)
{
	int r = msg_hello(m, &c->hello);

	if (r < 0 || c->synced)
		return r < 0 ? r : -EPROTO;
	if (!host_wants(c))
		return decline(c, NULL);
	if (c->hello.ring_layout != CAIRN_RING_LAYOUT)
		return decline(c, "its libcairn-rt is of another version");
	if (!c->synced) {
		c->synced = true;
		c->host->nprograms++;
		c->host->joined++;
	}
	return 0;
}

struct pevent *program_event(const struct conn *c, uint32_t number)
{
	size_t i = (size_t)map_get(&c->event_by_number, &number, sizeof(number));

	return i ? &c->events[i - 1] : NULL;
}

static int add_event(void *arg, const struct cairn_msg_event *ev, const struct ctf_desc *d)
{
	struct conn *c = arg;
	size_t file = strlen(d->file) + 1, function = strlen(d->function) + 1;
	struct pevent *e;

	if (program_event(c, ev->event))
		return 0; /* said twice: the first counts */
	if (c->nevents >= MAX_EVENTS || c->desc_bytes + ev->len > MAX_DESC_BYTES)
		return -E2BIG;
	e = VEC_ADD(c->events, c->nevents, c->cevents);
	if (!e)
		return -ENOMEM;
	e->number = ev->event;
	e->nsites = ev->nsites;
	e->line = d->d->line;
	e->file = malloc(file + function);
	e->cls = e->file ? eclass_get(c->host, d) : NULL;
	if (!e->cls ||
		map_put(&c->event_by_number, &e->number, sizeof(e->number), (void *)c->nevents) <
			0) {
		pevent_done(c, e);
		c->nevents--;
		return -ENOMEM;
	}
	memcpy(e->file, d->file, file);
	memcpy(e->file + file, d->function, function);
	c->desc_bytes += ev->len;
	c->host->described++;
	return 0;
}

static int on_events(struct conn *c, const struct msg_view *m)
{
	int r = msg_events(m, add_event, c);

	if (r == -E2BIG)
		host_say(c->host, "process %d (%s) has more than %u events: it is not traced",
			(int)c->pid, c->hello.comm, MAX_EVENTS);
	return r;
}

static int on_gone(struct conn *c, const struct msg_view *m)
{
	const uint8_t *list;
	int n = msg_list(m, sizeof(uint32_t), sizeof(uint32_t), &list);

	for (int i = 0; i < n; i++) {
		uint32_t number;
		struct pevent *e, *last;

		memcpy(&number, list + (size_t)i * sizeof(number), sizeof(number));
		e = program_event(c, number);
		if (!e)
			continue;
		last = &c->events[c->nevents - 1];
		(void)map_remove(&c->event_by_number, &number, sizeof(number));
		pevent_done(c, e);
		if (e != last) {
			*e = *last;
			/* replaces a key that is there: needs no memory */
			(void)map_put(&c->event_by_number, &e->number, sizeof(e->number),
				(void *)(e - c->events + 1));
		}
		c->nevents--;
	}
	return MIN(n, 0);
}

static int on_sync(struct conn *c)
{
	struct cairn_host *h = c->host;
	struct process_facts *facts = NULL;
	uint64_t ts = clock_cycles(h->clock); /* before its first event, so that names are known */
	struct attach *at;
	bool wanted = false;
	int r;

	(void)ids_offer(c); /* a connection that broke is noticed below */
	for (size_t i = 0; i < h->nsessions; i++) {
		struct session *s = h->sessions[i];

		if (s->state == SESSION_RUNNING && session_wants(s, c))
			(void)program_update(c, s, NULL); /* says itself what went wrong */
	}
	for (at = c->attached; at; at = at->next)
		wanted |= at->dumped < c->nevents + 1;
	if (wanted) /* while it waits for us it surely lives */
		facts = process_facts_read(c->pid);
	r = conn_send(c, CAIRN_MSG_SYNCED, NULL, 0, NULL, NULL);
	for (at = c->attached; at && facts; at = at->next) {
		if (at->dumped >= c->nevents + 1)
			continue; /* it came before, and loaded nothing since */
		session_dump_program(at->session, c, facts, ts);
		at->dumped = c->nevents + 1;
	}
	process_facts_free(facts);
	return MIN(r, 0);
}

static int on_ack(struct conn *c, const struct msg_view *m)
{
	struct cairn_msg_ack ack;

	if (m->len < sizeof(ack))
		return -EPROTO;
	memcpy(&ack, m->payload, sizeof(ack));
	for (size_t i = 0; i < c->nwaiting; i++) {
		struct waiting w = c->waiting[i];

		if (w.seq != ack.seq)
			continue;
		memmove(&c->waiting[i], &c->waiting[i + 1],
			(--c->nwaiting - i) * sizeof(*c->waiting));
		if (ack.err)
			host_say(c->host, "process %d (%s) could not %s: %s", (int)c->pid,
				c->hello.comm,
				w.type == CAIRN_MSG_RINGSET	     ? "map a ring set"
					: w.type == CAIRN_MSG_ENABLE ? "switch on all events"
								     : "switch off all events",
				strerror(ack.err < 0 && ack.err > -4096 ? -ack.err : EPROTO));
		if (w.cmd)
			command_answered(w.cmd, c, ack.err < 0 ? ack.err : 0);
		break;
	}
	return 0;
}

static int on_have(struct conn *c, const struct msg_view *m, int *fds, size_t nfds)
{
	struct cairn_msg_ringset have;

	if (m->len < sizeof(have))
		return -EPROTO;
	memcpy(&have, m->payload, sizeof(have));
	return program_have(c, &have, nfds ? take_fd(&fds[0]) : -1);
}

static int on_have_event(struct conn *c, const struct msg_view *m)
{
	struct cairn_msg_enable e;

	if (m->len < sizeof(e))
		return -EPROTO;
	memcpy(&e, m->payload, sizeof(e));
	return program_have_event(c, &e);
}

int program_message(struct conn *c, const struct msg_view *m, int *fds, size_t nfds)
{
	if (m->type == CAIRN_MSG_HELLO)
		return on_hello(c, m);
	if (!c->synced)
		return -EPROTO;
	switch (m->type) {
	case CAIRN_MSG_EVENTS: return on_events(c, m);
	case CAIRN_MSG_GONE: return on_gone(c, m);
	case CAIRN_MSG_SYNC: return on_sync(c);
	case CAIRN_MSG_ACK: return on_ack(c, m);
	case CAIRN_MSG_HAVE: return on_have(c, m, fds, nfds);
	case CAIRN_MSG_HAVE_EVENT: return on_have_event(c, m);
	default: return 0; /* of a newer version */
	}
}

bool program_is_visible(const struct conn *c, uid_t uid)
{
	return c->kind == CONN_PROGRAM && c->synced && !c->closing && (uid == 0 || uid == c->uid);
}

/* ---- what is on in it ---- */

struct attach *program_attach_find(const struct conn *c, const struct session *s)
{
	struct attach *at = c->attached;

	while (at && at->session != s)
		at = at->next;
	return at;
}

/* Channels of a session that is being taken over come one by one. */
static struct attach *attach_grow(struct attach *at, size_t nchannels)
{
	struct attach_channel *more;

	if (nchannels <= at->nchannels)
		return at;
	more = realloc(at->channels, nchannels * sizeof(*more));
	if (!more)
		return NULL;
	memset(more + at->nchannels, 0, (nchannels - at->nchannels) * sizeof(*more));
	at->channels = more;
	at->nchannels = nchannels;
	return at;
}

struct attach *program_attach(struct conn *c, struct session *s)
{
	struct attach *at = program_attach_find(c, s);

	if (at)
		return attach_grow(at, s->nchannels);
	at = calloc(1, sizeof(*at));
	if (at)
		at->channels = calloc(s->nchannels, sizeof(*at->channels));
	if (!at || !at->channels) {
		free(at);
		return NULL;
	}
	at->nchannels = s->nchannels;
	at->conn = c;
	at->session = s;
	at->next = c->attached;
	c->attached = at;
	return at;
}

static struct on *on_find(const struct pevent *e, const struct attach *at, unsigned channel)
{
	for (size_t i = 0; i < e->non; i++) {
		if (e->on[i].at == at && e->on[i].channel == channel)
			return &e->on[i];
	}
	return NULL;
}

/* The difference to be sent, one list for each direction. */
struct change {
	struct cairn_msg_enable
		*items; /* owned vector; ringset holds the channel's index at first */
	size_t n, cap;
};

static int change_add(struct change *ch, const struct pevent *e, unsigned channel, uint32_t id)
{
	struct cairn_msg_enable *item = VEC_ADD(ch->items, ch->n, ch->cap);

	if (!item)
		return -ENOMEM;
	*item = (struct cairn_msg_enable){.event = e->number, .ringset = channel, .id = id};
	return 0;
}

static int compare_event(struct attach *at, struct pevent *e, unsigned channel,
	struct change *enable, struct change *disable)
{
	struct session *s = at->session;
	struct on *on = on_find(e, at, channel);
	bool want = session_event_wanted(s, channel, e->cls);
	int id;

	if (want == (on != NULL))
		return 0;
	if (!want) {
		int r = change_add(disable, e, channel, on->id);

		*on = e->on[--e->non];
		return r;
	}
	id = session_event_id(s, channel, e->cls);
	if (id < 0)
		return id;
	on = VEC_ADD(e->on, e->non, e->con);
	if (!on)
		return -ENOMEM;
	*on = (struct on){.at = at, .id = (uint32_t)id, .channel = (uint16_t)channel};
	return change_add(enable, e, channel, on->id);
}

static int send_ringset(struct attach *at, unsigned channel, bool solo, struct command *cmd)
{
	struct attach_channel *ac = &at->channels[channel];
	struct conn *c = at->conn;
	struct error err = {0};
	struct rset *r = NULL;
	struct cairn_msg_ringset msg = {0};
	int rc = rset_get(at->session, channel, c, solo, &r, &err);

	if (rc < 0) {
		note_refused(c);
		host_say(c->host, "process %d (%s) is not traced: %s%s%s", (int)c->pid,
			c->hello.comm, err.message, *err.hint ? " — " : "", err.hint);
		return rc;
	}
	msg.ringset = r->number;
	msg.kind = solo ? CAIRN_RING_SOLO : CAIRN_RING_PERCPU;
	msg.bytes = ringset_bytes(r->rs);
	msg.session_id = at->session->id;
	rc = conn_ask(c, CAIRN_MSG_RINGSET, &msg, sizeof(msg), r, msg.ringset, cmd);
	if (rc < 0)
		return rc;
	r->users++;
	r->idle_since_ns = 0;
	at->session->busy_ns = now_ns(CLOCK_MONOTONIC); /* events are to be expected */
	host_wake(c->host);
	if (solo) {
		ac->solo = rset_ref(r);
		ac->solo_number = msg.ringset;
	} else {
		ac->percpu = rset_ref(r);
		ac->percpu_number = msg.ringset;
	}
	return 0;
}

static int need_ringsets(struct attach *at, const struct change *enable, struct command *cmd)
{
	for (size_t i = 0; i < enable->n; i++) {
		unsigned channel = enable->items[i].ringset;
		struct attach_channel *ac = &at->channels[channel];
		int r = 0;

		if (!ac->percpu)
			r = send_ringset(at, channel, false, cmd);
		if (r == 0 && !ac->solo && at->conn->hello.flags & CAIRN_HELLO_NO_RSEQ)
			r = send_ringset(at, channel, true, cmd);
		if (r < 0)
			return r;
	}
	return 0;
}

static int send_changes(struct attach *at, uint16_t type, struct change *ch, struct command *cmd)
{
	struct {
		uint32_t count, pad;
		struct cairn_msg_enable items[ENABLES_A_MESSAGE];
	} msg;

	for (size_t i = 0; i < ch->n; i += msg.count) {
		int r;

		msg.count = (uint32_t)MIN(ch->n - i, ENABLES_A_MESSAGE);
		msg.pad = 0;
		for (uint32_t k = 0; k < msg.count; k++) {
			msg.items[k] = ch->items[i + k];
			msg.items[k].ringset = at->channels[ch->items[i + k].ringset].percpu_number;
		}
		r = conn_ask(
			at->conn, type, &msg, 8 + msg.count * sizeof(msg.items[0]), NULL, 0, cmd);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Nothing was sent: forget what compare_event() noted. */
static void take_back(struct attach *at, const struct change *enable)
{
	for (size_t i = 0; i < enable->n; i++) {
		struct pevent *e = program_event(at->conn, enable->items[i].event);
		struct on *on = e ? on_find(e, at, enable->items[i].ringset) : NULL;

		if (on)
			*on = e->on[--e->non];
	}
}

int program_update(struct conn *c, struct session *s, struct command *cmd)
{
	struct change enable = {0}, disable = {0};
	struct attach *at;
	int r = 0;

	if (s->output->verbatim || c->closing)
		return 0; /* adopted: it goes on as it is */
	at = program_attach(c, s);
	if (!at)
		return -ENOMEM;
	for (size_t i = 0; i < c->nevents && r == 0; i++) {
		for (unsigned ch = 0; ch < at->nchannels && r == 0; ch++)
			r = compare_event(at, &c->events[i], ch, &enable, &disable);
	}
	output_flush_metadata(s); /* before the first record that needs it can be written */
	if (r == 0)
		r = need_ringsets(at, &enable, cmd);
	if (r == 0)
		r = send_changes(at, CAIRN_MSG_ENABLE, &enable, cmd);
	else
		take_back(at, &enable);
	if (send_changes(at, CAIRN_MSG_DISABLE, &disable, cmd) < 0 && r == 0)
		r = -EPIPE;
	free(enable.items);
	free(disable.items);
	host_wake(c->host);
	return r;
}

void program_detach(struct conn *c, struct session *s, struct command *cmd)
{
	struct change disable = {0};
	struct attach *at = program_attach_find(c, s);

	if (!at)
		return;
	for (size_t i = 0; i < c->nevents; i++) {
		for (unsigned ch = 0; ch < at->nchannels; ch++) {
			struct on *on = on_find(&c->events[i], at, ch);

			if (!on)
				continue;
			(void)change_add(&disable, &c->events[i], ch, on->id); /* CLOSE follows */
			*on = c->events[i].on[--c->events[i].non];
		}
	}
	(void)send_changes(at, CAIRN_MSG_DISABLE, &disable, cmd); /* or it is closing anyway */
	free(disable.items);
	for (unsigned ch = 0; ch < at->nchannels; ch++) {
		struct attach_channel *ac = &at->channels[ch];
		struct cairn_msg_ringset msg = {.session_id = s->id};

		msg.ringset = ac->percpu_number;
		if (ac->percpu)
			(void)conn_ask(
				c, CAIRN_MSG_CLOSE, &msg, sizeof(msg), NULL, msg.ringset, cmd);
		msg.ringset = ac->solo_number;
		msg.kind = CAIRN_RING_SOLO;
		if (ac->solo)
			(void)conn_ask(
				c, CAIRN_MSG_CLOSE, &msg, sizeof(msg), NULL, msg.ringset, cmd);
	}
	for (struct attach **p = &c->attached; *p; p = &(*p)->next) {
		if (*p == at) {
			*p = at->next;
			break;
		}
	}
	attach_free(at);
}
