/* Where mappings come from: perf's side band (mmap, fork, exec, with build ids, by software events that
 * count nothing, one a CPU), and /proc/PID/maps for what was there before.
 *
 * The rings are read when pages of events are, and sorted by time. If a ring overflows, nothing that was
 * known before is certain any more: it is forgotten, and /proc is read anew.
 */
#include "kernel/mappings-impl.h"
#include "symbol/symbol.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#define PAGES 64u /* of a CPU's ring */
#define MAPS_MAX (8u << 20)
#define BASE_NS 100000000u /* between the points that cycles are converted by */

#ifndef PERF_RECORD_MISC_MMAP_BUILD_ID
#define PERF_RECORD_MISC_MMAP_BUILD_ID (1 << 14)
#endif

struct point {
	uint64_t cycles, ns;
};

struct record { /* one, copied out of a ring */
	uint64_t t_ns;
	size_t at; /* in source.bytes */
};

struct mapping_source {
	bool tsc;
	uint32_t ncpus;
	struct cpu_ring {
		int fd; /* -1: no such CPU */
		struct perf_event_mmap_page *page; /* owned mapping; NULL: none */
	} * cpus; /* owned */
	size_t page_size;
	struct point before, now; /* before: the base of the line */
	struct buf bytes; /* owned: records of one update */
	struct record *records; /* owned */
	size_t nrecords, records_cap;
	bool lost;
	uint64_t pruned_ns;
};

/* ---- time ---- */

static uint64_t cycles(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	return 0;
#endif
}

/* Both clocks at one moment: the tightest of some tries. */
static struct point look(void)
{
	struct point p = {0};
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 4; i++) {
		uint64_t a = cycles(), ns = now_ns(CLOCK_MONOTONIC), b = cycles();

		if (b - a < best) {
			best = b - a;
			p = (struct point){a + (b - a) / 2, ns};
		}
	}
	return p;
}

uint64_t mappings_time(const struct mappings *m, uint64_t ts)
{
	const struct mapping_source *s = m->source;
	double slope;

	if (!s || !s->tsc)
		return ts;
	if (s->now.cycles <= s->before.cycles)
		return s->now.ns;
	slope = (double)(s->now.ns - s->before.ns) / (double)(s->now.cycles - s->before.cycles);
	return s->now.ns + (uint64_t)(int64_t)((double)(int64_t)(ts - s->now.cycles) * slope);
}

static void take_time(struct mapping_source *s)
{
	if (s->tsc && s->now.ns - s->before.ns > BASE_NS)
		s->before = s->now;
	s->now = look();
}

/* ---- the kernel's rings ---- */

