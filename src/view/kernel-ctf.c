/* Events of Cairn's kernel traces as the kernel's own trace file shows them: their records are made again
 * (kernel-record.c) and printed by the print formats that the trace has kept (kernel/texts.h).
 *
 *	            bash-1234    [001] d..2.  5678.123456789: sched:sched_waking: comm=x pid=2 ...
 *
 * The five characters are the kernel's: interrupts off, reschedule needed, in an interrupt, depth of
 * preemption and of migration disabled.
 */
#include "view/view-impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/texts.h"
#include "reader/bytes.h"
#include "view/kernel-record.h"
#include "view/kernel-text.h"

struct view_ctf_kernel { /* what is known of one trace */
	const struct cairn_trace *trace; /* borrowed from the reader */
	struct kernel_text *text; /* owned; NULL: the trace has no texts */
	struct buf texts; /* owned */
	size_t indexed; /* bytes of the texts that formats knows of */
	struct map formats; /* "system:name" -> where its text begins + 1 */
	uint8_t *record; /* owned: KERNEL_RECORD_MAX */
	uint16_t flags; /* that flags_text shows */
	char flags_text[8];
	struct view_ctf_kernel *next;
};

struct view_ctf_class {
	struct view_ctf_kernel *kernel; /* borrowed */
	struct kernel_text_event *text; /* borrowed from kernel->text */
	struct kernel_recipe *recipe; /* owned */
};

/* ---- a trace's texts ---- */

static int load_file(const struct view_ctf_kernel *k, const char *name, struct buf *ret)
{
	struct ktext t;
	size_t at = 0;

	while (ktexts_next(k->texts.data, k->texts.len, &at, &t) == 1) {
		if (strcmp(t.what, "file") != 0 || strcmp(t.name, name) != 0)
			continue;
		buf_add(ret, t.text, t.len);
		return ret->err;
	}
	return -ENOENT;
}

static int load_symbols(void *arg, struct buf *ret)
{
	return load_file(arg, "kallsyms", ret);
}

static int load_printk(void *arg, struct buf *ret)
{
	return load_file(arg, "printk_formats", ret);
}

/* Where each event's last text is, of those from k->indexed on. */
static int index_texts(struct view_ctf_kernel *k)
{
	char name[400];
	size_t at = k->indexed, before = at;
	struct ktext t;

	while (ktexts_next(k->texts.data, k->texts.len, &at, &t) == 1) {
		if (strcmp(t.what, "format") == 0) {
			(void)snprintf(name, sizeof(name), "%s:%s", t.system, t.name); /* fits */
			if (map_put(&k->formats, name, strlen(name),
				    (void *)(uintptr_t)(before + 1)) < 0)
				return -ENOMEM;
		}
		before = at;
	}
	k->indexed = before;
	return 0;
}

/* Of "6.18.44-amd64": major << 8 | minor; 0: the trace does not say. */
static unsigned version_of(const struct cairn_trace *t)
{
	for (size_t i = 0; i < t->nfacts; i++) {
		const char *release = t->facts[i].text;
		unsigned major, minor;

		if (strcmp(t->facts[i].name, "kernel_release") == 0 && release &&
			sscanf(release, "%u.%u", &major, &minor) == 2 && major < 256 && minor < 256)
			return major << 8 | minor;
	}
	return 0;
}

static int load_texts(struct view_ctf_kernel *k)
{
	struct kernel_text_options o = {.long_size = 8,
		.ncpus = 1,
		.like_kernel = true,
		.kernel_version = version_of(k->trace),
		.symbols = load_symbols,
		.printk = load_printk,
		.arg = k};

	k->record = malloc(KERNEL_RECORD_MAX);
	return k->record ? kernel_text_new(&o, &k->text) : -ENOMEM;
}

