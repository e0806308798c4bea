/* cairn list: who is connected to a session host, with which events; and its sessions. */
#include "cli/commands.h"
#include "cli/recording.h"
#include <errno.h>
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
	.notes = "Events that some session records are marked with *. Asks `cairn daemon`, or the\n"
		 "host named by --host (`cairn record --all` is one: host-PID).",
	.run = run,
};

static void text(struct out *o, const struct cairn_host_info *host,
	const struct cairn_process_info *processes, size_t np,
	const struct cairn_session_info *sessions, size_t ns)
{
	char a[HUMAN_MAX];

	out_printf(o, "host %s: process %d, %u session%s, %u program%s, rings of %s\n", host->name,
		host->pid, host->sessions, host->sessions == 1 ? "" : "s", host->processes,
		host->processes == 1 ? "" : "s", human_bytes(a, host->ring_memory_bytes));
	out_str(o, np ? "\nprograms\n" : "\nNo program with events is connected.\n");
	processes_text(o, processes, np);
	out_str(o, ns ? "\nsessions\n" : "\nNo sessions.\n");
	sessions_text(o, sessions, ns);
}

static void json(struct out *o, const struct cairn_host_info *host,
	const struct cairn_process_info *processes, size_t np,
	const struct cairn_session_info *sessions, size_t ns)
{
	out_printf(o, "{\"host\": {\"pid\": %d, \"uid\": %u, \"name\": ", host->pid, host->uid);
	out_json(o, host->name, strlen(host->name));
	out_str(o, ", \"socket\": ");
	out_json(o, host->socket, strlen(host->socket));
	out_printf(o, ", \"ring_memory_bytes\": %llu},\n\"programs\": ",
		(unsigned long long)host->ring_memory_bytes);
	processes_json(o, processes, np);
	out_str(o, ",\n\"sessions\": ");
	sessions_json(o, sessions, ns);
	out_str(o, "}\n");
}

static int list(const struct command *c, const struct recording *what, bool brief)
{
	struct cairn_control *ctl = NULL;
	struct cairn_process_info *processes = NULL;
	struct cairn_session_info *sessions = NULL;
	struct cairn_host_info host;
	struct cairn_error err = {0};
	struct out out AUTO(out) = {0};
	size_t np = 0, ns = 0;
	int ret = CLI_OK;

	if (out_init(&out, STDOUT_FILENO) != 0)
		return fail_text(c, NULL, "out of memory");
	if (cairn_connect(what->host, &ctl, &err) < 0)
		return fail(c, &err);
	if (cairn_host_info(ctl, &host, &err) < 0 ||
		cairn_process_list(ctl, what->npids ? what->pids[0] : 0,
			brief ? 0 : CAIRN_LIST_EVENTS, &processes, &np, &err) < 0 ||
		cairn_session_list(ctl, NULL, &sessions, &ns, &err) < 0)
		ret = fail(c, &err);
	else if (what->json)
		json(&out, &host, processes, np, sessions, ns);
	else
		text(&out, &host, processes, np, sessions, ns);
	if (processes)
		cairn_process_list_free(processes);
	if (sessions)
		cairn_session_list_free(sessions);
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
