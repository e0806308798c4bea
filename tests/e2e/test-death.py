#!/usr/bin/env python3
"""When things die: programs, hosts, disks. Every event whose site had returned is in the trace or
counted lost; nothing is torn; nobody hangs."""
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys

from cairn import BUILD, CAIRN, Skip, main, need, test, unread_bytes, wait_for

# Fires events with a checkable content; publishes in a mapped file, after each site returned, how
# many it has fired: argv[2] in all, with a pause of argv[3] us after each 16; the last of them when the file
# argv[4] is there: before, it is still running however slow the test.
COUNTING = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int fd = open(argv[1], O_RDWR | O_CREAT, 0600);
	volatile uint64_t *n = ftruncate(fd, 4096) ? 0 : mmap(0, 4096, 3, MAP_SHARED, fd, 0);
	uint64_t end = argc > 2 ? strtoull(argv[2], 0, 0) : ~0ull;
	long pause = argc > 3 ? atol(argv[3]) : 0;
	for (uint64_t i = 0; i < end; i++) {
		while (argc > 4 && i == end - end / 4 && access(argv[4], F_OK)) usleep(1000);
		char text[32];
		unsigned len = i % 23;
		for (unsigned k = 0; k < len; k++) text[k] = 'a' + (i + k) % 26;
		text[len] = 0;
		CAIRN(k, e, i, (s, (const char *)text), (x, i * 0x9e3779b97f4a7c15ull));
		*n = i + 1;
		if (pause && i % 16 == 0) usleep(pause);
	}
}
"""


def fired(path):
    try:
        with open(path, "rb") as f:
            return int.from_bytes(f.read(8), "little")
    except OSError:
        return 0


def written(trace):
    """Whether events are on disk."""
    return any(os.path.getsize(os.path.join(trace, f)) for f in os.listdir(trace) if f.startswith("channel"))


def check_contents(events):
    for e in events:
        f = e["fields"]
        i = f["i"]
        assert f["s"] == "".join(chr(97 + (i + k) % 26) for k in range(i % 23)), f
        assert f["x"] == i * 0x9e3779b97f4a7c15 % 2**64, f


@test
def program_killed_at_any_instant(t):
    prog = t.compile("p", COUNTING)
    for k in range(12):
        trace, count = t.path("t%d" % k), t.path("n%d" % k)
        r = t.start([CAIRN, "record", "-o", trace, "--ring-size", "1M", "--", "sh", "-c",
                     "%s %s & echo $!; wait" % (prog, count)], stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE)
        pid = int(r.stdout.readline())
        wait_for(lambda: fired(count) > random.randrange(20000), "some events")
        os.kill(pid, signal.SIGKILL)
        r.communicate(timeout=60)
        events = t.events(trace)
        check_contents(events)
        lost = sum(t.lost(trace).values())
        got = [e["fields"]["i"] for e in events]
        assert got == sorted(set(got))
        n = fired(count)
        assert n <= len(got) + lost <= n + 1, (n, len(got), lost)


@test
def host_killed(t):
    """The program runs on unharmed; the trace up to then is readable: the first events of each ring.
    The program keeps to one CPU and so to one ring, which may not be full however slow the host."""
    prog = t.compile("p", COUNTING)
    cpu = str(min(os.sched_getaffinity(0)))
    for k in range(5):
        trace, count = t.path("t%d" % k), t.path("n%d" % k)
        r = t.start([CAIRN, "record", "-o", trace, "--ring-size", "64M", "--",
                     "taskset", "-c", cpu, prog, count, "400000", "1", t.path("go%d" % k)])
        wait_for(lambda: fired(count) > 5000 + random.randrange(20000) and written(trace), "some events")
        r.kill()
        r.wait()
        before = fired(count)
        t.write("go%d" % k, "")
        wait_for(lambda: fired(count) > before + 1000, "the program goes on")
        events = t.events(trace)
        check_contents(events)
        got = [e["fields"]["i"] for e in events]
        assert got == list(range(len(got))), "a hole"
        subprocess.run(["pkill", "-9", "-f", count], check=False)


@test
def new_host_takes_over(t):
    prog = t.compile("p", COUNTING)
    count = t.path("n")
    out1 = t.path("one")
    d = t.daemon()
    t.cairn("session", "create", "s", "-o", out1)
    t.cairn("session", "enable", "s", "k:*")
    t.cairn("session", "start", "s")
    p = t.start([prog, count, "300000", "1", t.path("go")])
    wait_for(lambda: fired(count) > 20000, "some events")
    d.kill()
    d.wait()
    at = fired(count)
    t.daemon()
    wait_for(lambda: "s" in [s["name"] for s in json.loads(
        t.cairn("session", "list", "--json").out)], "the session is taken over")
    t.write("go", "")
    wait_for(lambda: fired(count) > at + 1000, "the program goes on")
    p.wait(timeout=100)
    assert p.returncode == 0
    again = json.loads(t.cairn("session", "list", "--json").out)
    out2 = [s for s in again if s["name"] == "s"][0]["output"]
    t.cairn("session", "stop", "s")
    t.cairn("session", "destroy", "s")
    one, two = t.events(out1), t.events(out2) if out2 != out1 else []
    check_contents(one)
    check_contents(two)
    got = [e["fields"]["i"] for e in one + two]
    assert len(got) == len(set(got)), "doubled"
    lost = sum(t.lost(out1).values()) + (sum(t.lost(out2).values()) if two else 0)
    assert len(got) + lost >= fired(count), (len(got), lost, fired(count))


def taken_over(t, order):
    """A session of two channels, whose rings the program got in this order, after its host died;
    gives its description."""
    count = t.path("n")
    d = t.daemon()
    t.cairn("session", "create", "s", "-o", t.path("one"))
    t.cairn("session", "channel", "s", "second")
    t.cairn("session", "start", "s")
    t.start([t.compile("p", COUNTING), count, "0xffffffff", "500"])  # until the test ends
    wait_for(lambda: fired(count) > 0, "some events")
    for channel in order:
        t.cairn("session", "enable", "s", "k:*", "--channel", channel)
    before = fired(count)
    wait_for(lambda: fired(count) > before + 5000, "some events")
    d.kill()
    d.wait()
    t.daemon()

    def sessions():
        return json.loads(t.cairn("session", "list", "--json").out)
    wait_for(lambda: [c["name"] for s in sessions() for c in s["channels"] if c["rings"]] ==
             ["channel0", "second"], "both channels are taken over")
    return sessions


@test
def all_channels_are_taken_over(t):
    sessions = taken_over(t, ["second", "channel0"])
    t.cairn("session", "stop", "s")
    s = sessions()[0]
    t.cairn("session", "destroy", "s")
    assert s["events"] == len(t.events(s["output"])), s  # counted by the metadata that the rings carry
    assert not t.run(["grep", "cannot be taken over", t.path("daemon.err")], status=None).out
    events = t.events(s["output"])
    check_contents(events)
    assert events
    files = {f.split("_")[0] for f in os.listdir(s["output"])}
    assert {"second", "channel0"} <= files, files
    t.check_babeltrace(s["output"])


@test
def taken_over_sessions_refuse_changes(t):
    """And say what can be done instead."""
    sessions = taken_over(t, ["channel0", "second"])
    assert sessions()[0]["recovered"] is True
    for verb in (["enable", "s", "k:*"], ["disable", "s", "k:*"], ["stop", "s"], ["start", "s"], ["enable", "s", "x:*"]):
        r = t.cairn("session", *verb, status=0 if verb[0] == "stop" else 1)
        if verb[0] == "stop":
            continue
        assert len(r.err.splitlines()) == 2, r
        assert "'s' was taken over" in r.err and "cairn session destroy s" in r.err, r
        assert not sessions()[0]["rules"]
    out2 = sessions()[0]["output"]
    t.cairn("session", "destroy", "s")
    assert t.events(out2)
    t.check_babeltrace(out2)
    t.cairn("session", "create", "s", "-e", "k:*", "-o", t.path("three"), "--start")  # as the hint says


@test
def full_disk(t):
    if os.getuid() != 0:
        raise Skip("needs root, to mount a small file system")
    small = t.path("small")
    os.mkdir(small)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small]).returncode:
        raise Skip("cannot mount a tmpfs here")
    try:
        prog = t.compile("p", COUNTING)
        count = t.path("n")
        r = t.cairn("record", "-o", small + "/t", "--", prog, count, "200000", status=None)
        assert r.status == 1 and "the disk is full" in r.err, r
        assert fired(count) == 200000
        events = t.events(small + "/t")
        check_contents(events)
        assert len(events) + sum(t.lost(small + "/t").values()) <= 200000
        assert events
    finally:
        subprocess.run(["umount", "-l", small])


def file_limit():
    """A limit on the size of files that lets the smallest rings be made, and not much more."""
    with open("/sys/devices/system/cpu/possible") as f:
        rings = int(re.findall(r"\d+", f.read())[-1]) + 1
    return (5 << 20) + rings * (68 << 10)


@test
def file_size_limit(t):
    """Like a full disk: said, counted exactly, in the trace too; the command is as without us."""
    prog = t.compile("p", COUNTING)
    count, limit = t.path("n"), file_limit()
    n = limit // 15
    r = t.run(["prlimit", "--fsize=%d" % limit, CAIRN, "record", "-o", t.trace, "--ring-size", "64K", "--mode",
               "block", "--", "taskset", "-c", str(min(os.sched_getaffinity(0))), prog, count, str(n)], status=1)
    assert "ulimit -f" in r.err and "events were lost (disk" in r.err, r
    assert fired(count) == n
    events = t.events()
    check_contents(events)
    got = [e["fields"]["i"] for e in events]
    assert got and got == sorted(set(got))
    assert len(got) + sum(t.lost().values()) == n, (len(got), t.lost(), n)
    assert t.lost().get("disk", 0) > 0, t.lost()
    t.check_babeltrace()


@test
def file_size_limit_forbids_rings(t):
    prog = t.compile("p", COUNTING)
    count = t.path("n")
    for more in ([], ["--ring-dir", t.path("rings")]):
        r = t.run(["prlimit", "--fsize=65536", CAIRN, "record", "-o", t.trace + str(len(more)), *more, "--", prog,
                   count, "1000"], status=1)
        assert "ulimit -f" in r.err and "no rings" in r.err, r
        assert fired(count) == 1000


@test
def file_size_limit_is_the_commands_own(t):
    """The command is killed by its own too large file as it would be without us."""
    prog = t.compile("p", """
