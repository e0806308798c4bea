/* An exhaustive model of the ring: every interleaving of a few writers, their restarts and deaths,
 * and a consumer, in bounds. It checks the order of stores in src/ring/producer-section.h and the
 * order of loads in src/ring/consumer.c and snapshot.c, and it proves that it can fail: each
 * variant that is known to be wrong must be found wrong.
 *
 *	ring-model [BOUND]	BOUND 0 (default, seconds) .. 2 (minutes)
 *
 * What is modelled. The writers of a ring share one CPU. A writer enters its section when no other
 * is in it; a restart (preemption, a signal, whose handler may be another writer) takes it back to
 * the beginning at any step, with what it stored left behind. A kill is a restart after which that
 * writer does not run again, and so is giving up after 64: both are among the paths searched. The
 * loads of a section are one step: nobody on the CPU can store between them without a restart, and
 * read_pos only grows. Each store is a step of its own and goes into the CPU's store buffer (in
 * order, as x86 has it), from which it reaches the consumer as late as it likes; read_pos likewise
 * comes back late. (What nobody can see the order of is one step: time passes just before a writer
 * reads it, stores arrive just before the consumer loads.) Memory is in cells: a header is one
 * cell, a body 0..2, and copying in whole words overshoots by one. Times are small numbers; a dense
 * header holds them modulo DENSE.
 *
 * What is checked: positions and times of a ring never go back; each published record is whole
 * when it is read, and decodes to its time from the packet's begin; no record is outside its
 * packet's times; a snapshot's blocks are whole, their pads and counts true, and the count of all
 * records, with that of those lost, exact.
 */
#include "test.h"
#include <stdbool.h>
#include <stdint.h>

enum { WRITERS = 3, CELLS = 12, BLOCK = 3, QUEUE = 8, LOG = 20, DENSE = 3, LOW = 16, TICKS = 7 };

struct variant {
	const char *name;
	bool wrong; /* a violation must be found */
	bool overwrite, given_clock;
	int writers, records, body[WRITERS]; /* body cells of each writer's records */
	int ring; /* cells, discard */
	int now_max, cuts, prefill;
	int interrupts; /* at most so many; 0: two */
	int delay; /* at most so many stores wait in the buffer; 0: four */
	/* how it can be wrong */
	bool no_abort, ts_before_pos, upper_after_commit, no_slack, no_pend_check, no_max,
		body_after_commit, count_uncorrected, count_after_commit;
	enum { LOOK_PUP, LOOK_PU, LOOK_UP } look;
	enum { DROP_TWO, DROP_ONE, DROP_NONE } drop;
};

enum { DONE = 99, NOBODY = 9 };

struct writer {
	uint8_t pc, pos, start, newpos, ts, form, cell, record;
};

struct entry { /* a published record: what the consumer must find */
	uint8_t start, end, ts, form;
};

/* Bytes only: states are compared by hashing their memory. */
struct state {
	struct writer w[WRITERS];
	uint8_t cur, now, interrupts;
	uint8_t pos, upper, pend_pos, count, count_low, read_pos; /* as writers see them */
	uint8_t c_pos, c_upper, c_count, c_count_low, c_read_pos; /* as the consumer does */
	uint8_t queued, log_len;
	uint8_t c_pc, P, U, C, c_cell, cut_pos, cut_ts, cuts, has_cut;
	struct {
		uint8_t addr, value[4];
	} queue[QUEUE];
	uint8_t data[CELLS][4], copy[CELLS][4];
	struct entry log[LOG];
};

enum { ADDR_POS = 100, ADDR_UPPER, ADDR_COUNT };

static const struct variant *v;
static const char *violated;
static int interrupts_max, delay_max;

#define REQUIRE(cond, why) \
	do { \
		if (!(cond) && !violated) \
			violated = (why); \
	} while (0)

/* ---- memory ---- */

static void store(struct state *s, uint8_t addr, uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	uint8_t i = s->queued++;

	s->queue[i].addr = addr;
	memcpy(s->queue[i].value, (uint8_t[4]){a, b, c, d}, 4);
}

