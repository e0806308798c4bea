/* filter-diff [N [SEED [EVENT]]]: filters of events judged by us and by the kernel that runs. TAP; needs
 * root. N texts are made at random: whole ones of the fields of an event (any that tracefs lists; or
 * only those that match EVENT), and such with a few letters changed. Each is given to kfilter_check() and
 * to the event's filter in an instance of our own: both must take it, or both refuse. */
#include "kernel/filter.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct diff {
	struct tracefs *top, *instance; /* owned */
	struct dynevent_world *w; /* owned */
	struct tracefs_events events;
	unsigned taken, refused, differ;
};

static uint64_t state;

static unsigned below(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)((state >> 11) % n);
}

#define PICK(list) list[below(ARRAY_SIZE(list))]

/* True if the field added is text. */
static bool add_field(struct buf *b, const struct kformat *f)
{
	static const char *const others[] = {"CPU", "cpu", "common_cpu", "COMM", "comm",
		"stacktrace", "STACKTRACE", "common_stacktrace", "common_comm", "nothing", "",
		"0x1", "ip", "common_lock_depth"};
	static const char *const kinds[] = {".ustring", ".function", ".string", "."};

	const struct kfield *k = NULL;

	if (below(8) && f->nfields) {
		k = &f->fields[below((unsigned)f->nfields)];
		buf_str(b, k->name);
	} else {
		buf_str(b, PICK(others));
	}
	if (below(20) == 0)
		buf_str(b, PICK(kinds));
	return k ? strstr(k->type, "char") != NULL : below(2);
}

static void add_value(struct buf *b)
{
	static const char *const numbers[] = {"0", "1", "-1", "0x10", "077", "08", "0x", "-", "10u",
		"18446744073709551615", "18446744073709551616", "9223372036854775807",
		"9223372036854775808", "-9223372036854775808", "-9223372036854775809", "-0x10",
		"000000000000000000000000", "0000000000000000000001", "0b1", "1_0", "+1", "1.5"};
	static const char *const texts[] = {"\"a\"", "'a'", "\"\"", "\"a b\"", "\"*\"",
		"\"a*b?[c]\"", "\"", "'", "\"a'", "a", "bash", "\"!x\"", "'(\"'", "\")\"",
		"\"&&\""};
	static const char *const cpus[] = {"CPUS{0}", "CPUS{0-1}", "CPUS{1-0}", "CPUS{}", "CPUS{",
		"CPUS", "CPUS {0}", "CPUS{0,1}", "CPUS{ 0 , 1 }", "CPUS{all}", "CPUS{ALL}",
		"CPUS{N}", "CPUS{0-N}", "CPUS{x}", "CPUS{0-}", "CPUS{64}", "CPUS{8192}",
		"CPUS{0-1:1/2}", "CPUS{0:1/2}", "CPUS{all:1/2}", "CPUS{0-1:2/1}", "CPUS{0-1:0/0}",
		"CPUS{,}", "CPUS{0-1:1/2,}", "CPUS{0x1}", "CPUS{99999999999}", "CPUS{all0}",
		"CPUS{N-0}", "CPUS{0-1:}"};
	static const char *const functions[] = {"vfs_read", "no_such_function", "jiffies", "0x10",
		"0xffffffffffffffffff", "vfs_read)"};
	char long_text[300];

	switch (below(8)) {
	case 0:
	case 1:
	case 2: buf_str(b, PICK(numbers)); break;
	case 3:
	case 4: buf_str(b, PICK(texts)); break;
	case 5: buf_str(b, PICK(cpus)); break;
	case 6: buf_str(b, PICK(functions)); break;
	default:
		if (below(20)) {
			buf_printf(b, "%u", below(1000));
			break;
		}
		memset(long_text, 'x', sizeof(long_text));
		buf_printf(b, "\"%.*s\"", (int)(253 + below(5)), long_text);
	}
}

static void add_term(struct buf *b, const struct kformat *f, unsigned depth);

static void add_filter(struct buf *b, const struct kformat *f, unsigned depth)
{
	static const char *const links[] = {"&&", "||", " && ", " || ", "&", "|", " and ", ""};
	unsigned n = below(3);

	add_term(b, f, depth);
	while (n--) {
		buf_str(b, below(8) ? links[below(4)] : PICK(links));
		add_term(b, f, depth);
	}
}

