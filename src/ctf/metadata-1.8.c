/* Metadata of CTF 1.8 (TSDL), as babeltrace2 2.0.4 reads it without a complaint.
 *
 * Two things in the event header are less plain than they look. The tag of the variant is called
 * "id", as in LTTng's header: readers take the id they read last, and warn of header fields that
 * have no meaning. And its integers are bit-aligned, 64 bits ones too: alignment 8 of a member
 * would move the structure, which begins at bit 2.
 *
 * Names have one '_' before them, which readers take away: so no field is a keyword.
 */
#include "ctf/write-impl.h"
#include <inttypes.h>
#include <string.h>

/* A string literal: what could end it or upset a reader's lexer is escaped. */
static void add_quoted(struct buf *out, const char *s)
{
	buf_char(out, '"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\%03o", c);
		else
			buf_char(out, (char)c);
	}
	buf_char(out, '"');
}

static const char types[] =
	"typealias integer { size = 8; align = 8; signed = false; } := uint8_t;\n"
	"typealias integer { size = 16; align = 8; signed = false; } := uint16_t;\n"
	"typealias integer { size = 32; align = 8; signed = false; } := uint32_t;\n"
	"typealias integer { size = 64; align = 8; signed = false; } := uint64_t;\n"
	"typealias integer { size = 8; align = 8; signed = true; } := int8_t;\n"
	"typealias integer { size = 16; align = 8; signed = true; } := int16_t;\n"
	"typealias integer { size = 32; align = 8; signed = true; } := int32_t;\n"
	"typealias integer { size = 64; align = 8; signed = true; } := int64_t;\n"
	"typealias integer { size = 8; align = 8; signed = false; base = 16; } := hex8_t;\n"
	"typealias integer { size = 16; align = 8; signed = false; base = 16; } := hex16_t;\n"
	"typealias integer { size = 32; align = 8; signed = false; base = 16; } := hex32_t;\n"
	"typealias integer { size = 64; align = 8; signed = false; base = 16; } := hex64_t;\n"
	"typealias integer { size = 8; align = 8; signed = false; encoding = UTF8; } := char8_t;\n"
	"typealias floating_point { exp_dig = 8; mant_dig = 24; align = 8; } := float32_t;\n"
	"typealias floating_point { exp_dig = 11; mant_dig = 53; align = 8; } := float64_t;\n";

static void write_trace(const struct ctf_trace *t, struct buf *out)
{
	char uuid[37];

	uuid_text(t->uuid, uuid);
	buf_printf(out,
		"trace {\n\tmajor = 1;\n\tminor = 8;\n\tuuid = \"%s\";\n\tbyte_order = le;\n"
		"\tpacket.header := struct {\n"
		"\t\tinteger { size = 32; align = 8; signed = false; } magic;\n"
		"\t\tinteger { size = 8; align = 8; signed = false; } uuid[16];\n"
		"\t\tinteger { size = 32; align = 8; signed = false; } stream_id;\n"
		"\t\tinteger { size = 64; align = 8; signed = false; } stream_instance_id;\n"
		"\t};\n};\n\n",
		uuid);
}

static void write_env(const struct ctf_trace *t, struct buf *out)
{
	buf_str(out, "env {\n");
	for (size_t i = 0; i < t->nfacts; i++) {
		buf_printf(out, "\t%s = ", t->facts[i].name);
		add_quoted(out, t->facts[i].value);
		buf_str(out, ";\n");
	}
	buf_printf(out, "\ttracer_major = %d;\n\ttracer_minor = %d;\n};\n\n", t->as_lttng ? 2 : 0,
		t->as_lttng ? 13 : 1);
}

static void write_clock(const struct ctf_clock *c, struct buf *out)
{
	char uuid[37];

	uuid_text(c->uuid, uuid);
	buf_printf(out, "clock {\n\tname = \"%s\";\n\tuuid = \"%s\";\n", c->name, uuid);
	if (c->description) {
		buf_str(out, "\tdescription = ");
		add_quoted(out, c->description);
		buf_str(out, ";\n");
	}
	buf_printf(out,
		"\tfreq = %" PRIu64 ";\n\toffset_s = %" PRId64 ";\n\toffset = %" PRIu64
		";\n\tabsolute = TRUE;\n};\n\n",
		c->freq, c->offset_s, c->offset_cycles);
}

