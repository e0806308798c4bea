#!/usr/bin/env python3
"""Programs in namespaces of their own: traced, and named by the ids the host sees."""
import os
import subprocess

from cairn import CAIRN, Skip, main, test

NAMESPACES = ["unshare", "--pid", "--fork", "--mount-proc", "--user", "--map-root-user"]

# Says, for each of its tasks, which line of the host's /proc it is: the tester reads NSpid there.
PROGRAM = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *a)
{
	for (int i = 0; i < 100; i++)
		CAIRN(box, thread, i, (own, (int)syscall(SYS_gettid)));
	return a;
}
int main(int argc, char **argv)
{
	pthread_t p[3];
	char c;
	CAIRN(box, start, (own, getpid()));
	for (int k = 0; k < 3; k++)
		pthread_create(&p[k], 0, work, 0);
	for (int k = 0; k < 3; k++)
		pthread_join(p[k], 0);
	if (!fork()) {
		for (int i = 0; i < 100; i++)
			CAIRN(box, child, i, (own, getpid()));
		_exit(0);
	}
	wait(0);
	puts("ready"); fflush(stdout);
	if (read(0, &c, 1) != 1) return 1;
	CAIRN(box, end, (own, getpid()));
}
"""


def need_namespaces(t):
    if os.getuid() != 0 or t.run([*NAMESPACES, "true"], status=None).status != 0:
        raise Skip("needs root and unshare(1) with pid, mount and user namespaces")


def host_pid_of(own, parent):
    """The host's pid of the process that calls itself `own` below `parent`."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            status = open("/proc/%s/status" % pid).read()
        except OSError:
            continue
        line = [l.split()[1:] for l in status.splitlines() if l.startswith("NSpid:")][0]
        ancestor = pid
        while ancestor not in ("0", "1", str(parent)):
            try:
                stat = open("/proc/%s/stat" % ancestor).read()
            except OSError:
                break
            ancestor = stat.rsplit(")", 1)[1].split()[1]
        if len(line) == 2 and line[1] == str(own) and ancestor == str(parent):
            return int(pid)
    return None


@test
def ids_are_the_hosts(t):
    need_namespaces(t)
    prog = t.compile("p", PROGRAM, ["-pthread"])
    r = t.start([CAIRN, "record", "-q", "-o", t.trace, "--context", "tid,pid", "--", *NAMESPACES, prog],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert r.stdout.readline() == b"ready\n"
    pid = host_pid_of(1, r.pid)
    assert pid and pid > 1
    r.stdin.write(b"x")
    r.stdin.flush()
    assert r.wait(timeout=60) == 0
    events = t.events()
    by = {}
    for e in events:
        by.setdefault(e["event"], []).append(e)
    assert len(by["thread"]) == 300 and len(by["child"]) == 100, {k: len(v) for k, v in by.items()}
    for e in by["start"] + by["end"]:
        assert (e["tid"], e["pid"], e["fields"]["own"]) == (pid, pid, 1), e
    for e in by["thread"]:
        assert e["pid"] == pid and e["tid"] > pid and e["tid"] != e["fields"]["own"], e
    assert len({e["tid"] for e in by["thread"]}) == 3
    children = {(e["tid"], e["pid"]) for e in by["child"]}
    assert len(children) == 1, children
    tid, child = children.pop()
    assert tid == child and child > pid, (tid, child, pid)
    t.check_babeltrace()


main()
