/* Formats of events, as a foreign trace may hold them: what is parsed must be describable as CTF, and
 * records of any contents must be taken by it. */
#include "kernel/kctf.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A page with one record of `len` bytes: its common_type and bytes of the input. */
static void take_record(struct kctf *k, uint32_t id, const uint8_t *data, size_t size, uint32_t len)
{
	struct kpage_layout l = {.long_size = 8, .commit_at = 8, .data_at = 16, .size = 4096};
	struct kctf_stream s = {0};
	uint8_t *page = calloc(1, 4096 + KCTF_SLACK);
	uint32_t head = 0, n = len + 4;
	uint64_t commit = 8 + len;
	struct kpage p;

	if (!page)
		return;
	memcpy(page + 8, &commit, 8);
	memcpy(page + 16, &head, 4);
	memcpy(page + 20, &n, 4);
	for (uint32_t i = 0; i < len && size; i++)
		page[24 + i] = data[size - 1 - i % size];
	if (len >= 2) {
		page[24] = (uint8_t)id;
		page[25] = (uint8_t)(id >> 8);
	}
	if (kpage_begin(&p, &l, page, 24 + (size_t)len) == 0)
		(void)kctf_page(k, &s, &p);
	kctf_stream_done(&s);
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctf_facts facts = {0};
	struct ctf_clock clock = {.name = "c", .freq = 1};
	AUTO(buf) struct buf text = {0};
	struct ctf_text_pos pos = {0};
	struct kformat *f;
	struct kctf *k;
	uint32_t id, fixed;

	if (kformat_parse((const char *)data, size, "fuzz", size & 1 ? 4 : 8, &f, NULL) < 0)
		return 0;
	id = f->id;
	fixed = f->fixed_size;
	for (size_t i = 0; i < f->nfields; i++)
		if (!f->fields[i].elem ||
			(f->fields[i].form == KFIELD_ARRAY &&
				f->fields[i].elem * f->fields[i].count != f->fields[i].size))
			abort();
	if (kctf_new(&facts, &clock, &k) < 0)
		return 0;
	if (kctf_add(k, f, NULL) == 0) {
		for (uint32_t len = 8; len <= 4000; len = len * 2 + 1)
			take_record(k, id, data, size, len);
		take_record(k, id, data, size, MIN(fixed, 4000));
		if (ctf_metadata(kctf_trace(k), CTF_1_8, &pos, &text) < 0)
			abort();
	}
	kctf_free(k);
	return 0;
}
