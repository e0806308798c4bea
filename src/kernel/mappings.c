/* The tables: see mappings.h. */
#include "kernel/mappings-impl.h"
#include "symbol/symbol.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A mapping is told of before the process that asked for it goes on, by more than clocks are unlike. */
#define SLACK_NS 500u
#define DEPTH_MAX 64 /* of parents: longer chains have exec'd */

struct mappings *mappings_new(void)
{
	return calloc(1, sizeof(struct mappings));
}

void mappings_forget(struct mappings *m)
{
	struct mapped_process *p;

	for (size_t i = 0; (p = map_next(&m->processes, &i, NULL, NULL));) {
		while (p) {
			struct mapped_process *older = p->older;

			free(p->all);
			free(p);
			p = older;
		}
	}
	map_done(&m->processes);
	m->processes = (struct map){0};
}

void mappings_stop(struct mappings *m)
{
	mapping_source_free(m->source);
	m->source = NULL;
	mappings_forget(m);
}

void mappings_free(struct mappings *m)
{
	if (!m)
		return;
	mappings_stop(m);
	map_done(&m->by_name);
	free(m->files);
	arena_done(&m->arena);
	free(m);
}

/* ---- files ---- */

static bool is_file(const char *path)
{
	return (path[0] == '/' && path[1] != '/' && strncmp(path, "/dev/zero", 9) != 0 &&
		       strncmp(path, "/memfd:", 7) != 0) ||
		strcmp(path, "[vdso]") == 0;
}

uint32_t mappings_add_file(struct mappings *m, const struct mapped_file *file)
{
	AUTO(buf) struct buf key = {0};
	struct mapped_file *to;
	uintptr_t index;

	if (!is_file(file->path))
		return MAPPINGS_NO_FILE;
	buf_add(&key, file->path, strlen(file->path) + 1);
	buf_add(&key, file->build_id, file->build_id_len);
	if (!file->build_id_len) {
		buf_add(&key, &file->dev, sizeof(file->dev));
		buf_add(&key, &file->ino, sizeof(file->ino));
	}
	if (key.err)
		return MAPPINGS_NO_FILE;
	index = (uintptr_t)map_get(&m->by_name, key.data, key.len);
	if (index)
		return (uint32_t)index - 1;
	to = VEC_ADD(m->files, m->nfiles, m->files_cap);
	if (!to)
		return MAPPINGS_NO_FILE;
	*to = *file;
	to->path = arena_strndup(&m->arena, file->path, strlen(file->path));
	if (!to->path ||
		map_put(&m->by_name, key.data, key.len, (void *)(uintptr_t)m->nfiles) < 0) {
		m->nfiles--;
		return MAPPINGS_NO_FILE;
	}
	return (uint32_t)m->nfiles - 1;
}

/* The file may be looked at only if it is the one that was mapped. */
const struct mapped_file *mappings_file(struct mappings *m, uint32_t file)
{
	struct mapped_file *f = &m->files[file];
	struct symbol_identity id;

	if (f->looked)
		return f;
	f->looked = true;
	if (f->shift != SYMBOL_NO_SHIFT || f->path[0] != '/' || symbol_identity(f->path, &id) < 0)
		return f;
	if (!f->build_id_len && id.build_id_len && f->ino && id.ino == f->ino &&
		id.build_id_len <= sizeof(f->build_id)) { /* old kernels do not say it */
		f->build_id_len = id.build_id_len;
		memcpy(f->build_id, id.build_id, id.build_id_len);
	}
	if (id.build_id_len == f->build_id_len &&
		memcmp(id.build_id, f->build_id, f->build_id_len) == 0)
		f->shift = id.shift;
	return f;
}

/* ---- processes ---- */

static struct mapped_process *add_process(struct mappings *m, int32_t pid)
{
	struct mapped_process *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->older = map_get(&m->processes, &pid, sizeof(pid));
	if (map_put(&m->processes, &pid, sizeof(pid), p) < 0) {
		free(p);
		return NULL;
	}
	return p;
}

/* The one that had the pid at a time. */
static struct mapped_process *process_at(const struct mappings *m, int32_t pid, uint64_t t_ns)
{
	struct mapped_process *p = map_get(&m->processes, &pid, sizeof(pid));

	while (p && p->born_ns > t_ns)
		p = p->older;
	return p;
}

/* CPUs are read one after the other: what came earlier may be told later. */
static int add_in_order(struct mapped_process *p, const struct mapping *map)
{
	size_t at;

	if (!VEC_ADD(p->all, p->n, p->cap))
		return -ENOMEM;
	for (at = p->n - 1; at && p->all[at - 1].t_ns > map->t_ns; at--)
		p->all[at] = p->all[at - 1];
	p->all[at] = *map;
	return 0;
}

