/* cairn recover: traces from rings that a crash left behind. */
#include "recover/recover.h"
#include "cli/commands.h"
#include "view/out.h"
#include <cairn/session.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{'o', 'o', "output", "DIR", "the trace to write; default ./cairn-recovered"},
	{0},
};

const struct command command_recover = {
	.name = "recover",
	.summary = "make a trace of rings that a crash left behind",
	.usage = "[OPTION...] FILE|DIR...",
	.options = options,
	.notes = "FILE is a core file of a traced program or of a session host, or a ring file;\n"
		 "DIR is what --ring-dir named. Events already on disk are in the session's own\n"
		 "trace: `cairn print TRACE RECOVERED` shows both, merged.",
	.run = run,
};

static void say_report(const struct recover_report *r, const char *dir)
{
	char a[HUMAN_MAX];

	say("%s of records from %u ring%s in %s", human_bytes(a, r->bytes), r->rings,
		r->rings == 1 ? "" : "s", dir);
	if (r->damaged)
		say("%u rings or sets of rings were damaged or cut, and left out", r->damaged);
	for (unsigned i = 0; i < CAIRN_LOST_REASONS; i++)
		if (r->lost[i])
			say("%s events were lost (%s)", human_count(a, r->lost[i]),
				cairn_lost_reason(i) ? cairn_lost_reason(i) : "unknown");
	if (r->bytes)
		(void)fprintf(stderr, "cairn: next: cairn print %s\n", dir);
}

/* One file or folder into `dir`. CLI_OK or CLI_FAIL. */
static int recover(const struct command *c, const char *path, const char *dir)
{
	struct recover_report report = {0};
	struct error e = {0};
	int got = recover_path(path, dir, &report, &e);

	if (got < 0) {
		struct cairn_error err;

		_Static_assert(sizeof(err) == sizeof(e), "the same layout, see base.h");
		memcpy(&err, &e, sizeof(err));
		return fail(c, &err);
	}
	say_report(&report, dir);
	if (report.bytes == 0)
		return fail_text(c, "everything recorded is in the session's own trace",
			"%s: the rings hold nothing that was not written", path);
	return CLI_OK;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct strings paths AUTO(strings) = {0};
	const char *output = "cairn-recovered";
	struct args a;
	int got, ret = CLI_OK;

	(void)signal(SIGXFSZ, SIG_IGN); /* a failed write, which is said */
	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == 'o')
			output = a.value;
		else if (got != ARG_POSITIONAL)
			return args_exit(got);
		else if (strings_add(&paths, a.value) != 0)
			return fail_text(c, NULL, "out of memory");
	}
	if (paths.len == 0)
		return usage_error(c, "a core file or ring folder is missing");
	for (size_t i = 0; i < paths.len; i++) {
		char dir[4096];

		/* Several inputs: a trace each, in folders 1, 2, 3... */
		if (paths.len > 1)
			(void)snprintf(dir, sizeof(dir), "%s/%zu", output, i + 1); /* cut: fails */
		if (recover(c, paths.items[i], paths.len > 1 ? dir : output) != CLI_OK)
			ret = CLI_FAIL;
	}
	return ret;
}
