/* /proc/self/maps, read without libc: where executable memory comes from. */
#ifndef CAIRN_RUNTIME_MAPS_H
#define CAIRN_RUNTIME_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_vma {
	uintptr_t start, end;
	uint32_t prot; /* PROT_* */
	uint32_t path; /* offset in text; 0: no file */
	uint64_t offset, ino;
};

struct rt_maps {
	char *text; /* the whole file, lines cut by NUL; owned */
	struct rt_vma *vma; /* executable ones, by address; owned (same memory) */
	uint32_t n;
	size_t bytes; /* of the memory */
	bool by_thread; /* /proc/self is empty: the first thread has ended */
};

int rt_maps_read(struct rt_maps *m); /* 0 or -errno */
void rt_maps_done(struct rt_maps *m);
const struct rt_vma *rt_maps_find(const struct rt_maps *m, uintptr_t addr); /* or NULL */

#endif
