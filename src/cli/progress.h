/* What `record` shows while it runs (on a terminal only) and says at the end. */
#ifndef CAIRN_CLI_PROGRESS_H
#define CAIRN_CLI_PROGRESS_H

#include "cli/cli.h"
#include <cairn/session.h>

struct progress {
	bool on; /* stderr is a terminal */
	uint64_t begin_ns, shown_ns, shown_events; /* times of CLOCK_MONOTONIC */
	bool visible; /* a line stands there */
};

void progress_init(struct progress *p);
/* Milliseconds until the next line is due; -1 if there is none. */
int progress_due_ms(const struct progress *p);
void progress_show(struct progress *p, const struct cairn_stats *stats);
void progress_clear(struct progress *p);
/* "12,345 events, 1.2 MiB, in 3.4 s; none lost" on one or more lines of stderr. ring_bytes: of the
 * rings that they went through, 0: as large as they are by default. */
void progress_summary(
	const struct progress *p, const struct cairn_stats *stats, uint64_t ring_bytes);

#endif
