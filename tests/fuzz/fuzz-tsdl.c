/* Metadata text, at once and in two pieces, and its packets: whatever is accepted must be planned
 * within bounds; pieces must give as many events as the whole. */
#include "ctf/ctf-read.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The number of events, or -1 if it was refused. */
static long feed(const char *text, size_t size, size_t cut)
{
	struct ctfr_meta m;
	struct error e;
	long n;
	int r;

	(void)ctfr_meta_init(&m, "metadata");
	r = cut ? ctfr_meta_feed(&m, text, cut, false, &e) : 0;
	if (r == 0)
		r = ctfr_meta_feed(&m, text + cut, size - cut, true, &e);
	n = r == 0 ? (long)m.nclasses : -1;
	ctfr_meta_done(&m);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(buf) struct buf text = {0};
	struct error e;
	size_t used;

	if (ctfr_is_packetized(data, size)) {
		if (ctfr_unpack(data, size, &text, &used, &e) == 0 && text.len)
			(void)feed(text.data, text.len, 0);
	} else if (size) {
		long whole = feed((const char *)data, size, 0);

		/* a type may be settled before a later clock or trace fact is known: then the
		 * pieces may be refused, but never give other events */
		long pieces = feed((const char *)data, size, size / 2);

		if (whole >= 0 && pieces >= 0 && whole != pieces)
			abort();
	}
	return 0;
}
