/* What the kernel recorded from boot on, as CTF: an instance's buffers become a trace directory.
 *
 *	DIR/metadata, DIR/cpu0, DIR/cpu1...	see kctf.h
 *	DIR/formats/events			see texts.h
 *
 * The trace's clock is the instance's: name and rate by the file trace_clock. Traces of one boot with
 * the clocks x86-tsc and mono have the uuids of the session host's, so they merge with its own.
 */
#ifndef CAIRN_KERNEL_BOOT_READ_H
#define CAIRN_KERNEL_BOOT_READ_H

#include "ctf/ctf.h"
#include "kernel/boot.h"
#include "kernel/tracefs.h"

struct boot_clock {
	char name[32]; /* of the kernel: "x86-tsc", "boot" */
	struct ctf_clock ctf;
};
/* The clock that is marked in the text of a file trace_clock, as it runs now. Takes 100 ms for x86-tsc. */
void boot_clock_read(const char *text, struct boot_clock *ret);

struct boot_read_report {
	struct boot_clock clock;
	uint64_t events, bytes; /* written */
	uint64_t lost; /* overwritten or dropped, as the kernel counted them */
	uint32_t cpus; /* that had some */
};
/* Reads the instance (which may be the top directory itself): what is read is gone from its buffer.
 * snapshot: reads that instead, which stays. dir: made; it must not exist, or be empty. Without events
 * nothing is made. 0 or -Exxx. */
int boot_read_instance(struct tracefs *in, bool snapshot, const char *dir, const char *version,
	struct boot_read_report *ret, struct error *e);

/* Names of the instances that the command line and bootconfig of this boot made, and whether they had
 * the top one record. Texts as in /proc/cmdline and /proc/bootconfig. The list's texts are in the arena.
 * 0 or -ENOMEM. */
int boot_named(const char *cmdline, const char *config, struct arena *arena, struct boot_list *ret,
	bool *ret_top);

#endif
