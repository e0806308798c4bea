#!/usr/bin/env python3
"""Programs that gain privilege when they start (setuid, setgid, file capabilities: AT_SECURE).
They ignore the environment and users' hosts: only root's host, in /run/cairn, may trace them. The
tests have a /run of their own, in a mount name space."""
import ctypes
import os
import socket
import struct
import subprocess

from cairn import BUILD, Skip, main, test, wait_for

USER, OTHER = 65533, 65532  # who runs it; who owns it where that is not root
PRIVATE_RUN = False

# Says whether it gained privilege, which runtime is in it, its threads and descriptors.
PROGRAM = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>
static int entries(const char *path)
{
	int n = -2;
	DIR *d = opendir(path);
	while (d && readdir(d)) n++;
	if (d) closedir(d);
	return n;
}
int main(int argc, char **argv)
{
	char line[512];
	int runtime = 0;
	for (int i = 0; i < 100; i++) CAIRN(sec, before, i, (euid, (int)geteuid()));
	FILE *maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (strstr(line, "cairn-rt") || strstr(line, "evil") || strstr(line, "cairn-libc")) runtime = 1;
	if (maps) fclose(maps);
	printf("%lu %d %d %d\\n", getauxval(AT_SECURE) != 0 ? 1ul : 0ul, runtime,
		entries("/proc/self/task"), entries("/proc/self/fd") - 4 /* and that of the folder */);
	fflush(stdout);
	if (argc > 1 && !strcmp(argv[1], "drop") && (setresgid(getgid(), getgid(), getgid()) ||
		setresuid(getuid(), getuid(), getuid()))) return 3;
	if (argc > 1 && !strcmp(argv[1], "loop")) {
		struct pollfd in = {0, POLLIN, 0};
		for (int i = 0; poll(&in, 1, 1) == 0; i++) CAIRN(sec, loop, i, (euid, (int)geteuid()));
	} else if (argc > 1) {
		int c = getchar();
		for (int i = 0; c != EOF && i < 100; i++) CAIRN(sec, after, i, (euid, (int)geteuid()));
	}
	return 0;
}
"""

EVIL = """
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void evil(void) { close(open("%s", O_CREAT | O_WRONLY, 0666)); }
int cairn_rt_register_v1(void *m) { (void)m; evil(); return 0; }
void cairn_rt_unregister_v1(void *m) { (void)m; }
"""


def need_private_run(t):
    """This process's own, empty /run; programs of other users can enter the case's folder."""
    global PRIVATE_RUN
    if os.getuid() != 0:
        raise Skip("needs root")
    if not PRIVATE_RUN:
        if ctypes.CDLL(None, use_errno=True).unshare(0x00020000) != 0:  # CLONE_NEWNS
            raise Skip("no mount name space allowed here")
        PRIVATE_RUN = True
    t.run(["mount", "--make-rprivate", "/"])
    t.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", "/run"])
    os.chmod(t.dir, 0o755)
    for name in ("CAIRN_RUNDIR", "CAIRN_WAIT_MS"):
        t.env.pop(name)


class Listener:
    """A host that only notes who comes."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.listen(16)
        self.socket.settimeout(0)
        self.path = path

    def came(self):
        try:
            self.socket.accept()
            return True
        except BlockingIOError:
            return False


def as_user(t, function):
    """Does it in a child that is the user: what the kernel says of sockets' owners is then so."""
    euid, egid = os.geteuid(), os.getegid()
    os.setegid(USER)
    os.seteuid(USER)
    try:
        return function()
    finally:
        os.seteuid(euid)
        os.setegid(egid)


class Traps:
    """All that a user may set up for a program, to be loaded by it or to be spoken to."""

    def __init__(self, t):
        self.t = t
        self.marker = t.path("marker/evil-was-here")
        os.mkdir(t.path("marker"))
        os.chmod(t.path("marker"), 0o777)
        evil = t.write("evil.c", EVIL % self.marker)
        dirs = [t.path("rundir"), "/run/user/%d/cairn" % USER, "/run/user/%d/cairn" % OTHER]
        for path in dirs:
            os.makedirs(path + "/hosts")
        t.run(["cc", "-shared", "-fPIC", "-o", t.path("evil.so"), evil])
        for path in dirs:
            t.run(["cp", t.path("evil.so"), path + "/libcairn-rt.so"])
        t.run(["chown", "-R", "%d:%d" % (USER, USER), *dirs, t.path("evil.so")])
        os.chmod("/run/user", 0o755)
        self.hosts = as_user(t, lambda: [Listener(p) for p in (
            dirs[0] + "/hosts/a.sock", dirs[0] + "/private.sock", dirs[1] + "/hosts/b.sock")])
        self.env = {"CAIRN_RT": t.path("evil.so"), "CAIRN_RUNDIR": dirs[0], "CAIRN_HOST": self.hosts[1].path,
                    "LD_PRELOAD": "%s:%s" % (t.path("evil.so"), os.path.join(BUILD, "libcairn-libc.so")),
                    "CAIRN_WAIT_MS": "10000"}

    def sprung(self):
        return os.path.exists(self.marker) or any([h.came() for h in self.hosts])


def run_as_user(t, prog, *args, env=None, **more):
    p = subprocess.run([prog, *args], user=USER, group=USER, extra_groups=[], cwd="/",
                       env=dict(t.env, **(env or {})), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                       stdin=subprocess.DEVNULL, timeout=60, **more)
    assert p.returncode == 0, p
    return [int(n) for n in p.stdout.split()]


