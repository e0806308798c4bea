#!/usr/bin/env python3
"""cairn kernel on the kernel at hand, whatever that has: lists, events, what is refused, cleaning up.
What other kernels have is tested in a virtual machine (tests/vm)."""
import json
import os
import re
import signal
import subprocess

from cairn import CAIRN, Skip, main, small_pipe, test, unread_bytes, wait_for
from kernel import instances, left_behind, run_noted

TRACEFS = "/sys/kernel/tracing"


def need_tracefs():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not os.path.isdir(TRACEFS + "/instances"):
        raise Skip("needs tracefs on " + TRACEFS)


def kernel(*args, **options):
    return run_noted([CAIRN, "kernel", *args], **options)


def read(path):
    with open(os.path.join(TRACEFS, path), encoding="utf-8") as f:
        return f.read()


@test
def the_list_is_the_kernels(t):
    need_tracefs()
    got = json.loads(kernel("list", "--json").stdout)
    tracers = {x["name"]: x["have"] for x in got["tracers"]}
    have = set(read("available_tracers").split())
    assert {n for n, has in tracers.items() if has} == have - {"nop"}, (tracers, have)
    assert set(got["clocks"]) == set(read("trace_clock").replace("[", "").replace("]", "").split())
    assert all(x["config"].startswith("CONFIG_") for kind in ("tracers", "probes", "features")
               for x in got[kind])
    events = kernel("list", "*").stdout.split()
    assert len(events) == got["events"] == len(set(events))
    # others may make and remove probes meanwhile; those of the kernel itself stay
    named = {e for e in read("available_events").split() if e.startswith(("sched:", "syscalls:"))}
    assert named == {e for e in events if e.startswith(("sched:", "syscalls:"))}


@test
def texts_are_judged_without_recording(t):
    need_tracefs()
    good = kernel("check", "-k", "sched:sched_swi* if prev_pid > 1 && next_comm ~ 'ba*'")
    assert good.returncode == 0 and "  events      sched:sched_switch\n" in good.stdout, good
    bad = kernel("check", "--kernel-filter", "sched:sched_switch: prev_pid = 1")
    assert bad.returncode == 1 and not bad.stdout, bad
    assert ("cairn kernel check: --kernel-filter: an operator is missing: == != < <= > >= &\n"
            "  sched:sched_switch: prev_pid = 1\n"
            "                               ^\n"
            "  '==' compares\n") == bad.stderr, bad.stderr
    both = kernel("check", "--json", "-k", "sched:sched_* if prev_pid > 1", "--kernel-filter",
                  "sched:sched_switch: nothing > 1", "-k", "nosuch:*")
    fits, wrong, none = json.loads(both.stdout)["checks"]
    assert both.returncode == 1 and not both.stderr, both
    assert fits["ok"] and fits["events"] == ["sched:sched_switch"], fits
    assert "sched:sched_wakeup" in fits["without"], fits
    assert not wrong["ok"] and wrong["at"] == 20 and wrong["len"] == 7, wrong
    assert not none["ok"] and "no kernel event matches" in none["message"], none
    got = kernel("check", "--json", "-k", "sched:sched_swich", "--kernel-filter",
                 "kmem:kmalloc: call_site.function == vfs_reed", "--kernel-filter",
                 "kmem:kmalloc: call_site.function == 'vfs_read'", "--kernel-filter",
                 "kmem:kmalloc: call_site.function == vfs_read", "--kprobe", "vfs_read x=")
    swich, reed, quoted, read_, missing = json.loads(got.stdout)["checks"]
    assert swich["hint"] == "did you mean 'sched:sched_switch'?", swich
    if os.path.exists(TRACEFS + "/events/kmem/kmalloc"):
        assert "no function 'vfs_reed'" in reed["message"] and reed["at"] == 36, reed
        assert not quoted["ok"] and read_["ok"], (quoted, read_)
        assert quoted["hint"] == "did you mean vfs_read?", quoted
    assert not missing["ok"] and missing["len"] == 0, missing
    assert kernel("check").returncode == 2 and kernel("check", "text").returncode == 2
    if os.path.exists(TRACEFS + "/uprobe_events"):
        got = kernel("check", "--json", "--uprobe", CAIRN + ":main%return code=$retval:s32")
        probe, = json.loads(got.stdout)["checks"]
        assert probe["ok"] and probe["event"] == "uprobes:main__return", probe
        assert probe["kind"] == "uprobe" and probe["return"], probe
        assert probe["definition"].startswith("r:uprobes/main__return " + CAIRN + ":0x"), probe
        assert probe["fields"] == [{"name": "code", "type": "s32", "from": "$retval:s32"}], probe
        got = kernel("check", "--uprobe", CAIRN + ":main a=%rax")
        assert got.returncode == 1 and "the kernel calls it %ax" in got.stderr, got
    assert not left_behind() and "uprobes/main__return" not in read("dynamic_events"), left_behind()


