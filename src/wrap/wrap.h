/* What the wrappers share: finding the real functions, and time.
 *
 * libcairn-libc.so and libcairn-pthread.so are preloaded into programs nobody marked. Each wrapper
 * calls the function it hides (the next of that name, so that other allocators work beneath) and
 * fires an event. While the event is off, that is all: one NOP more, and no clock is read.
 *
 * Promises: errno is the real function's. A cancelled thread unwinds through us. Nothing here
 * allocates, locks or takes a signal. The runtime calls none of these (it makes system calls
 * itself), so tracing does not trace itself.
 */
#ifndef CAIRN_WRAP_H
#define CAIRN_WRAP_H

#include "base/atomic.h"
#include <cairn/trace.h>
#include <dlfcn.h>
#include <time.h>

/* Exported: everything else is hidden (-fvisibility=hidden). */
#define WRAPPER __attribute__((visibility("default")))

/* The real NAME: found at first use. Racing threads find the same. */
#define REAL(name) ((__typeof__(&name))wrap_find(&real_##name, #name, NULL))
/* The same in its given version, where there are several. */
#define REAL_VERSION(name, version) ((__typeof__(&name))wrap_find(&real_##name, #name, version))
#define DECLARE_REAL(name) static void *real_##name

static inline void *wrap_find(void **slot, const char *name, const char *version)
{
	void *f = load_relaxed(slot);

	if (__builtin_expect(f == NULL, 0)) {
		if (version)
			f = dlvsym(RTLD_NEXT, name, version);
		if (!f)
			f = dlsym(RTLD_NEXT, name);
		store_relaxed(slot, f);
	}
	return f;
}

static inline uint64_t wrap_now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
