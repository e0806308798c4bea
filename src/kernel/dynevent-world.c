/* The kernel that texts are checked against: features, symbols, events. Each file is read when it is
 * first needed and kept. What cannot be read is not known, and then the kernel judges alone. */
#include "kernel/dynevent-impl.h"
#include "kernel/facts.h"
#include "symbol/symbol.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SYMBOLS_LIMIT = 256 << 20 };

struct world_file {
	bool tried;
	int err;
	struct buf text;
};

struct dynevent_world {
	char *tracefs_path, *kallsyms_path, *blacklist_path; /* owned; tracefs_path may be NULL */
	enum karch arch;
	bool bpf; /* texts are for BPF */
	struct kbtf *btf; /* owned */
	struct tracefs *tracefs; /* owned */
	bool tracefs_tried;
	int tracefs_err;
	struct error tracefs_error;
	struct world_file readme, kallsyms, traceable, blacklist;
};

struct dynevent_world *dynevent_world_new(const struct dynevent_paths *paths, enum karch arch)
{
	static const struct dynevent_paths none;
	struct dynevent_world *w = calloc(1, sizeof(*w));

	if (!paths)
		paths = &none;
	if (!w)
		return NULL;
	w->arch = arch;
	w->tracefs_path = paths->tracefs ? strdup(paths->tracefs) : NULL;
	w->kallsyms_path = strdup(paths->kallsyms ? paths->kallsyms : "/proc/kallsyms");
	w->blacklist_path =
		strdup(paths->blacklist ? paths->blacklist : "/sys/kernel/debug/kprobes/blacklist");
	w->btf = kbtf_new(paths->btf ? paths->btf : "/sys/kernel/btf");
	if ((paths->tracefs && !w->tracefs_path) || !w->kallsyms_path || !w->blacklist_path ||
		!w->btf) {
		dynevent_world_free(w);
		return NULL;
	}
	return w;
}

void dynevent_world_free(struct dynevent_world *w)
{
	if (!w)
		return;
	free(w->tracefs_path);
	free(w->kallsyms_path);
	free(w->blacklist_path);
	buf_done(&w->readme.text);
	buf_done(&w->kallsyms.text);
	buf_done(&w->traceable.text);
	buf_done(&w->blacklist.text);
	tracefs_free(w->tracefs);
	kbtf_free(w->btf);
	free(w);
}

struct kbtf *dynevent_world_btf(struct dynevent_world *w)
{
	return w->btf;
}

enum karch world_arch(const struct dynevent_world *w)
{
	return w->arch;
}

void dynevent_world_bpf(struct dynevent_world *w, bool on)
{
	w->bpf = on;
}

bool world_is_bpf(const struct dynevent_world *w)
{
	return w->bpf;
}

/* What BPF can do where the kernel has it at all; loading shows that. */
static bool bpf_has(enum world_feature f)
{
	switch (f) {
	case WORLD_SYMSTR:
	case WORLD_BTF: /* names are for us to resolve */
	case WORLD_SYNTH:
	case WORLD_USER_EVENTS:
	case WORLD_EPROBE_FILTER: return false;
	default: return true;
	}
}

struct tracefs *world_tracefs(struct dynevent_world *w, struct error *e)
{
	if (!w->tracefs_tried) {
		w->tracefs_tried = true;
		w->tracefs_err = tracefs_open(w->tracefs_path, &w->tracefs, &w->tracefs_error);
	}
	if (w->tracefs_err) {
		if (e)
			*e = w->tracefs_error;
		return NULL;
	}
	return w->tracefs;
}

/* A file of tracefs; NULL if it cannot be read. */
static const struct buf *tracing_file(
	struct dynevent_world *w, struct world_file *f, const char *name)
{
	struct tracefs *t = world_tracefs(w, NULL);

	if (!f->tried) {
		f->tried = true;
		f->err = t ? tracefs_read(t, name, &f->text, NULL) : -ENOENT;
		if (!f->err)
			buf_str(&f->text, ""); /* a NUL behind an empty file */
	}
	return f->err ? NULL : &f->text;
}

static const struct buf *plain_file(struct world_file *f, const char *path)
{
	if (!f->tried) {
		f->tried = true;
		f->err = read_file(path, SYMBOLS_LIMIT, &f->text);
	}
	return f->err || !f->text.len ? NULL : &f->text;
}

