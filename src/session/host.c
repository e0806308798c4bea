/* The session host: one epoll loop over listening sockets, connections and a timer.
 *
 * A step handles what is ready, reads the rings that are due, answers commands whose time has
 * come, and frees connections that closed. The timer is always set to the next thing that is due,
 * so that the epoll descriptor alone tells a caller when to call.
 */
#include "session/kernel.h"
#include "session/session-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define READY_MAX 64

void host_say(struct cairn_host *h, const char *fmt, ...)
{
	unsigned at = (h->said.first + h->said.count) % ARRAY_SIZE(h->said.text);
	va_list ap;

	if (h->said.count == ARRAY_SIZE(h->said.text)) {
		h->said.dropped++;
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(h->said.text[at], sizeof(h->said.text[at]), fmt, ap);
	va_end(ap);
	h->said.count++;
}

int cairn_host_message(struct cairn_host *h, char *buf, size_t size)
{
	if (!h->said.count && h->said.dropped) {
		(void)snprintf(buf, size, "%u more messages were dropped", h->said.dropped);
		h->said.dropped = 0;
		return 1;
	}
	if (!h->said.count)
		return 0;
	(void)snprintf(buf, size, "%s", h->said.text[h->said.first]);
	h->said.first = (h->said.first + 1) % ARRAY_SIZE(h->said.text);
	h->said.count--;
	return 1;
}

/* Highest possible CPU + 1: the number of rings of a set. */
static uint32_t possible_cpus(void)
{
	AUTO(buf) struct buf b = {0};
	uint64_t last = 0;

	if (read_file("/sys/devices/system/cpu/possible", 4096, &b) == 0) {
		size_t n = b.len;

		while (n && (b.data[n - 1] < '0' || b.data[n - 1] > '9'))
			b.data[--n] = 0;
		while (n && b.data[n - 1] >= '0' && b.data[n - 1] <= '9')
			n--;
		if (parse_u64(b.data + n, &last) == 0 && last < 8192)
			return (uint32_t)last + 1;
	}
	long conf = sysconf(_SC_NPROCESSORS_CONF);

	return conf > 0 ? (uint32_t)conf : 1;
}

static int make_thread_class(struct cairn_host *h)
{
	AUTO(buf) struct buf bytes = {0};
	struct ctf_desc d;
	int r = ctf_state_thread_desc(&bytes);

	if (r == 0)
		r = ctf_desc_parse(bytes.data, bytes.len, &d, NULL);
	if (r == 0)
		h->thread_class = eclass_get(h, &d);
	return r == 0 && !h->thread_class ? -ENOMEM : r;
}

static int copy_options(struct cairn_host *h, const struct cairn_host_options *o)
{
	h->wanted = o->wanted;
	h->runtime = runtime_find(o->runtime);
	if (o->output_root && !(h->output_root = strdup(o->output_root)))
		return -ENOMEM;
	if (o->ring_dir && !(h->ring_dir = strdup(o->ring_dir)))
		return -ENOMEM;
	if (o->npids) {
		h->pids = calloc(o->npids, sizeof(*h->pids));
		if (!h->pids)
			return -ENOMEM;
		memcpy(h->pids, o->pids, o->npids * sizeof(*h->pids));
		h->npids = o->npids;
	}
	h->live_wait = (struct write_wait){o->output_wait, o->output_wait_data, o->output_wake};
	h->msgbuf = aligned_alloc(64, CAIRN_MSG_MAX + 64);
	return h->msgbuf ? make_thread_class(h) : -ENOMEM;
}

static int epoll_add(struct cairn_host *h, int fd, void *what)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = what};

	return fd < 0 || epoll_ctl(h->epfd, EPOLL_CTL_ADD, fd, &ev) == 0 ? 0 : -errno;
}

int host_listens(struct cairn_host *h, int fd, void *ptr)
{
	return epoll_add(h, fd, ptr);
}

static int host_open(struct cairn_host *h, struct error *err)
{
	int r = h->ring_dir ? mkdir_p(h->ring_dir, 0700) : 0;

	if (r < 0)
		return error_set(err, r, "cannot make the folder for rings, %s: %s", h->ring_dir,
			strerror(-r));

	h->epfd = epoll_create1(EPOLL_CLOEXEC);
	h->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	h->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (h->epfd < 0 || h->timer_fd < 0) {
		r = -errno;
		(void)error_set(err, r, "cannot make the host's event loop: %s", strerror(-r));
		error_hint(err, "is the limit of open files (ulimit -n) reached?");
		return r;
	}
	r = epoll_add(h, h->timer_fd, &h->timer_fd);
	if (r == 0)
		r = epoll_add(h, h->public_fd, &h->public_fd);
	if (r == 0)
		r = epoll_add(h, h->private_fd, &h->private_fd);
	return r < 0 ? error_set(err, r, "cannot watch the host's sockets: %s", strerror(-r)) : 0;
}

int cairn_host_new(const struct cairn_host_options *opts, struct cairn_host **ret_host,
	struct cairn_error *cerr)
{
	struct error *err = (struct error *)cerr;
	struct cairn_host_options o = {0};
	struct cairn_host *h;
	int r;