#include <cairn/trace.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
int main(void)
{
	printf("%d\\n", signal(SIGXFSZ, SIG_DFL) == SIG_DFL);
	CAIRN(x, e);
}
""")
    for shell, want in (("", "1\n"), ("trap '' XFSZ; ", "0\n")):
        r = t.run(["sh", "-c", "%sexec %s record -o %s -- %s" % (shell, CAIRN, t.trace + want.strip(), prog)])
        assert r.out == want, r


@test
def file_size_limit_of_the_daemon(t):
    """It goes on, and so does what comes after."""
    prog = t.compile("p", COUNTING)
    limit = file_limit()
    d = t.start(["prlimit", "--fsize=%d" % limit, CAIRN, "daemon"], stderr=open(t.path("daemon.err"), "w"))
    wait_for(lambda: t.run([CAIRN, "list"], status=None).status == 0, "the daemon answers")
    t.cairn("session", "create", "s", "-o", t.trace, "--ring-size", "64K", "--mode", "block", "--start")
    t.run([prog, t.path("n"), str(limit // 15)])
    t.cairn("session", "destroy", "s")
    assert d.poll() is None
    assert t.lost().get("disk", 0) > 0, t.lost()
    text = open(t.path("daemon.err")).read()
    assert text.count("ulimit -f") == 1, text


@test
def no_descriptors_in_the_program(t):
    prog = t.compile("p", """
