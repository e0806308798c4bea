#!/usr/bin/env python3
"""Who can be reached by a session that begins after the program, and what is said of the others."""
import json
import os
import re
import signal
import subprocess

from cairn import BUILD, CAIRN, SOURCE, main, test, wait_for

LOOP = """
#include <cairn/trace.h>
#include <stdio.h>
int main(void)
{
	char line[8];
	puts("ready"); fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		for (int i = 0; i < 100; i++) CAIRN(loop, a, i);
		puts("done"); fflush(stdout);
	}
}
"""


def looper(t, env=None):
    p = t.start([t.compile("p", LOOP)], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    return p


def go(p):
    p.stdin.write(b"x\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"done\n"


def named_by_all(t, pid):
    """Whether `record --all` says that it cannot be reached. It names eight, of the whole machine: with more
    than that, of others' tests, say, it is asked again."""
    def line():
        r = t.cairn("record", "-o", t.path("all%d" % len(os.listdir(t.dir))), "--all", "--duration", "1500ms")
        said = re.search(r"cannot be reached.*", r.err)
        assert said, r
        return said.group() if re.search(r"\b%d\b" % pid, said.group()) or "..." not in said.group() else None
    return re.search(r"\b%d\b" % pid, wait_for(line, "others' programs leave room in the list"))


@test
def no_host_means_nothing_is_loaded(t):
    p = looper(t)
    maps = open("/proc/%d/maps" % p.pid).read()
    assert "cairn-rt" not in maps
    assert len(os.listdir("/proc/%d/task" % p.pid)) == 1
    assert len(os.listdir("/proc/%d/fd" % p.pid)) == 3
    r = t.cairn("record", "-o", t.trace, "-p", str(p.pid), "--duration", "1500ms", status=1)
    assert "%d (p) cannot be reached" % p.pid in r.err, r
    assert "dormant" in r.err, r
    assert named_by_all(t, p.pid)


@test
def sessions_say_whom_they_cannot_reach(t):
    p = looper(t)
    t.daemon()
    r = t.cairn("session", "create", "s", "-o", t.trace, "-p", str(p.pid), "--start")
    assert "%d (p) cannot be reached" % p.pid in r.err, r
    r = t.cairn("session", "create", "s2", "-o", t.path("t2"), "-p", "4194303", status=1)
    assert "4194303" in r.err, r
    assert [s["name"] for s in json.loads(t.cairn("session", "list", "--json").out)] == ["s"]


@test
def list_shows_whom_it_cannot_reach(t):
    """With the reason, for people and for scripts."""
    static = t.compile("static", LOOP, ["-static"])
    runtime = os.path.join(BUILD, "libcairn-rt.so")
    t.compile("p", LOOP)

    def begin(*args, env=None):
        p = t.start(args, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert p.stdout.readline() == b"ready\n"
        return p.pid
    want = {begin(t.path("p")): "not-loaded", begin(static): "static",
            begin(t.path("p"), env={"CAIRN_RT": runtime, "CAIRN_RUNDIR": t.path("no")}): "not-connected"}
    t.daemon()
    reached = begin(t.path("p"))
    if os.getuid() == 0 and t.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", t.rundir],
                                  status=None).status == 0:
        want[begin("unshare", "-m", "sh", "-c", "mount -t tmpfs none %s && exec %s" % (t.rundir, t.path("p")),
                   env={"CAIRN_RT": runtime})] = "elsewhere"

    def unreached(*options):
        return {u["pid"]: u for u in json.loads(t.cairn("list", "--json", *options).out)["unreached"]}
    got = unreached()
    assert {pid: got[pid]["reason"] for pid in want if pid in got} == want, (want, got)
    assert reached not in got
    pid = min(want)
    assert got[pid]["comm"] in ("p", "static") and got[pid]["uid"] == os.getuid(), got[pid]
    assert set(unreached("-p", str(pid))) == {pid}
    text = t.cairn("list", "-s").out
    for pid in want:
        assert "\n%d %s: %s\n" % (pid, got[pid]["comm"], got[pid]["text"]) in text, (got[pid], text)
        assert "\n  hint: %s\n" % got[pid]["hint"] in text, (got[pid], text)
    assert "dormant" in text


@test
def marks_in_libraries_are_seen(t):
    lib = t.write("l.c", '#include <cairn/trace.h>\nvoid f(void) { CAIRN(l, f); }\n')
    so = t.path("libl.so")
    t.run(["cc", "-O2", "-fPIC", "-shared", "-I" + SOURCE + "/include", "-o", so, lib])
    prog = t.write("m.c", '#include <stdio.h>\nvoid f(void);\nint main(void)\n'
                   '{ puts("ready"); fflush(stdout); f(); getchar(); }\n')
    t.run(["cc", "-o", t.path("m"), prog, so])
    p = t.start([t.path("m")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"
    assert named_by_all(t, p.pid)


@test
def static_programs_without_the_runtime(t):
    prog = t.compile("s", '#include <cairn/trace.h>\nint main(void) { CAIRN(s, e); }', ["-static"])
    r = t.cairn("record", "-o", t.trace, "--", prog)
    assert "is marked" in r.err and "cairn-rt-static" in r.err, r


@test
def no_such_process(t):
    r = t.cairn("record", "-o", t.trace, "-p", "4194303", status=1)
    assert "4194303" in r.err, r


@test
def dormant_programs_are_reached(t):
    """Even if nothing of the run directory existed when they started."""
    out = t.cairn("dormant", "env").out
    assert out == "export CAIRN_RT='%s'\n" % os.path.join(BUILD, "libcairn-rt.so"), out
    p = looper(t, env={"CAIRN_RT": os.path.join(BUILD, "libcairn-rt.so")})
    go(p)
    for k, option in enumerate((["-p", str(p.pid)], ["--all"])):
        trace = t.path("t%d" % k)
        r = t.start([CAIRN, "record", "-q", "-o", trace, *option])

        def recorded():
            go(p)
            return os.path.exists(trace + "/metadata") and t.events(trace)
        wait_for(recorded, "events")
        r.send_signal(signal.SIGINT)
        assert r.wait(timeout=30) == 0
        assert {e["tid"] for e in t.events(trace)} == {p.pid}
    p.stdin.close()
    assert p.wait(timeout=30) == 0


@test
def dormant_setting(t):
    env = {"XDG_CONFIG_HOME": t.path("config")}
    conf = t.path("config/environment.d/50-cairn.conf")
    assert json.loads(t.cairn("dormant", "status", "--json", env=env).out) == {
        "login": False, "shell": ""}
    t.cairn("dormant", "on", env=env)
    assert open(conf).read() == "CAIRN_RT=%s\n" % os.path.join(BUILD, "libcairn-rt.so")
    assert json.loads(t.cairn("dormant", "status", "--json", env=env).out)["login"] is True
    t.cairn("dormant", "off", env=env)
    t.cairn("dormant", "off", env=env)
    assert not os.path.exists(conf)
    t.cairn("dormant", status=2)
    t.cairn("dormant", "perhaps", status=2)


main()
