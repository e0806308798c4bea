/* Lines of kernel events: in the style of trace-cmd report, and with the usual front. */
#include "view/view-impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "reader/dat.h"
#include "view/kernel-text.h"

enum { NAME_WIDTH = 20 };

struct view_kernel { /* what is known of one file */
	const struct dat *dat; /* borrowed from the reader */
	struct kernel_text *text; /* owned */
	struct view_kernel *next;
	uint32_t names_version; /* that prefixes were made with */
	int buffer_width; /* of the longest name of an instance; 0: there is none */
	struct buf held; /* owned: a record whose line has only its front yet */
	struct kernel_text_event *held_event;
	int held_cpu;
	bool named; /* the buffer's name stands before the loss already: as trace-cmd has it */
};

static int load_symbols(void *arg, struct buf *ret)
{
	const struct dat *d = arg;

	return trace_dat_text(d->file, &d->file->kallsyms, ret);
}

static int load_printk(void *arg, struct buf *ret)
{
	const struct dat *d = arg;

	return trace_dat_text(d->file, &d->file->printk, ret);
}

static struct view_kernel *kernel_of(struct view *v, const struct dat *d)
{
	struct kernel_text_options o = {.big_endian = d->file->big_endian,
		.long_size = d->file->long_size,
		.ncpus = d->file->ncpus,
		.like_report = v->style == VIEW_REPORT,
		.symbols = load_symbols,
		.printk = load_printk,
		.arg = (void *)(uintptr_t)d};
	struct view_kernel *k = v->kernels;

	while (k && k->dat != d)
		k = k->next;
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k || kernel_text_new(&o, &k->text) < 0) {
		free(k);
		return NULL;
	}
	k->dat = d;
	for (size_t i = 0; i < d->file->nbuffers; i++)
		k->buffer_width = MAX(k->buffer_width, (int)strlen(d->file->buffers[i].name));
	k->next = v->kernels;
	v->kernels = k;
	return k;
}

void view_kernels_free(struct view_kernel *k)
{
	while (k) {
		struct view_kernel *next = k->next;

		kernel_text_free(k->text);
		buf_done(&k->held);
		free(k);
		k = next;
	}
}

int view_kernel_class(struct view *v, const struct cairn_event_class *cls, struct view_class *c)
{
	const struct dat *d = dat_of(cls->trace);
	const struct dat_class *dc = dat_class_of(cls);

	if (!d || (v->style != VIEW_TRACE && v->style != VIEW_REPORT))
		return 0;
	c->kernel = kernel_of(v, d);
	if (!c->kernel)
		return -ENOMEM;
	c->is_text_line = dc->id >= DAT_IDS;
	if (!dc->text)
		return 0;
	c->kernel_event =
		kernel_text_event(c->kernel->text, dc->text->system, dc->text->text, dc->text->len);
	return c->kernel_event ? 0 : -ENOMEM;
}

/* ---- the front ---- */

static void prefix_make(struct view *v, struct view_prefix *p, const struct cairn_event *ev,
	const struct dat *d, int64_t tid)
{
	const char *name = dat_name(d, (int32_t)tid);
	AUTO(buf) struct buf b = {0};

	p->of = d;
	p->tid = tid;
	p->cpu = ev->cpu;
	p->comm[0] = name ? 'x' : '\0'; /* whether it may become known */
	buf_safe(&b, name ? name : "<...>");
	p->len = (uint32_t)snprintf(p->text, sizeof(p->text),
		v->style == VIEW_REPORT ? "%16s-%-5lld [%03d]" : "%16s-%-7lld [%03d] ",
		b.data ? b.data : "", (long long)tid, ev->cpu);
	p->len = MIN(p->len, (uint32_t)sizeof(p->text) - 1);
}

static const struct view_prefix *prefix_of(
	struct view *v, struct view_kernel *k, const struct cairn_event *ev)
{
	int64_t tid = cairn_event_tid(ev);
	struct view_prefix *p =
		&v->prefixes[((uint64_t)tid * 31 + (uint32_t)ev->cpu) % VIEW_PREFIXES];

	if (k->names_version != k->dat->names_version) {
		k->names_version = k->dat->names_version;
		for (size_t i = 0; i < VIEW_PREFIXES; i++)
			if (!v->prefixes[i].comm[0])
				v->prefixes[i].len = 0;
	}
	if (!p->len || p->tid != tid || p->cpu != ev->cpu || p->of != k->dat)
		prefix_make(v, p, ev, k->dat, tid);
	return p;
}

/* Microseconds, rounded; or what the clock counts. */
static char *put_report_time(const struct view_kernel *k, char *p, uint64_t t)
{
	if (trace_dat_is_ns(k->dat->file)) {
		t = (t + 500) / 1000;
		if (t > 1000000) {
			*p++ = ' ';
			if (t / 1000000 < 10000)
				p = put_padded(p, t / 1000000, 5, ' ');
			else
				p = put_u64(p, t / 1000000);
			*p++ = '.';
			return put_padded(p, t % 1000000, 6, '0');
		}
		*p++ = ' ';
	}
	if (t < 100000000000)
		return put_padded(p, t, 12, ' ');
	return put_u64(p, t);
}

