#!/usr/bin/env python3
"""The preloaded wrappers at the edges: before constructors, in children, under cancellation."""
import os
import re

from cairn import BUILD, Skip, main, test

WRAPPERS = ":".join(os.path.join(BUILD, "libcairn-%s.so" % n) for n in ("libc", "pthread"))
WITH = ("-q", "--ring-size", "4M", "--with", "libc,pthread")


def all_ways(t, prog, *more, status=0):
    """Runs it plain, with wrappers and no host, recorded: the same each time. Gives the output."""
    plain = t.run([prog, *more], status=status)
    alone = t.run([prog, *more], status=status, env={"LD_PRELOAD": WRAPPERS})
    recorded = t.record([prog, *more], *WITH, status=status)
    for name, r in (("with wrappers", alone), ("recorded", recorded)):
        assert (r.out, r.err) == (plain.out, plain.err), "%s %r not as %r" % (name, r, plain)
    return plain.out


def named(t, *names):
    """The events of these names, in order."""
    return [e for e in t.events() if "%s:%s" % (e["provider"], e["event"]) in names]


# ---- finding the real functions ----

# Runs before the wrappers' constructor: the program needs it, and it does not need the wrappers.
EARLY = r"""
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int done;
static void *use(void *arg)
{
	struct timespec past = {1, 0};
	void *aligned = NULL;
	char c, *p = realloc(malloc(10), 20000);
	int fd = open("/dev/zero", O_RDONLY);
	if (fd < 0 || !p || read(fd, &c, 1) != 1 || close(fd) || posix_memalign(&aligned, 64, 64))
		_exit(81);
	free(p);
	free(aligned);
	if (pthread_mutex_lock(&lock) || pthread_cond_timedwait(&cond, &lock, &past) != 110)
		_exit(82);
	done++;
	pthread_mutex_unlock(&lock);
	return calloc(1, 1);
}
__attribute__((constructor)) static void early(void)
{
	pthread_t t;
	int status;
	pid_t pid = fork(); /* the first calls may be a child's */
	if (pid == 0) { use(0); _exit(7); }
	waitpid(pid, &status, 0);
	if (WEXITSTATUS(status) != 7)
		_exit(83);
	pthread_create(&t, 0, use, 0); /* or a thread's */
	use(0);
	pthread_join(t, 0);
	printf("early %d\n", done);
}
void early_is_used(void) {}
"""


def early_program(t, main_text="int main(void) { early_is_used(); free(malloc(9)); puts(\"main\"); }"):
    lib = t.compile("libearly.so", EARLY, ["-shared", "-fPIC", "-pthread"])
    return t.compile("p", "#include <stdio.h>\n#include <stdlib.h>\nvoid early_is_used(void);\n" + main_text,
                     [lib, "-pthread", "-fno-builtin"])


@test
def calls_before_the_constructor(t):
    assert all_ways(t, early_program(t)) == "early 2\nmain\n"


@test
def dlsym_may_call_what_is_wrapped(t):
    """Somebody's dlsym that allocates, locks and reads; each call that cannot work yet fails."""
    lib = t.compile("libdlsym.so", r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
void *dlsym(void *restrict handle, const char *restrict name)
{
	char *p = calloc(3, 100), *q = strdup(name);
	pthread_mutex_lock(&lock);
	int fd = open("/dev/zero", O_RDONLY);
	p = realloc(p, 5000);
	if (!p || !q || p[299] || strcmp(q, name)) abort();
	if (fd >= 0) { if (read(fd, p, 1) != 1) abort(); close(fd); }
	pthread_mutex_unlock(&lock);
	free(p);
	free(q);
	return dlvsym(handle, name, "GLIBC_2.2.5");
}
""", ["-shared", "-fPIC", "-pthread", "-Wno-nonnull-compare"])
    # it knows only the oldest functions: the newer ones are missing, and say so
    prog = t.compile("p", r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	free(malloc(10));
	struct timespec past = {1, 0};
	printf("%d ", pthread_mutex_lock(&m));
	printf("%d ", pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &past));
	printf("%d\n", pthread_mutex_unlock(&m));
	return 0;
}
""", ["-pthread"])
    r = t.run([prog], env={"LD_PRELOAD": WRAPPERS + ":" + lib})
    assert (r.out, r.err) == ("0 38 0\n", ""), r


