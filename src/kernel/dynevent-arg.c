/* Dynamic events: fetch arguments, the kernel's grammar of them.
 *
 *	EXPR := %REG | $stack | $stackN | $argN | $retval | $comm | $FIELD | @ADDR | @SYM[+-OFFS]
 *	      | @+OFFSET | +|-[u]OFFS(EXPR) | \NUMBER | \"TEXT" | a way by names (dynevent-way.c)
 *
 * Which of them a probe has depends on what it is on. The steps of the kernel's fetch program are
 * counted as the kernel counts them, so that what is too deep is refused here.
 */
#include "kernel/dynevent-impl.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool in_kernel_function(const struct parse *p)
{
	return !p->user && !p->format;
}

static int leaf(struct parse *p, struct span s, struct expr *e, enum last_op op)
{
	e->ops = 1;
	e->last = op;
	buf_add(e->out, p->text + s.at, s.len);
	return 0;
}

/* ---- $ ---- */

static int stack_word(struct parse *p, struct span s, const char *word, struct expr *e)
{
	uint64_t n;

	if (strcmp(word, "$stack") == 0)
		return leaf(p, s, e, OP_STACKP);
	if (parse_u64(word + 6, &n) || !isdigit((unsigned char)word[6]) || word[7] == 'x')
		return refuse(
			p, s.at, s.len, "$stack or $stackN, N from 0: nothing else begins so");
	if (!p->user && n > STACK_WORDS_MAX)
		return refuse(p, s.at, s.len, "the stack has %d words at most", STACK_WORDS_MAX);
	return leaf(p, s, e, OP_STACK);
}

/* $argN of a user function: by the ABI, a register or a word of the stack. */
static int user_argument(struct parse *p, struct span s, uint64_t n, struct expr *e)
{
	const char *reg = n <= 16 ? karch_arg_register(world_arch(p->w), (unsigned)n) : NULL;
	unsigned registers = world_arch(p->w) == KARCH_AARCH64 ? 8 : 6;

	if (p->d->is_return) {
		(void)refuse(
			p, s.at, s.len, "when a user function returns, its arguments are gone");
		hint(p, "probe its entry as well, without %%return");
		return -EINVAL;
	}
	if (!p->at_entry)
		return refuse(p, s.at, s.len,
			"arguments are in their registers at a function's entry only");
	if (n > 16)
		return refuse(p, s.at, s.len, "functions with %llu arguments are not known",
			(unsigned long long)n);
	e->ops = 1;
	e->last = reg ? OP_REG : OP_STACK;
	if (reg)
		buf_printf(e->out, "%%%s", reg);
	else /* on x86-64 the return address is the first word */
		buf_printf(e->out, "$stack%llu",
			(unsigned long long)n - registers - (world_arch(p->w) == KARCH_AARCH64));
	return 0;
}

static int numbered_argument(struct parse *p, struct span s, const char *word, struct expr *e)
{
	uint64_t n;
	int r;

	if (parse_u64(word + 4, &n) || !isdigit((unsigned char)word[4]) || word[5] == 'x')
		return refuse(p, s.at, s.len, "an argument is $argN, N from 1, or $arg* for all");
	if (n == 0 || n > STACK_WORDS_MAX)
		return refuse(p, s.at, s.len, "arguments are counted from 1");
	e->name = (struct span){s.at + 1, s.len - 1};
	if (p->user)
		return user_argument(p, s, n, e);
	if (!p->at_entry && !p->d->is_return)
		return refuse(p, s.at, s.len,
			"arguments are in their registers at a function's entry only");
	if (!p->func_name)
		return refuse(p, s.at, s.len, "$argN needs a probe on a function by its name");
	if (!world_has(p->w, WORLD_ARGN))
		return refuse(
			p, s.at, s.len, "this kernel does not know $argN: write the register");
	if (p->d->is_return && !world_has(p->w, WORLD_ARGN_ON_RETURN))
		return refuse(p, s.at, s.len,
			"this kernel does not know arguments at a function's return");
	r = parse_numbered(p, s, n, e);
	return r == 1 ? leaf(p, s, e, p->d->is_return ? OP_ENTRY_DATA : OP_ARG) : r;
}