bool world_has(struct dynevent_world *w, enum world_feature f)
{
	static const char *const words[] = {
		[WORLD_KPROBES] = "\n  kprobe_events\t",
		[WORLD_UPROBES] = "place (uprobe)",
		[WORLD_EPROBES] = " e[:[<group>",
		[WORLD_FPROBES] = " f[:[<group>",
		[WORLD_TPROBES] = " t[:[<group>",
		[WORLD_SYNTH] = "s:[synthetic/]",
		[WORLD_ARGN] = "$arg<N>",
		[WORLD_ARGN_ON_RETURN] = "return probes support: $retval, $arg<N>",
		[WORLD_BTF] = "<argname>",
		[WORLD_SYMSTR] = "symstr",
		[WORLD_USTRING] = "ustring",
		[WORLD_CHAR] = "x8/16/32/64, char",
		[WORLD_DENTRY] = "%pd/%pD",
		[WORLD_EPROBE_FILTER] = "[if <filter>]",
	};
	const struct buf *readme;
	struct world_symbol symbol;

	if (w->bpf)
		return bpf_has(f);
	if (f == WORLD_USER_EVENTS) {
		struct tracefs *t = world_tracefs(w, NULL);

		return t && tracefs_has(t, "user_events_data");
	}
	readme = tracing_file(w, &w->readme, "README");
	/* The text tells of eprobes wherever there are dynamic events at all. */
	if (f == WORLD_EPROBES && world_symbol(w, NULL, "eprobe_dyn_event_create", &symbol) &&
		symbol.count == 0)
		return false;
	return readme && readme->data && strstr(readme->data, words[f]);
}

/* ---- symbols ---- */

/* The line that begins at s, of the text up to end. */
static bool read_symbol(const char *s, const char *end, struct kallsyms_line *l)
{
	const char *nl = memchr(s, '\n', (size_t)(end - s));

	return kallsyms_line(s, nl ? nl : end, l);
}

bool world_symbol(
	struct dynevent_world *w, const char *module, const char *name, struct world_symbol *ret)
{
	const struct buf *b = plain_file(&w->kallsyms, w->kallsyms_path);
	size_t n = strlen(name);
	const char *end, *at;

	*ret = (struct world_symbol){0};
	if (!b)
		return false;
	if (n == 0)
		return true;
	end = b->data + b->len;
	for (at = b->data; (at = memmem(at, (size_t)(end - at), name, n)); at += n) {
		const char *line = at;
		struct kallsyms_line l;

		if (at == b->data || at[-1] != ' ' || (at + n < end && !strchr("\n\t ", at[n])))
			continue;
		while (line > b->data && line[-1] != '\n')
			line--;
		if (!read_symbol(line, end, &l) || l.name != at)
			continue;
		if (module &&
			(!l.module || strlen(module) != l.module_len ||
				memcmp(module, l.module, l.module_len) != 0))
			continue;
		if (ret->count++ == 0) {
			ret->function = kallsyms_is_function(&l);
			ret->address = l.address;
		}
	}
	return true;
}

void world_near_symbol(struct dynevent_world *w, bool functions, struct near *near)
{
	const struct buf *b = plain_file(&w->kallsyms, w->kallsyms_path);
	const char *at = b ? b->data : NULL, *end = b ? b->data + b->len : NULL;
	struct kallsyms_line l;
	char name[128];

	while (at < end) {
		if (read_symbol(at, end, &l) && kallsyms_is_function(&l) == functions &&
			l.name_len < sizeof(name)) {
			memcpy(name, l.name, l.name_len);
			name[l.name_len] = '\0';
			near_look(near, name);
		}
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : end;
	}
}

bool world_function_at(struct dynevent_world *w, uint64_t address, char *ret, size_t size)
{
	const struct buf *b = plain_file(&w->kallsyms, w->kallsyms_path);
	const char *at = b ? b->data : NULL, *end = b ? b->data + b->len : NULL;
	struct kallsyms_line l, best = {0};

	while (at < end) {
		if (read_symbol(at, end, &l) && kallsyms_is_function(&l) && !l.module &&
			l.address && l.address <= address && l.address > best.address)
			best = l;
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : end;
	}
	if (!best.address || best.name_len >= size)
		return false;
	memcpy(ret, best.name, best.name_len);
	ret[best.name_len] = '\0';
	return true;
}

