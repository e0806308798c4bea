#!/usr/bin/env python3
"""Programs under seccomp filters: what cairn-sandbox(7) lists is enough, and no refusal does harm."""
import os
import re
import subprocess

from cairn import SOURCE, Skip, main, test, wait_for

# argv: what to do when a call is not allowed (an error number; 0: be killed), then numbers: those to
# refuse, or, with 0, those to allow.
PROGRAM = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static int fired;
static void fire(int n) { for (int i = 0; i < n; i++, fired++) CAIRN(c, e, i); }
static void *thread(void *arg) { fire(10); return arg; }
static void step(char c) { if (write(1, &c, 1) != 1 || read(0, &c, 1) != 1) _exit(9); }
static int filter(int argc, char **argv)
{
	struct sock_filter code[200], *p = code;
	int error = atoi(argv[1]);
	*p++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	for (int i = 2; i < argc; i++) {
		*p++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, atoi(argv[i]), 0, 1);
		*p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
			error ? SECCOMP_RET_ERRNO | error : SECCOMP_RET_ALLOW);
	}
	*p++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
		error ? SECCOMP_RET_ALLOW : SECCOMP_RET_KILL_PROCESS);
	struct sock_fprog prog = {(unsigned short)(p - code), code};
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
}
int main(int argc, char **argv)
{
	int steps = getenv("STEPS") != NULL, status = 0;
	pthread_t t;
	pid_t pid;
	fire(10);
	if (filter(argc, argv)) return 8;
	if (steps) step('f');
	fire(10);
	if (getenv("ALONE")) thread(NULL); /* as glibc aborts where futex is refused */
	else if (pthread_create(&t, NULL, thread, NULL) == 0) pthread_join(t, NULL);
	if (steps) step('t');
	pid = fork();
	if (pid == 0) {
		fire(10);
		if (steps) step('c');
		fire(10);
		_exit(0);
	}
	if (pid > 0 && waitpid(pid, &status, 0) != pid) status = 0;
	fire(10);
	char text[16]; /* and no more calls than needed */
	int n = snprintf(text, sizeof(text), "%d\\n", pid > 0 ? fired + 20 : fired);
	if (write(1, text, (size_t)n) != n) _exit(6);
	_exit(status ? 7 : 0);
}
"""
# What the program itself and libc in it need.
OWN = "read write wait4 exit_group exit fork clone clone3 rt_sigprocmask rt_sigreturn".split()


def numbers():
    r = subprocess.run(["cc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
                       stdout=subprocess.PIPE, check=True, universal_newlines=True)
    return {m[1]: int(m[2]) for m in re.finditer(r"#define __NR_(\w+) (\d+)", r.stdout)}


def documented():
    with open(os.path.join(SOURCE, "docs/man/cairn-sandbox.7.scd")) as f:
        blocks = re.findall(r"```\n(.*?)```", f.read(), re.S)
    names = sorted(set(" ".join(blocks).split()))
    assert len(names) > 40, names
    return names


def program(t):
    p = t.compile("p", PROGRAM, ["-pthread"])
    if t.run([p, "0", *[str(n) for n in numbers().values()][:40]], status=None).status == 8:
        raise Skip("no seccomp filters here")
    return p


def refuse(t, p, number, error, env):
    """Runs under a filter that refuses one call. Gives what is wrong."""
    trace, args = t.path("trace-%d-%d" % (number, error)), [p, str(error), str(number)]
    try:
        if t.run(args, status=None, timeout=2, env={"CAIRN_RUNDIR": "/nowhere", **env}).status:
            return ""  # nor does it work untraced
    except subprocess.TimeoutExpired:
        return ""
    r = t.record(args, trace=trace, status=None, env=env)
    if r.status:
        return "status %d" % r.status
    fired, events, lost = int(r.out), len(t.events(trace)), t.lost(trace)
    if events < 10 or events + sum(lost.values()) > fired:
        return "%d of %d events, lost %r" % (events, fired, lost)
    return "" if events + sum(lost.values()) == fired else "less"


@test
def no_refusal_does_harm(t):
    p, number = program(t), numbers()
    bad, less = [], []
    for name in documented():
        for error in (1, 38):  # EPERM, ENOSYS
            wrong = refuse(t, p, number[name], error, {"ALONE": "1"} if name == "futex" else {})
            if wrong == "less":
                less.append(name)
            elif wrong:
                bad.append("%s, error %d: %s" % (name, error, wrong))
    assert not bad, "\n".join(bad)
    print("# not all accounted for without: " + " ".join(sorted(set(less))))


def allowed(names):
    number = numbers()
    return [str(number[n]) for n in names if n in number]


def session(t, verb, *args):
    t.cairn("session", verb, *args)


def switch(t, name):
    session(t, "disable", name, "c:*")  # each returns when the programs have acted, or fails
    session(t, "enable", name, "c:*")


CONTEXTS = "tid,pid,comm,cpu,nice,sched,cgroup,ip,perf:task-clock,perf:page-faults"


@test
def what_is_documented_is_enough(t):
    p = program(t)
    t.daemon()
    session(t, "create", "a", "-e", "c:*", "-o", t.path("a"), "--context", CONTEXTS, "--start")
    run = t.start([p, "0", *allowed(documented() + OWN)], env={"STEPS": "1"}, stdin=subprocess.PIPE,
                  stdout=subprocess.PIPE)

    def step(byte, *work):
        got = run.stdout.read(1)
        assert got == byte, "instead of step %r: %r, status %r" % (byte, got, run.wait())
        for f, *args in work:
            f(t, *args)
        run.stdin.write(b"g")
        run.stdin.flush()

    step(b"f", (switch, "a"), (session, "create", "b", "-e", "c:*", "-o", t.path("b"), "--mode", "block",
                               "--start"))
    step(b"t", (session, "stop", "b"), (session, "destroy", "b"), (switch, "a"))
    step(b"c", (switch, "a"))
    fired = int(run.stdout.read())
    assert run.wait() == 0
    session(t, "destroy", "a")
    assert len(t.events(t.path("a"))) == fired and not t.lost(t.path("a"))
    assert len(t.events(t.path("b"))) == 20 and not t.lost(t.path("b"))


@test
def the_list_names_all_that_the_runtime_calls(t):
    called, folder = set(), os.path.join(SOURCE, "src/runtime")
    for name in os.listdir(folder):
        if name.endswith(".c"):
            with open(os.path.join(folder, name)) as f:
                called |= set(re.findall(r"\bSYS\(\s*(\w+)", f.read()))
    called.discard("unshare")  # under valgrind only
    assert len(called) > 30 and called <= set(documented()), called - set(documented())


@test
def less_than_documented_is_not(t):
    """That test can fail: without one of the calls, the program is killed."""
    p = program(t)
    for name in ("ppoll", "membarrier", "mremap", "recvmsg"):
        names = [n for n in documented() + OWN if n != name]
        t.daemon_ = t.daemon() if name == "ppoll" else t.daemon_
        session(t, "create", name, "-e", "c:*", "-o", t.path(name), "--start")
        run = t.start([p, "0", *allowed(names)], env={"STEPS": "1"}, stdin=subprocess.PIPE,
                      stdout=subprocess.PIPE)
        if run.stdout.read(1):
            t.cairn("session", "disable", name, "c:*", status=None)
        wait_for(lambda: run.poll() is not None, "the filter kills")
        assert run.poll() == -31, (name, run.poll())
        session(t, "destroy", name)  # as long as another has the event on, switching it off here calls nothing


if __name__ == "__main__":
    main()
