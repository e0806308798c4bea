/* Ring sets: making them, mapping them, opening what others made.
 *
 * Owns the memory of struct ringset. A memfd is sealed against shrinking, so nobody can take
 * memory away under us (SIGBUS); its pages are allocated here, so that the host and not the traced
 * program is charged. Each ring's data is mapped twice in a row; the second mapping is left out of
 * core dumps. What is opened instead of made is checked field by field before anything is mapped:
 * ringset-check.c. Whatever cannot be mapped safely is copied.
 */
#include "base/atomic.h"
#include "base/base.h"
#include "ring/ringset-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

static uint64_t clock_now(uint32_t clock)
{
#if defined(__x86_64__)
	if (clock == CAIRN_CLOCK_TSC)
		return __builtin_ia32_rdtsc();
#endif
	return now_ns(CLOCK_MONOTONIC);
}

static size_t ctl_bytes(const struct cairn_ringset_hdr *h)
{
	return (size_t)h->nrings * CAIRN_RING_PAGE;
}

uint64_t ringset_bytes(const struct ringset *s)
{
	return s->hdr.data_offset + (uint64_t)s->hdr.nrings * s->hdr.ring_bytes;
}

int ringset_fd(const struct ringset *s)
{
	return s->fd;
}

const struct cairn_ringset_hdr *ringset_hdr(const struct ringset *s)
{
	return &s->hdr;
}

/* ---- memory ---- */

static struct ringset *ringset_alloc(const struct cairn_ringset_hdr *h)
{
	struct ringset *s = calloc(1, sizeof(*s) + h->nrings * sizeof(s->rings[0]));

	if (!s)
		return NULL;
	s->hdr = *h;
	s->shared = &s->hdr;
	s->fd = -1;
	return s;
}

void ringset_free(struct ringset *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->hdr.nrings; i++) {
		if (s->rings[i].mirror)
			(void)munmap(s->rings[i].mirror, 2 * s->hdr.ring_bytes);
		free(s->rings[i].copy);
	}
	if (s->mapped && s->shared != &s->hdr)
		(void)munmap(s->shared, s->hdr.ctl_offset);
	if (s->mapped && s->ctl)
		(void)munmap(s->ctl, ctl_bytes(&s->hdr));
	if (!s->mapped)
		free(s->ctl);
	free(s->meta);
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s);
}

/* Maps ring i's data twice in a row. */
static int map_mirror(struct ringset *s, uint32_t i)
{
	size_t size = s->hdr.ring_bytes;
	off_t at = (off_t)(s->hdr.data_offset + i * s->hdr.ring_bytes);
	uint8_t *p =
		mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	s->rings[i].mirror = p;
	for (int half = 0; half < 2; half++)
		if (mmap(p + half * size, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			    s->fd, at) == MAP_FAILED)
			return -errno;
	(void)madvise(p + size, size, MADV_DONTDUMP); /* only makes core files larger */
	return 0;
}

static void point_rings(struct ringset *s)
{
	for (uint32_t i = 0; i < s->hdr.nrings; i++)
		s->rings[i].ctl = (struct cairn_ring_ctl *)(s->ctl + (size_t)i * CAIRN_RING_PAGE);
}

/* Maps the header, the metadata (so that a core file has it), the control pages and all data of
 * s->fd. */
