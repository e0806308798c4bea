/* Dynamic events: what is probed in user programs: PATH:SYMBOL[+OFFSET], PATH:OFFSET.
 *
 * A symbol is looked for in the file and in its debug information, wherever the system keeps that,
 * and becomes an offset in the file: the kernel wants these. What lies in no executable segment is
 * refused. (Names of arguments: dynevent-dwarf.c.)
 */
#include "kernel/dynevent-elf.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void elf_place_free(struct elf_place *e)
{
	if (!e)
		return;
	dwfl_end(e->dwfl);
	free(e);
}

/* ---- the file ---- */

static int not_a_file(struct parse *p, struct span s, const char *path, int err)
{
	(void)refuse_err(p, -err, s.at, s.len, "%.160s: %s", path, strerror(err));
	if (err == ENOENT && path[0] != '/')
		hint(p, "write the whole path");
	return -err;
}

static int open_elf(struct parse *p, struct span s, const char *path)
{
	static const Dwfl_Callbacks callbacks = {
		.find_elf = dwfl_build_id_find_elf,
		.find_debuginfo = dwfl_standard_find_debuginfo,
		.section_address = dwfl_offline_section_address,
	};
	struct elf_place *e = calloc(1, sizeof(*e));
	GElf_Ehdr head;

	p->elf = e;
	if (!e || !(e->dwfl = dwfl_begin(&callbacks)))
		return no_memory(p);
	dwfl_report_begin(e->dwfl);
	e->module = dwfl_report_offline(e->dwfl, "probed", path, -1);
	dwfl_report_end(e->dwfl, NULL, NULL);
	e->elf = e->module ? dwfl_module_getelf(e->module, &e->bias) : NULL;
	if (!e->elf || !gelf_getehdr(e->elf, &head) ||
		(head.e_type != ET_EXEC && head.e_type != ET_DYN))
		return refuse(
			p, s.at, s.len, "%.160s is neither a program nor a shared library", path);
	return 0;
}

static int check_path(struct parse *p, struct span s, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return not_a_file(p, s, path, errno);
	if (!S_ISREG(st.st_mode))
		return refuse(p, s.at, s.len, "%.160s is not a regular file", path);
	return 0;
}

/* ---- addresses and offsets ---- */

/* By program headers: file offset of an address in an executable segment, or back. */
static bool translate(Elf *elf, bool to_offset, uint64_t from, uint64_t *ret)
{
	size_t n = 0;

	(void)elf_getphdrnum(elf, &n);
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr h;
		uint64_t begin;

		if (!gelf_getphdr(elf, (int)i, &h) || h.p_type != PT_LOAD || !(h.p_flags & PF_X))
			continue;
		begin = to_offset ? h.p_vaddr : h.p_offset;
		if (from >= begin && from - begin < h.p_filesz) {
			*ret = from - begin + (to_offset ? h.p_offset : h.p_vaddr);
			return true;
		}
	}
	return false;
}

struct found {
	unsigned functions; /* at different addresses */
	GElf_Addr address; /* as the file has it */
	uint64_t size;
	bool global, other, ifunc;
};

static void look_at(
	const struct elf_place *e, const GElf_Sym *sym, GElf_Addr address, struct found *f)
{
	bool global = GELF_ST_BIND(sym->st_info) != STB_LOCAL;
	int type = GELF_ST_TYPE(sym->st_info);

	address -= e->bias;
	if (type == STT_GNU_IFUNC)
		f->ifunc = true;
	if (sym->st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_NOTYPE)) {
		f->other = true;
		return;
	}
	if (f->functions && address == f->address)
		return;
	if (f->functions && f->global && !global)
		return; /* the one that others see is meant */
	if (global && !f->global)
		f->functions = 0;
	f->functions++;
	f->global |= global;
	f->address = address;
	f->size = sym->st_size;
}

