/* A runtime for tests of one program: fire() keeps the record, sites are switched on as the real
 * one does, by writing the JMP; and a look at descriptions.
 */
#ifndef CAIRN_TESTS_FAKE_H
#define CAIRN_TESTS_FAKE_H

#include <cairn/trace.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "test.h"

struct record {
	int count, lost;
	uint32_t size;
	const struct cairn_slot *slot;
	const void *ip;
	char bytes[CAIRN_PAYLOAD_MAX];
};
static struct record got;
static char *big;
static int scratches;

/* Ruins what a function may change and a fire() may: all registers but the vector ones. */
__attribute__((noinline)) static void ruin(void)
{
#ifdef __x86_64__
	__asm__ volatile("mov $-1, %%eax\n mov %%rax, %%rcx\n mov %%rax, %%rdx\n"
			 "mov %%rax, %%rsi\n mov %%rax, %%rdi\n mov %%rax, %%r8\n"
			 "mov %%rax, %%r9\n mov %%rax, %%r10\n mov %%rax, %%r11"
			 :
			 :
			 : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
#endif
}

__attribute__((target("general-regs-only"))) static void fake_fire(
	struct cairn_slot *slot, void *payload, uint32_t size, const void *ip)
{
	uint32_t i;

	got.count++;
	got.slot = slot;
	got.ip = ip;
	got.size = size;
	got.lost += payload == NULL;
	for (i = 0; payload && i < size; i++)
		got.bytes[i] = ((volatile char *)payload)[i];
	if (payload) {
		for (i = 1; i <= CAIRN_HEADROOM; i++)
			((volatile char *)payload)[-(int)i] = 0x5a;
		for (i = 0; i < CAIRN_TAILROOM; i++)
			(void)((volatile char *)payload)[size + i];
		if ((uintptr_t)payload % 8)
			got.lost += 100;
	}
	ruin();
}

static void *fake_scratch(uint32_t size)
{
	scratches++;
	if (size > CAIRN_PAYLOAD_MAX)
		return NULL;
	return big + CAIRN_HEADROOM;
}

static void fake_scratch_done(void *payload)
{
	scratches -= payload == big + CAIRN_HEADROOM;
}

static void set_all(bool on)
{
	struct cairn_module *m = &cairn_module_v1;
	static const unsigned char off[5] = {0x0f, 0x1f, 0x44, 0, 0};
	const struct cairn_site *s;

	if (!big)
		big = (char *)malloc(CAIRN_HEADROOM + CAIRN_PAYLOAD_MAX + CAIRN_TAILROOM);
	m->fire = fake_fire;
	m->scratch = fake_scratch;
	m->scratch_done = fake_scratch_done;
	for (s = m->begin; s < m->end; s++) {
		struct cairn_slot *slot =
			(struct cairn_slot *)((uintptr_t)&s->slot + (uintptr_t)(intptr_t)s->slot);
		uintptr_t nop = (uintptr_t)&s->nop + (uintptr_t)(intptr_t)s->nop;
		uintptr_t target = (uintptr_t)&s->target + (uintptr_t)(intptr_t)s->target;
		int32_t rel = (int32_t)(target - nop - 5);
		unsigned char jump[5] = {0xe9, 0, 0, 0, 0};

		slot->enabled = on;
		if (!s->nop)
			continue;
		memcpy(jump + 1, &rel, 4);
		if (mprotect((void *)(nop & ~4095ul), 8192, PROT_READ | PROT_WRITE | PROT_EXEC))
			abort();
		if (memcmp((void *)nop, off, 5) != 0 && memcmp((void *)nop, jump, 5) != 0)
			abort();
		memcpy((void *)nop, on ? jump : off, 5);
	}
	memset(&got, 0, sizeof(got));
	scratches = 0;
}

/* ---- what is expected ---- */

static char want[CAIRN_PAYLOAD_MAX];
static uint32_t want_size;

static void add(const void *p, size_t n)
{
	memcpy(want + want_size, p, n);
	want_size += (uint32_t)n;
}
#define ADD(type, value) \
	do { \
		type v_ = (type)(value); \
		add(&v_, sizeof(v_)); \
	} while (0)
#define ADD_STR(s) add(s, strlen(s) + 1)

static bool as_wanted(void)
{
	bool ok = got.count == 1 && got.lost == 0 && got.size == want_size &&
		memcmp(got.bytes, want, want_size) == 0 && scratches == 0;

	if (!ok)
		printf("# count %d lost %d size %u, expected size %u, scratches %d\n", got.count,
			got.lost, got.size, want_size, scratches);
	want_size = 0;
	memset(&got, 0, sizeof(got));
	return ok;
}

/* ---- descriptions ---- */

struct view {
	const struct cairn_desc *desc;
	const struct cairn_field *fields;
	const int64_t *labels;
	const char *strings, *end;
};

static struct view view_of(const char *event)
{
	const struct cairn_site *s;
	struct view v = {0, 0, 0, 0, 0};

	for (s = cairn_module_v1.begin; s < cairn_module_v1.end; s++) {
		v.desc = (const struct cairn_desc *)((uintptr_t)&s->desc +
			(uintptr_t)(intptr_t)s->desc);
		v.fields = (const struct cairn_field *)(v.desc + 1);
		v.labels = (const int64_t *)(v.fields + v.desc->nfields);
		v.strings = (const char *)(v.labels + v.desc->nlabels);
		v.end = (const char *)v.desc + v.desc->size;
		if (strcmp(v.strings + strlen(v.strings) + 1, event) == 0)
			return v;
	}
	memset(&v, 0, sizeof(v));
	return v;
}

static const char *string_at(const struct view *v, int n)
{
	const char *s = v->strings;

	while (n-- > 0 && s < v->end)
		s += strlen(s) + 1;
	return s < v->end ? s : "(none)";
}

static bool field_is(const struct view *v, int i, int kind, int form, int width, int count)
{
	const struct cairn_field *f = &v->fields[i];
	bool ok = f->kind == kind && f->form == form && f->width == width &&
		f->count == (uint32_t)count && f->reserved == 0;

	if (!ok)
		printf("# field %d: kind %d form %d width %d count %u\n", i, f->kind, f->form,
			f->width, f->count);
	return ok;
}

#endif