static void put_buffer(struct out *o, struct view_kernel *k, const struct cairn_stream_info *stream)
{
	const char *name = dat_buffer_name(stream);
	bool named = k->named;

	k->named = false;
	if (k->buffer_width && !named)
		out_printf(o, name[0] ? "%*s: " : "%*s  ", k->buffer_width, name);
}

static void put_front(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	static const char spaces[] = "                    ";
	const struct view_prefix *prefix = prefix_of(v, c->kernel, ev);
	struct out *o = v->out;
	size_t n = strlen(ev->cls->event);
	char *p;

	put_buffer(o, c->kernel, ev->stream);
	p = out_room(o);
	memcpy(p, prefix->text, sizeof(prefix->text));
	p = put_report_time(c->kernel, p + prefix->len, (uint64_t)ev->time_ns);
	memcpy(p, ": ", 2);
	p += 2;
	n = MIN(n, 128u);
	memcpy(p, ev->cls->event, n);
	p += n;
	memcpy(p, ": ", 2);
	p += 2;
	memcpy(p, spaces, NAME_WIDTH);
	out_wrote(o, p + (n < NAME_WIDTH ? NAME_WIDTH - n : 0));
}

/* ---- lines ---- */

static void put_record(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	size_t n, len = 0;
	const uint8_t *record = dat_record(ev, &n);
	const char *text;

	if (!c->kernel_event) { /* its format is missing */
		for (size_t i = 0; i < n; i++)
			out_printf(v->out, i ? " %02x" : "%02x", record[i]);
		return;
	}
	text = kernel_text_put(c->kernel->text, c->kernel_event, record, n, ev->cpu, &len);
	out_bytes(v->out, text, len);
}

/* The entry of a function: what follows says how it is shown. */
static void hold(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	struct view_kernel *k = c->kernel;
	const uint8_t *record;
	size_t n;

	record = dat_record(ev, &n);
	buf_clear(&k->held);
	buf_add(&k->held, record, n);
	k->held_event = c->kernel_event;
	k->held_cpu = ev->cpu;
	v->holding = k;
	if (k->held.err)
		view_finish(v);
}

void view_finish(struct view *v)
{
	struct view_kernel *k = v->holding;
	const char *text;
	size_t len;

	if (!k)
		return;
	v->holding = NULL;
	text = kernel_text_put(k->text, k->held_event, k->held.data ? k->held.data : "",
		k->held.len, k->held_cpu, &len);
	out_bytes(v->out, text, len);
	out_char(v->out, '\n');
}

bool view_kernel_join(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	struct view_kernel *k = v->holding;
	struct kernel_record entry = {k->held_event, (const uint8_t *)k->held.data, k->held.len};
	struct kernel_record exit = {.event = c->kernel == k ? c->kernel_event : NULL};
	const char *text = NULL;
	size_t len;

	if (exit.event) {
		exit.data = dat_record(ev, &exit.n);
		text = kernel_text_leaf(k->text, &entry, &exit, &len);
	}
	if (!text) {
		view_finish(v);
		return false;
	}
	v->holding = NULL;
	out_bytes(v->out, text, len);
	out_char(v->out, '\n');
	return true;
}

void view_kernel_line(struct view *v, const struct view_class *c, const struct cairn_event *ev)
{
	struct out *o = v->out;

	if (c->is_text_line) {
		size_t n;
		const struct cairn_value *line = cairn_event_fields(ev, &n);

		if (n)
			out_safe(o, line->str, line->count);
		out_char(o, '\n');
		return;
	}
	if (v->style == VIEW_REPORT) {
		put_front(v, c, ev);
	} else {
		const struct view_prefix *prefix = prefix_of(v, c->kernel, ev);
		char *p = out_room(o);

		memcpy(p, prefix->text, sizeof(prefix->text));
		p = view_put_time(v, p + prefix->len, c, ev);
		memcpy(p, ": ", 2);
		out_wrote(o, p + 2);
		out_bytes(o, c->name.text, c->name.len);
		out_char(o, ' ');
	}
	if (c->kernel_event && kernel_text_graph(c->kernel_event) == KERNEL_GRAPH_ENTRY) {
		hold(v, c, ev);
		return;
	}
	put_record(v, c, ev);
	out_str(o, ev->flags & CAIRN_EVENT_LATE ? " (late)\n" : "\n");
}

void view_report_head(struct view *v, const struct cairn_trace *trace)
{
	const struct dat *d = dat_of(trace);

	if (d && v->style == VIEW_REPORT)
		out_printf(v->out, "cpus=%u\n", d->file->ncpus);
}

void view_loss(struct view *v, const struct cairn_loss *loss)
{
	const struct dat *d = dat_of(loss->stream->trace);
	struct view_kernel *k = d && v->style == VIEW_REPORT ? kernel_of(v, d) : NULL;

	if (!k)
		return;
	view_finish(v);
	put_buffer(v->out, k, loss->stream);
	k->named = true;
	out_printf(v->out, "CPU:%d ", (int)loss->stream->cpu);
	if (loss->count)
		out_printf(v->out, "[%llu EVENTS DROPPED]\n", (unsigned long long)loss->count);
	else
		out_str(v->out, "[EVENTS DROPPED]\n");
}

bool view_is_trace_dat(const struct cairn_trace *trace)
{
	return dat_of(trace) != NULL;
}
