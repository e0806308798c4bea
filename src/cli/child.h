/* The command that `cairn record` runs: started with the session's environment, waited for, its
 * status passed on. */
#ifndef CAIRN_CLI_CHILD_H
#define CAIRN_CLI_CHILD_H

#include "cli/cli.h"
#include <signal.h>

struct child {
	pid_t pid; /* 0: none, or it has ended */
	int status; /* as waitpid() gave it */
	int gate; /* written to let it exec; -1 afterwards */
	int failed; /* read end: errno of a failed exec */
};

struct child_setup {
	char **argv;
	const char *host, *runtime; /* CAIRN_HOST, CAIRN_RT; each may be NULL */
	const char *preload; /* "" or libraries for LD_PRELOAD, before what is there */
	bool stdout_to_stderr; /* our stdout carries the trace */
	const sigset_t *mask; /* the signal mask it starts with */
	sighandler_t xfsz; /* what SIGXFSZ does in it: as we were started, not as we are */
	int nice; /* likewise */
};

/* SIGINT, SIGTERM, SIGHUP and SIGCHLD come as data from now on: a signalfd, or -errno. *ret_old: the
 * mask until then. */
int catch_signals(sigset_t *ret_old);
/* How long who reads our output may read nothing once we are to end. */
enum { GIVE_UP_MS = 1000 };
/* Makes this process go before those that it reads from, if it may. Returns its nice value until
 * then. */
int priority_raise(void);
/* Forks; the child waits at its gate. 0 or -errno. */
int child_start(struct child *ch, const struct child_setup *setup);
/* Lets it run. 0, or -errno of a failed exec (it has been reaped then). */
int child_release(struct child *ch);
/* Ends one that still waits at its gate, and reaps it. */
void child_stop(struct child *ch);
/* Reaps it if it has ended: true then. */
bool child_ended(struct child *ch, bool wait);
/* The shell's convention: its exit status, or 128 + signal. */
int child_exit_code(const struct child *ch);

/* The file that execvp would run, by PATH. 0 or -ENOENT. */
int command_find(const char *name, char *ret, size_t size);
/* A library of ours: beside the executable, else in the installed library folder. 0 or -ENOENT. */
int library_find(const char *name, char *ret, size_t size);

#endif
