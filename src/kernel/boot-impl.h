/* What the files of tracing from boot on share; see boot.h. */
#ifndef CAIRN_KERNEL_BOOT_IMPL_H
#define CAIRN_KERNEL_BOOT_IMPL_H

#include "kernel/boot.h"

/* trace_boot.c copies events, filters, options, actions and probes into a buffer for so many bytes. */
enum { BOOT_TEXT_MAX = 255 };
/* What the kernel keeps of ftrace=, trace_options=, trace_clock= and ftrace_dump_on_oops=. */
enum { BOOT_PARAM_MAX = 99 };
/* The command line of x86 (COMMAND_LINE_SIZE), without the NUL. */
enum { BOOT_CMDLINE_MAX = 2047 };

/* Why kernels cannot start this tracer in an instance while they boot; NULL: they can. */
const char *boot_not_in_instances(const char *tracer);
/* It registers later than a bootconfig's tracers are started; ftrace= waits for it. */
bool boot_tracer_is_late(const char *tracer);

/* Values of the parameters that name instances: ftrace_dump_on_oops and ftrace_boot_snapshot.
 * "": the parameter alone; ret->data NULL: not wanted at all. */
void boot_dump_text(const struct boot_session *s, struct buf *ret);
void boot_snapshot_text(const struct boot_session *s, struct buf *ret);

#endif
