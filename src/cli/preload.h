/* Whether the libraries of --with will be loaded into what a command runs. */
#ifndef CAIRN_CLI_PRELOAD_H
#define CAIRN_CLI_PRELOAD_H

#include "cli/cli.h"

/* Says if they will not, and why, as far as the file tells. False: they are to be left out, what they
 * would do to the command is unknown. */
bool preload_check(const struct command *c, const char *command);
/* What to do about a marked command that did not load the runtime. Static text. */
const char *preload_runtime_hint(const char *command);

#endif
