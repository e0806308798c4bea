/* Raw system calls and byte routines: what the runtime uses instead of libc.
 *
 * Everything here is async-signal-safe, leaves errno alone and calls no function that a program
 * (or a probe) could have wrapped. Each sys_*() returns what the kernel does: >= 0, or -Exxx.
 */
#ifndef CAIRN_RUNTIME_SYS_H
#define CAIRN_RUNTIME_SYS_H

#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#else
#error "no system calls for this machine"
#endif

#define SYS_PICK_(a, b, c, d, e, f, g, n, ...) n
#define SYS_ARG_(x) (long)(x)
#define SYS1_(n, a) sys6(n, SYS_ARG_(a), 0, 0, 0, 0, 0)
#define SYS2_(n, a, b) sys6(n, SYS_ARG_(a), SYS_ARG_(b), 0, 0, 0, 0)
#define SYS3_(n, a, b, c) sys6(n, SYS_ARG_(a), SYS_ARG_(b), SYS_ARG_(c), 0, 0, 0)
#define SYS4_(n, a, b, c, d) sys6(n, SYS_ARG_(a), SYS_ARG_(b), SYS_ARG_(c), SYS_ARG_(d), 0, 0)
#define SYS5_(n, a, b, c, d, e) \
	sys6(n, SYS_ARG_(a), SYS_ARG_(b), SYS_ARG_(c), SYS_ARG_(d), SYS_ARG_(e), 0)
#define SYS6_(n, a, b, c, d, e, f) \
	sys6(n, SYS_ARG_(a), SYS_ARG_(b), SYS_ARG_(c), SYS_ARG_(d), SYS_ARG_(e), SYS_ARG_(f))
#define SYS0_(n) sys6(n, 0, 0, 0, 0, 0, 0)
/* SYS(openat, dirfd, path, flags, mode): any call with up to six arguments */
#define SYS(name, ...) \
	SYS_PICK_(, ##__VA_ARGS__, SYS6_, SYS5_, SYS4_, SYS3_, SYS2_, SYS1_, SYS0_) \
	(__NR_##name, ##__VA_ARGS__)

#define SYS_IS_ERR(p) ((unsigned long)(p) > -4096ul)

/* Copies n bytes forward; regions do not overlap. Never turned into a call of memcpy (the part is
 * built with -ffreestanding and without that optimisation). */
static inline void rt_copy(void *to, const void *from, size_t n)
{
#if defined(__x86_64__)
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
#else
	uint8_t *t = to;
	const uint8_t *f = from;

	for (; n; n--)
		*t++ = *f++;
#endif
}

static inline void rt_zero(void *p, size_t n)
{
	volatile uint8_t *b = p;

	for (; n; n--)
		*b++ = 0;
}

static inline bool rt_equal(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--)
		if (*x++ != *y++)
			return false;
	return true;
}

static inline size_t rt_strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

/* Appends s to the string of *len bytes in buf, cutting at size; always NUL-terminated. */
static inline void rt_append(char *buf, size_t size, size_t *len, const char *s)
{
	while (*s && *len + 1 < size)
		buf[(*len)++] = *s++;
	buf[*len] = 0;
}

static inline void rt_append_u64(char *buf, size_t size, size_t *len, uint64_t v)
{
	char digits[24];
	int i = 24;

	digits[--i] = 0;
	do
		digits[--i] = (char)('0' + v % 10);
	while (v /= 10);
	rt_append(buf, size, len, digits + i);
}

#endif
