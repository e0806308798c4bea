/* The kernel's part of a session: which events it wants, as rules that come and go while it records.
 *
 * An event is wanted if a rule matches it that does not exclude it; of the rules that match, the last
 * one with a filter says the filter. Events that names of tasks are learnt from (kernel-names.c) stay
 * on in any case, hidden if nobody wants them.
 */
#include "kernel/filter.h"
#include "session/kernel-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 512u

/* ---- the list ---- */

static void rule_done(struct krec_rule *r)
{
	free(r->pattern);
	free(r->filter);
	for (size_t i = 0; i < r->nexcludes; i++)
		free(r->excludes[i]);
	free(r->excludes);
}

static void rules_cut(struct krec *k, size_t n)
{
	while (k->nrules > n)
		rule_done(&k->rules[--k->nrules]);
}

void krec_rules_free(struct krec *k)
{
	rules_cut(k, 0);
	free(k->rules);
}

/* "PATTERN if FILTER" */
static int add_rule(struct krec *k, const char *pattern, const char *filter)
{
	struct krec_rule *r =
		k->nrules < RULES_MAX ? VEC_ADD(k->rules, k->nrules, k->crules) : NULL;
	const char *own;
	size_t n;

	if (!r || !pattern)
		return -ENOMEM;
	own = kfilter_split(pattern, &n);
	filter = filter ? filter : own;
	r->pattern = strndup(pattern, n);
	r->filter = filter ? strdup(filter) : NULL;
	return r->pattern && (!filter || r->filter) ? 0 : -ENOMEM;
}

int krec_rules_read(struct krec *k, struct json_object *o, struct error *err)
{
	struct json_object *list = json_get(o, "rules", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0, before = k->nrules;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct json_object *rule = json_object_array_get_idx(list, i);

		r = add_rule(k, json_str(rule, "pattern"), json_str(rule, "filter"));
	}
	if (r == 0)
		return 0;
	rules_cut(k, before);
	return error_set(err, r, "no memory for a session, or too many kernel rules");
}

struct json_object *krec_rules_list(const struct krec *k)
{
	struct json_object *rules = json_object_new_array();

	for (size_t i = 0; i < k->nrules; i++) {
		struct json_object *r = json_object_new_object(), *x = json_object_new_array();

		json_add_str(r, "pattern", k->rules[i].pattern);
		json_add_str(r, "filter", k->rules[i].filter);
		for (size_t j = 0; j < k->rules[i].nexcludes; j++)
			json_object_array_add(x, json_object_new_string(k->rules[i].excludes[j]));
		json_object_object_add(r, "excludes", x);
		json_object_array_add(rules, r);
	}
	return rules;
}

/* ---- what they mean ---- */

static bool rule_has(const struct krec_rule *r, const char *system, const char *name)
{
	if (!tracefs_event_matches(r->pattern, system, name))
		return false;
	for (size_t i = 0; i < r->nexcludes; i++)
		if (tracefs_event_matches(r->excludes[i], system, name))
			return false;
	return true;
}

/* *ret_filter: NULL: none. */
static bool wanted(
	const struct krec *k, const char *system, const char *name, const char **ret_filter)
{
	bool found = false;

	*ret_filter = NULL;
	for (size_t i = 0; i < k->nrules; i++) {
		if (!rule_has(&k->rules[i], system, name))
			continue;
		found = true;
		if (k->rules[i].filter)
			*ret_filter = k->rules[i].filter;
	}
	return found;
}

bool krec_wants(const struct krec *k, const char *system, const char *name)
{
	const char *filter;

	return wanted(k, system, name, &filter);
}

/* ---- in the kernel ---- */

static int enable_event(struct krec *k, const struct krec_rule *rule,
	const struct tracefs_event *ev, struct error *err)
{
	int r = krec_learn(k, ev->system, ev->name, ev->system, err);

	if (r == 0 && rule->filter)
		r = tracefs_filter(k->instance, ev->system, ev->name, rule->filter, err);
	if (r == 0)
		r = tracefs_enable(k->instance, ev->system, ev->name, true, err);
	return r;
}

enum { SAID_MAX = 3 };

/* Switches on what one rule names. A pattern's events that cannot be are left out: the first are said, and how
 * many more. */
static int enable_rule(struct session *s, const struct krec_rule *rule, struct error *err)
{
	struct krec *k = s->kernel;
	AUTO(tracefs_events) struct tracefs_events list = {0};
	bool one = !strpbrk(rule->pattern, "*?");
	size_t left_out = 0;
	int r = tracefs_events(k->top, rule->pattern, &list, err);
	size_t on = 0;

	if (r == 0 && !list.n)
		return tracefs_no_event(k->top, rule->pattern, err);
	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct tracefs_event *ev = &list.all[i];
		struct error e = {0};
		int w = rule_has(rule, ev->system, ev->name) ? enable_event(k, rule, ev, &e)
							     : 0; /* excluded later */

		on += w == 0;
		host_breathe(s->host);
		if (w < 0 && (one || w == -ENOMEM || w == -EACCES || list.n == 1)) {
			*err = e;
			r = w;
		} else if (w < 0 && ++left_out <= SAID_MAX) {
			host_say(s->host, "session %s: without %s:%s: %s", s->name, ev->system,
				ev->name, e.message);
		}
	}
	if (left_out > SAID_MAX)
		host_say(s->host,
			"session %s: without %zu more of '%s': `cairn kernel check` lists them",
			s->name, left_out - SAID_MAX, rule->pattern);
	if (r == 0 && !on)
		r = error_set(err, -EINVAL, "none of the kernel events of '%s' can be recorded",
			rule->pattern);
	return r;
}

