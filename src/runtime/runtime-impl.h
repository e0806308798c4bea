/* What the files of the runtime share with each other; nobody else includes this.
 *
 * Who runs what:
 *	any thread, any signal handler	fire.c, thread.c, context.c: lock-free, no libc
 *	constructors and destructors	registry.c under rt.lock
 *	the control thread		host.c, message.c, apply.c, patch.c, rings.c, grace.c
 *	fork handlers			fork.c
 * All state hangs on the one global `rt`: fire() is called with nothing but a slot.
 *
 * Lock: rt.lock guards everything below that is not marked otherwise. It is taken with all signals
 * blocked, is never taken in fire(), nests in nothing, and nothing that may sleep on another
 * thread (pthread_create, a full socket, dl_*) is called under it.
 */
#ifndef CAIRN_RUNTIME_IMPL_H
#define CAIRN_RUNTIME_IMPL_H

#include "abi/msg.h"
#include "abi/ring.h"
#include "base/atomic.h"
#include "ring/producer-quick.h"
#include "runtime/sys.h"
#include <cairn/site.h>
#include <linux/rseq.h>
#include <linux/stat.h>

#define RT_HIDDEN __attribute__((visibility("hidden")))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#if defined(__x86_64__)
#define RT_RSEQ_SIGNATURE 0x53053053
#else
#define RT_RSEQ_SIGNATURE 0xd428bc00
#endif

/* ---- threads (thread.c) ---- */

#define RT_REGIONS 8 /* stack regions of 64 KiB remembered as this thread's own */
#define RT_REGION_SHIFT 16
#define RT_SOLO_CACHE 8

struct rt_set;
struct perf_event_mmap_page;

enum rt_clock { /* of a thread (clock.c) */
	RT_CLOCK_TSC,
	RT_CLOCK_CALL, /* rdtsc would kill it, and so would the vDSO */
	RT_CLOCK_NONE, /* system calls, too */
};

/* A thread's slot, in memory of the runtime that is never freed. Written by the thread itself but
 * where said. */
struct rt_thread {
	/* Stack pointer of the outermost fire() the thread is in; 0: in none. Stored at entry,
	 * restored at exit; the control thread scans it after a membarrier (grace.c). */
	uintptr_t active;
	uint32_t gen; /* == *rt.gen: tid, pid and rseq below are right */
	int32_t tid, pid;
	int32_t shown_tid, shown_pid; /* the same as the host sees them (thread.c) */
	int32_t introduced; /* the shown_tid under which the thread has said who it is (fire.c) */
	uint32_t ids; /* rt.ids when these were learnt */
	uint32_t
		muted; /* != 0: fires nothing (the control thread; a thread inside our own libc calls) */
	/* That of `regions` in which the thread fired last; 0: look at these. In memory of its own
	 * that the child of a fork finds zeroed. */
	uintptr_t *region;
	uint32_t clock; /* enum rt_clock */
	struct rseq *rseq; /* NULL: none; solo rings then */
	uintptr_t regions[RT_REGIONS];
	uint32_t busy; /* ring_append_solo's flag */
	uint32_t owner; /* tid of the owner, 0: free. CAS by claimers */
	struct {
		uint64_t serial; /* of the set */
		const struct ring_producer *ring;
	} solo[RT_SOLO_CACHE];
	uint32_t nsolo; /* ever cached; next goes to nsolo % RT_SOLO_CACHE */
	uint64_t quiet; /* grace.c: newest grace number at which the thread was seen outside */
	struct {
		uint64_t key; /* of the counter; stored after the page */
		struct perf_event_mmap_page *page; /* NULL: cannot be read */
	} perf[CAIRN_CTX_PERF_MAX]; /* perf.c: hardware counters opened by perf_tid */
	uint32_t nperf, perf_gen;
	int32_t perf_tid;
	struct rseq own_rseq __attribute__((aligned(64)));
};

struct rt_thread_chunk {
	struct rt_thread_chunk *next;
	uint32_t n;
	struct rt_thread threads[] __attribute__((aligned(64)));
};

