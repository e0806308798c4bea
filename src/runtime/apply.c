/* Making what sessions ask for true: from enablings to sinks, slots and patched sites.
 *
 * Order, so that a site that jumps always finds its sinks:
 *	switching on	publish the sinks in the slots, then patch the sites
 *	switching off	restore the sites, then clear the slots, free the sinks after grace
 * All under rt.lock, by the control thread.
 */
#include "ring/producer-quick.h"
#include "runtime/runtime-impl.h"

static struct rt_want *find_want(struct rt_event *e, const struct rt_set *set)
{
	for (uint32_t i = 0; i < e->nwants; i++)
		if (e->wants[i].set == set)
			return &e->wants[i];
	return NULL;
}

int rt_event_want(uint32_t number, struct rt_set *set, uint32_t id)
{
	struct rt_event *e = rt_event_get(number);
	struct rt_want *w;

	if (!e)
		return -2 /* ENOENT */;
	w = find_want(e, set);
	if (w) {
		e->dirty |= w->id != id;
		w->id = id;
		return 0;
	}
	if (e->nwants == e->cap) {
		struct rt_want *wants = rt_alloc((e->cap + 4) * sizeof(*wants));

		if (!wants)
			return -12 /* ENOMEM */;
		rt_copy(wants, e->wants, e->nwants * sizeof(*wants));
		rt_free(e->wants);
		e->wants = wants;
		e->cap += 4;
	}
	e->wants[e->nwants].set = set;
	e->wants[e->nwants].id = id;
	e->nwants++;
	e->dirty = 1;
	return 0;
}

int rt_event_unwant(uint32_t number, struct rt_set *set)
{
	struct rt_event *e = rt_event_get(number);
	struct rt_want *w = e ? find_want(e, set) : NULL;

	if (!w)
		return -2 /* ENOENT */;
	*w = e->wants[--e->nwants];
	e->dirty = 1;
	return 0;
}

void rt_set_unwant(struct rt_set *set)
{
	for (uint32_t n = 1; n <= rt.nevents; n++)
		(void)rt_event_unwant(n, set); /* most do not want it */
}

static void make_quick(struct rt_sinks *sinks, const struct rt_set *set)
{
	uint64_t max =
		ring_max_body(&set->p->rings[0]) - sizeof(uint32_t); /* all rings are alike */

	if (set->contexts != 1u << CAIRN_CTX_TID || set->perf_count || !ring_set_is_quick(set->p) ||
		sinks->sink[0].id > RING_QUICK_ID_MAX || rt.no_restart)
		return;
	sinks->quick.set = set->p;
	sinks->quick.id = RING_QUICK_ID(sinks->sink[0].id);
	sinks->quick.end = (max < CAIRN_STACK_MAX ? (uint32_t)max : CAIRN_STACK_MAX) + 1;
}

static struct rt_sinks *make_sinks(const struct rt_event *e)
{
	struct rt_sinks *sinks = rt_alloc(sizeof(*sinks) + e->nwants * sizeof(sinks->sink[0]));

	if (!sinks)
		return NULL;
	for (uint32_t i = 0; i < e->nwants; i++) {
		const struct rt_set *set = e->wants[i].set;

		sinks->sink[i].set = set;
		sinks->sink[i].id = e->wants[i].id;
	}
	sinks->n = e->nwants;
	if (sinks->n == 1)
		make_quick(sinks, sinks->sink[0].set);
	return sinks;
}

/* Puts the events' sinks into the slots of all modules; `on`: those that have any, else those
 * that have none. */
static void publish(bool on)
{
	for (struct rt_module *m = rt.modules; m; m = m->next) {
		for (uint32_t i = 0; i < m->nsites; i++) {
			struct rt_event *e = rt.events[m->sites[i].event - 1];
			struct cairn_slot *slot = m->sites[i].slot;

			if (!e->dirty || (e->sinks != NULL) != on)
				continue;
			m->dirty = 1;
			if (!on)
				store_release(&slot->enabled, 0); /* pairs with the site's test */
			store_release(&slot->sinks, e->sinks); /* pairs with [sinks] in fire.c */
			if (on)
				store_release(&slot->enabled, 1); /* pairs with the site's test */
		}
	}
}

static void patch_all(void)
{
	for (struct rt_module *m = rt.modules; m; m = m->next) {
		if (!m->dirty)
			continue;
		m->dirty = 0;
		rt_patch_module(m);
	}
}

static void mark_dirty_modules(void)
{
	for (struct rt_module *m = rt.modules; m; m = m->next)
		for (uint32_t i = 0; i < m->nsites && !m->dirty; i++)
			m->dirty = rt.events[m->sites[i].event - 1]->dirty != 0;
}

/* Swaps in the new sinks of a dirty event. Gives the old ones. */
static void renew_sinks(struct rt_event *e)
{
	e->old = e->sinks;
	e->sinks = e->nwants ? make_sinks(e) : NULL; /* without memory: off, and safe */
}

static void count_failed(void)
{
	for (struct rt_module *m = rt.modules; m; m = m->next)
		for (uint32_t i = 0; i < m->nsites; i++)
			rt.events[m->sites[i].event - 1]->failed += m->sites[i].failed;
}

void rt_apply(void)
{
	uint32_t any = 0;

	for (uint32_t i = 0; i < rt.nevents; i++) {
		rt.events[i]->failed = 0;
		if (rt.events[i]->dirty)
			renew_sinks(rt.events[i]);
		any |= rt.events[i]->dirty;
	}
	if (any) {
		mark_dirty_modules();
		publish(true);
	}
	patch_all();
	count_failed();
	if (!any)
		return;
	publish(false);
	for (uint32_t i = 0; i < rt.nevents; i++) {
		struct rt_event *e = rt.events[i];

		if (!e->dirty)
			continue;
		if (!e->gone)
			rt_defer(rt_free, e->old);
		else if (e->old) { /* a slot that outlived its module may still point there */
			store_release(&e->old->quick.end, 0); /* fire() looks at this */
			store_release(&e->old->n, 0); /* and at this first */
		}
		e->old = NULL;
		e->dirty = 0;
	}
}
