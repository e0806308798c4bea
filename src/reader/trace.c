/* Traces and their files: found in directories, again and again if they grow.
 *
 * A directory with a file called "metadata" is a trace; its other regular files, but for hidden
 * ones, are packets of its streams. Files whose first packets name the same trace (UUID), stream and
 * instance are one stream, in order of time: rotated chunks, and files of limited size.
 */
#include "reader/dat-impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct trace *trace_new(struct cairn_reader *r, const char *dir)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->dir = strdup(dir);
	if (!t->dir ||
		asprintf(&t->meta_path, "%s%smetadata", r->is_pipe ? "" : dir,
			r->is_pipe ? "" : "/") < 0) {
		free(t->dir);
		free(t);
		return NULL;
	}
	(void)ctfr_meta_init(&t->meta, t->meta_path); /* never fails */
	t->meta.pub.path = t->dir;
	t->meta.class_counter = &r->nclasses;
	return t;
}

void trace_free(struct trace *t)
{
	if (!t)
		return;
	ctfr_meta_done(&t->meta);
	dat_free(t->dat);
	buf_done(&t->texts);
	free(t->dir);
	free(t->meta_path);
	free(t);
}

/* ---- metadata ---- */

/* Feeds what the file has beyond what was seen. */
static int feed_file(struct cairn_reader *r, struct trace *t, bool *ret_changed, struct error *err)
{
	AUTO(buf) struct buf all = {0};
	AUTO(buf) struct buf text = {0};
	const char *more;
	size_t used, left;
	int e;

	e = read_file(t->meta_path, CTFR_MAX_META, &all);
	if (e < 0) {
		error_set(err, e, "the metadata cannot be read: %s", strerror(-e));
		error_where(err, "%s", t->meta_path);
		return e;
	}
	if (all.len <= t->meta_seen)
		return 0;
	*ret_changed = true;
	if (t->meta_seen == 0)
		t->packetized = ctfr_is_packetized(all.data, all.len);
	more = all.data + t->meta_seen;
	left = all.len - t->meta_seen;
	if (!t->packetized) {
		e = ctfr_meta_feed(&t->meta, more, left, !r->follow, err);
		t->meta_seen = all.len;
		return e;
	}
	e = ctfr_unpack(more, left, &text, &used, err);
	if (e < 0) {
		error_where(err, "%s", t->meta_path);
		return e;
	}
	t->meta_seen += used;
	return ctfr_meta_feed(&t->meta, text.data ? text.data : "", text.len, !r->follow, err);
}

/* The first reading. Metadata that ends within a declaration (its writer was killed) will do, if
 * what stands before is enough; a notice says so. */
static int load_metadata(struct cairn_reader *r, struct trace *t, struct error *err)
{
	bool changed = false;
	int e = feed_file(r, t, &changed, err);

	if (e == -EINVAL && ctfr_meta_is_cut(&t->meta) && t->meta.streams &&
		t->meta.streams->planned && !t->meta.broken) {
		r->notice.kind = CAIRN_NOTICE_METADATA;
		memcpy(&r->notice.error, err, sizeof(*err));
		r->has_notice = true;
		return 0;
	}
	return e;
}

int reader_refresh_metadata(struct cairn_reader *r, bool *ret_changed, struct error *err)
{
	for (struct trace *t = r->traces; t; t = t->next) {
		struct stat st;
		int e;

		if (stat(t->meta_path, &st) < 0 || (size_t)st.st_size <= t->meta_seen)
			continue; /* gone (rotated away), or nothing new */
		e = feed_file(r, t, ret_changed, err);
		if (e < 0)
			return e;
	}
	return 0;
}

/* ---- stream files ---- */

static bool file_is_known(const struct cairn_reader *r, const struct stat *st)
{
	for (size_t i = 0; i < r->nstreams; i++)
		for (size_t f = 0; f < r->streams[i]->nfiles; f++)
			if (r->streams[i]->files[f].ino == st->st_ino &&
				r->streams[i]->files[f].dev == st->st_dev)
				return true;
	return false;
}

/* The stream that this file goes on, or NULL. */
static struct stream *same_stream(
	const struct cairn_reader *r, const struct trace *t, const struct packet_head *h)
{
	if (!t->meta.has_uuid || !(h->seen & 1u << CTFR_ROLE_INSTANCE_ID) ||
		h->begin_ns == INT64_MIN)
		return NULL;
	for (size_t i = 0; i < r->nstreams; i++) {
		struct stream *s = r->streams[i];

		if (s->info.instance_id == h->roles[CTFR_ROLE_INSTANCE_ID] &&
			s->info.class_id == h->cls->id && s->trace->meta.has_uuid &&
			memcmp(s->trace->meta.uuid, t->meta.uuid, 16) == 0)
			return s;
	}
	return NULL;
}