USE_ALL = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
/* One of each: errno is 4711 before, and what it is after is told. */
#define SAY(call) do { errno = 4711; long r = (long)(call); note(#call, r, errno); } while (0)
#define GOT(call) do { errno = 4711; void *r = (call); note(#call, r != NULL, errno); keep[kept++] = r; } while (0)
static char text[8192];
static size_t text_len;
static void *keep[64];
static int kept;
static void note(const char *call, long r, int e)
{
	text_len += (size_t)snprintf(text + text_len, sizeof(text) - text_len, "%s = %ld %d\n", call, r, e);
}
static void use_all(void)
{
	static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	static pthread_rwlock_t w = PTHREAD_RWLOCK_INITIALIZER;
	static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec past = {1, 0};
	struct sockaddr_un none = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/socket"};
	void *volatile null = NULL;
	volatile size_t huge = (size_t)-1 / 2;
	char b[16] = "";
	struct iovec v = {b, 4};
	void *p = NULL, *p2;
	int fd, s = socket(AF_UNIX, SOCK_STREAM, 0), bad = -1;

	kept = 0;
	GOT(malloc(100)); GOT(malloc(huge)); GOT(calloc(3, 5)); GOT(calloc(huge, 4));
	GOT(realloc(null, 77)); GOT(realloc(null, huge)); GOT(reallocarray(null, 3, 7));
	GOT(reallocarray(null, huge, 4)); GOT(aligned_alloc(64, 64)); GOT(memalign(64, 99));
	GOT(memalign(64, huge)); GOT(valloc(10)); GOT(valloc(huge)); GOT(pvalloc(10)); GOT(pvalloc(huge));
	SAY(posix_memalign(&p, 64, 100)); SAY(posix_memalign(&p2, 3, 100));
	SAY(((size_t)keep[11] | (size_t)keep[13]) % 4096);
	SAY((free(p), 0)); SAY((free(null), 0));
	while (kept) free(keep[--kept]);
	fd = open("/dev/zero", O_RDWR);
	SAY(open("/nonexistent/a", O_RDONLY)); SAY(openat(AT_FDCWD, "/nonexistent/b", O_RDONLY));
	SAY(open64("/nonexistent/a", O_RDONLY)); SAY(openat64(AT_FDCWD, "/nonexistent/b", O_RDONLY));
	SAY(creat("/nonexistent/c", 0600)); SAY(creat64("/nonexistent/c", 0600));
	SAY(read(fd, b, 4)); SAY(read(bad, b, 4)); SAY(write(fd, b, 4)); SAY(write(bad, b, 4));
	SAY(pread(fd, b, 4, 0)); SAY(pread(bad, b, 4, 0)); SAY(pwrite(fd, b, 4, 0)); SAY(pwrite(bad, b, 4, 0));
	SAY(pread64(fd, b, 4, 0)); SAY(pwrite64(fd, b, 4, 0));
	SAY(readv(fd, &v, 1)); SAY(readv(bad, &v, 1)); SAY(writev(fd, &v, 1)); SAY(writev(bad, &v, 1));
	SAY(connect(s, (struct sockaddr *)&none, sizeof(none))); SAY(accept(s, NULL, NULL));
	SAY(accept4(s, NULL, NULL, SOCK_CLOEXEC)); SAY(close(fd)); SAY(close(bad)); close(s);
	SAY(pthread_mutex_lock(&m)); SAY(pthread_mutex_trylock(&m)); SAY(pthread_mutex_timedlock(&m, &past));
	SAY(pthread_mutex_clocklock(&m, CLOCK_MONOTONIC, &past));
	SAY(pthread_cond_timedwait(&c, &m, &past)); SAY(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &past));
	SAY(pthread_cond_signal(&c)); SAY(pthread_cond_broadcast(&c)); SAY(pthread_mutex_unlock(&m));
	SAY(pthread_rwlock_rdlock(&w)); SAY(pthread_rwlock_trywrlock(&w)); SAY(pthread_rwlock_tryrdlock(&w));
	SAY(pthread_rwlock_unlock(&w)); SAY(pthread_rwlock_timedrdlock(&w, &past));
	SAY(pthread_rwlock_clockrdlock(&w, CLOCK_MONOTONIC, &past));
	SAY(pthread_rwlock_unlock(&w)); SAY(pthread_rwlock_unlock(&w));
	SAY(pthread_rwlock_unlock(&w)); SAY(pthread_rwlock_wrlock(&w)); SAY(pthread_rwlock_tryrdlock(&w));
	SAY(pthread_rwlock_timedwrlock(&w, &past)); SAY(pthread_rwlock_clockwrlock(&w, CLOCK_MONOTONIC, &past));
	SAY(pthread_rwlock_unlock(&w));
}
"""


@test
def results_and_errno_are_the_real_ones(t):
    prog = t.compile("p", USE_ALL + "int main(void) { use_all(); fputs(text, stdout); }",
                     ["-pthread", "-Wno-unused-result"])
    out = all_ways(t, prog)
    assert "malloc(100) = 1 4711" in out and "malloc(huge) = 0 12" in out, out
    assert "% 4096 = 0" in out, "valloc or pvalloc did not align: " + out
    calls = set(re.findall(r"^([a-z]\w+)\(", out, re.M)) - {"posix_memalign"}
    got = {e["event"] for e in t.events()}
    for call in calls:
        name = re.sub(r"^pthread_|64$|4$", "", call).replace("clock", "timed")
        assert name in got, "no event of %s" % call
    none = [e["fields"] for e in named(t, "libc:open") if e["fields"]["path"] == "/nonexistent/a"]
    assert none and all((f["result"], f["error"]) == (-1, 2) for f in none), none
    assert [(e["fields"]["size"], e["fields"]["ptr"] != 0) for e in named(t, "libc:valloc", "libc:pvalloc")
            ] == [(10, True), (2**63 - 1, False)] * 2


@test
def nothing_is_looked_for_after_the_start(t):
    """dlsym takes the loader's lock: here a thread has it that waits for us, in a constructor."""
    slow = t.compile("slow.so", r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
__attribute__((constructor)) static void slow(void)
{
	char c = 1;
	int fd = atoi(getenv("SLOW_FD"));
	send(fd, &c, 1, 0);
	recv(fd, &c, 1, 0);
}
""", ["-shared", "-fPIC"])
    prog = t.compile("p", USE_ALL + r"""
#include <dlfcn.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
static void *load(void *path) { return dlopen(path, RTLD_NOW); }
static int caught;
static void on_signal(int s)
{
	use_all();
	caught = s == SIGUSR1;
}
int main(int argc, char **argv)
{
	char c, number[12];
	int fds[2], status;
	pthread_t t;
	void *handle;

	socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	snprintf(number, sizeof(number), "%d", fds[1]);
	setenv("SLOW_FD", number, 1);
	signal(SIGUSR1, on_signal);
	pthread_create(&t, 0, load, argv[1]);
	recv(fds[0], &c, 1, 0);
	alarm(30); /* only a hang takes that long */
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); /* libc does not make its locks anew */
	if (pid == 0) {
		alarm(30);
		raise(SIGUSR1);
		_exit(caught ? 7 : 8);
	}
	waitpid(pid, &status, 0);
	use_all();
	send(fds[0], &c, 1, 0);
	pthread_join(t, &handle);
	printf("child %x, loaded %d\n", status, handle != NULL);
	return 0;
}
""", ["-pthread", "-Wno-unused-result"])
    assert all_ways(t, prog, slow) == "child 700, loaded 1\n"
    assert len(named(t, "pthread:cond_timedwait")) == 4


# ---- waiting ----

# waits_in(tid, nr, object): that thread is asleep in that system call, on this object or descriptor.
WAITS = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
static bool waits_in(volatile pid_t *tid, long nr, uint64_t from, uint64_t size)
{
	char path[64];
	unsigned long arg = 0;
	long in = -1;
	if (!*tid) return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", *tid);
	FILE *f = fopen(path, "r"); /* which uses no open, read or close that is wrapped */
	if (!f || fscanf(f, "%ld %lx", &in, &arg) != 2) in = -1;
	if (f) fclose(f);
	return in == nr && arg - from < size;
}
static void until_waits(volatile pid_t *tid, long nr, const volatile void *object, uint64_t size)
{
	while (!waits_in(tid, nr, (uint64_t)(uintptr_t)object, size)) sched_yield();
}
"""


