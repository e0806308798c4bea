/* What the files that read boot traces share; see boot-read.h. */
#ifndef CAIRN_KERNEL_BOOT_READ_IMPL_H
#define CAIRN_KERNEL_BOOT_READ_IMPL_H

#include "kernel/boot-read.h"
#include "kernel/page.h"

struct boot_tids { /* which tasks a trace's events are of */
	uint64_t *seen; /* owned: a bit for each; NULL: none yet */
};
int boot_tids_see(struct boot_tids *t, const struct kpage *page); /* 0 or -ENOMEM */
/* Appends a record cairn_state:thread of time ts for each whose name is known. Once. */
void boot_tids_name(struct boot_tids *t, struct tracefs *top, uint64_t ts, struct buf *out);
void boot_tids_done(struct boot_tids *t);

#endif
