/* cairn boot write: a session as a bootconfig or as a kernel command line. */
#include "cli/boot.h"
#include "kernel/boot-check.h"
#include "kernel/facts.h"
#include "kernel/tracefs.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	OPT_CONFIG = OPT_FIRST,
	OPT_CMDLINE,
	OPT_INSTANCE,
	OPT_FILTER,
	OPT_KPROBE,
	OPT_KRETPROBE,
	OPT_SYNTHETIC,
	OPT_TRIGGER,
	OPT_TRACER,
	OPT_FUNCTION,
	OPT_NOT_FUNCTION,
	OPT_GRAPH,
	OPT_NOT_GRAPH,
	OPT_GRAPH_DEPTH,
	OPT_OPTION,
	OPT_CLOCK,
	OPT_BUFFER,
	OPT_CPUS,
	OPT_OFF,
	OPT_SNAPSHOT,
	OPT_BOOT_SNAPSHOT,
	OPT_DUMP,
	OPT_TRACEOFF,
	OPT_PRINTK,
	OPT_NO_KERNEL,
};

static int run(const struct command *c, int argc, char **argv);

static const struct option_def options[] = {
	{OPT_CONFIG, 0, "config", NULL, "as a bootconfig (default)"},
	{OPT_CMDLINE, 0, "cmdline", NULL, "as parameters for the kernel's command line"},
	{'o', 'o', "output", "FILE", "write there; default: standard output"},
	{'k', 'k', "kernel", "EVENT",
		"record this event, SYSTEM:EVENT with *; with a\nfilter: "
		"'SYSTEM:EVENT if FILTER'"},
	{OPT_FILTER, 0, "kernel-filter", "TEXT", "'EVENT: FILTER': the same in two words"},
	{OPT_KPROBE, 0, "kprobe", "TEXT", "and this probe: 'FUNCTION [NAME=]ARG...'"},
	{OPT_KRETPROBE, 0, "kretprobe", "TEXT", "and this probe of a function's return"},
	{OPT_SYNTHETIC, 0, "synthetic", "TEXT", "and this synthetic event: 'NAME TYPE FIELD; ...'"},
	{OPT_TRIGGER, 0, "trigger", "TEXT", "at an event: 'SYSTEM:EVENT TRIGGER [if FILTER]'"},
	{OPT_TRACER, 0, "tracer", "NAME", "with this tracer: function, function_graph..."},
	{OPT_FUNCTION, 0, "function", "GLOB", "trace only these functions"},
	{OPT_NOT_FUNCTION, 0, "not-function", "GLOB", "but not these"},
	{OPT_GRAPH, 0, "graph-function", "GLOB", "graphs only of calls of these"},
	{OPT_NOT_GRAPH, 0, "not-graph-function", "GLOB", "no graphs below these"},
	{OPT_GRAPH_DEPTH, 0, "graph-depth", "N", "graphs N calls deep at most"},
	{OPT_OPTION, 0, "option", "NAME", "switch this trace option on (noNAME: off)"},
	{OPT_CLOCK, 0, "clock", "CLOCK", "time stamps by this clock: x86-tsc, boot, global..."},
	{OPT_BUFFER, 0, "kernel-buffer", "SIZE", "of each CPU's buffer"},
	{OPT_CPUS, 0, "cpus", "LIST", "only on these CPUs: 0,2-5"},
	{OPT_OFF, 0, "off", NULL, "leave tracing off (a trigger may switch it on)"},
	{OPT_SNAPSHOT, 0, "snapshot", NULL, "make room for a snapshot"},
	{OPT_BOOT_SNAPSHOT, 0, "boot-snapshot", NULL, "and take one when the kernel has booted"},
	{OPT_DUMP, 0, "dump-on-oops", "WHICH",
		"print the buffer of all CPUs, or of the one it\n"
		"happened on, when the kernel fails: all, cpu"},
	{OPT_INSTANCE, 0, "instance", "NAME", "all options after this are for this instance"},
	{OPT_TRACEOFF, 0, "traceoff-on-warning", NULL, "stop tracing when the kernel warns"},
	{OPT_PRINTK, 0, "tp-printk", NULL, "print events to the kernel's log as well"},
	{OPT_NO_KERNEL, 0, "no-kernel", NULL, "do not compare with the running kernel"},
	{0},
};

