/* The kernel's part of a session: its probes. Each is made in a group called after the session's
 * instance (whoever finds it later sees whose it was), switched on in that instance alone, and shown
 * in the trace under the name that was asked for. */
#include "session/kernel-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROBES_MAX 512u

static bool find_kind(const char *name, enum dynevent_kind *ret)
{
	for (int k = DYNEVENT_KPROBE; k <= DYNEVENT_TPROBE; k++) {
		if (name && strcmp(dynevent_kind_name((enum dynevent_kind)k), name) == 0) {
			*ret = (enum dynevent_kind)k;
			return true;
		}
	}
	return false;
}

static bool find_with(const char *name, enum kprobe_with *ret)
{
	*ret = !name			   ? KPROBE_WITH_AUTO
		: strcmp(name, "bpf") == 0 ? KPROBE_WITH_BPF
					   : KPROBE_WITH_TRACEFS;
	return !name || *ret == KPROBE_WITH_BPF || strcmp(name, "tracefs") == 0;
}

int krec_probes_read(struct krec *k, struct json_object *o, struct error *err)
{
	struct json_object *list = json_get(o, "probes", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *probe = json_object_array_get_idx(list, i);
		const char *kind = json_str(probe, "kind"), *text = json_str(probe, "text");
		struct krec_probe *p;

		if (k->nprobes >= PROBES_MAX)
			return error_set(
				err, -E2BIG, "a session has %u probes at most", PROBES_MAX);
		p = VEC_ADD(k->probes, k->nprobes, k->cprobes);
		if (!p)
			return error_set(err, -ENOMEM, "no memory for a session");
		if (!find_kind(kind, &p->kind) || !text)
			return error_set(
				err, -EINVAL, "no such kind of probe: %.40s", kind ? kind : "none");
		if (!find_with(json_str(probe, "with"), &p->with))
			return error_set(err, -EINVAL, "probes are made by tracefs or by bpf");
		p->text = strdup(text);
		if (!p->text)
			return error_set(err, -ENOMEM, "no memory for a session");
	}
	return 0;
}

void krec_probes_to_json(const struct cairn_kernel_config *c, struct json_object *o)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < c->nprobes; i++) {
		struct json_object *p = json_object_new_object();

		json_add_str(p, "kind", c->probes[i].kind);
		json_add_str(p, "text", c->probes[i].text);
		if (c->probes[i].with)
			json_add_str(p, "with", c->probes[i].with);
		json_object_array_add(list, p);
	}
	json_object_object_add(o, "probes", list);
}

static int note_names(struct krec_probe *p, const struct dynevent *d, struct error *err)
{
	free(p->event);
	free(p->shown_group);
	p->event = strdup(d->event);
	p->shown_group = strdup(d->shown_group);
	return p->event && p->shown_group ? 0 : error_set(err, -ENOMEM, "no memory for probes");
}

static int start_tracefs(struct session *s, struct krec_probe *p, const struct dynevent *d,
	const char *group, struct error *err)
{
	struct krec *k = s->kernel;
	int r = dynevent_create(k->top, d, err);

	if (r < 0) {
		error_where(err, "--%s '%.80s'", dynevent_kind_name(p->kind), p->text);
		return r;
	}
	k->has_probes = true;
	r = note_names(p, d, err);
	if (r == 0)
		r = krec_learn(k, group, d->event, d->shown_group, err);
	if (r == 0)
		r = tracefs_enable(k->instance, group, d->event, true, err);
	return r;
}

static int start_bpf(struct session *s, struct dynevent_world *w, struct krec_probe *p,
	const struct dynevent *d, struct error *err)
{
	int r = krec_bpf_add(s, w, d, &p->bpf_id, err);

	if (r == 0)
		return note_names(p, d, err);
	error_where(err, "--%s '%.80s'", dynevent_kind_name(p->kind), p->text);
	return r;
}

/* Another probe of the session that is shown under the same name would be taken for this one. */
static bool is_taken(const struct krec *k, const struct krec_probe *p, const struct dynevent *d)
{
	for (size_t i = 0; i < k->nprobes; i++) {
		const struct krec_probe *other = &k->probes[i];

		if (other != p && other->event && other->is_made &&
			strcmp(other->event, d->event) == 0)
			return true;
	}
	return false;
}

static int start_one(struct session *s, struct dynevent_world *w, struct krec_probe *p,
	const char *group, struct error *err)
{
	AUTO(dynevent) struct dynevent d = {0};
	struct dynevent_fault fault;
	bool bpf;
	int r = kprobe_parse(w, p->kind, p->with, group, p->text, &d, &bpf, &fault);

	if (r < 0) {
		*err = fault.error;
		error_where(err, "--%s, column %zu", dynevent_kind_name(p->kind), fault.at + 1);
		return r;
	}
	if (is_taken(s->kernel, p, &d)) {
		(void)error_set(err, -EEXIST, "two probes are called '%s'", d.event);
		error_where(err, "--%s '%.80s'", dynevent_kind_name(p->kind), p->text);
		error_hint(err, "give one of them another name: NAME=%.100s", p->text);
		return -EEXIST;
	}
	p->bpf_id = 0;
	r = bpf ? start_bpf(s, w, p, &d, err) : start_tracefs(s, p, &d, group, err);
	p->is_made = r == 0;
	return r;
}