extern RT_HIDDEN __thread struct rt_thread *rt_self __attribute__((tls_model("initial-exec")));

/* What the fast path of fire() needs of the slot. Written by the thread itself. */
struct rt_quick {
	uintptr_t *region; /* the slot's; of a thread without, one that no stack is in */
	struct rseq *rseq; /* the slot's; one that has no CPU instead of none, or without the TSC */
	uint64_t tid; /* shown_tid in the upper half */
};
extern RT_HIDDEN __thread struct rt_quick rt_quick __attribute__((tls_model("initial-exec")));

/* The calling thread's slot, made on first use; NULL without memory. Signal-safe. */
struct rt_thread *rt_thread_new(void);
/* Makes tid, pid, rseq right after fork, vfork or on first use of a stack region. False: the
 * caller borrows another task's thread area and must not write. Signal-safe. */
bool rt_thread_verify(struct rt_thread *t, uintptr_t sp);
/* The rseq area libc registered for the calling thread, or NULL. */
struct rseq *rt_libc_rseq(void);
/* Who fires next on `t` is looked at again. A store a region, any thread. */
void rt_thread_forget_regions(struct rt_thread *t);
void rt_threads_forget_regions(void); /* of all threads */
void rt_thread_set_quick(struct rt_thread *t); /* the caller's, after a change of rseq or clock */
bool rt_thread_is_dead(int32_t pid, int32_t tid);

/* ---- clocks (clock.c) ---- */

void rt_clock_ask(struct rt_thread *t); /* the calling thread's clock, from the kernel */
void rt_clock_set(struct rt_thread *t, enum rt_clock clock);
/* Before and after a thread makes a system call (two arguments of it) that may change its clock. */
void rt_clock_before(long call, long a, long b);
void rt_clock_after(long call, long a, long b, long result);
uint64_t rt_clock_now(void); /* CLOCK_MONOTONIC for the calling thread; 0: refused */
/* ring_set_producer.now for threads that may not read the TSC */
uint64_t rt_clock_monotonic(const struct ring_set_producer *set);
uint64_t rt_clock_as_tsc(const struct ring_set_producer *set);

/* ---- rings (rings.c) ---- */

/* Address space of a ring set. Recycled, never unmapped: guarded by rt.lock. */
struct rt_area {
	struct rt_area *next_free;
	uint8_t *base; /* header, control pages, then each ring twice */
	uint64_t bytes;
};

/* One ring set as this process writes to it. Fields above the line are fixed before the set is
 * reachable by writers. */
struct rt_set {
	const struct ring_set_producer *p; /* owned */
	const struct ring_set_producer *called; /* owned; the same for RT_CLOCK_CALL; NULL: none */
	uint32_t contexts, perf_count;
	uint32_t ctx_bytes;
	uint32_t kind;
	uint64_t serial; /* unique in the process: addresses are used again */
	struct cairn_perf_ctx perf[CAIRN_CTX_PERF_MAX];
	uint64_t *stall; /* owned; per ring: read_pos at the last time-out, ~0: none. Any writer */
	/* ---- */
	struct rt_set *solo; /* twin for threads without rseq; release/acquire */
	struct rt_set *next;
	struct rt_conn *conn; /* borrowed; NULL: its host is gone, or left; by rt_set_hosted() */
	struct rt_conn *left; /* borrowed; the host that we left: in force until it gives another */
	uint64_t block_ns; /* longest wait, while there is a host */
	uint32_t number; /* the host's */
	int fd; /* of the control thread's table; -1 after fork */
	uint64_t dev, ino; /* of the memfd */
	uint64_t session_id, bytes;
	uint32_t channel_id, domain_id;
	uint32_t
		thread_event; /* id + 1 of the event by which threads introduce themselves, 0: none */
	struct rt_area *area; /* owned */
	uint32_t nrings; /* that it has of rt.rings_mapped */
	uint32_t closing; /* it was left and is replaced: closed when nobody is in it any more */
};

