/* timeit RUNS COMMAND...: wall time of a whole command, once a run after one warm-up, output thrown
 * away. Prints {"ms": [...], "cpu_ms": [...], "max_rss_kib": N}. Fails if the command does.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#define RUNS_MAX 1000

extern char **environ;

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double ms_of(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

/* Runs it once; its wall time in milliseconds, or a negative number if it failed. */
static double run_once(
	char **command, const posix_spawn_file_actions_t *fa, long *max_rss, double *cpu_ms)
{
	double begin = now_ms();
	struct rusage use;
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, command[0], fa, NULL, command, environ) != 0 ||
		wait4(pid, &status, 0, &use) < 0) {
		perror(command[0]);
		return -1;
	}
	if (status != 0) {
		fprintf(stderr, "timeit: %s: status %#x\n", command[0], status);
		return -1;
	}
	*cpu_ms = ms_of(&use.ru_utime) + ms_of(&use.ru_stime);
	if (use.ru_maxrss > *max_rss)
		*max_rss = use.ru_maxrss;
	return now_ms() - begin;
}

int main(int argc, char **argv)
{
	static double ms[RUNS_MAX], cpu_ms[RUNS_MAX];
	int runs = argc > 2 ? atoi(argv[1]) : 0;
	posix_spawn_file_actions_t fa;
	long max_rss = 0;

	if (runs < 1 || runs > RUNS_MAX) {
		fprintf(stderr, "usage: timeit RUNS COMMAND...\n");
		return 2;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	for (int i = -1; i < runs; i++) {
		double cpu, t = run_once(argv + 2, &fa, &max_rss, &cpu);

		if (t < 0)
			return 1;
		if (i >= 0) {
			ms[i] = t;
			cpu_ms[i] = cpu;
		}
	}
	printf("{\"ms\": [");
	for (int i = 0; i < runs; i++)
		printf("%s%.4f", i ? ", " : "", ms[i]);
	printf("], \"cpu_ms\": [");
	for (int i = 0; i < runs; i++)
		printf("%s%.4f", i ? ", " : "", cpu_ms[i]);
	printf("], \"max_rss_kib\": %ld}\n", max_rss);
	return 0;
}
