/* Settings of the top directory that are changed for a while. See restore.h. */
#include "kernel/restore.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define JOURNAL_DIR "/run/cairn"
#define JOURNAL JOURNAL_DIR "/kernel-settings"
#define FAKE_JOURNAL ".cairn-settings"
#define JOURNAL_MAX TRACEFS_FILE_MAX
enum { WRITE_MAX = 4000 }; /* the kernel takes at most a page at once */

struct restore {
	struct tracefs *top; /* borrowed */
	int fd; /* owned: the journal, locked */
};

/* One entry; the strings point into the journal. */
struct entry {
	char *path, *value;
	size_t len;
};

/* ---- values ---- */

/* What was read becomes what may be written: see the head of restore.h. */
static void writable(const char *path, struct buf *b)
{
	char *from, *to;

	if (!b->data)
		return;
	if (strcmp(path, "trace_clock") == 0) {
		from = strchr(b->data, '[');
		to = from ? strchr(from, ']') : NULL;
		if (to) {
			b->len = (size_t)(to - from - 1);
			memmove(b->data, from + 1, b->len);
			b->data[b->len] = '\0';
		}
		return;
	}
	if (strcmp(path, "buffer_size_kb") == 0) /* "7 (expanded: 1408)" */
		b->data[strcspn(b->data, " ")] = '\0';
	if (strcmp(b->data, "no pid\n") == 0) /* set_ftrace_pid */
		b->data[0] = '\0';
	for (from = to = b->data; *from;) { /* drop lines that begin with '#' */
		size_t n = strcspn(from, "\n");

		n += from[n] == '\n';
		if (*from != '#') {
			memmove(to, from, n);
			to += n;
		}
		from += n;
	}
	*to = '\0';
	b->len = (size_t)(to - b->data);
}

/* Writes a value of any length: lists go line by line, as many at once as the kernel takes. */
static int put(struct tracefs *top, const char *path, const char *value, struct error *e)
{
	AUTO(buf) struct buf part = {0};
	size_t len = strlen(value), at = 0;
	int err;

	if (len <= WRITE_MAX)
		return tracefs_write(top, path, len ? value : "\n", e);
	err = tracefs_write(top, path, "\n", e);
	while (err == 0 && at < len) {
		size_t n = MIN(len - at, (size_t)WRITE_MAX);

		while (n && at + n < len && value[at + n - 1] != '\n')
			n--;
		if (!n)
			return error_set(e, -EINVAL, "%s has a line that is too long", path);
		buf_clear(&part);
		buf_add(&part, value + at, n);
		err = part.err ? part.err : tracefs_append(top, path, part.data, e);
		at += n;
	}
	return err;
}

/* ---- the journal ---- */

