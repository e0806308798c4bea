/* Where a function's arguments are when it is entered: the C calling conventions of the kernel's
 * machines, as far as integers, pointers and structures go, and what the kernel's $argN reaches.
 *
 *            registers            structures by value                      $argN beyond registers
 *   x86-64   di si dx cx r8 r9    up to 16 bytes: registers, if enough      stack words, above the
 *                                 are left; else, and larger: the stack     return address
 *   aarch64  x0 ... x7            up to 16 bytes: registers, if enough      none: $stackN
 *                                 are left, else the stack; larger: by
 *                                 a pointer
 *
 * $argN counts machine words, not parameters: kbtf_place() turns one into the other.
 */
#include "kernel/btf.h"
#include <bpf/btf.h>
#include <errno.h>
#include <string.h>

static const char *const x86_64_args[] = {"di", "si", "dx", "cx", "r8", "r9"};
static const char *const aarch64_args[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7"};

/* The names that regs_query_register_offset() knows. */
static const char *const x86_64_registers[] = {"r15", "r14", "r13", "r12", "r11", "r10", "r9", "r8",
	"bx", "cx", "dx", "si", "di", "bp", "ax", "orig_ax", "ip", "cs", "flags", "sp", "ss"};
static const char *const aarch64_registers[] = {"x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7",
	"x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20",
	"x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "lr", "sp", "pc", "pstate"};

enum karch karch_native(void)
{
#ifdef __aarch64__
	return KARCH_AARCH64;
#else
	return KARCH_X86_64;
#endif
}

static unsigned register_count(enum karch arch)
{
	return arch == KARCH_AARCH64 ? ARRAY_SIZE(aarch64_args) : ARRAY_SIZE(x86_64_args);
}

const char *karch_arg_register(enum karch arch, unsigned n)
{
	if (n == 0 || n > register_count(arch))
		return NULL;
	return arch == KARCH_AARCH64 ? aarch64_args[n - 1] : x86_64_args[n - 1];
}

bool karch_is_register(enum karch arch, const char *name)
{
	const char *const *all = arch == KARCH_AARCH64 ? aarch64_registers : x86_64_registers;
	size_t n = arch == KARCH_AARCH64 ? ARRAY_SIZE(aarch64_registers)
					 : ARRAY_SIZE(x86_64_registers);

	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i], name) == 0)
			return true;
	}
	return false;
}

/* How many registers and stack words the arguments so far have taken. */
struct taken {
	unsigned registers, stack;
};

/* Stack word n, as this machine's kernel names it. */
static void on_stack(struct taken *t, enum karch arch, unsigned words, struct kbtf_place *p)
{
	if (arch == KARCH_X86_64) { /* word 0 is the return address; $arg7 is word 1 */
		p->kind = KPLACE_ARG;
		p->n = register_count(arch) + t->stack + 1;
	} else {
		p->kind = KPLACE_STACK;
		p->n = t->stack;
	}
	p->words = words;
	t->stack += words;
}

static void in_registers(struct taken *t, unsigned words, struct kbtf_place *p)
{
	p->kind = KPLACE_ARG;
	p->n = t->registers + 1;
	p->words = words;
	t->registers += words;
}

static void place(
	const struct btf *b, uint32_t type, enum karch arch, struct taken *t, struct kbtf_place *p)
{
	int64_t size = btf__resolve_size(b, type);
	unsigned left = register_count(arch) - MIN(t->registers, register_count(arch)), words;
	struct kbtf_value v;
	bool aggregate;

	*p = (struct kbtf_place){.kind = KPLACE_NONE};
	kbtf_classify(b, type, &v);
	if (v.kind == KVALUE_POINTER || v.kind == KVALUE_CODE || v.kind == KVALUE_STRING_POINTER)
		size = 8;
	if (size <= 0)
		return; /* an empty structure, or nothing that is known */
	aggregate = v.kind == KVALUE_STRUCT;
	words = (unsigned)((size + 7) / 8);
	if (aggregate && size > 16 && arch == KARCH_AARCH64) {
		p->indirect = true;
		words = 1;
	}
	if (!aggregate && words == 2 && arch == KARCH_AARCH64 && t->registers % 2)
		t->registers++, left--; /* 16-byte numbers begin at an even register */
	if (words <= left && !(aggregate && size > 16 && arch == KARCH_X86_64)) {
		in_registers(t, words, p);
		return;
	}
	if (arch == KARCH_AARCH64)
		t->registers = register_count(arch); /* what is left stays unused */
	p->memory = aggregate && !p->indirect;
	on_stack(t, arch, words, p);
}

int kbtf_place(const struct kbtf_func *f, unsigned i, enum karch arch, struct kbtf_place *ret)
{
	struct taken t = {.registers = f->first};
	struct kbtf_place p;

	if (i >= f->len)
		return -EINVAL;
	for (unsigned at = 0; at <= i; at++) {
		uint32_t type;

		(void)kbtf_param(f, at, &type);
		place(f->btf, type, arch, &t, &p);
	}
	if (p.kind == KPLACE_ARG) /* $arg1 is what follows the hidden one */
		p.n -= f->first;
	*ret = p;
	return 0;
}
