#!/usr/bin/env python3
"""Kernel events in sessions of a daemon: several at once, changed while they record, rotated, snapshot,
and nothing left behind."""
import json
import os
import pwd
import re
import shutil
import struct
import subprocess
import time

from cairn import BUILD, CAIRN, SOURCE, Skip, main, test, wait_for

TRACEFS = "/sys/kernel/tracing"


def need_tracefs(*events):
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not os.path.isdir(TRACEFS + "/instances"):
        raise Skip("needs tracefs on " + TRACEFS)
    for event in events:
        if not os.path.isdir(TRACEFS + "/events/" + event.replace(":", "/")):
            raise Skip("this kernel has no event " + event)


def instances(pid):
    """Those that this process made."""
    return sorted(n for n in os.listdir(TRACEFS + "/instances") if n.startswith("cairn-%d-" % pid))


# Reads "N\n", makes N system calls, says "\n".
DOER = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((noinline)) long once(long i) { __asm__ volatile(""); return syscall(SYS_getpgid, i); }
int main(void)
{
	long n;
	while (scanf("%ld", &n) == 1) {
		for (long i = 1; i <= n; i++) { once(i + 1000000000); syscall(SYS_getppid); }
		puts("");
		fflush(stdout);
	}
}
"""
EVENTS = ("syscalls:sys_enter_getpgid", "syscalls:sys_enter_getppid")


class Doer:
    def __init__(self, t):
        t.compile("doer", DOER)
        self.p = t.start([t.path("doer")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.p.pid

    def do(self, n):
        self.p.stdin.write(b"%d\n" % n)
        self.p.stdin.flush()
        assert self.p.stdout.readline() == b"\n"


def counts(t, trace):
    """How many of each event; none lost."""
    found = {}
    for e in t.events(trace):
        found[e["event"]] = found.get(e["event"], 0) + 1
    assert not t.lost(trace), t.lost(trace)
    return found


def session(t, verb, name, *options, status=0):
    return t.cairn("session", verb, name, *options, status=status)


@test
def several_at_once(t):
    need_tracefs(*EVENTS)
    d, doer = t.daemon(), Doer(t)
    session(t, "create", "one", "-p", doer.pid, "-o", t.path("one"), "-k", EVENTS[0], "--start")
    session(t, "create", "two", "-p", doer.pid, "-o", t.path("two"), "-k", EVENTS[1], "--start",
            "--kernel-filter", EVENTS[0] + ": pid >= 1000000099", "--kernel-buffer", "512K")
    assert len(instances(d.pid)) == 2, instances(d.pid)
    doer.do(100)
    session(t, "stop", "one")
    # a stopped session costs the kernel nothing
    assert len(instances(d.pid)) == 1, instances(d.pid)
    doer.do(50)
    session(t, "start", "one")
    doer.do(7)
    text = t.cairn("session", "list").out
    for want in ("kernel   " + EVENTS[0], EVENTS[0] + " if pid >= 1000000099", "buffers of 512.0 KiB"):
        assert want in text, text
    listed = {s["name"]: s for s in json.loads(t.cairn("session", "list", "--json").out)}
    assert listed["two"]["kernel"]["rules"][1] == {
        "pattern": EVENTS[0], "filter": "pid >= 1000000099", "excludes": []}, listed
    assert listed["two"]["kernel"]["instance"] in instances(d.pid)
    t.cairn("session", "destroy", "one", "two")
    assert not instances(d.pid)
    assert counts(t, t.path("one")) == {"sys_enter_getpgid": 107}, counts(t, t.path("one"))
    assert counts(t, t.path("two")) == {"sys_enter_getppid": 157, "sys_enter_getpgid": 2}
    for trace in ("one", "two"):
        t.check_babeltrace(t.path(trace))


@test
def changed_while_it_records(t):
    need_tracefs(*EVENTS)
    d, doer = t.daemon(), Doer(t)
    # without kernel events at first: they come later
    session(t, "create", "s", "-p", doer.pid, "-o", t.trace, "-e", "*:*", "--start")
    doer.do(1)
    session(t, "enable", "s", "-k", EVENTS[0])
    doer.do(10)
    session(t, "enable", "s", "-k", EVENTS[1] + " if 1 == 1", status=1)  # no such filter
    doer.do(10)
    session(t, "enable", "s", "-e", "nobody:nothing", "-k", "syscalls:sys_*_getppid", "-k", "sched:sched_process_exit")
    doer.do(5)
    session(t, "disable", "s", "-k", EVENTS[0])
    doer.do(3)
    session(t, "disable", "s", "-k", "syscalls:sys_exit_*")
    doer.do(2)
    r = session(t, "disable", "s", "-k", "syscalls:sys_exit_*", status=1)
    assert "no kernel event that matches" in r.err, r
    listed = json.loads(t.cairn("session", "list", "--json").out)[0]
    assert listed["kernel"]["rules"] == [
        {"pattern": "syscalls:sys_*_getppid", "filter": None, "excludes": ["syscalls:sys_exit_*"]},
        {"pattern": "sched:sched_process_exit", "filter": None, "excludes": []}], listed
    # what is enabled again has another filter, or none
    session(t, "enable", "s", "-k", EVENTS[0] + " if pid == 1000000002")
    doer.do(4)
    t.cairn("session", "destroy", "s")
    assert not instances(d.pid)
    assert counts(t, t.trace) == {"sys_enter_getpgid": 26, "sys_enter_getppid": 14,
                                  "sys_exit_getppid": 8}, counts(t, t.trace)
    t.check_babeltrace()


@test
def probes_come_and_go(t):
    need_tracefs(*EVENTS)
    if not os.path.exists(TRACEFS + "/uprobe_events"):
        raise Skip("this kernel has no uprobes")
    doer = Doer(t)
    d = t.daemon()

    def probe(value):
        return "%s:once i=$arg1%s" % (t.path("doer"), value)

    session(t, "create", "s", "-p", doer.pid, "-o", t.trace, "-k", EVENTS[0], "--uprobe", probe(""), "--start")
    doer.do(3)
    session(t, "disable", "s", "-k", "*:once")
    doer.do(4)
    session(t, "enable", "s", "--uprobe", probe(""))
    doer.do(5)
    r = session(t, "enable", "s", "--uprobe", "%s:twice" % t.path("doer"), status=1)
    assert "twice" in r.err and "^" in r.err, r
    # with other events beside a wrong one, none is added
    r = session(t, "enable", "s", "-k", "sched:sched_switch", "--uprobe", "%s:twice" % t.path("doer"), status=1)
    r = session(t, "enable", "s", "-k", "sched:sched_switch", "-k", "sched:nothing", status=1)
    assert "no kernel event matches 'sched:nothing'" in r.err, r
    listed = json.loads(t.cairn("session", "list", "--json").out)[0]["kernel"]
    assert [r["pattern"] for r in listed["rules"]] == [EVENTS[0]], listed
    assert listed["probes"] == [{"kind": "uprobe", "text": probe("")}], listed
    session(t, "stop", "s")
    assert "cairn_%d_" % d.pid not in open(TRACEFS + "/dynamic_events").read()
    session(t, "start", "s")
    doer.do(6)
    t.cairn("session", "destroy", "s")
    assert "cairn_%d_" % d.pid not in open(TRACEFS + "/dynamic_events").read()
    got = counts(t, t.trace)
    assert got == {"sys_enter_getpgid": 18, "once": 14}, got
    values = [e["fields"]["i"] for e in t.events() if e["event"] == "once"]
    assert values[-1] == 1000000006, values


@test
def rotation_cuts_both(t):
    need_tracefs(*EVENTS)
    d, doer = t.daemon(), Doer(t)
    session(t, "create", "s", "-p", doer.pid, "-o", t.trace, "-k", EVENTS[0], "--start")
    done = [5, 0, 300]
    for i, n in enumerate(done):
        doer.do(n)
        if i < 2:
            assert session(t, "rotate", "s").out.strip() == t.trace + "/chunk-%d" % (i + 1)
    t.cairn("session", "destroy", "s")
    assert not instances(d.pid)
    for i, n in enumerate(done):
        chunk = t.trace + "/chunk-%d" % (i + 1)
        assert sorted(os.listdir(chunk)) == ["kernel", "user"]
        assert counts(t, chunk) == ({"sys_enter_getpgid": n} if n else {}), (chunk, counts(t, chunk))
        # each is a trace of its own: names and texts are there
        lines = [l for l in t.cairn("print", chunk).out.splitlines() if "sys_enter_getpgid" in l]
        assert all("doer-%d" % doer.pid in l and "pid: 0x3b9a" in l for l in lines), lines[:3]
        t.check_babeltrace(chunk)
    assert counts(t, t.trace) == {"sys_enter_getpgid": sum(done)}
    pids = [e["fields"]["pid"] for e in t.events()]
    assert pids == [1000000000 + i for n in done for i in range(1, n + 1)]


@test
def snapshots_of_a_flight_recorder(t):
    need_tracefs(*EVENTS)
    d, doer = t.daemon("--output-root", t.path("out")), Doer(t)
    session(t, "create", "box", "-p", doer.pid, "--mode", "overwrite", "-k", EVENTS[0], "--start",
            "--kernel-buffer", "64K")
    doer.do(40)
    first = session(t, "snapshot", "box").out.strip()
    doer.do(2)
    session(t, "snapshot", "box", "-o", t.path("second"))
    # what a snapshot has read is in the next one, too
    assert counts(t, first) == {"sys_enter_getpgid": 40}, counts(t, first)
    assert counts(t, t.path("second")) == {"sys_enter_getpgid": 42}
    lines = [l for l in t.cairn("print", first).out.splitlines() if "sys_enter_getpgid" in l]
    assert len(lines) == 40 and all("doer-%d" % doer.pid in l for l in lines), lines[:3]
    # far more than there is room for: the newest stay, and nothing of it is "lost"
    doer.do(50000)
    session(t, "snapshot", "box", "-o", t.path("third"))
    pids = [e["fields"]["pid"] for e in t.events(t.path("third"))]
    assert 500 < len(pids) < 10000, len(pids)
    assert pids[-1] == 1000050000, pids[-3:]
    late = [p for p in pids if p > 1000000040]  # another CPU may have earlier ones still
    assert len(late) > 500 and late == sorted(late), late[-3:]
    for trace in (first, t.path("second"), t.path("third")):
        t.check_babeltrace(trace)
    session(t, "snapshot", "box", "-o", t.path("second"), status=1)  # not empty
    doer.do(1)
    session(t, "snapshot", "box", "-o", t.path("fourth"))
    assert [e["fields"]["pid"] for e in t.events(t.path("fourth"))][-1] == 1000000001
    # into its own output when it stops, once
    last = json.loads(t.cairn("session", "list", "--json").out)[0]["output"]
    session(t, "stop", "box")
    n = len(t.events(last + "/kernel"))
    session(t, "start", "box")
    doer.do(3)
    t.cairn("session", "destroy", "box")
    assert n > 500 and len(t.events(last + "/kernel")) == n + 3, n
    assert not instances(d.pid)
    # one that had none at first
    session(t, "create", "box2", "--mode", "overwrite", "-p", doer.pid, "-e", "*:*", "--start")
    session(t, "enable", "box2", "-k", EVENTS[0])
    doer.do(6)
    session(t, "snapshot", "box2", "-o", t.path("fifth"))
    assert counts(t, t.path("fifth")) == {"sys_enter_getpgid": 6}
    t.cairn("session", "destroy", "box2")


@test
def record_as_a_flight_recorder(t):
    need_tracefs("syscalls:sys_enter_getpgid")
    prog = t.compile("doer", DOER)
    t.record([prog], "--mode", "overwrite", "-k", EVENTS[0], "-k", "task:task_rename", "--kernel-buffer", "64K",
             input=b"100000\n")
    events = t.events()
    assert sorted(os.listdir(t.trace)) == ["kernel", "user"]
    assert events[-1]["fields"]["pid"] == 1000100000, events[-1]
    assert 500 < len(events) < 10000, len(events)
    assert ["task_rename"] != [e["event"] for e in events][:1]  # long overwritten
    t.check_babeltrace()


MARKS = r"""
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	for (int i = 1; i <= 3000; i++) { syscall(SYS_getpgid, 1000000000 + i); CAIRN(between, mark, i); }
}
"""


def stream(t, *options, command):
    """What `record -o -` writes."""
    with open(t.path("stream"), "wb") as f:
        p = t.start([CAIRN, "record", "-q", "-o", "-", *options, "--", *command], stdout=f, stderr=subprocess.DEVNULL)
        assert p.wait() == 0
    return open(t.path("stream"), "rb").read()


def read_stream(t, data, *options):
    with open(t.path("input"), "wb") as f:
        f.write(data)
    p = subprocess.run([CAIRN, *options, "-"], stdin=open(t.path("input"), "rb"), env=t.env, timeout=60,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return p.stdout.decode(), p.stderr.decode()


def packets(data):
    """(kind, uuid, instance, bytes) of each packet of a stream, by their heads alone."""
    at = 0
    while at < len(data):
        magic, uuid = struct.unpack_from("<I16s", data, at)
        if magic in (0x75d11d57, 0x75d11d58):
            content, size = struct.unpack_from("<II", data, at + 24)
            yield "metadata" if magic == 0x75d11d57 else "texts", uuid, None, data[at + 37:at + content // 8]
        else:
            assert magic == 0xc1fc1fc1, (at, hex(magic))
            stream, instance = struct.unpack_from("<IQ", data, at + 20)
            size = struct.unpack_from("<Q", data, at + 56)[0]
            yield "data", uuid, (stream, instance), data[at:at + size // 8]
        at += size // 8


@test
def a_stream_has_both_traces(t):
    need_tracefs(*EVENTS)
    prog = t.compile("marks", MARKS)
    data = stream(t, "-k", EVENTS[0], command=[prog])
    out, err = read_stream(t, data, "print", "--json")
    assert not err, err
    events = [e for e in map(json.loads, out.splitlines()) if e["provider"] != "cairn_state"]
    got = [e["fields"].get("pid", 0) - 1000000000 if e["event"] != "mark" else -e["fields"]["i"] for e in events]
    assert got == [v for i in range(1, 3001) for v in (i, -i)], got[:10]
    # as the kernel prints it: its words came along
    lines = [l for l in read_stream(t, data, "print")[0].splitlines() if "sys_enter_getpgid" in l]
    assert len(lines) == 3000 and all("marks-" in l and "pid: 0x3b9a" in l for l in lines), lines[:3]
    # taken apart by the heads of its packets it is a directory
    for kind, uuid, instance, packet in packets(data):
        name = {"metadata": "metadata", "texts": "formats/events"}.get(kind, "stream-%s-%s" % (instance or (0, 0)))
        path = t.path("apart/%s/%s" % (uuid.hex(), name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab") as f:
            f.write(packet)
    assert len(os.listdir(t.path("apart"))) == 2
    assert counts(t, t.path("apart")) == {"sys_enter_getpgid": 3000, "mark": 3000}
    t.check_babeltrace(t.path("apart"))
    assert [l for l in t.cairn("print", t.path("apart")).out.splitlines() if "getpgid" in l] == lines


@test
def damage_in_a_stream_costs_a_packet(t):
    need_tracefs(*EVENTS)
    prog = t.compile("marks", MARKS)
    data = stream(t, "-k", EVENTS[0], command=[prog])
    left = []
    for kind, _, _, packet in packets(data):
        if kind == "data" and len(packet) > 4096:
            at = data.index(packet)
            hurt = data[:at + 500] + data[at + 900:]  # bytes are missing
            out, err = read_stream(t, hurt, "print", "--json")
            left.append(len([l for l in out.splitlines() if "cairn_state" not in l]))
            assert "damaged" in err or "cut off" in err, err
    # one packet is of names, the others have half of the events each, or less
    assert len(left) >= 2 and min(left) < 6000 and all(n >= 3000 for n in left), left
    # cut anywhere: what is whole before is read
    first = next(data.index(p) + len(p) for kind, _, _, p in packets(data) if kind == "data")
    for cut in range(0, len(data), len(data) // 40):
        out, err = read_stream(t, data[:cut], "print", "--json")
        assert cut < first or out, (cut, err)


@test
def symbols_and_stacks_in_a_stream(t):
    need_tracefs("sched:sched_switch")
    data = stream(t, "-k", "sched:sched_switch", "--stack", "kernel", command=["sh", "-c", "ls / | cat"])
    out, err = read_stream(t, data, "print", "--stacks")
    assert "schedule+0x" in out.replace("__schedule", "schedule"), (out[-2000:], err)


TOP = ("set_event", "dynamic_events", "trace_clock", "buffer_size_kb", "tracing_on", "current_tracer",
       "set_event_pid", "set_event_notrace_pid", "trace_options", "buffer_percent", "tracing_cpumask")


def alive(name):
    """Of an instance or a line of dynamic_events: is its maker alive? True if it is not Cairn's."""
    m = re.search(r"cairn[-_](\d+)[-_](\d+)", name)
    if not m:
        return True
    try:
        with open("/proc/%s/stat" % m.group(1)) as f:
            fields = f.read().rpartition(")")[2].split()
            return fields[19] == m.group(2) and fields[0] != "Z"
    except OSError:
        return False


