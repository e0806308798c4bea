/* Probes by tracefs or by BPF: which. */
#include "kernel/bpf.h"
#include <errno.h>

static int parse_for_bpf(struct dynevent_world *w, enum dynevent_kind kind, const char *group,
	const char *text, struct dynevent *ret, struct dynevent_fault *fault)
{
	int r;

	dynevent_world_bpf(w, true);
	r = dynevent_parse(w, kind, group, text, ret, fault);
	dynevent_world_bpf(w, false);
	return r;
}

int kprobe_parse(struct dynevent_world *w, enum dynevent_kind kind, enum kprobe_with with,
	const char *group, const char *text, struct dynevent *ret, bool *ret_bpf,
	struct dynevent_fault *fault)
{
	struct dynevent_fault other;
	int r, by_bpf;

	*ret_bpf = with == KPROBE_WITH_BPF;
	if (with == KPROBE_WITH_BPF)
		return parse_for_bpf(w, kind, group, text, ret, fault);
	r = dynevent_parse(w, kind, group, text, ret, fault);
	if (with == KPROBE_WITH_TRACEFS || r != -EOPNOTSUPP || kind == DYNEVENT_EPROBE)
		return r;
	by_bpf = parse_for_bpf(w, kind, group, text, ret, &other);
	if (by_bpf == -EOPNOTSUPP)
		return r; /* what tracefs would need is the better thing to say */
	*ret_bpf = true;
	if (by_bpf < 0)
		*fault = other;
	return by_bpf;
}
