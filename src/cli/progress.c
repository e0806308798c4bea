/* One line of progress, rewritten in place. The cursor is left at its begin, so that what the
 * command prints takes its place instead of following it. */
#include "cli/progress.h"
#include "view/out.h"
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_MS = 500 };

void progress_init(struct progress *p)
{
	*p = (struct progress){
		.on = isatty(STDERR_FILENO) == 1, .begin_ns = now_ns(CLOCK_MONOTONIC)};
	p->shown_ns = p->begin_ns;
}

int progress_due_ms(const struct progress *p)
{
	uint64_t since_ms = (now_ns(CLOCK_MONOTONIC) - p->shown_ns) / 1000000;

	if (!p->on)
		return -1;
	return since_ms >= PERIOD_MS ? 0 : (int)(PERIOD_MS - since_ms);
}

void progress_show(struct progress *p, const struct cairn_stats *stats)
{
	char events[HUMAN_MAX], rate[HUMAN_MAX], lost[HUMAN_MAX], bytes[HUMAN_MAX];
	uint64_t now = now_ns(CLOCK_MONOTONIC), all = stats->events + stats->kernel_events;

	if (!p->on)
		return;
	(void)fprintf(stderr, "\r%s events  %s  lost %s  %s  %.0f s\033[K\r",
		human_count(events, all),
		human_rate(rate, all - p->shown_events, now - p->shown_ns),
		human_count(lost, stats->lost_total + stats->kernel_lost),
		human_bytes(bytes, stats->bytes + stats->kernel_bytes),
		(double)(now - p->begin_ns) / 1e9);
	(void)fflush(stderr);
	p->shown_ns = now;
	p->shown_events = all;
	p->visible = true;
}

void progress_clear(struct progress *p)
{
	if (p->visible)
		(void)fputs("\r\033[K", stderr);
	p->visible = false;
}

static void say_larger(uint64_t ring_bytes)
{
	const uint64_t most = 1u << 30;
	uint64_t mib = MIN(MAX(ring_bytes * 4, 8u << 20), most) >> 20;

	if (ring_bytes < most)
		(void)fprintf(stderr,
			"hint: larger rings (--ring-size %" PRIu64
			"M) or fewer events (-e, --exclude)\n",
			mib);
	else
		(void)fputs("hint: fewer events (-e, --exclude)\n", stderr);
}

void progress_summary(
	const struct progress *p, const struct cairn_stats *stats, uint64_t ring_bytes)
{
	char a[HUMAN_MAX], b[HUMAN_MAX], t[HUMAN_MAX];
	bool first = true;

	(void)fprintf(stderr, "cairn: %s events", human_count(a, stats->events));
	if (stats->kernel_bytes)
		(void)fprintf(
			stderr, " and %s of the kernel", human_count(a, stats->kernel_events));
	(void)fprintf(stderr, ", %s, in %s", human_bytes(b, stats->bytes + stats->kernel_bytes),
		human_ns(t, now_ns(CLOCK_MONOTONIC) - p->begin_ns));
	if (stats->kernel_lost)
		(void)fprintf(stderr, "\ncairn: %s kernel events were lost%s",
			human_count(a, stats->kernel_lost),
			stats->write_error
				? "" /* that is why, and is said */
				: "\nhint: --kernel-buffer auto or a larger one, fewer events, or a filter");
	if (stats->kernel_gap_ns)
		(void)fprintf(stderr,
			"%s%s in which the kernel's buffers grew, and nothing was recorded or counted\n"
			"hint: begin with larger ones (--kernel-buffer SIZE)",
			stats->kernel_lost ? "\ncairn: there were "
					   : "; none counted as lost, but for ",
			human_ns(t, stats->kernel_gap_ns));
	if (!stats->lost_total) {
		(void)fputs(stats->kernel_lost || stats->kernel_gap_ns ? "\n"
				: stats->write_error ? "; the rest could not be written\n"
						     : "; none lost\n",
			stderr);
		return;
	}
	(void)fprintf(stderr, "\ncairn: %s events were lost (", human_count(a, stats->lost_total));
	for (unsigned i = 0; i < CAIRN_LOST_MAX; i++) {
		const char *reason = cairn_lost_reason(i);

		if (!stats->lost[i])
			continue;
		(void)fprintf(stderr, "%s%s %s", first ? "" : ", ", reason ? reason : "unknown",
			human_count(a, stats->lost[i]));
		first = false;
	}
	(void)fputs(")\n", stderr);
	if (stats->lost[0]) /* ring full: something can be done */
		say_larger(ring_bytes ? ring_bytes : CAIRN_RING_BYTES_DEFAULT);
}
