/* For fuzzers: reads a trace to its end and looks at all there is of each event. */
#ifndef CAIRN_TESTS_READ_ALL_H
#define CAIRN_TESTS_READ_ALL_H

#include <cairn/reader.h>
#include <string.h>

static uint64_t look_at(const struct cairn_value *v, int depth)
{
	uint64_t sum = v->kind;

	switch (v->kind) {
	case CAIRN_VALUE_UINT:
	case CAIRN_VALUE_INT: sum += v->u + (cairn_value_label(v) != NULL); break;
	case CAIRN_VALUE_NONE: break;
	case CAIRN_VALUE_FLOAT: sum += v->d > 0; break;
	case CAIRN_VALUE_STRING:
	case CAIRN_VALUE_BYTES:
		for (uint32_t i = 0; i < v->count; i++)
			sum += v->bytes[i];
		break;
	case CAIRN_VALUE_ARRAY:
		for (uint32_t i = 0; i < v->count && i < 1000; i++) {
			struct cairn_value e;

			if (cairn_value_element(v, i, &e) == 0)
				sum += look_at(&e, depth + 1);
		}
		break;
	case CAIRN_VALUE_STRUCT:
	case CAIRN_VALUE_VARIANT:
		for (uint32_t i = 0; i < v->count; i++)
			sum += strlen(v->members[i].name) + look_at(&v->members[i], depth + 1);
		break;
	}
	return sum;
}

static uint64_t look_at_event(const struct cairn_event *ev)
{
	const struct cairn_value *v;
	char text[256];
	uint64_t sum;
	size_t n;

	sum = (uint64_t)cairn_event_tid(ev) + (uint64_t)cairn_event_pid(ev) +
		(uint64_t)cairn_event_clock_ns(ev);
	(void)cairn_event_comm(ev, &n);
	v = cairn_event_fields(ev, &n);
	for (size_t i = 0; i < n; i++)
		sum += look_at(&v[i], 0);
	v = cairn_event_contexts(ev, &n);
	for (size_t i = 0; i < n; i++)
		sum += look_at(&v[i], 0);
	v = cairn_event_packet(ev, &n);
	for (size_t i = 0; i < n; i++)
		sum += look_at(&v[i], 0);
	return sum + cairn_event_message(ev, text, sizeof(text));
}

/* At most a number of events, so that tiny ones in a large packet do not take long. */
static void read_all(struct cairn_reader *r)
{
	volatile uint64_t sum = 0;
	struct cairn_item it;
	struct cairn_error e;

	for (int i = 0; i < 20000 && cairn_reader_next(r, &it, &e) > 0; i++) {
		if (it.kind == CAIRN_ITEM_EVENT)
			sum += look_at_event(it.event);
		else if (it.kind == CAIRN_ITEM_LOSS)
			sum += it.loss->count + strlen(it.loss->reason);
		else if (it.kind == CAIRN_ITEM_NOTICE)
			sum += strlen(it.notice->error.message);
	}
}

/* The trace at path, if it is one: all of it, from its middle, and its second half alone. */
static inline void read_path(const char *path)
{
	struct cairn_reader_options o = {.size = sizeof(o), .paths = &path, .npaths = 1};
	int64_t begin = 0, end = 0;
	struct cairn_reader *r;
	struct cairn_error e;

	if (cairn_reader_open(&o, &r, &e) < 0)
		return;
	read_all(r);
	if (cairn_reader_range(r, &begin, &end) == 0 &&
		cairn_reader_seek(r, begin / 2 + end / 2, &e) == 0)
		read_all(r);
	if (cairn_reader_limit(r, begin / 2 + end / 2, end, CAIRN_LIMIT_STATE, &e) == 0)
		read_all(r);
	cairn_reader_free(r);
}

#endif
