/* The kernel's part of a session: limited to processes, with all their threads and the children that they
 * have already; those that come later the kernel takes along itself (option event-fork). */
#include "session/kernel-impl.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TASKS_MAX 1000000u

struct tids {
	int32_t *all; /* owned vector */
	size_t n, cap;
};

static int add(struct tids *t, int32_t tid)
{
	int32_t *at = t->n < TASKS_MAX ? VEC_ADD(t->all, t->n, t->cap) : NULL;

	if (!at)
		return -ENOMEM;
	*at = tid;
	return 0;
}

static bool has(const struct tids *t, int32_t tid)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->all[i] == tid)
			return true;
	return false;
}

/* Those of one thread; kernels without CONFIG_PROC_CHILDREN do not tell. */
static int add_children(struct tids *processes, pid_t pid, const char *tid)
{
	AUTO(buf) struct buf b = {0};
	char path[96], *s, *end;
	int r = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, tid); /* fits */
	if (read_file(path, 16u << 20, &b) < 0 || !b.data)
		return 0;
	for (s = b.data; r == 0; s = end) {
		long child = strtol(s, &end, 10);

		if (end == s)
			break;
		if (!has(processes, (int32_t)child))
			r = add(processes, (int32_t)child);
	}
	return r;
}

static int add_process(struct tids *tasks, struct tids *processes, pid_t pid)
{
	char path[64];
	AUTO(dir) DIR *d = NULL;
	struct dirent *f;
	int r = add(tasks, pid);

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid); /* fits */
	d = opendir(path);
	while (d && r == 0 && (f = readdir(d))) {
		if (f->d_name[0] == '.')
			continue;
		if (atoi(f->d_name) != pid)
			r = add(tasks, atoi(f->d_name));
		if (r == 0)
			r = add_children(processes, pid, f->d_name);
	}
	return r;
}

static int read_tasks(struct tids *tasks, struct tids *processes, const pid_t *pids, size_t n)
{
	int r = 0;

	tasks->n = processes->n = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = has(processes, pids[i]) ? 0 : add(processes, pids[i]);
	for (size_t i = 0; i < processes->n && r == 0; i++) /* it grows meanwhile */
		r = add_process(tasks, processes, processes->all[i]);
	return r;
}

/* The list is written at once: to change it later takes the kernel some 30 ms. So what is read again
 * behind it is usually the same; else a thread came meanwhile, whose children come with it. */
int krec_limit(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	const pid_t *pids = k->npids ? k->pids : s->pids;
	size_t n = k->all ? 0 : k->npids ? k->npids : s->npids, before = 0;
	struct tids tasks = {0}, processes = {0};
	int r;

	free(k->traced);
	k->traced = NULL;
	k->ntraced = 0;
	if (!n)
		return 0;
	r = tracefs_option(k->instance, "event-fork", true, err);
	while (r == 0 && (r = read_tasks(&tasks, &processes, pids, n)) == 0 && tasks.n > before) {
		before = tasks.n;
		r = tracefs_pids(k->instance, tasks.all, tasks.n, err);
	}
	free(tasks.all);
	k->traced = processes.all;
	k->ntraced = processes.n;
	return r == -ENOMEM ? error_set(err, r, "no memory for a list of threads") : r;
}

size_t krec_pids(const struct session *s, const pid_t **ret)
{
	*ret = s->kernel->traced;
	return s->kernel->ntraced;
}