/* What has come since last time: from a pipe, or to the file (a trace may grow while it is read). */
static int more_texts(struct view_ctf_kernel *k)
{
	AUTO(buf) struct buf file = {0};
	char path[4096];
	size_t n;
	const char *texts = reader_texts(k->trace, &n);

	(void)snprintf(path, sizeof(path), "%s/" KTEXTS_DIR "/" KTEXTS_FILE,
		k->trace->path); /* cut: ENOENT */
	if (strcmp(k->trace->path, "-") != 0 && read_file(path, KTEXTS_MAX, &file) == 0) {
		texts = file.data;
		n = file.len;
	} /* else events are shown with their fields */
	if (n > k->texts.len)
		buf_add(&k->texts, texts + k->texts.len, n - k->texts.len);
	return k->texts.err ? k->texts.err : index_texts(k);
}

/* Where the class's format is in the texts; SIZE_MAX: nowhere. */
static size_t find_format(struct view_ctf_kernel *k, const struct cairn_event_class *cls)
{
	size_t at = (uintptr_t)map_get(&k->formats, cls->name, strlen(cls->name));

	if (!at && more_texts(k) == 0) /* without memory it is shown with its fields */
		at = (uintptr_t)map_get(&k->formats, cls->name, strlen(cls->name));
	return at - 1;
}

static bool is_kernel_trace(const struct cairn_trace *t)
{
	for (size_t i = 0; t->is_cairn && i < t->nfacts; i++)
		if (strcmp(t->facts[i].name, "domain") == 0)
			return t->facts[i].text && strcmp(t->facts[i].text, "kernel") == 0;
	return false;
}

static struct view_ctf_kernel *kernel_of(struct view *v, const struct cairn_trace *trace)
{
	struct view_ctf_kernel *k = v->ctf_kernels;

	while (k && k->trace != trace)
		k = k->next;
	if (k)
		return k;
	k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->trace = trace;
	k->next = v->ctf_kernels;
	v->ctf_kernels = k;
	return load_texts(k) < 0 ? NULL : k;
}

void view_ctf_kernels_free(struct view_ctf_kernel *k)
{
	while (k) {
		struct view_ctf_kernel *next = k->next;

		kernel_text_free(k->text);
		map_done(&k->formats);
		buf_done(&k->texts);
		free(k->record);
		free(k);
		k = next;
	}
}

/* ---- classes ---- */

static int class_of_format(
	struct view_ctf_class *x, const struct cairn_event_class *cls, const struct ktext *t)
{
	struct kformat *f;

	if (kformat_parse(t->text, t->len, t->system, 8, &f, NULL) < 0)
		return 0;
	x->recipe = kernel_recipe_new(f, cls);
	kformat_free(f);
	if (!x->recipe)
		return 0;
	x->text = kernel_text_event(x->kernel->text, t->system, t->text, t->len);
	return x->text ? 1 : -ENOMEM;
}

int view_ctf_class(struct view *v, const struct cairn_event_class *cls, struct view_class *c)
{
	struct view_ctf_class *x;
	struct view_ctf_kernel *k;
	struct ktext t;
	size_t at;
	int r;

	if (v->style != VIEW_TRACE && v->style != VIEW_REPORT)
		return 0;
	if (!is_kernel_trace(cls->trace) || strcmp(cls->provider, "ftrace") == 0)
		return 0;
	k = kernel_of(v, cls->trace);
	if (!k)
		return -ENOMEM;
	at = find_format(k, cls);
	if (!k->text || at == SIZE_MAX)
		return 0;
	if (ktexts_next(k->texts.data, k->texts.len, &at, &t) != 1)
		return 0;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	x->kernel = k;
	r = class_of_format(x, cls, &t);
	if (r == 1)
		c->ctf_kernel = x;
	else
		view_ctf_class_free(x);
	return MIN(r, 0);
}

void view_ctf_class_free(struct view_ctf_class *x)
{
	if (!x)
		return;
	kernel_recipe_free(x->recipe);
	free(x);
}

/* ---- lines ---- */

