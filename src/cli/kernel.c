/* cairn kernel: the kernel's tracing by itself: what there is, its tracers, and what was left behind. */
#include "cli/kernel.h"
#include "cli/commands.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { OPT_K_JSON = OPT_FIRST };

static int run_clean(const struct command *c, int argc, char **argv);

static const struct option_def clean_options[] = {
	{OPT_K_JSON, 0, "json", NULL, "say it in JSON"},
	{0},
};

static const struct command verb_clean = {
	.name = "clean",
	.parent = "kernel",
	.summary = "remove what dead sessions left in the kernel",
	.usage = "[OPTION...]",
	.options = clean_options,
	.notes =
		"Removes instances and probes whose makers have died, and puts back settings that\n"
		"they had changed. What others made is never touched: ours are known by their\n"
		"names, which say whose they are. Each start does the same by itself.",
	.run = run_clean,
};

static const struct command *const verbs[] = {
	&command_kernel_list, &command_kernel_trace, &command_kernel_check, &verb_clean, NULL};

const struct command command_kernel = {
	.name = "kernel",
	.summary = "the kernel's tracing: what there is, its tracers, cleaning up",
	.usage = "VERB [OPTION...]",
	.verbs = verbs,
	.notes = "examples:\n"
		 "  cairn kernel list                       what this kernel has, and lacks\n"
		 "  cairn kernel trace function_graph -f 'vfs_*' -- ls\n"
		 "  cairn kernel trace timerlat --duration 10s --summary\n"
		 "  cairn kernel check --kprobe 'vfs_read file->f_pos count'\n"
		 "  cairn kernel clean",
	.run = run_verb,
};

int kernel_open(const struct command *c, struct tracefs **ret)
{
	struct error e = {0};
	struct kernel_swept swept;
	int err = tracefs_open(NULL, ret, &e);

	if (err < 0)
		return fail_error(c, err, &e);
	(void)kernel_sweep(*ret, &swept, NULL); /* what does not go is of one who is still dying */
	return CLI_OK;
}

static int run_clean(const struct command *c, int argc, char **argv)
{
	AUTO(tracefs) struct tracefs *t = NULL;
	struct kernel_swept swept;
	struct error e = {0};
	struct args a;
	bool json = false;
	int got, err;

	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == ARG_POSITIONAL)
			return usage_error(c, "'%s': it takes no argument", a.value);
		if (got != OPT_K_JSON)
			return args_exit(got);
		json = true;
	}
	err = tracefs_open(NULL, &t, &e);
	if (err == 0)
		err = kernel_sweep(t, &swept, &e);
	if (err < 0)
		return fail_error(c, err, &e);
	if (json)
		(void)printf("{\"instances\": %d, \"probes\": %d, \"settings\": %d}\n",
			swept.instances, swept.probes, swept.settings);
	else
		(void)printf("removed: %d instance%s, %d probe%s; put back: %d setting%s\n",
			swept.instances, swept.instances == 1 ? "" : "s", swept.probes,
			swept.probes == 1 ? "" : "s", swept.settings,
			swept.settings == 1 ? "" : "s");
	if (fflush(stdout) != 0)
		return fail_text(c, NULL, "cannot write: %s", strerror(errno));
	return CLI_OK;
}
