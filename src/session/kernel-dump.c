/* The state of the system when a trace, or a piece of one, begins: what events that come later take for
 * known.
 *
 *	ours (in the state stream)	LTTng's (in the first CPU's stream)
 *	cairn_state:kernel_module	lttng_statedump_module		kernel modules, where they are loaded
 *	cairn_state:interrupt		lttng_statedump_interrupt	numbers of interrupts, who handles them
 *	cairn_state:open_file		lttng_statedump_file_descriptor	of the traced processes
 *	-				lttng_statedump_block_device	names of disks
 *	cairn_state:thread (kernel-names.c)	lttng_statedump_process_state	from which Trace Compass builds its
 *									states of processes
 *
 * Modules are the only ones that LTTng's own tracer does not dump. lttng_statedump_file_descriptor says the
 * process, as LTTng's did before it knew tables of files by their addresses, which nobody outside the
 * kernel can tell.
 */
#include "session/kernel-impl.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ID_STATE (KCTF_OWN_LAST - 1)
#define ID_END KCTF_OWN_LAST
#define ID_START (KCTF_OWN_LAST - 2)
#define ID_THINGS (KCTF_OWN_LAST - 2 - (int)ARRAY_SIZE(things)) /* the first of them */
#define FILES_MAX 200000 /* open files that are told of */
#define FIELDS_MAX 5
#define COMMON 8 /* bytes before a record's fields */
#define FORM_EXTENDED 2u

enum { TYPE_USER = 0, TYPE_KERNEL = 1, MODE_SYSCALL = 1, STATUS_WAIT = 5 };

/* As a format file says it; struct state below. */
static const char state_format[] = "name: lttng_statedump_process_state\nID: 65550\nformat:\n"
				   "\tfield:int tid;\toffset:8;\tsize:4;\tsigned:1;\n"
				   "\tfield:int vtid;\toffset:12;\tsize:4;\tsigned:1;\n"
				   "\tfield:int pid;\toffset:16;\tsize:4;\tsigned:1;\n"
				   "\tfield:int vpid;\toffset:20;\tsize:4;\tsigned:1;\n"
				   "\tfield:int ppid;\toffset:24;\tsize:4;\tsigned:1;\n"
				   "\tfield:int vppid;\toffset:28;\tsize:4;\tsigned:1;\n"
				   "\tfield:char name[16];\toffset:32;\tsize:16;\tsigned:0;\n"
				   "\tfield:int type;\toffset:48;\tsize:4;\tsigned:1;\n"
				   "\tfield:int mode;\toffset:52;\tsize:4;\tsigned:1;\n"
				   "\tfield:int submode;\toffset:56;\tsize:4;\tsigned:1;\n"
				   "\tfield:int status;\toffset:60;\tsize:4;\tsigned:1;\n"
				   "\tfield:int ns_level;\toffset:64;\tsize:4;\tsigned:1;\n"
				   "\tfield:unsigned int cpu;\toffset:68;\tsize:4;\tsigned:0;\n";
static const char end_format[] = "name: lttng_statedump_end\nID: 65551\nformat:\n";
static const char start_format[] = "name: lttng_statedump_start\nID: 65549\nformat:\n";
_Static_assert(KCTF_OWN_LAST == 65551, "as the formats say");

struct state {
	uint8_t common[8];
	int32_t tid, vtid, pid, vpid, ppid, vppid;
	char name[16];
	int32_t type, mode, submode, status, ns_level;
	uint32_t cpu;
};
_Static_assert(sizeof(struct state) == 72, "as the format says");

static int learn(struct krec *k, const char *text, size_t len)
{
	struct kformat *f;
	int r = kformat_parse(text, len, "lttng", sizeof(long), &f, NULL);

	return r < 0 ? r : kctf_add(k->ctf, f, NULL);
}

/* One thread by its stat file: "tid (comm) state ppid ... 39th: processor". */
static bool read_state(const char *pid, const char *tid, struct state *ret)
{
	AUTO(buf) struct buf b = {0};
	char path[600], *open, *close, *s;

	(void)snprintf(path, sizeof(path), "/proc/%s/task/%s/stat", pid, tid); /* fits */
	if (read_file(path, 4096, &b) < 0 || !b.data)
		return false;
	open = strchr(b.data, '(');
	close = strrchr(b.data, ')');
	if (!open || !close || close < open)
		return false;
	*ret = (struct state){.tid = atoi(tid), .pid = atoi(pid), .status = STATUS_WAIT};
	memcpy(ret->name, open + 1, MIN((size_t)(close - open - 1), sizeof(ret->name) - 1));
	s = close + 1;
	for (int field = 3; s && field <= 39; field++) {
		s = strchr(s, ' ');
		s = s ? s + 1 : NULL;
		if (s && field == 4)
			ret->ppid = atoi(s);
		if (s && field == 39)
			ret->cpu = (uint32_t)atoi(s);
	}
	ret->type = ret->pid == 2 || ret->ppid == 2 ? TYPE_KERNEL : TYPE_USER;
	ret->mode = MODE_SYSCALL;
	ret->vtid = ret->tid; /* as the host sees them */
	ret->vpid = ret->pid;
	ret->vppid = ret->ppid;
	return true;
}

