/* Stacks of user space in the kernel's trace: addresses become (file, offset) as they are recorded.
 *
 * In the place of the kernel's ftrace:user_stack stand two events of the same stream:
 *
 *	cairn_state:file	id, path, build_id[], shift, seen	before the stack that names it
 *				first in that stream. shift: address in the ELF file - offset, INT64_MIN
 *				if not known; seen: ns from 1970, when it was mapped
 *	ftrace:user_stack	tgid, caller[] (addresses), file[] (ids; KSTACKS_NO_FILE: of none),
 *				offset[] (in the file; of none: 0). The innermost first
 */
#ifndef CAIRN_KERNEL_KSTACKS_H
#define CAIRN_KERNEL_KSTACKS_H

#include "kernel/kctf.h"
#include "kernel/mappings.h"

#define KSTACKS_NO_FILE UINT32_MAX

struct kstacks;

/* user_stack: id of the kernel's event, known to k. m: borrowed.
 * 0, -ENOMEM, or -EPROTO: this kernel's event is not as expected. */
int kstacks_new(struct kctf *k, uint32_t user_stack, struct mappings *m, struct kstacks **ret);
/* A stack that is not in a record of the kernel's: n addresses (u64), behind an event whose first 8 bytes say whose it
 * is. What is mapped as of its time is known. 0, -ENOMEM. */
int kstacks_put(struct kstacks *s, struct kctf_stream *to, const struct kpage_event *of,
	uint32_t process, const uint8_t *addresses, size_t n);
/* The streams begin anew: files are named again. */
void kstacks_begin(struct kstacks *s);
void kstacks_free(struct kstacks *s); /* before k; takes NULL */

#endif
