/* What the files of trace.dat reading share. Private to trace-dat*.c. */
#ifndef CAIRN_KERNEL_TRACE_DAT_IMPL_H
#define CAIRN_KERNEL_TRACE_DAT_IMPL_H

#include "kernel/trace-dat.h"

/* A place to read from, in the file or in memory. Reads beyond the end set `failed`, and give
 * zeroes. */
struct dat_in {
	struct trace_dat *d;
	const uint8_t *mem; /* NULL: the file */
	uint64_t at, end;
	bool failed;
};

bool dat_get(struct dat_in *in, void *p, size_t n);
uint16_t dat_u16(struct dat_in *in);
uint32_t dat_u32(struct dat_in *in);
uint64_t dat_u64(struct dat_in *in);
/* A NUL-terminated string of at most 4095 bytes into the arena; NULL if it has failed. */
const char *dat_string(struct dat_in *in);
/* n bytes with a NUL behind them into the arena; NULL if it has failed. */
const char *dat_text(struct dat_in *in, uint64_t n);

/* Decompresses one chunk of exactly `usize` bytes; 0, -EPROTO or -ENOMEM. ctx: kept between calls. */
int dat_unpack(const struct trace_dat *d, void **ctx, const uint8_t *packed, size_t csize,
	uint8_t *out, size_t usize);
void dat_unpack_done(void *ctx);
/* Room for n bytes in *p; what it held may be lost. 0 or -ENOMEM. */
int dat_room(uint8_t **p, size_t *cap, size_t n);

/* The parts that both versions have. 0, -EPROTO or -ENOMEM. */
int dat_read_header_info(struct dat_in *in);
int dat_read_ftrace_events(struct dat_in *in);
int dat_read_event_formats(struct dat_in *in);
int dat_read_cmdlines(struct dat_in *in);

enum { /* options; in version 7 also ids of sections */
	DAT_DONE = 0,
	DAT_DATE = 1,
	DAT_CPUSTAT = 2,
	DAT_BUFFER = 3,
	DAT_TRACECLOCK = 4,
	DAT_UNAME = 5,
	DAT_OFFSET = 7,
	DAT_CPUCOUNT = 8,
	DAT_VERSION = 9,
	DAT_TRACEID = 11,
	DAT_TIME_SHIFT = 12,
	DAT_TSC2NSEC = 14,
	DAT_STRINGS = 15,
	DAT_HEADER_INFO = 16,
	DAT_FTRACE_EVENTS = 17,
	DAT_EVENT_FORMATS = 18,
	DAT_KALLSYMS = 19,
	DAT_PRINTK = 20,
	DAT_CMDLINES = 21,
	DAT_BUFFER_TEXT = 22,
};

/* Takes an option that means the same in both versions; body: all of it. 0, -EPROTO or -ENOMEM. */
int dat_option(struct trace_dat *d, uint16_t id, struct dat_in *body);
/* Makes a buffer; NULL without memory, or if there are DAT_MAX_BUFFERS. */
struct dat_buffer *dat_add_buffer(struct trace_dat *d, const char *name, const char *clock);
/* The name in brackets of "[local] global ..."; the text itself without them. */
const char *dat_clock_name(struct trace_dat *d, const char *text);
/* Puts a CPU's data inside the file, with one notice if it is cut. */
int dat_add_cpu(
	struct trace_dat *d, struct dat_buffer *b, uint32_t cpu, uint64_t at, uint64_t size);

/* trace-dat-cut.c: version 7 without the list of its buffers: looks for them from `at` on. 0, -EPROTO (there are
 * none) or -ENOMEM. */
int dat_find_buffers(struct trace_dat *d, uint64_t at);

int dat_read_v6(struct trace_dat *d, struct dat_in *in, struct error *err);
int dat_read_v7(struct trace_dat *d, struct dat_in *in, struct error *err);

#endif
