/* A hostile session host, as the runtime of a traced program meets it: messages, descriptors and
 * ring memory are the input's. The runtime's code runs here without its control thread; this file
 * does what that would. The input is a list of operations, each a letter and its arguments (little
 * endian; what is missing is 0):
 *
 *	m type:u16 fd:u8 len:u16 bytes		a message with a true head
 *	r fd:u8 len:u16 bytes			a packet as it is
 *	R number:u8 fd:u8 size:u8 n:u8, n times { offset:u16 width:u8 value:u64 }
 *						RINGSET; the ring set's header bent. size: 0 as the
 *						header wants, else the file's in units of 64 KiB
 *	E, D n:u8, n times { event:u8 set:u8 id:u32 }	ENABLE, DISABLE
 *	C number:u8				CLOSE
 *	P fd:u8					PROC
 *	S					SYNCED
 *	w offset:u32 value:u64			writes into the memory of the last ring set
 *	t size:u32				cuts the file of the last ring set, if it can be cut
 *	f n:u8					the program fires n events of each kind
 *	h					the host hangs up, and another one comes
 *	k					as after fork: the connections are the parent's
 *	q					the host reads no more
 *
 * What must hold: no crash and no hang; what the runtime says is well formed; and when all hosts
 * are gone and all ring sets closed, no descriptor, enabling or deferred memory is left.
 */
#include "base/base.h"
#include "runtime/runtime-impl.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENTS 3
#define FDS_MAX 256
#define FILE_MAX (1ull << 46)

/* ---- the program: three events, one of them at a site that is patched ---- */

struct text_desc {
	struct cairn_desc d;
	char strings[24];
};

static struct text_desc descs[EVENTS] = {
	{{sizeof(descs[0]), CAIRN_ABI, 6, 0, 1, 0, 0}, "fuzz\0one\0f.c\0"},
	{{sizeof(descs[0]), CAIRN_ABI, 6, 0, 2, 0, 0}, "fuzz\0two\0f.c\0"},
	{{sizeof(descs[0]), CAIRN_ABI, 6, 0, 3, 0, 0}, "fuzz\0three\0f.c\0"},
};
static struct cairn_slot slots[EVENTS];
static struct cairn_site sites[EVENTS];
static struct cairn_module module = {
	.abi = CAIRN_ABI, .size = sizeof(module), .begin = sites, .end = sites + EVENTS};

#if defined(__x86_64__)
extern const uint8_t fuzz_site_nop[], fuzz_site_cold[];
__asm__(".pushsection .text\n"
	"fuzz_site_nop:\n"
	"	.byte 0x0f, 0x1f, 0x44, 0x00, 0x00\n"
	"	ret\n"
	"fuzz_site_cold:\n"
	"	ret\n"
	".popsection\n");
#endif

static int32_t distance(const void *from, const void *to)
{
	return (int32_t)((intptr_t)to - (intptr_t)from);
}

static void program_begin(void)
{
	for (int i = 0; i < EVENTS; i++) {
		sites[i].desc = distance(&sites[i].desc, &descs[i]);
		sites[i].slot = distance(&sites[i].slot, &slots[i]);
	}
#if defined(__x86_64__)
	sites[0].nop = distance(&sites[0].nop, fuzz_site_nop);
	sites[0].target = distance(&sites[0].target, fuzz_site_cold);
#endif
	setenv("CAIRN_RUNDIR", "/nonexistent/cairn", 1); /* no host, so no control thread */
	unsetenv("CAIRN_HOST");
	unsetenv("CAIRN_RT");
	if (cairn_rt_register_v1(&module) != 0)
		abort();
}

static void program_fires(unsigned int times)
{
	for (unsigned int i = 0; i < times * EVENTS; i++) {
		struct {
			uint64_t head[CAIRN_HEADROOM / 8], payload[4];
		} r = {.payload = {i}};

		if (slots[i % EVENTS].enabled)
			module.fire(&slots[i % EVENTS], r.payload, i % 24, program_fires);
	}
}

/* ---- the host ---- */

static struct {
	const uint8_t *at, *end; /* the input that is left */
	struct rt_conn *conn;
	int sock; /* the host's end */
	int fd; /* of the last ring set; -1: none */
	bool deaf;
} host;

static uint64_t take(unsigned int bytes)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < bytes && host.at < host.end; i++)
		v |= (uint64_t)*host.at++ << (8 * i);
	return v;
}

