#!/usr/bin/env python3
"""What others script against: paths, exit codes, the shape of what is printed."""
import json
import os
import signal
import subprocess

from cairn import BUILD, CAIRN, SOURCE, Skip, main, need, test, wait_for

HELLO = """
#include <cairn/trace.h>
int main(int argc, char **argv)
{
	for (int i = 0; i < 3; i++)
		CAIRN(demo, hello, i, (name, argv[0]));
	CAIRN(demo, bye);
	return argc > 1 ? 7 : 0;
}
"""


@test
def build_leaves_program_and_runtime(t):
    for name in ("cairn", "libcairn-rt.so", "libcairn-rt.a", "libcairn.so"):
        assert os.path.exists(os.path.join(BUILD, name)), name


@test
def one_program_in_c_and_cxx(t):
    for lang in ("c", "c++"):
        prog = t.compile("hello-" + lang, HELLO, lang=lang)
        trace = t.path("trace-" + lang)
        t.record([prog], trace=trace)
        events = t.events(trace)
        assert [e["event"] for e in events] == ["hello"] * 3 + ["bye"], events
        assert [e["fields"]["i"] for e in events[:3]] == [0, 1, 2]
        assert events[0]["fields"]["name"] == prog
        assert events[3]["fields"] == {}
        for e in events:
            assert e["provider"] == "demo"
            assert isinstance(e["time_ns"], int) and e["time_ns"] > 10**18
            assert isinstance(e["cpu"], int) and 0 <= e["cpu"] < os.cpu_count()
            assert isinstance(e["tid"], int) and e["tid"] > 1
        times = [e["time_ns"] for e in events]
        assert times == sorted(times)
        t.check_babeltrace(trace)


@test
def text_is_one_line_an_event_in_time_order(t):
    t.record([t.compile("hello", HELLO)])
    out = t.cairn("print", t.trace).out
    lines = [l for l in out.splitlines() if "demo:" in l]
    assert len(lines) == 4, out
    assert "i=2" in lines[2].replace(" = ", "="), lines[2]


@test
def priority_is_the_consumers_alone(t):
    if os.geteuid() != 0:
        raise Skip("only root may go before others")
    nice = lambda pid: "cut -d' ' -f19 /proc/%s/stat" % pid
    out = t.path("nice")
    t.record(["sh", "-c", "(%s; %s) >%s" % (nice("$$"), nice("$PPID"), out)])
    was = os.getpriority(os.PRIO_PROCESS, 0)
    with open(out) as f:
        assert f.read().split() == [str(was), str(min(was, -10))]


@test
def stat_has_the_promised_members(t):
    t.record([t.compile("hello", HELLO)])
    s = t.stat()
    assert s["by_event"]["demo:hello"] == 3, s
    assert s["by_event"]["demo:bye"] == 1, s
    assert s["events"] >= 4 and s["bytes"] > 0
    assert isinstance(s["lost"], dict)
    assert t.lost() == {}
    text = t.cairn("stat", t.trace).out
    assert "demo:hello" in text
    assert max(len(l) for l in text.splitlines()) <= 80, text


@test
def exit_codes(t):
    prog = t.compile("hello", HELLO)
    t.record([prog, "x"], status=7)
    assert len(t.events()) == 4
    t.cairn("print", t.path("nothing-here"), status=1)
    t.cairn("stat", t.path("nothing-here"), status=1)
    for wrong in (["frobnicate"], ["print"], ["print", "--frob", "x"], ["record", "--mode", "odd", "--", "true"],
                  ["record", "--ring-size", "12Q", "--", "true"], ["stat"], ["session", "frob"]):
        r = t.cairn(*wrong, status=2)
        assert r.err and not r.out, r
    r = t.record([t.path("no-such-program")], trace=t.path("t3"), status=None)
    assert r.status in (126, 127), r
    r = t.record(["sh", "-c", "kill -9 $$"], trace=t.path("t4"), status=None)
    assert r.status == 128 + 9, r


@test
def help_everywhere(t):
    for args in ([], ["record"], ["print"], ["stat"], ["session"], ["list"], ["daemon"], ["recover"]):
        r = t.cairn(*args, "--help")
        assert "sage" in r.out and not r.err, r
        assert max(len(l) for l in r.out.splitlines()) <= 80, r.out


@test
def default_output_directory_is_said(t):
    prog = t.compile("hello", HELLO)
    r = t.cairn("record", "--", prog)
    made = [n for n in os.listdir(t.dir) if n.startswith("cairn-")]
    assert len(made) == 1 and made[0] in r.err, (made, r)
    assert len(t.events(t.path(made[0]))) == 4


@test
def selection_of_events(t):
    prog = t.compile("many", """
#include <cairn/trace.h>
int main(void)
{
	CAIRN(a, one); CAIRN(a, two); CAIRN(b, one);
	CAIRN_LEVEL(CAIRN_ERR, b, bad); CAIRN_LEVEL(CAIRN_INFO, b, info);
}
""")
    for options, want in (
            (["-e", "a:*"], ["a:one", "a:two"]),
            (["-e", "a:*", "-e", "b:one"], ["a:one", "a:two", "b:one"]),
            (["-e", "*:one"], ["a:one", "b:one"]),
            (["-e", "a"], ["a:one", "a:two"]),
            (["--exclude", "a:*"], ["b:one", "b:bad", "b:info"]),
            (["--loglevel", "info"], ["b:bad", "b:info"]),
            (["--loglevel", "err"], ["b:bad"])):
        trace = t.path("-".join(options).replace("*", "x").replace(":", "_"))
        t.record([prog], *options, trace=trace)
        assert t.names(trace) == want, (options, t.names(trace))