def tracefs_state():
    """Settings at the top, and what is there of the dead and of nobody's; others' tests may run beside."""
    state = {}
    for name in TOP:
        with open(TRACEFS + "/" + name) as f:
            state[name] = [l for l in f.read().splitlines() if not re.search(r"cairn[-_]\d", l) or not alive(l)]
    with open(TRACEFS + "/events/enable") as f:
        state["enable"] = f.read()
    state["instances"] = sorted(n for n in os.listdir(TRACEFS + "/instances")
                                if not n.startswith("cairn-") or not alive(n))
    return state


def as_before(before):
    """Others' tests may have something on for a moment."""
    end = time.monotonic() + 20
    while (now := tracefs_state()) != before:
        assert time.monotonic() < end, [(k, before[k], now[k]) for k in before if before[k] != now[k]]
        time.sleep(0.05)


def records(pid):
    """A new instance is on for a moment, before it is set up; events come while it is off."""
    def read(name, file):
        try:
            with open(TRACEFS + "/instances/%s/%s" % (name, file)) as f:
                return f.read().strip()
        except OSError:
            return ""

    return any(read(n, "set_event") and read(n, "tracing_on") == "1" for n in instances(pid))


@test
def killed_at_any_point(t):
    """The host, the daemon and the program are killed with sessions on; whoever comes next puts it right."""
    need_tracefs(*EVENTS)
    t.record(["true"], "-k", EVENTS[0], trace=t.path("sweeps"))
    before = tracefs_state()
    doer = Doer(t)
    probe = ["--uprobe", t.path("doer") + ":once i=$arg1"]
    d = t.daemon()
    for name in ("one", "two"):
        session(t, "create", name, "-p", doer.pid, "-o", t.path(name), "-k", EVENTS[name == "two"], *probe, "--start")
    host = t.start([CAIRN, "record", "-q", "-o", t.path("host"), "-k", EVENTS[0], *probe, "-p", doer.pid],
                   stderr=subprocess.DEVNULL)
    wait_for(lambda: records(host.pid), "it records")
    doer.do(100)
    doer.p.kill()
    doer.p.wait()
    # -p: it ends with the program, and leaves nothing
    assert host.wait() == 0
    assert not instances(host.pid)
    assert counts(t, t.path("host")) == {"sys_enter_getpgid": 100, "once": 100}
    doer = Doer(t)
    host = t.start([CAIRN, "record", "-q", "-o", t.path("killed"), "-k", EVENTS[0], *probe, "-p", doer.pid],
                   stderr=subprocess.DEVNULL)
    wait_for(lambda: records(host.pid), "it records")
    doer.do(50)
    wait_for(lambda: os.path.exists(t.path("killed/kernel/cpu0")) or os.path.exists(t.path("killed/kernel/cpu1")),
             "something is written")
    for p in (host, d):
        p.kill()
        # ended, but nobody has asked for its status: that is dead, too
        wait_for(lambda: open("/proc/%d/stat" % p.pid).read().rpartition(")")[2].split()[0] == "Z", "it is dead")
    doer.do(50)
    assert len(instances(d.pid)) == 2 and len(instances(host.pid)) == 1
    t.record(["true"], "-k", EVENTS[0], trace=t.path("next"))
    as_before(before)
    # what had been written can be read
    assert counts(t, t.path("one"))["sys_enter_getpgid"] == 100
    assert 0 < counts(t, t.path("killed"))["sys_enter_getpgid"] <= 50
    # and a daemon begins as if nothing had been
    d = t.daemon()
    session(t, "create", "one", "-p", doer.pid, "-o", t.path("again"), "-k", EVENTS[0], *probe, "--start")
    doer.do(10)
    t.cairn("session", "destroy", "one")
    assert counts(t, t.path("again")) == {"sys_enter_getpgid": 10, "once": 10}
    # the next daemon sweeps, without any session
    session(t, "create", "one", "-p", doer.pid, "-o", t.path("third"), "-k", EVENTS[0], *probe, "--start")
    d.kill()
    d.wait()
    assert len(instances(d.pid)) == 1
    t.daemon()
    as_before(before)
    t.cairn("daemon", "--stop")


