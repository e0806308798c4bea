/* A hash table from byte strings to pointers: open addressing, linear probing, at most 2/3 full,
 * removal by shifting back. Keys are copied and owned; values are borrowed. */
#include "base/base.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct map_entry {
	void *key; /* owned; NULL: empty */
	size_t n;
	uint64_t hash;
	void *value; /* borrowed from the caller */
};

uint64_t hash_bytes(const void *p, size_t n, uint64_t seed)
{
	const unsigned char *s = p;
	uint64_t h = 0xcbf29ce484222325u ^ seed;

	for (size_t i = 0; i < n; i++)
		h = (h ^ s[i]) * 0x100000001b3u;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93u;
	return h ^ h >> 32;
}

static size_t find(const struct map *m, const void *key, size_t n, uint64_t hash)
{
	size_t i = hash & (m->cap - 1);

	for (; m->slots[i].key; i = (i + 1) & (m->cap - 1))
		if (m->slots[i].hash == hash && m->slots[i].n == n &&
			memcmp(m->slots[i].key, key, n) == 0)
			break;
	return i;
}

void *map_get(const struct map *m, const void *key, size_t n)
{
	if (!m->len)
		return NULL;
	return m->slots[find(m, key, n, hash_bytes(key, n, 0))].value;
}

static int grow(struct map *m)
{
	struct map bigger = {.cap = m->cap ? m->cap * 2 : 16, .len = m->len};

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < m->cap; i++) {
		struct map_entry *e = &m->slots[i];

		if (e->key)
			bigger.slots[find(&bigger, e->key, e->n, e->hash)] = *e;
	}
	free(m->slots);
	*m = bigger;
	return 0;
}

int map_put(struct map *m, const void *key, size_t n, void *value)
{
	uint64_t hash = hash_bytes(key, n, 0);
	struct map_entry *e;

	if ((m->len + 1) * 3 > m->cap * 2 && grow(m) < 0)
		return -ENOMEM;
	e = &m->slots[find(m, key, n, hash)];
	if (!e->key) {
		void *copy = malloc(n ? n : 1);

		if (!copy)
			return -ENOMEM;
		memcpy(copy, key, n);
		*e = (struct map_entry){.key = copy, .n = n, .hash = hash};
		m->len++;
	}
	e->value = value;
	return 0;
}

void *map_remove(struct map *m, const void *key, size_t n)
{
	size_t hole, i, mask = m->cap - 1;
	void *value;

	if (!m->len)
		return NULL;
	hole = find(m, key, n, hash_bytes(key, n, 0));
	if (!m->slots[hole].key)
		return NULL;
	value = m->slots[hole].value;
	free(m->slots[hole].key);
	for (i = (hole + 1) & mask; m->slots[i].key; i = (i + 1) & mask) {
		size_t home = m->slots[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole] = (struct map_entry){0};
	m->len--;
	return value;
}

void *map_next(const struct map *m, size_t *i, const void **ret_key, size_t *ret_n)
{
	for (; *i < m->cap; (*i)++) {
		const struct map_entry *e = &m->slots[*i];

		if (!e->key)
			continue;
		if (ret_key)
			*ret_key = e->key;
		if (ret_n)
			*ret_n = e->n;
		(*i)++;
		return e->value;
	}
	return NULL;
}

void map_done(struct map *m)
{
	for (size_t i = 0; i < m->cap; i++)
		free(m->slots[i].key);
	free(m->slots);
	*m = (struct map){0};
}
