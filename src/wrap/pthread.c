/* Locks and condition variables: pthread:mutex_*, rwlock_*, cond_*, with their address, the result
 * (0 or an errno) and, where it may wait, how long it took.
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

/* The same for what does not wait. */
#define DO(name, p, call) \
	do { \
		int result = (call); \
		CAIRN(pthread, name, p, result); \
		return result; \
	} while (0)

DECLARE_REAL(pthread_mutex_lock);
DECLARE_REAL(pthread_mutex_trylock);
DECLARE_REAL(pthread_mutex_timedlock);
DECLARE_REAL(pthread_mutex_clocklock);
DECLARE_REAL(pthread_mutex_unlock);
DECLARE_REAL(pthread_rwlock_rdlock);
DECLARE_REAL(pthread_rwlock_tryrdlock);
DECLARE_REAL(pthread_rwlock_timedrdlock);
DECLARE_REAL(pthread_rwlock_clockrdlock);
DECLARE_REAL(pthread_rwlock_wrlock);
DECLARE_REAL(pthread_rwlock_trywrlock);
DECLARE_REAL(pthread_rwlock_timedwrlock);
DECLARE_REAL(pthread_rwlock_clockwrlock);
DECLARE_REAL(pthread_rwlock_unlock);
DECLARE_REAL(pthread_cond_wait);
DECLARE_REAL(pthread_cond_timedwait);
DECLARE_REAL(pthread_cond_clockwait);
DECLARE_REAL(pthread_cond_signal);
DECLARE_REAL(pthread_cond_broadcast);

#define COND_VERSION "GLIBC_2.3.2"

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
	WAIT(cond_wait, cond, REAL_VERSION(pthread_cond_wait, COND_VERSION)(cond, mutex));
}

WRAPPER int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
	const struct timespec *restrict until)
{
	WAIT(cond_timedwait, cond,
		REAL_VERSION(pthread_cond_timedwait, COND_VERSION)(cond, mutex, until));
}

WRAPPER int pthread_cond_clockwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
	clockid_t clock, const struct timespec *restrict until)
{
	WAIT(cond_timedwait, cond, REAL(pthread_cond_clockwait)(cond, mutex, clock, until));
}

WRAPPER int pthread_cond_signal(pthread_cond_t *cond)
{
	DO(cond_signal, cond, REAL_VERSION(pthread_cond_signal, COND_VERSION)(cond));
}

WRAPPER int pthread_cond_broadcast(pthread_cond_t *cond)
{
	DO(cond_broadcast, cond, REAL_VERSION(pthread_cond_broadcast, COND_VERSION)(cond));
}
