/* What views need that know a trace's layout: the bytes of an event as they stand in its packet, and texts
 * that came along. */
#ifndef CAIRN_READER_BYTES_H
#define CAIRN_READER_BYTES_H

#include <cairn/reader.h>

/* All behind the event's header, its contexts first: *ret_n bytes, and 16 more may be read. NULL if it is
 * not of CTF, or does not begin at a byte. Until the next cairn_reader_next(). */
const uint8_t *reader_bytes(const struct cairn_event *ev, size_t *ret_n);

/* The texts (kernel/texts.h) of a trace from a pipe so far; they grow. *ret_n 0: it has none, or is no
 * pipe's. */
const char *reader_texts(const struct cairn_trace *t, size_t *ret_n);

#endif
