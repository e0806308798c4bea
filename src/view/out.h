/* Output at speed: a big buffer in front of a descriptor, and numbers written without printf.
 *
 * All of out_*() only append; the buffer goes out when it is full or out_flush() is called. After
 * a failed write `err` is set (-EPIPE when the reader has gone, -ETIMEDOUT when `wait` says that it
 * was waited for long enough) and later output is thrown away,
 * so callers look once in a while and at the end.
 */
#ifndef CAIRN_VIEW_OUT_H
#define CAIRN_VIEW_OUT_H

#include "base/base.h"
#include <string.h>

#define OUT_BUFFER (256u << 10)
#define OUT_ROOM 512u /* what out_room() promises without looking again */

struct out {
	char *data; /* owned; OUT_BUFFER bytes */
	size_t len;
	int fd; /* borrowed */
	int err;
	uint64_t bytes; /* written so far */
	const struct write_wait
		*wait; /* borrowed; NULL: out_flush() waits as long as it takes, in write(2) */
};

int out_init(struct out *o, int fd); /* 0 or -ENOMEM */
int out_flush(struct out *o); /* 0 or the first error */
void out_done(struct out *o); /* does not flush */
void auto_out(struct out *o);

void out_drain(struct out *o); /* makes room for OUT_ROOM bytes, cold half of out_room() */
/* At least OUT_ROOM bytes to write at; then out_wrote(). */
static inline char *out_room(struct out *o)
{
	if (__builtin_expect(OUT_BUFFER - o->len < OUT_ROOM, 0))
		out_drain(o);
	return o->data + o->len;
}
static inline void out_wrote(struct out *o, char *end)
{
	o->len = (size_t)(end - o->data);
}

void out_bytes(struct out *o, const void *p, size_t n);
static inline void out_str(struct out *o, const char *s)
{
	out_bytes(o, s, strlen(s));
}
static inline void out_char(struct out *o, char c)
{
	char *p = out_room(o);

	*p = c;
	o->len++;
}
void out_u64(struct out *o, uint64_t v);
void out_i64(struct out *o, int64_t v);
void out_hex(struct out *o, uint64_t v); /* 0x..., without leading zeros */
void out_double(struct out *o, double v); /* shortest text that reads back the same */
void out_printf(struct out *o, const char *fmt, ...)
	PRINTF_LIKE(2, 3); /* cold paths; cut at 4 KiB */
/* Text as it is, but control characters (newline too) and bytes that are not UTF-8 as \xNN. */
void out_safe(struct out *o, const char *s, size_t n);
/* A JSON string, quoted; bytes that are not UTF-8 become U+FFFD. */
void out_json(struct out *o, const char *s, size_t n);

/* ---- numbers into a place with room (20 bytes suffice) ---- */

char *put_u64(char *p, uint64_t v); /* gives the end */
char *put_padded(char *p, uint64_t v, int width, char pad); /* exactly width when it fits */
char *put_nine(char *p, uint32_t v); /* 9 digits of a number below 10^9, for nanoseconds */

/* ---- for people: into the caller's buffer, which is given back ---- */

#define HUMAN_MAX 32
char *human_bytes(char buf[HUMAN_MAX], uint64_t bytes); /* "512 B", "4.0 KiB", "1.2 GiB" */
char *human_count(char buf[HUMAN_MAX], uint64_t n); /* 12,345,678 */
char *human_rate(char buf[HUMAN_MAX], uint64_t n, uint64_t t_ns); /* "1.2 M/s" */
char *human_ns(char buf[HUMAN_MAX], uint64_t t_ns); /* "1.234 s", "56.7 us" */

#endif
