/* Dynamic events: arguments of user functions by their names, from debug information.
 *
 * What a probe can fetch is a register or a word that a register points near: the locations that
 * compilers give to arguments at a function's entry. If the description there is about the frame
 * that does not stand yet (unoptimised code), the ABI says where the argument still is.
 */
#include "kernel/dynevent-elf.h"
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* DWARF's numbers of registers, as the kernel names them. */
static const char *const x86_64_names[] = {"ax", "dx", "cx", "bx", "si", "di", "bp", "sp", "r8",
	"r9", "r10", "r11", "r12", "r13", "r14", "r15", "ip"};

static bool register_name(enum karch arch, unsigned n, char *ret, size_t size)
{
	if (arch == KARCH_X86_64 && n < ARRAY_SIZE(x86_64_names))
		(void)snprintf(ret, size, "%s", x86_64_names[n]);
	else if (arch == KARCH_AARCH64 && n < 30)
		(void)snprintf(ret, size, "x%u", n);
	else if (arch == KARCH_AARCH64 && n < 32)
		(void)snprintf(ret, size, "%s", n == 30 ? "lr" : "sp");
	else
		return false;
	return true;
}

/* ---- types ---- */

static bool bare_type(Dwarf_Die *die, Dwarf_Die *ret)
{
	Dwarf_Attribute a;

	if (!dwarf_formref_die(dwarf_attr_integrate(die, DW_AT_type, &a), ret))
		return false;
	while (dwarf_tag(ret) == DW_TAG_typedef || dwarf_tag(ret) == DW_TAG_const_type ||
		dwarf_tag(ret) == DW_TAG_volatile_type || dwarf_tag(ret) == DW_TAG_restrict_type ||
		dwarf_tag(ret) == DW_TAG_atomic_type) {
		Dwarf_Die next;

		if (!dwarf_formref_die(dwarf_attr_integrate(ret, DW_AT_type, &a), &next))
			return false;
		*ret = next;
	}
	return true;
}

static bool encoding(Dwarf_Die *type, Dwarf_Word *ret)
{
	Dwarf_Attribute a;

	return dwarf_tag(type) == DW_TAG_base_type &&
		dwarf_formudata(dwarf_attr(type, DW_AT_encoding, &a), ret) == 0;
}

/* What an argument is: the kernel's word, and whether it is passed as an integer. */
struct user_type {
	char word[16];
	bool text; /* a pointer to it */
	bool integer;
	bool passed; /* known how */
	unsigned words;
};

static void read_type(Dwarf_Die *parameter, struct user_type *t)
{
	Dwarf_Die type, target;
	Dwarf_Word size = 0, enc = 0;

	memset(t, 0, sizeof(*t));
	if (!bare_type(parameter, &type) || dwarf_aggregate_size(&type, &size))
		return;
	switch (dwarf_tag(&type)) {
	case DW_TAG_pointer_type:
	case DW_TAG_reference_type:
	case DW_TAG_rvalue_reference_type:
		t->integer = t->passed = true;
		t->words = 1;
		t->text = dwarf_tag(&type) == DW_TAG_pointer_type && bare_type(&type, &target) &&
			encoding(&target, &enc) &&
			(enc == DW_ATE_signed_char || enc == DW_ATE_unsigned_char) &&
			dwarf_diename(&target) && strcmp(dwarf_diename(&target), "char") == 0;
		(void)snprintf(t->word, sizeof(t->word), "%s", t->text ? "string" : "x64");
		return;
	case DW_TAG_enumeration_type:
		(void)snprintf(t->word, sizeof(t->word), "s%u", (unsigned)size * 8);
		t->integer = t->passed = true;
		t->words = 1;
		return;
	case DW_TAG_base_type:
		if (!encoding(&type, &enc))
			return;
		t->passed = size <= 16;
		t->words = (unsigned)(size + 7) / 8;
		t->integer = enc != DW_ATE_float && enc != DW_ATE_complex_float;
		if (size <= 8 && t->integer)
			(void)snprintf(t->word, sizeof(t->word), "%c%u",
				enc == DW_ATE_signed || enc == DW_ATE_signed_char ? 's' : 'u',
				(unsigned)size * 8);
		return;
	default: return; /* structures: how they are passed depends on what is in them */
	}
}

/* ---- where ---- */

/* The register of the ABI for the parameter, if all before it are simple. */
static bool by_abi(struct parse *p, Dwarf_Die *function, const char *name, char *fetch, size_t size)
{
	Dwarf_Die child;
	unsigned word = 1;

	if (dwarf_child(function, &child))
		return false;
	do {
		struct user_type t;
		const char *reg;

		if (dwarf_tag(&child) != DW_TAG_formal_parameter)
			continue;
		read_type(&child, &t);
		if (!t.passed)
			return false;
		if (!t.integer)
			continue; /* floating point has registers of its own */
		if (dwarf_diename(&child) && strcmp(dwarf_diename(&child), name) == 0) {
			reg = karch_arg_register(world_arch(p->w), word);
			if (reg)
				(void)snprintf(fetch, size, "%%%s", reg);
			return reg != NULL;
		}
		word += t.words;
	} while (dwarf_siblingof(&child, &child) == 0);
	return false;
}

