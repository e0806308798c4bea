/* The kernel's part of a session: probes by BPF. Their records are the kernel's in form (kernel/bpf.h), and become
 * events of DIR/kernel like those of tracefs, in streams of their own: bpf0, bpf1...
 *
 * Their time is CLOCK_MONOTONIC, which NTP bends; the trace's is the TSC. Before each read both clocks are
 * looked at, so every record lies between two looks, at most 100 ms apart, and gets the time of the
 * straight line between them. How far that is off: docs/decisions/041.
 *
 * A flight recorder's rings are read, too, as they cannot overwrite: what it keeps is in memory (kernel-keep.c).
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
	struct krec_keep *kept; /* owned: of CPUs, of a flight recorder; NULL: it is none */
	uint64_t *lost_kept; /* owned: of CPUs: losses that `kept` has, in this start */
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
	if (k->is_recorder) {
		b->kept = calloc(s->host->nrings, sizeof(*b->kept));
		b->lost_kept = calloc(s->host->nrings, sizeof(*b->lost_kept));
		if (!b->kept || !b->lost_kept)
			return error_set(err, -ENOMEM, "no memory for probes");
	}
	b->ncpus = s->host->nrings;
	for (uint32_t i = 0; i < b->ncpus; i++) {
		if (b->kept)
			b->kept[i].size = k->buffer_bytes & ~UINT64_C(7);
		b->cpus[i].fd = b->cpus[i].file.fd = -1;
		b->cpus[i].is_bpf = true;
		b->cpus[i].s.cpu = i;
		b->cpus[i].s.instance = ctf_instance(INSTANCES, 0, 0, i);
	}
	return krec_stacks_of_bpf(k, err);
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

	if (!k->bpf)
		r = make(s, err);
	b = k->bpf;
	if (r == 0 && !b->k) {
		struct kbpf_config c = {.ncpus = b->ncpus,
			.ring_bytes = k->buffer_bytes,
			.limited = is_limited(s),
			.stacks = k->stacks};

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
	struct krec_keep *kept; /* of a flight recorder */
	bool is_begun;
};

static int put_record(
	struct session *s, struct krec_cpu *c, uint64_t ts, const struct kbpf_record *r)
{
	struct krec *k = s->kernel;
	struct kpage_event ev = {.ts = ts, .data = r->data, .len = r->len};
	uint16_t id;
	int err;

	memcpy(&id, r->data, sizeof(id)); /* a record has its head, whatever else */
	err = kctf_emit(k->ctf, &c->s, id, &ev);
	krec_take_symbols(k, r->data, r->len, 1);
	krec_take_symbols(k, r->kernel.frames, (size_t)r->kernel.n * 8, 8);
	if (err == 0 && k->stacks)
		err = krec_stacks_put(k, &c->s, ts, r);
	if (err == 0 && c->s.len >= PACKET_BYTES)
		krec_flush(s, c, false);
	return err;
}

static int take_record(void *arg, const struct kbpf_record *r)
{
	struct reading *x = arg;
	struct mappings *m = x->s->kernel->mappings;

	if (x->kept) {
		(void)krec_keep_add(x->kept, trace_time(x->s, r->t_ns), r); /* else it keeps less */
		return 0;
	}
	if (m && !x->is_begun && mappings_update(m) < 0) /* as of all that is read now */
		return -ENOMEM;
	x->is_begun = true;
	return put_record(x->s, x->c, trace_time(x->s, r->t_ns), r);
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
		struct reading x = {s, c, b->kept ? &b->kept[i] : NULL, false};
		uint64_t lost;

		if (kbpf_read(b->k, i, take_record, &x) < 0)
			c->s.lost[CAIRN_LOST_CORRUPT]++;
		lost = kbpf_lost(b->k, i);
		if (!b->kept) {
			c->s.lost[CAIRN_LOST_FULL] = b->lost_before[i] + lost;
		} else if (krec_keep_lost(&b->kept[i], lost - b->lost_kept[i]) == 0) {
			b->lost_kept[i] = lost;
		}
	}
}

/* ---- a flight recorder ---- */

uint64_t krec_bpf_keep(struct session *s, uint64_t limit)
{
	struct krec_bpf *b = s->kernel->bpf;
	uint64_t first = UINT64_MAX;
	struct krec_kept r;

	if (!b || !b->kept)
		return first;
	if (b->k && b->nlooks)
		krec_bpf_read(s);
	for (uint32_t i = 0; i < b->ncpus; i++) {
		uint64_t at = krec_keep_begin(&b->kept[i], limit);

		if (krec_keep_next(&b->kept[i], &at, &r) && !r.lost)
			first = MIN(first, r.ts);
	}
	return first;
}

/* Losses are between the records that were kept; those before the first are what a flight recorder is for. */
int krec_bpf_write_kept(struct session *s, uint64_t limit)
{
	struct krec_bpf *b = s->kernel->bpf;
	struct krec_kept r;
	int err = 0;

	for (uint32_t i = 0; b && b->kept && i < b->ncpus; i++) {
		struct krec_cpu *c = &b->cpus[i];
		uint64_t at = krec_keep_begin(&b->kept[i], limit);
		bool is_first = true;

		while (err == 0 && krec_keep_next(&b->kept[i], &at, &r)) {
			if (!r.lost) {
				err = put_record(s, c, r.ts, &r.r);
				is_first = false;
			} else if (!is_first) {
				krec_flush(s, c, false);
				c->s.lost[CAIRN_LOST_FULL] += r.lost;
			}
		}
		krec_flush(s, c, true);
	}
	return err;
}

void krec_bpf_forget(struct krec *k)
{
	struct krec_bpf *b = k->bpf;

	for (uint32_t i = 0; b && b->kept && i < b->ncpus; i++)
		krec_keep_clear(&b->kept[i]);
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
	if (b->nlooks && !b->kept)
		krec_bpf_read(s);
	b->cpus[0].s.lost[CAIRN_LOST_NESTED] += kbpf_missed(b->k);
	for (uint32_t i = 0; i < b->ncpus; i++) {
		b->lost_before[i] = b->cpus[i].s.lost[CAIRN_LOST_FULL];
		if (b->kept)
			b->lost_kept[i] = 0;
		if (!b->kept || krec_has_place(s->kernel))
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
		if (b->kept)
			free(b->kept[i].bytes);
	}
	free(b->kept);
	free(b->lost_kept);
	free(b->cpus);
	free(b->lost_before);
	free(b);
	k->bpf = NULL;
}