/* The oldest store in the buffer reaches the consumer. */
static void drain_one(struct state *s)
{
	const uint8_t *value = s->queue[0].value;

	if (s->queue[0].addr == ADDR_POS) {
		s->c_pos = value[0];
	} else if (s->queue[0].addr == ADDR_UPPER) {
		s->c_upper = value[0];
	} else if (s->queue[0].addr == ADDR_COUNT) {
		s->c_count = value[0];
		s->c_count_low = value[1];
	} else {
		memcpy(s->data[s->queue[0].addr], value, 4);
	}
	s->queued--;
	memmove(&s->queue[0], &s->queue[1], s->queued * sizeof(s->queue[0]));
	memset(&s->queue[s->queued], 0, sizeof(s->queue[0]));
}

static int ring_cells(void)
{
	return v->overwrite ? CELLS : v->ring;
}

static uint8_t cell_of(int pos)
{
	return (uint8_t)(pos % ring_cells());
}

/* ---- a writer ---- */

/* The steps of the section. What a variant has in the wrong place runs after COMMIT. */
enum {
	OUTSIDE,
	TIME_READ, /* monotonic clock: outside the section still */
	HEADER,
	PEND,
	UPPER,
	BODY,
	COMMIT,
	LATE,
};

static uint8_t count_below(const struct state *s, int pos)
{
	bool mismatch = s->count_low != pos % LOW && !v->count_uncorrected;

	return (uint8_t)(s->count - mismatch);
}

static bool is_committed(const struct state *s)
{
	return v->overwrite ? s->count_low == s->pos % LOW : s->pend_pos == s->pos;
}

/* All loads; false: no room, or nothing to do but to lose the record. */
static bool section_loads(struct state *s, struct writer *w, int index)
{
	int len = 1 + v->body[index], pos = s->pos, in_block = pos % BLOCK;
	bool short_allowed;

	if (!v->overwrite && pos - s->read_pos + len + (v->no_slack ? 0 : 1) > v->ring)
		return false;
	w->pos = w->start = (uint8_t)pos;
	if (!v->given_clock)
		w->ts = s->now;
	if (w->ts < s->upper && !v->no_max)
		w->ts = s->upper;
	short_allowed = (v->no_pend_check || is_committed(s)) && w->ts - s->upper < DENSE;
	w->form = short_allowed ? 0 : 2;
	if (v->overwrite && (in_block == 0 || in_block + len > BLOCK)) {
		w->start = (uint8_t)(pos + (BLOCK - in_block) % BLOCK);
		w->form = 3;
	}
	w->newpos = (uint8_t)(w->start + len);
	w->cell = 0;
	return true;
}

static void next_record(struct writer *w)
{
	uint8_t record = (uint8_t)(w->record + 1);

	memset(w, 0, sizeof(*w));
	w->record = record;
	if (record >= v->records)
		w->pc = DONE;
}

static void publish(struct state *s, const struct writer *w)
{
	struct entry *last = s->log_len ? &s->log[s->log_len - 1] : NULL;

	REQUIRE(w->pos == s->pos, "a record was published over another");
	if (last) {
		REQUIRE(w->ts >= last->ts, "times of a ring go back");
		REQUIRE(w->form != 0 || w->ts - last->ts < DENSE, "a dense header is ambiguous");
	}
	if (s->has_cut && w->start >= s->cut_pos)
		REQUIRE(w->ts >= s->cut_ts,
			"a record is earlier than the end of the packet before");
	s->pos = w->newpos;
	store(s, ADDR_POS, w->newpos, 0, 0, 0);
	s->log[s->log_len++] = (struct entry){w->start, w->newpos, w->ts, w->form};
}

static void store_upper(struct state *s, const struct writer *w)
{
	s->upper = w->ts;
	store(s, ADDR_UPPER, w->ts, 0, 0, 0);
}

static void store_count(struct state *s, const struct writer *w)
{
	s->count = (uint8_t)(count_below(s, w->pos) + 1);
	s->count_low = w->newpos % LOW;
	store(s, ADDR_COUNT, s->count, s->count_low, 0, 0);
}

/* Cells say whose they are: the record's start, their number, and the header's contents. */
static void store_body(struct state *s, struct writer *w, int index)
{
	if (v->body[index] == 0)
		return;
	w->cell++;
	store(s, cell_of(w->start + w->cell), w->start, w->cell, w->ts, 0x80);
	if (w->cell == v->body[index]) /* the word's rest */
		store(s, cell_of(w->newpos), 0xee, 0xee, 0xee, 0xee);
}

