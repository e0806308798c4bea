/* The kernel's boot configuration: a small text of keys and values that it reads before everything
 * else (Documentation/admin-guide/bootconfig.rst). Parser, tree, writer, and the form in which it is
 * appended to an initrd.
 *
 *	text  := { key ';' | key '\n' | key OP values | key '{' text '}' | '#' to the end of the line }
 *	key   := word { '.' word }		word: letters, digits, - and _
 *	OP    := '=' (sets, once) | '+=' (appends) | ':=' (replaces)
 *	values:= value { ',' value }, ended by ';', newline, '#', '}' or the end of the text
 *	value := "..." | '...' (no escapes) | text without , ; # } and newline, spaces around it cut off
 *
 * Spaces, newlines and comments before a value are skipped: after "key =" at the end of a line the
 * value is what stands on the next one. A comment after a value ends it as a newline does. A key may
 * have values and keys below it. Same keys are merged, in the order of their first appearance.
 * Limits as of Linux 5.14 and later: 32766 bytes, 8192 nodes (a word of a key, once; a value),
 * 256 bytes of a whole key with a byte for each word's end, 16 words, 16 braces. Only ASCII.
 *
 * What this parser accepts and refuses, and at which byte, is what the kernel's does (where a key is
 * missing it points to what should follow it); it is stricter in two places: NUL bytes are refused (the kernel stops reading there), and keys below a
 * key that has values are held to the limits, too.
 *
 * Appended to an initrd (the boot loader needs to know nothing of it; the kernel looks for it if
 * its command line has `bootconfig`):
 *
 *	text, '\0', 0 to 3 more '\0' so that the file's size is a multiple of 4,
 *	size (u32, little endian: text and the '\0's), sum of these bytes (u32), "#BOOTCONFIG\n"
 */
#ifndef CAIRN_KERNEL_BOOTCONFIG_H
#define CAIRN_KERNEL_BOOTCONFIG_H

#include "base/base.h"

enum {
	BOOTCONFIG_SIZE_MAX = 32766, /* of the text */
	BOOTCONFIG_DATA_MAX = 32767, /* with the NULs behind it */
	BOOTCONFIG_NODES_MAX = 8192,
	BOOTCONFIG_KEY_MAX = 256,
	BOOTCONFIG_DEPTH_MAX = 16,
};

struct bootconfig_value {
	const char *text; /* in the arena */
	size_t at; /* where in the parsed text it begins */
	struct bootconfig_value *next;
};

struct bootconfig_key {
	const char *word; /* in the arena */
	size_t at; /* where in the parsed text it first stands */
	struct bootconfig_key *parent, *first, *last, *next; /* tree: below, and beside it */
	struct bootconfig_value *values, *last_value; /* NULL: a key without value */
};

struct bootconfig {
	struct arena arena; /* owns the tree */
	struct bootconfig_key *first, *last;
	unsigned nodes; /* as the kernel counts them */
};

/* Where a text is wrong. */
struct text_fault {
	size_t at; /* byte; may be the text's length */
	const char *message; /* constant */
};

/* 0; -EINVAL: *fault says where and why; -ENOMEM. *ret needs bootconfig_done() in any case. */
int bootconfig_parse(
	const char *text, size_t len, struct bootconfig *ret, struct text_fault *fault);
void bootconfig_done(struct bootconfig *c);
void auto_bootconfig(struct bootconfig *c);

/* Line and column (from 1) of a byte, and the line itself as bytes [*ret_begin, *ret_end). */
void text_place(const char *text, size_t len, size_t at, unsigned *ret_line, unsigned *ret_column,
	size_t *ret_begin, size_t *ret_end);

/* The key of this dotted path below `under` (NULL: from the root); NULL if there is none. */
struct bootconfig_key *bootconfig_find(
	const struct bootconfig *c, const struct bootconfig_key *under, const char *path);
/* The whole key, dotted. */
void bootconfig_path(const struct bootconfig_key *k, struct buf *ret);

/* Building: the key of one word below `under` (NULL: the root), made if need be; NULL if the word is
 * none (letters, digits, - and _) or without memory. The word is copied. */
struct bootconfig_key *bootconfig_key(
	struct bootconfig *c, struct bootconfig_key *under, const char *word);
bool bootconfig_is_word(const char *word);
/* Adds a value; 0, -EINVAL if no quotes can hold it (it has both kinds, or a byte that is not
 * printable ASCII or space), -ENOMEM. */
int bootconfig_value(struct bootconfig *c, struct bootconfig_key *k, const char *text);

enum bootconfig_form {
	BOOTCONFIG_TREE, /* braces and tabs */
	BOOTCONFIG_LIST, /* a line for each key, as in /proc/bootconfig */
};
/* Appends text that gives the same tree again. -E2BIG if it breaks one of the limits, -EINVAL if a value
 * cannot be written (fault->message says which), -ENOMEM. */
int bootconfig_write(
	struct bootconfig *c, enum bootconfig_form form, struct buf *ret, struct text_fault *fault);

/* ---- in an initrd (bootconfig-initrd.c) ---- */

/* Of the open file: the text appended to it (without the NULs), and *ret_begin, where it begins: the
 * size of the initrd alone. -ENOENT: it has none; *ret_begin is then the file's size. -EINVAL: it is
 * damaged (size or sum), e says how. -errno. */
int bootconfig_initrd_read(int fd, struct buf *ret, uint64_t *ret_begin, struct error *e);
/* Appends the text, in place of what was there. An error while writing puts the file back to what it
 * was, or says that it could not. -E2BIG: more than the kernel takes. */
int bootconfig_initrd_apply(int fd, const char *text, size_t len, struct error *e);
/* Cuts it off; 0, or -ENOENT if there is none. */
int bootconfig_initrd_remove(int fd, struct error *e);

#endif
