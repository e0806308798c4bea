/* Files and sockets: libc:open, openat, creat, close, read, write, pread, pwrite, readv, writev,
 * connect, accept, with the result, the error (an errno, or 0) and how long it took.
 *
 * The names that programs are linked to differ (open64, __open_2, __read_chk, ...); the event is
 * the same. What libc calls inside itself, as for stdio, is not seen.
 */
#undef _FILE_OFFSET_BITS /* open is open, and open64 another */
#undef _FORTIFY_SOURCE
#include "wrap/wrap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Fortified programs call these; no header declares them. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags);
int __openat64_2(int dirfd, const char *path, int flags);
ssize_t __read_chk(int fd, void *buf, size_t size, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t size, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *buf, size_t size, off64_t offset, size_t room);

/* Stands for what is not there (any of these may be called so). */
static long no_such_call(void)
{
	errno = ENOSYS;
	return -1;
}

DECLARE_REAL(open, no_such_call);
DECLARE_REAL(open64, no_such_call);
DECLARE_REAL(__open_2, no_such_call);
DECLARE_REAL(__open64_2, no_such_call);
DECLARE_REAL(openat, no_such_call);
DECLARE_REAL(openat64, no_such_call);
DECLARE_REAL(__openat_2, no_such_call);
DECLARE_REAL(__openat64_2, no_such_call);
DECLARE_REAL(creat, no_such_call);
DECLARE_REAL(creat64, no_such_call);
DECLARE_REAL(close, no_such_call);
DECLARE_REAL(read, no_such_call);
DECLARE_REAL(__read_chk, no_such_call);
DECLARE_REAL(write, no_such_call);
DECLARE_REAL(pread, no_such_call);
DECLARE_REAL(pread64, no_such_call);
DECLARE_REAL(__pread_chk, no_such_call);
DECLARE_REAL(__pread64_chk, no_such_call);
DECLARE_REAL(pwrite, no_such_call);
DECLARE_REAL(pwrite64, no_such_call);
DECLARE_REAL(readv, no_such_call);
DECLARE_REAL(writev, no_such_call);
DECLARE_REAL(connect, no_such_call);
DECLARE_REAL(accept, no_such_call);
DECLARE_REAL(accept4, no_such_call);

/* Runs `call`, which gives `type`, as event `name` with these fields before the common ones. */
#define CALL(type, name, call, ...) \
	do { \
		uint64_t began; \
		type result; \
		CAIRN_AROUND(libc, name, began = wrap_now_ns(), result = (call), __VA_ARGS__, \
			result, (error, result < 0 ? errno : 0), \
			(duration_ns, wrap_now_ns() - began)); \
		return result; \
	} while (0)

/* Whether the kernel did not (as far as its answer tells) read what a call's pointer points to: then
 * we cannot either. EINVAL and EBADF may come before it looks. */
#define UNREAD(result) \
	((result) < 0 && \
		(errno == EFAULT || errno == EINVAL || errno == EBADF || errno == ENOTSOCK))
#define PATH (path, UNREAD(result) ? (const char *)NULL : path)

/* The mode of an open, if there is one. */
#define OPEN_MODE(flags, mode) \
	do { \
		va_list ap; \
		va_start(ap, flags); \
		mode = (flags)&O_CREAT || ((flags)&O_TMPFILE) == O_TMPFILE ? va_arg(ap, unsigned) \
									   : 0; \
		va_end(ap); \
	} while (0)

WRAPPER int open(const char *path, int flags, ...)
{
	unsigned mode;

	OPEN_MODE(flags, mode);
	CALL(int, open, REAL(open)(path, flags, mode), PATH, CAIRN_HEX(flags, (unsigned)flags),
		CAIRN_HEX(mode, mode));
}

WRAPPER int open64(const char *path, int flags, ...)
{
	unsigned mode;

	OPEN_MODE(flags, mode);
	CALL(int, open, REAL(open64)(path, flags, mode), PATH, CAIRN_HEX(flags, (unsigned)flags),
		CAIRN_HEX(mode, mode));
}

WRAPPER int __open_2(const char *path, int flags)
{
	CALL(int, open, REAL(__open_2)(path, flags), PATH, CAIRN_HEX(flags, (unsigned)flags),
		CAIRN_HEX(mode, 0u));
}

WRAPPER int __open64_2(const char *path, int flags)
{
	CALL(int, open, REAL(__open64_2)(path, flags), PATH, CAIRN_HEX(flags, (unsigned)flags),
		CAIRN_HEX(mode, 0u));
}

