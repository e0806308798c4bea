/* The protocol with a session host (abi/msg.h): what is said, and what is done when told.
 *
 * Everything a host sends is checked before it is believed; what makes no sense is answered with
 * an error, or ignored when there is nothing to answer. Control thread, under rt.lock.
 */
#include "runtime/runtime-impl.h"
#include <linux/fcntl.h>
#include <linux/stat.h>

#define EPROTO 71
#define EINVAL 22
#define ENOENT 2
#define GRACE_WAIT_MS 10

static uint8_t text[CAIRN_MSG_MAX]; /* a message being put together */

/* ---- saying hello ---- */

static uint64_t inode_of(const char *path)
{
	struct statx st;

	return SYS(statx, AT_FDCWD, path, 0, STATX_INO, &st) == 0 ? st.stx_ino : 0;
}

static void say_hello(struct rt_conn *c, uint32_t flags)
{
	struct cairn_msg_hello h;

	rt_zero(&h, sizeof(h));
	h.flags = flags | (rt.no_rseq ? CAIRN_HELLO_NO_RSEQ : 0) |
		(rt.no_tsc ? CAIRN_HELLO_NO_TSC : 0) | (c->forked ? CAIRN_HELLO_FORKED : 0) |
		(rt.dormant ? CAIRN_HELLO_DORMANT : 0);
#ifdef CAIRN_RT_STATIC
	h.flags |= CAIRN_HELLO_STATIC;
#endif
	h.pid = (int32_t)SYS(getpid);
	h.ppid = (int32_t)SYS(getppid);
	h.ring_layout = CAIRN_RING_LAYOUT;
	h.site_abi = CAIRN_ABI;
	h.userns = inode_of("/proc/self/ns/user");
	h.pidns = inode_of("/proc/self/ns/pid");
	rt_process_comm(h.comm);
	/* stays empty where /proc is not there */
	(void)SYS(readlinkat, AT_FDCWD, "/proc/self/exe", h.exe, sizeof(h.exe) - 1);
	rt_conn_send(c, CAIRN_MSG_HELLO, &h, sizeof(h), -1);
}

/* Of no host, but for a host that we left, which knows it and gives others. */
static bool concerns(const struct rt_set *s, const struct rt_conn *c)
{
	return s->conn == c || !s->conn;
}

static void say_have(struct rt_conn *c)
{
	for (struct rt_set *s = rt.sets; s; s = s->next) {
		struct cairn_msg_ringset m = {s->number, s->kind, s->bytes, s->session_id};

		if (concerns(s, c) && !s->left)
			rt_conn_send(c, CAIRN_MSG_HAVE, &m, sizeof(m), s->fd);
	}
	for (uint32_t i = 0; i < rt.nevents; i++) {
		const struct rt_event *e = rt.events[i];

		for (uint32_t w = 0; w < e->nwants; w++) {
			struct cairn_msg_enable m = {
				e->number, e->wants[w].set->number, e->wants[w].id, 0};

			if (concerns(e->wants[w].set, c) && !e->wants[w].set->left)
				rt_conn_send(c, CAIRN_MSG_HAVE_EVENT, &m, sizeof(m), -1);
		}
	}
}

/* Events whose number of sites changed since the host was last told. */
static void say_events(struct rt_conn *c, uint64_t since)
{
	uint32_t count = 0;
	size_t len = 4;

	for (uint32_t i = 0; i < rt.nevents; i++) {
		const struct rt_event *e = rt.events[i];
		struct cairn_msg_event m = {e->number, e->nsites, e->desc->size, 0};

		if (e->changed <= since || !e->nsites)
			continue;
		if (len + sizeof(m) + m.len > CAIRN_MSG_MAX - sizeof(struct cairn_msg)) {
			rt_copy(text, &count, 4);
			rt_conn_send(c, CAIRN_MSG_EVENTS, text, len, -1);
			count = 0;
			len = 4;
		}
		rt_copy(text + len, &m, sizeof(m));
		rt_copy(text + len + sizeof(m), e->desc, m.len);
		len += sizeof(m) + m.len;
		count++;
	}
	rt_copy(text, &count, 4);
	if (count)
		rt_conn_send(c, CAIRN_MSG_EVENTS, text, len, -1);
}

static void say_gone(struct rt_conn *c, uint64_t since)
{
	uint32_t *words = (uint32_t *)(void *)text, n = 0;

	for (uint32_t i = 0; since && i < rt.nevents; i++) {
		const struct rt_event *e = rt.events[i];

		if (e->changed <= since || e->nsites)
			continue;
		words[++n] = e->number;
		if (n == 8192) {
			words[0] = n;
			rt_conn_send(c, CAIRN_MSG_GONE, words, 4 + 4 * n, -1);
			n = 0;
		}
	}
	words[0] = n;
	if (n)
		rt_conn_send(c, CAIRN_MSG_GONE, words, 4 + 4 * n, -1);
}

