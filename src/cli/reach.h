/* Which of the processes that were named are connected, and what is said of the others. */
#ifndef CAIRN_CLI_REACH_H
#define CAIRN_CLI_REACH_H

#include "cli/cli.h"
#include <cairn/session.h>

enum { REACH_MS = 1500 }; /* programs look for new hosts twice a second */

/* Whether all of these processes exist; says which does not. CLI_OK or CLI_FAIL. */
int reach_exist(const struct command *c, const pid_t *pids, size_t n);
/* How many of them are not connected to the host (0 if that cannot be told); say: names each. */
size_t reach_missing(
	const struct command *c, struct cairn_control *ctl, const pid_t *pids, size_t n, bool say);
/* Is what this command runs (by PATH, as execvp has it) an executable with marks? */
bool reach_is_marked(const char *command);
/* Waits until these have had the time to connect, then says which have not. */
void reach_wait(const struct command *c, struct cairn_control *ctl, const pid_t *pids, size_t n);

/* A running program that is marked, itself or a library of it, but not connected to the host. */
enum unreached_why {
	UNREACHED_NOT_LOADED,
	UNREACHED_STATIC,
	UNREACHED_ELSEWHERE,
	UNREACHED_NOT_CONNECTED,
	UNREACHED_WHYS
};
struct unreached {
	pid_t pid;
	uid_t uid;
	enum unreached_why why;
	char comm[32];
};
const char *reach_why_name(enum unreached_why why); /* for scripts */
const char *reach_why_text(enum unreached_why why); /* what is the matter */
const char *reach_why_hint(enum unreached_why why); /* what to do next */
/* Finds them among the processes that this user may look into; only: that one, or 0. The caller
 * frees *ret. 0 or -errno. */
int reach_find(struct cairn_control *ctl, pid_t only, struct unreached **ret, size_t *ret_n);
/* Says which there are, in one line. */
void reach_say_others(struct cairn_control *ctl);

#endif