def need_syscall_file():
    try:
        with open("/proc/self/syscall", encoding="ascii") as f:
            f.read()
    except OSError as e:
        raise Skip("needs /proc/PID/syscall: %s" % e)


@test
def waits_are_measured(t):
    """Each wait_ns is at least how long another thread saw it wait, at most what the waiter saw."""
    need_syscall_file()
    prog = t.compile("p", WAITS + r"""
static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static const struct timespec far = {1ll << 40, 0};
static int turn;
static int mutex_lock(void) { return pthread_mutex_lock(&mutex); }
static int mutex_timedlock(void) { return pthread_mutex_timedlock(&mutex, &far); }
static int rwlock_rdlock(void) { return pthread_rwlock_rdlock(&rwlock); }
static int rwlock_wrlock(void) { return pthread_rwlock_wrlock(&rwlock); }
static int rwlock_timedwrlock(void) { return pthread_rwlock_timedwrlock(&rwlock, &far); }
static int cond_wait(void) { return pthread_cond_wait(&cond, &mutex); }
static int cond_timedwait(void) { return pthread_cond_clockwait(&cond, &mutex, CLOCK_MONOTONIC, &far); }
static struct { const char *name; int (*call)(void); volatile void *object; uint64_t size; } rows[] = {
	{"mutex_lock", mutex_lock, &mutex, sizeof(mutex)},
	{"mutex_timedlock", mutex_timedlock, &mutex, sizeof(mutex)},
	{"rwlock_rdlock", rwlock_rdlock, &rwlock, sizeof(rwlock)},
	{"rwlock_wrlock", rwlock_wrlock, &rwlock, sizeof(rwlock)},
	{"rwlock_timedwrlock", rwlock_timedwrlock, &rwlock, sizeof(rwlock)},
	{"cond_wait", cond_wait, &cond, sizeof(cond)},
	{"cond_timedwait", cond_timedwait, &cond, sizeof(cond)},
};
static volatile pid_t tid;
static uint64_t waited;
static void *waiter(void *arg)
{
	bool on_cond = rows[turn].object == &cond;
	if (on_cond) pthread_mutex_lock(&mutex);
	tid = (pid_t)syscall(SYS_gettid);
	uint64_t began = now();
	if (rows[turn].call() != 0) abort();
	waited = now() - began;
	if (rows[turn].object == &rwlock) pthread_rwlock_unlock(&rwlock);
	else pthread_mutex_unlock(&mutex);
	return NULL;
}
int main(void)
{
	for (turn = 0; turn < (int)(sizeof(rows) / sizeof(rows[0])); turn++) {
		uint64_t seen;
		pthread_t t;
		volatile void *o = rows[turn].object;
		if (o == &mutex) pthread_mutex_lock(&mutex);
		if (o == &rwlock) pthread_rwlock_wrlock(&rwlock);
		tid = 0;
		pthread_create(&t, NULL, waiter, NULL);
		until_waits(&tid, SYS_futex, o, rows[turn].size);
		seen = now();
		while (now() - seen < 3000000) ;
		seen = now() - seen;
		if (o == &mutex) pthread_mutex_unlock(&mutex);
		if (o == &rwlock) pthread_rwlock_unlock(&rwlock);
		if (o == &cond) pthread_cond_signal(&cond);
		pthread_join(t, NULL);
		printf("%s %d %lu %lu %lu %lu\n", rows[turn].name, tid, (unsigned long)o,
			(unsigned long)&mutex, (unsigned long)seen, (unsigned long)waited);
	}
	return 0;
}
""", ["-pthread"])
    out = t.record([prog], *WITH).out
    rows = [line.split() for line in out.splitlines()]
    assert len(rows) == 7, out
    events = t.events()
    for name, tid, obj, mutex, seen, waited in rows:
        tid, obj, mutex, seen, waited = map(int, (tid, obj, mutex, seen, waited))
        kind = name.split("_")[0]
        mine = [e["fields"] for e in events if e["event"] == name and e["tid"] == tid
                and e["fields"][kind] == obj]
        assert len(mine) == 1 and mine[0]["result"] == 0, (name, mine)
        assert seen <= mine[0]["wait_ns"] <= waited, (name, seen, mine[0], waited)
        if kind == "cond":
            assert mine[0]["mutex"] == mutex, (mine[0], mutex)


