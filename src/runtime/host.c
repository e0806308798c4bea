/* Hosts: where they are, connecting, and moving messages.
 *
 * Sockets are found by name, told apart by device, inode and birth, and believed by who listens
 * there (peer.c).
 * Sending never waits: messages queue, and a host that does not read for MAX_QUEUED bytes is given
 * up. Control thread, under rt.lock, but rt_hosts_exist().
 */
#include "runtime/runtime-impl.h"
#include <linux/fcntl.h>
#include <linux/stat.h>

#define AF_UNIX 1
#define SOCK_SEQPACKET 5
#define SOL_SOCKET 1
#define SCM_RIGHTS 1
#define MSG_DONTWAIT 0x40
#define MSG_NOSIGNAL 0x4000
#define MSG_CMSG_CLOEXEC 0x40000000
#define MAX_QUEUED (16u << 20)
#define MAX_FDS 8
#define READ_AT_ONCE 64 /* messages; others want the lock, too */
#define NEW_NS 100000000
#define SOON_TRIES 50
#define LISTENS_NS 1000000000u
#define EAGAIN 11
#define ECONNREFUSED 111
#define EINTR 4

struct sock_address {
	uint16_t family;
	char path[108];
};

struct msg_head { /* the kernel's struct user_msghdr */
	void *name;
	int namelen;
	struct {
		void *base;
		size_t len;
	} * iov;
	size_t iovlen;
	void *control;
	size_t controllen;
	uint32_t flags;
};

struct fd_control { /* a cmsghdr with descriptors */
	size_t len;
	int level, type;
	int fds[MAX_FDS];
};

/* ---- messages ---- */

void rt_conn_send(struct rt_conn *c, enum cairn_msg_type type, const void *data, size_t len, int fd)
{
	struct cairn_msg m = {
		CAIRN_MSG_MAGIC, (uint16_t)type, (uint32_t)len, ++c->seq, CAIRN_MSG_VERSION};
	struct rt_out *o;

	if (c->fd < 0)
		return;
	o = c->out_bytes < MAX_QUEUED ? rt_alloc(sizeof(*o) + sizeof(m) + len) : NULL;
	if (!o) {
		rt_conn_end(c);
		return;
	}
	o->fd = fd < 0 ? -1 : (int)SYS(fcntl, fd, F_DUPFD_CLOEXEC, 0);
	o->len = (uint32_t)(sizeof(m) + len);
	rt_copy(o->data, &m, sizeof(m));
	rt_copy(o->data + sizeof(m), data, len);
	*c->out_last = o;
	c->out_last = &o->next;
	c->out_bytes += o->len;
}

static void out_pop(struct rt_conn *c)
{
	struct rt_out *o = c->out;

	c->out = o->next;
	if (!c->out)
		c->out_last = &c->out;
	c->out_bytes -= o->len;
	if (o->fd >= 0)
		(void)SYS(close, o->fd); /* our duplicate */
	rt_free(o);
}

void rt_conn_flush(struct rt_conn *c)
{
	while (c->fd >= 0 && c->out) {
		struct rt_out *o = c->out;
		struct fd_control control = {16 + sizeof(int), SOL_SOCKET, SCM_RIGHTS, {o->fd}};
		struct {
			void *base;
			size_t len;
		} iov = {o->data, o->len};
		struct msg_head h = {.iov = (void *)&iov, .iovlen = 1};
		long n;

		if (o->fd >= 0) {
			h.control = &control;
			h.controllen = 24; /* CMSG_SPACE of one descriptor */
		}
		n = SYS(sendmsg, c->fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -EAGAIN)
			return;
		if (n < 0 && n != -EINTR) {
			rt_conn_end(c);
			return;
		}
		if (n >= 0)
			out_pop(c);
	}
}

