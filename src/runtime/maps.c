/* Reading /proc/self/maps (maps.h). Control thread only: opens a descriptor. /proc/self is empty once the
 * first thread has ended; then it is /proc/thread-self, and only then: what procfs remembers of a
 * thread delays its end, and that of its process. */
#include "runtime/maps.h"
#include "runtime/runtime-impl.h"
#include <linux/fcntl.h>
#include <linux/mman.h>

#define FIRST_BYTES (256u << 10)
#define MOST_BYTES (64u << 20)
#define VMA_SHARE 3 /* a third of the memory is for struct rt_vma: lines are longer than that */

static uint64_t parse_hex(const char **p)
{
	uint64_t v = 0;

	for (;; (*p)++) {
		char c = **p;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint64_t)(c - 'a' + 10);
		else
			return v;
	}
}

static uint64_t parse_decimal(const char **p)
{
	uint64_t v = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++)
		v = v * 10 + (uint64_t)(**p - '0');
	return v;
}

/* "start-end rwxp offset dev:dev inode   path" */
static void parse_line(struct rt_maps *m, const char *p)
{
	struct rt_vma v = {0};

	v.start = parse_hex(&p);
	p++;
	v.end = parse_hex(&p);
	p++;
	if (p[2] != 'x')
		return;
	v.prot = PROT_EXEC | (p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0);
	p += 5;
	v.offset = parse_hex(&p);
	while (*p == ' ')
		p++;
	while (*p && *p != ' ')
		p++;
	while (*p == ' ')
		p++;
	v.ino = parse_decimal(&p);
	while (*p == ' ')
		p++;
	if (*p == '/')
		v.path = (uint32_t)(p - m->text);
	m->vma[m->n++] = v;
}

static void parse(struct rt_maps *m, size_t len, size_t max)
{
	size_t line = 0;

	for (size_t i = 0; i < len; i++) {
		if (m->text[i] != '\n')
			continue;
		m->text[i] = 0;
		if (m->n < max && i - line > 20)
			parse_line(m, m->text + line);
		line = i + 1;
	}
}

/* All of the file; -ENOSPC if it needs more than size. */
static long slurp(const char *path, char *text, size_t size)
{
	long fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0), n;
	size_t len = 0;

	if (fd < 0)
		return fd;
	do {
		n = SYS(read, fd, text + len, size - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 && len < size);
	(void)SYS(close, fd); /* was only read */
	if (n < 0)
		return n;
	return len < size ? (long)len : -28 /* ENOSPC */;
}

int rt_maps_read(struct rt_maps *m)
{
	long err = -28;

	for (size_t bytes = FIRST_BYTES; err == -28 && bytes <= MOST_BYTES; bytes *= 4) {
		size_t vma_bytes = bytes / VMA_SHARE & ~(size_t)63;
		long p = SYS(
			mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (SYS_IS_ERR(p))
			return (int)p;
		m->bytes = bytes;
		m->vma = (struct rt_vma *)p;
		m->text = (char *)p + vma_bytes;
		m->n = 0;
		err = slurp("/proc/self/maps", m->text, bytes - vma_bytes);
		m->by_thread = err <= 0 && err != -28;
		if (m->by_thread)
			err = slurp("/proc/thread-self/maps", m->text, bytes - vma_bytes);
		if (err >= 0)
			parse(m, (size_t)err, vma_bytes / sizeof(*m->vma));
		else
			rt_maps_done(m);
	}
	return err < 0 ? (int)err : 0;
}

void rt_maps_done(struct rt_maps *m)
{
	if (m->vma)
		(void)SYS(munmap, m->vma, m->bytes); /* ours and whole: cannot fail */
	m->vma = NULL;
	m->text = NULL;
}

const struct rt_vma *rt_maps_find(const struct rt_maps *m, uintptr_t addr)
{
	uint32_t lo = 0, hi = m->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (m->vma[mid].end <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < m->n && m->vma[lo].start <= addr ? &m->vma[lo] : NULL;
}
