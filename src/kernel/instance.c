/* Instances of ours: their names say whose they are, so that those of the dead are found. */
#include "kernel/tracefs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INSTANCES_MAX 1000 /* of one process */
#define BUSY_TRIES 200 /* readers that are just being closed hold an instance for a moment */
#define BUSY_NS 5000000

/* Field 22 of /proc/PID/stat: when it was started; 0: there is no such process, or it has ended and
 * nobody has asked for its status yet. */
static uint64_t start_time(int pid)
{
	AUTO(buf) struct buf b = {0};
	char path[64];
	const char *s;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid); /* fits */
	if (read_file(path, 4096, &b) < 0 || !b.data)
		return 0;
	s = strrchr(b.data, ')'); /* names may hold anything */
	if (s && strlen(s) > 2 && (s[2] == 'Z' || s[2] == 'X'))
		return 0;
	for (int field = 2; s && field < 22; field++)
		s = strchr(s + 1, ' ');
	return s ? strtoull(s + 1, NULL, 10) : 0;
}

bool tracefs_instance_owner(const char *name, bool *ret_alive)
{
	unsigned long long started;
	int pid, n, used = 0;

	if (sscanf(name, "cairn-%d-%llu-%d%n", &pid, &started, &n, &used) != 3 || pid <= 0 ||
		name[used])
		return false;
	*ret_alive = start_time(pid) == started && started != 0;
	return true;
}

void tracefs_group_name(char ret[TRACEFS_GROUP_MAX])
{
	(void)snprintf(ret, TRACEFS_GROUP_MAX, "cairn_%d_%llu", getpid(), /* fits */
		(unsigned long long)start_time(getpid()));
}

bool tracefs_group_owner(const char *group, bool *ret_alive)
{
	unsigned long long started;
	int pid, n, used = 0;

	if (sscanf(group, "cairn_%d_%llu_%d%n", &pid, &started, &n, &used) != 3 &&
		sscanf(group, "cairn_%d_%llu%n", &pid, &started, &used) != 2)
		return false;
	if (pid <= 0 || group[used])
		return false;
	*ret_alive = start_time(pid) == started && started != 0;
	return true;
}

static struct tracefs *instance_open(struct tracefs *top, const char *name, int *ret_err)
{
	struct tracefs *t = calloc(1, sizeof(*t));
	char path[4096];

	*ret_err = -ENOMEM;
	if (!t)
		return NULL;
	(void)snprintf(path, sizeof(path), "instances/%s", name); /* fits: our own names */
	t->top = top;
	t->fake = top->fake;
	t->fd = openat(top->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*ret_err = t->fd < 0 ? -errno : -ENOMEM;
	(void)snprintf(path, sizeof(path), "%s/instances/%s", top->path, name); /* for texts */
	t->path = strdup(path);
	t->name = strdup(name);
	if (t->fd >= 0 && t->path && t->name)
		return t;
	tracefs_free(t);
	return NULL;
}

int tracefs_instance_open(
	struct tracefs *top, const char *name, struct tracefs **ret, struct error *e)
{
	int err = -ENOENT;
	struct tracefs *t =
		strchr(name, '/') || name[0] == '.' ? NULL : instance_open(top, name, &err);

	if (!t)
		return error_set(
			e, err, "there is no instance '%s' in %s/instances", name, top->path);
	*ret = t;
	return 0;
}

int tracefs_instance_new(struct tracefs *top, struct tracefs **ret, struct error *e)
{
	uint64_t started = start_time(getpid());
	char path[128];
	int err = -EEXIST;

	for (int n = 0; n < INSTANCES_MAX && err == -EEXIST; n++) {
		(void)snprintf(path, sizeof(path), "instances/cairn-%d-%llu-%d", getpid(),
			(unsigned long long)started, n); /* fits */
		err = mkdirat(top->fd, path, 0750) == 0 ? 0 : -errno;
	}
	if (err == -EACCES || err == -EPERM)
		return tracefs_no_right(top, top->path, e);
	if (err < 0)
		return error_set(e, err,
			"cannot make an instance of the kernel's tracing: %s/%s: %s", top->path,
			path, strerror(-err));
	*ret = instance_open(top, path + strlen("instances/"), &err);
	if (*ret && tracefs_on(*ret, false, NULL) == -EACCES) { /* root's, though made by us */
		tracefs_free(*ret);
		*ret = NULL;
		(void)unlinkat(top->fd, path, AT_REMOVEDIR);
		return tracefs_no_right(top, top->path, e);
	}
	if (*ret) /* a fake has no such file at first */
		return 0;
	(void)unlinkat(top->fd, path, AT_REMOVEDIR);
	return error_set(e, err, "cannot open %s/%s: %s", top->path, path, strerror(-err));
}

/* A test's directory has plain files, which the kernel's would take along. */
static void empty(int at)
{
	int fd = openat(at, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *f;

	while (d && (f = readdir(d))) {
		if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
			continue;
		if (f->d_type == DT_DIR) {
			int sub = openat(at, f->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

			if (sub >= 0) {
				empty(sub);
				(void)close(sub);
			}
			(void)unlinkat(at, f->d_name, AT_REMOVEDIR);
		} else {
			(void)unlinkat(at, f->d_name, 0);
		}
	}
}

int tracefs_instance_remove(struct tracefs *t, struct error *e)
{
	const struct timespec pause = {.tv_nsec = BUSY_NS};
	char path[4096];
	int err = -EBUSY;

	if (!t)
		return 0;
	(void)tracefs_on(t, false, NULL); /* it goes in any case */
	(void)tracefs_write(t, "set_event", "", NULL); /* all off at once: it goes the faster */
	(void)snprintf(path, sizeof(path), "instances/%s", t->name); /* fits: our own names */
	if (t->fake)
		empty(t->fd);
	(void)close(t->fd);
	t->fd = -1;
	for (int i = 0; i < BUSY_TRIES && err == -EBUSY; i++) {
		if (i)
			(void)nanosleep(&pause, NULL);
		err = unlinkat(t->top->fd, path, AT_REMOVEDIR) == 0 ? 0 : -errno;
	}
	if (err < 0)
		(void)error_set(e, err, "cannot remove %s: %s", t->path, strerror(-err));
	tracefs_free(t);
	return err;
}

int tracefs_sweep(struct tracefs *top)
{
	int fd = openat(top->fd, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC), removed = 0;
	AUTO(dir) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *f;

	while (d && (f = readdir(d))) {
		bool alive;
		int err;
		struct tracefs *t;
		char path[300];

		if (!tracefs_instance_owner(f->d_name, &alive) || alive)
			continue;
		t = instance_open(top, f->d_name, &err);
		if (t && t->fake)
			empty(t->fd);
		tracefs_free(t);
		(void)snprintf(path, sizeof(path), "instances/%s", f->d_name); /* fits */
		/* once: busy means that somebody, perhaps of another pid namespace, has it open */
		removed += unlinkat(top->fd, path, AT_REMOVEDIR) == 0;
	}
	return removed;
}
