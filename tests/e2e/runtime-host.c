/* The test host: see runtime-host.h. */
#include "e2e/runtime-host.h"
#include "unit/ring-decode.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_RESORT_MS 60000

static void die(const char *what)
{
	printf("Bail out! %s: %s\n", what, strerror(errno));
	exit(1);
}

void host_listen(struct host *h)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char temporary[116];

	snprintf(h->socket, sizeof(h->socket), "%s/hosts/test.sock", h->dir);
	snprintf(temporary, sizeof(temporary), "%s/hosts/.new", h->dir);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/hosts/.new", h->dir);
	h->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (h->listener < 0 || bind(h->listener, (void *)&a, sizeof(a)) || listen(h->listener, 64))
		die("listen");
	if (rename(temporary, h->socket))
		die("rename");
}

void host_start(struct host *h, const struct ringset_config *cfg)
{
	char path[128];
	int err;

	memset(h, 0, sizeof(*h));
	signal(SIGPIPE, SIG_IGN);
	strcpy(h->dir, "/tmp/cairn-rt-test-XXXXXX");
	if (!mkdtemp(h->dir))
		die("mkdtemp");
	snprintf(path, sizeof(path), "%s/hosts", h->dir);
	if (mkdir(path, 0700))
		die("mkdir");
	host_listen(h);
	if (cfg)
		h->cfg = *cfg;
	else
		h->cfg = (struct ringset_config){.mode = CAIRN_MODE_DISCARD, .ring_bytes = 1 << 20};
	if (!h->cfg.contexts)
		h->cfg.contexts = 1 << CAIRN_CTX_TID;
	h->cfg.nrings = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
	h->cfg.session_id = 77;
	h->cfg.channel_id = 1;
	h->cfg.session = "test";
	h->cfg.channel = "test";
	h->ctx_bytes = 4;
	h->cfg.kind = CAIRN_RING_PERCPU;
	err = ringset_create(&h->cfg, &h->set);
	h->cfg.kind = CAIRN_RING_SOLO;
	h->cfg.nrings = 8;
	if (!err)
		err = ringset_create(&h->cfg, &h->solo);
	errno = -err;
	if (err)
		die("ringset_create");
}

void host_run(struct host *h, const char *const *argv)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		die("pipe");
	h->program = fork();
	if (h->program == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		setenv("CAIRN_RUNDIR", h->dir, 1);
		setenv("CAIRN_WAIT_MS", "10000", 1); /* no test is about being late */
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	h->to_program = in[1];
	h->from_program = out[0];
}

/* ---- messages ---- */

void host_send(
	struct host *h, struct host_peer *p, uint32_t type, const void *data, size_t len, int fd)
{
	struct cairn_msg m = {CAIRN_MSG_MAGIC, (uint16_t)type, (uint32_t)len, ++p->seq, 1};
	struct iovec iov[2] = {{&m, sizeof(m)}, {(void *)(uintptr_t)data, len}};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	(void)h;
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	if (p->fd >= 0)
		(void)sendmsg(p->fd, &msg, MSG_NOSIGNAL); /* a peer that died is seen when read */
}

static struct host_event *known_event(struct host *h, const struct cairn_desc *d)
{
	const char *names =
		(const char *)(d + 1) + d->nfields * sizeof(struct cairn_field) + d->nlabels * 8u;
	char name[64];
	struct host_event *e;

	snprintf(name, sizeof(name), "%s:%s", names, names + strlen(names) + 1);
	for (uint32_t i = 0; i < h->nknown; i++)
		if (strcmp(h->known[i].name, name) == 0)
			return &h->known[i];
	if (!h->known)
		h->known = calloc(HOST_EVENTS, sizeof(*h->known));
	e = &h->known[h->nknown++];
	strcpy(e->name, name);
	e->id = h->nknown;
	e->desc = malloc(d->size);
	memcpy(e->desc, d, d->size);
	return e;
}

static void on_events(struct host *h, struct host_peer *p, const uint8_t *data)
{
	uint32_t count;

	memcpy(&count, data, 4);
	data += 4;
	if (!p->events)
		p->events = calloc(HOST_EVENTS, sizeof(*p->events));
	for (; count; count--) {
		struct cairn_msg_event m;
		uint32_t i = 0;

		memcpy(&m, data, sizeof(m));
		while (i < p->nevents && p->events[i].number != m.event)
			i++;
		p->nevents += i == p->nevents;
		p->events[i] = *known_event(h, (const struct cairn_desc *)(data + sizeof(m)));
		p->events[i].number = m.event;
		p->events[i].nsites = m.nsites;
		data += sizeof(m) + m.len;
	}
}