static int each_symbol(
	const struct elf_place *e, const char *name, struct found *f, struct near *near)
{
	int n = dwfl_module_getsymtab(e->module);

	for (int i = 1; i < n; i++) {
		GElf_Sym sym;
		GElf_Addr address;
		const char *s =
			dwfl_module_getsym_info(e->module, i, &sym, &address, NULL, NULL, NULL);

		if (s && name && strcmp(s, name) == 0)
			look_at(e, &sym, address, f);
		else if (s && near && GELF_ST_TYPE(sym.st_info) == STT_FUNC &&
			sym.st_shndx != SHN_UNDEF)
			near_look(near, s);
	}
	return n;
}

static int no_symbol(struct parse *p, struct span s, const char *name, const struct found *f)
{
	struct near near;

	if (f->ifunc) {
		(void)refuse(p, s.at, s.len,
			"which code '%.100s' is, is chosen when the program starts", name);
		hint(p, "probe the one that is chosen on this machine");
		return -EINVAL;
	}
	(void)refuse_err(p, -ENOENT, s.at, s.len,
		f->other ? "'%.100s' is no function of this file"
			 : "this file has no function '%.100s'",
		name);
	near_init(&near, name, strlen(name));
	if (each_symbol(p->elf, NULL, NULL, &near) <= 1)
		hint(p, "it has no symbols at all: write the offset in the file, PATH:0xOFFSET");
	else if (near.best[0])
		hint(p, "did you mean '%s'?", near.best);
	return -ENOENT;
}

/* SYMBOL[+OFFSET] */
static int find_symbol(struct parse *p, struct span s)
{
	struct elf_place *e = p->elf;
	struct span name = s;
	struct found f = {0};
	const char *plus = memchr(p->text + s.at, '+', s.len);
	char *word;
	int64_t offset = 0;

	if (plus) {
		AUTO(free) char *digits = strndup(plus, s.len - (size_t)(plus - p->text - s.at));

		name.len = (size_t)(plus - p->text) - s.at;
		if (!digits || kernel_long(digits, &offset) || offset < 0)
			return refuse(p, s.at + name.len, s.len - name.len,
				"an offset is a number: +16 or +0x10");
	}
	word = span_dup(p, name);
	if (!word)
		return no_memory(p);
	(void)each_symbol(e, word, &f, NULL);
	if (f.functions == 0)
		return no_symbol(p, name, word, &f);
	if (f.functions > 1)
		return refuse(p, name.at, name.len, "%u functions of this file are called '%.100s'",
			f.functions, word);
	if (f.size && (uint64_t)offset >= f.size)
		return refuse(p, s.at + name.len, s.len - name.len, "the function has %llu bytes",
			(unsigned long long)f.size);
	if (p->d->is_return && offset)
		return refuse(p, s.at + name.len, s.len - name.len,
			"a return is probed at the function, without an offset");
	e->address = f.address + (uint64_t)offset;
	if (!translate(e->elf, true, e->address, &e->offset))
		return refuse(p, name.at, name.len,
			"'%.100s' lies in no executable part of the file", word);
	p->at_entry = offset == 0 && !p->d->is_return;
	p->func_name = word;
	p->d->event = offset ? text_printf(p, "%s_0x%llx", word, (long long)offset)
			     : text_printf(p, "%s%s", word, p->d->is_return ? "__return" : "");
	return p->d->event ? 0 : no_memory(p);
}

/* 0xOFFSET in the file. */
static int take_offset(struct parse *p, struct span s, const char *path)
{
	AUTO(free) char *digits = strndup(p->text + s.at, s.len);
	const char *base = strrchr(path, '/');
	GElf_Off into = 1;
	GElf_Sym sym;

	if (!digits)
		return no_memory(p);
	if (kernel_ulong(digits, &p->elf->offset))
		return refuse(p, s.at, s.len, "an offset in the file is a number: 0x1234");
	if (!translate(p->elf->elf, false, p->elf->offset, &p->elf->address))
		return refuse(p, s.at, s.len, "this offset lies in no executable part of the file");
	base = base ? base + 1 : path;
	p->d->event = text_printf(p, "p_%.*s_0x%llx", (int)strcspn(base, ".-_"), base,
		(unsigned long long)p->elf->offset);
	p->func_name = dwfl_module_addrinfo(
		p->elf->module, p->elf->address + p->elf->bias, &into, &sym, NULL, NULL, NULL);
	p->at_entry = into == 0 && !p->d->is_return;
	if (p->by_names && p->at_entry)
		p->d->event = text_printf(p, "%s", p->func_name);
	return p->d->event ? 0 : no_memory(p);
}

