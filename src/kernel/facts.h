/* What kernels may have of tracing, and the configuration option that brings it. */
#ifndef CAIRN_KERNEL_FACTS_H
#define CAIRN_KERNEL_FACTS_H

#include "kernel/tracefs.h"

enum kfact_kind {
	KFACT_TRACER, /* a word of available_tracers */
	KFACT_PROBE, /* a kind of dynamic event */
	KFACT_OTHER,
};

struct kfact {
	enum kfact_kind kind;
	const char *name;
	const char *config; /* "CONFIG_X", several joined by " and " */
	const char *what; /* one line */
	const char *sign; /* how it is seen: see facts.c */
};

extern const struct kfact kfacts[]; /* ends with name NULL */

/* The files that signs are looked for in; made once, for many questions. */
struct kernel_signs {
	struct tracefs *top; /* borrowed */
	struct buf tracers, readme; /* words between spaces; the kernel's README */
};
/* 0 or -errno: available_tracers cannot be read. */
int kernel_signs_init(struct kernel_signs *s, struct tracefs *top, struct error *e);
void kernel_signs_done(struct kernel_signs *s);
void auto_kernel_signs(struct kernel_signs *s);

bool kernel_has(const struct kernel_signs *s, const struct kfact *f);
bool kernel_has_tracer(const struct kernel_signs *s, const char *tracer);
const struct kfact *kfact_find(enum kfact_kind kind, const char *name); /* or NULL */

/* Was the running kernel built with this option ("CONFIG_X")? 1, 0, or -1: it does not say (no
 * /proc/config.gz, nor /boot/config-RELEASE), or knows none of the name. (kconfig.c) */
int kernel_option(const char *name);

/* True if the word stands in text, between white space. */
bool has_word(const char *text, const char *word);

#endif
