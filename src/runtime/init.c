/* Bringing the runtime up, without libc: the wiped page, scratch memory, what the machine allows.
 * Under rt.lock, once. */
#include "runtime/runtime-impl.h"
#include <linux/fcntl.h>
#include <linux/mman.h>
#include <linux/stat.h>

/* Threads of this process have rseq, or could? */
static bool probe_rseq(void)
{
	struct rt_thread *t = rt_self ? rt_self : rt_thread_new();

	return t && t->rseq;
}

int rt_init_core(void)
{
	long p = SYS(mmap, 0, CAIRN_RING_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	int err;

	if (SYS_IS_ERR(p))
		return (int)p;
	rt.gen = (uint32_t *)p;
	/* refused: children of raw fork keep the parent's tid; the fork handler does the rest */
	(void)SYS(madvise, p, CAIRN_RING_PAGE, MADV_WIPEONFORK);
	rt.last_gen = 1;
	rt.home_gen = 1;
	store_release(rt.gen, 1);
	err = rt_scratch_init();
	if (err)
		return err;
	rt_grace_init();
	rt.uid = (uint32_t)SYS(geteuid);
	rt.no_rseq = !probe_rseq();
	rt.no_tsc = rt_self && rt_self->clock != RT_CLOCK_TSC;
	return 0;
}

void rt_process_comm(char comm[16])
{
	long fd = SYS(openat, AT_FDCWD, "/proc/self/comm", O_RDONLY | O_CLOEXEC, 0), n = 0;

	rt_zero(comm, 16);
	if (fd < 0)
		return;
	n = SYS(read, fd, comm, 15);
	if (n > 0 && comm[n - 1] == '\n')
		comm[n - 1] = 0;
	(void)SYS(close, fd); /* was only read */
}

static bool wants_cgroup(void)
{
	for (const struct rt_set *s = rt.sets; s; s = s->next)
		if (s->contexts >> CAIRN_CTX_CGROUP & 1)
			return true;
	return false;
}

/* The last line of /proc/self/cgroup that begins with "0::" names the v2 group. */
void rt_process_cgroup(void)
{
	static char text[4096], path[4096];
	struct statx st;
	size_t len = 0;
	long fd, n;

	if (!wants_cgroup())
		return;
	fd = SYS(openat, AT_FDCWD, "/proc/self/cgroup", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	n = SYS(read, fd, text, sizeof(text) - 1);
	(void)SYS(close, fd); /* was only read */
	text[n > 0 ? n : 0] = 0;
	for (char *p = text; *p; p++) {
		if ((p != text && p[-1] != '\n') || !rt_equal(p, "0::", 3))
			continue;
		rt_append(path, sizeof(path), &len, "/sys/fs/cgroup");
		rt_append(path, sizeof(path), &len, p + 3);
		break;
	}
	if (len && path[len - 1] == '\n')
		path[len - 1] = 0;
	if (len && SYS(statx, AT_FDCWD, path, 0, STATX_INO, &st) == 0)
		store_relaxed(&rt.cgroup, st.stx_ino);
}