static void dump_process(struct krec *k, struct kpage_event *ev, const char *pid)
{
	char path[300];
	AUTO(dir) DIR *d = NULL;
	struct dirent *t;
	struct state st;

	(void)snprintf(path, sizeof(path), "/proc/%s/task", pid); /* fits: a number */
	d = opendir(path);
	while (d && (t = readdir(d))) {
		if (t->d_name[0] < '0' || t->d_name[0] > '9' || !read_state(pid, t->d_name, &st))
			continue;
		ev->data = (const uint8_t *)&st;
		ev->len = sizeof(st);
		(void)kctf_emit(k->ctf, &k->cpus[0].s, ID_STATE, ev); /* else one is missing */
	}
}

/* ---- things ---- */

enum thing { MODULE, INTERRUPT, OPEN_FILE, DISK };
enum { FIELD_NONE, FIELD_INT, FIELD_HEX, FIELD_LONG_HEX, FIELD_STRING };

static const struct {
	const char *ours, *lttng; /* ours NULL: only with LTTng's names */
	struct {
		const char *name;
		uint8_t kind;
	} fields[FIELDS_MAX];
} things[] = {
	[MODULE] = {"kernel_module", "lttng_statedump_module",
		{{"name", FIELD_STRING}, {"base", FIELD_LONG_HEX}, {"size", FIELD_INT}}},
	[INTERRUPT] = {"interrupt", "lttng_statedump_interrupt",
		{{"irq", FIELD_INT}, {"name", FIELD_STRING}, {"action", FIELD_STRING}}},
	[OPEN_FILE] = {"open_file", "lttng_statedump_file_descriptor",
		{{"pid", FIELD_INT}, {"fd", FIELD_INT}, {"flags", FIELD_HEX}, {"fmode", FIELD_HEX},
			{"filename", FIELD_STRING}}},
	[DISK] = {NULL, "lttng_statedump_block_device",
		{{"dev", FIELD_INT}, {"diskname", FIELD_STRING}}},
};

struct value {
	uint64_t n;
	const char *s; /* of strings */
};

struct dump {
	struct krec *k; /* borrowed */
	struct buf records; /* owned: of the state stream */
	int64_t ids[ARRAY_SIZE(things)]; /* there; -1: not known yet */
	uint64_t ts;
};

static unsigned bytes_of(uint8_t kind)
{
	return kind == FIELD_LONG_HEX ? 8 : 4; /* of a string: where it is */
}

/* As a file "format" of the kernel's would say it. */
static int learn_thing(struct krec *k, enum thing what)
{
	static const char *const types[] = {[FIELD_INT] = "int",
		[FIELD_HEX] = "void *",
		[FIELD_LONG_HEX] = "void *",
		[FIELD_STRING] = "__data_loc char[]"};
	AUTO(buf) struct buf text = {0};
	unsigned at = COMMON;

	buf_printf(&text, "name: %s\nID: %d\nformat:\n", things[what].lttng, ID_THINGS + (int)what);
	for (size_t i = 0; i < FIELDS_MAX && things[what].fields[i].kind; i++) {
		uint8_t kind = things[what].fields[i].kind;

		buf_printf(&text, "\tfield:%s %s;\toffset:%u;\tsize:%u;\tsigned:%d;\n", types[kind],
			things[what].fields[i].name, at, bytes_of(kind), kind == FIELD_INT);
		at += bytes_of(kind);
	}
	return text.err ? text.err : learn(k, text.data, text.len);
}

static void emit_lttng(struct dump *d, enum thing what, const struct value *v)
{
	AUTO(buf) struct buf b = {0};
	struct kpage_event ev = {.ts = d->ts};
	uint32_t end = COMMON;

	for (size_t i = 0; i < FIELDS_MAX && things[what].fields[i].kind; i++)
		end += bytes_of(things[what].fields[i].kind);
	buf_add(&b, (const char[COMMON]){0}, COMMON);
	for (size_t i = 0; i < FIELDS_MAX && things[what].fields[i].kind; i++) {
		uint8_t kind = things[what].fields[i].kind;
		uint32_t n = kind == FIELD_STRING ? (uint32_t)strlen(v[i].s) + 1 : 0;
		uint64_t word = n ? n << 16 | end : v[i].n;

		buf_add(&b, &word, bytes_of(kind)); /* little endian */
		end += n;
	}
	for (size_t i = 0; i < FIELDS_MAX && things[what].fields[i].kind; i++)
		if (things[what].fields[i].kind == FIELD_STRING)
			buf_add(&b, v[i].s, strlen(v[i].s) + 1);
	ev.data = (const uint8_t *)b.data;
	ev.len = (uint32_t)b.len;
	if (!b.err &&
		(kctf_format(d->k->ctf, (uint32_t)(ID_THINGS + (int)what)) ||
			learn_thing(d->k, what) == 0))
		(void)kctf_emit(d->k->ctf, &d->k->cpus[0].s, (uint32_t)(ID_THINGS + (int)what),
			&ev); /* else one is missing */
}

