/* What a file says of an address: the function by its symbol (whose size must reach that far) or its
 * DWARF, the line, and what was inlined there, innermost first. */
#include "symbol/symbol-impl.h"
#include <dlfcn.h>
#include <dwarf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INLINED_MAX 64

/* ---- names ---- */

static const char *keep(struct symbols *s, const char *text)
{
	return text ? arena_strndup(&s->arena, text, strlen(text)) : NULL;
}

/* As its programmer wrote it, if C++'s library is here. */
static const char *readable(struct symbols *s, const char *name)
{
	AUTO(free) char *plain = NULL;
	int status;

	if (!name || strncmp(name, "_Z", 2) != 0)
		return keep(s, name);
	if (!s->cxx_tried) {
		s->cxx_tried = true;
		s->cxx = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_LOCAL);
		if (s->cxx)
			*(void **)&s->demangle = dlsym(s->cxx, "__cxa_demangle");
	}
	if (s->demangle)
		plain = s->demangle(name, NULL, NULL, &status);
	return keep(s, plain ? plain : name);
}

static const char *name_of_die(struct symbols *s, Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	const char *name = NULL;

	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr))
		name = dwarf_formstring(&attr);
	return readable(s, name ? name : dwarf_diename(die));
}

/* ---- compilation units ---- */

static int unit_order(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;

	return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* Not all compilers write .debug_aranges: the units' own ranges, in order. */
static int read_units(struct module *m)
{
	Dwarf_Die *cu = NULL;
	Dwarf_Addr bias, base, begin, end;

	m->has_units = true;
	while ((cu = dwfl_module_nextcu(m->mod, cu, &bias))) {
		ptrdiff_t at = 0;

		while ((at = dwarf_ranges(cu, at, &base, &begin, &end)) > 0) {
			struct unit *u = VEC_ADD(m->units, m->nunits, m->units_cap);

			if (!u)
				return -ENOMEM;
			*u = (struct unit){begin + bias, end + bias, dwarf_dieoffset(cu)};
		}
	}
	if (m->nunits)
		qsort(m->units, m->nunits, sizeof(*m->units), unit_order);
	return 0;
}

static bool find_unit(
	struct module *m, uint64_t address, Dwarf_Die *ret, Dwarf_Addr *ret_bias, int *ret_err)
{
	Dwarf_Die *cu = dwfl_module_addrdie(m->mod, address, ret_bias);
	Dwarf *dw;

	if (cu) {
		*ret = *cu;
		return true;
	}
	dw = dwfl_module_getdwarf(m->mod, ret_bias);
	if (!dw || (!m->has_units && (*ret_err = read_units(m)) < 0))
		return false;
	for (size_t lo = 0, hi = m->nunits; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		const struct unit *u = &m->units[mid];

		if (address >= u->begin && address < u->end)
			return dwarf_offdie(dw, u->die, ret) != NULL;
		if (address < u->begin)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

/* ---- one place ---- */

struct naming {
	struct module *m;
	struct symbol at[INLINED_MAX];
	size_t n;
	bool whole; /* the function that is not inlined is there */
};

/* Where it was inlined: the call's file and line are the outer function's. */
static void take_call(struct symbols *s, Dwarf_Die *die, Dwarf_Die *cu, struct symbol *outer)
{
	Dwarf_Attribute attr;
	Dwarf_Word file, line;
	Dwarf_Files *files;
	size_t n;

	outer->file = NULL;
	outer->line = 0;
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attr), &file) == 0 &&
		dwarf_getsrcfiles(cu, &files, &n) == 0 && file < n)
		outer->file = keep(s, dwarf_filesrc(files, file, NULL, NULL));
	if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attr), &line) == 0)
		outer->line = (uint32_t)line;
}

/* The functions that the address is in, by the tree of scopes from the innermost outwards. */
static void read_scopes(
	struct naming *w, Dwarf_Die *cu, Dwarf_Addr address, uint64_t bias, uint64_t place)
{
	struct symbols *s = w->m->symbols;
	AUTO(free) Dwarf_Die *inner = NULL, *scopes = NULL;
	Dwarf_Addr low;
	int n = dwarf_getscopes(cu, address, &inner);

	n = n > 0 ? dwarf_getscopes_die(&inner[0], &scopes) : 0;
	for (int i = 0; i < n && w->n + 1 < INLINED_MAX; i++) {
		int tag = dwarf_tag(&scopes[i]);
		struct symbol *to = &w->at[w->n];

		if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram)
			continue;
		to->function = name_of_die(s, &scopes[i]);
		if (!to->function)
			continue;
		w->n++;
		to->inlined = tag == DW_TAG_inlined_subroutine;
		if (to->inlined) {
			take_call(s, &scopes[i], cu, to + 1);
			continue;
		}
		w->whole = true;
		if (dwarf_entrypc(&scopes[i], &low) == 0 && place >= low + bias)
			to->offset = place - (low + bias);
		return;
	}
}

static int read_dwarf(struct naming *w, uint64_t address, uint64_t place)
{
	struct symbols *s = w->m->symbols;
	Dwarf_Addr bias;
	Dwarf_Line *line;
	Dwarf_Die cu;
	int err = 0, number;

	if (!find_unit(w->m, address, &cu, &bias, &err))
		return err;
	line = dwarf_getsrc_die(&cu, address - bias);
	if (line) {
		w->at[0].file = keep(s, dwarf_linesrc(line, NULL, NULL));
		if (w->at[0].file && dwarf_lineno(line, &number) == 0 && number > 0)
			w->at[0].line = (uint32_t)number;
	}
	read_scopes(w, &cu, address - bias, bias, place);
	return 0;
}

/* The symbol's name and begin for the function that is not inlined: clones have names of their own. */
static void read_symbol(struct naming *w, uint64_t address, uint64_t place)
{
	GElf_Off offset;
	GElf_Sym sym;
	const char *name =
		dwfl_module_addrinfo(w->m->mod, address, &offset, &sym, NULL, NULL, NULL);
	struct symbol *to;

	if (!name || !*name || offset >= sym.st_size)
		return; /* a symbol without size says nothing of what is behind it */
	to = w->whole ? &w->at[w->n - 1] : &w->at[w->n];
	w->n += !w->whole;
	w->whole = true;
	to->function = readable(w->m->symbols, name);
	to->offset = place - address + offset;
}

int module_name(struct module *m, uint64_t address, unsigned back, struct symbol_list *ret)
{
	struct naming w = {.m = m};
	struct symbol *kept;
	int err = read_dwarf(&w, address - back, address);

	if (err < 0)
		return err;
	read_symbol(&w, address - back, address);
	*ret = (struct symbol_list){.why = SYMBOL_NO_NAME};
	if (!w.n || !w.whole)
		return 0;
	kept = arena_alloc(&m->symbols->arena, w.n * sizeof(*kept));
	if (!kept)
		return -ENOMEM;
	memcpy(kept, w.at, w.n * sizeof(*kept));
	for (size_t i = 0; i < w.n; i++)
		if (!kept[i].function)
			return -ENOMEM;
	*ret = (struct symbol_list){.why = SYMBOL_FOUND, .n = w.n, .at = kept};
	return 0;
}
