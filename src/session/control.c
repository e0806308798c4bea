/* Commands to a host: what they look like on the wire, and doing them.
 *
 * REQUEST: one message, JSON text:
 *	{"op": "start", "session": "mine", "timeout_ms": 1000}
 * REPLY: one or more messages; the payload of each is u32 seq of the request, u32 more (!= 0: the
 * text goes on in the next message), then a part of the JSON text:
 *	{"err": 0, "report": {"asked": 2, "acted": 1, "failed": 0, "late": 1, "late_pid": [815]}}
 *	{"err": -2, "message": "there is no session 'mine'", "where": "", "hint": ""}
 *
 *	op		members						answer
 *	create		session, output, output_fd (local only),	-
 *			channels: [{name, mode, ring_bytes, block_ns,
 *			contexts}], rules: [rule], pids, ctf_version,
 *			command, snapshot_bytes, kernel
 *	start stop	session, timeout_ms				report
 *	destroy		session						-
 *	channel-add	session, channel				-
 *	enable		session, rule: {pattern, excludes, loglevel,	report
 *			loglevel_only, channel}, timeout_ms; or kernel
 *	disable		session, pattern, channel, timeout_ms; or	report
 *			session, kernel_pattern
 *	snapshot	session, dir					dir
 *	rotate		session						dir
 *	sessions	session (or none)				sessions: list.c
 *	processes	pid, events					processes: list.c
 *	host		-						host: list.c
 *	shutdown	-						-
 *
 * kernel: {rules: [{pattern, filter}], probes: [{kind, text}], pids, all, flight_recorder, adapt,
 * lttng_names, stacks, buffer_bytes}
 *
 * Who may: a user sees and changes sessions and programs of its own uid, root all. Local commands
 * take the same way without the socket, so that there is one meaning of each.
 */
#include "session/json.h"
#include "session/kernel.h"
#include "session/session-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_TIMEOUT_MS 5000
#define PART_BYTES 60000u

struct request {
	struct cairn_host *host;
	struct json_object *args; /* borrowed */
	uid_t uid;
	gid_t gid;
	bool local;
	struct command *cmd;
	struct json_object *reply; /* borrowed from cmd */
};

/* ---- answering ---- */

static void reply_error(struct json_object *reply, int r, const struct error *err)
{
	json_object_object_add(reply, "err", json_object_new_int(r));
	if (r >= 0)
		return;
	json_object_object_add(reply, "message",
		json_object_new_string(*err->message ? err->message : strerror(-r)));
	json_object_object_add(reply, "where", json_object_new_string(err->where));
	json_object_object_add(reply, "hint", json_object_new_string(err->hint));
}

static void add_report(const struct cairn_report *r, struct json_object *reply)
{
	struct json_object *o = json_object_new_object();
	struct json_object *late = json_object_new_array(), *failed = json_object_new_array();
	struct json_object *errs = json_object_new_array();

	json_object_object_add(o, "asked", json_object_new_int64(r->asked));
	json_object_object_add(o, "acted", json_object_new_int64(r->acted));
	json_object_object_add(o, "failed", json_object_new_int64(r->failed));
	json_object_object_add(o, "late", json_object_new_int64(r->late));
	for (unsigned i = 0; i < MIN(r->late, CAIRN_REPORT_PIDS); i++)
		json_object_array_add(late, json_object_new_int(r->late_pid[i]));
	for (unsigned i = 0; i < MIN(r->failed, CAIRN_REPORT_PIDS); i++) {
		json_object_array_add(failed, json_object_new_int(r->failed_pid[i]));
		json_object_array_add(errs, json_object_new_int(r->failed_err[i]));
	}
	json_object_object_add(o, "late_pid", late);
	json_object_object_add(o, "failed_pid", failed);
	json_object_object_add(o, "failed_err", errs);
	json_object_object_add(reply, "report", o);
}

static void send_reply(struct conn *c, uint32_t seq, struct json_object *reply)
{
	size_t len = 0, at = 0;
	const char *text = json_object_to_json_string_length(reply, JSON_C_TO_STRING_PLAIN, &len);

	do {
		struct {
			uint32_t seq, more;
			char text[PART_BYTES];
		} part = {.seq = seq};
		size_t n = MIN(len - at, sizeof(part.text));

		part.more = at + n < len;
		memcpy(part.text, text + at, n);
		at += n;
		if (conn_send(c, CAIRN_MSG_REPLY, &part, 8 + n, NULL, NULL) < 0)
			return;
	} while (at < len);
}