@test
def followed_while_it_changes(t):
    need_tracefs(*EVENTS)
    doer = Doer(t)
    t.daemon()
    session(t, "create", "s", "-p", doer.pid, "-o", t.trace, "-k", EVENTS[0], "--start")
    doer.do(3)
    follow = t.start([CAIRN, "print", "-f", "-e", "syscalls", t.trace], stdout=subprocess.PIPE)
    lines = [follow.stdout.readline().decode() for _ in range(3)]
    session(t, "enable", "s", "-k", EVENTS[1])
    doer.do(2)
    lines += [follow.stdout.readline().decode() for _ in range(4)]
    follow.kill()
    t.cairn("session", "destroy", "s")
    got = [re.search(r"doer-%d .*(sys_enter_\w+): (.*)" % doer.pid, l).groups() for l in lines]
    assert [g[0][len("sys_enter_"):] for g in got] == ["getpgid"] * 3 + ["getpgid", "getppid"] * 2, got
    # as the kernel prints them, also those that came later
    assert all("__syscall_nr" not in g[1] for g in got), got



LOAD = r"""
import os, socket, subprocess, sys, threading, time
end = time.monotonic() + float(sys.argv[1])
while time.monotonic() < end:
    subprocess.run(["cc", "-O1", "-c", "-o", "x.o", "between.c", "-I" + sys.argv[2]], check=True)
    s = socket.create_server(("127.0.0.1", 0))
    def serve():
        c, _ = s.accept()
        while c.recv(65536):
            pass
    t = threading.Thread(target=serve)
    t.start()
    c = socket.create_connection(s.getsockname())
    for i in range(500):
        c.sendall(b"x" * 1000)
    c.close()
    t.join()
    for i in range(50):
        with open("f%d" % i, "w") as f:
            f.write("x" * 1000)
        os.unlink("f%d" % i)
"""


