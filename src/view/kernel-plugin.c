/* Plans of what libtraceevent's plugins for the scheduler and for allocations print: the events that traces
 * have most of. */
#include "view/kernel-text-impl.h"

struct part {
	char before[KPLAN_PAD]; /* text in front */
	const char *field;
	char conv; /* 's', 'd', 'S': a task's state */
	int width, size; /* of the number: 2: as long long */
};

static bool add_part(struct making *m, struct kplan *plan, const struct part *part)
{
	static const struct klabel states[] = {{1, false, "S", 1}, {2, false, "D", 1},
		{4, false, "T", 1}, {8, false, "t", 1}, {16, false, "Z", 1}, {32, false, "X", 1},
		{64, false, "x", 1}, {128, false, "W", 1}};
	static const struct kstring running = {.kind = KS_CONST, .text = "R", .len = 1};
	const struct tep_format_field *f =
		part->field ? tep_find_any_field(m->e, part->field) : NULL;
	struct tep_print_arg arg = {.type = TEP_PRINT_FIELD};
	struct kop *op = &plan->ops[plan->nops];
	struct kstring *s, *named;
	struct kexpr *mask;

	*op++ = (struct kop){
		.kind = KO_TEXT, .text = part->before, .len = (uint32_t)strlen(part->before)};
	plan->nops++;
	if (!part->field)
		return true;
	if (!f)
		return false;
	arg.field.field = (struct tep_format_field *)(uintptr_t)f;
	arg.field.name = f->name;
	*op = (struct kop){.kind = part->conv == 'd' ? KO_NUMBER : KO_STRING,
		.spec = {.conv = part->conv == 'd' ? (part->width ? 'u' : 'd') : 's',
			.is_plain = !part->width,
			.width = part->width,
			.zero = part->width,
			.size = part->size,
			.precision = -1}};
	plan->nops++;
	if (part->conv == 'd')
		return (op->value = kplan_load(m, f)) != NULL;
	if (part->conv == 's')
		return (op->string = kplan_string(m, &arg)) != NULL;
	s = arena_alloc(&m->k->arena, sizeof(*s));
	named = arena_alloc(&m->k->arena, sizeof(*named));
	if (!s || !named)
		return false;
	*named = (struct kstring){.kind = KS_FLAGS,
		.text = "|",
		.len = 1,
		.labels = states,
		.nlabels = ARRAY_SIZE(states)};
	*s = (struct kstring){.kind = KS_COND, .yes = named, .no = &running};
	mask = kplan_expr(m, KX_NUMBER);
	if (!mask)
		return false;
	mask->number = 0xff;
	named->value = s->value = kplan_binary(m, KX_AND, kplan_load(m, f), mask);
	op->string = s;
	return s->value != NULL;
}

/* Who allocated or freed, in front of what the format says. */
static struct kplan *call_site(struct kernel_text *k, struct tep_event *e)
{
	static const char *const names[] = {"kfree", "kmalloc", "kmalloc_node", "kmem_cache_alloc",
		"kmem_cache_alloc_node", "kmem_cache_free"};
	struct making m = {.k = k, .e = e};
	struct kop op = {.kind = KO_CALL_SITE};
	struct kplan *plan;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(e->name, names[i]) != 0)
			continue;
		op.value = kplan_load(&m, tep_find_field(e, "call_site"));
		plan = op.value ? kplan_make(k, e, &op) : NULL;
		if (plan)
			plan->need = MAX(plan->need, m.need);
		return plan;
	}
	return NULL;
}

struct kplan *kplan_by_plugin(struct kernel_text *k, struct tep_event *e)
{
	static const struct part switches[] = {{"", "prev_comm", 's'}, {":", "prev_pid", 'd', 0, 2},
		{" [", "prev_prio", 'd'}, {"] ", "prev_state", 'S'}, {" ==> ", "next_comm", 's'},
		{":", "next_pid", 'd', 0, 2}, {" [", "next_prio", 'd'}, {"]"}};
	static const struct part wakes[] = {{"", "comm", 's'}, {":", "pid", 'd', 0, 2},
		{" [", "prio", 'd', 0, 2}, {"] CPU:", "target_cpu", 'd', 3, 2}};
	struct making m = {.k = k, .e = e};
	bool is_switch = strcmp(e->name, "sched_switch") == 0;
	bool is_wake =
		strcmp(e->name, "sched_wakeup") == 0 || strcmp(e->name, "sched_wakeup_new") == 0;
	const struct part *parts = is_switch ? switches : wakes;
	size_t n = is_switch ? ARRAY_SIZE(switches) : ARRAY_SIZE(wakes);
	struct kplan *plan;

	if (strcmp(e->system, "kmem") == 0)
		return call_site(k, e);
	if (strcmp(e->system, "sched") != 0 || (!is_switch && !is_wake))
		return NULL;
	if (is_wake && tep_find_any_field(e, "success"))
		return NULL; /* of old kernels */
	plan = arena_alloc(&k->arena, sizeof(*plan));
	if (plan)
		plan->ops = arena_alloc(&k->arena, 2 * n * sizeof(*plan->ops));
	if (!plan || !plan->ops)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!add_part(&m, plan, &parts[i]))
			return NULL;
	kplan_finish(k, plan);
	plan->need = m.need;
	return plan;
}
