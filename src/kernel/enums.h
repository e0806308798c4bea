/* Names of numbers in print formats.
 *
 * The kernel replaces the names of enumerations in an event's print format by numbers only where its authors
 * asked for that (TRACE_DEFINE_ENUM); the rest, as HRTIMER_MODE_ABS, nobody outside the kernel can print. Its
 * BTF knows them.
 */
#ifndef CAIRN_KERNEL_ENUMS_H
#define CAIRN_KERNEL_ENUMS_H

#include "base/base.h"

struct kenums; /* names that were met, and their values */

struct kenums *kenums_new(void); /* NULL without memory */
void kenums_free(struct kenums *k); /* takes NULL */
/* Takes what may be such names from the print format in a format file's text. Their number. */
size_t kenums_note(struct kenums *k, const char *format, size_t len);
/* Looks all of them up in a file of BTF ("/sys/kernel/btf/vmlinux"); how many have a value now, or -Exxx. */
int kenums_load(struct kenums *k, const char *btf);
/* The format again, with values in the place of names that are known: true if there was one. */
bool kenums_replace(const struct kenums *k, const char *format, size_t len, struct buf *ret);

#endif