@test
def all_events_at_once(t):
    """CAIRN_TEST_SECONDS of real load; a few usually."""
    need_tracefs(*EVENTS)
    seconds = os.environ.get("CAIRN_TEST_SECONDS", "2")
    t.write("load.py", LOAD)
    t.write("between.c", ORDER)
    before = tracefs_state()
    r = t.record(["python3", "load.py", seconds, SOURCE + "/include"], "--all", "-k", "*:*", timeout=600)
    as_before(before)
    stat = t.stat()
    with open(TRACEFS + "/available_events") as f:
        print("# of %d events %d occurred, %d times; %d lost" % (
            len(f.read().split()), len(stat["by_event"]), stat["events"], sum(v for k, v in stat["lost"].items() if k != "total")))
    assert stat["events"] > 100000 and len(stat["by_event"]) > 100, stat["events"]
    # what is lost is said, by both
    m = re.search(r"([\d,]+) kernel events were lost", r.err)
    assert (int(m.group(1).replace(",", "")) if m else 0) == sum(v for k, v in stat["lost"].items() if k != "total"), (r.err, stat["lost"])
    said = [l for l in r.err.splitlines() if not re.search("lost|hint: --kernel-buffer|next: |: without ", l)]
    assert not said, said
    if shutil.which("babeltrace2"):
        p = t.run(["babeltrace2", "--component=sink.utils.counter", t.trace], timeout=600)
        assert re.search(r"\b%s Event messages" % "{:,}".format(stat["events"]).replace(",", ",?"), p.out), (p, stat["events"])