int mappings_on_map(struct mappings *m, int32_t pid, const struct mapping *map)
{
	struct mapped_process *p = process_at(m, pid, map->t_ns);

	if (!p)
		p = add_process(m, pid);
	return p ? add_in_order(p, map) : -ENOMEM;
}

int mappings_on_exec(struct mappings *m, int32_t pid, uint64_t t_ns)
{
	return mappings_on_map(
		m, pid, &(struct mapping){.t_ns = t_ns, .file = MAPPINGS_NO_FILE, .cleared = true});
}

int mappings_on_fork(struct mappings *m, int32_t pid, int32_t parent, uint64_t t_ns)
{
	struct mapped_process *p;

	if (pid == parent)
		return 0; /* a thread */
	p = map_get(&m->processes, &pid, sizeof(pid));
	if (!p || p->born_ns || !p->n || p->all[0].t_ns < t_ns)
		p = add_process(m, pid); /* else its own mappings were told before its birth */
	if (!p)
		return -ENOMEM;
	p->born_ns = t_ns;
	p->parent = process_at(m, parent, t_ns);
	if (p->parent)
		p->parent->children++;
	return 0;
}

void mappings_on_exit(struct mappings *m, int32_t pid, uint64_t t_ns)
{
	struct mapped_process *p = process_at(m, pid, t_ns);

	if (p && !p->died_ns)
		p->died_ns = t_ns;
}

static void process_free(struct mapped_process *p)
{
	if (p->parent)
		p->parent->children--;
	free(p->all);
	free(p);
}

/* Takes the dead out of a chain; true if it changed. */
static bool prune_chain(struct mapped_process **chain, uint64_t before_ns)
{
	bool any = false;

	while (*chain) {
		struct mapped_process *p = *chain;

		if (p->died_ns && p->died_ns < before_ns && !p->children) {
			*chain = p->older;
			process_free(p);
			any = true;
		} else {
			chain = &p->older;
		}
	}
	return any;
}

int mappings_prune(struct mappings *m, uint64_t t_ns)
{
	AUTO(free) int32_t *pids = NULL;
	struct mapped_process *p, *first;
	const void *key;
	size_t n = 0, cap = 0, len;

	if (t_ns < MAPPINGS_KEEP_NS)
		return 0;
	for (size_t i = 0; map_next(&m->processes, &i, &key, &len);) {
		if (vec_reserve((void **)&pids, &cap, n + 1, sizeof(*pids)) < 0)
			return -ENOMEM;
		memcpy(&pids[n++], key, sizeof(*pids));
	}
	for (size_t i = 0; i < n; i++) {
		p = first = map_get(&m->processes, &pids[i], sizeof(pids[i]));
		if (!prune_chain(&p, t_ns - MAPPINGS_KEEP_NS) || p == first)
			continue;
		if (!p)
			(void)map_remove(&m->processes, &pids[i], sizeof(pids[i]));
		else if (map_put(&m->processes, &pids[i], sizeof(pids[i]), p) < 0)
			return -ENOMEM; /* not for a key that is there */
	}
	return 0;
}

/* 1: found, 0: not in this one, -1: nowhere. */
static int find_in(
	const struct mapped_process *p, uint64_t t_ns, uint64_t address, const struct mapping **ret)
{
	for (size_t i = p->n; i-- > 0;) {
		const struct mapping *map = &p->all[i];

		if (map->t_ns > t_ns)
			continue;
		if (map->cleared)
			return -1;
		if (address >= map->begin && address < map->end) {
			*ret = map;
			return 1;
		}
	}
	return 0;
}

bool mappings_find(const struct mappings *m, int32_t pid, uint64_t t_ns, uint64_t address,
	uint32_t *ret_file, uint64_t *ret_offset)
{
	const struct mapping *map;
	const struct mapped_process *p;
	int got = 0;

	t_ns += SLACK_NS;
	p = process_at(m, pid, t_ns);
	for (unsigned depth = 0; p && got == 0 && depth < DEPTH_MAX; depth++) {
		got = find_in(p, t_ns, address, &map);
		t_ns = MIN(t_ns, p->born_ns);
		p = p->parent;
	}
	if (got <= 0 || map->file == MAPPINGS_NO_FILE)
		return false;
	*ret_file = map->file;
	*ret_offset = address - map->begin + map->offset;
	return true;
}
