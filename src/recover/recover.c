/* Where to look for ring sets: ring files, folders of them, core files. */
#include "recover/recover-impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int finds_add(struct finds *f, struct ringset *set, void *image, const uint8_t **data)
{
	struct found *n = f->len < SETS_MAX ? VEC_ADD(f->items, f->len, f->cap) : NULL;

	if (n) {
		*n = (struct found){set, image, data};
		return 0;
	}
	ringset_free(set);
	free(image);
	free(data);
	return f->len < SETS_MAX ? -ENOMEM : -EFBIG;
}

void finds_done(struct finds *f)
{
	for (size_t i = 0; i < f->len; i++) {
		ringset_free(f->items[i].set);
		free(f->items[i].image);
		free(f->items[i].data);
	}
	free(f->items);
}

/* Whether the file begins as a ring set does. */
static bool is_ring_file(int fd)
{
	uint64_t magic = 0;

	return pread(fd, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
		magic == CAIRN_RINGSET_MAGIC;
}

/* Takes fd. */
static int add_file(int fd, struct finds *ret)
{
	struct ringset *set = NULL;
	int err = ringset_open(fd, &set);

	return err < 0 ? err : finds_add(ret, set, NULL, NULL);
}

/* Adds the ring files of a folder; what is not one is left alone, what is damaged counted. */
static int add_folder(int dirfd_taken, struct finds *ret)
{
	AUTO(dir) DIR *d = fdopendir(dirfd_taken);
	struct dirent *de;
	int err = 0;

	if (!d) {
		err = -errno;
		(void)close(dirfd_taken);
		return err;
	}
	while (err == 0 && (de = readdir(d)) != NULL) {
		AUTO(fd) int fd =
			openat(dirfd(d), de->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

		if (fd < 0 || !is_ring_file(fd))
			continue;
		err = add_file(take_fd(&fd), ret);
		if (err < 0 && err != -ENOMEM && err != -EFBIG) {
			ret->damaged++;
			err = 0;
		}
	}
	return err;
}

static int finish(
	struct finds *f, int err, const char *outdir, struct recover_report *ret, struct error *e)
{
	*ret = (struct recover_report){0};
	if (err == -EFBIG)
		err = error_set(e, err, "more than %d ring sets", SETS_MAX);
	else if (err == -ENOMEM)
		err = error_set(e, err, "no memory");
	else if (err == 0 && f->len == 0 && f->damaged)
		err = error_set(e, -EPROTO, "damaged: %u ring sets that make no sense", f->damaged);
	else if (err == 0 && f->len == 0)
		err = error_set(e, -ENOENT, "no rings in it");
	if (err == 0)
		err = recover_write(f, outdir, ret, e);
	finds_done(f);
	return err;
}

int recover_core(const void *core, size_t len, const char *outdir, struct recover_report *ret,
	struct error *e)
{
	struct finds f = {0};

	return finish(&f, core_find(core, len, &f, e), outdir, ret, e);
}

static int map_core(
	int fd, size_t len, const char *outdir, struct recover_report *ret, struct error *e)
{
	void *p = len ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	int err;

	if (len == 0)
		return error_set(e, -EPROTO, "an empty file");
	if (p == MAP_FAILED)
		return error_set(e, -errno, "cannot map it: %s", strerror(errno));
	err = recover_core(p, len, outdir, ret, e);
	(void)munmap(p, len); /* a mapping of ours: cannot fail */
	return err;
}

static int recover_any(
	const char *path, const char *outdir, struct recover_report *ret, struct error *e)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct finds f = {0};
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(e, -errno, "cannot open it: %s", strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		err = add_folder(take_fd(&fd), &f);
		return finish(&f, err, outdir, ret, e);
	}
	if (!S_ISREG(st.st_mode))
		return error_set(e, -EPROTO, "not a file nor a folder");
	if (!is_ring_file(fd))
		return map_core(fd, (size_t)st.st_size, outdir, ret, e);
	err = add_file(take_fd(&fd), &f);
	if (err < 0 && err != -ENOMEM)
		return error_set(e, err, "not a ring set that makes sense");
	return finish(&f, err, outdir, ret, e);
}

int recover_path(const char *path, const char *outdir, struct recover_report *ret, struct error *e)
{
	int err;

	*ret = (struct recover_report){0};
	err = recover_any(path, outdir, ret, e);
	if (err < 0)
		error_where(e, "%s", path);
	return err;
}
