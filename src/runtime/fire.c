/* fire(): what an enabled site calls. Puts one record into the ring of each session that wants it.
 *
 * Async-signal-safe; no lock, no allocation, no libc, errno untouched. System calls only on a
 * thread's first event, after fork, on a stack region not seen before, for contexts that need
 * one, and in blocking mode. Every record that is not written is counted in a ring, by reason.
 */
#include "ring/producer-quick.h"
#include "runtime/runtime-impl.h"
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/prctl.h>

#define SCRATCH_BUFFERS 16u
#define SCRATCH_HEAD 256u /* room for all contexts */
#define SCRATCH_BYTES (SCRATCH_HEAD + CAIRN_PAYLOAD_MAX + 64u)
#define BOUNCE_MAX (CAIRN_STACK_MAX + SCRATCH_HEAD)
#define NO_STALL (~0ull)

/* ---- large payloads ---- */

/* Who has a buffer, in one word: the thread's tid, and how deep its stack was then. A site that is
 * left by siglongjmp, or whose thread ends in a signal handler, does not give its buffer back:
 * where none is free, such are taken over. */
#define OWNER_SP_SHIFT 6 /* signal frames are larger than what this drops */
#define OWNER_SP_BITS 42

static struct {
	uint8_t *base; /* SCRATCH_BUFFERS of SCRATCH_BYTES each */
	uint64_t owner[SCRATCH_BUFFERS]; /* 0: free; CAS */
} scratch;

int rt_scratch_init(void)
{
	long p = SYS(mmap, 0, SCRATCH_BUFFERS * SCRATCH_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (SYS_IS_ERR(p))
		return (int)p;
	scratch.base = (uint8_t *)p;
	return 0;
}

static bool in_scratch(const void *p)
{
	return (size_t)((const uint8_t *)p - scratch.base) < SCRATCH_BUFFERS * SCRATCH_BYTES;
}

static bool on_signal_stack(void)
{
	struct {
		void *sp;
		int flags;
		size_t size;
	} ss = {0};

	return SYS(sigaltstack, 0, &ss) == 0 && (ss.flags & 1 /* SS_ONSTACK */);
}

static uint64_t scratch_me(void)
{
	const struct rt_thread *t = rt_self;
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0) >> OWNER_SP_SHIFT;
	uint64_t tid = t && t->gen == load_relaxed(rt.gen) ? (uint32_t)t->tid : 0;

	if (!tid)
		tid = (uint64_t)SYS(gettid);
	return tid << OWNER_SP_BITS | (sp & ((1ull << OWNER_SP_BITS) - 1));
}

static bool is_left(uint64_t owner, uint64_t me)
{
	if (owner >> OWNER_SP_BITS == me >> OWNER_SP_BITS) /* were it there, ours would be deeper */
		return owner <= me && !on_signal_stack();
	return rt_thread_is_dead((int32_t)SYS(getpid), (int32_t)(owner >> OWNER_SP_BITS));
}

void *rt_scratch(uint32_t size)
{
	uint64_t me;

	if (size > CAIRN_PAYLOAD_MAX || !scratch.base)
		return NULL;
	me = scratch_me();
	for (uint32_t left = 0; left < 2; left++) {
		for (uint32_t i = 0; i < SCRATCH_BUFFERS; i++) {
			uint64_t owner = load_relaxed(&scratch.owner[i]);

			if ((left ? owner && is_left(owner, me) : !owner) &&
				cas_acq_rel(&scratch.owner[i], &owner, me))
				return scratch.base + i * SCRATCH_BYTES + SCRATCH_HEAD;
		}
	}
	return NULL;
}

void rt_scratch_done(void *payload)
{
	uint32_t i;

	if (!payload || !in_scratch(payload))
		return;
	i = (uint32_t)((size_t)((uint8_t *)payload - scratch.base) / SCRATCH_BYTES);
	store_release(&scratch.owner[i], 0); /* pairs with the CAS in rt_scratch() */
}

/* ---- losses ---- */

static void lose(const struct rt_set *set, const struct ring_producer *ring, enum cairn_lost why)
{
	for (uint32_t i = 0; !ring && i < set->p->nrings; i++)
		if (set->p->rings[i].ctl)
			ring = &set->p->rings[i];
	if (ring)
		ring_count_lost(ring, why);
}

static void lose_all(const struct rt_sinks *sinks, enum cairn_lost why)
{
	for (uint32_t i = 0; sinks && i < sinks->n; i++)
		lose(sinks->sink[i].set, NULL, why);
}

/* ---- solo rings ---- */

