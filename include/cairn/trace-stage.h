/* SPDX-License-Identifier: MIT
 *
 * Staging: how the cold part of a site lays out a record. Included by trace.h only; nothing here
 * is an interface.
 *
 * A record is written through a cursor, field by field. There is always room for the least that
 * the fields still to come need (`rest`: scalars, an empty string, an empty sequence), so only
 * what is longer than that can lack room: it is then cut, and what it lacked added to `lacking`.
 * The first try goes to the stack; if it lacked anything, others go to memory of the runtime's
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

/* What the code of a site does not see must not change any register (see CAIRN_CALL_). */
#if defined(__x86_64__) && !defined(__clang__)
#define CAIRN_PLAIN_CODE_ \
	__attribute__((__target__("general-regs-only"), __no_instrument_function__, \
		__no_sanitize__("address", "thread", "undefined")))
#elif defined(__x86_64__)
#define CAIRN_PLAIN_CODE_ \
	__attribute__((__target__("general-regs-only"), __no_instrument_function__, \
		__no_sanitize__("address", "thread", "undefined", "memory")))
#else
#define CAIRN_PLAIN_CODE_ __attribute__((__no_instrument_function__))
#endif
#define CAIRN_INLINE_ CAIRN_PLAIN_CODE_ static inline __attribute__((__always_inline__, __unused__))
#define CAIRN_OUTLINE_ CAIRN_PLAIN_CODE_ static __attribute__((__cold__, __noinline__, __unused__))

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

/* Not memcpy, which would use vector registers. */
CAIRN_INLINE_ void cairn_copy(void *to, const void *from, size_t n)
{
#ifdef __x86_64__
	if (!__builtin_constant_p(n) || n > 64) {
		__asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
		return;
	}
#endif
	__builtin_memcpy(to, from, n);
}

/* A scalar or fixed array. */
CAIRN_INLINE_ void cairn_put(struct cairn_cursor *c, const void *p, size_t n)
{
	cairn_copy(c->at, p, n);
	c->at += n;
	c->rest -= n;
}

/* The first `n` bytes of a word, stored whole: what is too much will be overwritten, or is in the
 * tailroom. */
CAIRN_INLINE_ void cairn_put_word(struct cairn_cursor *c, uint64_t word, size_t n)
{
	__builtin_memcpy(c->at, &word, sizeof(word));
	c->at += n;
	c->rest -= n;
}

/* The top bit of the first byte that is zero; higher bits mean nothing. */
CAIRN_INLINE_ uint64_t cairn_zeros(uint64_t word)
{
	const uint64_t ones = 0x0101010101010101;

	return (word - ones) & ~word & (ones << 7);
}

/* Copies a string's first part, of at most `limit` bytes and up to and with its NUL. It reads aligned
 * words, which never lie in a page that has none of the string. Returns the bytes copied but for
 * the NUL; *more is set if there may be more. */
CAIRN_INLINE_ size_t cairn_copy_str(char *to, const char *from, size_t limit, int *more)
{
	size_t n = 0;

	*more = 0;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	if (limit >= 8) {
		typedef uint64_t __attribute__((__may_alias__)) word_t;
		unsigned before = 8 * ((unsigned)(uintptr_t)from & 7);
		const volatile word_t *at =
			(const volatile word_t *)((uintptr_t)from & ~(uintptr_t)7);
		char *next = to, *last = to + limit - 8;
		uint64_t word = *at++, zeros = word >> before;

		__builtin_memcpy(next, &zeros, sizeof(zeros));
		zeros = cairn_zeros(word | ~(~(uint64_t)0 << before));
		if (zeros)
			return ((size_t)__builtin_ctzll(zeros) - before) / 8;
		for (next += 8 - before / 8; next <= last; next += 8) {
			word = *at++;
			__builtin_memcpy(next, &word, sizeof(word));
			zeros = cairn_zeros(word);
			if (zeros)
				return (size_t)(next - to) + (size_t)__builtin_ctzll(zeros) / 8;
		}
		n = (size_t)(next - to);
	}
#endif
	for (; n < limit; n++) {
		to[n] = *(const volatile char *)(from + n);
		if (!to[n])
			return n;
	}
	*more = 1;
	return n;
}

