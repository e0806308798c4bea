/* System calls' own events as the kernel's trace file has them, which is not what their formats say:
 *
 *	sys_openat(dfd: 0xffffff9c, filename: 0x7f2c4a1d10b1, flags: 0x80000, mode: 0)
 *	sys_openat -> 0x3
 *
 * Before 6.18 all values were in base 16, without 0x. Kernels that record the strings behind arguments, too
 * (6.19), say in their formats what they print. */
#include "view/kernel-text-impl.h"

enum { HEX_SINCE = 6 << 8 | 18 };

static bool add_text(
	struct making *m, struct kplan *plan, const char *a, const char *b, const char *c)
{
	size_t n = strlen(a) + strlen(b) + strlen(c);
	char *text = arena_alloc(&m->k->arena, n + KPLAN_PAD);

	if (!text)
		return false;
	(void)stpcpy(stpcpy(stpcpy(text, a), b), c);
	plan->ops[plan->nops++] = (struct kop){.kind = KO_TEXT, .text = text, .len = (uint32_t)n};
	return true;
}

static bool add_value(
	struct making *m, struct kplan *plan, const struct tep_format_field *f, bool hex)
{
	struct kop *op = &plan->ops[plan->nops++];

	*op = (struct kop){.kind = hex ? KO_NUMBER : KO_ARGUMENT,
		.spec = {.conv = 'x', .size = 1, .is_plain = true, .precision = -1},
		.value = kplan_load(m, f)};
	return op->value != NULL;
}

static bool enter(
	struct making *m, struct kplan *plan, const struct tep_format_field *f, const char *call)
{
	bool hex = m->k->o.kernel_version && m->k->o.kernel_version < HEX_SINCE;
	const char *before = "";

	if (!add_text(m, plan, "sys_", call, "("))
		return false;
	for (; f; f = f->next, before = ", ")
		if (!add_text(m, plan, before, f->name, ": ") || !add_value(m, plan, f, hex))
			return false;
	return add_text(m, plan, ")", "", "");
}

struct kplan *kplan_syscall(struct kernel_text *k, struct tep_event *e)
{
	static const char in[] = "sys_enter_", out[] = "sys_exit_";
	struct making m = {.k = k, .e = e};
	bool enters = strncmp(e->name, in, strlen(in)) == 0;
	const struct tep_format_field *f = e->format.fields;
	struct kplan *plan;
	uint32_t n = 0;

	if (strcmp(e->system, "syscalls") != 0 || !f ||
		(!enters && strncmp(e->name, out, strlen(out)) != 0))
		return NULL;
	f = f->next; /* behind the call's number */
	for (const struct tep_format_field *i = f; i; i = i->next, n++)
		if (i->flags & TEP_FIELD_IS_DYNAMIC || (uint32_t)i->size != k->o.long_size)
			return NULL;
	plan = arena_alloc(&k->arena, sizeof(*plan));
	if (plan)
		plan->ops = arena_alloc(&k->arena, (2 * n + 2) * sizeof(*plan->ops));
	if (!plan || !plan->ops || (!enters && n != 1))
		return NULL;
	if (enters ? !enter(&m, plan, f, e->name + strlen(in))
		   : !add_text(&m, plan, "sys_", e->name + strlen(out), " -> 0x") ||
				!add_value(&m, plan, f, true))
		return NULL;
	kplan_finish(k, plan);
	plan->need = m.need;
	return plan;
}
