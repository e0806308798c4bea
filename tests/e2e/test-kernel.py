#!/usr/bin/env python3
"""Kernel events beside programs' own: in one trace, on one clock, and nothing left behind."""
import itertools
import os
import pwd
import re
import signal

from cairn import CAIRN, Skip, main, test, wait_for
from kernel import TRACEFS, instances, need_tracefs

BETWEEN = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static void *work(void *arg)
{
	for (int i = 0; i < 2500; i++) {
		syscall(SYS_getppid);
		CAIRN(between, mark, i);
	}
	return 0;
}
int main(void)
{
	pthread_t t[4];
	for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, work, 0);
	for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
}
"""


@test
def marks_lie_between_system_calls(t):
    need_tracefs("syscalls:sys_enter_getppid", "syscalls:sys_exit_getppid")
    prog = t.compile("between", BETWEEN, ["-pthread"])
    t.record([prog], "-k", "syscalls:sys_enter_getppid", "-k", "syscalls:sys_exit_getppid",
             "--kernel-buffer", "8M", "--ring-size", "4M")
    threads = {}
    for e in t.events():
        if e["event"] in ("sys_enter_getppid", "sys_exit_getppid", "mark"):
            threads.setdefault(e["tid"], []).append(
                (e["event"], e["fields"]["i"] if e["event"] == "mark" else None))
    assert not t.lost(), t.lost()
    # the program's first thread may ask, too, for the runtime's sake
    threads = {tid: got for tid, got in threads.items() if any(e == "mark" for e, _ in got)}
    assert len(threads) == 4, threads.keys()
    for tid, got in threads.items():
        want = []
        for i in range(2500):
            want += [("sys_enter_getppid", None), ("sys_exit_getppid", None), ("mark", i)]
        wrong = next((i for i in range(len(want)) if i >= len(got) or got[i] != want[i]), None)
        assert got == want, "thread %d: at %s: %s" % (tid, wrong, got[max(wrong - 3, 0):wrong + 4])
    t.check_babeltrace()


@test
def children_and_nobody_else(t):
    need_tracefs("syscalls:sys_enter_openat", "sched:sched_process_exec")
    t.record(["sh", "-c", "cat /dev/null; cat /dev/null"], "-k", "syscalls:sys_enter_openat",
             "-k", "sched:sched_process_exec")
    events = t.events()
    execs = [e for e in events if e["event"] == "sched_process_exec"]
    assert len(execs) == 3, execs
    assert execs[0]["fields"]["filename"].endswith("/sh"), execs[0]
    tids = {e["tid"] for e in execs}
    opens = [e for e in events if e["event"] == "sys_enter_openat"]
    assert opens and all(e["tid"] in tids for e in opens), tids
    t.check_babeltrace()


@test
def names_of_those_that_ended(t):
    need_tracefs("sched:sched_process_exit", "task:task_rename")
    t.compile("short", r"""
#define _GNU_SOURCE
#include <pthread.h>
static void *work(void *arg) { return 0; }
int main(void)
{
	pthread_t t;
	pthread_create(&t, 0, work, 0);
	pthread_setname_np(t, "painter");
	pthread_join(t, 0);
}
""", ["-pthread"])
    t.record(["sh", "-c", "./short; true"], "-k", "sched:sched_process_exit")
    lines = [l for l in t.cairn("print", t.trace).out.splitlines() if "sched_process_exit" in l]
    names = [l.split("-")[0].strip() for l in lines]
    assert sorted(names) in (["painter", "sh", "short"], ["sh", "short", "short"]), lines
    events = t.events()
    # what was switched on for the names is not in the trace
    assert {e["event"] for e in events} == {"sched_process_exit"}, events
    # and is if it was asked for
    t.record(["./short"], "-k", "task:*", trace=t.path("asked"))
    assert any(e["event"] == "task_rename" for e in t.events(t.path("asked")))
    t.check_babeltrace()


# Not among them: what is computed from addresses of the running kernel (page=).
LIKE = [*("syscalls:sys_%s_%s" % (way, call) for way in ("enter", "exit") for call in (
            "openat", "read", "write", "mmap", "close", "rt_sigaction", "execve", "exit_group", "kill", "brk",
            "getdents64", "wait4", "clone", "unlinkat", "getpid")),
        "sched:sched_switch", "sched:sched_process_exec", "sched:sched_process_fork", "sched:sched_waking",
        "raw_syscalls:sys_enter", "raw_syscalls:sys_exit",
        "signal:signal_deliver", "signal:signal_generate", "kmem:kmalloc",
        "kmem:rss_stat", "task:task_rename", "task:task_newtask", "timer:hrtimer_init", "timer:hrtimer_start", "timer:timer_start",
        "irq:softirq_entry", "exceptions:page_fault_user",
        "ext4:ext4_es_lookup_extent_exit", "filemap:mm_filemap_add_to_page_cache",
        "writeback:writeback_dirty_inode", "block:block_rq_issue", "block:block_rq_insert", "block:block_bio_queue",
        "workqueue:workqueue_execute_start",
        "lock:contention_begin", "mmap:vm_unmapped_area", "vmscan:mm_vmscan_lru_isolate"]


def kernel_lines(text, tids):
    """[(tid, event, text)] of a trace file's lines, or of ours."""
    found = []
    for line in text.splitlines():
        m = re.match(r".{16,}?-(\d+) +(?:\( *[-\d]+\) )?\[\d+\] \S+ +\d+(?:\.\d+)?: (?:\w+:)?(\w+)(: ?|\(| -> )(.*)", line)
        if not m or int(m.group(1)) not in tids:
            continue
        event, text = m.group(2), m.group(4).strip()
        if m.group(3) in ("(", " -> "):  # the kernel's lines of system calls begin with the call
            event, text = event.replace("sys_", "sys_enter_" if m.group(3) == "(" else "sys_exit_", 1), \
                event + m.group(3) + text
        found.append((int(m.group(1)), event, text))
    return found


