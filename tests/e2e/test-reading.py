#!/usr/bin/env python3
"""Reading real traces: following one that is rotated, ranges of time, messages, damage."""
import json
import os
import signal
import subprocess

from cairn import CAIRN, main, small_pipe, test, unread_bytes, wait_for

LOOP = """
#include <cairn/trace.h>
#include <stdio.h>
int main(void)
{
	char line[8];
	int n = 0;
	puts("ready"); fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) { /* a round for each line */
		for (int i = 0; i < 1000; i++, n++) CAIRN(loop, a, n);
		puts("done"); fflush(stdout);
	}
}
"""

# Threads and children with names of their own, some of which are the names of later ones.
CROWD = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
static void *work(void *arg)
{
	char name[16];
	snprintf(name, sizeof(name), "w%ld", (long)arg);
	for (int i = 0; i < 400; i++) {
		if (i == 200) pthread_setname_np(pthread_self(), name);
		CAIRN(crowd, step, i, (worker, (long)arg));
	}
	return NULL;
}
int main(void)
{
	for (long round = 0; round < 12; round++) {
		pthread_t t[4];
		for (long i = 0; i < 4; i++) pthread_create(&t[i], NULL, work, (void *)(round * 4 + i));
		for (long i = 0; i < 4; i++) pthread_join(t[i], NULL);
		if (fork() == 0) { work((void *)(1000 + round)); _exit(0); }
		wait(NULL);
	}
}
"""

# Small rings make many packets; who waits for the reader loses nothing, however slow that is.
NOTHING_LOST = ("--mode", "block", "--block-time", "10s")

LOGS = r"""
#include <cairn/trace.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#define SAY(...) do { CAIRN_LOG(talk, CAIRN_INFO, __VA_ARGS__); printf(__VA_ARGS__); putchar('\n'); } while (0)
static char big[9000];
int main(void)
{
	SAY("plain");
	SAY("100%% of %s", "all");
	SAY("[%5d|%-5d|%05d|%+d|% d]", 42, 42, 42, 42, 42);
	SAY("[%u %x %X %#x %o %#o]", 3000000000u, 48879u, 48879u, 48879u, 8u, 8u);
	SAY("[%ld %lld %lu %zu %hhd %hd]", LONG_MIN, LLONG_MAX, ULONG_MAX, (size_t)7, (char)-1, (short)-2);
	SAY("[%f %.2f %8.3f %e %g %G %-9.1f]", 1.5, 2.345, -3.25, 12345.678, 0.0001, 1e20, 4.0);
	SAY("[%hhu %hx %x %hho %d %#llx]", 300, -2, (short)-2, (char)-1, (char)-3, 1ULL << 63);
	SAY("[%*d|%-*d|%.*f|%.5d|%+.3i|%lx]", 6, -7, 6, 7, 3, 1.23456, 42, 5, -1L);
	SAY("[%s|%10s|%-10s|%.3s]", "text", "right", "left", "cut here");
	SAY("[%c%c] %p", 'o', 'k', (void *)0x1234);
	memset(big, 'x', sizeof(big) - 1);
	SAY("%s and %s|", big, big + 100);
	SAY("a \"quote\", a \\ and %s", "\xc3\xa4\xc3\xb6\xc3\xbc");
}
"""


def read_all(t, trace, *options):
    return t.cairn("print", "--json", *options, trace).out.splitlines()


@test
def messages_are_what_printf_says(t):
    r = t.record([t.compile("logs", LOGS)])
    said = [line for line in r.out.splitlines() if line]
    rows = [e for e in t.events() if e["provider"] == "talk"]
    assert [e["message"] for e in rows] == said, (rows, said)
    assert rows[2]["fields"] and list(rows[2]["fields"].values()) == [42] * 5, rows[2]
    text = t.cairn("print", "-e", "talk", t.trace).out.splitlines()
    assert [line.split(": ", 2)[2] for line in text] == said, text


@test
def ranges_are_filtered_full_reads(t):
    prog = t.compile("crowd", CROWD, ["-pthread"])
    t.record([prog], "--ring-size", "64K", *NOTHING_LOST)
    full = read_all(t, t.trace)
    times = [json.loads(line)["time_ns"] for line in full]
    assert len(full) > 10000, len(full)
    for begin, end in ((0, 20), (10, 11), (50, 70), (95, 101)):
        a, b = (times[min(len(times) - 1, len(times) * p // 100)] for p in (begin, end))
        want = [line for line, time in zip(full, times) if a <= time < b]
        limits = ["--since", "%d.%09d" % divmod(a, 10**9), "--until", "%d.%09d" % divmod(b, 10**9)]
        assert read_all(t, t.trace, *limits) == want, (begin, end)
        stat = json.loads(t.cairn("stat", "--json", *limits, t.trace).out)
        assert stat["events"] == len(want), (stat, len(want))
        # by process, too: it is by the names of threads
        comms = [json.loads(line).get("comm") for line in want]
        for name in sorted(set(comms[::100]) - {None})[:5]:
            some = [line for line, comm in zip(want, comms) if comm == name]
            assert read_all(t, t.trace, *limits, "-t", name) == some, name


@test
def following_over_rotation(t):
    t.daemon()
    p = t.start([t.compile("p", LOOP)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert p.stdout.readline() == b"ready\n"

    def rounds(n):
        for _ in range(n):
            p.stdin.write(b"x\n")
            p.stdin.flush()
            assert p.stdout.readline() == b"done\n"

    t.cairn("session", "create", "r", "-o", t.path("r"))
    t.cairn("session", "enable", "r", "loop:*")
    t.cairn("session", "start", "r")
    rounds(1)
    wait_for(lambda: os.path.exists(t.path("r") + "/metadata"), "the trace is there")
    follow = t.start([CAIRN, "print", "-f", "--json", "-e", "loop", t.path("r")],
                     stdout=subprocess.PIPE, stderr=open(t.path("err"), "w"))
    seen = 0
    for _ in range(3):
        for _ in range(1000):
            event = json.loads(follow.stdout.readline())
            assert event["fields"]["n"] == seen, (event, seen)
            seen += 1
        t.cairn("session", "rotate", "r")
        rounds(1)
    rounds(1)
    while seen < 5000:
        assert json.loads(follow.stdout.readline())["fields"]["n"] == seen
        seen += 1
    follow.send_signal(signal.SIGINT)
    assert follow.wait(timeout=60) == 0
    assert open(t.path("err")).read() == "", open(t.path("err")).read()
    t.cairn("session", "destroy", "r")
    assert [e["fields"]["n"] for e in t.events(t.path("r"))] == list(range(5000))


@test
def damage_costs_a_packet(t):
    prog = t.compile("crowd", CROWD, ["-pthread"])
    t.record([prog], "--ring-size", "64K", *NOTHING_LOST)
    whole = t.stat()
    ring = max((os.path.join(t.trace, f) for f in os.listdir(t.trace)), key=os.path.getsize)
    with open(ring, "r+b") as f:
        mark = f.read(20)
        data = mark + f.read()
        begins = [i for i in range(0, len(data), 8) if data[i:i + 20] == mark]
        assert len(begins) > 2, "the trace has more than two packets a ring"
        f.seek(begins[1])
        f.write(b"\0" * 8)
    r = t.cairn("stat", "--json", t.trace, status=1)
    stat = json.loads(r.out)
    assert stat["damaged_files"] == 1 and stat["packets_lost"] == 1, stat
    assert stat["damaged_bytes"] == begins[2] - begins[1], stat
    assert 0 < stat["events"] < whole["events"], stat
    assert len(r.err.splitlines()) == 1 and "byte %d: a packet is damaged" % begins[1] in r.err, r.err


@test
def a_second_interrupt_ends_what_nobody_reads(t):
    """print -f, blocked in a full pipe: the first one asks it to finish, which it cannot."""
    t.record(["ls", "-lR", "/etc"], "--with", "libc")
    r, w = small_pipe()
    p = t.start([CAIRN, "print", "-f", t.trace], stdout=w)
    os.close(w)
    wait_for(lambda: unread_bytes(r) > 0, "the pipe is full")

    def interrupted():
        p.send_signal(signal.SIGINT)
        return p.poll() is not None
    wait_for(interrupted, "it ends")
    os.close(r)
    assert p.returncode == -signal.SIGINT, p.returncode


main()
