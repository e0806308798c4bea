/* Pages of the ring buffer of any kernel: 2 bytes say which layout, then the page. What is handed out lies in
 * the page, and the end is reached. */
#include "kernel/page.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kpage_layout l = {.commit_at = 8};
	struct kpage p;
	struct kpage_event ev;
	volatile uint8_t sum = 0;
	size_t n = 0;

	if (size < 2)
		return 0;
	l.swap = data[0] & 1;
	l.long_size = data[0] & 2 ? 4 : 8;
	l.data_at = (uint16_t)(8 + l.long_size);
	l.size = 4096;
	data += 2;
	size -= 2;
	if (kpage_begin(&p, &l, data, size) < 0)
		return 0;
	while (kpage_next(&p, &ev) == 1) {
		if (ev.data < data || ev.data > data + size ||
			ev.len > (size_t)(data + size - ev.data) || ++n > size)
			abort();
		for (uint32_t i = 0; i < ev.len; i++)
			sum = (uint8_t)(sum + ev.data[i]);
	}
	if (kpage_next(&p, &ev) != 0)
		abort();
	return 0;
}
