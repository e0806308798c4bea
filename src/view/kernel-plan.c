/* Print formats of kernel events, as libtraceevent has parsed them, made into plans. What is not known
 * here is refused: libtraceevent prints it itself. */
#include "view/kernel-text-impl.h"

#include <ctype.h>
#include <stdlib.h>

#define MAX_DEPTH 64

static void *get(struct making *m, size_t n)
{
	return arena_alloc(&m->k->arena, n);
}

static void needs(struct making *m, uint64_t end)
{
	if (end > m->need)
		m->need = (uint32_t)end;
}

static const struct tep_format_field *field_of(struct making *m, const struct tep_print_arg *arg)
{
	return arg->field.field ? arg->field.field : tep_find_any_field(m->e, arg->field.name);
}

/* ---- numbers ---- */

static const struct kexpr *expr(struct making *m, const struct tep_print_arg *arg);

struct kexpr *kplan_expr(struct making *m, enum kexpr_kind kind)
{
	struct kexpr *x = get(m, sizeof(*x));

	if (x)
		x->kind = (uint8_t)kind;
	return x;
}

const struct kexpr *kplan_load(struct making *m, const struct tep_format_field *f)
{
	struct kexpr *x;

	if (!f || (f->size != 1 && f->size != 2 && f->size != 4 && f->size != 8) || f->offset < 0)
		return NULL;
	x = kplan_expr(m, KX_LOAD);
	if (x) {
		x->size = (uint8_t)f->size;
		x->offset = (uint32_t)f->offset;
		needs(m, (uint64_t)f->offset + (uint64_t)f->size);
	}
	return x;
}

/* Casts cut the number; they do not extend its sign beyond the type. */
static const struct kexpr *cast(struct making *m, const char *type, const struct kexpr *a)
{
	static const struct {
		const char *name;
		uint8_t size;
	} known[] = {{"u8", 1}, {"u16", 2}, {"u32", 4}, {"s8", 1}, {"s16", 2}, {"s32", 4},
		{"char", 1}, {"short", 2}, {"int", 4}, {"unsigned char", 1}, {"unsigned short", 2},
		{"unsigned int", 4}};
	size_t n = strlen(type);
	struct kexpr *x;

	if (!a || (n && type[n - 1] == '*'))
		return a;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(type, known[i].name) != 0)
			continue;
		if (a->kind == KX_LOAD && a->size <= known[i].size)
			return a;
		x = kplan_expr(m, KX_MASK);
		if (x) {
			x->a = a;
			x->number = (UINT64_C(1) << known[i].size * 8) - 1;
		}
		return x;
	}
	/* the rest are kept as they are, if it is a type that is meant */
	return a;
}

const struct kexpr *kplan_binary(
	struct making *m, enum kexpr_op op, const struct kexpr *a, const struct kexpr *b)
{
	struct kexpr *x = a && b ? kplan_expr(m, KX_BINARY) : NULL;

	if (x) {
		x->op = (uint8_t)op;
		x->a = a;
		x->b = b;
	}
	return x;
}

static const struct kexpr *condition(struct making *m, const struct tep_print_arg *arg)
{
	const struct tep_print_arg *both = arg->op.right;
	bool as_char = m->as_char;
	struct kexpr *x;

	if (!both || both->type != TEP_PRINT_OP || both->op.op[0] != ':')
		return NULL;
	x = kplan_expr(m, KX_COND);
	if (!x)
		return NULL;
	m->as_char = false;
	x->a = expr(m, arg->op.left);
	m->as_char = as_char;
	x->b = expr(m, both->op.left);
	x->c = expr(m, both->op.right);
	return x->a && x->b && x->c ? x : NULL;
}

static const struct kexpr *unary(struct making *m, enum kexpr_kind kind, const struct kexpr *a)
{
	struct kexpr *x = a ? kplan_expr(m, kind) : NULL;

	if (x)
		x->a = a;
	return x;
}

