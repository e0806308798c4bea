/* Event classes as the lines see them. Private to event.c and class.c. */
#ifndef CAIRN_VIEW_IMPL_H
#define CAIRN_VIEW_IMPL_H

#include "view/stacks.h"
#include "view/view.h"

#define PIECE_PAD 32 /* bytes that may be read behind each piece */

struct piece { /* text with its length */
	char *text; /* owned by the class's buffer */
	uint32_t len; /* of a field, 0: not shown */
	bool decimal; /* of a field: an integer shown as decimal digits alone */
};

struct view_class {
	int64_t zero_ns; /* of its trace's clock */
	bool has_comm; /* contexts hold the thread's name */
	bool more_contexts; /* than the thread, which stands first in a line */
	bool names_threads; /* of the state dump: says names of threads */
	bool is_log; /* shown by its message */
	enum stacks_kind stack;
	bool plain; /* all fields shown are decimal integers, and a line has at most OUT_ROOM bytes */
	struct view_kernel *kernel; /* of a trace.dat: borrowed from the view; else NULL */
	struct kernel_text_event *kernel_event; /* borrowed from kernel; NULL: without a format */
	bool is_text_line; /* of a latency tracer */
	struct view_ctf_class *ctf_kernel; /* owned: of a kernel trace of ours; else NULL */
	uint32_t nfields;
	struct piece name; /* "provider:event:" or the JSON of both */
	struct piece *fields; /* owned; " name=" each, or the JSON key */
	struct buf text; /* owned; what the pieces point into */
};

void view_class_free(struct view_class *c);
/* Made on first use; NULL: v->err says why. */
const struct view_class *view_class_make(struct view *v, const struct cairn_event_class *cls);
static inline const struct view_class *view_class_of(
	struct view *v, const struct cairn_event_class *cls)
{
	uint32_t i = cls->index;
	const struct view_class *c = i < v->nclasses ? v->classes[i] : NULL;

	return c ? c : view_class_make(v, cls);
}
/* kernel-line.c: fills c->kernel if the class is of a trace.dat; its lines; 0 or -ENOMEM. */
int view_kernel_class(struct view *v, const struct cairn_event_class *cls, struct view_class *c);
void view_kernel_line(struct view *v, const struct view_class *c, const struct cairn_event *ev);
void view_kernels_free(struct view_kernel *k);
/* The line that v->holding has begun: ends it. True if this event is in it, and has none of its own. */
bool view_kernel_join(struct view *v, const struct view_class *c, const struct cairn_event *ev);
/* kernel-ctf.c: fills c->ctf_kernel if the class is of a kernel trace of ours; its lines (false: it is to
 * be shown as any event); 0 or -ENOMEM. */
int view_ctf_class(struct view *v, const struct cairn_event_class *cls, struct view_class *c);
void view_ctf_class_free(struct view_ctf_class *x);
bool view_ctf_line(struct view *v, const struct view_class *c, const struct cairn_event *ev,
	const struct view_prefix *prefix);
void view_ctf_kernels_free(struct view_ctf_kernel *k);
/* The event's time as v->time says, at p. */
char *view_put_time(
	struct view *v, char *p, const struct view_class *c, const struct cairn_event *ev);
/* Contexts that stand first in a line. */
bool view_names_thread(const char *name);
/* Text that a terminal may have, as out_safe() has it. */
void buf_safe(struct buf *b, const char *s);

#endif
