/* cairn kernel trace: the options, and what they mean to each tracer. Running it: kernel-run.c. */
#include "cli/kernel.h"
#include "kernel/facts.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_T_FUNCTION = 'f',
	OPT_T_GRAPH = 'g',
	OPT_T_EVENT = 'e',
	OPT_T_PID = 'p',
	OPT_T_OUTPUT = 'o',
	OPT_T_SUMMARY = 's',
	OPT_T_JSON = OPT_FIRST,
	OPT_T_NO_FUNCTION,
	OPT_T_CALLS_OF,
	OPT_T_MAX_DEPTH,
	OPT_T_ARGS,
	OPT_T_RETVAL,
	OPT_T_DURATION,
	OPT_T_ALL,
	OPT_T_BUFFER,
	OPT_T_PERIOD,
	OPT_T_RUNTIME,
	OPT_T_THRESHOLD,
	OPT_T_STOP,
	OPT_T_STOP_TOTAL,
	OPT_T_CPUS,
	OPT_T_WHEN,
};

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_T_FUNCTION, 'f', "function", "GLOB", "only these functions (repeatable)"},
	{OPT_T_NO_FUNCTION, 0, "not-function", "GLOB", "not these (repeatable)"},
	{OPT_T_GRAPH, 'g', "graph", NULL, "of function: calls and returns, as function_graph"},
	{OPT_T_CALLS_OF, 0, "graph-function", "FUNCTION",
		"function_graph: what these call (repeatable)"},
	{OPT_T_MAX_DEPTH, 0, "max-depth", "N", "function_graph: calls nested at most so deep"},
	{OPT_T_ARGS, 0, "args", NULL, "arguments of functions"},
	{OPT_T_RETVAL, 0, "retval", NULL, "function_graph: what functions return"},
	{OPT_T_EVENT, 'e', "event", "PATTERN", "these events beside it (repeatable)"},
	{OPT_T_PID, 'p', "pid", "PID", "only this process and its children (repeatable)"},
	{OPT_T_ALL, 0, "all", NULL, "all processes, not only COMMAND"},
	{OPT_T_DURATION, 0, "duration", "TIME", "end after this time: 10s, 500ms"},
	{OPT_T_BUFFER, 0, "kernel-buffer", "SIZE", "the kernel's buffer of each CPU: 8M"},
	{OPT_T_CPUS, 0, "cpus", "LIST", "only these CPUs: 0,2-3"},
	{OPT_T_PERIOD, 0, "period", "TIME", "osnoise, timerlat, hwlat: once in so long"},
	{OPT_T_RUNTIME, 0, "runtime", "TIME", "osnoise, hwlat: look so long of each period"},
	{OPT_T_THRESHOLD, 0, "threshold", "TIME", "shorter ones are not noise, or not shown"},
	{OPT_T_STOP, 0, "stop", "TIME",
		"osnoise: end if one noise is longer;\ntimerlat: if the latency of an interrupt is"},
	{OPT_T_STOP_TOTAL, 0, "stop-total", "TIME",
		"osnoise: end if all noise of a period is longer;\n"
		"timerlat: if the latency of a thread is"},
	{OPT_T_WHEN, 0, "when", "EVENT",
		"snapshot: taken at the first such event, which\nmay have a condition: 'EVENT if "
		"FILTER'"},
	{OPT_T_OUTPUT, 'o', "output", "FILE", "write there, not on standard output"},
	{OPT_T_SUMMARY, 's', "summary", NULL, "osnoise, timerlat, hwlat: a table at the end"},
	{OPT_T_JSON, 0, "json", NULL, "a JSON object a line, fields typed"},
	{0},
};

const struct command command_kernel_trace = {
	.name = "trace",
	.parent = "kernel",
	.summary = "run one of the kernel's tracers and print what it finds",
	.usage = "TRACER [OPTION...] [-- COMMAND [ARGUMENT...]]",
	.options = options,
	.notes = "TRACER: function, function_graph, irqsoff, preemptoff, preemptirqsoff, wakeup,\n"
		 "wakeup_rt, wakeup_dl, hwlat, osnoise, timerlat, mmiotrace, blk, nop (events\n"
		 "alone) or snapshot (what led to a moment). It runs while COMMAND does, for\n"
		 "--duration, or until Ctrl-C. function, function_graph and events show COMMAND\n"
		 "and its children only, without --all. `cairn kernel list` says what this\n"
		 "kernel has. Nothing stays behind, whatever ends it.\n"
		 "\n"
		 "examples:\n"
		 "  cairn kernel trace function -f 'vfs_*' -- ls\n"
		 "  cairn kernel trace function_graph --graph-function vfs_open -- ls\n"
		 "  cairn kernel trace timerlat --duration 10s --period 1ms --summary\n"
		 "  cairn kernel trace snapshot -e 'sched:*' --when 'sched:sched_process_exit'",
	.run = run,
};

