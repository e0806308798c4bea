/* trace.dat version 7 without its end: the list of buffers and their CPUs, which is written last, is lost, but
 * the pages are there, in sections behind the options that could be read. Those of a CPU begin at a multiple
 * of the page size, one CPU behind the other:
 *
 *	plain		pages; where time goes back another CPU begins
 *	compressed	u32 n, n times: u32 packed size, u32 size, packed
 *
 * The CPUs are numbered as they come, so one that had nothing to record shifts the numbers of the next ones;
 * names of instances and the clock are not known. */
#include "kernel/trace-dat-impl.h"

#include <errno.h>
#include <stdio.h>

#define HEAD 16u /* of a section */
#define COMMIT_BYTES ((1u << 27) - 1)

static uint64_t align(const struct trace_dat *d, uint64_t at)
{
	return (at + d->page_bytes - 1) / d->page_bytes * d->page_bytes;
}

/* When the page at `at` begins; 0: it is none. */
static uint64_t page_time(struct trace_dat *d, uint64_t at)
{
	struct dat_in in = {.d = d, .at = at, .end = d->file_size};
	uint64_t ts = dat_u64(&in), commit = d->long_size == 8 ? dat_u64(&in) : dat_u32(&in);

	return !in.failed && (commit & COMMIT_BYTES) <= d->page_bytes - 8u - d->long_size ? ts : 0;
}

static int find_plain(struct trace_dat *d, struct dat_buffer *b, uint64_t begin, uint64_t end)
{
	uint64_t from = begin, before = 0;
	uint32_t cpu = 0;
	int e = 0;

	for (uint64_t at = begin; at < end && e == 0; at += d->page_bytes) {
		uint64_t ts = page_time(d, at);

		if (ts && ts < before && cpu < DAT_MAX_CPUS) {
			e = dat_add_cpu(d, b, cpu++, from, at - from);
			from = at;
		}
		before = ts ? ts : before;
	}
	return e < 0 || from >= end ? e : dat_add_cpu(d, b, cpu, from, end - from);
}

static int find_chunks(struct trace_dat *d, struct dat_buffer *b, uint64_t begin, uint64_t end)
{
	struct dat_in in = {.d = d, .at = begin, .end = end};
	int e = 0;

	for (uint32_t cpu = 0; e == 0 && cpu < DAT_MAX_CPUS && in.at + 4 < end; cpu++) {
		uint64_t from = in.at;

		for (uint32_t n = dat_u32(&in); n && in.at < end; n--) {
			uint32_t csize = dat_u32(&in);

			(void)dat_u32(&in);
			in.at += csize;
		}
		in.at = MIN(in.at, end);
		if (in.at - from > 4)
			e = dat_add_cpu(d, b, cpu, from, in.at - from - 4);
		in.at = align(d, in.at);
	}
	return e;
}

static int take(struct trace_dat *d, uint64_t at, uint64_t end, bool compressed)
{
	char name[32] = "";
	struct dat_buffer *b;
	char *copy;

	if (d->nbuffers)
		(void)snprintf(name, sizeof(name), "buffer %zu", d->nbuffers); /* fits */
	copy = arena_strndup(&d->arena, name, strlen(name));
	b = copy ? dat_add_buffer(d, copy, "") : NULL;
	if (!b)
		return -ENOMEM;
	b->compressed = compressed;
	at = align(d, at);
	if (at >= end)
		return 0;
	return (compressed ? find_chunks : find_plain)(d, b, at, end);
}

int dat_find_buffers(struct trace_dat *d, uint64_t at)
{
	bool was_cut = d->cut;
	int e = 0;

	while (e == 0 && at + HEAD < d->file_size && d->nbuffers < DAT_MAX_BUFFERS) {
		struct dat_in in = {.d = d, .at = at, .end = d->file_size};
		uint16_t id = dat_u16(&in), flags = dat_u16(&in);
		uint64_t size = (dat_u32(&in), dat_u64(&in)), left = d->file_size - in.at;

		if (in.failed)
			break;
		/* 0: it was never finished */
		size = size && size < left ? size : left;
		if (id == DAT_BUFFER)
			e = take(d, in.at, in.at + size, flags & 1);
		at = in.at + size;
	}
	if (e < 0 || !d->nbuffers)
		return e < 0 ? e : -EPROTO;
	d->cut = true;
	if (was_cut)
		return 0;
	e = dat_notice(d, d->file_size,
		"the file is cut off: the list of its CPUs is missing; what pages it has are shown, as "
		"of CPUs 0 to %u",
		d->ncpus ? d->ncpus - 1 : 0);
	return e == -ENOMEM ? e : 0;
}