static void send_set(struct host *h, struct host_peer *p, const struct ringset *s, uint32_t number)
{
	struct cairn_msg_ringset m = {
		number, ringset_hdr(s)->kind, ringset_bytes(s), ringset_hdr(s)->session_id};

	host_send(h, p, CAIRN_MSG_RINGSET, &m, sizeof(m), ringset_fd(s));
}

static void switch_peer(struct host *h, struct host_peer *p, bool on)
{
	uint8_t data[8 + HOST_EVENTS / 2 * sizeof(struct cairn_msg_enable)];

	for (uint32_t at = 0; at < p->nevents;) {
		uint32_t n = 0;

		for (; at < p->nevents && n < 2000; at++, n++) {
			struct cairn_msg_enable m = {p->events[at].number, 1, p->events[at].id, 0};

			memcpy(data + 8 + n * sizeof(m), &m, sizeof(m));
		}
		memset(data, 0, 8);
		memcpy(data, &n, 4);
		host_send(h, p, on ? CAIRN_MSG_ENABLE : CAIRN_MSG_DISABLE, data,
			8 + n * sizeof(struct cairn_msg_enable), -1);
	}
}

static void on_sync(struct host *h, struct host_peer *p)
{
	if (h->silent)
		return;
	if (!p->sent_rings) {
		send_set(h, p, h->set, 1);
		if (p->hello.flags & CAIRN_HELLO_NO_RSEQ)
			send_set(h, p, h->solo, 2);
		p->sent_rings = true;
	}
	switch_peer(h, p, true);
	host_send(h, p, CAIRN_MSG_SYNCED, NULL, 0, -1);
}

static void on_ack(struct host_peer *p, const uint8_t *data)
{
	struct cairn_msg_ack a;

	memcpy(&a, data, sizeof(a));
	p->acks++;
	p->failed += a.failed;
	if (a.err)
		p->err = a.err;
}

static void on_message(struct host *h, struct host_peer *p, const uint8_t *data, ssize_t n)
{
	struct cairn_msg m;

	memcpy(&m, data, sizeof(m));
	data += sizeof(m);
	if (n < (ssize_t)sizeof(m) || m.len != n - sizeof(m))
		die("message of the wrong length");
	switch (m.type) {
	case CAIRN_MSG_HELLO:
		memcpy(&p->hello, data, sizeof(p->hello));
		if (h->decline)
			host_send(h, p, CAIRN_MSG_DECLINE, NULL, 0, -1);
		break;
	case CAIRN_MSG_EVENTS: on_events(h, p, data); break;
	case CAIRN_MSG_GONE: p->gone += *(const uint32_t *)(const void *)data; break;
	case CAIRN_MSG_SYNC: on_sync(h, p); break;
	case CAIRN_MSG_ACK: on_ack(p, data); break;
	case CAIRN_MSG_HAVE: p->haves++; break;
	case CAIRN_MSG_HAVE_EVENT: p->have_events++; break;
	}
}

static void read_peer(struct host *h, struct host_peer *p)
{
	static uint8_t data[CAIRN_MSG_MAX + 64];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {data, sizeof(data)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC);
	int fd;

	if (n <= 0) {
		close(p->fd);
		p->fd = -1;
		return;
	}
	if (msg.msg_controllen >= CMSG_LEN(sizeof(int))) {
		memcpy(&fd, CMSG_DATA(&control.head), sizeof(fd));
		close(fd);
	}
	on_message(h, p, data, n);
}

