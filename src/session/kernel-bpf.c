/* The kernel's part of a session: probes by BPF. Their records are the kernel's in form (kernel/bpf.h), and become
 * events of DIR/kernel like those of tracefs, in streams of their own: bpf0, bpf1...
 *
 * Their time is CLOCK_MONOTONIC, which NTP bends; the trace's is the TSC. Before each read both clocks are
 * looked at, so every record lies between two looks, at most 100 ms apart, and gets the time of the
 * straight line between them. How far that is off: docs/decisions/041.
 */
#include "session/kernel-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOKS 16 /* of which the tightest counts */
#define APART_NS 1000000u
#define KEPT 8 /* looks; older records go by the oldest */
#define FIRST_ID 65535u /* downwards: the kernel counts up */
#define INSTANCES 1u /* its streams are the kernel's channel 1 */
#define PACKET_BYTES (256u << 10)

struct look {
	uint64_t cycles, mono_ns;
};

struct krec_bpf {
	struct kbpf *k; /* owned; NULL: off */
	struct krec_cpu *cpus; /* owned: krec.ncpus, or fewer */
	uint32_t ncpus;
	uint32_t next_id;
	struct look looks[KEPT]; /* the newest last */
	unsigned nlooks;
	bool is_on;
	uint64_t *lost_before; /* owned: of CPUs, in starts before this one */
};

/* ---- time ---- */

static void take_look(struct session *s)
{
	struct krec_bpf *b = s->kernel->bpf;
	uint64_t best = UINT64_MAX;
	struct look l = {0, 0};

	for (int i = 0; i < LOOKS; i++) {
		uint64_t before = clock_cycles(s->host->clock);
		uint64_t mono = now_ns(CLOCK_MONOTONIC);
		uint64_t after = clock_cycles(s->host->clock);

		if (after - before >= best)
			continue;
		best = after - before;
		l = (struct look){before + (after - before) / 2, mono};
	}
	if (b->nlooks && l.mono_ns <= b->looks[b->nlooks - 1].mono_ns)
		return;
	if (b->nlooks > 1 &&
		b->looks[b->nlooks - 1].mono_ns - b->looks[b->nlooks - 2].mono_ns < APART_NS)
		b->nlooks--; /* too short a line to go on with */
	if (b->nlooks == KEPT)
		memmove(&b->looks[0], &b->looks[1], (KEPT - 1) * sizeof(b->looks[0]));
	else
		b->nlooks++;
	b->looks[b->nlooks - 1] = l;
}

static uint64_t trace_time(const struct session *s, uint64_t mono_ns)
{
	const struct krec_bpf *b = s->kernel->bpf;
	unsigned i = b->nlooks - 1;
	const struct look *from, *to;

	if (s->host->clock == CAIRN_CLOCK_MONOTONIC || b->nlooks < 2)
		return mono_ns;
	while (i > 1 && mono_ns < b->looks[i - 1].mono_ns)
		i--;
	from = &b->looks[i - 1];
	to = &b->looks[i];
	return from->cycles +
		(uint64_t)((__int128)(int64_t)(mono_ns - from->mono_ns) *
			(__int128)(to->cycles - from->cycles) /
			(__int128)(to->mono_ns - from->mono_ns));
}

/* ---- on and off ---- */

static int make(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	struct krec_bpf *b = calloc(1, sizeof(*b));

	if (!b)
		return error_set(err, -ENOMEM, "no memory for probes");
	k->bpf = b;
	b->next_id = FIRST_ID;
	b->cpus = calloc(s->host->nrings, sizeof(*b->cpus));
	b->lost_before = calloc(s->host->nrings, sizeof(*b->lost_before));
	if (!b->cpus || !b->lost_before)
		return error_set(err, -ENOMEM, "no memory for probes");
	b->ncpus = s->host->nrings;
	for (uint32_t i = 0; i < b->ncpus; i++) {
		b->cpus[i].fd = b->cpus[i].file.fd = -1;
		b->cpus[i].is_bpf = true;
		b->cpus[i].s.cpu = i;
		b->cpus[i].s.instance = ctf_instance(INSTANCES, 0, 0, i);
	}
	return 0;
}

static bool is_limited(const struct session *s)
{
	return !s->kernel->all && (s->kernel->npids || s->npids);
}

/* A thread's process, as the kernel's programs see it. */
static pid_t process_of(pid_t pid)
{
	AUTO(buf) struct buf text = {0};
	char path[64];
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid); /* fits */
	if (read_file(path, 1u << 20, &text) < 0 || !text.data)
		return pid;
	at = strstr(text.data, "\nTgid:");
	return at ? (pid_t)strtol(at + 6, NULL, 10) : pid;
}

/* Who is recorded: tracefs's own list, in which children are; before it has one, who was asked for. */
static int limit(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	AUTO(buf) struct buf list = {0};
	const char *at;
	int r = 0;

	if (!is_limited(s))
		return 0;
	r = tracefs_read(k->instance, "set_event_pid", &list, err);
	for (at = r == 0 ? list.data : NULL; at && *at && r == 0; at += *at == '\n') {
		kbpf_limit(k->bpf->k, process_of((pid_t)strtol(at, NULL, 10)));
		at += strcspn(at, "\n");
	}
	return r;
}

int krec_bpf_start(struct session *s, struct error *err)
{
	struct krec_bpf *b = s->kernel->bpf;
	int r;

	if (!b || !b->k)
		return 0;
	if (!b->nlooks)
		take_look(s);
	r = kbpf_start(b->k, err);
	if (r == 0 && !b->is_on) /* after the programs that follow forks */
		r = limit(s, err);
	for (uint32_t i = 0; i < b->ncpus && r == 0 && !b->is_on; i++) /* if that fails, by age */
		(void)host_listens(s->host, kbpf_fd(b->k, i), &s->host->kernel_ready);
	b->is_on = r == 0;
	return r;
}

