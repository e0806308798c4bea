/* Ownership helpers, vectors and arenas. */
#include "base/base.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void auto_free(void *p)
{
	free(*(void **)p);
}

void auto_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd); /* nothing to do about a failing close of a dying owner */
	errno = saved;
}

void auto_file(void *p)
{
	FILE *f = *(FILE **)p;

	if (f)
		(void)fclose(f); /* as auto_fd */
}

void auto_dir(void *p)
{
	DIR *d = *(DIR **)p;

	if (d)
		(void)closedir(d); /* as auto_fd */
}

int vec_reserve(void **p, size_t *cap, size_t need, size_t elem)
{
	size_t want = *cap ? *cap : 8, bytes;
	void *grown;

	if (need <= *cap)
		return 0;
	while (want < need)
		if (__builtin_mul_overflow(want, (size_t)2, &want))
			return -EOVERFLOW;
	if (__builtin_mul_overflow(want, elem, &bytes))
		return -EOVERFLOW;
	grown = realloc(*p, bytes);
	if (!grown)
		return -ENOMEM;
	*p = grown;
	*cap = want;
	return 0;
}

#define ARENA_BLOCK 16384

struct arena_block {
	struct arena_block *next; /* owned */
	size_t used, size;
	_Alignas(16) char bytes[];
};

void *arena_alloc(struct arena *a, size_t n)
{
	struct arena_block *b = a->head;
	size_t need;
	void *p;

	if (__builtin_add_overflow(n, (size_t)15, &need))
		return NULL;
	need &= ~(size_t)15;
	if (!b || b->size - b->used < need) {
		size_t size = MAX(need, (size_t)ARENA_BLOCK);

		b = calloc(1, sizeof(*b) + size);
		if (!b)
			return NULL;
		b->size = size;
		b->next = a->head;
		a->head = b;
	}
	p = b->bytes + b->used;
	b->used += need;
	return p;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	if (p && n)
		memcpy(p, s, n);
	return p;
}

void arena_done(struct arena *a)
{
	while (a->head) {
		struct arena_block *b = a->head;

		a->head = b->next;
		free(b);
	}
}

size_t first_above(const void *all, size_t n, size_t size, uint64_t v)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		uint64_t at;

		memcpy(&at, (const char *)all + mid * size, sizeof(at));
		if (at <= v)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}
