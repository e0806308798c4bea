/* Mapping ring sets, and giving their addresses to the next.
 *
 * A ring set is mapped as: header page, control pages, then each ring's data twice in a row, so
 * that a record never wraps. The header is copied first and only the copy is believed; every size
 * is checked against the file's before it is used. Memfds must be sealed against shrinking, so
 * that a host cannot take memory away from under us. Files (--ring-dir) cannot be: they must belong
 * to root or to us, and whoever cuts one short kills the programs that record to it. What all
 * hosts together may have mapped is limited: addresses and mappings are the program's.
 *
 * A writer may sleep in a page fault inside an append, and its address must stay ours: a set that
 * is done with is first retired (writers stop), and after a grace period its addresses are
 * overmapped with nothing and kept for the next set of the same size.
 */
#include "runtime/runtime-impl.h"
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/stat.h>

#define PAGE CAIRN_RING_PAGE
#define MAX_RINGS 8192u /* of one set */
#define MAX_RINGS_MAPPED 16384u /* two mappings each: half of what the kernel allows a process */
#define MAX_AREA_BYTES (1ull << 45) /* of 47 bits */
#define EPROTO 71
#define EPERM 1
#define ENOMEM 12
#define KNOWN_CONTEXTS ((1u << CAIRN_CTX_PERF) - 1)

static bool header_is_valid(const struct cairn_ringset_hdr *h, uint64_t file_bytes)
{
	uint64_t ctl_bytes = (uint64_t)h->nrings * PAGE;

	if (h->magic != CAIRN_RINGSET_MAGIC || h->layout != CAIRN_RING_LAYOUT ||
		h->boundary != sizeof(*h) || h->kind > CAIRN_RING_SOLO ||
		h->mode > CAIRN_MODE_BLOCK || h->clock > CAIRN_CLOCK_MONOTONIC)
		return false;
	if (!h->nrings || h->nrings > MAX_RINGS || h->ring_bytes < CAIRN_RING_MIN ||
		h->ring_bytes > CAIRN_RING_MAX || (h->ring_bytes & (h->ring_bytes - 1)))
		return false;
	if (h->perf_count > CAIRN_CTX_PERF_MAX ||
		(h->contexts & ~(KNOWN_CONTEXTS | 1u << CAIRN_CTX_PERF)))
		return false;
	if (h->ctl_offset % PAGE || h->data_offset % PAGE || h->ctl_offset < PAGE ||
		h->ctl_offset > file_bytes || ctl_bytes > file_bytes - h->ctl_offset)
		return false;
	return h->data_offset >= h->ctl_offset + ctl_bytes && h->data_offset <= file_bytes &&
		h->nrings * h->ring_bytes <= file_bytes - h->data_offset;
}

/* Memory that nobody can take away: sealed, which only memory can be; else a file that is still in
 * its directory (an unsealed memfd is in none), which nobody may change but root and we. */
static bool is_lasting(long seals, const struct statx *st)
{
	if (seals >= 0 && (seals & F_SEAL_SHRINK))
		return true;
	return st->stx_nlink && !(st->stx_mode & 022) &&
		(st->stx_uid == 0 ||
			(!rt.secure && (st->stx_uid == rt.uid || rt_uid_is_unmapped(st->stx_uid))));
}

static int read_header(
	int fd, const struct cairn_msg_ringset *m, struct cairn_ringset_hdr *ret, struct statx *st)
{
	long seals =
		SYS(fcntl, fd, F_GET_SEALS); /* first: the size that is read is then for good */

	if (SYS(statx, fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, st) < 0)
		return -EPROTO;
	if ((st->stx_mode & 0170000) != 0100000 /* S_IFREG */ || !is_lasting(seals, st))
		return -EPERM;
	if (SYS(pread64, fd, ret, sizeof(*ret), 0) != sizeof(*ret))
		return -EPROTO;
	if (st->stx_size != m->bytes || !header_is_valid(ret, st->stx_size))
		return -EPROTO;
	if (ret->kind != m->kind || ret->session_id != m->session_id)
		return -EPROTO;
	return 0;
}

/* ---- addresses ---- */

static struct rt_area *area_get(uint64_t bytes)
{
	struct rt_area **at = &rt.free_areas, *a;
	long p;

