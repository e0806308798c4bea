#!/usr/bin/env python3
"""Whatever a program does with threads, signals, processes and descriptors, it traces correctly."""
import os

from cairn import Skip, main, need, test

PRE = """
#define _GNU_SOURCE
#include <cairn/trace.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
"""


def per_thread(events, field="i"):
    rows = {}
    for e in events:
        rows.setdefault(e["tid"], []).append(e["fields"][field])
    return rows


@test
def threads(t):
    prog = t.compile("p", PRE + """
static void *work(void *a) { for (int i = 0; i < 20000; i++) CAIRN(t, e, i, (who, (long)a)); return a; }
int main(void)
{
	pthread_t p[8];
	for (long k = 0; k < 8; k++) pthread_create(&p[k], 0, work, (void *)k);
	for (int k = 0; k < 8; k++) pthread_join(p[k], 0);
}
""", ["-pthread"])
    t.record([prog], "--ring-size", "8M")
    rows = per_thread(t.events())
    assert t.lost() == {}
    assert len(rows) == 8 and all(r == list(range(20000)) for r in rows.values())
    t.check_babeltrace()


@test
def signal_handlers(t):
    prog = t.compile("p", PRE + """
static volatile int n;
static void on(int s) { int e = errno; (void)s; CAIRN(t, handler, (i, n)); n++; if (errno != e) abort(); }
int main(void)
{
	struct itimerval v = {{0, 50}, {0, 50}};
	signal(SIGALRM, on);
	setitimer(ITIMER_REAL, &v, 0);
	for (int i = 0; n < 2000; i++) {
		errno = 77;
		CAIRN(t, body, i);
		if (errno != 77) abort();
		for (volatile int k = 0; k < 60; k++) ; /* not more than the tester can look through */
	}
	v = (struct itimerval){{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &v, 0);
	printf("%d\\n", n);
}
""")
    r = t.record([prog], "--mode", "block", "--ring-size", "4M")
    events = t.events()
    lost = sum(t.lost().values())
    handled = [e["fields"]["i"] for e in events if e["event"] == "handler"]
    body = [e["fields"]["i"] for e in events if e["event"] == "body"]
    assert handled == sorted(handled) and body == sorted(body)
    if not lost:
        assert handled == list(range(int(r.out))), (len(handled), r.out)
        assert body == list(range(len(body)))


@test
def fork_with_and_without_exec(t):
    prog = t.compile("p", PRE + """
int main(int argc, char **argv)
{
	if (argc > 1) { CAIRN(t, execed, (pid, getpid())); return 0; }
	CAIRN(t, parent, (pid, getpid()));
	for (int k = 0; k < 5; k++)
		if (!fork()) { for (int i = 0; i < 100; i++) CAIRN(t, child, i, (pid, getpid())); _exit(0); }
	if (!fork()) execl(argv[0], argv[0], "x", (char *)0);
	while (wait(0) > 0) ;
	CAIRN(t, done, (pid, getpid()));
}
""")
    t.record([prog])
    events = t.events()
    assert all(e["tid"] == e["fields"]["pid"] for e in events), events[:10]
    rows = per_thread([e for e in events if e["event"] == "child"])
    assert len(rows) == 5 and all(r == list(range(100)) for r in rows.values())
    assert sum(e["event"] == "execed" for e in events) == 1
    assert events[0]["event"] == "parent" and events[-1]["event"] == "done"
    assert t.lost() == {}


@test
def raw_fork_and_clone(t):
    prog = t.compile("p", PRE + """
int main(void)
{
	CAIRN(t, parent, (pid, getpid()));
	for (int k = 0; k < 4; k++)
		if (!syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) {
			for (int i = 0; i < 50; i++) CAIRN(t, child, i, (pid, (int)syscall(SYS_getpid)));
			syscall(SYS_exit_group, 0);
		}
	while (wait(0) > 0) ;
	CAIRN(t, done, (pid, getpid()));
}
""")
    t.record([prog])
    events = t.events()
    assert len(events) == 202, len(events)
    assert all(e["tid"] == e["fields"]["pid"] for e in events)


@test
def vfork(t):
    prog = t.compile("p", PRE + """
int main(void)
{
	for (int k = 0; k < 20; k++) {
		CAIRN(t, before, k, (pid, getpid()));
		pid_t p = vfork();
		if (!p) { for (int i = 0; i < 10; i++) CAIRN(t, child, i, (pid, getpid())); _exit(0); }
		waitpid(p, 0, 0);
		CAIRN(t, after, k, (pid, getpid()));
	}
}
""", ["-Wno-deprecated-declarations"])
    t.record([prog])
    events = t.events()
    assert len(events) + sum(t.lost().values()) == 240, (len(events), t.lost())
    assert len(events) == 240, t.lost()
    assert all(e["tid"] == e["fields"]["pid"] for e in events)


