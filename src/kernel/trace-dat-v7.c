/* trace.dat version 7: sections, found through options. After the head:
 *
 *	compression\0 ("none", "zlib", "zstd")  its version\0  u64 offset of the first options
 *
 *	a section	u16 id, u16 flags (1: compressed), u32 description, u64 bytes that follow
 *	its body	as it is; or u32 packed size, u32 size, packed
 *	options (id 0)	{ u16 id, u32 size, data }*, last DONE: u64 offset of the next options or 0
 *
 *	option 16..21	u64 offset of that section: HEADER_INFO, FTRACE_EVENTS, EVENT_FORMATS,
 *			KALLSYMS, PRINTK, CMDLINES; their bodies are as in version 6
 *	option BUFFER	u64 offset of its section, name\0, clock\0, [u32 page size,] u32 CPUs,
 *			each: u32 CPU, u64 offset, u64 size
 *	option BUFFER_TEXT  u64 offset of its section (text; in chunks if compressed), name\0, clock\0
 *
 * The data of a CPU is at its own offset, and compressed as its buffer's section says.
 */
#include "kernel/trace-dat-impl.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_OPTIONS 1000 /* sections of them */
#define HEAD 16u

struct section {
	uint16_t id, flags;
	uint64_t at, size; /* of the body */
};

static bool read_section(struct trace_dat *d, uint64_t at, struct section *ret)
{
	struct dat_in in = {.d = d, .at = at, .end = d->file_size, .failed = at > d->file_size};

	ret->id = dat_u16(&in);
	ret->flags = dat_u16(&in);
	(void)dat_u32(&in);
	ret->size = dat_u64(&in);
	ret->at = at + HEAD;
	return !in.failed;
}

/* The body of a section in memory. 0, -EPROTO or -ENOMEM; *ret_body owned by the caller. */
static int load(
	struct trace_dat *d, const struct section *s, uint8_t **ret_body, struct dat_in *ret)
{
	struct dat_in in = {.d = d, .at = s->at, .end = d->file_size};
	uint8_t *packed AUTO(free) = NULL;
	uint8_t *body AUTO(free) = NULL;
	uint32_t csize, usize;
	void *ctx = NULL;
	int e;

	if (!(s->flags & 1)) {
		if (s->size > d->file_size - s->at || s->size > DAT_MAX_TEXT)
			return -EPROTO;
		body = malloc(s->size + 1);
		if (!body)
			return -ENOMEM;
		usize = (uint32_t)s->size;
		if (!dat_get(&in, body, usize))
			return -EPROTO;
	} else {
		csize = dat_u32(&in);
		usize = dat_u32(&in);
		if (in.failed || csize > in.end - in.at || csize > DAT_MAX_TEXT ||
			usize > DAT_MAX_TEXT)
			return -EPROTO;
		packed = malloc(csize + 1u);
		body = malloc(usize + 1u);
		if (!packed || !body)
			return -ENOMEM;
		if (!dat_get(&in, packed, csize))
			return -EPROTO;
		e = dat_unpack(d, &ctx, packed, csize, body, usize);
		dat_unpack_done(ctx);
		if (e < 0)
			return e;
	}
	*ret = (struct dat_in){.d = d, .mem = body, .end = usize};
	*ret_body = TAKE(body);
	return 0;
}

static int read_blob(struct trace_dat *d, uint64_t at, struct dat_blob *ret)
{
	struct section s;

	if (!read_section(d, at, &s))
		return -EPROTO;
	*ret = (struct dat_blob){.at = at, .size = s.size, .is_section = true, .has_size = true};
	return 0;
}

/* Text in chunks, as the data of CPUs is: u32 n, n times: u32 packed size, u32 size, packed. */
static int load_chunks(struct trace_dat *d, const struct section *s, struct buf *ret)
{
	struct dat_in in = {.d = d, .at = s->at, .end = d->file_size};
	uint32_t n = dat_u32(&in);
	int e = in.failed ? -EPROTO : 0;

	for (uint32_t i = 0; i < n && e == 0; i++) {
		struct section chunk = {.flags = 1, .at = in.at};
		uint32_t csize = dat_u32(&in);
		uint8_t *body AUTO(free) = NULL;
		struct dat_in text;

		e = load(d, &chunk, &body, &text);
		if (e == 0 && text.end > DAT_MAX_TEXT - ret->len)
			e = -EPROTO;
		if (e < 0)
			break;
		buf_add(ret, body, text.end);
		in.at += 4 + (uint64_t)csize;
	}
	return e < 0 ? e : ret->err;
}

