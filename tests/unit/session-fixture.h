/* A session host in this process, with its run directory and traces in a folder of its own. */
#ifndef CAIRN_TESTS_SESSION_FIXTURE_H
#define CAIRN_TESTS_SESSION_FIXTURE_H

#include "fake-runtime.h"
#include "test.h"
#include <cairn/session.h>
#include <errno.h>
#include <sys/stat.h>

static char scratch[64]; /* run directory and traces of this test program */

static inline void remove_scratch(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", scratch);
	(void)!system(cmd);
}

static inline char *in_scratch(const char *name)
{
	static char path[4][160];
	static int at;

	if (!scratch[0]) {
		strcpy(scratch, "/tmp/cairn-test-XXXXXX");
		CHECK(mkdtemp(scratch) != NULL);
		atexit(remove_scratch);
	}
	at = (at + 1) % 4;
	snprintf(path[at], sizeof(path[at]), "%s/%s", scratch, name);
	return path[at];
}

struct fixture {
	struct cairn_host *host;
	struct cairn_control *ctl;
	struct cairn_error err;
};

static inline int fixture_init(struct fixture *f, enum cairn_wanted wanted)
{
	struct cairn_host_options o = {.size = sizeof(o), .wanted = wanted, .name = "test"};
	char *run = in_scratch("run"), *out = in_scratch("out");
	int r;

	memset(f, 0, sizeof(*f));
	o.rundir = run;
	o.output_root = out;
	r = cairn_host_new(&o, &f->host, &f->err);
	if (r == 0)
		r = cairn_control_local(f->host, &f->ctl, &f->err);
	if (r < 0)
		printf("# %s\n", f->err.message);
	CHECK_INT(r, 0);
	return r;
}

static inline void fixture_done(struct fixture *f)
{
	char text[256];

	while (f->host && cairn_host_message(f->host, text, sizeof(text)))
		printf("# host says: %s\n", text);
	cairn_control_free(f->ctl);
	cairn_host_free(f->host);
}

#define LAST_RESORT_NS 60000000000u /* only a hang takes that long */

/* Runs the host until the program has answered a command. */
static inline char await(struct fixture *f, const struct fake *p)
{
	char c = 0;
	struct pollfd pfd = {.fd = p->from, .events = POLLIN};

	for (uint64_t end = monotonic_now(NULL) + LAST_RESORT_NS;
		poll(&pfd, 1, 0) == 0 && monotonic_now(NULL) < end;)
		cairn_host_step(f->host, 5);
	if (poll(&pfd, 1, 0) != 1 || read(p->from, &c, 1) != 1)
		return 0;
	return c;
}

static inline void emit(struct fixture *f, const struct fake *p, uint32_t times)
{
	char cmd[5] = "e";

	memcpy(cmd + 1, &times, 4);
	CHECK_INT(write(p->to, cmd, 5), 5);
	CHECK_INT(await(f, p), 'e');
}

static inline int create(struct fixture *f, const char *name, const char *pattern,
	const struct cairn_channel_config *ch)
{
	struct cairn_rule rule = {.pattern = pattern, .loglevel = CAIRN_LOGLEVEL_ANY};
	struct cairn_session_config cfg = {.size = sizeof(cfg),
		.name = name,
		.output_fd = -1,
		.rules = &rule,
		.nrules = pattern != NULL,
		.channels = ch,
		.nchannels = ch != NULL};
	int r = cairn_session_create(f->ctl, &cfg, &f->err);

	if (r < 0)
		printf("# create: %s (%s)\n", f->err.message, f->err.hint);
	return r;
}

/* What babeltrace2 makes of a trace: number of lines that contain `what`, or -1. */
static inline int count_lines(const char *dir, const char *what)
{
	char cmd[512], line[4096];
	int n = 0;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "babeltrace2 '%s' 2>&1", dir);
	p = popen(cmd, "r");
	while (p && fgets(line, sizeof(line), p)) {
		if (strstr(line, "rror") || strstr(line, "WARNING"))
			printf("# %s", line);
		n += strstr(line, what) != NULL;
	}
	return p && pclose(p) == 0 ? n : -1;
}

static inline bool have_babeltrace(void)
{
	return system("babeltrace2 --version >/dev/null 2>&1") == 0;
}

static inline struct cairn_session_info *info(struct fixture *f, const char *name)
{
	struct cairn_session_info *list = NULL;
	size_t n = 0;
	int r = cairn_session_list(f->ctl, name, &list, &n, &f->err);

	CHECK_INT(r, 0);
	CHECK_INT(n, 1);
	return n == 1 ? list : NULL;
}

static inline uint64_t events_of(struct fixture *f, const char *name)
{
	struct cairn_session_info *i = info(f, name);
	uint64_t n = i ? i->stats.events : UINT64_MAX;

	cairn_session_list_free(i);
	return n;
}

#endif
