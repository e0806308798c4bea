/* Dynamic events, inside: the probed program, for dynevent-elf.c and dynevent-dwarf.c. */
#ifndef CAIRN_KERNEL_DYNEVENT_ELF_H
#define CAIRN_KERNEL_DYNEVENT_ELF_H

#include "kernel/dynevent-impl.h"
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <gelf.h>

struct elf_place {
	Dwfl *dwfl; /* owned */
	Dwfl_Module *module;
	GElf_Addr bias; /* of the module's addresses over the file's */
	Elf *elf; /* borrowed from module */
	GElf_Addr address; /* of the place, as the file has it */
	uint64_t offset; /* in the file */
};

#endif
