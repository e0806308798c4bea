/* Records of the kernel's events as text: what stands behind the event's name in the kernel's trace
 * file, or in the output of trace-cmd report.
 *
 * libtraceevent parses the print format of an event and says how it is to be printed. Most formats
 * are then made into a plan (kernel-plan.c), which prints several times as fast; what a plan cannot do
 * libtraceevent prints. The first records of each event are printed both ways: if the two differ, the
 * plan is dropped. (The records handed to libtraceevent are copies with room behind, because it trusts
 * the offsets that are in them.)
 *
 * Strings of records are escaped, so that a line is a line: control characters and bytes that are not
 * UTF-8 become \xNN.
 */
#ifndef CAIRN_VIEW_KERNEL_TEXT_H
#define CAIRN_VIEW_KERNEL_TEXT_H

#include "base/base.h"

struct kernel_text;
struct kernel_text_event; /* what is worked out once for an event */

struct kernel_text_options {
	bool big_endian; /* of the records */
	unsigned long_size; /* 4 or 8 */
	uint32_t ncpus;
	/* As trace-cmd report prints: events that libtraceevent has plugins for by these, and stacks
	 * and function graphs as trace-cmd does. Else by the kernel's own print formats. */
	bool like_report;
	/* As the kernel's trace file prints, where libtraceevent differs: "%pS" with the function's
	 * size, "%p" as 16 digits, system calls by their arguments' names. */
	bool like_kernel;
	unsigned kernel_version; /* of the records: major << 8 | minor; 0: not known */
	/* Give the text of kallsyms and of printk_formats, when first asked for; may be NULL. 0 or
	 * -Exxx (then names are not known). */
	int (*symbols)(void *arg, struct buf *ret);
	int (*printk)(void *arg, struct buf *ret);
	void *arg;
	bool no_plans; /* everything by libtraceevent: for tests */
};

int kernel_text_new(const struct kernel_text_options *o, struct kernel_text **ret);
void kernel_text_free(struct kernel_text *k); /* takes NULL */
/* An event by its format's text (copied): NULL without memory. It lives as long as k. One whose format
 * cannot be parsed is printed as libtraceevent does. */
struct kernel_text_event *kernel_text_event(
	struct kernel_text *k, const char *system, const char *format, size_t len);
/* The text of a record, without a newline at its end; *ret_n bytes, not NUL-terminated, which live
 * until the next call. */
const char *kernel_text_put(struct kernel_text *k, struct kernel_text_event *e, const void *record,
	size_t n, int cpu, size_t *ret_n);
/* Function graphs in the style of trace-cmd report. */
enum kernel_graph { KERNEL_GRAPH_NONE, KERNEL_GRAPH_ENTRY, KERNEL_GRAPH_EXIT };
enum kernel_graph kernel_text_graph(const struct kernel_text_event *e);
struct kernel_record {
	const struct kernel_text_event *event;
	const uint8_t *data;
	size_t n;
};
/* An entry and the record behind it as one, as kernel_text_put(), if that is the return of the same call;
 * else NULL. */
const char *kernel_text_leaf(struct kernel_text *k, const struct kernel_record *entry,
	const struct kernel_record *exit, size_t *ret_n);

/* Whether an event is printed without libtraceevent. */
bool kernel_text_has_plan(const struct kernel_text_event *e);
/* Whether libtraceevent cannot be asked about the last record: it would read beyond it, or divide by
 * zero. */
bool kernel_text_was_unsafe(const struct kernel_text *k);
/* From now on its plan is trusted: for tests. */
void kernel_text_unchecked(struct kernel_text *k, struct kernel_text_event *e);
/* The function an address is in, or NULL; *ret_begin: where it begins. */
const char *kernel_text_function(struct kernel_text *k, uint64_t addr, uint64_t *ret_begin);
/* As the kernel names it: the first of several names; *ret_size: up to the next function. */
const char *kernel_text_symbol(
	struct kernel_text *k, uint64_t addr, uint64_t *ret_begin, uint64_t *ret_size);

#endif
