/* Dynamic events: what goes by names, as fetch arguments: arguments of functions and ways from them,
 * return values, fields of events, and bases that are said to be structures. */
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int add_op(struct parse *p, struct expr *e, size_t at)
{
	if (++e->ops > OPS_MAX)
		return refuse(
			p, at, 1, "this is nested too deeply: the kernel takes %d steps", OPS_MAX);
	return 0;
}

/* Where a way begins: fetch text of the base. */
struct base {
	const char *fetch; /* of the value, or of the address of the thing */
	bool in_memory;
	const struct btf *btf;
	uint32_t type;
	unsigned arg; /* N of $argN, if the thing lies in this one and the next; or 0 */
	int64_t offset; /* in memory: of the thing from the address */
	enum last_op op;
};

static size_t name_len(const struct parse *p, size_t at, size_t end)
{
	size_t n = 0;

	while (at + n < end && (isalnum((unsigned char)p->text[at + n]) || p->text[at + n] == '_'))
		n++;
	return n;
}

/* The last name in a way is what the field is called. */
static struct span last_name(const struct parse *p, struct span s)
{
	struct span found = {s.at, 0};

	for (size_t at = s.at; at < s.at + s.len; at++) {
		size_t n = name_len(p, at, s.at + s.len);

		if (p->text[at] == '[' || !n)
			at += p->text[at] == '[' ? strcspn(p->text + at, "]") : 0;
		else {
			found = (struct span){at, n};
			at += n - 1;
		}
	}
	return found;
}

static void write_steps(
	struct parse *p, const struct kbtf_way *w, const char *fetch, struct buf *out)
{
	for (unsigned i = w->n; i-- > 0;) {
		long long at = w->at[i];

		if (at == 0)
			buf_str(out, "+0(");
		else if (p->decimal)
			buf_printf(out, "%+lld(", at);
		else
			buf_printf(out, "%c0x%llx(", at < 0 ? '-' : '+', at < 0 ? -at : at);
	}
	buf_str(out, fetch);
	for (unsigned i = 0; i < w->n; i++)
		buf_char(out, ')');
}

static int follow(struct parse *p, const struct base *b, struct span rest, struct expr *e)
{
	struct kbtf_fault fault;
	struct kbtf_way way;
	char word[16];
	const char *fetch = b->fetch;
	int r;

	memset(&fault, 0, sizeof(fault));
	r = kbtf_walk(b->btf, b->type, b->in_memory, p->text + rest.at, rest.len, &way, &fault);
	if (r) {
		p->fault->at = rest.at + fault.at;
		p->fault->len = fault.len;
		p->fault->error = fault.error;
		return r;
	}
	e->base_offset = way.base_offset;
	if (way.n == 0 && b->arg && way.base_offset >= 8) { /* in the next register */
		(void)snprintf(word, sizeof(word), "$arg%u", b->arg + way.base_offset / 8);
		fetch = word;
		e->base_offset %= 8;
	}
	if (way.n)
		way.at[0] += b->offset;
	write_steps(p, &way, fetch, e->out);
	e->ops = 1;
	e->last = b->op;
	for (unsigned i = 0; i < way.n; i++) {
		if (add_op(p, e, rest.at))
			return -EINVAL;
		e->last = OP_DEREF;
	}
	e->typed = true;
	e->value = way.value;
	return 0;
}

/* ---- arguments of functions ---- */

static int no_types(struct parse *p, struct span s, const struct error *e, int r)
{
	if (r != -ENOENT) {
		p->fault->at = s.at;
		p->fault->len = s.len;
		p->fault->error = *e;
		return r;
	}
	if (!p->func_name)
		return refuse(p, s.at, s.len,
			"arguments have names at a function's entry, not at an address");
	(void)refuse(p, s.at, s.len, "the kernel's types do not describe '%.80s'", p->func_name);
	hint(p, "write registers and offsets: +0(+0x10($arg1)):string");
	return -EINVAL;
}

static int need_function(struct parse *p, struct span s)
{
	struct error e = {0};
	int r = find_function(p, &e);

	if (r)
		return no_types(p, s, &e, r);
	if (!p->at_entry && !p->d->is_return) {
		(void)refuse(p, s.at, s.len, "arguments are known at a function's entry only");
		hint(p, "further inside write registers: %%di, %%ax");
		return -EINVAL;
	}
	return 0;
}