/* The location that debug information gives, if it is a register or near one. */
static bool by_location(struct parse *p, Dwarf_Die *parameter, Dwarf_Addr pc, char *fetch,
	size_t size, bool *ret_memory)
{
	Dwarf_Attribute a;
	Dwarf_Op *op;
	size_t n;
	char reg[8];
	unsigned atom;

	if (!dwarf_attr_integrate(parameter, DW_AT_location, &a) ||
		dwarf_getlocation_addr(&a, pc, &op, &n, 1) != 1 || n != 1)
		return false;
	atom = op[0].atom;
	*ret_memory = atom >= DW_OP_breg0 && atom <= DW_OP_breg31;
	if (*ret_memory && register_name(world_arch(p->w), atom - DW_OP_breg0, reg, sizeof(reg))) {
		(void)snprintf(fetch, size, "%+lld(%%%s)", (long long)op[0].number, reg);
		return true;
	}
	if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31 &&
		register_name(world_arch(p->w), atom - DW_OP_reg0, reg, sizeof(reg))) {
		(void)snprintf(fetch, size, "%%%s", reg);
		return true;
	}
	return false;
}

/* The innermost function that contains the address; inlined ones are not probed by name. */
static bool function_at(struct elf_place *e, Dwarf_Die *ret, Dwarf_Addr *ret_pc)
{
	Dwarf_Addr bias;
	Dwarf_Die *unit = dwfl_module_addrdie(e->module, e->address + e->bias, &bias);
	Dwarf_Die *scopes = NULL;
	int n = unit ? dwarf_getscopes(unit, e->address + e->bias - bias, &scopes) : 0;
	bool found = false;

	*ret_pc = e->address + e->bias - bias;
	for (int i = 0; i < n && !found; i++) {
		if (dwarf_tag(&scopes[i]) == DW_TAG_subprogram) {
			*ret = scopes[i];
			found = true;
		}
	}
	free(scopes);
	return found;
}

static int unknown(struct parse *p, struct span name, Dwarf_Die *function)
{
	AUTO(buf) struct buf all = {0};
	struct near near;
	Dwarf_Die child;

	near_init(&near, p->text + name.at, name.len);
	if (dwarf_child(function, &child) == 0) {
		do {
			const char *s = dwarf_diename(&child);

			if (dwarf_tag(&child) != DW_TAG_formal_parameter || !s)
				continue;
			near_look(&near, s);
			buf_printf(&all, "%s%s", all.len ? ", " : "", s);
		} while (dwarf_siblingof(&child, &child) == 0);
	}
	(void)refuse(p, name.at, name.len, "%.80s has no argument '%.*s'", dwarf_diename(function),
		(int)MIN(name.len, (size_t)60), p->text + name.at);
	if (near.best[0])
		hint(p, "did you mean '%s'?", near.best);
	else
		hint(p, all.len ? "it has: %s" : "it has none at all%s", all.len ? all.data : "");
	return -EINVAL;
}

static bool find_parameter(struct parse *p, struct span name, Dwarf_Die *function, Dwarf_Die *ret)
{
	if (dwarf_child(function, ret))
		return false;
	do {
		const char *s = dwarf_diename(ret);

		if (dwarf_tag(ret) == DW_TAG_formal_parameter && s && span_is(p, name, s))
			return true;
	} while (dwarf_siblingof(ret, ret) == 0);
	return false;
}

static int no_information(struct parse *p, struct span name)
{
	(void)refuse(p, name.at, name.len,
		"there is no debug information that names this function's arguments");
	hint(p,
		p->at_entry ? "write $arg1, $arg2...: where the ABI puts them"
			    : "write registers: %%di, %%ax");
	return -EINVAL;
}

int parse_elf_argument(struct parse *p, struct span name, struct span rest, struct expr *e)
{
	Dwarf_Die function, parameter;
	Dwarf_Addr pc;
	struct user_type type;
	char fetch[64];
	bool memory = false;

	if (p->d->is_return)
		return refuse(p, name.at, name.len,
			"when a user function returns, its arguments are gone");
	if (!function_at(p->elf, &function, &pc))
		return no_information(p, name);
	if (!find_parameter(p, name, &function, &parameter))
		return unknown(p, name, &function);
	if (rest.len) {
		(void)refuse(
			p, rest.at, rest.len, "members of user structures are not known by name");
		hint(p, "write the offset: +OFFSET(%.*s)", (int)name.len, p->text + name.at);
		return -EINVAL;
	}
	read_type(&parameter, &type);
	if (!by_location(p, &parameter, pc, fetch, sizeof(fetch), &memory) &&
		!(p->at_entry &&
			by_abi(p, &function, dwarf_diename(&parameter), fetch, sizeof(fetch)))) {
		return refuse(p, name.at, name.len,
			"where '%.*s' is at this place, no register says", (int)name.len,
			p->text + name.at);
	}
	e->ops = 1;
	e->last = OP_REG;
	e->name = name;
	e->type = text_printf(p, "%s", type.word[0] ? type.word : "x64");
	e->user_text = type.text;
	buf_str(e->out, fetch);
	if (memory) {
		e->last = OP_DEREF;
		return add_op(p, e, name.at);
	}
	return e->type ? 0 : no_memory(p);
}