static void add_term(struct buf *b, const struct kformat *f, unsigned depth)
{
	static const char *const ops[] = {
		"==", "!=", "~", "<", "<=", ">", ">=", "&", "=", "!~", "", "===", "<>", "~="};
	bool text, wild = below(6) == 0;

	if (below(6) == 0)
		buf_str(b, below(2) ? "!" : "! ");
	if (depth < 4 && below(4) == 0) {
		buf_char(b, '(');
		add_filter(b, f, depth + 1);
		buf_char(b, ')');
		return;
	}
	text = add_field(b, f);
	buf_str(b, below(2) ? " " : "");
	buf_str(b, wild ? PICK(ops) : ops[text ? below(3) : below(7) + (below(2) ? 1 : 0)]);
	buf_str(b, below(2) ? " " : "");
	if (wild)
		add_value(b);
	else if (text)
		buf_printf(b, "\"%u*\"", below(100));
	else
		buf_printf(b, below(2) ? "%u" : "0x%x", below(1000));
}

static void mutate(struct buf *b)
{
	static const char letters[] = "&|!()\"'~=<>0x1-., a{}\t";

	for (unsigned i = below(3); i-- > 0 && b->len > 1;) {
		size_t at = below((unsigned)b->len);

		if (below(2)) {
			b->data[at] = letters[below(sizeof(letters) - 1)];
		} else {
			memmove(b->data + at, b->data + at + 1, b->len - at);
			b->len--;
		}
	}
}

/* 0 if the kernel takes it: by the file itself, without our own check. */
static int kernel_takes(struct diff *d, const struct tracefs_event *ev, const char *text)
{
	char path[512];
	int r;

	(void)snprintf(path, sizeof(path), "events/%s/%s/filter", ev->system, ev->name);
	r = tracefs_write(d->instance, path, text, NULL);
	(void)tracefs_write(d->instance, path, "0", NULL);
	return r;
}

static void judge(struct diff *d)
{
	const struct tracefs_event *ev = &d->events.all[below((unsigned)d->events.n)];
	AUTO(buf) struct buf format = {0};
	AUTO(buf) struct buf text = {0};
	struct dynevent_fault fault;
	struct kformat *f;
	int ours, kernels;

	if (tracefs_format(d->top, ev->system, ev->name, &format, NULL) < 0 ||
		kformat_parse(format.data, format.len, ev->system, sizeof(long), &f, NULL) < 0)
		return; /* it went meanwhile: a probe of somebody's */
	add_filter(&text, f, 0);
	if (below(3) == 0)
		mutate(&text);
	ours = kfilter_check(d->w, f, text.data, text.len, &fault);
	kformat_free(f);
	kernels = kernel_takes(d, ev, text.data);
	if (kernels == -ENOENT || text.data[strspn(text.data, " ")] == '\0')
		return;
	d->taken += kernels == 0;
	d->refused += kernels != 0;
	if ((ours == 0) == (kernels == 0))
		return;
	if (++d->differ <= 40)
		printf("# differ: %s:%s: %s\n#   %s: %s\n", ev->system, ev->name, text.data,
			kernels ? "only we take it" : "only the kernel takes it",
			ours ? fault.error.message : strerror(-kernels));
}

int main(int argc, char **argv)
{
	unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 1000;
	struct diff d = {0};
	struct error e;
	int r = tracefs_open(NULL, &d.top, &e);

	if (r == 0)
		r = tracefs_instance_new(d.top, &d.instance, &e);
	if (r < 0) {
		printf("ok 1 - filters # SKIP %s\n1..1\n", e.message);
		tracefs_free(d.top);
		return 0;
	}
	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 88172645463325252ull;
	d.w = dynevent_world_new(NULL, karch_native());
	if (!d.w || tracefs_events(d.top, argc > 3 ? argv[3] : NULL, &d.events, &e) < 0 ||
		!d.events.n)
		n = 0;
	for (unsigned i = 0; i < n; i++)
		judge(&d);
	printf("# %u taken, %u refused, %u different\n", d.taken, d.refused, d.differ);
	printf("%s 1 - the kernel judges filters as we do\n1..1\n",
		d.differ || !d.taken || !d.refused ? "not ok" : "ok");
	(void)tracefs_instance_remove(d.instance, &e);
	tracefs_events_done(&d.events);
	dynevent_world_free(d.w);
	tracefs_free(d.top);
	return d.differ || !d.taken || !d.refused;
}
