/* The traced programs of runtime.c: argv[1] says which. Each fires events whose first field is a
 * 64-bit number; step() lets the test look. */
#include <cairn/trace.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef TEST_STATIC /* a static glibc program cannot */
#define LOAD(path) ((void)(path), NULL)
#else
#define LOAD(path) dlopen(path, RTLD_NOW)
#endif

static void step(void)
{
	char byte;

	if (write(1, "s", 1) != 1 || read(0, &byte, 1) != 1)
		_exit(3);
}

static void fire(int64_t n)
{
	errno = 4711;
	CAIRN(test, tick, n);
	if (errno != 4711)
		_exit(4);
}

static void once(void)
{
	for (int64_t i = 1; i <= 100; i++)
		fire(i);
}

static void *thread_body(void *arg)
{
	for (int64_t i = 1; i <= 1000; i++)
		fire(i);
	return arg;
}

static void threads(void)
{
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, thread_body, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
}

/* More threads, one after the other, than fit in a chunk of slots. */
static void many_threads(void)
{
	for (int i = 0; i < 300; i++) {
		pthread_t t;

		pthread_create(&t, NULL, (void *(*)(void *))(void (*)(void))once, NULL);
		pthread_join(t, NULL);
	}
}

/* What fits into the large rings of these tests, which nobody empties, on however slow a machine. */
#define FIRES_MAX 2000000

static volatile sig_atomic_t handled;

static void on_signal(int sig)
{
	int64_t n = 1;

	(void)sig;
	CAIRN(test, signal, n);
	handled++;
}

static void signals(void)
{
	struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct itimerval it = {{0, 50}, {0, 50}};
	int64_t n;

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; handled < 1000; i++)
		if (i < FIRES_MAX)
			fire(1);
	it = (struct itimerval){{0, 0}, {0, 0}};
	setitimer(ITIMER_REAL, &it, NULL);
	n = handled;
	CAIRN(test, total, n);
}

static void forks(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			once();
			_exit(0);
		}
		waitpid(pid, &status, 0);
		fire(1000);
	}
}

static void vforks(void)
{
	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork();
		int64_t n = 7;

		if (pid == 0) {
			CAIRN(test, vchild, n);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
		fire(1);
	}
}

static void raw_clone(void)
{
	pid_t pid;
	int64_t n = getpid();

	fire(1);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		for (int i = 0; i < 50; i++)
			CAIRN(test, rawchild, n);
		syscall(SYS_exit_group, 0);
	}
	waitpid(pid, NULL, 0);
	fire(1);
}

static void unshares(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	int status;

	if (pid == 0) /* alone: may it be done at all? */
		syscall(SYS_exit_group, syscall(SYS_unshare, CLONE_NEWUSER) != 0);
	waitpid(pid, &status, 0);
	if (status)
		_exit(42);
	fire(1);
	if (unshare(CLONE_NEWUSER))
		_exit(9);
	step();
	fire(2);
}

static int foreign_body(void *arg)
{
	int64_t n = 9;

	(void)arg;
	CAIRN(test, foreign, n);
	return 0;
}

static void foreign(void)
{
	char *stack = malloc(256 << 10);
	pid_t pid;

	fire(1);
	pid = clone(foreign_body, stack + (256 << 10), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	waitpid(pid, NULL, 0);
	fire(1);
}

static void daemonize(void)
{
	fire(1);
	if (daemon(1, 1))
		_exit(5);
	fire(2);
	step();
}

static void closes(void)
{
	fire(1);
	closefrom(3);
	step(); /* the test disables and enables: the connection lives */
	fire(2);
	if (open("/dev/null", 0) != 3) /* our numbers are not taken */
		_exit(6);
}

static void *forever(void *arg)
{
	for (;;)
		fire(1);
	return arg;
}

static void *at_leisure(void *arg)
{
	for (int i = 0; i < FIRES_MAX; i++, sched_yield())
		fire(1);
	return arg;
}

static void exits(void)
{
	pthread_t t;

	for (int i = 0; i < 4; i++)
		pthread_create(&t, NULL, forever, NULL);
	fire(1);
	exit(0);
}

static void plugins(void)
{
	pthread_t t;

	pthread_create(&t, NULL, at_leisure, NULL);
	for (int i = 0; i < 100; i++) {
		void *lib = LOAD(getenv("TEST_PLUGIN"));
		void (*work)(int64_t) = lib ? (void (*)(int64_t))dlsym(lib, "plugin_work") : NULL;

		if (!work)
			_exit(7);
		work(i);
		dlclose(lib);
	}
}

static volatile bool stop;

static void *blocked_body(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (!stop)
		fire(0);
	return arg;
}

static void flips(void)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, blocked_body, NULL);
	step();
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void takeover(void)
{
	fire(1);
	step(); /* the host dies */
	fire(2);
	step(); /* another has come */
	fire(3);
	step();
}