/* A string of at most `max` bytes; (size_t)-1: up to its NUL. */
CAIRN_INLINE_ void cairn_put_str(struct cairn_cursor *c, const char *s, size_t max)
{
	size_t room = (size_t)(c->end - c->at) - c->rest, n, left;
	int more;

	if (!s) {
		s = "(null)";
		max = 6;
	}
	n = cairn_copy_str(c->at, s, max < room ? max : room, &more);
	if (more) {
		for (left = n; left < max && left <= CAIRN_PAYLOAD_MAX &&
			*(const volatile char *)(s + left);
			left++)
			c->lacking++;
		c->at[n] = 0;
	}
	c->at += n + 1;
	c->rest -= 1;
}

/* A sequence of `n` scalars of `width` bytes. */
CAIRN_INLINE_ void cairn_put_seq(struct cairn_cursor *c, const void *p, size_t n, size_t width)
{
	size_t room = (size_t)(c->end - c->at) - c->rest;
	uint32_t count;

	if (!p || (ptrdiff_t)n < 0)
		n = 0;
	if (n > room / width) { /* staged again, or lost: there is no use in copying a part */
		if (n > CAIRN_PAYLOAD_MAX / width)
			n = CAIRN_PAYLOAD_MAX / width + 1;
		c->lacking += (n - room / width) * width;
		c->cut++;
		n = 0;
	}
	count = (uint32_t)n;
	__builtin_memcpy(c->at, &count, sizeof(count));
	if (n)
		cairn_copy(c->at + sizeof(count), p, n * width);
	c->at += sizeof(count) + n * width;
	c->rest -= sizeof(count);
}

/* ---- from a site to its staging function ----
 *
 * The function gets an array of 64-bit words: the address of the slot, then the fields, the first
 * at the highest address; an address inside the site's cold part; and NULL (see CAIRN_STAGE).
 *
 * A call in the cold part would cost the hot one: values that live across it go to registers that
 * have to be saved at the function's entry, and a leaf function would need a frame. So the compiler
 * is not told that there is a call: it puts the words into registers, any, and the assembly pushes
 * them below the red zone and calls cairn_call_v1, which saves all registers that the ABI lets a
 * function change, but for vector registers: staging functions and the runtime's fire(), scratch()
 * and scratch_done() leave these alone. (Nor does it align the stack, which none of them needs.) What
 * to call is in the operand of a NOP after the call.
 */
#ifdef __x86_64__
__asm__(".pushsection .text.unlikely.cairn_call_v1,\"axG\",@progbits,cairn_call_v1,comdat\n"
	"\t.weak cairn_call_v1\n"
	"\t.hidden cairn_call_v1\n"
	"\t.type cairn_call_v1, @function\n"
	"cairn_call_v1:\n"
	"\t.cfi_startproc\n"
	"\t.byte 0x50, 0x51, 0x52, 0x56, 0x57\n" /* push %rax, %rcx, %rdx, %rsi, %rdi */
	"\t.cfi_def_cfa_offset 48\n"
	"\t.byte 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53\n" /* push %r8 to %r11 */
	"\t.cfi_def_cfa_offset 80\n"
	"\t.byte 0x48, 0x8b, 0x74, 0x24, 0x48\n" /* mov 72(%rsp), %rsi: the return address */
	"\t.byte 0x48, 0x63, 0x46, 0x04\n" /* movslq 4(%rsi), %rax: the NOP's operand */
	"\t.byte 0x48, 0x8d, 0x7c, 0x24, 0x50\n" /* lea 80(%rsp), %rdi: the words */
	"\t.byte 0x48, 0x8d, 0x44, 0x06, 0x04\n" /* lea 4(%rsi,%rax), %rax */
	"\t.byte 0x31, 0xd2\n" /* xor %edx, %edx */
	"\t.byte 0xff, 0xd0\n" /* call *%rax */
	"\t.byte 0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58\n" /* pop %r11 to %r8 */
	"\t.cfi_def_cfa_offset 48\n"
	"\t.byte 0x5f, 0x5e, 0x5a, 0x59, 0x58\n" /* pop %rdi, %rsi, %rdx, %rcx, %rax */
	"\t.cfi_def_cfa_offset 8\n"
	"\t.byte 0xc3\n" /* ret */
	"\t.cfi_endproc\n"
	"\t.size cairn_call_v1, . - cairn_call_v1\n"
	".popsection");