def sweep_own_instances():
    """Of runs of this test that were killed."""
    for name in os.listdir(TRACEFS + "/instances"):
        m = re.match(r"test-cairn-(\d+)$", name)
        if not m or os.path.exists("/proc/" + m.group(1)):
            continue
        base = TRACEFS + "/instances/" + name
        for file, text in (("tracing_on", "0"), ("set_event", "")):
            with open(base + "/" + file, "w") as f:
                f.write(text)
        os.rmdir(base)


@test
def lines_as_in_the_kernels_trace_file(t):
    """The same events in an instance of the test's own, as the kernel prints them."""
    need_tracefs("sched:sched_switch")
    events = [e for e in LIKE if os.path.isdir(TRACEFS + "/events/" + e.replace(":", "/"))]
    base = TRACEFS + "/instances/test-cairn-%d" % os.getpid()
    sweep_own_instances()

    def put(name, text):
        with open(base + "/" + name, "w") as f:
            f.write(text)

    os.mkdir(base)
    try:
        put("options/hash-ptr", "0")
        put("buffer_size_kb", "16384")
        put("options/event-fork", "1")
        put("set_event_pid", str(os.getpid()))  # what we start, not a busy machine
        for event in events:
            put("events/%s/enable" % event.replace(":", "/"), "1")
        # with I/O of a disk, where there is one: its formats name numbers
        t.record(["sh", "-c", "ls -l / >/dev/null; cat /etc/passwd >x; dd if=/dev/zero of=x bs=4k count=4 "
                              "oflag=direct,dsync 2>/dev/null; rm x; kill -USR1 $$"],
                 *[o for e in events for o in ("-k", e)], "--kernel-buffer", "8M", status=None)
        put("tracing_on", "0")
        with open(base + "/trace", errors="replace") as f:
            theirs = f.read()
    finally:
        put("set_event", "")
        os.rmdir(base)
    tids = {e["tid"] for e in t.events() if e["event"] == "task_rename"}
    assert len(tids) >= 3, tids
    ours = kernel_lines(t.cairn("print", t.trace).out, tids)
    theirs = kernel_lines(theirs, tids)
    for tid in tids:
        a = [l for l in ours if l[0] == tid]
        b = [l for l in theirs if l[0] == tid]
        # the kernel's has what was before our instance was on, and after
        first = next(i for i in range(len(b)) if b[i:i + 3] == a[:3])
        assert len(a) > 100 and len(b) - first >= len(a), (tid, len(a), len(b), first)
        # by event: an interrupt may come between the two records of one
        wrong = [(x, y) for event in {l[1] for l in a}
                 for x, y in itertools.zip_longest([l for l in a if l[1] == event], [l for l in b[first:] if l[1] == event])
                 if x and x != y]
        assert not wrong, "%d of %d differ: %s" % (len(wrong), len(a), wrong[:5])


