/* What the checks of bootconfigs and command lines share; see boot-check.h. */
#ifndef CAIRN_KERNEL_BOOT_CHECK_IMPL_H
#define CAIRN_KERNEL_BOOT_CHECK_IMPL_H

#include "kernel/boot-check.h"

struct checker {
	struct boot_kernel *kernel; /* borrowed; NULL: none */
	struct boot_report *report;
	struct boot_list own; /* events that the text itself defines: "kprobes:x" */
	struct arena arena;
	int err; /* -ENOMEM, once it happened */
};
void checker_done(struct checker *c);

/* One finding. */
void found(struct checker *c, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Kinds of values. */
enum boot_kind {
	KIND_ANY,
	KIND_FLAG, /* its presence counts */
	KIND_SWITCH, /* 0 or 1 */
	KIND_NUMBER,
	KIND_SIZE, /* of a buffer */
	KIND_MASK, /* of CPUs */
	KIND_TRACER,
	KIND_CLOCK,
	KIND_OPTION,
	KIND_EVENT, /* as written to set_event */
	KIND_PROBE, /* "PLACE ARGS" */
};
/* Looks at one value of `len` bytes that stands at `at`. */
void check_value(struct checker *c, enum boot_kind kind, const char *text, size_t len, size_t at);
/* The event: "system:event" without patterns. */
void check_event(struct checker *c, const char *system, const char *event, size_t at);
/* The kernel itself is asked, if it has the event: in an instance of our own, which records nothing. */
void check_filter(
	struct checker *c, const char *system, const char *event, const char *text, size_t at);
void check_trigger(
	struct checker *c, const char *system, const char *event, const char *text, size_t at);
/* A definition of a kprobe, "p:NAME PLACE ARGS", against the kernel's functions and types; its first
 * `skip` bytes are not in the text, of which the rest stands at `at`. */
void check_definition(struct checker *c, const char *definition, size_t skip, size_t at);
void own_event(struct checker *c, const char *system, const char *event);

/* A parameter of the kernel's command line; value NULL: none. False if it has nothing to do with
 * tracing. `several`: what it is in a bootconfig with so many values. */
void check_param(
	struct checker *c, const char *name, size_t at, const char *value, size_t value_at);
/* A definition of kprobes as in kprobe_event=: pass 1 of two, so that other values may name them. */
void own_param(struct checker *c, const char *name, const char *value);

#endif
