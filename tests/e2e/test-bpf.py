#!/usr/bin/env python3
"""Probes by BPF: the same texts, events and values as by tracefs, and nothing left behind."""
import ctypes
import json
import os
import platform
import signal
import struct
import subprocess

from cairn import CAIRN, Skip, main, test, wait_for

TRACEFS = "/sys/kernel/tracing"
BPF_CALL = {"x86_64": 321, "aarch64": 280}.get(platform.machine())
PROG_NEXT, MAP_NEXT, LINK_NEXT = 11, 12, 31
libc = ctypes.CDLL(None, use_errno=True)

PROGRAM = """
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
__attribute__((noinline)) long target(long number, const char *text, const short *some)
{
	__asm__ volatile("" :: "r"(number), "r"(text), "r"(some) : "memory");
	return number * 2;
}
static const short some[4] = {1, -2, 300, -400};
static char longer[3000];
static void round_(int i)
{
	static const char *const texts[] = {"", "odd", longer};
	syscall(SYS_getppid);
	target(i, texts[i % 3], some);
}
int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 100;
	memset(longer, 'x', sizeof(longer) - 1);
	if (argc > 2 && strcmp(argv[2], "fork") == 0) {
		if (fork() == 0) {
			if (fork() == 0) { target(3, "grandchild", some); return 0; }
			wait(NULL);
			target(2, "child", some);
			return 0;
		}
		wait(NULL);
		target(1, "parent", some);
		return 0;
	}
	for (int i = 0; i < n; i++) round_(i);
	syscall(SYS_getppid);
	if (argc > 2) { puts("ready"); fflush(stdout); pause(); }
	return 0;
}
"""


def bpf(command, attr):
    buffer = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    got = libc.syscall(BPF_CALL, command, buffer, 128)
    return got, buffer.raw


def ids(command):
    """All that the kernel has of a kind, by number."""
    found, at = set(), 0
    while True:
        got, raw = bpf(command, struct.pack("II", at, 0))
        if got < 0:
            return found
        at = struct.unpack_from("II", raw)[1]
        found.add(at)


def everything():
    return {(name, i) for name, c in (("program", PROG_NEXT), ("map", MAP_NEXT), ("link", LINK_NEXT))
            for i in ids(c)}


def need_bpf():
    if os.geteuid() != 0:
        raise Skip("needs root")
    if not BPF_CALL:
        raise Skip("bpf(2) has no known number here")
    got, raw = bpf(0, struct.pack("IIII", 2, 4, 8, 1))  # an array of one
    if got < 0:
        raise Skip("this kernel, or this place, has no BPF")
    os.close(got)
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        raise Skip("needs BTF")


def has(word):
    try:
        return word in open(TRACEFS + "/README").read()
    except OSError:
        return False


def fields(events, name):
    return [e["fields"] for e in events if e["event"] == name]


def difference(a, b):
    """Where two lists part, with what is around."""
    import difflib
    return "\n" + "\n".join(difflib.unified_diff([str(x) for x in a], [str(x) for x in b],
                                                 "tracefs", "bpf", lineterm="", n=2))


@test
def a_switch_is_what_tracefs_says(t):
    need_bpf()
    prog = t.compile("p", PROGRAM)
    t.record(["sh", "-c", "for i in 1 2 3 4 5; do %s 10; done" % prog], "--all",
             "-k", "sched:sched_switch", "--probe-with", "bpf", "--tprobe",
             "seen=sched_switch prev_comm=prev->comm prev_pid=prev->pid prev_prio=prev->prio "
             "next_comm=next->comm next_pid=next->pid next_prio=next->prio")
    got = t.events()
    theirs = [e for e in got if e["event"] == "sched_switch"]
    ours = [e for e in got if e["event"] == "seen"]
    names = ("prev_comm", "prev_pid", "prev_prio", "next_comm", "next_pid", "next_prio")
    gaps = 0
    for cpu in {e["cpu"] for e in ours}:
        a, b = [[tuple(e["fields"][n] for n in names) for e in some if e["cpu"] == cpu]
                for some in (theirs, ours)]
        # who was switched to is who is switched from next, but where the kernel called no tracer for a switch, as
        # others came to or left the tracepoint (decision 041)
        gaps += sum(x[4] != y[1] for x, y in zip(b, b[1:]))
        # tracefs has the same ones in the same order, to the time when ours are off. 6.18 loses some that
        # the idle task does (without Cairn, too)
        left = iter(b)
        found = [x for x in a if any(x == y for y in left)]
        assert found == a[:len(found)], difference(a, b)
        late = [e for e in theirs if e["cpu"] == cpu][len(found):]
        assert all(e["time_ns"] > ours[-1]["time_ns"] - 100000 for e in late), difference(a, b)
        matched = len(found)
        assert matched >= sum(x[1] != 0 for x in b) * 9 // 10 - 20, difference(a, b)
    assert len(ours) >= 10 and gaps <= len(ours) // 20 + 5, (len(ours), gaps)
    t.check_babeltrace()


