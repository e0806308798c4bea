/* Stacks in a trace, named: what `cairn print --stacks` shows of ftrace:kernel_stack and :user_stack.
 *
 * Kernel addresses are named by the kallsyms that the trace keeps; if it keeps none and was recorded
 * since this machine's last boot, by the running kernel's. Places of user space by their files' symbols
 * and DWARF (symbol/symbol.h), if these are the builds that ran. The rest is shown as what it is: file
 * and offset, or an address.
 */
#ifndef CAIRN_VIEW_STACKS_H
#define CAIRN_VIEW_STACKS_H

#include "view/out.h"
#include <cairn/reader.h>

struct stacks; /* files and symbols, of all traces that are read */

int stacks_new(const char *debug_dirs, struct stacks **ret); /* as symbols_new() */
void stacks_free(struct stacks *s); /* takes NULL */

enum stacks_kind {
	STACKS_NOT = 0,
	STACKS_KERNEL = 1, /* "kernel": a stack */
	STACKS_USER = 2,
	STACKS_FILE = 3, /* says what a file's number means */
};
/* What events of this class are. */
enum stacks_kind stacks_kind(const struct cairn_event_class *cls);
/* Learns from a STACKS_FILE. 0 or -ENOMEM. */
int stacks_learn(struct stacks *s, const struct cairn_event *ev);
/* The frames of a stack, innermost first. As text: a line each, " => function+0x12 (file.c:34)
 * [module]"; inlined functions without offset. As JSON: an array of objects. */
void stacks_text(struct stacks *s, const struct cairn_event *ev, struct out *o);
void stacks_json(struct stacks *s, const struct cairn_event *ev, struct out *o);

#endif
