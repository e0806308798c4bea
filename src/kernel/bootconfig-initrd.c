/* Boot configurations at the end of an initrd; the bytes are described in bootconfig.h. */
#include "kernel/bootconfig.h"
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct footer {
	uint32_t size, sum; /* little endian */
	char magic[12];
};
_Static_assert(sizeof(struct footer) == 20, "as the kernel reads it");

static const char magic[12] = "#BOOTCONFIG\n";

static uint32_t sum_of(const char *data, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (unsigned char)data[i];
	return sum;
}

static int read_at(int fd, void *to, size_t n, uint64_t at)
{
	char *p = to;

	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		p += got;
		at += (size_t)got;
		n -= (size_t)got;
	}
	return 0;
}

int bootconfig_initrd_read(int fd, struct buf *ret, uint64_t *ret_begin, struct error *e)
{
	char data[BOOTCONFIG_DATA_MAX];
	struct footer f;
	struct stat st;
	uint64_t size, begin;
	int r;

	if (fstat(fd, &st) != 0)
		return error_set(e, -errno, "%s", strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, -EINVAL, "not a regular file");
	*ret_begin = (uint64_t)st.st_size;
	if ((uint64_t)st.st_size < sizeof(f))
		return error_set(e, -ENOENT, "it has no boot configuration");
	r = read_at(fd, &f, sizeof(f), (uint64_t)st.st_size - sizeof(f));
	if (r < 0)
		return error_set(e, r, "%s", strerror(-r));
	if (memcmp(f.magic, magic, sizeof(magic)) != 0)
		return error_set(e, -ENOENT, "it has no boot configuration");
	size = le32toh(f.size);
	if (size > (uint64_t)st.st_size - sizeof(f) || size > sizeof(data))
		return error_set(e, -EINVAL,
			"its boot configuration claims %llu bytes: the file was cut or changed",
			(unsigned long long)size);
	begin = (uint64_t)st.st_size - sizeof(f) - size;
	r = read_at(fd, data, size, begin);
	if (r < 0)
		return error_set(e, r, "%s", strerror(-r));
	if (sum_of(data, size) != le32toh(f.sum))
		return error_set(e, -EINVAL, "the sum of its boot configuration is wrong");
	buf_add(ret, data, strnlen(data, size));
	*ret_begin = begin;
	return ret->err ? error_set(e, ret->err, "out of memory") : 0;
}

/* Puts the file back to what it was: its first `begin` bytes, then `old`. 0 or -errno. */
static int put_back(int fd, uint64_t begin, const char *old, size_t n)
{
	if (ftruncate(fd, (off_t)begin) != 0 || lseek(fd, (off_t)begin, SEEK_SET) < 0)
		return -errno;
	return write_all(fd, old, n);
}

/* Replaces all from `begin` on. */
static int replace_tail(int fd, uint64_t begin, const char *data, size_t n, struct error *e)
{
	AUTO(free) char *old = NULL;
	struct stat st;
	size_t old_n;
	int r;

	if (fstat(fd, &st) != 0)
		return error_set(e, -errno, "%s", strerror(errno));
	old_n = (size_t)((uint64_t)st.st_size - begin);
	old = malloc(old_n ? old_n : 1);
	if (!old)
		return error_set(e, -ENOMEM, "out of memory");
	r = read_at(fd, old, old_n, begin);
	if (r == 0 && lseek(fd, (off_t)begin, SEEK_SET) < 0)
		r = -errno;
	if (r < 0)
		return error_set(e, r, "%s", strerror(-r));
	r = write_all(fd, data, n);
	if (r == 0 && ftruncate(fd, (off_t)(begin + n)) != 0)
		r = -errno;
	if (r == 0 && fsync(fd) != 0)
		r = -errno;
	if (r == 0)
		return 0;
	(void)error_set(e, r, "cannot write: %s; the file is as before", strerror(-r));
	if (put_back(fd, begin, old, old_n) < 0)
		(void)error_set(e, r, "cannot write: %s, nor put back what was there: rebuild it",
			strerror(-r));
	return r;
}

int bootconfig_initrd_apply(int fd, const char *text, size_t len, struct error *e)
{
	AUTO(buf) struct buf old = {0}, tail = {0};
	struct footer f;
	uint64_t begin = 0;
	size_t size = len + 1;
	int r = bootconfig_initrd_read(fd, &old, &begin, e);

	if (r < 0 && r != -ENOENT)
		return r;
	size += -(begin + size + sizeof(f)) & 3;
	if (size > BOOTCONFIG_DATA_MAX)
		return error_set(e, -E2BIG, "%zu bytes with their padding, the kernel takes %d",
			size, BOOTCONFIG_DATA_MAX);
	f.size = htole32((uint32_t)size);
	f.sum = htole32(sum_of(text, len));
	memcpy(f.magic, magic, sizeof(magic));
	buf_add(&tail, text, len);
	while (!tail.err && tail.len < size)
		buf_char(&tail, '\0');
	buf_add(&tail, &f, sizeof(f));
	if (tail.err)
		return error_set(e, tail.err, "out of memory");
	return replace_tail(fd, begin, tail.data, tail.len, e);
}

int bootconfig_initrd_remove(int fd, struct error *e)
{
	AUTO(buf) struct buf old = {0};
	uint64_t begin = 0;
	int r = bootconfig_initrd_read(fd, &old, &begin, e);

	return r < 0 ? r : replace_tail(fd, begin, "", 0, e);
}
