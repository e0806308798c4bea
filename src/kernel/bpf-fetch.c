/* Probes by BPF: what a definition asks for. The text is one that dynevent.c made and checked; here it is
 * read back, and what BPF cannot do is refused. */
#include "kernel/bpf-impl.h"
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct btype types[] = {
	{"string", 4, true, false, false, "__data_loc char[]", "\\\"%s\\\""},
	{"ustring", 4, true, true, false, "__data_loc char[]", "\\\"%s\\\""},
	{"u8", 1, false, false, false, "u8", "%u"},
	{"u16", 2, false, false, false, "u16", "%u"},
	{"u32", 4, false, false, false, "u32", "%u"},
	{"u64", 8, false, false, false, "u64", "%Lu"},
	{"s8", 1, false, false, true, "s8", "%d"},
	{"s16", 2, false, false, true, "s16", "%d"},
	{"s32", 4, false, false, true, "s32", "%d"},
	{"s64", 8, false, false, true, "s64", "%Ld"},
	{"x8", 1, false, false, false, "u8", "0x%x"},
	{"x16", 2, false, false, false, "u16", "0x%x"},
	{"x32", 4, false, false, false, "u32", "0x%x"},
	{"x64", 8, false, false, false, "u64", "0x%Lx"},
	{"char", 1, false, false, false, "u8", "'%c'"},
	{"symbol", 8, false, false, false, "u64", "%pS"},
};

static const struct btype *find_type(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strlen(types[i].name) == n && memcmp(types[i].name, name, n) == 0)
			return &types[i];
	}
	return NULL;
}

struct reading {
	struct bprobe *p;
	struct dynevent_world *w;
	const struct dynevent *d;
	const char *arg; /* the argument that is read, for messages */
	struct error *e;
};

static int cannot(struct reading *r, const char *what)
{
	(void)error_set(r->e, -EINVAL, "BPF cannot fetch '%.80s': %s", r->arg, what);
	error_hint(r->e, "--probe-with tracefs, where the kernel has such probes");
	return -EINVAL;
}

/* ---- where fetching begins ---- */

static int by_register(struct reading *r, const char *name, struct bfetch *f)
{
	static const char *const x86[] = {"r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10",
		"r9", "r8", "ax", "cx", "dx", "si", "di", "orig_ax", "ip", "cs", "flags", "sp",
		"ss"};

	if (r->p->place != BPLACE_UPROBE && r->p->place != BPLACE_URETPROBE)
		return cannot(r, "there are arguments by name or $argN, but no registers");
	f->base = BBASE_REGISTER;
	for (size_t i = 0; i < ARRAY_SIZE(x86) && world_arch(r->w) == KARCH_X86_64; i++) {
		if (strcmp(x86[i], name) == 0) {
			f->number = i * 8;
			return 0;
		}
	}
	if (world_arch(r->w) != KARCH_AARCH64)
		return cannot(r, "there is no such register");
	if (name[0] == 'x' && isdigit((unsigned char)name[1]))
		f->number = strtoul(name + 1, NULL, 10) * 8;
	else
		f->number = strcmp(name, "sp") == 0 ? 31 * 8
			: strcmp(name, "pc") == 0   ? 32 * 8
			: strcmp(name, "lr") == 0   ? 30 * 8
						    : 33 * 8;
	return f->number <= 33 * 8 ? 0 : cannot(r, "there is no such register");
}

/* Words of the stack hold the arguments that no register does. */
static int by_stack(struct reading *r, const char *name, struct bfetch *f)
{
	bool x86 = world_arch(r->w) == KARCH_X86_64;
	uint64_t n = strtoull(name + 6, NULL, 10), registers = x86 ? 6 : 8;

	if (r->p->place == BPLACE_UPROBE || r->p->place == BPLACE_URETPROBE) {
		f->base = name[6] ? BBASE_STACK : BBASE_STACK_POINTER;
		f->number = n;
		return 0;
	}
	if (!name[6] || n < (x86 ? 1 : 0) || r->p->place == BPLACE_FEXIT)
		return cannot(r, "there is no stack to look at");
	/* A tracepoint's function has a hidden first argument. */
	f->base = BBASE_ARGUMENT;
	f->number = registers + n - x86 - (r->p->place == BPLACE_TRACEPOINT);
	return 0;
}