#define IRQS_OFF 0x01
#define RESCHED_LAZY 0x02
#define RESCHED 0x04
#define HARDIRQ 0x08
#define SOFTIRQ 0x10
#define PREEMPT_RESCHED 0x20
#define NMI 0x40
#define BH_OFF 0x80

static char depth(unsigned n)
{
	return n ? "0123456789abcdef"[n] : '.';
}

#define PREFIX_USUAL 48 /* nearly all are shorter */
#define FRONT_MAX 64 /* flags, the time and what stands between */

/* As the kernel's trace_print_lat_fmt(). */
static void make_flags(char *p, uint8_t flags, uint8_t preempt)
{
	static const char resched[] = {
		'.', 'l', 'n', 'L', 'p', 'b', 'N', 'B'}; /* lazy, now, preempt */
	unsigned r = (flags & RESCHED_LAZY ? 1 : 0) + (flags & RESCHED ? 2 : 0) +
		(flags & PREEMPT_RESCHED ? 4 : 0);

	*p++ = flags & IRQS_OFF ? (flags & BH_OFF ? 'D' : 'd') : flags & BH_OFF ? 'b' : '.';
	*p++ = resched[r];
	*p++ = flags & NMI	  ? (flags & HARDIRQ ? 'Z' : 'z')
		: flags & HARDIRQ ? (flags & SOFTIRQ ? 'H' : 'h')
		: flags & SOFTIRQ ? 's'
				  : '.';
	*p++ = depth(preempt & 15);
	*p++ = depth(preempt >> 4);
	*p = ' ';
}

/* Of the record's head; they are often those of the event before. */
static inline char *put_flags(char *p, struct view_ctf_kernel *k)
{
	uint16_t flags;

	memcpy(&flags, k->record + 2, sizeof(flags));
	if (flags != k->flags || !k->flags_text[0]) {
		k->flags = flags;
		make_flags(k->flags_text, k->record[2], k->record[3]);
	}
	memcpy(p, k->flags_text, sizeof(k->flags_text));
	return p + 6;
}

bool view_ctf_line(struct view *v, const struct view_class *c, const struct cairn_event *ev,
	const struct view_prefix *prefix)
{
	struct view_ctf_class *x = c->ctf_kernel;
	struct out *o = v->out;
	size_t n, len;
	const uint8_t *bytes = reader_bytes(ev, &n);
	const char *text;
	char *p;

	n = bytes ? kernel_record(x->recipe, bytes, n, x->kernel->record) : 0;
	if (!n)
		return false;
	text = kernel_text_put(x->kernel->text, x->text, x->kernel->record, n, ev->cpu, &len);
	p = out_room(o);
	memcpy(p, prefix->text, PREFIX_USUAL);
	if (prefix->len > PREFIX_USUAL)
		memcpy(p + PREFIX_USUAL, prefix->text + PREFIX_USUAL, prefix->len - PREFIX_USUAL);
	p = put_flags(p + prefix->len, x->kernel);
	p = view_put_time(v, p, c, ev);
	memcpy(p, ": ", 2);
	p += 2;
	if (sizeof(prefix->text) + FRONT_MAX + c->name.len + len <= OUT_ROOM) { /* nearly always */
		memcpy(p, c->name.text, PIECE_PAD);
		if (c->name.len > PIECE_PAD)
			memcpy(p + PIECE_PAD, c->name.text + PIECE_PAD, c->name.len - PIECE_PAD);
		p += c->name.len;
		*p++ = ' ';
		memcpy(p, text, len);
		p += len;
		if (!(ev->flags & CAIRN_EVENT_LATE)) {
			*p = '\n';
			out_wrote(o, p + 1);
			return true;
		}
		out_wrote(o, p);
	} else {
		out_wrote(o, p);
		out_bytes(o, c->name.text, c->name.len);
		out_char(o, ' ');
		out_bytes(o, text, len);
	}
	out_str(o, ev->flags & CAIRN_EVENT_LATE ? " (late)\n" : "\n");
	return true;
}