TEXTS = ["p=%s:target number=$arg1:s64 word=+0($arg2):string some=+0($arg3):s16[4] who=$comm "
         "low=$arg1:b4@0/32 hex=$arg1:x8 one=+4($arg3):s16 stack=$stack0 sp=$stack:x64 "
         "imm=\\\\-5:s32 letter=+0($arg2):char",
         "r=%s:target%%return value=$retval:s64"]


@test
def a_uprobe_is_what_tracefs_says(t):
    need_bpf()
    if not has("place (uprobe)"):
        raise Skip("this kernel's tracefs has no uprobes")
    prog = t.compile("p", PROGRAM, ["-no-pie"])
    both = []
    for how in ("tracefs", "bpf"):
        options = ["--probe-with", how]
        for text in TEXTS:
            options += ["--uprobe", (text % prog).replace("\\\\", "\\")]
        # the stack begins at one place, the environment is the same
        t.record(["setarch", "-R", prog, "60"], *options, trace=t.path(how))
        both.append(t.events(t.path(how)))
    a, b = [[(e["provider"], e["event"], e["tid"] > 0, e["fields"]) for e in got
             if e["event"] in ("p", "r")] for got in both]
    assert len(a) == 120, len(a)
    for i, (x, y) in enumerate(zip(a, b)):
        assert x == y, (i, x, y)
    assert len(a) == len(b), (len(a), len(b))
    t.check_babeltrace(t.path("bpf"))


@test
def arrays_of_texts_are_fields(t):
    need_bpf()
    prog = t.compile("p", PROGRAM)
    for how in ("tracefs", "bpf"):
        if how == "tracefs" and not has("place (uprobe)"):
            continue
        t.record([prog, "5", "x"][:2], "--probe-with", how, "--uprobe",
                 prog + ":main n=$arg1:s32 all=+0($arg2):string[2]", trace=t.path(how))
        got = fields(t.events(t.path(how)), "main")
        assert [(f["n"], f["all_0"], f["all_1"]) for f in got] == [(2, prog, "5")], got
        text = t.cairn("print", t.path(how)).out
        assert 'n=2 all={"%s","5"}' % prog in text, text[-500:]
        t.check_babeltrace(t.path(how))


@test
def events_lie_between_the_system_calls_around_them(t):
    need_bpf()
    prog = t.compile("p", PROGRAM)
    t.record([prog, "3000"], "-k", "syscalls:sys_*_getppid", "--probe-with", "bpf",
             "--uprobe", "target=" + prog + ":target $arg1",
             "--tprobe", "enter=sys_enter id", "--tprobe", "leave=sys_exit ret")
    got = [e["event"] for e in t.events()]
    first, last = got.index("sys_enter_getppid"), len(got) - got[::-1].index("sys_exit_getppid")
    got = got[first:last]
    assert got.count("target") == 3000, got.count("target")
    inside = False
    for i, name in enumerate(got):
        if name == "sys_enter_getppid":
            inside = True
        elif name == "sys_exit_getppid":
            inside = False
        elif name == "target":
            assert not inside, got[i - 3:i + 3]
    # one call between two calls of the function, always
    calls = [n for n in got if n in ("target", "sys_exit_getppid")]
    assert calls == ["sys_exit_getppid", "target"] * 3000 + ["sys_exit_getppid"], calls[:10]


@test
def children_are_followed_and_others_are_not(t):
    need_bpf()
    prog = t.compile("p", PROGRAM)
    other = t.start([prog, "1", "wait"], stdout=subprocess.PIPE)
    other.stdout.readline()
    t.record([prog, "1", "fork"], "--probe-with", "bpf",
             "--uprobe", "target=" + prog + ":target who=+0($arg2):string",
             "--tprobe", "sys_enter id")
    got = t.events()
    assert [f["who"] for f in fields(got, "target")] == ["grandchild", "child", "parent"], got
    assert other.pid not in {e["tid"] for e in got}