static const struct ring_producer *claim_solo(struct rt_thread *t, const struct rt_set *set)
{
	uint64_t me = (uint64_t)(uint32_t)t->tid << 32 | (uint32_t)t->pid;
	const struct ring_set_producer *p = set->p;

	for (uint32_t i = 0; i < p->nrings; i++)
		if (p->rings[i].ctl && load_relaxed(&p->rings[i].ctl->owner) == me)
			return &p->rings[i];
	for (uint32_t dead = 0; dead < 2; dead++) {
		for (uint32_t i = 0; i < p->nrings; i++) {
			uint64_t owner;

			if (!p->rings[i].ctl)
				continue;
			owner = load_relaxed(&p->rings[i].ctl->owner);
			/* of other processes' dead threads the host takes care */
			if (dead ? (uint32_t)owner != (uint32_t)t->pid ||
						!rt_thread_is_dead(t->pid, (int32_t)(owner >> 32))
				 : owner != 0)
				continue;
			if (cas_acq_rel(&p->rings[i].ctl->owner, &owner, me))
				return &p->rings[i];
		}
	}
	return NULL;
}

static const struct ring_producer *solo_ring(struct rt_thread *t, const struct rt_set *set)
{
	const struct ring_producer *ring;
	uint32_t at = t->nsolo % RT_SOLO_CACHE;

	for (uint32_t i = 0; i < RT_SOLO_CACHE; i++)
		if (t->solo[i].serial == set->serial)
			return t->solo[i].ring;
	ring = claim_solo(t, set);
	if (ring) {
		t->solo[at].serial = 0; /* a signal handler finds it whole or not at all */
		compiler_barrier();
		t->solo[at].ring = ring;
		compiler_barrier();
		t->solo[at].serial = set->serial;
		t->nsolo++;
	}
	return ring;
}

/* ---- one record to one session ---- */

struct record {
	const uint8_t *body; /* contexts and payload */
	uint32_t len, id;
	uint32_t may_wait;
};

/* The set as this thread may write to it; NULL: it has no clock for that. */
static const struct ring_set_producer *producer_of(
	const struct rt_thread *t, const struct rt_set *set)
{
	return likely(t->clock == RT_CLOCK_TSC) ? set->p : set->called;
}

/* The set that takes this thread's records: the one of CPUs, or its twin for threads without
 * rseq. */
static enum ring_result append_once(struct rt_thread *t, const struct rt_set **set,
	const struct record *r, const struct ring_producer **ring)
{
	const struct ring_set_producer *p = producer_of(t, *set);
	enum ring_result res = RING_NO_CPU;
	const struct rt_set *solo;

	*ring = NULL;
	if (t->rseq && p)
		res = ring_append(p, t->rseq, r->body, r->len, r->id, ring);
	if (*ring)
		*ring = &(*set)->p->rings[*ring - p->rings];
	if (res != RING_NO_CPU)
		return res;
	solo = load_acquire(&(*set)->solo); /* pairs with [twin] in message.c */
	*ring = solo ? solo_ring(t, solo) : NULL;
	p = solo ? producer_of(t, solo) : NULL;
	if (!*ring || !p)
		return RING_NO_CPU;
	*set = solo;
	return ring_append_solo(p, *ring, &t->busy, r->body, r->len, r->id);
}

/* Blocking mode, ring full: waits for the consumer, at most block_ns. After a time-out nothing
 * waits on this ring until its consumer has moved. Signal handlers on a stack of their own do not
 * wait; others cannot be told from what they interrupted, and wait like it. */
static enum ring_result append_waiting(struct rt_thread *t, const struct rt_set **set,
	const struct record *r, const struct ring_producer **ring)
{
	const struct rt_set *want = *set;
	int64_t began = (int64_t)rt_clock_now();
	int64_t deadline = began + (int64_t)want->p->block_ns;

	if (!began || on_signal_stack())
		return RING_FULL;
	for (;;) {
		struct cairn_ring_ctl *ctl = (*ring)->ctl;
		uint64_t *stall = &(*set)->stall[*ring - (*set)->p->rings];
		uint32_t wake = load_acquire(&ctl->wake);
		enum ring_result res;
		int64_t left;

		if (load_relaxed(stall) == load_relaxed(&ctl->read_pos))
			return RING_FULL;
		fetch_add_acq_rel(&ctl->waiters, 1);
		*set = want;
		res = append_once(t, set, r, ring);
		left = load_relaxed(&want->p->block_ns) ? deadline - (int64_t)rt_clock_now()
							: 0; /* 0: no host */
		if (res == RING_FULL && left > 0 && (*ring)->ctl == ctl) {
			int64_t ts[2] = {left / 1000000000, left % 1000000000};

			(void)SYS(futex, &ctl->wake, FUTEX_WAIT, wake, ts, 0, 0);
		}
		fetch_sub_acq_rel(&ctl->waiters, 1);
		if (res != RING_FULL)
			return res;
		if (left <= 0) {
			store_relaxed(stall, load_relaxed(&ctl->read_pos));
			return RING_FULL;
		}
	}
}

