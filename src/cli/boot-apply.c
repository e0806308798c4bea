/* cairn boot apply: the bootconfig at the end of an initrd. */
#include "cli/boot.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { OPT_REMOVE = OPT_FIRST, OPT_SHOW };

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_REMOVE, 0, "remove", NULL, "take the bootconfig off the initrd"},
	{OPT_SHOW, 0, "show", NULL, "print the bootconfig that the initrd has"},
	{0},
};

const struct command boot_verb_apply = {
	.name = "apply",
	.parent = "boot",
	.summary = "put a bootconfig at the end of an initrd, or take it off",
	.usage = "INITRD FILE|-\n--remove INITRD\n--show INITRD",
	.options = options,
	.notes = "The kernel reads it if its command line has the word `bootconfig`. What was at\n"
		 "the end before is replaced. A text that the kernel would refuse is refused.",
	.run = run,
};

static int apply(const struct command *c, int fd, const char *initrd, const char *file)
{
	struct bootconfig config AUTO(bootconfig) = {0};
	AUTO(buf) struct buf text = {0};
	struct text_fault f;
	struct error e = {0};
	int r = boot_read_text(c, file, 1 << 20, &text);

	if (r != CLI_OK)
		return r;
	r = bootconfig_parse(text.data, text.len, &config, &f);
	if (r == -EINVAL)
		return boot_fault(c, strcmp(file, "-") ? file : "standard input", text.data,
			text.len, f.at, f.message);
	r = r < 0 ? error_set(&e, r, "out of memory")
		  : bootconfig_initrd_apply(fd, text.data, text.len, &e);
	if (r < 0) {
		error_where(&e, "%s", initrd);
		return fail_error(c, 0, &e);
	}
	say("%zu bytes with %u nodes at the end of %s", text.len, config.nodes, initrd);
	say("next: boot it with the word `bootconfig` on the kernel's command line");
	return CLI_OK;
}

static int show(const struct command *c, int fd, const char *initrd)
{
	AUTO(buf) struct buf text = {0};
	struct error e = {0};
	uint64_t begin;
	int r = bootconfig_initrd_read(fd, &text, &begin, &e);

	if (r < 0) {
		error_where(&e, "%s", initrd);
		return fail_error(c, 0, &e);
	}
	r = write_all(STDOUT_FILENO, text.data, text.len);
	return r < 0 ? fail_text(c, NULL, "standard output: %s", strerror(-r)) : CLI_OK;
}

static int take_off(const struct command *c, int fd, const char *initrd)
{
	struct error e = {0};
	int r = bootconfig_initrd_remove(fd, &e);

	if (r == 0)
		return CLI_OK;
	error_where(&e, "%s", initrd);
	return fail_error(c, 0, &e);
}

static int run(const struct command *c, int argc, char **argv)
{
	struct strings names AUTO(strings) = {0};
	AUTO(fd) int fd = -1;
	struct args a;
	size_t want;
	int got, what = 0;

	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == OPT_REMOVE || got == OPT_SHOW) {
			if (what && what != got)
				return usage_error(c, "--remove and --show together");
			what = got;
		} else if (got != ARG_POSITIONAL)
			return args_exit(got);
		else if (strings_add(&names, a.value) != 0)
			return fail_text(c, NULL, "out of memory");
	}
	want = what ? 1 : 2;
	if (names.len < want)
		return usage_error(
			c, names.len ? "the bootconfig is missing" : "an initrd is missing");
	if (names.len > want)
		return usage_error(c, "'%s': one argument too many", names.items[want]);
	fd = open(names.items[0], (what == OPT_SHOW ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (fd < 0)
		return fail_text(c, NULL, "%s: %s", names.items[0], strerror(errno));
	return what == OPT_SHOW	     ? show(c, fd, names.items[0])
		: what == OPT_REMOVE ? take_off(c, fd, names.items[0])
				     : apply(c, fd, names.items[0], names.items[1]);
}