/* An element of a fixed array, its number a constant. */
static const struct kexpr *element(struct making *m, const struct tep_print_arg *arg)
{
	const struct kexpr *i = expr(m, arg->op.right);
	const struct tep_format_field *f;
	struct tep_format_field one;

	if (!i || i->kind != KX_NUMBER || !arg->op.left || arg->op.left->type != TEP_PRINT_FIELD)
		return NULL;
	f = field_of(m, arg->op.left);
	if (!f || f->flags & TEP_FIELD_IS_DYNAMIC || !f->elementsize || f->size <= 0 ||
		i->number >= (unsigned)f->size / f->elementsize)
		return NULL;
	one = *f;
	one.offset += (int)(i->number * f->elementsize);
	one.size = (int)f->elementsize;
	return kplan_load(m, &one);
}

static const struct kexpr *operation(struct making *m, const struct tep_print_arg *arg)
{
	static const struct {
		const char *name;
		enum kexpr_op op;
	} known[] = {{"|", KX_OR}, {"||", KX_OR_OR}, {"&", KX_AND}, {"&&", KX_AND_AND},
		{"<", KX_LT}, {"<=", KX_LE}, {">", KX_GT}, {">=", KX_GE}, {"==", KX_EQ},
		{"!=", KX_NE}, {"<<", KX_SHL}, {">>", KX_SHR}, {"+", KX_ADD}, {"-", KX_SUB},
		{"*", KX_MUL}, {"/", KX_DIV}, {"%", KX_MOD}, {"^", KX_XOR}};
	const char *op = arg->op.op;

	if (strcmp(op, "?") == 0)
		return condition(m, arg);
	if (strcmp(op, "!") == 0)
		return unary(m, KX_NOT, expr(m, arg->op.right));
	if (strcmp(op, "~") == 0)
		return unary(m, KX_INVERT, expr(m, arg->op.right));
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(op, known[i].name) == 0)
			return kplan_binary(
				m, known[i].op, expr(m, arg->op.left), expr(m, arg->op.right));
	return strcmp(op, "[") == 0 ? element(m, arg) : NULL;
}

static const struct kexpr *expr(struct making *m, const struct tep_print_arg *arg)
{
	const struct kexpr *ret = NULL;
	struct kexpr *x;

	if (!arg || m->depth >= MAX_DEPTH)
		return NULL;
	m->depth++;
	switch (arg->type) {
	case TEP_PRINT_ATOM:
		x = kplan_expr(m, KX_NUMBER);
		if (x) /* names, like vmemmap_base, are 0 to libtraceevent */
			x->number = m->as_char && arg->atom.atom[0] && !arg->atom.atom[1]
				? (uint8_t)arg->atom.atom[0]
				: strtoull(arg->atom.atom, NULL, 0);
		ret = x;
		break;
	case TEP_PRINT_NULL: ret = kplan_expr(m, KX_NUMBER); break; /* before a sign */
	case TEP_PRINT_FIELD: ret = kplan_load(m, field_of(m, arg)); break;
	case TEP_PRINT_TYPE: ret = cast(m, arg->typecast.type, expr(m, arg->typecast.item)); break;
	case TEP_PRINT_OP: ret = operation(m, arg); break;
	case TEP_PRINT_DYNAMIC_ARRAY_LEN:
		x = kplan_expr(m, KX_DYN_LEN);
		if (x && arg->dynarray.field && arg->dynarray.field->size == 4) {
			x->offset = (uint32_t)arg->dynarray.field->offset;
			needs(m, (uint64_t)x->offset + 4);
			ret = x;
		}
		break;
	default: break;
	}
	m->depth--;
	return ret;
}

/* ---- strings ---- */

/* Some names are in formats as they stand in the kernel's source: these are the ones that
 * libtraceevent knows; others are -1 to it. */
