/* Producer and consumer of rings (layout: abi/ring.h; algorithm: ring/producer-section.h; its proof:
 * tests/model).
 *
 * The producer half lives in traced programs: header only or freestanding, no libc. The consumer
 * half lives in session hosts and in `cairn recover`.
 */
#ifndef CAIRN_RING_RING_H
#define CAIRN_RING_RING_H

#include "abi/ring.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- producer ---- */

struct rseq;

/* One ring as a process writes to it: private memory, so that nobody else can bend the addresses.
 * Written by the control thread before it is published, read by writers. Never freed while a
 * writer may sleep inside a section: recycled. */
struct ring_producer {
	struct cairn_ring_ctl *ctl; /* NULL: no such ring */
	uint8_t *data; /* mapped twice in a row */
	uint64_t mask; /* its bytes, a power of two, less 1 */
	uint64_t block_mask; /* those of a block, less 1 */
};

struct ring_set_producer {
	const uint32_t *closed; /* hdr->closed, shared; != 0: retired */
	uint32_t active; /* nrings; 0: retired by this process; checked inside each section */
	uint32_t nrings;
	uint32_t mode; /* enum cairn_ring_mode */
	uint32_t clock; /* enum cairn_clock */
	uint64_t block_ns;
	/* CAIRN_CLOCK_MONOTONIC: reads the time; async-signal-safe. May be NULL with the TSC. The unit
	 * is the ring's: writers whose `clock` is the TSC may share it. */
	uint64_t (*now)(const struct ring_set_producer *set);
	const struct cairn_ring_rate *rate; /* borrowed, shared; for now() */
	struct ring_producer rings[];
};

/* The longest body a ring takes: with the longest header and the slack of copying in words it
 * must fit in a block; and count words want positions to move by less than 16 MiB. */
#define RING_BODY_MAX (1u << 20)
static inline uint64_t ring_max_body(const struct ring_producer *ring)
{
	return ring->block_mask - 31 < RING_BODY_MAX ? ring->block_mask - 31 : RING_BODY_MAX;
}

enum ring_result {
	RING_OK = 0,
	RING_FULL, /* discard or blocking mode, no room; nothing counted: the caller may wait */
	RING_RETIRED, /* closed or not active: nothing written, nothing to count */
	RING_TOO_BIG, /* larger than a block */
	RING_RESTARTS, /* 64 restarts */
	RING_NO_CPU, /* cpu_id < 0 or beyond the rings: thread has no working rseq */
	RING_NESTED, /* solo: interrupted our own append */
};

/* Appends one record of `len` bytes (contexts and payload) with event id `id`. `body` must have 8
 * readable bytes after its end. Async-signal-safe, wait-free but for at most 64 restarts; one
 * store publishes. *ret_ring: the ring it went to or failed on (for counting), or NULL.
 * PERCPU rings, thread registered with rseq area rs. */
enum ring_result ring_append(const struct ring_set_producer *set, struct rseq *rs, const void *body,
	uint32_t len, uint32_t id, const struct ring_producer **ret_ring);
/* SOLO ring that only the calling thread (and its signal handlers) writes; *busy is the thread's
 * flag in its own slot. */
enum ring_result ring_append_solo(const struct ring_set_producer *set,
	const struct ring_producer *ring, volatile uint32_t *busy, const void *body, uint32_t len,
	uint32_t id);
/* Counts a loss (locked add). Async-signal-safe. */
void ring_count_lost(const struct ring_producer *ring, enum cairn_lost why);

/* ---- consumer ---- */

struct ringset_config {
	enum cairn_ring_kind kind;
	enum cairn_ring_mode mode;
	enum cairn_clock clock;
	uint32_t nrings;
	uint64_t ring_bytes; /* rounded up to a power of two within MIN..MAX */
	uint64_t block_ns;
	uint32_t contexts, perf_count;
	struct cairn_perf_ctx perf[CAIRN_CTX_PERF_MAX];
	uint64_t session_id;
	uint32_t channel_id, domain_id;
	uint32_t thread_event; /* as in the header */
	const char *session, *channel;
	uint8_t trace_uuid[16];
	const char *dir; /* NULL: memfd; else a file is made in this directory (--ring-dir) */
	bool prefault; /* charge the memory to the host now */
};

