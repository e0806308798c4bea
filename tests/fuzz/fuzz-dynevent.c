/* Fuzzes the parser of probe texts (src/kernel/dynevent*.c, btf-walk.c): the first byte is the kind,
 * the rest the text, judged against the made kernel of the unit tests. What is taken must be taken
 * again in the form in which it would go to the kernel. What BPF takes becomes programs, and a format that
 * can be read. */
#include "kernel/bpf-impl.h"
#include "kernel/format.h"
#include "unit/made-btf.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct dynevent_world *world(void)
{
	static const struct dynevent_paths paths = {.tracefs = DYNEVENT_DIR "/world",
		.kallsyms = DYNEVENT_DIR "/world/kallsyms",
		.blacklist = DYNEVENT_DIR "/world/blacklist",
		.btf = DYNEVENT_DIR "/world/no-btf"};
	static struct dynevent_world *w; /* read once: it never changes */

	if (!w) {
		w = dynevent_world_new(&paths, KARCH_X86_64);
		if (!w)
			abort();
		kbtf_set_vmlinux(dynevent_world_btf(w), made_btf());
	}
	return w;
}

static void check_taken(const struct dynevent *d)
{
	struct dynevent_fault fault;
	struct dynevent again;

	if (d->len > 128 || strlen(d->definition) > 4094 || strpbrk(d->definition, "\n#"))
		abort();
	for (size_t i = 0; i < d->len; i++) {
		if (!d->fields[i].name[0] || !d->fields[i].type[0])
			abort();
	}
	if (dynevent_parse(world(), DYNEVENT_ANY, NULL, d->definition, &again, &fault))
		abort();
	if (strcmp(again.definition, d->definition) != 0)
		abort();
	dynevent_done(&again);
}

static void check_programs(const struct bprobe *p)
{
	struct bmaps maps = {
		.rings = 3, .lost = 4, .limit = 5, .task_tgid = 1200, .wake_bytes = 4096};

	for (int how = BHOW_PLAIN; how <= BHOW_TYPED; how++) {
		struct bcode c = {0};
		int err;

		maps.stacks = (unsigned)how;
		err = bprogram_probe(&c, p, &maps, (enum bhow)how);

		if ((err && err != -E2BIG) || (!err && c.len < 10))
			abort();
		bcode_free(&c);
	}
}

static void check_bpf(const struct dynevent *d)
{
	AUTO(buf) struct buf format = {0};
	struct bprobe p = {.id = 60000};
	size_t nfields = 5 + d->is_return;
	struct kformat *f;
	struct error e;

	if (bprobe_read(&p, world(), d, &e) == 0) {
		if (p.nfetches != d->len || bprobe_lay_out(&p, d, &format) ||
			kformat_parse(format.data, format.len, "g", 8, &f, &e))
			abort();
		for (size_t i = 0; i < d->len; i++)
			nfields += d->fields[i].is_string && d->fields[i].count ? d->fields[i].count
										: 1;
		if (f->nfields != nfields || f->fixed_size != p.fixed)
			abort();
		kformat_free(f);
		check_programs(&p);
	}
	bprobe_done(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool bpf;
	AUTO(buf) struct buf out = {0};
	AUTO(free) char *text = NULL;
	struct dynevent_fault fault;
	struct dynevent d;

	if (size < 1 || size > 4096)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	if (!text)
		return 0;
	if (kprobe_parse(world(), (enum dynevent_kind)(data[0] % DYNEVENT_KINDS), KPROBE_WITH_BPF,
		    "g", text, &d, &bpf, &fault) == 0) {
		check_bpf(&d);
		dynevent_done(&d);
	}
	if (dynevent_parse(world(), (enum dynevent_kind)(data[0] % DYNEVENT_KINDS), NULL, text, &d,
		    &fault) == 0) {
		check_taken(&d);
		dynevent_done(&d);
		return 0;
	}
	if (fault.at + fault.len > strlen(text) || !fault.error.message[0])
		abort();
	dynevent_print_fault(&out, text, &fault);
	return 0;
}
