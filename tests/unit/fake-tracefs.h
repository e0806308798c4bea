/* A directory of plain files in place of the kernel's tracing file system: made, filled, looked at, removed. */
#ifndef CAIRN_TESTS_FAKE_TRACEFS_H
#define CAIRN_TESTS_FAKE_TRACEFS_H

#include "kernel/tracefs.h"
#include "test.h"
#include <unistd.h>

static char root[64];

static inline void fake_path(char full[4096], const char *path)
{
	(void)snprintf(full, 4096, "%s/%s", root, path);
}

static inline void put_bytes(const char *path, const void *bytes, size_t n)
{
	char full[4096], *slash;
	FILE *f;

	fake_path(full, path);
	slash = strrchr(full, '/');
	*slash = 0;
	CHECK_INT(mkdir_p(full, 0777), 0);
	*slash = '/';
	f = fopen(full, "w");
	CHECK(f && fwrite(bytes, 1, n, f) == n);
	if (f)
		(void)fclose(f);
}

static inline void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static inline void check_file(const char *path, const char *want)
{
	AUTO(buf) struct buf b = {0};
	char full[4096];

	fake_path(full, path);
	CHECK_INT(read_file(full, 1 << 20, &b), 0);
	CHECK_STR(b.data ? b.data : "", want);
}

static inline bool there(const char *path)
{
	char full[4096];

	fake_path(full, path);
	return access(full, F_OK) == 0;
}

/* With the files of an empty one; more are put before fake_open(). */
static inline void fake_begin(void)
{
	(void)strcpy(root, "/tmp/cairn-test-tracefs-XXXXXX");
	CHECK(mkdtemp(root) != NULL);
	put("instances/other/trace_clock", "local");
}

static inline struct tracefs *fake_open(void)
{
	struct tracefs *t = NULL;
	struct error e = {0};

	CHECK_INT(tracefs_open(root, &t, &e), 0);
	CHECK(t && t->fake);
	return t;
}

static inline void cleanup(struct tracefs *t)
{
	char command[128];

	tracefs_free(t);
	(void)snprintf(command, sizeof(command), "rm -rf %s", root);
	CHECK_INT(system(command), 0);
}

#endif