@test
def losses_are_counted(t):
    need_bpf()
    prog = t.compile("p", PROGRAM)
    daemon = t.daemon()
    t.cairn("session", "create", "s", "--kernel-all", "-o", t.trace, "--kernel-buffer", "64K",
            "--probe-with", "bpf", "--uprobe", prog + ":target $arg1", "--start")
    os.kill(daemon.pid, signal.SIGSTOP)  # nobody makes room
    try:
        t.run([prog, "20000"])
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    t.cairn("session", "destroy", "s")
    kept, lost = len(fields(t.events(), "target")), t.lost()
    assert kept and lost, (kept, lost)
    assert kept + sum(lost.values()) == 20000, (kept, lost)
    t.check_babeltrace()


@test
def nothing_stays_when_the_host_is_killed(t):
    need_bpf()
    prog = t.compile("p", PROGRAM)
    before = everything()
    p = t.start([CAIRN, "record", "-q", "-o", t.trace, "--probe-with", "bpf",
                 "--uprobe", prog + ":target $arg1", "--tprobe", "sched_switch prev->pid", "--",
                 prog, "1", "wait"], stdout=subprocess.PIPE, start_new_session=True)
    p.stdout.readline()
    kinds = {k for k, i in everything() - before}
    assert {"program", "map", "link"} <= kinds, kinds
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    wait_for(lambda: not everything() - before, "the kernel has no BPF of ours")
    subprocess.run([CAIRN, "kernel", "clean"], capture_output=True)  # the instance of tracefs


