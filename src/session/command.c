/* Commands that wait until programs have acted.
 *
 * A command counts the ACKs it still expects; it is finished when none is left after it was
 * sealed, or when its deadline comes: then the programs that have not answered are late. A late
 * program acts when it can; its answer is then nobody's.
 */
#include "session/session-impl.h"
#include <stdlib.h>
#include <string.h>

struct command *command_new(struct cairn_host *h, int timeout_ms)
{
	struct command *cmd = calloc(1, sizeof(*cmd));

	if (!cmd)
		return NULL;
	cmd->host = h;
	cmd->deadline_ns = timeout_ms < 0
		? UINT64_MAX
		: now_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000u;
	cmd->next = h->commands;
	h->commands = cmd;
	return cmd;
}

void command_free(struct command *cmd)
{
	struct cairn_host *h = cmd->host;

	for (struct command **p = &h->commands; *p; p = &(*p)->next) {
		if (*p == cmd) {
			*p = cmd->next;
			break;
		}
	}
	for (size_t i = 0; i < h->nconns; i++) {
		struct conn *c = h->conns[i];

		for (size_t k = 0; k < c->nwaiting; k++) {
			if (c->waiting[k].cmd == cmd)
				c->waiting[k].cmd = NULL;
		}
	}
	json_object_put(cmd->reply);
	free(cmd->progs);
	free(cmd);
}

static struct command_prog *find_prog(struct command *cmd, pid_t pid)
{
	for (size_t i = 0; i < cmd->nprogs; i++) {
		if (cmd->progs[i].pid == pid)
			return &cmd->progs[i];
	}
	return NULL;
}

void command_asked(struct command *cmd, const struct conn *c)
{
	/* programs are asked one after the other, so the last is the likely one */
	struct command_prog *p = cmd->nprogs && cmd->progs[cmd->nprogs - 1].pid == c->pid
		? &cmd->progs[cmd->nprogs - 1]
		: find_prog(cmd, c->pid);

	if (!p)
		p = VEC_ADD(cmd->progs, cmd->nprogs, cmd->cprogs);
	if (!p)
		return; /* without memory nobody waits for it */
	p->pid = c->pid;
	p->pending++;
	cmd->pending++;
}

static void finish(struct command *cmd)
{
	struct cairn_report *r = &cmd->report;

	memset(r, 0, sizeof(*r));
	for (size_t i = 0; i < cmd->nprogs; i++) {
		const struct command_prog *p = &cmd->progs[i];

		r->asked++;
		if (p->err) {
			if (r->failed < CAIRN_REPORT_PIDS) {
				r->failed_pid[r->failed] = p->pid;
				r->failed_err[r->failed] = p->err;
			}
			r->failed++;
		} else if (p->pending) {
			if (r->late < CAIRN_REPORT_PIDS)
				r->late_pid[r->late] = p->pid;
			r->late++;
		} else
			r->acted++;
	}
	cmd->done(cmd);
	command_free(cmd);
}

void command_answered(struct command *cmd, const struct conn *c, int err)
{
	struct command_prog *p = find_prog(cmd, c->pid);

	if (!p || !p->pending)
		return;
	p->pending--;
	cmd->pending--;
	if (err && !p->err)
		p->err = err;
	if (cmd->sealed && !cmd->pending)
		finish(cmd);
}

void command_seal(struct command *cmd)
{
	cmd->sealed = true;
	if (!cmd->pending)
		finish(cmd);
}

void commands_step(struct cairn_host *h, uint64_t now)
{
	struct command *cmd = h->commands;

	while (cmd) {
		if (cmd->sealed && cmd->deadline_ns <= now) {
			finish(cmd);
			cmd = h->commands; /* the list may have changed in any way */
		} else
			cmd = cmd->next;
	}
}
