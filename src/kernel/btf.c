/* The kernel's types: reading BTF, finding functions, saying what a type is. See btf.h. */
#include "kernel/btf.h"
#include "kernel/near.h"
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NESTED_MAX = 64 }; /* qualifiers and typedefs in a row; more is damage */

struct module_types {
	char name[64];
	struct btf *btf; /* owned; NULL: could not be read */
};

struct kbtf {
	char *dir; /* owned */
	struct btf *vmlinux; /* owned */
	struct module_types *modules; /* owned */
	size_t len, cap;
	bool all_modules; /* the folder was gone through */
};

struct kbtf *kbtf_new(const char *dir)
{
	struct kbtf *k = calloc(1, sizeof(*k));

	if (k && !(k->dir = strdup(dir))) {
		free(k);
		return NULL;
	}
	return k;
}

void kbtf_free(struct kbtf *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->len; i++)
		btf__free(k->modules[i].btf);
	free(k->modules);
	btf__free(k->vmlinux);
	free(k->dir);
	free(k);
}

void kbtf_set_vmlinux(struct kbtf *k, struct btf *types)
{
	btf__free(k->vmlinux);
	k->vmlinux = types;
}

/* libbpf says on stderr what it thinks; what a user needs to know is in our errors. */
static void quiet(void)
{
	static bool done; /* the hosts that use this have one thread that does */

	if (!done)
		(void)libbpf_set_print(NULL); /* the old function: libbpf's own */
	done = true;
}

const struct btf *kbtf_vmlinux(struct kbtf *k, struct error *e)
{
	char path[4096];
	int err;

	if (k->vmlinux)
		return k->vmlinux;
	quiet();
	(void)snprintf(path, sizeof(path), "%s/vmlinux", k->dir);
	k->vmlinux = btf__parse(path, NULL);
	if (k->vmlinux)
		return k->vmlinux;
	err = errno;
	error_set(e, -err, "the kernel's types (BTF) cannot be read: %s: %s", path, strerror(err));
	error_hint(e,
		err == ENOENT ? "the kernel needs CONFIG_DEBUG_INFO_BTF=y; without it write "
				"registers and offsets: +0(+0x10($arg1)):string"
			      : "write registers and offsets instead: +0(+0x10($arg1)):string");
	return NULL;
}

static const struct btf *module_types(struct kbtf *k, const char *name)
{
	struct module_types *m;
	char path[4096];

	for (size_t i = 0; i < k->len; i++) {
		if (strcmp(k->modules[i].name, name) == 0)
			return k->modules[i].btf;
	}
	m = VEC_ADD(k->modules, k->len, k->cap);
	if (!m)
		return NULL;
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	(void)snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	m->btf = btf__parse_raw_split(path, k->vmlinux);
	return m->btf;
}

static void read_all_modules(struct kbtf *k)
{
	AUTO(dir) DIR *d = opendir(k->dir);
	struct dirent *entry;

	while (d && !k->all_modules && (entry = readdir(d))) {
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, "vmlinux") != 0)
			(void)module_types(k, entry->d_name); /* one that cannot be read is none */
	}
	k->all_modules = true;
}

static bool func_of(const struct btf *b, const char *name, struct kbtf_func *ret)
{
	int id = btf__find_by_name_kind(b, name, BTF_KIND_FUNC);
	const struct btf_type *t = id > 0 ? btf__type_by_id(b, (uint32_t)id) : NULL;
	const struct btf_type *proto = t ? btf__type_by_id(b, t->type) : NULL;
	unsigned n;

	if (!proto || !btf_is_func_proto(proto))
		return false;
	n = btf_vlen(proto);
	*ret = (struct kbtf_func){.btf = b, .proto = t->type, .len = n};
	if (n && btf_params(proto)[n - 1].type == 0) { /* the "..." of variadic functions */
		ret->variadic = true;
		ret->len--;
	}
	return true;
}

int kbtf_find_func(struct kbtf *k, const char *module, const char *name, struct kbtf_func *ret,
	struct error *e)
{
	const struct btf *b = kbtf_vmlinux(k, e);

