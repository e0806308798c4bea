#!/usr/bin/env python3
"""Programs in namespaces of their own: traced, and named by the ids the host sees."""
import os
import signal
import subprocess

from cairn import BUILD, CAIRN, Skip, main, test, wait_for

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


LOOP = """
#include <cairn/trace.h>
#include <stdio.h>
int main(void)
{
	char line[8];
	puts("ready"); fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < 100; i++) CAIRN(loop, a, i);
		puts("done"); fflush(stdout);
	}
}
"""


def go(p):
    p.stdin.write(b"x\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"done\n"


def hidden(t, *unshare, before=()):
    """A program that waits for hosts, whose run directory is no host's; and its pid in ours."""
    os.makedirs(t.rundir, exist_ok=True)
    p = t.start([*before, "unshare", "--mount", *unshare, "sh", "-c", "mount -t tmpfs none %s && exec %s" % (
        t.rundir, t.compile("p", LOOP))], env={"CAIRN_RT": os.path.join(BUILD, "libcairn-rt.so")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    return p, host_pid_of(1, p.pid) if "--fork" in unshare else p.pid


def files_in(pid, directory):
    return sorted(os.path.join(d, f) for d, _, fs in os.walk("/proc/%d/root%s" % (pid, directory))
                  for f in fs) + os.listdir("/proc/%d/root%s" % (pid, directory))


def record_hidden(t, p, pid, trace):
    r = t.start([CAIRN, "record", "-q", "-o", trace, "-p", str(pid)], stderr=subprocess.PIPE)

    def recorded():
        go(p)
        assert r.poll() is None, r.stderr.read()
        return os.path.exists(trace + "/metadata") and t.events(trace)
    wait_for(recorded, "events")
    return r


@test
def another_mount_namespace(t):
    need_namespaces(t)
    p, pid = hidden(t)
    for k in range(2):
        trace = t.path("t%d" % k)
        r = record_hidden(t, p, pid, trace)
        r.send_signal(signal.SIGINT)
        assert r.wait(timeout=30) == 0, r.stderr.read()
        assert {e["tid"] for e in t.events(trace)} == {pid}
        assert files_in(pid, t.rundir) == [], "left behind"
    r = record_hidden(t, p, pid, t.path("killed"))
    r.kill()
    r.wait()
    assert files_in(pid, t.rundir) != []
    r = record_hidden(t, p, pid, t.path("after"))
    assert len(files_in(pid, t.rundir)) == 2, files_in(pid, t.rundir)  # the socket and its directory
    r.send_signal(signal.SIGINT)
    assert r.wait(timeout=30) == 0
    p.stdin.close()
    assert p.wait(timeout=30) == 0


@test
def what_a_killed_host_left_is_swept(t):
    """Its socket, and the directories that it made; not what is no host's."""
    need_namespaces(t)
    p, pid = hidden(t, "env", "CAIRN_RUNDIR=" + t.rundir + "/a/b")
    inside = "/proc/%d/root%s" % (pid, t.rundir)
    for k, theirs in enumerate(("a/b/hosts/not-a-host.sock", "a/keep", None)):
        r = record_hidden(t, p, pid, t.path("killed%d" % k))
        r.kill()
        r.wait()
        assert [f for f in os.listdir(inside + "/a/b/hosts") if f.startswith("host-")]
        if theirs:
            open(os.path.join(inside, theirs), "w").close()
        r = record_hidden(t, p, pid, t.path("after%d" % k))
        r.send_signal(signal.SIGINT)
        assert r.wait(timeout=30) == 0, r.stderr.read()
        files = [os.path.join(d, f)[len(inside) + 1:] for d, _, fs in os.walk(inside) for f in fs]
        assert files == ([theirs] if theirs else []), files
        assert os.path.exists(inside + "/a") == bool(theirs)
        assert os.path.exists(inside + "/a/b/hosts") == (k == 0)
        if theirs:
            os.unlink(os.path.join(inside, theirs))
    os.makedirs(inside + "/a/b/hosts")  # an empty directory of theirs stays
    r = record_hidden(t, p, pid, t.path("theirs"))
    r.send_signal(signal.SIGINT)
    assert r.wait(timeout=30) == 0
    assert os.listdir(inside + "/a/b/hosts") == []
    p.stdin.close()
    assert p.wait(timeout=30) == 0


@test
def two_mount_namespaces_at_once(t):
    need_namespaces(t)
    both = [hidden(t), hidden(t)]
    r = t.start([CAIRN, "record", "-q", "-o", t.trace] + ["-p%d" % pid for _, pid in both],
                stderr=subprocess.PIPE)

    def recorded():
        for p, _ in both:
            go(p)
        assert r.poll() is None, r.stderr.read()
        return os.path.exists(t.trace + "/metadata") and \
            {e["tid"] for e in t.events(t.trace)} == {pid for _, pid in both}
    wait_for(recorded, "events of both")
    r.send_signal(signal.SIGINT)
    assert r.wait(timeout=30) == 0, r.stderr.read()


@test
def a_container_of_its_own(t):
    """Pid, mount and user namespaces, and no run directory shared; through a daemon's session."""
    need_namespaces(t)
    p, pid = hidden(t, "--pid", "--fork", "--mount-proc", "--user", "--map-root-user")
    d = t.daemon()
    t.cairn("session", "create", "s", "-o", t.trace, "-e", "loop:*", "-p", str(pid), "--start")

    def recorded():
        go(p)
        return t.events(t.trace)
    wait_for(recorded, "events")
    t.cairn("session", "destroy", "s")
    assert {e["tid"] for e in t.events(t.trace)} == {pid}
    d.terminate()
    assert d.wait(timeout=30) == 0
    assert files_in(pid, t.rundir) == [], "left behind"
    p.stdin.close()
    assert p.wait(timeout=30) == 0


@test
def a_container_without_the_hosts_root(t):
    """As ordinary users make them: its root is that user, and the host's root is nobody there."""
    need_namespaces(t)
    os.chmod(t.dir, 0o755)
    user = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"]
    if t.run([*user, *NAMESPACES, "true"], status=None).status:
        raise Skip("ordinary users may not make user namespaces")
    p, pid = hidden(t, "--pid", "--fork", "--mount-proc", "--user", "--map-root-user", before=user)
    for k in range(2):
        trace = t.path("t%d" % k)
        r = record_hidden(t, p, pid, trace)
        if k:
            r.send_signal(signal.SIGINT)
        else:
            r.kill()
        r.wait(timeout=30)
        assert {e["tid"] for e in t.events(trace)} == {pid}
    assert files_in(pid, t.rundir) == [], "left behind"
    p.stdin.close()
    assert p.wait(timeout=30) == 0


main()
