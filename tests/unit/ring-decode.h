/* An independent decoder of ring records for tests: from abi/ring.h's words alone. */
#ifndef CAIRN_TESTS_RING_DECODE_H
#define CAIRN_TESTS_RING_DECODE_H

#include <stdint.h>
#include <string.h>

struct decoded {
	unsigned int form;
	uint32_t id;
	uint64_t ts;
	uint32_t pad; /* block headers only */
	uint64_t count;
	const uint8_t *body;
};

static inline uint64_t decode_bytes(const uint8_t *p, int n)
{
	uint64_t v = 0;

	for (int i = n - 1; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

/* Decodes the header at p; base: time of the record before (or of the packet's begin). */
static inline struct decoded decode_header(const uint8_t *p, uint64_t base)
{
	struct decoded d = {.form = p[0] & 3};
	uint64_t low;

	switch (d.form) {
	case 0:
		d.id = (uint32_t)decode_bytes(p, 4) >> 2 & 1023;
		low = decode_bytes(p, 4) >> 12;
		d.ts = base + ((low - base) & 0xfffff);
		d.body = p + 4;
		break;
	case 1:
		d.id = (uint32_t)decode_bytes(p, 4) >> 2 & 1023;
		low = decode_bytes(p, 8) >> 12;
		d.ts = base + ((low - base) & 0xfffffffffffff);
		d.body = p + 8;
		break;
	default:
		d.id = (uint32_t)decode_bytes(p, 4) >> 2;
		d.ts = decode_bytes(p + 4, 8);
		d.body = p + 12;
		if (d.form == 3) {
			d.pad = (uint32_t)decode_bytes(p + 12, 4);
			d.count = decode_bytes(p + 16, 8);
			d.body = p + 24;
		}
	}
	return d;
}

#endif
