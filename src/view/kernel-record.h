/* Records of the kernel again, from events of Cairn's kernel traces (kernel/kctf.h): what the kernel's
 * ring buffer held, but for what lay between its fields and for bytes behind a string's end. */
#ifndef CAIRN_VIEW_KERNEL_RECORD_H
#define CAIRN_VIEW_KERNEL_RECORD_H

#include "kernel/format.h"
#include <cairn/reader.h>

struct kernel_recipe; /* how one event class's records are made */

/* NULL: the class is not what the format would have become, or there is no memory. */
struct kernel_recipe *kernel_recipe_new(
	const struct kformat *f, const struct cairn_event_class *cls);
void kernel_recipe_free(struct kernel_recipe *r); /* takes NULL */

#define KERNEL_RECORD_MAX (1u << 17) /* fixed part below 64 KiB, and what dynamic fields hold */

/* bytes: of the event behind its header, contexts first. Gives the record's size, at most
 * KERNEL_RECORD_MAX; 0: the bytes end too early. Behind bytes + n 16 more may be read. */
size_t kernel_record(
	const struct kernel_recipe *r, const uint8_t *bytes, size_t n, uint8_t *record);

#endif
