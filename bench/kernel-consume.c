/* kernel-consume CALLS PATTERN...: what the consumer's thread spends on an event of the kernel, from
 * read(2) of the ring's page to the records of a packet; nothing is written to a disk.
 *
 * Each sample fills the ring of an instance of ours by CALLS system calls of this process, with the
 * events of the patterns on, stops it, and times emptying it: once only reading the pages, once also
 * making records of them, as the session's loop does. Samples of both alternate.
 */
#include "bench.h"
#include "kernel/kctf.h"
#include "kernel/tracefs.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#define PACKET_BYTES (256u << 10)
#define BYTES_A_CALL 160

struct consumer {
	struct tracefs *top, *instance;
	struct kpage_layout layout;
	struct kctf *ctf;
	struct kctf_stream stream;
	uint8_t *page;
	int fd;
	uint64_t events, lost;
};

static int enable(struct consumer *c, const char *pattern, struct error *e)
{
	AUTO(tracefs_events) struct tracefs_events list = {0};
	int r = tracefs_events(c->top, pattern, &list, e);

	for (size_t i = 0; i < list.n && r == 0; i++) {
		const struct tracefs_event *ev = &list.all[i];
		AUTO(buf) struct buf text = {0};
		struct kformat *f;

		r = tracefs_format(c->top, ev->system, ev->name, &text, e);
		if (r == 0)
			r = kformat_parse(text.data, text.len, ev->system, sizeof(long), &f, e);
		if (r == 0)
			r = kctf_add(c->ctf, f, e);
		if (r == 0)
			r = tracefs_enable(c->instance, ev->system, ev->name, true, e);
	}
	if (r == 0 && !list.n)
		return error_set(e, -ENOENT, "no event matches %s", pattern);
	return r;
}

static int set_up(struct consumer *c, long calls, struct error *e)
{
	struct ctf_facts facts = {.domain = "kernel", .uuid = {1}};
	struct ctf_clock clock = {.name = "tsc", .freq = 1000000000};
	AUTO(buf) struct buf text = {0};
	int32_t pid = getpid();
	char path[64];
	int r = tracefs_open(NULL, &c->top, e);

	if (r == 0)
		r = tracefs_instance_new(c->top, &c->instance, e);
	if (r == 0)
		r = tracefs_clock(c->instance, "x86-tsc", e);
	if (r == 0)
		r = tracefs_buffer(c->instance, (uint64_t)calls * BYTES_A_CALL, e);
	if (r == 0)
		r = tracefs_pids(c->instance, &pid, 1, e);
	if (r == 0)
		r = tracefs_read(c->top, "events/header_page", &text, e);
	if (r == 0)
		r = kpage_layout_parse(text.data, text.len, 0, false, &c->layout, e);
	if (r == 0)
		r = kctf_new(&facts, &clock, &c->ctf);
	if (r < 0)
		return r;
	(void)snprintf(
		path, sizeof(path), "per_cpu/cpu%d/trace_pipe_raw", bench_env("BENCH_CPU", 0));
	c->fd = tracefs_open_file(c->instance, path, O_RDONLY | O_NONBLOCK);
	c->page = malloc(c->layout.size + KCTF_SLACK);
	if (c->fd < 0 || !c->page)
		return error_set(e, -ENOENT, "cannot open %s", path);
	return 0;
}

static void fill(struct consumer *c, long calls)
{
	(void)tracefs_on(c->instance, true, NULL); /* an empty ring is seen below */
	for (long i = 0; i < calls; i++)
		syscall(SYS_getppid);
	(void)tracefs_on(c->instance, false, NULL);
}

/* Empties the ring; the number of its events if they are counted. */
static void empty(struct consumer *c, bool to_ctf)
{
	struct ring_view view;
	struct ctf_frame frame;
	struct kpage page;
	ssize_t n;

	while ((n = read(c->fd, c->page, c->layout.size)) > 0) {
		if (!to_ctf)
			continue;
		if (kpage_begin(&page, &c->layout, c->page, (size_t)n) < 0 ||
			kctf_page(c->ctf, &c->stream, &page) < 0)
			exit(1);
		c->lost += page.lost;
		if (c->stream.len < PACKET_BYTES)
			continue;
		c->events += c->stream.events;
		kctf_packet(c->ctf, &c->stream, &view, &frame);
		kctf_packet_done(&c->stream);
	}
	c->events += c->stream.events;
	kctf_packet_done(&c->stream);
}

static double time_empty(struct consumer *c, bool to_ctf)
{
	uint64_t begin = bench_clock(CLOCK_THREAD_CPUTIME_ID);

	c->events = 0;
	empty(c, to_ctf);
	return (double)(bench_clock(CLOCK_THREAD_CPUTIME_ID) - begin);
}

static int measure(struct consumer *c, long calls)
{
	struct bench_samples reads = {0}, all = {0};
	int reps = bench_env("BENCH_REPS", 7);

	for (int rep = -1; rep < reps && all.n < BENCH_MAX; rep++) {
		double cg = bench_time(bench_cg_loop, BENCH_CG_CALLS), ns[2];

		for (int to_ctf = 0; to_ctf < 2; to_ctf++) {
			fill(c, calls);
			ns[to_ctf] = time_empty(c, to_ctf != 0);
		}
		if (rep < 0 || !c->events)
			continue;
		reads.ns[reads.n] = ns[0] / (double)c->events;
		all.ns[all.n] = ns[1] / (double)c->events;
		reads.cg[reads.n++] = all.cg[all.n++] = cg;
	}
	if (!all.n || c->lost || c->stream.lost[CAIRN_LOST_CORRUPT]) {
		fprintf(stderr, "kernel-consume: no events, or some were lost\n");
		return 1;
	}
	bench_print("read(2) of the pages", &reads);
	bench_print("page to CTF, with its read(2)", &all);
	return 0;
}

int main(int argc, char **argv)
{
	struct consumer c = {.fd = -1};
	struct error e = {0};
	long calls = argc > 2 ? atol(argv[1]) : 0;
	int r;

	if (calls < 1) {
		fprintf(stderr, "usage: kernel-consume CALLS PATTERN...\n");
		return 2;
	}
	bench_pin(0);
	r = set_up(&c, calls, &e);
	for (int i = 2; i < argc && r == 0; i++)
		r = enable(&c, argv[i], &e);
	if (r == 0)
		r = measure(&c, calls);
	else
		fprintf(stderr, "kernel-consume: %s\n", e.message);
	if (c.fd >= 0)
		(void)close(c.fd);
	if (c.instance && tracefs_instance_remove(c.instance, &e) < 0)
		fprintf(stderr, "kernel-consume: %s\n", e.message);
	kctf_stream_done(&c.stream);
	kctf_free(c.ctf);
	tracefs_free(c.top);
	free(c.page);
	return r != 0;
}