/* "(REF)": the offset of a counter that the kernel raises while the probe is on. */
static int take_counter(struct parse *p, struct span *s, uint64_t *ret)
{
	const char *t = p->text + s->at, *open = memchr(t, '(', s->len), *close;
	AUTO(free) char *digits = NULL;
	size_t n;

	*ret = 0;
	if (!open)
		return 0;
	n = (size_t)(open - t);
	close = memchr(open, ')', s->len - n);
	if (!close)
		return refuse(p, s->at + s->len, 0, "')' is missing");
	if (close + 1 != t + s->len)
		return refuse(p, (size_t)(close + 1 - p->text), s->len - (size_t)(close + 1 - t),
			"nothing can follow the ')'");
	digits = strndup(open + 1, (size_t)(close - open) - 1);
	if (!digits || kernel_ulong(digits, ret))
		return refuse(p, s->at + n + 1, s->len - n - 2,
			"the offset of a reference counter is a number");
	s->len = n;
	return 0;
}

static int take_return(struct parse *p, struct span *s)
{
	const char *percent = memchr(p->text + s->at, '%', s->len);
	size_t n = percent ? (size_t)(percent - p->text) - s->at : s->len;

	if (!percent)
		return 0;
	if (!span_is(p, (struct span){s->at + n, s->len - n}, "%return"))
		return refuse(p, s->at + n, s->len - n, "only %%return can stand here");
	p->d->is_return = true;
	s->len = n;
	return 0;
}

static void clean_event_name(char *s)
{
	for (; *s; s++) {
		if (!isascii((unsigned char)*s) || !isalnum((unsigned char)*s))
			*s = '_';
	}
}

int parse_uprobe_place(struct parse *p)
{
	struct span s = p->place, file = s, where;
	const char *colon = memrchr(p->text + s.at, ':', s.len);
	char *path, *name;
	char counter_text[32] = "";
	uint64_t counter;
	int r;

	p->user = true;
	if (!colon) {
		(void)refuse(p, s.at + s.len, 0, "':' and a function or an offset are missing");
		hint(p, "PATH:FUNCTION[+OFFSET] or PATH:0xOFFSET");
		return -EINVAL;
	}
	file.len = (size_t)(colon - p->text) - s.at;
	where = (struct span){s.at + file.len + 1, s.len - file.len - 1};
	path = span_dup(p, file);
	if (!path)
		return no_memory(p);
	r = check_path(p, file, path);
	if (!r)
		r = take_counter(p, &where, &counter);
	if (!r)
		r = take_return(p, &where);
	if (r)
		return r;
	if (where.len == 0)
		return refuse(p, where.at, 0, "a function or an offset in the file is missing");
	r = open_elf(p, file, path);
	if (!r && isdigit((unsigned char)p->text[where.at]))
		r = take_offset(p, where, path);
	else if (!r)
		r = find_symbol(p, where);
	if (r)
		return r;
	name = text_printf(p, "%.*s", EVENT_NAME_MAX, p->d->event);
	if (path[0] != '/') {
		AUTO(free) char *whole = realpath(path, NULL);

		path = whole ? text_printf(p, "%s", whole) : path;
	}
	if (!name || !path)
		return no_memory(p);
	if (strpbrk(path, " \t\n#"))
		return refuse(
			p, file.at, file.len, "the kernel takes no path with a space or '#' in it");
	clean_event_name(name);
	p->d->event = name;
	if (counter)
		(void)snprintf(counter_text, sizeof(counter_text), "(0x%llx)",
			(unsigned long long)counter);
	p->d->place = text_printf(
		p, "%s:0x%08llx%s", path, (unsigned long long)p->elf->offset, counter_text);
	return p->d->place ? 0 : no_memory(p);
}
