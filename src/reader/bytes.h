/* The bytes of an event as they stand in its packet, for views that know their layout. */
#ifndef CAIRN_READER_BYTES_H
#define CAIRN_READER_BYTES_H

#include <cairn/reader.h>

/* All behind the event's header, its contexts first: *ret_n bytes, and 16 more may be read. NULL if it is
 * not of CTF, or does not begin at a byte. Until the next cairn_reader_next(). */
const uint8_t *reader_bytes(const struct cairn_event *ev, size_t *ret_n);

#endif