ORDER = r"""
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *work(void *arg)
{
	for (int i = 0; i < 60000; i++) {
		syscall(SYS_getpgid, 1000000000 + i);
		CAIRN(between, mark, i);
	}
	return 0;
}
int main(int argc, char **argv)
{
	pthread_t t[3];
	if (argc > 1) kill(atoi(argv[1]), SIGSTOP);
	for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, work, 0);
	for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
	if (argc > 1) kill(atoi(argv[1]), SIGCONT);
}
"""


@test
def in_order_whatever_is_lost(t):
    """Marks between a program's own system calls, when both lose some: the host is stopped for a while."""
    need_tracefs(*EVENTS)
    t.compile("between", ORDER, ["-pthread"])
    command = ["sh", "-c", "./between $PPID; ./between"]
    record = t.start([CAIRN, "record", "-q", "-o", t.trace, "-k", EVENTS[0], "--kernel-buffer", "64K", "--ring-size",
                      "64K", "--", *command], stderr=subprocess.DEVNULL)
    assert record.wait() == 0
    assert sum(t.lost().values()) > 100000, t.lost()
    last, seen = {}, {"mark": 0, "sys_enter_getpgid": 0}
    for e in t.events():
        if e["event"] == "mark":
            at = 2 * e["fields"]["i"] + 1
        elif e["event"] == "sys_enter_getpgid" and e["fields"]["pid"] >= 1000000000:
            at = 2 * (e["fields"]["pid"] - 1000000000)
        else:
            continue
        seen[e["event"]] += 1
        assert at > last.get(e["tid"], -1), (e, last[e["tid"]])
        last[e["tid"]] = at
    assert len(last) >= 3 and min(seen.values()) > 1000, (last, seen)
    events = sum(seen.values()) + sum(t.lost().values())
    assert 2 * 6 * 60000 <= events <= 2 * 6 * 60000 + 200, (events, seen, t.lost())


