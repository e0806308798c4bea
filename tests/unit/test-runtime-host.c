/* How hosts are looked for (host.c): what a dead one left holds nobody up. */
#include "runtime/runtime-impl.h"
#include "test.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* As a host that dies leaves it: nobody listens there. */
static void dead_socket(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	CHECK(bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0);
	close(fd);
}

TEST(a_dead_host_is_asked_again_only_while_its_socket_is_new)
{
	char dir[] = "/tmp/cairn-test-host-XXXXXX", hosts[64], path[96];
	double made;

	CHECK_INT(rt_init(), 0);
	CHECK(mkdtemp(dir) != NULL);
	snprintf(hosts, sizeof(hosts), "%s/hosts", dir);
	snprintf(path, sizeof(path), "%s/dead.sock", hosts);
	CHECK_INT(mkdir(hosts, 0700), 0);
	snprintf(rt.env_rundir, sizeof(rt.env_rundir), "%s", dir);
	made = now_s();
	dead_socket(path);
	rt_hosts_scan();
	if (now_s() - made < 0.9) /* else this machine stood still */
		CHECK_INT(rt.retry, 1); /* it may be about to listen */
	CHECK(rt.conns != NULL && rt.conns->fd < 0);
	if (!rt.conns->born)
		SKIP("needs a file system that knows when files were made");
	while (now_s() - made < 1.2)
		usleep(20000);
	rt_hosts_scan();
	CHECK_INT(rt.retry, 0);
	unlink(path);
	rt_hosts_scan();
	CHECK(rt.conns == NULL);
	rmdir(hosts);
	rmdir(dir);
}

TEST_MAIN()