	for (; *at; at = &(*at)->next_free) {
		if ((*at)->bytes == bytes) {
			a = *at;
			*at = a->next_free;
			return a;
		}
	}
	a = bytes <= MAX_AREA_BYTES - rt.area_bytes ? rt_alloc(sizeof(*a)) : NULL;
	if (!a)
		return NULL;
	p = SYS(mmap, 0, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (SYS_IS_ERR(p)) {
		rt_free(a);
		return NULL;
	}
	a->base = (uint8_t *)p;
	a->bytes = bytes;
	rt.area_bytes += bytes;
	return a;
}

static void area_put(struct rt_area *a)
{
	/* if it fails, the rings stay mapped: harmless */
	(void)SYS(mmap, a->base, a->bytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	a->next_free = rt.free_areas;
	rt.free_areas = a;
}

static long map_at(uint8_t *at, uint64_t bytes, int prot, int fd, uint64_t offset)
{
	long p = SYS(mmap, at, bytes, prot, MAP_SHARED | MAP_FIXED, fd, offset);

	return SYS_IS_ERR(p) ? p : 0;
}

/* Header and metadata (so that a core file of this process decodes), control pages, data. */
static int map_all(struct rt_area *a, int fd, const struct cairn_ringset_hdr *h)
{
	uint64_t ctl_bytes = (uint64_t)h->nrings * PAGE;
	uint8_t *ctl = a->base + h->ctl_offset, *data = ctl + ctl_bytes;
	long err = map_at(a->base, h->ctl_offset, PROT_READ, fd, 0);

	if (!err)
		err = map_at(ctl, ctl_bytes, PROT_READ | PROT_WRITE, fd, h->ctl_offset);
	for (uint32_t i = 0; i < h->nrings && !err; i++) {
		uint64_t offset = h->data_offset + i * h->ring_bytes;

		err = map_at(data, h->ring_bytes, PROT_READ | PROT_WRITE, fd, offset);
		data += h->ring_bytes;
		if (!err)
			err = map_at(data, h->ring_bytes, PROT_READ | PROT_WRITE, fd, offset);
		if (!err) /* once is enough in a core file; advice only */
			(void)SYS(madvise, data, h->ring_bytes, MADV_DONTDUMP);
		data += h->ring_bytes;
	}
	return (int)err;
}

/* ---- sets ---- */

enum who { WHO_ALL, WHO_CALLS }; /* WHO_CALLS: threads with RT_CLOCK_CALL */

static void set_clock(
	struct ring_set_producer *p, uint32_t clock, const struct rt_area *a, enum who who)
{
	p->clock = who == WHO_CALLS ? CAIRN_CLOCK_MONOTONIC : clock;
	p->rate = (const struct cairn_ring_rate *)(a->base + CAIRN_RING_RATE_OFFSET);
	if (who == WHO_CALLS && clock == CAIRN_CLOCK_TSC)
		p->now = rt_clock_as_tsc;
	else if (who == WHO_CALLS || !rt.clock)
		p->now = rt_clock_monotonic;
	else
		p->now = rt.clock;
}

static struct ring_set_producer *make_producer(
	const struct cairn_ringset_hdr *h, const struct rt_area *a, enum who who)
{
	struct ring_set_producer *p = rt_alloc(sizeof(*p) + h->nrings * sizeof(p->rings[0]));
	uint8_t *ctl = a->base + h->ctl_offset, *data = ctl + (uint64_t)h->nrings * PAGE;

	if (!p)
		return NULL;
	p->closed = &((const struct cairn_ringset_hdr *)a->base)->closed;
	p->active = h->nrings;
	p->nrings = h->nrings;
	p->mode = h->mode;
	set_clock(p, h->clock, a, who);
	for (uint32_t i = 0; i < h->nrings; i++) {
		p->rings[i].ctl = (struct cairn_ring_ctl *)(ctl + (uint64_t)i * PAGE);
		p->rings[i].data = data + i * 2 * h->ring_bytes;
		p->rings[i].mask = h->ring_bytes - 1;
		p->rings[i].block_mask = h->ring_bytes / CAIRN_RING_BLOCKS - 1;
	}
	return p;
}

static void set_fill(struct rt_set *s, const struct cairn_ringset_hdr *h, const struct statx *st)
{
	s->contexts = h->contexts & KNOWN_CONTEXTS;
	s->perf_count = h->perf_count;
	s->ctx_bytes = cairn_ctx_bytes(s->contexts, s->perf_count);
	s->kind = h->kind;
	rt_copy(s->perf, h->perf, sizeof(s->perf));
	for (uint32_t i = 0; i < h->nrings; i++)
		s->stall[i] = ~0ull;
	s->dev = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
	s->ino = st->stx_ino;
	s->session_id = h->session_id;
	s->channel_id = h->channel_id;
	s->domain_id = h->domain_id;
	s->thread_event = h->thread_event <= 1u << 30 ? h->thread_event : 0;
	s->bytes = st->stx_size;
	s->block_ns = h->block_ns < CAIRN_RING_BLOCK_NS_MAX ? h->block_ns : CAIRN_RING_BLOCK_NS_MAX;
}

static void set_free(struct rt_set *s)
{
	if (s->area)
		area_put(s->area);
	rt.rings_mapped -= s->nrings;
	rt_free((void *)(uintptr_t)s->p);
	rt_free((void *)(uintptr_t)s->called);
	rt_free(s->stall);
	rt_free(s);
}

static int set_map(
	int fd, const struct cairn_ringset_hdr *h, const struct statx *st, struct rt_set *s)
{
	int err;

	if (h->nrings > MAX_RINGS_MAPPED - rt.rings_mapped)
		return -ENOMEM;
	s->nrings = h->nrings;
	rt.rings_mapped += h->nrings;
	s->stall = rt_alloc(h->nrings * sizeof(uint64_t));
	s->area = area_get(h->ctl_offset + h->nrings * (PAGE + 2 * h->ring_bytes));
	if (!s->stall || !s->area)
		return -ENOMEM;
	err = map_all(s->area, fd, h);
	if (err)
		return err;
	s->p = make_producer(h, s->area, WHO_ALL);
	if (!s->p)
		return -ENOMEM;
	/* without the host's word about the TSC, events of such threads are counted as lost */
	if (h->clock != CAIRN_CLOCK_TSC || load_relaxed(&s->p->rate->current))
		s->called = make_producer(h, s->area, WHO_CALLS);
	set_fill(s, h, st);
	return 0;
}

int rt_set_map(int fd, const struct cairn_msg_ringset *m, struct rt_set **ret)
{
	struct cairn_ringset_hdr h;
	struct statx st;
	struct rt_set *s;
	int err = read_header(fd, m, &h, &st);

	if (err)
		return err;
	s = rt_alloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	err = set_map(fd, &h, &st, s);
	if (err) {
		set_free(s);
		return err;
	}
	s->fd = fd;
	s->serial = ++rt.last_serial;
	*ret = s;
	return 0;
}

static void wake_waiting(const struct ring_set_producer *p)
{
	for (uint32_t i = 0; i < p->nrings; i++) {
		fetch_add_acq_rel(&p->rings[i].ctl->wake, 1); /* who is about to wait, does not */
		(void)SYS(futex, &p->rings[i].ctl->wake, FUTEX_WAKE, 0x7fffffff, 0, 0, 0);
	}
}

void rt_set_retire(struct rt_set *s)
{
	struct ring_set_producer *p = (struct ring_set_producer *)(uintptr_t)s->p;
	struct ring_set_producer *called = (struct ring_set_producer *)(uintptr_t)s->called;

	store_release(&p->active, 0); /* pairs with the check in each append */
	if (called)
		store_release(&called->active, 0); /* pairs with the check in each append */
	wake_waiting(p);
}

void rt_set_hosted(struct rt_set *s, struct rt_conn *c)
{
	struct ring_set_producer *p = (struct ring_set_producer *)(uintptr_t)s->p;

	s->conn = c;
	store_relaxed(&p->block_ns, c || s->left ? s->block_ns : 0);
	if (!p->block_ns && p->mode == CAIRN_MODE_BLOCK)
		wake_waiting(p);
}

static void recycle(void *p)
{
	struct rt_set *s = p;

	set_free(s);
}

void rt_set_recycle(struct rt_set *s)
{
	if (s->fd >= 0)
		(void)SYS(close, s->fd); /* was only mapped */
	s->fd = -1;
	rt_defer(recycle, s);
}