/* Text for parameter i as base. */
static int argument_base(struct parse *p, unsigned i, struct span s, struct base *b)
{
	struct kbtf_place place;
	const char *reg;

	(void)kbtf_place(&p->func, i, world_arch(p->w), &place);
	*b = (struct base){.btf = p->func.btf, .in_memory = place.indirect};
	(void)kbtf_param(&p->func, i, &b->type);
	b->op = p->d->is_return ? OP_ENTRY_DATA : OP_ARG;
	if (place.kind == KPLACE_NONE)
		return refuse(
			p, s.at, s.len, "this argument is in no register that probes can read");
	if (p->d->is_return &&
		(place.kind == KPLACE_STACK || !world_has(p->w, WORLD_ARGN_ON_RETURN)))
		return refuse(p, s.at, s.len,
			"when the function returns, this kernel does not know its arguments any more");
	if (place.memory) {
		unsigned word = world_arch(p->w) == KARCH_X86_64 ? place.n - 6 : place.n;

		b->fetch = "$stack";
		b->op = OP_STACKP;
		b->in_memory = true;
		b->offset = 8 * (int64_t)word;
		return 0;
	}
	reg = karch_arg_register(world_arch(p->w), place.n + p->func.first);
	if (place.kind == KPLACE_STACK) {
		b->fetch = text_printf(p, "$stack%u", place.n);
		b->op = OP_STACK;
	} else if (world_has(p->w, WORLD_ARGN) || !reg) {
		b->fetch = text_printf(p, "$arg%u", place.n);
		b->arg = place.words > 1 ? place.n : 0;
	} else {
		b->fetch = text_printf(p, "%%%s", reg);
		b->op = OP_REG;
	}
	return b->fetch ? 0 : no_memory(p);
}

int parse_parameter(struct parse *p, unsigned i, struct span name, struct span rest, struct expr *e)
{
	struct base b;

	if (argument_base(p, i, name, &b))
		return -EINVAL;
	return follow(p, &b, rest, e);
}

static int unknown_argument(struct parse *p, struct span name)
{
	AUTO(free) char *wrong = strndup(p->text + name.at, name.len);
	AUTO(buf) struct buf all = {0};
	struct near near;

	if (!wrong)
		return no_memory(p);
	near_init(&near, wrong, name.len);
	for (unsigned i = 0; i < p->func.len; i++) {
		const char *s = kbtf_param(&p->func, i, NULL);

		near_look(&near, s);
		buf_printf(&all, "%s%s", i ? ", " : "", s);
	}
	(void)refuse(p, name.at, name.len, "%.80s has no argument '%.80s'", p->func_name, wrong);
	if (near.best[0])
		hint(p, "did you mean '%s'?", near.best);
	else if (all.len)
		hint(p, "it has: %s", all.data);
	else
		hint(p, "it has none at all");
	return -EINVAL;
}

static int parse_argument_way(struct parse *p, struct span s, struct expr *e)
{
	struct span name = {s.at, name_len(p, s.at, s.at + s.len)};
	struct span rest = {s.at + name.len, s.len - name.len};
	int r;

	if (p->user)
		return parse_elf_argument(p, name, rest, e);
	r = need_function(p, name);
	for (unsigned i = 0; !r && i < p->func.len; i++) {
		if (span_is(p, name, kbtf_param(&p->func, i, NULL)))
			return parse_parameter(p, i, name, rest, e);
	}
	return r ? r : unknown_argument(p, name);
}

/* "$argN->x": the parameter that begins in word N. */
static int parse_numbered_way(struct parse *p, struct span name, struct span rest, struct expr *e)
{
	AUTO(free) char *number = strndup(p->text + name.at + 4, name.len - 4);
	struct kbtf_place place;
	uint64_t n;
	int r = need_function(p, name);

	if (r)
		return r;
	if (!number || kernel_ulong(number, &n))
		return refuse(p, name.at, name.len, "a number is missing: $arg1");
	for (unsigned i = 0; i < p->func.len; i++) {
		if (kbtf_place(&p->func, i, world_arch(p->w), &place) == 0 &&
			place.kind == KPLACE_ARG && place.n == n)
			return parse_parameter(p, i, name, rest, e);
	}
	return refuse(p, name.at, name.len, "%.80s has %u arguments", p->func_name, p->func.len);
}

int parse_numbered(struct parse *p, struct span s, uint64_t n, struct expr *e)
{
	struct span none = {s.at + s.len, 0};
	struct kbtf_place place;

	if (find_function(p, NULL))
		return 1;
	/* The kernel with types takes N for the number of a parameter, where that has no NAME=. */
	if (!p->by_names &&
		(!p->unnamed || e->nested || !world_has(p->w, WORLD_BTF) || p->func.len == 0))
		return 1;
	if (n > p->func.len && (!p->by_names || !p->func.variadic)) {
		(void)refuse(p, s.at, s.len, "%.80s has %u argument%s", p->func_name, p->func.len,
			p->func.len == 1 ? "" : "s");
		return -EINVAL;
	}
	for (unsigned i = 0; i < p->func.len; i++) {
		if (kbtf_place(&p->func, i, world_arch(p->w), &place) == 0 && !place.memory &&
			!place.indirect && place.kind == KPLACE_ARG && place.n == n &&
			place.words == 1)
			return parse_parameter(p, i, s, none, e);
	}
	return 1;
}

