/* A place that a trace is written to: a directory with one file a stream, or one byte stream.
 *
 * A packet is written at the end of the last whole one. If that fails (disk full, quota, short
 * write), the file is cut back to its last whole packet, the caller counts the events as lost,
 * and the next packet tries again: a full disk that gets room goes on with a gap that is counted.
 * The limit on the size of files (RLIMIT_FSIZE) is such a failure too, if the process does not let
 * SIGXFSZ kill it.
 *
 * Root's host writes the traces of other users below its output root: ROOT/UID, which the user owns
 * with all that is in it, and can change meanwhile. So each step of a way there is taken from the
 * descriptor of the step before, never through a link, and nothing is given to a user but what was made
 * for him just now.
 */
#include "session/session-impl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

void place_init(struct place *p)
{
	*p = (struct place){.dirfd = -1, .meta_fd = -1};
}

void place_done(struct place *p)
{
	auto_fd(&p->dirfd);
	auto_fd(&p->meta_fd);
	free(p->dir);
	place_init(p);
}

/* Gives a file or directory to the session's owner, if that is not us. */
static void give(const struct session *s, int fd)
{
	if (s->uid != s->host->uid)
		(void)fchown(fd, s->uid, s->gid); /* not fatal: root can still read it */
}

static bool dir_is_empty(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO(dir) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d && fd >= 0)
		(void)close(fd);
	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	}
	return true;
}

static bool is_others(const struct session *s)
{
	return s->uid != s->host->uid;
}

/* Opens directory `name` in `at`, made if it is not there, and gives it to the session's owner. What
 * is there already must be the owner's; or ours, if nobody else can have put it there (is_ours). */
static int step_down(const struct session *s, int at, const char *name, bool is_ours)
{
	AUTO(fd) int fd = -1;
	bool made = mkdirat(at, name, 0700) == 0;
	struct stat st;

	if (!made && errno != EEXIST)
		return -errno;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid == s->uid)
		return take_fd(&fd);
	/* in a directory of his he may have put another in place of what we made: not one as private */
	if (st.st_uid != s->host->uid || (st.st_mode & 0777) != 0700 || (!made && !is_ours))
		return -EPERM;
	give(s, fd);
	return take_fd(&fd);
}

/* ROOT/UID/NAME... of another user. The root lets everybody through, but list nothing. */
static int open_others(const struct session *s, const char *root, const char *below)
{
	AUTO(fd) int at = -1;
	struct stat st;
	bool first = true;
	int r = mkdir_p(root, 0711);

	if (r == 0)
		at = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || at < 0 || fstat(at, &st) < 0)
		return r < 0 ? r : -errno;
	if (!(st.st_mode & 001) && !s->host->said_closed)
		host_say(s->host, "user %u cannot reach his traces in %s: chmod o+x would let him",
			(unsigned)s->uid, root);
	s->host->said_closed |= !(st.st_mode & 001);
	while (*below) {
		size_t n = strcspn(below, "/");
		char name[256];
		int next;

		if (n >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, below, n);
		name[n] = 0;
		below += n + (below[n] == '/');
		if (n == 0)
			continue;
		next = step_down(s, at, name, first && !(st.st_mode & 022));
		if (next < 0)
			return next;
		auto_fd(&at);
		at = next;
		first = false;
	}
	return take_fd(&at);
}

