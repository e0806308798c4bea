/* cairn daemon: a session host that lives until it is told to end. */
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/recording.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <syslog.h>
#include <unistd.h>

enum { OPT_D_NAME = OPT_FIRST, OPT_D_ROOT, OPT_D_RING_DIR, OPT_D_STOP, OPT_D_DETACH = 'd' };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_D_DETACH, 'd', "detach", NULL, "run in the background; returns when it is ready"},
	{OPT_D_ROOT, 0, "output-root", "DIR",
		"where sessions without an output write; default\n~/cairn-traces, root: /var/lib/cairn"},
	{OPT_D_RING_DIR, 0, "ring-dir", "DIR", "keep rings as files in DIR, for `cairn recover`"},
	{OPT_D_NAME, 0, "name", "NAME", "name of this host; default: daemon"},
	{OPT_D_STOP, 0, "stop", NULL,
		"end the running daemon; returns when its sessions\nare finished"},
	ROW_JSON,
	{0},
};

const struct command command_daemon = {
	.name = "daemon",
	.summary = "run a session host: of this user or, as root, of all",
	.usage = "[OPTION...]",
	.options = options,
	.notes = "Programs that start while it runs connect to it; sessions are made and changed\n"
		 "by `cairn session`. SIGTERM, Ctrl-C and --stop end it; sessions are finished.",
	.run = run,
};

struct daemon_options {
	const char *name, *output_root, *ring_dir;
	bool detach, stop, json;
};

static const char *name_of(const struct daemon_options *o)
{
	return o->name ? o->name : "daemon";
}

/* What the host has to say: on stderr, or to syslog once nobody looks at that. */
static void messages(struct cairn_host *host, bool detached)
{
	char text[512];

	while (cairn_host_message(host, text, sizeof(text)) > 0) {
		if (detached)
			syslog(LOG_WARNING, "%s", text);
		else
			say("%s", text);
	}
}

static int serve(const struct command *c, struct cairn_host *host, int signals, bool detached)
{
	struct pollfd fds[2] = {
		{.fd = cairn_host_fd(host), .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	int err = 0;

	while (err == 0 || err == -EINTR) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return fail_text(c, NULL, "cannot wait: %s", strerror(errno));
		if (fds[1].revents)
			return CLI_OK;
		err = cairn_host_step(host, 0);
		messages(host, detached);
	}
	if (err == -ESHUTDOWN)
		return CLI_OK;
	return fail_text(c, NULL, "ended early: %s", strerror(-err));
}

/* Where sessions write that say nothing. NULL: nowhere. */
static const char *output_root(const struct daemon_options *o, struct buf *b)
{
	const char *home = getenv("HOME");

	if (o->output_root || geteuid() == 0)
		return o->output_root ? o->output_root : "/var/lib/cairn";
	if (!home || home[0] != '/')
		return NULL;
	buf_printf(b, "%s/cairn-traces", home);
	return b->err ? NULL : b->data;
}

/* Where it listens, where traces go, and how it is ended. */
static int announce(const struct command *c, const struct daemon_options *o,
	struct cairn_host *host, const char *root)
{
	struct buf stop AUTO(buf) = {0};
	struct out out AUTO(out) = {0};
	struct cairn_control *ctl = NULL;
	struct cairn_host_info info = {0};

	if (!cairn_host_runtime(host))
		(void)fail_text(c, "it lies beside the program `cairn`, or is installed with it",
			"libcairn-rt.so was not found: only programs that link or name it are traced");
	if (cairn_control_local(host, &ctl, NULL) == 0)
		(void)cairn_host_info(ctl, &info, NULL); /* else without memory: less is said */
	cairn_control_free(ctl);
	buf_str(&stop, "cairn daemon --stop");
	if (o->name)
		buf_printf(&stop, " --name %s", o->name);
	if (stop.err || out_init(&out, STDOUT_FILENO) != 0)
		return fail_text(c, NULL, "out of memory");
	if (!o->json) {
		say("session host '%s', process %d, listens at %s; traces go below %s", name_of(o),
			(int)getpid(), info.socket, root ? root : "what their sessions say");
		say("it ends by %s`%s`", o->detach ? "" : "Ctrl-C, SIGTERM or ", stop.data);
		return CLI_OK;
	}
	out_printf(&out, "{\"pid\": %d, \"name\": ", (int)getpid());
	out_json(&out, name_of(o), strlen(name_of(o)));
	out_str(&out, ", \"socket\": ");
	out_json(&out, info.socket, strlen(info.socket));
	out_str(&out, ", \"output_root\": ");
	if (root)
		out_json(&out, root, strlen(root));
	else
		out_str(&out, "null");
	out_str(&out, ", \"stop\": ");
	out_json(&out, stop.data, stop.len);
	out_str(&out, "}\n");
	if (out_flush(&out) != 0 && out.err != -EPIPE)
		return fail_text(c, NULL, "cannot write: %s", strerror(-out.err));
	return CLI_OK;
}

/* Nobody looks at what we print any more: messages go to syslog, and the parent may end. */
static void leave_terminal(int ready)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
		(void)dup2(null, fd); /* both are open */
	if (null > STDERR_FILENO)
		(void)close(null);
	openlog("cairn", LOG_PID, LOG_DAEMON);
	(void)write_all(ready, "", 1); /* the parent may have gone */
}

