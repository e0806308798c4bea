/* events KIND THREADS COUNT: the cost of one event, Cairn's or (with BENCH_LTTNG) LTTng-UST's.
 *
 * KIND: none, one_int, four_ints, string; as many threads as asked fire COUNT events a sample, all
 * at the same time. Whether the events are on is the business of who starts it.
 */
#include "bench.h"

#ifdef BENCH_LTTNG
#include "lttng-events.h"
#define NAME "lttng"
#define FIRE(event, ...) lttng_ust_tracepoint(bench, event, ##__VA_ARGS__)
#define FIRE_INT(v) FIRE(one_int, v)
#define FIRE_FOUR(a, b, c, d) FIRE(four_ints, a, b, c, d)
#define FIRE_STRING(s) FIRE(string, s)
#else
#include <cairn/trace.h>
#define NAME "cairn"
#define FIRE(event) CAIRN(bench, event)
#define FIRE_INT(value) CAIRN(bench, one_int, value)
#define FIRE_FOUR(a, b, c, d) CAIRN(bench, four_ints, a, b, c, d)
#define FIRE_STRING(text) CAIRN(bench, string, text)
#endif

#define THREADS_MAX 16

static void fire_none(long count)
{
	for (long i = 0; i < count; i++)
		FIRE(none);
}

static void fire_one_int(long count)
{
	for (long i = 0; i < count; i++) {
		int value = (int)i;

		FIRE_INT(value);
	}
}

static void fire_four_ints(long count)
{
	for (long i = 0; i < count; i++) {
		uint8_t a = (uint8_t)i;
		int16_t b = (int16_t)i;
		int32_t c = (int32_t)i;
		uint64_t d = (uint64_t)i;

		FIRE_FOUR(a, b, c, d);
	}
}

static void fire_string(long count)
{
	const char *text = "hello, world";

	for (long i = 0; i < count; i++) {
		__asm__ volatile("" : "+r"(text)); /* its length is not known here */
		FIRE_STRING(text);
	}
}

static struct bench_op ops[] = {
	{"none", fire_none, 0},
	{"one_int", fire_one_int, 0},
	{"four_ints", fire_four_ints, 0},
	{"string", fire_string, 0},
};

struct worker {
	int number;
	const struct bench_op *op;
	pthread_barrier_t *together;
	struct bench_samples samples;
	pthread_t thread;
};

static void *work(void *arg)
{
	struct worker *w = arg;

	bench_pin(w->number);
	bench_sample(w->op, w->together, &w->samples);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	struct bench_op *op = NULL;
	pthread_barrier_t together;
	int threads = argc == 4 ? atoi(argv[2]) : 0;

	for (size_t i = 0; argc == 4 && i < sizeof(ops) / sizeof(ops[0]); i++)
		if (!strcmp(argv[1], ops[i].key))
			op = &ops[i];
	if (!op || threads < 1 || threads > THREADS_MAX || atol(argv[3]) < 1) {
		fprintf(stderr, "usage: events-" NAME " KIND THREADS COUNT\n");
		return 2;
	}
	op->count = atol(argv[3]);
	pthread_barrier_init(&together, NULL, (unsigned)threads);
	for (int k = 0; k < threads; k++) {
		workers[k] = (struct worker){.number = k, .op = op, .together = &together};
		if (pthread_create(&workers[k].thread, NULL, work, &workers[k]) != 0) {
			perror("pthread_create");
			return 1;
		}
	}
	for (int k = 0; k < threads; k++) {
		pthread_join(workers[k].thread, NULL);
		bench_print(op->key, &workers[k].samples);
	}
	return 0;
}
