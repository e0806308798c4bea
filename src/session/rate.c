/* The TSC by CLOCK_MONOTONIC_RAW, for threads of programs that may not read the TSC itself.
 *
 * Both run at constant rates, so the line through the host's first look and its last is known the
 * better the longer the host lives. Each look, RATE_DUE_MAX_NS apart at most and no further than the
 * line is long, gives all rings a new line (abi/ring.h). Lines never lead back: where the old one
 * turns out to be ahead, the new one begins on it and is so much flatter that they meet after
 * CATCH_UP_NS. Only after a time without a look, when no ring had a writer, and when the clocks
 * themselves jumped by more than 1 ms (a machine that slept, a restored VM), a line begins anew.
 *
 * How far a line is off: the error of two looks (half the time between two reads of the TSC around
 * one of the other clock, some 20 ns), and as the line goes on for no longer than it is long, twice
 * that again. docs/decisions/009 states the bound.
 */
#include "session/session-impl.h"
#include <time.h>

#define RATE_DUE_MIN_NS 1000000u
#define RATE_DUE_MAX_NS 250000000u
#define CATCH_UP_NS 1000000000ull
#define STALE_NS 2000000000u
#define LOOKS 8

static void look(struct clock_line_point *ret)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < LOOKS; i++) {
		uint64_t before = clock_cycles(CAIRN_CLOCK_TSC);
		uint64_t raw = now_ns(CLOCK_MONOTONIC_RAW);
		uint64_t after = clock_cycles(CAIRN_CLOCK_TSC);

		if (after - before >= best)
			continue;
		best = after - before;
		ret->cycles = before + (after - before) / 2;
		ret->raw_ns = raw;
	}
}

static uint64_t slope(const struct clock_line_point *a, const struct clock_line_point *b)
{
	return (uint64_t)(((unsigned __int128)(b->cycles - a->cycles) << 32) /
		(b->raw_ns - a->raw_ns));
}

uint64_t rate_at(const struct cairn_rate *r, uint64_t raw_ns)
{
	__int128 cycles = (__int128)(int64_t)(raw_ns - r->raw_ns) * (__int128)r->mult >> 32;

	return r->cycles + (uint64_t)cycles;
}

/* Within 100 ppm: more than the first guess can be wrong. */
static bool is_near(uint64_t mult, uint64_t other)
{
	return mult - other + other / 10000 <= other / 5000;
}

void rate_next(struct clock_line *l, const struct clock_line_point *now)
{
	uint64_t mult = slope(&l->first, now), second = l->rate.mult * 1000000000u >> 32;
	int64_t ahead = (int64_t)(rate_at(&l->rate, now->raw_ns) - now->cycles);
	bool stale = now->raw_ns - l->rate.raw_ns > STALE_NS;

	if (stale || !is_near(mult, l->rate.mult) ||
		(uint64_t)(ahead < 0 ? -ahead : ahead) > second / 1000) {
		if (is_near(mult, l->rate.mult))
			l->rate.mult = mult;
		l->first = *now; /* a line anew */
		l->rate.cycles = now->cycles;
	} else {
		l->rate.cycles = now->cycles + (ahead > 0 ? (uint64_t)ahead : 0);
		l->rate.mult = mult;
		if (ahead > 0)
			l->rate.mult -= ((uint64_t)ahead << 32) / CATCH_UP_NS;
	}
	l->rate.raw_ns = now->raw_ns;
}

static void publish(struct cairn_host *h)
{
	for (size_t i = 0; i < h->nsessions; i++)
		for (size_t k = 0; k < h->sessions[i]->nrsets; k++)
			ringset_set_rate(h->sessions[i]->rsets[k]->rs, &h->line.rate);
}

void rate_follow(struct cairn_host *h, uint64_t now)
{
	struct clock_line *l = &h->line;
	struct clock_line_point at;

	if (h->clock != CAIRN_CLOCK_TSC || now < l->due_ns)
		return;
	look(&at);
	if (at.raw_ns <= l->first.raw_ns || at.cycles <= l->first.cycles)
		rate_init(h); /* a clock jumped back */
	else
		rate_next(l, &at);
	publish(h);
	l->due_ns = now +
		MIN(MAX(at.raw_ns - l->first.raw_ns, (uint64_t)RATE_DUE_MIN_NS), RATE_DUE_MAX_NS);
}

void rate_init(struct cairn_host *h)
{
	struct clock_line *l = &h->line;

	look(&l->first);
	l->rate = (struct cairn_rate){l->first.raw_ns, l->first.cycles,
		(uint64_t)(((unsigned __int128)h->tsc_hz << 32) / 1000000000u)};
	l->due_ns = now_ns(CLOCK_MONOTONIC) + RATE_DUE_MIN_NS;
}
