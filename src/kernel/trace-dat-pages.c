/* The recorded pages of one CPU, through a window. Compressed data is a list of chunks
 *
 *	u32 n, n times: u32 packed size, u32 size, packed
 *
 * each of whole pages, which are unpacked one at a time.
 */
#include "kernel/trace-dat-impl.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define WINDOW (128u << 10)

int dat_unpack(const struct trace_dat *d, void **ctx, const uint8_t *packed, size_t csize,
	uint8_t *out, size_t usize)
{
	size_t got;

	if (d->compression == DAT_ZLIB) {
		uLongf n = usize;

		return uncompress(out, &n, packed, csize) == Z_OK && n == usize ? 0 : -EPROTO;
	}
	if (d->compression != DAT_ZSTD)
		return -EPROTO;
	if (!*ctx)
		*ctx = ZSTD_createDCtx();
	if (!*ctx)
		return -ENOMEM;
	got = ZSTD_decompressDCtx(*ctx, out, usize, packed, csize);
	return !ZSTD_isError(got) && got == usize ? 0 : -EPROTO;
}

void dat_unpack_done(void *ctx)
{
	(void)ZSTD_freeDCtx(ctx); /* takes NULL; cannot fail */
}

void dat_pages_rewind(struct dat_pages *p)
{
	p->at = p->c->offset;
	p->end = p->c->offset + p->c->size;
	if (p->b->compressed) /* the size is of all but the number of chunks */
		p->end = MIN(p->end + 4, p->d->file_size);
	p->len = p->pos = 0;
	p->chunks = 0;
	p->started = false;
}

void dat_pages_init(
	struct dat_pages *p, const struct trace_dat *d, const struct dat_buffer *b, size_t cpu)
{
	*p = (struct dat_pages){.d = d, .b = b, .c = &b->cpus[cpu]};
	dat_pages_rewind(p);
}

void dat_pages_done(struct dat_pages *p)
{
	dat_unpack_done(p->zstd);
	free(p->buf);
	free(p->packed);
	p->zstd = p->buf = p->packed = NULL;
	p->cap = p->packed_cap = 0;
}

static int bad(struct dat_pages *p, const char *why)
{
	p->why = why;
	p->at = p->end;
	p->len = p->pos = 0;
	p->chunks = 0;
	return -EPROTO;
}

/* Reads up to n bytes from p->at on; those that there are, or -EIO. */
static ssize_t take(struct dat_pages *p, void *to, size_t n)
{
	ssize_t got;

	n = (size_t)MIN((uint64_t)n, p->end - p->at);
	got = pread(p->d->fd, to, n, (off_t)p->at);
	if (got < 0)
		return -EIO;
	p->at += (uint64_t)got;
	return got;
}

static int next_window(struct dat_pages *p)
{
	size_t page = p->b->page_bytes;
	ssize_t got;

	if (p->at >= p->end)
		return 0;
	if (dat_room(&p->buf, &p->cap, MAX(page, WINDOW / page * page)) < 0)
		return -ENOMEM;
	p->pos = p->len = 0;
	got = take(p, p->buf, p->cap);
	if (got < 0)
		return (int)got;
	p->len = (size_t)got;
	return got > 0;
}

static int next_chunk(struct dat_pages *p)
{
	uint8_t raw[8];
	struct dat_in in = {.d = (struct trace_dat *)(uintptr_t)p->d, .mem = raw, .end = 8};
	uint32_t csize, usize;
	int e;

	if (!p->started) {
		p->started = true;
		if (p->at >= p->end)
			return 0;
		if (take(p, raw, 4) != 4)
			return bad(p, "the number of chunks is cut off");
		p->chunks = dat_u32(&in);
		in.at = 0;
	}
	if (p->chunks == 0)
		return 0;
	p->chunks--;
	p->page_at = p->at;
	if (take(p, raw, 8) != 8)
		return bad(p, "a chunk is cut off");
	csize = dat_u32(&in);
	usize = dat_u32(&in);
	if (csize > DAT_MAX_CHUNK || usize > DAT_MAX_CHUNK || usize == 0)
		return bad(p, "a chunk's size makes no sense");
	if (csize > p->end - p->at)
		return bad(p, "a chunk is cut off");
	if (dat_room(&p->packed, &p->packed_cap, csize + 1u) < 0 ||
		dat_room(&p->buf, &p->cap, usize) < 0)
		return -ENOMEM;
	if (take(p, p->packed, csize) != (ssize_t)csize)
		return -EIO;
	p->pos = p->len = 0;
	e = dat_unpack(p->d, &p->zstd, p->packed, csize, p->buf, usize);
	if (e == -EPROTO) {
		p->why = "a chunk cannot be unpacked";
		return e; /* the next may be whole */
	}
	if (e < 0)
		return e;
	p->len = usize;
	return 1;
}

int dat_pages_next(struct dat_pages *p, const uint8_t **ret, size_t *ret_len)
{
	size_t page = p->b->page_bytes;

	if (p->pos >= p->len) {
		int e = p->b->compressed ? next_chunk(p) : next_window(p);

		if (e <= 0)
			return e;
	}
	if (!p->b->compressed)
		p->page_at = p->at - p->len + p->pos;
	*ret = p->buf + p->pos;
	*ret_len = MIN(page, p->len - p->pos);
	p->pos += page;
	return 1;
}

uint64_t dat_pages_count(const struct dat_pages *p)
{
	return p->b->compressed ? 0 : (p->c->size + p->b->page_bytes - 1) / p->b->page_bytes;
}

bool dat_pages_go(struct dat_pages *p, uint64_t n)
{
	if (n >= dat_pages_count(p))
		return false;
	p->at = p->c->offset + n * p->b->page_bytes;
	p->len = p->pos = 0;
	return true;
}
