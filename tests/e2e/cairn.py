"""The harness of end-to-end tests: programs, the trace they must give, and who else can read it.

A test file is a list of functions marked @test; each gets a Case, which has a directory of its own
under the system's temporary one, and ends with main(). Output is TAP. Nothing waits by sleeping:
programs and the harness meet through pipes, files, or wait_for() a condition (with a limit that
only a hang reaches).

    from cairn import test, main

    @test
    def one_event(t):
        prog = t.compile("p", '#include <cairn/trace.h>\\nint main(void){CAIRN(demo, hello); }')
        t.record([prog])
        assert t.names() == ["demo:hello"]
        t.check_babeltrace()
"""
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import traceback

TESTS = []
SOURCE = os.environ.get("CAIRN_SOURCE",
                        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.environ.get("CAIRN_BUILD", os.path.join(SOURCE, "build"))
CAIRN = os.path.join(BUILD, "cairn")
LIMIT = 120  # seconds; only a hang takes that long
IN_SHM = "cairn-test-"  # how the names of tests' own folders in /dev/shm begin

# Shells ignore it in what they start in the background, and so would all that we start.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Skip(Exception):
    pass


def test(function):
    TESTS.append(function)
    return function


def need(tool):
    if not shutil.which(tool):
        raise Skip("needs " + tool)


def wait_for(condition, what, limit=LIMIT):
    """Polls until condition() is true and gives its value; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("never happened: " + what)
        time.sleep(0.005)


def small_pipe():
    """A pipe that is full once anything is in it, for readers that do not read: (r, w)."""
    r, w = os.pipe()
    fcntl.fcntl(w, 1031, 4096)  # F_SETPIPE_SZ
    return r, w


def unread_bytes(r):
    return int.from_bytes(fcntl.ioctl(r, termios.FIONREAD, bytes(4)), sys.byteorder)


class Result:
    def __init__(self, args, status, out, err):
        self.args, self.status, self.out, self.err = args, status, out, err

    def __repr__(self):
        return "%s\n  status %s\n  stdout: %s\n  stderr: %s" % (
            " ".join(map(str, self.args)), self.status, self.out[-2000:], self.err[-2000:])


class Case:
    def __init__(self, name):
        self.dir = tempfile.mkdtemp(prefix="cairn-test-" + name + "-")
        self.rundir = os.path.join(self.dir, "run")
        self.env = dict(os.environ, CAIRN_RUNDIR=self.rundir, LC_ALL="C.UTF-8",
                        CAIRN_WAIT_MS="10000")  # a busy machine misses no first events
        for name in ("CAIRN_HOST", "CAIRN_RT", "LD_PRELOAD"):
            self.env.pop(name, None)
        self.children = []
        self.trace = os.path.join(self.dir, "trace")

    def close(self):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        subprocess.run(["chmod", "-R", "u+w", self.dir], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    # ---- programs ----

    def compile(self, name, source, flags=(), cc=None, lang="c"):
        """Compiles C (or C++: lang="c++") text with nothing but -Iinclude, and gives the program."""
        ext = {"c": ".c", "c++": ".cc"}[lang]
        src = self.write(name + ext, source)
        cc = cc or {"c": "cc", "c++": "c++"}[lang]
        out = self.path(name)
        self.run([cc, "-O2", "-Wall", "-Werror", "-I" + SOURCE + "/include", "-o", out, src, *flags])
        return out

    def run(self, args, status=0, env=None, input=None, cwd=None, timeout=LIMIT):
        """Runs to the end; status None: any."""
        p = subprocess.run([str(a) for a in args], env=dict(self.env, **(env or {})), input=input,
                           stdin=None if input is not None else subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd or self.dir,
                           timeout=timeout)
        r = Result(args, p.returncode, p.stdout.decode(errors="replace"),
                   p.stderr.decode(errors="replace"))
        if status is not None and r.status != status:
            raise AssertionError("expected status %s: %r" % (status, r))
        return r

    def start(self, args, env=None, **more):
        p = subprocess.Popen([str(a) for a in args], env=dict(self.env, **(env or {})),
                             cwd=more.pop("cwd", self.dir), **more)
        self.children.append(p)
        return p

    def cairn(self, *args, **more):
        if args[0] == "session" and args[1] in ("create", "start", "stop", "enable", "disable") and \
                "--timeout" not in args:
            args = (*args, "--timeout", "60s")  # a busy machine counts on no program that is late
        return self.run([CAIRN, *args], **more)

    # ---- recording and reading ----

    def record(self, command, *options, status=0, trace=None, **more):
        return self.cairn("record", "-o", trace or self.trace, *options, "--", *command,
                          status=status, **more)

    def events(self, trace=None, *options):
        """The events by `cairn print --json`, without the host's own state dump."""
        out = self.cairn("print", "--json", *options, trace or self.trace).out
        rows = [json.loads(line) for line in out.splitlines()]
        return [r for r in rows if r["provider"] != "cairn_state"]

    def names(self, trace=None):
        return ["%s:%s" % (e["provider"], e["event"]) for e in self.events(trace)]

    def stat(self, trace=None):
        return json.loads(self.cairn("stat", "--json", trace or self.trace).out)

    def lost(self, trace=None):
        """Losses by reason, without zeros and without the sum."""
        return {k: v for k, v in self.stat(trace)["lost"].items() if v and k != "total"}

    def check_babeltrace(self, trace=None):
        """babeltrace2 reads the trace without a complaint, and gives as many events as we do."""
        need("babeltrace2")
        r = self.run(["babeltrace2", "--clock-cycles", trace or self.trace])
        complaints = [l for l in r.err.splitlines() if l and "discarded" not in l]
        assert not complaints, "babeltrace2 complains: " + r.err[:2000]
        theirs = [l for l in r.out.splitlines() if l and " cairn_state:" not in l]
        ours = self.events(trace)
        assert len(theirs) == len(ours), "babeltrace2 has %d events, we %d" % (len(theirs), len(ours))
        # by ring: readers may order events of one nanosecond differently
        rings = {}
        for line in theirs:
            cpu = re.search(r"{ cpu_id = (\d+) }", line)
            rings.setdefault(int(cpu.group(1)) if cpu else None, []).append(line)
        for event in ours:
            line = rings[event["cpu"] if event["cpu"] in rings else None].pop(0)
            name = " %s:" % ":".join(filter(None, (event["provider"], event["event"])))
            assert name in line, "babeltrace2 says %r, we %r" % (line, event)

    def daemon(self, *options, env=None):
        """A `cairn daemon` in this case's run directory, ready to serve."""
        # where it writes what a dead host left, too
        root = () if "--output-root" in options else ("--output-root", self.path("traces"))
        d = self.start([CAIRN, "daemon", *root, *options], env=env, stderr=open(self.path("daemon.err"), "w"))
        wait_for(lambda: d.poll() is not None or
                 self.run([CAIRN, "list"], status=None).status == 0, "the daemon answers")
        assert d.poll() is None, open(self.path("daemon.err")).read()
        return d


def main():
    chosen = sys.argv[1:]
    failed = 0
    cases = [f for f in TESTS if not chosen or f.__name__ in chosen]
    print("1..%d" % len(cases))
    for number, function in enumerate(cases, 1):
        name, t, note = function.__name__, None, ""
        try:
            t = Case(name)
            function(t)
            ok = True
        except Skip as skip:
            ok, note = True, " # SKIP %s" % skip
        except (AssertionError, subprocess.TimeoutExpired, OSError, KeyError, ValueError,
                IndexError) as problem:
            ok = False
            failed += 1
            for line in (traceback.format_exc() + str(problem)).splitlines():
                print("# " + line)
        finally:
            if t:
                t.close()
        print("%s %d - %s%s" % ("ok" if ok else "not ok", number, name, note), flush=True)
    sys.exit(1 if failed else 0)
