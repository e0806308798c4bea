/* What of the kernel is recorded: options. See recording-kernel.h. */
#include "cli/recording-kernel.h"
#include "cli/kernel-texts.h"
#include <errno.h>
#include <stdlib.h>

/* In the order of their options. */
static const char *const probe_kinds[] = {
	"kprobe", "kretprobe", "fprobe", "tprobe", "eprobe", "uprobe"};

bool recording_kernel_is(int id)
{
	return id == OPT_KERNEL || (id >= OPT_KERNEL_FILTER && id <= OPT_PROBE_WITH);
}

static int add_probe(struct recording_kernel *k, const struct command *c, int id, const char *value)
{
	struct cairn_kernel_probe *p = VEC_ADD(k->probes, k->nprobes, k->cprobes);

	if (!p)
		return fail_text(c, NULL, "out of memory");
	p->kind = probe_kinds[id - OPT_KPROBE];
	p->text = value;
	return CLI_OK;
}

static int parse_buffer(struct recording_kernel *k, const struct command *c, const char *value)
{
	k->adapts = strcmp(value, "auto") == 0;
	if (k->adapts)
		return CLI_OK;
	if (parse_size(value, &k->buffer_bytes) == 0 && k->buffer_bytes >= 4096 &&
		k->buffer_bytes <= 1u << 30)
		return CLI_OK;
	return usage_error(c, "'%s' is no size of a kernel buffer: 4K to 1G, or auto", value);
}

static int parse_stack(struct recording_kernel *k, const struct command *c, const char *value)
{
	unsigned what = strcmp(value, "kernel") == 0 ? CAIRN_STACK_KERNEL
		: strcmp(value, "user") == 0	     ? CAIRN_STACK_USER
		: strcmp(value, "both") == 0	     ? CAIRN_STACK_KERNEL | CAIRN_STACK_USER
						     : 0;

	k->stacks |= what;
	return what ? CLI_OK : usage_error(c, "--stack '%s': expected kernel, user or both", value);
}

static int parse_with(struct recording_kernel *k, const struct command *c, const char *value)
{
	bool any = strcmp(value, "auto") == 0;

	k->probe_with = any ? NULL : value;
	if (any || strcmp(value, "tracefs") == 0 || strcmp(value, "bpf") == 0)
		return CLI_OK;
	return usage_error(c, "--probe-with '%s': expected auto, tracefs or bpf", value);
}

int recording_kernel_option(
	struct recording_kernel *k, const struct command *c, int id, const char *value)
{
	switch (id) {
	case OPT_KERNEL:
	case OPT_KERNEL_FILTER:
		if (strings_add(id == OPT_KERNEL ? &k->events : &k->filters, value) == 0)
			return CLI_OK;
		return fail_text(c, NULL, "out of memory");
	case OPT_KERNEL_NAMES:
		k->lttng_names = strcmp(value, "lttng") == 0;
		if (k->lttng_names || strcmp(value, "kernel") == 0)
			return CLI_OK;
		return usage_error(c, "--names '%s': it is kernel or lttng", value);
	case OPT_KERNEL_BUFFER: return parse_buffer(k, c, value);
	case OPT_KERNEL_STACK: return parse_stack(k, c, value);
	case OPT_PROBE_WITH: return parse_with(k, c, value);
	default: return add_probe(k, c, id, value);
	}
}

bool recording_kernel_any(const struct recording_kernel *k)
{
	return k->events.len || k->filters.len || k->nprobes;
}

int recording_kernel_check(const struct recording_kernel *k, const struct command *c)
{
	if (k->stacks && !recording_kernel_any(k))
		return usage_error(c, "--stack goes with kernel events: -k EVENT");
	for (size_t i = 0; i < k->filters.len; i++)
		if (!strstr(k->filters.items[i], ": "))
			return usage_error(c, "--kernel-filter '%s': expected 'EVENT: FILTER'",
				k->filters.items[i]);
	return CLI_OK;
}

int recording_kernel_config(struct recording_kernel *k, struct cairn_kernel_config *ret)
{
	size_t n = k->events.len + k->filters.len;

	k->rules = n ? calloc(n, sizeof(*k->rules)) : NULL;
	if (n && !k->rules)
		return -ENOMEM;
	k->nrules = n;
	for (size_t i = 0; i < k->events.len; i++)
		k->rules[i].pattern = k->events.items[i];
	for (size_t i = 0; i < k->filters.len; i++) {
		char *text = (char *)k->filters.items[i]; /* argv's own: ours to cut */
		char *split = strstr(text, ": ");

		*split = '\0';
		k->rules[k->events.len + i].pattern = text;
		k->rules[k->events.len + i].filter = split + 2;
	}
	for (size_t i = 0; i < k->nprobes; i++)
		k->probes[i].with = k->probe_with;
	*ret = (struct cairn_kernel_config){.size = sizeof(*ret),
		.rules = k->rules,
		.nrules = n,
		.buffer_bytes = k->buffer_bytes,
		.lttng_names = k->lttng_names,
		.buffer_adapts = k->adapts,
		.stacks = k->stacks,
		.probes = k->probes,
		.nprobes = k->nprobes};
	return 0;
}

bool recording_kernel_refused(const struct recording_kernel *k, const struct command *c)
{
	return texts_refused(c, k->probes, k->nprobes, k->rules, k->nrules);
}

void auto_recording_kernel(struct recording_kernel *k)
{
	auto_strings(&k->events);
	auto_strings(&k->filters);
	free(k->probes);
	free(k->rules);
}
