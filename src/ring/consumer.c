/* Taking records out of discard and blocking rings: cutting packets, giving space back.
 *
 * Producers know nothing of packets. A packet is cut at a position P with a time U such that each
 * record below P has a time <= U and each later one >= U; U ends this packet and begins the next,
 * and the short headers of the next are decoded from it. Such a pair is found by reading pos, then
 * ts_upper, then pos again, unchanged. (pos last: a record published in between may be later than
 * U. ts_upper last, without the check: a writer that has not published yet may have raised it
 * while another publishes below it. tests/model has both as failing cases.)
 *
 * Nothing that is read from shared memory is trusted: positions are compared with private copies,
 * and data is only passed on. One thread at a time per ring set.
 */
#include "base/atomic.h"
#include "base/base.h"
#include "ring/ringset-impl.h"
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_TRIES 1000

int ring_look(
	const struct ring_state *r, uint64_t *ret_pos, uint64_t *ret_upper, uint64_t *ret_count)
{
	uint64_t pos = load_acquire(&r->ctl->pos); /* pairs with [commit] in producer-section.h */

	for (int i = 0; i < LOOK_TRIES; i++) {
		uint64_t upper = load_acquire(&r->ctl->ts_upper);
		uint64_t count = load_acquire(&r->ctl->count);
		uint64_t again = load_acquire(&r->ctl->pos); /* pairs with [commit] */

		if (again == pos) {
			*ret_pos = pos;
			*ret_upper = upper;
			*ret_count = count;
			return 0;
		}
		pos = again;
	}
	return -EAGAIN;
}

void ring_fill_lost(struct ring_state *r, struct ring_view *view)
{
	view->lost_total = 0;
	memcpy(r->lost_before, r->lost, sizeof(r->lost));
	for (int i = 0; i < CAIRN_LOST_REASONS; i++) {
		view->lost[i] = load_relaxed(&r->ctl->lost[i]);
		view->lost_total += view->lost[i];
	}
	memcpy(r->lost, view->lost, sizeof(r->lost));
	r->lost_told = view->lost_total;
}

void ringset_count_lost(struct ringset *s, uint32_t ring, enum cairn_lost why, uint64_t n)
{
	if (ring < s->hdr.nrings && (unsigned int)why < CAIRN_LOST_REASONS)
		fetch_add_relaxed(&s->rings[ring].ctl->lost[why], n);
}

/* Makes pos, with time ts, the place where consumption goes on, for writers and for a host that
 * takes over: the entry of `cut` is whole before read_pos selects it. */
static void move_cut(struct ring_state *r, uint64_t pos, uint64_t ts)
{
	struct cairn_ring_cut *cut = &r->ctl->cut[r->cut_slot ^= 1];

	store_relaxed(&cut->ts, ts);
	store_release(&cut->pos, pos); /* pairs with [release] in ringset.c */
	r->cut_pos = r->view_pos = pos;
	r->cut_ts = r->view_ts = ts;
	store_release(&r->ctl->read_pos, pos); /* pairs with [release] in producer-solo.c */
}

/* Blocked writers look at read_pos after they have counted themselves in `waiters` and before they
 * sleep on `wake`; the locked add keeps our store of read_pos before the load of `waiters`. */
static void wake_writers(struct cairn_ring_ctl *ctl)
{
	fetch_add_acq_rel(&ctl->wake, 1);
	fence_seq_cst();
	if (load_relaxed(&ctl->waiters))
		(void)syscall(SYS_futex, &ctl->wake, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static uint64_t lost_total(const struct ring_state *r)
{
	uint64_t total = 0;

	for (int i = 0; i < CAIRN_LOST_REASONS; i++)
		total += load_relaxed(&r->ctl->lost[i]);
	return total;
}

/* The ring cannot be read on from where we were: go on where it is now. */
static void skip_to(struct ringset *s, uint32_t ring, uint64_t pos, uint64_t upper)
{
	struct ring_state *r = &s->rings[ring];

	ringset_count_lost(s, ring, CAIRN_LOST_CORRUPT, 1);
	move_cut(r, pos, MAX(upper, r->cut_ts));
	wake_writers(r->ctl);
}

int ring_take(struct ringset *s, uint32_t ring, struct ring_view *ret)
{
	struct ring_view view = {0};
	struct ring_state *r;
	uint64_t pos, upper, count;
	int err;

	if (ring >= s->hdr.nrings)
		return -EINVAL;
	r = &s->rings[ring];
	err = ring_look(r, &pos, &upper, &count);
	if (err < 0)
		return err;
	if (pos - r->cut_pos > s->hdr.ring_bytes) { /* also when it went backwards */
		skip_to(s, ring, pos, upper);
	} else if (pos != r->cut_pos) {
		view.len = pos - r->cut_pos;
		view.data = ring_linear(s, ring, r->cut_pos, view.len);
		if (!view.data) {
			skip_to(s, ring, pos, upper);
			view.len = 0;
		}
	}
	if (view.len == 0 && lost_total(r) == r->lost_told)
		return 0;
	view.begin_pos = r->cut_pos;
	view.begin_ts = r->cut_ts;
	r->view_pos = view.end_pos = r->cut_pos + view.len;
	r->view_ts = view.end_ts = view.len ? MAX(upper, r->cut_ts) : r->cut_ts;
	ring_fill_lost(r, &view);
	*ret = view;
	return 1;
}

void ring_shorten(
	struct ringset *s, uint32_t ring, struct ring_view *view, uint64_t len, uint64_t ts)
{
	struct ring_state *r;

	if (ring >= s->hdr.nrings || len >= view->len)
		return;
	r = &s->rings[ring];
	view->len = len;
	r->view_pos = view->end_pos = view->begin_pos + len;
	r->view_ts = view->end_ts = MIN(MAX(ts, view->begin_ts), view->end_ts);
	memcpy(r->lost, r->lost_before, sizeof(r->lost));
	memcpy(view->lost, r->lost, sizeof(r->lost));
	view->lost_total = 0;
	for (int i = 0; i < CAIRN_LOST_REASONS; i++)
		view->lost_total += view->lost[i];
	r->lost_told = view->lost_total;
}

void ring_release(struct ringset *s, uint32_t ring)
{
	struct ring_state *r;

	if (ring >= s->hdr.nrings)
		return;
	r = &s->rings[ring];
	if (r->view_pos == r->cut_pos)
		return;
	move_cut(r, r->view_pos, r->view_ts);
	wake_writers(r->ctl);
}

uint64_t ring_pending(const struct ringset *s, uint32_t ring)
{
	const struct ring_state *r;
	uint64_t pending;

	if (ring >= s->hdr.nrings)
		return 0;
	r = &s->rings[ring];
	pending = load_relaxed(&r->ctl->pos) - r->cut_pos;
	return MIN(pending, s->hdr.ring_bytes);
}
