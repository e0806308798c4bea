/* What the kernel says of one event: its `format` file, parsed.
 *
 * Sizes, offsets and signs come from the numbers of the file. The C text of a declaration is only
 * asked what no number says: how a field is to be read (array, __data_loc, pointer, cpumask) and
 * how large the elements of dynamic arrays are.
 *
 *	name: NAME
 *	ID: N
 *	format:
 *		field:TYPE NAME;  offset:O;  size:S;  signed:B;     the common fields, an empty
 *									line, the event's own
 *	print fmt: "...", REC->x, ...
 *
 * Not thread-safe; different formats may be used by different threads.
 */
#ifndef CAIRN_KERNEL_FORMAT_H
#define CAIRN_KERNEL_FORMAT_H

#include "base/base.h"

enum kfield_form {
	KFIELD_SCALAR = 0, /* `size` bytes at `offset` */
	KFIELD_ARRAY = 1, /* `count` elements of `elem` bytes at `offset` */
	KFIELD_DATA_LOC =
		2, /* at `offset` a u32: low half where, from the record's begin; high half bytes */
	KFIELD_REL_LOC = 3, /* likewise, but from behind that u32 */
	KFIELD_REST = 4, /* elements from `offset` to the record's end ("T name[]", size 0) */
};

enum kfield_kind { /* of the scalar, or of each element */
	KFIELD_INT = 0, /* elem bytes (1, 2, 4, 8), is_signed */
	KFIELD_CHAR =
		1, /* text: an ARRAY or dynamic string up to its NUL. A scalar char is an INT */
	KFIELD_PTR = 2, /* an address; elem 4 or 8 */
	KFIELD_BOOL = 3,
	KFIELD_CPUMASK = 4, /* bits in words of a long: elements of a dynamic array */
	KFIELD_BYTES = 5, /* structures and what else has no number's size: elem 1 */
};

struct kfield {
	const char *name, *type; /* arena of the format; type without name and brackets: "char",
				  * "const char *", "unsigned long" (no "__data_loc", no "[]") */
	uint32_t offset, size; /* as the file says */
	uint32_t elem, count; /* count 1 for scalars; 0 where the record says it */
	bool is_signed;
	enum kfield_form form;
	enum kfield_kind kind;
};

#define KFORMAT_MAX_FIELDS 256
#define KFORMAT_MAX_TEXT (1u << 20)

struct kformat {
	struct arena arena;
	uint32_t id; /* common_type of its records */
	const char *system, *name; /* arena */
	struct kfield *fields; /* owned; common fields first */
	size_t nfields, fields_cap, ncommon;
	uint32_t fixed_size; /* records have at least this many bytes */
	const char
		*print_fmt; /* arena: what follows "print fmt: ", without the newline; may be "" */
};

/* long_size: of the kernel (8, or 4 for foreign traces), for elements of dynamic arrays. 0, -ENOMEM,
 * or -EPROTO with e saying what and where ("line N"). Nothing of text is kept. */
int kformat_parse(const char *text, size_t len, const char *system, unsigned long_size,
	struct kformat **ret, struct error *e);
/* The same text with arrays of texts, which libtraceevent does not know, as fields s_0, s_1... Adds to out. */
void kformat_split_texts(const char *text, struct buf *out);
void kformat_free(struct kformat *f); /* takes NULL */
bool kformat_prints_symbols(const struct kformat *f); /* names of the kernel's functions or data */
bool kfield_is_common(const struct kfield *f); /* one of the four that each event begins with */
const struct kfield *kformat_field(const struct kformat *f, const char *name); /* or NULL */

#endif