@test
def cancelled_while_waiting(t):
    """Cleanup handlers run and nothing stays behind; a call that never returned has no event."""
    need_syscall_file()
    prog = t.compile("p", WAITS + r"""
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int fds[2], server;
static volatile pid_t tid;
static volatile int cleaned;
static void clean(void *block)
{
	free(block);
	cleaned++;
}
static void clean_mutex(void *block)
{
	pthread_mutex_unlock(&mutex); /* it was taken again, or this fails and the trylock below too */
	clean(block);
}
static void *in_read(void *arg)
{
	char c;
	pthread_cleanup_push(clean, malloc(4321));
	tid = (pid_t)syscall(SYS_gettid);
	(void)!read(fds[0], &c, 1);
	pthread_cleanup_pop(0);
	return NULL;
}
static void *in_accept(void *arg)
{
	pthread_cleanup_push(clean, malloc(4321));
	tid = (pid_t)syscall(SYS_gettid);
	(void)!accept(server, NULL, NULL);
	pthread_cleanup_pop(0);
	return NULL;
}
static void *in_cond_wait(void *arg)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(clean_mutex, malloc(4321));
	tid = (pid_t)syscall(SYS_gettid);
	pthread_cond_wait(&cond, &mutex);
	pthread_cleanup_pop(0);
	return NULL;
}
static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;
	while (readdir(d)) n++;
	closedir(d);
	return n;
}
int main(void)
{
	static void *(*const run[])(void *) = {in_read, in_accept, in_cond_wait};
	static const long nr[] = {SYS_read, SYS_accept, SYS_futex};
	struct sockaddr_un none = {.sun_family = AF_UNIX}; /* the kernel finds a name */
	int before, i, cancelled = 0;

	server = socket(AF_UNIX, SOCK_STREAM, 0);
	if (pipe(fds) || bind(server, (struct sockaddr *)&none, sizeof(sa_family_t)) || listen(server, 1))
		abort();
	before = descriptors();
	for (i = 0; i < 300; i++) {
		int how = i % 3;
		void *result;
		pthread_t t;
		tid = 0;
		pthread_create(&t, NULL, run[how], NULL);
		if (how == 2) until_waits(&tid, SYS_futex, &cond, sizeof(cond));
		else until_waits(&tid, nr[how], (void *)(intptr_t)(how ? server : fds[0]), 1);
		pthread_cancel(t);
		pthread_join(t, &result);
		cancelled += result == PTHREAD_CANCELED;
	}
	printf("cancelled %d, cleaned %d, descriptors %d, ", cancelled, cleaned, descriptors() - before);
	printf("trylock %d ", pthread_mutex_trylock(&mutex));
	printf("unlock %d\n", pthread_mutex_unlock(&mutex));
	(void)!write(fds[1], "x", 1);
	(void)!read(fds[0], &fds[1], 1); /* a wait that ends has its event, here as before */
	return 0;
}
""", ["-pthread"])
    assert all_ways(t, prog) == \
        "cancelled 300, cleaned 300, descriptors 0, trylock 0 unlock 0\n"
    events = t.events()
    assert not t.lost(), t.lost()
    names = [e["event"] for e in events]
    assert "accept" not in names and "cond_wait" not in names, (names.count("accept"), names.count("cond_wait"))
    assert [e["fields"]["result"] for e in events if e["event"] == "read"] == [1]
    blocks = [e for e in events if e["event"] == "malloc" and e["fields"]["size"] == 4321]
    assert len({e["tid"] for e in blocks}) == len(blocks) == 300
    for block in blocks:  # freed by its own thread's handler
        assert any(e["event"] == "free" and e["tid"] == block["tid"] and
                   e["fields"]["ptr"] == block["fields"]["ptr"] for e in events), block


