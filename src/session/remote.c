/* The commander's side: struct cairn_control and the public functions that give commands.
 *
 * Each function makes a request (control.c has the list), sends it (or hands it to the host in
 * this process and runs that until it is done), and reads the answer.
 */
#include "session/remote.h"
#include "session/kernel.h"
#include "session/session-impl.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHUTDOWN_NS 60000000000u
#define OVERFLOW_UID 65534 /* what users are called whom a user namespace does not know */

struct cairn_control {
	struct cairn_host *host; /* borrowed; NULL: remote */
	int fd; /* -1: local */
	uint32_t seq;
};

int cairn_control_local(
	struct cairn_host *host, struct cairn_control **ret_ctl, struct cairn_error *err)
{
	struct cairn_control *ctl = calloc(1, sizeof(*ctl));

	if (!ctl)
		return error_set((struct error *)err, -ENOMEM, "no memory for a control");
	ctl->host = host;
	ctl->fd = -1;
	*ret_ctl = ctl;
	return 0;
}

/* Only a host of this user or of root is believed. */
static int check_peer(int fd, const char *path, struct error *err)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return error_set(err, -errno, "cannot ask who listens at %s", path);
	if (who.uid == 0 || who.uid == geteuid())
		return 0;
	(void)error_set(err, -EPERM,
		"the host at %s belongs to user %u, neither to you nor to root", path,
		(unsigned)who.uid);
	if (who.uid == OVERFLOW_UID)
		error_hint(err,
			"in a user namespace that does not map root it cannot be told from others: "
			"give commands from outside");
	return -EPERM;
}

static int connect_to(const char *path, struct cairn_control **ret, struct error *err)
{
	AUTO(fd) int fd = -1;
	int r = socket_connect(path, &fd, err);

	if (r == 0)
		r = check_peer(fd, path, err);
	if (r == 0)
		r = cairn_control_local(NULL, ret, (struct cairn_error *)err);
	if (r == 0)
		(*ret)->fd = take_fd(&fd);
	return r;
}

static int connect_by_name(
	const char *rundir, const char *name, struct cairn_control **ret, struct error *err)
{
	char path[256];
	int n = snprintf(path, sizeof(path), "%s/hosts/%s.sock", rundir, name);

	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(err, -ENAMETOOLONG, "the name of the host is too long");
	return connect_to(path, ret, err);
}

int cairn_connect(const char *where, struct cairn_control **ret_ctl, struct cairn_error *cerr)
{
	struct error *err = (struct error *)cerr;
	char rundir[128];
	int r;

	if (where && strchr(where, '/'))
		return connect_to(where, ret_ctl, err);
	r = rundir_path(NULL, rundir, sizeof(rundir));
	if (r < 0)
		return error_set(err, r, "the path of the run directory is too long");
	r = connect_by_name(rundir, where ? where : "daemon", ret_ctl, err);
	if ((r == -ENOENT || r == -ECONNREFUSED) && strcmp(rundir, CAIRN_RUNDIR_ROOT) != 0 &&
		!secure_getenv("CAIRN_RUNDIR"))
		r = connect_by_name(CAIRN_RUNDIR_ROOT, where ? where : "daemon", ret_ctl, err);
	if (r == -ENOENT || r == -ECONNREFUSED) {
		(void)error_set(
			err, r, "no session host '%s' is running", where ? where : "daemon");
		error_hint(err, "start one by: cairn daemon");
	}
	return r;
}

void cairn_control_free(struct cairn_control *ctl)
{
	if (!ctl)
		return;
	auto_fd(&ctl->fd);
	free(ctl);
}

/* ---- one command ---- */

