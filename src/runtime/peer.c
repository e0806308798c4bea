/* Whom we believe to be a host: root, or who has our own uid; in programs that gained privilege,
 * root alone.
 *
 * In a user namespace that does not map root, root's host shows as the overflow uid, and so does
 * every other user that is not mapped: the number says nothing, not even if it is ours, too. There a
 * host of an unmapped user is believed by where its socket is: in root's run directory, or where our
 * environment says; not in a user's own, whose number may be another person's in our namespace. And
 * nobody but an unmapped user, root of the namespace or we can have put it there: the directory of
 * the socket belongs to one of these and is not open to others to write, and those above it are not
 * either, or are sticky.
 * Control thread, under rt.lock.
 */
#include "runtime/runtime-impl.h"
#include <linux/fcntl.h>
#include <linux/stat.h>

#define SOL_SOCKET 1
#define SO_PEERCRED 17
#define NOBODY 65534u

static const char *read_number(const char *s, uint64_t *ret)
{
	*ret = 0;
	while (*s == ' ' || *s == '\n')
		s++;
	if (*s < '0' || *s > '9')
		return NULL;
	for (; *s >= '0' && *s <= '9'; s++)
		*ret = *ret * 10 + (uint64_t)(*s - '0');
	return s;
}

/* The begin of a file of /proc as a string; false: not to be had. */
static bool read_text(const char *path, char *buf, size_t size)
{
	long fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n;

	if (fd < 0)
		return false;
	n = SYS(read, fd, buf, size - 1);
	(void)SYS(close, fd); /* was only read */
	if (n < 0)
		return false;
	buf[n] = 0;
	return true;
}

/* Does this uid stand for users that our namespace does not know? */
bool rt_uid_is_unmapped(uint32_t uid)
{
	char text[4096];
	uint64_t overflow = NOBODY, inside, outside, count;
	const char *s = text;

	if (read_text("/proc/sys/fs/overflowuid", text, sizeof(text)))
		(void)read_number(text, &overflow);
	if (uid != overflow || !read_text("/proc/self/uid_map", text, sizeof(text)))
		return false;
	while ((s = read_number(s, &inside)) && (s = read_number(s, &outside)) &&
		(s = read_number(s, &count))) {
		if (uid >= inside && uid - inside < count)
			return false; /* somebody's own number */
	}
	return true;
}

static bool begins_with(const char *s, const char *head)
{
	size_t n = rt_strlen(head);

	return n && rt_strlen(s) >= n && rt_equal(s, head, n);
}

static bool is_where_it_should_be(const char *path)
{
	return begins_with(path, CAIRN_RUNDIR_ROOT "/") || begins_with(path, rt.env_host) ||
		begins_with(path, rt.env_rundir);
}

static bool is_guarded(const char *path, uint32_t unmapped)
{
	char dir[108];
	struct statx st;
	size_t len = 0, n = rt_strlen(path);
	bool last = true;

	if (path[0] != '/' || n >= sizeof(dir))
		return false;
	rt_append(dir, sizeof(dir), &len, path);
	while (n > 1) {
		while (n > 1 && dir[n - 1] != '/')
			n--;
		while (n > 1 && dir[n - 1] == '/')
			n--;
		dir[n] = 0;
		if (SYS(statx, AT_FDCWD, dir, 0, STATX_BASIC_STATS, &st) < 0)
			return false;
		if ((st.stx_mode & 022) && (last || !(st.stx_mode & 01000)))
			return false;
		if (st.stx_uid != 0 && st.stx_uid != rt.uid && st.stx_uid != unmapped)
			return false;
		last = false;
	}
	return true;
}

bool rt_peer_is_right(int fd, const char *path)
{
	struct {
		int32_t pid;
		uint32_t uid, gid;
	} cred;
	uint32_t len = sizeof(cred);

	if (SYS(getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return false;
	if (cred.uid == 0)
		return true;
	if (rt.secure)
		return false;
	if (rt_uid_is_unmapped(cred.uid))
		return is_where_it_should_be(path) && is_guarded(path, cred.uid);
	return cred.uid == rt.uid;
}
