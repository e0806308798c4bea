/* trace.dat: the head, and what both versions have. See trace-dat.h. */
#include "kernel/trace-dat-impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[10] = "\x17\x08\x44tracing";

bool trace_dat_is(const void *head, size_t n)
{
	return n >= sizeof(magic) && memcmp(head, magic, sizeof(magic)) == 0;
}

/* ---- reading ---- */

bool dat_get(struct dat_in *in, void *p, size_t n)
{
	if (in->failed || n > in->end - in->at) {
		in->failed = true;
		memset(p, 0, n);
		return false;
	}
	if (in->mem) {
		memcpy(p, in->mem + in->at, n);
	} else {
		ssize_t got = pread(in->d->fd, p, n, (off_t)in->at);

		if (got < 0 || (size_t)got != n) {
			in->failed = true;
			memset(p, 0, n);
			return false;
		}
	}
	in->at += n;
	return true;
}

uint16_t dat_u16(struct dat_in *in)
{
	uint8_t b[2];

	dat_get(in, b, sizeof(b));
	return (uint16_t)(in->d->big_endian ? b[0] << 8 | b[1] : b[1] << 8 | b[0]);
}

uint32_t dat_u32(struct dat_in *in)
{
	uint32_t a = dat_u16(in), b = dat_u16(in);

	return in->d->big_endian ? a << 16 | b : b << 16 | a;
}

uint64_t dat_u64(struct dat_in *in)
{
	uint64_t a = dat_u32(in), b = dat_u32(in);

	return in->d->big_endian ? a << 32 | b : b << 32 | a;
}

const char *dat_string(struct dat_in *in)
{
	char text[4096];
	size_t n = 0;

	do
		if (n == sizeof(text) || !dat_get(in, &text[n], 1)) {
			in->failed = true;
			return NULL;
		}
	while (text[n++]);
	return arena_strndup(&in->d->arena, text, n - 1);
}

const char *dat_text(struct dat_in *in, uint64_t n)
{
	char *p;

	if (in->failed || n > in->end - in->at || n > DAT_MAX_TEXT) {
		in->failed = true;
		return NULL;
	}
	p = arena_alloc(&in->d->arena, n + 1);
	return p && dat_get(in, p, n) ? p : NULL;
}

int dat_room(uint8_t **p, size_t *cap, size_t n)
{
	uint8_t *bigger;

	if (n <= *cap)
		return 0;
	free(*p);
	*cap = 0;
	*p = bigger = malloc(n);
	if (!bigger)
		return -ENOMEM;
	*cap = n;
	return 0;
}

int dat_notice(struct trace_dat *d, uint64_t at, const char *fmt, ...)
{
	struct error *e = VEC_ADD(d->notices, d->nnotices, d->notices_cap);
	va_list ap;

	if (!e)
		return -ENOMEM;
	va_start(ap, fmt);
	(void)vsnprintf(e->message, sizeof(e->message), fmt, ap); /* cut if too long */
	va_end(ap);
	error_where(e, "%.90s:%llu", d->path, (unsigned long long)at);
	return -EPROTO;
}

/* ---- parts ---- */

static int failed(const struct dat_in *in)
{
	return in->failed ? -EPROTO : 0;
}

/* "NAME\0" u64 size, text; into *ret if it is asked for. */
static int named_text(struct dat_in *in, const char *name, struct buf *ret)
{
	const char *got = dat_string(in), *text;
	uint64_t n = dat_u64(in);

	if (in->failed || !got || strcmp(got, name) != 0)
		return -EPROTO;
	text = dat_text(in, n);
	if (!text)
		return in->failed ? -EPROTO : -ENOMEM;
	if (ret)
		buf_add(ret, text, n);
	return ret ? ret->err : 0;
}

int dat_read_header_info(struct dat_in *in)
{
	int e = named_text(in, "header_page", &in->d->header_page);

	return e < 0 ? e : named_text(in, "header_event", NULL);
}

