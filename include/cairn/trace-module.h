/* SPDX-License-Identifier: MIT
 *
 * The one struct cairn_module of an executable or shared library, and how it finds the runtime.
 * Included by trace.h only; nothing here is an interface.
 *
 * Each translation unit carries the constructor and destructor below; the first to run in a module
 * does the work. If the runtime is linked in (libcairn-rt.a) it registers there. Else it looks for
 * the runtime of a session host: $CAIRN_RT, $CAIRN_RUNDIR/libcairn-rt.so, else
 * /run/cairn/libcairn-rt.so, then the user's own /run/user/UID/cairn/libcairn-rt.so, which must
 * belong to root or that user. A program that runs
 * with more rights than its caller (AT_SECURE) takes the third only. Without any: one or two
 * access(2) calls, and nothing is loaded.
 *
 * A later runtime finds the module by the ELF note "Cairn" (type CAIRN_ABI), whose 4 bytes are the
 * distance from themselves to the module's struct.
 */
#ifndef CAIRN_TRACE_MODULE_H
#define CAIRN_TRACE_MODULE_H

#include <cairn/site.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma GCC system_header

#define CAIRN_PATH_MAX_ 512
#define CAIRN_HIDDEN_ __attribute__((__weak__, __visibility__("hidden")))

#ifdef __cplusplus
extern "C" {
#endif

extern CAIRN_HIDDEN_ const struct cairn_site __start_cairn_sites[];
extern CAIRN_HIDDEN_ const struct cairn_site __stop_cairn_sites[];

/* The dynamic section, in pairs of tag and value; NULL in static programs. */
extern CAIRN_HIDDEN_ const int64_t cairn_dynamic_[] __asm__("_DYNAMIC");

/* Merged by the linker: one each in every executable or shared library. */
CAIRN_HIDDEN_ struct cairn_module cairn_module_v1 = {0, 0, 0, 0, 0, 0, 0, 0, {0, 0, 0, 0}};
CAIRN_HIDDEN_ void (*cairn_module_leave_v1)(struct cairn_module *) = 0;

/* weakref, not weak: a program's own strong references to these stay strong. */
static int cairn_linked_register_(struct cairn_module *)
	__attribute__((__weakref__("cairn_rt_register_v1")));
static void cairn_linked_unregister_(struct cairn_module *)
	__attribute__((__weakref__("cairn_rt_unregister_v1")));
static void *cairn_dlopen_(const char *, int) __attribute__((__weakref__("dlopen")));
static void *cairn_dlsym_(void *, const char *) __attribute__((__weakref__("dlsym")));

#ifdef __cplusplus
}
#endif

__asm__(".pushsection .note.cairn,\"a\",%note\n"
	"\t.balign 4\n"
	"\t.long 6, 4, 1\n"
	"\t.asciz \"Cairn\"\n"
	"\t.balign 4\n"
	"\t.long cairn_module_v1 - .\n"
	".popsection");

/* "/run/user/UID/cairn/libcairn-rt.so" if it can be trusted, else NULL. */
static inline const char *cairn_user_runtime_(char *path)
{
	static const char dir[] = "/run/user/", file[] = "/cairn/libcairn-rt.so";
	unsigned uid = (unsigned)getuid(), left = uid;
	char digits[12], *at = path;
	struct stat st;
	int n = 0;

	do
		digits[n++] = (char)('0' + left % 10);
	while ((left /= 10) != 0);
	__builtin_memcpy(at, dir, sizeof(dir) - 1);
	at += sizeof(dir) - 1;
	while (n > 0)
		*at++ = digits[--n];
	__builtin_memcpy(at, file, sizeof(file));
	if (access(path, R_OK) != 0 || stat(path, &st) != 0)
		return 0;
	return st.st_uid == 0 || st.st_uid == uid ? path : 0;
}

/* Static programs must not load libraries, though they may have a dlopen. */
static inline int cairn_is_dynamic_(void)
{
	const int64_t *d = cairn_dynamic_;

	if (d)
		for (; *d; d += 2)
			if (*d == 1) /* DT_NEEDED */
				return 1;
	return 0;
}

/* DIR/libcairn-rt.so if it is there, else NULL. */
static inline const char *cairn_runtime_in_(const char *dir, char *path)
{
	static const char file[] = "/libcairn-rt.so";
	size_t n = __builtin_strlen(dir);

	if (n > CAIRN_PATH_MAX_ - sizeof(file))
		return 0;
	__builtin_memcpy(path, dir, n);
	__builtin_memcpy(path + n, file, sizeof(file));
	return access(path, R_OK) == 0 ? path : 0;
}

static inline const char *cairn_find_runtime_(char *room)
{
	static const char system_wide[] = "/run/cairn/libcairn-rt.so";
	int secure = getauxval(AT_SECURE) != 0;
	const char *path = secure ? 0 : getenv("CAIRN_RT");

	if (path && *path)
		return path;
	path = secure ? 0 : getenv("CAIRN_RUNDIR");
	if (path && *path)
		return cairn_runtime_in_(path, room);
	if (access(system_wide, R_OK) == 0)
		return system_wide;
	return secure ? 0 : cairn_user_runtime_(room);
}

__attribute__((__cold__, __noinline__, __unused__)) static void cairn_module_load_(
	struct cairn_module *m)
{
	enum { now = 2, nodelete = 0x1000 }; /* RTLD_NOW, RTLD_NODELETE; RTLD_LOCAL is 0 */
	int (*enter)(struct cairn_module *);
	void *lib, *symbol;
	const char *path;
	char room[CAIRN_PATH_MAX_];

	if (cairn_linked_register_) {
		cairn_module_leave_v1 = cairn_linked_unregister_;
		(void)cairn_linked_register_(m);
		return;
	}
	if (!cairn_dlopen_ || !cairn_dlsym_ || !cairn_is_dynamic_())
		return;
	path = cairn_find_runtime_(room);
	lib = path ? cairn_dlopen_(path, now | nodelete) : 0;
	symbol = lib ? cairn_dlsym_(lib, "cairn_rt_register_v1") : 0;
	if (!symbol)
		return;
	__builtin_memcpy(&enter, &symbol, sizeof(enter));
	symbol = cairn_dlsym_(lib, "cairn_rt_unregister_v1");
	__builtin_memcpy(&cairn_module_leave_v1, &symbol, sizeof(symbol));
	(void)enter(m); /* untraced if it fails */
}

__attribute__((__constructor__(101), __unused__)) static void cairn_module_enter_(void)
{
	struct cairn_module *m = &cairn_module_v1;
	int saved = errno;

	if (m->abi)
		return; /* another translation unit's constructor was here */
	m->abi = CAIRN_ABI;
	m->size = (uint32_t)sizeof(*m);
	m->begin = __start_cairn_sites;
	m->end = __stop_cairn_sites;
	if (m->begin != m->end)
		cairn_module_load_(m);
	errno = saved;
}

__attribute__((__destructor__(101), __unused__)) static void cairn_module_exit_(void)
{
	void (*leave)(struct cairn_module *) = cairn_module_leave_v1;
	int saved = errno;

	cairn_module_leave_v1 = 0;
	if (leave)
		leave(&cairn_module_v1);
	errno = saved;
}

#endif