#define CAIRN_PUSH_ALL_(fn, slot, words, M, ...) \
	__asm__ __volatile__("lea{q}\t{-128(%%rsp), %%rsp|rsp, [rsp-128]}\n\t" M(CAIRN_PUSH, \
		__VA_ARGS__) "push{q}\t%[cairn_slot]\n\t" \
			     "call\tcairn_call_v1\n\t" \
			     ".byte 0x0f, 0x1f, 0x84, 0x00\n\t" \
			     ".long %c[cairn_fn] - .\n\t" \
			     "lea{q}\t{%c[cairn_up](%%rsp), %%rsp|rsp, [rsp+%c[cairn_up]]}" \
			     : \
			     : [cairn_fn] CAIRN_ADDRESS_(fn), [cairn_up] "i"(128 + 8 * (words)), \
			     [cairn_slot] "r"(slot)M(CAIRN_OPERAND, __VA_ARGS__) \
			     : "memory", "cc")
#define CAIRN_PUSH_cairnval(i, name, e) "push{q}\t%[cairn_w" #i "]\n\t"
#define CAIRN_PUSH_cairnhex(i, name, e) "push{q}\t%[cairn_w" #i "]\n\t"
#define CAIRN_PUSH_cairnseq(i, name, p, n) \
	"push{q}\t%[cairn_w" #i "]\n\tpush{q}\t%[cairn_n" #i "]\n\t"
#define CAIRN_PUSH_cairnbytes(i, name, p, n) \
	"push{q}\t%[cairn_w" #i "]\n\tpush{q}\t%[cairn_n" #i "]\n\t"
