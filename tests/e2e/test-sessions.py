#!/usr/bin/env python3
"""The daemon and its sessions: several at once, different events, channels and modes."""
import json
import os
import signal
import subprocess

from cairn import CAIRN, Skip, main, test, wait_for

LOOP = """
#include <cairn/trace.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	char line[8];
	puts("ready"); fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) { /* one round for each line */
		for (int i = 0; i < 1000; i++) { CAIRN(loop, a, i); CAIRN(loop, b, i); }
		puts("done"); fflush(stdout);
	}
}
"""


def looper(t, prog):
    p = t.start([prog], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    return p


def round(p):
    p.stdin.write(b"x\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"done\n"


@test
def two_sessions_over_one_program(t):
    t.daemon()
    p = looper(t, t.compile("p", LOOP))
    for name, event in (("sa", "loop:a"), ("sb", "loop:b")):
        t.cairn("session", "create", name, "-o", t.path(name))
        t.cairn("session", "enable", name, event)
    round(p)
    t.cairn("session", "start", "sa")
    round(p)
    t.cairn("session", "start", "sb")
    round(p)
    t.cairn("session", "stop", "sa")
    round(p)
    t.cairn("session", "enable", "sb", "loop:a")
    round(p)
    t.cairn("session", "disable", "sb", "loop:b")
    round(p)
    t.cairn("session", "destroy", "sa")
    t.cairn("session", "destroy", "sb")
    round(p)
    p.stdin.close()
    assert p.wait(timeout=30) == 0
    assert t.stat(t.path("sa"))["by_event"]["loop:a"] == 2000
    assert "loop:b" not in t.stat(t.path("sa"))["by_event"]
    sb = t.stat(t.path("sb"))["by_event"]
    assert sb["loop:b"] == 3000 and sb["loop:a"] == 2000, sb
    t.check_babeltrace(t.path("sa"))
    t.check_babeltrace(t.path("sb"))


@test
def daemon_says_where_it_is_and_how_it_ends(t):
    name = t.path("run/hosts/daemon.sock")
    r = t.cairn("daemon", "-d", "--output-root", t.path("root"))
    try:
        pid = json.loads(t.cairn("list", "--json").out)["host"]["pid"]
        assert r.out == "", r
        for what in ("process %d" % pid, name, t.path("root"), "`cairn daemon --stop`"):
            assert what in r.err, (what, r)
        second = t.cairn("daemon", status=1)
        assert "runs already: process %d\n" % pid in second.err and "--stop" in second.err, second
        assert t.cairn("daemon", "-d", "--json", status=1).out == ""
        other = json.loads(t.cairn("daemon", "-d", "--json", "--name", "other").out)
        assert other["pid"] != pid and other["stop"] == "cairn daemon --stop --name other", other
        assert other["socket"] == t.path("run/hosts/other.sock")
        ended = json.loads(t.cairn(*other["stop"].split()[1:], "--json").out)
        assert ended == {"pid": other["pid"], "ended": True}, ended
    finally:
        r = t.cairn("daemon", "--stop")
    assert not os.path.exists(name), "it has not ended"
    for _ in range(5):  # one after the other, without a pause
        p = json.loads(t.cairn("daemon", "-d", "--json").out)
        assert p["name"] == "daemon"
        t.cairn("daemon", "--stop")
    t.cairn("daemon", "--stop", status=1)


@test
def daemon_in_the_foreground(t):
    d = t.start([CAIRN, "daemon", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    said = json.loads(d.stdout.readline())
    assert said["pid"] == d.pid and os.path.exists(said["socket"]), said
    d.send_signal(signal.SIGTERM)
    assert d.communicate(timeout=30) == (b"", b"") and d.returncode == 0


@test
def snapshot_of_a_flight_recorder(t):
    t.daemon()
    p = looper(t, t.compile("p", LOOP))
    t.cairn("session", "create", "fr", "--mode", "overwrite", "--ring-size", "64K", "-o", t.path("fr"))
    t.cairn("session", "enable", "fr", "loop:*")
    t.cairn("session", "start", "fr")
    for _ in range(20):
        round(p)
    out = t.path("snap")
    t.cairn("session", "snapshot", "fr", "-o", out)
    rows = t.events(out)
    assert len(rows) > 500, len(rows)
    assert rows[-1]["fields"]["i"] == 999 and rows[-1]["event"] == "b"
    lost = t.stat(out)["lost"]
    assert sum(v for k, v in lost.items() if k != "total") + len(rows) == 40000, (lost, len(rows))
    t.check_babeltrace(out)
    round(p)
    t.cairn("session", "destroy", "fr")


@test
def programs_do_not_wait_for_ever(t):
    t.daemon()
    r = t.cairn("session", "create", "b", "--mode", "block", "--block-time", "11s", "-o", t.path("b"),
                status=2)
    assert "10 s" in r.err, r
    t.cairn("session", "create", "b", "--mode", "block", "--block-time", "10s", "-o", t.path("b"))


@test
def rotation(t):
    t.daemon()
    prog = t.compile("p", LOOP)
    p = looper(t, prog)
    t.cairn("session", "create", "r", "-o", t.path("r"))
    t.cairn("session", "enable", "r", "loop:*")
    t.cairn("session", "start", "r")
    looper(t, prog)  # its state is dumped apart
    round(p)
    first = t.cairn("session", "rotate", "r", "--json").out
    round(p)
    t.cairn("session", "destroy", "r")
    assert len(t.events(t.path("r"))) == 4000
    chunk = json.loads(first)["directory"]
    assert len(t.events(chunk)) == 2000
    t.check_babeltrace(t.path("r"))
    r = t.run(["babeltrace2", t.path("r")])  # it makes one trace of the chunks
    assert r.err == "", r


@test
def listing(t):
    t.daemon()
    p = looper(t, t.compile("p", LOOP))
    wait_for(lambda: str(p.pid) in t.cairn("list", "--json").out, "the program is listed")
    text = t.cairn("list").out
    assert str(p.pid) in text and "loop:a" in text, text
    json.loads(t.cairn("list", "--json").out)
    assert json.loads(t.cairn("session", "list", "--json").out) == []
    r = t.cairn("session", "start", "nosuch", status=1)
    assert "nosuch" in r.err


@test
def by_pid_and_all(t):
    prog = t.compile("p", LOOP)
    t.daemon()  # a host is there, so programs register at their start
    p, q = looper(t, prog), looper(t, prog)
    for options, want in ((["-p", str(p.pid)], {p.pid}), (["--all"], {p.pid, q.pid})):
        trace = t.path("-".join(options))
        r = t.start([CAIRN, "record", "-o", trace, *options], stderr=subprocess.PIPE)
        wait_for(lambda: all(any(str(pid) in line and "loop" in line for line in [
            t.cairn("list", "--json").out]) for pid in want), "connected")
        def recording():
            round(p)
            round(q)
            return os.path.exists(trace + "/metadata") and {e["tid"] for e in t.events(trace)} >= want
        wait_for(recording, "events of the wanted programs")
        r.send_signal(signal.SIGINT)
        r.communicate(timeout=60)
        assert {e["tid"] for e in t.events(trace)} == want
    r = t.cairn("record", "-o", t.path("no"), "-p", str(os.getpid()), "--duration", "2s", status=1)
    assert str(os.getpid()) in r.err, r


@test
def stopped_programs_are_named(t):
    t.daemon()
    p = looper(t, t.compile("p", LOOP))
    t.cairn("session", "create", "s", "-o", t.path("s"))
    wait_for(lambda: str(p.pid) in t.cairn("list", "--json").out, "connected")
    p.send_signal(signal.SIGSTOP)
    r = t.cairn("session", "enable", "s", "loop:*", "--timeout", "1s", status=None)
    r2 = t.cairn("session", "start", "s", "--timeout", "1s", status=None)
    assert str(p.pid) in r.err + r.out + r2.err + r2.out, (r, r2)
    p.send_signal(signal.SIGCONT)
    round(p)
    t.cairn("session", "destroy", "s")


@test
def other_users_are_kept_apart(t):
    if os.getuid() != 0:
        raise Skip("needs root")
    os.chmod(t.dir, 0o755)
    t.daemon()
    p = looper(t, t.compile("p", LOOP))
    t.cairn("session", "create", "mine", "-o", t.path("mine"))
    other = lambda *a: t.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", CAIRN, *a],
                             status=None)
    r = other("session", "list", "--json")
    assert r.status == 0 and json.loads(r.out) == [], r
    assert other("session", "destroy", "mine").status == 1
    assert str(p.pid) not in other("list", "--json").out
    assert "mine" in t.cairn("session", "list").out
    t.cairn("session", "enable", "mine", "loop:*")
    t.cairn("session", "start", "mine")
    assert os.stat(t.path("mine")).st_mode & 0o077 == 0


main()
