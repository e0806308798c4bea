/* Where the kernel's part of a session goes: a directory "kernel" beside that of the session's own trace,
 * pieces of it one after the other (rotation), snapshots of a flight recorder; or the session's stream.
 *
 * A flight recorder's pages stay in the kernel. A snapshot reads them, which takes them away there; so
 * they are kept here, as many as the kernel would have kept, and the next snapshot has them, too. Records by BPF are
 * kept as they come (kernel-bpf.c).
 */
#include "kernel/enums.h"
#include "session/kernel-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BTF "/sys/kernel/btf/vmlinux"

bool krec_has_place(const struct krec *k)
{
	return k->place.dirfd >= 0 || k->place.live;
}

int krec_place_open(struct session *s, const char *dir, struct error *err)
{
	struct krec *k = s->kernel;
	char path[4096];
	int n;

	if (!k)
		return 0;
	n = snprintf(path, sizeof(path), "%s/kernel", dir);
	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the path of the kernel's trace is too long");
	return place_open(s, &k->place, path, err);
}

int krec_place_begin(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;

	if (s->output->place.live) {
		k->place.live = s->output->place.live;
		k->place.stream_trace = kctf_trace(k->ctf);
	}
	if (krec_has_place(k) || s->output->place.dirfd < 0)
		return 0;
	return error_set(err, -EIO, "session '%s' has no place for kernel events", s->name);
}

void krec_discard(struct session *s)
{
	if (s->kernel)
		place_discard(&s->kernel->place);
}

/* ---- the kernel's words ---- */

