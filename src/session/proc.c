/* What a program is: read from /proc, for the state dump.
 *
 * The raw text is read while the program waits for us (so it surely lives) and made into records
 * afterwards. Everything there is under the program's control: names may hold anything, its files
 * may be FIFOs or damaged; all reads are bounded and nothing blocks.
 */
#include "session/session-impl.h"
#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_MAPS (4u << 20)
#define MAX_THREADS 65536
#define MAX_MODULES 4096
#define MAX_NOTES 65536

struct thread_fact {
	int32_t tid;
	char comm[16];
};

struct process_facts {
	struct ctf_process p;
	int root; /* its root directory, O_PATH; -1: unknown */
	char comm[32], exe[PATH_MAX];
	struct buf cmdline, maps;
	struct thread_fact *threads; /* owned vector */
	size_t nthreads, cthreads;
};

static int read_proc(pid_t pid, const char *what, size_t limit, struct buf *b)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	return read_file(path, limit, b);
}

static pid_t status_number(const char *status, const char *key)
{
	const char *at = status ? strstr(status, key) : NULL;

	return at ? (pid_t)strtol(at + strlen(key), NULL, 10) : 0;
}

pid_t process_parent(pid_t pid)
{
	AUTO(buf) struct buf b = {0};

	return read_proc(pid, "status", 65536, &b) == 0 ? status_number(b.data, "\nPPid:") : 0;
}

bool process_descends(pid_t pid, const pid_t *from, size_t n)
{
	for (int depth = 0; pid > 1 && depth < 64; depth++) {
		for (size_t i = 0; i < n; i++) {
			if (from[i] == pid)
				return true;
		}
		pid = process_parent(pid);
	}
	return false;
}

static void add_thread(struct process_facts *f, pid_t tid, const char *comm)
{
	struct thread_fact *t = VEC_ADD(f->threads, f->nthreads, f->cthreads);

	if (!t)
		return;
	t->tid = tid;
	(void)snprintf(t->comm, sizeof(t->comm), "%.*s", (int)strcspn(comm, "\n"), comm);
}

/* Two are the program's one and the runtime's. Then its folder `task` is not looked at: who ends waits until what
 * others made there of procfs is taken away, and if they share a CPU, for a tick. */
static void read_threads(struct process_facts *f, int nthreads)
{
	char path[96];
	AUTO(dir) DIR *d = NULL;
	struct dirent *e;

	if (nthreads == 1 || nthreads == 2) {
		add_thread(f, f->p.pid, f->comm);
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)f->p.pid);
	d = opendir(path);
	while (d && (e = readdir(d)) && f->nthreads < MAX_THREADS) {
		AUTO(buf) struct buf comm = {0};
		int tid = atoi(e->d_name);

		if (tid <= 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/comm", (int)f->p.pid, tid);
		if (read_file(path, 64, &comm) < 0)
			continue; /* it ended meanwhile */
		add_thread(f, tid, comm.data);
	}
}

static void join_words(struct buf *b)
{
	for (size_t i = 0; i + 1 < b->len; i++)
		b->data[i] = b->data[i] ? b->data[i] : ' ';
}

struct process_facts *process_facts_read(pid_t pid)
{
	struct process_facts *f = calloc(1, sizeof(*f));
	AUTO(buf) struct buf status = {0};
	char path[64];
	ssize_t n;

	if (!f || read_proc(pid, "status", 65536, &status) < 0) {
		free(f);
		return NULL;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	f->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, f->exe, sizeof(f->exe) - 1);
	f->exe[MAX(n, 0)] = 0;
	if (strncmp(status.data, "Name:\t", 6) == 0)
		(void)snprintf(f->comm, sizeof(f->comm), "%.*s",
			(int)strcspn(status.data + 6, "\n"), status.data + 6);
	f->p.pid = pid;
	f->p.ppid = status_number(status.data, "\nPPid:");
	f->p.uid = (uint32_t)status_number(status.data, "\nUid:");
	f->p.gid = (uint32_t)status_number(status.data, "\nGid:");
	(void)read_proc(pid, "cmdline", 4096, &f->cmdline); /* longer ones are cut or left out */
	(void)read_proc(pid, "maps", MAX_MAPS, &f->maps);
	join_words(&f->cmdline);
	read_threads(f, status_number(status.data, "\nThreads:"));
	return f;
}

void process_facts_free(struct process_facts *f)
{
	if (!f)
		return;
	auto_fd(&f->root);
	buf_done(&f->cmdline);
	buf_done(&f->maps);
	free(f->threads);
	free(f);
}

/* ---- modules ---- */

