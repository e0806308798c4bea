/* Modules that come and go, early and late (registry.c, apply.c): whose descriptions are whole or
 * not, that come twice, again, or never; and sites that fire when nobody expects it. There is no
 * host, so no control thread: what it would do is done here. */
#include "runtime/runtime-impl.h"
#include "test.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct text_desc {
	struct cairn_desc d;
	char strings[40];
};

#define DESC(size, abi, fields, text) \
	{ \
		{size, abi, 6, 0, 1, fields, 0}, text \
	}
#define FULL sizeof(struct text_desc)

struct lib { /* a library of one site */
	struct cairn_module m;
	struct cairn_site site[1];
	struct text_desc desc;
	struct cairn_slot slot;
	struct lib *next; /* none is ever freed: the runtime may look at it */
};

static struct lib *libs;

static int32_t distance(const void *from, const void *to)
{
	return (int32_t)((intptr_t)to - (intptr_t)from);
}

static struct lib *lib_make(struct text_desc desc)
{
	struct lib *l = calloc(1, sizeof(*l));

	l->m = (struct cairn_module){
		.abi = CAIRN_ABI, .size = sizeof(l->m), .begin = l->site, .end = l->site + 1};
	l->desc = desc;
	l->next = libs;
	libs = l;
	l->site[0].desc = distance(&l->site[0].desc, &l->desc);
	l->site[0].slot = distance(&l->site[0].slot, &l->slot);
	return l;
}

static struct lib *lib_named(const char *name)
{
	struct text_desc d = DESC(FULL, CAIRN_ABI, 0, "reg");

	strcpy(d.strings + 4, name);
	strcpy(d.strings + 5 + strlen(name), "f.c");
	return lib_make(d);
}

static int lib_enter(struct lib *l)
{
	setenv("CAIRN_RUNDIR", "/nonexistent/cairn", 1);
	unsetenv("CAIRN_HOST");
	unsetenv("CAIRN_RT");
	return cairn_rt_register_v1(&l->m);
}

static struct rt_event *event_of_lib(const struct lib *l)
{
	const struct rt_module *m = l->m.runtime;

	return m && m->nsites ? rt_event_get(m->sites[0].event) : NULL;
}

TEST(what_is_no_module)
{
	struct lib *l = lib_named("none");

	CHECK_INT(cairn_rt_register_v1(NULL), -22);
	cairn_rt_unregister_v1(NULL);
	l->m.abi = CAIRN_ABI + 1;
	CHECK_INT(lib_enter(l), -22);
	cairn_rt_unregister_v1(&l->m);
	l->m.abi = CAIRN_ABI;
	l->m.size--;
	CHECK_INT(lib_enter(l), -22);
	l->m.size++;
	l->m.end = l->m.begin - 1;
	CHECK_INT(lib_enter(l), -22);
	CHECK(!l->m.runtime && !l->m.fire);
	CHECK_INT(rt.nevents, 0);
}

TEST(a_module_without_sites)
{
	struct lib *l = lib_named("nothing");

	l->m.end = l->m.begin;
	CHECK_INT(lib_enter(l), 0);
	CHECK(l->m.runtime && l->m.fire);
	cairn_rt_unregister_v1(&l->m);
	CHECK(!l->m.runtime);
	CHECK_INT(rt.nevents, 0);
}

TEST(descriptions_that_are_not_whole)
{
	const struct text_desc bad[] = {DESC(FULL, CAIRN_ABI + 1, 0, "reg\0newer\0f"),
		DESC(0, CAIRN_ABI, 0, "reg\0empty\0f"),
		DESC(sizeof(struct cairn_desc) + 1, CAIRN_ABI, 0, "reg\0short\0f"),
		DESC(CAIRN_MSG_MAX, CAIRN_ABI, 0, "reg\0long\0f"),
		DESC(UINT32_MAX, CAIRN_ABI, 0, "reg\0longest\0f"),
		DESC(FULL, CAIRN_ABI, CAIRN_MAX_FIELDS + 1, "reg\0fields\0f"),
		DESC(FULL, CAIRN_ABI, 3, "reg\0fields\0f"),
		DESC(sizeof(struct cairn_desc) + 5, CAIRN_ABI, 0, "reg\0open\0f")};
	struct lib *l;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		l = lib_make(bad[i]);
		CHECK_INT(lib_enter(l), 0);
		CHECK(l->m.runtime && !event_of_lib(l));
		cairn_rt_unregister_v1(&l->m);
	}
	l = lib_named("discarded"); /* by the linker: its distances are 0 */
	l->site[0].desc = 0;
	CHECK_INT(lib_enter(l), 0);
	CHECK(!event_of_lib(l));
	cairn_rt_unregister_v1(&l->m);
	CHECK_INT(rt.nevents, 0);
}