/* Maps the ring set in fd (of `bytes` bytes), every header field checked. Takes fd on success.
 * 0, -EPROTO, -ENOMEM... */
int rt_set_map(int fd, const struct cairn_msg_ringset *m, struct rt_set **ret);
void rt_set_retire(struct rt_set *s); /* writers stop; wakes blocked ones */
/* It is c's now; NULL: its host is gone, and nobody waits for room any more, or left. */
void rt_set_hosted(struct rt_set *s, struct rt_conn *c);
void rt_set_recycle(struct rt_set *s); /* after a grace period */

/* ---- events and modules (registry.c) ---- */

struct rt_sink {
	const struct rt_set *set;
	uint32_t id;
	uint32_t reserved;
};

/* What a cairn_slot's `sinks` points to: immutable while published, freed after grace. */
struct rt_sinks {
	/* The first member, as fire() takes one for the other. If the only sink has no context but
	 * the tid, and rings for ring_append_quick(): those, for payloads that the stack had room
	 * for. */
	struct ring_target quick;
	uint32_t n;
	struct rt_sink sink[];
};

struct rt_want { /* one enabling in force */
	struct rt_set *set;
	uint32_t id;
};

struct rt_event { /* one distinct description; lives as long as the process */
	uint32_t number;
	uint32_t nsites; /* in modules that are loaded */
	uint32_t hash;
	uint32_t next; /* number + 1 of the next in its hash bucket */
	struct cairn_desc *desc; /* owned copy */
	struct rt_sinks *sinks; /* owned; what the slots point to */
	struct rt_sinks *old; /* owned; within rt_apply(): what they pointed to */
	struct rt_want *wants; /* owned */
	uint32_t nwants, cap;
	uint32_t gone; /* 1: a module with it was unloaded; its slots may live on at exit */
	uint32_t dirty; /* wants changed, sinks not yet */
	uint32_t failed; /* sites that could not be switched by the last rt_apply() */
	uint64_t changed; /* rt.changes when nsites last changed */
};

struct rt_site {
	uintptr_t nop; /* 0: not patchable */
	uintptr_t target;
	struct cairn_slot *slot;
	uint32_t event;
	uint8_t on, failed, written;
};

struct rt_module {
	struct rt_module *next;
	struct cairn_module *m; /* borrowed from the program */
	struct rt_site *sites; /* owned; by address */
	uint32_t nsites;
	uint32_t dirty; /* has sites to switch */
};

#define RT_HASH_BUCKETS 1024

/* Switches everything that is dirty: sinks, slots, sites. Control thread, under the lock. */
void rt_apply(void);
/* Adds or removes one enabling; 0, -ENOENT, -ENOMEM. The effect comes with rt_apply(). */
int rt_event_want(uint32_t number, struct rt_set *set, uint32_t id);
int rt_event_unwant(uint32_t number, struct rt_set *set);
void rt_set_unwant(struct rt_set *set); /* removes all enablings on it */
struct rt_event *rt_event_get(uint32_t number);
/* Switches all sites of m whose state differs from their event's (patch.c). */
void rt_patch_module(struct rt_module *m);
/* One instruction to be replaced (patch.c); for hooks. */
#define RT_CODE_WAITING 1
#define RT_CODE_WRITTEN 2
struct rt_code {
	uintptr_t at;
	uint8_t from[5], to[5]; /* -EBUSY if there is something else */
	int err; /* result: 0 or -errno */
};
/* Replaces all it can. Those of one page in one go. */
void rt_patch_codes(struct rt_code *c, uint32_t n);

/* ---- memory (memory.c): under rt.lock; zeroed; NULL without memory ---- */

void *rt_alloc(size_t n);
void rt_free(void *p);

/* ---- lock (memory.c) ---- */

uint64_t rt_lock(void); /* returns the signal mask to give back */
void rt_unlock(uint64_t mask);

/* ---- grace (grace.c): under rt.lock ---- */

/* Calls fn(p) (under the lock) once every thread that was in fire() has left it. Without memory
 * for the note, p is leaked. */
