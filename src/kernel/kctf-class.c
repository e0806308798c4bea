/* What a kernel event becomes in the trace: its description (fields as the writer of metadata knows
 * them) and the steps that make its record, in one or two forms. */
#include "kernel/kctf-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOGLEVEL_INFO 6

/* ---- which fields may be narrow ---- */

/* Unsigned numbers that are addresses: never small, and read best in base 16. */
static bool is_address(const struct kfield *f)
{
	static const char *const parts[] = {"addr", "ptr", "func", "call_site", "caller"};
	size_t n = strlen(f->name);

	if (strcmp(f->name, "ip") == 0 || (n > 3 && strcmp(f->name + n - 3, "_ip") == 0))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strstr(f->name, parts[i]))
			return true;
	return false;
}

static bool is_syscall_number(const struct kformat *k, const struct kfield *f)
{
	return strcmp(f->name, "__syscall_nr") == 0 ||
		(strcmp(k->system, "raw_syscalls") == 0 && strcmp(f->name, "id") == 0);
}

/* Bytes of the field in the narrow form. */
static uint8_t narrow_size(const struct kformat *k, const struct kfield *f)
{
	if (f->form != KFIELD_SCALAR || f->kind != KFIELD_INT || f->elem < 4)
		return (uint8_t)f->elem;
	if (is_syscall_number(k, f))
		return 2;
	return f->elem == 8 && !is_address(f) ? 4 : (uint8_t)f->elem;
}

/* ---- steps ---- */

static int add_op(struct kclass_form *to, struct kop op)
{
	struct kop *last = to->nops ? &to->ops[to->nops - 1] : NULL, *k;

	if (last && last->code == KOP_COPY && op.code == KOP_COPY &&
		last->from + last->n == op.from) {
		last->n = (uint16_t)(last->n + op.n);
		return 0;
	}
	if (op.code == KOP_COPY && op.n == 0)
		return 0;
	k = VEC_ADD(to->ops, to->nops, to->ops_cap);
	if (!k)
		return -ENOMEM;
	*k = op;
	return 0;
}

static int add_steps(struct kclass *c, enum kform form, const struct kfield *f)
{
	struct kop op = {.from = (uint16_t)f->offset, .n = (uint16_t)f->elem};
	uint8_t narrow = narrow_size(c->format, f);

	switch (f->form) {
	case KFIELD_SCALAR:
		op.code = KOP_COPY;
		if (form == KFORM_NARROW && narrow < f->elem)
			op.n = narrow;
		break;
	case KFIELD_ARRAY:
		op.code = KOP_COPY;
		op.n = (uint16_t)f->size;
		break;
	case KFIELD_DATA_LOC:
	case KFIELD_REL_LOC:
		op.code = f->kind == KFIELD_CHAR ? KOP_STRING : KOP_LIST;
		op.relative = f->form == KFIELD_REL_LOC;
		break;
	case KFIELD_REST: op.code = f->kind == KFIELD_CHAR ? KOP_STRING : KOP_REST; break;
	}
	if (f->form == KFIELD_REST && f->kind == KFIELD_CHAR)
		op.relative = 2; /* the string stands there itself */
	return add_op(&c->form[form], op);
}

/* ---- description ---- */

static void describe_field(
	struct ctf_maker *m, const struct kformat *k, const struct kfield *f, bool narrow)
{
	bool one = f->form == KFIELD_SCALAR;
	enum cairn_form form = one	  ? CAIRN_FORM_ONE
		: f->form == KFIELD_ARRAY ? CAIRN_FORM_ARRAY
					  : CAIRN_FORM_SEQUENCE;
	unsigned width = narrow ? narrow_size(k, f) : f->elem, flags = 0;
	enum cairn_kind kind = f->is_signed ? CAIRN_KIND_INT : CAIRN_KIND_UINT;