static void append(struct rt_thread *t, const struct rt_set *set, const struct record *r)
{
	static const uint8_t why[] = {
		[RING_TOO_BIG] = CAIRN_LOST_TOO_BIG,
		[RING_RESTARTS] = CAIRN_LOST_RESTARTS,
		[RING_NO_CPU] = CAIRN_LOST_NO_RING,
		[RING_NESTED] = CAIRN_LOST_NESTED,
	};
	const struct ring_producer *ring;
	enum ring_result res = append_once(t, &set, r, &ring);
	bool wait = set->p->mode == CAIRN_MODE_BLOCK;

	if (res == RING_FULL && ring && wait && r->may_wait)
		res = append_waiting(t, &set, r, &ring);
	if (res == RING_OK || res == RING_RETIRED)
		return;
	if (res == RING_FULL)
		lose(set, ring, wait ? CAIRN_LOST_TIMEOUT : CAIRN_LOST_FULL);
	else
		lose(set, ring, producer_of(t, set) ? why[res] : CAIRN_LOST_NO_CLOCK);
}

/* Contexts do not fit before the payload: the whole record is built elsewhere. Apart, for its
 * stack. */
static __attribute__((noinline)) void append_bounced(struct rt_thread *t, const struct rt_sink *s,
	const void *payload, uint32_t size, const void *ip, struct record *r)
{
	uint8_t buf[BOUNCE_MAX + CAIRN_TAILROOM] __attribute__((aligned(8)));
	uint32_t n = s->set->ctx_bytes;
	uint8_t *big = size > CAIRN_STACK_MAX ? rt_scratch(CAIRN_PAYLOAD_MAX) : NULL;
	uint8_t *at = big ? big - SCRATCH_HEAD : buf;

	if (size > CAIRN_STACK_MAX && !big) {
		lose(s->set, NULL, CAIRN_LOST_NESTED);
		return;
	}
	rt_contexts(t, s->set, ip, at);
	rt_copy(at + n, payload, size);
	r->body = at;
	append(t, s->set, r);
	rt_scratch_done(big);
}

static void fire_sink(struct rt_thread *t, const struct rt_sink *s, uint8_t *payload, uint32_t size,
	const void *ip, uintptr_t outer)
{
	uint32_t n = s->set->ctx_bytes;
	struct record r = {payload - n, size + n, s->id, outer == 0};

	if (n > (in_scratch(payload) ? SCRATCH_HEAD : CAIRN_HEADROOM)) {
		append_bounced(t, s, payload, size, ip, &r);
		return;
	}
	rt_contexts(t, s->set, ip, payload - n);
	append(t, s->set, &r);
}

/* ---- who fires ---- */

/* The record by which readers know a thread that ends before anybody could look at it: once for
 * each identity, into every session at hand. Sets stay valid while we are inside (grace.c). */
static __attribute__((noinline)) void introduce(struct rt_thread *t, const void *ip)
{
	struct { /* with no holes */
		uint8_t contexts[SCRATCH_HEAD];
		int32_t pid, tid;
		char comm[16];
		uint8_t tail[CAIRN_TAILROOM];
	} r = {.pid = t->shown_pid, .tid = t->shown_tid};
	uint32_t len = 0;

	t->introduced = t->shown_tid;
	(void)SYS(prctl, PR_GET_NAME, r.comm, 0, 0, 0); /* stays empty if refused */
	while (len < sizeof(r.comm) - 1 && r.comm[len])
		len++;
	for (const struct rt_set *s = load_acquire(&rt.sets); s; s = load_acquire(&s->next)) {
		/* pairs with [sets] in message.c */
		uint8_t *body = (uint8_t *)&r + SCRATCH_HEAD - s->ctx_bytes;
		struct record rec = {body, s->ctx_bytes + 8 + len + 1, s->thread_event - 1, 0};
		const struct ring_producer *ring;
		const struct rt_set *to = s;

		if (s->kind != CAIRN_RING_PERCPU || !s->thread_event)
			continue;
		rt_contexts(t, s, ip, body);
		/* no loss is counted: it is no event of the program's */
		(void)append_once(t, &to, &rec, &ring);
	}
}

/* ---- entry ---- */

/* `active` is set although we are no deeper than the frame that set it: either we run on an
 * alternate signal stack, or that frame is gone by siglongjmp. (From deeper down nobody can tell: it
 * counts as there, and memory waits for it, until the thread fires no deeper than that, or ends.) */