/* The first descriptor passed; others are closed. -1: none. */
static int passed_fd(const struct msg_head *h, const struct fd_control *control)
{
	size_t n;
	int fd = -1;

	if (h->controllen < 16 + sizeof(int) || control->level != SOL_SOCKET ||
		control->type != SCM_RIGHTS)
		return -1;
	n = (control->len - 16) / sizeof(int);
	for (size_t i = 0; i < n && i < MAX_FDS; i++) {
		if (i == 0)
			fd = control->fds[0];
		else
			(void)SYS(close, control->fds[i]); /* nobody asked for it */
	}
	return fd;
}

bool rt_conn_read(struct rt_conn *c)
{
	static uint8_t data[CAIRN_MSG_MAX + sizeof(struct cairn_msg)];

	for (int i = 0; c->fd >= 0 && i < READ_AT_ONCE; i++) {
		struct fd_control control = {0};
		struct {
			void *base;
			size_t len;
		} iov = {data, sizeof(data)};
		struct msg_head h = {.iov = (void *)&iov,
			.iovlen = 1,
			.control = &control,
			.controllen = sizeof(control)};
		long n = SYS(recvmsg, c->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n == -EAGAIN)
			return false;
		if (n == -EINTR)
			continue;
		if (n <= 0)
			rt_conn_end(c);
		else
			rt_conn_message(c, data, (size_t)n, passed_fd(&h, &control));
	}
	return c->fd >= 0;
}

void rt_conn_end(struct rt_conn *c)
{
	if (c->fd >= 0)
		(void)SYS(close, c->fd); /* nothing in it matters any more */
	c->fd = -1;
	c->state = RT_CONN_NEVER;
	c->sync_out = 0;
	while (c->out)
		out_pop(c);
	for (struct rt_set *s = rt.sets; s; s = s->next)
		if (s->conn == c)
			rt_set_hosted(s, NULL);
}

void rt_conn_leave(struct rt_conn *c)
{
	for (struct rt_set *s = rt.sets; s; s = s->next)
		if (s->conn == c)
			s->left = c;
	rt_conn_end(c);
	c->state = RT_CONN_NEW;
}

/* ---- connecting ---- */

/* A new socket, connected to c's path if *ret_err is 0; negative: no descriptor for one. */
static long open_socket(const struct rt_conn *c, long *ret_err)
{
	struct sock_address a;
	size_t len = 0;
	long fd;

	a.family = AF_UNIX;
	rt_append(a.path, sizeof(a.path), &len, c->path);
	fd = SYS(socket, AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC | O_NONBLOCK, 0);
	if (fd >= 0)
		*ret_err = SYS(connect, fd, &a, 2 + len + 1);
	return fd;
}

bool rt_conn_reachable(const struct rt_conn *c)
{
	long err = -1, fd = open_socket(c, &err);
	bool ok = fd >= 0 && err == 0 && rt_peer_is_right((int)fd, c->path);

	if (fd >= 0)
		(void)SYS(close, fd); /* was a question only */
	return ok;
}

/* A host listens a moment after its socket is there. One that is older and refuses is dead, and no
 * program waits for it. */
static bool may_listen_yet(const struct rt_conn *c)
{
	int64_t now[2] = {0, 0};
	uint64_t age;

	(void)SYS(clock_gettime, 0 /* CLOCK_REALTIME: that of files */, now); /* cannot fail */
	age = (uint64_t)now[0] * 1000000000u + (uint64_t)now[1] - c->born;
	/* before it was made: the clock of files is coarse, or was set back */
	return !c->born || age < LISTENS_NS || age > UINT64_MAX / 2;
}

