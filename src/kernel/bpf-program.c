/* Probes by BPF: the programs.
 *
 * A probe's program, in words:
 *
 *	is the process on the list, or one of the tasks the event is about?	else end
 *	take room in this CPU's ring; none: count it, end
 *	the time, the common fields, then each field
 *	submit; wake the reader if a quarter of the ring is full
 *
 * Room is taken with a size that is fixed when the program is made (the verifier wants it so). Texts have slots
 * behind the fixed part: of 64 bytes at first; if one does not fit, the room is given back and all begins
 * again with 512, then 4096, where texts are cut as tracefs cuts them.
 *
 * Stacks have rooms of 24 frames, then 127, in the same way.
 *
 * Memory of programs may not be there yet, and a probe in them may wait for it, but not with room in a ring
 * that others then cannot pass. So where such a read fails, the room is given back, the first and the last
 * byte are read by a call that waits, and all begins again; TRIES_MAX times at most.
 *
 * Kept in registers: 6 the context, 7 the room, 8 the value that is followed, 9 the ring.
 */
#include "kernel/bpf-impl.h"
#include <errno.h>
#include <string.h>

#define CTX BREG_CTX
#define ROOM BPF_REG_7
#define VALUE BPF_REG_8
#define RING BPF_REG_9
#define FRAME BPF_REG_10

/* In the frame. */
enum {
	AT_VALUE = -8,
	AT_KEY = -16,
	AT_CPU = -20,
	AT_TASK = -32,
	AT_TRIES = -40,
	AT_WHERE = -48, /* memory to wait for: its first byte */
	AT_LAST = -56, /* how far behind it the last one is */
	AT_CALLER = -72, /* 16 bytes */
};
enum { TRIES_MAX = 8 };

#define FAULT "(fault)" /* what tracefs has for a text that cannot be read */
#define RECORD_TEXTS_MAX 0xffffu /* places in a record have 16 bits */

static const uint16_t slots[] = {64, 512, 4096};

struct program {
	struct bcode *c;
	const struct bprobe *p;
	const struct bmaps *m;
	bool user; /* pointers lead into user memory */
	bool waits; /* may wait for it */
	bool typed; /* pointers have types that the verifier knows: plain loads will do */
	unsigned slot; /* bytes of a text's room */
	unsigned text; /* the next one */
	unsigned again; /* label: with larger rooms; if larger ones are tried, else 0 */
	bool may_grow; /* slots */
	unsigned frames; /* room for so many of each stack */
	bool stack_may_grow;
	uint32_t head; /* bytes in the ring before the record: the time, stacks */
	unsigned wait; /* label: with room; AT_WHERE and AT_LAST are set */
};

/* ---- reading memory ---- */

/* r0 = 0, or the bytes are zeros. `to` (1) and the size (2) are set. */
static void read_memory(struct program *g, const struct bstep *s)
{
	bcode_mov(g->c, BPF_REG_3, VALUE);
	if (s->offset == (int32_t)s->offset && s->offset) {
		bcode_math(g->c, BPF_ADD, BPF_REG_3, (int32_t)s->offset);
	} else if (s->offset) {
		bcode_set64(g->c, BPF_REG_4, (uint64_t)s->offset);
		bcode_add(g->c, BPF_REG_3, BPF_REG_4);
	}
	/* Like tracefs, BPF_FUNC_probe_read goes by the address; user space is also reached by ..._user. */
	bcode_call(g->c, s->user || g->user ? BPF_FUNC_probe_read_user : BPF_FUNC_probe_read);
}

/* A read of n bytes at VALUE + offset failed: waits for them, or leads to `fault`. */
static void read_failed(struct program *g, int64_t offset, unsigned n, unsigned fault)
{
	struct bcode *c = g->c;

	if (g->waits) {
		bcode_set64(c, BPF_REG_1, (uint64_t)offset);
		bcode_add(c, BPF_REG_1, VALUE);
		bcode_store(c, 8, FRAME, AT_WHERE, BPF_REG_1);
		bcode_store_value(c, 8, FRAME, AT_LAST, (int32_t)n - 1);
		bcode_load(c, 8, BPF_REG_1, FRAME, AT_TRIES);
		bcode_jump_if(c, BPF_JLT, BPF_REG_1, TRIES_MAX, g->wait);
	}
	bcode_jump(c, fault);
}

