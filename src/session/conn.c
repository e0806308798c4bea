/* Connections: accepting, credentials, sending without ever blocking, receiving.
 *
 * A connection is of a program (its first message is HELLO) or of a commander (REQUEST). Nothing
 * that one connection does stops the host: a peer that does not read has its messages queued up
 * to MAX_QUEUED bytes and is then dropped; a peer that sends nonsense is dropped at once.
 */
#include "session/session-impl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_MAX 64 /* messages of one connection in one step */
#define FDS_MAX 4

/* Out of descriptors: give up the spare one to take the connection and refuse it; else it would
 * stay in the queue and wake us for ever. */
static int refuse_one(struct cairn_host *h, int listen_fd, int why)
{
	int fd;

	if (h->spare_fd < 0)
		return 0;
	auto_fd(&h->spare_fd);
	h->spare_fd = -1;
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0) {
		(void)close(fd);
		h->refused++;
		host_say(h,
			"a program could not be traced: %s (raise the limit of open files, "
			"ulimit -n)",
			strerror(why));
	}
	h->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd >= 0;
}

static struct conn *conn_new(struct cairn_host *h, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct conn **at = c ? VEC_ADD(h->conns, h->nconns, h->cconns) : NULL;

	if (!at) {
		free(c);
		return NULL;
	}
	*at = c;
	c->host = h;
	c->fd = fd;
	c->out_last = &c->out_first;
	return c;
}

