/* trace.dat, the file that trace-cmd writes: versions 6 and 7, plain or compressed.
 *
 * A file holds formats of events, symbols, names of tasks, and for each CPU of each buffer (the top
 * one and instances) the pages of the kernel's ring buffer as trace_pipe_raw gave them. All numbers
 * are in the endianness of the traced machine.
 *
 *	17 08 44 "tracing" "N\0"	N is 6 or 7
 *	u8 endian (1: big)  u8 bytes of a long  u32 page size
 *
 * and then as trace-dat-v6.c and trace-dat-v7.c say.
 *
 * What is damaged is said by trace_dat_open() if nothing can be read without it, else in `notices`.
 * Nothing here grows with the recorded data: pages are read through a window (trace-dat-pages.c).
 */
#ifndef CAIRN_KERNEL_TRACE_DAT_H
#define CAIRN_KERNEL_TRACE_DAT_H

#include "base/base.h"
#include "kernel/page.h"

#define DAT_MAX_TEXT (256u << 20) /* of one section */
#define DAT_MAX_BUFFERS 4096
#define DAT_MAX_CPUS 65536
#define DAT_MAX_CHUNK (64u << 20) /* of compressed data, both ways */
#define DAT_MAX_PAGE (16u << 20)

enum dat_compression { DAT_NONE, DAT_ZLIB, DAT_ZSTD };

struct dat_cpu { /* the data of one CPU in one buffer */
	uint32_t cpu;
	uint64_t offset, size; /* in the file */
};

struct dat_buffer {
	const char *name; /* "" for the top one; arena */
	const char *clock; /* "local", "x86-tsc"...; "" if not said; arena */
	uint32_t page_bytes;
	bool compressed;
	bool is_text; /* of a latency tracer: text_at says where */
	uint64_t text_at, text_bytes;
	struct dat_cpu *cpus; /* owned */
	size_t ncpus, cpus_cap;
};

struct dat_format {
	const char *system; /* arena */
	const char *text; /* arena */
	size_t len;
};

struct dat_blob { /* text that is read when it is asked for */
	uint64_t at, size; /* in the file; size 0: there is none */
	bool is_section; /* version 7: `at` is that of the section's head */
	bool has_size; /* its text comes behind a u32 that says its size */
};

struct dat_sample { /* of clocks of a guest and its host */
	uint64_t time;
	int64_t offset;
	uint64_t scaling; /* with `fraction` bits behind the point; 0: none */
	uint32_t fraction;
};

struct dat_shift {
	struct dat_sample *samples; /* owned; by time */
	size_t n;
};

struct trace_dat {
	int fd; /* owned */
	char *path; /* owned */
	uint64_t file_size;
	struct arena arena;
	int version; /* 6 or 7 */
	bool big_endian;
	uint8_t long_size;
	uint32_t page_bytes;
	enum dat_compression compression;
	struct buf header_page; /* text */
	struct dat_format *formats; /* owned */
	size_t nformats, formats_cap;
	struct buf cmdlines; /* "PID COMM\n"... */
	struct dat_blob kallsyms, printk;
	struct dat_buffer *buffers; /* owned */
	size_t nbuffers, buffers_cap;
	uint32_t ncpus; /* the most of any buffer */
	const char *uname, *made_by; /* arena, or NULL */
	const char *clock; /* arena; of all buffers, whatever they say; NULL: they say it (v7) */
	uint64_t trace_id;
	/* time: from the clock's value to nanoseconds, see trace_dat_time() */
	int64_t add_ns; /* --date, --ts-offset */
	uint32_t mult, shift; /* of TSC2NSEC; mult 0: none */
	struct dat_shift *shifts; /* owned; by CPU */
	size_t nshifts;
	bool interpolate;
	struct error *notices; /* owned: what could not be read */
	size_t nnotices, notices_cap;
	bool cut; /* the file ends before what it says it has */
};

/* Whether a file begins as a trace.dat does. */
bool trace_dat_is(const void *head, size_t n);
/* Opens and reads all but the recorded data, kallsyms and printk formats. 0, or -Exxx with err
 * (-EINVAL: no trace.dat, or damaged; err.where: PATH:OFFSET). */
int trace_dat_open(const char *path, struct trace_dat **ret, struct error *err);
void trace_dat_free(struct trace_dat *d); /* takes NULL */
/* Adds a notice: what could not be read, at an offset. Gives -EPROTO, or -ENOMEM. */
int dat_notice(struct trace_dat *d, uint64_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Appends the text of a blob; 0 or -Exxx. */
int trace_dat_text(struct trace_dat *d, const struct dat_blob *b, struct buf *ret);

/* The time of a page's or event's clock value, as trace-cmd report has it: shifted to the host's
 * clock, TSC made nanoseconds, the file's offset added. */
uint64_t trace_dat_time(const struct trace_dat *d, uint32_t cpu, uint64_t ts);
/* Whether that is nanoseconds for all buffers: their clock counts them, or is converted. */
bool trace_dat_is_ns(const struct trace_dat *d);

/* ---- pages of one CPU, one after the other (trace-dat-pages.c) ---- */

struct dat_pages {
	const struct trace_dat *d; /* borrowed, as are b and c */
	const struct dat_buffer *b;
	const struct dat_cpu *c;
	uint8_t *buf; /* owned: the window; of compressed data, a chunk */
	size_t cap, len, pos;
	uint8_t *packed; /* owned: a compressed chunk */
	size_t packed_cap;
	uint64_t at, end; /* in the file: what was not read yet */
	uint32_t chunks; /* compressed: still to come */
	bool started;
	uint64_t page_at; /* in the file: the page given last; compressed: its chunk */
	void *zstd; /* owned: decompression context */
	const char *why; /* after -EPROTO */
};

void dat_pages_init(
	struct dat_pages *p, const struct trace_dat *d, const struct dat_buffer *b, size_t cpu);
void dat_pages_done(struct dat_pages *p);
/* The next page: 1 and *ret of b->page_bytes (the last may be shorter: *ret_len), 0 at the end,
 * -EPROTO (p->why; nothing more can be read if it is compressed), -EIO, -ENOMEM. The page lives
 * until the next call. */
int dat_pages_next(struct dat_pages *p, const uint8_t **ret, size_t *ret_len);
/* Back to the begin. */
void dat_pages_rewind(struct dat_pages *p);
/* Uncompressed data: goes to page n. False if there is no such page. */
bool dat_pages_go(struct dat_pages *p, uint64_t n);
uint64_t dat_pages_count(const struct dat_pages *p); /* 0 if compressed: not known */

#endif
