/* The kernel's functions by address, from /proc/kallsyms. */
#ifndef CAIRN_KERNEL_KFUNCTIONS_H
#define CAIRN_KERNEL_KFUNCTIONS_H

#include "base/base.h"

struct kfunctions;

/* path NULL: /proc/kallsyms. 0; -EACCES: this user is shown no addresses; -errno. */
int kfunctions_read(const char *path, struct kfunctions **ret, struct error *e);
void kfunctions_free(struct kfunctions *s); /* takes NULL */
/* The function that begins at or next below the address; NULL: there is none. */
const char *kfunctions_find(const struct kfunctions *s, uint64_t address, uint64_t *ret_offset);

#endif
