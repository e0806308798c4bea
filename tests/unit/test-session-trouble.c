/* What goes wrong around a session host: full disks, no descriptors, nonsense from programs. */
#include "session-fixture.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

TEST(a_full_disk_is_said_and_counted)
{
	struct fixture f;
	char text[256], *filler, bytes[4096] = "";
	struct cairn_session_info *i;
	int fd, said = 0;

	if (!thread_rseq())
		SKIP("no rseq");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		SKIP("mounting is not allowed");
	(void)mkdir(in_scratch("out"), 0700);
	if (mount("none", in_scratch("out"), "tmpfs", 0, "size=1m") < 0)
		SKIP("mounting is not allowed");
	if (fixture_init(&f, CAIRN_WANT_CHILDREN))
		return;
	CHECK_INT(create(&f, "full", "fake:first", NULL), 0);
	CHECK_INT(cairn_session_start(f.ctl, "full", 0, NULL, &f.err), 0);
	struct fake p = fake_start(cairn_host_socket(f.host), false);
	CHECK_INT(await(&f, &p), 's');
	emit(&f, &p, 100);
	filler = in_scratch("out/filler");
	fd = open(filler, O_WRONLY | O_CREAT, 0600);
	while (write(fd, bytes, sizeof(bytes)) > 0)
		;
	close(fd);
	for (int k = 0; k < 10; k++) { /* the 100 waited for more; these fill the last block */
		emit(&f, &p, 20000);
		for (int w = 0; w < 100; w++)
			cairn_host_step(f.host, 2);
	}
	while (cairn_host_message(f.host, text, sizeof(text)))
		said += strstr(text, "the disk is full") != NULL;
	CHECK_INT(said, 1);
	CHECK_INT(unlink(filler), 0);
	emit(&f, &p, 50);
	CHECK_INT(cairn_session_stop(f.ctl, "full", 5000, NULL, &f.err), 0);
	i = info(&f, "full");
	if (i) {
		CHECK_INT(i->stats.write_error, ENOSPC);
		CHECK(i->stats.lost[CAIRN_LOST_DISK] > 0);
		CHECK_INT(i->stats.events + i->stats.lost_total, 200150);
		if (have_babeltrace())
			CHECK_INT(count_lines(i->output, "fake:first"), i->stats.events);
	}
	cairn_session_list_free(i);
	CHECK_INT(cairn_session_destroy(f.ctl, "full", &f.err), 0);
	fake_stop(&p);
	fixture_done(&f);
	CHECK_INT(umount2(in_scratch("out"), MNT_DETACH), 0);
}

TEST(no_descriptors_left_refuses_programs_and_goes_on)
{
	struct fixture f;
	struct rlimit old, few;
	char text[256];
	int fds[64], n = 0, said = 0;

	if (fixture_init(&f, CAIRN_WANT_CHILDREN))
		return;
	struct fake p = fake_start(cairn_host_socket(f.host), false);
	CHECK_INT(await(&f, &p), 's');
	CHECK_INT(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = (struct rlimit){48, old.rlim_max};
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &few), 0);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, cairn_host_socket(f.host));
	while (n < 64 && (fds[n] = dup(0)) >= 0)
		n++;
	CHECK_INT(connect(sock, (struct sockaddr *)&sa, sizeof(sa)), 0);
	for (int i = 0; i < 10; i++)
		cairn_host_step(f.host, 0);
	CHECK_INT(recv(sock, text, sizeof(text), 0), 0); /* refused, not left waiting */
	while (cairn_host_message(f.host, text, sizeof(text)))
		said += strstr(text, "open files") != NULL;
	CHECK_INT(said, 1);
	while (n)
		close(fds[--n]);
	close(sock);
	CHECK_INT(setrlimit(RLIMIT_NOFILE, &old), 0);
	struct fake q = fake_start(cairn_host_socket(f.host), false);
	CHECK_INT(await(&f, &q), 's');
	fake_stop(&q);
	fake_stop(&p);
	fixture_done(&f);
}

/* Sends raw bytes as a message; the host must drop the sender and go on. */
static void send_raw(struct fixture *f, const void *p, size_t n)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char reply[64];

	strcpy(sa.sun_path, cairn_host_socket(f->host));
	CHECK_INT(connect(sock, (struct sockaddr *)&sa, sizeof(sa)), 0);
	CHECK_INT(send(sock, p, n, MSG_NOSIGNAL), n);
	for (int i = 0; i < 5; i++)
		cairn_host_step(f->host, 0);
	CHECK(recv(sock, reply, sizeof(reply), MSG_DONTWAIT) == 0);
	close(sock);
}

TEST(nonsense_on_the_socket_is_dropped)
{
	struct fixture f;
	struct {
		struct cairn_msg m;
		char text[32];
	} msg = {.m = {CAIRN_MSG_MAGIC, CAIRN_MSG_EVENTS, 32, 1, 1}};

	if (fixture_init(&f, CAIRN_WANT_CHILDREN))
		return;
	send_raw(&f, "hello", 5);
	send_raw(&f, &msg, sizeof(msg)); /* no HELLO before it */
	msg.m.type = CAIRN_MSG_HELLO;
	send_raw(&f, &msg, sizeof(msg)); /* too short */
	msg.m.version = 77;
	send_raw(&f, &msg, sizeof(msg));
	msg.m.version = 1;
	msg.m.type = CAIRN_MSG_REQUEST;
	memset(msg.text, '[', sizeof(msg.text));
	send_raw(&f, &msg, sizeof(msg));
	struct fake p = fake_start(cairn_host_socket(f.host), false);
	CHECK_INT(await(&f, &p), 's');
	fake_stop(&p);
	fixture_done(&f);
}

TEST_MAIN()