static int send_request(struct cairn_control *ctl, struct json_object *req, struct error *err)
{
	size_t len = 0;
	const char *text = json_object_to_json_string_length(req, JSON_C_TO_STRING_PLAIN, &len);
	struct {
		struct cairn_msg head;
		char text[CAIRN_MSG_MAX - sizeof(struct cairn_msg)];
	} msg = {.head = {.magic = CAIRN_MSG_MAGIC,
			 .type = CAIRN_MSG_REQUEST,
			 .len = (uint32_t)len,
			 .seq = ++ctl->seq,
			 .version = CAIRN_MSG_VERSION}};

	if (len > sizeof(msg.text))
		return error_set(err, -E2BIG, "the command is too long: too many rules?");
	memcpy(msg.text, text, len);
	while (send(ctl->fd, &msg, sizeof(msg.head) + len, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return error_set(err, -errno, "the session host does not listen: %s",
				strerror(errno));
	}
	return 0;
}

/* One part of the reply: 1: more follow, 0: the last, < 0. */
static int receive_part(struct cairn_control *ctl, struct buf *text, struct error *err)
{
	char bytes[CAIRN_MSG_MAX];
	struct msg_view m;
	uint32_t head[2];
	ssize_t n;

	do
		n = recv(ctl->fd, bytes, sizeof(bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return error_set(err, -EPIPE, "the session host went away");
	if (n < 0)
		return error_set(
			err, -errno, "the session host does not answer: %s", strerror(errno));
	if (msg_check(bytes, (size_t)n, &m) < 0)
		return error_set(err, -EPROTO, "the session host speaks another language");
	if (m.type == CAIRN_MSG_DECLINE)
		return error_set(err, -EPERM, "the session host declines");
	if (m.type != CAIRN_MSG_REPLY || m.len < sizeof(head))
		return 1; /* not for us */
	memcpy(head, m.payload, sizeof(head));
	if (head[0] != ctl->seq)
		return 1; /* of an earlier command that was given up */
	buf_add(text, m.payload + sizeof(head), m.len - sizeof(head));
	if (text->err || text->len > 1u << 28)
		return error_set(err, -EMSGSIZE, "the answer of the session host is too long");
	return head[1] != 0;
}

static int call_remote(struct cairn_control *ctl, struct json_object *req, struct json_object **ret,
	struct error *err)
{
	AUTO(buf) struct buf text = {0};
	int r = send_request(ctl, req, err);

	while (r >= 0 && (r = receive_part(ctl, &text, err)) > 0)
		;
	if (r < 0)
		return r;
	*ret = json_tokener_parse(text.data);
	return *ret ? 0 : error_set(err, -EPROTO, "the answer of the session host is damaged");
}

static int call_local(struct cairn_control *ctl, struct json_object *req, struct json_object **ret,
	struct error *err)
{
	bool finished = false;

	control_request(ctl->host, NULL, 0, geteuid(), getegid(), req, ret, &finished);
	while (!finished) {
		int r = cairn_host_step(ctl->host, 100);

		if (r == -ESHUTDOWN)
			ctl->host->shutdown = true; /* for the caller's own loop */
		else if (r < 0 && r != -EINTR)
			break; /* the command's deadline ends it, whatever else happens */
	}
	return *ret ? 0 : error_set(err, -ENOMEM, "no memory for a command");
}

int control_call(struct cairn_control *ctl, struct json_object *req, struct json_object **ret,
	struct error *err)
{
	struct json_object *reply = NULL;
	int r = ctl->host ? call_local(ctl, req, &reply, err) : call_remote(ctl, req, &reply, err);

	json_object_put(req);
	if (r < 0)
		return r;
	r = (int)json_int(reply, "err", -EPROTO);
	if (r < 0) {
		const char *message = json_str(reply, "message");

		(void)error_set(err, r, "%s", message ? message : strerror(-r));
		error_where(err, "%s", json_str(reply, "where") ? json_str(reply, "where") : "");
		error_hint(err, "%s", json_str(reply, "hint") ? json_str(reply, "hint") : "");
	}
	if (ret)
		*ret = reply;
	else
		json_object_put(reply);
	return r;
}

struct json_object *control_request_new(const char *op, const char *session)
{
	struct json_object *o = json_object_new_object();

	json_add_str(o, "op", op);
	json_add_str(o, "session", session);
	return o;
}

static void read_report(struct json_object *reply, struct cairn_report *ret)
{
	struct json_object *o = json_get(reply, "report", json_type_object);
	struct json_object *late = json_get(o, "late_pid", json_type_array);
	struct json_object *failed = json_get(o, "failed_pid", json_type_array);
	struct json_object *errs = json_get(o, "failed_err", json_type_array);

	*ret = (struct cairn_report){
		.asked = (unsigned)json_u64(o, "asked"),
		.acted = (unsigned)json_u64(o, "acted"),
		.failed = (unsigned)json_u64(o, "failed"),
		.late = (unsigned)json_u64(o, "late"),
	};
	for (size_t i = 0; i < CAIRN_REPORT_PIDS; i++) {
		/* json-c gives NULL beyond the end, which reads as 0 */
		ret->late_pid[i] =
			json_object_get_int(late ? json_object_array_get_idx(late, i) : NULL);
		ret->failed_pid[i] =
			json_object_get_int(failed ? json_object_array_get_idx(failed, i) : NULL);
		ret->failed_err[i] =
			json_object_get_int(errs ? json_object_array_get_idx(errs, i) : NULL);
	}
}

static int call_report(struct cairn_control *ctl, struct json_object *req, int timeout_ms,
	struct cairn_report *ret_report, struct cairn_error *err)
{
	struct json_object *reply = NULL;
	int r;

	json_object_object_add(req, "timeout_ms", json_object_new_int(timeout_ms));
	r = control_call(ctl, req, &reply, (struct error *)err);
	if (ret_report)
		read_report(reply, ret_report);
	json_object_put(reply);
	return r;
}

static int call_dir(struct cairn_control *ctl, struct json_object *req, char *ret_dir, size_t size,
	struct cairn_error *err)
{
	struct json_object *reply = NULL;
	int r = control_call(ctl, req, &reply, (struct error *)err);
	const char *dir = json_str(reply, "dir");

	if (r >= 0 && ret_dir && size)
		(void)snprintf(ret_dir, size, "%s", dir ? dir : "");
	json_object_put(reply);
	return r;
}

/* ---- the commands ---- */

/* The host may have another working directory. */
static int add_path(struct json_object *o, const char *key, const char *path, struct error *err)
{
	char cwd[PATH_MAX], full[2 * PATH_MAX];

	if (!path)
		return 0;
	if (path[0] != '/') {
		if (!getcwd(cwd, sizeof(cwd)))
			return error_set(err, -errno, "no working directory: %s", strerror(errno));
		(void)snprintf(full, sizeof(full), "%s/%s", cwd, path);
		path = full;
	}
	json_add_str(o, key, path);
	return 0;
}

static void add_lists(struct json_object *o, const struct cairn_session_config *c)
{
	struct json_object *channels = json_object_new_array(), *rules = json_object_new_array();
	struct json_object *pids = json_object_new_array();

	for (size_t i = 0; i < c->nchannels; i++)
		json_object_array_add(channels, json_from_channel(&c->channels[i]));
	for (size_t i = 0; i < c->nrules; i++)
		json_object_array_add(rules, json_from_rule(&c->rules[i]));
	for (size_t i = 0; i < c->npids; i++)
		json_object_array_add(pids, json_object_new_int(c->pids[i]));
	json_object_object_add(o, "channels", channels);
	json_object_object_add(o, "rules", rules);
	json_object_object_add(o, "pids", pids);
}

int cairn_session_create(struct cairn_control *ctl, const struct cairn_session_config *config,
	struct cairn_error *cerr)
{
	struct error *err = (struct error *)cerr;
	struct cairn_session_config c = {.output_fd = -1};
	struct json_object *req;
	int r;

	memcpy(&c, config, MIN(config->size, sizeof(c)));
	req = control_request_new("create", c.name ? c.name : "");
	r = add_path(req, "output", c.output, err);
	if (r < 0) {
		json_object_put(req);
		return r;
	}
	if (c.output_fd >= 0)
		json_object_object_add(req, "output_fd", json_object_new_int(c.output_fd));
	add_lists(req, &c);
	json_object_object_add(req, "ctf_version", json_object_new_int(c.ctf_version));
	json_add_u64(req, "snapshot_bytes", c.snapshot_bytes);
	json_add_str(req, "command", c.command);
	if (c.kernel)
		json_object_object_add(req, "kernel", krec_to_json(c.kernel));
	return control_call(ctl, req, NULL, err);
}

int cairn_session_start(struct cairn_control *ctl, const char *session, int timeout_ms,
	struct cairn_report *ret_report, struct cairn_error *err)
{
	return call_report(ctl, control_request_new("start", session), timeout_ms, ret_report, err);
}

int cairn_session_stop(struct cairn_control *ctl, const char *session, int timeout_ms,
	struct cairn_report *ret_report, struct cairn_error *err)
{
	return call_report(ctl, control_request_new("stop", session), timeout_ms, ret_report, err);
}

int cairn_session_destroy(struct cairn_control *ctl, const char *session, struct cairn_error *err)
{
	return call_report(ctl, control_request_new("destroy", session), 2000, NULL, err);
}

int cairn_channel_add(struct cairn_control *ctl, const char *session,
	const struct cairn_channel_config *channel, struct cairn_error *err)
{
	struct json_object *req = control_request_new("channel-add", session);

	json_object_object_add(req, "channel", json_from_channel(channel));
	return control_call(ctl, req, NULL, (struct error *)err);
}

int cairn_session_enable(struct cairn_control *ctl, const char *session,
	const struct cairn_rule *rule, int timeout_ms, struct cairn_report *ret_report,
	struct cairn_error *err)
{
	struct json_object *req = control_request_new("enable", session);

	json_object_object_add(req, "rule", json_from_rule(rule));
	return call_report(ctl, req, timeout_ms, ret_report, err);
}

int cairn_session_disable(struct cairn_control *ctl, const char *session, const char *pattern,
	const char *channel, int timeout_ms, struct cairn_report *ret_report,
	struct cairn_error *err)
{
	struct json_object *req = control_request_new("disable", session);

	json_add_str(req, "pattern", pattern);
	json_add_str(req, "channel", channel);
	return call_report(ctl, req, timeout_ms, ret_report, err);
}

int cairn_session_enable_kernel(struct cairn_control *ctl, const char *session,
	const struct cairn_kernel_config *more, struct cairn_error *err)
{
	struct json_object *req = control_request_new("enable", session);

	json_object_object_add(req, "kernel", krec_to_json(more));
	return control_call(ctl, req, NULL, (struct error *)err);
}

int cairn_session_disable_kernel(struct cairn_control *ctl, const char *session,
	const char *pattern, struct cairn_error *err)
{
	struct json_object *req = control_request_new("disable", session);

	json_add_str(req, "kernel_pattern", pattern);
	return control_call(ctl, req, NULL, (struct error *)err);
}

int cairn_session_snapshot(struct cairn_control *ctl, const char *session, const char *dir,
	char *ret_dir, size_t size, struct cairn_error *err)
{
	struct json_object *req = control_request_new("snapshot", session);
	int r = add_path(req, "dir", dir, (struct error *)err);

	if (r < 0) {
		json_object_put(req);
		return r;
	}
	return call_dir(ctl, req, ret_dir, size, err);
}

int cairn_session_rotate(struct cairn_control *ctl, const char *session, char *ret_dir, size_t size,
	struct cairn_error *err)
{
	return call_dir(ctl, control_request_new("rotate", session), ret_dir, size, err);
}

int cairn_host_shutdown(struct cairn_control *ctl, struct cairn_error *err)
{
	int r = control_call(ctl, control_request_new("shutdown", NULL), NULL, (struct error *)err);
	struct pollfd p = {.fd = ctl->fd, .events = POLLIN};
	uint64_t end = now_ns(CLOCK_MONOTONIC) + SHUTDOWN_NS;
	char bytes[64];

	if (r < 0 || ctl->fd < 0)
		return r;
	/* closing our connection is the last that it does */
	while (now_ns(CLOCK_MONOTONIC) < end) {
		if (poll(&p, 1, 100) == 1 && recv(ctl->fd, bytes, sizeof(bytes), MSG_DONTWAIT) <= 0)
			return 0;
	}
	return error_set((struct error *)err, -ETIMEDOUT,
		"the session host is ending, but has not finished its sessions yet");
}