const struct command boot_verb_write = {
	.name = "write",
	.parent = "boot",
	.summary = "write a session as a bootconfig or kernel command line",
	.usage = "[OPTION...] [--instance NAME OPTION...]...",
	.options = options,
	.notes = "examples:\n"
		 "  cairn boot write -k 'initcall:*' --tracer function_graph --graph-depth 2\n"
		 "  cairn boot write -k 'sched:sched_switch if prev_pid > 0' --off\n"
		 "  cairn boot write --cmdline -k 'irq:*' --instance net -k 'napi:*'",
	.run = run,
};

struct asked_probe {
	struct boot_instance *of;
	const char *text;
	bool is_return;
};

struct request {
	const struct command *c;
	struct boot_session session;
	struct boot_instance *now; /* whose options come */
	struct asked_probe *probes; /* owned */
	size_t nprobes, cap_probes;
	const char *output;
	bool cmdline, no_kernel;
	bool something; /* is asked for */
};

static void auto_request(struct request *q)
{
	boot_session_done(&q->session);
	free(q->probes);
}

static int no_memory(const struct request *q)
{
	return fail_text(q->c, NULL, "out of memory");
}

/* A copy of [from, from + n) without spaces at its ends. */
static const char *copy(struct request *q, const char *from, size_t n)
{
	while (n && strchr(" \t\n", *from)) {
		from++;
		n--;
	}
	while (n && strchr(" \t\n", from[n - 1]))
		n--;
	return arena_strndup(&q->session.arena, from, n);
}

/* "EVENT", or "EVENT" `between` "FILTER". */
static int add_event(struct request *q, const char *text, const char *between)
{
	const char *filter = strstr(text, between);
	struct boot_event *ev = VEC_ADD(q->now->events, q->now->nevents, q->now->cap_events);

	if (!ev)
		return no_memory(q);
	ev->pattern = copy(q, text, filter ? (size_t)(filter - text) : strlen(text));
	if (filter)
		ev->filter = copy(q, filter + strlen(between), strlen(filter + strlen(between)));
	if (!ev->pattern || (filter && !ev->filter))
		return no_memory(q);
	if (!*ev->pattern || strpbrk(ev->pattern, " \t,"))
		return usage_error(q->c, "'%s': expected SYSTEM:EVENT, or SYSTEM:EVENT%sFILTER",
			text, between);
	if (filter && !*ev->filter)
		return usage_error(q->c, "'%s': a filter is missing", text);
	return CLI_OK;
}

static int ask_probe(struct request *q, const char *text, bool is_return)
{
	struct asked_probe *p = VEC_ADD(q->probes, q->nprobes, q->cap_probes);

	if (!p)
		return no_memory(q);
	*p = (struct asked_probe){q->now, text, is_return};
	return CLI_OK;
}

/* The text's definition with the help of the running kernel's types, in *ret; NULL: that says nothing
 * (this kernel cannot be looked at): the text has to do. CLI_OK, or the exit code. */
static int define(struct request *q, struct dynevent_world *w, const struct asked_probe *asked,
	const char *group, const char **ret)
{
	struct dynevent d AUTO(dynevent) = {0};
	AUTO(buf) struct buf said = {0};
	struct dynevent_fault f;
	int r = dynevent_parse(w, asked->is_return ? DYNEVENT_KRETPROBE : DYNEVENT_KPROBE, group,
		asked->text, &d, &f);

	*ret = NULL;
	if (r == 0) {
		*ret = arena_strndup(&q->session.arena, d.definition, strlen(d.definition));
		return *ret ? CLI_OK : no_memory(q);
	}
	if (r != -EINVAL && r != -ENOENT && r != -EOPNOTSUPP)
		return CLI_OK;
	dynevent_print_fault(&said, asked->text, &f);
	while (said.len && said.data[said.len - 1] == '\n')
		said.data[--said.len] = '\0';
	(void)fail_text(q->c, "for another kernel than the running one: --no-kernel", "%s: %s",
		asked->is_return ? "--kretprobe" : "--kprobe", said.data ? said.data : "");
	return CLI_FAIL;
}

static int add_probe(struct request *q, struct dynevent_world *w, const struct asked_probe *asked)
{
	struct boot_instance *of = asked->of;
	struct boot_probe *p = VEC_ADD(of->probes, of->nprobes, of->cap_probes);
	const char *text = asked->text, *definition = NULL;
	struct text_fault f;
	int r;

	if (!p)
		return no_memory(q);
	r = boot_probe_parse(&q->session.arena, text, asked->is_return, p, &f);
	if (w) {
		int code =
			define(q, w, asked, r == 0 && p->group ? p->group : "kprobes", &definition);

		if (code != CLI_OK)
			return code;
	}
	if (definition)
		r = boot_probe_parse(&q->session.arena, definition, asked->is_return, p, &f);
	if (r == -EINVAL)
		(void)boot_fault(q->c, asked->is_return ? "--kretprobe" : "--kprobe", text,
			strlen(text), f.at, f.message);
	return r == -EINVAL ? CLI_USAGE : r < 0 ? no_memory(q) : CLI_OK;
}

