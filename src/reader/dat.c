/* trace.dat files as traces: opening, classes by id, names of tasks. */
#include "reader/dat-impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { COMM = 16 };

const struct dat *dat_of(const struct cairn_trace *trace)
{
	const struct trace *t = trace ? (const struct trace *)(const void *)((const char *)trace -
						offsetof(struct trace, meta.pub))
				      : NULL;

	return t ? t->dat : NULL;
}

/* ---- names of tasks: the first that is said of a task counts ---- */

static int add_name(struct dat *d, int32_t pid, const char *name, size_t n)
{
	char *copy;

	n = strnlen(name, MIN(n, (size_t)COMM));
	if (map_get(&d->names, &pid, sizeof(pid)))
		return 0;
	copy = strndup(name, n);
	if (!copy || map_put(&d->names, &pid, sizeof(pid), copy) < 0) {
		free(copy);
		return -ENOMEM;
	}
	d->names_version++;
	return 0;
}

/* "PID NAME\n"... */
int dat_learn_names(struct dat *d)
{
	const char *p = d->file->cmdlines.data, *end = p ? p + d->file->cmdlines.len : NULL;

	while (p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline ? newline : end;
		char *name;
		long pid = strtol(p, &name, 10);

		if (name < stop && *name == ' ' && name > p &&
			add_name(d, (int32_t)pid, name + 1, (size_t)(stop - name - 1)) < 0)
			return -ENOMEM;
		p = stop + 1;
	}
	return 0;
}

void dat_learn(struct dat *d, const struct dat_class *cls, const uint8_t *record, size_t n)
{
	for (int i = 0; i < 2 && cls->comm_at[i] >= 0; i++) {
		size_t comm = (size_t)cls->comm_at[i], pid = (size_t)cls->pid_at[i];

		if (comm + cls->comm_size > n || pid + 4 > n)
			return;
		/* without memory, the name is not known */
		(void)add_name(d, (int32_t)dat_number32(d, record + pid),
			(const char *)record + comm, cls->comm_size);
	}
}

const char *dat_name(const struct dat *d, int32_t pid)
{
	return pid == 0 ? "<idle>" : map_get(&d->names, &pid, sizeof(pid));
}

void dat_names_done(struct dat *d)
{
	void *name;

	for (size_t i = 0; (name = map_next(&d->names, &i, NULL, NULL));)
		free(name);
	map_done(&d->names);
}

/* ---- classes ---- */

static int add_class(struct dat *d, struct dat_class *c)
{
	const struct cairn_event_class **slot;

	if (!c)
		return -ENOMEM;
	slot = VEC_ADD(d->classes, d->nclasses, d->classes_cap);
	if (!slot)
		return -ENOMEM;
	*slot = &c->pub;
	c->pub.trace = d->pub;
	c->pub.index = d->r->nclasses++;
	d->pub->classes = d->classes;
	d->pub->nclasses = d->nclasses;
	if (c->id < DAT_IDS && !d->by_id[c->id])
		d->by_id[c->id] = c;
	return 0;
}

const struct dat_class *dat_unknown(struct dat *d, uint32_t id)
{
	struct dat_class *c = dat_class_unknown(d, id);

	return add_class(d, c) == 0 ? c : NULL;
}

const struct dat_class *dat_add_line_class(struct dat *d)
{
	struct dat_class *c = dat_class_line(d);

	return add_class(d, c) == 0 ? c : NULL;
}