int krec_probes_start(struct session *s, size_t from, struct error *err)
{
	struct krec *k = s->kernel;
	struct dynevent_world *w;
	char group[80];
	int r = 0;

	if (from >= k->nprobes)
		return 0;
	w = dynevent_world_new(NULL, karch_native());
	if (!w)
		return error_set(err, -ENOMEM, "no memory for probes");
	dynevent_group(k->instance->name, group, sizeof(group));
	for (size_t i = from; i < k->nprobes && r == 0; i++)
		r = k->probes[i].is_off ? 0 : start_one(s, w, &k->probes[i], group, err);
	dynevent_world_free(w);
	return r;
}

/* ---- while it records ---- */

static void probes_cut(struct krec *k, size_t n)
{
	while (k->nprobes > n) {
		struct krec_probe *p = &k->probes[--k->nprobes];

		free(p->text);
		free(p->event);
		free(p->shown_group);
	}
}

static void switch_probe(struct krec *k, struct krec_probe *p, bool on)
{
	char group[80];

	p->is_off = !on;
	if (!k->instance || !p->event)
		return;
	if (p->bpf_id) {
		krec_bpf_switch(k, p->bpf_id, on);
		return;
	}
	dynevent_group(k->instance->name, group, sizeof(group));
	(void)tracefs_enable(k->instance, group, p->event, on, NULL); /* it was made and switched */
}

/* Probes that were taken back, and are asked for again. */
static void take_known(struct krec *k, size_t from)
{
	for (size_t i = from; i < k->nprobes;) {
		size_t j = 0;

		while (j < from &&
			(k->probes[j].kind != k->probes[i].kind || !k->probes[j].is_off ||
				strcmp(k->probes[j].text, k->probes[i].text) != 0))
			j++;
		if (j == from) {
			i++;
			continue;
		}
		switch_probe(k, &k->probes[j], true);
		free(k->probes[i].text);
		k->probes[i] = k->probes[--k->nprobes];
	}
}

int krec_probes_add(struct session *s, struct json_object *o, struct error *err)
{
	struct krec *k = s->kernel;
	size_t before = k->nprobes;
	int r = krec_probes_read(k, o, err);

	if (r < 0) {
		probes_cut(k, before);
		return r;
	}
	take_known(k, before);
	if (!k->instance)
		return 0;
	r = krec_probes_start(s, before, err);
	if (r == 0)
		return 0;
	/* what was made before the one that is wrong stays made, but is off */
	while (k->nprobes > before && !k->probes[k->nprobes - 1].event)
		probes_cut(k, k->nprobes - 1);
	for (size_t i = before; i < k->nprobes; i++)
		switch_probe(k, &k->probes[i], false);
	return r;
}

int krec_probes_take_back(struct krec *k, const char *pattern)
{
	int n = 0;

	for (size_t i = 0; i < k->nprobes; i++) {
		struct krec_probe *p = &k->probes[i];

		if (p->is_off ||
			(strcmp(p->text, pattern) != 0 &&
				(!p->event ||
					!tracefs_event_matches(pattern, p->shown_group, p->event))))
			continue;
		switch_probe(k, p, false);
		n++;
	}
	return n;
}

struct json_object *krec_probes_list(const struct krec *k)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < k->nprobes; i++) {
		struct json_object *p = json_object_new_object();

		json_add_str(p, "kind", dynevent_kind_name(k->probes[i].kind));
		json_add_str(p, "text", k->probes[i].text);
		if (!k->probes[i].is_off)
			json_object_array_add(list, p);
		else
			json_object_put(p);
	}
	return list;
}

/* ---- the end ---- */

void krec_probes_stop(struct session *s, const char *group)
{
	struct krec *k = s->kernel;
	struct error err = {0};

	if (k->has_probes && group[0] && k->top && dynevent_remove_group(k->top, group, &err) < 0)
		host_say(s->host, "%s; `cairn kernel clean` removes what is left", err.message);
	k->has_probes = false;
	for (size_t i = 0; i < k->nprobes;) { /* those taken back are gone now */
		struct krec_probe p = k->probes[i];

		k->probes[i].is_made = false;
		if (!p.is_off) {
			i++;
			continue;
		}
		k->probes[i] = k->probes[k->nprobes - 1];
		k->probes[k->nprobes - 1] = p;
		probes_cut(k, k->nprobes - 1);
	}
}

void krec_probes_free(struct krec *k)
{
	probes_cut(k, 0);
	free(k->probes);
}
