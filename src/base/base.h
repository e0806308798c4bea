/* The foundation: errors, ownership, growing memory, strings, a hash table, files.
 *
 * Knows nothing of tracing. Everything here belongs to host-side code (commands, libraries,
 * tests); the runtime that lives in traced programs uses only base/atomic.h. Functions return 0
 * or a count, or -Exxx; nothing prints or exits. Not thread-safe unless said.
 */
#ifndef CAIRN_BASE_H
#define CAIRN_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* ---- ownership: a local that owns is declared AUTO(x) and leaves by TAKE(p) ---- */

#define AUTO(x) __attribute__((cleanup(auto_##x)))
#define TAKE(p) \
	({ \
		__auto_type taken_ = (p); \
		(p) = NULL; \
		taken_; \
	})

void auto_free(void *p); /* for any T *p from malloc */
void auto_fd(int *fd); /* closes if >= 0 */
void auto_file(void *p); /* for FILE * */
void auto_dir(void *p); /* for DIR * */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* ---- errors: what a user reads; filled where the fault is found ---- */

/* The same layout as the public struct cairn_error (include/cairn/error.h). */
struct error {
	char message[256]; /* what is wrong, and what was expected; no newline */
	char where[128]; /* file:line, packet offset, option...; may be empty */
	char hint[192]; /* what to do next; may be empty */
};

/* Each returns err, so that a failing function ends `return error_set(e, -EINVAL, "...")`.
 * e may be NULL. errno is preserved. */
int error_set(struct error *e, int err, const char *fmt, ...) PRINTF_LIKE(3, 4);
void error_where(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
void error_hint(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* ---- growing memory ---- */

/* Makes room for `need` elements of `elem` bytes in *p; 0, -ENOMEM or -EOVERFLOW. */
int vec_reserve(void **p, size_t *cap, size_t need, size_t elem);
/* Appends room for one element to (ptr, len, cap); the new element is zeroed and its address
 * given, or NULL without memory. Use: struct x *n = VEC_ADD(v->items, v->len, v->cap); */
#define VEC_ADD(ptr, len, cap) \
	(vec_reserve((void **)&(ptr), &(cap), (len) + 1, sizeof(*(ptr))) == 0 \
			? (memset(&(ptr)[(len)], 0, sizeof(*(ptr))), &(ptr)[(len)++]) \
			: NULL)

/* A growing byte string, always NUL-terminated once something was added. After any -ENOMEM,
 * err stays set and later adds do nothing, so callers may check once at the end. */
struct buf {
	char *data; /* owned */
	size_t len, cap;
	int err;
};
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_json_str(
	struct buf *b, const char *s, size_t n); /* quoted; invalid UTF-8 becomes U+FFFD */
void buf_clear(struct buf *b); /* keeps the memory */
void buf_done(struct buf *b);
void auto_buf(struct buf *b);

/* An arena: memory with one life. Zeroed, 16-byte aligned, freed all at once; NULL without memory. */
struct arena {
	struct arena_block *head; /* owned */
};
void *arena_alloc(struct arena *a, size_t n);
char *arena_strndup(struct arena *a, const char *s, size_t n);
void arena_done(struct arena *a);

/* Of n elements of `size` bytes, sorted by the uint64_t that each begins with, the first one above v; n: none. */
size_t first_above(const void *all, size_t n, size_t size, uint64_t v);

/* ---- a hash table from byte strings to pointers (keys are copied) ---- */

struct map {
	struct map_entry *slots; /* owned */
	size_t len, cap;
};
uint64_t hash_bytes(const void *p, size_t n, uint64_t seed); /* FNV-1a with a final mix */
void *map_get(const struct map *m, const void *key, size_t n);
int map_put(struct map *m, const void *key, size_t n, void *value); /* replaces; 0 or -ENOMEM */
void *map_remove(struct map *m, const void *key, size_t n); /* the value, or NULL */
/* Iteration: for (size_t i = 0; (v = map_next(m, &i, &key, &n));) — any order, no changes meanwhile */
void *map_next(const struct map *m, size_t *i, const void **ret_key, size_t *ret_n);
void map_done(struct map *m);

/* ---- text ---- */

/* Shell-like match of '*' and '?' (no brackets), whole string. */
bool glob_match(const char *pattern, const char *s);
/* "64K", "1M", "2G", plain bytes; 0 or -EINVAL. Powers of 1024. */
int parse_size(const char *s, uint64_t *ret);
/* "10", "1.5s", "200ms", "3m", "1h", "7us", "5ns": to nanoseconds; 0 or -EINVAL. */
int parse_duration_ns(const char *s, uint64_t *ret_ns);
int parse_u64(const char *s, uint64_t *ret); /* decimal or 0x; whole string; 0 or -EINVAL */

/* ---- files ---- */

int write_all(int fd, const void *p, size_t n); /* 0 or -errno; retries EINTR */
/* How long to wait for who reads a pipe: ms() is asked before each part that is written and when `wake`
 * is readable, and says how many milliseconds at most; -1: as long as it takes. */
struct write_wait {
	int (*ms)(void *data); /* NULL: as long as it takes */
	void *data;
	int wake; /* borrowed; -1: none */
};
/* As write_all(), but never blocked in write(2), also where that is slower. -ETIMEDOUT: the time was over;
 * parts may be written. */
int write_waiting(int fd, const void *p, size_t n, const struct write_wait *wait);
const char *write_strerror(int err); /* why writing failed, for people; err: an errno value */
int read_file(const char *path, size_t limit, struct buf *ret); /* whole file; -EFBIG over limit */
int read_file_at(int dirfd, const char *path, size_t limit, struct buf *ret);
int mkdir_p(const char *path, mode_t mode); /* like mkdir -p; 0 or -errno */
uint64_t now_ns(int clock); /* clock_gettime in nanoseconds */

#endif