/* The same after a call: r0 is not 0 if it failed. */
static void check_read(struct program *g, int64_t offset, unsigned n, unsigned fault)
{
	unsigned well;

	if (!g->waits) {
		bcode_jump_if(g->c, BPF_JNE, BPF_REG_0, 0, fault);
		return;
	}
	well = bcode_label(g->c);
	bcode_jump_if(g->c, BPF_JEQ, BPF_REG_0, 0, well);
	read_failed(g, offset, n, fault);
	bcode_here(g->c, well);
}

/* May the step be a load? What cannot be read is 0 then. */
static bool is_load(const struct program *g, const struct bfetch *f, const struct bstep *s)
{
	return g->typed && f->base == BBASE_ARGUMENT && !s->user && s->offset == (int16_t)s->offset;
}

/* VALUE = *(VALUE + offset) */
static void follow(struct program *g, const struct bfetch *f, const struct bstep *s, unsigned fault)
{
	if (is_load(g, f, s)) {
		bcode_load(g->c, 8, VALUE, VALUE, (int)s->offset);
		return;
	}
	bcode_to_frame(g->c, BPF_REG_1, AT_VALUE);
	bcode_set(g->c, BPF_REG_2, 8);
	read_memory(g, s);
	check_read(g, s->offset, 8, fault);
	bcode_load(g->c, 8, VALUE, FRAME, AT_VALUE);
}

/* With what a read failed: gives the room back, waits for the memory, and begins again. */
static void wait_for_memory(struct program *g, unsigned begin)
{
	struct bcode *c = g->c;
	unsigned there = bcode_label(c);

	bcode_here(c, g->wait);
	bcode_mov(c, BPF_REG_1, ROOM);
	bcode_set(c, BPF_REG_2, BPF_RB_NO_WAKEUP);
	bcode_call(c, BPF_FUNC_ringbuf_discard);
	bcode_to_frame(c, BPF_REG_1, AT_VALUE);
	bcode_set(c, BPF_REG_2, 1);
	bcode_load(c, 8, BPF_REG_3, FRAME, AT_WHERE);
	bcode_call(c, BPF_FUNC_copy_from_user);
	bcode_load(c, 8, BPF_REG_1, FRAME, AT_TRIES);
	bcode_math(c, BPF_ADD, BPF_REG_1, 1);
	bcode_jump_if(c, BPF_JEQ, BPF_REG_0, 0, there);
	bcode_set(c, BPF_REG_1, TRIES_MAX); /* there is no such memory */
	bcode_here(c, there);
	bcode_store(c, 8, FRAME, AT_TRIES, BPF_REG_1);
	bcode_to_frame(c, BPF_REG_1, AT_VALUE);
	bcode_set(c, BPF_REG_2, 1);
	bcode_load(c, 8, BPF_REG_3, FRAME, AT_WHERE);
	bcode_load(c, 8, BPF_REG_4, FRAME, AT_LAST);
	bcode_add(c, BPF_REG_3, BPF_REG_4);
	bcode_call(c, BPF_FUNC_copy_from_user); /* may be beyond the end: the read tells */
	bcode_jump(c, begin);
}

#if defined(__aarch64__)
enum { SP = 31 * 8, IP = 32 * 8, RESULT = 0 };
#else
enum { SP = 19 * 8, IP = 16 * 8, RESULT = 10 * 8 };
#endif

