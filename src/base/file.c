/* Files: whole reads and writes, directories, time. */
#include "base/base.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n) {
		ssize_t w = write(fd, s, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

/* 1: fd takes at least PIPE_BUF bytes, or would fail; 0: ask again; or -errno. */
static int wait_for_room(int fd, const struct write_wait *wait)
{
	int ms = wait->ms ? wait->ms(wait->data) : -1;
	struct pollfd p[2] = {{.fd = fd, .events = POLLOUT}, {.fd = wait->wake, .events = POLLIN}};
	int n = poll(p, wait->ms && ms < 0 ? 2 : 1, ms); /* it woke us, if ms is known */

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n == 0 ? -ETIMEDOUT : p[0].revents != 0;
}

int write_waiting(int fd, const void *p, size_t n, const struct write_wait *wait)
{
	const char *s = p;
	struct stat st;
	size_t part = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? n : PIPE_BUF;

	while (n) {
		int r = wait_for_room(fd, wait);
		ssize_t w = r > 0 ? write(fd, s, MIN(n, part)) : 0;

		if (r < 0)
			return r;
		if (w < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		s += MAX(w, 0);
		n -= (size_t)MAX(w, 0);
	}
	return 0;
}

const char *write_strerror(int err)
{
	switch (err) {
	case ENOSPC: return "the disk is full";
	case EFBIG: return "the limit on the size of files (ulimit -f) is reached";
	case ETIMEDOUT: return "nobody reads it"; /* write_waiting() */
	default: return strerror(err);
	}
}

int read_file_at(int dirfd, const char *path, size_t limit, struct buf *ret)
{
	AUTO(fd) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	char chunk[16384];

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if ((size_t)n > limit - ret->len)
			return -EFBIG;
		buf_add(ret, chunk, (size_t)n);
	}
	buf_add(ret, "", 0); /* an empty file gives an empty string, not NULL */
	return ret->err;
}

int read_file(const char *path, size_t limit, struct buf *ret)
{
	return read_file_at(AT_FDCWD, path, limit, ret);
}

int mkdir_p(const char *path, mode_t mode)
{
	char copy[PATH_MAX];
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof(copy))
		return n ? -ENAMETOOLONG : -ENOENT;
	memcpy(copy, path, n + 1);
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) < 0) {
		struct stat st;

		if (errno != EEXIST)
			return -errno;
		if (stat(copy, &st) < 0)
			return -errno;
		if (!S_ISDIR(st.st_mode))
			return -ENOTDIR;
	}
	return 0;
}

uint64_t now_ns(int clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t); /* cannot fail for the clocks we use */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
