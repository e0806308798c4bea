/* Which file serves for a build id: the rules of symbol.h. */
#include "symbol/symbol-impl.h"
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define DELETED " (deleted)"

/* ---- build ids ---- */

/* The build id of an ELF file: its bytes, at most `max`; 0: none; -1: no ELF file. */
static int read_id(int fd, uint8_t *ret, size_t max)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	const void *id;
	ssize_t n;

	if (!elf || elf_kind(elf) != ELF_K_ELF) {
		(void)elf_end(elf); /* takes NULL */
		return -1;
	}
	n = dwelf_elf_gnu_build_id(elf, &id);
	n = n < 0 ? 0 : MIN(n, (ssize_t)max);
	if (n)
		memcpy(ret, id, (size_t)n);
	(void)elf_end(elf); /* reading only: the count of references */
	return (int)n;
}

static bool has_id(int fd, const uint8_t *id, uint32_t len)
{
	uint8_t own[64];

	return len && read_id(fd, own, sizeof(own)) == (int)len && memcmp(own, id, len) == 0;
}

/* Nothing else is opened: to open a device may do something. */
static int open_regular(const char *path)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0)
		return -1;
	fd = S_ISREG(st.st_mode) ? open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	if (!S_ISREG(st.st_mode) || (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))) {
		auto_fd(&fd);
		errno = EINVAL;
		fd = -1;
	}
	return fd;
}

static int64_t read_shift(int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	int64_t shift = SYMBOL_NO_SHIFT;
	GElf_Phdr ph;
	size_t n = 0;

	if (!elf || elf_getphdrnum(elf, &n) < 0)
		n = 0;
	for (size_t i = 0; i < n && gelf_getphdr(elf, (int)i, &ph); i++) {
		int64_t own = (int64_t)(ph.p_vaddr - ph.p_offset);

		if (ph.p_type != PT_LOAD || !(ph.p_flags & PF_X))
			continue;
		if (shift != SYMBOL_NO_SHIFT && own != shift) {
			shift = SYMBOL_NO_SHIFT;
			break;
		}
		shift = own;
	}
	(void)elf_end(elf); /* takes NULL */
	return shift;
}

int symbol_identity(const char *path, struct symbol_identity *ret)
{
	AUTO(fd) int fd = open_regular(path);
	struct stat st;
	int n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	(void)elf_version(EV_CURRENT); /* fails only for a library older than its header */
	n = read_id(fd, ret->build_id, sizeof(ret->build_id));
	if (n < 0)
		return -ENOEXEC;
	ret->build_id_len = (uint32_t)n;
	ret->shift = read_shift(fd);
	ret->dev = st.st_dev;
	ret->ino = st.st_ino;
	return 0;
}

/* ---- debug files ---- */

/* The next directory of a colon-separated list into dir; false at its end. */
static bool next_dir(const char **list, char dir[PATH_MAX])
{
	while (**list) {
		size_t n = strcspn(*list, ":");
		const char *at = *list;

		*list += n + (at[n] == ':');
		if (n && n < PATH_MAX) {
			memcpy(dir, at, n);
			dir[n] = 0;
			return true;
		}
	}
	return false;
}

/* DIR/.build-id/xx/yyyy and `suffix`: opened if that is its build id; ret_path: PATH_MAX bytes. */
static int open_by_id(
	struct symbols *s, const uint8_t *id, uint32_t len, const char *suffix, char *ret_path)
{
	const char *list = s->debug_dirs;
	char dir[PATH_MAX], name[160];
	int at = 0;

	if (len < 2)
		return -1;
	for (uint32_t i = 0; i < len; i++)
		at += snprintf(
			name + at, sizeof(name) - (size_t)at, i == 0 ? "%02x/" : "%02x", id[i]);
	while (next_dir(&list, dir)) {
		int fd;

		if (snprintf(ret_path, PATH_MAX, "%s/.build-id/%s%s", dir, name, suffix) >=
			PATH_MAX)
			continue;
		fd = open_regular(ret_path);
		if (fd >= 0 && has_id(fd, id, len))
			return fd;
		auto_fd(&fd);
	}
	return -1;
}

static bool has_checksum(int fd, uint32_t want)
{
	static const size_t chunk = 256u << 10;
	AUTO(free) uint8_t *bytes = malloc(chunk);
	uLong crc = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t n;

	while (bytes && (n = pread(fd, bytes, chunk, at)) > 0) {
		crc = crc32(crc, bytes, (uInt)n);
		at += n;
	}
	return bytes && n == 0 && (uint32_t)crc == want;
}

/* A debug file that .gnu_debuglink names: of this checksum, and not of another build id. */
static int open_linked(const struct module *m, const char *path, uint32_t crc)
{
	uint8_t id[64];
	int fd = open_regular(path), n;

	if (fd < 0)
		return -1;
	n = read_id(fd, id, sizeof(id));
	if (n >= 0 && has_checksum(fd, crc) &&
		(!n || !m->id_len ||
			((uint32_t)n == m->id_len && memcmp(id, m->id, m->id_len) == 0)))
		return fd;
	(void)close(fd); /* nothing was written */
	return -1;
}