static int add_formats(struct dat *d)
{
	for (size_t i = 0; i < d->file->nformats; i++) {
		const struct dat_format *text = &d->file->formats[i];
		struct error why = {0};
		struct kformat *fmt;
		struct dat_class *c;
		int e = kformat_parse(
			text->text, text->len, text->system, d->file->long_size, &fmt, &why);

		if (e == -EPROTO) {
			if (dat_notice(d->file, 0, "a format of the system %.40s: %.120s (%.40s)",
				    text->system, why.message, why.where) == -ENOMEM)
				return -ENOMEM;
			continue;
		}
		if (e < 0)
			return e;
		c = dat_class_new(d, fmt, text);
		if (add_class(d, c) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_fact(struct dat *d, const char *name, const char *text, int64_t number)
{
	struct cairn_fact *f = VEC_ADD(d->facts, d->nfacts, d->facts_cap);

	if (!f)
		return -ENOMEM;
	*f = (struct cairn_fact){.name = name, .text = text, .number = number};
	return 0;
}

static const char *uname_word(struct dat *d, unsigned n)
{
	const char *p = d->file->uname;

	for (; p && n; n--) {
		p = strchr(p, ' ');
		p = p ? p + 1 : NULL;
	}
	return p ? arena_strndup(&d->arena, p, strcspn(p, " ")) : NULL;
}

static int describe(struct dat *d)
{
	const struct trace_dat *f = d->file;
	const char *host = uname_word(d, 1), *release = uname_word(d, 2);
	const char *clock = f->buffers[0].clock[0] ? f->buffers[0].clock : "local";
	int e = add_fact(d, "tracer_name", "trace-cmd", 0);

	if (e == 0 && f->made_by)
		e = add_fact(d, "tracer_version", f->made_by, 0);
	if (e == 0)
		e = add_fact(d, "file_version", NULL, f->version);
	if (e == 0 && host)
		e = add_fact(d, "hostname", host, 0);
	if (e == 0 && release)
		e = add_fact(d, "kernel_release", release, 0);
	if (e == 0)
		e = add_fact(d, "trace_clock", clock, 0);
	d->clock = (struct cairn_clock_info){.name = clock,
		.description = "clock of the kernel's ring buffer",
		.uuid = "",
		.freq = 1000000000,
		.precision = 1,
		.offset_s = f->add_ns / 1000000000,
		.offset = 0,
		.absolute = f->add_ns != 0};
	if (f->add_ns % 1000000000 < 0)
		d->clock.offset_s--;
	d->clock.offset = (uint64_t)(f->add_ns - d->clock.offset_s * 1000000000);
	d->pub->clocks = &d->clock;
	d->pub->nclocks = 1;
	d->pub->facts = d->facts;
	d->pub->nfacts = d->nfacts;
	d->pub->uuid = "";
	d->pub->big_endian = f->big_endian;
	return e;
}

/* Layouts of old kernels are as header_page says; without it they are as long as it has been. */
static int read_layout(struct dat *d, struct error *err)
{
	const struct trace_dat *f = d->file;

	d->is_swapped = f->big_endian != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
	if (f->header_page.len && f->header_page.data)
		return kpage_layout_parse(f->header_page.data, f->header_page.len, f->page_bytes,
			d->is_swapped, &d->layout, err);
	d->layout = (struct kpage_layout){.swap = d->is_swapped,
		.long_size = f->long_size,
		.commit_at = 8,
		.data_at = (uint16_t)(8 + f->long_size),
		.size = f->page_bytes};
	return 0;
}

static int fill(struct dat *d, struct error *err)
{
	int e;

	d->by_id = calloc(DAT_IDS, sizeof(*d->by_id));
	if (!d->by_id)
		return -ENOMEM;
	e = read_layout(d, err);
	if (e == 0)
		e = add_formats(d);
	if (e == 0)
		e = dat_learn_names(d);
	if (e == 0)
		e = describe(d);
	d->is_plain_time = !d->file->mult && !d->file->nshifts;
	return e;
}

int dat_open(struct cairn_reader *r, const char *path, struct trace **ret, struct error *err)
{
	struct trace *t = trace_new(r, path);
	struct stat st;
	int e;

	if (!t)
		return error_set(err, -ENOMEM, "no memory for a trace");
	t->dat = calloc(1, sizeof(*t->dat));
	if (!t->dat) {
		trace_free(t);
		return error_set(err, -ENOMEM, "no memory for a trace");
	}
	t->dat->r = r;
	t->dat->pub = &t->meta.pub;
	e = trace_dat_open(path, &t->dat->file, err);
	if (e == 0)
		e = fill(t->dat, err);
	if (e < 0) {
		if (e == -ENOMEM)
			error_set(err, e, "no memory for a trace");
		else if (!err->where[0])
			error_where(err, "%.120s", path);
		trace_free(t);
		return e;
	}
	if (stat(path, &st) == 0) {
		t->dev = st.st_dev;
		t->ino = st.st_ino;
	}
	*ret = t;
	return 0;
}

void dat_free(struct dat *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->nclasses; i++)
		kformat_free((struct kformat *)(uintptr_t)dat_class_of(d->classes[i])->fmt);
	free(d->by_id);
	free(d->classes);
	free(d->facts);
	dat_names_done(d);
	arena_done(&d->arena);
	trace_dat_free(d->file);
	free(d);
}