static int add_probes(struct request *q)
{
	struct dynevent_world *w =
		q->no_kernel || !q->nprobes ? NULL : dynevent_world_new(NULL, karch_native());
	int r = CLI_OK;

	for (size_t i = 0; r == CLI_OK && i < q->nprobes; i++)
		r = add_probe(q, w, &q->probes[i]);
	dynevent_world_free(w);
	return r;
}

/* "NAME TYPE FIELD; TYPE FIELD" */
static int add_synthetic(struct request *q, const char *text)
{
	struct boot_synth *s = VEC_ADD(q->now->synths, q->now->nsynths, q->now->cap_synths);
	size_t name = strcspn(text, " \t");

	if (!s || !(s->event = copy(q, text, name)))
		return no_memory(q);
	for (text += name; *text; text += *text == ';') {
		size_t n = strcspn(text, ";");
		const char *field = copy(q, text, n);

		if (!field || (*field && boot_list_add(&s->fields, field) != 0))
			return no_memory(q);
		text += n;
	}
	return s->fields.len ? CLI_OK
			     : usage_error(q->c, "--synthetic: expected 'NAME TYPE FIELD; ...'");
}

static int add_trigger(struct request *q, const char *text)
{
	size_t colon = strcspn(text, ": \t"), end = strcspn(text, " \t");
	struct boot_trigger *t = VEC_ADD(q->now->triggers, q->now->ntriggers, q->now->cap_triggers);

	if (!t)
		return no_memory(q);
	if (text[colon] != ':' || !text[end] || memchr(text, '*', end))
		return usage_error(q->c, "--trigger '%s': expected SYSTEM:EVENT TRIGGER", text);
	t->system = copy(q, text, colon);
	t->event = copy(q, text + colon + 1, end - colon - 1);
	t->text = copy(q, text + end, strlen(text + end));
	return t->system && t->event && t->text ? CLI_OK : no_memory(q);
}

static int add_cpus(struct request *q, const char *list)
{
	AUTO(buf) struct buf b = {0};

	if (tracefs_cpumask(list, &b) != 0)
		return usage_error(q->c, "--cpus '%s': expected a list as 0,2-5", list);
	q->now->cpumask = copy(q, b.data, b.len);
	return q->now->cpumask ? CLI_OK : no_memory(q);
}

static int add_number(struct request *q, int id, const char *text)
{
	if (id == OPT_GRAPH_DEPTH) {
		if (parse_u64(text, &q->now->graph_depth) != 0 || !q->now->graph_depth)
			return usage_error(q->c, "--graph-depth '%s': expected a number", text);
		return CLI_OK;
	}
	if (parse_size(text, &q->now->buffer_bytes) != 0 || q->now->buffer_bytes < 4096)
		return usage_error(q->c, "--kernel-buffer '%s': expected a size from 4K on", text);
	return CLI_OK;
}

static int add_dump(struct request *q, const char *which)
{
	q->now->dump = strcmp(which, "all") == 0 ? BOOT_DUMP_ALL
		: strcmp(which, "cpu") == 0	 ? BOOT_DUMP_CPU
						 : BOOT_DUMP_NONE;
	return q->now->dump != BOOT_DUMP_NONE
		? CLI_OK
		: usage_error(q->c, "--dump-on-oops '%s': expected all or cpu", which);
}

static int set_instance(struct request *q, const char *name)
{
	if (!*name || strpbrk(name, "/ \t\"'") || name[0] == '.')
		return usage_error(
			q->c, "--instance '%s': no name for a directory of tracefs", name);
	q->now = boot_session_instance(&q->session, name);
	return q->now ? CLI_OK : no_memory(q);
}

static int list(struct request *q, struct boot_list *l, const char *text)
{
	return boot_list_add(l, text) == 0 ? CLI_OK : no_memory(q);
}

