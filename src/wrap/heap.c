/* The malloc family: libc:malloc, calloc, realloc, reallocarray, free, posix_memalign,
 * aligned_alloc, memalign, valloc, pvalloc, with size and address.
 *
 * dlsym may allocate while it looks for the real malloc (find.c). What this thread asks for
 * meanwhile comes from a small arena, which is never given back; free() and realloc() know its
 * addresses.
 */
#include "wrap/wrap.h"
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

/* ---- meanwhile ---- */

#define ARENA_BYTES 65536
static char arena[ARENA_BYTES] __attribute__((aligned(16)));
static uint64_t arena_used; /* any thread, by fetch_add */

static bool in_arena(const void *p)
{
	return (uintptr_t)p - (uintptr_t)arena < ARENA_BYTES;
}

/* Zeroed. Before each block stands its size. */
static void *arena_get(size_t align, size_t size)
{
	size_t pad = align > 16 ? align : 16;
	uint64_t at;

	if (size > ARENA_BYTES || pad > ARENA_BYTES)
		goto none;
	at = fetch_add_relaxed(&arena_used, 2 * pad + ((size + 15) & ~15ul));
	if (at > ARENA_BYTES || ARENA_BYTES - at < 2 * pad + size)
		goto none;
	at = ((uintptr_t)arena + at + 16 + pad - 1) / pad * pad;
	((size_t *)at)[-1] = size;
	return (void *)at;
none:
	errno = ENOMEM;
	return NULL;
}

static void *early_malloc(size_t size)
{
	return arena_get(16, size);
}

/* Not of a block in the arena: realloc moves those. */
static void *early_reallocarray(void *old, size_t n, size_t size)
{
	size_t bytes;

	if (old || __builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return arena_get(16, bytes);
}

static void *early_calloc(size_t n, size_t size)
{
	return early_reallocarray(NULL, n, size);
}

static void *early_realloc(void *old, size_t size)
{
	return early_reallocarray(old, 1, size);
}

/* Of a block of the real malloc, which another thread got: it is lost. */
static void early_free(void *ptr)
{
}

static int early_posix_memalign(void **ret, size_t align, size_t size)
{
	*ret = arena_get(align, size);
	return *ret ? 0 : ENOMEM;
}

static void *early_valloc(size_t size)
{
	return arena_get(getauxval(AT_PAGESZ), size);
}

DECLARE_REAL(malloc, early_malloc);
DECLARE_REAL(calloc, early_calloc);
DECLARE_REAL(realloc, early_realloc);
DECLARE_REAL(reallocarray, early_reallocarray);
DECLARE_REAL(free, early_free);
DECLARE_REAL(posix_memalign, early_posix_memalign);
DECLARE_REAL(aligned_alloc, arena_get);
DECLARE_REAL(memalign, arena_get);
DECLARE_REAL(valloc, early_valloc);
DECLARE_REAL(pvalloc, early_valloc);

/* ---- the wrappers ---- */

WRAPPER void *malloc(size_t size)
{
	void *ptr = REAL(malloc)(size);

	CAIRN(libc, malloc, size, ptr);
	return ptr;
}

WRAPPER void *calloc(size_t n, size_t size)
{
	void *ptr = REAL(calloc)(n, size);

	CAIRN(libc, calloc, n, size, ptr);
	return ptr;
}

/* Moves a block out of the arena. */
static void *arena_move(void *old, size_t size)
{
	size_t had = ((size_t *)old)[-1];
	void *ptr = REAL(malloc)(size);

	if (ptr)
		memcpy(ptr, old, had < size ? had : size);
	return ptr;
}

WRAPPER void *realloc(void *old, size_t size)
{
	uintptr_t was = (uintptr_t)old;
	void *ptr = in_arena(old) ? arena_move(old, size) : REAL(realloc)(old, size);

	CAIRN(libc, realloc, (old, (void *)was), size, ptr);
	return ptr;
}

WRAPPER void *reallocarray(void *old, size_t n, size_t size)
{
	uintptr_t was = (uintptr_t)old;
	size_t bytes;
	void *ptr;

	if (!in_arena(old)) {
		ptr = REAL(reallocarray)(old, n, size);
	} else if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		ptr = NULL;
	} else {
		ptr = arena_move(old, bytes);
	}
	CAIRN(libc, reallocarray, (old, (void *)was), n, size, ptr);
	return ptr;
}

WRAPPER void free(void *ptr)
{
	CAIRN(libc, free, ptr);
	if (!in_arena(ptr))
		REAL(free)(ptr);
}

WRAPPER int posix_memalign(void **ret, size_t align, size_t size)
{
	void *ptr = NULL;
	int result = REAL(posix_memalign)(&ptr, align, size);

	if (result == 0)
		*ret = ptr;
	CAIRN(libc, posix_memalign, align, size, ptr, result);
	return result;
}

WRAPPER void *aligned_alloc(size_t align, size_t size)
{
	void *ptr = REAL(aligned_alloc)(align, size);

	CAIRN(libc, aligned_alloc, align, size, ptr);
	return ptr;
}

WRAPPER void *memalign(size_t align, size_t size)
{
	void *ptr = REAL(memalign)(align, size);

	CAIRN(libc, memalign, align, size, ptr);
	return ptr;
}

WRAPPER void *valloc(size_t size)
{
	void *ptr = REAL(valloc)(size);

	CAIRN(libc, valloc, size, ptr);
	return ptr;
}

WRAPPER void *pvalloc(size_t size)
{
	void *ptr = REAL(pvalloc)(size);

	CAIRN(libc, pvalloc, size, ptr);
	return ptr;
}