static int find_linked(
	const struct module *m, const char *path, const char *link, uint32_t crc, char *ret_path)
{
	const char *slash = strrchr(path, '/'), *list = m->symbols->debug_dirs;
	int n = slash ? (int)(slash - path) : 0, fd = -1;
	char dir[PATH_MAX];

	if (strchr(link, '/'))
		return -1; /* a name, not a path, is what it may be */
	if (snprintf(ret_path, PATH_MAX, "%.*s/%s", n, path, link) < PATH_MAX)
		fd = open_linked(m, ret_path, crc);
	if (fd < 0 && snprintf(ret_path, PATH_MAX, "%.*s/.debug/%s", n, path, link) < PATH_MAX)
		fd = open_linked(m, ret_path, crc);
	while (fd < 0 && next_dir(&list, dir))
		if (snprintf(ret_path, PATH_MAX, "%s%.*s/%s", dir, n, path, link) < PATH_MAX)
			fd = open_linked(m, ret_path, crc);
	return fd;
}

int module_find_debug(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base,
	const char *path, const char *link, GElf_Word crc, char **ret_path)
{
	const struct module *m = *userdata;
	char found[PATH_MAX];
	int fd;

	if (link && !crc) /* what debug files share (dwz): by the build id that they say */
		return dwfl_build_id_find_debuginfo(
			mod, userdata, name, base, path, link, crc, ret_path);
	fd = open_by_id(m->symbols, m->id, m->id_len, ".debug", found);
	if (fd < 0 && path && link)
		fd = find_linked(m, path, link, crc, found);
	if (fd >= 0)
		*ret_path = strdup(found); /* libdwfl does without if it is NULL */
	return fd;
}

/* ---- modules ---- */

/* The file at its path, if it is the one that was recorded; else -1 and m->why. */
static int open_itself(struct module *m, const struct symbol_file *f, char *ret_path)
{
	size_t n = strlen(f->path), cut = strlen(DELETED);
	struct stat st;
	int fd, len;

	if (n > cut && strcmp(f->path + n - cut, DELETED) == 0)
		n -= cut;
	m->why = SYMBOL_NO_FILE;
	if (f->path[0] != '/' || n >= PATH_MAX)
		return -1;
	(void)snprintf(ret_path, PATH_MAX, "%.*s", (int)n, f->path);
	fd = open_regular(ret_path);
	if (fd < 0)
		return -1;
	len = read_id(fd, m->id, sizeof(m->id));
	m->id_len = len > 0 ? (uint32_t)len : 0;
	m->why = SYMBOL_OTHER_BUILD;
	if (len >= 0 && m->id_len == f->build_id_len &&
		memcmp(m->id, f->build_id ? f->build_id : m->id, m->id_len) == 0 &&
		fstat(fd, &st) == 0 &&
		(m->id_len || !f->seen_ns ||
			st.st_ctim.tv_sec * 1000000000ll + st.st_ctim.tv_nsec <= f->seen_ns))
		return fd;
	(void)close(fd); /* nothing was written */
	return -1;
}

static int read_segments(struct module *m)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(m->mod, &bias);
	size_t n;

	if (!elf || elf_getphdrnum(elf, &n) < 0)
		return 0; /* no place is in it then */
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr ph;
		struct segment *to;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD || !(ph.p_flags & PF_X))
			continue;
		to = VEC_ADD(m->segments, m->nsegments, m->segments_cap);
		if (!to)
			return -ENOMEM;
		*to = (struct segment){ph.p_offset, ph.p_filesz, ph.p_vaddr};
	}
	return 0;
}

/* Takes fd. */
static int begin(struct module *m, const char *path, int fd)
{
	void **userdata;

	m->dwfl = dwfl_begin(&m->symbols->callbacks);
	if (m->dwfl)
		m->mod = dwfl_report_elf(m->dwfl, "", path, fd, 0, true);
	if (!m->mod) {
		(void)close(fd); /* nothing was written */
		m->why = SYMBOL_NO_FILE;
		return m->dwfl ? 0 : -ENOMEM;
	}
	(void)dwfl_report_end(m->dwfl, NULL, NULL); /* fails only by the callback that is not */
	(void)dwfl_module_info(m->mod, &userdata, NULL, NULL, NULL, NULL, NULL, NULL);
	*userdata = m;
	m->why = SYMBOL_FOUND;
	return m->shift == SYMBOL_NO_SHIFT ? read_segments(m) : 0;
}

struct module *module_open(struct symbols *s, const struct symbol_file *f)
{
	struct module *m = calloc(1, sizeof(*m));
	char path[PATH_MAX];
	int fd;

	if (!m)
		return NULL;
	m->symbols = s;
	m->shift = SYMBOL_NO_SHIFT;
	fd = open_itself(m, f, path);
	if (fd < 0) {
		m->id_len = MIN(f->build_id_len, (uint32_t)sizeof(m->id));
		memcpy(m->id, m->id_len ? (const void *)f->build_id : "", m->id_len);
		fd = open_by_id(s, m->id, m->id_len, "", path);
	}
	if (fd < 0 && f->shift != SYMBOL_NO_SHIFT) {
		fd = open_by_id(s, m->id, m->id_len, ".debug", path);
		m->shift = f->shift;
	}
	if (fd >= 0 && begin(m, path, fd) < 0) {
		module_free(m);
		return NULL;
	}
	return m;
}

void module_free(struct module *m)
{
	if (!m)
		return;
	dwfl_end(m->dwfl); /* takes NULL */
	free(m->segments);
	free(m->units);
	free(m);
}