static uint64_t label_value(const char *text)
{
	static const struct {
		const char *name;
		uint64_t value;
	} known[] = {{"HI_SOFTIRQ", 0}, {"TIMER_SOFTIRQ", 1}, {"NET_TX_SOFTIRQ", 2},
		{"NET_RX_SOFTIRQ", 3}, {"BLOCK_SOFTIRQ", 4}, {"IRQ_POLL_SOFTIRQ", 5},
		{"TASKLET_SOFTIRQ", 6}, {"SCHED_SOFTIRQ", 7}, {"HRTIMER_SOFTIRQ", 8},
		{"RCU_SOFTIRQ", 9}, {"HRTIMER_NORESTART", 0}, {"HRTIMER_RESTART", 1}};

	if (isdigit((unsigned char)text[0]))
		return strtoull(text, NULL, 0);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(text, known[i].name) == 0)
			return known[i].value;
	return UINT64_MAX;
}

static bool labels(struct making *m, const struct tep_print_flag_sym *sym, struct kstring *s)
{
	const struct tep_print_flag_sym *f;
	struct klabel *all;
	uint32_t n = 0;

	for (f = sym; f; f = f->next)
		n++;
	s->labels = all = get(m, (n + 1) * sizeof(*all));
	if (!all)
		return false;
	for (f = sym; f; f = f->next) {
		struct klabel *l = &all[s->nlabels++];

		l->value = f->value ? label_value(f->value) : UINT64_MAX;
		l->is_negative = (int64_t)l->value < 0;
		l->text = f->str ? f->str : "";
		l->len = (uint32_t)strlen(l->text);
	}
	return true;
}

/* Bytes or numbers, at a fixed place or in a dynamic array. */
static const struct kstring *array(struct making *m, const struct tep_print_arg *from,
	const struct tep_print_arg *count, struct kstring *s)
{
	const struct tep_format_field *f;

	s->value = expr(m, count);
	if (from && from->type == TEP_PRINT_DYNAMIC_ARRAY) {
		f = from->dynarray.field;
		s->dyn = true;
		s->rel = f && f->flags & TEP_FIELD_IS_RELATIVE;
	} else {
		f = from && from->type == TEP_PRINT_FIELD ? field_of(m, from) : NULL;
	}
	if (!f || !s->value || (s->dyn && f->size != 4))
		return NULL;
	s->offset = (uint32_t)f->offset;
	needs(m, (uint64_t)f->offset + (s->dyn ? 4 : 0));
	return s;
}

static const struct kstring *hex(
	struct making *m, const struct tep_print_arg *arg, struct kstring *s)
{
	s->kind = KS_HEX;
	s->elem = 1;
	s->spaces = arg->type == TEP_PRINT_HEX;
	return array(m, arg->hex.field, arg->hex.size, s);
}

static const struct kstring *numbers(
	struct making *m, const struct tep_print_arg *arg, struct kstring *s)
{
	const struct kexpr *elem = expr(m, arg->int_array.el_size);

	if (!elem || elem->kind != KX_NUMBER ||
		(elem->number != 1 && elem->number != 2 && elem->number != 4 && elem->number != 8))
		return NULL;
	s->kind = KS_ARRAY;
	s->elem = (uint8_t)elem->number;
	return array(m, arg->int_array.field, arg->int_array.count, s);
}

static const struct kstring *field_string(
	struct making *m, const struct tep_print_arg *arg, struct kstring *s)
{
	const struct tep_format_field *f = field_of(m, arg);

	if (!f || f->offset < 0)
		return NULL;
	if (!(f->flags & TEP_FIELD_IS_ARRAY) && f->size == (int)m->k->o.long_size)
		return NULL; /* an address of text */
	s->kind = KS_FIXED;
	s->offset = (uint32_t)f->offset;
	s->len = (uint32_t)f->size;
	needs(m, (uint64_t)f->offset + (uint64_t)f->size);
	return s;
}

static const struct kstring *dynamic_string(
	struct making *m, const struct tep_print_arg *arg, struct kstring *s)
{
	const struct tep_format_field *f = arg->string.field
		? arg->string.field
		: tep_find_any_field(m->e, arg->string.string);

	if (!f || f->size != 4 || !(f->flags & TEP_FIELD_IS_DYNAMIC))
		return NULL;
	s->kind = KS_DYN;
	s->offset = (uint32_t)f->offset;
	s->rel = f->flags & TEP_FIELD_IS_RELATIVE;
	needs(m, (uint64_t)s->offset + 4);
	return s;
}

