/* Fuzzes the parser of event filters (src/kernel/filter.c): the first byte chooses the event of the unit
 * tests' kernel, the rest is the text. What is refused must be said, with a place in the text. */
#include "kernel/filter.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { EVENTS = 4 };

static struct dynevent_world *world;
static struct kformat *formats[EVENTS]; /* read once: they never change */

static void read_formats(void)
{
	static const struct dynevent_paths paths = {.tracefs = DYNEVENT_DIR "/world",
		.kallsyms = DYNEVENT_DIR "/world/kallsyms",
		.blacklist = DYNEVENT_DIR "/world/blacklist",
		.btf = DYNEVENT_DIR "/world/no-btf"};
	static const char *const events[EVENTS][2] = {{"sched", "sched_switch"},
		{"syscalls", "sys_enter_openat"}, {"kmem", "kmalloc"},
		{"raw_syscalls", "sys_enter"}};

	world = dynevent_world_new(&paths, KARCH_X86_64);
	for (size_t i = 0; i < EVENTS; i++) {
		AUTO(buf) struct buf path = {0};
		AUTO(buf) struct buf text = {0};

		buf_printf(&path, DYNEVENT_DIR "/world/events/%s/%s/format", events[i][0],
			events[i][1]);
		if (!world || path.err || read_file(path.data, 1 << 16, &text) < 0 ||
			kformat_parse(text.data, text.len, events[i][0], 8, &formats[i], NULL) < 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dynevent_fault fault;
	AUTO(buf) struct buf out = {0};
	AUTO(free) char *text = NULL;

	if (!world)
		read_formats();
	if (size < 1 || size > 4096)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		return 0;
	if (kfilter_check(world, formats[data[0] % EVENTS], text, strlen(text), &fault) == 0)
		return 0;
	if (fault.at + fault.len > strlen(text) || !fault.error.message[0])
		abort();
	dynevent_print_fault(&out, text, &fault);
	return 0;
}
