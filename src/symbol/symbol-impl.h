/* What symbols.c (the cache), file.c (which files serve) and name.c (what they say) share. */
#ifndef CAIRN_SYMBOL_SYMBOL_IMPL_H
#define CAIRN_SYMBOL_SYMBOL_IMPL_H

#include "symbol/symbol.h"
#include <elfutils/libdwfl.h>

struct segment { /* an executable PT_LOAD */
	uint64_t offset, size, address;
};

struct unit { /* addresses of a compilation unit */
	uint64_t begin, end;
	Dwarf_Off die; /* its offset in .debug_info */
};

struct module { /* one file */
	struct symbols *symbols; /* borrowed */
	enum symbol_why why; /* FOUND: mod is there */
	Dwfl *dwfl; /* owned */
	Dwfl_Module *mod; /* borrowed from dwfl */
	uint8_t id[64]; /* its build id */
	uint32_t id_len;
	struct segment *segments; /* owned */
	size_t nsegments, segments_cap;
	int64_t shift; /* instead of the segments, which a debug file does not keep */
	struct unit *units; /* owned, by begin; made when first asked for */
	size_t nunits, units_cap;
	bool has_units;
};

struct symbols {
	char *debug_dirs; /* owned */
	Dwfl_Callbacks callbacks;
	struct map modules; /* path and build id -> struct module, owned */
	struct map found; /* struct place -> struct symbol_list, in the arena */
	struct arena arena;
	char *(*demangle)(const char *name, char *out, size_t *n, int *ret_status);
	void *cxx; /* C++'s library; kept open */
	bool cxx_tried;
};

/* file.c: the module of a file: says in why if there is none. NULL without memory. */
struct module *module_open(struct symbols *s, const struct symbol_file *f);
void module_free(struct module *m);
/* libdwfl's callback: a debug file for a module, or -1. */
int module_find_debug(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
	const char *path, const char *link, GElf_Word crc, char **ret_path);

/* name.c: what is at an address of the ELF file; begin_at: `back` bytes before. 0 or -ENOMEM. */
int module_name(struct module *m, uint64_t address, unsigned back, struct symbol_list *ret);

#endif
