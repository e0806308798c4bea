/* Probes by BPF: one session's maps, rings, programs and links. See bpf.h. */
#include "base/atomic.h"
#include "kernel/bpf-impl.h"
#include "kernel/dynevent-impl.h"
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define RING_MIN 65536u
#define RING_MAX (1u << 30)
#define WAKE_PART 4 /* a reader is woken when 1/WAKE_PART of a ring is full */

struct part { /* a program, and what it is attached by */
	int prog, link; /* owned; -1 */
	bool is_off; /* switched off */
	bool has_types; /* a tracepoint's program: attached by its type, not by name */
	struct bprobe probe; /* owned */
};

struct kbpf {
	struct kbpf_config config;
	bool no_sleep; /* this kernel's uprobes cannot wait for memory */
	struct bmaps maps; /* owned fds */
	struct bring *rings; /* owned: ncpus */
	uint64_t *lost; /* mapped: of maps.lost, one word a CPU */
	size_t lost_bytes;
	uint64_t *
		processes; /* mapped: of maps.limit, written by the kernel's programs, too; or NULL */
	struct part *parts; /* owned vector */
	size_t nparts, parts_cap;
	int fork, end; /* programs that keep the table of processes; -1 */
	int fork_link, end_link;
	struct bsorted sorted; /* owned */
};

static void close_fd(int *fd)
{
	auto_fd(fd);
	*fd = -1;
}

static uint64_t power_of_two(uint64_t n)
{
	uint64_t p = RING_MIN;

	while (p < n && p < RING_MAX)
		p *= 2;
	return p;
}

static int make_map(uint32_t type, const char *name, uint32_t value, uint32_t n,
	const struct bpf_map_create_opts *o, struct error *e)
{
	int fd = bpf_map_create(type, name, 4, value, n, o);

	return fd >= 0 ? fd : bpf_refused(e, -errno, "BPF maps");
}

static int make_rings(struct kbpf *k, struct error *e)
{
	uint64_t size = power_of_two(k->config.ring_bytes);
	LIBBPF_OPTS(bpf_map_create_opts, o);
	int err = 0;

	k->rings = calloc(k->config.ncpus, sizeof(*k->rings));
	if (!k->rings)
		return error_set(e, -ENOMEM, "no memory for the kernel's buffers");
	for (uint32_t i = 0; i < k->config.ncpus && !err; i++)
		err = bring_open(&k->rings[i], size, e);
	if (err)
		return err;
	k->maps.wake_bytes = size / WAKE_PART;
	o.inner_map_fd = (uint32_t)k->rings[0].fd;
	k->maps.rings =
		make_map(BPF_MAP_TYPE_ARRAY_OF_MAPS, "cairn_rings", 4, k->config.ncpus, &o, e);
	if (k->maps.rings < 0)
		return k->maps.rings;
	for (uint32_t i = 0; i < k->config.ncpus; i++) {
		if (bpf_map_update_elem(k->maps.rings, &i, &k->rings[i].fd, BPF_ANY) < 0)
			return bpf_refused(e, -errno, "tables of BPF ring buffers");
	}
	return 0;
}

static int make_losses(struct kbpf *k, struct error *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p;

	k->maps.lost = make_map(BPF_MAP_TYPE_ARRAY, "cairn_lost", 8, k->config.ncpus, &o, e);
	if (k->maps.lost < 0)
		return k->maps.lost;
	k->lost_bytes = (k->config.ncpus * sizeof(*k->lost) + page - 1) & ~(page - 1);
	p = mmap(NULL, k->lost_bytes, PROT_READ, MAP_SHARED, k->maps.lost, 0);
	if (p == MAP_FAILED)
		return error_set(e, -errno, "a BPF map cannot be mapped: %s", strerror(errno));
	k->lost = p;
	return 0;
}

static int make_table(struct kbpf *k, struct error *e)
{
	LIBBPF_OPTS(bpf_map_create_opts, o, .map_flags = BPF_F_MMAPABLE);
	void *p;

	if (!k->config.limited)
		return 0;
	k->maps.limit = make_map(BPF_MAP_TYPE_ARRAY, "cairn_limit", BPROCESSES / 8, 1, &o, e);
	if (k->maps.limit < 0)
		return k->maps.limit;
	p = mmap(NULL, BPROCESSES / 8, PROT_READ | PROT_WRITE, MAP_SHARED, k->maps.limit, 0);
	if (p == MAP_FAILED)
		return error_set(e, -errno, "a BPF map cannot be mapped: %s", strerror(errno));
	k->processes = p;
	return 0;
}

