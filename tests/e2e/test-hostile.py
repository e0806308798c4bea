#!/usr/bin/env python3
"""Session hosts that are broken or hostile, and a real marked program that meets them at its start.
Whatever a host says: the program prints what it would print, ends as it would end, does not spin,
and no descriptor is left open."""
import array
import fcntl
import os
import socket
import struct
import subprocess
import tempfile
import threading

from cairn import CAIRN, IN_SHM, Skip, main, need, test, wait_for

HELLO, EVENTS, SYNC, ACK = 1, 2, 4, 5
DECLINE, RINGSET, ENABLE, DISABLE, CLOSE, SYNCED, PROC = range(32, 39)
PAGE = 4096
BOUNDARY, BOUNDARY_AT = 784, 772 # of struct cairn_ringset_hdr, layout 1: its size, where that stands
CPUS = os.sysconf("SC_NPROCESSORS_CONF")

# One round for each line of its input: events, a thread, a child. At the end it says how many
# descriptors it and its other threads have. Exits with 7.
PROGRAM = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static long sum;
static void *work(void *a) { for (int i = 0; i < 100; i++) { CAIRN(h, thread, i); sum += i; } return a; }
static int entries(const char *path)
{
	int n = 0;
	DIR *d = opendir(path);
	while (d && readdir(d)) n++;
	if (d) closedir(d);
	return n;
}
int main(void)
{
	char line[64];
	int status = 0, rounds = 0;
	CAIRN(h, begin);
	puts("ready"); fflush(stdout);
	for (; fgets(line, sizeof(line), stdin); rounds++) {
		pthread_t t;
		for (int i = 0; i < 100; i++) { CAIRN(h, body, i, (text, "some text")); sum += i; }
		if (pthread_create(&t, 0, work, 0) || pthread_join(t, 0)) return 1;
		pid_t p = fork();
		if (!p) { CAIRN(h, child, rounds); _exit(3); }
		if (waitpid(p, &status, 0) != p || WEXITSTATUS(status) != 3) return 2;
		printf("%ld\\n", sum); fflush(stdout);
	}
	printf("end %d %d\\n", rounds, entries("/proc/self/fd") - 3 - 3 /* . .. and itself; 0, 1, 2 */);
	return 7;
}
"""


def message(kind, payload=b"", length=None, magic=0x4e43):
    return struct.pack("=HHIII", magic, kind, len(payload) if length is None else length, 1, 1) + payload


def send(conn, data, fds=()):
    conn.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def header(nrings=CPUS, ring=65536, mode=0, block_ns=0, kind=0, contexts=1, ctl=PAGE, data=None):
    h = bytearray(BOUNDARY)
    data = ctl + nrings * PAGE if data is None else data
    struct.pack_into("=QIIIIIIQQQQQQQIIII", h, 0, 0x474e52314e524943, 1, kind, mode, 0, nrings, contexts,
                     ring, block_ns, PAGE, 0, ctl, data, 7, 1, 0, 0, 0)
    struct.pack_into("=I", h, BOUNDARY_AT, BOUNDARY)
    return h


class RingSet:
    def __init__(self, size=None, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW, **more):
        h = header(**more)
        ctl, data = struct.unpack_from("=QQ", h, 64)
        self.ctl = ctl
        self.size = data + more.get("nrings", CPUS) * more.get("ring", 65536) if size is None else size
        self.kind = more.get("kind", 0)
        self.fd = os.memfd_create("hostile", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self.size)
        os.pwrite(self.fd, h[:min(len(h), self.size)], 0)
        if seals:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)

    def message(self, number=1):
        return message(RINGSET, struct.pack("=IIQQ", number, self.kind, self.size, 7))

    def written(self):
        return sum(struct.unpack("=Q", os.pread(self.fd, 8, self.ctl + i * PAGE))[0] for i in range(CPUS))


def switch(kind, *items):
    return message(kind, struct.pack("=II", len(items), 0) +
                   b"".join(struct.pack("=IIII", *item, 0) for item in items))


class Peer:
    """The host's end of one connection."""

    def __init__(self, conn):
        self.conn, self.events, self.acks = conn, [], []

    def hear(self, until):
        """Reads messages up to one of type `until`; false: the program is gone."""
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.conn, 65536 + 16, 4)
            except OSError:
                return False
            for fd in fds:
                os.close(fd)
            if not data:
                return False
            kind, = struct.unpack_from("=H", data, 2)
            if kind == EVENTS:
                self.events += range(len(self.events) + 1,
                                     len(self.events) + 1 + struct.unpack_from("=I", data, 16)[0])
            if kind == ACK:
                self.acks.append(struct.unpack_from("=i", data, 20)[0])
            if kind == until:
                return True

    def say(self, data, *fds):
        send(self.conn, data, fds)

    def ask(self, data, *fds):
        """Says it, and gives the error of the answer."""
        self.say(data, *fds)
        if not self.hear(ACK):
            raise BrokenPipeError # a child, say, that ended meanwhile
        return self.acks[-1]