/* VALUE = what the fetch begins with */
static void begin(struct program *g, const struct bfetch *f, unsigned fault)
{
	struct bcode *c = g->c;

	switch (f->base) {
	case BBASE_REGISTER: bcode_load(c, 8, VALUE, CTX, (int)f->number); break;
	case BBASE_STACK_POINTER: bcode_load(c, 8, VALUE, CTX, SP); break;
	case BBASE_STACK:
		bcode_load(c, 8, VALUE, CTX, SP);
		follow(g, f, &(struct bstep){(int64_t)f->number * 8, true}, fault);
		break;
	case BBASE_ARGUMENT: bcode_load(c, 8, VALUE, CTX, (int)MIN(f->number, 4095u) * 8); break;
	case BBASE_RETVAL:
		bcode_load(c, 8, VALUE, CTX, g->user ? RESULT : (int)g->p->nargs * 8);
		break;
	case BBASE_NUMBER: bcode_set64(c, VALUE, f->number); break;
	case BBASE_FILE_OFFSET: /* the file's begin as it is mapped: from the address of the probe */
		bcode_load(c, 8, VALUE, ROOM, (int)g->head + 8);
		bcode_set64(c, BPF_REG_1, f->number - g->p->offset);
		bcode_add(c, VALUE, BPF_REG_1);
		break;
	case BBASE_COMM:
	case BBASE_TEXT: break;
	}
}

/* ---- fields ---- */

static void to_room(struct program *g, int reg, uint32_t at)
{
	bcode_mov(g->c, reg, ROOM);
	bcode_math(g->c, BPF_ADD, reg, (int32_t)(g->head + at));
}

static void put_zeros(struct program *g, uint32_t at, uint32_t n)
{
	while (n) {
		unsigned bytes = n >= 8 ? 8 : n >= 4 ? 4 : n >= 2 ? 2 : 1;

		bcode_store_value(g->c, bytes, ROOM, (int)(g->head + at), 0);
		at += bytes;
		n -= bytes;
	}
}

static void put_value(struct program *g, const struct bfetch *f)
{
	if (f->bit_width) { /* the bits to the top, and down again */
		bcode_math(g->c, BPF_LSH, VALUE, 64 - f->bit_offset - f->bit_width);
		bcode_math(g->c, BPF_RSH, VALUE, 64 - f->bit_width);
	}
	bcode_store(g->c, f->type->size, ROOM, (int)(g->head + f->at), VALUE);
}

static void put_number(struct program *g, const struct bfetch *f)
{
	struct bcode *c = g->c;
	unsigned fault = bcode_label(c), done;
	unsigned size = f->type->size, bytes = size * (f->count ? f->count : 1);

	begin(g, f, fault);
	for (unsigned i = 0; i + 1 < f->nsteps; i++)
		follow(g, f, &f->steps[i], fault);
	if (f->nsteps && !f->count && is_load(g, f, &f->steps[f->nsteps - 1])) {
		bcode_load(c, size, VALUE, VALUE, (int)f->steps[f->nsteps - 1].offset);
		put_value(g, f);
	} else if (f->nsteps && !f->bit_width) {
		const struct bstep *last = &f->steps[f->nsteps - 1];

		to_room(g, BPF_REG_1, f->at);
		bcode_set(c, BPF_REG_2, (int32_t)bytes);
		read_memory(g, last); /* zeros if it fails */
		if (g->waits)
			check_read(g, last->offset, bytes, fault);
	} else {
		if (f->nsteps) {
			bcode_store_value(c, 8, FRAME, AT_VALUE, 0);
			bcode_to_frame(c, BPF_REG_1, AT_VALUE);
			bcode_set(c, BPF_REG_2, (int32_t)size);
			read_memory(g, &f->steps[f->nsteps - 1]);
			check_read(g, f->steps[f->nsteps - 1].offset, size, fault);
			bcode_load(c, 8, VALUE, FRAME, AT_VALUE);
		}
		put_value(g, f);
	}
	if (!bcode_leads_to(c, fault))
		return; /* the verifier takes no code that nothing reaches */
	done = bcode_label(c);
	bcode_jump(c, done);
	bcode_here(c, fault);
	put_zeros(g, f->at, bytes);
	bcode_here(c, done);
}

/* The location of a text: its length (register 0) and where it is. */
static void put_location(struct program *g, uint32_t at, uint32_t where)
{
	bcode_math(g->c, BPF_LSH, BPF_REG_0, 16);
	bcode_math(g->c, BPF_OR, BPF_REG_0, (int32_t)where);
	bcode_store(g->c, 4, ROOM, (int)(g->head + at), BPF_REG_0);
}

