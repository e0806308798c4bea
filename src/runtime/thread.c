/* Threads as fire() sees them: a slot each, found by one thread-local pointer.
 *
 * Slots lie in chunks that are never freed, so that the grace scan may read any of them at any
 * time. A slot belongs to the thread whose tid is in `owner`; slots of dead threads are taken
 * over when no free one is left. Everything here is async-signal-safe and wait-free but for
 * retried CAS.
 *
 * Who is running? The thread-local pointer is not enough: after fork the tid is another, and
 * tasks made by vfork or clone(CLONE_VM) share the pointer with the thread that made them. So a
 * slot is verified (one gettid) when the process's generation changed, and when the stack pointer
 * is in a 64 KiB region where it has not been seen. The region seen last is all that the fast path
 * looks at: it stands in memory that is zero in the child of a fork.
 */
#include "runtime/runtime-impl.h"
#include <linux/mman.h>

#define CHUNK_BYTES (32u << 10)
#define HOME_BYTES CAIRN_RING_PAGE /* after a chunk: a cache line a slot, zero in fork children */
#define HOME_LINE 64u
#define RSEQ_AREA_BYTES 32
#define PROC_MAGIC 0x9fa0

__thread struct rt_thread *rt_self __attribute__((tls_model("initial-exec")));

static uintptr_t no_region; /* stays 0 */
__thread struct rt_quick rt_quick
	__attribute__((tls_model("initial-exec"))) = {.region = &no_region};

/* Of threads without: no ring is that of its CPU. They all write rseq_cs, which nobody reads. */
static struct rseq no_rseq = {.cpu_id = (uint32_t)RSEQ_CPU_ID_UNINITIALIZED};

_Static_assert((CHUNK_BYTES / sizeof(struct rt_thread)) * HOME_LINE <= HOME_BYTES, "a line each");

void rt_thread_forget_regions(struct rt_thread *t)
{
	for (int i = 0; i < RT_REGIONS; i++)
		store_relaxed(&t->regions[i], 0);
	fence_seq_cst(); /* with the one in is_known() of fire.c */
	store_relaxed(t->region, 0);
}

void rt_threads_forget_regions(void)
{
	for (struct rt_thread_chunk *c = load_acquire(&rt.chunks); c; c = c->next)
		for (uint32_t i = 0; i < c->n; i++)
			rt_thread_forget_regions(&c->threads[i]);
}

void rt_thread_set_quick(struct rt_thread *t)
{
	rt_quick.rseq = t->rseq && t->clock == RT_CLOCK_TSC ? t->rseq : &no_rseq;
}

bool rt_thread_is_dead(int32_t pid, int32_t tid)
{
	return SYS(tgkill, pid, tid, 0) == -3 /* ESRCH */;
}

static struct rt_thread *claim_free(uint32_t tid)
{
	for (struct rt_thread_chunk *c = load_acquire(&rt.chunks); c; c = c->next) {
		for (uint32_t i = 0; i < c->n; i++) {
			uint32_t owner = load_relaxed(&c->threads[i].owner);

			/* our tid: left by a dead thread that had it, or by the frame that this
			 * signal handler interrupted */
			if (owner == tid)
				return &c->threads[i];
			if (!owner && cas_acq_rel(&c->threads[i].owner, &owner, tid))
				return &c->threads[i];
		}
	}
	return NULL;
}

static struct rt_thread *claim_dead(uint32_t tid)
{
	int32_t pid = (int32_t)SYS(getpid);

	for (struct rt_thread_chunk *c = load_acquire(&rt.chunks); c; c = c->next) {
		for (uint32_t i = 0; i < c->n; i++) {
			uint32_t owner = load_relaxed(&c->threads[i].owner);

			if (rt_thread_is_dead(pid, (int32_t)owner) &&
				cas_acq_rel(&c->threads[i].owner, &owner, tid))
				return &c->threads[i];
		}
	}
	return NULL;
}

static struct rt_thread *claim_new(uint32_t tid)
{
	struct rt_thread_chunk *c;
	long p = SYS(mmap, 0, CHUNK_BYTES + HOME_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *home;

	if (SYS_IS_ERR(p))
		return NULL;
	c = (struct rt_thread_chunk *)p;
	home = (uint8_t *)p + CHUNK_BYTES;
	/* refused: as in rt_init_core() */
	(void)SYS(madvise, home, HOME_BYTES, MADV_WIPEONFORK);
	c->n = (CHUNK_BYTES - sizeof(*c)) / sizeof(c->threads[0]);
	for (uint32_t i = 0; i < c->n; i++)
		c->threads[i].region = (uintptr_t *)(home + (size_t)i * HOME_LINE);
	c->threads[0].owner = tid;
	c->next = load_relaxed(&rt.chunks);
	while (!cas_acq_rel(&rt.chunks, &c->next, c)) {
	}
	return &c->threads[0];
}

/* The kernel says whether this very task is registered: asked to register what libc registered,
 * it answers EBUSY. A vfork child that came here first is registered by that, rightly. */
static struct rseq *register_rseq(struct rt_thread *t)
{
	struct rseq *area = rt_libc_rseq();
	long err;

