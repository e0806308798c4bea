/* Metadata text, what both versions of CTF share: what is new since a position, the tables of
 * contexts, labels, and where events come from. */
#include "ctf/write-impl.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct metadata_writer *const writers[] = {
	[CTF_1_8] = &metadata_writer_1_8,
	[CTF_2] = &metadata_writer_2,
};

const struct context_type context_types[CAIRN_CTX_PERF] = {
	[CAIRN_CTX_TID] = {"tid", "int32_t", 32, true, false},
	[CAIRN_CTX_PID] = {"pid", "int32_t", 32, true, false},
	[CAIRN_CTX_COMM] = {"comm", "char8_t", 0, false, false},
	[CAIRN_CTX_CPU] = {"cpu", "uint32_t", 32, false, false},
	[CAIRN_CTX_NICE] = {"nice", "int32_t", 32, true, false},
	[CAIRN_CTX_SCHED] = {"sched", "sched_t", 32, false, false},
	[CAIRN_CTX_CGROUP] = {"cgroup", "uint64_t", 64, false, false},
	[CAIRN_CTX_IP] = {"ip", "hex64_t", 64, false, true},
};

const struct context_type kernel_context_types[3] = {
	{"tid", "int32_t", 32, true, false},
	{"common_flags", "hex8_t", 8, false, true},
	{"common_preempt_count", "uint8_t", 8, false, false},
};

const struct sched_class sched_classes[7] = {{"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
	{"SCHED_BATCH", 3}, {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6}, {"SCHED_EXT", 7}};

void enum_label(const struct ctf_field *f, uint32_t i, const char **at, struct label *ret)
{
	unsigned shift = 64 - f->f->width * 8u;
	uint64_t v = (uint64_t)f->values[i] << shift;

	if (f->f->flags & CAIRN_FIELD_SIGNED)
		(void)snprintf(ret->value, sizeof(ret->value), "%" PRId64, (int64_t)v >> shift);
	else
		(void)snprintf(ret->value, sizeof(ret->value), "%" PRIu64, v >> shift);
	ret->text = *at;
	*at += strlen(*at) + 1;
}

static void add_percent(struct buf *out, const char *s)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";

	for (; *s; s++)
		if (strchr(plain, *s))
			buf_char(out, *s);
		else
			buf_printf(out, "%%%02X", (unsigned char)*s);
}

void event_uri(const struct ctf_desc *d, struct buf *out)
{
	const char *sep = "?";

	buf_str(out, d->format ? "cairn:log" : "cairn:site");
	if (d->format) {
		buf_str(out, "?format=");
		add_percent(out, d->format);
		sep = "&";
	}
	if (*d->file) {
		buf_printf(out, "%sfile=", sep);
		add_percent(out, d->file);
		buf_printf(out, "&line=%" PRIu32, d->d->line);
		sep = "&";
	}
	if (*d->function) {
		buf_printf(out, "%sfunction=", sep);
		add_percent(out, d->function);
	}
}

void uuid_text(const uint8_t u[16], char ret[37])
{
	char *p = ret;

	for (int i = 0; i < 16; i++)
		p += snprintf(
			p, 4, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", u[i]);
}

int ctf_metadata(
	struct ctf_trace *t, enum ctf_version version, struct ctf_text_pos *pos, struct buf *out)
{
	const struct metadata_writer *w = writers[version];
	struct ctf_names names;
	struct ctf_desc d;

	if (!pos->begun)
		w->begin(t, out);
	for (uint32_t i = pos->streams; i < t->nstreams; i++)
		w->stream(t, i, out);
	for (uint32_t i = pos->events; i < t->nevents; i++) {
		const struct event *e = &t->events[i];
		int err = ctf_desc_parse(e->bytes, e->len, &d, NULL); /* was checked when added */

		if (err < 0)
			return err;
		ctf_field_names(&d, &names);
		w->event(t, e, &d, &names, out);
	}
	if (out->err)
		return out->err;
	t->begun = true;
	*pos = (struct ctf_text_pos){(uint32_t)t->nstreams, (uint32_t)t->nevents, true};
	return 0;
}