int conn_accept(struct cairn_host *h, int listen_fd, bool is_private)
{
	AUTO(fd) int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct ucred who;
	socklen_t len = sizeof(who);
	struct conn *c;
	struct epoll_event ev = {.events = EPOLLIN};

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? refuse_one(h, listen_fd, errno) : 0;
	if (h->nconns >= MAX_PROGRAMS || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return 1; /* closed by AUTO: as if nobody listened */
	c = conn_new(h, fd);
	if (!c)
		return 1;
	c->is_private = is_private;
	c->pid = who.pid;
	c->uid = who.uid;
	c->gid = who.gid;
	ev.data.ptr = c;
	if (epoll_ctl(h->epfd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		conn_free(c); /* closes fd */
		(void)take_fd(&fd);
		return 1;
	}
	(void)take_fd(&fd);
	return 1;
}

void conn_close(struct conn *c)
{
	c->closing = true;
	host_wake(c->host); /* so that the step comes that frees it */
}

static void outmsg_free(struct outmsg *m)
{
	rset_unref(m->rset);
	free(m);
}

void conn_free(struct conn *c)
{
	struct cairn_host *h = c->host;

	for (size_t i = 0; i < h->nconns; i++) {
		if (h->conns[i] == c) {
			h->conns[i] = h->conns[--h->nconns];
			break;
		}
	}
	if (c->kind == CONN_PROGRAM)
		program_done(c);
	for (struct command *cmd = h->commands; cmd; cmd = cmd->next) {
		if (cmd->from == c)
			cmd->from = NULL;
	}
	while (c->out_first) {
		struct outmsg *m = c->out_first;

		c->out_first = m->next;
		outmsg_free(m);
	}
	if (c->fd >= 0)
		(void)close(c->fd); /* leaves the epoll set by itself */
	free(c);
}

/* 1: sent, 0: the socket is full, < 0: -errno. */
static int send_now(struct conn *c, const struct outmsg *m)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {.iov_base = (void *)m->bytes, .iov_len = m->len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	const struct cairn_msg *head = (const struct cairn_msg *)m->bytes;
	int fd = m->rset		       ? ringset_fd(m->rset->rs)
		: head->type == CAIRN_MSG_PROC ? c->host->ids_fd
					       : -1;

	if (fd >= 0) {
		struct cmsghdr *cm = &control.align;

		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cm->cmsg_level = SOL_SOCKET;
		cm->cmsg_type = SCM_RIGHTS;
		cm->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cm), &fd, sizeof(int));
	}
	while (sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
	return 1;
}

static void flush_queue(struct conn *c)
{
	while (c->out_first) {
		struct outmsg *m = c->out_first;
		int r = send_now(c, m);

		if (r < 0)
			conn_close(c);
		if (r <= 0)
			break;
		c->out_first = m->next;
		if (!c->out_first)
			c->out_last = &c->out_first;
		c->out_bytes -= m->len;
		outmsg_free(m);
	}
	host_poll_out(c, c->out_first != NULL && !c->closing);
}

int conn_send(struct conn *c, uint16_t type, const void *payload, size_t len, struct rset *rset,
	uint32_t *ret_seq)
{
	struct cairn_msg head = {
		.magic = CAIRN_MSG_MAGIC,
		.type = type,
		.len = (uint32_t)len,
		.seq = ++c->seq,
		.version = CAIRN_MSG_VERSION,
	};
	struct outmsg *m;

	if (c->closing)
		return -EPIPE;
	if (len > CAIRN_MSG_MAX - sizeof(head))
		return -EMSGSIZE;
	m = c->out_bytes > MAX_QUEUED ? NULL : malloc(sizeof(*m) + sizeof(head) + len);
	if (!m) {
		conn_close(c);
		return -ENOBUFS;
	}
	m->next = NULL;
	m->rset = rset ? rset_ref(rset) : NULL;
	m->len = sizeof(head) + len;
	memcpy(m->bytes, &head, sizeof(head));
	if (len)
		memcpy(m->bytes + sizeof(head), payload, len);
	*c->out_last = m;
	c->out_last = &m->next;
	c->out_bytes += m->len;
	if (ret_seq)
		*ret_seq = head.seq;
	flush_queue(c);
	return c->closing ? -EPIPE : 0;
}

int conn_ask(struct conn *c, uint16_t type, const void *payload, size_t len, struct rset *rset,
	uint32_t ringset, struct command *cmd)
{
	uint32_t seq = 0;
	struct waiting *w = VEC_ADD(c->waiting, c->nwaiting, c->cwaiting);
	int r;

	if (!w)
		return -ENOMEM;
	r = conn_send(c, type, payload, len, rset, &seq);
	if (r < 0) {
		c->nwaiting--;
		return r;
	}
	*w = (struct waiting){.seq = seq, .type = type, .ringset = ringset, .cmd = cmd};
	if (cmd)
		command_asked(cmd, c);
	return 0;
}

static int dispatch(struct conn *c, const struct msg_view *m, int *fds, size_t nfds)
{
	if (c->kind == CONN_NEW && m->type == CAIRN_MSG_HELLO)
		c->kind = CONN_PROGRAM;
	else if (c->kind == CONN_NEW && m->type == CAIRN_MSG_REQUEST)
		c->kind = CONN_CONTROL;
	switch (c->kind) {
	case CONN_PROGRAM: return program_message(c, m, fds, nfds);
	case CONN_CONTROL: return control_message(c, m);
	case CONN_NEW: break;
	}
	return -EPROTO;
}

/* Takes the descriptors of a message: number, at most FDS_MAX; more are closed. */
static size_t take_fds(struct msghdr *msg, int *fds)
{
	size_t n = 0;

	for (struct cmsghdr *cm = CMSG_FIRSTHDR(msg); cm; cm = CMSG_NXTHDR(msg, cm)) {
		size_t count;

		if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cm) + i * sizeof(int), sizeof(fd));
			if (n < FDS_MAX)
				fds[n++] = fd;
			else
				(void)close(fd);
		}
	}
	return n;
}

/* One message: 1, 0 if there is none, or -errno. */
static int receive_one(struct conn *c)
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = c->host->msgbuf, .iov_len = CAIRN_MSG_MAX};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[FDS_MAX];
	size_t nfds;
	struct msg_view view;
	int r;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	nfds = take_fds(&msg, fds);
	if (n == 0)
		r = -EPIPE;
	else if (msg.msg_flags & MSG_TRUNC)
		r = -EMSGSIZE;
	else
		r = msg_check(iov.iov_base, (size_t)n, &view);
	if (r == 0)
		r = dispatch(c, &view, fds, nfds);
	for (size_t i = 0; i < nfds; i++)
		auto_fd(&fds[i]); /* those that were not taken */
	return r < 0 ? r : 1;
}

void conn_ready(struct conn *c, uint32_t events)
{
	int r = 1;

	if (events & EPOLLOUT && !c->closing)
		flush_queue(c);
	for (int i = 0; i < RECEIVE_MAX && r > 0 && !c->closing; i++)
		r = receive_one(c);
	if (r == -EPROTO || r == -EPROTONOSUPPORT || r == -EMSGSIZE)
		host_say(c->host, "process %d sent %s; it is not traced any more", (int)c->pid,
			r == -EPROTONOSUPPORT ? "messages of another version of Cairn"
					      : "a damaged message");
	if (r < 0)
		conn_close(c);
}