static int map_all(struct ringset *s)
{
	void *p = mmap(NULL, s->hdr.ctl_offset, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	s->mapped = true;
	s->shared = p;
	p = mmap(NULL, ctl_bytes(&s->hdr), PROT_READ | PROT_WRITE, MAP_SHARED, s->fd,
		(off_t)s->hdr.ctl_offset);
	if (p == MAP_FAILED)
		return -errno;
	s->ctl = p;
	point_rings(s);
	for (uint32_t i = 0; i < s->hdr.nrings; i++) {
		int err = map_mirror(s, i);

		if (err < 0)
			return err;
	}
	return 0;
}

/* ---- making one ---- */

static int make_fd(const struct ringset_config *cfg)
{
	AUTO(free) char *path = NULL;
	int fd;

	if (!cfg->dir) {
		unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
		/* a name of this set alone: recover finds its mappings in core files by it */
		char name[64];

		(void)snprintf(name, sizeof(name), "cairn-ring-%llx-%u-%u%s", /* fits */
			(unsigned long long)cfg->session_id, cfg->channel_id, cfg->domain_id,
			cfg->kind == CAIRN_RING_SOLO ? "s" : "");
		fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
		if (fd < 0 && errno == EINVAL) /* kernels before 6.3 */
			fd = memfd_create(name, flags);
		return fd < 0 ? -errno : fd;
	}
	if (asprintf(&path, "%s/cairn-%llx-%u-%u%s-XXXXXX.ring", cfg->dir,
		    (unsigned long long)cfg->session_id, cfg->channel_id, cfg->domain_id,
		    cfg->kind == CAIRN_RING_SOLO ? "s" : "") < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = mkostemps(path, 5, O_CLOEXEC); /* mode 0600 */
	return fd < 0 ? -errno : fd;
}

/* Gives the file its size and its pages: all but the metadata's, which pwrite allocates. A file on
 * disk gets them in any case: writers must not meet a full disk in a store. */
static int allocate(int fd, const struct cairn_ringset_hdr *h, bool data)
{
	off_t total = (off_t)(h->data_offset + h->nrings * h->ring_bytes);
	off_t from = (off_t)h->ctl_offset;
	int err;

	if (ftruncate(fd, total) < 0)
		return -errno;
	/* where the file system has no such call, libc writes to each block */
	err = posix_fallocate(fd, 0, CAIRN_RING_PAGE);
	if (!err)
		err = posix_fallocate(fd, from, data ? total - from : (off_t)ctl_bytes(h));
	return -err;
}

static uint64_t round_ring_bytes(uint64_t want)
{
	uint64_t bytes = CAIRN_RING_MIN;

	while (bytes < want && bytes < CAIRN_RING_MAX)
		bytes *= 2;
	return bytes;
}

static void fill_header(struct cairn_ringset_hdr *h, const struct ringset_config *cfg)
{
	*h = (struct cairn_ringset_hdr){
		.magic = CAIRN_RINGSET_MAGIC,
		.layout = CAIRN_RING_LAYOUT,
		.kind = cfg->kind,
		.mode = cfg->mode,
		.clock = cfg->clock,
		.nrings = cfg->nrings,
		.contexts = cfg->contexts,
		.ring_bytes = round_ring_bytes(cfg->ring_bytes),
		.block_ns = cfg->block_ns,
		.meta_offset = CAIRN_RING_PAGE,
		.meta_bytes = CAIRN_RING_META,
		.ctl_offset = CAIRN_RING_PAGE + CAIRN_RING_META,
		.session_id = cfg->session_id,
		.channel_id = cfg->channel_id,
		.thread_event = cfg->thread_event,
		.domain_id = cfg->domain_id,
		.perf_count = cfg->perf_count,
		.host_pid = getpid(),
		.boundary = sizeof(*h),
	};
	h->data_offset = h->ctl_offset + ctl_bytes(h);
	memcpy(h->perf, cfg->perf, sizeof(h->perf));
	memcpy(h->trace_uuid, cfg->trace_uuid, sizeof(h->trace_uuid));
	(void)snprintf(h->session, sizeof(h->session), "%s", cfg->session ? cfg->session : "");
	(void)snprintf(h->channel, sizeof(h->channel), "%s", cfg->channel ? cfg->channel : "");
}

/* The rings begin empty, now: the first packet begins at this time. */
static void begin_rings(struct ringset *s)
{
	uint64_t now = clock_now(s->hdr.clock);

	for (uint32_t i = 0; i < s->hdr.nrings; i++) {
		struct ring_state *r = &s->rings[i];

		r->ctl->ts_upper = now;
		r->ctl->cut[0] = (struct cairn_ring_cut){0, now};
		r->ctl->cut[1] = (struct cairn_ring_cut){UINT64_MAX, now};
		r->cut_ts = r->view_ts = now;
	}
	*s->shared = s->hdr;
}

int ringset_create(const struct ringset_config *cfg, struct ringset **ret)
{
	struct cairn_ringset_hdr h;
	struct ringset *s;
	int err;

	if (cfg->ring_bytes > CAIRN_RING_MAX)
		return -EINVAL;
	fill_header(&h, cfg);
	err = ringset_check(&h, h.data_offset + (uint64_t)h.nrings * h.ring_bytes);
	if (err < 0)
		return -EINVAL;
	s = ringset_alloc(&h);
	if (!s)
		return -ENOMEM;
	s->fd = make_fd(cfg);
	err = s->fd < 0 ? s->fd : allocate(s->fd, &h, cfg->prefault || cfg->dir);
	if (err == 0 && !cfg->dir &&
		fcntl(s->fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		err = -errno;
	if (err == 0)
		err = map_all(s);
	if (err < 0) {
		ringset_free(s);
		return err;
	}
	begin_rings(s);
	*ret = s;
	return 0;
}

/* ---- opening one ---- */

enum backing { BACKING_MAP, BACKING_COPY };

/* May fd be mapped without the danger that it is cut short under us? */
static int backing_of(int fd, const struct stat *st, enum backing *ret)
{
	int seals = fcntl(fd, F_GET_SEALS), flags = fcntl(fd, F_GETFL);
	const int wanted = F_SEAL_SHRINK | F_SEAL_GROW;

	if (!S_ISREG(st->st_mode) || flags < 0)
		return -EPERM;
	if (seals >= 0 && (seals & wanted) == wanted && (flags & O_ACCMODE) == O_RDWR)
		*ret = BACKING_MAP;
	else if (st->st_nlink == 0)
		return -EPERM; /* an unsealed memfd, or a deleted file */
	else if ((flags & O_ACCMODE) == O_RDONLY)
		*ret = BACKING_COPY;
	else if (st->st_uid == geteuid() && (st->st_mode & 022) == 0)
		*ret = BACKING_MAP;
	else
		return -EPERM;
	return 0;
}

static int read_at(int fd, void *to, size_t len, uint64_t at)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(fd, (char *)to + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EPROTO;
		done += (size_t)n;
	}
	return 0;
}

/* Where consumption goes on: read_pos, and the time of that cut. */
static void resume_rings(struct ringset *s)
{
	for (uint32_t i = 0; i < s->hdr.nrings; i++) {
		struct ring_state *r = &s->rings[i];

		r->cut_pos = r->view_pos = load_acquire(&r->ctl->read_pos);
		for (unsigned int slot = 0; slot < 2; slot++) {
			/* pairs with [release] in consumer.c */
			if (load_acquire(&r->ctl->cut[slot].pos) != r->cut_pos)
				continue;
			r->cut_slot = slot;
			r->cut_ts = r->view_ts = load_relaxed(&r->ctl->cut[slot].ts);
		}
	}
}

static int load_meta(struct ringset *s, const uint8_t *image)
{
	uint64_t len = s->hdr.meta_len;

	s->meta = malloc(len + 1);
	if (!s->meta)
		return -ENOMEM;
	s->meta_len = len;
	s->meta[len] = 0;
	if (!image)
		return read_at(s->fd, s->meta, len, s->hdr.meta_offset);
	memcpy(s->meta, image + s->hdr.meta_offset, len);
	return 0;
}

static int copy_ctl(struct ringset *s, const uint8_t *image)
{
	s->ctl = malloc(ctl_bytes(&s->hdr));
	if (!s->ctl)
		return -ENOMEM;
	point_rings(s);
	if (!image)
		return read_at(s->fd, s->ctl, ctl_bytes(&s->hdr), s->hdr.ctl_offset);
	memcpy(s->ctl, image + s->hdr.ctl_offset, ctl_bytes(&s->hdr));
	return 0;
}

static int open_checked(
	int fd, const struct cairn_ringset_hdr *h, enum backing backing, struct ringset **ret)
{
	struct ringset *s = ringset_alloc(h);
	int err;

	if (!s) {
		(void)close(fd);
		return -ENOMEM;
	}
	s->fd = fd;
	err = backing == BACKING_MAP ? map_all(s) : copy_ctl(s, NULL);
	if (err == 0)
		err = load_meta(s, NULL);
	if (err < 0) {
		ringset_free(s);
		return err;
	}
	resume_rings(s);
	*ret = s;
	return 0;
}

int ringset_open(int fd, struct ringset **ret)
{
	struct cairn_ringset_hdr h;
	enum backing backing = BACKING_COPY;
	struct stat st;
	int err = fstat(fd, &st) < 0 ? -errno : 0;

	if (err == 0)
		err = backing_of(fd, &st, &backing);
	if (err == 0)
		err = read_at(fd, &h, sizeof(h), 0);
	if (err == 0)
		err = ringset_check(&h, (uint64_t)st.st_size);
	if (err < 0) {
		(void)close(fd);
		return err;
	}
	return open_checked(fd, &h, backing, ret);
}

int ringset_from_memory(
	const void *image, size_t len, const uint8_t *const *data, struct ringset **ret)
{
	struct cairn_ringset_hdr h;
	struct ringset *s;
	int err;

	if (len < sizeof(h))
		return -EPROTO;
	memcpy(&h, image, sizeof(h));
	err = ringset_check(&h, UINT64_MAX);
	if (err < 0)
		return err;
	if (len < h.data_offset)
		return -EPROTO;
	s = ringset_alloc(&h);
	if (!s)
		return -ENOMEM;
	err = copy_ctl(s, image);
	if (err == 0)
		err = load_meta(s, image);
	if (err < 0) {
		ringset_free(s);
		return err;
	}
	for (uint32_t i = 0; i < h.nrings; i++)
		s->rings[i].image = data[i];
	resume_rings(s);
	*ret = s;
	return 0;
}

/* ---- what is beside the rings ---- */

const uint8_t *ring_linear(struct ringset *s, uint32_t ring, uint64_t pos, uint64_t len)
{
	struct ring_state *r = &s->rings[ring];
	uint64_t size = s->hdr.ring_bytes, off = pos & (size - 1), first = MIN(len, size - off);
	uint64_t at = s->hdr.data_offset + ring * size;

	if (r->mirror)
		return r->mirror + off;
	if (!r->copy && !(r->copy = malloc(size)))
		return NULL;
	if (r->image) {
		memcpy(r->copy, r->image + off, first);
		memcpy(r->copy + first, r->image, len - first);
		return r->copy;
	}
	if (s->fd < 0 || read_at(s->fd, r->copy, first, at + off) < 0 ||
		read_at(s->fd, r->copy + first, len - first, at) < 0)
		return NULL;
	return r->copy;
}

void ringset_close(struct ringset *s)
{
	store_release(&s->shared->closed, 1); /* writers look in each append: no pair is needed */
}

void ringset_set_rate(struct ringset *s, const struct cairn_rate *rate)
{
	struct cairn_ring_rate *page = (void *)((char *)s->shared + CAIRN_RING_RATE_OFFSET);
	uint32_t next;

	if (s->shared == &s->hdr || s->hdr.clock != CAIRN_CLOCK_TSC)
		return;
	next = load_relaxed(&page->current) + 1;
	next += next == 0; /* which says that there is none */
	page->entry[next % 2] = *rate;
	store_release(&page->current, next); /* pairs with [rate] in runtime/clock.c */
}

int ringset_set_meta(struct ringset *s, const char *text, size_t len)
{
	size_t same = 0, limit = MIN(len, s->meta_len);
	char *copy;

	if (len > s->hdr.meta_bytes)
		return -ENOSPC;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	copy[len] = 0;
	while (same < limit && s->meta[same] == text[same])
		same++;
	for (size_t done = same; s->fd >= 0 && done < len;) {
		ssize_t n =
			pwrite(s->fd, text + done, len - done, (off_t)(s->hdr.meta_offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			free(copy);
			return n < 0 ? -errno : -EIO;
		}
		done += (size_t)n;
	}
	free(s->meta);
	s->meta = copy;
	s->meta_len = s->hdr.meta_len = len;
	store_release(&s->shared->meta_len, len); /* read after a crash only: no pair is needed */
	return 0;
}

const char *ringset_meta(const struct ringset *s, size_t *ret_len)
{
	*ret_len = s->meta_len;
	return s->meta ? s->meta : "";
}