def start_as_user(t, args, env):
    p = subprocess.Popen(args, user=USER, group=USER, extra_groups=[], cwd="/", env=dict(t.env, **env),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    t.children.append(p)
    return p


def privileged(t, prog, kind):
    """A copy of prog that gains privilege."""
    path = t.path(kind)
    t.run(["cp", prog, path])
    os.chown(path, OTHER if kind == "setuid-other" else 0, OTHER if kind == "setgid" else 0)
    os.chmod(path, {"setuid-root": 0o4755, "setuid-other": 0o4755, "setgid": 0o2755}.get(kind, 0o755))
    if kind == "capability":
        cap = 1 << 13  # CAP_NET_RAW; revision 2, effective
        os.setxattr(path, "security.capability", struct.pack("<5I", 0x02000001, cap, 0, 0, 0))
    secure = run_as_user(t, path)[0]
    if not secure:
        raise Skip("%s has no effect where %s is" % (kind, t.dir))
    return path


KINDS = ("setuid-root", "setuid-other", "setgid", "capability")


def static_program(t):
    flags = ["-static", "-Wl,-u,cairn_rt_register_v1", os.path.join(BUILD, "libcairn-rt.a")]
    return t.compile("static", PROGRAM, flags)


@test
def traps_are_traps(t):
    """The same program without privilege falls into each: so the next tests can fail."""
    need_private_run(t)
    prog, traps = t.compile("p", PROGRAM), Traps(t)
    run_as_user(t, prog, env={"CAIRN_RT": traps.env["CAIRN_RT"]})
    assert traps.sprung()
    os.unlink(traps.marker)
    run_as_user(t, prog)
    assert traps.sprung()
    os.unlink(traps.marker)
    runtime = {"CAIRN_RT": os.path.join(BUILD, "libcairn-rt.so"), "CAIRN_WAIT_MS": "1"}
    for env in ({}, {"CAIRN_HOST": traps.env["CAIRN_HOST"]}, {"CAIRN_RUNDIR": traps.env["CAIRN_RUNDIR"]}):
        for path in (prog, static_program(t)):
            p = start_as_user(t, [path, "loop"], dict(env, **runtime))
            wait_for(traps.sprung, "the program falls into the trap %s" % env)
            p.stdin.close()
            assert p.wait(timeout=60) == 0


@test
def privileged_programs_ignore_environment_and_users_hosts(t):
    need_private_run(t)
    plain, traps = t.compile("p", PROGRAM), Traps(t)
    for prog in (plain, static_program(t)):
        for kind in KINDS:
            path = privileged(t, prog, kind)
            assert run_as_user(t, path, env=traps.env) == [1, 0, 1, 0], (prog, kind)
            assert not traps.sprung(), (prog, kind)
            assert run_as_user(t, path) == [1, 0, 1, 0], (prog, kind)
            assert not traps.sprung(), (prog, kind)


@test
def roots_host_traces_privileged_programs(t):
    """Also there: users' hosts beside it are not spoken to, and users' traps not fallen into."""
    need_private_run(t)
    plain, traps = t.compile("p", PROGRAM), Traps(t)
    t.daemon()
    t.cairn("session", "create", "s", "-o", t.trace)
    t.cairn("session", "enable", "s", "sec:*")
    t.cairn("session", "start", "s")
    pids = set()
    for prog in (plain, static_program(t)):
        for kind in KINDS:
            p = start_as_user(t, [privileged(t, prog, kind), "loop"], traps.env)
            secure, _, tasks, fds = [int(n) for n in p.stdout.readline().split()]
            assert (secure, tasks, fds) == (1, 2, 0)
            pids.add(p.pid)
            wait_for(lambda: os.path.exists(t.trace + "/metadata") and
                     p.pid in {e["tid"] for e in t.events()}, "%s is recorded" % kind)
            assert not traps.sprung(), (prog, kind)
            p.stdin.close()
            assert p.wait(timeout=60) == 0
    t.cairn("session", "destroy", "s")
    loops = [e for e in t.events() if e["event"] == "loop"]
    assert {e["tid"] for e in loops} == pids
    assert {e["fields"]["euid"] for e in loops} == {0, OTHER, USER}
    t.check_babeltrace()


@test
def privilege_given_up_does_not_open_the_door(t):
    """After setuid() to the user, the program is still one that users' hosts do not get."""
    need_private_run(t)
    prog, traps = privileged(t, t.compile("p", PROGRAM), "setuid-root"), Traps(t)
    t.daemon()
    t.cairn("session", "create", "s", "-o", t.trace)
    t.cairn("session", "enable", "s", "sec:*")
    t.cairn("session", "start", "s")
    p = start_as_user(t, [prog, "drop"], traps.env)
    p.stdout.readline()

    def is_the_users():
        with open("/proc/%d/status" % p.pid) as f:
            return "Uid:\t%d\t%d" % (USER, USER) in f.read()
    wait_for(is_the_users, "the program gives up its privilege")
    more = as_user(t, lambda: Listener("/run/user/%d/cairn/hosts/late.sock" % USER))
    # the runtime looks for hosts twice a second: until it has found one of root's, which is later
    os.makedirs("/run/cairn/hosts", exist_ok=True)
    late = Listener("/run/cairn/hosts/late.sock")
    wait_for(late.came, "the runtime looks again")
    p.stdin.write(b"x")
    p.stdin.close()
    assert p.wait(timeout=60) == 0
    assert not traps.sprung() and not more.came()
    t.cairn("session", "destroy", "s")


main()