static int by_symbol(struct reading *r, const char *name, struct bfetch *f)
{
	size_t n = strcspn(name, "+-");
	AUTO(free) char *symbol = strndup(name, n);
	struct world_symbol found;

	f->base = BBASE_NUMBER;
	if (isdigit((unsigned char)name[0])) {
		f->number = strtoull(name, NULL, 0);
		return 0;
	}
	if (!symbol)
		return error_set(r->e, -ENOMEM, "no memory for probes");
	if (!world_symbol(r->w, NULL, symbol, &found) || !found.count || !found.address)
		return cannot(r, "the kernel does not tell where this symbol is");
	f->number = found.address + (uint64_t)strtoll(name + n, NULL, 0);
	return 0;
}

static int by_place(struct reading *r, char *s, struct bfetch *f)
{
	size_t n = strlen(s);

	switch (s[0]) {
	case '%': return by_register(r, s + 1, f);
	case '@':
		f->steps[f->nsteps++] = (struct bstep){0, false};
		if (s[1] != '+')
			return by_symbol(r, s + 1, f);
		f->base = BBASE_FILE_OFFSET;
		f->number = strtoull(s + 2, NULL, 0);
		return 0;
	case '\\':
		f->base = s[1] == '"' ? BBASE_TEXT : BBASE_NUMBER;
		if (f->base == BBASE_TEXT)
			f->text = arena_strndup(&r->p->arena, s + 2, n - 3);
		else
			f->number = s[1] == '-' || s[1] == '+' ? (uint64_t)strtoll(s + 1, NULL, 0)
							       : strtoull(s + 1, NULL, 0);
		return 0;
	default: break;
	}
	if (strcmp(s, "$comm") == 0 || strcmp(s, "$COMM") == 0) {
		f->base = BBASE_COMM;
	} else if (strcmp(s, "$retval") == 0) {
		f->base = BBASE_RETVAL;
	} else if (strncmp(s, "$stack", 6) == 0) {
		return by_stack(r, s, f);
	} else if (strncmp(s, "$arg", 4) == 0) {
		f->base = BBASE_ARGUMENT;
		f->number = strtoull(s + 4, NULL, 10) - 1;
	} else {
		return cannot(r, "tracefs alone knows this");
	}
	return 0;
}

/* "+0(+0x10($arg1))": the innermost first. */
static int read_expression(struct reading *r, char *s, struct bfetch *f)
{
	bool user = s[1] == 'u';
	char *open = strchr(s, '('), *close = strrchr(s, ')');
	int64_t offset;
	int err;

	if (s[0] != '+' && s[0] != '-')
		return by_place(r, s, f);
	if (!open || !close)
		return cannot(r, "tracefs alone knows this");
	offset = strtoll(s + 1 + user, NULL, 0);
	*close = '\0';
	err = read_expression(r, open + 1, f);
	if (err)
		return err;
	if (f->nsteps == BSTEPS_MAX)
		return cannot(r, "it has too many steps");
	f->steps[f->nsteps++] = (struct bstep){s[0] == '-' ? -offset : offset, user};
	return 0;
}

/* ---- what is made of it ---- */

