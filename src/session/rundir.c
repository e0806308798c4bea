/* The run directory: where programs find hosts.
 *
 *	RUNDIR/lock			flock'ed while a host comes or goes
 *	RUNDIR/hosts/NAME.sock		one for each public host
 *	RUNDIR/libcairn-rt.so		link to the runtime, while a public host lives
 *	RUNDIR/private-PID-N.sock	hosts that only their children are told of
 *
 * RUNDIR is /run/cairn (root's, mode 0755: everybody's programs may connect to root's host) or
 * /run/user/UID/cairn (0700). A host that died leaves its socket; nobody listens there
 * (ECONNREFUSED), so the next host that comes or goes removes it.
 */
#include "session/session-impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int rundir_path(const char *opt, char *buf, size_t size)
{
	const char *env = opt ? opt : secure_getenv("CAIRN_RUNDIR");
	int n;

	if (env && *env)
		n = snprintf(buf, size, "%s", env);
	else if (geteuid() == 0)
		n = snprintf(buf, size, "%s", CAIRN_RUNDIR_ROOT);
	else
		n = snprintf(buf, size, CAIRN_RUNDIR_USER, geteuid());
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int socket_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	strcpy(ret->sun_path, path);
	return 0;
}

int socket_connect(const char *path, int *ret_fd, struct error *err)
{
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa;
	int r = socket_address(path, &sa);

	if (r < 0)
		return error_set(err, r, "the socket path '%s' is too long", path);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return error_set(err, -errno, "no host answers at %s: %s", path, strerror(errno));
	*ret_fd = take_fd(&fd);
	return 0;
}

static int socket_listen(const char *path, mode_t mode, int *ret_fd, struct error *err)
{
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa;
	int r = socket_address(path, &sa);

	if (r < 0) {
		(void)error_set(err, r, "the socket path '%s' is too long", path);
		error_hint(err, "choose a shorter run directory by CAIRN_RUNDIR");
		return r;
	}
	if (fd < 0)
		return error_set(err, -errno, "cannot make a socket: %s", strerror(errno));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, mode) < 0 ||
		listen(fd, 1024) < 0) {
		r = -errno;
		(void)unlink(path); /* may not exist */
		return error_set(err, r, "cannot listen at %s: %s", path, strerror(-r));
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

static int lock_dir(const char *rundir)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/lock", rundir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0 && errno == EINTR)
		;
	return fd;
}

/* Nobody listens there any more? A socket that cannot be asked counts as alive. */
static bool socket_is_dead(const char *path)
{
	AUTO(fd) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un sa;
	struct stat st;

	if (fd < 0 || socket_address(path, &sa) < 0 || lstat(path, &st) < 0 ||
		!S_ISSOCK(st.st_mode))
		return false; /* what is no socket refuses connections too */
	return connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 && errno == ECONNREFUSED;
}

/* Removes sockets of dead hosts in one directory; number of live ones. */
static unsigned sweep(const char *dir)
{
	AUTO(dir) DIR *d = opendir(dir);
	unsigned alive = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		char path[512];
		size_t n = strlen(e->d_name);

		if (n < 6 || strcmp(e->d_name + n - 5, ".sock") != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (!socket_is_dead(path))
			alive++;
		else
			(void)unlink(path); /* somebody else may have been faster */
	}
	return alive;
}

/* Points RUNDIR/libcairn-rt.so at our runtime, in one step. */
static void link_runtime(struct cairn_host *h)
{
	char path[160], tmp[160];

	if (!h->runtime)
		return;
	(void)snprintf(path, sizeof(path), "%s/libcairn-rt.so", h->rundir);
	(void)snprintf(tmp, sizeof(tmp), "%s/.libcairn-rt.so.%d", h->rundir, (int)getpid());
	(void)unlink(tmp); /* of an earlier process of this pid */
	if (symlink(h->runtime, tmp) < 0 || rename(tmp, path) < 0)
		host_say(h, "cannot link %s to the runtime: %s; programs will not find it", path,
			strerror(errno));
}