const struct kstring *kplan_string(struct making *m, const struct tep_print_arg *arg)
{
	struct kstring *s = arg && m->depth < MAX_DEPTH ? get(m, sizeof(*s)) : NULL;
	const struct tep_print_arg *both;
	const struct kstring *ret = NULL;

	if (!s)
		return NULL;
	m->depth++;
	switch (arg->type) {
	case TEP_PRINT_ATOM:
	case TEP_PRINT_BSTRING:
		s->kind = KS_CONST;
		s->text = arg->type == TEP_PRINT_ATOM ? arg->atom.atom : arg->string.string;
		s->len = s->text ? (uint32_t)strlen(s->text) : 0;
		ret = s->text ? s : NULL;
		break;
	case TEP_PRINT_FIELD: ret = field_string(m, arg, s); break;
	case TEP_PRINT_STRING: ret = dynamic_string(m, arg, s); break;
	case TEP_PRINT_TYPE: /* "(void *)0" */
		s->kind = KS_NOTHING;
		ret = s;
		break;
	case TEP_PRINT_FLAGS:
		s->kind = KS_FLAGS;
		s->value = expr(m, arg->flags.field);
		s->text = arg->flags.delim ? arg->flags.delim : "";
		s->len = (uint32_t)strlen(s->text);
		ret = s->value && labels(m, arg->flags.flags, s) ? s : NULL;
		break;
	case TEP_PRINT_SYMBOL:
		s->kind = KS_SYMBOL;
		s->value = expr(m, arg->symbol.field);
		ret = s->value && labels(m, arg->symbol.symbols, s) ? s : NULL;
		break;
	case TEP_PRINT_HEX:
	case TEP_PRINT_HEX_STR: ret = hex(m, arg, s); break;
	case TEP_PRINT_INT_ARRAY: ret = numbers(m, arg, s); break;
	case TEP_PRINT_OP:
		both = arg->op.right;
		if (arg->op.op[0] != '?' || !both || both->type != TEP_PRINT_OP ||
			both->op.op[0] != ':')
			break;
		s->kind = KS_COND;
		s->value = expr(m, arg->op.left);
		s->yes = kplan_string(m, both->op.left);
		s->no = kplan_string(m, both->op.right);
		ret = s->value && s->yes && s->no ? s : NULL;
		break;
	default: break;
	}
	m->depth--;
	return ret;
}

/* ---- the format string ---- */

/* Parses "%..." at p; the place behind it, or NULL if it is not known. */
static const char *spec(
	struct making *m, const char *p, struct tep_print_arg **arg, struct kspec *ret)
{
	*ret = (struct kspec){.precision = -1};
	for (p++;; p++) {
		if (*p == '-')
			ret->minus = true;
		else if (*p == '0')
			ret->zero = true;
		else if (*p == '+')
			ret->plus = true;
		else if (*p == ' ')
			ret->space = true;
		else if (*p == '#')
			ret->hash = true;
		else
			break;
	}
	if (*p == '*') {
		if (!*arg || !(ret->star = expr(m, *arg)))
			return NULL;
		*arg = (*arg)->next;
		p++;
	}
	for (; isdigit((unsigned char)*p) && ret->width < 10000; p++)
		ret->width = ret->width * 10 + *p - '0';
	if (*p == '.') {
		ret->precision = 0;
		p++;
		if (*p == '*') {
			if (ret->star || !*arg || !(ret->star = expr(m, *arg)))
				return NULL;
			ret->star_is_precision = true;
			*arg = (*arg)->next;
			p++;
		}
		for (; isdigit((unsigned char)*p) && ret->precision < 10000; p++)
			ret->precision = ret->precision * 10 + *p - '0';
	}
	for (;; p++) {
		if (*p == 'h')
			ret->size--;
		else if (*p == 'l')
			ret->size++;
		else if (*p == 'z')
			ret->size = 1;
		else if (*p == 'L')
			ret->size = 2;
		else
			break;
	}
	if (!*p || !strchr("diuxXocsp", *p) || ret->size < -2 || ret->size > 2)
		return NULL;
	ret->conv = *p++;
	ret->is_plain = !ret->minus && !ret->zero && !ret->plus && !ret->space && !ret->hash &&
		!ret->width && ret->precision < 0 && !ret->star;
	return p;
}