static void command_finished(struct command *cmd)
{
	struct session *s = cmd->session_id ? session_by_id(cmd->host, cmd->session_id) : NULL;

	if (s && s->state == SESSION_STOPPING)
		session_stopped(s);
	if (s && cmd->destroy)
		session_free(s);
	if (cmd->wants_report)
		add_report(&cmd->report, cmd->reply);
	if (cmd->local_reply) {
		*cmd->local_reply = json_object_get(cmd->reply);
		*cmd->local_finished = true;
	} else if (cmd->from)
		send_reply(cmd->from, cmd->request_seq, cmd->reply);
}

/* ---- the operations: each 0 or -errno with err filled ---- */

static int find_session(struct request *q, struct session **ret, struct error *err)
{
	const char *name = json_str(q->args, "session");

	*ret = name ? session_find(q->host, name, q->uid) : NULL;
	if (*ret)
		return 0;
	(void)error_set(err, -ENOENT, "there is no session '%s'", name ? name : "");
	error_hint(err, "cairn list shows the sessions there are");
	return -ENOENT;
}

static int add_channels(struct session *s, struct json_object *args, struct error *err)
{
	struct json_object *list = json_get(args, "channels", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	struct cairn_channel_config cfg = {0};
	int r = 0;

	if (n == 0)
		return session_channel_add(s, &cfg, err);
	for (size_t i = 0; i < n && r == 0; i++) {
		json_channel(json_object_array_get_idx(list, i), &cfg);
		r = session_channel_add(s, &cfg, err);
	}
	return r;
}

static int add_rule(struct session *s, struct json_object *o, struct error *err)
{
	struct cairn_rule rule;
	int r = json_rule(o, &rule);

	if (r == 0)
		r = session_rule_add(s, &rule, err);
	else
		(void)error_set(err, r, "no memory for a rule");
	free((void *)rule.excludes);
	return r;
}

static int add_rules(struct session *s, struct json_object *args, struct error *err)
{
	struct json_object *list = json_get(args, "rules", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = add_rule(s, json_object_array_get_idx(list, i), err);
	return r;
}

static int add_pids(struct request *q, struct session *s, struct error *err)
{
	struct json_object *list = json_get(q->args, "pids", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;

	if (!n)
		return 0;
	s->pids = calloc(n, sizeof(*s->pids));
	if (!s->pids)
		return error_set(err, -ENOMEM, "no memory for a session");
	for (size_t i = 0; i < n; i++)
		s->pids[s->npids++] = json_object_get_int(json_object_array_get_idx(list, i));
	/* another user's wish is no reason for root to make files somewhere */
	for (size_t i = 0; i < n && (q->uid == 0 || q->uid == q->host->uid); i++)
		outpost_for(q->host, s->pids[i]);
	return 0;
}

/* Where the session writes. Another user's host writes only below its own root, as that user
 * could not be stopped from naming somebody else's files. */
static int choose_output(struct request *q, struct session *s, struct error *err)
{
	const char *output = json_str(q->args, "output");
	int64_t fd = json_int(q->args, "output_fd", -1);
	const char *root = q->host->output_root;
	bool other = q->uid != q->host->uid && q->uid != 0;
	char path[4096];

	if (fd >= 0 && !q->local)
		return error_set(err, -EPERM, "a trace can be streamed by a local session only");
	if (fd >= 0)
		return output_new(s, NULL, (int)fd, err);
	if (other && output) {
		(void)error_set(err, -EPERM, "this host writes traces of other users below %s only",
			root ? root : "its own directory");
		error_hint(err, "leave the output out");
		return -EPERM;
	}
	if (output)
		return output_new(s, output, -1, err);
	if (!root)
		return output_new(s, NULL, -1, err);
	if (other)
		(void)snprintf(path, sizeof(path), "%s/%u/%s", root, (unsigned)q->uid, s->name);
	else
		(void)snprintf(path, sizeof(path), "%s/%s", root, s->name);
	return output_new(s, path, -1, err);
}

static int check_memory_only(const struct session *s, struct error *err)
{
	const struct output *o = s->output;

	for (size_t i = 0; i < s->nchannels && !o->dir && !o->place.live; i++) {
		if (s->channels[i].mode == CAIRN_MODE_OVERWRITE)
			continue;
		(void)error_set(err, -EINVAL,
			"session '%s' has no output, so that channel '%s' would go nowhere",
			s->name, s->channels[i].name);
		error_hint(err, "give it an output, or use overwrite channels and snapshots");
		return -EINVAL;
	}
	return 0;
}

static int op_create(struct request *q, struct error *err)
{
	const char *command = json_str(q->args, "command");
	struct session *s = NULL;
	int r = session_new(q->host, json_str(q->args, "session"), q->uid, q->gid, &s, err);

	if (r < 0)
		return r;
	s->ctf_version = (int)json_int(q->args, "ctf_version", 0);
	s->snapshot_bytes = (uint64_t)json_int(q->args, "snapshot_bytes", 0);
	if (command)
		s->command = strdup(command);
	r = choose_output(q, s, err);
	if (r == 0)
		r = add_channels(s, q->args, err);
	if (r == 0)
		r = add_rules(s, q->args, err);
	if (r == 0)
		r = add_pids(q, s, err);
	if (r == 0)
		r = check_memory_only(s, err);
	if (r == 0)
		r = krec_new(s, q->args, err);
	if (r == 0 && s->output->dir)
		r = output_open(s, s->output->dir, err);
	if (r == 0 && s->output->dir)
		r = krec_place_open(s, s->output->dir, err);
	if (r < 0)
		session_free(s);
	return r;
}

static int op_start(struct request *q, struct error *err)
{
	struct session *s;
	int r = find_session(q, &s, err);

	q->cmd->wants_report = true;
	return r < 0 ? r : session_start(s, q->cmd, err);
}

static int op_stop(struct request *q, struct error *err)
{
	struct session *s;
	int r = find_session(q, &s, err);

	q->cmd->wants_report = true;
	if (r < 0)
		return r;
	if (s->state != SESSION_RUNNING)
		return error_set(err, -EALREADY, "session '%s' is not running", s->name);
	q->cmd->session_id = s->id;
	session_stop(s, q->cmd);
	return 0;
}

static int op_destroy(struct request *q, struct error *err)
{
	struct session *s;
	int r = find_session(q, &s, err);

	if (r < 0)
		return r;
	q->cmd->session_id = s->id;
	q->cmd->destroy = true;
	session_stop(s, q->cmd);
	return 0;
}

static int op_channel_add(struct request *q, struct error *err)
{
	struct cairn_channel_config cfg;
	struct session *s;
	int r = find_session(q, &s, err);

	if (r < 0)
		return r;
	json_channel(json_get(q->args, "channel", json_type_object), &cfg);
	if (!s->output->dir && !s->output->place.live && cfg.mode != CAIRN_CHANNEL_OVERWRITE)
		return error_set(err, -EINVAL,
			"session '%s' has no output: overwrite channels only", s->name);
	return session_channel_add(s, &cfg, err);
}

static int update_if_running(struct session *s, struct command *cmd)
{
	if (s->state == SESSION_RUNNING)
		(void)session_update_programs(s, cmd); /* each failure is said and reported */
	return 0;
}

static int op_enable(struct request *q, struct error *err)
{
	struct json_object *kernel = json_get(q->args, "kernel", json_type_object);
	struct session *s;
	int r = find_session(q, &s, err);

	q->cmd->wants_report = true;
	if (r == 0)
		r = session_refuse_recovered(s, err);
	if (r == 0 && kernel)
		return krec_enable(s, kernel, err);
	if (r == 0)
		r = add_rule(s, json_get(q->args, "rule", json_type_object), err);
	return r < 0 ? r : update_if_running(s, q->cmd);
}

static int op_disable(struct request *q, struct error *err)
{
	const char *pattern = json_str(q->args, "pattern");
	const char *kernel = json_str(q->args, "kernel_pattern");
	struct session *s;
	int r = find_session(q, &s, err);

	q->cmd->wants_report = true;
	if (r == 0)
		r = session_refuse_recovered(s, err);
	if (r == 0 && kernel)
		return krec_disable(s, kernel, err);
	if (r == 0 && !pattern)
		r = error_set(err, -EINVAL, "say which events: 'provider:event*'");
	if (r == 0)
		r = session_rule_take_back(s, pattern, json_str(q->args, "channel"), err);
	return r < 0 ? r : update_if_running(s, q->cmd);
}

static int op_snapshot(struct request *q, struct error *err)
{
	const char *dir = json_str(q->args, "dir");
	char path[4096] = "";
	struct session *s;
	int r = find_session(q, &s, err);

	if (r == 0 && dir && q->uid != q->host->uid && q->uid != 0)
		r = error_set(err, -EPERM, "this host chooses where snapshots of other users go");
	if (r == 0)
		r = output_snapshot(s, dir, path, sizeof(path), err);
	if (r == 0)
		json_object_object_add(q->reply, "dir", json_object_new_string(path));
	return r;
}

static int op_rotate(struct request *q, struct error *err)
{
	char path[4096] = "";
	struct session *s;
	int r = find_session(q, &s, err);

	if (r == 0)
		r = output_rotate(s, path, sizeof(path), err);
	if (r == 0)
		json_object_object_add(q->reply, "dir", json_object_new_string(path));
	return r;
}

static int op_sessions(struct request *q, struct error *err)
{
	const char *name = json_str(q->args, "session");
	struct session *s;

	if (name) {
		int r = find_session(q, &s, err);

		if (r < 0)
			return r;
	}
	json_object_object_add(q->reply, "sessions", list_sessions(q->host, q->uid, name));
	return 0;
}

static int op_processes(struct request *q, struct error *err)
{
	json_object_object_add(q->reply, "processes",
		list_processes(q->host, q->uid, (pid_t)json_int(q->args, "pid", 0),
			json_int(q->args, "events", 0) != 0));
	return 0;
}

static int op_host(struct request *q, struct error *err)
{
	json_object_object_add(q->reply, "host", list_host(q->host));
	return 0;
}

static int op_shutdown(struct request *q, struct error *err)
{
	if (q->uid != q->host->uid && q->uid != 0)
		return error_set(err, -EPERM, "this host is not yours");
	q->host->shutdown = true;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct request *q, struct error *err);
} ops[] = {
	{"create", op_create},
	{"start", op_start},
	{"stop", op_stop},
	{"destroy", op_destroy},
	{"channel-add", op_channel_add},
	{"enable", op_enable},
	{"disable", op_disable},
	{"snapshot", op_snapshot},
	{"rotate", op_rotate},
	{"sessions", op_sessions},
	{"processes", op_processes},
	{"host", op_host},
	{"shutdown", op_shutdown},
};

static int run(struct request *q, struct error *err)
{
	const char *op = json_str(q->args, "op");

	for (size_t i = 0; op && i < ARRAY_SIZE(ops); i++) {
		if (strcmp(ops[i].name, op) == 0)
			return ops[i].run(q, err);
	}
	return error_set(err, -ENOSYS, "this host does not know the command '%s'", op ? op : "");
}

void control_request(struct cairn_host *h, struct conn *from, uint32_t seq, uid_t uid, gid_t gid,
	struct json_object *args, struct json_object **local_reply, bool *local_finished)
{
	int64_t timeout = json_int(args, "timeout_ms", DEFAULT_TIMEOUT_MS);
	struct command *cmd = command_new(h, (int)MIN(MAX(timeout, -1), 3600000));
	struct request q = {.host = h,
		.args = args,
		.uid = uid,
		.gid = gid,
		.local = local_reply != NULL,
		.cmd = cmd};
	struct error err = {0};
	int r;

	if (!cmd || !(cmd->reply = json_object_new_object())) {
		if (cmd)
			command_free(cmd);
		if (local_finished)
			*local_finished = true;
		if (from)
			conn_close(from);
		return;
	}
	cmd->from = from;
	cmd->request_seq = seq;
	cmd->local_reply = local_reply;
	cmd->local_finished = local_finished;
	cmd->done = command_finished;
	q.reply = cmd->reply;
	r = run(&q, &err);
	reply_error(cmd->reply, r, &err);
	command_seal(cmd);
}

int control_message(struct conn *c, const struct msg_view *m)
{
	struct json_tokener *tok;
	struct json_object *args;

	if (m->type != CAIRN_MSG_REQUEST)
		return 0; /* of a newer version */
	if (c->host->uid != c->uid && c->uid != 0 && c->host->uid != 0)
		return -EPERM;
	tok = json_tokener_new_ex(16);
	args = tok ? json_tokener_parse_ex(tok, (const char *)m->payload, (int)m->len) : NULL;
	json_tokener_free(tok);
	if (!args || !json_object_is_type(args, json_type_object)) {
		json_object_put(args);
		return -EPROTO;
	}
	control_request(c->host, c, m->seq, c->uid, c->gid, args, NULL, NULL);
	json_object_put(args);
	return 0;
}