WRAPPER int openat(int dirfd, const char *path, int flags, ...)
{
	unsigned mode;

	OPEN_MODE(flags, mode);
	CALL(int, openat, REAL(openat)(dirfd, path, flags, mode), dirfd, PATH,
		CAIRN_HEX(flags, (unsigned)flags), CAIRN_HEX(mode, mode));
}

WRAPPER int openat64(int dirfd, const char *path, int flags, ...)
{
	unsigned mode;

	OPEN_MODE(flags, mode);
	CALL(int, openat, REAL(openat64)(dirfd, path, flags, mode), dirfd, PATH,
		CAIRN_HEX(flags, (unsigned)flags), CAIRN_HEX(mode, mode));
}

WRAPPER int __openat_2(int dirfd, const char *path, int flags)
{
	CALL(int, openat, REAL(__openat_2)(dirfd, path, flags), dirfd, PATH,
		CAIRN_HEX(flags, (unsigned)flags), CAIRN_HEX(mode, 0u));
}

WRAPPER int __openat64_2(int dirfd, const char *path, int flags)
{
	CALL(int, openat, REAL(__openat64_2)(dirfd, path, flags), dirfd, PATH,
		CAIRN_HEX(flags, (unsigned)flags), CAIRN_HEX(mode, 0u));
}

WRAPPER int creat(const char *path, mode_t mode)
{
	CALL(int, creat, REAL(creat)(path, mode), PATH, CAIRN_HEX(mode, mode));
}

WRAPPER int creat64(const char *path, mode_t mode)
{
	CALL(int, creat, REAL(creat64)(path, mode), PATH, CAIRN_HEX(mode, mode));
}

WRAPPER int close(int fd)
{
	CALL(int, close, REAL(close)(fd), fd);
}

WRAPPER ssize_t read(int fd, void *buf, size_t size)
{
	CALL(ssize_t, read, REAL(read)(fd, buf, size), fd, size);
}

WRAPPER ssize_t __read_chk(int fd, void *buf, size_t size, size_t room)
{
	CALL(ssize_t, read, REAL(__read_chk)(fd, buf, size, room), fd, size);
}

WRAPPER ssize_t write(int fd, const void *buf, size_t size)
{
	CALL(ssize_t, write, REAL(write)(fd, buf, size), fd, size);
}

WRAPPER ssize_t pread(int fd, void *buf, size_t size, off_t offset)
{
	CALL(ssize_t, pread, REAL(pread)(fd, buf, size, offset), fd, size, offset);
}

WRAPPER ssize_t pread64(int fd, void *buf, size_t size, off64_t offset)
{
	CALL(ssize_t, pread, REAL(pread64)(fd, buf, size, offset), fd, size, offset);
}

WRAPPER ssize_t __pread_chk(int fd, void *buf, size_t size, off_t offset, size_t room)
{
	CALL(ssize_t, pread, REAL(__pread_chk)(fd, buf, size, offset, room), fd, size, offset);
}

WRAPPER ssize_t __pread64_chk(int fd, void *buf, size_t size, off64_t offset, size_t room)
{
	CALL(ssize_t, pread, REAL(__pread64_chk)(fd, buf, size, offset, room), fd, size, offset);
}

WRAPPER ssize_t pwrite(int fd, const void *buf, size_t size, off_t offset)
{
	CALL(ssize_t, pwrite, REAL(pwrite)(fd, buf, size, offset), fd, size, offset);
}

WRAPPER ssize_t pwrite64(int fd, const void *buf, size_t size, off64_t offset)
{
	CALL(ssize_t, pwrite, REAL(pwrite64)(fd, buf, size, offset), fd, size, offset);
}

WRAPPER ssize_t readv(int fd, const struct iovec *iov, int n)
{
	CALL(ssize_t, readv, REAL(readv)(fd, iov, n), fd, n);
}

WRAPPER ssize_t writev(int fd, const struct iovec *iov, int n)
{
	CALL(ssize_t, writev, REAL(writev)(fd, iov, n), fd, n);
}

WRAPPER int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
	const struct sockaddr *to = address.__sockaddr__;

	CALL(int, connect, REAL(connect)(fd, address, size), fd,
		(family, !UNREAD(result) && size >= sizeof(to->sa_family) ? to->sa_family : 0),
		CAIRN_BYTES(address, to,
			UNREAD(result)	      ? 0
				: size <= 128 ? size
					      : 128));
}

WRAPPER int accept(int fd, __SOCKADDR_ARG address, socklen_t *restrict size)
{
	CALL(int, accept, REAL(accept)(fd, address, size), fd, (flags, 0));
}

WRAPPER int accept4(int fd, __SOCKADDR_ARG address, socklen_t *restrict size, int flags)
{
	CALL(int, accept, REAL(accept4)(fd, address, size, flags), fd, flags);
}