static void write_begin(const struct ctf_trace *t, struct buf *out)
{
	buf_str(out, "/* CTF 1.8 */\n\n");
	write_trace(t, out);
	write_env(t, out);
	write_clock(&t->clock, out);
	buf_str(out, types);
	buf_str(out, "typealias enum : uint32_t {");
	for (size_t i = 0; i < ARRAY_SIZE(sched_classes); i++)
		buf_printf(out, "%s %s = %u", i ? "," : "", sched_classes[i].name,
			sched_classes[i].value);
	buf_str(out, " } := sched_t;\n\n");
}

static void write_contexts(const struct stream *s, struct buf *out)
{
	buf_str(out, "\tevent.context := struct {\n");
	for (size_t i = 0; s->kind == CTF_STREAM_KERNEL && i < ARRAY_SIZE(kernel_context_types);
		i++)
		buf_printf(out, "\t\t%s _%s;\n", kernel_context_types[i].tsdl,
			kernel_context_types[i].name);
	for (unsigned i = 0; i < CAIRN_CTX_PERF; i++)
		if (s->contexts & 1u << i)
			buf_printf(out, "\t\t%s _%s%s;\n", context_types[i].tsdl,
				context_types[i].name, context_types[i].bits ? "" : "[16]");
	for (uint32_t i = 0; i < s->perf_count; i++)
		buf_printf(out, "\t\tuint64_t _%s;\n", s->perf[i].name);
	buf_str(out, "\t};\n");
}

static void write_header_form(
	struct buf *out, const char *clock, const char *form, unsigned id, unsigned timestamp)
{
	buf_printf(out,
		"\t\t\tstruct {\n"
		"\t\t\t\tinteger { size = %u; align = 1; signed = false; } id;\n"
		"\t\t\t\tinteger { size = %u; align = 1; signed = false; "
		"map = clock.%s.value; } timestamp;\n"
		"\t\t\t} %s;\n",
		id, timestamp, clock, form);
}

static void write_event_header(struct buf *out, const char *clock)
{
	buf_str(out,
		"\tevent.header := struct {\n"
		"\t\tenum : integer { size = 2; align = 1; signed = false; } "
		"{ dense = 0, sparse = 1, extended = 2 } id;\n"
		"\t\tvariant <id> {\n");
	write_header_form(out, clock, "dense", 10, 20);
	write_header_form(out, clock, "sparse", 10, 52);
	write_header_form(out, clock, "extended", 30, 64);
	buf_str(out, "\t\t} v;\n\t} align(8);\n");
}

static void write_stream(const struct ctf_trace *t, uint32_t id, struct buf *out)
{
	const struct stream *s = &t->streams[id];
	static const char *const clocked[] = {"timestamp_begin", "timestamp_end"};
	static const char *const plain[] = {
		"content_size", "packet_size", "events_discarded", "packet_seq_num"};

	buf_printf(out, "stream {\n\tid = %u;\n\tpacket.context := struct {\n", id);
	for (size_t i = 0; i < ARRAY_SIZE(clocked); i++)
		buf_printf(out,
			"\t\tinteger { size = 64; align = 8; signed = false; "
			"map = clock.%s.value; } %s;\n",
			t->clock.name, clocked[i]);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		buf_printf(out, "\t\tuint64_t %s;\n", plain[i]);
	if (s->kind != CTF_STREAM_STATE)
		buf_str(out, "\t\tuint32_t cpu_id;\n");
	buf_str(out, "\t};\n");
	write_event_header(out, t->clock.name);
	if (s->contexts || s->perf_count || s->kind == CTF_STREAM_KERNEL)
		write_contexts(s, out);
	buf_str(out, "};\n\n");
}