	memcpy(&o, opts, MIN(opts->size, sizeof(o)));
	h = calloc(1, sizeof(*h));
	if (!h)
		return error_set(err, -ENOMEM, "no memory for a host");
	h->epfd = h->timer_fd = h->public_fd = h->private_fd = h->spare_fd = -1;
	h->uid = geteuid();
	h->nrings = possible_cpus();
	h->next_session_id = now_ns(CLOCK_REALTIME) << 8; /* unlike that of any other host */
	h->next_ringset = (uint32_t)(now_ns(CLOCK_REALTIME) / 1000 * 2654435761u) >> 2 | 1;
	h->next_look_ns = UINT64_MAX;
	clock_init(h);
	r = copy_options(h, &o);
	if (r < 0)
		(void)error_set(err, r, "no memory for a host");
	if (r == 0)
		r = rundir_open(h, &o, err);
	if (r == 0)
		r = host_open(h, err);
	if (r < 0) {
		cairn_host_free(h);
		return r;
	}
	for (size_t i = 0; i < h->npids; i++)
		outpost_for(h, h->pids[i]);
	if (h->uid == 0 && h->wanted == CAIRN_WANT_ALL)
		krec_sweep_dead(h);
	*ret_host = h;
	return 0;
}

void cairn_host_free(struct cairn_host *h)
{
	if (!h)
		return;
	rundir_close(h);
	outposts_close(h);
	while (h->nsessions) {
		struct session *s = h->sessions[h->nsessions - 1];

		session_stop(s, NULL);
		session_stopped(s);
		session_free(s);
	}
	while (h->nconns)
		conn_free(h->conns[h->nconns - 1]);
	while (h->commands)
		command_free(h->commands);
	eclass_unref(h, h->thread_class);
	map_done(&h->classes);
	auto_fd(&h->epfd);
	auto_fd(&h->timer_fd);
	auto_fd(&h->spare_fd);
	if (h->ids_tried)
		auto_fd(&h->ids_fd);
	free(h->conns);
	free(h->sessions);
	free(h->runtime);
	free(h->output_root);
	free(h->ring_dir);
	free(h->pids);
	free(h->msgbuf);
	free(h);
}

const char *cairn_host_socket(const struct cairn_host *h)
{
	return h->private_path;
}

const char *cairn_host_runtime(const struct cairn_host *h)
{
	return h->runtime;
}

int cairn_host_fd(const struct cairn_host *h)
{
	return h->epfd;
}

const char *cairn_lost_reason(unsigned reason)
{
	return reason < CAIRN_LOST_REASONS ? cairn_lost_name((enum cairn_lost)reason) : NULL;
}

void host_wake(struct cairn_host *h)
{
	h->next_look_ns = 0;
}

void host_poll_out(struct conn *c, bool on)
{
	struct epoll_event ev = {.events = EPOLLIN | (on ? EPOLLOUT : 0), .data.ptr = c};

	if (c->polled_out == on)
		return;
	c->polled_out = on;
	(void)epoll_ctl(c->host->epfd, EPOLL_CTL_MOD, c->fd, &ev); /* fd is ours: cannot fail */
}

static void handle(struct cairn_host *h, const struct epoll_event *ev)
{
	int outpost;

	if (ev->data.ptr == &h->timer_fd)
		return; /* set anew at the end of the step */
	if (ev->data.ptr == &h->kernel_ready) {
		host_wake(h);
		return;
	}
	if (ev->data.ptr == &h->public_fd || ev->data.ptr == &h->private_fd) {
		int *fd = ev->data.ptr;

		for (int i = 0; i < READY_MAX && conn_accept(h, *fd, fd == &h->private_fd) > 0; i++)
			;
		return;
	}
	if (outpost_is(h, ev->data.ptr, &outpost)) {
		for (int i = 0; i < READY_MAX && conn_accept(h, outpost, false) > 0; i++)
			;
		return;
	}
	conn_ready(ev->data.ptr, ev->events);
}

static void set_timer(struct cairn_host *h)
{
	uint64_t due = h->next_look_ns;
	struct itimerspec at = {0};

	for (struct command *cmd = h->commands; cmd; cmd = cmd->next)
		due = MIN(due, cmd->deadline_ns);
	if (due != UINT64_MAX) {
		due = MAX(due, 1u); /* 0 would switch it off */
		at.it_value.tv_sec = (time_t)(due / 1000000000u);
		at.it_value.tv_nsec = (long)(due % 1000000000u);
	}
	(void)timerfd_settime(
		h->timer_fd, TFD_TIMER_ABSTIME, &at, NULL); /* valid by construction */
}

/* What is due now, ready or not. */
static void do_due(struct cairn_host *h)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (now >= h->next_look_ns) {
		uint64_t wait = consume_step(h, now);

		h->next_look_ns = wait == UINT64_MAX ? wait : now + wait;
	}
	commands_step(h, now);
	for (size_t i = h->nconns; i-- > 0;) {
		if (h->conns[i]->closing)
			conn_free(h->conns[i]);
	}
	set_timer(h);
}

int cairn_host_step(struct cairn_host *h, int timeout_ms)
{
	struct epoll_event ready[READY_MAX];
	int n = epoll_wait(h->epfd, ready, READY_MAX, timeout_ms);
	int r = n < 0 ? -errno : 0;

	for (int i = 0; i < n; i++)
		handle(h, &ready[i]);
	do_due(h);
	if (r == 0 && h->shutdown) {
		h->shutdown = false;
		r = -ESHUTDOWN;
	}
	return r;
}