static void conn_connect(struct rt_conn *c)
{
	long err = -1, fd = open_socket(c, &err);

	if (fd < 0)
		return; /* no descriptors: tried again at the next look */
	if (err == 0 && rt_peer_is_right((int)fd, c->path)) {
		c->fd = (int)fd;
		c->state = RT_CONN_UP;
		c->synced = 0;
		rt_conn_hello(c);
		rt_conn_flush(c);
		return;
	}
	(void)SYS(close, fd); /* never used */
	c->tries += c->tries < SOON_TRIES;
	if (err < 0 && c->tries < SOON_TRIES && (err != -ECONNREFUSED || may_listen_yet(c)))
		rt.retry = 1; /* busy, or bound but not listening yet */
	else if (err == -EAGAIN && !rt.retry)
		rt.retry = 2; /* nobody accepts there, perhaps for good */
	if (err != -EAGAIN)
		c->state = err == 0 ? RT_CONN_NEVER : RT_CONN_REFUSED;
}

static struct rt_conn *conn_of(const struct statx *st, const char *path)
{
	uint64_t dev = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
	uint64_t born = (uint64_t)st->stx_btime.tv_sec * 1000000000u + st->stx_btime.tv_nsec;
	struct rt_conn *c = rt.conns;
	size_t len = 0;

	while (c && (c->dev != dev || c->ino != st->stx_ino || c->born != born))
		c = c->next;
	if (c)
		return c;
	c = rt_alloc(sizeof(*c));
	if (!c)
		return NULL;
	c->fd = -1;
	c->dev = dev;
	c->ino = st->stx_ino;
	c->born = born;
	c->out_last = &c->out;
	rt_append(c->path, sizeof(c->path), &len, path);
	c->next = rt.conns;
	rt.conns = c;
	return c;
}

static void look_at_socket(const char *path)
{
	struct statx st;
	struct rt_conn *c;

	rt_zero(&st, sizeof(st));
	if (SYS(statx, AT_FDCWD, path, 0, STATX_BASIC_STATS | STATX_BTIME, &st) < 0)
		return;
	if ((st.stx_mode & 0170000) != 0140000 /* S_IFSOCK */)
		return;
	if (!(st.stx_mask & STATX_BTIME))
		st.stx_btime.tv_sec = st.stx_btime.tv_nsec = 0;
	c = conn_of(&st, path);
	if (!c)
		return;
	c->scan = rt.scan;
	if (c->state == RT_CONN_NEW || c->state == RT_CONN_REFUSED)
		conn_connect(c);
}

/* ---- directories ---- */

/* Directory number i where hosts listen; false: there is none of that number. */
static bool rundir(uint32_t i, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = 0;
	if (rt.env_rundir[0] && i == 0) {
		rt_append(buf, size, &len, rt.env_rundir);
		return true;
	}
	if (i == 0)
		rt_append(buf, size, &len, CAIRN_RUNDIR_ROOT);
	if (i == 1 && !rt.secure && !rt.env_rundir[0]) {
		rt_append(buf, size, &len, "/run/user/");
		rt_append_u64(buf, size, &len, (uint32_t)SYS(geteuid));
		rt_append(buf, size, &len, "/cairn");
	}
	return len != 0;
}

struct dirent64 {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static void look_at_name(const char *dir, const char *name)
{
	char path[108];
	size_t n = rt_strlen(name), len = 0;

	if (n <= 5 || !rt_equal(name + n - 5, ".sock", 5) || rt_strlen(dir) + n + 8 >= sizeof(path))
		return;
	rt_append(path, sizeof(path), &len, dir);
	rt_append(path, sizeof(path), &len, "/hosts/");
	rt_append(path, sizeof(path), &len, name);
	look_at_socket(path);
}

static void look_in(const char *dir)
{
	static uint8_t entries[4096] __attribute__((aligned(8)));
	char path[128];
	size_t len = 0;
	long fd, n;

	rt_append(path, sizeof(path), &len, dir);
	rt_append(path, sizeof(path), &len, "/hosts");
	fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	while ((n = SYS(getdents64, fd, entries, sizeof(entries))) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64 *d = (const struct dirent64 *)(entries + at);

			look_at_name(dir, d->name);
			at += d->reclen;
		}
	}
	(void)SYS(close, fd); /* was only read */
}

