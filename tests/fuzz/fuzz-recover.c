/* Core files, and the ring sets in them. An input that begins as an ELF file is a core as it is. Any
 * other is the inside of a ring set: 1024 bytes of header, 512 of a control page, then ring data; the
 * core around it is made here, so that the fuzzer gets deep. What is found must make packets. */
#include "ctf/ctf.h"
#include "recover/recover-impl.h"
#include <elf.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HDR 1024u
#define CTL 512u
#define PAGE 4096u
#define ADDR 0x10000000u
#define NOTE 0x1000u /* offsets in the core */
#define SET 0x2000u
#define TOTAL (SET + 2 * PAGE + CAIRN_RING_MIN)

static uint8_t sum; /* keeps the reads of what was found */

static int on_view(void *arg, const struct ring_view *view)
{
	const struct cairn_ringset_hdr *h = arg;
	struct ctf_packet p = {.stream = h->channel_id, .view = view};
	struct ctf_frame f;

	ctf_frame_events(h->trace_uuid, &p, &f);
	for (size_t i = 0; i < f.body_len; i++)
		sum = (uint8_t)(sum + f.body[i]);
	return 0;
}

static void find(const uint8_t *core, size_t len)
{
	struct finds f = {0};
	struct error e;

	(void)core_find(core, len, &f, &e); /* what it found before it failed is good, too */
	for (size_t i = 0; i < f.len; i++) {
		const struct cairn_ringset_hdr *h = ringset_hdr(f.items[i].set);

		for (uint32_t r = 0; r < MIN(h->nrings, 64u); r++)
			(void)ring_snapshot(f.items[i].set, r, on_view, (void *)(uintptr_t)h);
	}
	finds_done(&f);
}

static void put64(uint8_t **p, uint64_t v)
{
	memcpy(*p, &v, sizeof(v));
	*p += sizeof(v);
}

/* A core with one mapping of all of a set of one ring without room for metadata. */
static void make_core(uint8_t *core, const uint8_t *data, size_t size)
{
	static const char name[] = "/memfd:cairn-ring";
	const Elf64_Ehdr eh = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_CORE,
		.e_phoff = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2};
	const Elf64_Phdr ph[2] = {{.p_type = PT_NOTE, .p_offset = NOTE, .p_filesz = 256},
		{.p_type = PT_LOAD, .p_offset = SET, .p_vaddr = ADDR, .p_filesz = TOTAL - SET}};
	const Elf64_Nhdr note = {5, 16 + 24 + sizeof(name), NT_FILE};
	uint8_t *p = core + NOTE;
	size_t hdr = MIN(size, HDR), ctl = MIN(size - hdr, CTL), rest = size - hdr - ctl;

	memcpy(core, &eh, sizeof(eh));
	memcpy(core + sizeof(eh), ph, sizeof(ph));
	memcpy(p, &note, sizeof(note));
	memcpy(p + sizeof(note), "CORE", 5);
	p += sizeof(note) + 8;
	put64(&p, 1);
	put64(&p, PAGE);
	put64(&p, ADDR);
	put64(&p, ADDR + TOTAL - SET);
	put64(&p, 0);
	memcpy(p, name, sizeof(name));
	memcpy(core + SET, data, hdr);
	memcpy(core + SET + PAGE, data + hdr, ctl);
	memcpy(core + SET + 2 * PAGE, data + hdr + ctl, MIN(rest, CAIRN_RING_MIN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *core;

	if (size >= 4 && memcmp(data, ELFMAG, SELFMAG) == 0) {
		find(data, size);
		return 0;
	}
	core = calloc(1, TOTAL);
	if (!core)
		return 0;
	make_core(core, data, size);
	find(core, TOTAL);
	free(core);
	return 0;
}
