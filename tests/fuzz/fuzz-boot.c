/* Texts for boot: command lines, bootconfigs and probes of any kind are taken apart and checked; places of
 * findings lie in the text, and what parses as a probe is written by both forms or refused. */
#include "kernel/boot-check.h"
#include "kernel/boot-read.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool what)
{
	if (!what)
		abort();
}

static void findings(int (*examine)(const char *text, size_t len, struct boot_kernel *kernel,
			     struct boot_report *ret),
	const char *text, size_t len)
{
	struct boot_report report AUTO(boot_report) = {0};

	check(examine(text, len, NULL, &report) == 0);
	for (size_t i = 0; i < report.len; i++)
		check(report.items[i].at <= len && report.items[i].message[0] &&
			(i == 0 || report.items[i - 1].at <= report.items[i].at));
}

static void as_probe(const char *text)
{
	struct boot_session s AUTO(boot_session) = {0};
	AUTO(buf) struct buf config = {0}, cmdline = {0};
	struct bootconfig c AUTO(bootconfig) = {0};
	struct boot_instance *top;
	struct text_fault f;
	struct error e = {0};
	struct boot_probe *p;

	check(boot_session_init(&s) == 0);
	top = s.instances[0];
	p = VEC_ADD(top->probes, top->nprobes, top->cap_probes);
	check(p != NULL);
	if (boot_probe_parse(&s.arena, text, false, p, &f) != 0) {
		check(f.at <= strlen(text));
		return;
	}
	check(p->event && p->place && p->args);
	if (boot_session_config(&s, &config, &e) == 0)
		check(bootconfig_parse(config.data, config.len, &c, &f) == 0);
	else
		check(e.message[0]);
	if (boot_session_cmdline(&s, &cmdline, &e) == 0)
		check(strncmp(cmdline.data, "kprobe_event=", 13) == 0);
	else
		check(e.message[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena = {0};
	struct boot_list named = {0};
	char *text = arena_strndup(&arena, (const char *)data, size);
	bool top;

	check(text != NULL);
	findings(boot_check_config, (const char *)data, size);
	findings(boot_check_cmdline, (const char *)data, size);
	check(boot_named(text, text, &arena, &named, &top) == 0);
	as_probe(text);
	free(named.items);
	arena_done(&arena);
	return 0;
}