static int variable(struct parse *p, struct span s, struct expr *e)
{
	AUTO(free) char *word = strndup(p->text + s.at, s.len);
	size_t way;

	if (!word)
		return no_memory(p);
	if (p->format)
		return parse_field(p, s, e);
	way = strcspn(word, "-.[");
	if (strncmp(word, "$retval", 7) == 0 && (way == 7))
		return parse_way(p, s, e);
	if (strncmp(word, "$arg", 4) == 0 && way < s.len && in_kernel_function(p))
		return parse_way(p, s, e);
	if (strcmp(word, "$comm") == 0 || strcmp(word, "$COMM") == 0) {
		e->name = (struct span){s.at + 1, s.len - 1};
		return leaf(p, s, e, OP_COMM);
	}
	if (strncmp(word, "$stack", 6) == 0)
		return stack_word(p, s, word, e);
	if (strncmp(word, "$arg", 4) == 0)
		return numbered_argument(p, s, word, e);
	(void)refuse(p, s.at, s.len, "there is no '%.40s' here", word);
	hint(p, "there are $argN, $retval (return probes), $stack, $stackN and $comm");
	return -EINVAL;
}

/* ---- registers, memory, immediate values ---- */

static int reg(struct parse *p, struct span s, struct expr *e)
{
	AUTO(free) char *name = strndup(p->text + s.at + 1, s.len - 1);

	if (!name)
		return no_memory(p);
	if (p->format || p->d->kind == DYNEVENT_FPROBE || p->d->kind == DYNEVENT_TPROBE)
		return refuse(
			p, s.at, s.len, "%ss have no registers", dynevent_kind_name(p->d->kind));
	if (!karch_is_register(world_arch(p->w), name)) {
		(void)refuse(p, s.at, s.len, "there is no register '%.20s'", name);
		if ((name[0] == 'r' || name[0] == 'e') &&
			karch_is_register(world_arch(p->w), name + 1))
			hint(p, "the kernel calls it %%%s", name + 1);
		return -EINVAL;
	}
	return leaf(p, s, e, OP_REG);
}

static int data_symbol(struct parse *p, struct span s, const char *word)
{
	size_t n = strcspn(word, "+-");
	AUTO(free) char *name = strndup(word, n);
	struct world_symbol symbol;
	struct near near;
	int64_t offset;

	if (!name)
		return no_memory(p);
	if (word[n] && kernel_long(word + n, &offset))
		return refuse(p, s.at + n, s.len - n, "an offset is a number: +16 or -0x10");
	if (world_symbol(p->w, NULL, name, &symbol) && symbol.count == 0) {
		(void)refuse_err(
			p, -ENOENT, s.at, n ? n : s.len, "the kernel has no symbol '%.100s'", name);
		near_init(&near, name, n);
		world_near_symbol(p->w, false, &near);
		if (near.best[0])
			hint(p, "did you mean '%s'?", near.best);
		return -ENOENT;
	}
	return 0;
}

static int memory(struct parse *p, struct span s, struct expr *e)
{
	AUTO(free) char *word = strndup(p->text + s.at + 1, s.len - 1);
	uint64_t address;
	int64_t offset;
	int r = 0;

	if (!word)
		return no_memory(p);
	if (isdigit((unsigned char)word[0])) {
		if (kernel_ulong(word, &address))
			return refuse(p, s.at + 1, s.len - 1, "this is no address");
	} else if (word[0] == '+') {
		if (!p->user)
			return refuse(p, s.at, s.len, "places in a file are for uprobes");
		if (kernel_long(word + 1, &offset))
			return refuse(p, s.at + 2, s.len - 2, "a place in the file is a number");
	} else if (p->user) {
		return refuse(p, s.at, s.len,
			"uprobes know no symbols for data: @0xADDRESS or @+OFFSET of the file");
	} else {
		r = data_symbol(p, (struct span){s.at + 1, s.len - 1}, word);
	}
	if (r)
		return r;
	(void)leaf(p, s, e, OP_DEREF);
	if (!isdigit((unsigned char)word[0]) && word[0] != '+' && add_op(p, e, s.at))
		return -EINVAL;
	return add_op(p, e, s.at);
}

