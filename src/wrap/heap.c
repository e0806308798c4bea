/* The malloc family: libc:malloc, calloc, realloc, reallocarray, free, posix_memalign,
 * aligned_alloc, memalign, with size and address.
 *
 * dlsym may allocate while it looks for the real malloc. What this thread asks for meanwhile comes
 * from a small arena, which is never given back; free() and realloc() know its addresses.
 */
#include "wrap/wrap.h"
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

DECLARE_REAL(malloc);
DECLARE_REAL(calloc);
DECLARE_REAL(realloc);
DECLARE_REAL(reallocarray);
DECLARE_REAL(free);
DECLARE_REAL(posix_memalign);
DECLARE_REAL(aligned_alloc);
DECLARE_REAL(memalign);

#define ARENA_BYTES 65536
static char arena[ARENA_BYTES] __attribute__((aligned(16)));
static uint64_t arena_used; /* any thread, by fetch_add */

/* This thread is inside dlsym. */
static __thread bool finding __attribute__((tls_model("initial-exec")));

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

/* The real function, or NULL while it is being looked for. */
static void *find(void **slot, const char *name)
{
	void *f = load_relaxed(slot);
	int saved = errno;

	if (__builtin_expect(f != NULL, 1))
		return f;
	if (finding)
		return NULL;
	finding = true;
	f = wrap_find(slot, name, NULL);
	finding = false;
	errno = saved;
	return f;
}
#define HEAP(name) ((__typeof__(&name))find(&real_##name, #name))

WRAPPER void *malloc(size_t size)
{
	__typeof__(&malloc) real = HEAP(malloc);
	void *ptr = real ? real(size) : arena_get(16, size);

	CAIRN(libc, malloc, size, ptr);
	return ptr;
}

WRAPPER void *calloc(size_t n, size_t size)
{
	__typeof__(&calloc) real = HEAP(calloc);
	size_t bytes;
	void *ptr;

	if (real)
		ptr = real(n, size);
	else
		ptr = __builtin_mul_overflow(n, size, &bytes) ? NULL : arena_get(16, bytes);
	CAIRN(libc, calloc, n, size, ptr);
	return ptr;
}

/* Moves a block out of the arena. */
static void *arena_move(void *old, size_t size)
{
	size_t had = ((size_t *)old)[-1];
	__typeof__(&malloc) real = HEAP(malloc);
	void *ptr = real ? real(size) : arena_get(16, size);

	if (ptr)
		memcpy(ptr, old, had < size ? had : size);
	return ptr;
}

WRAPPER void *realloc(void *old, size_t size)
{
	__typeof__(&realloc) real = HEAP(realloc);
	uintptr_t was = (uintptr_t)old;
	void *ptr;

	if (in_arena(old))
		ptr = arena_move(old, size);
	else
		ptr = real ? real(old, size) : arena_get(16, size);
	CAIRN(libc, realloc, (old, (void *)was), size, ptr);
	return ptr;
}

WRAPPER void *reallocarray(void *old, size_t n, size_t size)
{
	__typeof__(&reallocarray) real = HEAP(reallocarray);
	uintptr_t was = (uintptr_t)old;
	size_t bytes;
	void *ptr;

	if (real && !in_arena(old)) {
		ptr = real(old, n, size);
	} else if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		ptr = NULL;
	} else {
		ptr = old ? arena_move(old, bytes) : arena_get(16, bytes);
	}
	CAIRN(libc, reallocarray, (old, (void *)was), n, size, ptr);
	return ptr;
}

WRAPPER void free(void *ptr)
{
	__typeof__(&free) real;

	CAIRN(libc, free, ptr);
	if (in_arena(ptr))
		return;
	real = HEAP(free);
	if (real)
		real(ptr);
}

WRAPPER int posix_memalign(void **ret, size_t align, size_t size)
{
	__typeof__(&posix_memalign) real = HEAP(posix_memalign);
	void *ptr = NULL;
	int result = ENOMEM;

	if (real)
		result = real(&ptr, align, size);
	else if ((ptr = arena_get(align, size)) != NULL)
		result = 0;
	if (result == 0)
		*ret = ptr;
	CAIRN(libc, posix_memalign, align, size, ptr, result);
	return result;
}

WRAPPER void *aligned_alloc(size_t align, size_t size)
{
	__typeof__(&aligned_alloc) real = HEAP(aligned_alloc);
	void *ptr = real ? real(align, size) : arena_get(align, size);

	CAIRN(libc, aligned_alloc, align, size, ptr);
	return ptr;
}

WRAPPER void *memalign(size_t align, size_t size)
{
	__typeof__(&memalign) real = HEAP(memalign);
	void *ptr = real ? real(align, size) : arena_get(align, size);

	CAIRN(libc, memalign, align, size, ptr);
	return ptr;
}
