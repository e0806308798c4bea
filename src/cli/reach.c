/* Processes named by -p that no session can reach. See reach.h. */
#include "cli/reach.h"
#include "cli/child.h"
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int reach_exist(const struct command *c, const pid_t *pids, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (kill(pids[i], 0) != 0 && errno == ESRCH)
			return fail_text(c, NULL, "there is no process %d", (int)pids[i]);
	return CLI_OK;
}

static void say_missing(const struct command *c, pid_t pid)
{
	char path[64];
	struct buf comm AUTO(buf) = {0};

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid); /* fits */
	if (read_file(path, 64, &comm) != 0)
		buf_str(&comm, "ended");
	while (comm.len && comm.data[comm.len - 1] == '\n')
		comm.data[--comm.len] = '\0';
	(void)fail_text(c,
		"a program is reached if it is marked with CAIRN() and started while a host "
		"ran, or after `cairn dormant on`; --with libc reaches commands of record's",
		"process %d (%s) cannot be reached: the runtime is not loaded in it", (int)pid,
		comm.data ? comm.data : "?");
}

size_t reach_missing(
	const struct command *c, struct cairn_control *ctl, const pid_t *pids, size_t n, bool say)
{
	struct cairn_process_info *list;
	size_t len, missing = 0;

	if (cairn_process_list(ctl, 0, 0, &list, &len, NULL) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t k = 0;

		while (k < len && list[k].pid != pids[i])
			k++;
		missing += k == len;
		if (k == len && say)
			say_missing(c, pids[i]);
	}
	cairn_process_list_free(list);
	return missing;
}

void reach_wait(const struct command *c, struct cairn_control *ctl, const pid_t *pids, size_t n)
{
	const struct timespec nap = {.tv_nsec = 20000000};

	for (int ms = 0; ms < REACH_MS && reach_missing(c, ctl, pids, n, false); ms += 20)
		(void)nanosleep(&nap, NULL); /* cut short by a signal: asked sooner */
	(void)reach_missing(c, ctl, pids, n, true);
}

/* ---- marked programs ---- */

/* Whether a note segment holds the note of a module: name "Cairn", type 1 (trace-module.h). */
static bool notes_have_ours(const uint8_t *notes, size_t len)
{
	for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= len;) {
		Elf64_Nhdr note;
		size_t name = at + sizeof(note);

		memcpy(&note, notes + at, sizeof(note));
		if (note.n_namesz > len || note.n_descsz > len)
			return false;
		if (note.n_namesz == 6 && note.n_type == 1 && name + 6 <= len &&
			memcmp(notes + name, "Cairn", 6) == 0)
			return true;
		at = name + ((note.n_namesz + 3u) & ~3u) + ((note.n_descsz + 3u) & ~3u);
	}
	return false;
}

static bool is_marked(int fd)
{
	uint8_t notes[4096];
	Elf64_Ehdr eh;

	if (pread(fd, &eh, sizeof(eh), 0) != sizeof(eh) ||
		memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 || eh.e_ident[EI_CLASS] != ELFCLASS64 ||
		eh.e_phentsize != sizeof(Elf64_Phdr))
		return false;
	for (unsigned i = 0; i < eh.e_phnum && i < 128; i++) {
		Elf64_Phdr ph;
		ssize_t n;

		if (pread(fd, &ph, sizeof(ph), (off_t)(eh.e_phoff + i * sizeof(ph))) != sizeof(ph))
			return false;
		if (ph.p_type != PT_NOTE)
			continue;
		n = pread(fd, notes, MIN((size_t)ph.p_filesz, sizeof(notes)), (off_t)ph.p_offset);
		if (n > 0 && notes_have_ours(notes, (size_t)n))
			return true;
	}
	return false;
}

/* One line of /proc/PID/maps: is it code of a marked file? `known` holds what was found out of
 * files before, by device and inode. */
static bool mapping_is_marked(const char *pid, const char *line, struct map *known)
{
	static const char no, yes;
	char perms[8], file[64], device[16], path[512], full[600];
	unsigned long long inode;
	const void *found;
	int n;

	if (sscanf(line, "%*s %7s %*s %15s %llu %511[^\n]", perms, device, &inode, path) != 4 ||
		perms[2] != 'x' || path[0] != '/')
		return false;
	n = snprintf(file, sizeof(file), "%s %llu", device, inode);
	found = map_get(known, file, (size_t)n);
	if (!found) {
		(void)snprintf(full, sizeof(full), "/proc/%.20s/root%s", pid, path); /* fits */
		AUTO(fd) int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

		found = fd >= 0 && is_marked(fd) ? &yes : &no;
		(void)map_put(known, file, (size_t)n, (void *)(uintptr_t)found); /* or again */
	}
	return found == &yes;
}

/* What the mappings of a process show. */
struct mappings {
	bool marked; /* code of a marked file */
	bool runtime; /* libcairn-rt.so is loaded */
	bool loader; /* it is linked dynamically */
};