static int64_t describe(struct krec *k, enum thing what)
{
	AUTO(buf) struct buf desc = {0};
	struct ctf_maker m;

	ctf_make(&m, CTF_STATE_PROVIDER, things[what].ours, 6, NULL);
	for (size_t i = 0; i < FIELDS_MAX && things[what].fields[i].kind; i++) {
		uint8_t kind = things[what].fields[i].kind;
		bool text = kind == FIELD_STRING;

		ctf_make_field(&m, things[what].fields[i].name,
			text			    ? CAIRN_KIND_STR
				: kind == FIELD_INT ? CAIRN_KIND_INT
						    : CAIRN_KIND_UINT,
			CAIRN_FORM_ONE, text ? 1 : bytes_of(kind), 0,
			kind == FIELD_HEX || kind == FIELD_LONG_HEX ? CAIRN_FIELD_HEX : 0);
	}
	return ctf_make_done(&m, &desc) < 0 ? -1 : kctf_state_event(k->ctf, desc.data, desc.len);
}

static void emit_ours(struct dump *d, enum thing what, const struct value *v)
{
	uint32_t word;

	if (d->ids[what] < 0)
		d->ids[what] = describe(d->k, what);
	if (d->ids[what] < 0)
		return; /* without memory there is less */
	word = FORM_EXTENDED | (uint32_t)d->ids[what] << 2;
	buf_add(&d->records, &word, sizeof(word));
	buf_add(&d->records, &d->ts, sizeof(d->ts));
	for (size_t i = 0; i < FIELDS_MAX && things[what].fields[i].kind; i++) {
		uint8_t kind = things[what].fields[i].kind;

		if (kind == FIELD_STRING)
			buf_add(&d->records, v[i].s, strlen(v[i].s) + 1);
		else
			buf_add(&d->records, &v[i].n, bytes_of(kind));
	}
}

static void emit(struct dump *d, enum thing what, const struct value *v)
{
	if (d->k->as_lttng)
		emit_lttng(d, what, v);
	else if (things[what].ours)
		emit_ours(d, what, v);
}

/* ---- where they are ---- */

static char *next_line(char **save, struct buf *b)
{
	return strtok_r(*save ? NULL : b->data, "\n", save);
}

/* "name size references users state address" */
static void dump_modules(struct dump *d)
{
	AUTO(buf) struct buf b = {0};
	char *save = NULL, *line, name[128];
	unsigned long long size, base;

	if (read_file("/proc/modules", 4u << 20, &b) < 0 || !b.data)
		return;
	while ((line = next_line(&save, &b)))
		if (sscanf(line, "%127s %llu %*s %*s %*s %llx", name, &size, &base) == 3)
			emit(d, MODULE, (struct value[]){{.s = name}, {.n = base}, {.n = size}});
}

/* " 24:  count of each CPU...  CHIP  NUMBER-edge  action, action" */
static void dump_interrupts(struct dump *d)
{
	AUTO(buf) struct buf b = {0};
	char *save = NULL, *line, *s, *chip, *end;
	size_t ncpus = 0;
	unsigned long irq;

	if (read_file("/proc/interrupts", 16u << 20, &b) < 0 || !b.data)
		return;
	line = next_line(&save, &b);
	for (s = line; s && (s = strstr(s, "CPU")); s += 3)
		ncpus++;
	while (line && (line = next_line(&save, &b))) {
		irq = strtoul(line, &end, 10);
		if (end == line || *end != ':')
			continue; /* those of the CPUs themselves */
		end++;
		for (size_t i = 0; i < ncpus; i++)
			(void)strtoul(end, &end, 10);
		chip = end + strspn(end, " ");
		s = chip + strcspn(chip, " ");
		end = s + strspn(s, " ");
		*s = 0;
		end += strcspn(end, " ");
		emit(d, INTERRUPT,
			(struct value[]){{.n = irq}, {.s = chip}, {.s = end + strspn(end, " ")}});
	}
}

/* "major minor blocks name" */
static void dump_disks(struct dump *d)
{
	AUTO(buf) struct buf b = {0};
	char *save = NULL, *line, name[64];
	unsigned major, minor;

	if (read_file("/proc/partitions", 1u << 20, &b) < 0 || !b.data)
		return;
	while ((line = next_line(&save, &b)))
		if (sscanf(line, "%u %u %*u %63s", &major, &minor, name) == 3)
			emit(d, DISK, (struct value[]){{.n = major << 20 | minor}, {.s = name}});
}

