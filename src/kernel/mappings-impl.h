/* What mappings.c (the tables) and mappings-perf.c (where they come from) share. */
#ifndef CAIRN_KERNEL_MAPPINGS_IMPL_H
#define CAIRN_KERNEL_MAPPINGS_IMPL_H

#include "kernel/mappings.h"

void mapping_source_free(struct mapping_source *s); /* takes NULL */
/* Of processes: as at first. */
void mappings_forget(struct mappings *m);

#endif
