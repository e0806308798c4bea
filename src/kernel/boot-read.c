/* Instances' buffers into trace directories; see boot-read.h. */
#include "kernel/boot-read-impl.h"
#include "kernel/kctf.h"
#include "kernel/texts.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define PACKET_BYTES (256u << 10)
#define CPUS_MAX 4096

struct reading {
	struct tracefs *in; /* borrowed */
	struct tracefs *spare; /* owned: an instance of ours; see event_file() */
	bool no_spare;
	const char *dir;
	int dirfd; /* -1: not made yet */
	struct kctf *ctf; /* owned */
	struct kpage_layout layout;
	uint8_t *page; /* owned */
	struct tracefs_events events;
	uint32_t *ids; /* owned: of events[i]; NULL: not read yet */
	struct buf texts;
	struct boot_tids tids;
	uint32_t *symbol_ids; /* owned: of events that print functions' names */
	size_t nsymbol_ids, cap_symbol_ids;
	uint64_t first_ts; /* no event is before it */
	struct boot_read_report *report;
	struct error *e;
};

static void auto_reading(struct reading *r)
{
	if (r->spare)
		(void)tracefs_instance_remove(r->spare, NULL); /* else the next start does */
	kctf_free(r->ctf);
	free(r->page);
	free(r->ids);
	free(r->symbol_ids);
	tracefs_events_done(&r->events);
	buf_done(&r->texts);
	boot_tids_done(&r->tids);
	if (r->dirfd >= 0)
		(void)close(r->dirfd);
}

/* ---- what events are called ---- */

/* A file of an event. While a kernel boots it makes probes and the folders of events at the same time, and
 * sometimes the top directory goes without that of a probe: an instance that comes later has all. */
static bool event_file(
	struct reading *r, const char *system, const char *name, const char *file, struct buf *ret)
{
	struct tracefs *top = r->in->top ? (struct tracefs *)r->in->top : r->in;
	char path[512];

	(void)snprintf(path, sizeof(path), "events/%s/%s/%s", system, name, file); /* cut: none */
	if (tracefs_read(top, path, ret, NULL) == 0)
		return true;
	if (top->fake || strcmp(system, "ftrace") == 0)
		return false;
	if (!r->spare && !r->no_spare)
		r->no_spare = tracefs_instance_new(top, &r->spare, NULL) < 0;
	return r->spare && tracefs_read(r->spare, path, ret, NULL) == 0;
}

static void learn(struct reading *r, const char *system, const char *name)
{
	AUTO(buf) struct buf text = {0};
	struct kformat *f = NULL;

	if (!event_file(r, system, name, "format", &text) || !text.data ||
		kformat_parse(text.data, text.len, system, sizeof(long), &f, NULL) < 0)
		return; /* counted as corrupt when it comes */
	if (kformat_prints_symbols(f)) {
		uint32_t *id = VEC_ADD(r->symbol_ids, r->nsymbol_ids, r->cap_symbol_ids);

		if (id)
			*id = f->id;
	}
	if (!kctf_format(r->ctf, f->id))
		ktexts_add(&r->texts, "format", system, name, text.data, text.len);
	(void)kctf_add(r->ctf, f, NULL); /* as above */
}

static uint32_t read_id(struct reading *r, const struct tracefs_event *ev)
{
	AUTO(buf) struct buf b = {0};

	return event_file(r, ev->system, ev->name, "id", &b) && b.data
		? (uint32_t)strtoul(b.data, NULL, 10)
		: 0;
}