TEST(events_are_told_apart_by_what_they_are)
{
	struct lib *a = lib_named("same"), *b = lib_named("same"), *c = lib_named("other"),
		   *d = lib_named("same");
	uint32_t before = rt.nevents;

	b->desc.d.line = 99; /* elsewhere: the same */
	strcpy(b->desc.strings + 9, "g.c");
	d->desc.d.loglevel = 3; /* another, under the same name */
	lib_enter(a);
	lib_enter(a); /* twice: once */
	lib_enter(b);
	lib_enter(c);
	lib_enter(d);
	CHECK_INT(rt.nevents - before, 3);
	CHECK(event_of_lib(a) == event_of_lib(b));
	CHECK(event_of_lib(a) != event_of_lib(c) && event_of_lib(a) != event_of_lib(d));
	CHECK_INT(event_of_lib(a)->nsites, 2);
	cairn_rt_unregister_v1(&a->m);
	cairn_rt_unregister_v1(&a->m);
	CHECK_INT(event_of_lib(b)->nsites, 1);
	before = event_of_lib(b)->number;
	cairn_rt_unregister_v1(&b->m);
	CHECK_INT(rt_event_get(before)->nsites, 0);
	CHECK(!rt_event_get(0) && !rt_event_get(rt.nevents + 1) && !rt_event_get(UINT32_MAX));
	lib_enter(a); /* loaded again: the number it had */
	CHECK_INT(event_of_lib(a)->number, before);
	cairn_rt_unregister_v1(&a->m);
	cairn_rt_unregister_v1(&c->m);
	cairn_rt_unregister_v1(&d->m);
	CHECK(!rt.modules);
}

/* ---- switched on and off around loading and unloading ---- */

static struct rt_set *set_make(void)
{
	struct cairn_ringset_hdr h = {.magic = CAIRN_RINGSET_MAGIC,
		.layout = CAIRN_RING_LAYOUT,
		.kind = CAIRN_RING_SOLO,
		.clock = CAIRN_CLOCK_MONOTONIC,
		.nrings = 4,
		.contexts = 1 << CAIRN_CTX_TID,
		.ring_bytes = CAIRN_RING_MIN,
		.meta_offset = CAIRN_RING_PAGE,
		.ctl_offset = CAIRN_RING_PAGE,
		.data_offset = 5 * CAIRN_RING_PAGE,
		.boundary = sizeof(h)};
	struct cairn_msg_ringset m = {.ringset = 1, .kind = CAIRN_RING_SOLO};
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct rt_set *s = NULL;

