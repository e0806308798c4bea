/* dump DIR... | dump -: prints a trace by the reader in the very words of
 *	babeltrace2 --clock-seconds --no-delta
 * so that the two can be compared line by line (compare.py). With -l, losses and notices on stderr. With
 * -n, only counts: how fast the reader is. */
#include <cairn/reader.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print(const struct cairn_value *v);

static void print_string(const char *s, uint32_t n)
{
	putchar('"');
	for (uint32_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		static const char from[] = "\a\b\f\n\r\t\v\x1b\"\\'?", to[] = "abfnrtve\"\\'?";
		const char *e = c ? strchr(from, c) : NULL;

		if (e)
			printf("\\%c", to[e - from]);
		else if (c < 32 || c == 127)
			printf("\\x%02x", c);
		else
			putchar(c);
	}
	putchar('"');
}

static void print_number(const struct cairn_value *v)
{
	uint32_t bits = v->type->bits;
	uint64_t u = v->u;

	if (bits < 64)
		u &= (1ull << bits) - 1;
	if (v->type->base == 16) {
		printf("0x%" PRIX64, u);
	} else if (v->type->base == 8) {
		if (bits % 3 && bits < 64 && v->kind == CAIRN_VALUE_INT) /* as it pads */
			u = v->u & ((1ull << (bits + 3 - bits % 3)) - 1);
		printf("0%" PRIo64, u);
	} else if (v->type->base == 2) {
		printf("0b");
		for (uint32_t i = bits; i-- > 0;)
			putchar(u >> i & 1 ? '1' : '0');
	} else if (v->kind == CAIRN_VALUE_INT) {
		printf("%" PRId64, v->i);
	} else {
		printf("%" PRIu64, v->u);
	}
}

static void print_members(const struct cairn_value *v, size_t n)
{
	printf("{ ");
	for (size_t i = 0; i < n; i++) {
		printf("%s%s = ", i ? ", " : "", v[i].name);
		print(&v[i]);
	}
	printf(n ? " }" : "}");
}

/* Bytes as the array that babeltrace2 sees. */
static void print_bytes(const struct cairn_value *v)
{
	printf("[ ");
	for (uint32_t i = 0; i < v->count; i++)
		printf("%s[%u] = 0x%X", i ? ", " : "", i, v->bytes[i]);
	printf(v->count ? " ]" : "]");
}

static void print_array(const struct cairn_value *v)
{
	printf("[ ");
	for (uint32_t i = 0; i < v->count; i++) {
		struct cairn_value e;

		if (cairn_value_element(v, i, &e) < 0)
			continue;
		printf("%s[%u] = ", i ? ", " : "", i);
		print(&e);
	}
	printf(v->count ? " ]" : "]");
}

/* All labels whose ranges hold the value, as babeltrace2 has them. */
static void print_labels(const struct cairn_value *v)
{
	const struct cairn_type *t = v->type;
	const char *before = "";

	printf("( ");
	for (size_t i = 0; i < t->nlabels; i++) {
		const struct cairn_label *l = &t->labels[i];

		if (t->is_signed ? v->i < l->first || v->i > l->last
				 : v->u < (uint64_t)l->first || v->u > (uint64_t)l->last)
			continue;
		printf("%s\"%s\"", before, l->name);
		before = ", ";
	}
	printf(*before ? " : container = " : "<unknown> : container = ");
	print_number(v);
	printf(" )");
}

static void print(const struct cairn_value *v)
{
	if (v->type->kind == CAIRN_TYPE_ENUM) {
		print_labels(v);
		return;
	}
	switch (v->kind) {
	case CAIRN_VALUE_UINT:
	case CAIRN_VALUE_INT: print_number(v); break;
	case CAIRN_VALUE_FLOAT: printf("%g", v->d); break;
	case CAIRN_VALUE_STRING: print_string(v->str, v->count); break;
	case CAIRN_VALUE_BYTES: print_bytes(v); break;
	case CAIRN_VALUE_STRUCT: print_members(v->members, v->count); break;
	case CAIRN_VALUE_ARRAY: print_array(v); break;
	case CAIRN_VALUE_VARIANT:
		printf("{ ");
		print(&v->members[0]);
		printf(" }");
		break;
	case CAIRN_VALUE_NONE: printf("<none>"); break;
	}
}

