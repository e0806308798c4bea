#!/usr/bin/env python3
"""Kernel events when things go wrong, or much is asked: who is killed leaves nothing, all events at once, order
whatever is lost; who may; and the state of the system in traces."""
import json
import os
import pwd
import re
import shutil
import subprocess

from cairn import CAIRN, SOURCE, Skip, main, test, wait_for
from kernel import (DOER, EVENTS, MARKS, TRACEFS, Doer, as_before, counts, instances, need_tracefs, records, session,
                    tracefs_state)


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
    wait_for(lambda: "sys_enter_getpgid" in t.cairn("print", t.path("killed"), status=None).out, "something is written")
    for p in (host, d):
        p.kill()
        # ended, but nobody has asked for its status: that is dead, too
        wait_for(lambda: open("/proc/%d/stat" % p.pid).read().rpartition(")")[2].split()[0] == "Z", "it is dead")
    doer.do(50)
    # their instances are there, unless another test's session has swept them
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
    t.daemon()
    as_before(before)
    t.cairn("daemon", "--stop")


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
    # beside the summary, which ends so or so, nothing but what is left off, and who of other tests is not reached
    said = [l for l in r.err.splitlines() if not re.search(
        r"^cairn: 0 events and [\d,]+ of the kernel|kernel events were lost|buffers grew|hint: |next: |: without |"
        r"marked programs? cannot be reached", l)]
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


@test
def children_that_are_there_already(t):
    need_tracefs(*EVENTS)
    t.compile("doer", DOER)
    shell = t.start(["sh", "-c", "./doer; true"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    shell.stdin.write(b"1\n")
    shell.stdin.flush()
    assert shell.stdout.readline() == b"\n"  # its child runs
    t.daemon()
    session(t, "create", "s", "-p", shell.pid, "-o", t.trace, "-k", EVENTS[0], "--start")
    shell.communicate(b"20\n")
    t.cairn("session", "destroy", "s")
    assert counts(t, t.trace) == {"sys_enter_getpgid": 20}, counts(t, t.trace)
    rows = [json.loads(l) for l in t.cairn("print", "--json", t.trace).out.splitlines()]
    assert len({r["fields"]["pid"] for r in rows if r["event"] == "open_file"}) == 2


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


main()