/* Runs the host; writes a byte to `ready` once programs can connect, if that is >= 0. */
static int host_run(const struct command *c, const struct daemon_options *o, int ready)
{
	struct buf root AUTO(buf) = {0};
	struct cairn_error err = {0};
	struct cairn_host *host;
	struct cairn_host_options opts = {.size = sizeof(opts),
		.wanted = CAIRN_WANT_ALL,
		.name = name_of(o),
		.output_root = output_root(o, &root),
		.ring_dir = o->ring_dir};
	sigset_t set;
	int signals, ret;

	(void)signal(SIGXFSZ, SIG_IGN); /* a failed write, said and counted */
	(void)priority_raise(); /* it runs no command */
	(void)sigemptyset(&set); /* these cannot fail: known signals */
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return fail_text(c, NULL, "cannot wait for signals: %s", strerror(errno));
	ret = cairn_host_new(&opts, &host, &err);
	if (ret < 0) {
		(void)close(signals);
		return fail(c, &err);
	}
	ret = announce(c, o, host, opts.output_root);
	if (ret == CLI_OK && ready >= 0)
		leave_terminal(ready);
	if (ret == CLI_OK)
		ret = serve(c, host, signals, ready >= 0);
	cairn_host_free(host);
	(void)close(signals);
	return ret;
}

/* The host in a child of its own session; returns when it is ready. */
static int detach(const struct command *c, const struct daemon_options *o)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) != 0)
		return fail_text(c, NULL, "cannot make a pipe: %s", strerror(errno));
	pid = fork();
	if (pid < 0)
		return fail_text(c, NULL, "cannot fork: %s", strerror(errno));
	if (pid == 0) {
		(void)close(ready[0]);
		(void)setsid(); /* cannot fail in a child */
		_exit(host_run(c, o, ready[1]));
	}
	(void)close(ready[1]);
	return read(ready[0], &byte, 1) == 1 ? CLI_OK : CLI_FAIL; /* the child has said why */
}

static int stop(const struct command *c, const struct daemon_options *o)
{
	struct cairn_error err = {0};
	struct cairn_control *ctl;
	struct cairn_host_info info = {0};
	int ret;

	if (cairn_connect(o->name, &ctl, &err) < 0)
		return fail(c, &err);
	if (cairn_host_info(ctl, &info, &err) < 0 || cairn_host_shutdown(ctl, &err) < 0)
		ret = fail(c, &err);
	else
		ret = CLI_OK;
	cairn_control_free(ctl);
	if (ret == CLI_OK && o->json &&
		printf("{\"pid\": %d, \"ended\": true}\n", (int)info.pid) < 0)
		ret = fail_text(c, NULL, "cannot write: %s", strerror(errno));
	return ret;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct daemon_options o = {0};
	struct args a;
	int got;

	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		switch (got) {
		case OPT_D_DETACH: o.detach = true; break;
		case OPT_D_ROOT: o.output_root = a.value; break;
		case OPT_D_RING_DIR: o.ring_dir = a.value; break;
		case OPT_D_NAME: o.name = a.value; break;
		case OPT_D_STOP: o.stop = true; break;
		case OPT_JSON: o.json = true; break;
		case ARG_POSITIONAL:
			return usage_error(c, "'%s': no argument is expected", a.value);
		default: return args_exit(got);
		}
	}
	if (o.stop)
		return stop(c, &o);
	return o.detach ? detach(c, &o) : host_run(c, &o, -1);
}