def irqs():
    """{number: who handles it}"""
    found = {}
    for line in open("/proc/interrupts"):
        m = re.match(r" *(\d+):(?: +\d+)+ +(\S+)(?: +\S+ +(.*\S))?", line)
        if m:
            found[int(m.group(1))] = (m.group(2), m.group(3) or "")
    return found


@test
def state_of_the_system(t):
    need_tracefs(*EVENTS)
    doer = Doer(t)
    with open(t.path("held"), "w") as f:
        holder = t.start(["cat"], stdin=subprocess.PIPE, stdout=f)
    before = irqs()
    t.daemon()
    for names in ("kernel", "lttng"):
        trace = t.path(names)
        session(t, "create", names, "--names", names, "-k", EVENTS[0], "-p", "%d,%d" % (doer.pid, holder.pid), "-o",
                trace, "--start")
        doer.do(3)
        t.cairn("session", "rotate", names)
        doer.do(2)
        t.cairn("session", "destroy", names)
        rows = [json.loads(l) for l in t.cairn("print", "--json", trace + "/chunk-2").out.splitlines()]
        state = {}
        for r in rows:
            state.setdefault(r["event"].replace("lttng_statedump_", ""), []).append(r["fields"])
        files = state["open_file" if names == "kernel" else "file_descriptor"]
        held = [f for f in files if f["pid"] == holder.pid and f["fd"] == 1]
        assert len(held) == 1 and held[0]["filename"] == t.path("held") and held[0]["fmode"] == 2, files
        assert held[0]["flags"] & 3 == os.O_WRONLY and not [f for f in files if f["pid"] not in (doer.pid, holder.pid)]
        got = {i["irq"]: (i["name"], i["action"]) for i in state["interrupt"]}
        assert before.items() <= got.items(), (before, got)
        if os.path.exists("/proc/modules"):
            modules = {l.split()[0]: int(l.split()[5], 16) for l in open("/proc/modules")}
            told = {m["name"]: m["base"] for m in state.get("kernel_module" if names == "kernel" else "module", [])}
            assert modules == told, (modules, told)
        if names == "lttng":
            assert list(state)[0] == "start" and "end" in state and "process_state" in state, list(state)
            disks = {tuple(map(int, l.split()[:2])): l.split()[3] for l in open("/proc/partitions") if l.strip()[:1].isdigit()}
            assert disks == {(d["dev"] >> 20, d["dev"] & 0xfffff): d["diskname"] for d in state.get("block_device", [])}
        t.check_babeltrace(trace)
    # of a command: what it gets, and not what `cairn` had open
    t.record(["true"], "-k", EVENTS[0])
    rows = [json.loads(l) for l in t.cairn("print", "--json", t.trace).out.splitlines()]
    fds = [r["fields"]["fd"] for r in rows if r["event"] == "open_file"]
    assert {0, 1, 2} <= set(fds) and len(fds) < 8, fds