static int read_formats(struct dat_in *in, const char *system, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint64_t size = dat_u64(in);
		const char *text = in->failed ? NULL : dat_text(in, size);
		struct dat_format *f;

		if (!text)
			return in->failed ? -EPROTO : -ENOMEM;
		f = VEC_ADD(in->d->formats, in->d->nformats, in->d->formats_cap);
		if (!f)
			return -ENOMEM;
		*f = (struct dat_format){system, text, size};
	}
	return 0;
}

int dat_read_ftrace_events(struct dat_in *in)
{
	uint32_t n = dat_u32(in);

	return in->failed ? -EPROTO : read_formats(in, "ftrace", n);
}

int dat_read_event_formats(struct dat_in *in)
{
	uint32_t nsystems = dat_u32(in);
	int e = failed(in);

	for (uint32_t i = 0; i < nsystems && e == 0; i++) {
		const char *system = dat_string(in);
		uint32_t n = dat_u32(in);

		e = failed(in);
		if (e == 0)
			e = system ? read_formats(in, system, n) : -ENOMEM;
	}
	return e;
}

int dat_read_cmdlines(struct dat_in *in)
{
	uint64_t n = dat_u64(in);
	const char *text = in->failed ? NULL : dat_text(in, n);

	if (!text)
		return in->failed ? -EPROTO : -ENOMEM;
	buf_add(&in->d->cmdlines, text, n);
	return in->d->cmdlines.err;
}

/* ---- options ---- */

const char *dat_clock_name(struct trace_dat *d, const char *text)
{
	const char *begin = strchr(text, '['), *end = begin ? strchr(begin, ']') : NULL;

	if (!end)
		return arena_strndup(&d->arena, text, strcspn(text, " \n"));
	return arena_strndup(&d->arena, begin + 1, (size_t)(end - begin - 1));
}

static int by_time(const void *a, const void *b)
{
	const struct dat_sample *x = a, *y = b;

	return x->time < y->time ? -1 : x->time > y->time;
}

/* Sorted, each time once. */
static void tidy(struct dat_shift *s)
{
	size_t n = 0;

	if (s->n > 1)
		qsort(s->samples, s->n, sizeof(*s->samples), by_time);
	for (size_t i = 0; i < s->n; i++)
		if (n == 0 || s->samples[i].time != s->samples[n - 1].time)
			s->samples[n++] = s->samples[i];
	s->n = n;
}

/* u64 trace id of the peer, u32 flags (1: between samples by a line), u32 CPUs, for each: u32 n, n
 * times, n offsets, n scalings; then, if there is more, for each: n numbers of fraction bits. */
static int read_time_shift(struct trace_dat *d, struct dat_in *in)
{
	uint32_t n;

	(void)dat_u64(in);
	d->interpolate = dat_u32(in) & 1;
	n = dat_u32(in);
	if (in->failed || n > DAT_MAX_CPUS || d->shifts)
		return in->failed ? -EPROTO : 0;
	d->shifts = calloc(MAX(n, 1u), sizeof(*d->shifts));
	if (!d->shifts)
		return -ENOMEM;
	d->nshifts = n;
	for (uint32_t c = 0; c < n; c++) {
		struct dat_shift *s = &d->shifts[c];
		uint64_t count = dat_u32(in);

		if (in->failed || count > (in->end - in->at) / 24)
			return -EPROTO;
		s->samples = calloc(MAX(count, 1u), sizeof(*s->samples));
		if (!s->samples)
			return -ENOMEM;
		s->n = count;
		for (size_t i = 0; i < count; i++)
			s->samples[i].time = dat_u64(in);
		for (size_t i = 0; i < count; i++)
			s->samples[i].offset = (int64_t)dat_u64(in);
		for (size_t i = 0; i < count; i++)
			s->samples[i].scaling = dat_u64(in);
	}
	for (uint32_t c = 0; c < n; c++) {
		struct dat_shift *s = &d->shifts[c];

		for (size_t i = 0; i < s->n && in->at < in->end; i++)
			s->samples[i].fraction = (uint32_t)dat_u64(in) & 63;
		tidy(s);
	}
	return failed(in);
}