	m.bytes = h.data_offset + 4 * h.ring_bytes;
	CHECK_INT(ftruncate(fd, (off_t)m.bytes), 0);
	CHECK_INT(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	CHECK_INT(syscall(SYS_fcntl, fd, 1033 /* F_ADD_SEALS */, 2 /* F_SEAL_SHRINK */), 0);
	CHECK_INT(rt_set_map(fd, &m, &s), 0);
	s->solo = s;
	s->next = rt.sets;
	rt.sets = s;
	return s;
}

static uint64_t fired(struct lib *l, const struct rt_set *s)
{
	struct {
		uint64_t head[CAIRN_HEADROOM / 8], payload[2];
	} r = {.payload = {1}};
	uint64_t before = 0, after = 0;

	if (rt_self)
		rt_self->rseq = NULL; /* the set's rings are solo ones */
	for (uint32_t i = 0; i < 4; i++)
		before += s->p->rings[i].ctl->pos;
	l->m.fire(&l->slot, r.payload, 8, fired);
	for (uint32_t i = 0; i < 4; i++)
		after += s->p->rings[i].ctl->pos;
	return after - before;
}

TEST(switched_on_before_and_after_loading)
{
	struct lib *a = lib_named("switched"), *b = lib_named("switched");
	struct rt_set *s;

	lib_enter(a);
	rt.no_rseq = 1;
	s = set_make();
	CHECK(!a->slot.enabled);
	CHECK_INT(fired(a, s), 0);
	CHECK_INT(rt_event_want(event_of_lib(a)->number, s, 7), 0);
	CHECK_INT(rt_event_want(event_of_lib(a)->number, s, 7), 0);
	CHECK_INT(rt_event_want(rt.nevents + 1, s, 7), -2);
	rt_apply();
	CHECK(a->slot.enabled);
	CHECK(fired(a, s) >= 12);
	lib_enter(b); /* on before dlopen() returns */
	CHECK(b->slot.enabled);
	CHECK(fired(b, s) >= 12);
	rt_set_close(s);
	CHECK(!a->slot.enabled && !b->slot.enabled && !a->slot.sinks);
	CHECK_INT(event_of_lib(a)->nwants, 0);
	CHECK(!rt_grace_poll());
	cairn_rt_unregister_v1(&a->m);
	cairn_rt_unregister_v1(&b->m);
}

/* At exit modules go while other threads still fire: their slots stay, and may be used. */
TEST(firing_after_the_module_is_gone)
{
	struct lib *l = lib_named("gone");
	struct rt_set *s;
	uint32_t number;

	lib_enter(l);
	s = set_make();
	number = event_of_lib(l)->number;
	CHECK_INT(rt_event_want(number, s, 9), 0);
	rt_apply();
	CHECK(fired(l, s) >= 12);
	cairn_rt_unregister_v1(&l->m);
	CHECK(fired(l, s) >= 12); /* as exit goes on */
	CHECK_INT(rt_event_unwant(number, s), 0);
	rt_apply();
	CHECK(!rt_grace_poll());
	CHECK(l->slot.sinks); /* nobody can clear it: so what it points to is kept, and says nothing */
	CHECK_INT(fired(l, s), 0);
	rt_set_close(s);
	CHECK_INT(fired(l, s = set_make()), 0);
	rt_set_close(s);
	l->slot = (struct cairn_slot){0}; /* loaded again */
	lib_enter(l);
	CHECK(!l->slot.enabled);
	CHECK_INT(event_of_lib(l)->number, number);
	cairn_rt_unregister_v1(&l->m);
}

/* qemu-user says that it does, and does not. */
static bool fork_wipes(void)
{
	uint8_t *page =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status = -1;
	long pid;

	CHECK(page != MAP_FAILED);
	if (madvise(page, 4096, MADV_WIPEONFORK) < 0)
		return false;
	*page = 1;
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		syscall(SYS_exit_group, *page);
	waitpid((pid_t)pid, &status, 0);
	munmap(page, 4096);
	return status == 0;
}

TEST(a_child_of_raw_fork_leaves_the_registry_alone)
{
	struct lib *a = lib_named("raw"), *b = lib_named("raw2");
	int status = -1;
	long pid;

	if (!fork_wipes())
		SKIP("MADV_WIPEONFORK does nothing here");
	lib_enter(a);
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		struct {
			uint64_t head[CAIRN_HEADROOM / 8], payload[2];
		} r = {.payload = {1}};

		a->m.fire(&a->slot, r.payload, 8, fired); /* finds out that it is another */
		status = cairn_rt_register_v1(&b->m) != -10 /* ECHILD */;
		cairn_rt_unregister_v1(&a->m);
		syscall(SYS_exit_group, status || !a->m.runtime);
	}
	waitpid((pid_t)pid, &status, 0);
	CHECK_INT(status, 0);
	cairn_rt_unregister_v1(&a->m);
}

TEST_MAIN()