@test
def streamed_through_a_pipe(t):
    prog = t.compile("hello", HELLO)
    r = subprocess.run("%s record -o - -- %s 2>err | %s print --json -" % (CAIRN, prog, CAIRN),
                       shell=True, cwd=t.dir, env=t.env, stdout=subprocess.PIPE, timeout=60)
    assert r.returncode == 0, open(t.path("err")).read()
    rows = [json.loads(l) for l in r.stdout.decode().splitlines()]
    assert [e["event"] for e in rows if e["provider"] == "demo"] == ["hello"] * 3 + ["bye"], rows


@test
def children_are_followed(t):
    prog = t.compile("hello", HELLO)
    t.record(["sh", "-c", "%s; %s & wait; %s" % (prog, prog, prog)])
    events = t.events()
    assert len(events) == 12, len(events)
    assert len({e["tid"] for e in events}) == 3


@test
def interrupt_ends_cleanly(t):
    prog = t.compile("loop", """
#include <cairn/trace.h>
#include <stdio.h>
#include <unistd.h>
int main(void)
{
	puts("ready"); fflush(stdout);
	for (long i = 0; ; i++) { CAIRN(demo, tick, i); usleep(100); }
}
""")
    r = t.start([CAIRN, "record", "-o", t.trace, "--", prog], stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, start_new_session=True)
    r.stdout.readline()
    wait_for(lambda: os.path.exists(t.trace) and
             any(f.startswith("channel") for f in os.listdir(t.trace)), "a stream file")
    os.killpg(r.pid, signal.SIGINT)
    r.communicate(timeout=60)
    assert r.returncode == 128 + signal.SIGINT, r.returncode
    ticks = [e["fields"]["i"] for e in t.events()]
    assert ticks == list(range(len(ticks))) and ticks
    t.check_babeltrace()


@test
def nothing_recorded_is_said(t):
    r = t.record(["true"])
    assert "no" in r.err.lower(), r
    assert t.events() == []


@test
def short_lived_tasks_have_names(t):
    """Who ends before anybody could look at it has said who it is, in each session."""
    prog = t.compile("p", """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>
static void *run(void *arg) { pthread_setname_np(pthread_self(), "worker"); CAIRN(n, thread); return arg; }
int main(void)
{
	for (int i = 0; i < 20; i++) {
		pthread_t th;
		pthread_create(&th, 0, run, 0);
		pthread_join(th, 0);
		if (fork() == 0) { CAIRN(n, child); _exit(0); }
		wait(0);
	}
}
""", flags=["-pthread"])
    t.record([prog])
    text = t.cairn("print", t.trace).out
    assert text.count("worker-") >= 20 and text.count("n:child") == 20, text
    assert "<...>" not in text, text
    by_process = t.stat()["by_process"]
    assert [p["comm"] for p in by_process if p["pid"] and p["events"] >= 40] == ["p"], by_process
    t.check_babeltrace()


@test
def performance_counters(t):
    """Each grows from event to event as the program does what it counts; what the machine does not
    offer is refused, never shown as nothing."""
    prog = t.compile("p", """
#include <cairn/trace.h>
#include <stdlib.h>
#include <sched.h>
int main(void)
{
	for (int i = 0; i < 5; i++) {
		CAIRN(n, e, i);
		for (volatile int k = 0; k < 1000000; k++) ;
		for (volatile char *p = malloc(1 << 20), *q = p; q < p + (1 << 20); q += 4096) *q = 1;
	}
}
""")
    t.record([prog], "--context", "tid,perf:task-clock,perf:page-faults")
    values = [e["context"] for e in t.events()]
    for name, least in (("perf_task_clock", 100000), ("perf_page_faults", 100)):
        steps = [b[name] - a[name] for a, b in zip(values, values[1:])]
        assert len(steps) == 4 and min(steps) >= least, (name, steps)
    t.check_babeltrace()
    hard = t.path("hard")
    r = t.record([prog], "--context", "perf:instructions", trace=hard, status=None)
    if r.status == 0:
        got = [e["context"]["perf_instructions"] for e in t.events(hard)]
        assert all(b - a > 1000000 for a, b in zip(got, got[1:])), got
    else:
        assert r.status == 1 and "instructions" in r.err and "hint" in r.err, r


@test
def ctf_2_reads_as_ctf_1_8(t):
    prog = t.compile("p", """
#include <cairn/trace.h>
#include <stdbool.h>
enum color { RED, GREEN = 5 };
int main(void)
{
	int array[3] = {1, -2, 3};
	enum color c = GREEN;
	const char *none = 0;
	for (int i = 0; i < 3; i++) {
		CAIRN(f, all, i, (b, (bool)(i & 1)), (c, 'x'), (f, i / 4.0f), (d, -i * 1e300), (p, (void *)16),
			(none, none), (s, "text \\"quoted\\""), array, (u, (unsigned char)200));
		CAIRN(f, color, (color, (int)c));
		CAIRN_LOG(f, CAIRN_INFO, "%s is %5.2f of %d", "this", 3.14159, i);
	}
}
""")
    rows = []
    for options in ([], ["--ctf2"]):
        trace = t.path("t%d" % len(rows))
        t.record([prog], "--context", "tid,pid,comm,nice", *options, trace=trace)
        rows.append([{k: v for k, v in e.items() if k not in ("time_ns", "tid", "pid", "cpu")}
                     for e in t.events(trace)])
    assert len(rows[0]) == 9 and rows[0] == rows[1], rows


main()
