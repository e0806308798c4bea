/* switch SESSION PATTERN RUNS: how long it takes, through the daemon, until every process has enabled
 * and disabled the events of PATTERN. Prints {"enable_ms": [...], "disable_ms": [...], "asked": N}.
 */
#include <cairn/session.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RUNS_MAX 1000
#define TIMEOUT_MS 5000

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int fail(const char *what, const struct cairn_error *err)
{
	fprintf(stderr, "switch: %s: %s\n", what, err->message);
	return 1;
}

static void print_list(const char *name, const double *ms, int n)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < n; i++)
		printf("%s%.4f", i ? ", " : "", ms[i]);
	printf("], ");
}

int main(int argc, char **argv)
{
	static double on[RUNS_MAX], off[RUNS_MAX];
	int runs = argc == 4 ? atoi(argv[3]) : 0;
	struct cairn_rule rule = {.loglevel = CAIRN_LOGLEVEL_ANY};
	struct cairn_report report = {0};
	struct cairn_control *ctl;
	struct cairn_error err;

	if (runs < 1 || runs > RUNS_MAX) {
		fprintf(stderr, "usage: switch SESSION PATTERN RUNS\n");
		return 2;
	}
	rule.pattern = argv[2];
	if (cairn_connect(NULL, &ctl, &err) < 0)
		return fail("connect", &err);
	for (int i = 0; i < runs; i++) {
		double begin = now_ms(), middle;

		if (cairn_session_enable(ctl, argv[1], &rule, TIMEOUT_MS, &report, &err) < 0)
			return fail("enable", &err);
		middle = now_ms();
		if (cairn_session_disable(ctl, argv[1], argv[2], NULL, TIMEOUT_MS, NULL, &err) < 0)
			return fail("disable", &err);
		on[i] = middle - begin;
		off[i] = now_ms() - middle;
	}
	cairn_control_free(ctl);
	printf("{");
	print_list("enable_ms", on, runs);
	print_list("disable_ms", off, runs);
	printf("\"asked\": %u, \"acted\": %u}\n", report.asked, report.acted);
	return 0;
}
