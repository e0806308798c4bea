/* Private to kernel-*.c: plans of kernel events' texts. */
#ifndef CAIRN_VIEW_KERNEL_TEXT_IMPL_H
#define CAIRN_VIEW_KERNEL_TEXT_IMPL_H

#include <event-parse.h>
#include <string.h>

#include "view/kernel-text.h"
#include "view/out.h"

/* ---- plans ---- */

enum kexpr_kind {
	KX_NUMBER,
	KX_LOAD, /* `size` bytes at offset, unsigned */
	KX_DYN_LEN,
	KX_MASK, /* a & number */
	KX_COND, /* a ? b : c */
	KX_NOT,
	KX_INVERT,
	KX_BINARY, /* op */
};

enum kexpr_op {
	KX_OR,
	KX_OR_OR,
	KX_AND,
	KX_AND_AND,
	KX_XOR,
	KX_LT,
	KX_LE,
	KX_GT,
	KX_GE,
	KX_EQ,
	KX_NE,
	KX_SHL,
	KX_SHR,
	KX_ADD,
	KX_SUB,
	KX_MUL,
	KX_DIV,
	KX_MOD,
};

struct kexpr { /* a number; all in 64 bits without sign, as libtraceevent counts */
	uint8_t kind, op, size;
	uint32_t offset;
	uint64_t number;
	const struct kexpr *a, *b, *c;
};

struct kspec { /* "%-08.3lx" */
	char conv;
	bool minus, zero, plus, space, hash;
	bool is_plain; /* none of these, no width and no precision */
	int width, precision; /* precision -1: none */
	int size; /* -2 hh, -1 h, 0, 1 l, 2 ll */
	const struct kexpr *star; /* the precision or width, if it is an argument; NULL */
	bool star_is_precision;
};

struct klabel {
	uint64_t value;
	bool is_negative;
	const char *text;
	uint32_t len;
};

enum kstring_kind {
	KS_CONST,
	KS_FIXED, /* `len` bytes at offset, up to a NUL; len 0: to the end */
	KS_DYN, /* offset: of its u32; rel */
	KS_FLAGS,
	KS_SYMBOL,
	KS_HEX, /* bytes at offset, or of a dynamic array; `value`: how many */
	KS_ARRAY, /* likewise numbers of `elem` bytes */
	KS_COND,
	KS_NOTHING,
};

struct kstring {
	uint8_t kind;
	bool dyn, rel, spaces;
	uint8_t elem;
	uint32_t offset, len;
	const char *text;
	const struct kexpr *value;
	const struct klabel *labels;
	uint32_t nlabels;
	const struct kstring *yes, *no;
};

enum kop_kind {
	KO_TEXT,
	KO_NUMBER,
	KO_STRING,
	KO_FUNCTION,
	KO_POINTER,
	KO_CALL_SITE, /* "(name+0x12) ", if the function is known */
	KO_ADDRESS, /* of a network, `from` the record; size: '4', '6' or 'S' for a socket's */
	KO_ARGUMENT, /* of a system call: below 10 in decimal, else 0x in base 16 */
};

enum kop_fast {
	KF_NONE,
	KF_TEXT,
	/* of `size` bytes `from` the record */
	KF_HEX, /* `least` digits */
	KF_UNSIGNED,
	KF_SIGNED,
	KF_ARGUMENT, /* as KO_ARGUMENT */
	KF_MEMO, /* the text depends on that number alone: those made last are remembered */
	/* strings, `from` the record */
	KF_FIXED, /* of `len` bytes at most; 0: to the end */
	KF_DYNAMIC,
	KF_RELATIVE,
};

struct kmemo { /* what a step writes for a value */
	uint64_t value;
	char text[55];
	uint8_t len; /* and 1; 0: nothing is remembered */
};

#define KPLAN_PAD 32
#define KBEFORE 16

struct kop {
	uint8_t kind;
	bool offset_too; /* FUNCTION: name+0x12 */
	bool with_port, is_short; /* ADDRESS */
	uint8_t fast; /* how it is done at once, while k->as_kernel is as asked for in the end */
	uint8_t fast_else; /* likewise, otherwise */
	uint8_t size, least;
	uint8_t memo_bits; /* log2 of the number of memos */
	uint32_t from, len;
	const char *text; /* TEXT; KPLAN_PAD bytes may be read behind its begin */
	char before[KBEFORE]; /* goes before it, taken from a step of text */
	uint8_t before_len;
	struct kmemo *memos; /* arena; NULL: none yet */
	const struct kexpr *value;
	const struct kstring *string;
	struct kspec spec;
};