/* %pd and %pD: the name of a dentry, of a file. */
static int by_name_of_file(struct reading *r, bool file, struct bfetch *f)
{
	const struct btf *types_of = kbtf_vmlinux(dynevent_world_btf(r->w), r->e);
	const char *way = file ? ".f_path.dentry->d_name.name" : ".d_name.name";
	uint32_t type = types_of ? kbtf_find_struct(types_of, file ? "file" : "dentry") : 0;
	struct kbtf_fault fault;
	struct kbtf_way steps;

	if (!types_of)
		return -EOPNOTSUPP;
	if (!type || kbtf_walk(types_of, type, true, way, strlen(way), &steps, &fault) ||
		f->nsteps + steps.n + 1 > BSTEPS_MAX)
		return cannot(r, "the kernel's types do not say where its name is");
	for (unsigned i = 0; i < steps.n; i++)
		f->steps[f->nsteps++] = (struct bstep){steps.at[i], false};
	f->steps[f->nsteps++] = (struct bstep){0, false};
	f->type = find_type("string", 6);
	return 0;
}

static int read_type(struct reading *r, const char *s, struct bfetch *f)
{
	const char *open = strchr(s, '['), *at = strchr(s, '@'), *slash = strchr(s, '/');
	size_t n = open ? (size_t)(open - s) : strlen(s);
	char word[8];

	if (strcmp(s, "%pd") == 0 || strcmp(s, "%pD") == 0)
		return by_name_of_file(r, s[2] == 'D', f);
	if (open)
		f->count = (unsigned)strtoul(open + 1, NULL, 0);
	if (s[0] == 'b' && at && slash) {
		f->bit_width = (uint8_t)strtoul(s + 1, NULL, 0);
		f->bit_offset = (uint8_t)strtoul(at + 1, NULL, 0);
		(void)snprintf(word, sizeof(word), "u%lu", strtoul(slash + 1, NULL, 0));
		f->type = find_type(word, strlen(word));
	} else {
		f->type = find_type(s, n);
	}
	return f->type ? 0 : cannot(r, "tracefs alone has fields of this type");
}

static int read_argument(struct reading *r, const char *text, size_t n)
{
	struct bfetch *f = VEC_ADD(r->p->fetches, r->p->nfetches, r->p->fetches_cap);
	char *s = arena_strndup(&r->p->arena, text, n), *body, *type;
	int err;

	if (!f || !s)
		return error_set(r->e, -ENOMEM, "no memory for probes");
	r->arg = arena_strndup(&r->p->arena, text, n);
	if (!r->arg)
		return error_set(r->e, -ENOMEM, "no memory for probes");
	body = strchr(s, '=');
	if (!body)
		return cannot(r, "it has no name");
	*body++ = '\0';
	f->name = s;
	type = strrchr(body, ':');
	if (type)
		*type++ = '\0';
	err = read_expression(r, body, f);
	if (err)
		return err;
	if (!type)
		type = (char *)(f->base == BBASE_COMM || f->base == BBASE_TEXT ? "string" : "x64");
	err = read_type(r, type, f);
	if (!err && f->base == BBASE_TEXT && !f->text)
		err = error_set(r->e, -ENOMEM, "no memory for probes");
	return err;
}

/* ---- what is probed ---- */

static void find_address(struct reading *r, const char *symbol)
{
	struct world_symbol found;

	if (world_symbol(r->w, NULL, symbol, &found) && found.count == 1)
		r->p->address = found.address;
}

/* Of which tasks the limit asks, beside the one that runs. */
static void find_tasks(struct bprobe *p)
{
	if (strcmp(p->what, "sched_switch") == 0)
		p->tasks = 1u << 2; /* (preempt, prev, next...): prev runs */
	else if (strcmp(p->what, "sched_wakeup") == 0 || strcmp(p->what, "sched_waking") == 0 ||
		strcmp(p->what, "sched_wakeup_new") == 0)
		p->tasks = 1u << 0;
}