static void host_comes(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		abort();
	host.sock = ends[1];
	host.deaf = false;
	host.conn = rt_alloc(sizeof(*host.conn));
	host.conn->fd = ends[0];
	host.conn->state = RT_CONN_UP;
	host.conn->out_last = &host.conn->out;
	host.conn->next = rt.conns;
	rt.conns = host.conn;
	rt_conn_hello(host.conn);
	rt_conn_flush(host.conn);
}

/* What the runtime said must be messages. */
static void host_hears(void)
{
	uint8_t data[CAIRN_MSG_MAX + 64];
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {data, sizeof(data)};
	ssize_t n;

	do {
		struct msghdr msg = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control)};
		struct cairn_msg m;
		int fd;

		n = recvmsg(host.sock, &msg, MSG_CMSG_CLOEXEC);
		if (n <= 0)
			break;
		if (msg.msg_controllen >= CMSG_LEN(sizeof(int))) {
			memcpy(&fd, CMSG_DATA((struct cmsghdr *)control), sizeof(fd));
			close(fd);
		}
		memcpy(&m, data, sizeof(m));
		if ((size_t)n < sizeof(m) || m.magic != CAIRN_MSG_MAGIC ||
			m.len != (size_t)n - sizeof(m))
			abort();
	} while (n > 0);
}

static void host_says(const void *data, size_t len, const int *fds, unsigned int nfds)
{
	struct iovec iov = {(void *)(uintptr_t)data, len};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(12 * sizeof(int))];
	} control = {.head = {CMSG_LEN(nfds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds) {
		memcpy(CMSG_DATA(&control.head), fds, nfds * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	}
	if (host.sock >= 0)
		(void)sendmsg(host.sock, &msg, MSG_NOSIGNAL); /* given up, or full: as it is */
	while (rt_conn_read(host.conn)) {
	}
	rt_conn_news(host.conn);
	rt_conn_flush(host.conn);
	if (!host.deaf)
		host_hears();
}

static void host_says_message(
	unsigned int type, const void *data, size_t len, const int *fds, unsigned int nfds)
{
	uint8_t bytes[sizeof(struct cairn_msg) + CAIRN_MSG_MAX];
	struct cairn_msg m = {CAIRN_MSG_MAGIC, (uint16_t)type, (uint32_t)len, 1, 1};

	memcpy(bytes, &m, sizeof(m));
	memcpy(bytes + sizeof(m), data, len);
	host_says(bytes, sizeof(m) + len, fds, nfds);
}

static void host_goes(void)
{
	close(host.sock);
	while (rt_conn_read(host.conn)) {
	}
	rt_conn_flush(host.conn);
}

/* ---- descriptors ---- */

enum {
	NO_FD,
	SEALED,
	UNSEALED,
	READ_ONLY,
	WRITE_SEALED,
	PIPE,
	DEVICE,
	PROC,
	ROOT,
	UNLINKED,
	SOCKET,
	SEVERAL,
	MANY,
	KINDS
};

static int memory_file(unsigned int kind, uint64_t bytes, const void *data, size_t len)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, fd, again;
	char path[64];

	fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)MIN(bytes, FILE_MAX)) < 0 ||
		pwrite(fd, data, len, 0) < 0)
		abort();
	if (kind == WRITE_SEALED)
		seals |= F_SEAL_WRITE;
	if (kind != UNSEALED && fcntl(fd, F_ADD_SEALS, seals) < 0)
		abort();
	if (kind != READ_ONLY)
		return fd;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	close(fd);
	return again;
}

static int unlinked_file(void)
{
	char path[] = "/tmp/cairn-fuzz-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd >= 0)
		unlink(path);
	return fd;
}

/* Descriptors of a kind into fds; the number of them. */
static unsigned int make_fds(
	unsigned int kind, const void *data, size_t len, uint64_t bytes, int *fds)
{
	unsigned int n = 1;

	switch (kind % KINDS) {
	case NO_FD: return 0;
	case PIPE:
		if (pipe2(fds, O_CLOEXEC) < 0)
			abort();
		n = 2;
		break;
	case DEVICE: fds[0] = open("/dev/zero", O_RDWR | O_CLOEXEC); break;
	case PROC: fds[0] = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC); break;
	case ROOT: fds[0] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC); break;
	case UNLINKED: /* not by O_TMPFILE, which qemu-user takes for something else */
		fds[0] = unlinked_file();
		if (fds[0] >= 0 &&
			(pwrite(fds[0], data, len, 0) < 0 ||
				ftruncate(fds[0], (off_t)MIN(bytes, 1u << 30)) < 0))
			abort();
		break;
	case SOCKET: fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); break;
	case SEVERAL:
	case MANY:
		for (n = 0; n < (kind % KINDS == MANY ? 12 : 3); n++)
			fds[n] = memory_file(SEALED, bytes, data, len);
		break;
	default: fds[0] = memory_file(kind % KINDS, bytes, data, len);
	}
	return fds[0] < 0 ? 0 : n;
}

