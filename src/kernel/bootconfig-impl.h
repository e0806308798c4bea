/* What the files of boot configurations share; see bootconfig.h. */
#ifndef CAIRN_KERNEL_BOOTCONFIG_IMPL_H
#define CAIRN_KERNEL_BOOTCONFIG_IMPL_H

#include "kernel/bootconfig.h"

/* Adds a value as it is, unchecked; `at`: its place in the parsed text. 0 or -ENOMEM. */
int bootconfig_value_add(
	struct bootconfig *c, struct bootconfig_key *k, const char *text, size_t len, size_t at);

#endif
