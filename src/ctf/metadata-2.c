/* Metadata of CTF 2: a JSON text sequence (RFC 7464: each fragment between RS and LF).
 *
 * The packets are the same bytes as with CTF 1.8. Fields of ours that CTF 2 has no word for carry
 * an attribute in the name space "cairn"; log levels and URIs are said as babeltrace2 says them.
 */
#include "ctf/write-impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LE "\"byte-order\":\"little-endian\",\"alignment\":8"

static void add_json(struct buf *out, const char *s)
{
	buf_json_str(out, s, strlen(s));
}

static void open_fragment(struct buf *out, const char *type)
{
	buf_printf(out, "\x1e{\"type\":\"%s\"", type);
}

static void close_fragment(struct buf *out)
{
	buf_str(out, "}\n");
}

/* One member of a structure that is an unsigned integer: `size` bits, perhaps with a role. */
static void add_member(struct buf *out, const char *sep, const char *name, unsigned bits,
	unsigned align, const char *role)
{
	buf_printf(out,
		"%s{\"name\":\"%s\",\"field-class\":{\"type\":\"fixed-length-unsigned-integer\","
		"\"length\":%u,\"byte-order\":\"little-endian\",\"alignment\":%u",
		sep, name, bits, align);
	if (role)
		buf_printf(out, ",\"roles\":[\"%s\"]", role);
	buf_str(out, "}}");
}

static void write_preamble(const struct ctf_trace *t, struct buf *out)
{
	open_fragment(out, "preamble");
	buf_str(out, ",\"version\":2,\"uuid\":[");
	for (int i = 0; i < 16; i++)
		buf_printf(out, "%s%u", i ? "," : "", t->uuid[i]);
	buf_char(out, ']');
	close_fragment(out);
}

static void write_trace(const struct ctf_trace *t, struct buf *out)
{
	open_fragment(out, "trace-class");
	buf_str(out, ",\"environment\":{");
	for (size_t i = 0; i < t->nfacts; i++) {
		add_json(out, t->facts[i].name);
		buf_char(out, ':');
		add_json(out, t->facts[i].value);
		buf_char(out, ',');
	}
	buf_printf(out, "\"tracer_major\":%d,\"tracer_minor\":%d},", t->as_lttng ? 2 : 0,
		t->as_lttng ? 13 : 1);
	buf_str(out, "\"packet-header-field-class\":{\"type\":\"structure\",\"member-classes\":[");
	add_member(out, "", "magic", 32, 8, "packet-magic-number");
	buf_str(out,
		",{\"name\":\"uuid\",\"field-class\":{\"type\":\"static-length-blob\","
		"\"length\":16,\"roles\":[\"metadata-stream-uuid\"]}}");
	add_member(out, ",", "stream_id", 32, 8, "data-stream-class-id");
	add_member(out, ",", "stream_instance_id", 64, 8, "data-stream-id");
	buf_str(out, "]}");
	close_fragment(out);
}

static void write_clock(const struct ctf_clock *c, struct buf *out)
{
	char uuid[37];

	uuid_text(c->uuid, uuid);
	open_fragment(out, "clock-class");
	buf_str(out, ",\"id\":");
	add_json(out, c->name);
	buf_str(out, ",\"name\":");
	add_json(out, c->name);
	buf_printf(out, ",\"uid\":\"%s\"", uuid);
	if (c->description) {
		buf_str(out, ",\"description\":");
		add_json(out, c->description);
	}
	buf_printf(out,
		",\"frequency\":%" PRIu64 ",\"origin\":\"unix-epoch\",\"offset-from-origin\":"
		"{\"seconds\":%" PRId64 ",\"cycles\":%" PRIu64 "}",
		c->freq, c->offset_s, c->offset_cycles);
	close_fragment(out);
}

static void write_begin(const struct ctf_trace *t, struct buf *out)
{
	write_preamble(t, out);
	write_trace(t, out);
	write_clock(&t->clock, out);
}

static void write_packet_context(const struct stream *s, struct buf *out)
{
	buf_str(out,
		",\"packet-context-field-class\":{\"type\":\"structure\",\"member-classes\":[");
	add_member(out, "", "timestamp_begin", 64, 8, "default-clock-timestamp");
	add_member(out, ",", "timestamp_end", 64, 8, "packet-end-default-clock-timestamp");
	add_member(out, ",", "content_size", 64, 8, "packet-content-length");
	add_member(out, ",", "packet_size", 64, 8, "packet-total-length");
	add_member(out, ",", "events_discarded", 64, 8, "discarded-event-record-counter-snapshot");
	add_member(out, ",", "packet_seq_num", 64, 8, "packet-sequence-number");
	if (s->kind != CTF_STREAM_STATE)
		add_member(out, ",", "cpu_id", 32, 8, NULL);
	buf_str(out, "]}");
}

