/* Channels: one policy for a set of rings; and the context fields that users name. */
#include "session/session-impl.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	enum cairn_ctx ctx;
} contexts[] = {
	{"tid", CAIRN_CTX_TID},
	{"pid", CAIRN_CTX_PID},
	{"comm", CAIRN_CTX_COMM},
	{"cpu", CAIRN_CTX_CPU},
	{"nice", CAIRN_CTX_NICE},
	{"sched", CAIRN_CTX_SCHED},
	{"cgroup", CAIRN_CTX_CGROUP},
	{"ip", CAIRN_CTX_IP},
};

static const struct {
	const char *name;
	uint32_t type;
	uint64_t config;
} counters[] = {
	{"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
	{"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
	{"cache-references", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES},
	{"cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
	{"branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
	{"branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
	{"task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
	{"page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
	{"minor-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN},
	{"major-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ},
	{"context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES},
};

/* Programs read hardware counters by rdpmc, each in its own thread (runtime/perf.c): can that be
 * done here? */
static int check_hardware(const char *name, uint64_t config, struct error *err)
{
	struct perf_event_attr attr = {.size = sizeof(attr),
		.type = PERF_TYPE_HARDWARE,
		.config = config,
		.exclude_kernel = 1,
		.exclude_hv = 1};
	AUTO(fd) int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	struct perf_event_mmap_page *page;
	bool readable;

	if (fd < 0 && (errno == EACCES || errno == EPERM)) {
		(void)error_set(err, -EPERM, "the performance counter '%s' may not be read", name);
		error_hint(err, "as root: sysctl kernel.perf_event_paranoid=2");
		return -EPERM;
	}
	if (fd < 0) {
		(void)error_set(
			err, -EOPNOTSUPP, "this machine offers no performance counter '%s'", name);
		error_hint(err,
			"the kernel's work everywhere: perf:task-clock, perf:page-faults, "
			"perf:context-switches...");
		return -EOPNOTSUPP;
	}
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	readable = page != MAP_FAILED && page->cap_user_rdpmc;
	if (page != MAP_FAILED)
		(void)munmap(page, 4096);
	if (readable)
		return 0;
	(void)error_set(
		err, -EOPNOTSUPP, "programs may not read the performance counter '%s' here", name);
	error_hint(err, "as root: echo 1 >/sys/bus/event_source/devices/cpu/rdpmc");
	return -EOPNOTSUPP;
}

static int add_counter(struct channel *ch, const char *name, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		struct cairn_perf_ctx *p = &ch->perf[ch->perf_count];

		if (strcmp(counters[i].name, name) != 0)
			continue;
		if (ch->perf_count == CAIRN_CTX_PERF_MAX)
			return error_set(err, -EINVAL,
				"a channel has at most %d performance counters",
				CAIRN_CTX_PERF_MAX);
		if (counters[i].type == PERF_TYPE_HARDWARE) {
			int r = check_hardware(name, counters[i].config, err);

			if (r < 0)
				return r;
		}
		p->type = counters[i].type;
		p->config = counters[i].config;
		(void)snprintf(p->name, sizeof(p->name), "perf_%.40s", name);
		for (char *s = p->name; *s; s++)
			*s = *s == '-' ? '_' : *s;
		ch->perf_count++;
		return 0;
	}
	(void)error_set(err, -EINVAL, "there is no performance counter '%s'", name);
	error_hint(err, "cycles, instructions, cache-misses, branches, task-clock, page-faults...");
	return -EINVAL;
}

static int add_context(struct channel *ch, const char *name, struct error *err)
{
	if (strncmp(name, "perf:", 5) == 0)
		return add_counter(ch, name + 5, err);
	for (size_t i = 0; i < ARRAY_SIZE(contexts); i++) {
		if (strcmp(contexts[i].name, name) == 0) {
			ch->contexts |= 1u << contexts[i].ctx;
			return 0;
		}
	}
	(void)error_set(err, -EINVAL, "there is no context '%s'", name);
	error_hint(err, "tid, pid, comm, cpu, nice, sched, cgroup, ip, perf:EVENT");
	return -EINVAL;
}

static int parse_contexts(struct channel *ch, const char *text, struct error *err)
{
	char word[64];

	if (!text)
		text = "tid";
	if (strlen(text) >= sizeof(ch->contexts_text))
		return error_set(err, -EINVAL, "the list of contexts is too long");
	strcpy(ch->contexts_text, text);
	while (*text) {
		size_t n = strcspn(text, ", ");
		int r = 0;

		if (n >= sizeof(word))
			return error_set(err, -EINVAL, "there is no context '%s'", text);
		memcpy(word, text, n);
		word[n] = 0;
		if (n)
			r = add_context(ch, word, err);
		if (r < 0)
			return r;
		text += n + (text[n] != 0);
	}
	return 0;
}

static int channel_fill(
	struct channel *ch, const struct cairn_channel_config *cfg, struct error *err)
{
	int r = session_name_check(cfg->name ? cfg->name : "channel0", "channel", err);

	if (r < 0)
		return r;
	(void)snprintf(ch->name, sizeof(ch->name), "%s", cfg->name ? cfg->name : "channel0");
	switch (cfg->mode) {
	case CAIRN_CHANNEL_DISCARD: ch->mode = CAIRN_MODE_DISCARD; break;
	case CAIRN_CHANNEL_OVERWRITE: ch->mode = CAIRN_MODE_OVERWRITE; break;
	case CAIRN_CHANNEL_BLOCK: ch->mode = CAIRN_MODE_BLOCK; break;
	default: return error_set(err, -EINVAL, "channel '%s' has no such mode", ch->name);
	}
	ch->ring_bytes = cfg->ring_bytes ? cfg->ring_bytes : CAIRN_RING_BYTES_DEFAULT;
	if (ch->ring_bytes < CAIRN_RING_MIN || ch->ring_bytes > CAIRN_RING_MAX)
		return error_set(err, -EINVAL,
			"a ring has 64 KiB to 1 GiB, not %llu bytes (channel '%s')",
			(unsigned long long)ch->ring_bytes, ch->name);
	while (ch->ring_bytes & (ch->ring_bytes - 1)) /* up to a power of two */
		ch->ring_bytes += ch->ring_bytes & -ch->ring_bytes;
	ch->block_ns = cfg->block_ns ? cfg->block_ns : CAIRN_BLOCK_NS_DEFAULT;
	if (ch->block_ns > CAIRN_RING_BLOCK_NS_MAX)
		return error_set(err, -EINVAL,
			"programs wait 10 s for room at most, not %.1f (channel '%s')",
			(double)ch->block_ns / 1e9, ch->name);
	return parse_contexts(ch, cfg->contexts, err);
}

int session_channel_add(
	struct session *s, const struct cairn_channel_config *cfg, struct error *err)
{
	struct channel *channels, ch = {0};
	int r = channel_fill(&ch, cfg, err);

	if (r < 0)
		return r;
	if (s->output && s->output->trace && !s->output->verbatim)
		return error_set(err, -EBUSY,
			"session '%s' has been started: its channels are fixed", s->name);
	for (size_t i = 0; i < s->nchannels; i++) {
		if (strcmp(s->channels[i].name, ch.name) == 0)
			return error_set(err, -EEXIST, "session '%s' has a channel '%s' already",
				s->name, ch.name);
	}
	if (s->nchannels == MAX_CHANNELS)
		return error_set(err, -EINVAL, "a session has at most %u channels", MAX_CHANNELS);
	channels = realloc(s->channels, (s->nchannels + 1) * sizeof(*channels));
	if (!channels)
		return error_set(err, -ENOMEM, "no memory for a channel");
	s->channels = channels;
	s->channels[s->nchannels++] = ch;
	return 0;
}
