/* Private to the reader: streams of trace.dat files. */
#ifndef CAIRN_READER_DAT_IMPL_H
#define CAIRN_READER_DAT_IMPL_H

#include "reader/dat.h"
#include "reader/reader-impl.h"

struct dat_stream {
	struct dat *dat; /* borrowed from the trace */
	const struct dat_buffer *buffer; /* borrowed from dat->file */
	struct kpage_layout layout;
	struct dat_pages pages; /* of the ring buffer */
	struct kpage page; /* the current one */
	uint8_t *copy; /* owned: of a page that is not whole */
	struct kpage_event e; /* the current event */
	const struct dat_class *cls; /* of it */
	bool pending; /* e is still to be given: its loss came first */
	bool has_page, bad_page, ended, text;
	struct buf lines; /* owned: a latency tracer's text */
	size_t line_at;
	const char *line; /* the current one */
	size_t line_len;
};

/* ---- dat.c: files and their classes ---- */

/* Opens a file as a trace of r. 0; -EINVAL... with err. *ret: the trace. */
int dat_open(struct cairn_reader *r, const char *path, struct trace **ret, struct error *err);
void dat_free(struct dat *d); /* takes NULL */
/* NULL without memory. */
const struct dat_class *dat_unknown(struct dat *d, uint32_t id);
const struct dat_class *dat_add_line_class(struct dat *d);
/* Names of tasks, from the file's list and from events that say some. */
int dat_learn_names(struct dat *d);
void dat_learn(struct dat *d, const struct dat_class *cls, const uint8_t *record, size_t n);
void dat_names_done(struct dat *d);

/* ---- dat-types.c: formats as classes ---- */

/* The class of a format; NULL without memory. fmt: taken. */
struct dat_class *dat_class_new(struct dat *d, struct kformat *fmt, const struct dat_format *text);
struct dat_class *dat_class_unknown(struct dat *d, uint32_t id);
struct dat_class *dat_class_line(struct dat *d); /* of a latency tracer's text */

/* ---- dat-stream.c ---- */

int dat_add_streams(struct cairn_reader *r, struct trace *t);
void dat_stream_free(struct dat_stream *ds); /* takes NULL */
int dat_advance(struct stream *s);
bool dat_next_event(struct stream *s);
int dat_seek(struct stream *s, int64_t time_ns);
int dat_range(struct stream *s, int64_t *begin, int64_t *end);

/* ---- dat-values.c ---- */

const struct cairn_value *dat_fields(struct stream *s, size_t *ret_n);
const struct cairn_value *dat_contexts(struct stream *s, size_t *ret_n);
int64_t dat_tid(const struct stream *s);
const char *dat_comm(const struct stream *s, size_t *ret_len);

static inline uint32_t dat_number32(const struct dat *d, const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return d->is_swapped ? __builtin_bswap32(v) : v;
}

#endif