	switch (f->kind) {
	case KFIELD_INT: flags = !f->is_signed && is_address(f) ? CAIRN_FIELD_HEX : 0; break;
	case KFIELD_CHAR:
		kind = form == CAIRN_FORM_SEQUENCE ? CAIRN_KIND_STR : CAIRN_KIND_CHAR;
		form = form == CAIRN_FORM_SEQUENCE ? CAIRN_FORM_ONE : form;
		break;
	case KFIELD_PTR:
		kind = width == 8 ? CAIRN_KIND_PTR : CAIRN_KIND_UINT;
		flags = width == 8 ? 0 : CAIRN_FIELD_HEX;
		break;
	case KFIELD_BOOL: kind = CAIRN_KIND_BOOL; break;
	case KFIELD_CPUMASK:
		kind = CAIRN_KIND_UINT;
		flags = CAIRN_FIELD_HEX;
		break;
	case KFIELD_BYTES: kind = one ? CAIRN_KIND_UINT : CAIRN_KIND_BYTES; break;
	}
	if (kind == CAIRN_KIND_UINT && f->kind == KFIELD_INT && width == 1 && !one)
		kind = CAIRN_KIND_BYTES; /* addresses of hardware, UUIDs */
	ctf_make_field(
		m, f->name, kind, form, width, form == CAIRN_FORM_ARRAY ? f->count : 0, flags);
}

static int make_form(struct kclass *c, enum kform form)
{
	const struct kformat *k = c->format;
	struct ctf_maker m;
	char name[256];
	int err = 0;
	unsigned n = 0;

	if (c->as_lttng)
		klttng_event(k, name, sizeof(name));
	ctf_make(&m, k->system, c->as_lttng ? name : k->name, LOGLEVEL_INFO, NULL);
	for (size_t i = 0; i < k->nfields && err == 0; i++) {
		struct kfield f = k->fields[i];

		if (kfield_is_common(&f))
			continue;
		if (++n == CTF_MAX_FIELDS && i + 1 < k->nfields) { /* the rest as it is */
			f.name = "more_fields";
			f.form = KFIELD_REST;
			f.kind = KFIELD_BYTES;
			f.elem = 1;
			i = k->nfields;
		}
		err = add_steps(c, form, &f);
		if (c->as_lttng)
			f.name = klttng_field(k, f.name);
		describe_field(&m, k, &f, form == KFORM_NARROW);
	}
	if (err == 0)
		err = ctf_make_done(&m, &c->form[form].desc);
	else
		(void)ctf_make_done(&m, &c->form[form].desc); /* frees what m holds */
	return err;
}

/* ---- classes ---- */

static int look_at_fields(struct kclass *c)
{
	const struct kformat *k = c->format;

	for (size_t i = 0; i < k->nfields; i++) {
		const struct kfield *f = &k->fields[i];
		uint8_t to = narrow_size(k, f);
		struct kfit *fit;

		c->min_len = MAX(c->min_len, f->offset + (f->form == KFIELD_REST ? 0 : f->size));
		c->ndynamic += f->form >= KFIELD_DATA_LOC;
		if (f->form != KFIELD_SCALAR || to >= f->elem || kfield_is_common(f))
			continue;
		fit = VEC_ADD(c->fits, c->nfits, c->fits_cap);
		if (!fit)
			return -ENOMEM;
		*fit = (struct kfit){.from = (uint16_t)f->offset,
			.is_int32 = f->elem == 4,
			.bias = f->is_signed ? UINT64_C(1) << (to * 8 - 1) : 0,
			.too_big = ~UINT64_C(0) << to * 8};
	}
	c->room = KCLASS_HEADER_MAX + (uint32_t)sizeof(struct ctf_kernel_context) + c->min_len +
		KCTF_SLACK;
	c->is_plain = c->ndynamic == 0;
	return 0;
}

int kclass_new(struct kformat *f, bool as_lttng, struct kclass **ret, struct error *e)
{
	struct kclass *c = calloc(1, sizeof(*c));
	int err;

	if (!c) {
		kformat_free(f);
		return error_set(e, -ENOMEM, "no memory for a kernel event");
	}
	c->format = f;
	c->as_lttng = as_lttng;
	err = look_at_fields(c);
	for (int form = 0; form < KFORMS && err == 0; form++) {
		c->form[form].id = -1;
		if (form == KFORM_WIDE || c->nfits)
			err = make_form(c, form);
	}
	if (err < 0) {
		(void)error_set(e, err, "kernel event %s:%s cannot be described: %s", f->system,
			f->name, strerror(-err));
		kclass_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void kclass_free(struct kclass *c)
{
	if (!c)
		return;
	for (int form = 0; form < KFORMS; form++) {
		free(c->form[form].ops);
		buf_done(&c->form[form].desc);
	}
	free(c->fits);
	kformat_free(c->format);
	free(c);
}
