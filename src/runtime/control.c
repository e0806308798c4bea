/* The control thread: the one thread the runtime adds to a traced process.
 *
 * It has a descriptor table of its own, so that nothing the program does to descriptors touches
 * ours and no number of the program's is ever used by us. All signals are blocked in it; the other
 * threads wake it by a thread-directed SIGURG, which it takes from a signalfd (an eventfd would
 * need a descriptor in the program's table; the signal is blocked, so never delivered).
 *
 *	look for hosts, connect		when a directory changed, or a host was busy
 *	switch new modules' sites	when one registered
 *	tell hosts the news		and tell waiting constructors when they have answered
 *	run deferred frees		while there are any
 *	follow uid and cgroup		each second while recording
 */
#include "runtime/runtime-impl.h"
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#define SIGURG 23
#define MAX_POLL 66
#define RETRY_MS 20
#define LOOK_MS 500 /* for hosts that come, other credentials, another cgroup */
#define GRACE_MS_MAX 64
#define ENOENT 2
#define EINTR 4
#define STOP_TRIES 2000 /* of 100 us */
#define FLOOD_NS 1000000 /* beside a host that never stops talking, the program comes first */

struct control {
	int signals;
	struct pollfd fds[MAX_POLL];
	struct rt_conn *conn[MAX_POLL];
	uint32_t n;
	int grace_ms; /* next wait while deferred frees are pending */
	bool more; /* a host said more than is read at once */
};

void rt_control_wake(void)
{
	int32_t tid = load_acquire(&rt.control_tid);
	int32_t pid = (int32_t)SYS(getpid);
	uint32_t info[32] = {SIGURG, 0, (uint32_t)-1 /* SI_QUEUE */};

	if (tid) /* it may have gone, or not be there yet: then there is nothing to wake */
		(void)SYS(rt_tgsigqueueinfo, pid, tid, SIGURG, info);
}

bool rt_control_stop(void)
{
	int32_t pid = (int32_t)SYS(getpid), tid = load_acquire(&rt.control_tid);
	int64_t nap[2] = {0, 100000};

	if (!tid || rt_thread_is_dead(pid, tid))
		return false;
	store_release(&rt.stop, 1); /* pairs with the loop in run() */
	for (int i = 0; i < STOP_TRIES && !rt_thread_is_dead(pid, tid); i++) {
		rt_control_wake();
		(void)SYS(nanosleep, nap, 0); /* shorter does no harm */
	}
	return true;
}

/* The first thread has ended, and when the others have, so shall the process. Usually we hear of it at
 * once (load.c). Its files are gone from procfs then, but for procfs that cannot be read. */
static bool leader_is_gone(void)
{
	char path[8];

	return SYS(readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof(path)) == -ENOENT &&
		SYS(readlinkat, AT_FDCWD, "/proc/thread-self/exe", path, sizeof(path)) > 0;
}

/* valgrind closes the program's descriptors when asked to unshare and close in one: so there,
 * and wherever else things are unusual enough to lack rseq, in two steps. */
static bool own_descriptors(void)
{
	if (!rt.no_rseq)
		return SYS(close_range, 0, ~0u, CLOSE_RANGE_UNSHARE) == 0;
	return SYS(unshare, CLONE_FILES) == 0 && SYS(close_range, 0, ~0u, 0) == 0;
}

static int open_signals(void)
{
	uint64_t mask = 1ull << (SIGURG - 1);

	return (int)SYS(signalfd4, -1, &mask, sizeof(mask), O_CLOEXEC | O_NONBLOCK);
}

static void drain(int fd)
{
	uint8_t buf[4096];

	while (SYS(read, fd, buf, sizeof(buf)) > 0) {
	}
}

/* ---- what is done under the lock each time round ---- */

/* No host will answer, and nobody shall write what nobody can switch off. */
static void give_up(void)
{
	for (struct rt_conn *c = rt.conns; c; c = c->next) {
		if (c->state == RT_CONN_UP) {
			rt_conn_end(c);
			c->state = RT_CONN_NEW;
		}
	}
	while (rt.sets)
		rt_set_close(rt.sets);
}

/* Leaves all hosts for the control thread that will follow us. Recording goes on; what descriptors
 * we have go with us. */
static void hand_over(void)
{
	for (struct rt_conn *c = rt.conns; c; c = c->next)
		if (c->state == RT_CONN_UP)
			rt_conn_leave(c);
	for (struct rt_set *s = rt.sets; s; s = s->next)
		s->fd = -1; /* closed when we end */
}

/* With other credentials we are of another sharing domain: leave the hosts that we may still speak
 * to, then look again. One that we could not find again (a root's private socket, after privileges
 * were dropped) is kept with its rings: else the rest of the program's life would go unrecorded. A
 * fork child leaves those that its parent had: it may be the first to see the change. */
static void follow_uid(void)
{
	uint32_t uid = (uint32_t)SYS(geteuid);

	if (uid == rt.uid)
		return;
	rt.uid = uid;
	for (struct rt_conn *c = rt.conns; c; c = c->next)
		if (c->forked || (c->state == RT_CONN_UP && rt_conn_reachable(c)))
			rt_conn_leave(c);
	rt.rescan = 1;
}

