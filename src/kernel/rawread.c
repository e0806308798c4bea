/* Records of a running tracer. See rawread.h. */
#include "kernel/rawread.h"
#include "kernel/page.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	IDS = 65536,
	PAGE_MAX = 4 << 20,
	CPUS_MAX = 8192,
	PAGES_AT_ONCE = 1024, /* of a CPU: more may come faster than they can be read */
};

struct record { /* of those that wait */
	uint64_t ts, order; /* order: as they were read, since times may be equal */
	size_t at; /* in `bytes` */
	uint32_t len, cpu;
};

struct kraw {
	struct tracefs *dir; /* borrowed */
	struct kpage_layout layout;
	int *fds; /* owned: of each CPU */
	size_t ncpus, fds_cap;
	uint8_t *page; /* owned: layout.size bytes */
	struct kformat **by_id; /* owned: IDS of them; NULL: not known */
	struct record *waiting; /* owned */
	size_t nwaiting, waiting_cap;
	struct buf bytes; /* of the records that wait */
	uint64_t order, lost;
};

/* ---- formats ---- */

static int add_format(struct kraw *r, const char *system, const char *name, struct error *e)
{
	AUTO(buf) struct buf text = {0};
	struct kformat *f;
	int err = tracefs_format(r->dir, system, name, &text, e);

	if (err == 0)
		err = kformat_parse(text.data, text.len, system, sizeof(long), &f, e);
	if (err < 0)
		return err;
	if (f->id >= IDS || r->by_id[f->id])
		kformat_free(f); /* listed twice: ftrace/print is */
	else
		r->by_id[f->id] = f;
	return 0;
}

static int add_tracers_formats(struct kraw *r, struct error *e)
{
	int fd = tracefs_open_file(r->dir, "events/ftrace", O_RDONLY | O_DIRECTORY);
	AUTO(dir) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *entry;
	int err = 0;

	while (d && err == 0 && (entry = readdir(d))) {
		char path[300];

		(void)snprintf(path, sizeof(path), "events/ftrace/%s/format", entry->d_name);
		if (entry->d_name[0] != '.' && tracefs_has(r->dir, path))
			err = add_format(r, "ftrace", entry->d_name, e);
	}
	return err;
}

static int add_events_formats(
	struct kraw *r, const char *const *events, size_t nevents, struct error *e)
{
	for (size_t i = 0; i < nevents; i++) {
		AUTO(tracefs_events) struct tracefs_events list = {0};
		int err = tracefs_events(r->dir, events[i], &list, e);

		for (size_t k = 0; k < list.n && err == 0; k++)
			err = add_format(r, list.all[k].system, list.all[k].name, e);
		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- opening ---- */

static int open_cpus(struct kraw *r, struct error *e)
{
	for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
		char path[64];
		int fd, *slot;

		(void)snprintf(path, sizeof(path), "per_cpu/cpu%d/trace_pipe_raw", cpu); /* fits */
		fd = tracefs_open_file(r->dir, path, O_RDONLY | O_NONBLOCK);
		if (fd == -ENOENT)
			break; /* numbers of possible CPUs have no gaps */
		if (fd < 0)
			return error_set(
				e, fd, "cannot open %s/%s: %s", r->dir->path, path, strerror(-fd));
		slot = VEC_ADD(r->fds, r->ncpus, r->fds_cap);
		if (!slot) {
			(void)close(fd);
			return error_set(e, -ENOMEM, "out of memory");
		}
		*slot = fd;
	}
	return 0;
}

static int read_layout(struct kraw *r, struct error *e)
{
	AUTO(buf) struct buf header = {0}, size = {0};
	struct tracefs *top = r->dir->top ? (struct tracefs *)r->dir->top : r->dir;
	uint32_t bytes = 0;
	int err = tracefs_read(top, "events/header_page", &header, e);

	/* kernels since 6.8: sub-buffers of any size */
	if (tracefs_read(r->dir, "buffer_subbuf_size_kb", &size, NULL) == 0 && size.data)
		bytes = (uint32_t)MIN(strtoul(size.data, NULL, 10), PAGE_MAX / 1024) * 1024;
	if (err == 0)
		err = kpage_layout_parse(header.data, header.len, bytes, false, &r->layout, e);
	return err;
}

int kraw_open(struct tracefs *dir, const char *const *events, size_t nevents, struct kraw **ret,
	struct error *e)
{
	AUTO(kraw) struct kraw *r = calloc(1, sizeof(*r));
	int err;

