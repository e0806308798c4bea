/* Reading the kernel's buffers, without ever blocking the host.
 *
 * Each CPU's trace_pipe_raw is read by read(2), a page at a time. The kernel wakes the host when a buffer
 * is half full (option buffer_percent, epoll). Then 1/SLICE of it is read, the oldest, so that a reader
 * that keeps up stays behind the writer by what the writer's cache holds: reading lines that are still
 * there would cost the traced program more than the events do. Besides, all that waits is read when it is
 * AGE_NS old. A look reads LOOK_PAGES of each CPU at most before it turns to the others.
 */
#include "session/kernel-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AGE_NS 100000000u
#define LOOK_PAGES 1024
#define SLICE 4
#define PACKET_BYTES (256u << 10)

static void write_failed(struct session *s, int r)
{
	struct krec *k = s->kernel;

	if (k->write_error != -r)
		host_say(s->host,
			"session %s: cannot write kernel events: %s; those that cannot be written are "
			"counted as lost",
			s->name, write_strerror(-r));
	k->write_error = -r;
	if (!s->output->write_error)
		s->output->write_error = -r;
}

void krec_flush_metadata(struct session *s)
{
	struct krec *k = s->kernel;
	int r;

	if (ctf_metadata(kctf_trace(k->ctf), s->ctf_version == 2 ? CTF_2 : CTF_1_8, &k->text_pos,
		    &k->meta) < 0)
		return; /* no memory: with the next packet */
	r = place_write_metadata(s, &k->place, &k->meta);
	if (r < 0)
		write_failed(s, r);
}

void krec_flush(struct session *s, struct krec_cpu *c, bool final)
{
	struct krec *k = s->kernel;
	struct ring_view view;
	struct ctf_frame f;
	uint64_t lost = 0;
	char name[32];
	int r;

	for (unsigned i = 0; i < CAIRN_LOST_REASONS; i++)
		lost += c->s.lost[i];
	if (!c->s.len && (!final || lost == c->file.lost_written))
		return;
	krec_flush_metadata(s);
	krec_write_texts(s);
	krec_stream_texts(s, false);
	if (c->file.fd < 0 && k->place.dirfd >= 0) {
		(void)snprintf(
			name, sizeof(name), "%s%u", c->is_bpf ? "bpf" : "cpu", c->s.cpu); /* fits */
		c->file.fd = place_create(s, &k->place, name);
	}
	c->s.seq = c->file.seq;
	kctf_packet(k->ctf, &c->s, &view, &f);
	r = place_write_packet(&k->place, &c->file, &f);
	if (r < 0) {
		c->s.lost[CAIRN_LOST_DISK] += c->s.events;
		write_failed(s, r);
	} else {
		c->file.lost_written = lost;
		k->events += c->s.events;
		k->bytes += f.total;
	}
	kctf_packet_done(&c->s);
}

void krec_take_symbols(struct krec *k, const uint8_t *data, size_t len, size_t step)
{
	if (!k->place.live && (k->nsymbol_ids || k->stacks & CAIRN_STACK_KERNEL))
		ksymbols_scan(&k->symbols, data, len, step);
}

int krec_take_page(struct session *s, struct krec_cpu *c, struct kpage *page)
{
	struct krec *k = s->kernel;
	const uint8_t *data = page->p;

	if (kctf_page_cuts(&c->s, page))
		krec_flush(s, c, false); /* what was before the loss is a packet of its own */
	if (kctf_page(k->ctf, &c->s, page) < 0)
		return -ENOMEM;
	krec_take_symbols(k, data, (size_t)(page->end - data),
		k->nprobes ? 1 : 4); /* probes' fields are packed */
	if (c->s.len >= PACKET_BYTES)
		krec_flush(s, c, false);
	return 0;
}

/* 1: a page was read and taken, 0: nothing waits, < 0. */
static int read_page(struct session *s, struct krec_cpu *c)
{
	struct krec *k = s->kernel;
	ssize_t n = read(c->fd, k->page, k->layout.size);
	struct kpage page;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return 0;
	if (kpage_begin(&page, &k->layout, k->page, (size_t)n) < 0) {
		c->s.lost[CAIRN_LOST_CORRUPT]++;
		return 1;
	}
	if (k->mappings && mappings_update(k->mappings) < 0)
		return -ENOMEM;
	return krec_take_page(s, c, &page) < 0 ? -ENOMEM : 1;
}