static int read_tracepoint(struct reading *r)
{
	struct bprobe *p = r->p;
	char symbol[160];

	p->place = BPLACE_TRACEPOINT;
	p->what = arena_strndup(&p->arena, r->d->place, strlen(r->d->place));
	if (!p->what)
		return -ENOMEM;
	(void)snprintf(
		symbol, sizeof(symbol), "__probestub_%s", p->what); /* fits, or is not found */
	find_address(r, symbol);
	(void)snprintf(symbol, sizeof(symbol), "__traceiter_%s", p->what); /* likewise */
	if (!p->address)
		find_address(r, symbol); /* kernels without tprobes of their own */
	find_tasks(p);
	return 0;
}

static int read_function(struct reading *r)
{
	const struct dynevent *d = r->d;
	struct bprobe *p = r->p;
	const char *colon = strchr(d->place, ':'), *name = colon ? colon + 1 : d->place;
	size_t n = strcspn(name, "%");
	struct kbtf_func func;
	struct kbtf_place last;
	char *s = arena_strndup(&p->arena, name, n);
	int err;

	p->place = d->is_return ? BPLACE_FEXIT : BPLACE_FENTRY;
	p->what = s;
	p->module = colon ? arena_strndup(&p->arena, d->place, (size_t)(colon - d->place)) : NULL;
	if (!s || (colon && !p->module))
		return -ENOMEM;
	if (strpbrk(s, "+*?") || isdigit((unsigned char)s[0])) {
		(void)error_set(r->e, -EINVAL,
			"BPF traces functions at their entry and their return: not '%.80s'", s);
		error_hint(r->e,
			"a kernel with CONFIG_KPROBE_EVENTS has probes anywhere in functions");
		return -EINVAL;
	}
	err = kbtf_find_func(dynevent_world_btf(r->w), p->module, s, &func, r->e);
	if (err == -ENOENT)
		return error_set(r->e, -EINVAL,
			"the kernel's types do not describe '%.80s': BPF cannot trace it", s);
	if (err)
		return err;
	for (unsigned i = 0; i < func.len; i++) {
		if (kbtf_place(&func, i, world_arch(r->w), &last) == 0)
			p->nargs += last.words;
	}
	find_address(r, s);
	return 0;
}

/* "PATH:0xOFFSET(0xCOUNTER)" */
static int read_user_place(struct reading *r)
{
	struct bprobe *p = r->p;
	const char *place = r->d->place, *colon = strrchr(place, ':');
	char *after;

	p->place = r->d->is_return ? BPLACE_URETPROBE : BPLACE_UPROBE;
	p->what = arena_strndup(&p->arena, place, (size_t)(colon - place));
	p->offset = strtoull(colon + 1, &after, 0);
	if (*after == '(')
		p->counter = strtoull(after + 1, NULL, 0);
	return p->what ? 0 : -ENOMEM;
}

int bprobe_read(
	struct bprobe *p, struct dynevent_world *w, const struct dynevent *d, struct error *e)
{
	struct reading r = {.p = p, .w = w, .d = d, .e = e};
	const char *s = d->definition;
	int err;

	switch (d->kind) {
	case DYNEVENT_TPROBE: err = read_tracepoint(&r); break;
	case DYNEVENT_UPROBE: err = read_user_place(&r); break;
	case DYNEVENT_KPROBE:
	case DYNEVENT_KRETPROBE:
	case DYNEVENT_FPROBE: err = read_function(&r); break;
	default:
		return error_set(e, -EINVAL, "%ss are tracefs's alone: BPF has none",
			dynevent_kind_name(d->kind));
	}
	if (err == -ENOMEM)
		return error_set(e, -ENOMEM, "no memory for probes");
	s += strcspn(s, " "); /* letter and name; place */
	s += strspn(s, " ");
	s += strcspn(s, " ");
	while (!err && *(s += strspn(s, " "))) {
		size_t n = strcspn(s, " ");

		err = read_argument(&r, s, n);
		s += n;
	}
	return err;
}

void bprobe_done(struct bprobe *p)
{
	free(p->fetches);
	arena_done(&p->arena);
	memset(p, 0, sizeof(*p));
}
