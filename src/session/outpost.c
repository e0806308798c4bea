/* Outposts: our socket where programs of other mount namespaces look for hosts.
 *
 * A program's runtime looks in the run directory of its own file system. If a program that is asked
 * for by its pid has another root than we, one more listening socket is bound there, as
 * ROOT/run/cairn/hosts/NAME-PID.sock, or below the program's own $CAIRN_RUNDIR. What is made there
 * goes when the host ends; what a killed host left there is swept by the next. Directories that were
 * made on the way are known by a mode that no other has (MADE_MODE) and by their owner: the last host
 * to use one removes it, whoever made it.
 *
 * In another user namespace, a file system may not know our user: there everything is made as the
 * root of that namespace, or whoever owns its root directory.
 *
 * The tree belongs to whoever runs the container, who may change it at any time: each step is taken
 * relative to a descriptor of a directory inside it (openat2, RESOLVE_IN_ROOT), and nothing is
 * done to a name that could be a link by then, but to bind and to unlink it.
 */
#include "session/session-impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define MADE_MAX 8 /* directories made on the way */
#define MADE_MODE 01755 /* sticky, though only its owner may write: it means "made by a host" */

struct outpost {
	struct outpost *next;
	int fd; /* listening */
	dev_t dev; /* of the root it stands in */
	ino_t ino;
	ino_t namespace; /* mounts on the way there differ even below one root */
	uid_t uid; /* whose the socket and what is made are */
	gid_t gid;
	int dir; /* the directory of the socket */
	char name[CAIRN_NAME_MAX + 32];
	unsigned nmade;
	struct {
		int parent; /* owned */
		char name[64];
	} made[MADE_MAX];
};

/* ---- the way there ---- */

static int open_in(int dir, const char *path, uint64_t how)
{
	struct open_how h = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = how | RESOLVE_NO_MAGICLINKS};

	long fd = syscall(SYS_openat2, dir, path, &h, sizeof(h));

	return fd < 0 ? -errno : (int)fd;
}

static int make_dir(int at, const char *name)
{
	mode_t mask = umask(0);
	int r = mkdirat(at, name, MADE_MODE) < 0 ? -errno : 0;

	(void)umask(mask);
	return r;
}

/* Was this made by a host of ours, living or dead? */
static bool made_by_host(const struct outpost *o, int dir)
{
	struct stat st;

	return fstat(dir, &st) == 0 && (st.st_mode & 07777) == MADE_MODE && st.st_uid == o->uid;
}

/* To be removed at the end, unless others use it then. */
static void note_made(struct outpost *o, int parent, const char *name)
{
	if (o->nmade == MADE_MAX)
		return;
	strcpy(o->made[o->nmade].name, name);
	o->made[o->nmade++].parent = fcntl(parent, F_DUPFD_CLOEXEC, 0);
}