#define CAIRN_PUSH_cairnenum(i, name, e, n, labels, values) "push{q}\t%[cairn_w" #i "]\n\t"
#define CAIRN_OPERAND_cairnval(i, name, e) , [cairn_w##i] "r"(cairn_w##i##_)
#define CAIRN_OPERAND_cairnhex(i, name, e) , [cairn_w##i] "r"(cairn_w##i##_)
#define CAIRN_OPERAND_cairnseq(i, name, p, n) \
	, [cairn_w##i] "r"(cairn_w##i##_), [cairn_n##i] "r"(cairn_n##i##_)
#define CAIRN_OPERAND_cairnbytes(i, name, p, n) \
	, [cairn_w##i] "r"(cairn_w##i##_), [cairn_n##i] "r"(cairn_n##i##_)
#define CAIRN_OPERAND_cairnenum(i, name, e, n, labels, values) , [cairn_w##i] "r"(cairn_w##i##_)
#endif

/* Sites with more words than registers can hold, and other machines: an ordinary call. */
#define CAIRN_STORE_ALL_(fn, slot, words, M, ...) \
	do { \
		uint64_t cairn_words_[words], *cairn_to_ = cairn_words_ + (words); \
		(void)cairn_to_; \
		void *cairn_here_; \
		CAIRN_HERE_(cairn_here_); \
		cairn_words_[0] = (uint64_t)(slot); \
		M(CAIRN_STORE, __VA_ARGS__) \
		(fn)(cairn_words_, cairn_here_, 0); \
	} while (0)
#ifdef __x86_64__
#define CAIRN_HERE_(ip) __asm__ __volatile__("lea{q}\t{0(%%rip), %0|%0, [rip]}" : "=r"(ip))
#elif defined(__aarch64__)
#define CAIRN_HERE_(ip) __asm__ __volatile__("adr\t%0, ." : "=r"(ip))
#else
#define CAIRN_HERE_(ip) ((ip) = __builtin_return_address(0))
#endif
#define CAIRN_STORE_cairnval(i, name, e) *--cairn_to_ = cairn_w##i##_;
#define CAIRN_STORE_cairnhex(i, name, e) *--cairn_to_ = cairn_w##i##_;
#define CAIRN_STORE_cairnseq(i, name, p, n) \
	*--cairn_to_ = cairn_w##i##_; \
	*--cairn_to_ = cairn_n##i##_;
#define CAIRN_STORE_cairnbytes(i, name, p, n) \
	*--cairn_to_ = cairn_w##i##_; \
	*--cairn_to_ = cairn_n##i##_;
#define CAIRN_STORE_cairnenum(i, name, e, n, labels, values) *--cairn_to_ = cairn_w##i##_;

#define CAIRN_WORDS_cairnval(i, name, e) +1
#define CAIRN_WORDS_cairnhex(i, name, e) +1
#define CAIRN_WORDS_cairnseq(i, name, p, n) +2
#define CAIRN_WORDS_cairnbytes(i, name, p, n) +2
#define CAIRN_WORDS_cairnenum(i, name, e, n, labels, values) +1

/* Asm takes 30 operands at most, even where it is dead: sites of many fields have none. */
#ifdef __x86_64__
#define CAIRN_CALL_FEW_(fn, slot, M, ...) \
	if ((1 M(CAIRN_WORDS, __VA_ARGS__)) <= 9) \
		CAIRN_PUSH_ALL_(fn, slot, 1 M(CAIRN_WORDS, __VA_ARGS__), M, __VA_ARGS__); \
	else \
		CAIRN_STORE_ALL_(fn, slot, 1 M(CAIRN_WORDS, __VA_ARGS__), M, __VA_ARGS__);
#else
#define CAIRN_CALL_FEW_ CAIRN_CALL_MANY_
#endif
#define CAIRN_CALL_MANY_(fn, slot, M, ...) \
	CAIRN_STORE_ALL_(fn, slot, 1 M(CAIRN_WORDS, __VA_ARGS__), M, __VA_ARGS__);
#define CAIRN_CALL_(n, fn, slot, M, ...) \
	CAIRN_CAT(CAIRN_CALL_, CAIRN_CAT(CAIRN_AMOUNT_, n))(fn, slot, M, __VA_ARGS__)
#define CAIRN_AMOUNT_0 FEW_
#define CAIRN_AMOUNT_1 FEW_
#define CAIRN_AMOUNT_2 FEW_
#define CAIRN_AMOUNT_3 FEW_
#define CAIRN_AMOUNT_4 FEW_
#define CAIRN_AMOUNT_5 FEW_
#define CAIRN_AMOUNT_6 FEW_
#define CAIRN_AMOUNT_7 FEW_
#define CAIRN_AMOUNT_8 FEW_
#define CAIRN_AMOUNT_9 MANY_
#define CAIRN_AMOUNT_10 MANY_
#define CAIRN_AMOUNT_11 MANY_
#define CAIRN_AMOUNT_12 MANY_
#define CAIRN_AMOUNT_13 MANY_
#define CAIRN_AMOUNT_14 MANY_
#define CAIRN_AMOUNT_15 MANY_
#define CAIRN_AMOUNT_16 MANY_
#define CAIRN_AMOUNT_17 MANY_
#define CAIRN_AMOUNT_18 MANY_
#define CAIRN_AMOUNT_19 MANY_
#define CAIRN_AMOUNT_20 MANY_
#define CAIRN_AMOUNT_21 MANY_
#define CAIRN_AMOUNT_22 MANY_
#define CAIRN_AMOUNT_23 MANY_
#define CAIRN_AMOUNT_24 MANY_
#define CAIRN_AMOUNT_25 MANY_
#define CAIRN_AMOUNT_26 MANY_
#define CAIRN_AMOUNT_27 MANY_
#define CAIRN_AMOUNT_28 MANY_
#define CAIRN_AMOUNT_29 MANY_
#define CAIRN_AMOUNT_30 MANY_
#define CAIRN_AMOUNT_31 MANY_
#define CAIRN_AMOUNT_32 MANY_

/* The body of every staging function; `fn` is its name. `least`: bytes that all fields need at least;
 * `exact`: they never need more. `puts`: statements that stage into `cairn_c_`. Nothing is needed
 * after a call, so no register has to be saved. */
#define CAIRN_STAGE(fn, words, ip, big, least, exact, puts) \
	char cairn_room_[CAIRN_HEADROOM + CAIRN_STACK_(least, exact) + CAIRN_TAILROOM] \
		__attribute__((__aligned__(16))); \
	char *cairn_p_ = \
		CAIRN_BIG_(big, least, exact) ? (big)->payload : cairn_room_ + CAIRN_HEADROOM; \
	struct cairn_cursor cairn_c_ = cairn_cursor_make(cairn_p_, \
		CAIRN_BIG_(big, least, exact) ? (big)->size : CAIRN_STACK_(least, exact), \
		(least)); \
	if ((least) > CAIRN_STACK_MAX && !(big)) { \
		cairn_stage_again(fn, words, ip, (exact) ? (least) : 2 * (least)); \
		return; \
	} \
	puts if (!(exact) && cairn_c_.lacking) \
	{ \
		if (!(big)) { \
			cairn_stage_again(fn, words, ip, CAIRN_STACK_MAX + cairn_c_.lacking); \
			return; \
		} \
		if ((big)->size != CAIRN_PAYLOAD_MAX || cairn_c_.cut) { \
			(big)->lacking = cairn_c_.lacking; \
			return; \
		} \
	} \
	cairn_module_v1.fire((struct cairn_slot *)(words)[0], cairn_p_, \
		(uint32_t)(cairn_c_.at - cairn_p_), (ip))

/* Bytes of payload to have on the stack. */
#define CAIRN_STACK_(least, exact) \
	((exact) && (least) <= CAIRN_STACK_MAX ? (least) : CAIRN_STACK_MAX)

/* What always fits on the stack is staged there. */
#define CAIRN_BIG_(big, least, exact) (!((exact) && (least) <= CAIRN_STACK_MAX) && (big))

/* Memory to stage in, instead of the stack. */
struct cairn_big {
	char *payload;
	size_t size; /* at most CAIRN_PAYLOAD_MAX */
	size_t lacking; /* set by who staged, and did not fire: bytes that it lacked */
};
typedef void cairn_stage_fn(const uint64_t *words, const void *ip, struct cairn_big *big);

/* Stages in memory of the runtime's, of `size` bytes or more. */
CAIRN_OUTLINE_ void cairn_stage_again(
	cairn_stage_fn *fn, const uint64_t *words, const void *ip, size_t size)
{
	struct cairn_slot *slot = (struct cairn_slot *)words[0];
	struct cairn_big big;

	do {
		big.size = size < CAIRN_PAYLOAD_MAX ? size : CAIRN_PAYLOAD_MAX;
		big.lacking = 0;
		big.payload = (char *)cairn_module_v1.scratch((uint32_t)big.size);
		if (!big.payload) {
			cairn_module_v1.fire(slot, 0, (uint32_t)big.size, ip);
			return;
		}
		fn(words, ip, &big);
		cairn_module_v1.scratch_done(big.payload);
		size = big.size + big.lacking;
	} while (big.lacking && big.size != CAIRN_PAYLOAD_MAX);
	if (big.lacking) /* lost: a sequence that is too long */
		cairn_module_v1.fire(slot, 0, CAIRN_PAYLOAD_MAX + 1, ip);
}

#endif
