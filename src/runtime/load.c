/* The one file of the runtime that calls libc: at load, to start the control thread, around fork.
 *
 * fork: the prepare handler takes rt.lock, so the child's registry is whole. The child inherits
 * rings and enablings and goes on recording at once; its descriptors to hosts stayed behind in the
 * parent's control thread. If there was one, the child starts its own, which says HELLO as FORKED.
 */
#include "runtime/runtime-impl.h"
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_STACK (64u << 10)

static uint64_t fork_mask; /* the forking thread's; guarded by rt.lock */

/* ---- rseq, as libc registered it ---- */

static ptrdiff_t rseq_offset;
static unsigned int rseq_size;

static void find_rseq(void)
{
#ifdef CAIRN_RT_STATIC
	extern const ptrdiff_t __rseq_offset __attribute__((weak));
	extern const unsigned int __rseq_size __attribute__((weak));
	const ptrdiff_t *offset = &__rseq_offset;
	const unsigned int *size = &__rseq_size;
#else
	const ptrdiff_t *offset = dlsym(RTLD_DEFAULT, "__rseq_offset");
	const unsigned int *size = dlsym(RTLD_DEFAULT, "__rseq_size");
#endif

	if (offset && size) {
		rseq_offset = *offset;
		rseq_size = *size;
	}
}

#ifndef CAIRN_RT_STATIC
struct symbols { /* of one object, by its dynamic section */
	uintptr_t base;
	const ElfW(Sym) * table;
	const char *names;
	const uint32_t *hash; /* DT_GNU_HASH */
};

static uint32_t hash_of(const char *name)
{
	uint32_t h = 5381;

	for (; *name; name++)
		h = h * 33 + (uint8_t)*name;
	return h;
}

/* DT_GNU_HASH: nbuckets, first symbol, words of the filter, its shift; filter, buckets, chains. */
static uintptr_t find_symbol(const struct symbols *s, const char *name)
{
	uint32_t h = hash_of(name), first = s->hash[1];
	const uint32_t *buckets = s->hash + 4 + 2 * s->hash[2], *chain = buckets + s->hash[0];

	for (uint32_t i = buckets[h % s->hash[0]]; i >= first; i++) {
		const ElfW(Sym) *sym = &s->table[i];

		if ((chain[i - first] | 1) == (h | 1) && sym->st_shndx &&
			(sym->st_info & 15) == STT_FUNC &&
			strcmp(s->names + sym->st_name, name) == 0)
			return s->base + sym->st_value;
		if (chain[i - first] & 1)
			break;
	}
	return 0;
}

/* Libc's own functions are wanted, whoever hides them: a preloaded wrapper, a sanitizer. Libc is found
 * by a function that nobody hides. (Not by dlopen, which allocates; nor does dlsym take a handle that
 * is not dlopen's.) */
static bool find_libc(struct symbols *ret)
{
	extern __typeof__(dladdr1) dladdr1 __attribute__((weak)); /* of glibc */
	void *inside = dlsym(RTLD_DEFAULT, "__libc_start_main");
	struct link_map *map = NULL;
	Dl_info info;

	if (!dladdr1 || !inside || !dladdr1(inside, &info, (void **)&map, RTLD_DL_LINKMAP) || !map)
		return false;
	*ret = (struct symbols){.base = map->l_addr};
	for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_SYMTAB) /* the loader has added the base */
			ret->table = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_STRTAB)
			ret->names = (const void *)d->d_un.d_ptr;
		else if (d->d_tag == DT_GNU_HASH)
			ret->hash = (const void *)d->d_un.d_ptr;
	}
	return ret->base && ret->hash && ret->hash[0] && (uintptr_t)ret->table > ret->base &&
		(uintptr_t)ret->names > ret->base && (uintptr_t)ret->hash > ret->base;
}
#endif

static void find_hooks(void)
{
#ifdef CAIRN_RT_STATIC
	extern pid_t vfork(void) __attribute__((weak));
	extern int unshare(int flags) __attribute__((weak));
	extern int setns(int fd, int type) __attribute__((weak));
	extern int prctl(int option, ...) __attribute__((weak));
	extern long syscall(long number, ...) __attribute__((weak));

	rt.hook_at[RT_HOOK_VFORK] = (uintptr_t)vfork;
	rt.hook_at[RT_HOOK_UNSHARE] = (uintptr_t)unshare;
	rt.hook_at[RT_HOOK_SETNS] = (uintptr_t)setns;
	rt.hook_at[RT_HOOK_PRCTL] = (uintptr_t)prctl;
	rt.hook_at[RT_HOOK_SYSCALL] = (uintptr_t)syscall;
#else
	static const char *const name[RT_HOOKS] = {[RT_HOOK_VFORK] = "vfork",
		[RT_HOOK_UNSHARE] = "unshare",
		[RT_HOOK_SETNS] = "setns",
		[RT_HOOK_PRCTL] = "prctl",
		[RT_HOOK_SYSCALL] = "syscall"};
	struct symbols libc;
	bool found = find_libc(&libc);

	for (int i = 0; i < RT_HOOKS; i++)
		rt.hook_at[i] = found ? find_symbol(&libc, name[i])
				      : (uintptr_t)dlsym(RTLD_DEFAULT, name[i]);
#endif
}

struct rseq *rt_libc_rseq(void)
{
	return rseq_size ? (struct rseq *)((char *)__builtin_thread_pointer() + rseq_offset) : NULL;
}