@test
def what_cannot_be_written_is_said(t):
    need_tracefs()
    for args in (["kernel", "clean"], ["kernel", "clean", "--json"], ["kernel", "list"],
                 ["kernel", "check", "-k", "sched"], ["help", "--table"], ["kernel", "--help"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            r = subprocess.run([CAIRN, *args], stdout=full, stderr=subprocess.PIPE, text=True,
                               check=False, timeout=60)
        assert r.returncode == 1 and "cannot write" in r.stderr, (args, r)
    with open("/dev/full", "w", encoding="ascii") as full:
        r = subprocess.run([CAIRN, "record", "-o", "-", "-k", "sched", "--", "true"], stdout=full,
                           stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert r.returncode == 1 and "writing the trace failed" in r.stderr, r
    assert "none lost" not in r.stderr and "--kernel-buffer" not in r.stderr, r.stderr


@test
def fields_are_those_of_the_format_files(t):
    need_tracefs()
    got = json.loads(kernel("list", "--fields", "--json", "sched:sched_switch", "irq:*").stdout)
    by_name = {e["event"]: e for e in got["events"]}
    text = read("events/sched/sched_switch/format")
    for f in by_name["sched:sched_switch"]["fields"]:
        assert "offset:%d;\tsize:%d;\tsigned:%d;" % (f["offset"], f["size"], f["signed"]) in text, f
    assert by_name["sched:sched_switch"]["id"] == int(text.split("ID: ")[1].split()[0])


@test
def events_of_the_command_only(t):
    need_tracefs()
    got = kernel("trace", "nop", "--json", "-e", "sched:sched_process_*", "-o", "/dev/stderr", "--",
                 "sh", "-c", "/bin/true; exit 3")
    assert got.returncode == 3, got
    events = [json.loads(line) for line in got.stderr.splitlines()]
    assert all(e["event"].startswith("sched:sched_process_") for e in events)
    names = [e["event"] for e in events]
    assert "sched:sched_process_exec" in names and "sched:sched_process_exit" in names, names
    execs = [e["filename"] for e in events if e["event"] == "sched:sched_process_exec"]
    assert execs[-1] == "/bin/true", execs
    times = [e["time_ns"] for e in events]
    assert times == sorted(times)


@test
def threads_of_a_running_process(t):
    need_tracefs()
    if not os.path.isdir(TRACEFS + "/events/syscalls/sys_enter_getppid"):
        raise Skip("this kernel has no events of system calls")
    prog = t.compile("threads", """
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *work(void *arg) { for (;;) { syscall(SYS_getppid); usleep(100); } return arg; }
int main(void) {
	pthread_t t;
	pthread_create(&t, 0, work, 0); pthread_create(&t, 0, work, 0);
	puts("x"); fflush(stdout); work(0);
}""", ["-pthread"])
    p = subprocess.Popen([prog], stdout=subprocess.PIPE)
    try:
        p.stdout.readline()
        tids = {int(n) for n in os.listdir("/proc/%d/task" % p.pid)}
        tracer = subprocess.Popen([CAIRN, "kernel", "trace", "nop", "--json", "-p", str(p.pid),
                                   "-e", "syscalls:sys_enter_getppid"], stdout=subprocess.PIPE)
        seen = set()
        while seen != tids: # ends, or the test's limit does it
            seen.add(json.loads(tracer.stdout.readline())["tid"])
        tracer.send_signal(signal.SIGINT)
        seen |= {json.loads(line)["tid"] for line in tracer.stdout}
        assert tracer.wait(timeout=120) == 0 and seen == tids and len(tids) == 3, (seen, tids)
        tracer.stdout.close()
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
    got = kernel("trace", "nop", "-p", str(p.pid), "-e", "sched:*")
    assert got.returncode == 1 and "no process" in got.stderr, got


@test
def text_is_the_kernels(t):
    need_tracefs()
    got = kernel("trace", "nop", "-e", "sched:sched_process_exec", "-o", "/dev/stderr", "--", "true")
    lines = got.stderr.splitlines()
    assert lines[0] == "# tracer: nop" and "TASK-PID" in got.stderr, got
    assert [x for x in lines if x[0] != "#" and ": sched_process_exec: filename=" in x], got


@test
def nothing_is_left_behind(t):
    """By Ctrl-C, by a reader that goes, by a failure; and after kill -9 by the next start."""
    need_tracefs()
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with open(t.path("err"), "w") as err:
            p = subprocess.Popen([CAIRN, "kernel", "trace", "nop", "--all", "-e", "sched:sched_switch"],
                                 stdout=subprocess.PIPE, stderr=err)
        try:
            line = p.stdout.readline()
            assert line == b"# tracer: nop\n", (line, open(t.path("err")).read())
            name = wait_for(lambda: instances(p.pid), "the instance")
            p.send_signal(how)
            code = p.wait(timeout=120)
        finally:
            p.kill()
            p.communicate()
        # 1: the pipe was full, and nobody read it
        assert code in ((-how,) if how == signal.SIGKILL else (0, 1)), code
        if how != signal.SIGKILL:
            assert not instances(p.pid)
            continue
        assert instances(p.pid) in (name, [])  # another test's session may have swept it
        # another's instance, and one that is called nearly as ours
        os.mkdir(TRACEFS + "/instances/cairn-others-%d" % os.getpid())
        try:
            # another test's dead may hold a probe for a moment
            wait_for(lambda: kernel("clean").returncode == 0, "all of the dead is removed")
            assert not instances(p.pid)
            assert os.path.isdir(TRACEFS + "/instances/cairn-others-%d" % os.getpid())
        finally:
            os.rmdir(TRACEFS + "/instances/cairn-others-%d" % os.getpid())
    p = subprocess.Popen([CAIRN, "kernel", "trace", "nop", "--all", "-e", "sched:*"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.readline()
    p.stdout.close()
    code, said = p.wait(timeout=120), p.stderr.read().decode()
    p.stderr.close()
    # what is lost where much happens is said, nothing else
    assert code == 0 and re.fullmatch(r"(cairn: [\d,]+ records were lost: .*\n)?", said), (code, said)
    assert not instances(p.pid)


@test
def what_does_not_go_yet_stops_nobody(t):
    """A probe of a dead session that is still in use, as by one that is about to die: no reason not to trace."""
    need_tracefs()
    probe = json.loads(kernel("check", "--json", "--uprobe", CAIRN + ":main").stdout)["checks"][0]
    if not probe["ok"]:
        raise Skip("no uprobes here")
    dead = subprocess.Popen(["true"])
    dead.wait()
    group, held = "cairn_%d_1_0" % dead.pid, TRACEFS + "/instances/test-held-%d" % os.getpid()
    with open(os.open(TRACEFS + "/dynamic_events", os.O_WRONLY | os.O_APPEND), "w") as f:  # "a" seeks, which it refuses
        f.write("p:%s/held %s\n" % (group, probe["definition"].split(" ", 1)[1]))
    os.mkdir(held)
    try:
        with open("%s/events/%s/held/enable" % (held, group), "w") as f:
            f.write("1")
        assert kernel("clean").returncode == 1  # in use
        got = kernel("trace", "nop", "-e", "sched:sched_process_exec", "--", "true")
        assert got.returncode == 0 and "sched_process_exec: filename=" in got.stdout, got
        with open("%s/events/%s/held/enable" % (held, group), "w") as f:
            f.write("0")
    finally:
        os.rmdir(held)
    wait_for(lambda: kernel("clean").returncode == 0, "all of the dead is removed")
    assert group not in read("dynamic_events")


@test
def who_does_not_read_holds_nothing_up(t):
    """A pipe that is full: the signal is heeded all the same."""
    need_tracefs()
    for how in (signal.SIGINT, signal.SIGTERM):
        r, w = small_pipe()
        p = subprocess.Popen([CAIRN, "kernel", "trace", "nop", "--all", "-e", "sched:*"],
                             stdout=w, stderr=subprocess.PIPE, text=True)
        os.close(w)
        try:
            wait_for(lambda: unread_bytes(r), "the pipe is full")
            p.send_signal(how)
            _, said = p.communicate(timeout=120)
        finally:
            p.kill()
            p.wait()
            os.close(r)
        assert p.returncode == 1 and "nobody reads the output" in said, (p.returncode, said)
        assert not instances(p.pid)


@test
def what_is_refused_says_why(t):
    need_tracefs()
    listed = json.loads(kernel("list", "--json").stdout)
    lacking = [x["name"] for x in listed["tracers"] + listed["features"]
               if not x["have"] and x["name"] in ("snapshot", *[y["name"] for y in listed["tracers"]])]
    for name in lacking:
        got = kernel("trace", name, *(["-e", "sched:*"] if name == "snapshot" else []))
        assert got.returncode == 1 and "CONFIG_" in got.stderr, got
    cases = [(("nop", "-e", "nosuch:*"), 1, "no kernel event matches"),
             (("nop", "-e", "sched:*", "--", "/nonexistent"), 127, "cannot run"),
             (("nop",), 2, "which events"),
             (("funtion",), 2, "did you mean 'function'"),
             (("irqsoff", "--period", "1ms"), 2, "no --period"),
             (("timerlat", "--period", "100"), 2, "unit"),
             (("function", "--max-depth", "3"), 2, "function_graph has"),
             (("osnoise", "-f", "x"), 2, "no functions"),
             (("nop", "-e", "sched:*", "--cpus", "3-1"), 2, "a list"),
             (("snapshot", "-e", "sched:*", "--when", "sched"), 2, "SYSTEM:EVENT")]
    for args, code, text in cases:
        got = kernel("trace", *args)
        assert got.returncode == code and text in got.stderr, (args, got)


@test
def without_the_right(t):
    need_tracefs()
    if os.stat(TRACEFS).st_mode & 0o7:
        raise Skip("everybody may use tracefs here")
    for args in (("list",), ("clean",), ("trace", "nop", "-e", "sched:*")):
        got = kernel(*args, user=65534, group=65534, extra_groups=[])
        assert got.returncode == 1 and "root" in got.stderr and "hint: " in got.stderr, got
    # nor is a text blamed for it
    for args in (("-k", "sched:sched_switch"), ("--tprobe", "sched_switch prev->comm"),
                 ("--uprobe", CAIRN + ":main")):
        r = subprocess.run([CAIRN, "record", "-o", "-", *args, "--", "true"], timeout=60, text=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                           user=65534, group=65534, extra_groups=[],
                           env={**os.environ, "CAIRN_RUNDIR": t.path("nobodys")})
        assert r.returncode == 1 and "CAP_DAC_OVERRIDE" in r.stderr, r
        assert "^" not in r.stderr and "\nhint: sudo" in r.stderr, r.stderr


if __name__ == "__main__":
    main()