class Host(threading.Thread):
    """Listens where hosts listen, and does `act` with each connection, which stays open then."""

    def __init__(self, t, act, name="bad", backlog=64):
        super().__init__(daemon=True)
        os.makedirs(os.path.join(t.rundir, "hosts"), exist_ok=True)
        link = os.path.join(t.rundir, "libcairn-rt.so")
        if not os.path.lexists(link):
            os.symlink(os.path.join(os.path.dirname(CAIRN), "libcairn-rt.so"), link)
        self.path = os.path.join(t.rundir, "hosts", name + ".sock")
        self.act, self.peers, self.problem = act, [], None
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path + ".new")
        self.listener.listen(backlog)
        os.rename(self.path + ".new", self.path)
        if act:
            self.start()

    def run(self):
        while True:
            try:
                peer = Peer(self.listener.accept()[0])
            except OSError:
                return
            self.peers.append(peer)
            try:
                self.act(peer)
            except (BrokenPipeError, ConnectionResetError):
                pass # given up by the program: so it should
            except Exception as problem:  # the test looks at it
                self.problem = problem

    def end(self):
        os.unlink(self.path)
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.act:
            self.join()
        for peer in self.peers:
            peer.conn.close()
        if self.problem:
            raise AssertionError("the host: %r" % self.problem)


class Program:
    def __init__(self, t, prog, **env):
        self.p = t.start([prog], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)
        assert self.p.stdout.readline() == b"ready\n"
        self.rounds = 0

    def round(self):
        self.p.stdin.write(b"x\n")
        self.p.stdin.flush()
        self.rounds += 1
        assert int(self.p.stdout.readline()) == self.rounds * 2 * 4950

    def control_fds(self):
        """How many the thread has that the runtime adds; None: there is none. One more while it looks for hosts."""
        for task in os.listdir("/proc/%d/task" % self.p.pid):
            try:
                with open("/proc/%d/task/%s/comm" % (self.p.pid, task)) as f:
                    if f.read() == "cairn\n":
                        return len(os.listdir("/proc/%d/task/%s/fd" % (self.p.pid, task)))
            except (FileNotFoundError, ProcessLookupError):
                pass # another, that was joined and has ended now
        return None

    def end(self, cpu=1.0):
        """As if nobody had been there; `cpu`: seconds that it may have worked at most."""
        self.p.stdin.close()
        assert self.p.stdout.read() == b"end %d 0\n" % self.rounds
        _, status, used = os.wait4(self.p.pid, 0)
        self.p.returncode = os.waitstatus_to_exitcode(status)
        assert self.p.returncode == 7, status
        assert used.ru_utime + used.ru_stime < cpu, used


def program_of(t):
    return t.compile("p", PROGRAM, ["-pthread"])


# ---- hosts ----

@test
def cut_off_at_any_byte(t):
    """Each beginning of the messages that switch an event on, then the end."""
    prog = program_of(t)
    ring = RingSet()
    whole = [(ring.message(), [ring.fd]), (switch(ENABLE, (1, 1, 1), (2, 1, 2)), []), (message(SYNCED), [])]

    def act(peer):
        peer.hear(SYNC)
        for data, fds in whole[:which]:
            peer.say(data, *fds)
        data, fds = whole[which]
        if cut:
            peer.say(data[:cut], *fds)
        peer.conn.close()

    for which in range(len(whole)):
        for cut in range(len(whole[which][0])):
            h = Host(t, act)
            p = Program(t, prog)
            p.round()
            p.end()
            h.end()


@test
def a_host_that_never_answers(t):
    h = Host(t, lambda peer: peer.hear(None))
    p = Program(t, program_of(t), CAIRN_WAIT_MS="50")
    for _ in range(5):
        p.round()
    p.end()
    h.end()


@test
def a_host_that_never_accepts(t):
    """Even its queue of connections is full."""
    h = Host(t, None, backlog=0)
    first = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    first.connect(h.path)
    p = Program(t, program_of(t), CAIRN_WAIT_MS="50")
    for _ in range(5):
        p.round()
    p.end()
    h.end()