/* At most `pages`; true: more may wait. */
static bool read_some(struct session *s, struct krec_cpu *c, uint64_t pages)
{
	int got = 1;

	for (uint64_t i = 0; i < pages && got > 0; i++) {
		got = read_page(s, c);
		c->pages += got > 0;
	}
	return got > 0;
}

void krec_read_to_the_end(struct session *s, struct krec_cpu *c)
{
	if (c->fd >= 0)
		(void)read_some(s, c, UINT64_MAX);
}

bool krec_read_now(struct session *s)
{
	struct krec *k = s->kernel;
	bool more = false;

	for (uint32_t i = 0; i < k->ncpus; i++)
		if (k->cpus[i].fd >= 0)
			more |= read_some(s, &k->cpus[i], krec_pages(k));
	krec_bpf_read(s);
	return more;
}

/* The buffers that are half full, a part of each; true: there may be more such. */
static bool read_full(struct session *s)
{
	struct krec *k = s->kernel;
	uint64_t slice = MAX(k->buffer_bytes / k->layout.size / SLICE, 1);
	bool some = false;

	for (uint32_t i = 0; i < k->ncpus; i++) {
		struct pollfd p = {.fd = k->cpus[i].fd, .events = POLLIN};

		if (p.fd >= 0 && poll(&p, 1, 0) > 0) {
			(void)read_some(s, &k->cpus[i], MIN(slice, LOOK_PAGES));
			some = true;
		} else {
			k->cpus[i].pages = 0;
		}
	}
	return some;
}

static bool read_all(struct session *s)
{
	struct krec *k = s->kernel;
	bool more = false;

	for (uint32_t i = 0; i < k->ncpus; i++)
		if (k->cpus[i].fd >= 0)
			more |= read_some(s, &k->cpus[i], LOOK_PAGES);
	return more;
}

/* Buffers of which three quarters were read at once get twice the room; at most KREC_BUFFER_MAX each. The
 * kernel stops recording while it changes them, and does not count what it leaves out: how long is said. */
static void adapt(struct session *s)
{
	struct krec *k = s->kernel;
	uint64_t most = 0, lost = 0, begin = now_ns(CLOCK_MONOTONIC), gap;
	int r;

	for (uint32_t i = 0; i < k->ncpus; i++) {
		most = MAX(most, k->cpus[i].pages);
		lost += k->cpus[i].s.lost[CAIRN_LOST_OVERWRITTEN] + k->cpus[i].s.unknown_gaps;
	}
	if (most * k->layout.size < k->buffer_bytes / 4 * 3 && lost == k->lost)
		return;
	k->lost = lost;
	if (k->buffer_bytes * 2 > KREC_BUFFER_MAX)
		return;
	r = tracefs_buffer(k->instance, k->buffer_bytes * 2, NULL);
	gap = now_ns(CLOCK_MONOTONIC) - begin;
	k->gap_ns += gap;
	if (r < 0)
		return; /* no memory for more: it stays */
	k->buffer_bytes *= 2;
	for (uint32_t i = 0; i < k->ncpus; i++)
		k->cpus[i].pages = 0;
	host_say(s->host,
		"session %s: the kernel's buffers have %llu KiB each now; it recorded nothing for %.1f ms "
		"while it changed them",
		s->name, (unsigned long long)k->buffer_bytes >> 10, (double)gap / 1e6);
}

/* A flight recorder is not read, but for BPF's rings, which cannot overwrite; and what is mapped where must be
 * learnt in time. */
static uint64_t step_recorder(struct session *s, uint64_t now)
{
	struct krec *k = s->kernel;

	if (!k->mappings && !k->bpf)
		return UINT64_MAX;
	if (now >= k->next_ns || krec_bpf_is_full(s))
		krec_bpf_read(s);
	if (now >= k->next_ns) {
		if (k->mappings)
			(void)mappings_update(k->mappings); /* next time, else */
		k->next_ns = now + AGE_NS;
	}
	return k->next_ns - now;
}