/* Numbers in text, "0x..." or decimal. */
static int read_add(struct trace_dat *d, struct dat_in *in, int64_t unit)
{
	const char *text = dat_text(in, in->end - in->at);
	int64_t v;

	if (!text)
		return in->failed ? -EPROTO : -ENOMEM;
	v = (int64_t)strtoull(text, NULL, 0); /* negative ones wrap, as they should */
	d->add_ns = (int64_t)((uint64_t)d->add_ns + (uint64_t)v * (uint64_t)unit);
	return 0;
}

int dat_option(struct trace_dat *d, uint16_t id, struct dat_in *in)
{
	const char *text;
	uint32_t n;

	switch (id) {
	case DAT_DATE: return read_add(d, in, 1000);
	case DAT_OFFSET: return read_add(d, in, 1);
	case DAT_TIME_SHIFT: return read_time_shift(d, in);
	case DAT_TRACEID: d->trace_id = dat_u64(in); return failed(in);
	case DAT_TSC2NSEC:
		d->mult = dat_u32(in);
		d->shift = dat_u32(in) & 63;
		return failed(in);
	case DAT_CPUCOUNT:
		n = dat_u32(in);
		d->ncpus = MAX(d->ncpus, n);
		return failed(in);
	case DAT_UNAME:
	case DAT_VERSION:
		text = dat_text(in, in->end - in->at);
		if (!text)
			return in->failed ? -EPROTO : -ENOMEM;
		*(id == DAT_UNAME ? &d->uname : &d->made_by) = text;
		return 0;
	default: return 0; /* not needed, or not known yet */
	}
}

struct dat_buffer *dat_add_buffer(struct trace_dat *d, const char *name, const char *clock)
{
	struct dat_buffer *b = d->nbuffers < DAT_MAX_BUFFERS
		? VEC_ADD(d->buffers, d->nbuffers, d->buffers_cap)
		: NULL;

	if (b)
		*b = (struct dat_buffer){.name = name, .clock = clock, .page_bytes = d->page_bytes};
	return b;
}

int dat_add_cpu(struct trace_dat *d, struct dat_buffer *b, uint32_t cpu, uint64_t at, uint64_t size)
{
	struct dat_cpu *c = VEC_ADD(b->cpus, b->ncpus, b->cpus_cap);
	bool was_cut = d->cut;

	if (!c)
		return -ENOMEM;
	*c = (struct dat_cpu){cpu, at, size};
	d->ncpus = MAX(d->ncpus, MIN(cpu, DAT_MAX_CPUS) + 1);
	if (at <= d->file_size && size <= d->file_size - at)
		return 0;
	d->cut = true;
	c->size = at < d->file_size ? d->file_size - at : 0;
	return was_cut ? 0
		: dat_notice(d, d->file_size,
			  "the file is cut off: it has %llu bytes, and data of CPU %u at "
			  "%llu to %llu",
			  (unsigned long long)d->file_size, cpu, (unsigned long long)at,
			  (unsigned long long)(at + size)) == -ENOMEM
		? -ENOMEM
		: 0;
}

/* ---- time ---- */

static uint64_t corrected(const struct trace_dat *d, uint64_t ts, const struct dat_sample *a,
	const struct dat_sample *b)
{
	int64_t add = a->offset;

	if (d->interpolate && b->time != a->time) {
		int64_t span = (int64_t)(b->time - a->time);
		__int128 rise = (__int128)(int64_t)(ts - a->time) * (b->offset - a->offset);

		add += (int64_t)((rise + span / 2) / span);
	}
	if (a->scaling)
		ts = (uint64_t)((unsigned __int128)ts * a->scaling >> a->fraction);
	return ts + (uint64_t)add;
}

static uint64_t shifted(const struct trace_dat *d, const struct dat_shift *s, uint64_t ts)
{
	size_t i = 0;

	if (s->n == 0)
		return ts;
	if (s->n == 1)
		return ts + (uint64_t)s->samples[0].offset;
	while (i + 2 < s->n && s->samples[i + 1].time <= ts)
		i++;
	return corrected(d, ts, &s->samples[i], &s->samples[i + 1]);
}

