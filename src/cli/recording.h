/* What `record` and the verbs of `session` have in common: options that say what to record and
 * how, and what programs answered. */
#ifndef CAIRN_CLI_RECORDING_H
#define CAIRN_CLI_RECORDING_H

#include "cli/cli.h"
#include "view/out.h"
#include <cairn/session.h>

enum recording_option {
	OPT_EVENT = 'e',
	OPT_OUTPUT = 'o',
	OPT_PID = 'p',
	OPT_EXCLUDE = 1000,
	OPT_LOGLEVEL,
	OPT_MODE,
	OPT_RING_SIZE,
	OPT_BLOCK_TIME,
	OPT_CONTEXT,
	OPT_CHANNEL,
	OPT_CTF2,
	OPT_HOST,
	OPT_JSON,
	OPT_TIMEOUT,
};

/* Rows for option tables. */
#define ROW_EVENT \
	{ \
		OPT_EVENT, 'e', "event", "PATTERN", \
			"record these events: 'provider:event' with\n* and ?; may be repeated; default: all" \
	}
#define ROW_EXCLUDE \
	{ \
		OPT_EXCLUDE, 0, "exclude", "PATTERN", "but not these; may be repeated" \
	}
#define ROW_LOGLEVEL \
	{ \
		OPT_LOGLEVEL, 0, "loglevel", "LEVEL", \
			"only events as severe as LEVEL or more (a name\nas 'warning' or 0..14); =LEVEL: exactly" \
	}
#define ROW_MODE \
	{ \
		OPT_MODE, 0, "mode", "MODE", \
			"when a ring is full: discard new events\n(default), overwrite old ones, or block" \
	}
#define ROW_RING_SIZE \
	{ \
		OPT_RING_SIZE, 0, "ring-size", "SIZE", "of each CPU's ring, 64K to 1G; default 1M" \
	}
#define ROW_BLOCK_TIME \
	{ \
		OPT_BLOCK_TIME, 0, "block-time", "TIME", \
			"longest wait with --mode block; default 100ms" \
	}
#define ROW_CONTEXT \
	{ \
		OPT_CONTEXT, 0, "context", "LIST", \
			"record with each event: tid (default), pid,\ncomm, cpu, nice, sched, cgroup, ip, perf:EVENT" \
	}
#define ROW_CHANNEL \
	{ \
		OPT_CHANNEL, 0, "channel", "NAME", "into this channel of the session" \
	}
#define ROW_CTF2 \
	{ \
		OPT_CTF2, 0, "ctf2", NULL, "write CTF 2 instead of CTF 1.8" \
	}
#define ROW_HOST \
	{ \
		OPT_HOST, 0, "host", "NAME", \
			"of this session host (name or socket path)\ninstead of the daemon" \
	}
#define ROW_JSON \
	{ \
		OPT_JSON, 0, "json", NULL, "answer in JSON" \
	}
#define ROW_TIMEOUT \
	{ \
		OPT_TIMEOUT, 0, "timeout", "TIME", "wait for programs to act; default 1s" \
	}

struct recording {
	struct strings events, excludes;
	struct cairn_rule *rules; /* owned; made by recording_rules() */
	struct cairn_channel_config channel;
	pid_t *pids; /* owned */
	size_t npids, pids_cap;
	int loglevel, loglevel_only;
	int ctf_version;
	const char *output, *host;
	bool json;
	int timeout_ms;
};

void recording_init(struct recording *r);
void auto_recording(struct recording *r);
/* Takes one option; CLI_OK, or CLI_USAGE after saying why. */
int recording_option(struct recording *r, const struct command *c, int id, const char *value);
/* Makes r->rules of events, excludes and loglevel; `*:*` when no event was named and
 * `all_by_default`. Gives their number, or -ENOMEM. */
int recording_rules(struct recording *r, bool all_by_default);

/* Says on stderr which programs failed or are late; `what` is e.g. "start". */
void report_say(const struct command *c, const struct cairn_report *report, const char *what);
void report_json(struct out *o, const struct cairn_report *report); /* an object */

const char *mode_name(enum cairn_channel_mode mode);
const char *loglevel_name(int level); /* "14" and the like if it has none */

/* ---- what a host has (listing.c) ---- */

void sessions_text(struct out *o, const struct cairn_session_info *list, size_t n);
void sessions_json(struct out *o, const struct cairn_session_info *list, size_t n); /* an array */
void processes_text(struct out *o, const struct cairn_process_info *list, size_t n);
void processes_json(struct out *o, const struct cairn_process_info *list, size_t n); /* an array */

#endif
