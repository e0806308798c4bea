/* Named memory-order operations.
 *
 * Nothing in Cairn uses a bare access to memory that another thread or process writes: it says
 * the order it needs by name, and each release says by a tag which acquire it pairs with
 * (docs/memory-ordering.md lists the tags, tools/check-mo-tags checks them). Header only, so the
 * freestanding core of the runtime can use it. All of these are async-signal-safe.
 */
#ifndef CAIRN_BASE_ATOMIC_H
#define CAIRN_BASE_ATOMIC_H

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define store_seq_cst(p, v) __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)
#define exchange_acq_rel(p, v) __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL)
#define fetch_or_relaxed(p, v) __atomic_fetch_or((p), (v), __ATOMIC_RELAXED)
#define fetch_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define fetch_add_acq_rel(p, v) __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL)
#define fetch_sub_acq_rel(p, v) __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL)
#define fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
/* orders only against this thread's own signal handlers (and rseq restarts) */
#define compiler_barrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* Stores v if *p is still *expected; returns whether it did, else updates *expected. */
#define cas_acq_rel(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

#endif