static int dereference(struct parse *p, struct span s, struct expr *e)
{
	const char *t = p->text + s.at, *open = memchr(t, '(', s.len), *close;
	bool user = s.len > 1 && t[1] == 'u';
	size_t number = user ? 2 : 1;
	struct span inner;
	AUTO(free) char *digits = NULL;
	int64_t offset;
	int r;

	if (!open)
		return refuse(p, s.at, s.len, "'(' is missing: +OFFSET(WHERE)");
	digits = strndup(t + number, (size_t)(open - t) - MIN((size_t)(open - t), number));
	if (!digits)
		return no_memory(p);
	if (kernel_long(digits, &offset) || (t[0] == '-' && (digits[0] == '-' || digits[0] == '+')))
		return refuse(p, s.at + number,
			(size_t)(open - t) - MIN((size_t)(open - t), number),
			"an offset is a number: +16(...) or -0x10(...)");
	close = memrchr(open, ')', s.len - (size_t)(open - t));
	if (!close)
		return refuse(p, s.at + s.len, 0, "')' is missing");
	if (close + 1 != t + s.len && p->by_names) /* the kernel drops it silently */
		return refuse(p, (size_t)(close + 1 - p->text), s.len - (size_t)(close + 1 - t),
			"nothing can follow the ')'");
	inner = (struct span){(size_t)(open + 1 - p->text), (size_t)(close - open) - 1};
	buf_add(e->out, t, (size_t)(open - t) + 1);
	if (inner.len == 0)
		return refuse(p, inner.at, 1, "what is to be followed is missing: +OFFSET(WHERE)");
	e->nested = true;
	r = parse_expression(p, inner, e);
	if (r)
		return r;
	if (e->last == OP_COMM || e->last == OP_DATA)
		return refuse(p, inner.at, inner.len, "this is text, not an address");
	buf_char(e->out, ')');
	e->typed = false;
	e->type = NULL;
	e->user_text = false;
	e->name.len = 0;
	e->last = user ? OP_UDEREF : OP_DEREF;
	return add_op(p, e, s.at);
}

static int immediate(struct parse *p, struct span s, struct expr *e)
{
	AUTO(free) char *word = strndup(p->text + s.at + 1, s.len - 1);
	uint64_t u;
	int64_t v;
	int r;

	if (!word)
		return no_memory(p);
	if (word[0] == '"') {
		if (s.len < 3 || word[s.len - 2] != '"')
			return refuse(p, s.at + s.len, 0,
				"'\"' is missing: the text of \\\"TEXT\" has no spaces and no ':'");
		return leaf(p, s, e, OP_DATA);
	}
	if (isdigit((unsigned char)word[0]))
		r = kernel_ulong(word, &u);
	else if (word[0] == '-')
		r = kernel_long(word, &v);
	else
		r = word[0] == '+' ? kernel_long(word + 1, &v) : -EINVAL;
	if (r)
		return refuse(p, s.at + 1, s.len - 1, "an immediate value is a number or \"TEXT\"");
	return leaf(p, s, e, OP_IMM);
}

int parse_expression(struct parse *p, struct span s, struct expr *e)
{
	char c;

	if (s.len == 0)
		return refuse(p, s.at, 0, "what is to be fetched is missing");
	c = p->text[s.at];
	switch (c) {
	case '$': return variable(p, s, e);
	case '%': return reg(p, s, e);
	case '@': return memory(p, s, e);
	case '+':
	case '-': return dereference(p, s, e);
	case '\\': return immediate(p, s, e);
	case '(': return parse_way(p, s, e);
	default: break;
	}
	if (!isascii((unsigned char)c) || (!isalpha((unsigned char)c) && c != '_')) {
		(void)refuse(p, s.at, s.len, "this is nothing that can be fetched");
		hint(p, "%%REG, $argN, $retval, $stackN, $comm, @SYMBOL, +OFFSET(...), \\NUMBER, or a name");
		return -EINVAL;
	}
	if (p->format && p->by_names)
		return parse_field(p, s, e);
	if (p->format) {
		(void)refuse(p, s.at, s.len, "a field of the event is written with $");
		return -EINVAL;
	}
	return parse_way(p, s, e);
}