uint64_t trace_dat_time(const struct trace_dat *d, uint32_t cpu, uint64_t ts)
{
	if (cpu < d->nshifts)
		ts = shifted(d, &d->shifts[cpu], ts);
	if (d->mult)
		ts = (uint64_t)((unsigned __int128)ts * d->mult >> d->shift);
	return ts + (uint64_t)d->add_ns;
}

bool trace_dat_is_ns(const struct trace_dat *d)
{
	static const char *const known[] = {"", "local", "global", "uptime", "perf", "tsc2nsec"};
	const char *clock = d->nbuffers ? d->buffers[0].clock : "";

	if (strncmp(clock, "mono", 4) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(clock, known[i]) == 0)
			return true;
	return false;
}

/* ---- open ---- */

static int read_head(struct trace_dat *d, struct dat_in *in, struct error *err)
{
	char head[sizeof(magic)];
	const char *version;
	uint8_t endian, long_size;

	if (!dat_get(in, head, sizeof(head)) || !trace_dat_is(head, sizeof(head)))
		return error_set(err, -EINVAL, "this is not a trace.dat");
	version = dat_string(in);
	dat_get(in, &endian, 1);
	dat_get(in, &long_size, 1);
	d->big_endian = endian == 1;
	d->long_size = long_size;
	d->page_bytes = dat_u32(in);
	if (in->failed || !version)
		return error_set(err, -EINVAL, "the file ends within its head");
	if (strcmp(version, "6") != 0 && strcmp(version, "7") != 0) {
		error_hint(
			err, "trace-cmd convert --file-version 7 makes a newer one of older files");
		return error_set(err, -EINVAL,
			"a trace.dat of version %.20s; versions 6 and 7 are known", version);
	}
	if (endian > 1 || (long_size != 4 && long_size != 8))
		return error_set(err, -EINVAL,
			"the head is damaged: endianness %u, longs of %u bytes", endian, long_size);
	if (d->page_bytes < 128 || d->page_bytes > DAT_MAX_PAGE)
		return error_set(
			err, -EINVAL, "the head is damaged: pages of %u bytes", d->page_bytes);
	d->version = version[0] - '0';
	return 0;
}

static int open_file(struct trace_dat *d, struct error *err)
{
	struct dat_in in = {.d = d};
	struct stat st;
	int e;

	d->fd = open(d->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (d->fd < 0 || fstat(d->fd, &st) < 0) {
		e = -errno;
		return error_set(err, e, "cannot read the trace: %s", strerror(-e));
	}
	if (!S_ISREG(st.st_mode))
		return error_set(err, -EINVAL, "not a regular file");
	d->file_size = in.end = (uint64_t)st.st_size;
	e = read_head(d, &in, err);
	if (e == 0)
		e = d->version == 6 ? dat_read_v6(d, &in, err) : dat_read_v7(d, &in, err);
	if (e == -ENOMEM)
		return error_set(err, e, "no memory for the trace");
	if (e < 0 && err && !err->where[0])
		error_where(err, "%.90s:%llu", d->path, (unsigned long long)in.at);
	return e;
}

int trace_dat_open(const char *path, struct trace_dat **ret, struct error *err)
{
	struct trace_dat *d = calloc(1, sizeof(*d));
	int e;

	if (!d)
		return error_set(err, -ENOMEM, "no memory for the trace");
	d->fd = -1;
	d->path = strdup(path);
	e = d->path ? open_file(d, err) : error_set(err, -ENOMEM, "no memory for the trace");
	if (e < 0) {
		if (err && !err->where[0])
			error_where(err, "%.120s", path);
		trace_dat_free(d);
		return e;
	}
	*ret = d;
	return 0;
}

void trace_dat_free(struct trace_dat *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	for (size_t i = 0; i < d->nbuffers; i++)
		free(d->buffers[i].cpus);
	for (size_t i = 0; i < d->nshifts; i++)
		free(d->shifts[i].samples);
	free(d->shifts);
	free(d->buffers);
	free(d->formats);
	free(d->notices);
	buf_done(&d->header_page);
	buf_done(&d->cmdlines);
	arena_done(&d->arena);
	free(d->path);
	free(d);
}
