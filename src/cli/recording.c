/* Options that say what to record and how; what programs answered. See recording.h. */
#include "cli/recording.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

/* As syslog and LTTng number them. */
static const char *const loglevels[] = {"emergency", "alert", "critical", "error", "warning",
	"notice", "info", "debug-system", "debug-program", "debug-process", "debug-module",
	"debug-unit", "debug-function", "debug-line", "debug"};

static const char *const modes[] = {[CAIRN_CHANNEL_DISCARD] = "discard",
	[CAIRN_CHANNEL_OVERWRITE] = "overwrite",
	[CAIRN_CHANNEL_BLOCK] = "block",
	NULL};

const char *mode_name(enum cairn_channel_mode mode)
{
	return (unsigned)mode < ARRAY_SIZE(modes) - 1 ? modes[mode] : "unknown";
}

const char *loglevel_name(int level)
{
	return level >= 0 && (size_t)level < ARRAY_SIZE(loglevels) ? loglevels[level] : "unknown";
}

void recording_init(struct recording *r)
{
	*r = (struct recording){.loglevel = CAIRN_LOGLEVEL_ANY, .timeout_ms = 1000};
}

void auto_recording(struct recording *r)
{
	free(r->events.items);
	free(r->excludes.items);
	free(r->rules);
	free(r->pids);
}

static int no_memory(const struct command *c)
{
	return fail_text(c, NULL, "out of memory");
}

static int parse_loglevel(struct recording *r, const struct command *c, const char *value)
{
	const char *s = value;
	uint64_t n;

	r->loglevel_only = s[0] == '=';
	s += s[0] == '=';
	if (parse_u64(s, &n) == 0 && n < ARRAY_SIZE(loglevels)) {
		r->loglevel = (int)n;
		return CLI_OK;
	}
	for (size_t i = 0; i < ARRAY_SIZE(loglevels); i++)
		if (strcasecmp(s, loglevels[i]) == 0 ||
			(strlen(s) >= 3 && i < 7 && strncasecmp(s, loglevels[i], strlen(s)) == 0)) {
			r->loglevel = (int)i;
			return CLI_OK;
		}
	return usage_error(c,
		"log level '%s' is none of emergency alert critical error warning "
		"notice info debug, or 0 to 14",
		value);
}