static void put_bytes(struct program *g, uint32_t at, const char *s, uint32_t n)
{
	while (n) {
		unsigned bytes = n >= 4 ? 4 : n >= 2 ? 2 : 1;
		int32_t v = 0;

		memcpy(&v, s, bytes);
		bcode_store_value(g->c, bytes, ROOM, (int)(g->head + at), v);
		s += bytes;
		at += bytes;
		n -= bytes;
	}
}

/* The text at VALUE + the step's offset, whose location is to stand at `at`. */
static void put_text(
	struct program *g, const struct bstep *s, bool user, uint32_t at, unsigned fault)
{
	struct bcode *c = g->c;
	uint32_t where = g->p->fixed + g->text * g->slot;
	unsigned well = bcode_label(c);

	to_room(g, BPF_REG_1, where);
	bcode_set(c, BPF_REG_2, (int32_t)g->slot);
	bcode_mov(c, BPF_REG_3, VALUE);
	bcode_set64(c, BPF_REG_4, (uint64_t)s->offset);
	bcode_add(c, BPF_REG_3, BPF_REG_4);
	bcode_call(c,
		user || s->user || g->user ? BPF_FUNC_probe_read_user_str
					   : BPF_FUNC_probe_read_str);
	if (g->may_grow)
		bcode_jump_if(c, BPF_JEQ, BPF_REG_0, (int32_t)g->slot, g->again);
	bcode_jump_if(c, BPF_JSGT, BPF_REG_0, 0, well);
	read_failed(g, s->offset, g->slot, fault);
	bcode_here(c, well);
	put_location(g, at, where);
}

static void put_fault(struct program *g, uint32_t at)
{
	uint32_t where = g->p->fixed + g->text * g->slot;

	put_bytes(g, where, FAULT, sizeof(FAULT));
	bcode_set(g->c, BPF_REG_0, sizeof(FAULT));
	put_location(g, at, where);
}

/* Texts that need no memory to be read. */
static void put_own_text(struct program *g, const struct bfetch *f)
{
	struct bcode *c = g->c;
	uint32_t where = g->p->fixed + g->text * g->slot;

	if (f->base == BBASE_COMM) {
		to_room(g, BPF_REG_1, where);
		bcode_set(c, BPF_REG_2, 16);
		bcode_call(c, BPF_FUNC_get_current_comm);
		bcode_set(c, BPF_REG_0, 16);
	} else {
		put_bytes(g, where, f->text, (uint32_t)strlen(f->text) + 1);
		bcode_set(c, BPF_REG_0, (int32_t)strlen(f->text) + 1);
	}
	put_location(g, f->at, where);
	g->text++;
}

static void put_texts(struct program *g, const struct bfetch *f)
{
	static const struct bstep here = {0, false};
	struct bcode *c = g->c;
	bool user = f->type->is_user;
	unsigned last = f->nsteps ? f->nsteps - 1 : 0;

	if (f->base == BBASE_COMM || f->base == BBASE_TEXT) {
		put_own_text(g, f);
		return;
	}
	for (unsigned i = 0; i < (f->count ? f->count : 1); i++) {
		unsigned fault = bcode_label(c), done = bcode_label(c);
		uint32_t at = f->at + 4 * i;

		begin(g, f, fault);
		for (unsigned k = 0; k < last; k++)
			follow(g, f, &f->steps[k], fault);
		if (f->count) { /* an array of pointers to texts */
			struct bstep element = f->steps[last];

			element.offset += 8 * (int64_t)i;
			follow(g, f, &element, fault);
			put_text(g, &here, user, at, fault);
		} else {
			put_text(g, f->nsteps ? &f->steps[last] : &here, user, at, fault);
		}
		bcode_jump(c, done);
		bcode_here(c, fault);
		put_fault(g, at);
		bcode_here(c, done);
		g->text++;
	}
}

/* ---- the whole ---- */

/* r0 = the entry of the table for the key in the frame */
static void look_up(struct bcode *c, int map, int key)
{
	bcode_map(c, BPF_REG_1, map);
	bcode_to_frame(c, BPF_REG_2, key);
	bcode_call(c, BPF_FUNC_map_lookup_elem);
}

