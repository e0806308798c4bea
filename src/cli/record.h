/* What `cairn record` was asked for (record.c), for the part that does it (record-run.c). */
#ifndef CAIRN_CLI_RECORD_H
#define CAIRN_CLI_RECORD_H

#include "cli/child.h"
#include "cli/recording-kernel.h"

struct record {
	const struct command *c;
	struct recording what;
	char **argv; /* the command; NULL: -p or --all */
	bool all, quiet, stream, with; /* with: --with, even if it had to be left out */
	uint64_t duration_ns; /* 0: no limit */
	const char *ring_dir;
	struct recording_kernel kernel;
	struct buf preload, command; /* owned; LD_PRELOAD's part, the command as text */
	char directory[64]; /* the default output */
};

/* Records. Gives the exit code of `cairn`. */
int record_run(struct record *r);

#endif