@test
def orphans(t):
    """Children whose parents end before anybody heard of either."""
    prog = t.compile("p", """
#include <cairn/trace.h>
#include <unistd.h>
int main(void)
{
	int fds[2];
	char c;
	if (pipe(fds)) return 1;
	CAIRN(o, main);
	for (int i = 0; i < 60; i++)
		if (!fork()) {
			if (fork()) _exit(0);
			if (fork()) _exit(0);
			for (int k = 0; k < 50; k++) { CAIRN(o, child, i, k); usleep(200); }
			_exit(0);
		}
	close(fds[1]);
	return read(fds[0], &c, 1); /* ends when all have ended */
}
""")
    r = t.record([prog], "--ring-size", "4M")
    assert "taken over" not in r.err, r
    got = per_thread([e for e in t.events() if e["event"] == "child"], "k")
    assert len(got) == 60, len(got)
    for tid, ks in got.items():
        assert ks == list(range(50)), (tid, ks)
    assert not t.lost(), t.lost()


@test
def daemonised(t):
    prog = t.compile("p", PRE + """
int main(int argc, char **argv)
{
	int fd = open(argv[1], O_WRONLY); /* a fifo: its end tells that we are through */
	CAIRN(t, front);
	if (daemon(1, 1)) return 1;
	for (int i = 0; i < 1000; i++) CAIRN(t, back, i);
	close(fd);
	(void)argc;
}
""")
    fifo = t.path("fifo")
    os.mkfifo(fifo)
    t.record(["sh", "-c", "cat %s >/dev/null & %s %s; wait" % (fifo, prog, fifo)])
    names = [e["event"] for e in t.events()]
    assert names == ["front"] + ["back"] * 1000, len(names)


@test
def close_all_descriptors(t):
    prog = t.compile("p", PRE + """
int main(void)
{
	for (int i = 0; i < 100; i++) CAIRN(t, e, i);
	for (int fd = 3; fd < 1024; fd++) close(fd);
	syscall(SYS_close_range, 3u, ~0u, 0);
	for (int i = 100; i < 50000; i++) CAIRN(t, e, i);
	return open("/dev/null", O_RDONLY) == 3 ? 0 : 1;
}
""")
    t.record([prog], "--mode", "block", "--ring-size", "64K")
    got = [e["fields"]["i"] for e in t.events()]
    assert got == list(range(50000)) or sum(t.lost().values()) + len(got) == 50000, len(got)


@test
def exit_while_threads_trace(t):
    prog = t.compile("p", PRE + """
static void *work(void *a)
{
	for (long i = 0;; i++) {
		CAIRN(t, e, i);
		if (i % 256 == 255) usleep(100); /* not more than the tester can look through */
	}
	return a;
}
int main(void)
{
	pthread_t p;
	for (int k = 0; k < 3; k++) pthread_create(&p, 0, work, 0);
	for (int i = 0; i < 20000; i++) CAIRN(t, m, i);
	return 0;
}
""", ["-pthread"])
    for k in range(5):
        t.record([prog], trace=t.path("t%d" % k))
        t.check_babeltrace(t.path("t%d" % k))


@test
def set_user_id(t):
    if os.getuid() != 0:
        raise Skip("needs root")
    prog = t.compile("p", PRE + """
static int go;
static void *work(void *a) { while (!__atomic_load_n(&go, 2)) ; for (int i = 0; i < 100; i++) CAIRN(t, thread, i, (uid, (int)getuid())); return a; }
int main(void)
{
	pthread_t p;
	CAIRN(t, before, (uid, (int)getuid()));
	pthread_create(&p, 0, work, 0);
	if (setgid(65534) || setuid(65534)) return 1;
	for (int i = 0; i < 100; i++) CAIRN(t, after, i, (uid, (int)getuid()));
	__atomic_store_n(&go, 1, 3);
	pthread_join(p, 0);
}
""", ["-pthread"])
    t.record([prog])
    events = t.events()
    assert sum(e["event"] == "after" for e in events) + sum(t.lost().values()) >= 100, len(events)
    assert all(e["fields"]["uid"] == 65534 for e in events if e["event"] != "before")


PLUGIN = """
#include <cairn/trace.h>
void plug(int i) { CAIRN(plugin, called, i); }
"""


@test
def plugins_come_and_go(t):
    so = t.compile("plug.so", PLUGIN, ["-shared", "-fPIC"])
    prog = t.compile("p", PRE + """
int main(int argc, char **argv)
{
	for (int k = 0; k < 50; k++) {
		void *h = dlopen(argv[1], RTLD_NOW);
		void (*plug)(int) = (void (*)(int))dlsym(h, "plug");
		for (int i = 0; i < 20; i++) plug(k * 20 + i);
		dlclose(h);
		CAIRN(t, round, k);
	}
	(void)argc;
}
""")
    t.record([prog, so])
    events = t.events()
    got = [e["fields"]["i"] for e in events if e["provider"] == "plugin"]
    assert got == list(range(1000)), len(got)
    assert sum(e["event"] == "round" for e in events) == 50