static void forget_gone(void)
{
	struct rt_conn **at = &rt.conns;

	while (*at) {
		struct rt_conn *c = *at;

		if (c->fd >= 0 || c->scan == rt.scan) {
			at = &c->next;
			continue;
		}
		rt_conn_end(c);
		for (struct rt_set *s = rt.sets; s; s = s->next)
			if (s->left == c) {
				s->left = NULL;
				rt_set_hosted(s, s->conn);
			}
		*at = c->next;
		rt_free(c);
	}
}

void rt_hosts_scan(void)
{
	char dir[108];

	rt.scan++;
	rt.rescan = 0;
	rt.retry = 0;
	if (rt.env_host[0])
		look_at_socket(rt.env_host);
	for (uint32_t i = 0; rundir(i, dir, sizeof(dir)); i++)
		look_in(dir);
	forget_gone();
}

/* Not inotify: closing its descriptor, as exit does, waits for a grace period of the kernel, 8 ms
 * and more. What changed less than NEW_NS ago may change again unseen, in one tick of the
 * kernel's clock; it counts as changed again. */
bool rt_hosts_changed(void)
{
	uint64_t seen = 1;
	int64_t now[2] = {0, 0};
	char dir[128];

	(void)SYS(clock_gettime, 0 /* CLOCK_REALTIME: that of files */, now); /* cannot fail */
	for (uint32_t i = 0; rundir(i, dir, sizeof(dir)); i++) {
		size_t len = rt_strlen(dir);
		struct statx st;
		int64_t age;

		rt_append(dir, sizeof(dir), &len, "/hosts");
		rt_zero(&st, sizeof(st));
		(void)SYS(statx, AT_FDCWD, dir, 0, STATX_MTIME | STATX_INO, &st); /* zero: none */
		age = (now[0] - st.stx_mtime.tv_sec) * 1000000000 + now[1] - st.stx_mtime.tv_nsec;
		seen = (seen ^ st.stx_ino) * 0x9e3779b97f4a7c15u;
		seen = (seen ^ (uint64_t)st.stx_mtime.tv_sec) * 0x9e3779b97f4a7c15u;
		seen = (seen ^ st.stx_mtime.tv_nsec) * 0x9e3779b97f4a7c15u;
		if (age < NEW_NS)
			seen = 0;
	}
	if (seen && seen == rt.hosts_seen)
		return false;
	rt.hosts_seen = seen;
	return true;
}

static bool any_rundir_has(const char *name)
{
	struct statx st;
	char path[160];

	for (uint32_t i = 0; rundir(i, path, 108); i++) {
		size_t len = rt_strlen(path);

		rt_append(path, sizeof(path), &len, name);
		if (SYS(statx, AT_FDCWD, path, 0, STATX_TYPE, &st) == 0)
			return true;
	}
	return false;
}

bool rt_hosts_exist(void)
{
	struct statx st;

	if (rt.env_host[0] && SYS(statx, AT_FDCWD, rt.env_host, 0, STATX_TYPE, &st) == 0)
		return true;
	return any_rundir_has("/hosts");
}

bool rt_hosts_expected(void)
{
	return rt.waits || any_rundir_has("/libcairn-rt.so");
}

void rt_conns_inherited(void)
{
	for (struct rt_conn *c = rt.conns; c; c = c->next) {
		if (c->state == RT_CONN_UP) {
			c->state = RT_CONN_NEW;
			c->forked = 1;
		}
		c->fd = -1; /* a number of the parent's control thread: not ours to close */
		c->sync_out = 0;
		for (struct rt_out *o = c->out; o; o = o->next)
			o->fd = -1;
		while (c->out)
			out_pop(c);
	}
	for (struct rt_set *s = rt.sets; s; s = s->next)
		s->fd = -1;
	rt_ids_forget();
}
