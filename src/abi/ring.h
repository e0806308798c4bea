/* Layout of a ring set: the shared memory of one channel in one sharing domain.
 *
 * A ring set is one sealed memfd (or a file, with --ring-dir):
 *
 *	offset		 size		 what
 *	0		 3072		 struct cairn_ringset_hdr
 *	3072		 1024		 struct cairn_ring_rate
 *	4096		 meta_bytes	 CTF metadata text so far (written by the host only; sparse),
 *					 so that rings found in a core file or a ring-dir decode
 *	ctl_offset	 nrings * 4096	 struct cairn_ring_ctl, one page a ring
 *	data_offset	 nrings * size	 the rings' data; each is mapped twice in a row
 *
 * Kinds: PERCPU (ring i belongs to CPU i; written inside rseq sections by any process of the
 * domain) and SOLO (a pool of rings for threads without rseq; ring i belongs to the thread that
 * claimed it through `owner`). The two kinds never meet in one ring.
 *
 * Record header (little endian; `form` in the low two bits of the first word):
 *
 *	form 0 dense	 4 bytes	 form:2 id:10 time:20		 time = low bits of T
 *	form 1 sparse	 8 bytes	 form:2 id:10 time:52
 *	form 2 extended	 12 bytes	 form:2 id:30 | time:64
 *	form 3 block	 24 bytes	 form:2 id:30 | time:64 | pad:32 | count:64
 *
 * Ids 0..1023 fit the short forms. Dense is allowed only if pend_pos (count) says pos and
 * T - ts_upper < 2^20, sparse only if < 2^52 and T did not step back. A block header begins each
 * block of an overwrite ring (and of no other): `pad` is the number of unused bytes at the end of
 * the block before it, `count` the number of records published in this ring before this one.
 * After the header: the contexts of the session, in the order of the metadata, then the payload.
 *
 * Positions are free-running byte counts; offset in the data is position & (size - 1).
 * What the other side writes is never trusted: sizes, masks and addresses used for access come
 * from private copies checked once.
 */
#ifndef CAIRN_ABI_RING_H
#define CAIRN_ABI_RING_H

#include <stdint.h>

#define CAIRN_RINGSET_MAGIC 0x474e52314e524943ull /* "CIRN1RNG" */
#define CAIRN_RING_LAYOUT 1
#define CAIRN_RING_PAGE 4096u
#define CAIRN_RING_MIN (64u << 10)
#define CAIRN_RING_MAX (1u << 30)
#define CAIRN_RING_BLOCKS 16u /* blocks of a ring; largest record = one block */
#define CAIRN_RING_META (4u << 20)

enum cairn_ring_mode {
	CAIRN_MODE_DISCARD = 0, /* full: the new record is dropped and counted */
	CAIRN_MODE_OVERWRITE = 1, /* flight recorder: the oldest block goes */
	CAIRN_MODE_BLOCK = 2, /* full: the writer waits, up to block_ns, then discards */
};
#define CAIRN_RING_BLOCK_NS_MAX 10000000000ull /* nobody waits longer, whatever a header says */

enum cairn_ring_kind { CAIRN_RING_PERCPU = 0, CAIRN_RING_SOLO = 1 };

enum cairn_clock { CAIRN_CLOCK_TSC = 0, CAIRN_CLOCK_MONOTONIC = 1 };

/* Why records were lost; indexes ctl.lost. Names in ring/lost-names.c. */
enum cairn_lost {
	CAIRN_LOST_FULL = 0, /* ring full (discard mode) */
	CAIRN_LOST_TIMEOUT = 1, /* blocking mode gave up */
	CAIRN_LOST_TOO_BIG = 2, /* larger than a block, or than CAIRN_PAYLOAD_MAX */
	CAIRN_LOST_RESTARTS = 3, /* interrupted 64 times in a row */
	CAIRN_LOST_NESTED = 4, /* a signal handler inside a solo append, or no scratch memory */
	CAIRN_LOST_NO_RING = 5, /* thread without rseq and no solo ring left */
	CAIRN_LOST_OVERWRITTEN = 6, /* counted by the consumer: gone before a snapshot read it */
	CAIRN_LOST_CORRUPT = 7, /* counted by the consumer: position or contents made no sense */
	CAIRN_LOST_FOREIGN = 8, /* fired by a task that borrows another's thread area */
	CAIRN_LOST_DISK = 9, /* counted by the consumer: read from the ring, could not be written */
	CAIRN_LOST_NO_CLOCK = 10, /* fired by a thread that may not read any clock */
	CAIRN_LOST_REASONS = 16,
};

/* Context fields; the session's set is fixed when a ring set is created. Each is stored in the
 * order of these numbers. */
enum cairn_ctx {
	CAIRN_CTX_TID = 0, /* i32 */
	CAIRN_CTX_PID = 1, /* i32 */
	CAIRN_CTX_COMM = 2, /* char[16] */
	CAIRN_CTX_CPU = 3, /* u32 */
	CAIRN_CTX_NICE = 4, /* i32 */
	CAIRN_CTX_SCHED = 5, /* u32: scheduling class, SCHED_* */
	CAIRN_CTX_CGROUP = 6, /* u64: inode of the cgroup v2 directory, 0 if unknown */
	CAIRN_CTX_IP = 7, /* u64: address of the site */
	CAIRN_CTX_PERF = 8, /* u64 each; perf_count of them, as perf[] says */
};
#define CAIRN_CTX_PERF_MAX 8