/* ---- return values ---- */

static int parse_retval_way(struct parse *p, struct span name, struct span rest, struct expr *e)
{
	struct base b = {.fetch = "$retval", .op = OP_RETVAL};
	struct error error = {0};
	int r;

	if (!p->d->is_return)
		return refuse(p, name.at, name.len,
			"a value is returned at the function's end: "
			"only return probes have $retval");
	r = p->user ? -ENOENT : find_function(p, &error);
	if (r && rest.len)
		return no_types(p, name, &error, r);
	if (r) {
		buf_str(e->out, b.fetch);
		e->ops = 1;
		e->last = OP_RETVAL;
		return 0;
	}
	b.btf = p->func.btf;
	b.type = kbtf_return_type(&p->func);
	if (b.type == 0)
		return refuse(p, name.at, name.len, "%.80s returns nothing (void)", p->func_name);
	return follow(p, &b, rest, e);
}

/* ---- "(STRUCT)BASE->MEMBER" ---- */

/* What stands behind the cast as base: its fetch text is written to `text`. */
static int cast_base(
	struct parse *p, struct span s, struct span *ret_rest, struct buf *text, struct expr *e)
{
	size_t n = 0;
	struct expr inner = {.out = text, .nested = true};
	struct span base;

	while (n < s.len && !strchr("-.[", p->text[s.at + n]))
		n++;
	base = (struct span){s.at, n};
	*ret_rest = (struct span){s.at + n, s.len - n};
	if (n == 0)
		return refuse(p, s.at, 1, "what is to be seen as this structure is missing");
	if (parse_expression(p, base, &inner))
		return -EINVAL;
	e->last = inner.last;
	return text->err ? no_memory(p) : 0;
}

static int parse_cast(struct parse *p, struct span s, struct expr *e)
{
	const char *close = memchr(p->text + s.at, ')', s.len);
	AUTO(buf) struct buf text = {0};
	struct span type, rest;
	const struct btf *types;
	struct error error;
	struct base b = {.in_memory = true};
	AUTO(free) char *name = NULL;
	struct near near;
	int r;

	if (!close)
		return refuse(p, s.at + s.len, 0, "')' is missing behind the name of a structure");
	type = (struct span){s.at + 1, (size_t)(close - p->text) - s.at - 1};
	types = kbtf_vmlinux(dynevent_world_btf(p->w), &error);
	if (!types)
		return no_types(p, type, &error, -EOPNOTSUPP);
	name = strndup(p->text + type.at, type.len);
	b.btf = types;
	b.type = name ? kbtf_find_struct(types, name) : 0;
	if (!b.type) {
		(void)refuse(p, type.at, type.len, "the kernel has no structure '%.80s'",
			name ? name : "");
		near_init(&near, name ? name : "", type.len);
		kbtf_near_struct(types, &near);
		if (near.best[0])
			hint(p, "did you mean '%s'?", near.best);
		return -EINVAL;
	}
	r = cast_base(p,
		(struct span){(size_t)(close - p->text) + 1,
			s.at + s.len - (size_t)(close - p->text) - 1},
		&rest, &text, e);
	if (r)
		return r;
	if (rest.len == 0)
		return refuse(p, s.at, s.len, "which member is wanted? (STRUCT)NAME->MEMBER");
	b.fetch = text.data;
	b.op = e->last;
	return follow(p, &b, rest, e);
}

int parse_way(struct parse *p, struct span s, struct expr *e)
{
	size_t dollar = p->text[s.at] == '$';
	struct span name = {s.at, name_len(p, s.at + dollar, s.at + s.len) + dollar};
	struct span rest = {s.at + name.len, s.len - name.len};

	e->name = last_name(p, (struct span){s.at + dollar, s.len - dollar});
	if (p->text[s.at] == '(') {
		e->name = last_name(p, s);
		return parse_cast(p, s, e);
	}
	if (span_is(p, name, "$retval"))
		return parse_retval_way(p, name, rest, e);
	if (dollar)
		return parse_numbered_way(p, name, rest, e);
	return parse_argument_way(p, s, e);
}
