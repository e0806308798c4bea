/* A session from boot on, as a value; see boot.h. */
#include "kernel/boot-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int boot_list_add(struct boot_list *l, const char *text)
{
	const char **slot = VEC_ADD(l->items, l->len, l->cap);

	if (!slot)
		return -ENOMEM;
	*slot = text;
	return 0;
}

struct boot_instance *boot_session_instance(struct boot_session *s, const char *name)
{
	struct boot_instance **slot;

	for (size_t i = 0; i < s->len; i++)
		if (s->instances[i]->name == name ||
			(name && s->instances[i]->name && strcmp(s->instances[i]->name, name) == 0))
			return s->instances[i];
	slot = VEC_ADD(s->instances, s->len, s->cap);
	if (!slot || !(*slot = calloc(1, sizeof(**slot)))) {
		s->len -= slot != NULL;
		return NULL;
	}
	(*slot)->name = name;
	return *slot;
}

int boot_session_init(struct boot_session *s)
{
	*s = (struct boot_session){0};
	return boot_session_instance(s, NULL) ? 0 : -ENOMEM;
}

static void instance_free(struct boot_instance *i)
{
	free(i->options.items);
	free(i->functions.items);
	free(i->not_functions.items);
	free(i->graph.items);
	free(i->not_graph.items);
	free(i->events);
	free(i->triggers);
	free(i->probes);
	for (size_t k = 0; k < i->nsynths; k++)
		free(i->synths[k].fields.items);
	free(i->synths);
	free(i);
}

void boot_session_done(struct boot_session *s)
{
	for (size_t i = 0; i < s->len; i++)
		instance_free(s->instances[i]);
	free(s->instances);
	arena_done(&s->arena);
	*s = (struct boot_session){0};
}

void auto_boot_session(struct boot_session *s)
{
	boot_session_done(s);
}

bool boot_tracer_is_late(const char *tracer)
{
	static const char *const late[] = {"blk", "hwlat", "mmiotrace", "osnoise", "timerlat"};

	for (size_t i = 0; i < ARRAY_SIZE(late); i++)
		if (strcmp(late[i], tracer) == 0)
			return true;
	return false;
}

/* Kernels from 6.11 on make an instance's part of function graphs together with its files, which come
 * after this tracer is started: they read through a null pointer. Those before have no such tracer in
 * instances. */
const char *boot_not_in_instances(const char *tracer)
{
	if (strcmp(tracer, "function_graph") == 0)
		return "function_graph in an instance stops the kernel at boot (an oops, 6.11 and "
		       "later), or is not there (before)";
	if (boot_tracer_is_late(tracer))
		return "the kernel has this tracer only after it has started the instances of boot";
	return NULL;
}

void boot_dump_text(const struct boot_session *s, struct buf *ret)
{
	bool several = false, any = false;

	for (size_t i = 1; i < s->len; i++)
		several = several || s->instances[i]->dump != BOOT_DUMP_NONE;
	for (size_t i = 0; i < s->len; i++) {
		const struct boot_instance *in = s->instances[i];

		if (in->dump == BOOT_DUMP_NONE)
			continue;
		/* Alone, in words that kernels know which know no instances here (before 6.9). */
		if (!several)
			buf_str(ret, in->dump == BOOT_DUMP_CPU ? "orig_cpu" : "");
		else if (!in->name)
			buf_str(ret, in->dump == BOOT_DUMP_CPU ? "2" : "1");
		else
			buf_printf(ret, "%s%s%s", any ? "," : "", in->name,
				in->dump == BOOT_DUMP_CPU ? "=2" : "");
		any = true;
	}
}

void boot_snapshot_text(const struct boot_session *s, struct buf *ret)
{
	/* The kernel then takes one of every instance that has room for it; the name only keeps the
	 * parameter from making room in the top one. */
	for (size_t i = 0; i < s->len && !ret->data; i++)
		if (s->instances[i]->boot_snapshot)
			buf_str(ret, s->instances[i]->name ? s->instances[i]->name : "");
}
