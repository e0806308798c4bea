/* The cache of files and places. */
#include "symbol/symbol-impl.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct place { /* key of `found`; no gaps */
	uint64_t module, offset, back;
};

int symbols_new(const char *debug_dirs, struct symbols **ret)
{
	struct symbols *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->debug_dirs = strdup(debug_dirs ? debug_dirs : "/usr/lib/debug");
	if (!s->debug_dirs) {
		free(s);
		return -ENOMEM;
	}
	(void)elf_version(EV_CURRENT); /* fails only for a library older than its header */
	s->callbacks = (Dwfl_Callbacks){.find_debuginfo = module_find_debug,
		.section_address = dwfl_offline_section_address,
		.debuginfo_path = &s->debug_dirs};
	*ret = s;
	return 0;
}

void symbols_free(struct symbols *s)
{
	struct module *m;

	if (!s)
		return;
	for (size_t i = 0; (m = map_next(&s->modules, &i, NULL, NULL));)
		module_free(m);
	map_done(&s->modules);
	map_done(&s->found);
	arena_done(&s->arena);
	free(s->debug_dirs);
	if (s->cxx)
		(void)dlclose(s->cxx); /* nothing to be done about it */
	free(s);
}

static struct module *module_of(struct symbols *s, const struct symbol_file *f)
{
	AUTO(buf) struct buf key = {0};
	int64_t seen = f->build_id_len ? 0 : f->seen_ns;
	struct module *m;

	buf_add(&key, &seen, sizeof(seen));
	buf_add(&key, &f->shift, sizeof(f->shift));
	buf_add(&key, f->path, strlen(f->path) + 1);
	buf_add(&key, f->build_id_len ? (const void *)f->build_id : "", f->build_id_len);
	if (key.err)
		return NULL;
	m = map_get(&s->modules, key.data, key.len);
	if (m)
		return m;
	m = module_open(s, f);
	if (m && map_put(&s->modules, key.data, key.len, m) < 0) {
		module_free(m);
		return NULL;
	}
	return m;
}

/* The address in the ELF file; false if the offset is not in its code. */
static bool address_of(const struct module *m, uint64_t offset, uint64_t *ret)
{
	if (m->shift != SYMBOL_NO_SHIFT) {
		*ret = offset + (uint64_t)m->shift;
		return true;
	}
	for (size_t i = 0; i < m->nsegments; i++) {
		const struct segment *g = &m->segments[i];

		if (offset >= g->offset && offset - g->offset < g->size) {
			*ret = offset - g->offset + g->address;
			return true;
		}
	}
	return false;
}

static int find(struct module *m, uint64_t offset, unsigned back, struct symbol_list *ret)
{
	uint64_t address;

	*ret = (struct symbol_list){.why = m->why};
	if (m->why != SYMBOL_FOUND)
		return 0;
	ret->why = SYMBOL_NO_NAME;
	if (offset < back || !address_of(m, offset - back, &address))
		return 0;
	return module_name(m, address + back, back, ret);
}

const struct symbol_list *symbols_find(
	struct symbols *s, const struct symbol_file *f, uint64_t offset, unsigned back)
{
	struct module *m = module_of(s, f);
	struct place key = {(uintptr_t)m, offset, back};
	struct symbol_list *l;

	if (!m)
		return NULL;
	l = map_get(&s->found, &key, sizeof(key));
	if (l)
		return l;
	l = arena_alloc(&s->arena, sizeof(*l));
	if (!l || find(m, offset, back, l) < 0 || map_put(&s->found, &key, sizeof(key), l) < 0)
		return NULL;
	return l;
}
