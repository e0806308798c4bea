/* What `print` and `stat` have in common: opening traces, choosing events, counting what was lost
 * and saying what was damaged. */
#ifndef CAIRN_CLI_READING_H
#define CAIRN_CLI_READING_H

#include "cli/cli.h"
#include "view/view.h"
#include <cairn/reader.h>

/* ---- choosing events ---- */

enum { READING_REASONS = 24 };
enum {
	OPT_R_EVENT = 'e',
	OPT_R_PID = 'p',
	OPT_R_TID = 't',
	OPT_R_EXCLUDE = 2000,
	OPT_R_SINCE,
	OPT_R_UNTIL
};

#define ROW_R_EVENT \
	{ \
		OPT_R_EVENT, 'e', "event", "PATTERN", \
			"only events 'provider:event' with * and ?; may\nbe repeated" \
	}
#define ROW_R_EXCLUDE \
	{ \
		OPT_R_EXCLUDE, 0, "exclude", "PATTERN", "but not these; may be repeated" \
	}
#define ROW_R_PID \
	{ \
		OPT_R_PID, 'p', "process", "PID", \
			"only of this process: an id, or a name with\n* and ?; may be repeated" \
	}
#define ROW_R_TID \
	{ \
		OPT_R_TID, 't', "thread", "TID", "only of this thread: likewise" \
	}
#define ROW_R_SINCE \
	{ \
		OPT_R_SINCE, 0, "since", "TIME", \
			"only from TIME on: seconds as printed, seconds\nsince 1970, HH:MM:SS, or +TIME after the begin" \
	}
#define ROW_R_UNTIL \
	{ \
		OPT_R_UNTIL, 0, "until", "TIME", "only before TIME" \
	}

struct reading {
	const struct command *c;
	struct strings paths, events, excludes, pids, tids;
	const char *since, *until;
	int64_t since_ns, until_ns; /* INT64_MIN, INT64_MAX: no limit */
	bool follow;
	bool all; /* every event is one of those asked for */
	struct cairn_reader *reader; /* owned */
	uint8_t *chosen; /* owned; by class: 0 not known, 1 yes, 2 no */
	size_t nchosen;
	uint64_t lost[READING_REASONS]; /* by reason: names below */
	const char *lost_name[READING_REASONS]; /* owned by the reader */
	size_t nlost;
	uint64_t lost_total, lost_unknown; /* unknown: places where some, of unknown number */
	uint64_t packets_lost;
	uint64_t cut, damaged, damaged_bytes, notices;
};

void reading_init(struct reading *r, const struct command *c);
void auto_reading(struct reading *r);
/* Takes one option or ARG_POSITIONAL; CLI_OK or CLI_USAGE. */
int reading_option(struct reading *r, int id, const char *value);
/* Opens; CLI_OK, or CLI_USAGE, CLI_FAIL once it was said. */
int reading_open(struct reading *r);
/* Whether the event is one of those asked for. -ENOMEM, 0 or 1. */
int reading_chosen(struct reading *r, const struct threads *threads, const struct cairn_event *ev);
/* Counts a loss; says a notice on stderr (the first 20). */
void reading_loss(struct reading *r, const struct cairn_loss *loss);
void reading_notice(struct reading *r, const struct cairn_notice *n);
/* CLI_FAIL if something was damaged, else CLI_OK. */
int reading_exit(const struct reading *r);

#endif
