/* The field that a length or a tag names: one that comes before, relative to the structures around
 * it, innermost first, then at the top of the outer scopes (some writers rely on it); or from a
 * scope's root ("stream.event.context.x"). The field gets a slot in which decoding leaves its value.
 *
 * CTF 2 passes through: a name that follows an array, an optional field or a variant is looked for in
 * their elements, field or options. Several options may have it: all share one slot.
 */
#include "ctf/decode-impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int plan_bad_path(struct planner *p, const struct ctfr_path *path, const char *what)
{
	char text[160] = "";
	size_t n = 0;

	for (uint32_t i = 0; i < path->n && n < sizeof(text) - 1; i++) {
		int w = snprintf(text + n, sizeof(text) - n, "%s%s", i ? "." : "", path->names[i]);

		n += w > 0 ? (size_t)w : 0;
	}
	error_set(p->err, -EINVAL, "'%s' %s", text, what);
	error_where(p->err, "%s:%u:%u", p->m->name, path->line, path->column);
	return -EINVAL;
}

struct ctfr_node *plan_kid(const struct ctfr_node *n, const char *name)
{
	if (n->pub.kind != CAIRN_TYPE_STRUCT && n->pub.kind != CAIRN_TYPE_VARIANT)
		return NULL;
	for (uint32_t i = 0; i < n->nkids; i++)
		if (strcmp(n->kids[i]->raw_name, name) == 0)
			return n->kids[i];
	for (uint32_t i = 0; i < n->nkids; i++)
		if (strcmp(ctfr_shown(n->kids[i]->raw_name), ctfr_shown(name)) == 0)
			return n->kids[i];
	return NULL;
}

#define MAX_TARGETS 64u /* one path, in options of variants */

struct targets {
	struct ctfr_node *found[MAX_TARGETS];
	uint32_t n, steps;
	bool through; /* as CTF 2 */
};

static void descend(
	struct targets *t, struct ctfr_node *n, const struct ctfr_path *path, uint32_t from)
{
	bool is_list = n && n->pub.kind >= CAIRN_TYPE_VARIANT;

	t->steps++;
	if (!n || t->n == MAX_TARGETS || t->steps > CTFR_MAX_NODES)
		return;
	if (t->through && is_list) {
		for (uint32_t i = 0; i < n->nkids; i++)
			descend(t, n->kids[i], path, from);
	} else if (from == path->n) {
		t->found[t->n++] = n;
	} else {
		descend(t, plan_kid(n, path->names[from]), path, from + 1);
	}
}

static const struct {
	const char *names[3];
	enum root root;
} prefixes[] = {
	{{"trace", "packet", "header"}, ROOT_PACKET_HEADER},
	{{"stream", "packet", "context"}, ROOT_PACKET_CONTEXT},
	{{"stream", "event", "header"}, ROOT_EVENT_HEADER},
	{{"stream", "event", "context"}, ROOT_STREAM_CONTEXT},
	{{"packet", "header", NULL}, ROOT_PACKET_HEADER},
	{{"packet", "context", NULL}, ROOT_PACKET_CONTEXT},
	{{"event", "header", NULL}, ROOT_EVENT_HEADER},
	{{"event", "context", NULL}, ROOT_EVENT_CONTEXT},
	{{"event", "fields", NULL}, ROOT_FIELDS},
};

/* From a scope's root by its name in TSDL; false if path does not begin with one. */
static bool find_by_prefix(
	const struct planner *p, const struct ctfr_path *path, struct targets *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		uint32_t n = 0;

		while (n < 3 && prefixes[i].names[n] && n < path->n &&
			strcmp(path->names[n], prefixes[i].names[n]) == 0)
			n++;
		if ((n == 3 || !prefixes[i].names[n]) && n < path->n) {
			descend(ret, p->roots[prefixes[i].root], path, n);
			return true;
		}
	}
	return false;
}

static void find(const struct planner *p, const struct ctfr_path *path, struct targets *ret)
{
	uint32_t ups = path->ups;

	ret->through = path->origin != CTFR_BY_NAMES;
	if (path->origin >= CTFR_FROM_ROOTS) {
		descend(ret, p->roots[path->origin - CTFR_FROM_ROOTS], path, 0);
		return;
	}
	if (path->origin == CTFR_BY_NAMES && find_by_prefix(p, path, ret))
		return;
	for (int d = p->depth - 1; d >= 0; d--) {
		if (p->frames[d]->pub.kind != CAIRN_TYPE_STRUCT)
			continue;
		if (ups) {
			ups--;
		} else if (plan_kid(p->frames[d], path->names[0])) {
			descend(ret, p->frames[d], path, 0);
			return;
		}
	}
	for (int r = (int)p->current - 1; r >= 0; r--)
		if (p->roots[r] && plan_kid(p->roots[r], path->names[0])) {
			descend(ret, p->roots[r], path, 0);
			return;
		}
}

/* The slot of an environment's number: "env.x". */
static int env_slot(struct planner *p, const struct ctfr_path *path, int32_t *ret)
{
	struct ctfr_meta *m = p->m;

	for (size_t i = 0; path->n == 2 && i < m->nfacts; i++) {
		if (m->facts[i].text || strcmp(m->facts[i].name, path->names[1]) != 0)
			continue;
		if (m->nenv_slots == ARRAY_SIZE(m->env_slots))
			return plan_bad_path(
				p, path, "is one too many of env's numbers used as length");
		m->env_slots[m->nenv_slots] = (uint64_t)m->facts[i].number;
		*ret = (int32_t)m->nenv_slots++;
		return 0;
	}
	return plan_bad_path(p, path, "is no number of env");
}

/* The slot of all these fields: only one of them is there at a time. */
static int shared_slot(
	struct planner *p, const struct ctfr_path *path, const struct targets *t, int32_t *ret)
{
	int32_t slot = -1;

	for (uint32_t i = 0; i < t->n; i++) {
		const struct ctfr_node *n = t->found[i];

		if (n->pub.kind != CAIRN_TYPE_INT && n->pub.kind != CAIRN_TYPE_ENUM)
			return plan_bad_path(p, path, "is no integer");
		if (n->pub.is_signed != t->found[0]->pub.is_signed ||
			(n->slot >= 0 && slot >= 0 && n->slot != slot))
			return plan_bad_path(p, path, "names fields that differ too much");
		slot = MAX(slot, n->slot);
	}
	if (slot < 0) {
		if (p->m->nslots >= CTFR_MAX_SLOTS)
			return plan_bad_path(
				p, path, "is one too many of the fields others refer to");
		slot = (int32_t)p->m->nslots++;
	}
	for (uint32_t i = 0; i < t->n; i++)
		t->found[i]->slot = slot;
	*ret = slot;
	return 0;
}

int plan_resolve(struct planner *p, const struct ctfr_path *path, int32_t *ret_slot,
	struct ctfr_node **ret_target)
{
	struct targets t = {0};
	int r;

	*ret_target = NULL;
	if (path->origin == CTFR_BY_NAMES && path->n > 1 && strcmp(path->names[0], "env") == 0)
		return env_slot(p, path, ret_slot);
	find(p, path, &t);
	p->m->nnodes += t.steps;
	if (p->m->nnodes > CTFR_MAX_NODES)
		return plan_bad_path(p, path, "is looked for in too many places");
	if (t.n == 0)
		return plan_bad_path(p, path, "names no field that comes before");
	r = shared_slot(p, path, &t, ret_slot);
	if (r == 0)
		*ret_target = t.found[0];
	return r;
}