/* Keeps the first for later, closes the others. */
static void keep_first(int *fds, unsigned int n)
{
	for (unsigned int i = 1; i < n; i++)
		close(fds[i]);
	if (!n)
		return;
	if (host.fd >= 0)
		close(host.fd);
	host.fd = fds[0];
}

/* ---- operations ---- */

static void say_bytes(bool framed)
{
	unsigned int type = framed ? (unsigned int)take(2) : 0, kind = (unsigned int)take(1);
	size_t len = take(2);
	int fds[12];
	unsigned int n = make_fds(kind, "", 1, 1 << 16, fds);

	len = MIN(len, (size_t)(host.end - host.at));
	if (framed)
		host_says_message(type, host.at, len, fds, n);
	else
		host_says(host.at, len, fds, n);
	host.at += len;
	keep_first(fds, n);
}

static struct cairn_ringset_hdr bent_header(void)
{
	uint32_t cpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF);
	struct cairn_ringset_hdr h = {.magic = CAIRN_RINGSET_MAGIC,
		.layout = CAIRN_RING_LAYOUT,
		.mode = CAIRN_MODE_DISCARD,
		.clock = rt.no_tsc ? CAIRN_CLOCK_MONOTONIC : CAIRN_CLOCK_TSC,
		.nrings = cpus,
		.contexts = 1 << CAIRN_CTX_TID,
		.ring_bytes = CAIRN_RING_MIN,
		.meta_offset = CAIRN_RING_PAGE,
		.ctl_offset = CAIRN_RING_PAGE,
		.data_offset = CAIRN_RING_PAGE + cpus * CAIRN_RING_PAGE,
		.session_id = 7,
		.channel_id = 1,
		.boundary = sizeof(h)};

	for (unsigned int n = (unsigned int)take(1); n; n--) {
		unsigned int at = (unsigned int)take(2), width = take(1) % 9;
		uint64_t value = take(8);

		if (at + width <= sizeof(h))
			memcpy((uint8_t *)&h + at, &value, width);
	}
	return h;
}

/* However long a host lets threads wait, it is not for ever; here it is not long at all. */
static void be_patient(void)
{
	for (struct rt_set *s = rt.sets; s; s = s->next) {
		struct ring_set_producer *p = (struct ring_set_producer *)(uintptr_t)s->p;

		if (p->block_ns > CAIRN_RING_BLOCK_NS_MAX)
			abort();
		p->block_ns = MIN(p->block_ns, 100000u);
	}
}

static void say_ringset(void)
{
	uint32_t number = (uint32_t)take(1);
	unsigned int kind = (unsigned int)take(1), n;
	uint64_t units = take(1), bytes;
	struct cairn_ringset_hdr h = bent_header();
	struct cairn_msg_ringset m = {number, h.kind, 0, h.session_id};
	int fds[12];

	bytes = units ? units << 16 : h.data_offset + h.nrings * h.ring_bytes;
	bytes = MIN(bytes, FILE_MAX);
	n = make_fds(kind, &h, sizeof(h), bytes, fds);
	m.bytes = bytes;
	host_says_message(CAIRN_MSG_RINGSET, &m, sizeof(m), fds, n);
	keep_first(fds, n);
	be_patient();
}

static void say_switch(unsigned int type)
{
	struct {
		uint32_t count, pad;
		struct cairn_msg_enable item[255];
	} m = {.count = (uint32_t)take(1)};

	for (uint32_t i = 0; i < m.count; i++) {
		m.item[i].event = (uint32_t)take(1);
		m.item[i].ringset = (uint32_t)take(1);
		m.item[i].id = (uint32_t)take(4);
	}
	host_says_message(type, &m, 8 + m.count * sizeof(m.item[0]), NULL, 0);
}

static void say_proc(void)
{
	int fds[12];
	unsigned int n = make_fds((unsigned int)take(1), "", 1, 1 << 16, fds);

	host_says_message(CAIRN_MSG_PROC, "", 0, fds, n);
	keep_first(fds, n);
}

