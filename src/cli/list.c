/* cairn list: who is connected to a session host, with which events; and its sessions. */
#include "cli/commands.h"
#include "cli/reach.h"
#include "cli/recording.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPT_L_SHORT = 's' };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_PID, 'p', "pid", "PID", "only this program"},
	{OPT_L_SHORT, 's', "short", NULL, "without events, fields and sites"},
	ROW_HOST,
	ROW_JSON,
	{0},
};

const struct command command_list = {
	.name = "list",
	.summary = "show the programs that can be recorded, their events, and sessions",
	.usage = "[OPTION...]",
	.options = options,
	.notes =
		"Events that some session records are marked with *. Programs that are marked but\n"
		"not connected are listed with the reason. Asks `cairn daemon`, or the host\n"
		"named by --host (`cairn record --all` is one: host-PID).",
	.run = run,
};

struct listed { /* what the host answered, and what we found ourselves */
	struct cairn_host_info host;
	struct cairn_process_info *processes; /* owned */
	struct cairn_session_info *sessions; /* owned */
	struct unreached *unreached; /* owned */
	size_t nprocesses, nsessions, nunreached;
};

static void auto_listed(struct listed *l)
{
	if (l->processes)
		cairn_process_list_free(l->processes);
	if (l->sessions)
		cairn_session_list_free(l->sessions);
	free(l->unreached);
}

static void unreached_text(struct out *o, const struct listed *l)
{
	for (unsigned why = 0; why < UNREACHED_WHYS; why++) {
		bool any = false;

		for (size_t i = 0; i < l->nunreached; i++) {
			const struct unreached *u = &l->unreached[i];

			if (u->why != why)
				continue;
			out_printf(o, "%d ", (int)u->pid);
			out_safe(o, u->comm, strlen(u->comm));
			out_printf(o, ": %s\n", reach_why_text(why));
			any = true;
		}
		if (any)
			out_printf(o, "  hint: %s\n", reach_why_hint(why));
	}
}

static void text(struct out *o, const struct listed *l)
{
	const struct cairn_host_info *host = &l->host;
	char a[HUMAN_MAX];

	out_printf(o, "host %s: process %d, %u session%s, %u program%s, rings of %s\n", host->name,
		host->pid, host->sessions, host->sessions == 1 ? "" : "s", host->processes,
		host->processes == 1 ? "" : "s", human_bytes(a, host->ring_memory_bytes));
	out_str(o, l->nprocesses ? "\nprograms\n" : "\nNo program with events is connected.\n");
	processes_text(o, l->processes, l->nprocesses);
	out_str(o, l->nunreached ? "\nmarked programs that are not reached\n" : "");
	unreached_text(o, l);
	out_str(o, l->nsessions ? "\nsessions\n" : "\nNo sessions.\n");
	sessions_text(o, l->sessions, l->nsessions);
}

static void json_string(struct out *o, const char *key, const char *s)
{
	out_str(o, key);
	out_json(o, s, strlen(s));
}

static void json(struct out *o, const struct listed *l)
{
	const struct cairn_host_info *host = &l->host;

	out_printf(o, "{\"host\": {\"pid\": %d, \"uid\": %u", host->pid, host->uid);
	json_string(o, ", \"name\": ", host->name);
	json_string(o, ", \"socket\": ", host->socket);
	out_printf(o, ", \"ring_memory_bytes\": %llu},\n\"programs\": ",
		(unsigned long long)host->ring_memory_bytes);
	processes_json(o, l->processes, l->nprocesses);
	out_str(o, ",\n\"unreached\": [");
	for (size_t i = 0; i < l->nunreached; i++) {
		const struct unreached *u = &l->unreached[i];

		out_printf(o, "%s{\"pid\": %d, \"uid\": %u", i ? ",\n " : "", (int)u->pid, u->uid);
		json_string(o, ", \"comm\": ", u->comm);
		json_string(o, ", \"reason\": ", reach_why_name(u->why));
		json_string(o, ", \"text\": ", reach_why_text(u->why));
		json_string(o, ", \"hint\": ", reach_why_hint(u->why));
		out_char(o, '}');
	}
	out_str(o, "],\n\"sessions\": ");
	sessions_json(o, l->sessions, l->nsessions);
	out_str(o, "}\n");
}

static int list(const struct command *c, const struct recording *what, bool brief)
{
	struct cairn_control *ctl = NULL;
	struct listed l AUTO(listed) = {0};
	struct cairn_error err = {0};
	struct out out AUTO(out) = {0};
	pid_t pid = what->npids ? what->pids[0] : 0;
	int ret = CLI_OK;

	if (out_init(&out, STDOUT_FILENO) != 0)
		return fail_text(c, NULL, "out of memory");
	if (cairn_connect(what->host, &ctl, &err) < 0)
		return fail(c, &err);
	if (cairn_host_info(ctl, &l.host, &err) < 0 ||
		cairn_process_list(ctl, pid, brief ? 0 : CAIRN_LIST_EVENTS, &l.processes,
			&l.nprocesses, &err) < 0 ||
		cairn_session_list(ctl, NULL, &l.sessions, &l.nsessions, &err) < 0) {
		ret = fail(c, &err);
	} else {
		(void)reach_find(ctl, pid, &l.unreached, &l.nunreached); /* else none is named */
		(what->json ? json : text)(&out, &l);
	}
	cairn_control_free(ctl);
	if (out_flush(&out) != 0 && out.err != -EPIPE)
		ret = fail_text(c, NULL, "cannot write: %s", strerror(-out.err));
	return ret;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct recording what AUTO(recording);
	struct args a;
	bool brief = false;
	int got, ret = CLI_OK;

	recording_init(&what);
	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while (ret == CLI_OK && (got = args_next(&a)) != ARG_END) {
		if (got == ARG_HELP || got == ARG_BAD)
			return args_exit(got);
		if (got == ARG_POSITIONAL)
			ret = usage_error(c, "'%s': no argument is expected", a.value);
		else if (got == OPT_L_SHORT)
			brief = true;
		else
			ret = recording_option(&what, c, got, a.value);
	}
	if (ret == CLI_OK && what.npids > 1)
		ret = usage_error(c, "give one process");
	return ret == CLI_OK ? list(c, &what, brief) : ret;
}
