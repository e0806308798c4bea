/* What keeps a program from loading the libraries of --with. See preload.h.
 *
 * LD_PRELOAD is a request to the dynamic loader, which ignores it, mostly in silence, in programs
 * that are static, of another kind, or run with other rights than their caller's. The program's
 * file tells that before it runs. Of a script, its interpreter counts.
 */
#include "cli/preload.h"
#include "cli/child.h"
#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum verdict { LOADED, STATIC, OTHER_BITS, OTHER_MACHINE, OTHER_RIGHTS, OTHER_LIBC };

static const struct {
	const char *why, *hint;
} texts[] = {
	[STATIC] = {"is a static program: --with cannot be preloaded into it, only into dynamic "
		    "programs that it starts",
		"link it dynamically, or mark it with CAIRN() (see cairn-trace(3))"},
	[OTHER_BITS] = {"is a 32-bit program: --with has 64-bit libraries, which its loader leaves "
			"out",
		"64-bit programs that it starts are recorded"},
	[OTHER_MACHINE] = {"is a program of another machine: --with cannot be preloaded into it",
		NULL},
	[OTHER_RIGHTS] = {"runs with other rights than yours (set-user-ID, set-group-ID or "
			  "capabilities): its loader ignores --with, and what it starts has none",
		"run cairn as that user, or record a copy without these rights"},
	[OTHER_LIBC] = {"is of another C library than --with is for: it runs without", NULL},
};

/* Does the kernel give this file's process other ids or more capabilities than ours? */
static bool has_other_rights(const char *path)
{
	struct statvfs fs;
	struct stat st;

	if (stat(path, &st) != 0 || statvfs(path, &fs) != 0 || fs.f_flag & ST_NOSUID ||
		prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	return (st.st_mode & S_ISUID && st.st_uid != geteuid()) ||
		((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
			st.st_gid != getegid()) ||
		(geteuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

/* What an ELF file asks of its loader. */
struct linkage {
	char loader[PATH_MAX]; /* "": none */
	bool has_soname; /* so it is a library, or the loader itself */
};

static void read_dynamic(int fd, const Elf64_Phdr *ph, struct linkage *ret)
{
	Elf64_Dyn d;

	for (Elf64_Xword at = 0; at + sizeof(d) <= ph->p_filesz && at < 1u << 16; at += sizeof(d)) {
		if (pread(fd, &d, sizeof(d), (off_t)(ph->p_offset + at)) != sizeof(d) ||
			d.d_tag == DT_NULL)
			return;
		ret->has_soname |= d.d_tag == DT_SONAME;
	}
}

static void read_linkage(int fd, const Elf64_Ehdr *eh, struct linkage *ret)
{
	*ret = (struct linkage){0};
	for (unsigned i = 0; i < eh->e_phnum && i < 128; i++) {
		Elf64_Phdr ph;

		if (pread(fd, &ph, sizeof(ph), (off_t)(eh->e_phoff + i * sizeof(ph))) != sizeof(ph))
			return;
		if (ph.p_type == PT_DYNAMIC)
			read_dynamic(fd, &ph, ret);
		if (ph.p_type == PT_INTERP)
			(void)!pread(fd, ret->loader, MIN(ph.p_filesz, sizeof(ret->loader) - 1),
				(off_t)ph.p_offset); /* "" if it fails */
	}
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static enum verdict judge_elf(int fd, const Elf64_Ehdr *eh)
{
	AUTO(fd) int own_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct linkage its, own;
	Elf64_Ehdr own_eh;

	if (own_fd < 0 || pread(own_fd, &own_eh, sizeof(own_eh), 0) != sizeof(own_eh))
		return LOADED; /* who knows */
	if (eh->e_ident[EI_CLASS] == ELFCLASS32)
		return OTHER_BITS;
	if (eh->e_machine != own_eh.e_machine || eh->e_ident[EI_DATA] != own_eh.e_ident[EI_DATA])
		return OTHER_MACHINE;
	read_linkage(fd, eh, &its);
	read_linkage(own_fd, &own_eh, &own);
	if (!its.loader[0])
		return its.has_soname ? LOADED : STATIC;
	if (own.loader[0] && strcmp(base_name(its.loader), base_name(own.loader)) != 0)
		return OTHER_LIBC;
	return LOADED;
}

/* The interpreter in a script's first line, in place of its path. False if it is none. */
static bool script_interpreter(int fd, char path[PATH_MAX])
{
	char line[256] = "";
	size_t skip = 2;

	if (pread(fd, line, sizeof(line) - 1, 0) < 2 || memcmp(line, "#!", 2) != 0)
		return false;
	skip += strspn(line + skip, " \t");
	(void)snprintf(path, PATH_MAX, "%.*s", (int)strcspn(line + skip, " \t\n"), line + skip);
	return path[0] != '\0'; /* it fits */
}

/* path becomes the interpreter's, if that is what is judged. */
static enum verdict judge(char path[PATH_MAX])
{
	enum { SCRIPTS = 5 }; /* how deep the kernel goes */

	for (int i = 0; i < SCRIPTS; i++) {
		AUTO(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		Elf64_Ehdr eh = {0};

		if (fd >= 0 && script_interpreter(fd, path))
			continue;
		if (has_other_rights(path))
			return OTHER_RIGHTS;
		if (fd < 0 || pread(fd, &eh, sizeof(eh), 0) < (ssize_t)sizeof(Elf32_Ehdr) ||
			memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0)
			return LOADED; /* a script without a first line, or it will fail to run */
		return judge_elf(fd, &eh);
	}
	return LOADED;
}

bool preload_check(const struct command *c, const char *command)
{
	char path[PATH_MAX];
	enum verdict v;

	if (command_find(command, path, sizeof(path)) != 0)
		return true; /* running it will say so */
	v = judge(path);
	if (v != LOADED)
		(void)fail_text(c, texts[v].hint, "%s %s", path, texts[v].why);
	return v != OTHER_LIBC;
}

const char *preload_runtime_hint(const char *command)
{
	char path[PATH_MAX];

	switch (command_find(command, path, sizeof(path)) == 0 ? judge(path) : LOADED) {
	case STATIC:
		return "a static program links the runtime: `pkg-config --libs cairn-rt-static`, or "
		       "-Wl,-u,cairn_rt_register_v1 libcairn-rt.a";
	case OTHER_BITS:
	case OTHER_MACHINE: return "the runtime is of this machine: build the program for it";
	case OTHER_LIBC: return "the runtime is for the C library that cairn runs with (glibc)";
	case OTHER_RIGHTS:
		return "it runs with other rights than yours, and so loads the runtime only from "
		       "/run/cairn, by root's `cairn daemon`";
	case LOADED: break;
	}
	return "did it reach main()? CAIRN_RT names the runtime if it is not where cairn is";
}