void rt_defer(void (*fn)(void *p), void *p);
void rt_grace_restart(void); /* every append section in flight starts again */
bool rt_grace_poll(void); /* true: something still waits; call again soon */
bool rt_grace_wait(uint32_t ms); /* until all threads have been outside, at most so long */
void rt_grace_init(void);

/* ---- hosts (host.c, message.c, control.c) ---- */

struct rt_out { /* one message waiting to be sent */
	struct rt_out *next;
	int fd; /* to pass; owned; -1: none */
	uint32_t len;
	uint8_t data[];
};

enum rt_conn_state {
	RT_CONN_NEW, /* not tried, or to be tried again */
	RT_CONN_UP,
	RT_CONN_REFUSED, /* nobody listens; worth another look when the directory changes */
	RT_CONN_NEVER, /* declined, died or misbehaved: never return to this socket */
};

struct rt_conn { /* one socket of a host, connected or not */
	struct rt_conn *next;
	enum rt_conn_state state;
	int fd; /* -1: not connected */
	uint64_t dev, ino, born; /* of the socket file */
	char path[108];
	uint32_t seq;
	uint32_t forked; /* the next HELLO is that of a fork child */
	uint32_t scan; /* rt.scan when last found */
	uint32_t tries; /* connects that did not succeed */
	uint32_t sync_out; /* a SYNC is unanswered */
	uint64_t told; /* rt.changes that EVENTS were sent up to */
	uint64_t sync_seq; /* rt.changes at the unanswered SYNC */
	uint64_t synced; /* rt.changes at the last answered SYNC */
	struct rt_out *out, **out_last; /* owned */
	size_t out_bytes;
};

/* All under the lock, by the control thread. */
void rt_conn_hello(struct rt_conn *c); /* HELLO, HAVE..., EVENTS, SYNC */
void rt_conn_news(struct rt_conn *c); /* EVENTS and GONE that it has not heard, SYNC */
/* One message has come; fd: passed with it, taken. */
void rt_conn_message(struct rt_conn *c, const uint8_t *data, size_t len, int fd);
void rt_conn_send(
	struct rt_conn *c, enum cairn_msg_type type, const void *data, size_t len, int fd);
void rt_conn_flush(struct rt_conn *c);
/* Ends the connection. Its rings and enablings stay in force, for a new host. */
void rt_conn_end(struct rt_conn *c);
/* The same, to connect again as somebody else: rings and enablings stay in force, each until the host
 * has given others for it, and until it has answered. */
void rt_conn_leave(struct rt_conn *c);
bool rt_peer_is_right(
	int fd, const char *path); /* may what listens at path be our host? (peer.c) */
bool rt_uid_is_unmapped(uint32_t uid); /* of users that our namespace does not know */
bool rt_conn_reachable(const struct rt_conn *c); /* could it be connected now, as we are now? */
/* Handles what has come, but not for ever: true if there may be more. */
bool rt_conn_read(struct rt_conn *c);
void rt_set_close(struct rt_set *s); /* out of force at once; recycled after grace */
void rt_hosts_scan(void); /* finds hosts, connects, forgets sockets that are gone */
bool rt_hosts_changed(void); /* where hosts appear, since the last call */
void rt_conns_inherited(void); /* in a fork child: what of connections is true there */
bool rt_hosts_exist(void); /* is a look worth a thread? Any thread, no lock */
bool rt_hosts_expected(void); /* the link to the runtime is left for hosts to come */

/* Starts the control thread unless there is one, or nothing for it to do. True: there is one. Not
 * under the lock. */
void rt_ids_from(int fd); /* control thread: CAIRN_MSG_PROC has come; takes fd (thread.c) */
void rt_ids_forget(void); /* what was lent is not in this table of descriptors */
bool rt_control_start(void);
/* Ends it, if it is of this process and not of a vfork child's parent; it does not start again until
 * rt.stop is 0. Recording goes on. False: there was none. */
