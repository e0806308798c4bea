/* SPDX-License-Identifier: MIT
 *
 * Marks events in C (C11 and later) and C++ (C++17 and later), with gcc or clang, on 64-bit Linux.
 * One line, anywhere in a function, without declaring anything:
 *
 *	CAIRN(http, request_done, path, status, (bytes, r->len));
 *
 * is the event `http:request_done` with the fields path, status and bytes. Until somebody records
 * it, it is one 5-byte NOP, and the arguments are not evaluated; then each is, once. (An argument
 * that calls a function may make the compiler save a register before the NOP; gcc -Os adds a jump.)
 *
 * A field is
 *	expr				named as written: status, r->len (shown as r_len)
 *	(name, expr)			named `name`; put parentheses around an expr with commas in
 *					braces or template brackets
 *	CAIRN_HEX(name, expr)		an integer, shown in hexadecimal
 *	CAIRN_SEQ(name, ptr, n)		n scalars from ptr
 *	CAIRN_BYTES(name, ptr, n)	n bytes from ptr, shown in hexadecimal
 *	CAIRN_ENUM(name, expr, A, ...)	an integer or enum, shown as one of up to 64 constants' names
 * and expr an integer, bool, char, float, double, enum, pointer, string (char *, NULL is shown as
 * such; char arrays are read up to their NUL or end; in C++ also what has data() and size()), or
 * an array of such scalars. At most 32 fields. long double is recorded as double; a bit-field in C
 * needs an operator (+b.field); structures have to be taken apart.
 *
 * The same event may be fired from several places with the same fields.
 *
 *	CAIRN_LEVEL(CAIRN_WARNING, http, slow, ns);	with a log level; CAIRN() has DEBUG_LINE
 *	CAIRN_LOG(http, CAIRN_INFO, "got %d of %s", n, name);
 *
 * CAIRN_LOG checks arguments as printf does (do not use %m, %n), records them whole (a string up to
 * its NUL, whatever the precision: %.*s must not stand for less), formats nothing, and names
 * the event after the place: `http:main.c:42`. It may be used in signal handlers, as all of this.
 *
 *	CAIRN_AROUND(http, query, t = now(), rows = query(db), rows, (ns, now() - t));
 *
 * runs its fourth argument always, and if the event is on, the third before it and the fields
 * after it (t is a variable of yours).
 *
 * Build switches: -DCAIRN_NO_PATCH: sites load, test and branch instead of being patched (what
 * other machines than x86-64 always do, and C compiled by clang without optimisation).
 * -DCAIRN_DISABLE: no site at all.
 */
#ifndef CAIRN_TRACE_H
#define CAIRN_TRACE_H

#if !defined(__LP64__) && !defined(CAIRN_DISABLE)
#define CAIRN_DISABLE
#endif

#if defined(__code_model_large__) && !defined(__clang__) && !defined(CAIRN_DISABLE)
#error "cairn/trace.h: gcc's -mcmodel=large cannot name a static variable in assembly: " \
	"compile this file with -mcmodel=medium or less, with clang, or with -DCAIRN_DISABLE"
#endif

/* Log levels, as syslog and LTTng have them. */
enum cairn_loglevel {
	CAIRN_EMERG = 0,
	CAIRN_ALERT = 1,
	CAIRN_CRIT = 2,
	CAIRN_ERR = 3,
	CAIRN_WARNING = 4,
	CAIRN_NOTICE = 5,
	CAIRN_INFO = 6,
	CAIRN_DEBUG_SYSTEM = 7,
	CAIRN_DEBUG_PROGRAM = 8,
	CAIRN_DEBUG_PROCESS = 9,
	CAIRN_DEBUG_MODULE = 10,
	CAIRN_DEBUG_UNIT = 11,
	CAIRN_DEBUG_FUNCTION = 12,
	CAIRN_DEBUG_LINE = 13,
	CAIRN_DEBUG = 14,
};

#pragma GCC system_header