/* PEND and UPPER, in their order or in the wrong one. */
static void store_pend(struct state *s, const struct writer *w, bool first)
{
	if (first == v->ts_before_pos) {
		if (!v->upper_after_commit)
			store_upper(s, w);
	} else if (!v->overwrite) {
		s->pend_pos = w->newpos;
	} else if (!v->count_after_commit) {
		store_count(s, w);
	}
}

/* Writer `index` goes on from outside: with the monotonic clock it reads the time first. */
static void writer_begin(struct state *s, int index)
{
	struct writer *w = &s->w[index];

	if (w->pc == OUTSIDE && v->given_clock) {
		w->ts = s->now;
		w->pc = TIME_READ;
	} else if (!section_loads(s, w, index)) {
		next_record(w);
	} else {
		w->pc = HEADER;
		s->cur = (uint8_t)index;
	}
}

/* One step of the writer that is in its section. */
static void writer_step(struct state *s)
{
	int index = s->cur;
	struct writer *w = &s->w[index];

	switch (w->pc) {
	case HEADER:
		store(s, cell_of(w->start), w->start, w->ts,
			(uint8_t)(w->form << 4 | (w->start - w->pos)), count_below(s, w->pos));
		break;
	case PEND:
	case UPPER: store_pend(s, w, w->pc == PEND); break;
	case BODY:
		if (v->body_after_commit)
			break;
		store_body(s, w, index);
		if (w->cell < v->body[index])
			return;
		break;
	case COMMIT:
		publish(s, w);
		if (v->upper_after_commit || v->body_after_commit || v->count_after_commit)
			break;
		next_record(w);
		s->cur = NOBODY;
		return;
	default:
		if (v->upper_after_commit)
			store_upper(s, w);
		if (v->count_after_commit)
			store_count(s, w);
		if (v->body_after_commit) {
			store_body(s, w, index);
			if (w->cell < v->body[index])
				return;
		}
		next_record(w);
		s->cur = NOBODY;
		return;
	}
	w->pc++;
}

/* Preempted, moved away, interrupted, killed. */
static void interrupt(struct state *s)
{
	struct writer *w = &s->w[s->cur];
	uint8_t record = w->record;

	s->cur = NOBODY;
	if (v->no_abort || w->pc > COMMIT)
		return;
	memset(w, 0, sizeof(*w));
	w->record = record;
}

#include "ring-model-consumer.h"

/* ---- the search ---- */

enum {
	STEP, /* the writer in its section */
	INTERRUPT,
	BEGIN, /* + writer * 2 (+ 1: read_pos arrives first), and after it `now` += 0.. */
	BEGIN_END = BEGIN + WRITERS * 2 * TICKS,
	CONSUME = BEGIN_END, /* + number of stores that arrive first */
};

static bool begin(struct state *s, int what)
{
	int index = what / TICKS / 2, ticks = what % TICKS;
	struct writer *w = &s->w[index];
	bool reads_time = w->pc == (v->given_clock ? OUTSIDE : w->pc);

	if (index >= v->writers || s->cur != NOBODY || w->pc == DONE)
		return false;
	if (s->now + ticks > v->now_max || (ticks && (!reads_time || w->pc >= HEADER)))
		return false;
	if (what / TICKS % 2) {
		if (s->read_pos == s->c_read_pos)
			return false;
		s->read_pos = s->c_read_pos;
	}
	s->now = (uint8_t)(s->now + ticks);
	if (w->pc >= HEADER)
		s->cur = (uint8_t)index; /* goes on as if nothing had been (no_abort) */
	else
		writer_begin(s, index);
	return true;
}

static bool act(struct state *s, int action)
{
	if (action == STEP || action == INTERRUPT) {
		if (action == INTERRUPT && s->interrupts++ >= interrupts_max)
			return false;
		if (action == INTERRUPT)
			interrupt(s);
		else
			writer_step(s);
		while (s->queued > delay_max)
			drain_one(s);
		return true;
	}
	if (action < BEGIN_END)
		return begin(s, action - BEGIN);
	for (int i = CONSUME; i < action; i++)
		drain_one(s);
	return v->overwrite ? snapshot_step(s) : take_step(s);
}

static uint64_t *seen; /* hashes of the states met */
static size_t seen_cap, seen_len;
static uint8_t path[4096];
static int path_len;