	if (!b)
		return errno == ENOMEM ? -ENOMEM : -EOPNOTSUPP;
	if (module) {
		b = module_types(k, module);
		return b && func_of(b, name, ret) ? 0 : -ENOENT;
	}
	if (func_of(b, name, ret))
		return 0;
	read_all_modules(k);
	for (size_t i = 0; i < k->len; i++) {
		if (k->modules[i].btf && func_of(k->modules[i].btf, name, ret))
			return 0;
	}
	return -ENOENT;
}

/* The stub functions of tracepoints name the parameters; the typedef btf_trace_NAME does not. */
int kbtf_find_tracepoint(struct kbtf *k, const char *name, struct kbtf_func *ret, struct error *e)
{
	static const char *const stubs[] = {"__probestub_", "__traceiter_", "__bpf_trace_"};
	char stub[160];
	int r = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(stubs) && r == -ENOENT; i++) {
		(void)snprintf(stub, sizeof(stub), "%s%s", stubs[i], name);
		r = kbtf_find_func(k, NULL, stub, ret, e);
	}
	if (r == 0 && ret->len) { /* the first is the callback's data */
		ret->first = 1;
		ret->len--;
	}
	return r;
}

const char *kbtf_param(const struct kbtf_func *f, unsigned i, uint32_t *ret_type)
{
	const struct btf_type *proto = btf__type_by_id(f->btf, f->proto);
	const struct btf_param *p = &btf_params(proto)[f->first + i];
	const char *name = btf__name_by_offset(f->btf, p->name_off);

	if (ret_type)
		*ret_type = p->type;
	return name ? name : "";
}

uint32_t kbtf_return_type(const struct kbtf_func *f)
{
	return btf__type_by_id(f->btf, f->proto)->type;
}

uint32_t kbtf_find_struct(const struct btf *b, const char *name)
{
	static const uint32_t kinds[] = {BTF_KIND_STRUCT, BTF_KIND_UNION, BTF_KIND_TYPEDEF};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		int id = btf__find_by_name_kind(b, name, kinds[i]);

		if (id > 0)
			return (uint32_t)id;
	}
	return 0;
}

void kbtf_near_struct(const struct btf *b, struct near *near)
{
	uint32_t n = btf__type_cnt(b);

	for (uint32_t id = 1; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(b, id);

		if (t && btf_is_composite(t))
			near_look(near, btf__name_by_offset(b, t->name_off));
	}
}

/* ---- what a type is ---- */

/* Without typedefs and qualifiers. *user is set if a tag on the way says that this is user memory. */
static const struct btf_type *bare(const struct btf *b, uint32_t *id, bool *user)
{
	const struct btf_type *t = btf__type_by_id(b, *id);

	for (int i = 0; t && i < NESTED_MAX; i++) {
		if (btf_is_type_tag(t) && user &&
			strcmp(btf__name_by_offset(b, t->name_off), "user") == 0)
			*user = true;
		if (!btf_is_mod(t) && !btf_is_typedef(t))
			return t;
		*id = t->type;
		t = btf__type_by_id(b, *id);
	}
	return NULL;
}

static bool is_char(const struct btf *b, uint32_t type)
{
	const struct btf_type *t = bare(b, &type, NULL);
	const char *name;

	if (!t || !btf_is_int(t) || t->size != 1)
		return false;
	name = btf__name_by_offset(b, t->name_off);
	return (btf_int_encoding(t) & BTF_INT_CHAR) || (name && strcmp(name, "char") == 0);
}

/* What the kernel calls names, and never writes through: `const unsigned char *` (struct qstr). Other
 * pointers to bytes lead to data. */
static bool is_name_text(const struct btf *b, uint32_t type)
{
	const struct btf_type *t = btf__type_by_id(b, type);
	const char *name;

	if (!t || !btf_is_const(t))
		return false;
	t = btf__type_by_id(b, t->type);
	name = t && btf_is_int(t) ? btf__name_by_offset(b, t->name_off) : NULL;
	return name && strcmp(name, "unsigned char") == 0;
}