static int open_cpu(struct mapping_source *s, uint32_t cpu)
{
	struct perf_event_attr a = {.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(a),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TIME,
		.exclude_kernel = 1,
		.mmap = 1,
		.comm = 1,
		.task = 1,
		.sample_id_all = 1,
		.mmap2 = 1,
		.comm_exec = 1,
		.use_clockid = 1,
		.build_id = 1,
		.clockid = CLOCK_MONOTONIC};
	struct cpu_ring *r = &s->cpus[cpu];
	void *p;

	r->fd = (int)syscall(SYS_perf_event_open, &a, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	if (r->fd < 0 && errno == EINVAL) {
		a.build_id = 0; /* before Linux 5.12 */
		r->fd = (int)syscall(SYS_perf_event_open, &a, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	}
	if (r->fd < 0)
		return errno == ENODEV ? 0 : -errno;
	p = mmap(NULL, (PAGES + 1) * s->page_size, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r->page = p;
	return 0;
}

int mappings_listen(struct mappings *m, uint32_t ncpus, bool tsc, struct error *e)
{
	struct mapping_source *s = calloc(1, sizeof(*s));
	int err = 0;

	if (s)
		s->cpus = calloc(ncpus, sizeof(*s->cpus));
	if (!s || !s->cpus) {
		free(s);
		return error_set(e, -ENOMEM, "no memory for mappings of files");
	}
	s->ncpus = ncpus;
	s->tsc = tsc;
	s->page_size = (size_t)sysconf(_SC_PAGESIZE);
	for (uint32_t i = 0; i < ncpus; i++)
		s->cpus[i].fd = -1;
	for (uint32_t i = 0; i < ncpus && err == 0; i++)
		err = open_cpu(s, i);
	if (err < 0) {
		mapping_source_free(s);
		(void)error_set(
			e, err, "the kernel does not tell of mapped files: %s", strerror(-err));
		error_hint(e, "%suser stacks of programs that start later stay addresses",
			err == -EACCES || err == -EPERM ? "CAP_PERFMON is missing; " : "");
		return err;
	}
	s->before = s->now = look();
	m->source = s;
	return 0;
}

void mapping_source_free(struct mapping_source *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->ncpus; i++) {
		if (s->cpus[i].page) /* fails only for what is no mapping */
			(void)munmap(s->cpus[i].page, (PAGES + 1) * s->page_size);
		auto_fd(&s->cpus[i].fd);
	}
	free(s->cpus);
	free(s->records);
	buf_done(&s->bytes);
	free(s);
}

/* Copies the ring's records out; each begins at a multiple of 8. */
static int drain(struct mapping_source *s, const struct cpu_ring *r)
{
	const uint8_t *data = (const uint8_t *)r->page + s->page_size;
	uint64_t size = PAGES * s->page_size, tail = r->page->data_tail;
	uint64_t head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);

	while (tail < head) {
		struct perf_event_header h;
		struct record *to;
		size_t first;

		memcpy(&h, data + tail % size, sizeof(h)); /* records are aligned to 8: whole */
		if (h.size < sizeof(h) + 8 || h.size > head - tail || h.size % 8)
			break;
		to = VEC_ADD(s->records, s->nrecords, s->records_cap);
		if (!to)
			return -ENOMEM;
		to->at = s->bytes.len;
		first = MIN((size_t)h.size, (size_t)(size - tail % size));
		buf_add(&s->bytes, data + tail % size, first);
		buf_add(&s->bytes, data, h.size - first);
		if (s->bytes.err)
			return -ENOMEM;
		/* sample_id_all: the time is each record's last word */
		memcpy(&to->t_ns, s->bytes.data + s->bytes.len - 8, 8);
		tail += h.size;
	}
	__atomic_store_n(&r->page->data_tail, head, __ATOMIC_RELEASE); /* the kernel's protocol */
	return 0;
}

static int by_time(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	if (x->t_ns != y->t_ns)
		return x->t_ns < y->t_ns ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

struct mmap_record { /* PERF_RECORD_MMAP2, behind its header */
	uint32_t pid, tid;
	uint64_t address, length, offset;
	union {
		struct {
			uint32_t major, minor;
			uint64_t ino, generation;
		};
		struct {
			uint8_t build_id_len, reserved[3], build_id[20];
		};
	};
	uint32_t prot, flags;
	char path[];
};

/* The time from 1970 of a time of CLOCK_MONOTONIC. */
static int64_t real_time(uint64_t t_ns)
{
	return (int64_t)(t_ns + now_ns(CLOCK_REALTIME) - now_ns(CLOCK_MONOTONIC));
}

static int on_mmap(struct mappings *m, const struct perf_event_header *h, uint64_t t_ns)
{
	const struct mmap_record *r = (const void *)(h + 1);
	struct mapped_file f = {
		.path = r->path, .shift = SYMBOL_NO_SHIFT, .seen_ns = real_time(t_ns)};
	struct mapping map = {.t_ns = t_ns,
		.begin = r->address,
		.end = r->address + r->length,
		.offset = r->offset};
	size_t room = h->size - sizeof(*h) - 8;

	if (room <= sizeof(*r) || !memchr(r->path, 0, room - sizeof(*r)))
		return 0;
	if (h->misc & PERF_RECORD_MISC_MMAP_BUILD_ID) {
		f.build_id_len = MIN(r->build_id_len, (uint8_t)sizeof(f.build_id));
		memcpy(f.build_id, r->build_id, f.build_id_len);
	} else {
		f.dev = (uint64_t)r->major << 32 | r->minor;
		f.ino = r->ino;
	}
	map.file = mappings_add_file(m, &f);
	return mappings_on_map(m, (int32_t)r->pid, &map);
}

static int on_record(struct mappings *m, const struct perf_event_header *h, uint64_t t_ns)
{
	const uint32_t *words = (const void *)(h + 1);

	switch (h->type) {
	case PERF_RECORD_MMAP2: return on_mmap(m, h, t_ns);
	case PERF_RECORD_COMM:
		if (h->misc & PERF_RECORD_MISC_COMM_EXEC)
			return mappings_on_exec(m, (int32_t)words[0], t_ns);
		return 0;
	case PERF_RECORD_FORK:
		if (h->size >= sizeof(*h) + 24)
			return mappings_on_fork(m, (int32_t)words[0], (int32_t)words[1], t_ns);
		return 0;
	case PERF_RECORD_EXIT:
		if (h->size >= sizeof(*h) + 24 && words[0] == words[2])
			/* its first thread: others that go on have no names 30 s later */
			mappings_on_exit(m, (int32_t)words[0], t_ns);
		return 0;
	case PERF_RECORD_LOST: m->source->lost = true; return 0;
	default: return 0;
	}
}

int mappings_update(struct mappings *m)
{
	struct mapping_source *s = m->source;
	int err = 0;

	if (!s)
		return 0;
	s->nrecords = 0;
	buf_clear(&s->bytes);
	for (uint32_t i = 0; i < s->ncpus && err == 0; i++)
		if (s->cpus[i].page)
			err = drain(s, &s->cpus[i]);
	take_time(s);
	if (s->nrecords)
		qsort(s->records, s->nrecords, sizeof(*s->records), by_time);
	for (size_t i = 0; i < s->nrecords && err == 0; i++)
		err = on_record(
			m, (const void *)(s->bytes.data + s->records[i].at), s->records[i].t_ns);
	if (err == 0 && s->now.ns - s->pruned_ns > MAPPINGS_KEEP_NS / 2) {
		s->pruned_ns = s->now.ns;
		err = mappings_prune(m, s->now.ns);
	}
	if (err == 0 && s->lost) {
		s->lost = false;
		mappings_forget(m);
		err = mappings_read_process(m, 0);
	}
	return err;
}

/* ---- /proc ---- */

/* The file itself, even if its path leads elsewhere by now: by map_files; else by its path, if that
 * has the same number. */
static void identify(int32_t pid, const char *range, uint64_t ino, struct mapped_file *f)
{
	struct symbol_identity id;
	char path[PATH_MAX + 64];

	(void)snprintf(path, sizeof(path), "/proc/%d/map_files/%s", pid, range);
	if (symbol_identity(path, &id) < 0) {
		(void)snprintf(path, sizeof(path), "/proc/%d/root%s", pid, f->path);
		if (symbol_identity(path, &id) < 0 || id.ino != ino)
			return;
	}
	f->shift = id.shift;
	f->looked = true;
	if (id.build_id_len <= sizeof(f->build_id)) {
		f->build_id_len = id.build_id_len;
		memcpy(f->build_id, id.build_id, id.build_id_len);
	}
}

/* "BEGIN-END PERMS OFFSET DEV INO PATH" */
static int read_line(struct mappings *m, int32_t pid, char *line, uint64_t t_ns)
{
	unsigned long long begin, end, offset, ino;
	unsigned major, minor;
	char perms[8];
	struct mapped_file f = {.shift = SYMBOL_NO_SHIFT, .seen_ns = real_time(t_ns)};
	int at = 0;

	if (sscanf(line, "%llx-%llx %7s %llx %x:%x %llu %n", &begin, &end, perms, &offset, &major,
		    &minor, &ino, &at) < 7 ||
		!at || perms[2] != 'x')
		return 0;
	f.path = line + at;
	f.dev = (uint64_t)major << 32 | minor;
	f.ino = ino;
	line[strcspn(line, " ")] = 0;
	if (f.path[0] == '/')
		identify(pid, line, ino, &f);
	return mappings_on_map(m, pid,
		&(struct mapping){.t_ns = t_ns,
			.begin = begin,
			.end = end,
			.offset = offset,
			.file = mappings_add_file(m, &f)});
}

static int read_one(struct mappings *m, int32_t pid)
{
	AUTO(buf) struct buf b = {0};
	uint64_t t_ns = now_ns(CLOCK_MONOTONIC); /* before: what changes meanwhile is told, too */
	char path[64], *line, *next;
	int err = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid); /* fits */
	if (read_file(path, MAPS_MAX, &b) < 0 || !b.data)
		return 0; /* it ended */
	for (line = b.data; *line && err == 0; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = 0;
		err = read_line(m, pid, line, t_ns);
	}
	return err;
}

int mappings_read_process(struct mappings *m, int32_t pid)
{
	AUTO(dir) DIR *d = NULL;
	struct dirent *e;
	int err = 0;

	if (pid)
		return read_one(m, pid);
	d = opendir("/proc");
	while (d && err == 0 && (e = readdir(d)))
		if (isdigit((unsigned char)e->d_name[0]))
			err = read_one(m, atoi(e->d_name));
	return err;
}