#include <cairn/trace.h>
#include <fcntl.h>
#include <sys/resource.h>
int main(void)
{
	while (open("/dev/null", O_RDONLY) >= 0) ;
	for (int i = 0; i < 1000; i++) CAIRN(n, e, i);
}
""")
    t.record(["sh", "-c", "ulimit -n 20; exec %s" % prog])
    assert [e["fields"]["i"] for e in t.events()] == list(range(1000))


@test
def no_descriptors_in_the_host(t):
    """Whatever the limit: it works, or says what is missing; the program is not harmed."""
    prog = t.compile("p", COUNTING)
    for limit in range(6, 30):
        count, trace = t.path("n%d" % limit), t.path("t%d" % limit)
        r = t.run(["sh", "-c", "ulimit -n %d; exec %s record -o %s -- %s %s 1000" % (
            limit, CAIRN, trace, prog, count)], status=None)
        if fired(count) != 1000 or len(r.err) == 0 or not os.path.exists(trace) or not t.events(trace):
            assert re.search("open files|descriptor", r.err), (limit, r)
        if r.status == 0:
            assert fired(count) == 1000, (limit, r)


@test
def no_memory_for_rings(t):
    prog = t.compile("p", COUNTING)
    r = t.run(["sh", "-c", "ulimit -v 400000; exec %s record -o %s --ring-size 1G -- %s %s 1000" % (
        CAIRN, t.trace, prog, t.path("n"))], status=1)
    assert "memory" in r.err and "--ring-size" in r.err, r
    assert fired(t.path("n")) == 1000


@test
def core_of_the_program(t):
    need("gdb")
    prog = t.compile("p", COUNTING)
    count, core = t.path("n"), t.path("core")
    r = t.start([CAIRN, "record", "-o", t.trace, "--mode", "overwrite", "--ring-size", "1M", "--", "sh", "-c",
                 "%s %s & echo $!; wait" % (prog, count)], stdout=subprocess.PIPE)
    pid = int(r.stdout.readline())
    wait_for(lambda: fired(count) > 10000, "some events")
    t.run(["gdb", "-q", "-batch", "-p", str(pid), "-ex", "generate-core-file " + core], status=None)
    assert os.path.exists(core)
    os.kill(pid, signal.SIGKILL)
    r.wait(timeout=60)
    t.cairn("recover", core, "-o", t.path("recovered"))
    events = t.events(t.path("recovered"))
    check_contents(events)
    assert len(events) > 1000, len(events)


@test
def rings_in_files(t):
    prog = t.compile("p", COUNTING)
    rings = t.path("rings")
    count = t.path("n")
    r = t.start([CAIRN, "record", "-o", t.trace, "--ring-dir", rings, "--mode", "overwrite", "--", prog, count])
    wait_for(lambda: fired(count) > 10000, "some events")
    r.kill()
    r.wait()
    subprocess.run(["pkill", "-9", "-f", count], check=False)
    r = t.run(["prlimit", "--fsize=8192", CAIRN, "recover", rings, "-o", t.path("limited")], status=1)
    assert "File too large" in r.err, r
    t.cairn("recover", rings, "-o", t.path("recovered"))
    events = t.events(t.path("recovered"))
    check_contents(events)
    assert len(events) > 1000, len(events)


@test
def cut_stream_file(t):
    prog = t.compile("p", COUNTING)
    t.record([prog, t.path("n"), "20000"], "--ring-size", "64K", "--mode", "block")
    whole = len(t.events())
    files = [os.path.join(t.trace, f) for f in os.listdir(t.trace) if f.startswith("channel")]
    for cut in (1, 7, 100, 5000):
        bad = t.path("cut%d" % cut)
        shutil.copytree(t.trace, bad)
        for f in files:
            g = os.path.join(bad, os.path.basename(f))
            os.truncate(g, max(0, os.path.getsize(g) - cut))
        events = t.events(bad)
        check_contents(events)
        assert 0 < len(events) <= whole


@test
def a_stream_that_nobody_reads_holds_nothing_up(t):
    """The recorder heeds signals, says why the trace is cut, and what it could not write is counted."""
    prog = t.compile("p", COUNTING)
    for how, code in ((signal.SIGINT, 128 + signal.SIGINT), (signal.SIGTERM, 128 + signal.SIGTERM)):
        r, w = os.pipe()
        p = t.start([CAIRN, "record", "-o", "-", "--", prog, t.path("n"), "2000000000"], stdout=w,
                    stderr=subprocess.PIPE, text=True)
        os.close(w)
        # every slot of the pipe has something, and a packet that goes on
        wait_for(lambda: unread_bytes(r) > 32768, "the pipe is full")
        p.send_signal(how)  # by kill(1): passed on
        _, said = p.communicate(timeout=120)
        os.close(r)
        assert p.returncode == code, (p.returncode, said)
        assert "writing the trace failed: nobody reads it" in said and "disk" in said, said
        os.unlink(t.path("n"))


main()