@test
def what_is_refused_leaves_nothing(t):
    need_tracefs(*EVENTS)
    d = t.daemon("--output-root", t.path("out"))
    os.mkdir(t.path("mine"))
    for n, options in enumerate((["-k", "no:such"], ["-k", EVENTS[0] + " if nothing == 1"],
                                 ["--uprobe", "/nowhere:nothing"], ["--eprobe", "no/such x=1"])):
        t.record(["true"], *options, status=1, trace=t.path("r%d" % n))
        t.record(["true"], *options, status=1, trace=t.path("mine"))
        session(t, "create", "s", *options, "-o", t.path("s%d" % n), "--start", status=1)
        session(t, "create", "s", *options, "--start", status=1)
        assert json.loads(t.cairn("session", "list", "--json").out) == []
    t.write("kept", "")
    os.mkdir(t.path("full"))
    t.write("full/metadata", "somebody's")
    t.record(["true"], "-k", EVENTS[0], status=1, trace=t.path("full"))
    left = sorted(n for n in os.listdir(t.dir) if n not in ("run", "daemon.err", "out"))
    assert left == ["full", "kept", "mine"], left
    assert os.listdir(t.path("mine")) == [] and os.listdir(t.path("full")) == ["metadata"]
    assert not os.path.exists(t.path("out")) or os.listdir(t.path("out")) == []
    assert not instances(d.pid)
    # what was refused can be put right: the session is there until it is destroyed
    session(t, "create", "s", "-k", "no:such", "-o", t.trace)
    session(t, "start", "s", status=1)
    session(t, "disable", "s", "-k", "no:such")
    session(t, "enable", "s", "-k", EVENTS[0])
    session(t, "start", "s")
    session(t, "destroy", "s")
    assert t.stat()["events"] > 0  # at least the names


@test
def only_root_through_roots_host(t):
    need_tracefs(*EVENTS)
    nobody = pwd.getpwnam("nobody")
    d = t.daemon()
    os.chmod(t.dir, 0o755)

    def drop():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    err = open(t.path("err"), "w")
    p = t.start([CAIRN, "session", "create", "mine", "-k", EVENTS[0], "--start"], preexec_fn=drop, stderr=err)
    status, said = p.wait(), open(t.path("err")).read()
    if "Permission denied" in said and "cairn" not in said:
        raise Skip("others cannot reach what was built")
    assert status == 1 and "only root may record them" in said, (status, said)
    assert not instances(d.pid)


def as_nobody(*setpriv):
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", "--reuid=%d" % nobody.pw_uid, "--regid=%d" % nobody.pw_gid, "--clear-groups", *setpriv]