static void write_event_header(struct buf *out)
{
	static const struct {
		const char *name;
		unsigned id, timestamp;
	} forms[] = {{"dense", 10, 20}, {"sparse", 10, 52}, {"extended", 30, 64}};

	buf_str(out,
		",\"event-record-header-field-class\":{\"type\":\"structure\","
		"\"minimum-alignment\":8,\"member-classes\":[");
	add_member(out, "", "form", 2, 1, NULL);
	buf_str(out,
		",{\"name\":\"v\",\"field-class\":{\"type\":\"variant\","
		"\"selector-field-location\":{\"origin\":\"event-record-header\","
		"\"path\":[\"form\"]},\"options\":[");
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		buf_printf(out,
			"%s{\"name\":\"%s\",\"selector-field-ranges\":[[%zu,%zu]],"
			"\"field-class\":{\"type\":\"structure\",\"member-classes\":[",
			i ? "," : "", forms[i].name, i, i);
		add_member(out, "", "id", forms[i].id, 1, "event-record-class-id");
		add_member(out, ",", "timestamp", forms[i].timestamp, 1, "default-clock-timestamp");
		buf_str(out, "]}}");
	}
	buf_str(out, "]}}]}");
}

static void write_context(const struct context_type *c, struct buf *out)
{
	buf_printf(out, "{\"name\":\"%s\",\"field-class\":{", c->name);
	if (!c->bits)
		buf_str(out, "\"type\":\"static-length-string\",\"length\":16");
	else
		buf_printf(out, "\"type\":\"fixed-length-%ssigned-integer\",\"length\":%u," LE,
			c->is_signed ? "" : "un", c->bits);
	if (c->hex)
		buf_str(out, ",\"preferred-display-base\":16");
	if (c == &context_types[CAIRN_CTX_SCHED]) {
		buf_str(out, ",\"mappings\":{");
		for (size_t i = 0; i < ARRAY_SIZE(sched_classes); i++)
			buf_printf(out, "%s\"%s\":[[%u,%u]]", i ? "," : "", sched_classes[i].name,
				sched_classes[i].value, sched_classes[i].value);
		buf_char(out, '}');
	}
	buf_str(out, "}}");
}

static void write_contexts(const struct stream *s, struct buf *out)
{
	const char *sep = "";

	buf_str(out,
		",\"event-record-common-context-field-class\":{\"type\":\"structure\","
		"\"member-classes\":[");
	for (size_t i = 0; s->kind == CTF_STREAM_KERNEL && i < ARRAY_SIZE(kernel_context_types);
		i++) {
		buf_str(out, sep);
		write_context(&kernel_context_types[i], out);
		sep = ",";
	}
	for (unsigned i = 0; i < CAIRN_CTX_PERF; i++) {
		if (!(s->contexts & 1u << i))
			continue;
		buf_str(out, sep);
		write_context(&context_types[i], out);
		sep = ",";
	}
	for (uint32_t i = 0; i < s->perf_count; i++, sep = ",")
		add_member(out, sep, s->perf[i].name, 64, 8, NULL);
	buf_str(out, "]}");
}

static void write_stream(const struct ctf_trace *t, uint32_t id, struct buf *out)
{
	const struct stream *s = &t->streams[id];

	open_fragment(out, "data-stream-class");
	buf_printf(out, ",\"id\":%u,\"name\":", id);
	add_json(out, s->name);
	buf_str(out, ",\"default-clock-class-id\":");
	add_json(out, t->clock.name);
	write_packet_context(s, out);
	write_event_header(out);
	if (s->contexts || s->perf_count || s->kind == CTF_STREAM_KERNEL)
		write_contexts(s, out);
	close_fragment(out);
}

/* Labels as mappings. A name may be said once only, so labels of the same text go together. */
static void write_mappings(struct buf *out, const struct ctf_field *f)
{
	const char *at = f->labels, *sep = "";
	struct label l, other;

	buf_str(out, ",\"mappings\":{");
	for (uint32_t i = 0; i < f->f->nlabels; i++) {
		const char *scan = f->labels;
		bool seen = false;
		uint32_t k;

		enum_label(f, i, &at, &l);
		for (k = 0; k < i && !seen; k++, scan += strlen(scan) + 1)
			seen = strcmp(scan, l.text) == 0;
		if (seen)
			continue;
		buf_str(out, sep);
		add_json(out, l.text);
		buf_printf(out, ":[[%s,%s]", l.value, l.value);
		for (scan = at, k = i + 1; k < f->f->nlabels; k++) {
			enum_label(f, k, &scan, &other);
			if (strcmp(other.text, l.text) == 0)
				buf_printf(out, ",[%s,%s]", other.value, other.value);
		}
		buf_char(out, ']');
		sep = ",";
	}
	buf_char(out, '}');
}