static void write_enum_type(struct buf *out, const struct ctf_field *f)
{
	const char *at = f->labels;
	struct label l;

	buf_printf(out, "enum : %sint%u_t {", f->f->flags & CAIRN_FIELD_SIGNED ? "" : "u",
		f->f->width * 8u);
	for (uint32_t i = 0; i < f->f->nlabels; i++) {
		enum_label(f, i, &at, &l);
		buf_str(out, i ? ", " : " ");
		add_quoted(out, l.text);
		buf_printf(out, " = %s", l.value);
	}
	buf_str(out, " }");
}

static void write_integer_type(struct buf *out, const struct ctf_field *f)
{
	bool is_signed = f->f->kind == CAIRN_KIND_INT || f->f->flags & CAIRN_FIELD_SIGNED;
	bool is_hex = f->f->flags & CAIRN_FIELD_HEX;

	if (is_signed && is_hex)
		buf_printf(out, "integer { size = %u; align = 8; signed = true; base = 16; }",
			f->f->width * 8u);
	else
		buf_printf(out, "%s%u_t",
			is_signed	 ? "int"
				: is_hex ? "hex"
					 : "uint",
			f->f->width * 8u);
}

static void write_type(struct buf *out, const struct ctf_field *f)
{
	switch ((enum cairn_kind)f->f->kind) {
	case CAIRN_KIND_ENUM:
		if (f->f->nlabels)
			write_enum_type(out, f);
		else /* no enum without labels in TSDL */
			write_integer_type(out, f);
		return;
	case CAIRN_KIND_UINT:
	case CAIRN_KIND_INT: write_integer_type(out, f); return;
	case CAIRN_KIND_BOOL: buf_str(out, "enum : uint8_t { false = 0, true = 1 }"); return;
	case CAIRN_KIND_CHAR: buf_str(out, "char8_t"); return;
	case CAIRN_KIND_FLOAT: buf_printf(out, "float%u_t", f->f->width * 8u); return;
	case CAIRN_KIND_PTR: buf_str(out, "hex64_t"); return;
	case CAIRN_KIND_STR: buf_str(out, "string"); return;
	case CAIRN_KIND_BYTES: buf_str(out, "hex8_t"); return;
	}
}

static void write_field(struct buf *out, const struct ctf_field *f, const char *name)
{
	buf_str(out, "\t\t");
	if (f->f->form == CAIRN_FORM_SEQUENCE)
		buf_printf(out, "uint32_t __%s_length;\n\t\t", name);
	write_type(out, f);
	buf_printf(out, " _%s", name);
	if (f->f->form == CAIRN_FORM_SEQUENCE)
		buf_printf(out, "[__%s_length]", name);
	else if (f->f->form == CAIRN_FORM_ARRAY)
		buf_printf(out, "[%" PRIu32 "]", f->f->count);
	buf_str(out, ";\n");
}

static void write_event(const struct ctf_trace *t, const struct event *e, const struct ctf_desc *d,
	const struct ctf_names *names, struct buf *out)
{
	AUTO(buf) struct buf uri = {0};

	bool kernel = t->streams[e->stream].kind == CTF_STREAM_KERNEL; /* it has no log levels */

	event_uri(d, &uri);
	if (uri.err)
		out->err = uri.err;
	buf_str(out, "event {\n\tname = ");
	add_quoted(out, e->name);
	buf_printf(out, ";\n\tid = %u;\n\tstream_id = %u;\n", e->id, e->stream);
	if (!kernel)
		buf_printf(out, "\tloglevel = %u;\n", d->d->loglevel);
	if (!kernel && !uri.err) {
		buf_str(out, "\tmodel.emf.uri = ");
		add_quoted(out, uri.data);
		buf_str(out, ";\n");
	}
	buf_str(out, "\tfields := struct {\n");
	for (unsigned i = 0; i < d->d->nfields; i++)
		write_field(out, &d->fields[i], names->name[i]);
	buf_str(out, "\t};\n};\n\n");
}

const struct metadata_writer metadata_writer_1_8 = {write_begin, write_stream, write_event};