int trace_dat_text(struct trace_dat *d, const struct dat_blob *b, struct buf *ret)
{
	uint8_t *body AUTO(free) = NULL;
	struct dat_in in = {.d = d, .at = b->at, .end = d->file_size};
	struct section s;
	uint64_t n = b->size;
	const char *text;
	int e;

	if (b->size == 0)
		return 0;
	if (b->is_section) {
		if (!read_section(d, b->at, &s))
			return -EPROTO;
		if (!b->has_size && s.flags & 1)
			return load_chunks(d, &s, ret);
		e = load(d, &s, &body, &in);
		if (e < 0)
			return e;
		n = b->has_size ? dat_u32(&in) : in.end;
		if (in.failed || n > in.end - in.at)
			return -EPROTO;
		buf_add(ret, in.mem + in.at, n);
		return ret->err;
	}
	text = dat_text(&in, n);
	if (!text)
		return in.failed ? -EPROTO : -ENOMEM;
	buf_add(ret, text, n);
	return ret->err;
}

/* A section of the kinds that are read at once. */
static int read_part(struct trace_dat *d, uint16_t id, uint64_t at)
{
	static const struct {
		int (*read)(struct dat_in *in);
		const char *what;
	} parts[] = {
		[DAT_HEADER_INFO] = {dat_read_header_info, "the layout of pages"},
		[DAT_FTRACE_EVENTS] = {dat_read_ftrace_events, "the formats of ftrace's events"},
		[DAT_EVENT_FORMATS] = {dat_read_event_formats, "the formats of events"},
		[DAT_CMDLINES] = {dat_read_cmdlines, "the names of tasks"},
	};
	uint8_t *body AUTO(free) = NULL;
	struct dat_in in = {0};
	struct section s;
	int e;

	if (id == DAT_KALLSYMS || id == DAT_PRINTK)
		e = read_blob(d, at, id == DAT_KALLSYMS ? &d->kallsyms : &d->printk);
	else if (!read_section(d, at, &s) || s.id != id)
		e = -EPROTO;
	else
		e = load(d, &s, &body, &in);
	if (e == 0 && in.d)
		e = parts[id].read(&in);
	if (e == -EPROTO)
		e = dat_notice(d, at, "%s cannot be read: the section is damaged or cut off",
			id == DAT_KALLSYMS	   ? "the symbols"
				: id == DAT_PRINTK ? "the formats of trace_printk()"
						   : parts[id].what);
	return e == -ENOMEM ? e : 0;
}

static int read_cpus(struct trace_dat *d, struct dat_buffer *b, struct dat_in *in)
{
	uint64_t left = in->end - in->at;
	uint32_t n;
	int e = 0;

	/* newer files have a page size before the number of CPUs, of 20 bytes each */
	if (left >= 8 && left % 20 == 8) {
		uint32_t page = dat_u32(in);

		if (page < 128 || page > DAT_MAX_PAGE)
			return -EPROTO;
		b->page_bytes = page;
	}
	n = dat_u32(in);
	if (in->failed || n > DAT_MAX_CPUS)
		return -EPROTO;
	for (uint32_t i = 0; i < n && e == 0; i++) {
		uint32_t cpu = dat_u32(in);
		uint64_t at = dat_u64(in), size = dat_u64(in);

		if (in->failed || cpu > DAT_MAX_CPUS)
			return -EPROTO;
		e = dat_add_cpu(d, b, cpu, at, size);
	}
	return e;
}

static int read_buffer(struct trace_dat *d, uint16_t id, struct dat_in *in)
{
	uint64_t at = dat_u64(in);
	const char *name = dat_string(in), *clock = in->failed ? NULL : dat_string(in);
	struct dat_buffer *b;
	struct section s;

	if (!name || !clock)
		return in->failed ? -EPROTO : -ENOMEM;
	clock = dat_clock_name(d, clock);
	b = clock ? dat_add_buffer(d, name, clock) : NULL;
	if (!b)
		return d->nbuffers == DAT_MAX_BUFFERS ? -EPROTO : -ENOMEM;
	if (!read_section(d, at, &s))
		return -EPROTO;
	b->compressed = s.flags & 1;
	if (id == DAT_BUFFER)
		return read_cpus(d, b, in);
	b->is_text = true;
	b->text_at = at;
	b->text_bytes = s.size;
	return 0;
}

/* The text of trace_clock: instances say "local", whatever clock trace-cmd had given them. */
static int read_clock(struct trace_dat *d, struct dat_in *in)
{
	const char *text = dat_text(in, in->end - in->at);

	if (!text)
		return in->failed ? -EPROTO : -ENOMEM;
	d->clock = dat_clock_name(d, text);
	return d->clock ? 0 : -ENOMEM;
}