static void check_limit(struct program *g, unsigned wanted)
{
	struct bcode *c = g->c;

	if (g->m->limit < 0)
		return;
	bcode_math(c, BPF_RSH, BPF_REG_0, 32); /* the process, of bpf_get_current_pid_tgid() */
	bprocess_jump_if_there(c, g->m->limit, wanted);
	for (unsigned n = 0; n < 8; n++) {
		if (!(g->p->tasks & 1u << n))
			continue;
		bprocess_of_task(c, n, g->m->task_tgid, AT_KEY);
		bcode_load(c, 4, BPF_REG_0, FRAME, AT_KEY);
		bprocess_jump_if_there(c, g->m->limit, wanted);
	}
	bcode_exit(c, 0);
}

static void put_head(struct program *g)
{
	const struct bprobe *p = g->p;
	struct bcode *c = g->c;

	bcode_call(c, BPF_FUNC_ktime_get_ns);
	bcode_store(c, 8, ROOM, 0, BPF_REG_0);
	bcode_store_value(c, 4, ROOM, (int)g->head, p->id);
	bcode_load(c, 4, BPF_REG_0, FRAME, AT_TASK);
	bcode_store(c, 4, ROOM, (int)g->head + 4, BPF_REG_0);
	if (p->place == BPLACE_UPROBE) {
		bcode_load(c, 8, BPF_REG_0, CTX, IP);
	} else if (p->place == BPLACE_URETPROBE) {
		bcode_mov(c, BPF_REG_1, CTX);
		bcode_call(c, BPF_FUNC_get_func_ip);
	} else {
		bcode_set64(c, BPF_REG_0, p->address);
	}
	bcode_store(c, 8, ROOM, (int)g->head + 8, BPF_REG_0);
	if (p->place == BPLACE_URETPROBE)
		bcode_load(c, 8, BPF_REG_0, CTX, IP);
	else if (p->place == BPLACE_FEXIT)
		bstack_caller(c, p, AT_CALLER);
	if (p->place == BPLACE_URETPROBE || p->place == BPLACE_FEXIT)
		bcode_store(c, 8, ROOM, (int)g->head + 16, BPF_REG_0);
}

static void submit(struct program *g)
{
	struct bcode *c = g->c;
	unsigned quiet = bcode_label(c);

	bcode_mov(c, BPF_REG_1, RING);
	bcode_set(c, BPF_REG_2, BPF_RB_AVAIL_DATA);
	bcode_call(c, BPF_FUNC_ringbuf_query);
	bcode_set(c, BPF_REG_2, BPF_RB_NO_WAKEUP);
	bcode_jump_if(c, BPF_JLT, BPF_REG_0, (int32_t)g->m->wake_bytes, quiet);
	bcode_set(c, BPF_REG_2, BPF_RB_FORCE_WAKEUP);
	bcode_here(c, quiet);
	bcode_mov(c, BPF_REG_1, ROOM);
	bcode_call(c, BPF_FUNC_ringbuf_submit);
	bcode_exit(c, 0);
}

static void put_stacks(struct program *g)
{
	struct bstack s = {.stacks = g->m->stacks,
		.frames = g->frames,
		.place = g->p->place,
		.may_grow = g->stack_may_grow,
		.again = g->again,
		.room = ROOM,
		.process = AT_TASK + 4};

	bstack_put(g->c, &s);
}

/* One try, with rooms of one size. False: no larger ones are needed. */
static bool put_record(struct program *g, unsigned lost)
{
	struct bcode *c = g->c;
	unsigned begin = bcode_label(c);
	uint32_t size;

	g->text = 0;
	g->again = g->may_grow || g->stack_may_grow ? bcode_label(c) : 0;
	g->wait = bcode_label(c);
	g->head = BRECORD_HEAD + bstack_bytes(g->m->stacks, g->frames);
	size = g->head + g->p->fixed + g->p->ntexts * g->slot;
	bcode_here(c, begin);
	bcode_mov(c, BPF_REG_1, RING);
	bcode_set(c, BPF_REG_2, (int32_t)size);
	bcode_set(c, BPF_REG_3, 0);
	bcode_call(c, BPF_FUNC_ringbuf_reserve);
	bcode_jump_if(c, BPF_JEQ, BPF_REG_0, 0, lost);
	bcode_mov(c, ROOM, BPF_REG_0);
	put_head(g);
	put_stacks(g);
	for (size_t i = 0; i < g->p->nfetches; i++) {
		if (g->p->fetches[i].type->is_string)
			put_texts(g, &g->p->fetches[i]);
		else
			put_number(g, &g->p->fetches[i]);
	}
	submit(g);
	if (bcode_leads_to(c, g->wait))
		wait_for_memory(g, begin);
	if (!g->again || !bcode_leads_to(c, g->again))
		return false;
	bcode_here(c, g->again);
	bcode_mov(c, BPF_REG_1, ROOM);
	bcode_set(c, BPF_REG_2, BPF_RB_NO_WAKEUP);
	bcode_call(c, BPF_FUNC_ringbuf_discard);
	return true;
}

