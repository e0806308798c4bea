/* cairn daemon: a session host that lives until it is told to end. */
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
	{OPT_D_STOP, 0, "stop", NULL, "end the running daemon: sessions are finished"},
	{0},
};

const struct command command_daemon = {
	.name = "daemon",
	.summary = "run a session host: of this user or, as root, of all",
	.usage = "[OPTION...]",
	.options = options,
	.notes = "Programs that start while it runs connect to it; sessions are made and changed\n"
		 "by `cairn session`. SIGTERM and Ctrl-C end it; sessions are finished.",
	.run = run,
};

struct daemon_options {
	const char *name, *output_root, *ring_dir;
	bool detach, stop;
};

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

/* Runs the host; writes a byte to `ready` once programs can connect, if that is >= 0. */
static int host_run(const struct command *c, const struct daemon_options *o, int ready)
{
	struct buf root AUTO(buf) = {0};
	struct cairn_error err = {0};
	struct cairn_host *host;
	struct cairn_host_options opts = {.size = sizeof(opts),
		.wanted = CAIRN_WANT_ALL,
		.name = o->name ? o->name : "daemon",
		.output_root = output_root(o, &root),
		.ring_dir = o->ring_dir};
	sigset_t set;
	int signals, ret;

	(void)signal(SIGXFSZ, SIG_IGN); /* a failed write, said and counted */
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
	if (ready >= 0) {
		(void)write_all(ready, "", 1); /* the parent may have gone */
		(void)dup2(STDOUT_FILENO, STDERR_FILENO); /* /dev/null: nobody looks any more */
		openlog("cairn", LOG_PID, LOG_DAEMON);
	} else
		say("session host '%s' is ready at %s", opts.name, cairn_host_socket(host));
	ret = serve(c, host, signals, ready >= 0);
	cairn_host_free(host);
	(void)close(signals);
	return ret;
}

/* The host in a child of its own session; returns when it is ready. */
static int detach(const struct command *c, const struct daemon_options *o)
{
	int ready[2], null;
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
		null = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (null >= 0) {
			(void)dup2(null, STDIN_FILENO); /* stderr stays until it is ready */
			(void)dup2(null, STDOUT_FILENO);
		}
		_exit(host_run(c, o, ready[1]));
	}
	(void)close(ready[1]);
	return read(ready[0], &byte, 1) == 1 ? CLI_OK : CLI_FAIL; /* the child has said why */
}

static int stop(const struct command *c, const struct daemon_options *o)
{
	struct cairn_error err = {0};
	struct cairn_control *ctl;
	int ret;

	if (cairn_connect(o->name, &ctl, &err) < 0)
		return fail(c, &err);
	ret = cairn_host_shutdown(ctl, &err) < 0 ? fail(c, &err) : CLI_OK;
	cairn_control_free(ctl);
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
		case ARG_POSITIONAL:
			return usage_error(c, "'%s': no argument is expected", a.value);
		default: return args_exit(got);
		}
	}
	if (o.stop)
		return stop(c, &o);
	return o.detach ? detach(c, &o) : host_run(c, &o, -1);
}
