/* The kernel's functions by address, from /proc/kallsyms. */
#ifndef CAIRN_KERNEL_KSYMS_H
#define CAIRN_KERNEL_KSYMS_H

#include "base/base.h"

struct ksyms;

/* path NULL: /proc/kallsyms. 0; -EACCES: this user is shown no addresses; -errno. */
int ksyms_read(const char *path, struct ksyms **ret, struct error *e);
void ksyms_free(struct ksyms *s); /* takes NULL */
/* The function that begins at or next below the address; NULL: there is none. */
const char *ksyms_find(const struct ksyms *s, uint64_t address, uint64_t *ret_offset);

#endif