int kbpf_new(const struct kbpf_config *config, struct kbpf **ret, struct error *e)
{
	struct kbpf *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return error_set(e, -ENOMEM, "no memory for probes");
	k->config = *config;
	k->maps = (struct bmaps){.rings = -1, .lost = -1, .limit = -1, .stacks = config->stacks};
	k->fork = k->end = k->fork_link = k->end_link = -1;
	err = make_rings(k, e);
	if (!err)
		err = make_losses(k, e);
	if (!err)
		err = make_table(k, e);
	if (err)
		kbpf_free(k);
	else
		*ret = k;
	return err;
}

void kbpf_free(struct kbpf *k)
{
	if (!k)
		return;
	kbpf_stop(k);
	for (size_t i = 0; i < k->nparts; i++) {
		close_fd(&k->parts[i].prog);
		bprobe_done(&k->parts[i].probe);
	}
	free(k->parts);
	close_fd(&k->fork);
	close_fd(&k->end);
	for (uint32_t i = 0; k->rings && i < k->config.ncpus; i++)
		bring_close(&k->rings[i]);
	free(k->rings);
	if (k->lost)
		(void)munmap(k->lost, k->lost_bytes);
	if (k->processes)
		(void)munmap(k->processes, BPROCESSES / 8);
	close_fd(&k->maps.rings);
	close_fd(&k->maps.lost);
	close_fd(&k->maps.limit);
	free(k->sorted.all);
	free(k);
}

/* ---- programs ---- */

/* Where a member of struct task_struct is. */
static int member(const struct btf *types, const char *way, uint32_t *ret, struct error *e)
{
	uint32_t type = kbtf_find_struct(types, "task_struct");
	struct kbtf_fault fault;
	struct kbtf_way w;

	if (!type || kbtf_walk(types, type, true, way, strlen(way), &w, &fault) || w.n != 1)
		return error_set(e, -EOPNOTSUPP,
			"the kernel's types do not say where a task's '%s' is", way + 1);
	*ret = (uint32_t)w.at[0];
	return 0;
}

/* tracefs's probes of functions lie behind the instruction that indirect calls must find at a
 * function's begin (ENDBR), and its events say so. The kernel itself puts a NOP over those it does not need. */
static uint64_t entry(uint64_t address)
{
	static const uint32_t marks[] = {0xfa1e0ff3, 0xd6401f0f, 0x001f0f66};
	struct bload l = {.type = BPF_PROG_TYPE_RAW_TRACEPOINT, .name = "cairn_peek"};
	LIBBPF_OPTS(bpf_test_run_opts, o);
	struct bcode c = {0};
	int fd = bprogram_peek(&c, address) ? -1 : bload(&l, &c, NULL);
	bool there = fd >= 0 && bpf_prog_test_run_opts(fd, &o) == 0;

	bcode_free(&c);
	close_fd(&fd);
	for (size_t i = 0; there && i < ARRAY_SIZE(marks); i++) {
		if (o.retval == marks[i])
			return address + 4;
	}
	return address;
}

static int load_follower(struct kbpf *k, const char *name,
	int (*make)(struct bcode *c, const struct bmaps *m), int *ret, struct error *e)
{
	struct bload l = {.type = BPF_PROG_TYPE_RAW_TRACEPOINT, .name = name};
	struct bcode c = {0};
	int err = make(&c, &k->maps), fd = -1;

	if (!err)
		fd = bload(&l, &c, e);
	else
		(void)error_set(e, err, "no memory for probes");
	bcode_free(&c);
	*ret = fd;
	return err ? err : MIN(fd, 0);
}

