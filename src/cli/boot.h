/* What the verbs of `cairn boot` share. */
#ifndef CAIRN_CLI_BOOT_H
#define CAIRN_CLI_BOOT_H

#include "cli/cli.h"
#include "kernel/boot.h"

extern const struct command boot_verb_write, boot_verb_check, boot_verb_apply, boot_verb_read;

/* "cairn boot VERB: NAME:LINE:COLUMN: message", the line, and a caret under the place; CLI_FAIL. */
int boot_fault(const struct command *c, const char *name, const char *text, size_t len, size_t at,
	const char *message);
/* What `write` made, against the grammar and the running kernel; CLI_OK, or CLI_FAIL after saying why. */
int boot_check_written(const struct command *c, bool cmdline, const char *text, size_t len);
/* A whole file, or standard input for "-"; CLI_OK, or CLI_FAIL after saying why. */
int boot_read_text(const struct command *c, const char *path, size_t limit, struct buf *ret);

#endif
