/* Kernel events as CTF: pages of the ring buffer in, packets and metadata out.
 *
 * Each event of the kernel is an event class "SYSTEM:NAME" of one stream class "kernel", one stream a
 * CPU, beside a state stream. Records have the same headers as those of rings (abi/ring.h), then struct ctf_kernel_context
 * (of the common fields), then the event's fields in the order of its format, without padding:
 *
 *	integers, pointers, bool	their size and sign by the format's numbers
 *	char name[N]			text of N bytes
 *	T name[N]			N integers; structures: N bytes
 *	__data_loc, __rel_loc char[]	a string with its NUL
 *	other dynamic arrays, T name[]	u32 length, then elements. cpumasks are words of 64 bits
 *
 * An event with integers of 8 bytes (or a system call's number) has two classes of the same name, which
 * differ in their sizes alone: the narrow one holds them in 4 bytes (the number in 2), and is taken
 * when all of them fit. Nothing is lost by it, and most events are a quarter smaller.
 *
 * Not thread-safe.
 */
#ifndef CAIRN_KERNEL_KCTF_H
#define CAIRN_KERNEL_KCTF_H

#include "ctf/ctf.h"
#include "kernel/format.h"
#include "kernel/page.h"

struct kctf; /* what is known of the events, and their trace */

/* memcpy() of a few bytes, without a call: the last part overlaps the one before. Gives the end of the copy. */
static inline uint8_t *kctf_copy(uint8_t *to, const uint8_t *from, size_t n)
{
	if (n >= 16) {
		size_t i = 0;

		do {
			memcpy(to + i, from + i, 16);
			i += 16;
		} while (n - i >= 16);
		memcpy(to + n - 16, from + n - 16, 16);
	} else if (n >= 8) {
		memcpy(to, from, 8);
		memcpy(to + n - 8, from + n - 8, 8);
	} else if (n >= 4) {
		memcpy(to, from, 4);
		memcpy(to + n - 4, from + n - 4, 4);
	} else if (n) {
		to[0] = from[0];
		to[n / 2] = from[n / 2];
		to[n - 1] = from[n - 1];
	}
	return to + n;
}

/* facts and clock: copied. */
int kctf_new(const struct ctf_facts *facts, const struct ctf_clock *clock, struct kctf **ret);
void kctf_free(struct kctf *k);
struct ctf_trace *kctf_trace(
	struct kctf *k); /* for metadata and clock; the events come as they occur */
/* Makes an event known; k owns f then (in any case). The last of an id stands. */
int kctf_add(struct kctf *k, struct kformat *f, struct error *e);
const struct kformat *kctf_format(const struct kctf *k, uint32_t id); /* or NULL */
bool kctf_occurred(const struct kctf *k, uint32_t id); /* its records are in the trace */
/* Calls fn when a record of an id without format comes up, once for each id: it may kctf_add(). */
void kctf_on_unknown(struct kctf *k, void (*fn)(void *arg, uint32_t id), void *arg);

/* Ids of events of our own, which no kernel has, for kctf_add() and kctf_emit(). Their records begin
 * with the common fields, too. */
#define KCTF_OWN_FIRST 65536u
#define KCTF_OWN_LAST 65551u

struct kctf_stream { /* one CPU's; zeroed at first but for cpu and instance */
	uint32_t cpu;
	uint64_t instance; /* ctf_instance() */
	uint8_t *body; /* owned: records of the packet that is being made */
	size_t len, cap;
	uint64_t begin_ts, end_ts; /* of the packet; end_ts stays for the next one */
	uint64_t last_ts; /* of the record before */
	uint64_t events; /* in the packet */
	uint64_t lost[CAIRN_LOST_REASONS]; /* totals so far */
	uint64_t unknown_gaps; /* pages that said that some were lost, but not how many */
	uint64_t seq; /* of packets */
	uint64_t corrupt; /* of which lost[CORRUPT] were found last; for messages */
};
void kctf_stream_done(struct kctf_stream *s);
/* True if the page tells of losses before it: what s has is to be framed first. */
bool kctf_page_cuts(const struct kctf_stream *s, const struct kpage *page);
/* Adds the events of a page (kpage_begin() was called). Behind the page KCTF_SLACK bytes may be read. 0, -ENOMEM.
 * What makes no sense is counted. */
#define KCTF_SLACK 16
int kctf_page(struct kctf *k, struct kctf_stream *s, struct kpage *page);
/* Records of this id are given to fn, which says by kctf_emit() what stands in their place. The id is
 * known (kctf_add()). fn: 0 or -ENOMEM. */
typedef int kctf_take_fn(void *arg, struct kctf_stream *s, const struct kpage_event *ev);
void kctf_take(struct kctf *k, uint32_t id, kctf_take_fn *fn, void *arg);
/* Adds a record of the event `id`, whatever its first bytes say. */
int kctf_emit(struct kctf *k, struct kctf_stream *s, uint32_t id, const struct kpage_event *ev);
/* The packet of what s has; after it is written, kctf_packet_done(). *view must live as long as *ret. */
void kctf_packet(
	struct kctf *k, const struct kctf_stream *s, struct ring_view *view, struct ctf_frame *ret);
void kctf_packet_done(struct kctf_stream *s);
/* Describes an event of the state stream, or finds it: its id there, or -Exxx. */
int64_t kctf_state_event(struct kctf *k, const void *desc, size_t len);
/* A packet of the trace's state stream: records as of ctf_state_thread() and its like. */
void kctf_state_packet(struct kctf *k, const struct ring_view *view, uint64_t instance,
	uint64_t seq, struct ctf_frame *ret);

#endif