@test
def filters(t):
    need_tracefs("syscalls:sys_enter_read", "syscalls:sys_enter_write")
    prog = t.compile("rw", r"""
#include <fcntl.h>
#include <unistd.h>
int main(void)
{
	int fd = open("/dev/null", O_RDWR);
	char c[64] = "";
	for (int i = 1; i <= 50; i++) {
		if (write(fd, c, i) != i) return 1;
		if (read(fd, c, i) != 0) return 2;
	}
}
""")
    t.record([prog], "-k", "syscalls:sys_enter_write if count == 17",
             "--kernel-filter", "syscalls:sys_enter_read: count >= 40 && count < 43")
    got = [(e["event"], e["fields"]["count"]) for e in t.events()]
    assert got == [("sys_enter_write", 17), ("sys_enter_read", 40), ("sys_enter_read", 41),
                   ("sys_enter_read", 42)], got


@test
def names_as_lttng_has_them(t):
    need_tracefs("sched:sched_switch", "syscalls:sys_enter_openat")
    t.record(["cat", "/dev/null"], "--names", "lttng", "-k", "sched:sched_switch", "-k", "syscalls:*_openat")
    out = t.run(["babeltrace2", t.trace]).out
    states = [l for l in out.splitlines() if "lttng_statedump_process_state" in l]
    assert any("tid = %d," % os.getpid() in l and "ppid = %d," % os.getppid() in l for l in states), states
    assert "lttng_statedump_end" in out
    for want in (r" sched_switch: .*prev_tid = \d+.*next_tid = \d+", r" syscall_entry_openat: .*filename = 0x",
                 r" syscall_exit_openat: .*ret = "):
        assert re.search(want, out), want
    with open(t.trace + "/kernel/metadata") as f:
        metadata = f.read()
    assert 'domain = "kernel"' in metadata and 'tracer_name = "lttng-modules"' in metadata


BURST = """
#define _GNU_SOURCE
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void)
{
	for (int i = 0; i < 400000; i++) syscall(SYS_getppid);
}
"""


@test
def each_event_is_recorded_or_counted(t):
    need_tracefs("syscalls:sys_enter_getppid")
    prog = t.compile("burst", BURST)
    # the host sleeps while the program is at work: far more than the buffer holds
    record = t.start([CAIRN, "record", "-o", t.trace, "-k", "syscalls:sys_enter_getppid", "--kernel-buffer",
                      "64K", "--", "sh", "-c", "kill -STOP $PPID; ./burst; kill -CONT $PPID"],
                     stderr=open(t.path("err"), "w"))
    assert record.wait() == 0
    s = t.stat()
    events = len([e for e in t.events() if e["event"] == "sys_enter_getppid"])
    lost = sum(t.lost().values())
    said = open(t.path("err")).read()
    assert lost > 300000 and events > 0, (events, lost)
    # the shell asks, too
    assert 400000 <= events + lost <= 400010, (events, lost)
    assert "kernel events were lost" in said, said
    assert s["lost"], s
    # when it follows, or has room, nothing is lost
    t.record([prog], "-k", "syscalls:sys_enter_getppid", "--kernel-buffer", "32M", trace=t.path("roomy"))
    assert not t.lost(t.path("roomy"))
    assert t.stat(t.path("roomy"))["events"] >= 400000


@test
def buffers_grow_on_request_and_say_what_that_costs(t):
    need_tracefs("syscalls:sys_enter_getppid")
    t.compile("burst", BURST)
    # more than the first buffers hold; then it is recorded on
    record = t.start([CAIRN, "record", "-o", t.trace, "-k", "syscalls:sys_enter_getppid", "--kernel-buffer",
                      "auto", "--", "sh", "-c",
                      "kill -STOP $PPID; ./burst; ./burst; ./burst; ./burst; kill -CONT $PPID; "
                      "until test -e go; do sleep 0.01; done; ./burst"],
                     stderr=open(t.path("err"), "w"))
    wait_for(lambda: "the kernel's buffers have" in open(t.path("err")).read(), "they grow")
    open(t.path("go"), "w").close()
    assert record.wait() == 0
    said = open(t.path("err")).read()
    assert "in which the kernel's buffers grew, and nothing was recorded or counted" in said, said
    events = t.stat()["by_event"]["syscalls:sys_enter_getppid"]
    assert 1600000 <= events + sum(t.lost().values()) <= 2000010, events