static bool slot_fits(const struct bprobe *p, unsigned i)
{
	return i < ARRAY_SIZE(slots) && p->fixed + p->ntexts * slots[i] <= RECORD_TEXTS_MAX;
}

/* The rooms of a try; both kinds grow from one to the next, as far as they can. */
static void set_rooms(struct program *g, unsigned try)
{
	unsigned most = 0;

	while (slot_fits(g->p, most + 1))
		most++;
	g->slot = g->p->ntexts ? slots[MIN(try, most)] : 0;
	g->may_grow = g->p->ntexts && try < most;
	g->frames = try ? BSTACK_FRAMES_MAX : BSTACK_FRAMES_FEW;
	g->stack_may_grow = g->m->stacks && try == 0;
}

static void count_lost(struct bcode *c, const struct bmaps *m)
{
	unsigned none = bcode_label(c);

	look_up(c, m->lost, AT_CPU);
	bcode_jump_if(c, BPF_JEQ, BPF_REG_0, 0, none);
	bcode_set(c, BPF_REG_1, 1);
	bcode_atomic(c, BPF_ADD, BPF_REG_0, 0, BPF_REG_1);
	bcode_here(c, none);
	bcode_exit(c, 0);
}

int bprogram_probe(struct bcode *c, const struct bprobe *p, const struct bmaps *m, enum bhow how)
{
	struct program g = {.c = c,
		.p = p,
		.m = m,
		.user = p->place == BPLACE_UPROBE || p->place == BPLACE_URETPROBE,
		.waits = how == BHOW_WAITS,
		.typed = how == BHOW_TYPED};
	unsigned try = 0;
	unsigned wanted = bcode_label(c), lost = bcode_label(c), none = bcode_label(c);

	bcode_mov(c, CTX, BPF_REG_1);
	bcode_call(c, BPF_FUNC_get_current_pid_tgid);
	bcode_store(c, 8, FRAME, AT_TASK, BPF_REG_0);
	check_limit(&g, wanted);
	bcode_here(c, wanted);
	bcode_call(c, BPF_FUNC_get_smp_processor_id);
	bcode_store(c, 4, FRAME, AT_CPU, BPF_REG_0);
	look_up(c, m->rings, AT_CPU);
	bcode_jump_if(c, BPF_JEQ, BPF_REG_0, 0, none);
	bcode_mov(c, RING, BPF_REG_0);
	if (g.waits)
		bcode_store_value(c, 8, FRAME, AT_TRIES, 0);
	do
		set_rooms(&g, try++);
	while (put_record(&g, lost));
	bcode_here(c, none); /* a CPU that came later: the first one's account has it */
	bcode_store_value(c, 4, FRAME, AT_CPU, 0);
	bcode_here(c, lost);
	count_lost(c, m);
	return bcode_done(c);
}

int bprogram_peek(struct bcode *c, uint64_t address)
{
	bcode_store_value(c, 8, FRAME, AT_VALUE, 0);
	bcode_to_frame(c, BPF_REG_1, AT_VALUE);
	bcode_set(c, BPF_REG_2, 4);
	bcode_set64(c, BPF_REG_3, address);
	bcode_call(c, BPF_FUNC_probe_read_kernel);
	bcode_load(c, 4, BPF_REG_0, FRAME, AT_VALUE);
	bcode_return(c);
	return bcode_done(c);
}
