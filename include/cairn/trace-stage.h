/* SPDX-License-Identifier: MIT
 *
 * Staging: how the cold part of a site lays out a record. Included by trace.h only; nothing here
 * is an interface.
 *
 * A record is written through a cursor, field by field. There is always room for the least that
 * the fields still to come need (`rest`: scalars, an empty string, an empty sequence), so only
 * what is longer than that can lack room: it is then cut, and what it lacked added to `lacking`.
 * The first try goes to the stack; if it lacked anything, a second goes to memory of the runtime's
 * that is large enough, or of CAIRN_PAYLOAD_MAX, where strings stay cut and a cut sequence makes
 * the record lost.
 *
 * Another thread may change a string or array meanwhile: a record is whole whatever it sees, as
 * each length is that of what was copied.
 */
#ifndef CAIRN_TRACE_STAGE_H
#define CAIRN_TRACE_STAGE_H

#include <cairn/site.h>
#include <stddef.h>

#pragma GCC system_header

#define CAIRN_INLINE_ static inline __attribute__((__always_inline__, __unused__))
#define CAIRN_OUTLINE_ static __attribute__((__cold__, __noinline__, __unused__))

struct cairn_cursor {
	char *at; /* where the next byte goes */
	char *end;
	size_t rest; /* least bytes that the fields to come need */
	size_t lacking; /* bytes that were cut */
	uint32_t cut; /* sequences that were cut */
};

CAIRN_INLINE_ struct cairn_cursor cairn_cursor_make(char *payload, size_t room, size_t rest)
{
	struct cairn_cursor c = {payload, payload + room, rest, 0, 0};

	return c;
}

/* A scalar or fixed array. */
CAIRN_INLINE_ void cairn_put(struct cairn_cursor *c, const void *p, size_t n)
{
	__builtin_memcpy(c->at, p, n);
	c->at += n;
	c->rest -= n;
}

/* The part of a string after its first 32 bytes: `max` bytes at most, `room` for them. Returns
 * the bytes copied. */
CAIRN_OUTLINE_ size_t cairn_put_tail(
	char *to, const char *s, size_t max, size_t room, size_t *lacking)
{
	const char *nul = max == (size_t)-1 ? s + __builtin_strlen(s)
					    : (const char *)__builtin_memchr(s, 0, max);
	size_t len = nul ? (size_t)(nul - s) : max, n = len < room ? len : room;

	*lacking += len - n;
	__builtin_memcpy(to, s, n);
	nul = (const char *)__builtin_memchr(to, 0, n); /* shortened while we copied */
	return nul ? (size_t)(nul - to) : n;
}

/* A string of at most `max` bytes; (size_t)-1: up to its NUL. */
CAIRN_INLINE_ void cairn_put_str(struct cairn_cursor *c, const char *s, size_t max)
{
	size_t room = (size_t)(c->end - c->at) - c->rest, n = 0;
	char *to = c->at, byte;

	if (!s) {
		s = "(null)";
		max = 6;
	}
	for (;;) {
		if (n == max)
			break;
		if (n == 32 || n == room) {
			n += cairn_put_tail(to + n, s + n, max == (size_t)-1 ? max : max - n,
				room - n, &c->lacking);
			break;
		}
		byte = *(const volatile char *)(s + n);
		if (!byte)
			break;
		to[n++] = byte;
	}
	to[n] = 0;
	c->at = to + n + 1;
	c->rest -= 1;
}

/* A sequence of `n` scalars of `width` bytes. */
CAIRN_INLINE_ void cairn_put_seq(struct cairn_cursor *c, const void *p, size_t n, size_t width)
{
	size_t room = (size_t)(c->end - c->at) - c->rest;
	uint32_t count;

	if (!p || (ptrdiff_t)n < 0)
		n = 0;
	if (n > room / width) {
		if (n > CAIRN_PAYLOAD_MAX / width)
			n = CAIRN_PAYLOAD_MAX / width + 1;
		c->lacking += (n - room / width) * width;
		c->cut++;
		n = room / width;
	}
	count = (uint32_t)n;
	__builtin_memcpy(c->at, &count, sizeof(count));
	if (n)
		__builtin_memcpy(c->at + sizeof(count), p, n * width);
	c->at += sizeof(count) + n * width;
	c->rest -= sizeof(count);
}

#ifdef __x86_64__
#define CAIRN_HERE_(ip) __asm__ __volatile__("lea{q}\t{0(%%rip), %0|%0, [rip]}" : "=r"(ip))
#elif defined(__aarch64__)
#define CAIRN_HERE_(ip) __asm__ __volatile__("adr\t%0, ." : "=r"(ip))
#else
#define CAIRN_HERE_(ip) ((ip) = __builtin_return_address(0))
#endif

/* The cold part of every site. `least`: bytes that all fields need at least; `exact`: they never
 * need more. `puts`: statements that stage into `cairn_c`. */
#define CAIRN_STAGE(slot, ip, least, exact, puts) \
	char cairn_room_[CAIRN_HEADROOM + CAIRN_STACK_(least, exact) + CAIRN_TAILROOM] \
		__attribute__((__aligned__(16))); \
	char *cairn_p_ = cairn_room_ + CAIRN_HEADROOM; \
	size_t cairn_size_ = CAIRN_STACK_(least, exact); \
	struct cairn_cursor cairn_c_ = cairn_cursor_make(cairn_p_, 0, 0); \
	if ((least) > CAIRN_STACK_MAX) { \
		cairn_size_ = (exact) ? (least) : 2 * (least); \
		cairn_p_ = cairn_scratch(&cairn_size_); \
	} \
	while (cairn_p_) { \
		cairn_c_ = cairn_cursor_make(cairn_p_, cairn_size_, (least)); \
		puts if ((exact) || !cairn_c_.lacking) break; \
		if (cairn_size_ == CAIRN_PAYLOAD_MAX && !cairn_c_.cut) \
			break; \
		if (cairn_p_ != cairn_room_ + CAIRN_HEADROOM) \
			cairn_module_v1.scratch_done(cairn_p_); \
		cairn_p_ = 0; \
		if (cairn_size_ == CAIRN_PAYLOAD_MAX) \
			break; \
		cairn_size_ += cairn_c_.lacking; \
		cairn_p_ = cairn_scratch(&cairn_size_); \
	} \
	cairn_module_v1.fire(&(slot), cairn_p_, \
		cairn_p_ ? (uint32_t)(cairn_c_.at - cairn_p_) : (uint32_t)cairn_size_, (ip)); \
	if (cairn_p_ && cairn_p_ != cairn_room_ + CAIRN_HEADROOM) \
		cairn_module_v1.scratch_done(cairn_p_);

/* Bytes of payload to have on the stack. */
#define CAIRN_STACK_(least, exact) \
	((exact) && (least) <= CAIRN_STACK_MAX ? (least) : CAIRN_STACK_MAX)

/* Memory for *size bytes of payload, of CAIRN_PAYLOAD_MAX if that is less; sets *size. */
CAIRN_OUTLINE_ char *cairn_scratch(size_t *size)
{
	if (*size > CAIRN_PAYLOAD_MAX)
		*size = CAIRN_PAYLOAD_MAX;
	return (char *)cairn_module_v1.scratch((uint32_t)*size);
}

#endif