/* The programs that keep the table, when the first probe needs them. */
static int load_followers(struct kbpf *k, struct dynevent_world *w, struct error *e)
{
	const struct btf *types;
	int err;

	if (!k->config.limited || k->end >= 0)
		return 0;
	types = kbtf_vmlinux(dynevent_world_btf(w), e);
	if (!types)
		return -EOPNOTSUPP;
	err = member(types, ".tgid", &k->maps.task_tgid, e);
	if (!err)
		err = member(types, ".pid", &k->maps.task_pid, e);
	if (!err && k->fork < 0)
		err = load_follower(k, "cairn_fork", bprogram_fork, &k->fork, e);
	if (!err)
		err = load_follower(k, "cairn_end", bprogram_end, &k->end, e);
	return err;
}

/* The fd of a module's types. */
static int module_types(const char *module, struct error *e)
{
	struct bpf_btf_info info;
	char name[128];
	uint32_t id = 0;

	while (bpf_btf_get_next_id(id, &id) == 0) {
		uint32_t len = sizeof(info);
		int fd = bpf_btf_get_fd_by_id(id);

		if (fd < 0)
			continue; /* gone meanwhile */
		memset(&info, 0, sizeof(info));
		info.name = (uintptr_t)name;
		info.name_len = sizeof(name);
		name[0] = '\0';
		if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0 && info.kernel_btf &&
			strcmp(name, module) == 0)
			return fd;
		(void)close(fd);
	}
	return error_set(e, -ENOENT, "the kernel has no types of the module '%.60s'", module);
}

/* With types, if the kernel has any for it. */
static void describe_tracepoint(
	struct kbpf *k, const struct bprobe *p, struct dynevent_world *w, struct bload *l)
{
	const struct btf *types = kbtf_vmlinux(dynevent_world_btf(w), NULL);
	char name[160];
	int id;

	(void)snprintf(name, sizeof(name), "btf_trace_%s", p->what); /* cut: is not found */
	id = types && !k->config.no_types ? btf__find_by_name_kind(types, name, BTF_KIND_TYPEDEF)
					  : -1;
	l->type = id > 0 ? BPF_PROG_TYPE_TRACING : BPF_PROG_TYPE_RAW_TRACEPOINT;
	l->attach_type = id > 0 ? BPF_TRACE_RAW_TP : 0;
	l->btf_id = id > 0 ? (uint32_t)id : 0;
	l->how = id > 0 ? BHOW_TYPED : BHOW_PLAIN;
}

/* What a program for this probe is to be attached to. l->btf_fd is the caller's to close. */
static int describe(struct kbpf *k, const struct bprobe *p, struct dynevent_world *w,
	struct bload *l, struct error *e)
{
	struct kbtf_func f;
	int err, id;

	switch (p->place) {
	case BPLACE_TRACEPOINT: describe_tracepoint(k, p, w, l); return 0;
	case BPLACE_UPROBE:
	case BPLACE_URETPROBE:
		l->type = BPF_PROG_TYPE_KPROBE;
		l->attach_type = k->config.no_multi ? 0 : BLOAD_UPROBE_MULTI;
		l->how = k->no_sleep ? BHOW_PLAIN : BHOW_WAITS;
		return 0;
	case BPLACE_FENTRY:
	case BPLACE_FEXIT: break;
	}
	l->how = BHOW_TYPED;
	l->type = BPF_PROG_TYPE_TRACING;
	l->attach_type = p->place == BPLACE_FENTRY ? BPF_TRACE_FENTRY : BPF_TRACE_FEXIT;
	err = kbtf_find_func(dynevent_world_btf(w), p->module, p->what, &f, e);
	id = err ? err : btf__find_by_name_kind(f.btf, p->what, BTF_KIND_FUNC);
	if (id <= 0)
		return error_set(e, -ENOENT, "the kernel's types do not describe '%.80s'", p->what);
	l->btf_id = (uint32_t)id;
	if (!p->module && f.btf == kbtf_vmlinux(dynevent_world_btf(w), NULL))
		return 0;
	if (!p->module) {
		(void)error_set(e, -EINVAL, "the function '%.80s' is a module's", p->what);
		error_hint(e, "BPF must be told of which one: MODULE:%.80s", p->what);
		return -EINVAL;
	}
	err = module_types(p->module, e);
	l->btf_fd = MAX(err, 0);
	return MIN(err, 0);
}