uint64_t krec_step(struct session *s, uint64_t now)
{
	struct krec *k = s->kernel;
	bool old, more;

	if (!k || !k->instance || !k->is_on)
		return UINT64_MAX;
	if (k->is_recorder)
		return step_recorder(s, now);
	old = now >= k->next_ns;
	more = old ? read_all(s) : read_full(s);
	if (old || krec_bpf_is_full(s))
		krec_bpf_read(s);
	if (k->adapt)
		adapt(s);
	for (uint32_t i = 0; i < k->ncpus && old; i++)
		k->cpus[i].pages = 0;
	if (old)
		krec_names_write(s);
	for (uint32_t i = 0; i < k->ncpus && old; i++)
		krec_flush(s, &k->cpus[i], false);
	if (old)
		krec_bpf_flush(s);
	if (old && k->mappings)
		(void)mappings_update(k->mappings); /* before its rings overflow; next time, else */
	if (old) {
		k->next_ns = now + AGE_NS;
		krec_write_texts(s);
	}
	return more ? 0 : k->next_ns - now;
}

/* "NAME: N" of per_cpu/cpuN/stats. */
static uint64_t stat_of(const char *text, const char *name)
{
	const char *at = text ? strstr(text, name) : NULL;

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* What the pages said of losses, and what the kernel counted: pages that were full could not say how
 * many, and nobody read the last ones. */
void krec_final_losses(struct session *s, struct krec_cpu *c)
{
	struct krec *k = s->kernel;
	AUTO(buf) struct buf b = {0};
	char path[64];
	uint64_t counted, *said = &c->s.lost[CAIRN_LOST_OVERWRITTEN];

	(void)snprintf(path, sizeof(path), "per_cpu/cpu%u/stats", c->s.cpu); /* fits */
	if (tracefs_read(k->instance, path, &b, NULL) == 0) {
		counted = stat_of(b.data, "\noverrun: ") + c->unsaid;
		if (counted > *said)
			*said = counted;
		c->s.lost[CAIRN_LOST_FULL] += stat_of(b.data, "dropped events: ");
	}
	c->unsaid = *said; /* the next start counts from zero */
	krec_flush(s, c, true);
}

/* ---- formats ---- */

int krec_learn_text(struct krec *k, const char *name, const char *shown, const struct buf *text,
	struct error *err)
{
	AUTO(buf) struct buf split = {0};
	const struct kformat *known;
	struct kformat *f = NULL;
	int r;

	if (strstr(text->data, "[][")) {
		kformat_split_texts(text->data, &split);
		text = &split;
	}
	r = text->err ? error_set(err, -ENOMEM, "no memory for a format")
		      : kformat_parse(text->data, text->len, shown, sizeof(long), &f, err);
	if (r < 0)
		return r;
	if (kformat_prints_symbols(f)) {
		uint32_t *id = VEC_ADD(k->symbol_ids, k->nsymbol_ids, k->csymbol_ids);

		if (id) /* else they are printed as addresses */
			*id = f->id;
	}
	known = kctf_format(k->ctf, f->id); /* ids of probes that are gone come again */
	if (!known || strcmp(known->name, f->name) != 0 || strcmp(known->system, f->system) != 0)
		ktexts_add(&k->texts, "format", shown, name, text->data, text->len);
	return kctf_add(k->ctf, f, err);
}

int krec_learn(
	struct krec *k, const char *system, const char *name, const char *shown, struct error *err)
{
	AUTO(buf) struct buf text = {0};
	int r = tracefs_format(k->instance, system, name, &text, err);

	if (r == 0 && !text.data)
		r = error_set(err, -EPROTO, "the format of %s:%s is empty", system, name);
	if (r == 0)
		r = krec_learn_text(k, name, shown, &text, err);
	if (r < 0)
		error_where(err, "%s:%s", system, name);
	return r;
}

/* Events of ftrace itself (stacks, marks) are not on any list: all are learnt when the first comes. */
void krec_unknown(void *arg, uint32_t id)
{
	static const char *const own[] = {"function", "funcgraph_entry", "funcgraph_exit",
		"context_switch", "kernel_stack", "wakeup", "user_stack", "bprint", "print",
		"raw_data", "bputs", "mmiotrace_rw", "mmiotrace_map", "branch", "hwlat", "osnoise",
		"timerlat", "func_repeats", "fgraph_retaddr_entry"};
	struct krec *k = arg;

	for (size_t i = 0; i < ARRAY_SIZE(own) && !k->has_ftrace_formats; i++)
		(void)krec_learn(k, "ftrace", own[i], "ftrace", NULL); /* this kernel may lack it */
	k->has_ftrace_formats = true;
}
