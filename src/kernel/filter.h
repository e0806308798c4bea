/* Filters of events: a text is judged by the event's fields before the kernel sees it, as the kernel
 * would (6.12 to 6.18), and the place and the reason are said.
 *
 *	FILTER	:= [!] TERM [{ && | || } FILTER]	&& binds closer
 *	TERM	:= ( FILTER ) | FIELD OP VALUE
 *	OP	:= == != < <= > >= &  of numbers;  == != ~  of text (~: * ? [class])
 *	VALUE	:= NUMBER | "TEXT" | 'TEXT' | CPUS{LIST}
 *	FIELD	:= a field of the event | common_pid... | CPU | COMM
 *		 | FIELD.ustring (a pointer to text of a program) | FIELD.function == SYMBOL
 *
 * A text that ends behind && or || is taken, as 6.18.44 does; 6.12.117 refuses it ("Meaningless filter
 * expression"), and says so itself then.
 */
#ifndef CAIRN_KERNEL_FILTER_H
#define CAIRN_KERNEL_FILTER_H

#include "kernel/dynevent.h"
#include "kernel/format.h"

/* Of "PATTERN if FILTER": where the filter begins, or NULL; *ret_len: length of the pattern, without the blanks
 * behind it. An "if" at the end has an empty filter. */
const char *kfilter_split(const char *rule, size_t *ret_len);

/* w: for symbols behind `.function`; NULL: those are left to the kernel. 0; -EINVAL, -ENOMEM: fault
 * says why and where in the text. */
int kfilter_check(struct dynevent_world *w, const struct kformat *f, const char *text, size_t len,
	struct dynevent_fault *fault);
/* The same of an event by its names, with the format that tracefs has of it; 0 too if that cannot be
 * read: the kernel judges then. */
int kfilter_check_event(struct tracefs *t, const char *system, const char *event, const char *text,
	struct dynevent_fault *fault);

#endif