/* Who listens there: its pid, or 0. */
static pid_t listener_pid(const char *path)
{
	AUTO(fd) int fd = -1;
	struct ucred who;
	socklen_t len = sizeof(who);

	if (socket_connect(path, &fd, NULL) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return 0;
	return who.pid;
}

static int name_is_taken(struct cairn_host *h, struct error *err)
{
	pid_t pid = listener_pid(h->public_path);

	if (pid)
		(void)error_set(err, -EADDRINUSE, "a host named '%s' runs already: process %d",
			h->name, (int)pid);
	else
		(void)error_set(err, -EADDRINUSE, "a host named '%s' runs already", h->name);
	error_hint(err,
		"use it, or end it by `cairn daemon --stop --name %s`, or choose another name",
		h->name);
	h->public_path[0] = 0; /* not ours to remove */
	return -EADDRINUSE;
}

static int listen_public(struct cairn_host *h, struct error *err)
{
	char hosts[128];
	AUTO(fd) int lock = -1;
	int r;

	(void)snprintf(hosts, sizeof(hosts), "%s/hosts", h->rundir);
	r = mkdir_p(hosts, geteuid() == 0 ? 0755 : 0700);
	if (r == 0)
		r = lock = lock_dir(h->rundir);
	if (r < 0) {
		(void)error_set(
			err, r, "cannot use the run directory %s: %s", h->rundir, strerror(-r));
		error_hint(err, "set CAIRN_RUNDIR to a directory that you may write");
		return r;
	}
	r = snprintf(h->public_path, sizeof(h->public_path), "%s/%s.sock", hosts, h->name);
	if (r < 0 || (size_t)r >= sizeof(h->public_path))
		return error_set(err, -ENAMETOOLONG,
			"the socket path for host '%s' in %s is too long", h->name, hosts);
	(void)sweep(hosts);
	if (access(h->public_path, F_OK) == 0)
		return name_is_taken(h, err);
	r = socket_listen(h->public_path, geteuid() == 0 ? 0666 : 0600, &h->public_fd, err);
	if (r < 0) {
		h->public_path[0] = 0;
		return r;
	}
	link_runtime(h);
	return 0;
}

/* The private socket need not be where programs look: any directory of ours will do. */
static int listen_private(struct cairn_host *h, struct error *err)
{
	static unsigned number; /* of hosts in this process: only for a name of its own */
	unsigned n = __atomic_add_fetch(&number, 1, __ATOMIC_RELAXED);
	mode_t mode = geteuid() == 0 ? 0666 : 0600; /* children may change their uid */
	int r = mkdir_p(h->rundir, geteuid() == 0 ? 0755 : 0700);

	if (r == 0) {
		(void)sweep(h->rundir);
		if (snprintf(h->private_path, sizeof(h->private_path), "%s/private-%d-%u.sock",
			    h->rundir, (int)getpid(), n) >= (int)sizeof(h->private_path))
			r = -ENAMETOOLONG;
	}
	if (r == 0) {
		(void)unlink(h->private_path); /* of an earlier process of this pid */
		r = socket_listen(h->private_path, mode, &h->private_fd, NULL);
	}
	if (r == 0)
		return 0;
	strcpy(h->private_dir, "/tmp/cairn-XXXXXX");
	if (!mkdtemp(h->private_dir)) {
		h->private_dir[0] = h->private_path[0] = 0;
		return error_set(err, -errno, "cannot make a directory for a socket in /tmp: %s",
			strerror(errno));
	}
	if (geteuid() == 0)
		(void)chmod(h->private_dir, 0711); /* only children of other uids suffer */
	(void)snprintf(h->private_path, sizeof(h->private_path), "%s/host.sock", h->private_dir);
	return socket_listen(h->private_path, mode, &h->private_fd, err);
}

int rundir_open(struct cairn_host *h, const struct cairn_host_options *o, struct error *err)
{
	int r = rundir_path(o->rundir, h->rundir, sizeof(h->rundir));

	if (r < 0)
		return error_set(err, r, "the path of the run directory is too long");
	if (o->name && (strchr(o->name, '/') || session_name_check(o->name, "host", err) < 0))
		return error_set(err, -EINVAL, "'%s' is no name for a host", o->name);
	if (o->name)
		(void)snprintf(h->name, sizeof(h->name), "%s", o->name);
	else
		(void)snprintf(h->name, sizeof(h->name), "host-%d", (int)getpid());
	if (h->wanted != CAIRN_WANT_CHILDREN)
		r = listen_public(h, err);
	return r < 0 ? r : listen_private(h, err);
}

void rundir_close(struct cairn_host *h)
{
	char path[160];

	auto_fd(&h->public_fd);
	auto_fd(&h->private_fd);
	if (h->private_path[0])
		(void)unlink(h->private_path); /* swept by others otherwise */
	if (h->private_dir[0])
		(void)rmdir(h->private_dir);
	if (h->public_path[0]) {
		AUTO(fd) int lock = lock_dir(h->rundir);

		(void)unlink(h->public_path);
		(void)snprintf(path, sizeof(path), "%s/hosts", h->rundir);
		if (sweep(path) == 0) {
			(void)snprintf(path, sizeof(path), "%s/libcairn-rt.so", h->rundir);
			(void)unlink(path); /* the last host takes the link along */
		}
	}
	h->public_path[0] = h->private_path[0] = h->private_dir[0] = 0;
}

/* The runtime: as told, or by CAIRN_RT, or beside the executable, or installed. */
char *runtime_find(const char *opt)
{
	char path[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;
	const char *env = secure_getenv("CAIRN_RT");

	if (slash)
		strcpy(slash + 1, "libcairn-rt.so");
	const char *const tries[] = {opt, env, slash ? path : NULL, CAIRN_LIBDIR "/libcairn-rt.so"};

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		char *found =
			tries[i] && access(tries[i], R_OK) == 0 ? realpath(tries[i], NULL) : NULL;

		if (found || (i == 0 && opt))
			return found;
	}
	return NULL;
}
