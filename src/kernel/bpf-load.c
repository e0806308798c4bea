/* Probes by BPF: programs into the kernel, and to what they belong. Refusals become one error. */
#include "kernel/bpf-impl.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOG_BYTES (256u << 10)
#define UPROBE_MULTI_RETURN 1u

/* linux/bpf.h of 6.6: struct link_create of union bpf_attr, with the member that older ones lack. */
struct link_uprobes {
	uint32_t prog, target, attach_type, flags;
	uint64_t path, offsets, counters, cookies;
	uint32_t n, how, pid, unused;
};

/* ---- why not ---- */

static bool has_capability(unsigned n)
{
	AUTO(buf) struct buf b = {0};
	const char *at;

	if (read_file("/proc/self/status", 1u << 20, &b) < 0)
		return false;
	at = strstr(b.data, "\nCapEff:");
	return at && strtoull(at + 8, NULL, 16) >> n & 1;
}

enum { ADMIN = 21, PERFMON = 38, BPF = 39 };

int bpf_refused(struct error *e, int err, const char *what)
{
	bool allowed = has_capability(ADMIN) || (has_capability(BPF) && has_capability(PERFMON));

	if (err == -EPERM && !allowed) {
		(void)error_set(
			e, err, "the kernel refuses %s: CAP_BPF and CAP_PERFMON are missing", what);
		error_hint(e, "as root it works");
	} else if (err == -ENOSYS || err == -EINVAL) {
		(void)error_set(e, -EOPNOTSUPP, "this kernel has no %s", what);
		error_hint(e,
			"BPF programs need CONFIG_BPF_SYSCALL and CONFIG_BPF_EVENTS, kernel 5.12 or later");
		return -EOPNOTSUPP;
	} else {
		(void)error_set(e, err, "the kernel refuses %s: %s", what, strerror(-err));
	}
	return err;
}

/* What the verifier said last, without its statistics. */
static void last_words(char *log, struct error *e, int err, const char *name)
{
	char *end = log + strlen(log), *line = NULL;

	while (end > log) {
		*end = '\0';
		line = memrchr(log, '\n', (size_t)(end - log));
		line = line ? line + 1 : log;
		if (*line && strncmp(line, "processed ", 10) != 0 &&
			strncmp(line, "verification time", 17) != 0)
			break;
		end = line > log ? line - 1 : log;
	}
	(void)error_set(e, err, "the kernel's verifier refuses the program of '%.60s': %.150s",
		name, line ? line : "");
}

/* The kernel says it by permission alone, before it looks at the program. */
static int refused_function(struct error *e, int err, const char *name)
{
	(void)error_set(
		e, err, "BPF may not trace functions here: '%.60s': %s", name, strerror(-err));
	error_hint(e,
		"it needs CONFIG_FUNCTION_TRACER, CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS and "
		"CONFIG_DEBUG_INFO_BTF, and a system that does not forbid it");
	return err;
}

int bload(const struct bload *l, const struct bcode *c, struct error *e)
{
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = l->attach_type,
		.attach_btf_id = l->btf_id, .attach_btf_obj_fd = (uint32_t)l->btf_fd,
		.prog_flags = l->how == BHOW_WAITS ? BPF_F_SLEEPABLE : 0);
	int fd = bpf_prog_load(l->type, l->name, "GPL", c->insns, c->len, &o), err;
	AUTO(free) char *log = NULL;

	if (fd >= 0)
		return fd;
	err = -errno;
	log = calloc(1, LOG_BYTES);
	if (log) {
		o.log_buf = log;
		o.log_size = LOG_BYTES;
		o.log_level = 1;
		fd = bpf_prog_load(l->type, l->name, "GPL", c->insns, c->len, &o);
		if (fd >= 0)
			return fd;
	}
	if (log && log[0]) {
		last_words(log, e, err == -ENOSPC ? -EINVAL : err, l->name);
		return err == -ENOSPC ? -EINVAL : err;
	}
	if (l->btf_id && err == -EPERM && has_capability(ADMIN))
		return refused_function(e, err, l->name);
	return bpf_refused(e, err, "BPF programs");
}

/* ---- attaching ---- */

int bload_raw_tracepoint(int prog, const char *name, struct error *e)
{
	int fd = bpf_raw_tracepoint_open(name, prog), err = -errno;

	if (fd >= 0)
		return fd;
	if (name && (err == -ENOENT || err == -EINVAL))
		return error_set(e, err, "the kernel has no tracepoint '%.100s' for BPF", name);
	return bpf_refused(e, err, "raw tracepoints");
}

int bload_function(int prog, struct error *e)
{
	int fd = bpf_raw_tracepoint_open(NULL, prog), err = -errno;

	return fd >= 0 ? fd : refused_function(e, err, "attaching");
}

int bload_uprobe_multi(int prog, const struct bprobe *p, struct error *e)
{
	struct link_uprobes a = {.prog = (uint32_t)prog,
		.attach_type = BLOAD_UPROBE_MULTI,
		.path = (uintptr_t)p->what,
		.offsets = (uintptr_t)&p->offset,
		.counters = p->counter ? (uintptr_t)&p->counter : 0,
		.n = 1,
		.how = p->place == BPLACE_URETPROBE ? UPROBE_MULTI_RETURN : 0};
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &a, sizeof(a)), err = -errno;

	if (fd >= 0)
		return fd;
	return error_set(e, err, "the kernel refuses a uprobe at %.80s:0x%llx: %s", p->what,
		(unsigned long long)p->offset, strerror(-err));
}

static unsigned perf_number(const char *file, const char *after)
{
	AUTO(buf) struct buf b = {0};
	const char *at;

	if (read_file(file, 4096, &b) < 0 || !b.data)
		return UINT32_MAX;
	at = strstr(b.data, after);
	return at ? (unsigned)strtoul(at + strlen(after), NULL, 10) : UINT32_MAX;
}

#define UPROBE_PMU "/sys/bus/event_source/devices/uprobe/"

int bload_uprobe_perf(int prog, const struct bprobe *p, struct error *e)
{
	unsigned type = perf_number(UPROBE_PMU "type", "");
	unsigned bit = perf_number(UPROBE_PMU "format/retprobe", "config:");
	struct perf_event_attr a = {.size = sizeof(a), .type = type};
	int fd, err;

	if (type == UINT32_MAX || bit == UINT32_MAX)
		return bpf_refused(e, -EINVAL, "uprobes for BPF");
	a.config = p->place == BPLACE_URETPROBE ? 1ull << bit : 0;
	a.config |= p->counter << 32;
	a.uprobe_path = (uintptr_t)p->what;
	a.probe_offset = p->offset;
	fd = (int)syscall(SYS_perf_event_open, &a, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (fd >= 0 && ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) == 0 &&
		ioctl(fd, PERF_EVENT_IOC_ENABLE, 0) == 0)
		return fd;
	err = -errno;
	if (fd >= 0)
		(void)close(fd);
	return error_set(e, err, "the kernel refuses a uprobe at %.80s:0x%llx: %s", p->what,
		(unsigned long long)p->offset, strerror(-err));
}