#define CAIRN(provider, ...) \
	CAIRN_EVENT_((CAIRN_PLAIN_, #provider, CAIRN_DEBUG_LINE, , ), ##__VA_ARGS__)
#define CAIRN_LEVEL(level, provider, ...) \
	CAIRN_EVENT_((CAIRN_PLAIN_, #provider, level, , ), ##__VA_ARGS__)
#define CAIRN_LOG(provider, level, ...) \
	CAIRN_EVENT_((CAIRN_LOGGED_, #provider, level, , ), ##__VA_ARGS__)
#define CAIRN_AROUND(provider, event, before, statement, ...) \
	CAIRN_EVENT_((CAIRN_PLAIN_, #provider, CAIRN_DEBUG_LINE, before, statement), event, \
		##__VA_ARGS__)

#define CAIRN_HEX(name, expr) (, cairnhex, #name, expr)
#define CAIRN_SEQ(name, ptr, n) (, cairnseq, #name, ptr, n)
#define CAIRN_BYTES(name, ptr, n) (, cairnbytes, #name, ptr, n)
#define CAIRN_ENUM(name, expr, ...) \
	(, cairnenum, #name, expr, CAIRN_NARGS(~, ##__VA_ARGS__), \
		CAIRN_CAT(CAIRN_LABELS, CAIRN_NARGS(~, ##__VA_ARGS__))(~, ##__VA_ARGS__), \
		(__VA_ARGS__))

#ifdef CAIRN_DISABLE

#define CAIRN_CAT_(a, b) a##b
#define CAIRN_CAT(a, b) CAIRN_CAT_(a, b)
#define CAIRN_EVENT_(head, ...) CAIRN_OFF_ head
#define CAIRN_OFF_(shape, provider, level, before, statement) \
	do { \
		statement; \
	} while (0)

#else

#if !defined(__x86_64__) && !defined(CAIRN_NO_PATCH)
#define CAIRN_NO_PATCH
#endif

#include <cairn/trace-macro.h>
#include <cairn/trace-module.h>
#include <cairn/trace-stage.h>

/* clang does not spare the extensions used in macros of a system header. */
#ifdef __clang__
#define CAIRN_QUIET_ \
	_Pragma("clang diagnostic push") _Pragma("clang diagnostic ignored \"-Wpedantic\"")
#define CAIRN_LOUD_ _Pragma("clang diagnostic pop")
#else
#define CAIRN_QUIET_
#define CAIRN_LOUD_
#endif

/* ---- a site ---- */

#ifdef __aarch64__
#define CAIRN_ADDRESS_ "S"
#elif defined(__clang__)
#define CAIRN_ADDRESS_ "s"
#else
#define CAIRN_ADDRESS_ "i"
#endif

/* clang gives static variables of inline functions and templates names that others could take. */
#if defined(__clang__) && defined(__cplusplus)
#define CAIRN_OWN_ "\t.hidden %c0\n\t.hidden %c1\n"
#else
#define CAIRN_OWN_
#endif

/* "?": in the section group of the function, if it has one, so that both are discarded together */
#define CAIRN_ENTRY_(nop, target) \
	CAIRN_OWN_ \
	"\t.pushsection cairn_sites,\"a?\",%%progbits\n" \
	"\t.balign 4\n" \
	"\t.long " nop "\n" \
	"\t.long " target "\n" \
	"\t.long %c0-.\n" \
	"\t.long %c1-.\n" \
	"\t.popsection\n"

#define CAIRN_SITE_ASM_(d, s, cold) \
	__asm__ goto("1:\t.byte 0x0f, 0x1f, 0x44, 0, 0\n" CAIRN_ENTRY_( \
			     "1b-.", "%l[" #cold "]-.")::CAIRN_ADDRESS_(d), \
		CAIRN_ADDRESS_(s)::cold)
#define CAIRN_BRANCH_(on, hot, ...) \
	if (__builtin_expect(on, 0)) { \
		__VA_ARGS__ \
	} else { \
		hot; \
	}

#if defined(CAIRN_NO_PATCH) || \
	(defined(__clang__) && !defined(__cplusplus) && !defined(__OPTIMIZE__))
#define CAIRN_LABEL_
#define CAIRN_SITE_(d, s, hot, ...) \
	__asm__ __volatile__(CAIRN_ENTRY_("0", "0")::CAIRN_ADDRESS_(&(d)), CAIRN_ADDRESS_(&(s))); \
	CAIRN_BRANCH_(*(const volatile uint32_t *)&(s).slot.enabled != 0, hot, __VA_ARGS__)

#elif !defined(__clang__)
#define CAIRN_LABEL_ __label__ cairn_cold_;
#define CAIRN_SITE_(d, s, hot, ...) \
	CAIRN_SITE_ASM_(&(d), &(s), cairn_cold_); \
	hot; \
	if (0) { \
cairn_cold_: \
		__attribute__((__cold__, __unused__)); \
		__VA_ARGS__ \
	}

#elif defined(__cplusplus)
/* clang 14 believes that each asm goto may jump to the label of any other, and refuses if that
 * would be into the life of an object. So each stands in a function, which is always inlined. */
#define CAIRN_LABEL_
#define CAIRN_SITE_(d, s, hot, ...) \
	CAIRN_BRANCH_( \
		[]() __attribute__((__always_inline__)) { \
			CAIRN_SITE_ASM_(&(d), &(s), cairn_cold_); \
			return false; \
	cairn_cold_: \
			return true; \
		}(), \
		hot, __VA_ARGS__)

#else
/* The same; but only where it is optimised does clang see a constant in a parameter. */
static inline __attribute__((__always_inline__)) _Bool cairn_is_on(const void *d, const void *s)
{
	CAIRN_SITE_ASM_(d, s, cairn_cold_);
	return 0;
cairn_cold_:
	return 1;
}
#define CAIRN_LABEL_
#define CAIRN_SITE_(d, s, hot, ...) CAIRN_BRANCH_(cairn_is_on(&(d), &(s)), hot, __VA_ARGS__)
#endif

/* ---- from the arguments of CAIRN to a site ---- */

#define CAIRN_EVENT_(head, ...) \
	CAIRN_CAT(CAIRN_F, CAIRN_NARGS(~, ##__VA_ARGS__))(, head, ##__VA_ARGS__)

#ifdef __FILE_NAME__
#define CAIRN_FILE_NAME_ __FILE_NAME__
#else
#define CAIRN_FILE_NAME_ __FILE__
#endif

#define CAIRN_PLAIN_FLAGS_ 0
#define CAIRN_PLAIN_NAME_(text, first) text "\0"
#define CAIRN_PLAIN_CHECK_(...)
#define CAIRN_LOGGED_FLAGS_ CAIRN_DESC_LOG
#define CAIRN_LOGGED_NAME_(text, first) CAIRN_FILE_NAME_ ":" CAIRN_STR(__LINE__) "\0" first "\0"
#define CAIRN_LOGGED_CHECK_(...) \
	if (0) \
		cairn_check_format(__VA_ARGS__);

CAIRN_INLINE_ __attribute__((__format__(__printf__, 1, 2))) void cairn_check_format(
	const char *format, ...)
{
	(void)format;
}

#define CAIRN_STRINGS_(M, text, first, shape, provider, ...) \
	provider "\0" CAIRN_CAT(shape, NAME_)(text, first) __FILE__ \
		"\0" \
		"\0" M(CAIRN_TEXT, __VA_ARGS__)

/* Parts of a description that are the same in C and C++; first the strings. */
#define CAIRN_TEXT_cairnval(i, name, e) name "\0"
#define CAIRN_TEXT_cairnhex(i, name, e) name "\0"
#define CAIRN_TEXT_cairnseq(i, name, p, n) name "\0"
#define CAIRN_TEXT_cairnbytes(i, name, p, n) name "\0"
#define CAIRN_TEXT_cairnenum(i, name, e, n, labels, values) name "\0" labels

#define CAIRN_NLABELS_cairnval(i, name, e)
#define CAIRN_NLABELS_cairnhex(i, name, e)
#define CAIRN_NLABELS_cairnseq(i, name, p, n)
#define CAIRN_NLABELS_cairnbytes(i, name, p, n)
#define CAIRN_NLABELS_cairnenum(i, name, e, n, labels, values) +n

#define CAIRN_EXPR_cairnval(i, name, e) , e
#define CAIRN_EXPR_cairnhex(i, name, e) , e
#define CAIRN_EXPR_cairnseq(i, name, p, n) , p
#define CAIRN_EXPR_cairnbytes(i, name, p, n) , p
#define CAIRN_EXPR_cairnenum(i, name, e, n, labels, values) , e

#ifdef __cplusplus
#include <cairn/trace-cxx.h>
#else
#include <cairn/trace-c.h>
#endif

#endif
#endif