static int read_option(struct trace_dat *d, uint16_t id, struct dat_in *body)
{
	switch (id) {
	case DAT_TRACECLOCK: return read_clock(d, body);
	case DAT_BUFFER:
	case DAT_BUFFER_TEXT: return read_buffer(d, id, body);
	case DAT_HEADER_INFO:
	case DAT_FTRACE_EVENTS:
	case DAT_EVENT_FORMATS:
	case DAT_KALLSYMS:
	case DAT_PRINTK:
	case DAT_CMDLINES: {
		uint64_t at = dat_u64(body);

		return body->failed ? -EPROTO : read_part(d, id, at);
	}
	default: return dat_option(d, id, body);
	}
}

/* One section of options; *ret_next: where the next are, or 0. */
static int read_options(struct trace_dat *d, uint64_t at, uint64_t *ret_next)
{
	uint8_t *mem AUTO(free) = NULL;
	struct dat_in in, body;
	struct section s;
	int e;

	*ret_next = 0;
	if (!read_section(d, at, &s) || s.id != DAT_DONE)
		return -EPROTO;
	e = load(d, &s, &mem, &in);
	while (e == 0) {
		uint16_t id = dat_u16(&in);
		uint32_t size = dat_u32(&in);

		if (in.failed || size > in.end - in.at)
			return -EPROTO;
		body = in;
		body.end = in.at += size;
		if (id == DAT_DONE) {
			*ret_next = dat_u64(&body);
			return body.failed ? -EPROTO : 0;
		}
		e = read_option(d, id, &body);
		if (e == -EPROTO)
			e = dat_notice(d, at, "option %u cannot be read", id);
		if (e == -EPROTO)
			e = 0; /* the others may be whole */
	}
	return e;
}

/* The top buffer comes first, wherever it stands. */
static void sort_buffers(struct trace_dat *d)
{
	for (size_t i = 1; i < d->nbuffers; i++) {
		struct dat_buffer top = d->buffers[i];

		if (top.name[0] || !d->buffers[0].name[0])
			continue;
		memmove(&d->buffers[1], &d->buffers[0], i * sizeof(top));
		d->buffers[0] = top;
		return;
	}
}

static int say_ring(struct trace_dat *d, uint64_t at)
{
	int e = dat_notice(d, at, "the list of what is in the file comes back to where it was");

	return e == -ENOMEM ? e : 0;
}

/* *ret_at: where the last ones are; *ret_end: where the last good ones end. */
static int read_all_options(struct trace_dat *d, uint64_t at, uint64_t *ret_at, uint64_t *ret_end)
{
	struct section s;
	uint64_t seen[MAX_OPTIONS];
	uint64_t next = at;
	int e = 0;

	for (size_t n = 0; next && e == 0; n++) {
		*ret_at = next;
		for (size_t i = 0; i < n; i++)
			if (seen[i] == next)
				return say_ring(d, next);
		if (n == MAX_OPTIONS)
			return -EPROTO;
		seen[n] = next;
		e = read_options(d, next, &next);
		if (e == 0 && read_section(d, seen[n], &s))
			*ret_end = s.at + s.size;
	}
	return e;
}

int dat_read_v7(struct trace_dat *d, struct dat_in *in, struct error *err)
{
	const char *compression = dat_string(in), *version = in->failed ? NULL : dat_string(in);
	uint64_t next = dat_u64(in), at = in->at, end = 0;
	int e;

	if (in->failed || !compression || !version)
		return error_set(
			err, in->failed ? -EINVAL : -ENOMEM, "the file ends within its head");
	if (strcmp(compression, "zlib") == 0)
		d->compression = DAT_ZLIB;
	else if (strcmp(compression, "zstd") == 0)
		d->compression = DAT_ZSTD;
	else if (strcmp(compression, "none") != 0)
		return error_set(err, -EINVAL,
			"compressed with '%.20s'; none, zlib and zstd are known", compression);
	e = read_all_options(d, next, &at, &end);
	if (e == -EPROTO && d->nbuffers == 0 && end)
		e = dat_find_buffers(d, end);
	if (e == -ENOMEM)
		return e;
	in->at = at;
	if (e < 0 && d->nbuffers == 0)
		return error_set(err, -EINVAL, "%s",
			at >= d->file_size ? "the file is cut off: where its data is would be said "
					     "behind its end"
					   : "the list of what is in the file is damaged");
	if (e < 0)
		(void)dat_notice(d, at, "the rest of the options cannot be read");
	if (d->nbuffers == 0)
		return error_set(err, -EINVAL, "the file holds no recorded data");
	sort_buffers(d);
	for (size_t i = 0; i < d->nbuffers && d->clock; i++)
		d->buffers[i].clock = d->clock;
	return 0;
}