bool rt_control_stop(void);
void rt_control_wake(void);
void rt_hooks_set(bool on); /* hooks.c; under the lock */
void rt_control_run(void); /* the thread's body (control.c); returns when told to stop */

enum rt_hook {
	RT_HOOK_VFORK,
	RT_HOOK_UNSHARE,
	RT_HOOK_SETNS,
	RT_HOOK_PRCTL,
	RT_HOOK_SYSCALL,
	RT_HOOKS
};

/* ---- the state ---- */

struct rt_state {
	/* Read by fire(). Fixed after rt_init() but where said. */
	uint32_t *gen; /* in a MADV_WIPEONFORK page; 0 in a new child; CAS by whoever sees it */
	struct rt_thread_chunk *chunks; /* grows at the head; CAS */
	uint32_t home_gen; /* generation whose registry is sound: not so in a child of raw fork */
	/* CLOCK_MONOTONIC without a system call, or NULL */
	uint64_t (*clock)(const struct ring_set_producer *set);
	uint32_t last_gen; /* fetch_add by fork detectors */
	uint32_t nobody; /* threads in fire() that got no slot; atomic */
	uint64_t cgroup; /* inode of the process's cgroup; the control thread stores */

	uint32_t lock_word;
	uint32_t ready; /* rt_init() done; release/acquire */
	uint32_t no_rseq, no_tsc, no_restart, secure;
	/* Where threads learn the host's ids of them; "" in the host's own pid namespace. ids counts
	 * changes: release by the control thread, acquire by threads; number n stands in [n % 2]. */
	uint32_t ids;
	char ids_path[2][96];
	int ids_fd[2]; /* owned; what the paths name, in the control thread's table; 0: none */
	uint32_t waits; /* dormant: hosts are waited for even if there is no sign of one */
	uint32_t wait_ms; /* longest that a registration waits for hosts */

	struct rt_module *modules;
	struct rt_event **events; /* owned; by number - 1 */
	uint32_t nevents, cap_events;
	uint32_t buckets[RT_HASH_BUCKETS]; /* event number, 0: empty */
	uint64_t changes; /* counts registrations and unregistrations */
	uint64_t
		synced; /* futex-waited (low half) by constructors: changes answered by all hosts */

	struct rt_set *sets; /* all mapped sets */
	struct rt_area *free_areas;
	uint64_t area_bytes; /* of all areas: they are never unmapped */
	uint32_t rings_mapped; /* of all sets */
	uint64_t last_serial;
	struct rt_conn *conns;
	uint32_t scan;
	uint32_t uid; /* effective, when hosts were last looked for */
	uint32_t control_state; /* 0: no control thread, 1: starting or running; atomic */
	uint32_t stop; /* the control thread shall end; atomic */
	int32_t control_tid; /* 0: not running; atomic */
	uint32_t rescan; /* look for hosts */
	uint64_t hosts_seen; /* rt_hosts_changed(): what it saw; 0: look again */
	uint32_t retry; /* a host was busy: look again, 1: soon, 2: at leisure */
	uint32_t dormant;
	uintptr_t hook_at[RT_HOOKS]; /* libc's functions; 0: not there */
	char env_rundir[96]; /* $CAIRN_RUNDIR */
	char env_host[108]; /* $CAIRN_HOST */
};
extern RT_HIDDEN struct rt_state rt;

int rt_init(void); /* once does it; under no lock; 0 or -errno */
int rt_init_core(void); /* the part without libc; under the lock */
void rt_fire(struct cairn_slot *slot, void *payload, uint32_t size, const void *ip);
void *rt_scratch(uint32_t size);
void rt_scratch_done(void *payload);
int rt_scratch_init(void);
/* Fills contexts of `set` into buf (ctx_bytes). Signal-safe. */
uint64_t rt_perf_read(struct rt_thread *t, const struct cairn_perf_ctx *perf);
/* The process's name; rereads the cgroup. Control thread. */
void rt_process_comm(char comm[16]);
void rt_process_cgroup(void);
void rt_contexts(struct rt_thread *t, const struct rt_set *set, const void *ip, uint8_t *buf);

#endif
