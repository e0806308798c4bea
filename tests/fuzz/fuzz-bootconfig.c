/* Boot configurations: any text is refused with a place inside it, or gives a tree that, written in
 * both forms, gives the same tree again; and files that end like an initrd with one appended. */
#include "kernel/bootconfig.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool what)
{
	if (!what)
		abort();
}

/* Written as `form` and parsed, its list is the same text. */
static void round_trip(struct bootconfig *c, enum bootconfig_form form, const struct buf *list)
{
	AUTO(buf) struct buf text = {0}, again = {0};
	struct bootconfig d AUTO(bootconfig) = {0};
	struct text_fault f;
	int r = bootconfig_write(c, form, &text, &f);

	if (r == -EINVAL || r == -E2BIG) /* both kinds of quotes; longer with braces and quotes */
		return;
	check(r == 0 && bootconfig_parse(text.data, text.len, &d, &f) == 0);
	check(bootconfig_write(&d, BOOTCONFIG_LIST, &again, &f) == 0);
	check(again.len == list->len && memcmp(again.data, list->data, list->len) == 0);
}

static void as_initrd(const uint8_t *data, size_t size)
{
	AUTO(buf) struct buf text = {0};
	AUTO(fd) int fd = memfd_create("fuzz", MFD_CLOEXEC);
	uint64_t begin = UINT64_MAX;
	struct error e = {0};
	int r;

	if (fd < 0 || write_all(fd, data, size) < 0)
		return;
	r = bootconfig_initrd_read(fd, &text, &begin, &e);
	check(r == 0 || r == -ENOENT || r == -EINVAL);
	check(r == -EINVAL || begin <= size);
	if (r == -EINVAL)
		return;
	check(bootconfig_initrd_apply(fd, "a = b\n", 6, &e) == 0);
	buf_clear(&text);
	check(bootconfig_initrd_read(fd, &text, &begin, &e) == 0 &&
		strcmp(text.data, "a = b\n") == 0);
	check(lseek(fd, 0, SEEK_END) % 4 == 0);
	check(bootconfig_initrd_remove(fd, &e) == 0 && lseek(fd, 0, SEEK_END) == (off_t)begin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bootconfig c AUTO(bootconfig) = {0};
	AUTO(buf) struct buf list = {0};
	struct text_fault f = {.at = SIZE_MAX};
	int r = bootconfig_parse((const char *)data, size, &c, &f);

	check(r == 0 || (r == -EINVAL && f.at <= size && f.message));
	if (r == 0 && bootconfig_write(&c, BOOTCONFIG_LIST, &list, &f) == 0) {
		round_trip(&c, BOOTCONFIG_TREE, &list);
		round_trip(&c, BOOTCONFIG_LIST, &list);
	}
	if (size < 65536)
		as_initrd(data, size);
	return 0;
}
