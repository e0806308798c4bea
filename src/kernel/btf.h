/* The kernel's types, from BTF: prototypes of functions and tracepoints, and ways through structures.
 *
 * /sys/kernel/btf holds vmlinux's types and, one file each, those that modules add. Nothing is read
 * until somebody asks; what is read stays until kbtf_free(). A type is named by the pair (struct btf
 * *, id): a module's BTF answers ids of vmlinux's, too. The struct btf pointers are borrowed from the
 * kbtf that gave them.
 *
 * A *way* is `skb->dev->name`: it begins at a value (an argument, a return value, an event's field)
 * and ends at one that a probe can fetch. kbtf_walk() gives the dereferences that lead there and
 * what is there, which is all that dynevent.c needs to write `+0x0(+0x10($arg1)):string`.
 *
 * Not thread-safe. Nothing here needs privilege: BTF is readable by everybody.
 */
#ifndef CAIRN_KERNEL_BTF_H
#define CAIRN_KERNEL_BTF_H

#include "base/base.h"

struct btf; /* libbpf's */
struct kbtf;

/* How functions get their arguments. */
enum karch { KARCH_X86_64, KARCH_AARCH64 };
enum karch karch_native(void);

/* `dir` holds vmlinux and the modules ("/sys/kernel/btf"); copied. NULL without memory. */
struct kbtf *kbtf_new(const char *dir);
void kbtf_free(struct kbtf *k);
/* vmlinux's types; NULL, with the reason in e, if there are none to read. */
const struct btf *kbtf_vmlinux(struct kbtf *k, struct error *e);
/* Another kernel's types, given by whoever has them (tests): vmlinux's, owned by k from now on. */
void kbtf_set_vmlinux(struct kbtf *k, struct btf *types);

/* A function, or a tracepoint as a function (its hidden first parameter left out). */
struct kbtf_func {
	const struct btf *btf; /* borrowed */
	uint32_t proto; /* id of its FUNC_PROTO */
	unsigned first; /* the first parameter that counts: 1 for tracepoints */
	unsigned len; /* how many count */
	bool variadic;
};

/* module: NULL for vmlinux first and then every loaded module. 0; -ENOENT if no types describe the
 * function; another error, with its reason in e, if BTF cannot be read. */
int kbtf_find_func(struct kbtf *k, const char *module, const char *name, struct kbtf_func *ret,
	struct error *e);
int kbtf_find_tracepoint(struct kbtf *k, const char *name, struct kbtf_func *ret, struct error *e);
/* The name ("" if it has none) and type of parameter i < len. */
const char *kbtf_param(const struct kbtf_func *f, unsigned i, uint32_t *ret_type);
uint32_t kbtf_return_type(const struct kbtf_func *f); /* 0: void */
/* The id of `struct NAME`, `union NAME` or typedef NAME; 0 if there is none. */
uint32_t kbtf_find_struct(const struct btf *b, const char *name);

/* Looks at the names of all structures and unions. */
struct near;
void kbtf_near_struct(const struct btf *b, struct near *near);

/* Where an argument is when the function is entered. $argN of the kernel counts registers and then
 * stack words, not parameters: a structure passed by value may take two of them, or none. */
struct kbtf_place {
	enum {
		KPLACE_ARG, /* n is the N of $argN */
		KPLACE_STACK, /* n is the N of $stackN: beyond what $argN reaches */
		KPLACE_NONE, /* in no integer register and no whole word: cannot be fetched */
	} kind;
	unsigned n;
	unsigned words; /* how many it takes */
	bool indirect; /* the value is a pointer to the argument (large structures on aarch64) */
	bool memory; /* the argument's own bytes lie on the stack at word n (large structures on x86-64) */
};
int kbtf_place(const struct kbtf_func *f, unsigned i, enum karch arch, struct kbtf_place *ret);
/* The register that holds $argN at a function's entry, without '%'; NULL: it is on the stack. */
const char *karch_arg_register(enum karch arch, unsigned n);
bool karch_is_register(enum karch arch, const char *name); /* does the kernel know %name? */

/* What can be fetched. */
enum kbtf_kind {
	KVALUE_INT, /* size bytes, is_signed: integers, bool, char, enums */
	KVALUE_BITS, /* bit_width bits at bit_offset of a word of size bytes */
	KVALUE_POINTER,
	KVALUE_CODE, /* a pointer to a function */
	KVALUE_STRING, /* char[]: the text begins at the place itself */
	KVALUE_STRING_POINTER, /* char *: the text begins where the value points */
	KVALUE_ARRAY, /* count elements of size bytes, is_signed */
	KVALUE_POINTER_ARRAY, /* count pointers */
	KVALUE_STRUCT, /* a structure or union as a whole: has members, is no value */
	KVALUE_OTHER, /* nothing a probe can fetch: void, functions, numbers of 16 bytes */
};

struct kbtf_value {
	enum kbtf_kind kind;
	unsigned size;
	bool is_signed;
	bool user; /* points to user memory, as far as the types say */
	unsigned bit_offset, bit_width;
	unsigned count;
	const struct btf *btf;
	uint32_t type; /* without typedefs and qualifiers */
};

/* What a value of this type is. */
void kbtf_classify(const struct btf *b, uint32_t type, struct kbtf_value *ret);

enum { KBTF_STEPS_MAX = 14 }; /* more the kernel's fetch programs do not hold */

struct kbtf_way {
	/* The place is base; each step loads the pointer at (place so far) + offset, but the last,
	 * which only adds. So with n steps: value = *( ... *(*(base + at[0]) + at[1]) ... + at[n-1]).
	 * n == 0: the base itself is the value. */
	unsigned n;
	int64_t at[KBTF_STEPS_MAX];
	/* If n == 0: the value is these bytes of the base itself (a structure in a register). */
	unsigned base_offset;
	struct kbtf_value value;
};

struct kbtf_fault {
	size_t at, len; /* which part of the text */
	struct error error;
};

/* Follows `text` (len bytes), what stands behind the first name of a way: "->dev->name",
 * ".d_name.name", "[2]", "" and so on. base: the type it begins with. in_memory: base is the
 * address of such a thing (so "." works); else it is its value. 0, or -EINVAL with fault filled: positions
 * are relative to text. Members that anonymous structures hold are found; unknown ones are refused
 * with near spellings, or with what there is. */
int kbtf_walk(const struct btf *b, uint32_t base, bool in_memory, const char *text, size_t len,
	struct kbtf_way *ret, struct kbtf_fault *fault);

/* The type as C writes it: "struct sk_buff *", "unsigned int [4]". Adds to out. */
void kbtf_type_text(const struct btf *b, uint32_t type, struct buf *out);

#endif