/* The build id in n bytes of ELF notes. */
static size_t find_build_id(const uint8_t *notes, size_t n, uint8_t *ret, size_t max)
{
	size_t at = 0;

	while (at + sizeof(Elf64_Nhdr) <= n) {
		Elf64_Nhdr h;
		size_t name, desc, next;

		memcpy(&h, notes + at, sizeof(h));
		name = at + sizeof(h);
		desc = name + (((size_t)h.n_namesz + 3) & ~(size_t)3);
		next = desc + (((size_t)h.n_descsz + 3) & ~(size_t)3);
		if (desc > n || h.n_descsz > n - desc)
			return 0;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 &&
			memcmp(notes + name, "GNU", 4) == 0) {
			size_t len = MIN((size_t)h.n_descsz, max);

			memcpy(ret, notes + desc, len);
			return len;
		}
		at = next;
	}
	return 0;
}

static size_t build_id_of(int fd, uint8_t *ret, size_t max)
{
	uint8_t notes[4096];
	Elf64_Ehdr eh;

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) ||
		memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
		eh.e_phentsize != sizeof(Elf64_Phdr))
		return 0;
	for (unsigned i = 0; i < eh.e_phnum && i < 128; i++) {
		Elf64_Phdr ph;
		ssize_t n;
		size_t len;

		if (pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + i * sizeof(ph))) != sizeof(ph))
			return 0;
		if (ph.p_type != PT_NOTE)
			continue;
		n = pread(fd, notes, MIN((size_t)ph.p_filesz, sizeof(notes)), (off_t)ph.p_offset);
		len = n > 0 ? find_build_id(notes, (size_t)n, ret, max) : 0;
		if (len)
			return len;
	}
	return 0;
}

static size_t read_build_id(
	const struct process_facts *f, const char *path, uint8_t *ret, size_t max)
{
	AUTO(fd) int fd = -1;
	struct stat st;

	if (f->root < 0 || path[0] != '/')
		return 0;
	fd = openat(f->root, path + 1, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return build_id_of(fd, ret, max);
}

struct module_fact {
	uint64_t base, end;
	bool exec;
	char path[PATH_MAX];
};

static void write_module(
	const struct process_facts *f, const struct module_fact *m, uint64_t ts, struct buf *out)
{
	uint8_t id[64];
	struct ctf_module cm = {.pid = f->p.pid, .base = m->base, .size = m->end - m->base};

	if (!m->path[0] || !m->exec)
		return;
	cm.path = m->path;
	cm.build_id = id;
	cm.build_id_len = (uint32_t)read_build_id(f, m->path, id, sizeof(id));
	ctf_state_module(out, ts, &cm);
}

/* Runs of mappings of one file are one module. */
static void write_modules(const struct process_facts *f, uint64_t ts, struct buf *out)
{
	struct module_fact *m = calloc(1, sizeof(*m));
	const char *line = f->maps.data;
	unsigned modules = 0;

	while (m && line && *line && modules < MAX_MODULES) {
		const char *eol = strchr(line, '\n');
		size_t len = eol ? (size_t)(eol - line) : strlen(line);
		unsigned long long begin, end, offset;
		char perms[8];
		int at = 0;

		if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %n", &begin, &end, perms, &offset,
			    &at) == 4 &&
			at > 0 && (size_t)at < len && line[at] == '/' &&
			len - (size_t)at < sizeof(m->path)) {
			const char *path = line + at;
			size_t n = len - (size_t)at;

			if (strlen(m->path) != n || memcmp(m->path, path, n) != 0 || offset == 0) {
				write_module(f, m, ts, out);
				memset(m, 0, offsetof(struct module_fact, path));
				memcpy(m->path, path, n);
				m->path[n] = 0;
				m->base = begin;
				modules++;
			}
			m->end = end;
			m->exec |= perms[2] == 'x';
		}
		line = eol ? eol + 1 : NULL;
	}
	if (m)
		write_module(f, m, ts, out);
	free(m);
}

void session_dump_program(
	struct session *s, const struct conn *c, const struct process_facts *f, uint64_t ts)
{
	AUTO(buf) struct buf out = {0};
	struct ctf_process p = f->p;

	if (!output_has_place(s->output) || s->output->verbatim)
		return;
	p.comm = f->comm;
	p.exe = f->exe;
	p.cmdline = f->cmdline.data;
	ctf_state_attach(&out, ts, p.pid,
		c->hello.flags & CAIRN_HELLO_AGAIN	      ? CTF_ATTACH_KEPT
			: c->hello.flags & CAIRN_HELLO_FORKED ? CTF_ATTACH_FORKED
							      : CTF_ATTACH_JOINED);
	ctf_state_process(&out, ts, &p);
	for (size_t i = 0; i < f->nthreads; i++) {
		struct ctf_thread t = {p.pid, f->threads[i].tid, f->threads[i].comm};

		ctf_state_thread(&out, ts, &t);
	}
	write_modules(f, ts, &out);
	ctf_state_done(&out, ts, p.pid);
	output_state(s, &out, ts, ts);
}
