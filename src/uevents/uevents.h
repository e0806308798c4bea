/* Marked programs' events as the kernel's user_events: libcairn-user-events.so.
 *
 * It stands in the runtime's place ($CAIRN_RT; `cairn user-events -- COMMAND`): when a module of the
 * program registers, each of its events becomes a user event "user_events:PROVIDER_EVENT", and its sites
 * are switched on. From then on a site costs a few ns; while perf, trace-cmd or Cairn records the
 * event, the kernel sets a bit, and it is written, by one system call. The program must be allowed to
 * open user_events_data; its descriptor is marked close-on-exec.
 *
 * The kernel's fields follow each other without gaps, as the payload's do. What has no fixed size comes
 * last there, and a __rel_loc stands in its place:
 *
 *	integers, enumerations		u8..u64, s8..s64; pointers and floats: u64, u32 (their bits)
 *	bool, char			u8, char
 *	char name[N], bytes		char[N], u8 as "struct bytes" of N bytes
 *	T name[N]			"struct array" of its bytes
 *	string				__rel_loc char[]
 *	T name[n]			__rel_loc T[]
 *
 * uevents_text() and uevents_gather() are pure. uevents_fire() is async-signal-safe, calls nothing of
 * libc, leaves errno and vector registers alone.
 */
#ifndef CAIRN_UEVENTS_UEVENTS_H
#define CAIRN_UEVENTS_UEVENTS_H

#include <cairn/site.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#define UEVENTS_TEXT_MAX 512 /* what the kernel takes */
#define UEVENTS_PARTS_MAX (3 * CAIRN_MAX_FIELDS + 2)

struct uevent { /* never freed: slots and the kernel know its address */
	uint32_t enabled; /* bit 0: the kernel's, set while somebody records it */
	uint32_t index; /* what each write begins with */
	const struct cairn_desc *desc; /* in its module */
	uint32_t fixed_bytes; /* of the record before the data of its __rel_locs */
	bool is_fixed; /* there are none: the payload is the record */
	struct uevent *next;
};

/* What the kernel is told of an event: "name type field; type field". Its length, or -E2BIG. Sets
 * fixed_bytes and is_fixed. */
int uevents_text(const struct cairn_desc *d, char text[UEVENTS_TEXT_MAX], struct uevent *ret);

/* A payload as the kernel's record: parts to be written one after the other, from parts[0] on; locs
 * holds what stands in the place of dynamic fields. The number of parts; 0: it is damaged, or too
 * large for offsets of 16 bits. */
int uevents_gather(const struct uevent *e, const uint8_t *payload, uint32_t size,
	struct iovec parts[UEVENTS_PARTS_MAX], uint32_t locs[CAIRN_MAX_FIELDS]);

/* The descriptor of user_events_data, and what file it is: a program may close it, and open another
 * by its number, which must not be written to. */
struct uevents_file {
	int fd; /* -1: none */
	uint64_t dev_minor, dev_major, ino;
};
extern struct uevents_file uevents_file; /* written once, before any site is switched on */

void uevents_fire(struct cairn_slot *slot, void *payload, uint32_t size, const void *ip);
void *uevents_scratch(uint32_t size);
void uevents_scratch_done(void *payload);

#endif
