/* A trace directory: the input is the metadata text, a NUL byte, and the bytes of one stream file.
 * Read through, then again from a time in the middle, and in a range with what says who is who. */
#include "base/base.h"
#include "read-all.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/cairn-fuzz-XXXXXX";

static void clean_up(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/metadata", folder);
	(void)unlink(path); /* may not be there */
	(void)snprintf(path, sizeof(path), "%s/stream", folder);
	(void)unlink(path);
	(void)rmdir(folder);
}

static bool put(const char *name, const void *p, size_t n)
{
	char path[64];
	int fd, err;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	err = fd < 0 ? -1 : write_all(fd, p, n);
	if (fd >= 0)
		(void)close(fd); /* a file in /tmp: nothing to lose */
	return err == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
	static bool made;

	if (!made) {
		if (!mkdtemp(folder))
			return 0;
		made = true;
		(void)atexit(clean_up);
	}
	if (!nul || !put("metadata", data, (size_t)(nul - data)) ||
		!put("stream", nul + 1, size - (size_t)(nul + 1 - data)))
		return 0;
	read_path(folder);
	return 0;
}