int krec_rules_start(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	int r = 0;

	for (size_t i = 0; i < k->nrules && r == 0; i++)
		r = enable_rule(s, &k->rules[i], err);
	return r;
}

/* The kernel waits for a grace period whenever a filter is set, or taken away. */
static void set_filter(struct krec *k, const struct tracefs_event *ev, const char *filter)
{
	AUTO(buf) struct buf now = {0};
	char path[512];

	(void)snprintf(
		path, sizeof(path), "events/%s/%s/filter", ev->system, ev->name); /* cut: no such */
	if (!filter && tracefs_read(k->instance, path, &now, NULL) == 0 && now.data &&
		strncmp(now.data, "none", 4) == 0)
		return;
	(void)tracefs_filter(k->instance, ev->system, ev->name, filter, NULL); /* it was good */
}

/* Events of the pattern that no rule wants any more are switched off, the others get their filter. */
static void take_off(struct session *s, const char *pattern)
{
	struct krec *k = s->kernel;
	AUTO(tracefs_events) struct tracefs_events list = {0};

	if (tracefs_events(k->top, pattern, &list, NULL) < 0)
		return; /* no memory: they stay on until the session stops */
	for (size_t i = 0; i < list.n; i++) {
		const struct tracefs_event *ev = &list.all[i];
		const char *filter;
		bool stays = wanted(k, ev->system, ev->name, &filter);

		if (!stays && !krec_names_need(k, ev->system, ev->name))
			(void)tracefs_enable(k->instance, ev->system, ev->name, false, NULL);
		set_filter(k, ev, filter);
		host_breathe(s->host);
	}
}

/* ---- while it records ---- */

static int enable_new(struct session *s, size_t from, struct error *err)
{
	struct krec *k = s->kernel;
	int r = 0;

	for (size_t i = from; i < k->nrules && r == 0; i++)
		r = enable_rule(s, &k->rules[i], err);
	return r;
}

void krec_rules_undo(struct session *s, size_t n)
{
	struct krec *k = s->kernel;

	for (size_t i = n; k->instance && i < k->nrules; i++) {
		AUTO(free) char *pattern = k->rules[i].pattern;

		k->rules[i].pattern = strdup(""); /* means nothing now */
		if (pattern && k->rules[i].pattern)
			take_off(s, pattern);
	}
	rules_cut(k, n);
}

int krec_rules_add(struct session *s, struct json_object *o, struct error *err)
{
	struct krec *k = s->kernel;
	size_t before = k->nrules;
	int r = krec_rules_read(k, o, err);

	if (r < 0 || !k->instance)
		return r;
	r = enable_new(s, before, err);
	if (r < 0)
		krec_rules_undo(s, before);
	return r;
}

static bool rule_has_any(const struct krec_rule *r, const struct tracefs_events *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (rule_has(r, list->all[i].system, list->all[i].name))
			return true;
	return false;
}

/* Rules leave out what matches the pattern (the events of the list). The number of rules that had any,
 * or -ENOMEM. */
static int exclude(struct krec *k, const char *pattern, const struct tracefs_events *list)
{
	int n = 0;

	for (size_t i = 0; i < k->nrules; i++) {
		struct krec_rule *r = &k->rules[i];
		char **x;

		if (!rule_has_any(r, list))
			continue;
		x = VEC_ADD(r->excludes, r->nexcludes, r->cexcludes);
		if (!x)
			return -ENOMEM;
		*x = strdup(pattern);
		if (!*x) {
			r->nexcludes--;
			return -ENOMEM;
		}
		n++;
	}
	return n;
}

/* Rules with this very pattern go. Their number. */
static size_t drop(struct krec *k, const char *pattern)
{
	size_t kept = 0, before = k->nrules;

	for (size_t i = 0; i < before; i++) {
		if (strcmp(k->rules[i].pattern, pattern) == 0)
			rule_done(&k->rules[i]);
		else
			k->rules[kept++] = k->rules[i];
	}
	k->nrules = kept;
	return before - kept;
}

static int exclude_events(struct session *s, const char *pattern, struct error *err)
{
	AUTO(tracefs) struct tracefs *top = NULL;
	AUTO(tracefs_events) struct tracefs_events list = {0};
	int r = tracefs_open(NULL, &top, err);

	if (r == 0)
		r = tracefs_events(top, pattern, &list, err);
	if (r < 0)
		return r;
	r = exclude(s->kernel, pattern, &list);
	if (r < 0)
		return error_set(err, r, "no memory for a rule");
	if (r > 0)
		return 0;
	(void)error_set(err, -ENOENT, "session '%s' records no kernel event that matches '%s'",
		s->name, pattern);
	error_hint(err, "`cairn session list %s` shows what it records", s->name);
	return -ENOENT;
}

int krec_rules_take_back(struct session *s, const char *pattern, struct error *err)
{
	struct krec *k = s->kernel;
	int r = drop(k, pattern) ? 0 : exclude_events(s, pattern, err);

	if (r == 0 && k->instance)
		take_off(s, pattern);
	return r;
}
