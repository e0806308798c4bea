/* See stacks.h. */
#include "view/stacks.h"
#include "kernel/texts.h"
#include "reader/bytes.h"
#include "symbol/symbol.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define KALLSYMS_MAX (64u << 20)

struct stacks {
	struct symbols *symbols; /* owned */
	struct map files; /* struct file_key -> struct symbol_file, in the arena */
	struct map kernels; /* trace -> struct kernel, owned */
	struct arena arena;
};

struct kernel { /* the functions of the kernel that a trace is of */
	struct kallsyms *syms; /* owned; NULL: not known */
};

struct file_key { /* no gaps */
	const void *trace;
	uint64_t id;
};

struct frame { /* what is known of one */
	uint64_t address;
	bool has_address;
	const struct symbol_file *file; /* NULL: none */
	uint64_t offset; /* in it */
	const struct symbol *at; /* innermost first */
	size_t n;
	const char *module; /* of the kernel */
};

int stacks_new(const char *debug_dirs, struct stacks **ret)
{
	struct stacks *s = calloc(1, sizeof(*s));

	if (!s || symbols_new(debug_dirs, &s->symbols) < 0) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void stacks_free(struct stacks *s)
{
	struct kernel *k;

	if (!s)
		return;
	for (size_t i = 0; (k = map_next(&s->kernels, &i, NULL, NULL));) {
		kallsyms_free(k->syms);
		free(k);
	}
	map_done(&s->kernels);
	map_done(&s->files);
	arena_done(&s->arena);
	symbols_free(s->symbols);
	free(s);
}

static bool has_field(const struct cairn_event_class *cls, const char *name)
{
	for (size_t i = 0; cls->fields && i < cls->fields->nmembers; i++)
		if (cls->fields->members[i]->name &&
			strcmp(cls->fields->members[i]->name, name) == 0)
			return true;
	return false;
}

enum stacks_kind stacks_kind(const struct cairn_event_class *cls)
{
	if (strcmp(cls->name, "ftrace:kernel_stack") == 0 && has_field(cls, "caller"))
		return STACKS_KERNEL;
	if (strcmp(cls->name, "ftrace:user_stack") == 0 && has_field(cls, "caller"))
		return STACKS_USER;
	if (cls->trace->is_cairn && strcmp(cls->name, "cairn_state:file") == 0 &&
		has_field(cls, "path") && has_field(cls, "build_id"))
		return STACKS_FILE;
	return STACKS_NOT;
}

/* ---- files ---- */

static int64_t number(const struct cairn_event *ev, const char *name, int64_t otherwise)
{
	const struct cairn_value *v = cairn_event_get(ev, name);

	return v && (v->kind == CAIRN_VALUE_UINT || v->kind == CAIRN_VALUE_INT) ? v->i : otherwise;
}

int stacks_learn(struct stacks *s, const struct cairn_event *ev)
{
	const struct cairn_value *path = cairn_event_get(ev, "path");
	const struct cairn_value *id = cairn_event_get(ev, "build_id");
	struct file_key key = {ev->cls->trace, (uint64_t)number(ev, "id", -1)};
	struct symbol_file *f;
	uint8_t *bytes;

	if (!path || path->kind != CAIRN_VALUE_STRING || !id || id->kind != CAIRN_VALUE_BYTES)
		return 0;
	if (map_get(&s->files, &key, sizeof(key)))
		return 0; /* another CPU's stream said it */
	f = arena_alloc(&s->arena, sizeof(*f));
	bytes = arena_alloc(&s->arena, (size_t)id->count + 1);
	if (!f || !bytes)
		return -ENOMEM;
	if (id->count)
		memcpy(bytes, id->bytes, id->count);
	*f = (struct symbol_file){.path = arena_strndup(&s->arena, path->str, path->count),
		.build_id = bytes,
		.build_id_len = id->count,
		.seen_ns = number(ev, "seen", 0),
		.shift = number(ev, "shift", SYMBOL_NO_SHIFT)};
	return f->path ? map_put(&s->files, &key, sizeof(key), f) : -ENOMEM;
}

/* ---- the kernel ---- */

static struct kallsyms *parse_kept(const struct cairn_trace *trace)
{
	AUTO(buf) struct buf b = {0};
	struct kallsyms *syms = NULL;
	char path[4096];
	struct ktext t;
	size_t at = 0, n;
	const char *texts = reader_texts(trace, &n); /* of a pipe */

	if (!n &&
		snprintf(path, sizeof(path), "%s/" KTEXTS_DIR "/" KTEXTS_FILE, trace->path) <
			(int)sizeof(path) &&
		read_file(path, KTEXTS_MAX, &b) == 0) {
		texts = b.data ? b.data : "";
		n = b.len;
	}
	while (!syms && ktexts_next(texts, n, &at, &t) > 0)
		if (strcmp(t.what, "file") == 0 && strcmp(t.name, "kallsyms") == 0)
			(void)kallsyms_parse(t.text, t.len, &syms, NULL); /* none: no names */
	return syms;
}

/* The running kernel's, if the trace's clock is of its boot. */
static struct kallsyms *parse_live(const struct cairn_trace *trace)
{
	AUTO(buf) struct buf boot = {0};
	AUTO(buf) struct buf text = {0};
	struct kallsyms *syms = NULL;
	size_t n;

	if (!trace->nclocks || read_file("/proc/sys/kernel/random/boot_id", 128, &boot) < 0)
		return NULL;
	n = strlen(trace->clocks[0].uuid);
	if (n < 32 || boot.len < n || strncasecmp(boot.data, trace->clocks[0].uuid, n) != 0)
		return NULL;
	if (read_file("/proc/kallsyms", KALLSYMS_MAX, &text) == 0 && text.len)
		(void)kallsyms_parse(text.data, text.len, &syms, NULL); /* none: no names */
	return syms;
}

static const struct kallsyms *syms_of(struct stacks *s, const struct cairn_trace *trace)
{
	struct kernel *k = map_get(&s->kernels, &trace, sizeof(trace));

	if (k)
		return k->syms;
	k = calloc(1, sizeof(*k));
	if (!k || map_put(&s->kernels, &trace, sizeof(trace), k) < 0) {
		free(k);
		return NULL;
	}
	k->syms = parse_kept(trace);
	if (!k->syms)
		k->syms = parse_live(trace);
	return k->syms;
}

/* ---- frames ---- */

static bool element(const struct cairn_value *list, uint32_t i, uint64_t *ret)
{
	struct cairn_value v;

	if (!list || list->kind != CAIRN_VALUE_ARRAY || cairn_value_element(list, i, &v) != 0)
		return false;
	*ret = v.u;
	return true;
}

/* back: 0 for the place itself, 1 for where a call returns to. */
static void name_kernel(struct stacks *s, const struct cairn_trace *trace, unsigned back,
	struct frame *f, struct symbol *room)
{
	const struct kallsyms *syms = syms_of(s, trace);
	struct kfunction sym;

	if (!syms || !kallsyms_find(syms, f->address - back, &sym))
		return;
	*room = (struct symbol){.function = sym.name, .offset = f->address - sym.begin};
	f->at = room;
	f->n = 1;
	f->module = sym.module;
}

static void name_user(struct stacks *s, unsigned back, struct frame *f)
{
	const struct symbol_list *l = symbols_find(s->symbols, f->file, f->offset, back);

	f->n = l ? l->n : 0;
	f->at = l ? l->at : NULL;
}

/* Frame i; false behind the last. */
static bool frame_of(struct stacks *s, const struct cairn_event *ev, uint32_t i, struct frame *f,
	struct symbol *room)
{
	struct file_key key = {ev->cls->trace, 0};

	*f = (struct frame){0};
	f->has_address = element(cairn_event_get(ev, "caller"), i, &f->address);
	if (!f->has_address || !f->address || f->address == UINT64_MAX)
		return false;
	if (stacks_kind(ev->cls) == STACKS_KERNEL) {
		name_kernel(s, ev->cls->trace, i > 0, f, room);
		return true;
	}
	if (element(cairn_event_get(ev, "file"), i, &key.id) &&
		element(cairn_event_get(ev, "offset"), i, &f->offset))
		f->file = map_get(&s->files, &key, sizeof(key));
	if (f->file)
		name_user(s, i > 0, f);
	return true;
}

static void text_id(struct out *o, const struct symbol_file *f)
{
	for (uint32_t i = 0; i < f->build_id_len; i++)
		out_printf(o, "%02x", f->build_id[i]);
}

static void text_frame(struct out *o, const struct frame *f)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct symbol *at = &f->at[i];

		out_str(o, " => ");
		out_safe(o, at->function, strlen(at->function));
		if (!at->inlined)
			out_printf(o, "+0x%llx", (unsigned long long)at->offset);
		if (at->file) {
			out_str(o, " (");
			out_safe(o, at->file, strlen(at->file));
			if (at->line)
				out_printf(o, ":%u", at->line);
			out_char(o, ')');
		}
		if (at->inlined)
			out_str(o, " inlined");
		else if (f->file || f->module) {
			const char *of = f->file ? f->file->path : f->module;

			out_str(o, " [");
			out_safe(o, of, strlen(of));
			out_char(o, ']');
		}
		out_char(o, '\n');
	}
	if (f->n)
		return;
	out_str(o, " => ");
	if (f->file) {
		out_safe(o, f->file->path, strlen(f->file->path));
		out_printf(o, "+0x%llx", (unsigned long long)f->offset);
		if (f->file->build_id_len) {
			out_str(o, " (build id ");
			text_id(o, f->file);
			out_char(o, ')');
		}
	} else
		out_printf(o, "0x%llx", (unsigned long long)f->address);
	out_char(o, '\n');
}