/* Adds a file to a stream, in order of time; takes path. */
static int add_file(struct stream *s, const struct stream_file *f)
{
	struct stream_file *slot = VEC_ADD(s->files, s->nfiles, s->files_cap);
	size_t i;

	if (!slot)
		return -ENOMEM;
	/* not before the current one: what it has is late, but not lost */
	for (i = s->nfiles - 1; i > 0; i--) {
		bool passed = s->state != STREAM_LAZY && i <= s->file + 1;

		if (passed || s->files[i - 1].begin_ns <= f->begin_ns)
			break;
		s->files[i] = s->files[i - 1];
	}
	s->files[i] = *f;
	if (s->state == STREAM_LAZY) {
		s->trace = s->files[0].trace;
		s->info.path = s->files[0].path;
		s->info.trace = &s->trace->meta.pub;
		s->key = s->files[0].begin_ns;
	} else if (s->ended) { /* goes on with it */
		s->ended = false;
		s->file = s->nfiles - 1;
		s->next_packet = 0;
		s->trace = s->files[s->file].trace;
		s->info.path = s->files[s->file].path;
		if (s->state == STREAM_END)
			s->state = STREAM_WAIT;
	}
	return 0;
}

/* Reads the head at a place of a file. 0, -CTFR_SHORT, -CTFR_BAD or -Exxx. */
static int head_at(const struct trace *t, int fd, uint64_t at, struct packet_head *h)
{
	AUTO(free) uint64_t *slots = calloc(t->meta.nslots, sizeof(*slots));
	AUTO(free) uint8_t *buf = NULL;

	if (!slots)
		return -ENOMEM;
	memcpy(slots, t->meta.env_slots, sizeof(t->meta.env_slots));
	for (size_t cap = 1024; cap <= (1u << 20); cap *= 32) {
		ssize_t got;
		int e;

		free(buf);
		buf = calloc(1, cap + CTFR_SLACK);
		if (!buf)
			return -ENOMEM;
		got = pread(fd, buf, cap, (off_t)at);
		if (got < 0)
			return -errno;
		e = packet_head(t, buf, (size_t)got, slots, h);
		if (e != -CTFR_SHORT || (size_t)got < cap)
			return e;
	}
	return -CTFR_SHORT;
}

/* The first head of a file that makes sense: the others will be said to be damaged when the file is
 * read. As head_at(). */
static int first_head(const struct trace *t, int fd, uint64_t size, struct packet_head *h)
{
	struct resync r = {.trace = t, .fd = fd, .size = size};
	uint64_t at;
	int e = head_at(t, fd, 0, h), found;

	if (e != -CTFR_BAD)
		return e;
	found = packet_search(&r, 1, &at);
	return found > 0 ? head_at(t, fd, at, h) : found < 0 ? found : e;
}

/* Looks at one file of a trace's directory and adds it. Empty ones are left for later. */
static int look_at_file(struct cairn_reader *r, struct trace *t, const char *path)
{
	int fd_ = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	AUTO(fd) int fd = fd_;
	struct stream_file f = {.trace = t};
	struct packet_head h;
	struct stream *s;
	struct stat st;
	int e;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 ||
		file_is_known(r, &st))
		return 0;
	e = first_head(t, fd, (uint64_t)st.st_size, &h);
	if (e == -ENOMEM || (e != 0 && r->follow)) /* it may be at its beginning */
		return e == -ENOMEM ? e : 0;
	f.dev = st.st_dev;
	f.ino = st.st_ino;
	f.begin_ns = e == 0 ? h.begin_ns : INT64_MIN;
	f.path = strdup(path);
	if (!f.path)
		return -ENOMEM;
	s = e == 0 ? same_stream(r, t, &h) : NULL;
	if (s) {
		e = add_file(s, &f);
		if (e < 0)
			free(f.path);
		return e < 0 ? e : reader_wake(r, s);
	}
	s = stream_new(r);
	if (!s || add_file(s, &f) < 0) {
		free(f.path);
		stream_free(s);
		return -ENOMEM;
	}
	if (e == 0) { /* else the first reading says what is wrong with it */
		s->known = true;
		s->info.class_id = h.cls->id;
		if (h.seen & 1u << CTFR_ROLE_INSTANCE_ID)
			s->info.instance_id = h.roles[CTFR_ROLE_INSTANCE_ID];
		if (h.seen & 1u << CTFR_ROLE_CPU && h.roles[CTFR_ROLE_CPU] <= INT32_MAX)
			s->info.cpu = (int64_t)h.roles[CTFR_ROLE_CPU];
	}
	return reader_add_stream(r, s);
}

/* ---- directories ---- */

