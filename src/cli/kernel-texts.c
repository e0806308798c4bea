/* Texts of probes and filters that are refused, shown with a caret. See kernel-texts.h. */
#include "cli/kernel-texts.h"
#include "kernel/bpf.h"
#include "kernel/filter.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The group is given, since one with the default name may be there: a session has its own. */
int texts_probe(struct dynevent_world *w, enum dynevent_kind kind, const char *text,
	struct dynevent *ret, bool *ret_bpf, struct dynevent_fault *fault)
{
	AUTO(dynevent) struct dynevent first = {0};
	int r;

	*ret_bpf = false;
	if (kind == DYNEVENT_ANY)
		return dynevent_parse(w, kind, NULL, text, ret, fault);
	r = kprobe_parse(w, kind, KPROBE_WITH_AUTO, "probes", text, &first, ret_bpf, fault);
	if (r == 0 && *ret_bpf) {
		r = kbpf_check(w, &first, &fault->error);
		if (r < 0)
			fault->len = strlen(text);
	}
	return r ? r
		 : kprobe_parse(
			   w, kind, KPROBE_WITH_AUTO, first.shown_group, text, ret, ret_bpf, fault);
}

const char *texts_split(const char *rule, char **ret_pattern)
{
	size_t n;
	const char *filter = kfilter_split(rule, &n);

	*ret_pattern = strndup(rule, n);
	return filter;
}

int texts_filter(
	struct tracefs *t, const char *pattern, const char *filter, struct texts_filter *ret)
{
	struct texts_filter f = {0};
	int r = tracefs_events(t, pattern, &f.events, &f.fault.error);

	if (r == 0 && f.events.n == 0)
		r = tracefs_no_event(t, pattern, &f.fault.error);
	f.fits = r == 0 ? calloc(f.events.n, sizeof(*f.fits)) : NULL;
	if (r == 0 && !f.fits)
		r = error_set(&f.fault.error, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < f.events.n; i++) {
		const struct tracefs_event *ev = &f.events.all[i];
		struct dynevent_fault fault = {0};

		f.fits[i] = !filter ||
			kfilter_check_event(t, ev->system, ev->name, filter, &fault) == 0;
		if (!f.fits[i] && f.n == i)
			f.fault = fault;
		f.n += f.fits[i];
	}
	*ret = f;
	return r;
}

void auto_texts_filter(struct texts_filter *f)
{
	tracefs_events_done(&f->events);
	free(f->fits);
}

void texts_say(const struct command *c, const char *option, const char *text,
	const struct dynevent_fault *fault)
{
	AUTO(buf) struct buf b = {0};

	dynevent_print_fault(&b, text, fault);
	(void)fprintf(stderr, "cairn %s%s%s: %s: %s", c->parent ? c->parent : "",
		c->parent ? " " : "", c->name, option, b.data ? b.data : "refused\n");
}

static bool probe_refused(
	const struct command *c, struct dynevent_world *w, const struct cairn_kernel_probe *p)
{
	AUTO(dynevent) struct dynevent d = {0};
	struct dynevent_fault fault;
	int kind = DYNEVENT_KPROBE;
	enum kprobe_with with = KPROBE_WITH_AUTO;
	char option[32];
	bool bpf;
	int r;

	while (strcmp(dynevent_kind_name((enum dynevent_kind)kind), p->kind) != 0)
		kind++;
	if (p->with)
		with = strcmp(p->with, "bpf") == 0 ? KPROBE_WITH_BPF : KPROBE_WITH_TRACEFS;
	r = kprobe_parse(w, (enum dynevent_kind)kind, with, "probes", p->text, &d, &bpf, &fault);
	if (r == 0)
		return false;
	if (r == -EACCES) { /* nothing is wrong with the text */
		(void)fail_error(c, r, &fault.error);
		return true;
	}
	(void)snprintf(option, sizeof(option), "--%s", p->kind); /* fits */
	texts_say(c, option, p->text, &fault);
	return true;
}

/* A rule whose filter fits none of its events. */
static bool rule_refused(
	const struct command *c, struct tracefs *t, const struct cairn_kernel_rule *rule)
{
	struct texts_filter f AUTO(texts_filter) = {0};
	AUTO(free) char *pattern = NULL;
	const char *filter = texts_split(rule->pattern, &pattern);
	char option[200];

	filter = rule->filter ? rule->filter : filter;
	if (!pattern || !filter || texts_filter(t, pattern, filter, &f) < 0 || f.n)
		return false;
	(void)snprintf(option, sizeof(option), "%s: filter", pattern); /* a cut one is fine */
	texts_say(c, option, filter, &f.fault);
	return true;
}

bool texts_refused(const struct command *c, const struct cairn_kernel_probe *probes, size_t nprobes,
	const struct cairn_kernel_rule *rules, size_t nrules)
{
	struct dynevent_world *w = nprobes ? dynevent_world_new(NULL, karch_native()) : NULL;
	AUTO(tracefs) struct tracefs *t = NULL;
	bool refused = false;

	if (nrules && tracefs_open(NULL, &t, NULL) < 0)
		nrules = 0;
	for (size_t i = 0; i < nrules && !refused; i++)
		refused = rule_refused(c, t, &rules[i]);
	for (size_t i = 0; w && i < nprobes && !refused; i++)
		refused = probe_refused(c, w, &probes[i]);
	dynevent_world_free(w);
	return refused;
}
