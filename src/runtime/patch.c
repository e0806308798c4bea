/* Switching sites by replacing pages of text.
 *
 * A page is copied, the copy patched and made executable, and moved over the page by
 * mremap(MREMAP_FIXED). Other threads, whatever signals they block, go on executing: they see the
 * old page or the new one, never a half-written instruction, and text is never writable. All sites
 * of a run of pages change in one move, so a site that straddles two pages needs nothing special.
 * The copy is a private mapping of the same file at the same offset: /proc/PID/maps, debuggers and
 * profilers still find the file.
 *
 * A site whose bytes are neither its NOP nor our JMP (a debugger's breakpoint, text that changed)
 * and a page that cannot be replaced (sealed, hugetlb, denied by policy) make the site fail: it is
 * left alone and reported. Control thread, under rt.lock.
 */
#include "runtime/maps.h"
#include "runtime/runtime-impl.h"
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/stat.h>

#define PAGE 4096ul
#define RUN_PAGES 64ul /* at most, plus what a straddling site adds */
#define SITE_BYTES 5u

static const uint8_t site_nop[SITE_BYTES] = {0x0f, 0x1f, 0x44, 0x00, 0x00};

static uintptr_t page_of(uintptr_t addr)
{
	return addr & ~(PAGE - 1);
}

/* ---- replacing a run of pages ---- */

struct run {
	uintptr_t start, end; /* page-aligned */
	uint8_t *copy; /* writable; NULL: not begun */
};

/* A private mapping of the file behind the run, if all of it is one file in order; else anonymous
 * memory. */