/* Bytes of one context; 0: there is no such. PERF: of one counter. */
static inline uint32_t cairn_ctx_size(uint32_t ctx)
{
	static const uint8_t size[] = {
		[CAIRN_CTX_TID] = 4,
		[CAIRN_CTX_PID] = 4,
		[CAIRN_CTX_COMM] = 16,
		[CAIRN_CTX_CPU] = 4,
		[CAIRN_CTX_NICE] = 4,
		[CAIRN_CTX_SCHED] = 4,
		[CAIRN_CTX_CGROUP] = 8,
		[CAIRN_CTX_IP] = 8,
		[CAIRN_CTX_PERF] = 8,
	};

	return ctx < sizeof(size) ? size[ctx] : 0;
}

/* Bytes of all contexts of a record. */
static inline uint32_t cairn_ctx_bytes(uint32_t contexts, uint32_t perf_count)
{
	uint32_t n = perf_count * cairn_ctx_size(CAIRN_CTX_PERF);

	for (uint32_t i = 0; i < CAIRN_CTX_PERF; i++)
		n += contexts >> i & 1 ? cairn_ctx_size(i) : 0;
	return n;
}

struct cairn_perf_ctx {
	uint32_t type; /* perf_event_attr.type */
	uint32_t reserved;
	uint64_t config; /* perf_event_attr.config */
	char name[48]; /* field name in the trace, as "perf_cpu_cycles" */
};

struct cairn_ringset_hdr { /* written by the host before it is shared, but for `closed` */
	uint64_t magic;
	uint32_t layout; /* CAIRN_RING_LAYOUT */
	uint32_t kind; /* enum cairn_ring_kind */
	uint32_t mode; /* enum cairn_ring_mode */
	uint32_t clock; /* enum cairn_clock */
	uint32_t nrings; /* PERCPU: highest possible CPU + 1 */
	uint32_t contexts; /* bit n: enum cairn_ctx n; PERF by perf_count */
	uint64_t ring_bytes; /* a power of two, CAIRN_RING_MIN..MAX */
	uint64_t block_ns; /* blocking mode: longest wait */
	uint64_t meta_offset, meta_bytes;
	uint64_t ctl_offset, data_offset;
	uint64_t session_id; /* unique per host and session */
	uint32_t channel_id; /* its packets are of stream class channel_id + 1; 0: state dump */
	uint32_t domain_id; /* which sharing domain of the session */
	uint32_t closed; /* host: != 0, writers stop (checked in each append) */
	uint32_t perf_count;
	struct cairn_perf_ctx perf[CAIRN_CTX_PERF_MAX];
	uint8_t trace_uuid[16];
	uint64_t meta_len; /* host: bytes of metadata that are valid */
	char session[64];
	char channel[64];
	int32_t host_pid;
	uint32_t boundary; /* size of this struct, for checks */
	/* Id + 1 of the event with which a thread says who it is before its first record here: i32
	 * pid, i32 tid, NUL-terminated comm. 0: not wanted. */
	uint32_t thread_event;
	uint32_t reserved;
};

/* The times in rings with CAIRN_CLOCK_TSC for threads that may not read the TSC: they compute them
 * from CLOCK_MONOTONIC_RAW. The host keeps this right. It writes the entry that is not in use, then
 * stores `current`. */
#define CAIRN_RING_RATE_OFFSET 3072u /* in the header page */
struct cairn_ring_rate {
	uint32_t current; /* 0: none; else entry[current % 2] counts */
	uint32_t reserved;
	struct cairn_rate { /* TSC = cycles + ((raw_ns now - raw_ns) * mult >> 32) */
		uint64_t raw_ns, cycles, mult;
	} entry[2];
};

/* One ring's control page. Each line says who writes and who reads. */
struct cairn_ring_ctl {
	/* Written by producers inside a section, read by the consumer and other producers. */
	uint64_t pos; /* all below it is published */
	uint64_t ts_upper; /* at least every published time */
	uint64_t pend_pos; /* discard: the new pos; stored before ts_upper, both before pos */
	uint64_t reserved;
	uint64_t count; /* overwrite: (records published << 24) + the new pos; stored likewise */
	uint64_t pad0[11];
	/* Written by the consumer, read by producers. */
	uint64_t read_pos; /* all below it may be reused (discard and blocking modes) */
	uint32_t wake; /* futex of blocked writers: bumped whenever read_pos moves */
	uint32_t pad1;
	/* Consumer only, for a host that takes over: the entry whose pos is read_pos has the time of
	 * that cut; and the records published when the last snapshot was taken. */
	struct cairn_ring_cut {
		uint64_t pos, ts;
	} cut[2];
	uint64_t seen;
	uint64_t pad2[9];
	/* Producers: locked adds, cold path. Consumer reads. */
	uint64_t lost[CAIRN_LOST_REASONS];
	uint32_t waiters; /* blocked writers; the consumer wakes only if != 0 */
	uint32_t pad3;
	uint64_t steps_back; /* times the clock was seen to go back */
	/* SOLO: the claiming thread, (tid << 32 | pid) as the writer sees them; 0 = free. */
	uint64_t owner;
	uint64_t pad4[13];
};

_Static_assert(sizeof(struct cairn_ringset_hdr) <= CAIRN_RING_RATE_OFFSET, "header page");
_Static_assert(sizeof(struct cairn_ring_ctl) <= CAIRN_RING_PAGE, "control page");
_Static_assert(__builtin_offsetof(struct cairn_ring_ctl, pos) == 0, "frozen");
_Static_assert(__builtin_offsetof(struct cairn_ring_ctl, read_pos) == 128, "own cache lines");
_Static_assert(__builtin_offsetof(struct cairn_ring_ctl, lost) == 256, "own cache lines");

#endif
