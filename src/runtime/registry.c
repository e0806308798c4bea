/* What can be traced in this process: modules (executable and libraries with sites), their sites,
 * and the events these fire, told apart by their descriptions.
 *
 * Modules come by cairn_rt_register_v1() (constructors, dlopen) and go by unregister (dlclose, and
 * exit). At exit other threads may still fire: so unregistering neither unpatches sites nor clears
 * slots; the sinks of an event that was in such a module are never freed (struct rt_event, gone).
 * Events stay known: a plugin that is loaded again gets its event number and its enablings back.
 */
#include "runtime/runtime-impl.h"
#include <linux/futex.h>

struct rt_state rt;

/* ---- descriptions ---- */

static bool desc_is_valid(const struct cairn_desc *d)
{
	size_t fixed = sizeof(*d) + d->nfields * sizeof(struct cairn_field) + d->nlabels * 8u;

	return d->abi == CAIRN_ABI && d->nfields <= CAIRN_MAX_FIELDS && d->size > fixed + 1 &&
		d->size <= CAIRN_MSG_MAX - 64 && ((const char *)d)[d->size - 1] == 0;
}

/* The part of the strings that names the place (file and function), as [*ret_from, *ret_to). */
static void place_strings(const struct cairn_desc *d, size_t *ret_from, size_t *ret_to)
{
	const char *all = (const char *)d;
	size_t at = sizeof(*d) + d->nfields * sizeof(struct cairn_field) + d->nlabels * 8u;
	int skip = d->flags & CAIRN_DESC_LOG ? 3 : 2;

	for (; skip && at < d->size; skip--)
		at += rt_strlen(all + at) + 1;
	*ret_from = at;
	for (skip = 2; skip && at < d->size; skip--)
		at += rt_strlen(all + at) + 1;
	*ret_to = at;
}

/* Equal in all but file, line and function? */
static bool desc_same(const struct cairn_desc *a, const struct cairn_desc *b)
{
	size_t a_from, a_to, b_from, b_to;
	const char *x = (const char *)a, *y = (const char *)b;

	if (a->loglevel != b->loglevel || a->flags != b->flags || a->nfields != b->nfields ||
		a->nlabels != b->nlabels)
		return false;
	place_strings(a, &a_from, &a_to);
	place_strings(b, &b_from, &b_to);
	return a_from == b_from && a->size - a_to == b->size - b_to &&
		rt_equal(x + sizeof(*a), y + sizeof(*b), a_from - sizeof(*a)) &&
		rt_equal(x + a_to, y + b_to, a->size - a_to);
}

static uint32_t hash_add(uint32_t h, const char *p, size_t n)
{
	for (; n; n--)
		h = (h ^ (uint8_t)*p++) * 16777619u;
	return h;
}

static uint32_t desc_hash(const struct cairn_desc *d)
{
	size_t from, to;
	const char *p = (const char *)d;
	uint32_t h = 2166136261u ^ d->loglevel;

	place_strings(d, &from, &to);
	h = hash_add(h, p + sizeof(*d), from - sizeof(*d));
	return hash_add(h, p + to, d->size - to);
}

/* ---- events ---- */

struct rt_event *rt_event_get(uint32_t number)
{
	return number && number <= rt.nevents ? rt.events[number - 1] : NULL;
}

static struct rt_event *event_add(const struct cairn_desc *d, uint32_t hash)
{
	struct rt_event *e;

	if (rt.nevents == rt.cap_events) {
		uint32_t cap = rt.cap_events ? rt.cap_events * 2 : 64;
		struct rt_event **events = rt_alloc(cap * sizeof(struct rt_event *));

		if (!events)
			return NULL;
		rt_copy(events, rt.events, rt.nevents * sizeof(struct rt_event *));
		rt_free(rt.events);
		rt.events = events;
		rt.cap_events = cap;
	}
	e = rt_alloc(sizeof(*e));
	if (!e)
		return NULL;
	e->desc = rt_alloc(d->size);
	if (!e->desc) {
		rt_free(e);
		return NULL;
	}
	rt_copy(e->desc, d, d->size);
	e->hash = hash;
	e->number = rt.nevents + 1;
	e->next = rt.buckets[hash % RT_HASH_BUCKETS];
	rt.buckets[hash % RT_HASH_BUCKETS] = e->number;
	rt.events[rt.nevents++] = e;
	return e;
}

static struct rt_event *event_of(const struct cairn_desc *d)
{
	uint32_t hash = desc_hash(d);

	for (uint32_t n = rt.buckets[hash % RT_HASH_BUCKETS]; n; n = rt.events[n - 1]->next) {
		struct rt_event *e = rt.events[n - 1];

		if (e->hash == hash && desc_same(e->desc, d))
			return e;
	}
	return event_add(d, hash);
}

/* ---- modules ---- */

static const void *follow(const int32_t *rel)
{
	return *rel ? (const uint8_t *)rel + *rel : NULL;
}

