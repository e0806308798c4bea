/* Probes by BPF: one CPU's BPF ring buffer, read where it is mapped.
 *
 * Pages: the consumer's position (ours), the producer's (the kernel's), the data, and the data once more so that no
 * record is cut. A record: u32 bytes (bit 31: not ready, bit 30: given back), u32, then the bytes, rounded
 * up to 8.
 */
#include "base/atomic.h"
#include "kernel/bpf-impl.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAD 8
#define RECORD_MAX (BRECORD_HEAD + (128u << 10))

int bring_open(struct bring *r, uint64_t size, struct error *e)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *own, *theirs;
	int err;

	memset(r, 0, sizeof(*r));
	r->fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "cairn_ring", 0, 0, (uint32_t)size, NULL);
	if (r->fd < 0)
		return bpf_refused(e, -errno, "BPF ring buffers");
	r->size = size;
	own = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	err = -errno;
	theirs = own == MAP_FAILED
		? MAP_FAILED
		: mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, r->fd, (off_t)page);
	if (own == MAP_FAILED || theirs == MAP_FAILED) {
		err = own == MAP_FAILED ? err : -errno;
		if (own != MAP_FAILED)
			(void)munmap(own, page);
		(void)close(r->fd);
		r->fd = -1;
		return error_set(e, err, "a BPF ring buffer cannot be mapped: %s", strerror(-err));
	}
	r->consumer = own;
	r->producer = theirs;
	r->data = (const uint8_t *)theirs + page;
	return 0;
}

void bring_close(struct bring *r)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!r->consumer)
		return;
	(void)munmap((void *)(uintptr_t)r->consumer, page);
	(void)munmap((void *)(uintptr_t)r->producer, page + 2 * r->size);
	(void)close(r->fd);
	memset(r, 0, sizeof(*r));
}

/* Nearly sorted already: only records that interrupted each other stand in another order. */
static void sort(struct bsorted *s)
{
	for (size_t i = 1; i < s->len; i++) {
		struct kbpf_record r = s->all[i];
		size_t k = i;

		while (k > 0 && s->all[k - 1].t_ns > r.t_ns) {
			s->all[k] = s->all[k - 1];
			k--;
		}
		s->all[k] = r;
	}
}

/* Notes the records that are ready, up to the first that is not. The position behind them. */
static int collect(const struct bring *r, unsigned stacks, struct bsorted *s, uint64_t at,
	uint64_t end, uint64_t *ret)
{
	s->len = 0;
	while (at < end) {
		const uint8_t *head = r->data + (at & (r->size - 1));
		uint32_t word = load_acquire((const uint32_t *)head); /* of the kernel's */
		uint32_t len = word & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		struct kbpf_record *n;

		if (word & BPF_RINGBUF_BUSY_BIT)
			break;
		at += HEAD + ((len + 7ull) & ~7ull);
		if (word & BPF_RINGBUF_DISCARD_BIT)
			continue;
		if (len < BRECORD_HEAD || len > RECORD_MAX)
			return -EPROTO; /* the kernel's own bytes: not to be expected */
		n = VEC_ADD(s->all, s->len, s->cap);
		if (!n)
			return -ENOMEM;
		memcpy(&n->t_ns, head + HEAD, sizeof(n->t_ns));
		n->data = head + HEAD + BRECORD_HEAD;
		n->len = len - BRECORD_HEAD;
		if (bstack_split(stacks, n) < 0)
			return -EPROTO;
	}
	*ret = at;
	return 0;
}

int bring_read(struct bring *r, unsigned stacks, struct bsorted *s, kbpf_record_fn *fn, void *arg)
{
	uint64_t at = load_relaxed(r->consumer), end;
	int err, given = 0;

	end = load_acquire(r->producer);
	err = collect(r, stacks, s, at, end, &at);
	if (err)
		return err;
	sort(s);
	for (size_t i = 0; i < s->len && !err; i++, given++)
		err = fn(arg, &s->all[i]);
	store_release(r->consumer, at); /* the kernel's producers acquire it */
	return err < 0 ? err : given;
}