@test
def sessions_change_while_they_record(t):
    need_bpf()
    prog = t.compile("p", """
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((noinline)) void target(long n) { __asm__ volatile("" :: "r"(n) : "memory"); }
int main(void)
{
	long n;
	while (scanf("%ld", &n) == 1) {
		for (long i = 0; i < n; i++) { target(i); syscall(SYS_getppid); }
		puts("");
		fflush(stdout);
	}
}
""")
    daemon = t.daemon()
    doer = t.start([prog], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def do(n):
        doer.stdin.write(b"%d\n" % n)
        doer.stdin.flush()
        assert doer.stdout.readline() == b"\n"

    def session(verb, *options):
        return t.cairn("session", verb, "s", "--probe-with", "bpf", *options) \
            if verb in ("create", "enable") else t.cairn("session", verb, "s", *options)

    def counts(chunk):
        found = {}
        for e in t.events(t.trace + "/chunk-%d" % chunk):
            found[e["event"]] = found.get(e["event"], 0) + 1
        return {n: c for n, c in found.items() if n in ("target", "asked")}

    asked = "asked=sys_enter id"
    session("create", "-p", doer.pid, "-o", t.trace, "--uprobe", prog + ":target $arg1", "--start")
    do(10)
    session("rotate")
    do(20)
    session("enable", "--tprobe", asked)  # it counts what comes, write and read included
    do(5)
    session("disable", "-k", "uprobes:target")
    do(6)
    session("rotate")
    session("enable", "--uprobe", prog + ":target $arg1")
    session("disable", "-k", asked)
    do(7)
    session("stop")
    do(100)
    session("start")
    do(8)
    t.cairn("session", "destroy", "s")
    assert counts(1) == {"target": 10}, counts(1)
    second = counts(2)
    assert second["target"] == 25 and second["asked"] >= 11, second
    third = counts(3)
    assert third["target"] == 15 and third.get("asked", 0) < 20, third
    for chunk in (1, 2, 3):
        t.check_babeltrace(t.trace + "/chunk-%d" % chunk)
        assert not t.lost(t.trace + "/chunk-%d" % chunk)
    assert daemon.poll() is None


FRAMES = ["-g", "-O1", "-fno-omit-frame-pointer", "-mno-omit-leaf-frame-pointer", "-fno-optimize-sibling-calls"]
DEEP = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
__attribute__((noinline)) void target(long n) { volatile long frame = n; __asm__ volatile("" :: "r"(n) : "memory"); (void)frame; }
__attribute__((noinline)) void asks(long n)
{
	volatile long r;
	long nr = SYS_getppid;
	target(n);
	__asm__ volatile("syscall\n\tmov %%rax, %0" : "=m"(r), "+a"(nr) : : "rcx", "r11", "memory");
}
__attribute__((noinline)) void deep(int depth, long n)
{
	if (depth) deep(depth - 1, n); else asks(n);
	__asm__ volatile("" ::: "memory");
}
int main(int argc, char **argv)
{
	char line[100];
	if (argc > 1) { for (int i = 0; i < atoi(argv[1]); i++) deep(argc > 2 ? atoi(argv[2]) : 2, i); return 0; }
	for (long n = 0, end; fgets(line, sizeof(line), stdin); puts(""), fflush(stdout))
		for (end = n + atol(line); n < end; n++) deep(2, n);
}
"""


def with_stacks(t, trace=None):
    """Each event with the stacks that follow it: (event, kernel's, user's), as lists of frames."""
    found, last = [], {}
    for e in t.events(trace, "--stacks"):
        if e["event"] in ("kernel_stack", "user_stack"):
            which = 1 + (e["event"] == "user_stack")
            # else its event was overwritten, and the one before, of the other source, may have its own already
            if e["tid"] in last and not last[e["tid"]][which]:
                last[e["tid"]][which] = e["frames"]
        elif e["provider"] != "cairn_state":
            last[e["tid"]] = [e, [], []]
            found.append(last[e["tid"]])
    return found


def names(frames):
    return [f.get("function") for f in frames]


def callers(frames):
    """Of a stack at the entry of target(): kernels before 6.11 leave out who called it."""
    found = names(frames)
    assert found[0] == "target", found
    return found[2:] if found[1] == "asks" else found[1:]


@test
def stacks_are_those_of_tracefs(t):
    need_bpf()
    if platform.machine() != "x86_64":
        raise Skip("the program is of x86-64")
    prog = t.compile("p", DEEP, FRAMES)
    got = {}
    for how, options in (("tracefs", ["-k", "syscalls:sys_enter_getppid"]),
                         ("bpf", ["--probe-with", "bpf", "--tprobe", "sys_enter_getppid=sys_enter id",
                                  "--uprobe", "target=%s:target $arg1" % prog])):
        t.record(["setarch", "-R", prog, "40", "3"], "--stack", "both", *options, trace=t.path(how))
        got[how] = with_stacks(t, t.path(how))
        t.check_babeltrace(t.path(how))
    theirs = got["tracefs"]
    ours = [x for x in got["bpf"] if x[0]["event"] == "sys_enter_getppid" and x[0]["fields"]["id"] == 110]
    assert len(theirs) == len(ours) == 40, (len(theirs), len(ours))
    for a, b in zip(theirs, ours):
        # below the function that has the tracepoint all is the same
        x, y = [[(f["address"], f["function"]) for f in s[1]] for s in (a, b)]
        assert len(y) >= 4 and x[-3:] == y[-3:], (names(a[1]), names(b[1]))
        # the kernel has 8 frames
        keys = ("function", "path", "file", "line", "offset")
        x, y = [[[f.get(k) for k in keys] for f in s[2]] for s in (a, b)]
        assert len(y) >= len(x) > 4 and x == y[:len(x)], (x, y)
        assert names(b[2])[:6] == ["asks"] + ["deep"] * 4 + ["main"], names(b[2])
    hits = [x for x in got["bpf"] if x[0]["event"] == "target"]
    assert [x[0]["fields"]["arg1"] for x in hits] == list(range(40)), hits[:3]
    for _, kernel, user in hits:
        assert kernel == [] and callers(user)[:5] == ["deep"] * 4 + ["main"], names(user)


@test
def stacks_of_all_depths(t):
    need_bpf()
    prog = t.compile("p", DEEP, FRAMES)
    for depth in (0, 10, 18, 19, 20, 21, 22, 60, 110, 300):
        t.record([prog, "2", str(depth)], "--stack", "user", "--probe-with", "bpf",
                 "--uprobe", "target=%s:target $arg1" % prog, trace=t.path(str(depth)))
        for _, kernel, user in with_stacks(t, t.path(str(depth))):
            found = callers(user)
            assert kernel == [] and len(user) <= 127, found
            if depth < 115:
                assert found[:depth + 2] == ["deep"] * (depth + 1) + ["main"], found
            elif depth == 300:
                assert len(user) == 127 and set(found) == {"deep"}, found


@test
def a_flight_recorder_keeps_the_newest(t):
    need_bpf()
    prog = t.compile("p", DEEP, FRAMES)
    daemon = t.daemon("--output-root", t.path("out"))
    doer = t.start([prog], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    os.sched_setaffinity(doer.pid, {min(os.sched_getaffinity(0))})  # each CPU keeps its own newest

    def do(n):
        doer.stdin.write(b"%d\n" % n)
        doer.stdin.flush()
        assert doer.stdout.readline() == b"\n"

    def snapshot(name, *options):
        t.cairn("session", "snapshot", "box", "-o", t.path(name), *options)
        t.check_babeltrace(t.path(name))
        found = with_stacks(t, t.path(name))
        for e, kernel, user in found:  # files are named in each
            if e["event"] == "target":
                assert callers(user)[:4] == ["deep"] * 3 + ["main"], (name, user)
        assert not t.lost(t.path(name))
        return [e["fields"]["arg1"] for e, _, _ in found if e["event"] == "target"]

    t.cairn("session", "create", "box", "-p", doer.pid, "--mode", "overwrite", "--kernel-buffer", "64K",
            "--stack", "user", "--probe-with", "bpf", "--uprobe", prog + ":target $arg1",
            "-k", "syscalls:sys_enter_getppid", "--start")
    do(40)
    assert snapshot("first") == list(range(40))
    do(2)
    assert snapshot("second") == list(range(42))  # what a snapshot has shown is in the next one, too
    for i in range(10):  # each is read by a snapshot, so that nothing depends on how soon the host looks
        do(150)
        third = snapshot("third-%d" % i)
    assert 200 < len(third) < 1200, len(third)
    assert third == list(range(third[0], 1542)), (third[:2], third[-2:])
    last = json.loads(t.cairn("session", "list", "--json").out)[0]["output"]
    do(1)
    t.cairn("session", "stop", "box")
    found = [e["fields"]["arg1"] for e in t.events(last) if e["event"] == "target"]
    assert found == list(range(found[0], 1543)) and 200 < len(found) < 1200, found[-2:]
    # it goes on with nothing of before
    t.cairn("session", "start", "box")
    do(3)
    t.cairn("session", "destroy", "box")
    assert [e["fields"]["arg1"] for e in t.events(last) if e["event"] == "target"] == found + [1543, 1544, 1545]
    assert daemon.poll() is None


@test
def refusals_are_words(t):
    need_bpf()
    bad = t.cairn("record", "-o", t.path("a"), "--probe-with", "bpf", "--tprobe",
                  "sched_switch prev->pidd", "--", "true", status=1).err
    assert "no member 'pidd'" in bad and "^~~~" in bad and "did you mean 'pid'" in bad, bad
    bad = t.cairn("record", "-o", t.path("b"), "--probe-with", "bpf", "--eprobe",
                  "sched/sched_switch $prev_pid", "--", "true", status=1).err
    assert "tracefs's alone" in bad, bad
    bad = t.cairn("record", "-o", t.path("c"), "--probe-with", "bpf", "--kprobe",
                  "vfs_read+4", "--", "true", status=1).err
    assert "entry and their return" in bad, bad
    bad = t.cairn("record", "-o", t.path("d"), "--probe-with", "ebpf", "--", "true", status=2).err
    assert "auto, tracefs or bpf" in bad, bad


@test
def check_says_what_would_make_it(t):
    need_bpf()
    p = t.cairn("kernel", "check", "--tprobe", "sched_switch prev->pid", status=None)
    if has(" t[:[<group>"):
        assert p.status == 0 and "BPF" not in p.out, p
    else:
        assert p.status == 0 and "made by     BPF: tracefs of this kernel has no tprobes" in p.out, p
    p = t.cairn("kernel", "check", "--json", "--kprobe", "vfs_read count", status=None)
    if not has("\n  kprobe_events\t") and p.status:
        assert "may not trace functions here" in p.out, p


@test
def functions_where_bpf_may_trace_them(t):
    need_bpf()
    p = t.record(["cat", "/etc/hostname"], "--probe-with", "bpf", "--kprobe",
                 "vfs_read count name=file->f_path.dentry->d_name.name", "--kretprobe",
                 "vfs_read $retval:s64 count", status=None)
    if p.status == 1 and "may not trace functions" in p.err:
        assert "CONFIG_FUNCTION_TRACER" in p.err, p
        raise Skip("BPF may not trace functions here")
    assert p.status == 0, p
    got = t.events()
    assert "hostname" in [f["name"] for f in fields(got, "vfs_read")], got
    assert all(f["retval"] <= f["count"] for f in fields(got, "vfs_read__return")), got


main()