static int parse_mode(struct recording *r, const struct command *c, const char *value)
{
	const char *near;

	for (size_t i = 0; modes[i]; i++)
		if (strcmp(value, modes[i]) == 0) {
			r->channel.mode = (enum cairn_channel_mode)i;
			return CLI_OK;
		}
	near = suggest(value, modes);
	return usage_error(c, "mode '%s' is none of discard, overwrite, block%s%s%s", value,
		near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static int parse_ring_size(struct recording *r, const struct command *c, const char *value)
{
	if (parse_size(value, &r->channel.ring_bytes) != 0 || r->channel.ring_bytes < (64u << 10) ||
		r->channel.ring_bytes > (1u << 30))
		return usage_error(c, "ring size '%s' is not between 64K and 1G", value);
	return CLI_OK;
}

static int add_pid(struct recording *r, const struct command *c, const char *value)
{
	const char *s = value;

	while (*s) {
		char *end;
		long pid = isdigit((unsigned char)*s) ? strtol(s, &end, 10) : 0;
		pid_t *slot;

		if (pid <= 0 || pid > INT32_MAX || (*end && *end != ','))
			return usage_error(c, "'%s' is not a process id", value);
		slot = VEC_ADD(r->pids, r->npids, r->pids_cap);
		if (!slot)
			return no_memory(c);
		*slot = (pid_t)pid;
		s = *end ? end + 1 : end;
	}
	return r->npids ? CLI_OK : usage_error(c, "a process id is missing");
}

static int parse_time(const struct command *c, const char *value, uint64_t *ret_ns)
{
	if (parse_duration_ns(value, ret_ns) == 0 && *ret_ns > 0)
		return CLI_OK;
	return usage_error(c, "'%s' is not a time; examples: 500ms, 10s, 2m", value);
}

int recording_option(struct recording *r, const struct command *c, int id, const char *value)
{
	uint64_t t_ns;

	switch (id) {
	case OPT_EVENT: return strings_add(&r->events, value) == 0 ? CLI_OK : no_memory(c);
	case OPT_EXCLUDE: return strings_add(&r->excludes, value) == 0 ? CLI_OK : no_memory(c);
	case OPT_LOGLEVEL: return parse_loglevel(r, c, value);
	case OPT_MODE: return parse_mode(r, c, value);
	case OPT_RING_SIZE: return parse_ring_size(r, c, value);
	case OPT_BLOCK_TIME: return parse_time(c, value, &r->channel.block_ns);
	case OPT_CONTEXT: r->channel.contexts = value; return CLI_OK;
	case OPT_CHANNEL: r->channel.name = value; return CLI_OK;
	case OPT_OUTPUT: r->output = value; return CLI_OK;
	case OPT_HOST: r->host = value; return CLI_OK;
	case OPT_PID: return add_pid(r, c, value);
	case OPT_CTF2: r->ctf_version = 2; return CLI_OK;
	case OPT_JSON: r->json = true; return CLI_OK;
	case OPT_TIMEOUT:
		if (parse_time(c, value, &t_ns) != CLI_OK)
			return CLI_USAGE;
		r->timeout_ms = (int)MIN(t_ns / 1000000 + 1, (uint64_t)INT32_MAX);
		return CLI_OK;
	default: return usage_error(c, "option not handled"); /* a row without a case */
	}
}

int recording_rules(struct recording *r, bool all_by_default)
{
	size_t n = r->events.len;

	if (n == 0 && all_by_default) {
		if (strings_add(&r->events, "*:*") != 0)
			return -ENOMEM;
		n = 1;
	}
	r->rules = calloc(n ? n : 1, sizeof(*r->rules));
	if (!r->rules)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		r->rules[i] = (struct cairn_rule){.pattern = r->events.items[i],
			.excludes = r->excludes.items,
			.nexcludes = r->excludes.len,
			.loglevel = r->loglevel,
			.loglevel_only = r->loglevel_only,
			.channel = r->channel.name};
	return (int)n;
}

void report_say(const struct command *c, const struct cairn_report *report, const char *what)
{
	if (report->failed) {
		(void)fprintf(stderr, "cairn %s: %u of %u programs could not %s:", c->name,
			report->failed, report->asked, what);
		for (size_t i = 0; i < CAIRN_REPORT_PIDS && report->failed_pid[i]; i++)
			(void)fprintf(stderr, " %d (%s)", report->failed_pid[i],
				strerror(-report->failed_err[i]));
		(void)fputc('\n', stderr);
	}
	if (report->late) {
		(void)fprintf(stderr, "cairn %s: %u of %u programs have not acted yet:", c->name,
			report->late, report->asked);
		for (size_t i = 0; i < CAIRN_REPORT_PIDS && report->late_pid[i]; i++)
			(void)fprintf(stderr, " %d", report->late_pid[i]);
		(void)fputs("\nhint: stopped or very busy; they act when they run again\n", stderr);
	}
}

void report_json(struct out *o, const struct cairn_report *report)
{
	out_printf(o, "{\"asked\": %u, \"acted\": %u, \"failed\": [", report->asked, report->acted);
	for (size_t i = 0; i < CAIRN_REPORT_PIDS && report->failed_pid[i]; i++)
		out_printf(o, "%s{\"pid\": %d, \"error\": \"%s\"}", i ? ", " : "",
			report->failed_pid[i], strerror(-report->failed_err[i]));
	out_str(o, "], \"late\": [");
	for (size_t i = 0; i < CAIRN_REPORT_PIDS && report->late_pid[i]; i++)
		out_printf(o, "%s%d", i ? ", " : "", report->late_pid[i]);
	out_str(o, "]}");
}
