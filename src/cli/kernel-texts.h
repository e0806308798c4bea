/* Texts of probes and filters that are refused, shown with a caret under the place. */
#ifndef CAIRN_CLI_KERNEL_TEXTS_H
#define CAIRN_CLI_KERNEL_TEXTS_H

#include "cli/cli.h"
#include "kernel/dynevent.h"
#include <cairn/session.h>

/* A probe's text as `cairn record` would use it, in the group that it or the kernel names; *ret_bpf: tracefs
 * has no such probes, BPF would make it. 0, or as dynevent_parse(). */
int texts_probe(struct dynevent_world *w, enum dynevent_kind kind, const char *text,
	struct dynevent *ret, bool *ret_bpf, struct dynevent_fault *fault);

/* A filter, and the events of a pattern that it fits. */
struct texts_filter {
	struct tracefs_events events; /* all that match the pattern */
	bool *fits; /* owned; one for each */
	size_t n; /* that it fits */
	struct dynevent_fault fault; /* of the first that it does not fit */
};
/* 0; -ENOENT: no event matches (fault says so); -errno. */
int texts_filter(
	struct tracefs *t, const char *pattern, const char *filter, struct texts_filter *ret);
void auto_texts_filter(struct texts_filter *f);

/* Cuts "PATTERN if FILTER"; NULL: there is no filter. *ret_pattern is owned by the caller. */
const char *texts_split(const char *rule, char **ret_pattern);

/* "cairn COMMAND: OPTION: message", the text, a caret, a hint. */
void texts_say(const struct command *c, const char *option, const char *text,
	const struct dynevent_fault *fault);

/* After a session did not start: says which of these texts is why. False if none is. */
bool texts_refused(const struct command *c, const struct cairn_kernel_probe *probes, size_t nprobes,
	const struct cairn_kernel_rule *rules, size_t nrules);

#endif
