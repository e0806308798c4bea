/* Grace periods: when may memory go that a thread inside fire() could still be reading?
 *
 *	writer (control thread)			reader (fire)
 *	unpublish the pointer			active = sp
 *	membarrier(PRIVATE_EXPEDITED)		compiler barrier
 *	scan all slots: active == 0?		load the pointer, use it
 *						active = outer (0)
 *
 * The membarrier makes every running thread's store of `active` visible before the scan, or its
 * load of the pointer later than the unpublishing. What is unpublished is freed later, from a
 * list that the control thread polls; nobody ever waits. Each slot remembers the newest grace
 * number at which it was seen outside, so threads need not be outside all at once.
 *
 * The fast path of fire() does not set `active`: it loads the pointer and uses it inside a
 * restartable section, and the membarrier is one that restarts these (threads that are not running
 * restart when they run again). Kernels without it (before 5.10) have no fast path.
 */
#include "runtime/runtime-impl.h"
#include <linux/membarrier.h>

struct deferred {
	struct deferred *next;
	void (*fn)(void *p);
	void *p;
	uint64_t number;
};

static struct {
	struct deferred *first, **last;
	uint64_t number; /* of the newest deferral */
	uint32_t no_membarrier;
} grace; /* guarded by rt.lock */

void rt_grace_init(void)
{
	grace.last = &grace.first;
	grace.no_membarrier = SYS(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) < 0;
	rt.no_restart = SYS(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0) < 0;
}

void rt_defer(void (*fn)(void *p), void *p)
{
	struct deferred *d;

	if (!p)
		return;
	d = rt_alloc(sizeof(*d));
	if (!d)
		return;
	d->fn = fn;
	d->p = p;
	d->number = ++grace.number;
	*grace.last = d;
	grace.last = &d->next;
}

/* Lowest grace number that all threads have passed. */
static uint64_t scan(uint64_t now)
{
	uint64_t passed = now;
	int32_t pid = (int32_t)SYS(getpid);

	for (struct rt_thread_chunk *c = load_acquire(&rt.chunks); c; c = c->next) {
		for (uint32_t i = 0; i < c->n; i++) {
			struct rt_thread *t = &c->threads[i];
			uint32_t owner = load_acquire(&t->owner);

			if (!owner)
				continue;
			if (!load_acquire(&t->active) || rt_thread_is_dead(pid, (int32_t)owner))
				t->quiet = now;
			else if (t->quiet < passed)
				passed = t->quiet;
		}
	}
	return load_acquire(&rt.nobody) ? 0 : passed;
}

static void nap(int64_t ns)
{
	int64_t ts[2] = {0, ns};

	(void)SYS(nanosleep, ts, 0); /* shorter does no harm */
}

/* A filter of system calls that came later may refuse what was possible. */
static void barrier_all_threads(void)
{
	if (!rt.no_restart && SYS(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0) == 0)
		return;
	rt.no_restart = 1;
	if (!grace.no_membarrier && SYS(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
		return;
	/* far longer than a store stays in a store buffer, or a thread that runs in a section */
	nap(2000000);
}

/* Restarts every section that runs now; sleeping ones restart when they run again. */
void rt_grace_restart(void)
{
	barrier_all_threads();
}

bool rt_grace_wait(uint32_t ms)
{
	uint64_t number = ++grace.number;

	barrier_all_threads();
	for (uint32_t i = 0; scan(number) < number; i++) {
		if (i == ms * 10)
			return false;
		nap(100000);
	}
	return true;
}

bool rt_grace_poll(void)
{
	uint64_t passed;

	if (!grace.first)
		return false;
	barrier_all_threads();
	passed = scan(grace.number);
	while (grace.first && grace.first->number <= passed) {
		struct deferred *d = grace.first;

		grace.first = d->next;
		if (!grace.first)
			grace.last = &grace.first;
		d->fn(d->p);
		rt_free(d);
	}
	return grace.first != NULL;
}