void stacks_text(struct stacks *s, const struct cairn_event *ev, struct out *o)
{
	struct symbol room;
	struct frame f;

	for (uint32_t i = 0; frame_of(s, ev, i, &f, &room); i++)
		text_frame(o, &f);
}

static void json_text(struct out *o, const char *key, const char *value)
{
	out_str(o, key);
	out_json(o, value, strlen(value));
}

static void json_place(struct out *o, const struct frame *f)
{
	out_printf(o, "\"address\":%llu", (unsigned long long)f->address);
	if (f->module)
		json_text(o, ",\"module\":", f->module);
	if (!f->file)
		return;
	json_text(o, ",\"path\":", f->file->path);
	out_printf(o, ",\"path_offset\":%llu", (unsigned long long)f->offset);
	if (f->file->build_id_len) {
		out_str(o, ",\"build_id\":\"");
		text_id(o, f->file);
		out_char(o, '"');
	}
}

static void json_frame(struct out *o, const struct frame *f)
{
	for (size_t i = 0; i < MAX(f->n, (size_t)1); i++) {
		out_str(o, i ? ",{" : "{");
		json_place(o, f);
		if (f->n) {
			const struct symbol *at = &f->at[i];

			json_text(o, ",\"function\":", at->function);
			if (at->inlined)
				out_str(o, ",\"inlined\":true");
			else
				out_printf(o, ",\"offset\":%llu", (unsigned long long)at->offset);
			if (at->file)
				json_text(o, ",\"file\":", at->file);
			if (at->file && at->line)
				out_printf(o, ",\"line\":%u", at->line);
		}
		out_char(o, '}');
	}
}

void stacks_json(struct stacks *s, const struct cairn_event *ev, struct out *o)
{
	struct symbol room;
	struct frame f;

	out_char(o, '[');
	for (uint32_t i = 0; frame_of(s, ev, i, &f, &room); i++) {
		if (i)
			out_char(o, ',');
		json_frame(o, &f);
	}
	out_char(o, ']');
}