static bool any_dirty_module(void)
{
	for (struct rt_module *m = rt.modules; m; m = m->next)
		if (m->dirty)
			return true;
	return false;
}

static bool any_host(void)
{
	for (struct rt_conn *c = rt.conns; c; c = c->next)
		if (c->fd >= 0)
			return true;
	return rt.sets != NULL;
}

/* How far all connected hosts have answered; constructors wait for it. */
static void publish_synced(void)
{
	uint64_t synced = rt.retry == 1 ? rt.synced : rt.changes;

	for (struct rt_conn *c = rt.conns; c; c = c->next)
		if (c->fd >= 0 && c->synced < synced)
			synced = c->synced;
	if (synced == rt.synced)
		return;
	store_release(&rt.synced, synced); /* pairs with [synced] in registry.c */
	(void)SYS(futex, &rt.synced, FUTEX_WAKE_PRIVATE, 0x7fffffff, 0, 0, 0);
}

/* Returns how long to sleep, in ms; -1: until something happens. */
static int work(struct control *ct)
{
	int timeout = LOOK_MS;

	follow_uid();
	if (leader_is_gone())
		store_release(&rt.stop, 1); /* pairs with the loop in run() */
	if (rt_hosts_changed() || rt.rescan || rt.retry)
		rt_hosts_scan();
	if (any_dirty_module())
		rt_apply();
	for (struct rt_conn *c = rt.conns; c; c = c->next) {
		if (c->fd >= 0)
			rt_conn_news(c);
		rt_conn_flush(c);
	}
	publish_synced();
	rt_hooks_set(any_host());
	if (rt.sets)
		rt_process_cgroup();
	if (rt.retry == 1)
		timeout = RETRY_MS;
	if (rt_grace_poll()) {
		timeout = ct->grace_ms;
		ct->grace_ms = ct->grace_ms < GRACE_MS_MAX ? ct->grace_ms * 2 : GRACE_MS_MAX;
	} else {
		ct->grace_ms = 1;
	}
	return timeout;
}

static void add_poll(struct control *ct, int fd, struct rt_conn *c, bool out)
{
	if (fd < 0 || ct->n == MAX_POLL)
		return;
	ct->fds[ct->n] = (struct pollfd){fd, (short)(POLLIN | (out ? POLLOUT : 0)), 0};
	ct->conn[ct->n++] = c;
}

static void poll_set(struct control *ct)
{
	ct->n = 0;
	add_poll(ct, ct->signals, NULL, false);
	for (struct rt_conn *c = rt.conns; c; c = c->next)
		add_poll(ct, c->fd, c, c->out != NULL);
}

static void handle(struct control *ct)
{
	for (uint32_t i = 0; i < ct->n; i++) {
		if (!ct->fds[i].revents)
			continue;
		if (ct->conn[i]) {
			/* connections are freed in look() only */
			ct->more |= rt_conn_read(ct->conn[i]);
			rt_conn_flush(ct->conn[i]);
		} else {
			drain(ct->fds[i].fd);
		}
	}
}

static void run(struct control *ct)
{
	while (!load_acquire(&rt.stop)) {
		int64_t ts[2];
		uint64_t mask = rt_lock();
		int timeout = work(ct);
		long got;

		poll_set(ct);
		rt_unlock(mask);
		ts[0] = timeout / 1000;
		ts[1] = timeout % 1000 * 1000000;
		got = SYS(ppoll, ct->fds, ct->n, timeout < 0 ? NULL : ts, 0, 0);
		if (got < 0 && got != -EINTR)
			return; /* seccomp: we would not sleep any more */
		if (got <= 0)
			continue;
		mask = rt_lock();
		ct->more = false;
		handle(ct);
		rt_unlock(mask);
		ts[0] = 0;
		ts[1] = FLOOD_NS;
		if (ct->more) /* shorter does no harm */
			(void)SYS(nanosleep, ts, 0);
	}
}

void rt_control_run(void)
{
	struct control ct = {.signals = -1, .grace_ms = 1};
	struct rt_thread *t = rt_self ? rt_self : rt_thread_new();
	uint64_t mask;

	rt.dormant = !rt_hosts_exist();
	rt_ids_forget(); /* those of a control thread before us */
	if (t)
		t->muted = 1;
	(void)SYS(prctl, PR_SET_NAME, "cairn", 0, 0, 0); /* for people */
	ct.signals = own_descriptors() ? open_signals() : -1;
	if (t && ct.signals >= 0) {
		mask = rt_lock();
		rt.rescan = 1;
		store_release(&rt.control_tid, (int32_t)SYS(gettid));
		rt_unlock(mask);
		run(&ct);
	}
	/* told to stop, or unable to work: nobody shall wait for a host */
	mask = rt_lock();
	if (load_acquire(&rt.stop))
		hand_over();
	else
		give_up();
	publish_synced();
	store_release(&rt.control_tid, 0);
	store_release(&rt.control_state, 0);
	rt_unlock(mask);
}
