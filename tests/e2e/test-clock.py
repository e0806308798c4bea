#!/usr/bin/env python3
"""Threads that may not read the time stamp counter: they fire into the same rings, by another clock, and
nobody is killed. Cause comes before effect, to within the error that docs/decisions/009 states."""
import platform

from cairn import Skip, main, test

ERROR_NS = 1000

# Two processes that play ping-pong over pipes; argv[1] says who gives up the counter, and how.
PAIR = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static int ab[2], ba[2];
static int deny(const char *how)
{
	if (!strcmp(how, "libc")) return prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
	return (int)syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
}
static int ask(void)
{
	int mode = 0;
	prctl(PR_GET_TSC, &mode, 0, 0, 0);
	return mode;
}
static void pass(int fd) { if (write(fd, "x", 1) != 1) _exit(3); }
static void take(int fd) { char c; if (read(fd, &c, 1) != 1) _exit(4); }
static void *pong(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		take(ab[0]); CAIRN(c, got, i); CAIRN(c, back, i); pass(ba[1]);
	}
	return arg;
}
int main(int argc, char **argv)
{
	int how_many = 0, status;
	alarm(60);
	if (pipe(ab) || pipe(ba)) return 1;
	if (strstr(argv[1], "early")) deny("libc"); /* before any event: inherited, or asked for */
	else CAIRN(c, before, how_many);
	if (fork() == 0) {
		pthread_t thread;
		if (!strstr(argv[1], "early") && deny(argv[1])) return 2;
		if (ask() != PR_TSC_SIGSEGV) return 5;
		pthread_create(&thread, NULL, pong, NULL);
		pthread_join(thread, NULL);
		if (prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0)) return 6;
		CAIRN(c, again, how_many);
		return 0;
	}
	for (int i = 0; i < 1000; i++) {
		CAIRN(c, there, i); pass(ab[1]); take(ba[0]); CAIRN(c, home, i);
	}
	if (wait(&status) < 0 || status) return 7;
	CAIRN(c, after, status);
	return 0;
}
"""

# Two threads, one of which gives up the counter; they meet in memory, some 100 ns apart.
THREADS = """
#include <cairn/trace.h>
#include <linux/prctl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>
static volatile int turn;
static void await(int t) { while (turn != t) sched_yield(); }
static void *pong(void *arg)
{
	CAIRN(c, mine, turn);
	if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0)) return 0;
	for (int i = 0; i < 3000; i++) {
		await(2 * i + 1); CAIRN(c, got, i); turn = 2 * i + 2;
	}
	return arg;
}
int main(void)
{
	pthread_t thread;
	void *done;
	pthread_create(&thread, NULL, pong, (void *)&turn);
	for (int i = 0; i < 3000; i++) {
		CAIRN(c, there, i); turn = 2 * i + 1; await(2 * i + 2); CAIRN(c, home, i);
		if (i % 300 == 0) usleep(100000);
	}
	return pthread_join(thread, &done) || !done;
}
"""

# A thread that enters strict seccomp: no clock, no system call.
STRICT = """
#include <cairn/trace.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
static int way;
static void *strict(void *arg)
{
	if (way != 1) CAIRN(c, before, way);
	if (way == 2) syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0);
	else prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	for (int i = 0; i < 10; i++) CAIRN(c, strict, i);
	syscall(SYS_exit, 0);
	return arg;
}
int main(int argc, char **argv)
{
	for (way = 0; way < 3; way++) {
		pthread_t thread;
		pthread_create(&thread, NULL, strict, NULL);
		pthread_join(thread, NULL);
	}
	CAIRN(c, after, way);
	return 0;
}
"""


def need_tsc():
    if platform.machine() != "x86_64":
        raise Skip("needs x86-64")


def check_order(t, steps):
    """Each event's time is not below that of the one before it, but for the stated error."""
    rows = [e for e in t.events() if e["event"] in steps]
    times = {(e["event"], e["fields"]["i"]): e["time_ns"] for e in rows}
    chain = [times[step, i] for i in range(len(rows) // len(steps)) for step in steps]
    worst = max(a - b for a, b in zip(chain, chain[1:]))
    assert worst <= ERROR_NS, "an effect is %d ns before its cause" % worst
    return len(rows)


def pair(t, how, *options, events):
    need_tsc()
    t.record([t.compile("p", PAIR, ["-pthread"]), how], *options)
    assert check_order(t, ["there", "got", "back", "home"]) == 4000
    assert len(t.events()) == events, len(t.events())
    assert not t.lost(), t.lost()
    t.check_babeltrace()


@test
def denied_after_the_first_event(t):
    pair(t, "libc", events=4003)


@test
def denied_by_the_function_syscall(t):
    pair(t, "syscall", events=4003)


@test
def denied_from_the_start(t):
    pair(t, "early", events=4002)


@test
def denied_to_one_thread_of_two(t):
    need_tsc()
    t.record([t.compile("p", THREADS, ["-pthread"])])
    assert check_order(t, ["there", "got", "home"]) == 9000
    assert len(t.events()) == 9001 and not t.lost(), t.lost()


@test
def strict_seccomp_counts_what_it_forbids(t):
    need_tsc()
    t.record([t.compile("p", STRICT, ["-pthread"])])
    assert t.names() == ["c:before", "c:before", "c:after"], t.names()
    assert t.lost() == {"no_clock": 30}, t.lost()
    t.check_babeltrace()


@test
def denied_with_the_events_of_libraries(t):
    need_tsc()
    t.record([t.compile("p", PAIR, ["-pthread"]), "libc"], "--with", "libc,pthread")
    assert check_order(t, ["there", "got", "back", "home"]) == 4000
    assert t.names().count("libc:read") >= 2000
    assert not t.lost(), t.lost()


@test
def denied_with_all_contexts(t):
    pair(t, "libc", "--context", "tid,pid,comm,cpu,ip", events=4003)


@test
def denied_in_a_flight_recorder(t):
    pair(t, "libc", "--mode", "overwrite", events=4003)


if __name__ == "__main__":
    main()
