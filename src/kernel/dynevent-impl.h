/* Dynamic events, inside: what the files dynevent-*.c share. See dynevent.h.
 *
 * A text is cut into words; the first may say the kind and the name (dynevent.c), the next is the
 * place (dynevent-place.c, dynevent-elf.c), the others are fetch arguments (dynevent-arg.c, and
 * dynevent-way.c for what goes by names). Synthetic and user events declare fields instead
 * (dynevent-decl.c). dynevent-world.c knows the kernel it is checked against; dynevent-kernel.c gives
 * definitions to it.
 */
#ifndef CAIRN_KERNEL_DYNEVENT_IMPL_H
#define CAIRN_KERNEL_DYNEVENT_IMPL_H

#include "kernel/dynevent.h"
#include "kernel/format.h"
#include "kernel/near.h"
#include "kernel/tracefs.h"
#include <stdio.h>

/* The kernel's limits (kernel/trace/trace_probe.h; the same in all kernels with dynamic_events). */
enum {
	ARGS_MAX = 128,
	ARG_TEXT_MAX = 63, /* of one fetch argument with its type, without NAME= */
	ARG_NAME_MAX = 32,
	ARRAY_MAX = 64,
	EVENT_NAME_MAX = 63,
	EVENT_SIZE_MAX = 3072,
	OPS_MAX = 15, /* steps of a fetch program; the 16th ends it */
	MAXACTIVE_MAX = 4096,
	STACK_WORDS_MAX = 2048,
	LINE_MAX_LEN = 4094,
};

struct span {
	size_t at, len; /* a part of the text */
};

/* ---- the world (dynevent-world.c) ---- */

enum world_feature {
	WORLD_KPROBES,
	WORLD_UPROBES,
	WORLD_EPROBES,
	WORLD_FPROBES,
	WORLD_TPROBES,
	WORLD_SYNTH,
	WORLD_USER_EVENTS,
	WORLD_ARGN, /* $argN */
	WORLD_ARGN_ON_RETURN, /* $argN in return probes */
	WORLD_BTF, /* the kernel itself knows names of arguments */
	WORLD_SYMSTR,
	WORLD_USTRING,
	WORLD_CHAR,
	WORLD_DENTRY, /* %pd and %pD */
	WORLD_EPROBE_FILTER, /* if FILTER */
};

struct world_symbol {
	unsigned count; /* how many have this name */
	bool function; /* the first of them is code */
	uint64_t address; /* 0 if the kernel does not tell */
};

/* The kernel's tracefs; NULL, with e, if there is none for us. */
struct tracefs *world_tracefs(struct dynevent_world *w, struct error *e);
enum karch world_arch(const struct dynevent_world *w);
bool world_is_bpf(const struct dynevent_world *w);
bool world_has(struct dynevent_world *w, enum world_feature f);
/* False if symbols cannot be read: then nothing is known. module may be NULL: vmlinux and all modules. */
bool world_symbol(
	struct dynevent_world *w, const char *module, const char *name, struct world_symbol *ret);
/* The function of the kernel itself that the address is in; false: none that fits, or not told. */
bool world_function_at(struct dynevent_world *w, uint64_t address, char *ret, size_t size);
void world_near_symbol(struct dynevent_world *w, bool functions, struct near *near);
/* May kprobes be there? *ret_why says why not, as a sentence's end. */
bool world_may_probe(struct dynevent_world *w, const char *name, const char **ret_why);
/* 1: functions that match the glob can be traced by ftrace; 0: none; -1: the kernel does not tell. */
int world_traceable(struct dynevent_world *w, const char *glob);
bool world_near_event(struct dynevent_world *w, const char *system, struct near *near);
bool world_has_module(struct dynevent_world *w, const char *module);
bool world_event_exists(struct dynevent_world *w, const char *group, const char *event);
/* The addresses of the kernel's code, as far as they are told. */
bool world_code_range(struct dynevent_world *w, uint64_t *ret_begin, uint64_t *ret_end);

/* ---- parsing ---- */

struct elf_place; /* dynevent-elf.c */

struct parse {
	struct dynevent_world *w;
	const char *text;
	size_t len; /* without a comment at the end */
	struct span *words; /* owned */
	size_t nwords, words_cap;
	size_t next; /* the word to look at */
	bool by_names; /* else the kernel's writing */
	struct dynevent *d;
	struct dynevent_fault *fault;
	const char *forced_group;
	const char *event_asked; /* by the text; NULL: none */
	const char *group_asked;
	unsigned maxactive;