static struct mappings read_mappings(const char *pid, struct map *known)
{
	struct mappings m = {0};
	struct buf maps AUTO(buf) = {0};
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%.20s/maps", pid); /* fits */
	if (read_file(path, 16u << 20, &maps) != 0)
		return m;
	for (char *line = maps.data, *next; line && *line; line = next) {
		const char *name;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		name = strrchr(line, '/');
		m.runtime |= name && strncmp(name, "/libcairn-rt.so", 15) == 0;
		m.loader |= name && (strncmp(name, "/ld-", 4) == 0 || strstr(name, ".so"));
		m.marked = m.marked || mapping_is_marked(pid, line, known);
	}
	return m;
}

bool reach_is_marked(const char *command)
{
	char path[4096];

	if (command_find(command, path, sizeof(path)) != 0)
		return false;
	AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd >= 0 && is_marked(fd);
}

static bool is_listed(const struct cairn_process_info *list, size_t n, pid_t pid)
{
	while (n > 0)
		if (list[--n].pid == pid)
			return true;
	return false;
}

/* Has it another file system than we, and so another run directory? */
static bool is_elsewhere(const char *pid)
{
	char path[64];
	struct stat ours, theirs;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", pid); /* fits */
	if (stat(path, &theirs) != 0 || stat("/proc/self/ns/mnt", &ours) != 0)
		return false;
	if (ours.st_ino != theirs.st_ino)
		return true;
	(void)snprintf(path, sizeof(path), "/proc/%.20s/root", pid); /* fits */
	return stat(path, &theirs) == 0 && stat("/proc/self/root", &ours) == 0 &&
		(ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino);
}

static enum unreached_why why_of(const char *pid, const struct mappings *m)
{
	if (m->runtime)
		return is_elsewhere(pid) ? UNREACHED_ELSEWHERE : UNREACHED_NOT_CONNECTED;
	return m->loader ? UNREACHED_NOT_LOADED : UNREACHED_STATIC;
}

static void read_comm(const char *pid, char *ret, size_t size)
{
	struct buf comm AUTO(buf) = {0};
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%.20s/comm", pid); /* fits */
	if (read_file(path, 64, &comm) != 0)
		buf_str(&comm, "?");
	(void)snprintf(ret, size, "%.*s", (int)strcspn(comm.data ? comm.data : "", "\n"),
		comm.data ? comm.data : "");
}

int reach_find(struct cairn_control *ctl, pid_t only, struct unreached **ret, size_t *ret_n)
{
	DIR *proc AUTO(dir) = opendir("/proc");
	struct cairn_process_info *list;
	struct unreached *found = NULL;
	struct map known = {0};
	struct dirent *d;
	size_t len, n = 0, cap = 0;

	if (!proc || cairn_process_list(ctl, 0, 0, &list, &len, NULL) < 0)
		return -ESRCH;
	while ((d = readdir(proc))) {
		pid_t pid = (pid_t)atoi(d->d_name);
		struct mappings m;
		struct unreached *u;
		struct stat st;

		if (pid <= 0 || (only && pid != only) || is_listed(list, len, pid))
			continue;
		m = read_mappings(d->d_name, &known);
		if (!m.marked || fstatat(dirfd(proc), d->d_name, &st, 0) != 0)
			continue;
		u = VEC_ADD(found, n, cap);
		if (!u)
			break; /* those that there is memory for */
		u->pid = pid;
		u->uid = st.st_uid;
		u->why = why_of(d->d_name, &m);
		read_comm(d->d_name, u->comm, sizeof(u->comm));
	}
	cairn_process_list_free(list);
	map_done(&known);
	*ret = found;
	*ret_n = n;
	return 0;
}

static const struct {
	const char *name, *text, *hint;
} whys[] = {
	[UNREACHED_NOT_LOADED] = {"not-loaded",
		"the runtime is not loaded: it started before any host",
		"start it again; after `cairn dormant on`, programs that start can always be reached"},
	[UNREACHED_STATIC] = {"static",
		"linked statically, without the runtime or started before any host",
		"link the runtime (`pkg-config --libs cairn-rt-static`), and start it again"},
	[UNREACHED_ELSEWHERE] = {"elsewhere",
		"its file system is another, where no host's socket is (a container?)",
		"name it: cairn session create -p PID, or cairn record -p PID"},
	[UNREACHED_NOT_CONNECTED] = {"not-connected",
		"the runtime is loaded, but looks in another run directory or was refused",
		"compare its CAIRN_RUNDIR, and look at what the host said (`cairn daemon -d`: in "
		"syslog)"},
};

const char *reach_why_name(enum unreached_why why)
{
	return whys[why].name;
}

const char *reach_why_text(enum unreached_why why)
{
	return whys[why].text;
}

const char *reach_why_hint(enum unreached_why why)
{
	return whys[why].hint;
}

void reach_say_others(struct cairn_control *ctl)
{
	enum { SHOWN = 8 };
	struct unreached *list = NULL;
	struct buf names AUTO(buf) = {0};
	size_t n = 0, same = 0;

	if (reach_find(ctl, 0, &list, &n) < 0 || n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		same += list[i].why == list[0].why;
		if (i < SHOWN)
			buf_printf(&names, "%s%d", i ? ", " : "", (int)list[i].pid);
	}
	say("%zu marked program%s cannot be reached, %s: %s%s", n, n > 1 ? "s" : "",
		same == n ? whys[list[0].why].text : "for several reasons",
		names.data ? names.data : "", n > SHOWN ? ", ..." : "");
	free(list);
}
