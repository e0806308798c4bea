/* Addresses become names: places in ELF files by their symbols and DWARF, the kernel's by kallsyms.
 *
 * A place in a file is (build id, offset in the file): it means the same in every process and
 * after all of them. It is resolved with what lies on this machine: the file itself if it still is
 * that build, else its debug file. Nothing is ever fetched. What cannot be resolved for certain has
 * no name: a wrong one is worse.
 *
 *	the file	    at its path, if its build id is the recorded one (a file without one: if
 *			    it did not change since then); else DEBUG/.build-id/xx/yyyy
 *	its debug file	    DEBUG/.build-id/xx/yyyy.debug with that build id; or as .gnu_debuglink
 *			    says, beside the file, in .debug/ there, or DEBUG/DIR, with its checksum
 *	only the debug file serves if the recorder said how offsets become addresses
 *
 * Not thread-safe. Files are not trusted further than libdw can be.
 */
#ifndef CAIRN_SYMBOL_SYMBOL_H
#define CAIRN_SYMBOL_SYMBOL_H

#include "base/base.h"

/* ---- files ---- */

struct symbols; /* open files and what was found: grows with the number of different places */

/* debug_dirs: colon-separated directories; NULL: "/usr/lib/debug". 0 or -ENOMEM. */
int symbols_new(const char *debug_dirs, struct symbols **ret);
void symbols_free(struct symbols *s); /* takes NULL */

#define SYMBOL_NO_SHIFT INT64_MIN

struct symbol_file {
	const char *path; /* " (deleted)" at its end is passed over */
	const uint8_t *build_id;
	uint32_t build_id_len; /* 0: it has none */
	int64_t seen_ns; /* when it was mapped, from 1970: for files without build id; 0: unknown */
	int64_t shift; /* address in the ELF file - offset, of executable bytes; or SYMBOL_NO_SHIFT */
};

enum symbol_why { /* why there is no name */
	SYMBOL_FOUND = 0,
	SYMBOL_NO_FILE, /* neither the file nor a debug file of its build id is here */
	SYMBOL_OTHER_BUILD, /* what lies at the path is another build, or was changed since */
	SYMBOL_NO_NAME, /* the file says nothing of this place */
};

struct symbol {
	const char *function; /* demangled where C++'s library is at hand; never NULL */
	const char *file; /* of the source; NULL if not known */
	uint32_t line; /* 0 if not known */
	bool inlined; /* into the next one of the list */
	uint64_t offset; /* from the function's begin; of the last one of the list */
};

struct symbol_list {
	enum symbol_why why;
	size_t n; /* innermost first; 0 unless why is FOUND */
	const struct symbol *at;
};

/* What is at this offset of the file. back: 1 if it is where a call returns to, which may be behind
 * the caller's last instruction; else 0. The list lives as long as s. NULL without memory. */
const struct symbol_list *symbols_find(
	struct symbols *s, const struct symbol_file *f, uint64_t offset, unsigned back);

/* What a recorder says of a file, so that it is known again: 0 or -errno (-ENOEXEC: no ELF file). */
struct symbol_identity {
	uint8_t build_id[64];
	uint32_t build_id_len;
	int64_t shift; /* of its executable bytes, if it is the same for all; or SYMBOL_NO_SHIFT */
	uint64_t dev, ino;
};
int symbol_identity(const char *path, struct symbol_identity *ret);

/* ---- the kernel (kallsyms.c) ---- */

/* A line of its text, "ffffffff81234560 t name\t[module]", taken apart. */
struct kallsyms_line {
	uint64_t address; /* 0 if the reader may not see it */
	char type;
	const char *name, *module; /* in the text; module NULL: the kernel itself */
	size_t name_len, module_len;
};
/* The line from p to its newline or the text's end. False if it is none. */
bool kallsyms_line(const char *p, const char *end, struct kallsyms_line *ret);
bool kallsyms_is_function(const struct kallsyms_line *l);

struct kallsyms; /* functions by address */

/* From the text of /proc/kallsyms. 0, -ENOMEM, -EACCES (all addresses are zero), -ENODATA. */
int kallsyms_parse(const char *text, size_t len, struct kallsyms **ret, struct error *e);
void kallsyms_free(struct kallsyms *k); /* takes NULL */

struct kfunction {
	const char *name, *module; /* of k; module NULL: the kernel itself */
	uint64_t begin, size;
};
/* The function that holds the address. False if none is known to. */
bool kallsyms_find(const struct kallsyms *k, uint64_t address, struct kfunction *ret);

#endif
