"""What tests of kernel sessions share: a program that makes system calls when told to, sessions by commands, and
what is in tracefs."""
import os
import re
import subprocess
import time

from cairn import Skip

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


RAN = []  # the processes that run_noted() ran


def run_noted(args, text=None, **options):
    """subprocess.run(), with text kept; left_behind() then knows who it was."""
    with subprocess.Popen(args, text=True, stdin=None if text is None else subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as p:
        RAN.append(p.pid)
        try:
            out, err = p.communicate(text, timeout=120)
        except subprocess.TimeoutExpired:
            p.kill()
            raise
    return subprocess.CompletedProcess(args, p.returncode, out, err)


def left_behind():
    """Instances of those that it ran, not of others' tests, who may be killed at any time."""
    return [n for pid in RAN for n in instances(pid) if not alive(n)]


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


LISTS = ("set_event", "dynamic_events", "instances")  # of which others' tests may remove what they had made


def is_as(key, before, now):
    return set(now) <= set(before) if key in LISTS else now == before


def as_before(before):
    """Others' tests may have something on for a moment, now or before."""
    end = time.monotonic() + 20
    while True:
        now = tracefs_state()
        changed = [(k, before[k], now[k]) for k in before if not is_as(k, before[k], now[k])]
        if not changed:
            return
        assert time.monotonic() < end, changed
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