bool world_code_range(struct dynevent_world *w, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct world_symbol begin, end;

	if (!world_symbol(w, NULL, "_stext", &begin) || !world_symbol(w, NULL, "_etext", &end) ||
		begin.count != 1 || end.count != 1 || begin.address >= end.address)
		return false;
	*ret_begin = begin.address;
	*ret_end = end.address;
	return true;
}

bool world_has_module(struct dynevent_world *w, const char *module)
{
	const struct buf *b = plain_file(&w->kallsyms, w->kallsyms_path);
	char word[128];

	if (!b)
		return true; /* not known */
	(void)snprintf(word, sizeof(word), "\t[%s]\n", module);
	return strstr(b->data, word) != NULL;
}

/* ---- what may be probed ---- */

/* Is there a line that begins with name, up to white space or the end? */
static bool has_line(const struct buf *b, const char *name, size_t n)
{
	for (const char *at = n ? b->data : NULL; at && (at = strstr(at, name)); at += n) {
		if ((at == b->data || at[-1] == '\n') && strchr("\n\t ", at[n]))
			return true;
	}
	return false;
}

int world_traceable(struct dynevent_world *w, const char *glob)
{
	const struct buf *b = tracing_file(w, &w->traceable, "available_filter_functions");
	const char *at = b ? b->data : NULL;
	char name[256];

	if (!b || !b->len)
		return -1;
	if (!strpbrk(glob, "*?"))
		return has_line(b, glob, strlen(glob));
	while (at && *at) {
		size_t n = strcspn(at, "\n\t ");

		if (n < sizeof(name)) {
			memcpy(name, at, n);
			name[n] = '\0';
			if (glob_match(glob, name))
				return 1;
		}
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	return 0;
}

/* Is a function at this address traceable, under whatever name? */
static bool traceable_alias(struct dynevent_world *w, uint64_t address)
{
	const struct buf *b = plain_file(&w->kallsyms, w->kallsyms_path);
	const char *at = b ? b->data : NULL, *end = b ? b->data + b->len : NULL;
	struct kallsyms_line l;
	char name[256];

	while (address && at < end) {
		if (read_symbol(at, end, &l) && l.address == address && l.name_len < sizeof(name)) {
			memcpy(name, l.name, l.name_len);
			name[l.name_len] = '\0';
			if (world_traceable(w, name) == 1)
				return true;
		}
		at = memchr(at, '\n', (size_t)(end - at));
		at = at ? at + 1 : end;
	}
	return false;
}

bool world_may_probe(struct dynevent_world *w, const char *name, const char **ret_why)
{
	const struct buf *b = plain_file(&w->blacklist, w->blacklist_path);
	struct world_symbol symbol;
	char word[256];

	(void)snprintf(word, sizeof(word), "\t%s\n", name);
	if (w->bpf)
		return true; /* that is about kprobes */
	if (b && strstr(b->data, word)) {
		*ret_why = "is on the kernel's list of what must not be probed (kprobes/blacklist)";
		return false;
	}
	if (!w->tracefs_path && kernel_option("CONFIG_KPROBE_EVENTS_ON_NOTRACE") == 1)
		return true;
	/* A part that the compiler split off ("foo.part.0") is judged by the function it is of. */
	(void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, "."), name);
	if (world_traceable(w, name) == 0 && world_traceable(w, word) == 0 &&
		!(world_symbol(w, NULL, name, &symbol) && traceable_alias(w, symbol.address))) {
		*ret_why = "is marked notrace: the kernel allows no probe in it";
		return false;
	}
	return true;
}

/* ---- events ---- */

bool world_near_event(struct dynevent_world *w, const char *system, struct near *near)
{
	AUTO(tracefs_events) struct tracefs_events all = {0};
	struct tracefs *t = world_tracefs(w, NULL);

	if (!t || tracefs_events(t, NULL, &all, NULL))
		return false;
	for (size_t i = 0; i < all.n; i++) {
		if (!system)
			near_look(near, all.all[i].system);
		else if (strcmp(all.all[i].system, system) == 0)
			near_look(near, all.all[i].name);
	}
	return near->best[0] != '\0';
}

bool world_event_exists(struct dynevent_world *w, const char *group, const char *event)
{
	struct tracefs *t = world_tracefs(w, NULL);
	char path[256];

	(void)snprintf(path, sizeof(path), "events/%s/%s", group, event);
	return t && tracefs_has(t, path);
}