static __attribute__((noinline)) uintptr_t outer_frame(struct rt_thread *t, uintptr_t outer)
{
	if (on_signal_stack())
		return outer;
	t->busy = 0; /* nor is anybody in its solo append any more */
	return 0;
}

static __attribute__((noinline)) void fire_nobody(const struct cairn_slot *slot)
{
	fetch_add_acq_rel(&rt.nobody, 1);
	fence_seq_cst();
	lose_all(load_acquire((struct rt_sinks *const *)&slot->sinks), CAIRN_LOST_NO_RING);
	fetch_sub_acq_rel(&rt.nobody, 1);
}

/* Has the thread fired in this region of its stack before? */
static bool is_known(struct rt_thread *t, uintptr_t region)
{
	if (t->gen != load_relaxed(rt.gen))
		return false;
	store_relaxed(t->region, region);
	fence_seq_cst(); /* with rt_thread_forget_regions(): *region ends as 0, or we see regions[] so */
	return load_relaxed(&t->regions[region % RT_REGIONS]) == region;
}

/* `active` is set. */
static void fire_sinks(struct rt_thread *t, const struct rt_sinks *sinks, uint8_t *payload,
	uint32_t size, const void *ip, uintptr_t sp, uintptr_t outer)
{
	if (t->muted)
		return;
	if (!is_known(t, sp >> RT_REGION_SHIFT)) {
		if (!rt_thread_verify(t, sp)) {
			lose_all(sinks, CAIRN_LOST_FOREIGN);
			return;
		}
		if (t->introduced != t->shown_tid)
			introduce(t, ip);
	}
	if (!payload || size > CAIRN_PAYLOAD_MAX) {
		lose_all(sinks, size > CAIRN_PAYLOAD_MAX ? CAIRN_LOST_TOO_BIG : CAIRN_LOST_NESTED);
		return;
	}
	for (uint32_t i = 0; i < sinks->n; i++)
		fire_sink(t, &sinks->sink[i], payload, size, ip, outer);
}

/* Whatever is not quick. */
static __attribute__((noinline)) void fire_slowly(
	struct cairn_slot *slot, void *payload, uint32_t size, const void *ip)
{
	uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
	struct rt_thread *t = rt_self ? rt_self : rt_thread_new();
	const struct rt_sinks *sinks;
	uintptr_t outer;

	if (!t) {
		fire_nobody(slot);
		return;
	}
	outer = t->active;
	if (outer && sp >= outer && t->clock != RT_CLOCK_NONE)
		outer = outer_frame(t, outer);
	store_relaxed(&t->active, sp);
	compiler_barrier();
	/* pairs with [sinks] in apply.c */
	sinks = load_acquire((struct rt_sinks *const *)&slot->sinks);
	if (t->clock == RT_CLOCK_NONE) /* nor could it call the kernel for anything else */
		lose_all(sinks, CAIRN_LOST_NO_CLOCK);
	else if (sinks)
		fire_sinks(t, sinks, payload, size, ip, sp, outer);
	compiler_barrier();
	store_release(&t->active, outer);
}

static inline __attribute__((always_inline)) uintptr_t stack_pointer(void)
{
#if defined(__x86_64__)
	uintptr_t sp;

	__asm__ volatile("movq %%rsp, %0" : "=r"(sp)); /* spares the fast path a frame */
	return sp;
#else
	return (uintptr_t)__builtin_frame_address(0);
#endif
}

/* The same number in a register of 64 bits, and in no other from here on. */
static inline __attribute__((always_inline)) uint64_t widen(uint32_t n)
{
#if defined(__x86_64__)
	uint64_t wide;

	__asm__("movl %1, %k0" : "=&r"(wide) : "r"(n));
	return wide;
#else
	return n;
#endif
}

/* The fast path is one comparison after the other, with no call but to fire_slowly() at its end: it
 * needs no register that would have to be saved. `active` stays as it is: sinks and rings are only
 * used in a section that grace periods restart. (A payload that is NULL is of a size that no target
 * takes.) */
void rt_fire(struct cairn_slot *slot, void *payload, uint32_t size, const void *ip)
{
	uint64_t len = widen(size);
	/* two stores that are mostly for nothing are better than two registers */
	struct cairn_slot *volatile kept_slot = slot;
	const void *volatile kept_ip = ip;

	/* a plain load, which takes no instruction of its own */
	if (likely(*rt_quick.region == stack_pointer() >> RT_REGION_SHIFT)) {
		/* pairs with [sinks] in apply.c */
		struct ring_quick record = {(const struct ring_target *const *)&slot->sinks,
			&rt_quick.rseq, &rt_quick.tid, payload, len};

		if (likely(ring_append_quick(&record)))
			return;
	}
	fire_slowly(kept_slot, payload, (uint32_t)len, kept_ip);
}
