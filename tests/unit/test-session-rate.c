/* The line that gives the TSC by CLOCK_MONOTONIC_RAW: how far off, never back, and after a jump. */
#include "session/session-impl.h"
#include "test.h"

#define HZ 2399987654ull /* what the TSC really does; the first guess is 50 ppm off */
#define NOISE_NS 25 /* of a look */
#define BOUND_NS 300

/* Two clocks that somebody looks at, a little late or early. */
struct sky {
	uint64_t raw_ns; /* now */
	uint64_t slept; /* cycles that the TSC went on while the other stood still */
	uint32_t random;
};

static uint64_t cycles_at(const struct sky *s, uint64_t raw_ns)
{
	return 7777777 + s->slept + (uint64_t)((unsigned __int128)raw_ns * HZ / 1000000000u);
}

static struct clock_line_point look(struct sky *s)
{
	s->random = s->random * 1103515245u + 12345u;
	return (struct clock_line_point){s->raw_ns,
		cycles_at(s, s->raw_ns - NOISE_NS + (s->random >> 16) % (2 * NOISE_NS + 1))};
}

/* Nanoseconds by which the line is ahead of the truth. */
static int64_t error_ns(const struct sky *s, const struct clock_line *l)
{
	int64_t cycles = (int64_t)(rate_at(&l->rate, s->raw_ns) - cycles_at(s, s->raw_ns));

	return (int64_t)((__int128)cycles * 1000000000 / (int64_t)HZ);
}

static void begin(struct sky *s, struct clock_line *l)
{
	*s = (struct sky){.raw_ns = 5000000000ull, .random = 42};
	l->first = look(s);
	l->rate = (struct cairn_rate){l->first.raw_ns, l->first.cycles,
		(uint64_t)(((unsigned __int128)(HZ + HZ / 20000) << 32) / 1000000000u)};
}

/* Lets `ns` pass in steps, then looks. The worst error on the way; *back: a time was below one
 * before it. */
static int64_t pass(struct sky *s, struct clock_line *l, uint64_t ns, bool *back)
{
	uint64_t end = s->raw_ns + ns, last = rate_at(&l->rate, s->raw_ns);
	int64_t worst = 0;
	struct clock_line_point now;

	while (s->raw_ns < end) {
		int64_t e;

		s->raw_ns += MIN(ns / 7 + 1, end - s->raw_ns);
		e = error_ns(s, l);
		worst = MAX(worst, e < 0 ? -e : e);
		*back |= rate_at(&l->rate, s->raw_ns) < last;
		last = rate_at(&l->rate, s->raw_ns);
	}
	now = look(s);
	rate_next(l, &now);
	*back |= rate_at(&l->rate, s->raw_ns) < last;
	return worst;
}

/* As rate_follow() does it. */
static uint64_t next_wait(const struct sky *s, const struct clock_line *l)
{
	return MIN(MAX(s->raw_ns - l->first.raw_ns, 1000000u), 250000000u);
}

TEST(the_line_is_close_from_the_beginning_and_never_leads_back)
{
	struct clock_line l = {0};
	bool back = false;
	int64_t worst = 0;
	struct sky s;

	begin(&s, &l);
	for (int i = 0; i < 10000; i++)
		worst = MAX(worst, pass(&s, &l, next_wait(&s, &l), &back));
	CHECK(worst <= BOUND_NS);
	CHECK(!back);
	CHECK(s.raw_ns - l.first.raw_ns > 2000000000000ull); /* one line all the time */
}

TEST(a_host_that_was_stopped_comes_back_to_it)
{
	struct clock_line l = {0};
	bool back = false;
	struct sky s;

	begin(&s, &l);
	for (int i = 0; i < 100; i++)
		(void)pass(&s, &l, next_wait(&s, &l), &back);
	CHECK(pass(&s, &l, 60000000000ull, &back) < 60 * 200); /* a minute on the old line */
	for (int i = 0; i < 100; i++)
		CHECK(pass(&s, &l, next_wait(&s, &l), &back) <= BOUND_NS);
}

TEST(a_jump_is_followed_at_once)
{
	struct clock_line l = {0};
	bool back = false;
	struct sky s;

	begin(&s, &l);
	for (int i = 0; i < 100; i++)
		(void)pass(&s, &l, next_wait(&s, &l), &back);
	s.slept = HZ * 3600; /* the machine slept */
	(void)pass(&s, &l, next_wait(&s, &l), &back);
	CHECK(error_ns(&s, &l) >= -NOISE_NS - 1 && error_ns(&s, &l) <= NOISE_NS + 1);
	for (int i = 0; i < 100; i++)
		CHECK(pass(&s, &l, next_wait(&s, &l), &back) <= BOUND_NS);
}

TEST_MAIN()
