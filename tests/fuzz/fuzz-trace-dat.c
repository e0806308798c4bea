/* A trace.dat: read through, then again from a time in the middle, and in a range. */
#include "base/base.h"
#include "read-all.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[] = "/tmp/cairn-fuzz-dat-XXXXXX";
static int fd = -1;

static void clean_up(void)
{
	(void)unlink(path);
	(void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{

	if (fd < 0) {
		fd = mkstemp(path);
		if (fd < 0)
			return 0;
		(void)atexit(clean_up);
	}
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 || write_all(fd, data, size) < 0)
		return 0;
	read_path(path);
	return 0;
}
