/* The tracing file system: where it is, and its files. Instances: instance.c; events: events.c. */
#include "kernel/tracefs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const places[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};

/* ---- opening ---- */

static bool is_tracefs(const char *path)
{
	char file[4096];

	(void)snprintf(file, sizeof(file), "%s/trace_clock", path); /* cut: then it is not there */
	return faccessat(AT_FDCWD, file, F_OK, AT_EACCESS) == 0; /* capabilities count, too */
}

int tracefs_no_right(const struct tracefs *t, const char *path, struct error *e)
{
	bool looks = t && faccessat(t->fd, "events", R_OK | X_OK, AT_EACCESS) == 0;
	struct stat st;

	if (looks)
		(void)error_set(e, -EACCES,
			"recording kernel events needs root or CAP_DAC_OVERRIDE: user %u may only look at "
			"them (%s)",
			(unsigned)geteuid(), path);
	else
		(void)error_set(e, -EACCES,
			"kernel events need root or CAP_DAC_OVERRIDE: user %u may not use %s",
			(unsigned)geteuid(), path);
	if (!looks && stat(path, &st) == 0 && st.st_gid != 0 && (st.st_mode & 050) == 050)
		error_hint(e,
			"sudo; group %u may look at them (cairn kernel list), but not record: what is made "
			"in tracefs is root's; without -k programs' own events are recorded",
			(unsigned)st.st_gid);
	else
		error_hint(e,
			"sudo, or a session of root's `cairn daemon`; without -k programs' own events are "
			"recorded%s",
			looks ? ", and `cairn kernel list` works" : "");
	return -EACCES;
}

/* Why there is nothing to be had, in words. */
static int refuse(struct error *e, const char *path, int err)
{
	if (err == -EACCES || err == -EPERM)
		return tracefs_no_right(NULL, path, e);
	if (err == -ENOENT)
		(void)error_set(e, -ENOENT,
			"kernel events need tracefs, which is not mounted on /sys/kernel/tracing");
	else
		(void)error_set(e, err, "cannot use tracefs at %s: %s", path, strerror(-err));
	error_hint(e,
		geteuid() == 0 ? "the kernel needs CONFIG_TRACING, and a container needs the "
				 "capability CAP_SYS_ADMIN to mount it"
			       : "as root: mount -t tracefs none /sys/kernel/tracing");
	return err;
}

static int find(const char **ret, struct error *e)
{
	int err;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (is_tracefs(places[i])) {
			*ret = places[i];
			return 0;
		}
	/* there, but closed to us */
	if (faccessat(AT_FDCWD, places[0], X_OK, AT_EACCESS) != 0 && errno == EACCES)
		return refuse(e, places[0], -EACCES);
	if (mount("none", places[0], "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0) {
		*ret = places[0];
		return 0;
	}
	err = errno == EPERM && geteuid() != 0 ? -EACCES : -ENOENT;
	return refuse(e, places[0], err);
}

int tracefs_open(const char *root, struct tracefs **ret, struct error *e)
{
	const char *path = root ? root : getenv("CAIRN_TRACEFS");
	AUTO(tracefs) struct tracefs *t = NULL;
	bool fake = path != NULL;
	int err = 0;

	if (!path)
		err = find(&path, e);
	if (err < 0)
		return err;
	t = calloc(1, sizeof(*t));
	if (!t)
		return error_set(e, -ENOMEM, "no memory for tracefs");
	t->fake = fake;
	t->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->fd < 0)
		return refuse(e, path, -errno);
	t->path = strdup(path);
	if (!t->path)
		return error_set(e, -ENOMEM, "no memory for tracefs");
	if (faccessat(t->fd, "events", R_OK | X_OK, AT_EACCESS) < 0)
		return refuse(e, path, -errno);
	*ret = TAKE(t);
	return 0;
}

void tracefs_free(struct tracefs *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		(void)close(t->fd);
	free(t->path);
	free(t->name);
	free(t);
}

void auto_tracefs(struct tracefs **t)
{
	tracefs_free(*t);
}

/* ---- files ---- */