#define NOISE(x) "osnoise/" x
static const struct ktracer tracers[] = {
	{.name = "function",
		.tracer = "function",
		.kind = KIND_TASKS | KIND_FIELDS,
		.args = "func-args"},
	{.name = "function_graph",
		.tracer = "function_graph",
		.kind = KIND_TASKS | KIND_FIELDS,
		.args = "funcgraph-args",
		.retval = "funcgraph-retval"},
	{.name = "irqsoff", .tracer = "irqsoff", .kind = KIND_LATENCY},
	{.name = "preemptoff", .tracer = "preemptoff", .kind = KIND_LATENCY},
	{.name = "preemptirqsoff", .tracer = "preemptirqsoff", .kind = KIND_LATENCY},
	{.name = "wakeup", .tracer = "wakeup", .kind = KIND_LATENCY},
	{.name = "wakeup_rt", .tracer = "wakeup_rt", .kind = KIND_LATENCY},
	{.name = "wakeup_dl", .tracer = "wakeup_dl", .kind = KIND_LATENCY},
	{.name = "hwlat",
		.tracer = "hwlat",
		.kind = KIND_FIELDS | KIND_SUMMARY,
		.period = "hwlat_detector/window",
		.runtime = "hwlat_detector/width"},
	{.name = "osnoise",
		.tracer = "osnoise",
		.kind = KIND_FIELDS | KIND_SUMMARY,
		.period = NOISE("period_us"),
		.runtime = NOISE("runtime_us"),
		.stop = NOISE("stop_tracing_us"),
		.stop_total = NOISE("stop_tracing_total_us"),
		.own_cpus = true},
	{.name = "timerlat",
		.tracer = "timerlat",
		.kind = KIND_FIELDS | KIND_SUMMARY,
		.period = NOISE("timerlat_period_us"),
		.stop = NOISE("stop_tracing_us"),
		.stop_total = NOISE("stop_tracing_total_us"),
		.own_cpus = true},
	{.name = "mmiotrace", .tracer = "mmiotrace", .kind = KIND_FIELDS},
	{.name = "blk", .tracer = "blk"},
	{.name = "nop", .tracer = "nop", .kind = KIND_TASKS | KIND_FIELDS},
	{.name = "snapshot", .tracer = "nop", .kind = KIND_TASKS | KIND_SNAPSHOT},
};

static const struct ktracer *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tracers); i++)
		if (strcmp(tracers[i].name, name) == 0)
			return &tracers[i];
	return NULL;
}