static void classify_pointer(const struct btf *b, const struct btf_type *t, struct kbtf_value *v)
{
	uint32_t to = t->type;
	const struct btf_type *target = bare(b, &to, &v->user);

	v->size = 8;
	v->kind = KVALUE_POINTER;
	if (target && btf_is_func_proto(target))
		v->kind = KVALUE_CODE;
	else if (is_char(b, t->type) || is_name_text(b, t->type))
		v->kind = KVALUE_STRING_POINTER;
}

static void classify_array(const struct btf *b, const struct btf_type *t, struct kbtf_value *v)
{
	const struct btf_array *a = btf_array(t);
	struct kbtf_value element;

	v->count = a->nelems;
	if (is_char(b, a->type)) {
		v->kind = KVALUE_STRING;
		return;
	}
	/* The elements of an array of arrays are not taken apart: index them. */
	uint32_t id = a->type;
	const struct btf_type *of = bare(b, &id, NULL);

	if (!of || btf_is_array(of))
		return;
	kbtf_classify(b, a->type, &element);
	if (element.kind == KVALUE_INT) {
		v->kind = KVALUE_ARRAY;
		v->size = element.size;
		v->is_signed = element.is_signed;
	} else if (element.size == 8 && element.kind != KVALUE_STRUCT) {
		v->kind = KVALUE_POINTER_ARRAY;
		v->size = 8;
	}
}

void kbtf_classify(const struct btf *b, uint32_t type, struct kbtf_value *ret)
{
	struct kbtf_value v = {.kind = KVALUE_OTHER, .btf = b, .type = type};
	const struct btf_type *t = bare(b, &v.type, &v.user);

	switch (t ? btf_kind(t) : BTF_KIND_UNKN) {
	case BTF_KIND_INT:
		v.size = t->size;
		v.is_signed = btf_int_encoding(t) & BTF_INT_SIGNED;
		if (t->size == 1 || t->size == 2 || t->size == 4 || t->size == 8)
			v.kind = KVALUE_INT;
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		v.kind = KVALUE_INT;
		v.size = t->size;
		v.is_signed = btf_kflag(t);
		break;
	case BTF_KIND_PTR: classify_pointer(b, t, &v); break;
	case BTF_KIND_ARRAY: classify_array(b, t, &v); break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		v.kind = KVALUE_STRUCT;
		v.size = t->size;
		break;
	default: break;
	}
	*ret = v;
}

/* ---- as C writes it ---- */

static void type_text(const struct btf *b, uint32_t id, struct buf *out, int depth)
{
	const struct btf_type *t = btf__type_by_id(b, id);
	const char *name = t ? btf__name_by_offset(b, t->name_off) : NULL;
	bool named = name && name[0];

	if (!t || id == 0 || depth > NESTED_MAX) {
		buf_str(out, id ? "?" : "void");
		return;
	}
	switch (btf_kind(t)) {
	case BTF_KIND_PTR:
		type_text(b, t->type, out, depth + 1);
		buf_str(out, out->len && out->data[out->len - 1] == '*' ? "*" : " *");
		break;
	case BTF_KIND_ARRAY:
		type_text(b, btf_array(t)->type, out, depth + 1);
		buf_printf(out, " [%u]", btf_array(t)->nelems);
		break;
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
		if (btf_is_const(t))
			buf_str(out, "const ");
		type_text(b, t->type, out, depth + 1);
		break;
	case BTF_KIND_TYPE_TAG: type_text(b, t->type, out, depth + 1); break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_FWD:
		buf_str(out,
			btf_is_union(t) || (btf_is_fwd(t) && btf_kflag(t)) ? "union" : "struct");
		buf_printf(out, " %s", named ? name : "{...}");
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: buf_printf(out, "enum %s", named ? name : "{...}"); break;
	case BTF_KIND_FUNC_PROTO: buf_str(out, "function"); break;
	default: buf_str(out, named ? name : "?");
	}
}

void kbtf_type_text(const struct btf *b, uint32_t type, struct buf *out)
{
	type_text(b, type, out, 0);
}