static void scribble(void)
{
	uint32_t at = (uint32_t)take(4);
	uint64_t value = take(8);
	struct stat st;

	if (host.fd >= 0 && fstat(host.fd, &st) == 0 && S_ISREG(st.st_mode))
		(void)!pwrite(host.fd, &value, 8, at % (1u << 20)); /* refused: as it is */
}

/* Only of files that the runtime must not map: it cannot survive this with others. */
static void cut(void)
{
	uint32_t size = (uint32_t)take(4);
	struct stat st;

	if (host.fd >= 0 && fstat(host.fd, &st) == 0 && S_ISREG(st.st_mode))
		(void)!ftruncate(host.fd, size); /* refused: as it is */
}

static void close_set(void)
{
	struct cairn_msg_ringset m = {.ringset = (uint32_t)take(1)};

	host_says_message(CAIRN_MSG_CLOSE, &m, sizeof(m), NULL, 0);
}

/* Descriptors stay behind in the parent: here they are closed by hand. */
static void as_after_fork(void)
{
	close(host.sock);
	for (struct rt_conn *c = rt.conns; c; c = c->next) {
		if (c->fd >= 0)
			close(c->fd);
		for (struct rt_out *o = c->out; o; o = o->next)
			if (o->fd >= 0)
				close(o->fd);
	}
	for (struct rt_set *s = rt.sets; s; s = s->next)
		if (s->fd >= 0)
			close(s->fd);
	for (int i = 0; i < 2; i++)
		if (rt.ids_fd[i])
			close(rt.ids_fd[i]);
	rt_conns_inherited();
}

static void operation(int letter)
{
	switch (letter) {
	case 'm': say_bytes(true); break;
	case 'r': say_bytes(false); break;
	case 'R': say_ringset(); break;
	case 'E': say_switch(CAIRN_MSG_ENABLE); break;
	case 'D': say_switch(CAIRN_MSG_DISABLE); break;
	case 'C': close_set(); break;
	case 'P': say_proc(); break;
	case 'S': host_says_message(CAIRN_MSG_SYNCED, "", 0, NULL, 0); break;
	case 'w': scribble(); break;
	case 't': cut(); break;
	case 'f': program_fires((unsigned int)take(1)); break;
	case 'h':
		host_goes();
		host_comes();
		break;
	case 'k':
		as_after_fork();
		host_comes();
		break;
	case 'q': host.deaf = true; break;
	}
}

/* ---- what must be left: nothing ---- */

static unsigned int count_fds(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < FDS_MAX; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void program_forgets(void)
{
	while (rt.sets)
		rt_set_close(rt.sets);
	for (int i = 0; i < 1000 && rt_grace_poll(); i++) {
	}
	while (rt.conns) {
		struct rt_conn *c = rt.conns;

		rt_conn_end(c);
		rt.conns = c->next;
		rt_free(c);
	}
	for (int i = 0; i < 2; i++)
		if (rt.ids_fd[i])
			close(rt.ids_fd[i]);
	rt_ids_forget();
	while (rt.free_areas) { /* nobody is in them here: not so in a program */
		struct rt_area *a = rt.free_areas;

		rt.free_areas = a->next_free;
		rt.area_bytes -= a->bytes;
		(void)munmap(a->base, a->bytes);
		rt_free(a);
	}
}

static void check_nothing_left(unsigned int fds)
{
#if defined(__x86_64__) /* qemu-user keeps passed descriptors that have no room */
	if (count_fds() != fds)
		abort();
#else
	(void)fds;
#endif
	if (rt_grace_poll() || rt.sets || rt.rings_mapped || rt.area_bytes)
		abort();
	for (int i = 0; i < EVENTS; i++)
		if (slots[i].enabled || slots[i].sinks || rt.events[i]->nwants)
			abort();
#if defined(__x86_64__)
	if (fuzz_site_nop[0] != 0x0f)
		abort();
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool begun;
	unsigned int fds;

	if (!begun)
		program_begin();
	begun = true;
	fds = count_fds();
	host.at = data;
	host.end = data + size;
	host.fd = -1;
	host_comes();
	while (host.at < host.end)
		operation((int)take(1));
	host_goes();
	if (host.fd >= 0)
		close(host.fd);
	program_forgets();
	check_nothing_left(fds);
	return 0;
}
