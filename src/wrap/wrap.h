/* What the wrappers share: the real functions, and time.
 *
 * libcairn-libc.so and libcairn-pthread.so are preloaded into programs nobody marked. Each wrapper
 * calls the function it hides (the next of that name, so that other allocators work beneath) and
 * fires an event. While the event is off, that is all: one NOP more, and no clock is read.
 *
 * Promises: errno is the real function's. A cancelled thread unwinds through us. Once the library's
 * constructor has run, nothing here allocates, locks or takes a signal, in a signal handler or the
 * child of a fork neither: the real functions are all known by then (find.c). The runtime calls
 * none of these (it makes system calls itself), so tracing does not trace itself.
 */
#ifndef CAIRN_WRAP_H
#define CAIRN_WRAP_H

#include "base/atomic.h"
#include <cairn/trace.h>

/* Exported: everything else is hidden (-fvisibility=hidden). */
#define WRAPPER __attribute__((visibility("default")))

/* A function that one of our wrappers hides. */
struct wrap_real {
	void *function; /* NULL until found; written once, by any thread, to the same */
	void *meanwhile; /* called while this thread looks for it, or if there is none */
	const char *name;
	const char *version; /* asked for first, where there are several; or NULL */
};

/* Declares the real NAME. Pointers to all of a library's stand in one section, as a table. */
#define DECLARE_REAL(name, meanwhile) DECLARE_REAL_VERSION(name, meanwhile, NULL)
#define DECLARE_REAL_VERSION(name, meanwhile, version) \
	static struct wrap_real real_##name = {NULL, (void *)(meanwhile), #name, version}; \
	static struct wrap_real *const row_##name __attribute__((section("cairn_reals"), used)) = \
		&real_##name

/* The real NAME. */
#define REAL(name) ((__typeof__(&name))wrap_real(&real_##name))

/* For a call before the constructor has run: finds all functions of the library. Gives `real`'s, or
 * what is called meanwhile. Keeps errno. */
void *wrap_find_early(struct wrap_real *real);

static inline void *wrap_real(struct wrap_real *real)
{
	void *f = load_relaxed(&real->function);

	return __builtin_expect(f != NULL, 1) ? f : wrap_find_early(real);
}

uint64_t wrap_now_ns(void); /* CLOCK_MONOTONIC (clock.c) */

#endif