int tracefs_open_file(struct tracefs *t, const char *path, int flags)
{
	int fd = openat(t->fd, path, flags | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

bool tracefs_has(struct tracefs *t, const char *path)
{
	return faccessat(t->fd, path, F_OK, 0) == 0;
}

int tracefs_read(struct tracefs *t, const char *path, struct buf *ret, struct error *e)
{
	int err = read_file_at(t->fd, path, TRACEFS_FILE_MAX, ret);

	if (err < 0)
		return error_set(e, err, "cannot read %s/%s: %s", t->path, path, strerror(-err));
	return 0;
}

static int write_text(
	struct tracefs *t, const char *path, const char *text, int how, struct error *e)
{
	AUTO(fd) int fd = tracefs_open_file(t, path, O_WRONLY | how);
	size_t n = strlen(text);
	ssize_t w;
	int err = fd;

	if (fd >= 0) {
		do
			w = write(fd, text, n);
		while (w < 0 && errno == EINTR);
		err = w < 0 ? -errno : (size_t)w < n ? -EIO : 0;
	}
	if (err < 0)
		return error_set(e, err, "cannot write '%.*s' to %s/%s: %s",
			(int)strcspn(text, "\n") > 60 ? 60 : (int)strcspn(text, "\n"), text,
			t->path, path, strerror(-err));
	return 0;
}

int tracefs_write(struct tracefs *t, const char *path, const char *text, struct error *e)
{
	return write_text(t, path, text, O_TRUNC, e);
}

int tracefs_append(struct tracefs *t, const char *path, const char *text, struct error *e)
{
	return write_text(t, path, text, O_APPEND, e);
}

/* The log's last entry:
 *	[   12.345678] event filter parse error: error: Field not found
 *	  Command: common_pdi == 1
 *	           ^
 */
void tracefs_error_log(struct tracefs *t, struct error *e)
{
	AUTO(buf) struct buf b = {0};
	const char *at = NULL, *line, *command = "Command: ";
	size_t n;

	if (!e || tracefs_read(t, "error_log", &b, NULL) < 0 || !b.data)
		return;
	for (const char *s = b.data; (s = strstr(s, "error: ")); s += 7)
		at = s + 7;
	if (!at)
		return;
	while ((line = strstr(at, "error: ")) && line < at + strcspn(at, "\n"))
		at = line + 7;
	n = strcspn(at, "\n");
	(void)snprintf(e->message + strlen(e->message), sizeof(e->message) - strlen(e->message),
		": %.*s", (int)MIN(n, 120), at);
	line = strstr(at, command);
	if (line) {
		const char *text = line + strlen(command), *caret = text + strcspn(text, "\n");
		size_t len = (size_t)(caret - text), col = 0;

		for (caret += *caret == '\n'; *caret == ' '; caret++)
			col++;
		if (*caret == '^' && col >= 11 && col - 11 <= len) /* "  Command: " before it */
			error_hint(e, "here: %.*s >>%.*s", (int)MIN(col - 11, 60), text,
				(int)MIN(len - (col - 11), 100), text + (col - 11));
	}
}

/* ---- what all of it records ---- */

int tracefs_option(struct tracefs *t, const char *name, bool on, struct error *e)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "options/%s", name); /* cut: no such option */
	return tracefs_write(t, path, on ? "1" : "0", e);
}

int tracefs_clock(struct tracefs *t, const char *clock, struct error *e)
{
	return tracefs_write(t, "trace_clock", clock, e);
}

int tracefs_buffer(struct tracefs *t, uint64_t bytes_per_cpu, struct error *e)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%llu",
		(unsigned long long)MAX(bytes_per_cpu / 1024, 4)); /* fits */
	return tracefs_write(t, "buffer_size_kb", text, e);
}

int tracefs_on(struct tracefs *t, bool on, struct error *e)
{
	return tracefs_write(t, "tracing_on", on ? "1" : "0", e);
}

int tracefs_pids(struct tracefs *t, const int32_t *pids, size_t n, struct error *e)
{
	AUTO(buf) struct buf text = {0};

	for (size_t i = 0; i < n; i++)
		buf_printf(&text, "%d\n", pids[i]);
	if (text.err)
		return error_set(e, -ENOMEM, "no memory for a list of threads");
	return tracefs_write(t, "set_event_pid", text.data ? text.data : "", e);
}

int tracefs_cpumask(const char *list, struct buf *ret)
{
	uint32_t words[256] = {0};
	unsigned top = 0;

	while (*list) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list || !strchr("0123456789", *list))
			return -EINVAL;
		if (*end == '-') {
			list = end + 1;
			last = strtoul(list, &end, 10);
			if (end == list || !strchr("0123456789", *list))
				return -EINVAL;
		}
		if (last < first || last >= 32 * ARRAY_SIZE(words) || (*end && *end != ','))
			return -EINVAL;
		for (; first <= last; first++)
			words[first / 32] |= 1u << first % 32;
		top = MAX(top, (unsigned)last / 32);
		list = *end ? end + 1 : end;
		if (*end && !*list)
			return -EINVAL;
	}
	for (unsigned i = top + 1; i-- > 0;)
		buf_printf(ret, i == top ? "%x" : ",%08x", words[i]);
	return words[top] ? ret->err : -EINVAL;
}