@test
def same_event_from_many_places(t):
    header = t.write("h.h", '#include <cairn/trace.h>\nstatic inline void h(int i){CAIRN(x, same, i);}\n')
    so = t.compile("libx.so", '#include "h.h"\nvoid lib(int i){h(i);}', ["-shared", "-fPIC", "-I."])
    prog = t.compile("p", '#include "h.h"\nvoid lib(int);int main(void){h(1);lib(2);h(3);lib(4);}',
                     ["-I.", so, "-Wl,-rpath," + t.dir])
    assert header
    t.record([prog])
    assert [e["fields"]["i"] for e in t.events()] == [1, 2, 3, 4]
    assert t.stat()["by_event"] == {"x:same": 4} or t.stat()["by_event"]["x:same"] == 4


@test
def two_descriptions_of_one_name_are_told_apart(t):
    prog = t.compile("p", PRE + """
int main(void) { int a = 1; CAIRN(x, e, a); CAIRN(x, e, (b, "two")); CAIRN(x, e, a); }
""")
    r = t.record([prog])
    fields = [e["fields"] for e in t.events()]
    assert fields == [{"a": 1}, {"b": "two"}, {"a": 1}], fields
    assert "x:e" in r.err, r.err
    t.check_babeltrace()


@test
def static_executable(t):
    from cairn import BUILD
    prog = t.compile("p", PRE + """
int main(void) { for (int i = 0; i < 1000; i++) CAIRN(st, e, i); }
""", ["-static", "-Wl,-u,cairn_rt_register_v1", os.path.join(BUILD, "libcairn-rt.a")])
    t.record([prog])
    assert [e["fields"]["i"] for e in t.events()] == list(range(1000))


@test
def without_text_patching(t):
    prog = t.compile("p", PRE + """
int main(void) { for (int i = 0; i < 1000; i++) CAIRN(st, e, i); }
""", ["-DCAIRN_NO_PATCH"])
    t.record([prog])
    assert [e["fields"]["i"] for e in t.events()] == list(range(1000))


@test
def without_restartable_sequences(t):
    prog = t.compile("p", PRE + """
static void *work(void *a) { for (int i = 0; i < 5000; i++) CAIRN(t, e, i); return a; }
int main(void)
{
	pthread_t p[4];
	for (int k = 0; k < 4; k++) pthread_create(&p[k], 0, work, 0);
	for (int k = 0; k < 4; k++) pthread_join(p[k], 0);
}
""", ["-pthread"])
    t.record([prog], "--ring-size", "1M", env={"GLIBC_TUNABLES": "glibc.pthread.rseq=0"})
    rows = per_thread(t.events())
    assert len(rows) == 4 and all(r == list(range(5000)) for r in rows.values()), t.lost()


@test
def under_valgrind(t):
    need("valgrind")
    prog = t.compile("p", PRE + """
static void *work(void *a) { for (int i = 0; i < 500; i++) CAIRN(t, e, i); return a; }
int main(void)
{
	pthread_t p[2];
	for (int k = 0; k < 2; k++) pthread_create(&p[k], 0, work, 0);
	for (int k = 0; k < 2; k++) pthread_join(p[k], 0);
}
""", ["-pthread"])
    t.record(["valgrind", "-q", "--error-exitcode=9", prog])
    rows = per_thread(t.events())
    assert len(rows) == 2 and all(r == list(range(500)) for r in rows.values()), (rows.keys(), t.lost())


@test
def bad_pointers_give_errors_under_wrappers(t):
    """As they do untraced: what the kernel could not read, no event may read."""
    prog = t.compile("p", """
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
int main(void)
{
	char *volatile bad = (char *)1;
	if (open(bad, O_RDONLY) != -1 || errno != EFAULT) return 1;
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, (struct sockaddr *)(bad + 7), 16) != -1 || errno != EFAULT) return 2;
	return 0;
}
""", ["-Wno-nonnull"])
    t.record([prog], "--with", "libc")
    rows = [e for e in t.events() if e["event"] in ("open", "connect")]
    assert len(rows) >= 2, rows


@test
def the_first_thread_ends_first(t):
    """The last of the others ends the process, and its output is not lost; a fork child is whole."""
    prog = t.compile("p", r'''
#include <cairn/trace.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
static void *other(void *first)
{
	pthread_join(*(pthread_t *)first, NULL);
	CAIRN(c, alone);
	if (fork() == 0) { CAIRN(c, child); pthread_exit(NULL); }
	wait(NULL);
	printf("done");
	return NULL;
}
int main(int argc, char **argv)
{
	static pthread_t me;
	pthread_t t;
	me = pthread_self();
	CAIRN(c, first);
	pthread_create(&t, NULL, other, &me);
	if (argc > 1) syscall(SYS_exit, 0); /* libc does not know */
	pthread_exit(NULL);
}
''', ["-pthread"])
    for raw, out in ([], "done"), (["raw"], ""):
        trace = t.path("trace" + out)
        r = t.record([prog, *raw], trace=trace, timeout=30)
        assert r.out == out, r
        assert t.names(trace) == ["c:first", "c:alone", "c:child"], t.names(trace)
        assert not t.lost(trace), t.lost(trace)


main()
