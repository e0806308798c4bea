/* The runtime's own memory and lock.
 *
 * Memory is for the control side only (registry, hosts), never for fire(): blocks of powers of two
 * from chunks of anonymous memory, kept on free lists per size; large ones are mapped alone. None up
 * to 1 MiB is ever unmapped: a section of fire() that sleeps in a page fault may have looked there
 * (decision 026). A child of fork finds it whole, because the fork handlers hold the lock. The program's malloc is
 * never used: it may be wrapped, and it may be what is being traced.
 */
#include "runtime/runtime-impl.h"
#include <linux/futex.h>
#include <linux/mman.h>

#define CHUNK_BYTES (64u << 10)
#define CLASS_MIN 5 /* 32 bytes, 16 of them the head */
#define CLASS_CHUNK 15 /* 32 KiB: larger ones are no parts of chunks */
#define CLASS_MAX 20 /* 1 MiB: larger ones are unmapped when they are freed */

struct head { /* before each block */
	uint64_t bytes; /* of the block with its head */
	struct head *next_free;
};

static struct {
	struct head *free[CLASS_MAX + 1];
	uint8_t *chunk;
	size_t left;
} pool; /* guarded by rt.lock */

static void *map_pages(size_t n)
{
	long p = SYS(mmap, 0, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return SYS_IS_ERR(p) ? NULL : (void *)p;
}

/* A block of 1 << class bytes, zeroed. */
static struct head *take(uint32_t class)
{
	struct head *h = pool.free[class];
	size_t n = (size_t)1 << class;

	if (h) {
		pool.free[class] = h->next_free;
		rt_zero(h, n);
		return h;
	}
	if (class > CLASS_CHUNK)
		return map_pages(n);
	if (pool.left < n) {
		uint8_t *chunk = map_pages(CHUNK_BYTES);

		if (!chunk)
			return NULL;
		pool.chunk = chunk; /* what was left of the old one is given up */
		pool.left = CHUNK_BYTES;
	}
	h = (struct head *)pool.chunk;
	pool.chunk += n;
	pool.left -= n;
	return h;
}

static uint32_t class_of(size_t n)
{
	uint32_t class = CLASS_MIN;

	while (class < CLASS_MAX && ((size_t)1 << class) < n)
		class ++;
	return class;
}

void *rt_alloc(size_t n)
{
	struct head *h;

	if (n > ((size_t)1 << 40))
		return NULL;
	n += sizeof(*h);
	if (n > (1u << CLASS_MAX)) {
		n = (n + 4095) & ~(size_t)4095;
		h = map_pages(n);
	} else {
		uint32_t class = class_of(n);

		n = (size_t)1 << class;
		h = take(class);
	}
	if (!h)
		return NULL;
	h->bytes = n;
	return h + 1;
}

void rt_free(void *p)
{
	struct head *h;
	uint32_t class;

	if (!p)
		return;
	h = (struct head *)p - 1;
	if (h->bytes > (1u << CLASS_MAX)) {
		(void)SYS(munmap, h, h->bytes); /* ours and whole: cannot fail */
		return;
	}
	class = class_of(h->bytes);
	h->next_free = pool.free[class];
	pool.free[class] = h;
}

/* ---- the lock: 0 free, 1 held, 2 held and waited for ---- */

#define NO_MASK (~0ull) /* refused, by seccomp: nothing to give back. SIGKILL is in no mask */

uint64_t rt_lock(void)
{
	uint64_t all = ~0ull, mask = 0;
	uint32_t old = 0;

	if (SYS(rt_sigprocmask, 0 /* SIG_BLOCK */, &all, &mask, sizeof(mask)) < 0)
		mask = NO_MASK;
	if (cas_acq_rel(&rt.lock_word, &old, 1))
		return mask;
	while (exchange_acq_rel(&rt.lock_word, 2) != 0)
		(void)SYS(futex, &rt.lock_word, FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
	return mask;
}

void rt_unlock(uint64_t mask)
{
	if (exchange_acq_rel(&rt.lock_word, 0) == 2)
		(void)SYS(futex, &rt.lock_word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
	if (mask != NO_MASK) /* cannot fail: it has just worked */
		(void)SYS(rt_sigprocmask, 2 /* SIG_SETMASK */, &mask, 0, sizeof(mask));
}