static int not_hidden(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static int files_of(struct cairn_reader *r, struct trace *t, struct dirent **names, int n)
{
	int e = 0;

	for (int i = 0; i < n && e == 0; i++) {
		AUTO(free) char *path = NULL;

		if (strcmp(names[i]->d_name, "metadata") == 0 || names[i]->d_type == DT_DIR)
			continue;
		if (asprintf(&path, "%s/%s", t->dir, names[i]->d_name) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		e = look_at_file(r, t, path);
	}
	return e;
}

static struct trace *trace_at(const struct cairn_reader *r, const struct stat *st)
{
	for (struct trace *t = r->traces; t; t = t->next)
		if (t->dev == st->st_dev && t->ino == st->st_ino)
			return t;
	return NULL;
}

static bool has_metadata(const char *dir)
{
	AUTO(free) char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/metadata", dir) < 0) {
		path = NULL;
		return false;
	}
	return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

/* A trace that cannot be read does not keep one from the others: each is said as a notice, and
 * all fails only if no other trace is found (open_paths()). */
static int leave_out(struct cairn_reader *r, struct trace *t, struct error *err)
{
	struct cairn_notice *slot = VEC_ADD(r->left_out, r->nleft_out, r->left_out_cap);

	trace_free(t);
	if (!slot)
		return -ENOMEM;
	*slot = (struct cairn_notice){.kind = CAIRN_NOTICE_DAMAGED};
	memcpy(&slot->error, err, sizeof(*err));
	memset(err, 0, sizeof(*err));
	return 0;
}

static int look_at_trace(
	struct cairn_reader *r, const char *dir, struct dirent **names, int n, struct error *err)
{
	struct trace *t;
	struct stat st;
	int e;

	if (stat(dir, &st) < 0)
		return 0;
	t = trace_at(r, &st);
	if (!t) {
		t = trace_new(r, dir);
		if (!t)
			return error_set(err, -ENOMEM, "no memory for a trace");
		t->dev = st.st_dev;
		t->ino = st.st_ino;
		e = load_metadata(r, t, err);
		if (e < 0 && e != -ENOMEM && !r->follow)
			return leave_out(r, t, err);
		if (e < 0 || (r->follow && !t->meta.has_trace)) {
			trace_free(t);
			return e < 0 ? e : 0; /* its metadata is at its beginning: later */
		}
		*r->traces_tail = t;
		r->traces_tail = &t->next;
	}
	e = files_of(r, t, names, n);
	return e < 0 ? error_set(err, e, "no memory for the streams of %.160s", dir) : 0;
}

static int look_at_dir(struct cairn_reader *r, const char *dir, int depth, struct error *err)
{
	struct dirent **names;
	int n = scandir(dir, &names, not_hidden, alphasort), e = 0;

	if (n < 0)
		return depth || errno == ENOMEM ? 0 : -errno;
	if (has_metadata(dir))
		e = look_at_trace(r, dir, names, n, err);
	for (int i = 0; i < n && e == 0; i++) {
		AUTO(free) char *path = NULL;
		struct stat st;

		if (depth >= MAX_DEPTH || names[i]->d_type == DT_REG ||
			strcmp(names[i]->d_name, "index") == 0)
			continue;
		if (asprintf(&path, "%s/%s", dir, names[i]->d_name) < 0) {
			path = NULL;
			e = -ENOMEM;
		} else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
			e = look_at_dir(r, path, depth + 1, err);
		}
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return e;
}

static bool is_trace_dat(const char *path)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char head[16];
	ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);

	return n > 0 && trace_dat_is(head, (size_t)n);
}

static int look_at_trace_dat(
	struct cairn_reader *r, const char *path, const struct stat *st, struct error *err)
{
	struct trace *t;
	int e;

	if (trace_at(r, st))
		return 0;
	e = dat_open(r, path, &t, err);
	if (e == -ENOMEM)
		return e;
	if (e < 0)
		return leave_out(r, NULL, err);
	*r->traces_tail = t;
	r->traces_tail = &t->next;
	e = dat_add_streams(r, t);
	return e < 0 ? error_set(err, e, "cannot read %.160s: %s", path, strerror(-e)) : 0;
}

int reader_discover(struct cairn_reader *r, struct error *err)
{
	for (size_t i = 0; i < r->npaths; i++) {
		AUTO(free) char *parent = NULL;
		const char *dir = r->paths[i];
		struct stat st;
		int e;

		if (stat(dir, &st) == 0 && S_ISREG(st.st_mode) && is_trace_dat(dir)) {
			e = look_at_trace_dat(r, dir, &st, err);
			if (e < 0)
				return e;
			continue;
		}
		if (stat(dir, &st) == 0 && S_ISREG(st.st_mode)) {
			const char *slash = strrchr(dir, '/');

			parent = slash ? strndup(dir, MAX((size_t)(slash - dir), (size_t)1))
				       : strdup(".");
			if (!parent)
				return error_set(err, -ENOMEM, "no memory");
			dir = parent;
		}
		e = look_at_dir(r, dir, 0, err);
		if (e < 0 && err && !err->message[0]) {
			error_set(err, e, "cannot read the trace: %s", strerror(-e));
			error_where(err, "%s", dir);
		}
		if (e < 0)
			return e;
	}
	return 0;
}