static long map_copy(const struct rt_maps *maps, const struct run *r)
{
	const struct rt_vma *v = rt_maps_find(maps, r->start);
	size_t bytes = r->end - r->start;
	uint64_t offset = v->offset + (r->start - v->start);
	long fd = -1, p = -2;

	for (uintptr_t at = r->start; at < r->end; at += PAGE) {
		const struct rt_vma *w = rt_maps_find(maps, at);

		if (w->ino != v->ino || w->offset + (at - w->start) != offset + (at - r->start))
			v = NULL;
		if (!v)
			break;
	}
	if (v && v->path)
		fd = SYS(openat, AT_FDCWD, maps->text + v->path, O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		struct statx st = {0};

		if (SYS(statx, fd, "", AT_EMPTY_PATH, STATX_INO, &st) == 0 && st.stx_ino == v->ino)
			p = SYS(mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, offset);
		(void)SYS(close, fd); /* was only mapped */
	}
	if (SYS_IS_ERR(p))
		p = SYS(mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return p;
}

/* Every page there, readable, executable and of one protection? Else which pages may be what, we
 * do not know: hands off. */
static bool run_is_plain(const struct rt_maps *maps, const struct run *r)
{
	const struct rt_vma *v = rt_maps_find(maps, r->start);

	for (uintptr_t at = r->start; at < r->end; at += PAGE) {
		const struct rt_vma *w = rt_maps_find(maps, at);

		if (!v || !w || w->prot != v->prot || !(w->prot & PROT_READ))
			return false;
	}
	return true;
}

/* Reads text that might be unmapped under us without dying of it. Not by process_vm_readv, which
 * filters of system calls often have on their list. */
static bool read_text(void *to, uintptr_t from, size_t n)
{
	long fd = SYS(openat, AT_FDCWD, "/proc/thread-self/mem", O_RDONLY | O_CLOEXEC, 0), got;

	if (fd < 0) { /* not dumpable, or without procfs: it was there a moment ago */
		rt_copy(to, (const void *)from, n);
		return true;
	}
	got = SYS(pread64, fd, to, n, from);
	(void)SYS(close, fd); /* was only read */
	return got == (long)n;
}

static int run_begin(const struct rt_maps *maps, struct run *r)
{
	size_t bytes = r->end - r->start;
	long p;

	if (!run_is_plain(maps, r))
		return -14 /* EFAULT */;
	p = map_copy(maps, r);
	if (SYS_IS_ERR(p))
		return (int)p;
	if (!read_text((void *)p, r->start, bytes)) {
		(void)SYS(munmap, p, bytes); /* ours and whole: cannot fail */
		return -14;
	}
	r->copy = (uint8_t *)p;
	return 0;
}

static int run_finish(const struct rt_maps *maps, struct run *r)
{
	size_t bytes = r->end - r->start;
	long err = SYS(mprotect, r->copy, bytes, rt_maps_find(maps, r->start)->prot);

	if (err == 0)
		err = SYS(mremap, r->copy, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, r->start);
	if (!SYS_IS_ERR(err))
		return 0;
	(void)SYS(munmap, r->copy, bytes); /* ours and whole: cannot fail */
	return (int)err;
}

/* ---- sites ---- */

static void jump_bytes(const struct rt_site *s, uint8_t code[SITE_BYTES])
{
	int32_t rel = (int32_t)(s->target - (s->nop + SITE_BYTES));

	code[0] = 0xe9;
	rt_copy(code + 1, &rel, 4);
}

static bool site_should(const struct rt_site *s)
{
	return rt.events[s->event - 1]->sinks != NULL;
}

static bool site_differs(const struct rt_site *s)
{
	return s->nop && (s->failed || s->on != site_should(s));
}

/* Writes the site's new code into the run's copy. */
static void site_write(const struct run *r, struct rt_site *s)
{
	uint8_t *at = r->copy + (s->nop - r->start), jump[SITE_BYTES];

	jump_bytes(s, jump);
	s->failed = !rt_equal(at, site_nop, SITE_BYTES) && !rt_equal(at, jump, SITE_BYTES);
	if (s->failed)
		return;
	rt_copy(at, site_should(s) ? jump : site_nop, SITE_BYTES);
	s->written = 1;
}

/* One run: those of sites [from, to) that differ. */
static void switch_run(const struct rt_maps *maps, struct run *r, struct rt_site *sites,
	uint32_t from, uint32_t to)
{
	int err = run_begin(maps, r);

	for (uint32_t i = from; i < to; i++) {
		if (!site_differs(&sites[i]))
			continue;
		if (!err)
			site_write(r, &sites[i]);
		else
			sites[i].failed = 1;
	}
	if (!err)
		err = run_finish(maps, r);
	for (uint32_t i = from; i < to; i++) {
		if (!sites[i].written)
			continue;
		sites[i].written = 0;
		sites[i].failed = err != 0;
		if (!err)
			sites[i].on = site_should(&sites[i]);
	}
}

#if defined(__x86_64__)
void rt_patch_module(struct rt_module *m)
{
	struct rt_maps maps = {0};
	uint32_t i = 0;

	while (i < m->nsites) {
		struct rt_site *s = &m->sites[i];
		struct run r;
		uint32_t from = i;

		if (!site_differs(s)) {
			i++;
			continue;
		}
		if (!maps.vma && rt_maps_read(&maps) < 0) {
			s->failed = 1;
			i++;
			continue;
		}
		r = (struct run){page_of(s->nop), page_of(s->nop + SITE_BYTES - 1) + PAGE, NULL};
		for (i++; i < m->nsites; i++) {
			s = &m->sites[i];
			if (!site_differs(s))
				continue;
			/* the next run begins elsewhere, and shares no page with this one */
			if (page_of(s->nop) > r.end ||
				(page_of(s->nop) == r.end && r.end - r.start >= RUN_PAGES * PAGE))
				break;
			if (page_of(s->nop + SITE_BYTES - 1) + PAGE > r.end)
				r.end = page_of(s->nop + SITE_BYTES - 1) + PAGE;
		}
		switch_run(&maps, &r, m->sites, from, i);
	}
	rt_maps_done(&maps);
}
#else
void rt_patch_module(struct rt_module *m)
{
	for (uint32_t i = 0; i < m->nsites; i++)
		m->sites[i].failed = m->sites[i].nop && site_should(&m->sites[i]);
}
#endif

int rt_patch_code(uintptr_t at, const uint8_t *expect, const uint8_t *code, uint32_t n)
{
	struct run r = {page_of(at), page_of(at + n - 1) + PAGE, NULL};
	struct rt_maps maps = {0};
	int err = rt_maps_read(&maps);

	if (err)
		return err;
	err = run_begin(&maps, &r);
	if (!err && !rt_equal(r.copy + (at - r.start), expect, n)) {
		(void)SYS(munmap, r.copy, r.end - r.start); /* ours and whole: cannot fail */
		err = -16 /* EBUSY */;
	} else if (!err) {
		rt_copy(r.copy + (at - r.start), code, n);
		err = run_finish(&maps, &r);
	}
	rt_maps_done(&maps);
	return err;
}
