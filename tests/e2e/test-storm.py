#!/usr/bin/env python3
"""Everything at once, through `cairn daemon`: a program with sixteen threads that also forks and
executes, while sessions over it are created, switched, stopped and destroyed. The work is counted,
not timed: each trace must have what was fired while its events were on, no more and no less."""
import collections
import os
import random
import re
import signal
import subprocess
import threading

from cairn import CAIRN, IN_SHM, main, need, test, wait_for

THREADS, COUNTED, CHILDREN, CHILD_EVENTS = 16, 100, 60, 10
ROUNDS, CHURNS = 6, 8
SEED = int(os.environ.get("CAIRN_TEST_SEED", random.randrange(1 << 32)))

# Threads fire storm:free all the time, and storm:counted COUNTED times for each line of input.
# The main thread answers when all have, and has forked and executed some children. At the end of
# its input it says how many events of each kind there were.
PROGRAM = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
enum { THREADS = %d, COUNTED = %d, CHILDREN = %d, CHILD_EVENTS = %d };
static atomic_long free_ones, phase, done, stop;
static void *work(void *arg)
{
	long me = (long)arg, seen = 0, n = 0, counted = 0;
	while (!stop) {
		CAIRN(storm, free, me, n);
		n++;
		if (phase != seen) {
			seen = phase;
			for (int i = 0; i < COUNTED; i++, counted++) CAIRN(storm, counted, me, counted, seen);
			done++;
		}
		usleep(500);
	}
	free_ones += n;
	return 0;
}
static void child(const char *how)
{
	for (int i = 0; i < CHILD_EVENTS; i++) CAIRN(storm, child, i, how);
	_exit(0);
}
int main(int argc, char **argv)
{
	pthread_t t[THREADS];
	char line[64];
	long rounds = 0, children = 0;
	if (argc > 1) child("executed");
	for (long i = 0; i < THREADS; i++) if (pthread_create(&t[i], 0, work, (void *)i)) return 1;
	puts("ready"); fflush(stdout);
	for (; fgets(line, sizeof(line), stdin); rounds++) {
		done = 0;
		phase++;
		for (int i = 0; i < CHILDREN; i++, children++) {
			pid_t p = i %% 4 ? fork() : vfork();
			int status;
			if (!p && i %% 4 == 0) { execl(argv[0], argv[0], "x", (char *)0); _exit(9); }
			if (!p) child("forked");
			if (p < 0 || waitpid(p, &status, 0) != p || status) return 2;
		}
		while (done < THREADS) usleep(500);
		puts("done"); fflush(stdout);
	}
	stop = 1;
	for (int i = 0; i < THREADS; i++) pthread_join(t[i], 0);
	printf("%%ld %%ld %%ld\\n", (long)free_ones, rounds * THREADS * COUNTED, children * CHILD_EVENTS);
	return 0;
}
""" % (THREADS, COUNTED, CHILDREN, CHILD_EVENTS)


def counts(t, trace):
    """Events by name, and all that were lost, by `cairn stat`."""
    stat = t.stat(trace)
    by_event = collections.Counter({k: v for k, v in stat["by_event"].items() if k.startswith("storm:")})
    return by_event, sum(v for k, v in stat["lost"].items() if k != "total")


def check_by_babeltrace(t, trace, by_event):
    """Reads without a complaint; as many events as we say; each thread's numbers rise."""
    r = t.run(["babeltrace2", trace])
    assert not [l for l in r.err.splitlines() if l and "discarded" not in l], r.err[:2000]
    theirs, last = collections.Counter(), {}
    for name, fields in re.findall(r" (storm:\w+): .*{ ([^{}]*) }$", r.out, re.M):
        theirs[name] += 1
        me = re.match(r"me = (\d+), \w+ = (\d+)", fields)
        if me:
            key, n = (name, me.group(1)), int(me.group(2))
            assert last.get(key, -1) < n, (trace, name, fields)
            last[key] = n
    assert theirs == by_event, (trace, theirs, by_event)