static void accept_peer(struct host *h)
{
	struct host_peer *p = &h->peers[h->npeers % HOST_PEERS];
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd = accept4(h->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (h->npeers >= HOST_PEERS) { /* the oldest makes room */
		free(p->events);
		if (p->fd >= 0)
			die("too many processes at once");
	}
	memset(p, 0, sizeof(*p));
	p->fd = fd;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	p->pid = cred.pid;
	h->npeers++;
}

/* ---- serving ---- */

static bool anybody(const struct host *h)
{
	for (uint32_t i = 0; i < h->npeers && i < HOST_PEERS; i++)
		if (h->peers[i].fd >= 0)
			return true;
	return false;
}

static bool serve_once(struct host *h, int timeout)
{
	struct pollfd fds[HOST_PEERS + 1] = {{h->listener, POLLIN, 0}};

	for (uint32_t i = 0; i < HOST_PEERS; i++)
		fds[i + 1] = (struct pollfd){i < h->npeers ? h->peers[i].fd : -1, POLLIN, 0};
	if (poll(fds, HOST_PEERS + 1, timeout) <= 0)
		return false;
	for (uint32_t i = 0; i < HOST_PEERS; i++)
		if (fds[i + 1].revents)
			read_peer(h, &h->peers[i]);
	if (fds[0].revents)
		accept_peer(h);
	return true;
}

bool host_serve_once(struct host *h)
{
	return serve_once(h, LAST_RESORT_MS);
}

bool host_serve_step(struct host *h)
{
	for (int left = LAST_RESORT_MS / 10; left > 0;) {
		struct pollfd out = {h->from_program, POLLIN, 0};
		char byte;

		left -= !serve_once(h, 10);
		if (poll(&out, 1, 0) <= 0)
			continue;
		while (serve_once(h, 0)) {
		}
		return read(h->from_program, &byte, 1) == 1;
	}
	h->timed_out = true;
	kill(h->program, SIGKILL);
	return false;
}

void host_go(struct host *h)
{
	if (write(h->to_program, "x", 1) != 1)
		h->timed_out = true;
}

void host_serve_end(struct host *h)
{
	bool done = false;

	for (int left = LAST_RESORT_MS / 10; left > 0;) {
		left -= !serve_once(h, 10);
		if (!done)
			done = waitpid(h->program, &h->status, WNOHANG) == h->program;
		if (done && !anybody(h))
			return;
	}
	h->timed_out = true;
	kill(h->program, SIGKILL);
	if (!done)
		waitpid(h->program, &h->status, 0);
}

void host_serve_acks(struct host *h, struct host_peer *p, uint32_t acks)
{
	for (int left = LAST_RESORT_MS / 10; left > 0 && p->acks < acks && p->fd >= 0;)
		left -= !serve_once(h, 10);
	h->timed_out |= p->acks < acks;
}

/* Somebody waits for room in one of the rings. */
static bool anybody_waits(const struct host *h)
{
	const struct cairn_ringset_hdr *hdr = ringset_hdr(h->set);

	for (uint32_t i = 0; i < hdr->nrings; i++) {
		struct cairn_ring_ctl ctl;

		if (pread(ringset_fd(h->set), &ctl, sizeof(ctl),
			    (off_t)(hdr->ctl_offset + i * CAIRN_RING_PAGE)) == sizeof(ctl) &&
			ctl.waiters)
			return true;
	}
	return false;
}

void host_serve_blocked(struct host *h)
{
	int left = LAST_RESORT_MS / 10;

	while (left > 0 && !anybody_waits(h))
		left -= !serve_once(h, 10);
	h->timed_out |= left <= 0;
}

void host_switch(struct host *h, bool on)
{
	for (uint32_t i = 0; i < h->npeers && i < HOST_PEERS; i++) {
		struct host_peer *p = &h->peers[i];
		uint32_t acks = p->acks;

		if (p->fd < 0 || !p->nevents)
			continue;
		switch_peer(h, p, on);
		host_serve_acks(h, p, acks + 1);
	}
}

void host_close_sets(struct host *h)
{
	for (uint32_t i = 0; i < h->npeers && i < HOST_PEERS; i++) {
		struct host_peer *p = &h->peers[i];
		struct cairn_msg_ringset m = {1, CAIRN_RING_PERCPU, ringset_bytes(h->set), 77};
		uint32_t acks = p->acks;

		if (p->fd < 0)
			continue;
		host_send(h, p, CAIRN_MSG_CLOSE, &m, sizeof(m), -1);
		host_serve_acks(h, p, acks + 1);
		p->sent_rings = false;
	}
}

void host_die(struct host *h)
{
	close(h->listener);
	h->listener = -1;
	unlink(h->socket);
	for (uint32_t i = 0; i < h->npeers && i < HOST_PEERS; i++) {
		if (h->peers[i].fd >= 0)
			close(h->peers[i].fd);
		h->peers[i].fd = -1;
	}
}

void host_end(struct host *h)
{
	char path[128];

	host_die(h);
	close(h->to_program);
	close(h->from_program);
	for (uint32_t i = 0; i < HOST_PEERS; i++)
		free(h->peers[i].events);
	for (uint32_t i = 0; i < h->nknown; i++)
		free(h->known[i].desc);
	for (uint32_t i = 0; i < h->nrecords; i++)
		free((void *)(uintptr_t)h->records[i].body);
	free(h->known);
	free(h->records);
	ringset_free(h->set);
	ringset_free(h->solo);
	snprintf(path, sizeof(path), "%s/hosts", h->dir);
	rmdir(path);
	rmdir(h->dir);
}

/* ---- records ---- */

static uint32_t payload_bytes(const struct cairn_desc *d, const uint8_t *p)
{
	const struct cairn_field *f = (const struct cairn_field *)(d + 1);
	const uint8_t *at = p;

	for (uint32_t i = 0; i < d->nfields; i++) {
		uint32_t n = 1;

		if (f[i].kind == CAIRN_KIND_STR) {
			at += strlen((const char *)at) + 1;
			continue;
		}
		if (f[i].form == CAIRN_FORM_ARRAY)
			n = f[i].count;
		if (f[i].form == CAIRN_FORM_SEQUENCE) {
			memcpy(&n, at, 4);
			at += 4;
		}
		at += (uint64_t)n * f[i].width;
	}
	return (uint32_t)(at - p);
}

static void add_record(struct host *h, const struct decoded *d, uint32_t *ret_len)
{
	struct host_record r = {.id = d->id, .ts = d->ts};
	uint8_t *body;

	if (d->id == 0 || d->id > h->nknown) {
		printf("# record with unknown id %u\n", d->id);
		*ret_len = 0;
		return;
	}
	r.event = &h->known[d->id - 1];
	r.len = h->ctx_bytes + payload_bytes(r.event->desc, d->body + h->ctx_bytes);
	body = malloc(r.len + 16);
	memcpy(body, d->body, r.len);
	memcpy(&r.tid, body, 4);
	memcpy(&r.n, body + h->ctx_bytes, 8);
	r.body = body;
	if (h->nrecords % 4096 == 0)
		h->records = realloc(h->records, (h->nrecords + 4096) * sizeof(r));
	h->records[h->nrecords++] = r;
	*ret_len = r.len;
}

static void collect_set(struct host *h, struct ringset *s)
{
	for (uint32_t i = 0; i < ringset_hdr(s)->nrings; i++) {
		struct ring_view v;
		int got;

		while ((got = ring_take(s, i, &v)) == -EAGAIN) {
		}
		if (got != 1)
			continue;
		for (int why = 0; why < CAIRN_LOST_REASONS; why++)
			h->lost[why] += v.lost[why];
		for (const uint8_t *p = v.data, *end = p + v.len, *last; p < end;) {
			struct decoded d = decode_header(p, v.begin_ts);
			uint32_t len;

			v.begin_ts = d.ts;
			last = p;
			add_record(h, &d, &len);
			p = d.body + len;
			if (!len && p == last)
				break;
		}
		ring_release(s, i);
	}
}

void host_collect(struct host *h)
{
	memset(h->lost, 0, sizeof(h->lost));
	collect_set(h, h->set);
	collect_set(h, h->solo);
}

uint32_t host_count(const struct host *h, const char *event)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->nrecords; i++)
		n += strcmp(h->records[i].event->name, event) == 0;
	return n;
}

uint32_t host_count_tid(const struct host *h, const char *event, int32_t tid)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->nrecords; i++)
		n += h->records[i].tid == tid && strcmp(h->records[i].event->name, event) == 0;
	return n;
}

int64_t host_sum(const struct host *h, const char *event)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < h->nrecords; i++)
		if (strcmp(h->records[i].event->name, event) == 0)
			sum += h->records[i].n;
	return sum;
}

uint32_t host_tids(const struct host *h, const char *event)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < h->nrecords; i++) {
		uint32_t j = 0;

		if (strcmp(h->records[i].event->name, event) != 0)
			continue;
		while (j < i &&
			(h->records[j].tid != h->records[i].tid ||
				strcmp(h->records[j].event->name, event) != 0))
			j++;
		n += j == i;
	}
	return n;
}

uint64_t host_lost(const struct host *h)
{
	uint64_t n = 0;

	for (int why = 0; why < CAIRN_LOST_REASONS; why++)
		n += h->lost[why];
	return n;
}
