/* A traced program as the session host sees it, without the runtime: a child process that speaks
 * abi/msg.h, maps the rings it is sent and appends to them. Driven by its parent over a pipe:
 *	'e' N	append N records (u32) of each event that is on	(answers one byte)
 *	'q'	exit
 */
#ifndef CAIRN_TESTS_FAKE_RUNTIME_H
#define CAIRN_TESTS_FAKE_RUNTIME_H

#include "abi/msg.h"
#include "base/base.h"
#include "ctf/ctf.h"
#include "ring-map.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAKE_EVENTS 3
#define FAKE_SETS 8

struct fake { /* the parent's side */
	pid_t pid;
	int to, from;
};

struct fake_child {
	int sock, seq;
	struct {
		uint32_t number;
		struct ring_set_producer *set;
		int fd;
	} sets[FAKE_SETS];
	struct cairn_msg_enable on[64];
	unsigned nsets, non;
	bool never_ack;
	bool synced;
};

static void fake_send(struct fake_child *f, uint16_t type, const void *p, size_t n, int fd)
{
	char bytes[CAIRN_MSG_MAX];
	struct cairn_msg m = {CAIRN_MSG_MAGIC, type, (uint32_t)n, (uint32_t)++f->seq, 1};
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {bytes, sizeof(m) + n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	memcpy(bytes, &m, sizeof(m));
	if (n)
		memcpy(bytes + sizeof(m), p, n);
	if (fd >= 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = sizeof(control);
		*c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(f->sock, &msg, MSG_NOSIGNAL) < 0)
		_exit(9);
}

/* Events fake:first (one int), fake:second (one string), other:third (none). */
static void fake_say_events(struct fake_child *f)
{
	AUTO(buf) struct buf all = {0};
	uint32_t count = FAKE_EVENTS;

	buf_add(&all, &count, 4);
	for (uint32_t i = 0; i < count; i++) {
		AUTO(buf) struct buf desc = {0};
		struct ctf_maker m;
		struct cairn_msg_event ev = {.event = i + 10, .nsites = 1};

		ctf_make(&m, i == 2 ? "other" : "fake",
			i == 0		 ? "first"
				: i == 1 ? "second"
					 : "third",
			(int)(4 + i), NULL);
		if (i == 0)
			ctf_make_field(&m, "value", CAIRN_KIND_INT, CAIRN_FORM_ONE, 4, 0, 0);
		if (i == 1)
			ctf_make_field(&m, "text", CAIRN_KIND_STR, CAIRN_FORM_ONE, 1, 0, 0);
		if (ctf_make_done(&m, &desc) < 0)
			_exit(8);
		ev.len = (uint32_t)desc.len;
		buf_add(&all, &ev, sizeof(ev));
		buf_add(&all, desc.data, desc.len);
	}
	fake_send(f, CAIRN_MSG_EVENTS, all.data, all.len, -1);
}

/* Rings must say at once what can be written to them: their host may die the moment after. */
static bool describes_threads(const struct ringset *s)
{
	static const char name[] =
		"cairn_state:thread"; /* in the state stream, and in the rings' */
	size_t len, n = 0;
	const char *text = ringset_meta(s, &len), *end = text + len;

	while ((text = memmem(text, (size_t)(end - text), name, strlen(name)))) {
		text += strlen(name);
		n++;
	}
	return !ringset_hdr(s)->thread_event || n > 1;
}

static void fake_ringset(struct fake_child *f, const uint8_t *p, int fd)
{
	struct cairn_msg_ringset m;
	struct ringset *s;

	memcpy(&m, p, sizeof(m));
	if (ringset_open(dup(fd), &s) < 0 || f->nsets == FAKE_SETS || !describes_threads(s))
		_exit(7);
	for (unsigned i = 0; i < f->nsets; i++)
		if (f->sets[i].number == m.ringset)
			return; /* affirmed */
	f->sets[f->nsets].number = m.ringset;
	f->sets[f->nsets].fd = fd;
	f->sets[f->nsets++].set = map_producer(s);
}

static void fake_change(struct fake_child *f, uint16_t type, const uint8_t *p)
{
	uint32_t count;

	memcpy(&count, p, 4);
	for (uint32_t i = 0; i < count; i++) {
		struct cairn_msg_enable e;

		memcpy(&e, p + 8 + i * sizeof(e), sizeof(e));
		if (type == CAIRN_MSG_ENABLE)
			f->on[f->non++] = e;
		for (unsigned k = 0; type == CAIRN_MSG_DISABLE && k < f->non; k++)
			if (f->on[k].event == e.event && f->on[k].ringset == e.ringset)
				f->on[k--] = f->on[--f->non];
	}
}

/* One message from the host; false: it is gone. */
static bool fake_receive(struct fake_child *f)
{
	uint8_t bytes[CAIRN_MSG_MAX];
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(f->sock, &msg, 0);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	struct cairn_msg m;
	struct cairn_msg_ack ack = {0};
	int fd = -1;

	if (n < (ssize_t)sizeof(m))
		return false;
	memcpy(&m, bytes, sizeof(m));
	if (c)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (m.type == CAIRN_MSG_RINGSET)
		fake_ringset(f, bytes + sizeof(m), fd);
	else if (m.type == CAIRN_MSG_ENABLE || m.type == CAIRN_MSG_DISABLE)
		fake_change(f, m.type, bytes + sizeof(m));
	else if (m.type == CAIRN_MSG_SYNCED)
		f->synced = true;
	else if (m.type != CAIRN_MSG_CLOSE)
		return m.type != CAIRN_MSG_DECLINE;
	ack.seq = m.seq;
	if (m.type != CAIRN_MSG_SYNCED && !f->never_ack)
		fake_send(f, CAIRN_MSG_ACK, &ack, sizeof(ack), -1);
	return true;
}

static void fake_append(struct fake_child *f, uint32_t times)
{
	for (unsigned i = 0; i < f->non; i++) {
		const struct cairn_msg_enable *e = &f->on[i];

		for (unsigned k = 0; k < f->nsets; k++) {
			for (uint32_t t = 0; f->sets[k].number == e->ringset && t < times; t++) {
				struct {
					int32_t tid, value;
					char more[16];
				} body = {getpid(), (int32_t)t, ""};
				const struct ring_producer *ring;
				uint32_t len = e->event == 10 ? 8 : e->event == 11 ? 10 : 4;
				enum ring_result r;

				if (e->event == 11)
					memcpy(&body.value, "hello", 6);
				r = ring_append(
					f->sets[k].set, thread_rseq(), &body, len, e->id, &ring);
				if (r == RING_FULL)
					ring_count_lost(ring, CAIRN_LOST_FULL);
			}
		}
	}
}

static void fake_connect(struct fake_child *f, const char *path, uint32_t flags)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct cairn_msg_hello h = {.flags = flags,
		.pid = getpid(),
		.ppid = getppid(),
		.ring_layout = CAIRN_RING_LAYOUT,
		.site_abi = 1,
		.comm = "fake",
		.exe = "/fake"};

	f->sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	strcpy(sa.sun_path, path);
	if (connect(f->sock, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		_exit(6);
	fake_send(f, CAIRN_MSG_HELLO, &h, sizeof(h), -1);
	fake_say_events(f);
	for (unsigned i = 0; flags & CAIRN_HELLO_AGAIN && i < f->nsets; i++) {
		struct cairn_msg_ringset m = {.ringset = f->sets[i].number};

		fake_send(f, CAIRN_MSG_HAVE, &m, sizeof(m), f->sets[i].fd);
	}
	for (unsigned i = 0; flags & CAIRN_HELLO_AGAIN && i < f->non; i++)
		fake_send(f, CAIRN_MSG_HAVE_EVENT, &f->on[i], sizeof(f->on[i]), -1);
	f->synced = false;
	fake_send(f, CAIRN_MSG_SYNC, NULL, 0, -1);
	while (!f->synced && fake_receive(f))
		;
}

static void fake_main(const char *path, int cmd, int answer, bool never_ack)
{
	struct fake_child f = {.never_ack = never_ack};
	char again[108];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fake_connect(&f, path, 0);
	(void)!write(answer, "s", 1);
	for (;;) {
		struct pollfd p[2] = {
			{.fd = f.sock, .events = POLLIN}, {.fd = cmd, .events = POLLIN}};
		uint32_t times;
		char op;

		if (poll(p, 2, -1) < 0)
			_exit(5);
		if (p[0].revents && !fake_receive(&f))
			f.sock = -1; /* the host died or declined: poll() ignores it now */
		if (!p[1].revents)
			continue;
		if (read(cmd, &op, 1) != 1 || op == 'q')
			_exit(0);
		if (op == 'e' && read(cmd, &times, 4) == 4)
			fake_append(&f, times);
		if (op == 'a' && read(cmd, again, sizeof(again)) == sizeof(again))
			fake_connect(&f, again, CAIRN_HELLO_AGAIN);
		(void)!write(answer, &op, 1);
	}
}

static inline struct fake fake_start(const char *path, bool never_ack)
{
	int to[2], from[2];
	struct fake f = {-1, -1, -1};

	if (pipe(to) < 0 || pipe(from) < 0)
		return f;
	f.pid = fork();
	if (f.pid == 0)
		fake_main(path, to[0], from[1], never_ack);
	close(to[0]);
	close(from[1]);
	f.to = to[1];
	f.from = from[0];
	return f;
}

static inline void fake_stop(struct fake *f)
{
	(void)!write(f->to, "q", 1);
	waitpid(f->pid, NULL, 0);
	close(f->to);
	close(f->from);
}

#endif