@test
def ring_sets_that_make_no_sense(t):
    """All are refused; after that, one that is right is taken, and written."""
    right = RingSet()
    r, w = os.pipe()
    free = RingSet(seals=0)
    bad = [(RingSet(size=4096), "cut"), (RingSet(size=right.size - 1), "cut"), (free, "unsealed"),
           (RingSet(nrings=0), "no rings"), (RingSet(ring=3 << 16), "no power of two"),
           (RingSet(ctl=0), "over itself"), (RingSet(ctl=1 << 40, data=PAGE), "order"),
           (RingSet(seals=fcntl.F_SEAL_SHRINK | 8), "write-sealed"), (RingSet(mode=9), "mode"),
           (RingSet(contexts=~0 & 0xffffffff), "contexts")]
    lies = RingSet()
    lies.size *= 2
    bad.append((lies, "a lie"))

    def act(peer):
        peer.hear(SYNC)
        for ring, why in bad:
            assert peer.ask(ring.message(), ring.fd) < 0, why
            assert peer.ask(switch(ENABLE, (1, 1, 1))) < 0, why
        os.ftruncate(free.fd, 0)
        for fd in (r, w, os.open("/", os.O_RDONLY), os.open("/dev/zero", os.O_RDWR),
                   os.open(t.dir, os.O_TMPFILE | os.O_RDWR), peer.conn.fileno()):
            assert peer.ask(right.message(), fd) < 0, fd
        with tempfile.TemporaryFile(dir=t.dir) as deleted:  # whose end may come nearer at any time
            deleted.write(os.pread(right.fd, BOUNDARY, 0))
            deleted.truncate(right.size)
            deleted.flush()
            assert peer.ask(right.message(), deleted.fileno()) < 0
        assert peer.ask(right.message()) < 0
        assert peer.ask(message(RINGSET, b"x" * 23), right.fd) < 0
        for items in ([(0, 1, 1)], [(1000, 1, 1)], [(1, 2, 1)], [(1, 1, 1 << 30)]):
            assert peer.ask(switch(ENABLE, *items)) < 0, items
        assert peer.ask(right.message(), right.fd) == 0
        assert peer.ask(switch(ENABLE, (0, 1, 1), (1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 1, 4))) < 0
        peer.say(message(SYNCED))
        peer.hear(None)

    h = Host(t, act)
    p = Program(t, program_of(t))
    for _ in range(3):
        p.round()
    assert right.written() > 0
    p.end()
    h.end()


@test
def orders_out_of_order_and_twice(t):
    ring = RingSet()

    def act(peer):
        for data in (message(SYNCED), switch(DISABLE, (1, 1, 1)), message(CLOSE, ring.message()[16:])):
            peer.say(data)
        for _ in range(3):
            peer.say(ring.message(), ring.fd)
            peer.say(ring.message(2), ring.fd)
            for _ in range(3):
                peer.say(switch(ENABLE, (1, 1, 1), (1, 2, 9), (2, 1, 1)))
            peer.say(message(SYNCED))
            peer.say(message(CLOSE, ring.message()[16:]))
            peer.say(message(CLOSE, ring.message(2)[16:]))
        for kind in range(0, 200):
            peer.say(message(kind, os.urandom(24)) if kind != DECLINE else message(SYNCED))
        peer.hear(None)

    h = Host(t, act)
    p = Program(t, program_of(t), CAIRN_WAIT_MS="50")
    for _ in range(5):
        p.round()
    p.end()
    h.end()


@test
def a_host_that_asks_and_does_not_read(t):
    ring = RingSet()
    said = threading.Event()

    def act(peer):
        peer.hear(SYNC)
        try:
            peer.say(ring.message(), ring.fd)
            for i in range(20000):
                peer.say(message(CLOSE, b"none such"))
        finally:
            said.set()

    h = Host(t, act)
    p = Program(t, program_of(t), CAIRN_WAIT_MS="50")
    assert said.wait(60)
    p.round()
    p.end(cpu=5)
    h.end()


@test
def a_host_that_never_stops_talking(t):
    """The program forks and registers beside it: nobody keeps the runtime's lock from it."""
    ring = RingSet()

    def act(peer):
        peer.hear(SYNC)
        peer.say(ring.message(), ring.fd)
        peer.say(message(SYNCED))
        while True:
            peer.say(message(99, b"x" * 100))

    h = Host(t, act)
    p = Program(t, program_of(t))
    for _ in range(50):
        p.round()
    p.end(cpu=10)
    h.end()


@test
def lent_descriptors_are_given_back(t):
    """However many a host sends, and whatever they are."""
    done = threading.Event()
    go = threading.Event()

    def act(peer):
        peer.hear(SYNC)
        peer.say(message(SYNCED))
        null, root, proc = (os.open(p, os.O_RDONLY) for p in ("/dev/null", "/", "/proc"))
        for i in range(300):
            for kind in (PROC, RINGSET, ENABLE, SYNCED, 99):
                peer.say(message(kind, b"12345678"), *[null, root, proc][i % 3:])
        peer.ask(switch(ENABLE, (1, 1, 1)))
        while peer.acks.count(-71) < 300:
            if not peer.hear(ACK):
                return
        done.set()
        go.wait(60)

    h = Host(t, act)
    p = Program(t, program_of(t))
    assert done.wait(60)
    p.round()
    # its signals, the socket, two folders of /proc
    wait_for(lambda: 0 < (p.control_fds() or 0) <= 4, "all are given back but 4")
    go.set()
    p.end()
    h.end()