static uint64_t hash_state(const struct state *s)
{
	uint64_t h = 0x9e3779b97f4a7c15u, word;
	const uint8_t *p = (const uint8_t *)s;

	for (size_t i = 0; i < sizeof(*s); i += 8) {
		word = 0;
		memcpy(&word, p + i, sizeof(*s) - i < 8 ? sizeof(*s) - i : 8);
		h = (h ^ word) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	h *= 0xc4ceb9fe1a85ec53u;
	h ^= h >> 29;
	return h ? h : 1;
}

static bool seen_insert(uint64_t h)
{
	size_t i = h & (seen_cap - 1);

	for (; seen[i]; i = (i + 1) & (seen_cap - 1))
		if (seen[i] == h)
			return false;
	seen[i] = h;
	seen_len++;
	return true;
}

static void seen_grow(void)
{
	uint64_t *old = seen;
	size_t old_cap = seen_cap;

	seen_cap = old_cap ? old_cap * 2 : 1u << 16;
	seen = calloc(seen_cap, sizeof(*seen));
	if (!seen)
		exit(1);
	seen_len = 0;
	for (size_t i = 0; i < old_cap; i++)
		if (old[i])
			seen_insert(old[i]);
	free(old);
}

static void explore(const struct state *s)
{
	if (seen_len * 2 >= seen_cap)
		seen_grow();
	if (!seen_insert(hash_state(s)) || path_len >= (int)sizeof(path))
		return;
	for (int action = 0; action <= CONSUME + s->queued && !violated; action++) {
		struct state t;

		if (action < BEGIN_END && (s->cur == NOBODY) == (action < BEGIN))
			continue;
		t = *s;
		if (!act(&t, action))
			continue;
		path[path_len++] = (uint8_t)action;
		if (!violated)
			explore(&t);
		if (!violated)
			path_len--;
	}
}

static void print_path(void)
{
	for (int i = 0; i < path_len; i++)
		if (path[i] == STEP || path[i] == INTERRUPT)
			printf(path[i] == STEP ? " step" : " INTERRUPT");
		else if (path[i] < BEGIN_END)
			printf(" writer-%d+%d%s", (path[i] - BEGIN) / TICKS / 2,
				(path[i] - BEGIN) % TICKS,
				(path[i] - BEGIN) / TICKS % 2 ? "r" : "");
		else
			printf(" consumer-%d", path[i] - CONSUME);
	printf("\n");
}

/* A ring in use: v->prefill records of writer 0, all visible. */
static struct state initial(void)
{
	struct state s = {.cur = NOBODY};

	for (int i = 0; i < v->prefill; i++) {
		for (writer_begin(&s, 0); s.cur != NOBODY || s.w[0].pc == TIME_READ;)
			if (s.cur == NOBODY)
				writer_begin(&s, 0);
			else
				writer_step(&s);
		while (s.queued)
			drain_one(&s);
		memset(&s.w[0], 0, sizeof(s.w[0]));
	}
	return s;
}

static void check_variant(const struct variant *variant)
{
	struct state s;

	v = variant;
	violated = NULL;
	interrupts_max = v->interrupts ? v->interrupts : 2;
	delay_max = v->delay ? v->delay : 4;
	path_len = 0;
	free(seen);
	seen = NULL;
	seen_cap = seen_len = 0;
	s = initial();
	explore(&s);
	printf("# %s: %s, %zu states\n", v->name, violated ? violated : "holds", seen_len);
	CHECK(v->wrong == (violated != NULL));
	if (!v->wrong && violated)
		print_path();
	if (!v->wrong)
		CHECK(seen_len > 1000);
	fflush(stdout);
}

#include "ring-variants.h"

int main(int argc, char **argv)
{
	int bound = argc > 1 ? atoi(argv[1]) : 0, n = 0, failed = 0;

	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		if (variants[i].bound > bound)
			continue;
		test_failures = 0;
		check_variant(&variants[i].v);
		failed += test_failures != 0;
		printf("%s %d - %s\n", test_failures ? "not ok" : "ok", ++n, variants[i].v.name);
		fflush(stdout);
	}
	(void)test_skipped, (void)test_first, (void)test_last;
	printf("1..%d\n", n);
	return failed != 0;
}
