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
	const char *paths[] = {path};
	struct cairn_reader_options o = {.size = sizeof(o), .paths = paths, .npaths = 1};
	int64_t begin = 0, end = 0;
	struct cairn_reader *r;
	struct cairn_error e;

	if (fd < 0) {
		fd = mkstemp(path);
		if (fd < 0)
			return 0;
		(void)atexit(clean_up);
	}
	if (ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0 || write_all(fd, data, size) < 0)
		return 0;
	if (cairn_reader_open(&o, &r, &e) < 0)
		return 0;
	read_all(r);
	if (cairn_reader_range(r, &begin, &end) == 0 &&
		cairn_reader_seek(r, begin / 2 + end / 2, &e) == 0)
		read_all(r);
	if (cairn_reader_limit(r, begin / 2 + end / 2, end, CAIRN_LIMIT_STATE, &e) == 0)
		read_all(r);
	cairn_reader_free(r);
	return 0;
}