static void write_integer(struct buf *out, const struct ctf_field *f)
{
	bool is_signed = f->f->kind == CAIRN_KIND_INT || f->f->flags & CAIRN_FIELD_SIGNED;

	buf_printf(out, "{\"type\":\"fixed-length-%ssigned-integer\",\"length\":%u," LE,
		is_signed ? "" : "un", f->f->width * 8u);
	if (f->f->kind == CAIRN_KIND_PTR || f->f->kind == CAIRN_KIND_BYTES ||
		f->f->flags & CAIRN_FIELD_HEX)
		buf_str(out, ",\"preferred-display-base\":16");
	if (f->f->nlabels)
		write_mappings(out, f);
	if (f->f->kind == CAIRN_KIND_CHAR)
		buf_str(out, ",\"attributes\":{\"cairn\":{\"char\":true}}");
	buf_char(out, '}');
}

static void write_scalar(struct buf *out, const struct ctf_field *f)
{
	switch (f->f->kind) {
	case CAIRN_KIND_BOOL:
		buf_str(out, "{\"type\":\"fixed-length-boolean\",\"length\":8," LE "}");
		break;
	case CAIRN_KIND_FLOAT:
		buf_printf(out,
			"{\"type\":\"fixed-length-floating-point-number\",\"length\":%u," LE "}",
			f->f->width * 8u);
		break;
	case CAIRN_KIND_STR: buf_str(out, "{\"type\":\"null-terminated-string\"}"); break;
	default: write_integer(out, f); break;
	}
}

/* Arrays and sequences; those of characters are strings, those of bytes are blobs. */
static void write_list(struct buf *out, const struct ctf_field *f, const char *name)
{
	bool fixed = f->f->form == CAIRN_FORM_ARRAY;
	const char *what = f->f->kind == CAIRN_KIND_CHAR ? "string"
		: f->f->kind == CAIRN_KIND_BYTES	 ? "blob"
							 : "array";

	buf_printf(out, "{\"type\":\"%s-length-%s\",", fixed ? "static" : "dynamic", what);
	if (fixed)
		buf_printf(out, "\"length\":%" PRIu32, f->f->count);
	else
		buf_printf(out,
			"\"length-field-location\":{\"origin\":\"event-record-payload\","
			"\"path\":[\"_%s_length\"]}",
			name);
	if (strcmp(what, "array") == 0) {
		buf_str(out, ",\"element-field-class\":");
		write_scalar(out, f);
	}
	buf_char(out, '}');
}

static void write_fields(struct buf *out, const struct ctf_desc *d, const struct ctf_names *names)
{
	const char *sep = "";

	for (unsigned i = 0; i < d->d->nfields; i++, sep = ",") {
		const struct ctf_field *f = &d->fields[i];
		char length[sizeof(names->name[0]) + 16];

		if (f->f->form == CAIRN_FORM_SEQUENCE) {
			(void)snprintf(length, sizeof(length), "_%s_length", names->name[i]);
			add_member(out, sep, length, 32, 8, NULL);
			sep = ",";
		}
		buf_printf(out, "%s{\"name\":\"%s\",\"field-class\":", sep, names->name[i]);
		if (f->f->form == CAIRN_FORM_ONE)
			write_scalar(out, f);
		else
			write_list(out, f, names->name[i]);
		buf_char(out, '}');
	}
}

static const char *const loglevels[] = {"emergency", "alert", "critical", "error", "warning",
	"notice", "info", "debug:system", "debug:program", "debug:process", "debug:module",
	"debug:unit", "debug:function", "debug:line", "debug"};

static void write_event(const struct ctf_trace *t, const struct event *e, const struct ctf_desc *d,
	const struct ctf_names *names, struct buf *out)
{
	AUTO(buf) struct buf uri = {0};

	event_uri(d, &uri);
	if (uri.err) {
		out->err = uri.err;
		return;
	}
	open_fragment(out, "event-record-class");
	buf_printf(out, ",\"id\":%u,\"data-stream-class-id\":%u,\"name\":", e->id, e->stream);
	add_json(out, e->name);
	if (t->streams[e->stream].kind != CTF_STREAM_KERNEL) { /* which has no log levels */
		buf_printf(out,
			",\"attributes\":{\"babeltrace.org,2020\":{\"log-level\":\"%s\","
			"\"emf-uri\":",
			loglevels[d->d->loglevel]);
		add_json(out, uri.data);
		buf_str(out, "}}");
	}
	buf_str(out, ",\"payload-field-class\":{\"type\":\"structure\",\"member-classes\":[");
	write_fields(out, d, names);
	buf_str(out, "]}");
	close_fragment(out);
}

const struct metadata_writer metadata_writer_2 = {write_begin, write_stream, write_event};
