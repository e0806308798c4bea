/* Which of the processes that were named are connected, and what is said of the others. */
#ifndef CAIRN_CLI_REACH_H
#define CAIRN_CLI_REACH_H

#include "cli/cli.h"
#include <cairn/session.h>

/* Whether all of these processes exist; says which does not. CLI_OK or CLI_FAIL. */
int reach_exist(const struct command *c, const pid_t *pids, size_t n);
/* How many of them are not connected to the host (0 if that cannot be told); say: names each. */
size_t reach_missing(
	const struct command *c, struct cairn_control *ctl, const pid_t *pids, size_t n, bool say);
/* Says which running programs are marked, as far as their executables tell, but not connected. */
void reach_say_others(struct cairn_control *ctl);

#endif
