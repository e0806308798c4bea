/* The producer's view of a ring set for tests and benchmarks: what the runtime does, in short. */
#ifndef CAIRN_TESTS_RING_MAP_H
#define CAIRN_TESTS_RING_MAP_H

#include "ring/ring.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <time.h>

/* This thread's registered area, or NULL. */
static inline struct rseq *thread_rseq(void)
{
	return __rseq_size ? (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset)
			   : NULL;
}

static inline uint64_t monotonic_now(const struct ring_set_producer *set)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Maps the ring set behind s's descriptor once more. Never unmapped but by exit; NULL on error. */
static inline struct ring_set_producer *map_producer(const struct ringset *s)
{
	const struct cairn_ringset_hdr *h = ringset_hdr(s);
	int fd = ringset_fd(s), prot = PROT_READ | PROT_WRITE;
	struct ring_set_producer *set = calloc(1, sizeof(*set) + h->nrings * sizeof(set->rings[0]));
	struct cairn_ringset_hdr *shared = mmap(NULL, 4096, prot, MAP_SHARED, fd, 0);
	uint8_t *ctl = mmap(NULL, h->nrings * 4096ul, prot, MAP_SHARED, fd, (off_t)h->ctl_offset);

	if (!set || shared == MAP_FAILED || ctl == MAP_FAILED)
		return NULL;
	set->closed = &shared->closed;
	set->active = h->nrings;
	set->nrings = h->nrings;
	set->mode = h->mode;
	set->clock = h->clock;
	set->now = monotonic_now;
	for (uint32_t i = 0; i < h->nrings; i++) {
		struct ring_producer *r = &set->rings[i];
		off_t at = (off_t)(h->data_offset + i * h->ring_bytes);

		r->ctl = (struct cairn_ring_ctl *)(ctl + i * 4096ul);
		r->mask = h->ring_bytes - 1;
		r->block_mask = h->ring_bytes / CAIRN_RING_BLOCKS - 1;
		r->data = mmap(
			NULL, 2 * h->ring_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		for (uint64_t half = 0; half < 2; half++)
			if (mmap(r->data + half * h->ring_bytes, h->ring_bytes, prot,
				    MAP_SHARED | MAP_FIXED, fd, at) == MAP_FAILED)
				return NULL;
	}
	return set;
}

#endif