	/* What the place is. */
	bool at_entry; /* of a function: arguments are where the ABI says */
	bool user; /* a uprobe */
	enum { FUNC_UNTRIED, FUNC_KNOWN, FUNC_UNKNOWN } func_state;
	const char *func_name; /* of which types are looked for; NULL: none */
	const char *func_module; /* or NULL */
	struct kbtf_func func;
	struct kformat *format; /* owned; of the event that an eprobe is on */
	struct elf_place *elf; /* owned; of a uprobe */
	const char *filter; /* of an eprobe: its text; or NULL */

	bool unnamed; /* the argument that is looked at has no NAME= */
	bool all_args; /* $arg* was there */
	bool decimal; /* offsets are written in decimal, which is shorter */
	struct buf args; /* " NAME=FETCH:TYPE" for the definition */
	uint64_t event_size;
	struct span place; /* where it stands in the text */
};

/* Each returns the error for which the text is refused, with the place and the reason noted. */
int refuse(struct parse *p, size_t at, size_t len, const char *fmt, ...) PRINTF_LIKE(4, 5);
int refuse_err(struct parse *p, int err, size_t at, size_t len, const char *fmt, ...)
	PRINTF_LIKE(5, 6);
void hint(struct parse *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
int no_memory(struct parse *p);
char *span_dup(struct parse *p, struct span s); /* in the event's arena; NULL without memory */
char *text_printf(struct parse *p, const char *fmt, ...) PRINTF_LIKE(2, 3); /* likewise */
bool span_is(const struct parse *p, struct span s, const char *word);

/* Numbers as the kernel reads them: 0x, octal after 0, a sign; the whole of s. 0 or -EINVAL. */
int kernel_long(const char *s, int64_t *ret);
int kernel_ulong(const char *s, uint64_t *ret);
bool is_identifier(const char *s, size_t n, bool dash_too);

/* dynevent-place.c: words[next] is the place; sets kind's fields, d->place, default names. */
int parse_kernel_place(struct parse *p); /* kprobe, kretprobe, fprobe */
int parse_tracepoint_place(struct parse *p);
int parse_eprobe_place(struct parse *p);
/* The function's prototype, if types are known: p->func_state afterwards. */
int find_function(struct parse *p, struct error *e);
/* dynevent-elf.c */
int parse_uprobe_place(struct parse *p);
void elf_place_free(struct elf_place *e);
/* dynevent-arg.c: all words from p->next on. */
int parse_arguments(struct parse *p);
/* dynevent-decl.c: the whole text. */
int parse_synthetic(struct parse *p);
int parse_user_event(struct parse *p);

/* What an expression comes to: its fetch text, and what is known of its type. */
enum last_op {
	OP_REG, /* %reg */
	OP_STACKP, /* $stack */
	OP_STACK,
	OP_RETVAL,
	OP_ARG,
	OP_ENTRY_DATA, /* an argument in a return probe */
	OP_COMM,
	OP_DATA, /* an immediate string */
	OP_IMM,
	OP_FILE_OFFSET,
	OP_FIELD, /* of an eprobe's event */
	OP_DEREF,
	OP_UDEREF,
};

struct expr {
	struct buf *out; /* the fetch text is added here */
	bool nested; /* inside +OFFSET(...) */
	unsigned ops; /* steps of the fetch program so far */
	enum last_op last;
	bool typed; /* value says what it is */
	struct kbtf_value value;
	unsigned base_offset; /* in the register */
	const char *type; /* a type that is known otherwise (DWARF, a format); or NULL */
	bool user_text; /* by DWARF: a pointer to text */
	struct span name; /* what an unnamed argument is called after; len 0: none */
};

/* dynevent-arg.c: any expression: adds its fetch text to e->out. */
int parse_expression(struct parse *p, struct span s, struct expr *e);
/* dynevent-way.c: a way through types that begins with a name, `$retval`, `$argN` or `(STRUCT)BASE`. */
int parse_way(struct parse *p, struct span s, struct expr *e);
/* Parameter i of p->func; name: where it is named in the text; rest: the way from it. */
int parse_parameter(
	struct parse *p, unsigned i, struct span name, struct span rest, struct expr *e);
/* $argN, if types tell which parameter that is: 0; 1: they do not; or an error. */
int parse_numbered(struct parse *p, struct span s, uint64_t n, struct expr *e);
/* dynevent-dwarf.c: an argument of the probed user function, by debug information. */
int parse_elf_argument(struct parse *p, struct span name, struct span rest, struct expr *e);
/* dynevent-field.c: `$FIELD` of the event that an eprobe is on, `$FIELD[N]`. */
int parse_field(struct parse *p, struct span s, struct expr *e);
/* One more step of the fetch program. */
int add_op(struct parse *p, struct expr *e, size_t at);

#endif
