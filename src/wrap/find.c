/* Finds the functions that a library of wrappers hides, by dlsym: all of them, once.
 *
 * dlsym takes the loader's lock and may allocate. A thread in dlopen holds that lock while it runs
 * constructors, which may wait for another thread that uses us; in the child of a raw fork nobody
 * gives it back; and a signal handler may not allocate. So our constructor looks for all functions,
 * whether the program uses them or not. Calls may come before:
 * from constructors that run earlier, from threads and children that those made, from the loader,
 * which allocates. The first of them looks for all. What dlsym itself calls of ours meanwhile goes
 * to stand-ins; this way no call of a wrapper waits for itself.
 */
#include "wrap/wrap.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>

extern struct wrap_real *const __start_cairn_reals[] __attribute__((visibility("hidden")));
extern struct wrap_real *const __stop_cairn_reals[] __attribute__((visibility("hidden")));

/* musl has none. Its programs that a traced program starts load us too, and must run. */
extern __typeof__(dlvsym) dlvsym __attribute__((weak));

/* This thread is inside find_all. */
static __thread bool finding __attribute__((tls_model("initial-exec")));

/* Racing threads find the same. */
static void find_all(void)
{
	struct wrap_real *const *row;
	bool missing = false;
	int saved = errno;

	finding = true;
	for (row = __start_cairn_reals; row < __stop_cairn_reals; row++) {
		struct wrap_real *real = *row;
		void *f = load_relaxed(&real->function);

		if (!f && real->version && dlvsym)
			f = dlvsym(RTLD_NEXT, real->name, real->version);
		if (!f)
			f = dlsym(RTLD_NEXT, real->name);
		missing |= !f;
		store_relaxed(&real->function, f ? f : real->meanwhile);
	}
	if (missing)
		(void)dlerror(); /* the program did not ask */
	finding = false;
	errno = saved;
}

void *wrap_find_early(struct wrap_real *real)
{
	if (finding)
		return real->meanwhile;
	find_all();
	return load_relaxed(&real->function);
}

__attribute__((constructor(101))) static void find_at_start(void)
{
	find_all();
}