int krec_bpf_add(struct session *s, struct dynevent_world *w, const struct dynevent *d,
	uint16_t *ret_id, struct error *err)
{
	struct krec *k = s->kernel;
	AUTO(buf) struct buf format = {0};
	struct krec_bpf *b;
	uint16_t id;
	int r = 0;

	if (k->is_recorder)
		return error_set(err, -EOPNOTSUPP,
			"a flight recorder has no probes by BPF: its rings keep the oldest");
	if (!k->bpf)
		r = make(s, err);
	b = k->bpf;
	if (r == 0 && !b->k) {
		struct kbpf_config c = {
			.ncpus = b->ncpus, .ring_bytes = k->buffer_bytes, .limited = is_limited(s)};

		r = kbpf_new(&c, &b->k, err);
	}
	if (r < 0)
		return r;
	while (kctf_format(k->ctf, b->next_id))
		b->next_id--;
	id = (uint16_t)b->next_id--;
	r = kbpf_add(b->k, w, d, id, &format, err);
	if (r == 0)
		r = krec_learn_text(k, d->event, d->shown_group, &format, err);
	if (r == 0 && k->is_on)
		r = b->is_on ? kbpf_switch(b->k, id, true, err) : krec_bpf_start(s, err);
	if (r == 0)
		*ret_id = id;
	else if (b->k)
		kbpf_remove(b->k, id);
	return r;
}

void krec_bpf_switch(struct krec *k, uint16_t id, bool on)
{
	if (k->bpf && k->bpf->k)
		(void)kbpf_switch(k->bpf->k, id, on, NULL); /* it was on before */
}

struct krec_cpu *krec_bpf_cpus(const struct krec *k, uint32_t *ret_n)
{
	*ret_n = k->bpf ? k->bpf->ncpus : 0;
	return k->bpf ? k->bpf->cpus : NULL;
}

void krec_bpf_off(struct session *s)
{
	struct krec_bpf *b = s->kernel->bpf;

	if (b && b->k)
		kbpf_stop(b->k);
}

/* ---- reading ---- */

struct reading {
	struct session *s;
	struct krec_cpu *c;
};

static int take_record(void *arg, const struct kbpf_record *r)
{
	struct reading *x = arg;
	struct kpage_event ev = {.ts = trace_time(x->s, r->t_ns), .data = r->data, .len = r->len};
	uint16_t id;
	int err;

	memcpy(&id, r->data, sizeof(id)); /* a record has its head, whatever else */
	err = kctf_emit(x->s->kernel->ctf, &x->c->s, id, &ev);
	krec_take_symbols(x->s->kernel, r->data, r->len, 1);
	if (err == 0 && x->c->s.len >= PACKET_BYTES)
		krec_flush(x->s, x->c, false);
	return err;
}

bool krec_bpf_is_full(const struct session *s)
{
	const struct krec_bpf *b = s->kernel->bpf;

	return b && b->k && kbpf_is_full(b->k);
}

void krec_bpf_read(struct session *s)
{
	struct krec_bpf *b = s->kernel->bpf;

	if (!b || !b->k)
		return;
	take_look(s);
	for (uint32_t i = 0; i < b->ncpus; i++) {
		struct krec_cpu *c = &b->cpus[i];
		struct reading x = {s, c};

		if (kbpf_read(b->k, i, take_record, &x) < 0)
			c->s.lost[CAIRN_LOST_CORRUPT]++;
		c->s.lost[CAIRN_LOST_FULL] = b->lost_before[i] + kbpf_lost(b->k, i);
	}
}

void krec_bpf_flush(struct session *s)
{
	struct krec_bpf *b = s->kernel->bpf;

	for (uint32_t i = 0; b && i < b->ncpus; i++)
		krec_flush(s, &b->cpus[i], false);
}

void krec_bpf_end(struct session *s)
{
	struct krec_bpf *b = s->kernel->bpf;

	if (!b || !b->k)
		return;
	kbpf_stop(b->k);
	if (b->nlooks)
		krec_bpf_read(s);
	b->cpus[0].s.lost[CAIRN_LOST_NESTED] += kbpf_missed(b->k);
	for (uint32_t i = 0; i < b->ncpus; i++) {
		b->lost_before[i] = b->cpus[i].s.lost[CAIRN_LOST_FULL];
		krec_flush(s, &b->cpus[i], true);
	}
	kbpf_free(b->k);
	b->k = NULL;
	b->is_on = false;
	b->nlooks = 0;
}

void krec_bpf_stats(const struct krec *k, struct cairn_stats *ret)
{
	const struct krec_bpf *b = k->bpf;

	for (uint32_t i = 0; b && i < b->ncpus; i++) {
		ret->kernel_events += b->cpus[i].s.events;
		for (unsigned w = 0; w < CAIRN_LOST_REASONS; w++)
			ret->kernel_lost += b->cpus[i].s.lost[w];
	}
}

void krec_bpf_free(struct krec *k)
{
	struct krec_bpf *b = k->bpf;

	if (!b)
		return;
	kbpf_free(b->k);
	for (uint32_t i = 0; i < b->ncpus; i++) {
		kctf_stream_done(&b->cpus[i].s);
		auto_fd(&b->cpus[i].file.fd);
	}
	free(b->cpus);
	free(b->lost_before);
	free(b);
	k->bpf = NULL;
}
