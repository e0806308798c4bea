/* What kctf.c (records) and kctf-class.c (what an event becomes) share. */
#ifndef CAIRN_KERNEL_KCTF_IMPL_H
#define CAIRN_KERNEL_KCTF_IMPL_H

#include "kernel/kctf.h"

enum kop_code {
	KOP_COPY, /* n bytes from `from`; of a narrow number the low ones: kernels here are little endian */
	KOP_STRING, /* of a __data_loc at `from` */
	KOP_LIST, /* elements of n bytes of a __data_loc */
	KOP_REST, /* elements of n bytes from `from` to the end */
};

struct kop {
	uint8_t code;
	uint8_t relative; /* STRING, LIST: a __rel_loc */
	uint16_t from;
	uint16_t n;
};

struct kfit { /* a field that must fit to be written narrow: (it + bias) & too_big is 0 then */
	uint16_t from;
	bool is_int32; /* 4 bytes, signed; else 8 bytes */
	uint64_t bias, too_big;
};

#define KCLASS_HEADER_MAX 12

enum kform { KFORM_WIDE = 0, KFORM_NARROW = 1, KFORMS };

struct kclass {
	struct kformat *format; /* owned */
	bool as_lttng;
	struct kfit *fits; /* owned; nfits 0: there is only the wide form */
	size_t nfits, fits_cap;
	uint32_t min_len; /* of a record */
	uint32_t room; /* bytes that a record takes at most, besides its dynamic fields */
	uint32_t ndynamic;
	bool is_plain; /* all steps are copies, and nobody takes its records */
	kctf_take_fn *take; /* NULL: records become what the form says */
	void *take_arg;
	struct kclass_form {
		struct kop *ops; /* owned */
		size_t nops, ops_cap;
		struct buf desc; /* owned */
		int64_t id; /* in the trace; -1: did not occur yet */
		bool is_usual; /* it has an id, which fits into short headers */
	} form[KFORMS];
};

/* Names of events and fields as LTTng has them (kctf-lttng.c). */
void klttng_event(const struct kformat *f, char *buf, size_t size);
const char *klttng_field(const struct kformat *f, const char *name);

/* 0, -ENOMEM, -EPROTO. Takes f in any case. */
int kclass_new(struct kformat *f, bool as_lttng, struct kclass **ret, struct error *e);
void kclass_free(struct kclass *c);

#endif
