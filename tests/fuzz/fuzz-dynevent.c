/* Fuzzes the parser of probe texts (src/kernel/dynevent*.c, btf-walk.c): the first byte is the kind,
 * the rest the text, judged against the made kernel of the unit tests. What is taken must be taken
 * again in the form in which it would go to the kernel. */
#include "kernel/dynevent.h"
#include "unit/made-btf.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dynevent_world *world(void)
{
	static const struct dynevent_paths paths = {.tracefs = DYNEVENT_DIR "/world",
		.kallsyms = DYNEVENT_DIR "/world/kallsyms",
		.blacklist = DYNEVENT_DIR "/world/blacklist",
		.btf = DYNEVENT_DIR "/world/no-btf"};
	static struct dynevent_world *w; /* read once: it never changes */

	if (!w) {
		w = dynevent_world_new(&paths, KARCH_X86_64);
		if (!w)
			abort();
		kbtf_set_vmlinux(dynevent_world_btf(w), made_btf());
	}
	return w;
}

static void check_taken(const struct dynevent *d)
{
	struct dynevent_fault fault;
	struct dynevent again;

	if (d->len > 128 || strlen(d->definition) > 4094 || strpbrk(d->definition, "\n#"))
		abort();
	for (size_t i = 0; i < d->len; i++) {
		if (!d->fields[i].name[0] || !d->fields[i].type[0])
			abort();
	}
	if (dynevent_parse(world(), DYNEVENT_ANY, NULL, d->definition, &again, &fault))
		abort();
	if (strcmp(again.definition, d->definition) != 0)
		abort();
	dynevent_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf) struct buf out = {0};
	AUTO(free) char *text = NULL;
	struct dynevent_fault fault;
	struct dynevent d;

	if (size < 1 || size > 4096)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		return 0;
	if (dynevent_parse(world(), (enum dynevent_kind)(data[0] % DYNEVENT_KINDS), NULL, text, &d,
		    &fault) == 0) {
		check_taken(&d);
		dynevent_done(&d);
		return 0;
	}
	if (fault.at + fault.len > strlen(text) || !fault.error.message[0])
		abort();
	dynevent_print_fault(&out, text, &fault);
	return 0;
}
