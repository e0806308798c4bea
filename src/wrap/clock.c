/* The time for durations, also for threads that may not read the TSC, as the vDSO's clock does.
 *
 * A thread is asked for that once; later changes pass through our prctl(). (Through syscall(), they
 * do not.)
 */
#include "wrap/wrap.h"
#include <errno.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum clock { UNKNOWN, VDSO, CALL, NONE };
static __thread enum clock clock_of_thread __attribute__((tls_model("initial-exec")));

/* ... is given what it was given; more than it was given does no harm. */
#define REST_OF_ARGUMENTS(last, a) \
	do { \
		va_list rest; \
\
		va_start(rest, last); \
		for (int i_ = 0; i_ < 4; i_++) \
			(a)[i_] = va_arg(rest, unsigned long); \
		va_end(rest); \
	} while (0)

static int plain_prctl(int option, ...)
{
	unsigned long a[4];

	REST_OF_ARGUMENTS(option, a);
	return (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}
DECLARE_REAL(prctl, plain_prctl);

static enum clock ask(void)
{
	int mode = PR_TSC_ENABLE, saved = errno;

	(void)syscall(SYS_prctl, PR_GET_TSC, &mode, 0, 0, 0); /* refused: as for most */
	errno = saved;
	return mode == PR_TSC_ENABLE ? VDSO : CALL;
}

uint64_t wrap_now_ns(void)
{
	struct timespec t = {0, 0};

	if (__builtin_expect(clock_of_thread != VDSO, 0)) {
		if (clock_of_thread == UNKNOWN)
			clock_of_thread = ask();
		if (clock_of_thread == NONE)
			return 0; /* nor will there be an event */
	}
	if (clock_of_thread == CALL)
		(void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t); /* cannot fail */
	else
		(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Strict seccomp takes the TSC away, and all system calls that could tell the time. */
WRAPPER int prctl(int option, ...)
{
	enum clock before = clock_of_thread;
	unsigned long a[4];
	bool strict;
	int r;

	REST_OF_ARGUMENTS(option, a);
	strict = option == PR_SET_SECCOMP && a[0] == SECCOMP_MODE_STRICT;
	if (strict)
		clock_of_thread = NONE;
	else if (option == PR_SET_TSC && a[0] == PR_TSC_SIGSEGV)
		clock_of_thread = CALL;
	r = REAL(prctl)(option, a[0], a[1], a[2], a[3]);
	if (option == PR_SET_TSC && (r < 0 || a[0] != PR_TSC_SIGSEGV))
		clock_of_thread = UNKNOWN;
	else if (strict && r < 0)
		clock_of_thread = before;
	return r;
}