static int open_texts(struct krec *k)
{
	int dir;

	if (k->texts_fd >= 0)
		return 0;
	(void)mkdirat(k->place.dirfd, KTEXTS_DIR, 0777); /* if it fails, so does the next */
	dir = openat(k->place.dirfd, KTEXTS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	k->texts_fd = openat(dir, KTEXTS_FILE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	(void)close(dir);
	return k->texts_fd < 0 ? -errno : 0;
}

static int put_texts(struct krec *k, const char *text, size_t n)
{
	if (k->place.live)
		return place_stream_texts(&k->place, text, n);
	return open_texts(k) < 0 ? -EIO : write_all(k->texts_fd, text, n);
}

void krec_write_texts(struct session *s)
{
	struct krec *k = s->kernel;

	if (k->texts_written == k->texts.len || k->texts.err || !krec_has_place(k))
		return;
	if (k->place.live)
		krec_flush_metadata(s); /* says whose they are */
	if (put_texts(k, k->texts.data + k->texts_written, k->texts.len - k->texts_written) < 0)
		return; /* the events are printed with their fields, then */
	k->texts_written = k->texts.len;
}

static bool occurred(const struct krec *k, const struct ktext *t)
{
	const char *id = memmem(t->text, t->len, "\nID:", 4);

	return id && kctf_occurred(k->ctf, (uint32_t)strtoul(id + 4, NULL, 10));
}

/* Formats that name numbers once more, with the numbers, if BTF knows them: of events that occurred, or all. */
static void add_numbers(struct krec *k, bool all, struct buf *out)
{
	struct kenums *names = kenums_new();
	struct ktext t;
	size_t at = 0, found = 0;

	while (names && ktexts_next(k->texts.data, k->texts.len, &at, &t) == 1)
		if (strcmp(t.what, "format") == 0 && (all || occurred(k, &t)))
			found += kenums_note(names, t.text, t.len);
	if (found && kenums_load(names, BTF) > 0) {
		for (at = 0; ktexts_next(k->texts.data, k->texts.len, &at, &t) == 1;) {
			AUTO(buf) struct buf text = {0};

			if (strcmp(t.what, "format") == 0 && (all || occurred(k, &t)) &&
				kenums_replace(names, t.text, t.len, &text))
				ktexts_add(out, t.what, t.system, t.name, text.data, text.len);
		}
	}
	kenums_free(names);
}

static void add_printk(struct krec *k, struct buf *out)
{
	AUTO(buf) struct buf b = {0};

	if (tracefs_read(k->top, "printk_formats", &b, NULL) == 0 && b.len)
		ktexts_add(out, "file", "-", "printk_formats", b.data, b.len);
}

static bool wants_symbols(const struct krec *k)
{
	bool wanted = k->stacks & CAIRN_STACK_KERNEL;

	for (size_t i = 0; i < k->nsymbol_ids; i++)
		wanted |= kctf_occurred(k->ctf, k->symbol_ids[i]);
	return wanted;
}

/* Those that records name, or all. */
static void add_symbols(const struct krec *k, bool all, struct buf *out)
{
	AUTO(buf) struct buf b = {0};
	AUTO(buf) struct buf needed = {0};

	if (read_file("/proc/kallsyms", 64u << 20, &b) < 0 || !b.len)
		return;
	if (all || ksymbols_lines(&k->symbols, b.data, b.len, &needed) < 0)
		ktexts_add(out, "file", "-", "kallsyms", b.data, b.len);
	else if (needed.len)
		ktexts_add(out, "file", "-", "kallsyms", needed.data, needed.len);
}

void krec_final_texts(struct session *s)
{
	struct krec *k = s->kernel;
	AUTO(buf) struct buf last = {0};

	if (k->place.dirfd < 0)
		return;
	krec_write_texts(s);
	add_numbers(k, false, &last);
	add_printk(k, &last);
	if (wants_symbols(k))
		add_symbols(k, false, &last);
	if (last.len && !last.err)
		(void)put_texts(k, last.data, last.len); /* else fewer names */
}

/* A stream's reader has what it has when an event comes: so nothing can wait for the end. */
void krec_stream_texts(struct session *s, bool begins)
{
	struct krec *k = s->kernel;
	AUTO(buf) struct buf more = {0};

	if (!k->place.live)
		return;
	krec_write_texts(s);
	if (begins) {
		add_numbers(k, true, &more);
		add_printk(k, &more);
	}
	if (!k->symbols_sent && wants_symbols(k)) {
		add_symbols(k, true, &more);
		k->symbols_sent = true;
	}
	if (more.len && !more.err)
		(void)put_texts(k, more.data, more.len); /* else fewer names */
}

void krec_set_clock(struct session *s, const struct ctf_clock *clock)
{
	struct krec *k = s->kernel;
	struct ctf_text_pos pos = {0};
	AUTO(buf) struct buf text = {0};

	if (!k || !k->ctf || k->place.live || ctf_trace_set_clock(kctf_trace(k->ctf), clock) < 0 ||
		ctf_metadata(
			kctf_trace(k->ctf), s->ctf_version == 2 ? CTF_2 : CTF_1_8, &pos, &text) < 0)
		return; /* without memory the first guess stays */
	buf_clear(&k->meta);
	buf_add(&k->meta, text.data, text.len);
	k->text_pos = pos;
	(void)place_replace_metadata(s, &k->place, &k->meta); /* the old text is good, too */
}

/* ---- a new place ---- */

void krec_begin(struct session *s)
{
	krec_names_again(s->kernel);
	kstacks_begin(s->kernel->kstacks);
	krec_dump(s);
	krec_write_texts(s);
	krec_stream_texts(s, true);
}

static void close_streams(struct krec_cpu *cpus, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		auto_fd(&cpus[i].file.fd);
		cpus[i].file.fd = -1;
		cpus[i].file.offset = 0;
	}
}

static void close_files(struct krec *k)
{
	struct krec_cpu *bpf;
	uint32_t n;

	close_streams(k->cpus, k->ncpus);
	bpf = krec_bpf_cpus(k, &n);
	close_streams(bpf, n);
	krec_names_close(k);
	auto_fd(&k->texts_fd);
	k->texts_fd = -1;
	k->texts_written = 0;
}

void krec_cut(struct session *s)
{
	struct krec *k = s->kernel;

	if (!k || !k->is_on || k->is_recorder)
		return;
	k->cut_ts = clock_cycles(s->host->clock);
	if (krec_read_now(s))
		k->cut_ts = 0;
	for (uint32_t i = 0; i < k->ncpus; i++)
		krec_flush(s, &k->cpus[i], false);
	krec_bpf_flush(s);
	krec_names_write(s);
	krec_final_texts(s);
}

/* Not later than any event that is still to come. */
static uint64_t before_all(const struct krec *k)
{
	uint64_t ts = k->cut_ts ? k->cut_ts : UINT64_MAX;
	uint32_t n;
	const struct krec_cpu *bpf = krec_bpf_cpus(k, &n);

	for (uint32_t i = 0; i < k->ncpus && !k->cut_ts; i++)
		if (k->cpus[i].fd >= 0)
			ts = MIN(ts, MAX(k->cpus[i].s.end_ts, k->start_ts));
	for (uint32_t i = 0; i < n && !k->cut_ts; i++)
		ts = MIN(ts, MAX(bpf[i].s.end_ts, k->start_ts));
	return ts == UINT64_MAX ? k->start_ts : ts;
}

int krec_place_next(struct session *s, const char *dir, struct error *err)
{
	struct krec *k = s->kernel;
	struct place old;
	int r;

	if (!k)
		return 0;
	old = k->place;
	place_init(&k->place);
	r = krec_place_open(s, dir, err);
	if (r < 0) {
		place_done(&k->place);
		k->place = old;
		return r;
	}
	place_done(&old);
	close_files(k);
	if (!k->is_on || k->is_recorder)
		return 0;
	k->start_ts = before_all(k);
	krec_begin(s);
	return 0;
}

int krec_place_move(struct session *s, const char *dir)
{
	char path[4128];

	(void)snprintf(path, sizeof(path), "%s/kernel", dir); /* cut: cannot be made */
	return place_move(&s->kernel->place, path);
}

/* ---- flight recorders ---- */

/* All that the CPU's buffer has now, behind what was kept before. */
static int keep(struct krec *k, struct krec_cpu *c)
{
	size_t size = k->layout.size, most = krec_pages(k), got = 0;
	ssize_t n = 1;

	/* the kernel goes on writing: not more than there is room for */
	while (c->fd >= 0 && n > 0 && got < most) {
		if (vec_reserve((void **)&c->kept, &c->kept_cap, c->nkept + 1, size) < 0)
			return -ENOMEM;
		n = read(c->fd, c->kept + c->nkept * size, size);
		if (n <= 0)
			break; /* nothing waits */
		memset(c->kept + c->nkept * size + n, 0, size - (size_t)n);
		c->nkept++;
		got++;
	}
	if (c->nkept > most) {
		size_t old = c->nkept - most;

		memmove(c->kept, c->kept + old * size, most * size);
		c->nkept = most;
	}
	return 0;
}

/* What the limit of a snapshot leaves to each buffer; 0: no limit. */
static uint64_t limit_of_each(const struct session *s)
{
	const struct krec *k = s->kernel;
	uint32_t n;

	(void)krec_bpf_cpus(k, &n);
	return s->snapshot_bytes ? MAX(s->snapshot_bytes / (k->ncpus + n), 1u) : 0;
}

/* How many of the oldest pages that leaves out. */
static size_t pages_to_skip(const struct session *s, const struct krec_cpu *c)
{
	const struct krec *k = s->kernel;
	size_t pages = limit_of_each(s) / k->layout.size;

	pages = MAX(pages, 1u);
	return s->snapshot_bytes && c->nkept > pages ? c->nkept - pages : 0;
}

/* What was lost before the first page is what a flight recorder is for. */
static int write_pages(struct session *s, struct krec_cpu *c)
{
	struct krec *k = s->kernel;
	size_t skip = pages_to_skip(s, c);
	struct kpage page;
	int r = 0;

	for (size_t i = skip; i < c->nkept && r == 0; i++) {
		if (kpage_begin(&page, &k->layout, c->kept + i * k->layout.size, k->layout.size) <
			0) {
			c->s.lost[CAIRN_LOST_CORRUPT]++;
			continue;
		}
		if (i == skip)
			page.lost = 0;
		r = krec_take_page(s, c, &page);
	}
	krec_flush(s, c, true);
	return r;
}

int krec_write_kept(struct session *s)
{
	struct krec *k = s->kernel;
	uint64_t first = UINT64_MAX;
	struct kpage page;
	int r = 0;

	for (uint32_t i = 0; i < k->ncpus && r == 0; i++) {
		struct krec_cpu *c = &k->cpus[i];
		size_t skip;

		r = keep(k, c);
		skip = pages_to_skip(s, c);
		if (skip < c->nkept &&
			kpage_begin(&page, &k->layout, c->kept + skip * k->layout.size,
				k->layout.size) == 0)
			first = MIN(first, page.begin_ts);
	}
	first = MIN(first, krec_bpf_keep(s, limit_of_each(s)));
	if (k->mappings)
		(void)mappings_update(k->mappings); /* as of all that was read */
	if (first != UINT64_MAX)
		k->start_ts = first - 1000; /* names come before it, also in whole ns */
	krec_begin(s);
	for (uint32_t i = 0; i < k->ncpus && r == 0; i++)
		r = write_pages(s, &k->cpus[i]);
	return r == 0 ? krec_bpf_write_kept(s, limit_of_each(s)) : r;
}

/* What a place has of its own, while another one is written. */
struct krec_saved {
	struct place place;
	int texts_fd;
	size_t texts_written;
	uint32_t nbpf;
	struct krec_saved_cpu {
		struct kctf_stream s;
		struct stream file;
	} cpus[]; /* tracefs's, then nbpf of BPF's */
};

static void save(struct krec_saved_cpu *to, struct krec_cpu *cpus, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct krec_cpu *c = &cpus[i];

		to[i] = (struct krec_saved_cpu){c->s, c->file};
		c->s = (struct kctf_stream){.cpu = i, .instance = c->s.instance};
		c->file = (struct stream){.fd = -1};
	}
}

