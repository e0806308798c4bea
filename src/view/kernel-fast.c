/* Which steps of a plan can be done at once, and what they are remembered by. See kernel-fast.h. */
#include "view/kernel-fast.h"

enum { MEMO_BITS = 5, MEMO_BITS_FUNCTION = 8 };

/* A number as it stands in the record, in the usual ways to write one, needs no look at its
 * specification: how many of its bytes count, and what they become. */
static void take_number(struct kop *op)
{
	static const uint8_t bytes[] = {1, 2, 4, 8, 8};
	const struct kspec *s = &op->spec;
	uint8_t size = bytes[s->size + 2];
	bool least = s->conv == 'x' && s->zero && s->width <= 16 && !s->minus && !s->plus &&
		!s->space && !s->hash && s->precision < 0 && !s->star;

	if (op->value->kind != KX_LOAD || (!s->is_plain && !least))
		return;
	if (s->conv == 'x')
		op->fast = KF_HEX;
	else if (s->conv == 'u' || (s->conv != 'c' && op->value->size < size))
		op->fast = KF_UNSIGNED;
	else if (s->conv == 'd' || s->conv == 'i')
		op->fast = KF_SIGNED;
	if (s->conv != 'x' && s->conv != 'u' && s->conv != 'd' && s->conv != 'i')
		op->fast = KF_NONE;
	op->size = MIN(size, op->value->size);
	op->from = op->value->offset;
	op->least = (uint8_t)(least ? s->width : 1);
	op->fast_else = op->fast;
}

/* ---- what a step depends on ---- */

struct source { /* of a step's numbers; size 0: none yet */
	uint32_t offset, size;
};

/* All its numbers are this one, or constants. */
static bool has_source(const struct kexpr *x, struct source *s)
{
	switch ((enum kexpr_kind)x->kind) {
	case KX_NUMBER: return true;
	case KX_LOAD:
		if (!s->size)
			*s = (struct source){x->offset, x->size};
		return s->offset == x->offset && s->size == x->size;
	case KX_DYN_LEN: return false;
	case KX_MASK:
	case KX_NOT:
	case KX_INVERT: return has_source(x->a, s);
	case KX_COND: return has_source(x->a, s) && has_source(x->b, s) && has_source(x->c, s);
	case KX_BINARY: /* a division says, too, that it was by zero */
		return x->op != KX_DIV && x->op != KX_MOD && has_source(x->a, s) &&
			has_source(x->b, s);
	}
	return false;
}

static bool string_has_source(const struct kstring *string, struct source *s)
{
	switch ((enum kstring_kind)string->kind) {
	case KS_CONST:
	case KS_NOTHING: return true;
	case KS_FIXED:
	case KS_DYN:
	case KS_HEX:
	case KS_ARRAY: return false;
	case KS_FLAGS:
	case KS_SYMBOL: return has_source(string->value, s);
	case KS_COND:
		return has_source(string->value, s) && string_has_source(string->yes, s) &&
			string_has_source(string->no, s);
	}
	return false;
}

static void take_memo(struct kop *op)
{
	bool is_function = op->kind == KO_FUNCTION || op->kind == KO_CALL_SITE;
	struct source s = {0};

	if (op->kind == KO_STRING ? !string_has_source(op->string, &s) : !has_source(op->value, &s))
		return;
	if (!s.size || op->spec.star || (op->kind == KO_NUMBER && s.size == 8))
		return; /* numbers of 8 bytes rarely come again */
	op->fast = KF_MEMO;
	op->size = (uint8_t)s.size;
	op->from = s.offset;
	op->memo_bits = is_function ? MEMO_BITS_FUNCTION : MEMO_BITS;
}

void kfast_remember(
	struct kernel_text *k, struct kop *op, const uint8_t *record, const char *text, size_t n)
{
	uint64_t v = kload_low(record + op->from, op->size);
	struct kmemo *m;

	if (!op->memos)
		op->memos = arena_alloc(&k->arena, sizeof(*op->memos) << op->memo_bits);
	if (!op->memos || n > sizeof(m->text))
		return; /* it is done in the general way again */
	m = kmemo_of(op, v);
	m->value = v;
	m->len = (uint8_t)(n + 1);
	memcpy(m->text, text, n);
}

/* ---- the others ---- */

/* A copy of the text that may be read beyond its end. */
static void take_text(struct kernel_text *k, struct kop *op)
{
	char *text = op->len <= KPLAN_PAD ? arena_alloc(&k->arena, op->len + KPLAN_PAD) : NULL;

	if (!text)
		return;
	memcpy(text, op->text, op->len);
	op->text = text;
	op->fast = op->fast_else = KF_TEXT;
}

static void take_string(const struct kernel_text *k, struct kop *op)
{
	const struct kstring *s = op->string;

	if (!op->spec.is_plain || (s->kind != KS_FIXED && (s->kind != KS_DYN || k->swap)))
		return;
	op->from = s->offset;
	op->len = s->len;
	op->fast = s->kind == KS_FIXED ? KF_FIXED : s->rel ? KF_RELATIVE : KF_DYNAMIC;
	op->fast_else = op->fast;
}

static void take_pointer(const struct kernel_text *k, struct kop *op)
{
	if (!k->o.like_kernel || op->value->kind != KX_LOAD)
		return;
	op->fast = KF_HEX; /* with k->as_kernel only */
	op->size = op->value->size;
	op->from = op->value->offset;
	op->least = 16;
}

static void take_argument(struct kop *op)
{
	if (op->value->kind != KX_LOAD)
		return;
	op->fast = op->fast_else = KF_ARGUMENT;
	op->size = op->value->size;
	op->from = op->value->offset;
}

/* Short texts become part of the steps behind them. */
static void join(struct kplan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->nops; i++) {
		struct kop op = plan->ops[i];

		if (op.kind == KO_TEXT && op.len <= KBEFORE && i + 1 < plan->nops) {
			struct kop *next = &plan->ops[i + 1];

			memcpy(next->before, op.text, op.len);
			next->before_len = (uint8_t)op.len;
			if (!op.before_len)
				continue;
			next->before_len = 0;
		}
		plan->ops[n++] = op;
	}
	plan->nops = n;
}

void kplan_finish(struct kernel_text *k, struct kplan *plan)
{
	bool as_stored = !k->swap && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

	join(plan);

	for (uint32_t i = 0; i < plan->nops; i++) {
		struct kop *op = &plan->ops[i];

		op->fast = op->fast_else = KF_NONE;
		switch ((enum kop_kind)op->kind) {
		case KO_TEXT: take_text(k, op); break;
		case KO_NUMBER:
			if (as_stored)
				take_number(op);
			if (!op->fast)
				take_memo(op);
			break;
		case KO_STRING:
			take_string(k, op);
			if (!op->fast)
				take_memo(op);
			break;
		case KO_FUNCTION:
		case KO_CALL_SITE: take_memo(op); break;
		case KO_POINTER:
			if (as_stored)
				take_pointer(k, op);
			break;
		case KO_ARGUMENT:
			if (as_stored)
				take_argument(op);
			break;
		case KO_ADDRESS: break;
		}
	}
}