static void say_sync(struct rt_conn *c)
{
	c->told = rt.changes;
	c->sync_seq = rt.changes;
	c->sync_out = 1;
	rt_conn_send(c, CAIRN_MSG_SYNC, NULL, 0, -1);
}

void rt_conn_hello(struct rt_conn *c)
{
	uint32_t orphans = 0;

	for (struct rt_set *s = rt.sets; s; s = s->next)
		orphans |= !s->conn && !s->left;
	say_hello(c, orphans ? CAIRN_HELLO_AGAIN : 0);
	c->forked = 0;
	say_events(c, 0);
	say_have(c);
	say_sync(c);
}

void rt_conn_news(struct rt_conn *c)
{
	uint64_t since = c->told;

	if (since == rt.changes || c->sync_out)
		return;
	say_events(c, since);
	say_gone(c, since);
	say_sync(c);
}

/* ---- being told ---- */

static void ack(struct rt_conn *c, uint32_t seq, int err, uint32_t failed)
{
	struct cairn_msg_ack a = {seq, err, failed, 0};

	rt_conn_send(c, CAIRN_MSG_ACK, &a, sizeof(a), -1);
}

/* A set by the host's number. One left by a dead host becomes this host's when it speaks of it. */
static struct rt_set *find_set(struct rt_conn *c, uint32_t number)
{
	struct rt_set *orphan = NULL;

	for (struct rt_set *s = rt.sets; s; s = s->next) {
		if (s->number == number && s->conn == c)
			return s;
		if (s->number == number && !s->conn && !s->left)
			orphan = s;
	}
	if (orphan)
		rt_set_hosted(orphan, c);
	return orphan;
}

/* A set and its twin for threads without rseq find each other. */
static void link_twins(struct rt_set *s)
{
	for (struct rt_set *t = rt.sets; t; t = t->next) {
		if (t->kind == s->kind || t->conn != s->conn || t->session_id != s->session_id ||
			t->channel_id != s->channel_id)
			continue;
		if (s->kind == CAIRN_RING_SOLO)
			store_release(&t->solo, s); /* pairs with [twin] in fire.c */
		else
			store_release(&s->solo, t); /* pairs with [twin] in fire.c */
	}
}