static void give_back(const struct krec_saved_cpu *from, struct krec_cpu *cpus, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		kctf_stream_done(&cpus[i].s);
		auto_fd(&cpus[i].file.fd);
		cpus[i].s = from[i].s;
		cpus[i].file = from[i].file;
	}
}

int krec_snapshot_begin(struct session *s, const char *dir, struct error *err)
{
	struct krec *k = s->kernel;
	struct krec_saved *sv;
	struct krec_cpu *bpf;
	uint32_t n;

	if (!k || !k->is_recorder || !k->is_on)
		return 0;
	bpf = krec_bpf_cpus(k, &n);
	sv = calloc(1, sizeof(*sv) + ((size_t)k->ncpus + n) * sizeof(sv->cpus[0]));
	if (!sv)
		return error_set(err, -ENOMEM, "no memory for a snapshot");
	sv->place = k->place;
	sv->texts_fd = k->texts_fd;
	sv->texts_written = k->texts_written;
	sv->nbpf = n;
	save(sv->cpus, k->cpus, k->ncpus);
	save(sv->cpus + k->ncpus, bpf, n);
	k->saved = sv;
	k->texts_fd = -1;
	k->texts_written = 0;
	place_init(&k->place);
	krec_names_fresh(k);
	return krec_place_open(s, dir, err);
}

int krec_snapshot_write(struct session *s)
{
	struct krec *k = s->kernel;
	int r;

	if (!k || !k->saved)
		return 0;
	k->write_error = 0;
	r = krec_write_kept(s);
	krec_names_write(s);
	krec_flush_metadata(s);
	krec_final_texts(s);
	return r < 0 ? r : -k->write_error;
}

void krec_snapshot_end(struct session *s)
{
	struct krec *k = s->kernel;
	struct krec_saved *sv = k ? k->saved : NULL;
	struct krec_cpu *bpf;
	uint32_t n;

	if (!sv)
		return;
	bpf = krec_bpf_cpus(k, &n);
	give_back(sv->cpus, k->cpus, k->ncpus);
	give_back(sv->cpus + k->ncpus, bpf, MIN(n, sv->nbpf));
	krec_names_fresh(k);
	auto_fd(&k->texts_fd);
	place_done(&k->place);
	k->place = sv->place;
	k->texts_fd = sv->texts_fd;
	k->texts_written = sv->texts_written;
	k->saved = NULL;
	free(sv);
}
