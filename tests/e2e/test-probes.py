#!/usr/bin/env python3
"""Probes: events made for a session, recorded, and gone with it."""
import os
import signal
import subprocess

from cairn import CAIRN, Skip, main, test, wait_for

TRACEFS = "/sys/kernel/tracing"

PROGRAM = """
#include <stdio.h>
#include <unistd.h>
__attribute__((noinline)) int target(long number, const char *text)
{
	__asm__ volatile("");
	return (int)number + text[0];
}
int main(int argc, char **argv)
{
	int sum = 0;
	for (int i = 0; i < 100; i++) sum += target(i, i % 2 ? "odd" : "even");
	printf("%d\\n", sum);
	fflush(stdout);
	if (argc > 1) pause();
}
"""


def need(word):
    if os.geteuid() != 0:
        raise Skip("needs root")
    try:
        readme = open(TRACEFS + "/README").read()
    except OSError:
        raise Skip("needs tracefs on " + TRACEFS)
    if word not in readme:
        raise Skip("this kernel has no such probes: " + word.strip())


def ours(pid):
    return [l for l in open(TRACEFS + "/dynamic_events") if ":cairn_%d_" % pid in l]


@test
def arguments_and_results_of_a_function(t):
    need("place (uprobe)")
    prog = t.compile("probed", PROGRAM, ["-g", "-O1"])
    t.record([prog], "--uprobe", prog + ":target number word=text raw=$arg1",
             "--uprobe", "back=" + prog + ":target%return $retval:s32")
    got = t.events()
    calls = [e["fields"] for e in got if e["event"] == "target"]
    results = [e["fields"] for e in got if e["event"] == "back"]
    assert len(calls) == 100 and len(results) == 100, (len(calls), len(results))
    for i, f in enumerate(calls):
        assert f["number"] == i and f["raw"] == i, f
        assert f["word"] == ("odd" if i % 2 else "even"), f
        assert results[i]["retval"] == i + ord("o" if i % 2 else "e"), results[i]
    assert {e["provider"] for e in got if e["event"] in ("target", "back")} == {"uprobes"}


@test
def functions_of_the_kernel_by_names(t):
    need("\n  kprobe_events\t")
    t.record(["/bin/cat", "/etc/hostname"],
             "--kprobe", "vfs_read count name=file->f_path.dentry->d_name.name",
             "--kretprobe", "vfs_read $retval:s64")
    names = [e["fields"]["name"] for e in t.events() if e["event"] == "vfs_read"]
    assert "hostname" in names, names


@test
def a_wrong_text_is_shown_with_a_caret(t):
    need("place (uprobe)")
    prog = t.compile("probed", PROGRAM)
    p = subprocess.run([CAIRN, "record", "-o", t.path("none"), "--uprobe", prog + ":targte", "--",
                        "/bin/true"], capture_output=True, text=True)
    lines = p.stderr.splitlines()
    assert p.returncode == 1, p
    assert lines[0] == "cairn record: --uprobe: this file has no function 'targte'", p.stderr
    assert lines[1] == "  " + prog + ":targte", p.stderr
    assert lines[2] == "  " + " " * (len(prog) + 1) + "^~~~~~", p.stderr
    assert lines[3] == "  did you mean 'target'?", p.stderr


def begin(t):
    """Records a program with a probe in it, as a group of processes of its own; it says when it runs."""
    prog = t.compile("probed", PROGRAM)
    return subprocess.Popen([CAIRN, "record", "-q", "-o", t.path("one"), "--uprobe", prog + ":target",
                             "--", prog, "wait"], stdout=subprocess.PIPE, text=True, start_new_session=True)


@test
def nothing_stays(t):
    need("place (uprobe)")
    p = begin(t)
    try:
        p.stdout.readline()
        assert len(ours(p.pid)) == 1, ours(p.pid)
        p.send_signal(signal.SIGINT)
        p.wait(20)
    finally:
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert not ours(p.pid), ours(p.pid)


@test
def the_dead_are_swept(t):
    need("place (uprobe)")
    p = begin(t)
    try:
        p.stdout.readline()
        assert len(ours(p.pid)) == 1, ours(p.pid)
    finally:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
    # who has the instance open may still be dying: it goes with the last of them
    wait_for(lambda: subprocess.run([CAIRN, "kernel", "clean"], capture_output=True).returncode == 0
             and not ours(p.pid), "the probe of a dead session is removed")


main()
