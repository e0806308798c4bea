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

/* What runs are copied from, opened once for several of them. */
struct text {
	struct rt_maps maps;
	int mem; /* /proc/self/mem */
	int file; /* what `path` names; -1: none open */
	uint32_t path; /* in maps.text */
	uint64_t ino; /* of file */
};

static int text_open(struct text *t)
{
	int err = rt_maps_read(&t->maps);

	t->file = -1;
	t->mem = (int)SYS(openat, AT_FDCWD,
		t->maps.by_thread ? "/proc/thread-self/mem" : "/proc/self/mem",
		O_RDONLY | O_CLOEXEC, 0);
	return err;
}

static void text_close(struct text *t)
{
	if (t->mem >= 0)
		(void)SYS(close, t->mem); /* was only read */
	if (t->file >= 0)
		(void)SYS(close, t->file); /* was only mapped */
	rt_maps_done(&t->maps);
}

static bool same_text(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Makes t->file what v maps, if it still is there. */
static bool text_file(struct text *t, const struct rt_vma *v)
{
	const char *text = t->maps.text;
	struct statx st = {0};

	if (!v->path)
		return false;
	if (t->file < 0 || !same_text(text + t->path, text + v->path)) {
		if (t->file >= 0)
			(void)SYS(close, t->file); /* was only mapped */
		t->path = v->path;
		t->ino = 0;
		t->file = (int)SYS(openat, AT_FDCWD, text + v->path, O_RDONLY | O_CLOEXEC, 0);
		if (t->file >= 0 && SYS(statx, t->file, "", AT_EMPTY_PATH, STATX_INO, &st) == 0)
			t->ino = st.stx_ino;
	}
	return t->file >= 0 && t->ino == v->ino;
}

/* A private mapping of the file behind the run, if all of it is one file in order; else anonymous
 * memory. */
static long map_copy(struct text *t, const struct run *r)
{
	const struct rt_vma *v = rt_maps_find(&t->maps, r->start);
	size_t bytes = r->end - r->start;
	uint64_t offset = v->offset + (r->start - v->start);
	long p = -2;

	for (uintptr_t at = r->start; at < r->end; at += PAGE) {
		const struct rt_vma *w = rt_maps_find(&t->maps, at);

		if (w->ino != v->ino || w->offset + (at - w->start) != offset + (at - r->start))
			v = NULL;
		if (!v)
			break;
	}
	if (v && text_file(t, v))
		p = SYS(mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, t->file, offset);
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
static bool read_text(const struct text *t, void *to, uintptr_t from, size_t n)
{
	if (t->mem < 0) { /* not dumpable, or without procfs: it was there a moment ago */
		rt_copy(to, (const void *)from, n);
		return true;
	}
	return SYS(pread64, t->mem, to, n, from) == (long)n;
}

static int run_begin(struct text *t, struct run *r)
{
	size_t bytes = r->end - r->start;
	long p;

	if (!run_is_plain(&t->maps, r))
		return -14 /* EFAULT */;
	p = map_copy(t, r);
	if (SYS_IS_ERR(p))
		return (int)p;
	if (!read_text(t, (void *)p, r->start, bytes)) {
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
static void switch_run(
	struct text *t, struct run *r, struct rt_site *sites, uint32_t from, uint32_t to)
{
	int err = run_begin(t, r);

	for (uint32_t i = from; i < to; i++) {
		if (!site_differs(&sites[i]))
			continue;
		if (!err)
			site_write(r, &sites[i]);
		else
			sites[i].failed = 1;
	}
	if (!err)
		err = run_finish(&t->maps, r);
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
	struct text text;
	bool is_open = false;
	uint32_t i = 0;
	int err = 0;

	while (i < m->nsites) {
		struct rt_site *s = &m->sites[i];
		struct run r;
		uint32_t from = i;

		if (!site_differs(s)) {
			i++;
			continue;
		}
		if (!is_open)
			err = text_open(&text);
		is_open = true;
		if (err) {
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
		switch_run(&text, &r, m->sites, from, i);
	}
	if (is_open)
		text_close(&text);
}
#else
void rt_patch_module(struct rt_module *m)
{
	for (uint32_t i = 0; i < m->nsites; i++)
		m->sites[i].failed = m->sites[i].nop && site_should(&m->sites[i]);
}
#endif

/* ---- other code ---- */

static bool is_within(const struct run *r, const struct rt_code *c)
{
	return c->at >= r->start && c->at + SITE_BYTES <= r->end;
}

/* All of c[0..n) that are not done yet and lie in the run. */
static void change_run(struct text *t, struct run *r, struct rt_code *c, uint32_t n)
{
	int err = run_begin(t, r);

	for (uint32_t i = 0; i < n; i++) {
		if (c[i].err != RT_CODE_WAITING || !is_within(r, &c[i]))
			continue;
		c[i].err = err ? err : RT_CODE_WRITTEN;
		if (!err && !rt_equal(r->copy + (c[i].at - r->start), c[i].from, SITE_BYTES))
			c[i].err = -16 /* EBUSY */;
		else if (!err)
			rt_copy(r->copy + (c[i].at - r->start), c[i].to, SITE_BYTES);
	}
	if (!err)
		err = run_finish(&t->maps, r);
	for (uint32_t i = 0; i < n; i++)
		if (c[i].err == RT_CODE_WRITTEN)
			c[i].err = err;
}

void rt_patch_codes(struct rt_code *c, uint32_t n)
{
	struct text text;
	int err = n ? text_open(&text) : 0;

	for (uint32_t i = 0; i < n; i++)
		c[i].err = err ? err : RT_CODE_WAITING;
	for (uint32_t i = 0; i < n; i++) {
		struct run r = {page_of(c[i].at), page_of(c[i].at + SITE_BYTES - 1) + PAGE, NULL};

		if (c[i].err == RT_CODE_WAITING)
			change_run(&text, &r, c, n);
	}
	if (n)
		text_close(&text);
}
