/* Makes event descriptions from calls: for events that the host itself writes, and for tests. */
#include "ctf/ctf.h"
#include <errno.h>
#include <string.h>

static void add_string(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s) + 1);
}

void ctf_make(struct ctf_maker *m, const char *provider, const char *event, int loglevel,
	const char *format)
{
	*m = (struct ctf_maker){.d = {.abi = CAIRN_ABI, .loglevel = (uint8_t)loglevel}};
	add_string(&m->names, provider);
	add_string(&m->names, event);
	if (format) {
		m->d.flags = CAIRN_DESC_LOG;
		add_string(&m->names, format);
	}
	add_string(&m->names, ""); /* file */
	add_string(&m->names, ""); /* function */
}

void ctf_make_field(struct ctf_maker *m, const char *name, enum cairn_kind kind,
	enum cairn_form form, unsigned width, unsigned count, unsigned flags)
{
	if (m->d.nfields >= CTF_MAX_FIELDS) {
		m->names.err = m->names.err ? m->names.err : -EINVAL;
		return;
	}
	m->fields[m->d.nfields++] = (struct cairn_field){.kind = (uint8_t)kind,
		.form = (uint8_t)form,
		.width = (uint8_t)width,
		.flags = (uint8_t)flags,
		.count = count};
	add_string(&m->names, name);
}

void ctf_make_label(struct ctf_maker *m, int64_t value, const char *label)
{
	if (!m->d.nfields || m->d.nlabels == UINT16_MAX) {
		m->names.err = m->names.err ? m->names.err : -EINVAL;
		return;
	}
	m->fields[m->d.nfields - 1].nlabels++;
	m->d.nlabels++;
	buf_add(&m->values, &value, sizeof(value));
	add_string(&m->names, label);
}

int ctf_make_done(struct ctf_maker *m, struct buf *out)
{
	size_t fields = m->d.nfields * sizeof(struct cairn_field);

	m->d.size = (uint32_t)(sizeof(m->d) + fields + m->values.len + m->names.len);
	buf_clear(out);
	buf_add(out, &m->d, sizeof(m->d));
	buf_add(out, m->fields, fields);
	buf_add(out, m->values.data ? m->values.data : "", m->values.len);
	buf_add(out, m->names.data ? m->names.data : "", m->names.len);
	if (!out->err)
		out->err = m->values.err ? m->values.err : m->names.err;
	buf_done(&m->values);
	buf_done(&m->names);
	return out->err;
}