static uint64_t flags_of(const char *pid, const char *fd)
{
	AUTO(buf) struct buf b = {0};
	char path[64];
	const char *s;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/fdinfo/%.20s", pid, fd); /* fits */
	s = read_file(path, 65536, &b) == 0 && b.data ? strstr(b.data, "flags:") : NULL;
	return s ? strtoul(s + strlen("flags:"), NULL, 8) : 0;
}

/* A child of ours that has not become its program yet, and will not keep what closes then. */
static bool waits_at_its_gate(const char *pid)
{
	char path[64], ours[4096], its[4096];
	ssize_t n, m;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/exe", pid); /* fits */
	if (process_parent(atoi(pid)) != getpid())
		return false;
	n = readlink("/proc/self/exe", ours, sizeof(ours));
	m = readlink(path, its, sizeof(its));
	return n > 0 && n == m && memcmp(ours, its, (size_t)n) == 0;
}

/* Open files of a process; how many may still be told of. */
static size_t dump_files(struct dump *d, const char *pid, size_t left)
{
	char path[64], name[4096];
	bool waits = waits_at_its_gate(pid);
	AUTO(dir) DIR *dir = NULL;
	struct dirent *f;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/fd", pid); /* fits */
	dir = opendir(path);
	while (dir && left && (f = readdir(dir))) {
		uint64_t flags;
		ssize_t n = f->d_name[0] == '.'
			? -1
			: readlinkat(dirfd(dir), f->d_name, name, sizeof(name) - 1);

		if (n < 0)
			continue; /* closed meanwhile */
		name[n] = 0;
		flags = flags_of(pid, f->d_name);
		if (waits && flags & O_CLOEXEC)
			continue;
		emit(d, OPEN_FILE,
			(struct value[]){{.n = (uint64_t)atoi(pid)},
				{.n = (uint64_t)atoi(f->d_name)}, {.n = flags},
				{.n = (flags & O_ACCMODE) == O_RDWR ? 3 : (flags & O_ACCMODE) + 1},
				{.s = name}});
		left--;
	}
	return left;
}

static void dump_all_files(struct session *s, struct dump *d)
{
	const pid_t *pids;
	size_t n = krec_pids(s, &pids), left = FILES_MAX;
	AUTO(dir) DIR *all = n ? NULL : opendir("/proc");
	struct dirent *p;
	char pid[16];

	for (size_t i = 0; i < n; i++) {
		(void)snprintf(pid, sizeof(pid), "%d", pids[i]); /* fits */
		left = dump_files(d, pid, left);
	}
	while (all && left && (p = readdir(all)))
		if (p->d_name[0] >= '0' && p->d_name[0] <= '9')
			left = dump_files(d, p->d_name, left);
}

static void dump_nothing(struct dump *d, uint32_t id, const char *format, size_t len)
{
	static const uint8_t nothing[COMMON];
	struct kpage_event ev = {.ts = d->ts, .data = nothing, .len = sizeof(nothing)};

	if (kctf_format(d->k->ctf, id) || learn(d->k, format, len) == 0)
		(void)kctf_emit(d->k->ctf, &d->k->cpus[0].s, id, &ev); /* else it is missing */
}

static void dump_processes(struct dump *d)
{
	struct kpage_event ev = {.ts = d->ts};
	AUTO(dir) DIR *all = opendir("/proc");
	struct dirent *p;

	if (!kctf_format(d->k->ctf, ID_STATE) &&
		learn(d->k, state_format, sizeof(state_format) - 1) < 0)
		return;
	while (all && (p = readdir(all)))
		if (p->d_name[0] >= '0' && p->d_name[0] <= '9')
			dump_process(d->k, &ev, p->d_name);
}

void krec_dump(struct session *s)
{
	struct krec *k = s->kernel;
	struct dump d = {.k = k, .ts = k->start_ts};

	if (!k->ncpus)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(things); i++)
		d.ids[i] = -1; /* the trace finds those that it has */
	if (k->as_lttng) {
		d.ts = MAX(d.ts, k->cpus[0].s.end_ts);
		dump_nothing(&d, ID_START, start_format, sizeof(start_format) - 1);
		dump_processes(&d);
		dump_disks(&d);
	} else {
		d.ts = krec_state_ts(k);
	}
	dump_modules(&d);
	dump_interrupts(&d);
	dump_all_files(s, &d);
	if (k->as_lttng)
		dump_nothing(&d, ID_END, end_format, sizeof(end_format) - 1);
	krec_state_write(s, &d.records, d.ts, d.ts);
	buf_done(&d.records);
}
