/* Locks and condition variables: pthread:mutex_*, rwlock_*, cond_*, with their address (a wait for a
 * condition variable: the mutex too), the result (0 or an errno) and, where it may wait, how long it
 * took.
 *
 * Condition variables have two versions in glibc on x86-64; the current one is asked for.
 */
#include "wrap/wrap.h"
#include <errno.h>
#include <pthread.h>

/* Runs `call` as event `name` on the object `p`, with how long it took. */
#define WAIT(name, p, call) \
	do { \
		uint64_t began; \
		int result; \
		CAIRN_AROUND(pthread, name, began = wrap_now_ns(), result = (call), p, result, \
			(wait_ns, wrap_now_ns() - began)); \
		return result; \
	} while (0)

/* The same for a wait for `cond`, which gives `mutex` back meanwhile. */
#define COND_WAIT(name, call) \
	do { \
		uint64_t began; \
		int result; \
		CAIRN_AROUND(pthread, name, began = wrap_now_ns(), result = (call), cond, mutex, \
			result, (wait_ns, wrap_now_ns() - began)); \
		return result; \
	} while (0)

/* For what does not wait. */
#define DO(name, p, call) \
	do { \
		int result = (call); \
		CAIRN(pthread, name, p, result); \
		return result; \
	} while (0)

#define COND_VERSION "GLIBC_2.3.2"

/* Stands for what is not there (any of these may be called so). */
static int no_such_call(void)
{
	return ENOSYS;
}

DECLARE_REAL(pthread_mutex_lock, no_such_call);
DECLARE_REAL(pthread_mutex_trylock, no_such_call);
DECLARE_REAL(pthread_mutex_timedlock, no_such_call);
DECLARE_REAL(pthread_mutex_clocklock, no_such_call);
DECLARE_REAL(pthread_mutex_unlock, no_such_call);
DECLARE_REAL(pthread_rwlock_rdlock, no_such_call);
DECLARE_REAL(pthread_rwlock_tryrdlock, no_such_call);
DECLARE_REAL(pthread_rwlock_timedrdlock, no_such_call);
DECLARE_REAL(pthread_rwlock_clockrdlock, no_such_call);
DECLARE_REAL(pthread_rwlock_wrlock, no_such_call);
DECLARE_REAL(pthread_rwlock_trywrlock, no_such_call);
DECLARE_REAL(pthread_rwlock_timedwrlock, no_such_call);
DECLARE_REAL(pthread_rwlock_clockwrlock, no_such_call);
DECLARE_REAL(pthread_rwlock_unlock, no_such_call);
DECLARE_REAL_VERSION(pthread_cond_wait, no_such_call, COND_VERSION);
DECLARE_REAL_VERSION(pthread_cond_timedwait, no_such_call, COND_VERSION);
DECLARE_REAL(pthread_cond_clockwait, no_such_call);
DECLARE_REAL_VERSION(pthread_cond_signal, no_such_call, COND_VERSION);
DECLARE_REAL_VERSION(pthread_cond_broadcast, no_such_call, COND_VERSION);

WRAPPER int pthread_mutex_lock(pthread_mutex_t *mutex)
{
	WAIT(mutex_lock, mutex, REAL(pthread_mutex_lock)(mutex));
}

WRAPPER int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	DO(mutex_trylock, mutex, REAL(pthread_mutex_trylock)(mutex));
}

WRAPPER int pthread_mutex_timedlock(
	pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
	WAIT(mutex_timedlock, mutex, REAL(pthread_mutex_timedlock)(mutex, until));
}

WRAPPER int pthread_mutex_clocklock(
	pthread_mutex_t *restrict mutex, clockid_t clock, const struct timespec *restrict until)
{
	WAIT(mutex_timedlock, mutex, REAL(pthread_mutex_clocklock)(mutex, clock, until));
}

WRAPPER int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	DO(mutex_unlock, mutex, REAL(pthread_mutex_unlock)(mutex));
}

WRAPPER int pthread_rwlock_rdlock(pthread_rwlock_t *rwlock)
{
	WAIT(rwlock_rdlock, rwlock, REAL(pthread_rwlock_rdlock)(rwlock));
}

WRAPPER int pthread_rwlock_tryrdlock(pthread_rwlock_t *rwlock)
{
	DO(rwlock_tryrdlock, rwlock, REAL(pthread_rwlock_tryrdlock)(rwlock));
}

WRAPPER int pthread_rwlock_timedrdlock(
	pthread_rwlock_t *restrict rwlock, const struct timespec *restrict until)
{
	WAIT(rwlock_timedrdlock, rwlock, REAL(pthread_rwlock_timedrdlock)(rwlock, until));
}

WRAPPER int pthread_rwlock_clockrdlock(
	pthread_rwlock_t *restrict rwlock, clockid_t clock, const struct timespec *restrict until)
{
	WAIT(rwlock_timedrdlock, rwlock, REAL(pthread_rwlock_clockrdlock)(rwlock, clock, until));
}

WRAPPER int pthread_rwlock_wrlock(pthread_rwlock_t *rwlock)
{
	WAIT(rwlock_wrlock, rwlock, REAL(pthread_rwlock_wrlock)(rwlock));
}

WRAPPER int pthread_rwlock_trywrlock(pthread_rwlock_t *rwlock)
{
	DO(rwlock_trywrlock, rwlock, REAL(pthread_rwlock_trywrlock)(rwlock));
}

WRAPPER int pthread_rwlock_timedwrlock(
	pthread_rwlock_t *restrict rwlock, const struct timespec *restrict until)
{
	WAIT(rwlock_timedwrlock, rwlock, REAL(pthread_rwlock_timedwrlock)(rwlock, until));
}

WRAPPER int pthread_rwlock_clockwrlock(
	pthread_rwlock_t *restrict rwlock, clockid_t clock, const struct timespec *restrict until)
{
	WAIT(rwlock_timedwrlock, rwlock, REAL(pthread_rwlock_clockwrlock)(rwlock, clock, until));
}

WRAPPER int pthread_rwlock_unlock(pthread_rwlock_t *rwlock)
{
	DO(rwlock_unlock, rwlock, REAL(pthread_rwlock_unlock)(rwlock));
}

WRAPPER int pthread_cond_wait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex)
{
	COND_WAIT(cond_wait, REAL(pthread_cond_wait)(cond, mutex));
}

WRAPPER int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
	const struct timespec *restrict until)
{
	COND_WAIT(cond_timedwait, REAL(pthread_cond_timedwait)(cond, mutex, until));
}

WRAPPER int pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
	clockid_t clock, const struct timespec *restrict until)
{
	COND_WAIT(cond_timedwait, REAL(pthread_cond_clockwait)(cond, mutex, clock, until));
}

WRAPPER int pthread_cond_signal(pthread_cond_t *cond)
{
	DO(cond_signal, cond, REAL(pthread_cond_signal)(cond));
}

WRAPPER int pthread_cond_broadcast(pthread_cond_t *cond)
{
	DO(cond_broadcast, cond, REAL(pthread_cond_broadcast)(cond));
}