static int make_program(struct kbpf *k, struct part *part, const struct bload *l, struct error *e)
{
	struct bcode c = {0};
	int err = bprogram_probe(&c, &part->probe, &k->maps, l->how);

	if (err)
		err = error_set(e, err, "no program can be made of this probe: %s",
			err == -ENOMEM ? "no memory" : "it has too many fields");
	else
		err = part->prog = bload(l, &c, e);
	bcode_free(&c);
	return MIN(err, 0);
}

/* Functions may be closed to BPF as a whole: a program that does nothing shows it. */
static int check_function(const struct bprobe *p, struct dynevent_world *w, struct error *e)
{
	struct bload l = {.name = p->what};
	struct bcode c = {0};
	struct kbpf k = {0};
	int fd = describe(&k, p, w, &l, e);

	bcode_exit(&c, 0);
	if (fd == 0)
		fd = bcode_done(&c) ? -ENOMEM : bload(&l, &c, e);
	bcode_free(&c);
	if (l.btf_fd)
		(void)close(l.btf_fd);
	if (fd >= 0)
		(void)close(fd);
	return MIN(fd, 0);
}

int kbpf_check(struct dynevent_world *w, const struct dynevent *d, struct error *e)
{
	struct bprobe p = {0};
	int err = bprobe_read(&p, w, d, e);

	if (!err && (p.place == BPLACE_FENTRY || p.place == BPLACE_FEXIT))
		err = check_function(&p, w, e);
	bprobe_done(&p);
	return err;
}

/* What an older kernel, or a stricter verifier, may take instead. False: nothing. */
static bool simpler(struct kbpf *k, struct part *part, struct bload *l)
{
	if (l->how == BHOW_TYPED) {
		l->how = BHOW_PLAIN; /* all memory by calls */
		if (part->probe.place == BPLACE_TRACEPOINT) {
			l->type = BPF_PROG_TYPE_RAW_TRACEPOINT;
			l->attach_type = l->btf_id = 0;
		}
		return true;
	}
	if (l->attach_type == BLOAD_UPROBE_MULTI) {
		k->config.no_multi = true; /* a kernel before 6.6 */
		l->attach_type = 0;
		return true;
	}
	if (l->how == BHOW_WAITS) {
		k->no_sleep = true; /* a kernel before 6.0: what is not there cannot be read */
		l->how = BHOW_PLAIN;
		return true;
	}
	return false;
}

static int load(struct kbpf *k, struct part *part, struct dynevent_world *w,
	const struct dynevent *d, struct error *e)
{
	struct bload l = {0};
	char name[BPF_OBJ_NAME_LEN];
	int err = describe(k, &part->probe, w, &l, e);

	if (err)
		return err;
	(void)snprintf(name, sizeof(name), "cairn_%.9s", d->event); /* as bpftool shows it */
	l.name = name;
	do
		err = make_program(k, part, &l, e);
	while ((err == -EINVAL || err == -EACCES) && simpler(k, part, &l));
	part->has_types = l.how == BHOW_TYPED;
	if (l.btf_fd)
		(void)close(l.btf_fd);
	return err;
}

int kbpf_add(struct kbpf *k, struct dynevent_world *w, const struct dynevent *d, uint16_t id,
	struct buf *format, struct error *e)
{
	struct part part = {.prog = -1, .link = -1, .probe = {.id = id}}, *slot;
	int err = bprobe_read(&part.probe, w, d, e);

	if (!err && bprobe_lay_out(&part.probe, d, format))
		err = error_set(e, -ENOMEM, "no memory for probes");
	if (!err)
		err = load_followers(k, w, e);
	if (!err && part.probe.address && karch_native() == KARCH_X86_64)
		part.probe.address = entry(part.probe.address);
	if (!err)
		err = load(k, &part, w, d, e);
	slot = err ? NULL : VEC_ADD(k->parts, k->nparts, k->parts_cap);
	if (!err && !slot)
		err = error_set(e, -ENOMEM, "no memory for probes");
	if (err) {
		close_fd(&part.prog);
		bprobe_done(&part.probe);
		return err;
	}
	*slot = part;
	return 0;
}

int kbpf_program(const struct kbpf *k, uint16_t id)
{
	for (size_t i = 0; i < k->nparts; i++) {
		if (k->parts[i].probe.id == id)
			return k->parts[i].prog;
	}
	return -1;
}

