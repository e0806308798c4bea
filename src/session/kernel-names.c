/* Names of the tasks that kernel events tell of, also of those that ended long ago.
 *
 * What is there at the start is read from /proc; who comes and who is renamed (exec does that, too) the
 * kernel says by its events task_newtask and task_rename, which are switched on for it. Where nobody asked
 * for them, they are not in the trace themselves. All of it becomes cairn_state events in the file
 * DIR/kernel/state, with the times at which it became so.
 */
#include "session/kernel-impl.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMM 16
#define NAMES_MAX 100000 /* between two looks: then the rest stays unnamed */
#ifndef CLONE_THREAD
#define CLONE_THREAD 0x00010000
#endif

struct name {
	uint64_t ts;
	int32_t pid, tid;
	char comm[COMM + 1];
};

struct knames {
	struct krec *k; /* borrowed */
	struct name *all; /* owned vector: what was not written yet */
	size_t n, cap;
	struct map pids; /* tid -> its process's pid + 1 */
	struct stream file;
	uint64_t last_ts;
	bool dumped;
	struct kn_event { /* one of the two events */
		uint32_t id, pid_at, comm_at, flags_at, need;
		bool is_hidden;
		const char *name;
		struct knames *names; /* borrowed; NULL: not listened to */
	} events[2];
};

static int32_t pid_of(const struct knames *n, int32_t tid)
{
	uintptr_t v = (uintptr_t)map_get(&n->pids, &tid, sizeof(tid));

	return v ? (int32_t)(v - 1) : -1;
}

/* comm: up to COMM bytes or a NUL. */
static void add(struct knames *n, uint64_t ts, int32_t pid, int32_t tid, const char *comm)
{
	struct name *a = n->n < NAMES_MAX ? VEC_ADD(n->all, n->n, n->cap) : NULL;

	if (!a)
		return; /* shown without a name */
	*a = (struct name){.ts = ts, .pid = pid, .tid = tid};
	memcpy(a->comm, comm, strnlen(comm, COMM));
	if (pid >= 0) /* without memory it is its own process */
		(void)map_put(&n->pids, &tid, sizeof(tid), (void *)(uintptr_t)(pid + 1));
}

/* ---- what the kernel says ---- */

static int on_event(void *arg, struct kctf_stream *s, const struct kpage_event *ev)
{
	struct kn_event *e = arg;
	struct knames *n = e->names;
	int32_t tid, current, pid;
	uint64_t flags = 0;

	if (ev->len >= e->need) {
		memcpy(&current, ev->data + 4, sizeof(current));
		memcpy(&tid, ev->data + e->pid_at, sizeof(tid));
		if (e->flags_at)
			memcpy(&flags, ev->data + e->flags_at, sizeof(flags));
		pid = !e->flags_at	       ? pid_of(n, tid)
			: flags & CLONE_THREAD ? pid_of(n, current)
					       : tid;
		add(n, ev->ts, pid, tid, (const char *)ev->data + e->comm_at);
	}
	return e->is_hidden ? 0 : kctf_emit(n->k->ctf, s, e->id, ev);
}

/* flags: name of the field of clone flags, or NULL. Without the event there are fewer names. */
static void listen(
	struct krec *k, struct kn_event *e, const char *name, const char *comm, bool clone)
{
	const struct kfield *c, *f, *p;
	const struct kformat *fmt;
	AUTO(buf) struct buf text = {0};
	struct kformat *parsed = NULL;

	e->names = NULL;
	e->name = name;
	e->is_hidden = !krec_wants(k, "task", name);
	if (tracefs_format(k->instance, "task", name, &text, NULL) < 0 || !text.data ||
		kformat_parse(text.data, text.len, "task", sizeof(long), &parsed, NULL) < 0)
		return;
	e->id = parsed->id;
	kformat_free(parsed);
	if (krec_learn(k, "task", name, "task", NULL) < 0)
		return;
	fmt = kctf_format(k->ctf, e->id);
	c = kformat_field(fmt, comm);
	f = clone ? kformat_field(fmt, "clone_flags") : NULL;
	p = kformat_field(fmt, "pid");
	if (!c || c->size != COMM || c->form != KFIELD_ARRAY || (clone && (!f || f->size != 8)) ||
		(p && p->size != 4))
		return;
	e->names = k->names;
	e->comm_at = c->offset;
	e->flags_at = f ? f->offset : 0;
	e->pid_at = p ? p->offset : 4; /* newer kernels: who is current */
	e->need = fmt->fixed_size;
	kctf_take(k->ctf, e->id, on_event, e);
	if (e->is_hidden)
		(void)tracefs_enable(k->instance, "task", name, true, NULL);
}