static void site_down(struct rt_site *s, uint32_t i, uint32_t n)
{
	for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
		struct rt_site t;

		if (child + 1 < n && s[child + 1].nop > s[child].nop)
			child++;
		if (s[i].nop >= s[child].nop)
			return;
		t = s[i];
		s[i] = s[child];
		s[child] = t;
	}
}

static void sort_sites(struct rt_site *s, uint32_t n) /* heap sort: no memory, no recursion */
{
	for (uint32_t i = n / 2; i-- > 0;)
		site_down(s, i, n);
	for (uint32_t i = n; i-- > 1;) {
		struct rt_site t = s[0];

		s[0] = s[i];
		s[i] = t;
		site_down(s, 0, i);
	}
}

static void site_add(struct rt_module *mod, const struct cairn_site *site)
{
	const struct cairn_desc *d = follow(&site->desc);
	struct cairn_slot *slot = (struct cairn_slot *)follow(&site->slot);
	struct rt_site *s = &mod->sites[mod->nsites];
	struct rt_event *e;

	if (!d || !slot || !desc_is_valid(d))
		return; /* made by a newer trace.h, or discarded by the linker */
	e = event_of(d);
	if (!e)
		return;
	s->nop = (uintptr_t)follow(&site->nop);
	s->target = (uintptr_t)follow(&site->target);
	s->slot = slot;
	s->event = e->number;
	mod->nsites++;
	e->nsites++;
	e->changed = rt.changes;
	if (e->sinks) { /* already recorded: switched on before main, or before dlopen returns */
		store_release(&slot->sinks, e->sinks); /* pairs with [sinks] in fire.c */
		store_release(&slot->enabled, 1); /* pairs with the site's test of it */
		mod->dirty = 1;
	}
}

static struct rt_module *module_add(struct cairn_module *m)
{
	size_t n = (size_t)(m->end - m->begin);
	struct rt_module *mod = rt_alloc(sizeof(*mod));

	if (!mod)
		return NULL;
	mod->sites = rt_alloc((n ? n : 1) * sizeof(*mod->sites));
	if (!mod->sites) {
		rt_free(mod);
		return NULL;
	}
	rt.changes++;
	mod->m = m;
	m->fire = rt_fire;
	m->scratch = rt_scratch;
	m->scratch_done = rt_scratch_done;
	for (const struct cairn_site *s = m->begin; s < m->end; s++)
		site_add(mod, s);
	sort_sites(mod->sites, mod->nsites);
	mod->next = rt.modules;
	rt.modules = mod;
	m->runtime = mod;
	return mod;
}

static void module_remove(struct rt_module *mod)
{
	struct rt_module **at = &rt.modules;

	while (*at && *at != mod)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = mod->next;
	rt.changes++;
	for (uint32_t i = 0; i < mod->nsites; i++) {
		struct rt_event *e = rt_event_get(mod->sites[i].event);

		e->nsites--;
		e->gone = 1;
		e->changed = rt.changes;
	}
	mod->m->runtime = NULL;
	rt_free(mod->sites);
	rt_free(mod);
}

/* ---- interface to programs ---- */

/* Waits until all hosts have answered to `changes`, but not longer than promised (msg.h). */
static void wait_synced(uint64_t changes)
{
	uint64_t began = rt_clock_now(), limit_ns = rt.wait_ms * 1000000ull;

	for (;;) {
		uint64_t synced = load_acquire(&rt.synced); /* pairs with [synced] in control.c */
		int64_t ts[2] = {0, 5000000};

		if (synced >= changes || !began || rt_clock_now() - began >= limit_ns)
			return; /* it has no time where the time is refused */
		rt_control_wake(); /* again: a signal disposition may have dropped the last */
		(void)SYS(futex, &rt.synced, FUTEX_WAIT_PRIVATE, (uint32_t)synced, ts, 0, 0);
	}
}

/* A child of raw fork: its registry may have been caught in the middle of a change. */
static bool is_raw_child(void)
{
	return load_acquire(&rt.home_gen) != load_acquire(rt.gen);
}

static bool module_is_valid(const struct cairn_module *m)
{
	return m && m->abi == CAIRN_ABI && m->size >= sizeof(*m) && m->begin <= m->end;
}

__attribute__((visibility("default"))) int cairn_rt_register_v1(struct cairn_module *m)
{
	struct rt_module *mod;
	uint64_t mask, changes;
	int err;

	if (!module_is_valid(m))
		return -22 /* EINVAL */;
	err = rt_init();
	if (err)
		return err;
	if (is_raw_child())
		return -10 /* ECHILD */;
	mask = rt_lock();
	mod = m->runtime ? m->runtime : module_add(m);
	changes = rt.changes;
	rt_unlock(mask);
	if (!mod)
		return -12 /* ENOMEM */;
	if (rt_control_start())
		wait_synced(changes);
	return 0;
}

__attribute__((visibility("default"))) void cairn_rt_unregister_v1(struct cairn_module *m)
{
	uint64_t mask;

	if (!module_is_valid(m) || !m->runtime || is_raw_child())
		return;
	mask = rt_lock();
	if (m->runtime)
		module_remove(m->runtime);
	rt_unlock(mask);
	rt_control_wake();
}
