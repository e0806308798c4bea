/* kernel-splice DIR OUT: what the recorders of trace-cmd do, which cannot run everywhere: every CPU's
 * DIR/per_cpu/cpuN/trace_pipe_raw goes to the file OUTN by splice(2), until SIGTERM; then what is left.
 * At the end: {"cpu_ms": N, "bytes": N}
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define CPUS 256
#define PAGE 4096
#define PIPE_BYTES (1 << 16)

static volatile sig_atomic_t stop;

static void on_term(int sig)
{
	(void)sig;
	stop = 1;
}

static int open_at(const char *form, const char *where, int cpu, int flags)
{
	char path[4096];
	int fd;

	(void)snprintf(
		path, sizeof(path), "%s%s%d%s", where, form, cpu, *form ? "/trace_pipe_raw" : "");
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		perror(path);
	return fd;
}

/* Moves what there is; bytes, < 0. */
static long move(int in, const int pipe[2], int out)
{
	ssize_t r = splice(in, NULL, pipe[1], NULL, PIPE_BYTES, SPLICE_F_NONBLOCK);
	long moved = 0;

	while (moved < r) {
		ssize_t w = splice(pipe[0], NULL, out, NULL, (size_t)(r - moved), 0);

		if (w <= 0)
			return -1;
		moved += w;
	}
	return moved;
}

/* The last page is not full: splice does not give it. */
static long rest(int in, int out)
{
	static char page[PAGE];
	long moved = 0;
	ssize_t r;

	while ((r = read(in, page, sizeof(page))) > 0) {
		memset(page + r, 0, sizeof(page) - (size_t)r);
		if (write(out, page, sizeof(page)) != (ssize_t)sizeof(page))
			return -1;
		moved += PAGE;
	}
	return moved;
}

static double ms(const struct timeval *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_usec / 1e3;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int n = (int)sysconf(_SC_NPROCESSORS_CONF), in[CPUS], out[CPUS], p[2], busy;
	long bytes = 0, moved;
	struct rusage use;

	if (argc != 3 || n > CPUS || pipe(p) < 0)
		return 2;
	signal(SIGTERM, on_term);
	for (int c = 0; c < n; c++) {
		in[c] = open_at("/per_cpu/cpu", argv[1], c, O_RDONLY | O_NONBLOCK);
		out[c] = open_at("", argv[2], c, O_WRONLY | O_CREAT | O_TRUNC);
		if (in[c] < 0 || out[c] < 0)
			return 1;
	}
	puts("{\"ready\": 1}");
	fflush(stdout);
	do {
		busy = 0;
		for (int c = 0; c < n; c++) {
			moved = move(in[c], p, out[c]);
			if (moved < 0)
				return 1;
			busy |= moved > 0;
			bytes += moved;
		}
		if (!busy)
			nanosleep(&pause, NULL);
	} while (busy || !stop);
	for (int c = 0; c < n; c++)
		bytes += rest(in[c], out[c]);
	getrusage(RUSAGE_SELF, &use);
	printf("{\"cpu_ms\": %.3f, \"bytes\": %ld}\n", ms(&use.ru_utime) + ms(&use.ru_stime),
		bytes);
	return 0;
}
