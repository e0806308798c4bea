/* What `cairn record` was asked for (record.c), for the part that does it (record-run.c). */
#ifndef CAIRN_CLI_RECORD_H
#define CAIRN_CLI_RECORD_H

#include "cli/child.h"
#include "cli/recording.h"

struct record {
	const struct command *c;
	struct recording what;
	char **argv; /* the command; NULL: -p or --all */
	bool all, quiet, stream, with; /* with: --with, even if it had to be left out */
	uint64_t duration_ns; /* 0: no limit */
	const char *ring_dir;
	struct strings kernel, kernel_filters; /* -k, --kernel-filter */
	struct cairn_kernel_probe
		*probes; /* owned vector; --kprobe and its like; texts are argv's */
	size_t nprobes, cprobes;
	uint64_t kernel_buffer; /* bytes; 0: the default */
	bool kernel_adapts, lttng_names;
	unsigned stacks; /* CAIRN_STACK_* */
	struct buf preload, command; /* owned; LD_PRELOAD's part, the command as text */
	char directory[64]; /* the default output */
};

/* Records. Gives the exit code of `cairn`. */
int record_run(struct record *r);

#endif