class Storm:
    def __init__(self, t):
        self.t, self.problem = t, None
        self.random = random.Random(SEED)
        self.p = t.start([t.compile("p", PROGRAM, ["-pthread"])], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
        assert self.p.stdout.readline() == b"ready\n"

    def round(self):
        self.p.stdin.write(b"x\n")
        self.p.stdin.flush()
        assert self.p.stdout.readline() == b"done\n"

    def churn(self):
        """Other sessions come and go, and switch what the program fires."""
        try:
            for i in range(CHURNS):
                name, mode = "churn%d" % i, self.random.choice(["discard", "overwrite", "block"])
                out = ["-o", self.t.path(name + "-live" if mode == "overwrite" else name)]
                steps = [["create", name, "--mode", mode, "--ring-size", "256K", *out],
                         ["enable", name, "storm:*"], ["start", name], ["disable", name, "storm:free"],
                         ["enable", name, "storm:free"], ["stop", name], ["start", name], ["destroy", name]]
                if mode == "overwrite":
                    steps.insert(5, ["snapshot", name, "-o", self.t.path(name)])
                for step in steps:
                    self.t.cairn("session", *step)
        except Exception as problem:  # said by the main thread
            self.problem = problem

    def end(self):
        self.p.stdin.close()
        fired = [int(n) for n in self.p.stdout.read().split()]
        assert self.p.wait(timeout=60) == 0
        return dict(zip(("storm:free", "storm:counted", "storm:child"), fired))


def mapped_rings(pid):
    with open("/proc/%d/maps" % pid) as f:
        return f.read().count("memfd:cairn-ring")


def in_shm():
    """Without the folders of tests, which come and go beside this one."""
    return {name for name in os.listdir("/dev/shm") if not name.startswith(IN_SHM)}


@test
def sessions_over_threads_and_forks(t):
    need("babeltrace2")
    print("# CAIRN_TEST_SEED=%d" % SEED)
    shm = in_shm()
    daemon = t.daemon()
    for name in ("all", "some"):
        t.cairn("session", "create", name, "-o", t.path(name), "--ring-size", "4M")
        t.cairn("session", "start", name)
    t.cairn("session", "enable", "all", "storm:*")  # from the first event to the last
    storm = Storm(t)
    churn = threading.Thread(target=storm.churn)
    churn.start()
    for _ in range(ROUNDS):  # a known window, beside all the others
        t.cairn("session", "enable", "some", "storm:counted")
        storm.round()
        t.cairn("session", "disable", "some", "storm:counted")
        storm.round()
    churn.join()
    if storm.problem:
        raise storm.problem
    assert mapped_rings(storm.p.pid) > 0
    fired = storm.end()
    for name in ("all", "some"):
        t.cairn("session", "destroy", name)

    by_event, lost = counts(t, t.path("all"))
    assert sum(by_event.values()) + lost == sum(fired.values()), (by_event, lost, fired)
    assert lost or by_event == fired, (by_event, fired)
    check_by_babeltrace(t, t.path("all"), by_event)
    by_event, lost = counts(t, t.path("some"))
    assert by_event["storm:counted"] + lost == ROUNDS * THREADS * COUNTED, (by_event, lost)
    assert set(by_event) == {"storm:counted"}
    check_by_babeltrace(t, t.path("some"), by_event)
    for i in range(CHURNS):
        if os.path.exists(t.path("churn%d/metadata" % i)):
            by_event, _ = counts(t, t.path("churn%d" % i))
            assert all(by_event[k] <= fired[k] for k in by_event), (i, by_event, fired)
            check_by_babeltrace(t, t.path("churn%d" % i), by_event)

    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=60) == 0, open(t.path("daemon.err")).read()
    assert os.listdir(t.rundir + "/hosts") == []
    assert not os.path.lexists(t.rundir + "/libcairn-rt.so")
    assert in_shm() <= shm, in_shm() - shm


@test
def sessions_that_are_gone_leave_nothing_in_the_program(t):
    """However many there were: no rings, no descriptors, no memory."""
    t.daemon()
    storm = Storm(t)
    sizes = []
    for i in range(12):
        t.cairn("session", "create", "s", "-o", t.path("s%d" % i), "--ring-size", "256K")
        t.cairn("session", "enable", "s", "storm:*")
        t.cairn("session", "start", "s")
        t.cairn("session", "destroy", "s")
        wait_for(lambda: mapped_rings(storm.p.pid) == 0, "the rings are unmapped")
        with open("/proc/%d/maps" % storm.p.pid) as f:
            sizes.append(len(f.readlines()))
    assert sizes[-1] <= sizes[1] + 4, sizes
    for task in os.listdir("/proc/%d/task" % storm.p.pid):
        with open("/proc/%d/task/%s/comm" % (storm.p.pid, task)) as f:
            comm = f.read().strip()
        # our thread has one more while it looks for hosts
        wait_for(lambda: len(os.listdir("/proc/%d/task/%s/fd" % (storm.p.pid, task))) <=
                 (2 if comm == "cairn" else 3), "no descriptors are left in " + comm)
    storm.round()
    storm.end()


main()