# ---- children ----

@test
def children_by_vfork_and_exec(t):
    """What the parent does, what the child does before exec and what the new program does."""
    prog = t.compile("p", r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
int main(int argc, char **argv)
{
	char *const args[] = {argv[0], "child", NULL};
	int i, status, sum = 0;
	pid_t pid;

	if (argc > 1) {
		free(malloc(2222));
		return 3;
	}
	for (i = 0; i < 20; i++) {
		free(malloc(1111));
		pid = vfork();
		if (pid == 0) { /* shares our memory and our rseq area */
			int fd = open("/dev/null", O_WRONLY);
			if (fd < 0 || write(fd, "abc", 3) != 3 || close(fd)) _exit(9);
			execv(argv[0], args);
			_exit(8);
		}
		waitpid(pid, &status, 0);
		sum += WEXITSTATUS(status);
		if (posix_spawn(&pid, argv[0], NULL, NULL, args, environ) != 0) return 1;
		waitpid(pid, &status, 0);
		sum += WEXITSTATUS(status);
	}
	printf("%d\n", sum);
	return 0;
}
""", ["-fno-builtin"])
    assert all_ways(t, prog) == "120\n"
    assert not t.lost(), t.lost()
    events = t.events()

    def sized(size):
        return [e for e in events if e["event"] == "malloc" and e["fields"]["size"] == size]
    assert len(sized(1111)) == 20 and len({e["tid"] for e in sized(1111)}) == 1
    assert len({e["tid"] for e in sized(2222)}) == len(sized(2222)) == 40
    parent = sized(1111)[0]["tid"]
    writes = [e for e in events if e["event"] == "write" and e["fields"]["size"] == 3]
    assert len(writes) == 20 and parent not in {e["tid"] for e in writes}, writes
    assert {e["tid"] for e in writes} < {e["tid"] for e in sized(2222)}


main()