static int choose(struct ktrace *k, const char *name)
{
	const char *names[ARRAY_SIZE(tracers) + 1] = {0}, *near;

	k->what = find(name);
	if (k->what)
		return CLI_OK;
	for (size_t i = 0; i < ARRAY_SIZE(tracers); i++)
		names[i] = tracers[i].name;
	near = suggest(name, names);
	return usage_error(k->c, "no tracer is called '%s'%s%s%s", name,
		near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* ---- lines for files ---- */

static int full(struct ktrace *k)
{
	return usage_error(k->c, "too many options of one kind");
}

static int add(struct ktrace *k, struct tracer_line *lines, size_t *n, size_t max, const char *file,
	const char *text)
{
	if (*n == max)
		return full(k);
	lines[(*n)++] = (struct tracer_line){file, text};
	return CLI_OK;
}

static int add_list(struct ktrace *k, const char *file, const char *text)
{
	return add(k, k->lists, &k->nlists, ARRAY_SIZE(k->lists), file, text);
}

static int add_option(struct ktrace *k, const char *name, const char *text)
{
	return add(k, k->options, &k->noptions, ARRAY_SIZE(k->options), name, text);
}

/* A setting that is asked for twice has the last value; `join`: both, one a line. */
static int add_setting(struct ktrace *k, const char *file, const char *text, bool join)
{
	AUTO(buf) struct buf b = {0};

	for (size_t i = 0; i < k->nsettings; i++) {
		if (strcmp(k->settings[i].file, file) != 0)
			continue;
		if (join)
			buf_printf(&b, "%s\n", k->settings[i].text);
		buf_str(&b, text);
		k->settings[i].text = b.err ? NULL : arena_strndup(&k->arena, b.data, b.len);
		return k->settings[i].text ? CLI_OK : fail_text(k->c, NULL, "out of memory");
	}
	return add(k, k->settings, &k->nsettings, ARRAY_SIZE(k->settings), file, text);
}

/* A time with its unit, for a setting in microseconds. */
static int add_time(struct ktrace *k, const char *option, const char *file, const char *text)
{
	char us[32];
	uint64_t t_ns;

	if (!file)
		return usage_error(k->c, "%s has no --%s", k->what->name, option);
	if (text[strspn(text, "0123456789.")] == '\0' || parse_duration_ns(text, &t_ns) != 0)
		return usage_error(
			k->c, "--%s '%s': a time with its unit, as 100us or 1ms", option, text);
	(void)snprintf(us, sizeof(us), "%llu", (unsigned long long)t_ns / 1000); /* fits */
	text = arena_strndup(&k->arena, us, strlen(us));
	return text ? add_setting(k, file, text, false) : fail_text(k->c, NULL, "out of memory");
}

/* ---- options ---- */

static int pid(struct ktrace *k, const char *text)
{
	uint64_t v;

	if (parse_u64(text, &v) != 0 || v == 0 || v > INT32_MAX)
		return usage_error(k->c, "--pid '%s' is no process number", text);
	if (k->npids == ARRAY_SIZE(k->pids))
		return full(k);
	k->pids[k->npids++] = (int32_t)v;
	return CLI_OK;
}

static int max_depth(struct ktrace *k, const char *value)
{
	uint64_t v;

	if (parse_u64(value, &v) != 0 || v == 0 || v > 1000)
		return usage_error(k->c, "--max-depth '%s': a number from 1 to 1000", value);
	return add_setting(k, "max_graph_depth", value, false);
}

static int add_string(struct ktrace *k, struct strings *l, const char *s)
{
	return strings_add(l, s) == 0 ? CLI_OK : fail_text(k->c, NULL, "out of memory");
}

static int option(struct ktrace *k, int id, const char *value)
{
	switch (id) {
	case OPT_T_FUNCTION: return add_list(k, "set_ftrace_filter", value);
	case OPT_T_NO_FUNCTION: return add_list(k, "set_ftrace_notrace", value);
	case OPT_T_GRAPH: k->graph = true; return CLI_OK;
	case OPT_T_CALLS_OF:
		k->graph_option = "graph-function";
		return add_setting(k, "set_graph_function", value, true);
	case OPT_T_MAX_DEPTH: k->graph_option = "max-depth"; return max_depth(k, value);
	case OPT_T_ARGS: k->args = true; return CLI_OK;
	case OPT_T_RETVAL: k->retval = true; return CLI_OK;
	case OPT_T_EVENT: return add_string(k, &k->events, value);
	case OPT_T_PID: return pid(k, value);
	case OPT_T_PERIOD: return add_time(k, "period", k->what->period, value);
	case OPT_T_RUNTIME: return add_time(k, "runtime", k->what->runtime, value);
	case OPT_T_THRESHOLD: return add_time(k, "threshold", "tracing_thresh", value);
	case OPT_T_STOP: return add_time(k, "stop", k->what->stop, value);
	case OPT_T_STOP_TOTAL: return add_time(k, "stop-total", k->what->stop_total, value);
	case OPT_T_DURATION:
		return parse_duration_ns(value, &k->duration_ns) == 0 && k->duration_ns
			? CLI_OK
			: usage_error(k->c, "--duration '%s' is no time", value);
	case OPT_T_BUFFER:
		return parse_size(value, &k->buffer_bytes) == 0 && k->buffer_bytes
			? CLI_OK
			: usage_error(k->c, "--kernel-buffer '%s' is no size", value);
	case OPT_T_CPUS: k->cpus = value; return CLI_OK;
	case OPT_T_WHEN: k->when = value; return CLI_OK;
	case OPT_T_OUTPUT: k->output = value; return CLI_OK;
	case OPT_T_ALL: k->all = true; return CLI_OK;
	case OPT_T_SUMMARY: k->summary = true; return CLI_OK;
	default: k->json = true; return CLI_OK;
	}
}

/* ---- what options mean together ---- */

static int cpus(struct ktrace *k)
{
	AUTO(buf) struct buf mask = {0};
	const char *text;

	if (tracefs_cpumask(k->cpus, &mask) < 0 || !k->cpus[0])
		return usage_error(k->c, "--cpus '%s': a list as 0,2-3", k->cpus);
	if (k->what->own_cpus)
		return add_setting(k, NOISE("cpus"), k->cpus, false);
	text = arena_strndup(&k->arena, mask.data, mask.len);
	return text ? add_list(k, "tracing_cpumask", text) : fail_text(k->c, NULL, "out of memory");
}

/* "SYSTEM:EVENT if FILTER" becomes a trigger of that event. */
static int when(struct ktrace *k)
{
	AUTO(buf) struct buf file = {0}, text = {0};
	size_t n = strcspn(k->when, " ");
	const char *colon = memchr(k->when, ':', n), *rest = k->when + n + strspn(k->when + n, " ");

	if (!(k->what->kind & KIND_SNAPSHOT))
		return usage_error(k->c, "%s has no --when: snapshot has", k->what->name);
	if (!colon || memchr(k->when, '*', n) || memchr(k->when, '/', n) ||
		memchr(k->when, '.', n) || (*rest && strncmp(rest, "if ", 3) != 0))
		return usage_error(
			k->c, "--when '%s': SYSTEM:EVENT, or SYSTEM:EVENT if FILTER", k->when);
	buf_printf(&file, "events/%.*s/%.*s/trigger", (int)(colon - k->when), k->when,
		(int)(k->when + n - colon - 1), colon + 1);
	buf_printf(&text, "snapshot:1%s%s", *rest ? " " : "", rest);
	if (file.err || text.err)
		return fail_text(k->c, NULL, "out of memory");
	k->when = arena_strndup(&k->arena, file.data, file.len);
	rest = arena_strndup(&k->arena, text.data, text.len);
	return k->when && rest ? add_list(k, k->when, rest)
			       : fail_text(k->c, NULL, "out of memory");
}

/* What belongs to functions, and to their graphs. */
static int check_functions(struct ktrace *k)
{
	const char *kernels = k->what->tracer;
	bool has = strcmp(kernels, "function") == 0,
	     is_graph = strcmp(kernels, "function_graph") == 0;

	if (k->graph && !has && !is_graph)
		return usage_error(k->c, "%s has no --graph", k->what->name);
	if (k->graph) {
		k->what = find("function_graph");
		is_graph = true;
	}
	if (k->graph_option && !is_graph)
		return usage_error(
			k->c, "%s has no --%s: function_graph has", k->what->name, k->graph_option);
	if ((k->args && !k->what->args) || (k->retval && !k->what->retval))
		return usage_error(
			k->c, "%s has no --%s", k->what->name, k->args ? "args" : "retval");
	if (k->args && add_option(k, k->what->args, "1") != CLI_OK)
		return CLI_USAGE;
	return k->retval ? add_option(k, k->what->retval, "1") : CLI_OK;
}

static bool chooses_functions(const struct ktrace *k)
{
	for (size_t i = 0; i < k->nlists; i++)
		if (strstr(k->lists[i].file, "ftrace"))
			return true;
	return false;
}

static int check(struct ktrace *k)
{
	const struct ktracer *what = k->what;
	bool functions = chooses_functions(k), nop = strcmp(what->tracer, "nop") == 0;

	if (functions && (nop || what->kind & KIND_SUMMARY))
		return usage_error(k->c, "%s has no functions to choose", what->name);
	if (k->summary && !(what->kind & KIND_SUMMARY))
		return usage_error(
			k->c, "%s has no --summary: osnoise, timerlat and hwlat have", what->name);
	if (k->json && !(what->kind & (KIND_FIELDS | KIND_LATENCY)))
		return usage_error(k->c, "what %s finds has no fields for --json", what->name);
	if (k->npids && !(what->kind & KIND_TASKS))
		return usage_error(k->c, "%s looks at CPUs: --pid does not limit it", what->name);
	if (nop && k->events.len == 0)
		return usage_error(k->c, "say with -e which events");
	/* Without it, latency tracers trace every function: that is slow, so only if asked for. */
	if (what->kind & KIND_LATENCY && add_option(k, "function-trace", functions ? "1" : "0"))
		return CLI_USAGE;
	if (k->cpus && cpus(k) != CLI_OK)
		return CLI_USAGE;
	if (k->when && when(k) != CLI_OK)
		return CLI_USAGE;
	return check_functions(k);
}

/* PARSED, or the exit code. */
enum { PARSED = -1 };
static int parse(struct ktrace *k, int argc, char **argv)
{
	struct args a;
	int got, ret = CLI_OK;

	args_init(&a, k->c, argc, argv, ARG_ANY_ORDER);
	while (ret == CLI_OK && (got = args_next(&a)) != ARG_END) {
		if (got == ARG_HELP || got == ARG_BAD)
			return args_exit(got);
		if (got == ARG_POSITIONAL && a.dashdash) {
			k->argv = &argv[a.at - 1];
			break;
		}
		if (got != ARG_POSITIONAL)
			ret = k->what ? option(k, got, a.value)
				      : usage_error(k->c, "the tracer comes first");
		else if (k->what)
			ret = usage_error(k->c, "'%s': a command stands behind --", a.value);
		else
			ret = choose(k, a.value);
	}
	if (ret == CLI_OK && !k->what)
		return usage_error(k->c, "a tracer is missing");
	if (ret == CLI_OK)
		ret = check(k);
	return ret == CLI_OK ? PARSED : ret;
}

static int run(const struct command *c, int argc, char **argv)
{
	struct ktrace k = {.c = c};
	int ret = parse(&k, argc, argv);

	if (ret == PARSED)
		ret = ktrace_run(&k);
	auto_strings(&k.events);
	arena_done(&k.arena);
	return ret;
}
