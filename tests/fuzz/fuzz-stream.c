/* A trace in its streamed form, read as from a pipe: packets of metadata and of data. */
#include "base/base.h"
#include "read-all.h"
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cairn_reader_options o = {.size = sizeof(o)};
	struct cairn_reader *r;
	struct cairn_error e;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0)
		return 0;
	o.fd = fd;
	if (write_all(fd, data, size) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
		cairn_reader_open(&o, &r, &e) == 0) {
		read_all(r);
		cairn_reader_free(r);
	}
	(void)close(fd); /* a memfd: nothing to lose */
	return 0;
}