static int journal_open(struct tracefs *top, int flags)
{
	int fd;

	if (top->fake)
		fd = openat(top->fd, FAKE_JOURNAL, flags | O_RDWR | O_CLOEXEC, 0600);
	else {
		if (flags & O_CREAT)
			(void)mkdir_p(JOURNAL_DIR, 0755); /* open() says what is wrong */
		fd = open(JOURNAL, flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	return fd < 0 ? -errno : fd;
}

static int journal_read(int fd, struct buf *ret)
{
	char part[4096];
	ssize_t n;
	off_t at = 0;

	while ((n = pread(fd, part, sizeof(part), at)) > 0) {
		at += n;
		if (at > (off_t)JOURNAL_MAX)
			return -EFBIG;
		buf_add(ret, part, (size_t)n);
	}
	return n < 0 ? -errno : ret->err;
}

/* The entry at *at, NULs put behind its strings; false at the end or if it is not whole. */
static bool entry_next(char *text, size_t len, size_t *at, struct entry *ret)
{
	char *head = text + *at, *space, *end;
	char *line = memchr(head, '\n', len - *at);
	unsigned long long n;

	if (!line)
		return false;
	*line = '\0';
	space = strrchr(head, ' ');
	if (!space || space == head)
		return false;
	n = strtoull(space + 1, &end, 10);
	if (*end || n >= len - (size_t)(line + 1 - text) || line[1 + n] != '\n')
		return false;
	*space = '\0';
	line[1 + n] = '\0';
	*ret = (struct entry){.path = head, .value = line + 1, .len = (size_t)n};
	*at = (size_t)(line + 1 + n + 1 - text);
	return true;
}

/* Puts back all that the journal holds, the last first, and empties it. The number of settings. */
static int replay(struct tracefs *top, int fd, struct error *e)
{
	AUTO(buf) struct buf b = {0};
	AUTO(free) struct entry *all = NULL;
	size_t n = 0, cap = 0, at = 0;
	int err = journal_read(fd, &b), first = 0;
	struct entry next;

	if (err < 0)
		return error_set(e, err, "cannot read the journal of settings: %s", strerror(-err));
	while (b.len && entry_next(b.data, b.len, &at, &next)) {
		struct entry *slot = VEC_ADD(all, n, cap);

		if (!slot)
			return error_set(e, -ENOMEM, "out of memory");
		*slot = next;
	}
	for (size_t i = n; i-- > 0;) {
		err = put(top, all[i].path, all[i].value, first ? NULL : e);
		if (err < 0 && !first)
			first = err;
	}
	if (ftruncate(fd, 0) != 0 && !first)
		first = error_set(e, -errno, "cannot empty the journal of settings");
	return first ? first : (int)MIN(n, 100000u);
}

/* ---- public ---- */

int restore_begin(struct tracefs *top, struct restore **ret, struct error *e)
{
	AUTO(fd) int fd = journal_open(top, O_CREAT);
	struct restore *r;
	int err;

	if (fd < 0)
		return error_set(e, fd, "cannot open %s: %s", JOURNAL, strerror(-fd));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		(void)error_set(e, -EBUSY,
			"another Cairn has changed settings that exist once in the kernel");
		error_hint(e, "it ends first: `fuser -v %s` says who it is", JOURNAL);
		return -EBUSY;
	}
	err = replay(top, fd, e);
	if (err < 0)
		return err;
	r = calloc(1, sizeof(*r));
	if (!r)
		return error_set(e, -ENOMEM, "out of memory");
	r->top = top;
	r->fd = take_fd(&fd);
	*ret = r;
	return 0;
}

int restore_set(struct restore *r, const char *path, const char *value, struct error *e)
{
	AUTO(buf) struct buf before = {0}, entry = {0};
	off_t end = lseek(r->fd, 0, SEEK_END);
	int err = tracefs_read(r->top, path, &before, e);

	if (err < 0)
		return err;
	if (end < 0)
		return error_set(e, -errno, "cannot write the journal of settings");
	writable(path, &before);
	buf_printf(&entry, "%s %zu\n", path, before.len);
	buf_add(&entry, before.data, before.len);
	buf_char(&entry, '\n');
	err = entry.err ? entry.err : write_all(r->fd, entry.data, entry.len);
	if (err == 0)
		err = put(r->top, path, value, e);
	else
		(void)error_set(e, err, "cannot write the journal of settings: %s", strerror(-err));
	if (err < 0)
		(void)!ftruncate(r->fd, end); /* else it is put back to what it is */
	return err;
}

int restore_end(struct restore *r, struct error *e)
{
	int n;

	if (!r)
		return 0;
	n = replay(r->top, r->fd, e);
	(void)close(r->fd); /* unlocks; the empty file stays, since others may be opening it */
	free(r);
	return MIN(n, 0);
}

int restore_dead(struct tracefs *top, struct error *e)
{
	AUTO(fd) int fd = journal_open(top, 0);

	if (fd == -ENOENT || fd == -EACCES)
		return 0;
	if (fd < 0)
		return error_set(e, fd, "cannot open %s: %s", JOURNAL, strerror(-fd));
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return 0; /* its owner lives */
	return replay(top, fd, e);
}