/* Opens `path` below root, making what is missing. */
static int make_way(struct outpost *o, int root, const char *path)
{
	AUTO(fd) int at = open_in(root, ".", RESOLVE_IN_ROOT);
	char done[256] = "";

	while (at >= 0 && *path) {
		size_t n = strcspn(path, "/");
		char part[64];
		int next;

		if (n == 0) {
			path++;
			continue;
		}
		if (n >= sizeof(part) || strlen(done) + n + 2 > sizeof(done))
			return -ENAMETOOLONG;
		memcpy(part, path, n);
		part[n] = 0;
		strcat(strcat(done, "/"), part);
		next = open_in(root, done, RESOLVE_IN_ROOT);
		if (next == -ENOENT && o->nmade < MADE_MAX) {
			next = make_dir(at, part);
			if (next == 0 || next == -EEXIST)
				next = open_in(at, part, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
		}
		if (next < 0)
			return next;
		if (made_by_host(o, next))
			note_made(o, at, part);
		auto_fd(&at);
		at = next;
		path += n;
	}
	return at < 0 ? at : take_fd(&at);
}

/* The program's own $CAIRN_RUNDIR (as it started), or the one that all look in. */
static int rundir_of(pid_t pid, char *ret, size_t size)
{
	static const char var[] = "CAIRN_RUNDIR=";
	AUTO(buf) struct buf env = {0};
	const char *dir = CAIRN_RUNDIR_ROOT;
	char path[64];
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	if (read_file(path, 1u << 20, &env) == 0) {
		for (size_t i = 0; i < env.len; i += strlen(env.data + i) + 1) {
			if (strncmp(env.data + i, var, sizeof(var) - 1) == 0 &&
				env.data[i + sizeof(var) - 1] == '/')
				dir = env.data + i + sizeof(var) - 1;
		}
	}
	n = snprintf(ret, size, "%s/hosts", dir);
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* ---- the socket ---- */

static int address(const struct outpost *o, const char *name, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	return snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", o->dir, name) <
			(int)sizeof(ret->sun_path)
		? 0
		: -ENAMETOOLONG;
}

/* Connecting to a file that is no socket is refused just as if nobody listened. */
static bool is_socket(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(st.st_mode);
}

/* Removes sockets on which nobody listens any more. */
static void sweep_dir(const struct outpost *o)
{
	AUTO(fd) int fd = openat(o->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (d)
		(void)take_fd(&fd); /* d has it */
	while (d && (e = readdir(d))) {
		AUTO(fd) int s = -1;
		size_t n = strlen(e->d_name);
		struct sockaddr_un sa;

		if (n < 6 || strcmp(e->d_name + n - 5, ".sock") != 0 ||
			!is_socket(o->dir, e->d_name) || address(o, e->d_name, &sa) < 0)
			continue;
		s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (s >= 0 && connect(s, (struct sockaddr *)&sa, sizeof(sa)) < 0 &&
			errno == ECONNREFUSED)
			(void)unlinkat(o->dir, e->d_name, 0); /* somebody may have been faster */
	}
}

static int listen_there(struct outpost *o)
{
	struct sockaddr_un sa;
	mode_t mask;
	int r = address(o, o->name, &sa);

	if (r < 0)
		return r;
	o->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (o->fd < 0)
		return -errno;
	/* chmod() of the name might hit what a link points to by then */
	mask = umask(geteuid() == 0 ? 0111 : 0177);
	r = bind(o->fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r == 0 && listen(o->fd, 1024) < 0)
		r = -errno;
	return r;
}

/* Is this the very directory that our public socket stands in? */
static bool is_ours(const struct outpost *o, const struct cairn_host *h)
{
	char path[128];
	struct stat a, b;

	(void)snprintf(path, sizeof(path), "%s/hosts", h->rundir);
	return stat(path, &a) == 0 && fstat(o->dir, &b) == 0 && a.st_dev == b.st_dev &&
		a.st_ino == b.st_ino;
}

/* ---- making and ending ---- */

static void outpost_free(struct outpost *o)
{
	if (o->fd >= 0)
		(void)unlinkat(o->dir, o->name, 0); /* else another host sweeps it */
	auto_fd(&o->fd);
	auto_fd(&o->dir);
	while (o->nmade) {
		--o->nmade;
		if (o->made[o->nmade].parent >= 0) /* not if others use it by now */
			(void)unlinkat(
				o->made[o->nmade].parent, o->made[o->nmade].name, AT_REMOVEDIR);
		auto_fd(&o->made[o->nmade].parent);
	}
	free(o);
}

/* Who is called 0 in the name space of a map of ids; none: *ret as it is. */
static void outer_root(pid_t pid, const char *map, unsigned *ret)
{
	AUTO(buf) struct buf text = {0};
	unsigned inside, outside, count;
	char path[64];
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, map);
	if (read_file(path, 65536, &text) < 0)
		return;
	for (const char *s = text.data; sscanf(s, "%u %u %u%n", &inside, &outside, &count, &n) == 3;
		s += n) {
		if (inside == 0 && count)
			*ret = outside;
	}
}

/* Whose things are to be there: see the head. */
static void choose_owner(struct outpost *o, int root, pid_t pid)
{
	struct stat ours, theirs, st;
	char path[64];

	o->uid = geteuid();
	o->gid = getegid();
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (o->uid != 0 || stat("/proc/self/ns/user", &ours) < 0 || stat(path, &theirs) < 0 ||
		ours.st_ino == theirs.st_ino || fstat(root, &st) < 0)
		return;
	o->uid = st.st_uid;
	o->gid = st.st_gid;
	outer_root(pid, "uid_map", &o->uid);
	outer_root(pid, "gid_map", &o->gid);
}

static int settle_in(struct cairn_host *h, struct outpost *o, int root, const char *dir)
{
	o->dir = make_way(o, root, dir);
	if (o->dir < 0 || is_ours(o, h))
		return o->dir < 0 ? o->dir : 0;
	(void)snprintf(o->name, sizeof(o->name), "%s-%d.sock", h->name, (int)getpid());
	sweep_dir(o);
	return listen_there(o);
}

/* Files are made, and may be, as their owner's: in this thread, for this while. */
static int settle(struct cairn_host *h, struct outpost *o, int root, pid_t pid)
{
	char dir[128];
	int r = rundir_of(pid, dir, sizeof(dir));

	if (r < 0)
		return r;
	choose_owner(o, root, pid);
	(void)setfsgid(o->gid); /* if they fail, so does what follows */
	(void)setfsuid(o->uid);
	r = settle_in(h, o, root, dir);
	(void)setfsuid(geteuid());
	(void)setfsgid(getegid());
	return r;
}

static int outpost_new(
	struct cairn_host *h, int root, const struct stat *st, ino_t namespace, pid_t pid)
{
	struct outpost *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	o->fd = o->dir = -1;
	o->dev = st->st_dev;
	o->ino = st->st_ino;
	o->namespace = namespace;
	r = settle(h, o, root, pid);
	if (r == 0 && o->fd >= 0)
		r = host_listens(h, o->fd, &o->fd);
	if (r < 0 || o->fd < 0) {
		outpost_free(o);
		return r;
	}
	o->next = h->outposts;
	h->outposts = o;
	return 0;
}

/* The mount namespace of a process ("self" or a pid), 0 if it cannot be told. */
static ino_t namespace_of(const char *pid)
{
	struct stat st;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%s/ns/mnt", pid);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

void outpost_for(struct cairn_host *h, pid_t pid)
{
	AUTO(fd) int root = -1;
	struct stat ours, theirs;
	char path[64], number[16];
	ino_t namespace;
	int r;

	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	(void)snprintf(path, sizeof(path), "/proc/%s/root", number);
	namespace = namespace_of(number);
	root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || fstat(root, &theirs) < 0 || stat("/proc/self/root", &ours) < 0)
		return; /* it has ended, or is not ours to look into: it is said to be unreached */
	if (h->public_fd >= 0 && namespace == namespace_of("self") &&
		ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino)
		return;
	for (const struct outpost *o = h->outposts; o; o = o->next)
		if (o->dev == theirs.st_dev && o->ino == theirs.st_ino && o->namespace == namespace)
			return;
	r = outpost_new(h, root, &theirs, namespace, pid);
	if (r < 0)
		host_say(h,
			"process %d has a file system of its own, where this host cannot put its socket: "
			"%s",
			(int)pid, strerror(-r));
}

bool outpost_is(const struct cairn_host *h, const void *ptr, int *ret_fd)
{
	for (const struct outpost *o = h->outposts; o; o = o->next) {
		if (ptr == &o->fd) {
			*ret_fd = o->fd;
			return true;
		}
	}
	return false;
}

void outposts_close(struct cairn_host *h)
{
	while (h->outposts) {
		struct outpost *o = h->outposts;

		h->outposts = o->next;
		outpost_free(o);
	}
}