@test
def what_is_wrong_is_said(t):
    need_tracefs("sched:sched_switch")
    before = set(os.listdir(TRACEFS + "/instances"))
    r = t.record(["true"], "-k", "sched:no_such_event", status=1, trace=t.path("a"))
    assert "no kernel event matches 'sched:no_such_event'" in r.err, r
    r = t.record(["true"], "-k", "sched:sched_switch if no_such_field == 1", status=1,
                 trace=t.path("b"))
    assert "sched:sched_switch has no field 'no_such_field'" in r.err, r
    assert "no_such_field == 1\n  ^~~" in r.err, r
    r = t.record(["touch", t.path("ran")], "-k", "sched:sched_switch if (prev_pid == 1", status=1,
                 trace=t.path("c"))
    assert "there is no ')' for this '('" in r.err and "\n  ^\n" in r.err, r
    r = t.record(["true"], "--kernel-filter", "sched:*: prev_pid = 1", status=1, trace=t.path("d"))
    assert "has no field 'prev_pid'" in r.err or "'==' compares" in r.err, r
    r = t.record(["true"], "-k", "sched:sched_switch  if ", status=1, trace=t.path("e"))
    assert "an empty filter" in r.err, r
    r = t.record(["true"], "-k", "sched:*  if  prev_prio >= 0 || next_prio >= 0", trace=t.path("f"))
    assert r.err.count(": without sched:") == 3 and " more of 'sched:*'" in r.err, r
    assert not os.path.exists(t.path("ran")), "the command ran though recording failed"
    # other tests kill recordings meanwhile, and have them swept
    wait_for(lambda: not [n for n in set(os.listdir(TRACEFS + "/instances")) - before if not alive(n)],
             "nothing of the dead is left")


def alive(instance):
    m = re.match(r"cairn-(\d+)-(\d+)-\d+$", instance)
    try:
        with open("/proc/%s/stat" % m.group(1)) as f:
            return f.read().rpartition(")")[2].split()[19] == m.group(2)
    except (OSError, AttributeError):
        return False


def is_on(instance):
    try:
        # a new instance is on for a moment, before it is set up; events come while it is off
        with open(TRACEFS + "/instances/%s/set_event" % instance) as f:
            ready = f.read().strip() != ""
        with open(TRACEFS + "/instances/%s/tracing_on" % instance) as f:
            return ready and f.read().strip() == "1"
    except OSError:  # it is being made
        return False


@test
def what_the_killed_leave_is_swept(t):
    need_tracefs("sched:sched_process_exit")
    held = t.start([CAIRN, "record", "-q", "-o", t.path("killed"), "-k", "sched:sched_process_exit",
                    "--", "sleep", "1000"], start_new_session=True)
    try:
        (name,) = wait_for(lambda: instances(held.pid), "an instance is made")
        # not before all is set: then the trace has its metadata
        wait_for(lambda: is_on(name), "tracing is on")
        # another one that lives: it is left alone
        other = t.start([CAIRN, "record", "-q", "-o", t.path("alive"), "-k", "sched:sched_process_exit",
                         "--", "cat"], stdin=-1)
        wait_for(lambda: instances(other.pid), "another instance is made")
        held.kill()
        held.wait()
        assert instances(held.pid) in ([name], [])  # another test may have swept it
        t.record(["true"], "-k", "sched:sched_process_exit")
        wait_for(lambda: not instances(held.pid), "the next recording removes it", 10)
        assert instances(other.pid), "a living session's instance was removed"
        other.stdin.close()
        assert other.wait() == 0
        assert not instances(other.pid)
        assert [e["event"] for e in t.events(t.path("alive"))] == ["sched_process_exit"]
    finally:
        os.killpg(held.pid, signal.SIGKILL)  # its sleep, too


@test
def without_the_right_it_says_so(t):
    need_tracefs("sched:sched_switch")
    nobody = pwd.getpwnam("nobody")
    os.chmod(t.dir, 0o755)
    os.makedirs(t.path("nobody"))
    os.chown(t.path("nobody"), nobody.pw_uid, nobody.pw_gid)

    def drop():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)

    if not os.access(CAIRN, os.X_OK):
        raise Skip("others cannot run what was built")
    err = open(t.path("err"), "w")
    p = t.start([CAIRN, "record", "-o", t.path("nobody/trace"), "-k", "sched:sched_switch", "--", "true"],
                env={"CAIRN_RUNDIR": t.path("nobody/run")}, preexec_fn=drop, stderr=err)
    status = p.wait()
    said = open(t.path("err")).read()
    if "Permission denied" in said and "tracing" not in said:
        raise Skip("others cannot reach what was built")
    assert status == 1, (status, said)
    assert "need root" in said and "without -k" in said, said


main()