int krec_names_start(struct session *s)
{
	struct krec *k = s->kernel;

	if (!k->names) {
		k->names = calloc(1, sizeof(*k->names));
		if (!k->names)
			return -ENOMEM;
		k->names->k = k;
		k->names->file.fd = -1;
		k->names->file.instance = ctf_instance(0xffff, 0, 0, 0);
	}
	k->names->events[0].names = k->names->events[1].names = NULL;
	if (k->stacks)
		return 0; /* events of ours would have stacks, too */
	listen(k, &k->names->events[0], "task_newtask", "comm", true);
	listen(k, &k->names->events[1], "task_rename", "newcomm", false);
	return 0;
}

bool krec_names_need(const struct krec *k, const char *system, const char *name)
{
	if (!k->names || strcmp(system, "task") != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(k->names->events); i++) {
		const struct kn_event *e = &k->names->events[i];

		if (e->names && strcmp(e->name, name) == 0)
			return true;
	}
	return false;
}

void krec_names_shown(struct krec *k)
{
	for (size_t i = 0; k->names && i < ARRAY_SIZE(k->names->events); i++) {
		struct kn_event *e = &k->names->events[i];

		if (e->names)
			e->is_hidden = !krec_wants(k, "task", e->name);
	}
}

/* ---- what is there ---- */

static void dump_thread(struct knames *n, uint64_t ts, const char *pid, const char *tid)
{
	AUTO(buf) struct buf b = {0};
	char path[600];

	(void)snprintf(path, sizeof(path), "/proc/%s/task/%s/comm", pid, tid); /* fits: numbers */
	if (read_file(path, 256, &b) < 0 || !b.len)
		return; /* gone */
	if (b.data[b.len - 1] == '\n')
		b.data[b.len - 1] = 0;
	add(n, ts, atoi(pid), atoi(tid), b.data);
}

static void dump_process(struct knames *n, uint64_t ts, const char *pid)
{
	char path[600];
	AUTO(dir) DIR *d = NULL;
	struct dirent *t;

	(void)snprintf(path, sizeof(path), "/proc/%s/task", pid); /* fits: a number */
	d = opendir(path);
	while (d && (t = readdir(d)))
		if (t->d_name[0] >= '0' && t->d_name[0] <= '9')
			dump_thread(n, ts, pid, t->d_name);
}

static void dump_all(struct knames *n, uint64_t ts)
{
	AUTO(dir) DIR *d = opendir("/proc");
	struct dirent *p;

	add(n, ts, 0, 0, "<idle>");
	while (d && (p = readdir(d)))
		if (p->d_name[0] >= '0' && p->d_name[0] <= '9')
			dump_process(n, ts, p->d_name);
	n->dumped = true;
}

/* ---- writing ---- */

static int compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->ts < y->ts ? -1 : x->ts > y->ts;
}

uint64_t krec_state_ts(const struct krec *k)
{
	return MAX(k->names->last_ts, k->start_ts);
}

void krec_state_write(struct session *s, const struct buf *records, uint64_t begin, uint64_t end)
{
	struct krec *k = s->kernel;
	struct knames *n = k->names;
	struct ring_view v = {.data = (const uint8_t *)records->data,
		.len = records->len,
		.begin_ts = begin,
		.end_ts = end};
	struct ctf_frame f;

	if (!records->len || records->err || !krec_has_place(k))
		return;
	n->last_ts = MAX(n->last_ts, end);
	krec_flush_metadata(s);
	if (n->file.fd < 0 && k->place.dirfd >= 0)
		n->file.fd = place_create(s, &k->place, "state");
	kctf_state_packet(k->ctf, &v, n->file.instance, n->file.seq, &f);
	(void)place_write_packet(&k->place, &n->file, &f); /* else there are fewer names */
}

void krec_names_write(struct session *s)
{
	struct krec *k = s->kernel;
	struct knames *n = k->names;
	AUTO(buf) struct buf records = {0};
	uint64_t begin;

	if (!n || !krec_has_place(k))
		return;
	if (!n->dumped)
		dump_all(n, k->start_ts);
	if (!n->n)
		return;
	qsort(n->all, n->n, sizeof(*n->all), compare);
	begin = MAX(n->last_ts, n->all[0].ts);
	for (size_t i = 0; i < n->n; i++) {
		const struct name *a = &n->all[i];
		struct ctf_thread t = {.pid = a->pid, .tid = a->tid, .comm = a->comm};

		n->last_ts = MAX(n->last_ts, a->ts);
		ctf_state_thread(&records, n->last_ts, &t);
	}
	n->n = 0;
	krec_state_write(s, &records, begin, n->last_ts);
}

void krec_names_again(struct krec *k)
{
	k->names->dumped = false;
}

void krec_names_close(struct krec *k)
{
	if (!k->names)
		return;
	auto_fd(&k->names->file.fd);
	k->names->file.fd = -1;
	k->names->file.offset = 0;
}

void krec_names_fresh(struct krec *k)
{
	krec_names_close(k);
	k->names->file.seq = 0;
	k->names->last_ts = 0;
	k->names->n = 0;
}

void krec_names_free(struct krec *k)
{
	if (!k->names)
		return;
	map_done(&k->names->pids);
	auto_fd(&k->names->file.fd);
	free(k->names->all);
	free(k->names);
}