static const struct cairn_fact *fact(const struct cairn_trace *t, const char *name)
{
	for (size_t i = 0; i < t->nfacts; i++)
		if (strcmp(t->facts[i].name, name) == 0)
			return &t->facts[i];
	return NULL;
}

static void print_packet(const struct cairn_event *ev)
{
	static const char *const known[] = {"timestamp_begin", "timestamp_end", "content_size",
		"packet_size", "events_discarded", "packet_seq_num"};
	size_t n, shown = 0;
	const struct cairn_value *v = cairn_event_packet(ev, &n);

	if (!n)
		return;
	for (size_t i = 0; i < n; i++) {
		int skip = 0;

		for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++)
			skip |= strcmp(known[k], v[i].name) == 0;
		if (skip)
			continue;
		printf("%s%s = ", shown++ ? ", " : " { ", v[i].name);
		print(&v[i]);
	}
	printf(shown ? " }," : "");
}

/* "host:process:(pid) ", as far as the trace says. */
static void print_source(const struct cairn_trace *t)
{
	const struct cairn_fact *host = fact(t, "hostname"), *name = fact(t, "procname");
	const struct cairn_fact *pid = fact(t, "vpid");

	if (host)
		printf("%s", host->text);
	if (name)
		printf("%s%s", host ? ":" : "", name->text);
	if (pid)
		printf("%s(%" PRId64 ")", host || name ? ":" : "", pid->number);
	if (host || name || pid)
		putchar(' ');
}

static void print_event(const struct cairn_event *ev)
{
	const struct cairn_trace *t = ev->stream->trace;
	size_t n;
	const struct cairn_value *v;

	if (!(ev->flags & CAIRN_EVENT_NO_TIME))
		printf("[%" PRId64 ".%09" PRId64 "] ", ev->time_ns / 1000000000,
			ev->time_ns % 1000000000);
	print_source(t);
	printf("%s:", ev->cls->name);
	print_packet(ev);
	v = cairn_event_contexts(ev, &n);
	size_t of_stream = ev->cls->stream_context ? ev->cls->stream_context->nmembers : 0;

	if (n && of_stream) {
		printf(" ");
		print_members(v, of_stream);
		printf(",");
	}
	if (n > of_stream) {
		printf(" ");
		print_members(v + of_stream, n - of_stream);
		printf(",");
	}
	v = cairn_event_fields(ev, &n);
	if (ev->cls->fields) {
		printf(" ");
		print_members(v, n);
	}
	printf("\n");
}

static void print_other(const struct cairn_item *it)
{
	if (it->kind == CAIRN_ITEM_LOSS)
		fprintf(stderr, "loss: %s %" PRIu64 "\n", it->loss->reason, it->loss->count);
	else if (it->kind == CAIRN_ITEM_NOTICE)
		fprintf(stderr, "notice: %s (%s)\n", it->notice->error.message,
			it->notice->error.where);
}

int main(int argc, char **argv)
{
	struct cairn_reader_options o = {.size = sizeof(o)};
	int count = 0, losses = 0, got = 0;
	struct cairn_reader *r;
	struct cairn_error err;
	struct cairn_item it;
	uint64_t n = 0;

	for (; argc > 1 && argv[1][0] == '-' && argv[1][1]; argc--, argv++) {
		count |= strcmp(argv[1], "-n") == 0;
		losses |= strcmp(argv[1], "-l") == 0;
	}
	if (argc > 1 && strcmp(argv[1], "-") != 0) {
		o.paths = (const char *const *)argv + 1;
		o.npaths = (size_t)argc - 1;
	}
	if (cairn_reader_open(&o, &r, &err) < 0) {
		fprintf(stderr, "%s (%s)\n", err.message, err.where);
		return 1;
	}
	while ((got = cairn_reader_next(r, &it, &err)) > 0) {
		if (it.kind == CAIRN_ITEM_EVENT && count)
			n++;
		else if (it.kind == CAIRN_ITEM_EVENT)
			print_event(it.event);
		else if (it.kind == CAIRN_ITEM_WAIT)
			(void)cairn_reader_wait(r, -1); /* next() looks again in any case */
		else if (losses)
			print_other(&it);
	}
	if (got < 0)
		fprintf(stderr, "%s (%s)\n", err.message, err.where);
	if (count)
		printf("%" PRIu64 "\n", n);
	cairn_reader_free(r);
	return got < 0;
}
