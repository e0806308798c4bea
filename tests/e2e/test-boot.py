#!/usr/bin/env python3
"""cairn boot read: what an instance recorded becomes a trace, event for event, by each trace clock;
cairn boot check against the kernel's own tool."""
import contextlib
import json
import os
import random
import shutil
import subprocess
import time

from cairn import CAIRN, Skip, main, test
from kernel import left_behind, run_noted

TRACEFS = "/sys/kernel/tracing"


def run(*args, code=0, text=None):
    done = run_noted([CAIRN, "boot", *args], text=text)
    assert done.returncode == code, (args, done)
    return done


@contextlib.contextmanager
def instance(name):
    """An instance of our own, gone afterwards; gives its folder."""
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not os.path.isdir(TRACEFS + "/instances"):
        raise Skip("needs tracefs on " + TRACEFS)
    path = "%s/instances/%s-%d" % (TRACEFS, name, os.getpid())
    os.mkdir(path)
    try:
        yield path
    finally:
        os.rmdir(path)


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def marks(folder, n):
    with open(folder + "/trace_marker", "w", buffering=1, encoding="ascii") as f:
        for i in range(n):
            f.write("mark %d\n" % i)


def events(trace):
    out = subprocess.run([CAIRN, "print", "--json", "--exclude", "cairn_state:*", trace], capture_output=True, text=True,
                         check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


@test
def an_instance_becomes_a_trace(t):
    with instance("boot-read") as folder:
        marks(folder, 1000)
        lines = [s for s in read(folder + "/trace").splitlines() if "mark" in s]
        said = json.loads(run("read", "--json", "-o", t.dir + "/out",
                              os.path.basename(folder)).stdout)
        assert len(lines) == 1000 and said[0]["events"] == 1000 and said[0]["lost"] == 0, said
        again = json.loads(run("read", "--json", "-o", t.dir + "/again",
                               os.path.basename(folder)).stdout)
        assert again[0]["events"] == 0 and not os.path.exists(t.dir + "/again"), again
    got = events(t.dir + "/out")
    assert len(got) == 1000, len(got)
    texts = [json.dumps(e["fields"]) for e in got]
    assert all("mark %d\\n" % i in text for i, text in enumerate(texts)), texts[:3]
    assert [e["time_ns"] for e in got] == sorted(e["time_ns"] for e in got)
    assert all(e["tid"] == os.getpid() for e in got)
    text = subprocess.run([CAIRN, "print", t.dir + "/out"], capture_output=True, text=True,
                          check=True).stdout
    # the name is the one that the kernel saved, which may be that before an exec
    assert len([s for s in text.splitlines() if s.split()[0].endswith("-%d" % os.getpid())]) \
        == 1000, text[:500]


@test
def losses_are_counted(t):
    with instance("boot-lost") as folder:
        write(folder + "/buffer_size_kb", "4")
        marks(folder, 2000)
        lost = sum(int(line.split()[-1]) for cpu in os.listdir(folder + "/per_cpu")
                   for line in read("%s/per_cpu/%s/stats" % (folder, cpu)).splitlines()
                   if line.startswith(("overrun:", "dropped events:")))
        said = json.loads(run("read", "--json", "-o", t.dir + "/out",
                              os.path.basename(folder)).stdout)[0]
        assert lost > 0 and said["lost"] == lost and said["events"] + lost == 2000, (said, lost)


@test
def each_clock_is_real_time(t):
    with instance("boot-clock") as folder:
        for clock in ("x86-tsc", "mono", "mono_raw", "boot", "tai", "local", "global"):
            if clock not in read(folder + "/trace_clock").replace("[", "").replace("]", "").split():
                continue
            write(folder + "/trace_clock", clock)
            before = time.time_ns()
            marks(folder, 3)
            after = time.time_ns()
            said = json.loads(run("read", "--json", "-o", t.dir + "/" + clock,
                                  os.path.basename(folder)).stdout)[0]
            assert said["clock"] == clock and said["events"] == 3, said
            # sched_clock and CLOCK_MONOTONIC drift apart by what NTP does; the TSC's rate was measured
            slack = 1000000000 if clock in ("local", "global", "mono_raw", "x86-tsc") else 50000000
            for e in events(t.dir + "/" + clock):
                assert before - slack <= e["time_ns"] <= after + slack, (clock, before, e)


@test
def what_is_not_there(t):
    if os.geteuid() != 0 or not os.path.isdir(TRACEFS + "/instances"):
        raise Skip("needs root and tracefs")
    said = run("read", "-o", t.dir + "/out", "no-such-instance", code=1).stderr
    assert "there is no instance 'no-such-instance'" in said, said
    said = run("read", "-o", t.dir + "/out", "..", code=1).stderr
    assert "there is no instance '..'" in said, said


@test
def filters_are_tried_and_nothing_is_left(t):
    with instance("boot-other") as folder:
        config = 'ftrace.event.sched.sched_switch { filter = "%s"; actions = "%s"; enable }\n'
        said = run("check", "-", text=config % ("prev_pid > 0", "traceoff if prev_pid == 1")).stderr
        assert said == "", said
        said = run("check", "-", text=config % ("no_field > 0", "traceon if prev_pid =="),
                   code=1).stderr
        assert "sched:sched_switch has no field 'no_field'" in said and "refuses the trigger" in said, said
        assert read(folder + "/events/sched/sched_switch/filter") == "none\n"
        said = run("check", "-", text=config % ("prev_pid > 0 && next_pid = 1", "traceoff"), code=1).stderr
        place = said.split("\n")[2].index("^")
        assert said.split("\n")[1][place:].startswith("= 1"), said
    run("write", "-k", "sched:sched_switch if no_field", code=1)
    assert not left_behind(), left_behind()


TOKENS = ["a", "foo", "b-1", ".", "=", "+=", ":=", "{", "}", ";", "\n", ",", " ", "# c\n",
          '"q ; v"', "'s'", "1", "*:*", " = ", "a.b", "x = y\n", "{ ", "}\n"]


@test
def the_kernels_own_tool_agrees(t):
    tool = os.environ.get("BOOTCONFIG") or shutil.which("bootconfig")
    if not tool:
        raise Skip("needs the kernel's tools/bootconfig (BOOTCONFIG=PATH)")
    seed = int(os.environ.get("CAIRN_TEST_SEED", time.time_ns() % 1000000))
    print("# CAIRN_TEST_SEED=%d" % seed)
    choose = random.Random(seed)
    accepted = 0
    for _ in range(300):
        text = "".join(choose.choice(TOKENS) for _ in range(choose.randrange(1, 16)))
        write(t.dir + "/config", text)
        theirs = subprocess.run([tool, "-l", t.dir + "/config"], capture_output=True, text=True,
                                check=False)
        refused = "Error" in theirs.stderr
        write(t.dir + "/initrd", "xxxxx"[:choose.randrange(6)])
        ours = subprocess.run([CAIRN, "boot", "apply", t.dir + "/initrd", t.dir + "/config"],
                              capture_output=True, text=True, check=False)
        assert (ours.returncode != 0) == refused, (text, theirs, ours)
        if refused:
            continue
        accepted += 1
        listed = subprocess.run([tool, "-l", t.dir + "/initrd"], capture_output=True, text=True,
                                check=True).stdout
        assert listed == theirs.stdout, (text, listed, theirs)
        run("apply", "--remove", t.dir + "/initrd")
        assert set(read(t.dir + "/initrd")) <= {"x"}
    assert accepted > 5, accepted


main()
