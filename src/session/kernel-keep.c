/* The kernel's part of a session: what a flight recorder keeps of probes by BPF. Their rings cannot overwrite, so
 * the host reads them in time and holds the newest records of each CPU here, as they are.
 *
 * Records lie in a row, each with its head, in a room that begins anew where the next one does not fit
 * before its end. Positions only grow; the room is as if it went on forever.
 */
#include "session/kernel-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kept {
	uint64_t ts; /* of the trace's clock */
	uint64_t lost; /* records, before this; then nothing else is here */
	uint32_t total; /* bytes, this included; a multiple of 8 */
	uint32_t len; /* of the record; 0 and nothing lost: here the room begins anew */
	uint32_t process;
	uint16_t kernel, user; /* frames of both stacks, which lie behind the record */
};

static size_t in_words(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* Where the room goes on at its begin, as nothing fits before its end: not even a head, or what is there says it. */
static uint64_t wrapped(const struct krec_keep *k, uint64_t at)
{
	size_t left = k->size - at % k->size;
	struct kept head;

	if (left < sizeof(head))
		return at + left;
	memcpy(&head, k->bytes + at % k->size, sizeof(head));
	return head.len || head.lost ? at : at + left;
}

static uint64_t after(const struct krec_keep *k, uint64_t at)
{
	struct kept head;

	at = wrapped(k, at);
	memcpy(&head, k->bytes + at % k->size, sizeof(head));
	return at + head.total;
}

/* Room for n bytes in a row, at k->tail; the oldest give way. */
static void make_room(struct krec_keep *k, size_t n)
{
	size_t left = k->size - k->tail % k->size;
	uint64_t end = k->tail + n + (left < n ? left : 0);

	while (k->head < k->tail && end - k->head > k->size)
		k->head = after(k, k->head);
	if (left >= n)
		return;
	if (left >= sizeof(struct kept))
		memset(k->bytes + k->tail % k->size, 0, sizeof(struct kept));
	k->tail += left;
	if (k->head > k->tail || k->tail - k->head == left)
		k->head = k->tail; /* nothing is left but what was skipped */
}

static int add(struct krec_keep *k, const struct kept *head, const struct kbpf_record *r)
{
	uint8_t *to;

	if (!k->bytes) {
		k->bytes = malloc(k->size);
		if (!k->bytes)
			return -ENOMEM;
	}
	if (head->total > k->size)
		return -ENOSPC;
	make_room(k, head->total);
	to = k->bytes + k->tail % k->size;
	k->tail += head->total;
	memcpy(to, head, sizeof(*head));
	if (!r)
		return 0;
	to += sizeof(*head);
	memcpy(to, r->data, r->len);
	to += in_words(r->len);
	if (r->kernel.n)
		memcpy(to, r->kernel.frames, r->kernel.n * 8);
	if (r->user.n)
		memcpy(to + r->kernel.n * 8, r->user.frames, r->user.n * 8);
	return 0;
}

int krec_keep_add(struct krec_keep *k, uint64_t ts, const struct kbpf_record *r)
{
	struct kept head = {.ts = ts,
		.len = r->len,
		.process = r->process,
		.kernel = (uint16_t)r->kernel.n,
		.user = (uint16_t)r->user.n};

	head.total =
		(uint32_t)(sizeof(head) + in_words(r->len) + 8 * ((size_t)r->kernel.n + r->user.n));
	return add(k, &head, r);
}

int krec_keep_lost(struct krec_keep *k, uint64_t n)
{
	struct kept head = {.lost = n, .total = sizeof(head)};

	return n ? add(k, &head, NULL) : 0;
}

uint64_t krec_keep_begin(const struct krec_keep *k, uint64_t limit)
{
	uint64_t at = k->head;

	while (limit && at < k->tail && k->tail - at > limit)
		at = after(k, at);
	return at;
}

bool krec_keep_next(const struct krec_keep *k, uint64_t *at, struct krec_kept *ret)
{
	struct kept head;
	const uint8_t *p;

	if (*at >= k->tail)
		return false;
	*at = wrapped(k, *at);
	p = k->bytes + *at % k->size;
	memcpy(&head, p, sizeof(head));
	*at += head.total;
	p += sizeof(head);
	*ret = (struct krec_kept){.ts = head.ts,
		.lost = head.lost,
		.r = {.data = p,
			.len = head.len,
			.process = head.process,
			.kernel = {p + in_words(head.len), head.kernel},
			.user = {p + in_words(head.len) + 8u * head.kernel, head.user}}};
	return true;
}

void krec_keep_clear(struct krec_keep *k)
{
	k->head = k->tail;
}
