/* Which instances the command line and the bootconfig of a boot made; see boot-read.h. */
#include "kernel/boot-read.h"
#include <errno.h>
#include <string.h>

static int add(struct arena *arena, struct boot_list *l, const char *name, size_t len)
{
	char *copy;

	for (size_t i = 0; i < l->len; i++)
		if (strlen(l->items[i]) == len && memcmp(l->items[i], name, len) == 0)
			return 0;
	copy = arena_strndup(arena, name, len);
	return copy ? boot_list_add(l, copy) : -ENOMEM;
}

static int from_cmdline(const char *text, struct arena *arena, struct boot_list *ret, bool *ret_top)
{
	static const char *const tops[] = {
		"ftrace", "trace_event", "kprobe_event", "trace_trigger", "trace_options"};
	struct boot_params all AUTO(boot_params) = {0};
	struct text_fault f;
	int r = boot_params_parse(text, strlen(text), &all, &f);

	for (size_t i = 0; r == 0 && i < all.len; i++) {
		const struct boot_param *p = &all.items[i];

		for (size_t k = 0; k < ARRAY_SIZE(tops); k++)
			*ret_top |= strcmp(p->name, tops[k]) == 0;
		if (strcmp(p->name, "trace_instance") == 0 && p->value)
			r = add(arena, ret, p->value, strcspn(p->value, "^@,"));
	}
	return r == -EINVAL ? 0 : r;
}

static int from_config(const char *text, struct arena *arena, struct boot_list *ret, bool *ret_top)
{
	struct bootconfig c AUTO(bootconfig) = {0};
	struct bootconfig_key *k;
	struct text_fault f;
	int r = bootconfig_parse(text, strlen(text), &c, &f);

	if (r < 0)
		return r == -EINVAL ? 0 : r; /* empty, most often */
	k = bootconfig_find(&c, NULL, "ftrace");
	for (k = k ? k->first : NULL; k; k = k->next)
		*ret_top |= strcmp(k->word, "instance") != 0;
	k = bootconfig_find(&c, NULL, "ftrace.instance");
	for (k = k ? k->first : NULL; r == 0 && k; k = k->next)
		r = add(arena, ret, k->word, strlen(k->word));
	return r;
}

int boot_named(const char *cmdline, const char *config, struct arena *arena, struct boot_list *ret,
	bool *ret_top)
{
	int r;

	*ret_top = false;
	r = from_cmdline(cmdline, arena, ret, ret_top);

	return r < 0 ? r : from_config(config, arena, ret, ret_top);
}