/* ---- on and off ---- */

static int attach(struct kbpf *k, struct part *p, struct error *e)
{
	switch (p->probe.place) {
	case BPLACE_TRACEPOINT:
		p->link = bload_raw_tracepoint(p->prog, p->has_types ? NULL : p->probe.what, e);
		break;
	case BPLACE_FENTRY:
	case BPLACE_FEXIT: p->link = bload_function(p->prog, e); break;
	case BPLACE_UPROBE:
	case BPLACE_URETPROBE:
		if (!k->config.no_multi)
			p->link = bload_uprobe_multi(p->prog, &p->probe, e);
		/* a kernel before 6.6 may take the program for what it is not, and then has no such link */
		if (k->config.no_multi || p->link == -EINVAL)
			p->link = bload_uprobe_perf(p->prog, &p->probe, e);
		break;
	}
	return MIN(p->link, 0);
}

int kbpf_start(struct kbpf *k, struct error *e)
{
	int err = 0;

	if (k->fork >= 0 && k->fork_link < 0)
		err = k->fork_link = bload_raw_tracepoint(k->fork, "sched_process_fork", e);
	if (err >= 0 && k->end >= 0 && k->end_link < 0)
		err = k->end_link = bload_raw_tracepoint(k->end, "sched_process_free", e);
	for (size_t i = 0; i < k->nparts && err >= 0; i++) {
		if (k->parts[i].link < 0 && !k->parts[i].is_off)
			err = attach(k, &k->parts[i], e);
	}
	if (err < 0)
		kbpf_stop(k);
	return MIN(err, 0);
}

int kbpf_switch(struct kbpf *k, uint16_t id, bool on, struct error *e)
{
	int err = 0;

	for (size_t i = 0; i < k->nparts; i++) {
		struct part *p = &k->parts[i];

		if (p->probe.id != id)
			continue;
		p->is_off = !on;
		if (!on)
			close_fd(&p->link);
		else if (p->link < 0)
			err = attach(k, p, e);
	}
	return err;
}

void kbpf_remove(struct kbpf *k, uint16_t id)
{
	for (size_t i = 0; i < k->nparts; i++) {
		struct part *p = &k->parts[i];

		if (p->probe.id != id)
			continue;
		close_fd(&p->link);
		close_fd(&p->prog);
		bprobe_done(&p->probe);
		*p = k->parts[--k->nparts];
		return;
	}
}

void kbpf_limit(struct kbpf *k, pid_t pid)
{
	uint32_t at = (uint32_t)pid & (BPROCESSES - 1);

	if (k->processes) /* with the kernel's own, in no order that matters */
		(void)fetch_or_relaxed(&k->processes[at / 64], 1ull << at % 64);
}

static uint64_t missed(int prog)
{
	struct bpf_prog_info info;
	uint32_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	return bpf_obj_get_info_by_fd(prog, &info, &len) == 0 ? info.recursion_misses : 0;
}

void kbpf_stop(struct kbpf *k)
{
	for (size_t i = 0; i < k->nparts; i++)
		close_fd(&k->parts[i].link);
	close_fd(&k->fork_link);
	close_fd(&k->end_link);
}

/* ---- reading ---- */

int kbpf_read(struct kbpf *k, uint32_t cpu, kbpf_record_fn *fn, void *arg)
{
	return bring_read(&k->rings[cpu], k->config.stacks, &k->sorted, fn, arg);
}

int kbpf_fd(const struct kbpf *k, uint32_t cpu)
{
	return k->rings[cpu].fd;
}

bool kbpf_is_full(const struct kbpf *k)
{
	for (uint32_t i = 0; i < k->config.ncpus; i++) {
		const struct bring *r = &k->rings[i];

		if (load_relaxed(r->producer) - load_relaxed(r->consumer) >= k->maps.wake_bytes)
			return true;
	}
	return false;
}

uint64_t kbpf_lost(const struct kbpf *k, uint32_t cpu)
{
	return load_relaxed(&k->lost[cpu]);
}

uint64_t kbpf_missed(const struct kbpf *k)
{
	uint64_t n = 0;

	for (size_t i = 0; i < k->nparts; i++)
		n += missed(k->parts[i].prog);
	return n;
}
