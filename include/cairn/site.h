/* SPDX-License-Identifier: MIT
 *
 * The part of Cairn that is compiled into applications: a FROZEN ABI, version 1.
 *
 * An application embeds, for each use of CAIRN() (trace.h): one entry of struct cairn_site, one
 * struct cairn_desc with what follows it, one struct cairn_slot, and code that stages a record and
 * calls the module's fire(). Everything else (rings, headers, contexts) belongs to the runtime,
 * libcairn-rt, which may be newer than the application. Nothing here may change meaning; new
 * versions get new numbers, and the runtime keeps reading the old ones (tests/abi holds binaries).
 *
 * All numbers are in the machine's byte order. Sections hold no absolute addresses, so that
 * position-independent code needs no relocations for them: "rel" below is a signed 32-bit distance
 * from the field that holds it to the thing.
 */
#ifndef CAIRN_SITE_H
#define CAIRN_SITE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CAIRN_ABI 1

/* One place in code that fires an event. Section "cairn_sites", 4-byte aligned, read-only. */
struct cairn_site {
	int32_t nop; /* rel: the 5-byte NOP (0f 1f 44 00 00); 0: not patchable, tests slot.enabled */
	int32_t target; /* rel: the cold part, where the patched JMP goes; 0 when nop is 0 */
	int32_t desc; /* rel: struct cairn_desc */
	int32_t slot; /* rel: struct cairn_slot */
};

/* What the runtime hangs on a site's description; writable, zero at start, 8-byte aligned. */
struct cairn_slot {
	void *sinks; /* written by the runtime only; opaque to applications */
	uint32_t enabled; /* != 0: sites that are not patchable fire; written by the runtime only */
	uint32_t reserved;
};

/* Scalar kinds. `width` of the field is the bytes of one scalar: 1, 2, 4, 8. */
enum cairn_kind {
	CAIRN_KIND_UINT = 1,
	CAIRN_KIND_INT = 2,
	CAIRN_KIND_BOOL = 3, /* width 1: 0 or 1 */
	CAIRN_KIND_CHAR = 4, /* width 1: one character, shown as such */
	CAIRN_KIND_FLOAT = 5, /* IEEE: width 4 or 8 */
	CAIRN_KIND_PTR = 6, /* width 8, shown in hexadecimal */
	CAIRN_KIND_ENUM = 7, /* an integer with labels; CAIRN_FIELD_SIGNED says its sign */
	CAIRN_KIND_STR = 8, /* bytes up to and with a NUL; NULL is staged as "(null)" */
	CAIRN_KIND_BYTES = 9, /* a blob: width 1, form SEQUENCE or ARRAY, shown in hexadecimal */
};

enum cairn_form {
	CAIRN_FORM_ONE = 0, /* one scalar (or one string) */
	CAIRN_FORM_ARRAY = 1, /* `count` scalars, fixed */
	CAIRN_FORM_SEQUENCE = 2, /* u32 number of scalars, then the scalars */
};

#define CAIRN_FIELD_SIGNED 1 /* flag: of an enum, its integer is signed */
#define CAIRN_FIELD_HEX 2 /* flag: best shown in hexadecimal */

struct cairn_field {
	uint8_t kind; /* enum cairn_kind */
	uint8_t form; /* enum cairn_form */
	uint8_t width;
	uint8_t flags;
	uint32_t count; /* ARRAY: number of scalars; else 0 */
	uint32_t nlabels; /* ENUM: number of labels; else 0 */
	uint32_t reserved;
};

#define CAIRN_DESC_LOG 1 /* flag: made by CAIRN_LOG; a format string follows the event name */

/* What an event is. Read-only. Directly after the struct, without gaps:
 *	struct cairn_field fields[nfields];
 *	int64_t label_values[nlabels];		labels of all enums, in field order
 *	char strings[];				NUL-terminated, one after the other:
 *		provider, event, [format, if CAIRN_DESC_LOG], file, function,
 *		then for each field: its name, then its labels
 * The function string may be empty. Names are as written; the runtime's host makes them fit the
 * trace format. Two descriptions with equal bytes from `loglevel` on but for file, line and
 * function are the same event; equal provider and event names with anything else different are
 * a conflict, told apart and reported.
 */
struct cairn_desc {
	uint32_t size; /* bytes of all of it, with fields, labels and strings */
	uint16_t abi; /* CAIRN_ABI */
	uint8_t loglevel; /* 0 emergency .. 14 debug, as syslog and LTTng have them */
	uint8_t flags; /* CAIRN_DESC_* */
	uint32_t line; /* source line of the site */
	uint16_t nfields; /* at most CAIRN_MAX_FIELDS */
	uint16_t nlabels; /* of all fields together */
};

#define CAIRN_MAX_FIELDS 32

/* Records are staged exactly as they will stand in the trace: fields in order, no padding, scalars
 * in machine order, strings with their NUL. The staging buffer has CAIRN_HEADROOM writable bytes
 * before the payload (the runtime puts contexts there) and CAIRN_TAILROOM readable bytes after it
 * (it copies in whole words). The payload is 8-byte aligned. Payloads over CAIRN_STACK_MAX bytes
 * are staged in memory from scratch() instead of the stack; if it gives NULL, or the size is over
 * CAIRN_PAYLOAD_MAX, the site calls fire() with payload NULL, which counts the loss.
 */
#define CAIRN_HEADROOM 32
#define CAIRN_TAILROOM 8
#define CAIRN_STACK_MAX 1024
#define CAIRN_PAYLOAD_MAX 65536

/* One per executable or shared library (a hidden, merged symbol). Registered by a constructor if
 * a session host is about, unregistered by a destructor. `fire` and the others are set by the
 * runtime before any site of the module is switched on.
 */
struct cairn_module {
	uint32_t abi; /* CAIRN_ABI */
	uint32_t size; /* of this struct */
	const struct cairn_site *begin; /* the module's cairn_sites section */
	const struct cairn_site *end;
	/* Records one event. Async-signal-safe, preserves errno, never blocks unless the session's
	 * channel asks for it. ip: an address in the site's cold part, which begins at its `target`.
	 * payload NULL: the record is lost; size is what it needed, over CAIRN_STACK_MAX.
	 * This and the next two leave vector and floating-point registers as they are, and take a
	 * stack that is aligned to 8 bytes only. */
	void (*fire)(struct cairn_slot *slot, void *payload, uint32_t size, const void *ip);
	/* Memory for a large payload, with head- and tailroom, or NULL. scratch_done gives it back.
	 * Async-signal-safe. */
	void *(*scratch)(uint32_t size);
	void (*scratch_done)(void *payload);
	void *runtime; /* the runtime's own; NULL while not registered */
	uint64_t reserved[4];
};

/* What the constructor looks up in libcairn-rt.so (or finds linked in a static program). Registers
 * the module and waits, 50 ms at most, until the session host has switched on what it wants.
 * Returns 0, or -errno if nothing was registered. Unregister forgets the module's sites.
 */
int cairn_rt_register_v1(struct cairn_module *m);
void cairn_rt_unregister_v1(struct cairn_module *m);

#ifdef __cplusplus
}
#endif
#endif
