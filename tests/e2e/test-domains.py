#!/usr/bin/env python3
"""Programs that change who they are: they leave their rings for others, and no event is lost on the
way. And whose events are whose: root's daemon keeps users apart."""
import json
import os
import socket
import stat
import subprocess

from cairn import BUILD, CAIRN, Skip, main, need, test, wait_for

# Fires numbered events before, through and after a change, until told to stop; says how many.
CHANGES = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	if (fd >= 0 && write(fd, text, strlen(text)) < 0) perror(path);
	close(fd);
}
static int change(const char *how)
{
	if (!strcmp(how, "setuid")) return setgid(65534) || setuid(65534);
	if (!strcmp(how, "setresuid")) return setresuid(65533, 65533, -1);
	if (!strcmp(how, "back")) return seteuid(65533) || seteuid(0);
	if (!strcmp(how, "fork")) { /* who sees the change first is the child */
		if (seteuid(65533)) return 1;
		pid_t child = fork();
		if (child > 0) waitpid(child, 0, 0);
		if (child) _exit(0);
		return 0;
	}
	if (!strcmp(how, "setns")) return setns(open("/proc/self/ns/uts", O_RDONLY), 0);
	if (!strcmp(how, "mount")) return unshare(CLONE_NEWNS);
	if (!strcmp(how, "user")) {
		if (unshare(CLONE_NEWUSER)) return 1;
		put("/proc/self/uid_map", "0 0 1");
		return 0;
	}
	return 1;
}
int main(int argc, char **argv)
{
	struct pollfd in = {0, POLLIN, 0};
	unsigned i = 0;
	for (; i < 3000; i++) CAIRN(c, e, i);
	if (change(argv[1])) return 2;
	for (; poll(&in, 1, 0) == 0; usleep(100))
		for (unsigned end = i + 16; i < end; i++) CAIRN(c, e, i);
	printf("%u\\n", i);
}
"""


def need_root():
    if os.getuid() != 0:
        raise Skip("needs root")


def domains(trace):
    """The sharing domains whose rings have been written to."""
    return sorted({f.split("_")[1] for f in os.listdir(trace) if f.startswith("channel") and
                   os.path.getsize(os.path.join(trace, f))}) if os.path.isdir(trace) else []


def written(trace, domain="d"):
    return sum(os.path.getsize(os.path.join(trace, f)) for f in os.listdir(trace)
               if f.startswith("channel0_" + domain)) if os.path.isdir(trace) else 0


def change(t, how, switches, under=()):
    os.chmod(t.dir, 0o755)
    r = t.start([CAIRN, "record", "-q", "-o", t.trace, "--ring-size", "4M", "--",
                 *under, t.compile("p", CHANGES), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    wait_for(lambda: r.poll() is not None or (len(domains(t.trace)) > switches and written(t.trace) > 200000),
             "enough events, some of its new domain")
    n = int(r.communicate(b"x", timeout=60)[0])
    assert r.returncode == 0
    got = [e["fields"]["i"] for e in t.events()]
    assert not t.lost(), t.lost()
    assert len(got) == n and sorted(got) == list(range(n)), (
        n, len(got), len(set(got)), sorted(set(range(n)) - set(got))[:5])
    if how != "back":  # which may be noticed on the way, or not
        assert len(domains(t.trace)) == switches + 1
    if not under:
        t.check_babeltrace()


@test
def setuid_loses_nothing(t):
    need_root()
    change(t, "setuid", 1)


@test
def setresuid_loses_nothing(t):
    need_root()
    change(t, "setresuid", 1)


@test
def a_child_of_another_user_loses_nothing(t):
    need_root()
    change(t, "fork", 1)


@test
def setuid_without_rseq_loses_nothing(t):
    """Threads have rings of their own then; valgrind knows no rseq."""
    need_root()
    need("valgrind")
    change(t, "setresuid", 1, ["valgrind", "-q", "--tool=none", "--vgdb=no"])


@test
def unshare_loses_nothing(t):
    need_root()
    if t.run(["unshare", "--user", "true"], status=None).status:
        raise Skip("no user namespaces here")
    change(t, "user", 1)


@test
def what_is_the_same_domain_loses_nothing(t):
    need_root()
    for how in ("setns", "mount", "back"):
        t.trace = t.path(how)
        change(t, how, 0)


# Three threads and a child fire numbered events; each line on stdin changes the user, to and fro.
CHANGES_OFTEN = """
#include <cairn/trace.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static int over;
static void *work(void *a)
{
	unsigned i = 0, who = (unsigned)(unsigned long)a;
	for (; !__atomic_load_n(&over, __ATOMIC_RELAXED); usleep(200))
		for (unsigned end = i + 16; i < end; i++) CAIRN(c, often, who, i);
	return (void *)(unsigned long)i;
}
int main(void)
{
	unsigned long sum = 0;
	pthread_t t[3];
	char line[8];
	for (unsigned long k = 0; k < 3; k++) pthread_create(&t[k], 0, work, (void *)k);
	for (int n = 0; fgets(line, sizeof(line), stdin); n++) {
		if (seteuid(n % 2 ? 0 : 65533)) return 1;
		if (fork() == 0) { /* while the change is under way */
			for (unsigned i = 0; i < 500; i++) CAIRN(c, often, (who, 3u + n), i);
			_exit(0);
		}
		wait(0);
		sum += 500;
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (int k = 0; k < 3; k++) {
		void *n;
		pthread_join(t[k], &n);
		sum += (unsigned long)n;
	}
	printf("%lu\\n", sum);
}
"""


@test
def to_and_fro_under_load(t):
    need_root()
    os.chmod(t.dir, 0o755)
    prog = t.compile("p", CHANGES_OFTEN, ["-pthread"])
    r = t.start([CAIRN, "record", "-q", "-o", t.trace, "--ring-size", "4M", "--", prog],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for k in range(5):
        d = "d%d" % (k % 2)
        before = written(t.trace, d)
        wait_for(lambda: r.poll() is not None or written(t.trace, d) > before + 100000, "events in " + d)
        r.stdin.write(b"x\n")
        r.stdin.flush()
    n = int(r.communicate(timeout=60)[0])
    assert r.returncode == 0 and not t.lost(), t.lost()
    got = {}
    for e in t.events():
        got.setdefault(e["fields"]["who"], []).append(e["fields"]["i"])
    for who, numbers in got.items():
        assert sorted(numbers) == list(range(len(numbers))), (who, len(numbers), len(set(numbers)))
    assert sum(map(len, got.values())) == n and len(got) == 8, (n, {k: len(v) for k, v in got.items()})


# ---- who is believed in a user namespace that does not map root ----

ONE = '#include <cairn/trace.h>\nint main(void) { CAIRN(u, e, (uid, 7)); }\n'
# root that is mapped to nobody, root that is another, and what ordinary users make: without root
UNSHARE = ["unshare", "--user"]
USERS_UNSHARE = ["setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", *UNSHARE]
UNMAPPED = (UNSHARE, [*UNSHARE, "--map-user=1000"], USERS_UNSHARE, [*USERS_UNSHARE, "--map-root-user"])


def need_user_namespaces(t):
    need_root()
    if any(t.run([*how, "true"], status=None).status for how in UNMAPPED):
        raise Skip("no user namespaces here")


@test
def root_is_believed_where_it_is_not_mapped(t):
    """By record's private socket, and by the daemon's."""
    need_user_namespaces(t)
    os.chmod(t.dir, 0o755)
    prog = t.compile("p", ONE)
    for k, how in enumerate(UNMAPPED):
        t.record([*how, prog], trace=t.path("r%d" % k))
        assert t.names(t.path("r%d" % k)) == ["u:e"]
    t.daemon()
    t.cairn("session", "create", "s", "-e", "u:*", "-o", t.trace, "--start")
    for how in UNMAPPED:
        t.run([*how, prog])
    r = t.run([*UNMAPPED[-1], CAIRN, "list"], status=1)  # commands are not programs
    assert "user namespace" in r.err and "from outside" in r.err, r
    t.cairn("session", "destroy", "s")
    assert t.names() == ["u:e"] * len(UNMAPPED)


def says_hello(t, hosts, uid, mode, command):
    """Does the program speak to a listener of this user in a directory of this mode?"""
    os.makedirs(hosts)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.bind(hosts + "/other.sock")
        os.chmod(hosts + "/other.sock", 0o777)
        os.chmod(hosts, mode)
        os.seteuid(uid)  # what the peer sees is who called listen()
        s.listen(8)
        os.seteuid(0)
        p = t.start(command, env={"CAIRN_RT": os.path.join(BUILD, "libcairn-rt.so"),
                                  "CAIRN_RUNDIR": os.path.dirname(hosts)})
        s.settimeout(60)  # only a hang takes that long
        with s.accept()[0] as c:
            hello = len(c.recv(65536)) > 0
    p.kill()  # it waits for an answer, if it has said hello
    p.wait()
    return hello


@test
def others_are_not_believed_there(t):
    """A socket that anybody can have put there is not talked to; where only root and we can, it is.
    The listener is of another user, whom the namespace does not map either."""
    need_user_namespaces(t)
    os.chmod(t.dir, 0o755)
    prog = t.compile("p", ONE)
    for mode, hello in ((0o777, False), (0o1777, False), (0o775, False), (0o755, True)):
        for m, how in enumerate(UNMAPPED):
            hosts = t.path("run-%o-%d/hosts" % (mode, m))
            assert says_hello(t, hosts, 65533, mode, [*how, prog]) == hello, (oct(mode), how)
    # where every user has a number of its own, it is the number that counts
    assert not says_hello(t, t.path("numbers/hosts"), 65534, 0o755, [prog])
    assert says_hello(t, t.path("root/hosts"), 0, 0o777, [prog])


# ---- whose events are whose ----

USERS = (65531, 65532)

SAYS = """
#include <cairn/trace.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	char line[8];
	for (;;) {
		for (int i = 0; i < 100; i++) CAIRN(w, e, i, (uid, (int)getuid()));
		puts("done"); fflush(stdout);
		if (!fgets(line, sizeof(line), stdin)) return 0;
	}
}
"""


def as_user(uid, *args):
    return ["setpriv", "--reuid=%d" % uid, "--regid=%d" % uid, "--clear-groups", *args]


def cairn_as(t, uid, *args, status=0):
    return t.run(as_user(uid, CAIRN, *args), status=status, cwd="/")


def begin(t, uid, prog):
    p = t.start(as_user(uid, prog), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"done\n"
    return p


def uids_in(t, trace):
    return {e["fields"]["uid"] for e in t.events(trace)}


@test
def users_of_roots_daemon(t):
    """Each user's sessions, programs, rings and traces are its own; root's are root's alone."""
    need_root()
    os.chmod(t.dir, 0o755)
    prog, root = t.compile("p", SAYS), t.path("root")
    t.daemon("--output-root", root)
    t.cairn("session", "create", "all", "-e", "w:*", "--start")
    for uid in USERS:
        r = cairn_as(t, uid, "session", "create", "s", "-e", "w:*", "-o", "/tmp/cairn-no", "--start", status=1)
        assert root in r.err and "leave the output out" in r.err, r
        cairn_as(t, uid, "session", "create", "s", "-e", "w:*", "--start")
        cairn_as(t, uid, "session", "create", "box", "-e", "w:*", "--mode", "overwrite", "--start")
    for uid in (0, *USERS):
        p = begin(t, uid, prog)
        for viewer in USERS:
            seen = json.loads(cairn_as(t, viewer, "list", "--json").out)
            assert [x["pid"] for x in seen["programs"]] == ([p.pid] if viewer == uid else []), (viewer, seen)
            assert {s["uid"] for s in seen["sessions"]} == {viewer}
        for uid2 in USERS if uid else ():
            out = cairn_as(t, uid2, "session", "snapshot", "box").out.strip()
            assert uids_in(t, out) <= {uid2} and (uid2 != uid or uids_in(t, out))
        p.stdin.close()
        assert p.wait(timeout=30) == 0
    for uid in USERS:
        cairn_as(t, uid, "session", "rotate", "s")
        cairn_as(t, uid, "session", "destroy", "all", status=1)
        cairn_as(t, uid, "session", "destroy", "s", "box")
    t.cairn("session", "destroy", "all")
    assert uids_in(t, root + "/all") == {0, *USERS}
    for uid in USERS:
        mine, other = ("%s/%d/s" % (root, u) for u in (uid, sum(USERS) - uid))
        assert uids_in(t, mine) == {uid}
        assert "w:e" in cairn_as(t, uid, "print", mine).out
        for what in (other, other + "/chunk-1", root + "/all", "%s/%d/box" % (root, sum(USERS) - uid)):
            r = cairn_as(t, uid, "print", what, status=1)
            assert "ermission" in r.err, r
            assert t.run(as_user(uid, "cat", what + "/metadata"), status=None).status, what
        for d, names, files in os.walk("%s/%d" % (root, uid)):
            for f in [d, *(os.path.join(d, f) for f in files)]:
                assert os.stat(f).st_uid == uid, f
        assert stat.S_IMODE(os.stat("%s/%d" % (root, uid)).st_mode) & 0o077 == 0
        t.run(as_user(uid, "rm", "-r", "%s/%d/s" % (root, uid)))  # its own to remove


