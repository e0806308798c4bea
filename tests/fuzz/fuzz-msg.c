/* Messages of hostile programs, one after the other as a program would send them: first byte pairs
 * say how long each is. Decoding must stay within bounds; what it accepts must be usable. */
#include "session/session-impl.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int use_event(void *arg, const struct cairn_msg_event *ev, const struct ctf_desc *d)
{
	size_t *sum = arg;
	char type[64];

	*sum += ev->event + strlen(d->provider) + strlen(d->event) + strlen(d->file);
	for (unsigned i = 0; i < d->d->nfields; i++) {
		desc_field_type(d, i, type, sizeof(type));
		*sum += strlen(type) + strlen(d->fields[i].name);
	}
	return 0;
}

static void one_message(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1); /* its end is its end */
	struct cairn_msg_hello hello;
	const uint8_t *list;
	struct msg_view m;
	size_t sum = 0;

	if (!copy)
		return;
	memcpy(copy, data, size);
	if (msg_check(copy, size, &m) == 0) {
		if (msg_hello(&m, &hello) == 0)
			sum += strlen(hello.comm) + strlen(hello.exe);
		(void)msg_events(&m, use_event, &sum); /* damaged ones are what this is for */
		for (int i = msg_list(&m, 4, 4, &list); i > 0; i--)
			sum += list[(size_t)i * 4 - 1];
	}
	free(copy);
	if (sum == SIZE_MAX)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	while (size >= 2) {
		size_t n = (size_t)data[0] | (size_t)data[1] << 8;

		data += 2;
		size -= 2;
		n = MIN(n, size);
		one_message(data, n);
		data += n;
		size -= n;
	}
	return 0;
}