/* kctf met an event of this number. Those of ftrace itself are on no list: all are tried. */
static void unknown(void *arg, uint32_t id)
{
	static const char *const own[] = {"function", "funcgraph_entry", "funcgraph_exit",
		"context_switch", "kernel_stack", "wakeup", "user_stack", "bprint", "print",
		"raw_data", "bputs", "mmiotrace_rw", "mmiotrace_map", "branch", "hwlat", "osnoise",
		"timerlat", "func_repeats", "fgraph_retaddr_entry"};
	struct reading *r = arg;
	bool found = false;

	if (!r->ids) {
		if (tracefs_events(r->in, NULL, &r->events, NULL) < 0)
			r->events.n = 0;
		r->ids = calloc(r->events.n + 1, sizeof(*r->ids));
		for (size_t i = 0; r->ids && i < r->events.n; i++)
			r->ids[i] = read_id(r, &r->events.all[i]);
	}
	for (size_t i = 0; r->ids && i < r->events.n && !found; i++) {
		found = r->ids[i] == id;
		if (found)
			learn(r, r->events.all[i].system, r->events.all[i].name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(own) && !found; i++)
		learn(r, "ftrace", own[i]);
}

/* ---- setting up ---- */

static int read_layout(struct reading *r)
{
	struct tracefs *top = r->in->top ? (struct tracefs *)r->in->top : r->in;
	AUTO(buf) struct buf text = {0}, size = {0};
	uint32_t bytes = 0;
	int err = tracefs_read(top, "events/header_page", &text, r->e);

	if (err < 0)
		return err;
	if (tracefs_read(r->in, "buffer_subbuf_size_kb", &size, NULL) == 0 && size.data)
		bytes = (uint32_t)strtoul(size.data, NULL, 10) * 1024;
	err = kpage_layout_parse(
		text.data ? text.data : "", text.len, bytes, false, &r->layout, r->e);
	if (err < 0)
		return err;
	r->page = malloc(r->layout.size + KCTF_SLACK);
	return r->page ? 0 : error_set(r->e, -ENOMEM, "no memory for a page");
}

static int make_ctf(struct reading *r, const char *version)
{
	AUTO(buf) struct buf clock = {0};
	char created[40] = "";
	struct ctf_facts facts = {
		.domain = "kernel", .session = r->in->name ? r->in->name : "boot"};
	time_t now = time(NULL);
	struct utsname u;
	struct tm tm;
	int err = tracefs_read(r->in, "trace_clock", &clock, r->e);

	if (err < 0)
		return err;
	boot_clock_read(clock.data ? clock.data : "", &r->report->clock);
	(void)uname(&u); /* cannot fail on a valid pointer */
	if (gmtime_r(&now, &tm))
		(void)strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%S+0000", &tm);
	if (getrandom(facts.uuid, sizeof(facts.uuid), 0) != sizeof(facts.uuid))
		return error_set(r->e, -EIO, "no random numbers for the trace's uuid");
	facts.hostname = u.nodename;
	facts.kernel_release = u.release;
	facts.kernel_version = u.version;
	facts.machine = u.machine;
	facts.created = created;
	facts.tracer_version = version;
	err = kctf_new(&facts, &r->report->clock.ctf, &r->ctf);
	if (err < 0)
		return error_set(r->e, err, "no memory for a trace");
	kctf_on_unknown(r->ctf, unknown, r);
	return 0;
}

/* ---- writing ---- */

static int make_dir(struct reading *r)
{
	int err;

	if (r->dirfd >= 0)
		return 0;
	err = mkdir_p(r->dir, 0777);
	if (err == 0 && rmdir(r->dir) != 0 && (errno == ENOTEMPTY || errno == EEXIST))
		return error_set(r->e, -EEXIST, "%s is there already, and not empty", r->dir);
	err = err < 0 ? err : mkdir_p(r->dir, 0777);
	if (err == 0)
		r->dirfd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (err < 0 || r->dirfd < 0)
		return error_set(r->e, err < 0 ? err : -errno, "cannot make %s: %s", r->dir,
			strerror(err < 0 ? -err : errno));
	return 0;
}

static int write_packet(struct reading *r, struct kctf_stream *s, int *fd)
{
	struct ring_view view;
	struct ctf_frame f;
	char name[32];
	int err = make_dir(r);

	if (err < 0)
		return err;
	(void)snprintf(name, sizeof(name), "cpu%u", s->cpu); /* fits */
	if (*fd < 0)
		*fd = openat(r->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (*fd < 0)
		return error_set(
			r->e, -errno, "cannot write %s/%s: %s", r->dir, name, strerror(errno));
	kctf_packet(r->ctf, s, &view, &f);
	err = write_all(*fd, f.head, f.head_len);
	err = err < 0 ? err : write_all(*fd, f.body, f.body_len);
	err = err < 0 ? err : write_all(*fd, f.tail, f.tail_len);
	if (err < 0)
		return error_set(r->e, err, "cannot write %s/%s: %s", r->dir, name, strerror(-err));
	r->first_ts = MIN(r->first_ts, view.begin_ts);
	r->report->events += s->events;
	r->report->bytes += f.total;
	s->seq++;
	kctf_packet_done(s);
	return 0;
}

static int write_file(struct reading *r, const char *name, const struct buf *text)
{
	AUTO(fd) int fd = openat(r->dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int err = text->err ? text->err
		: fd < 0    ? -errno
			    : write_all(fd, text->data ? text->data : "", text->len);

	return err < 0
		? error_set(r->e, err, "cannot write %s/%s: %s", r->dir, name, strerror(-err))
		: 0;
}

/* Who the tasks were, before the first event. */
static int write_names(struct reading *r)
{
	struct tracefs *top = r->in->top ? (struct tracefs *)r->in->top : r->in;
	AUTO(buf) struct buf records = {0}, packet = {0};
	uint64_t ts = r->first_ts - (r->first_ts > 0);
	struct ring_view v = {.begin_ts = ts, .end_ts = ts};
	struct ctf_frame f;

	boot_tids_name(&r->tids, top, ts, &records);
	if (!records.len)
		return records.err;
	v.data = (const uint8_t *)records.data;
	v.len = records.len;
	v.end_pos = records.len;
	kctf_state_packet(r->ctf, &v, ctf_instance(0xffff, 0, 0, 0), 0, &f);
	buf_add(&packet, f.head, f.head_len);
	buf_add(&packet, f.body, f.body_len);
	buf_add(&packet, f.tail, f.tail_len);
	return write_file(r, "state", &packet);
}

/* What printing needs besides formats; what cannot be read is left out. */
static void add_texts(struct reading *r)
{
	struct tracefs *top = r->in->top ? (struct tracefs *)r->in->top : r->in;
	AUTO(buf) struct buf printk = {0}, symbols = {0};
	bool wanted = false;

	if (tracefs_read(top, "printk_formats", &printk, NULL) == 0 && printk.len)
		ktexts_add(&r->texts, "file", "-", "printk_formats", printk.data, printk.len);
	for (size_t i = 0; i < r->nsymbol_ids; i++)
		wanted |= kctf_occurred(r->ctf, r->symbol_ids[i]);
	if (wanted && read_file("/proc/kallsyms", 64u << 20, &symbols) == 0 && symbols.len)
		ktexts_add(&r->texts, "file", "-", "kallsyms", symbols.data, symbols.len);
}

static int write_metadata(struct reading *r)
{
	AUTO(buf) struct buf meta = {0};
	struct ctf_text_pos pos = {0};
	int err;

	if (r->dirfd < 0)
		return 0; /* there was nothing */
	err = write_names(r);
	if (err < 0)
		return err;
	if (ctf_metadata(kctf_trace(r->ctf), CTF_1_8, &pos, &meta) < 0)
		return error_set(r->e, -ENOMEM, "no memory for the metadata");
	err = write_file(r, "metadata", &meta);
	if (err < 0)
		return err;
	if (mkdirat(r->dirfd, KTEXTS_DIR, 0777) != 0)
		return error_set(
			r->e, -errno, "cannot make %s/%s: %s", r->dir, KTEXTS_DIR, strerror(errno));
	add_texts(r);
	return write_file(r, KTEXTS_DIR "/" KTEXTS_FILE, &r->texts);
}

/* ---- reading ---- */

static uint64_t stat_of(const char *text, const char *name)
{
	const char *at = text ? strstr(text, name) : NULL;

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* What the kernel counted as lost beyond what pages said. */
static void count_losses(struct reading *r, struct kctf_stream *s, bool snapshot)
{
	AUTO(buf) struct buf b = {0};
	uint64_t *over = &s->lost[CAIRN_LOST_OVERWRITTEN];
	char path[64];

	(void)snprintf(path, sizeof(path), "per_cpu/cpu%u/stats", s->cpu); /* fits */
	if (!snapshot && tracefs_read(r->in, path, &b, NULL) == 0) {
		*over = MAX(*over, stat_of(b.data, "\noverrun: "));
		s->lost[CAIRN_LOST_FULL] += stat_of(b.data, "dropped events: ");
	}
	for (unsigned i = 0; i < CAIRN_LOST_REASONS; i++)
		r->report->lost += s->lost[i];
}

/* One page: 1; 0: there are no more; -Exxx. */
static int read_page(struct reading *r, int raw, struct kctf_stream *s, int *fd)
{
	ssize_t n = read(raw, r->page, r->layout.size);
	struct kpage page;
	int err = 0;

	if (n < 0 && errno == EINTR)
		return 1;
	if (n <= 0)
		return n == 0 || errno == EAGAIN ? 0 : -errno;
	if (kpage_begin(&page, &r->layout, r->page, (size_t)n) < 0) {
		s->lost[CAIRN_LOST_CORRUPT]++;
		return 1;
	}
	if (s->len && (s->len >= PACKET_BYTES || kctf_page_cuts(s, &page)))
		err = write_packet(r, s, fd);
	err = err < 0 ? err : boot_tids_see(&r->tids, &page);
	err = err < 0 ? err : kctf_page(r->ctf, s, &page);
	return err < 0 ? err : 1;
}

static int read_cpu(struct reading *r, uint32_t cpu, bool snapshot)
{
	struct kctf_stream s = {.cpu = cpu, .instance = ctf_instance(1, 0, 0, cpu)};
	AUTO(fd) int raw = -1, fd = -1;
	char path[64];
	int got;

	(void)snprintf(path, sizeof(path), "per_cpu/cpu%u/%s", cpu,
		snapshot ? "snapshot_raw" : "trace_pipe_raw"); /* fits */
	raw = tracefs_open_file(r->in, path, O_RDONLY | O_NONBLOCK);
	if (raw < 0)
		return error_set(
			r->e, raw, "cannot read %s of %s: %s", path, r->in->path, strerror(-raw));
	/* While it records, there may always be more: what fits into the buffer twice is enough. */
	for (uint64_t i = 0; (got = read_page(r, raw, &s, &fd)) > 0 && i < (1u << 20);)
		i++;
	if (got >= 0)
		count_losses(r, &s, snapshot);
	if (got >= 0 && s.len)
		got = write_packet(r, &s, &fd);
	r->report->cpus += fd >= 0;
	kctf_stream_done(&s);
	return got < 0 && !r->e->message[0] ? error_set(r->e, got, "cannot read %s of %s: %s", path,
						      r->in->path, strerror(-got))
					    : MIN(got, 0);
}

int boot_read_instance(struct tracefs *in, bool snapshot, const char *dir, const char *version,
	struct boot_read_report *ret, struct error *e)
{
	struct reading r AUTO(reading) = {
		.in = in, .dir = dir, .dirfd = -1, .first_ts = UINT64_MAX, .report = ret, .e = e};
	char path[64];
	int err;

	*ret = (struct boot_read_report){0};
	*e = (struct error){0};
	err = read_layout(&r);
	err = err < 0 ? err : make_ctf(&r, version);
	for (uint32_t cpu = 0; err == 0 && cpu < CPUS_MAX; cpu++) {
		(void)snprintf(path, sizeof(path), "per_cpu/cpu%u", cpu); /* fits */
		if (tracefs_has(in, path))
			err = read_cpu(&r, cpu, snapshot);
	}
	return err < 0 ? err : write_metadata(&r);
}