	if (rt.no_rseq)
		return NULL;
	if (!area)
		area = &t->own_rseq;
	err = SYS(rseq, area, RSEQ_AREA_BYTES, 0, RT_RSEQ_SIGNATURE);
	if (err == 0 || err == -16 /* EBUSY */)
		return area;
	return NULL;
}

static void forget_solo(struct rt_thread *t)
{
	for (int i = 0; i < RT_SOLO_CACHE; i++)
		t->solo[i].serial = 0;
}

struct rt_thread *rt_thread_new(void)
{
	long me = SYS(gettid);
	uint32_t tid = (uint32_t)me;
	struct rt_thread *t;

	if (me <= 0) /* seccomp: nobody knows who this is */
		return NULL;
	t = claim_free(tid);
	if (!t)
		t = claim_dead(tid);
	if (!t)
		t = claim_new(tid);
	if (!t)
		return NULL;
	if (rt_self) /* a signal handler was faster, with the same slot */
		return rt_self;
	store_relaxed(&t->active, 0);
	t->gen = 0;
	t->muted = 0;
	t->introduced = 0;
	t->busy = 0;
	forget_solo(t);
	t->rseq = register_rseq(t);
	rt_clock_ask(t);
	rt_thread_set_quick(t);
	store_relaxed(t->region, 0);
	compiler_barrier();
	rt_quick.region = t->region;
	t->tid = 0;
	compiler_barrier();
	rt_self = t;
	return t;
}

static uint32_t generation(void)
{
	uint32_t gen = load_acquire(rt.gen), fresh;

	if (gen)
		return gen;
	fresh = fetch_add_relaxed(&rt.last_gen, 1) + 1;
	if (cas_acq_rel(rt.gen, &gen, fresh))
		return fresh;
	return gen;
}

/* ---- ids as the host sees them ---- */

/* In a pid namespace of our own the host lent us a procfs of its own (session/ids.c). The
 * descriptor is in the control thread's table; any thread, and while we live a fork child too,
 * gets there through that thread's folder in our procfs. */
void rt_ids_from(int fd)
{
	uint32_t n = rt.ids + 1;
	char *path = rt.ids_path[n % 2];
	size_t len = 0, size = sizeof(rt.ids_path[0]);
	long fs[32]; /* struct statfs; its type is first */

	if (SYS(fstatfs, fd, fs) < 0 || fs[0] != PROC_MAGIC) {
		(void)SYS(close, fd); /* anything else might keep threads waiting */
		return;
	}
	if (rt.ids_fd[n % 2]) /* two ago: who still reads its path finds nothing, and says so */
		(void)SYS(close, rt.ids_fd[n % 2]);
	rt.ids_fd[n % 2] = fd;
	rt_append(path, size, &len, "/proc/");
	rt_append_u64(path, size, &len, (uint32_t)SYS(getpid));
	rt_append(path, size, &len, "/task/");
	rt_append_u64(path, size, &len, (uint32_t)SYS(gettid));
	rt_append(path, size, &len, "/fd/");
	rt_append_u64(path, size, &len, (uint32_t)fd);
	rt_append(path, size, &len, "/thread-self");
	store_release(&rt.ids, n); /* pairs with [ids] in learn_ids() */
	fence_seq_cst(); /* with the one in rt_thread_verify(): it sees rt.ids, or is verified again */
	rt_threads_forget_regions();
}

void rt_ids_forget(void)
{
	rt.ids_fd[0] = rt.ids_fd[1] = 0;
}

/* A number of `text` from *at, which moves past it; 0 if there is none. */
static int32_t number(const char *text, long len, long *at)
{
	int32_t v = 0;

	for (; *at < len && text[*at] >= '0' && text[*at] <= '9' && v < 100000000; ++*at)
		v = v * 10 + (text[*at] - '0');
	return v;
}

static void learn_ids(struct rt_thread *t)
{
	uint32_t ids = load_acquire(&rt.ids); /* pairs with [ids] in rt_ids_from() */
	char link[64]; /* "PID/task/TID" */
	long n = 0, at = 0;
	int32_t pid, tid;

	if (ids)
		n = SYS(readlinkat, -100 /* AT_FDCWD */, rt.ids_path[ids % 2], link, sizeof(link));
	pid = number(link, n, &at);
	while (at < n && (link[at] < '0' || link[at] > '9'))
		at++;
	tid = number(link, n, &at);
	t->shown_pid = pid && tid ? pid : t->pid;
	t->shown_tid = pid && tid ? tid : t->tid;
	rt_quick.tid = (uint64_t)(uint32_t)t->shown_tid << 32;
	t->ids = ids;
}

bool rt_thread_verify(struct rt_thread *t, uintptr_t sp)
{
	uintptr_t region = sp >> RT_REGION_SHIFT;
	uint32_t gen = generation();
	int32_t tid = (int32_t)SYS(gettid), was = t->gen == gen ? t->tid : 0;

	if (tid <= 0) /* seccomp */
		return false;
	if (t->gen != gen) { /* first use, or a child of fork */
		if (t->gen && t->tid != tid)
			forget_solo(t);
		t->owner = (uint32_t)tid;
		t->tid = 0;
	}
	/* t->tid == 0: whoever runs is the rightful user. Else only if the one who was is dead:
	 * a vfork child that made the slot. */
	if (t->tid != tid) {
		if (t->tid && !rt_thread_is_dead(t->pid, t->tid))
			return false;
		rt_thread_forget_regions(t);
		t->pid = (int32_t)SYS(getpid);
		t->tid = tid;
	}
	t->gen = gen;
	t->regions[region % RT_REGIONS] = region;
	fence_seq_cst();
	if (was != tid || t->ids != load_relaxed(&rt.ids))
		learn_ids(t);
	return true;
}