/* An option; CLI_OK or the exit code. */
static int option(struct request *q, int id, const char *value)
{
	struct boot_instance *i = q->now;

	q->something = q->something ||
		(id != OPT_CONFIG && id != OPT_CMDLINE && id != 'o' && id != OPT_NO_KERNEL);
	switch (id) {
	case OPT_CONFIG: q->cmdline = false; break;
	case OPT_CMDLINE: q->cmdline = true; break;
	case 'o': q->output = value; break;
	case 'k': return add_event(q, value, " if ");
	case OPT_FILTER:
		if (strstr(value, ": "))
			return add_event(q, value, ": ");
		return usage_error(q->c, "--kernel-filter '%s': expected 'EVENT: FILTER'", value);
	case OPT_INSTANCE: return set_instance(q, value);
	case OPT_KPROBE: return ask_probe(q, value, false);
	case OPT_KRETPROBE: return ask_probe(q, value, true);
	case OPT_SYNTHETIC: return add_synthetic(q, value);
	case OPT_TRIGGER: return add_trigger(q, value);
	case OPT_TRACER: i->tracer = value; break;
	case OPT_FUNCTION: return list(q, &i->functions, value);
	case OPT_NOT_FUNCTION: return list(q, &i->not_functions, value);
	case OPT_GRAPH: return list(q, &i->graph, value);
	case OPT_NOT_GRAPH: return list(q, &i->not_graph, value);
	case OPT_OPTION: return list(q, &i->options, value);
	case OPT_CLOCK: i->clock = value; break;
	case OPT_BUFFER:
	case OPT_GRAPH_DEPTH: return add_number(q, id, value);
	case OPT_CPUS: return add_cpus(q, value);
	case OPT_OFF: i->tracing = BOOT_OFF; break;
	case OPT_SNAPSHOT: i->snapshot = true; break;
	case OPT_BOOT_SNAPSHOT: i->boot_snapshot = true; break;
	case OPT_DUMP: return add_dump(q, value);
	case OPT_TRACEOFF: q->session.traceoff_on_warning = true; break;
	case OPT_PRINTK: q->session.tp_printk = true; break;
	case OPT_NO_KERNEL: q->no_kernel = true; break;
	default: break;
	}
	return CLI_OK;
}

static int write_out(const struct request *q, const struct buf *text)
{
	AUTO(fd) int fd = -1;
	int r;

	if (q->output && strcmp(q->output, "-") != 0) {
		fd = open(q->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
		if (fd < 0)
			return fail_text(q->c, NULL, "%s: %s", q->output, strerror(errno));
	}
	r = write_all(fd < 0 ? STDOUT_FILENO : fd, text->data, text->len);
	if (r < 0)
		return fail_text(
			q->c, NULL, "%s: %s", fd < 0 ? "standard output" : q->output, strerror(-r));
	return CLI_OK;
}

/* A bootconfig is nothing to kernels that were built without. */
static void say_unread(const struct request *q)
{
	static const char *const needed[] = {"CONFIG_BOOT_CONFIG", "CONFIG_BOOTTIME_TRACING"};

	for (size_t i = 0; i < ARRAY_SIZE(needed) && !q->cmdline && !q->no_kernel; i++)
		if (kernel_option(needed[i]) == 0) {
			say("this kernel reads no such bootconfig, it would need %s; --cmdline is for "
			    "any",
				needed[i]);
			return;
		}
}

static int run(const struct command *c, int argc, char **argv)
{
	struct request q AUTO(request) = {.c = c};
	AUTO(buf) struct buf text = {0};
	struct error e = {0};
	struct args a;
	int got, r;

	if (boot_session_init(&q.session) != 0)
		return no_memory(&q);
	q.now = q.session.instances[0];
	args_init(&a, c, argc, argv, ARG_ANY_ORDER);
	while ((got = args_next(&a)) != ARG_END) {
		if (got == ARG_POSITIONAL)
			return usage_error(c, "'%s': all is said by options here", a.value);
		if (got == ARG_HELP || got == ARG_BAD)
			return args_exit(got);
		r = option(&q, got, a.value);
		if (r != CLI_OK)
			return r;
	}
	if (!q.something)
		return usage_error(c, "nothing to trace: events (-k), a tracer, probes...");
	r = add_probes(&q);
	if (r != CLI_OK)
		return r;
	r = q.cmdline ? boot_session_cmdline(&q.session, &text, &e)
		      : boot_session_config(&q.session, &text, &e);
	if (r < 0)
		return fail_error(c, 0, &e);
	r = q.no_kernel ? CLI_OK : boot_check_written(c, q.cmdline, text.data, text.len);
	if (r != CLI_OK)
		return r;
	say_unread(&q);
	return write_out(&q, &text);
}