@test
def what_users_may(t):
    need_tracefs("sched:sched_process_exec")
    if not shutil.which("setpriv"):
        raise Skip("needs setpriv")
    nobody = pwd.getpwnam("nobody")
    os.chmod(t.dir, 0o755)
    os.mkdir(t.path("nobody"))
    os.chown(t.path("nobody"), nobody.pw_uid, nobody.pw_gid)
    env = {"CAIRN_RUNDIR": t.path("nobody/run")}
    if t.run([*as_nobody(), CAIRN, "--version"], status=None).status:
        raise Skip("others cannot reach what was built")
    t.compile("marks", MARKS)

    def record(name, *options, how=(), status=0, **more):
        return t.run([*as_nobody(*how), CAIRN, "record", "-o", t.path("nobody/" + name), *options, "--",
                      t.path("marks")], status=status, env=dict(env, **more))

    r = record("a", "-k", "sched:*", status=1)
    assert "kernel events need root or CAP_DAC_OVERRIDE" in r.err and "without -k programs' own events" in r.err, r
    assert not os.path.exists(t.path("nobody/a"))
    # that works, as is said
    record("a")
    assert len(t.events(t.path("nobody/a"))) == 3000
    # may look, but not write, as a group for which tracefs was mounted
    for path in ("fake/events/sched/sched_switch", "fake/instances"):
        os.makedirs(t.path(path))
    t.write("fake/available_events", "sched:sched_switch\n")
    r = record("b", "-k", "sched:*", status=1, CAIRN_TRACEFS=t.path("fake"))
    assert "may only look at them" in r.err and "cairn kernel list" in r.err, r
    os.chmod(t.path("fake"), 0o700)
    r = record("b", "-k", "sched:*", status=1, CAIRN_TRACEFS=t.path("fake"))
    assert "kernel events need root or CAP_DAC_OVERRIDE" in r.err, r
    assert not os.path.exists(t.path("nobody/b"))
    # the capability is enough
    record("c", "-k", "sched:sched_process_exec", how=["--inh-caps=+dac_override", "--ambient-caps=+dac_override"])
    assert "sched:sched_process_exec" in t.names(t.path("nobody/c"))


API = r"""
#include <cairn/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#define OK(call) do { if ((call) < 0) { printf("%s: %s\n", #call, err.message); exit(1); } } while (0)
static void work(int n) { while (n--) syscall(SYS_getpgid, 1000000000); }
int main(int argc, char **argv)
{
	struct cairn_error err;
	struct cairn_host *host;
	struct cairn_control *ctl;
	struct cairn_session_info *list;
	size_t n;
	pid_t me = getpid();
	struct cairn_host_options opts = {.size = sizeof(opts), .wanted = CAIRN_WANT_CHILDREN};
	struct cairn_channel_config channel = {.mode = CAIRN_CHANNEL_OVERWRITE};
	struct cairn_kernel_config kernel = {.size = sizeof(kernel), .flight_recorder = 1, .pids = &me, .npids = 1};
	struct cairn_session_config cfg = {.size = sizeof(cfg), .name = "api", .output_fd = -1, .channels = &channel,
		.nchannels = 1, .kernel = &kernel};
	struct cairn_kernel_rule rule = {.pattern = "syscalls:sys_enter_getpgid", .filter = "pid == 1000000000"};
	struct cairn_kernel_config more = {.size = sizeof(more), .rules = &rule, .nrules = 1};

	OK(cairn_host_new(&opts, &host, &err));
	OK(cairn_control_local(host, &ctl, &err));
	OK(cairn_session_create(ctl, &cfg, &err));
	OK(cairn_session_start(ctl, "api", 1000, NULL, &err));
	work(3);
	OK(cairn_session_enable_kernel(ctl, "api", &more, &err));
	work(5);
	OK(cairn_session_disable_kernel(ctl, "api", "syscalls:*getpgid", &err));
	work(7);
	if (cairn_session_disable_kernel(ctl, "api", "syscalls:*getpgid", &err) != -2)
		return 2;
	OK(cairn_session_snapshot(ctl, "api", argv[1], NULL, 0, &err));
	OK(cairn_session_list(ctl, NULL, &list, &n, &err));
	if (n != 1 || !list[0].kernel || list[0].kernel->nrules != 1 || list[0].kernel->rules[0].nexcludes != 1 ||
		!list[0].kernel->flight_recorder)
		return 3;
	cairn_session_list_free(list);
	OK(cairn_session_destroy(ctl, "api", &err));
	cairn_control_free(ctl);
	cairn_host_free(host);
	return 0;
}
"""


@test
def by_the_c_interface(t):
    need_tracefs(*EVENTS)
    prog = t.compile("api", API, ["-L" + BUILD, "-lcairn", "-Wl,-rpath," + BUILD])
    r = t.run([prog, t.trace], status=None)
    if "ASan runtime" in r.err:
        raise Skip("the library was built with a sanitizer")
    assert r.status == 0, r
    assert counts(t, t.trace) == {"sys_enter_getpgid": 5}, counts(t, t.trace)


main()