static void large(void)
{
	static char text[60000];
	int64_t n = 5;

	memset(text, 'x', sizeof(text) - 1);
	CAIRN(test, large, n, (const char *)text);
	CAIRN(test, after, n);
}

static void idle(void)
{
	step();
	fire(1);
	step();
}

static void late(void)
{
	step();
	once();
}

static void jumps(void)
{
	once();
	step(); /* sets closed, others come */
	once();
	step();
	once();
}

/* As early and as late as a program can: constructors, and at exit handlers, destructors of threads'
 * and the program's. Only "edges" fires there. */
static bool at_edges;

static void fire_edge(int64_t n)
{
	if (at_edges)
		CAIRN(test, edge, n);
}

/* 101 is the runtime's own: no earlier than that. Arguments come to constructors, too. */
__attribute__((constructor(102))) static void first(int argc, char **argv)
{
	at_edges = argc > 1 && strcmp(argv[1], "edges") == 0;
	fire_edge(1);
}

static void at_exit(void)
{
	fire_edge(100);
}

static void on_thread_end(void *arg)
{
	(void)arg;
	fire_edge(1000);
}

__attribute__((destructor(102))) static void last(void)
{
	fire_edge(10000);
}

static void *thread_of_edges(void *key)
{
	pthread_setspecific(*(pthread_key_t *)key, key);
	return key;
}

static void edges(void)
{
	pthread_key_t key;
	pthread_t t;

	fire_edge(10);
	atexit(at_exit);
	pthread_key_create(&key, on_thread_end);
	pthread_create(&t, NULL, thread_of_edges, &key);
	pthread_join(t, NULL);
}

/* Only this thread becomes another user (libc would tell them all), so that the child is the first to see
 * it, as by chance otherwise. */
static void child_of_another_user(void)
{
	pid_t child;

	fire(1);
	if (syscall(SYS_setresuid, -1, 65533, -1))
		_exit(8);
	child = fork();
	if (child == 0) {
		fire(2);
		step();
		fire(4);
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

/* On one CPU, so that one ring gets it all. */
static void *fires_6000(void *arg)
{
	unsigned int cpu = 0;
	unsigned long set[128] = {0};

	if (syscall(SYS_getcpu, &cpu, 0, 0) == 0 && cpu / 64 < 128)
		set[cpu / 64] = 1ul << cpu % 64;
	if (syscall(SYS_sched_setaffinity, 0, sizeof(set), set))
		_exit(9);
	for (int64_t i = 1; i <= 6000; i++)
		fire(i);
	return arg;
}

static void another_user(void)
{
	pthread_t t;

	pthread_create(&t, NULL, fires_6000, NULL);
	step();
	if (seteuid(65533))
		_exit(8);
	step();
	pthread_join(t, NULL);
}

static const struct {
	const char *name;
	void (*run)(void);
} programs[] = {{"once", once}, {"threads", threads}, {"many-threads", many_threads},
	{"signals", signals}, {"forks", forks}, {"vforks", vforks}, {"raw-clone", raw_clone},
	{"foreign", foreign}, {"daemon", daemonize}, {"closes", closes}, {"exits", exits},
	{"plugins", plugins}, {"flips", flips}, {"takeover", takeover}, {"large", large},
	{"idle", idle}, {"unshares", unshares}, {"late", late}, {"jumps", jumps}, {"edges", edges},
	{"another-user", another_user}, {"child-of-another-user", child_of_another_user}};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (strcmp(programs[i].name, argv[1]) == 0) {
			programs[i].run();
			return 0;
		}
	}
	return 2;
}