static uint64_t clock_vdso(const struct ring_set_producer *set)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the control thread ---- */

static void *control_main(void *arg)
{
	rt_control_run();
	return arg;
}

static bool start_thread(void)
{
	sigset_t all, before;
	pthread_attr_t attr;
	pthread_t thread;
	int err, saved = errno;

	sigfillset(&all);
	if (pthread_attr_init(&attr))
		return false;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, CONTROL_STACK);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	err = pthread_create(&thread, &attr, control_main, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	errno = saved;
	return err == 0;
}

bool rt_control_start(void)
{
	struct rt_thread *t = rt_self ? rt_self : rt_thread_new();
	uint32_t none = 0, muted;
	bool ok;

	if (load_acquire(&rt.control_state))
		return true;
	if (!t || (!rt_hosts_exist() && !rt_hosts_expected()))
		return false;
	if (!cas_acq_rel(&rt.control_state, &none, 1))
		return true;
	muted = t->muted; /* what libc does for us is not the program's doing */
	t->muted = 1;
	store_relaxed(t->region, 0); /* where the fast path does not look at `muted` */
	t->gen = 0;
	ok = start_thread();
	t->muted = muted;
	if (!ok)
		store_release(&rt.control_state, 0);
	return ok;
}

/* ---- the end of the first thread ---- */

/* A process ends with its last thread, which shall not be ours: when the first one ends alone, by
 * pthread_exit(), we stop before it. Libc then counts the others right, and the last of them ends the
 * process as untraced, with its descriptors. Not called on exit(). */
static pthread_key_t first_thread;
static bool has_key;

static void on_first_thread_end(void *arg)
{
	(void)arg;
	(void)rt_control_stop();
}

static void mark_first_thread(void)
{
	if (has_key && gettid() == getpid())
		(void)pthread_setspecific(first_thread, &rt); /* else the thread finds out late */
}

/* ---- fork ---- */

static void before_fork(void)
{
	uint64_t mask = rt_lock();

	fork_mask = mask;
}

static void after_fork_parent(void)
{
	rt_unlock(fork_mask);
}

static void after_fork_child(void)
{
	bool had = load_acquire(&rt.control_state) || load_acquire(&rt.stop);

	store_release(rt.gen, fetch_add_relaxed(&rt.last_gen, 1) + 1);
	store_release(&rt.home_gen, *rt.gen);
	rt_threads_forget_regions(); /* for kernels that do not wipe */
	store_release(&rt.control_tid, 0);
	store_release(&rt.control_state, 0);
	store_release(&rt.stop, 0); /* this thread is the first of a process now */
	mark_first_thread();
	rt_conns_inherited();
	rt_unlock(fork_mask);
	if (had)
		(void)rt_control_start(); /* without it, the child records but takes no orders */
}

/* ---- load ---- */

/* $CAIRN_WAIT_MS, which `cairn record` gives its command, which it started to be traced: how long a
 * start may wait for a busy host. */
static uint32_t wait_ms(const char *text)
{
	uint32_t ms = 0;

	if (!text || !*text)
		return CAIRN_SYNC_WAIT_MS;
	for (; *text >= '0' && *text <= '9' && ms < CAIRN_SYNC_WAIT_MAX_MS; text++)
		ms = ms * 10 + (uint32_t)(*text - '0');
	return ms < CAIRN_SYNC_WAIT_MAX_MS ? ms : CAIRN_SYNC_WAIT_MAX_MS;
}

static void read_environment(void)
{
	const char *host = getenv("CAIRN_HOST"), *dir = getenv("CAIRN_RUNDIR");
	const char *set = getenv("CAIRN_RT");
	size_t len = 0, dir_len = 0;

	rt.wait_ms = CAIRN_SYNC_WAIT_MS;
	rt.secure = getauxval(AT_SECURE) != 0;
	if (rt.secure)
		return;
	rt.waits = set && *set && !host; /* the per-user setting (cairn-dormant(1)) */
	rt.wait_ms = wait_ms(getenv("CAIRN_WAIT_MS"));
	if (host)
		rt_append(rt.env_host, sizeof(rt.env_host), &len, host);
	if (dir)
		rt_append(rt.env_rundir, sizeof(rt.env_rundir), &dir_len, dir);
}

static void init_threads(void)
{
	static uint32_t done;
	uint32_t none = 0;

	if (!cas_acq_rel(&done, &none, 1))
		return;
	/* without memory for it: children are raw ones */
	(void)pthread_atfork(before_fork, after_fork_parent, after_fork_child);
	has_key = pthread_key_create(&first_thread, on_first_thread_end) == 0;
	mark_first_thread();
}

int rt_init(void)
{
	static uint32_t failed;
	uint64_t mask;
	int err = 0;

	if (load_acquire(&rt.ready))
		return failed ? -12 /* ENOMEM */ : 0;
	read_environment(); /* no dl_* under the lock; who else is here writes the same */
	find_rseq();
	find_hooks();
	mask = rt_lock();
	if (!rt.ready) {
		rt.clock = clock_vdso;
		err = rt_init_core();
		failed = err != 0;
		store_release(&rt.ready, 1); /* pairs with the check above */
	}
	rt_unlock(mask);
	if (!err && !failed)
		init_threads();
	return failed ? -12 : 0;
}
