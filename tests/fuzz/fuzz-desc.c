/* Event descriptions of hostile processes: what is accepted must make metadata, in both versions,
 * and stay within bounds while it does. */
#include "ctf/ctf.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_both(const void *desc, size_t size)
{
	static const enum ctf_version versions[] = {CTF_1_8, CTF_2};
	struct ctf_facts facts = {0};
	struct ctf_clock clock = {.name = "c", .freq = 1};
	struct ctf_stream stream = {.name = "s"};
	struct ctf_trace *t = NULL;
	struct ctf_added added;
	uint32_t id;

	if (ctf_trace_new(&facts, &clock, &t) < 0 || ctf_trace_add_stream(t, &stream, &id) < 0 ||
		ctf_trace_add_event(t, id, desc, size, &added, NULL) != 1)
		abort();
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		AUTO(buf) struct buf text = {0};
		struct ctf_text_pos pos = {0};

		if (ctf_metadata(t, versions[i], &pos, &text) < 0)
			abort();
	}
	ctf_trace_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *copy = malloc(size ? size : 1); /* aligned, and its end is its end */
	struct error e;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (ctf_desc_check(copy, size, &e) == 0)
		write_both(copy, size);
	free(copy);
	return 0;
}