/* Text up to the next '%'; escapes as libtraceevent reads them. */
static const char *literal(struct making *m, const char *p, struct kop *op)
{
	char *text = get(m, strlen(p) + KPLAN_PAD);
	uint32_t n = 0;

	if (!text)
		return NULL;
	for (; *p && !(*p == '%' && p[1] != '%'); p++) {
		if (*p == '%')
			p++;
		if (*p == '\\' && p[1]) {
			static const char from[] = "ntr", to[] = "\n\t\r";
			const char *at = strchr(from, *++p);

			text[n++] = at ? to[at - from] : *p;
		} else
			text[n++] = *p;
	}
	*op = (struct kop){.kind = KO_TEXT, .text = text, .len = n};
	return p;
}

static const char *pointer(
	struct making *m, const char *p, const struct tep_print_arg *arg, struct kop *op)
{
	op->kind = KO_POINTER;
	if (arg->type == TEP_PRINT_BSTRING)
		return NULL;
	if (*p && strchr("FfSs", *p)) {
		op->kind = KO_FUNCTION;
		op->offset_too = *p == 'F' || *p == 'S';
		p++;
	} else if (*p == 'I') {
		return kaddress_plan(m, p + 1, arg, op);
	} else if (*p && strchr("MmiUhBbDdEeGgKNOtVvxrRaC", *p)) {
		return NULL; /* UUIDs... */
	}
	op->value = expr(m, arg);
	return op->value ? p : NULL;
}

static const char *argument(
	struct making *m, const char *p, struct tep_print_arg **arg, struct kop *op)
{
	const struct tep_print_arg *mine;

	*op = (struct kop){0};
	p = spec(m, p, arg, &op->spec);
	mine = *arg;
	if (!p || !mine)
		return NULL;
	*arg = (*arg)->next;
	if (op->spec.conv == 'p')
		return pointer(m, p, mine, op);
	if (op->spec.conv == 's') {
		op->kind = KO_STRING;
		op->string = kplan_string(m, mine);
		return op->string ? p : NULL;
	}
	op->kind = KO_NUMBER;
	m->as_char = op->spec.conv == 'c';
	op->value = expr(m, mine);
	m->as_char = false;
	/* libtraceevent does not know characters, and takes their arguments for the next ones */
	m->has_chars |= op->spec.conv == 'c';
	return op->value && (!m->has_chars || m->k->o.like_kernel) ? p : NULL;
}

static uint32_t most_ops(const char *format)
{
	uint32_t n = 2;

	for (; *format; format++)
		n += *format == '%' ? 2 : 0;
	return n;
}

struct kplan *kplan_make(struct kernel_text *k, struct tep_event *e, const struct kop *first)
{
	struct making m = {.k = k, .e = e};
	struct tep_print_arg *arg = e->print_fmt.args;
	const char *p = e->print_fmt.format;
	struct kplan *plan;

	if (!p || e->flags & (int)(TEP_EVENT_FL_FAILED | TEP_EVENT_FL_ISBPRINT))
		return NULL;
	plan = get(&m, sizeof(*plan));
	if (plan)
		plan->ops = get(&m, most_ops(p) * sizeof(*plan->ops));
	if (!plan || !plan->ops)
		return NULL;
	if (first)
		plan->ops[plan->nops++] = *first;
	while (*p) {
		if (*p == '%' && p[1] != '%')
			p = argument(&m, p, &arg, &plan->ops[plan->nops]);
		else
			p = literal(&m, p, &plan->ops[plan->nops]);
		if (!p)
			return NULL;
		plan->nops++;
	}
	plan->need = m.need;
	plan->has_chars = m.has_chars;
	kplan_finish(k, plan);
	return plan;
}