@test
def what_is_taken_over_stays_the_users(t):
    need_root()
    os.chmod(t.dir, 0o755)
    uid, root = USERS[0], t.path("root")
    d = t.daemon("--output-root", root)
    cairn_as(t, uid, "session", "create", "s", "-e", "w:*", "--start")
    p = begin(t, uid, t.compile("p", SAYS))
    d.kill()
    d.wait()
    t.daemon("--output-root", root)
    got = wait_for(lambda: json.loads(cairn_as(t, uid, "session", "list", "--json").out), "the session is taken over")
    assert got[0]["output"] == "%s/%d/s-recovered-1" % (root, uid) and got[0]["uid"] == uid, got
    assert json.loads(cairn_as(t, USERS[1], "session", "list", "--json").out) == []
    p.stdin.write(b"x\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"done\n"
    cairn_as(t, uid, "session", "destroy", "s")
    assert "uid=%d" % uid in cairn_as(t, uid, "print", got[0]["output"]).out
    assert cairn_as(t, USERS[1], "print", got[0]["output"], status=1).out == ""


@test
def a_user_cannot_lead_roots_daemon_astray(t):
    """By links where it will make directories: nothing of others is given away or written into."""
    need_root()
    os.chmod(t.dir, 0o755)
    uid, root, prey = USERS[0], t.path("root"), t.path("prey")
    os.mkdir(prey, 0o755)
    t.daemon("--output-root", root)
    mine = "%s/%d" % (root, uid)
    cairn_as(t, uid, "session", "create", "s", "--mode", "overwrite", "-e", "x:*", "--start")
    for name in ("chunk-1", "chunk-2", "snapshot-1"):
        t.run(as_user(uid, "ln", "-s", prey, "%s/s/%s" % (mine, name)))
    cairn_as(t, uid, "session", "snapshot", "s", status=1)
    cairn_as(t, uid, "session", "rotate", "s", status=1)
    t.run(as_user(uid, "rm", mine + "/s/chunk-1"))
    cairn_as(t, uid, "session", "rotate", "s", status=1)  # chunk-2
    t.run(as_user(uid, "ln", "-s", prey, mine + "/t"))
    cairn_as(t, uid, "session", "create", "t", "-e", "x:*", status=1)
    cairn_as(t, uid, "session", "destroy", "s")
    assert os.stat(prey).st_uid == 0 and os.listdir(prey) == []


main()
