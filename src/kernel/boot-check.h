/* Checks of texts that the kernel reads at boot: keys, parameters and values that it would refuse or
 * pass over, and names (events, tracers, clocks, options) that the running kernel does not have.
 *
 * The kernel itself only logs such faults, when it is too late; so everything found is an error.
 */
#ifndef CAIRN_KERNEL_BOOT_CHECK_H
#define CAIRN_KERNEL_BOOT_CHECK_H

#include "kernel/boot.h"
#include "kernel/dynevent.h"
#include "kernel/tracefs.h"

/* What the running kernel has. */
struct boot_kernel {
	struct tracefs *tracefs; /* owned */
	struct tracefs *trial; /* owned; an instance to try filters in, made when first needed */
	struct dynevent_world
		*world; /* owned; probes are checked against, made when first needed */
	struct tracefs_events events;
	struct buf tracers, clocks, options; /* words, as in the files of these names */
};
/* root: as for tracefs_open(). 0; -ENOENT, -EACCES...: it cannot be looked at, e says why. */
int boot_kernel_read(const char *root, struct boot_kernel *ret, struct error *e);
void boot_kernel_done(struct boot_kernel *k);
void auto_boot_kernel(struct boot_kernel *k);

struct boot_finding {
	size_t at; /* byte of the text */
	const char *message; /* in the arena */
};
struct boot_report {
	struct boot_finding *items; /* owned; in the order of their places */
	size_t len, cap;
	struct arena arena;
};
void boot_report_done(struct boot_report *r);
void auto_boot_report(struct boot_report *r);

/* kernel NULL: only what holds for any. What does not even parse is one finding. 0 or -ENOMEM. */
int boot_check_config(
	const char *text, size_t len, struct boot_kernel *kernel, struct boot_report *ret);
int boot_check_cmdline(
	const char *text, size_t len, struct boot_kernel *kernel, struct boot_report *ret);

#endif
