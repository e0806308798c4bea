#!/usr/bin/env python3
"""Kernel events in sessions of a daemon: several at once, changed while they record, rotated, snapshot; and
in streams."""
import json
import os
import re
import struct
import subprocess

from cairn import BUILD, CAIRN, Skip, main, test
from kernel import DOER, EVENTS, MARKS, TRACEFS, Doer, counts, instances, need_tracefs, session


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
    # on one CPU: the buffers of others keep what is old
    t.run(["taskset", "-c", str(min(os.sched_getaffinity(0))), CAIRN, "record", "-o", t.trace, "--mode", "overwrite",
           "-k", EVENTS[0], "-k", "task:task_rename", "--kernel-buffer", "64K", "--", prog], input=b"100000\n")
    events = t.events()
    assert sorted(os.listdir(t.trace)) == ["kernel", "user"]
    assert events[-1]["fields"]["pid"] == 1000100000, events[-1]
    assert 500 < len(events) < 10000, len(events)
    assert ["task_rename"] != [e["event"] for e in events][:1]  # long overwritten
    t.check_babeltrace()


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
    # of one clock, to the last bit: a stream has no end at which it could be said better
    clocks = {re.search(rb"clock \{.*?\n\}", p, re.S).group() for kind, _, _, p in packets(data)
              if kind == "metadata" and b"clock {" in p}
    assert len(clocks) == 1, clocks
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
