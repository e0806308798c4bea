/* The rows of the table in cairn.c: one subcommand each, defined in the file of its name. */
#ifndef CAIRN_CLI_COMMANDS_H
#define CAIRN_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct command command_record, command_print, command_stat, command_list,
	command_session, command_daemon, command_recover, command_dormant, command_boot,
	command_kernel, command_user_events;

int run_verb(const struct command *c, int argc, char **argv); /* cairn.c: for commands with verbs */

#endif