@test
def rings_written_by_the_host(t):
    """Positions, times and counts of a host that writes into rings while the program does."""
    rings = [RingSet(mode=0, ring=65536), RingSet(mode=1, ring=65536), RingSet(mode=2, block_ns=1000)]
    stop = threading.Event()

    def act(peer):
        peer.hear(SYNC)
        for n, ring in enumerate(rings, 1):
            assert peer.ask(ring.message(n), ring.fd) == 0
            assert peer.ask(switch(ENABLE, *((e, n, e) for e in peer.events))) == 0
        peer.say(message(SYNCED))
        while not stop.is_set():
            for ring in rings:
                for cpu in range(CPUS):
                    at = ring.ctl + cpu * PAGE + 8 * (os.urandom(1)[0] % 64)
                    os.pwrite(ring.fd, os.urandom(8), at)

    h = Host(t, act)
    p = Program(t, program_of(t))
    for _ in range(50):
        p.round()
    stop.set()
    p.end(cpu=10)
    h.end()


@test
def hosts_one_after_the_other(t):
    """Hosts come, lend rings and die: no more is kept than what they had asked for."""
    def act(peer):
        peer.hear(SYNC)
        ring = RingSet()
        peer.ask(ring.message(), ring.fd)
        peer.ask(switch(ENABLE, (1, 1, 1)))
        peer.say(message(SYNCED))
        os.close(ring.fd)
        peer.conn.close()

    h = Host(t, act, "first")
    p = Program(t, program_of(t))
    for i in range(12):
        more = Host(t, act, "host%d" % i)
        wait_for(lambda: more.peers, "the program comes")
        more.end()
        p.round()
    h.end()
    wait_for(lambda: 0 < (p.control_fds() or 0) <= 2 + 13, "no more are kept than 15")
    p.end(cpu=3)


@test
def ring_files_in_memory_are_no_unsealed_memory(t):
    """A file system in memory knows seals, too: --ring-dir works there."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix=IN_SHM) as rings:
        t.record([t.compile("q", PROGRAM, ["-pthread"])], "--ring-dir", rings, status=7)
    assert t.names() == ["h:begin"]


@test
def a_full_disk_beneath_ring_files(t):
    """On a file system that cannot set blocks aside, they are written first: a full disk is the
    host's problem, before the program writes its first event."""
    need("mkfs.ext2")
    disk = t.path("disk")
    os.mkdir(disk)
    with open(t.path("image"), "w") as f:
        f.truncate(16 << 20)
    t.run(["mkfs.ext2", "-q", "-F", t.path("image")])
    if t.run(["mount", "-o", "loop", t.path("image"), disk], status=None).status:
        raise Skip("no loop mounts here")
    try:
        r = t.start([CAIRN, "record", "-o", t.trace, "--ring-dir", disk, "--ring-size", "256K", "--",
                     t.compile("q", PROGRAM, ["-pthread"])], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
        assert r.stdout.readline() == b"ready\n"
        with open(disk + "/all-the-rest", "wb", buffering=0) as f:
            try:
                while f.write(bytes(1024)):
                    pass
            except OSError:
                pass # full
        _, err = r.communicate(b"x\n" * 100, timeout=60)
        assert r.returncode == 7, (r.returncode, err)
        assert sum(e["event"] == "body" for e in t.events()) == 100 * 100
    finally:
        t.run(["umount", "-l", disk])


@test
def another_host_works_beside_it(t):
    t.daemon()
    ring = RingSet()

    def act(peer):
        peer.hear(SYNC)
        peer.say(ring.message(1), ring.fd)
        peer.say(switch(ENABLE, *((e, 1, e) for e in range(0, 9))))
        peer.say(b"no message at all")

    t.cairn("session", "create", "good", "-o", t.trace)
    t.cairn("session", "enable", "good", "h:*")
    t.cairn("session", "start", "good")
    h = Host(t, act)
    p = Program(t, program_of(t))
    for _ in range(5):
        p.round()
    p.end()
    h.end()
    t.cairn("session", "destroy", "good")
    assert t.stat()["by_event"] == {"h:begin": 1, "h:body": 500, "h:thread": 500, "h:child": 5} or \
        t.stat()["by_event"].get("h:child") == 5, t.stat()["by_event"]
    t.check_babeltrace()


main()
