/* The command that `cairn record` runs. See child.h.
 *
 * It is forked before recording starts and waits at a pipe, so that its pid is known to the
 * session and no event of its is missed; a failed exec comes back as errno over a second pipe.
 */
#include "cli/child.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CAIRN_LIBDIR
#define CAIRN_LIBDIR "/usr/local/lib"
#endif

/* Puts `first` before what is in this variable, by ':'. Without memory it stays: no worse. */
static void env_prepend(const char *name, const char *first)
{
	const char *before = getenv(name);
	struct buf b AUTO(buf) = {0};

	buf_str(&b, first);
	if (before && *before) {
		buf_char(&b, ':');
		buf_str(&b, before);
	}
	if (!b.err)
		(void)setenv(name, b.data, 1);
}

/* Between fork and exec. cairn has no other threads, so anything may be called here. */
static void child_main(const struct child_setup *s, int gate, int failed)
{
	char go;
	int err;

	if (s->host) {
		(void)setenv("CAIRN_HOST", s->host, 1); /* on failure it runs untraced */
		(void)setenv(
			"CAIRN_WAIT_MS", "2000", 0); /* likewise; a busy machine misses no event */
	}
	if (s->runtime)
		(void)setenv("CAIRN_RT", s->runtime, 1); /* likewise */
	if (s->preload[0]) {
		env_prepend("LD_PRELOAD", s->preload);
		/* gcc's AddressSanitizer would end the program: it insists on being the first library */
		env_prepend("ASAN_OPTIONS", "verify_asan_link_order=0");
	}
	if (s->stdout_to_stderr)
		(void)dup2(STDERR_FILENO, STDOUT_FILENO); /* both are open */
	(void)signal(SIGPIPE, SIG_DFL);
	(void)signal(SIGXFSZ, s->xfsz);
	(void)setpriority(PRIO_PROCESS, 0, s->nice); /* back to what it was: always allowed */
	(void)sigprocmask(SIG_SETMASK, s->mask, NULL); /* cannot fail: a known mask */
	while (read(gate, &go, 1) < 0 && errno == EINTR)
		;
	(void)execvp(s->argv[0], s->argv);
	err = errno;
	(void)write_all(failed, &err, sizeof(err)); /* else the parent sees status 127 */
	_exit(127);
}

int catch_signals(sigset_t *ret_old)
{
	sigset_t set;
	int fd;

	(void)sigemptyset(&set); /* these cannot fail: known signals */
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, ret_old);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd >= 0 ? fd : -errno;
}

int priority_raise(void)
{
	enum { consumer = -10 };
	int was;

	errno = 0;
	was = getpriority(PRIO_PROCESS, 0);
	if (was == -1 && errno)
		was = 0; /* cannot be: we exist */
	if (was > consumer)
		(void)setpriority(PRIO_PROCESS, 0, consumer); /* only root may: else it stays */
	return was;
}

int child_start(struct child *ch, const struct child_setup *setup)
{
	int gate[2], failed[2], err;

	*ch = (struct child){.gate = -1, .failed = -1};
	if (pipe2(gate, O_CLOEXEC) != 0)
		return -errno;
	if (pipe2(failed, O_CLOEXEC) != 0) {
		err = -errno;
		(void)close(gate[0]);
		(void)close(gate[1]);
		return err;
	}
	ch->pid = fork();
	err = ch->pid < 0 ? -errno : 0;
	if (ch->pid == 0) {
		(void)close(gate[1]); /* else it would hold its own gate open */
		child_main(setup, gate[0], failed[1]);
	}
	(void)close(gate[0]);
	(void)close(failed[1]);
	ch->gate = gate[1];
	ch->failed = failed[0];
	if (err) {
		(void)close(gate[1]);
		(void)close(failed[0]);
		ch->pid = 0;
	}
	return err;
}

int child_release(struct child *ch)
{
	int err = 0;
	ssize_t n;

	(void)close(ch->gate); /* end of file opens it */
	ch->gate = -1;
	do
		n = read(ch->failed, &err, sizeof(err)); /* ends when exec has closed it */
	while (n < 0 && errno == EINTR);
	(void)close(ch->failed);
	ch->failed = -1;
	if (n != sizeof(err))
		return 0;
	(void)child_ended(ch, true);
	return -err;
}

void child_stop(struct child *ch)
{
	if (ch->pid <= 0 || ch->gate < 0)
		return;
	(void)kill(ch->pid, SIGKILL); /* ours, and not reaped yet */
	(void)close(ch->gate);
	(void)close(ch->failed);
	ch->gate = ch->failed = -1;
	(void)child_ended(ch, true);
	ch->status = 0; /* its end says nothing */
}

bool child_ended(struct child *ch, bool wait)
{
	pid_t got;

	if (ch->pid <= 0)
		return true;
	do
		got = waitpid(ch->pid, &ch->status, wait ? 0 : WNOHANG);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return false;
	ch->pid = 0;
	return true;
}

int child_exit_code(const struct child *ch)
{
	return WIFSIGNALED(ch->status) ? 128 + WTERMSIG(ch->status) : WEXITSTATUS(ch->status);
}

int command_find(const char *name, char *ret, size_t size)
{
	const char *dirs = getenv("PATH");

	for (dirs = strchr(name, '/') || !dirs ? "" : dirs; dirs;) {
		size_t n = strcspn(dirs, ":");
		struct stat st;

		if ((size_t)snprintf(ret, size, "%.*s%s%s", (int)n, dirs, n ? "/" : "", name) <
				size &&
			stat(ret, &st) == 0 && S_ISREG(st.st_mode) && access(ret, X_OK) == 0)
			return 0;
		dirs = dirs[n] ? dirs + n + 1 : NULL;
	}
	return -ENOENT;
}

int library_find(const char *name, char *ret, size_t size)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	exe[MAX(n, 0)] = '\0';
	slash = strrchr(exe, '/');
	if (slash) {
		*slash = '\0';
		if ((size_t)snprintf(ret, size, "%s/%s", exe, name) < size &&
			access(ret, R_OK) == 0)
			return 0;
	}
	if ((size_t)snprintf(ret, size, CAIRN_LIBDIR "/%s", name) < size && access(ret, R_OK) == 0)
		return 0;
	return -ENOENT;
}
