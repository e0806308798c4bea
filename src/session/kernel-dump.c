/* The state of processes at the start as LTTng's kernel tracer dumps it, for traces with its names: Trace
 * Compass builds its states of processes from lttng_statedump_process_state. */
#include "session/kernel-impl.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_STATE (KCTF_OWN_LAST - 1)
#define ID_END KCTF_OWN_LAST

enum { TYPE_USER = 0, TYPE_KERNEL = 1, MODE_SYSCALL = 1, STATUS_WAIT = 5 };

/* As a format file says it; struct state below. */
static const char state_format[] = "name: lttng_statedump_process_state\nID: 65542\nformat:\n"
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
static const char end_format[] = "name: lttng_statedump_end\nID: 65543\nformat:\n";

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

static void dump_lttng(struct session *s)
{
	static const uint8_t nothing[8];
	struct krec *k = s->kernel;
	struct kpage_event ev = {.ts = k->start_ts};
	AUTO(dir) DIR *d = NULL;
	struct dirent *p;

	if (!k->as_lttng || !k->ncpus || learn(k, state_format, sizeof(state_format) - 1) < 0 ||
		learn(k, end_format, sizeof(end_format) - 1) < 0)
		return;
	d = opendir("/proc");
	while (d && (p = readdir(d)))
		if (p->d_name[0] >= '0' && p->d_name[0] <= '9')
			dump_process(k, &ev, p->d_name);
	ev.data = nothing;
	ev.len = sizeof(nothing);
	(void)kctf_emit(k->ctf, &k->cpus[0].s, ID_END, &ev); /* likewise */
}

void krec_dump(struct session *s)
{
	dump_lttng(s);
}