	if (!r || !(r->by_id = calloc(IDS, sizeof(*r->by_id))))
		return error_set(e, -ENOMEM, "out of memory");
	r->dir = dir;
	err = read_layout(r, e);
	if (err == 0 && !(r->page = malloc(r->layout.size)))
		err = error_set(e, -ENOMEM, "out of memory");
	if (err == 0)
		err = add_tracers_formats(r, e);
	if (err == 0)
		err = add_events_formats(r, events, nevents, e);
	if (err == 0)
		err = open_cpus(r, e);
	if (err < 0)
		return err;
	*ret = TAKE(r);
	return 0;
}

void kraw_close(struct kraw *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->ncpus; i++)
		(void)close(r->fds[i]);
	for (size_t i = 0; r->by_id && i < IDS; i++)
		kformat_free(r->by_id[i]);
	free(r->by_id);
	free(r->fds);
	free(r->page);
	free(r->waiting);
	buf_done(&r->bytes);
	free(r);
}

void auto_kraw(struct kraw **r)
{
	kraw_close(*r);
}

uint64_t kraw_lost(const struct kraw *r)
{
	return r->lost;
}

/* ---- reading ---- */

static int keep_page(struct kraw *r, uint32_t cpu, size_t len)
{
	struct kpage page;
	struct kpage_event ev;
	int got = kpage_begin(&page, &r->layout, r->page, len);

	if (got < 0)
		return got;
	r->lost += page.lost == KPAGE_LOST_UNKNOWN ? 1 : page.lost;
	while ((got = kpage_next(&page, &ev)) == 1) {
		struct record *w = VEC_ADD(r->waiting, r->nwaiting, r->waiting_cap);

		if (!w)
			return -ENOMEM;
		*w = (struct record){.ts = ev.ts,
			.order = r->order++,
			.at = r->bytes.len,
			.len = ev.len,
			.cpu = cpu};
		buf_add(&r->bytes, ev.data, ev.len);
	}
	return got < 0 ? got : r->bytes.err;
}

/* All it has, or so many pages; then *until becomes the time up to which all was read. */
static int read_cpu(struct kraw *r, uint32_t cpu, uint64_t *until)
{
	for (int pages = 0; *until == UINT64_MAX || pages < PAGES_AT_ONCE; pages++) {
		ssize_t n = read(r->fds[cpu], r->page, r->layout.size);
		int err;

		if (n == 0 || (n < 0 && errno == EAGAIN))
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		err = n < 0 ? -errno : keep_page(r, cpu, (size_t)n);
		if (err < 0)
			return err;
	}
	if (r->nwaiting)
		*until = MIN(*until, r->waiting[r->nwaiting - 1].ts);
	return 0;
}

static int by_time(const void *pa, const void *pb)
{
	const struct record *a = pa, *b = pb;

	if (a->ts != b->ts)
		return a->ts < b->ts ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

static int give(struct kraw *r, const struct record *w, kraw_each each, void *data)
{
	const uint8_t *bytes = (const uint8_t *)r->bytes.data + w->at;
	struct kraw_event ev = {.ts = w->ts, .data = bytes, .len = w->len, .cpu = w->cpu};
	uint16_t id;

	if (w->len < sizeof(id))
		return 0;
	memcpy(&id, bytes, sizeof(id)); /* common_type comes first, in all formats */
	ev.format = r->by_id[id];
	if (!ev.format || w->len < ev.format->fixed_size)
		return 0; /* of an event that somebody made meanwhile: not asked for */
	return each(&ev, data);
}

/* The records from `from` on wait for the next call. */
static int keep_rest(struct kraw *r, size_t from)
{
	struct buf rest = {0};

	for (size_t i = from; i < r->nwaiting; i++) {
		struct record *w = &r->waiting[i];
		size_t at = rest.len;

		buf_add(&rest, r->bytes.data + w->at, w->len);
		w->at = at;
		r->waiting[i - from] = *w;
	}
	r->nwaiting -= from;
	buf_done(&r->bytes);
	r->bytes = rest;
	return rest.err;
}

int kraw_read(struct kraw *r, uint64_t until, kraw_each each, void *data, struct error *e)
{
	size_t n = 0;
	int err = 0;

	for (uint32_t cpu = 0; cpu < r->ncpus && err == 0; cpu++)
		err = read_cpu(r, cpu, &until);
	if (err < 0)
		return error_set(e, err, "cannot read the kernel's buffers: %s", strerror(-err));
	if (!r->nwaiting)
		return 0;
	qsort(r->waiting, r->nwaiting, sizeof(*r->waiting), by_time);
	for (; n < r->nwaiting && r->waiting[n].ts < until && err == 0; n++)
		err = give(r, &r->waiting[n], each, data);
	return err ? err : keep_rest(r, n);
}
