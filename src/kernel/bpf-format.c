/* Probes by BPF: where fields stand in a record, and the `format` text of the event, both as tracefs has them
 * for the same definition (tests compare). */
#include "kernel/bpf-impl.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void add_field(struct buf *b, const char *declaration, uint32_t at, uint32_t size, bool sign)
{
	buf_printf(
		b, "\tfield:%s;\toffset:%u;\tsize:%u;\tsigned:%d;\n", declaration, at, size, sign);
}

static void describe(struct buf *b, const struct bfetch *f)
{
	uint32_t size = f->type->size * (f->count ? f->count : 1);
	char text[128], array[16] = "";

	if (f->count && f->type->is_string)
		(void)snprintf(array, sizeof(array), "[%u]", f->count);
	(void)snprintf(text, sizeof(text), "%s%s %s%s", f->type->c_type, array, f->name,
		f->count && !f->type->is_string ? "[]" : ""); /* fits: names have 32 letters */
	/* Texts are of char, which is signed where the kernel is at home. */
	add_field(b, text, f->at, size, f->type->is_signed || f->type->is_string);
}

static const char *print_of(const struct bfetch *f)
{
	return f->type->print;
}

static void print_format(struct buf *b, const struct bprobe *p, bool is_return)
{
	buf_printf(b, "\nprint fmt: \"(%s", is_return ? "%lx <- %lx)" : "%lx)");
	for (size_t i = 0; i < p->nfetches; i++) {
		const struct bfetch *f = &p->fetches[i];

		buf_printf(b, " %s=%s", f->name, f->count ? "{" : print_of(f));
		for (unsigned n = 0; n < f->count; n++)
			buf_printf(b, "%s%s", n ? "," : "", print_of(f));
		buf_str(b, f->count ? "}" : "");
	}
	buf_str(b,
		is_return ? "\", REC->__probe_func, REC->__probe_ret_ip" : "\", REC->__probe_ip");
	for (size_t i = 0; i < p->nfetches; i++) {
		const struct bfetch *f = &p->fetches[i];
		const char *open = f->type->is_string ? "__get_str(" : "REC->";
		const char *close = f->type->is_string ? ")" : "";

		if (!f->count)
			buf_printf(b, ", %s%s%s", open, f->name, close);
		for (unsigned n = 0; n < f->count; n++)
			buf_printf(b, ", %s%s[%u]%s", open, f->name, n, close);
	}
	buf_char(b, '\n');
}

int bprobe_lay_out(struct bprobe *p, const struct dynevent *d, struct buf *b)
{
	bool is_return = p->place == BPLACE_FEXIT || p->place == BPLACE_URETPROBE;
	uint32_t at = is_return ? 24 : 16;

	p->ntexts = 0;
	for (size_t i = 0; i < p->nfetches; i++) {
		struct bfetch *f = &p->fetches[i];
		unsigned n = f->count ? f->count : 1;

		f->at = at;
		at += f->type->size * n;
		if (f->type->is_string)
			p->ntexts += n;
	}
	p->fixed = at;
	buf_printf(b, "name: %s\nID: %u\nformat:\n", d->event, p->id);
	add_field(b, "unsigned short common_type", 0, 2, false);
	add_field(b, "unsigned char common_flags", 2, 1, false);
	add_field(b, "unsigned char common_preempt_count", 3, 1, false);
	add_field(b, "int common_pid", 4, 4, true);
	buf_char(b, '\n');
	add_field(b, is_return ? "unsigned long __probe_func" : "unsigned long __probe_ip", 8, 8,
		false);
	if (is_return)
		add_field(b, "unsigned long __probe_ret_ip", 16, 8, false);
	for (size_t i = 0; i < p->nfetches; i++)
		describe(b, &p->fetches[i]);
	print_format(b, p, is_return);
	return b->err;
}
