/* Dynamic events: texts of probes are checked and become definitions that the kernel takes.
 *
 * Two ways of writing are understood, told apart by the first word:
 *
 *   the kernel's     p:GROUP/EVENT SYM+OFFS dev=+0(+16($arg1)):string     as in dynamic_events
 *   by names         ip_rcv_core skb dev=skb->dev->name                   the kind is given apart
 *
 * In both, an argument may be a way through the kernel's types (`skb->dev->name`, `f->f_path.dentry`,
 * `cb[3]`, `(sock)$sk->sk_family`): it becomes fetch arguments that any kernel takes, with or without
 * BTF of its own. By names, an argument without a type gets the one it has (char arrays and pointers are
 * strings); in the kernel's writing it gets what the kernel would give it (pointers stay hexadecimal).
 *
 * By names, the event is called as what is probed (`__return`, `__exit` added to return probes).
 *   kprobe, kretprobe, fprobe   [MODULE:]FUNCTION[+OFFSET|%return]
 *   tprobe                      TRACEPOINT
 *   uprobe                      PATH:SYMBOL[+OFFSET][%return] or PATH:0xOFFSET
 *   eprobe                      SYSTEM/EVENT (or . or :), fields as $NAME, `if FILTER` at the end
 *
 * A text that the kernel would refuse is refused here, with the place and the reason. What is known
 * to be judged differently stands in docs/decisions/ (dynamic events).
 *
 * What is checked against stands in a *world*: a kernel's features, symbols, types and events, read
 * when first needed. Tests make one from a folder. Not thread-safe.
 */
#ifndef CAIRN_KERNEL_DYNEVENT_H
#define CAIRN_KERNEL_DYNEVENT_H

#include "base/base.h"
#include "kernel/btf.h"
#include "kernel/tracefs.h"

enum dynevent_kind {
	DYNEVENT_ANY, /* the text says it: the kernel's writing only */
	DYNEVENT_KPROBE,
	DYNEVENT_KRETPROBE,
	DYNEVENT_UPROBE, /* return probes too: %return */
	DYNEVENT_EPROBE,
	DYNEVENT_FPROBE,
	DYNEVENT_TPROBE,
	DYNEVENT_SYNTH, /* the kernel's writing only: s:NAME FIELDS */
	DYNEVENT_USER, /* the kernel's writing only: u:NAME FIELDS */
	DYNEVENT_KINDS,
};
const char *dynevent_kind_name(enum dynevent_kind kind); /* "kprobe" */

/* Where a world is read from; NULL members mean the running kernel's. */
struct dynevent_paths {
	const char *tracefs; /* /sys/kernel/tracing */
	const char *kallsyms; /* /proc/kallsyms */
	const char *blacklist; /* /sys/kernel/debug/kprobes/blacklist */
	const char *btf; /* /sys/kernel/btf */
};

struct dynevent_world;
/* paths may be NULL. Reads nothing yet. NULL without memory. */
struct dynevent_world *dynevent_world_new(const struct dynevent_paths *paths, enum karch arch);
void dynevent_world_free(struct dynevent_world *w);
struct kbtf *dynevent_world_btf(struct dynevent_world *w); /* borrowed */
/* From now on texts are judged as probes by BPF (kernel/bpf.h), which ask nothing of tracefs; or, false, as
 * tracefs's again. */
void dynevent_world_bpf(struct dynevent_world *w, bool on);

struct dynevent_field {
	const char *name;
	const char *type; /* the kernel's word: "u32", "string", "x64", "b3@1/8", "u8[6]" */
	const char *text; /* what was asked for, as it was written: "skb->dev->name" */
	unsigned count; /* of an array; else 0 */
	bool is_string, is_signed, is_hex;
};

struct dynevent {
	enum dynevent_kind kind; /* never ANY */
	bool is_return;
	const char *group, *event; /* the event's directory in tracefs: events/GROUP/EVENT */
	const char *shown_group; /* what the group would be, had the caller not said it */
	const char *place; /* what is probed, as the kernel gets it */
	const char *definition; /* one line for dynamic_events, without newline */
	struct dynevent_field *fields;
	size_t len, cap;
	struct arena arena; /* owns all of the above but fields */
};
void dynevent_done(struct dynevent *d);
void auto_dynevent(struct dynevent *d);

/* Why a text is refused, and where. */
struct dynevent_fault {
	size_t at, len; /* which part of the text; len may be 0: the end */
	struct error error; /* message and hint */
};

/* Checks text and makes its definition. group: where the event is put, whatever the text says; NULL:
 * what the text says, or the kernel's own ("kprobes", "uprobes"...). 0; -EINVAL: refused; -ENOENT: what
 * is to be probed does not exist; -EOPNOTSUPP: this kernel has no such probes; -ENOMEM; other
 * errors: something could not be read. fault is filled in all these cases. */
int dynevent_parse(struct dynevent_world *w, enum dynevent_kind kind, const char *group,
	const char *text, struct dynevent *ret, struct dynevent_fault *fault);

/* Message, the text with a caret under the place, and the hint, as compilers do:
 *
 *   no member 'nam' in struct net_device
 *     ip_rcv_core skb dev=skb->dev->nam
 *                                   ^~~
 *     did you mean 'name'?
 */
void dynevent_print_fault(struct buf *out, const char *text, const struct dynevent_fault *fault);

/* ---- in the kernel: `top` is tracefs itself, for dynamic events are not an instance's ---- */

/* The group of the events of an instance of ours: its name with '_' for '-'. */
void dynevent_group(const char *instance, char *ret, size_t size);
/* Gives the definition to the kernel. What the kernel says when it refuses (error_log) becomes e. */
int dynevent_create(struct tracefs *top, const struct dynevent *d, struct error *e);
/* -EBUSY: it is on in some instance. */
int dynevent_remove(struct tracefs *top, const char *group, const char *event, struct error *e);
/* Takes away every dynamic event of the group. The number removed, or the first error. */
int dynevent_remove_group(struct tracefs *top, const char *group, struct error *e);
/* Takes away those of instances whose owner is dead; the number, or the first error. Their
 * instances go first: what is on somewhere stays. */
int dynevent_sweep(struct tracefs *top, struct error *e);

#endif