struct kplan {
	struct kop *ops; /* arena */
	uint32_t nops;
	uint32_t need; /* records are at least so long */
	bool has_chars; /* "%c": libtraceevent prints something else */
};

struct kernel_text_event {
	struct tep_event *tep; /* borrowed; NULL: could not be parsed */
	struct kplan *plan; /* arena; NULL: libtraceevent prints it */
	/* By hand: what trace-cmd prints by itself. */
	void (*by_hand)(struct kernel_text *k, struct kernel_text_event *e, const uint8_t *record,
		size_t n);
	uint32_t checks; /* records that are still to be printed both ways */
	bool has_lines; /* its format has newlines */
	bool is_risky; /* libtraceevent would believe lengths that are in its records */
	uint32_t offsets[4]; /* of fields, for by_hand */
	struct kernel_text_event *next;
};

struct ksymbol {
	uint64_t addr;
	const char *name;
};

struct kfound { /* an address that was looked up */
	uint64_t addr;
	size_t symbol;
};

#define KERNEL_FOUND 2048u

struct kernel_text {
	struct kernel_text_options o;
	struct arena arena;
	struct tep_handle *tep; /* owned */
	struct tep_plugin_list *plugins; /* owned */
	struct kernel_text_event *events; /* arena */
	bool swap;
	bool as_kernel; /* now: o.like_kernel, and not to be compared with libtraceevent */
	/* the line that is being made */
	char *line, *p, *end; /* owned: LINE_MAX bytes; where it goes on; its end */
	char *other; /* owned: the same line by libtraceevent */
	uint8_t *copy; /* owned: of a record, COPY_BYTES, zero behind it */
	size_t copied;
	bool unsafe; /* the last record: libtraceevent would read beyond it, or divide by zero */
	bool has_symbols;
	struct buf symbol_text; /* owned */
	struct ksymbol *symbols; /* owned */
	size_t nsymbols, symbols_cap;
	struct kfound *found; /* owned: KERNEL_FOUND of them; NULL: none yet */
};

/* kernel-plan.c */
struct making { /* of a plan */
	struct kernel_text *k;
	struct tep_event *e;
	uint32_t need; /* bytes a record must have */
	int depth;
	bool as_char; /* now: constants of one letter are characters, whose quotes are not kept */
	bool has_chars;
};
/* Each gives NULL if it is not known how, or without memory. */
struct kexpr *kplan_expr(struct making *m, enum kexpr_kind kind);
const struct kexpr *kplan_load(struct making *m, const struct tep_format_field *f);
const struct kexpr *kplan_binary(
	struct making *m, enum kexpr_op op, const struct kexpr *a, const struct kexpr *b);
const struct kstring *kplan_string(struct making *m, const struct tep_print_arg *arg);
/* first: a step in front of the format's, or NULL. NULL: it cannot. */
struct kplan *kplan_make(struct kernel_text *k, struct tep_event *e, const struct kop *first);
/* kernel-plugin.c: "comm:pid [prio] state ==> ..." of the plugin for the scheduler, "(function+0x12) ..." of
 * that for allocations. NULL: not this event. */
struct kplan *kplan_by_plugin(struct kernel_text *k, struct tep_event *e);

/* kernel-syscall.c: as the kernel's trace file has it. NULL: not this event. */
struct kplan *kplan_syscall(struct kernel_text *k, struct tep_event *e);
/* kernel-fast.c: notes in the steps of a whole plan how each can be done at once, if it can. */
void kplan_finish(struct kernel_text *k, struct kplan *plan);

/* kernel-address.c: makes the step of "%pI...", p behind it; does it. */
const char *kaddress_plan(
	struct making *m, const char *p, const struct tep_print_arg *arg, struct kop *op);
void kaddress_put(struct kernel_text *k, const struct kop *op, const uint8_t *record);

/* kernel-print.c */
void kplan_run(struct kernel_text *k, const struct kplan *plan, const uint8_t *record, size_t n);
/* Appends to the line: as it is; escaped. */
void kline_put(struct kernel_text *k, const char *s, size_t n);
void kline_safe(struct kernel_text *k, const char *s, size_t n);
void kline_printf(struct kernel_text *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
uint64_t kernel_load(const struct kernel_text *k, const uint8_t *p, unsigned size);

/* kernel-ftrace.c */
void kernel_ftrace_take(struct kernel_text *k, struct kernel_text_event *e);

#endif