/* The memfd of a set we have: from a host that adopts, or answers a fork child's HAVE. */
static bool adopt(struct rt_conn *c, const struct cairn_msg_ringset *m, int fd)
{
	struct statx st;

	if (SYS(statx, fd, "", AT_EMPTY_PATH, STATX_INO, &st) < 0)
		return false;
	for (struct rt_set *s = rt.sets; s; s = s->next) {
		if (s->ino != st.stx_ino || !concerns(s, c) || s->closing ||
			s->dev != ((uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor))
			continue;
		rt_set_hosted(s, c);
		s->left = NULL;
		s->number = m->ringset;
		if (s->fd < 0)
			s->fd = fd;
		else
			(void)SYS(close, fd); /* a second one of the same */
		link_twins(s);
		return true;
	}
	return false;
}

static int on_ringset(struct rt_conn *c, const uint8_t *data, size_t len, int *fd)
{
	struct cairn_msg_ringset m;
	struct rt_set *s;
	int err;

	if (len != sizeof(m) || *fd < 0)
		return -EPROTO;
	rt_copy(&m, data, sizeof(m));
	if (adopt(c, &m, *fd)) {
		*fd = -1;
		return 0;
	}
	for (s = rt.sets; s; s = s->next)
		if (s->conn == c && s->number == m.ringset)
			return -17 /* EEXIST */;
	err = rt_set_map(*fd, &m, &s);
	if (err)
		return err;
	*fd = -1;
	rt_set_hosted(s, c);
	s->number = m.ringset;
	link_twins(s);
	s->next = rt.sets;
	store_release(&rt.sets, s); /* pairs with [sets] in fire.c */
	return 0;
}

/* Are these rings for the same events, of which we left the old ones? */
static bool replaces(const struct rt_set *s, const struct rt_set *old)
{
	return old != s && !old->conn && old->session_id == s->session_id &&
		old->channel_id == s->channel_id && old->kind == s->kind;
}

/* So that an event goes to the old rings or to the new ones, never to both or none: the caller
 * applies both changes at once. */
static void unwant_replaced(uint32_t event, const struct rt_set *s)
{
	for (struct rt_set *old = rt.sets; old; old = old->next)
		if (replaces(s, old))
			(void)rt_event_unwant(event, old); /* or did not want it */
}

static void close_later(void *p)
{
	const struct rt_set *s = rt.sets;

	while (s && s != p)
		s = s->next;
	if (s) /* else it was closed meanwhile, but not freed: that comes after this */
		rt_set_close(p);
}

/* A host that we had left has said all: what it has not replaced, it does not want. Who took up a
 * record before the change and is still at it (it may wait for room) puts it into the old rings. */
static void close_left(const struct rt_conn *c)
{
	for (struct rt_set *s = rt.sets; s; s = s->next) {
		if (s->left != c || s->closing)
			continue;
		s->closing = 1;
		rt_set_unwant(s);
		rt_apply();
		rt_defer(close_later, s);
	}
}

static int enable_one(struct rt_conn *c, const struct cairn_msg_enable *m)
{
	struct rt_set *s = find_set(c, m->ringset);

	if (!s || s->kind != CAIRN_RING_PERCPU || m->id >= 1u << 30)
		return -EINVAL;
	unwant_replaced(m->event, s);
	return rt_event_want(m->event, s, m->id);
}

static int disable_one(struct rt_conn *c, const struct cairn_msg_enable *m)
{
	struct rt_set *s = find_set(c, m->ringset);

	return s ? rt_event_unwant(m->event, s) : -EINVAL;
}

static void on_switch(struct rt_conn *c, uint32_t seq, const uint8_t *data, size_t len, bool on)
{
	uint32_t count = 0, failed = 0;
	struct cairn_msg_enable m;
	int err = 0, one;

	if (len >= 8)
		rt_copy(&count, data, 4);
	if (len < 8 || len != 8 + (uint64_t)count * sizeof(m)) {
		ack(c, seq, -EPROTO, 0);
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		rt_copy(&m, data + 8 + i * sizeof(m), sizeof(m));
		one = on ? enable_one(c, &m) : disable_one(c, &m);
		failed += one != 0;
		err = err ? err : one;
	}
	rt_apply();
	for (uint32_t i = 0; on && i < count; i++) {
		const struct rt_event *e;

		rt_copy(&m, data + 8 + i * sizeof(m), sizeof(m));
		e = rt_event_get(m.event);
		if (!e || !e->failed)
			continue;
		failed++;
		err = err ? err : -1 /* EPERM: text that may not be changed */;
	}
	if (!on)
		(void)rt_grace_wait(
			GRACE_WAIT_MS); /* a thread that is stopped inside cannot write */
	ack(c, seq, err, failed);
}

void rt_set_close(struct rt_set *s)
{
	struct rt_set **at = &rt.sets;

	rt_set_retire(s);
	rt_set_unwant(s);
	rt_apply();
	rt_grace_restart();
	while (*at != s)
		at = &(*at)->next;
	store_release(at, s->next); /* pairs with [sets] in fire.c; who is on it, moves on */
	for (struct rt_set *t = rt.sets; t; t = t->next)
		if (t->solo == s)
			store_release(&t->solo, NULL); /* pairs with [twin] in fire.c */
	(void)rt_grace_wait(GRACE_WAIT_MS); /* for solo rings; who is late finds it retired */
	rt_set_recycle(s);
}

static void on_close(struct rt_conn *c, uint32_t seq, const uint8_t *data, size_t len)
{
	struct cairn_msg_ringset m;
	struct rt_set *s;

	if (len != sizeof(m)) {
		ack(c, seq, -EPROTO, 0);
		return;
	}
	rt_copy(&m, data, sizeof(m));
	s = find_set(c, m.ringset);
	if (s)
		rt_set_close(s);
	ack(c, seq, s ? 0 : -ENOENT, s ? 0 : 1);
}

void rt_conn_message(struct rt_conn *c, const uint8_t *data, size_t len, int fd)
{
	struct cairn_msg m;
	int err;

	rt_zero(&m, sizeof(m));
	if (len >= sizeof(m))
		rt_copy(&m, data, sizeof(m));
	data += sizeof(m);
	len -= sizeof(m);
	if (m.magic != CAIRN_MSG_MAGIC || m.len != len) {
		rt_conn_end(c); /* whatever speaks there, it is no host */
		m.type = 0;
	}
	switch (m.type) {
	case CAIRN_MSG_DECLINE:
		rt_conn_end(c);
		close_left(c);
		break;
	case CAIRN_MSG_RINGSET:
		err = on_ringset(c, data, len, &fd);
		ack(c, m.seq, err, err != 0);
		break;
	case CAIRN_MSG_ENABLE: on_switch(c, m.seq, data, len, true); break;
	case CAIRN_MSG_DISABLE: on_switch(c, m.seq, data, len, false); break;
	case CAIRN_MSG_CLOSE: on_close(c, m.seq, data, len); break;
	case CAIRN_MSG_PROC:
		if (fd >= 0)
			rt_ids_from(fd);
		fd = -1;
		break;
	case CAIRN_MSG_SYNCED:
		if (c->sync_out)
			c->synced = c->sync_seq;
		if (c->sync_out)
			close_left(c);
		c->sync_out = 0;
		break;
	}
	if (fd >= 0)
		(void)SYS(close, fd); /* not wanted */
}
