/* Files: whole reads and writes, directories, time. */
#include "base/base.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