struct ringset; /* one mapped ring set, with private consumer state per ring */

/* Makes, seals, prefaults and maps a new one. 0 or -errno (-ENOMEM, -ENOSPC, -EMFILE...). */
int ringset_create(const struct ringset_config *cfg, struct ringset **ret);
/* Opens an existing one; consumption goes on at read_pos. Its header is checked, every field:
 * -EPROTO if it makes no sense. A sealed memfd, and a file opened for writing that is ours alone,
 * are mapped: a host takes over. A file opened for reading only is copied as it is used: recover.
 * -EPERM: neither (an unsealed memfd could be cut short under us). Takes fd, also on failure. */
int ringset_open(int fd, struct ringset **ret);
/* For `cairn recover`: a ring set found in memory (a core file): `image` holds hdr, meta and ctl;
 * data i is `data[i]`, ring_bytes each (not mirrored; NULL: not found). Borrowed until freed. */
int ringset_from_memory(
	const void *image, size_t len, const uint8_t *const *data, struct ringset **ret);
void ringset_free(struct ringset *s);

int ringset_fd(const struct ringset *s); /* borrowed; -1 if from memory */
uint64_t ringset_bytes(const struct ringset *s);
const struct cairn_ringset_hdr *ringset_hdr(const struct ringset *s); /* a private, checked copy */
void ringset_close(struct ringset *s); /* writers stop */
/* What writers that may not read the TSC go by from now on; nothing without CAIRN_CLOCK_TSC. */
void ringset_set_rate(struct ringset *s, const struct cairn_rate *rate);
/* Replaces the metadata text kept beside the rings; -ENOSPC beyond meta_bytes. */
int ringset_set_meta(struct ringset *s, const char *text, size_t len);
const char *ringset_meta(const struct ringset *s, size_t *ret_len);

/* What the consumer got from one ring: a run of whole records that decodes on its own, the stuff
 * of one packet. */
struct ring_view {
	const uint8_t *data; /* contiguous; valid until the next call for this ring */
	size_t len; /* 0: nothing but news of losses */
	uint64_t begin_pos, end_pos;
	uint64_t begin_ts, end_ts; /* no record outside; the next packet begins at end_ts */
	uint64_t lost[CAIRN_LOST_REASONS]; /* totals of this ring so far */
	uint64_t lost_total; /* sum of lost[] */
};

/* Discard and blocking modes. Cuts a packet at the present position, all that waits (only there is
 * a time known that separates what is before from what comes after). Returns 1: *ret filled, 0:
 * nothing new, -EAGAIN: writers kept moving (bounded retries; try later). A position that makes no
 * sense (backwards, or further than the ring) is survived: counted as CORRUPT and skipped. */
int ring_take(struct ringset *s, uint32_t ring, struct ring_view *ret);
/* Shortens the view just taken to its first `len` bytes, whole records of which the last has time
 * ts. The rest is for the next one, and so are the losses that it told of: they came later. */
void ring_shorten(
	struct ringset *s, uint32_t ring, struct ring_view *view, uint64_t len, uint64_t ts);
/* Gives the space of the last view back to writers and wakes blocked ones. */
void ring_release(struct ringset *s, uint32_t ring);
/* Bytes waiting (an estimate, for polling rates and progress). */
uint64_t ring_pending(const struct ringset *s, uint32_t ring);

/* Adds to the losses of a ring that the consumer counts (DISK). */
void ringset_count_lost(struct ringset *s, uint32_t ring, enum cairn_lost why, uint64_t n);

/* Overwrite mode: copies what is whole at this moment and calls fn for each block, oldest first
 * (one block = one packet). lost[OVERWRITTEN] is exact: the records that no snapshot has had and
 * none will have. Returns blocks, fn's first non-zero, or -errno (-EAGAIN,
 * -ENOMEM; -EPROTO: a position that makes no sense).
 * Also works on discard rings that have no consumer (recover): then fn gets one view. */
int ring_snapshot(struct ringset *s, uint32_t ring,
	int (*fn)(void *arg, const struct ring_view *view), void *arg);

const char *cairn_lost_name(enum cairn_lost why); /* "ring_full"...; NULL if unknown */

#endif