/* What is below `root` of path; NULL: it is not. */
static const char *below_root(const char *path, const char *root)
{
	size_t n = root ? strlen(root) : 0;

	return n && strncmp(path, root, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static int open_dir(const struct session *s, const char *dir)
{
	/* what root's host records may be of any user, and is then for root alone */
	bool of_others = s->host->uid == 0 && s->host->wanted != CAIRN_WANT_CHILDREN;
	const char *root = s->host->output_root, *below = below_root(dir, root);
	int r = 0, fd;

	if (below && is_others(s))
		return open_others(s, root, below);
	if (below && of_others)
		r = mkdir_p(root, 0711); /* traces of others will stand there, too */
	if (r == 0)
		r = mkdir_p(dir, !is_others(s) && !of_others ? 0777 : 0700);
	if (r < 0)
		return r;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int place_open(struct session *s, struct place *p, const char *dir, struct error *err)
{
	bool made = access(dir, F_OK) != 0;
	int r = open_dir(s, dir);

	if (r < 0) {
		(void)error_set(
			err, r, "cannot make the trace directory %s: %s", dir, strerror(-r));
		if (r == -ENOSPC)
			error_hint(err, "the disk is full");
		return r;
	}
	p->dirfd = r;
	p->made = made;
	if (!dir_is_empty(p->dirfd)) {
		auto_fd(&p->dirfd);
		p->dirfd = -1;
		(void)error_set(err, -EEXIST, "the directory %s is not empty", dir);
		error_hint(err, "choose another one, or remove it");
		return -EEXIST;
	}
	if (!below_root(dir, s->host->output_root))
		give(s, p->dirfd); /* root said where */
	p->dir = strdup(dir);
	return p->dir ? 0 : error_set(err, -ENOMEM, "no memory for a trace");
}

int place_create(const struct session *s, const struct place *p, const char *name)
{
	int fd = openat(p->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);

	if (fd < 0)
		return -errno;
	give(s, fd);
	return fd;
}

/* Writes everything to a pipe, socket or line. SIGPIPE is kept from the process: whoever embeds
 * us has not asked for it. */
static int write_live(struct live *l, const struct iovec *iov, int n)
{
	sigset_t pipe, old, pending;
	const struct timespec no_time = {0};
	int r = l->err;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigpending(&pending);
	bool was_pending = sigismember(&pending, SIGPIPE);

	pthread_sigmask(SIG_BLOCK, &pipe, &old);
	for (int i = 0; i < n && r == 0; i++)
		r = write_waiting(l->fd, iov[i].iov_base, iov[i].iov_len, l->wait);
	if (r == -EPIPE && !was_pending)
		while (sigtimedwait(&pipe, NULL, &no_time) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	l->err = r;
	return r;
}

/* Writes at the given offset: 0 or -errno; then nothing of it is in the file. */
static int write_at(int fd, struct iovec *iov, int n, uint64_t offset)
{
	uint64_t at = offset;

	while (n) {
		ssize_t w = pwritev(fd, iov, n, (off_t)at);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			int r = w < 0 ? -errno : -ENOSPC;

			(void)ftruncate(fd, (off_t)offset); /* readers cope with a cut packet */
			return r;
		}
		at += (uint64_t)w;
		while (n && (size_t)w >= iov->iov_len) {
			w -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + w;
			iov->iov_len -= (size_t)w;
		}
	}
	return 0;
}

/* Is there no room under the limit on the size of files for n bytes and, after them, for a packet
 * that only says what was lost? So that last word can always be written. */
static bool above_limit(uint64_t offset, uint64_t n)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
		offset + n + sizeof(struct ctf_frame) > limit.rlim_cur;
}

int place_write_packet(const struct place *p, struct stream *st, const struct ctf_frame *f)
{
	struct iovec iov[3] = {
		{(void *)f->head, f->head_len},
		{(void *)f->body, f->body_len},
		{(void *)f->tail, f->tail_len},
	};
	int r;

	if (p->live)
		r = write_live(p->live, iov, 3);
	else if (st->fd < 0)
		r = st->fd;
	else if (f->body_len && above_limit(st->offset, f->total))
		r = -EFBIG;
	else
		r = write_at(st->fd, iov, 3, st->offset);
	if (r == 0) {
		st->offset += f->total;
		st->seq++;
	}
	return r;
}

/* Brings the metadata at p up to `text`, of which it has the first p->meta_bytes. */
int place_write_metadata(const struct session *s, struct place *p, const struct buf *text)
{
	AUTO(buf) struct buf packets = {0};
	struct iovec iov;
	int r = 0;

	if (text->len <= p->meta_bytes || (p->dirfd < 0 && !p->live))
		return 0;
	if (!p->live && p->meta_fd < 0)
		return place_replace_metadata(
			s, p, text); /* readers see a file with text, or none */
	iov = (struct iovec){text->data + p->meta_bytes, text->len - p->meta_bytes};
	if (p->live) {
		ctf_stream_metadata(p->stream_trace, s->ctf_version == 2 ? CTF_2 : CTF_1_8,
			iov.iov_base, iov.iov_len, &packets);
		iov = (struct iovec){packets.data, packets.len};
		r = packets.err ? packets.err : write_live(p->live, &iov, 1);
	} else {
		r = write_at(p->meta_fd, &iov, 1, p->meta_bytes);
	}
	if (r == 0)
		p->meta_bytes = text->len;
	return r;
}

/* Replaces the metadata file in one step. */
int place_replace_metadata(const struct session *s, struct place *p, const struct buf *text)
{
	struct iovec iov = {text->data, text->len};
	int fd, r;

	if (p->dirfd < 0)
		return 0;
	fd = place_create(s, p, ".metadata.new");
	if (fd < 0)
		return fd;
	r = write_at(fd, &iov, 1, 0);
	if (r == 0 && renameat(p->dirfd, ".metadata.new", p->dirfd, "metadata") < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(p->dirfd, ".metadata.new", 0); /* the old one is still good */
		(void)close(fd);
		return r;
	}
	auto_fd(&p->meta_fd);
	p->meta_fd = fd;
	p->meta_bytes = text->len;
	return 0;
}

/* Moves all files of p into its new sub-directory `name`, which p then is. */
int place_move_down(struct session *s, struct place *p, const char *name)
{
	char path[4096];
	int fd = openat(p->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), sub;
	AUTO(dir) DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d)
		return -errno;
	if (is_others(s)) {
		sub = step_down(s, p->dirfd, name, false);
	} else {
		sub = mkdirat(p->dirfd, name, 0777);
		if (sub == 0)
			sub = openat(p->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		sub = sub < 0 ? -errno : sub;
	}
	if (sub < 0)
		return sub;
	while ((e = readdir(d))) {
		if (e->d_type != DT_DIR && renameat(p->dirfd, e->d_name, sub, e->d_name) < 0) {
			int r = -errno;

			(void)close(sub);
			return r;
		}
	}
	(void)snprintf(path, sizeof(path), "%s/%s", p->dir, name);
	free(p->dir);
	p->dir = strdup(path);
	auto_fd(&p->dirfd);
	p->dirfd = sub;
	return p->dir ? 0 : -ENOMEM;
}

int place_move(struct place *p, const char *dir)
{
	char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	if (rename(p->dir, path) < 0) {
		int r = -errno;

		free(path);
		return r;
	}
	free(p->dir);
	p->dir = path;
	return 0;
}

void place_discard(struct place *p)
{
	static const struct {
		const char *name;
		int flags;
	} all[] = {{"metadata", 0}, {"state", 0}, {"formats/events", 0}, {"formats", AT_REMOVEDIR}};

	if (p->dirfd < 0 || !p->dir)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		(void)unlinkat(p->dirfd, all[i].name, all[i].flags); /* it may not be there */
	if (p->made)
		(void)rmdir(p->dir); /* others may have put something there */
}

int place_stream_texts(const struct place *p, const char *text, size_t len)
{
	AUTO(buf) struct buf packets = {0};
	struct iovec iov;

	ctf_stream_texts(p->stream_trace, text, len, &packets);
	iov = (struct iovec){packets.data, packets.len};
	return packets.err ? packets.err : write_live(p->live, &iov, 1);
}
