/* Is a ring set's header one that we could have made? Every field, before anything is mapped. */
#include "base/base.h"
#include "ring/ringset-impl.h"
#include <errno.h>
#include <string.h>

#define META_MAX (64u << 20)
#define CONTEXTS_ALL ((1u << (CAIRN_CTX_PERF + 1)) - 1)

static bool is_printable(const char *s, size_t size)
{
	const char *end = memchr(s, 0, size);

	if (!end)
		return false;
	for (; s < end; s++)
		if ((unsigned char)*s < ' ' || *s == 127)
			return false;
	return true;
}

/* A field name as metadata needs it. */
static bool is_name(const char *s, size_t size)
{
	const char *end = memchr(s, 0, size);

	if (!end || end == s || (*s >= '0' && *s <= '9'))
		return false;
	for (; s < end; s++)
		if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			    (*s >= '0' && *s <= '9') || *s == '_'))
			return false;
	return true;
}

static bool kinds_are_valid(const struct cairn_ringset_hdr *h)
{
	return h->kind <= CAIRN_RING_SOLO && h->mode <= CAIRN_MODE_BLOCK &&
		h->clock <= CAIRN_CLOCK_MONOTONIC && (h->contexts & ~CONTEXTS_ALL) == 0;
}

static bool sizes_are_valid(const struct cairn_ringset_hdr *h, uint64_t bytes)
{
	uint64_t ring = h->ring_bytes;

	if (h->nrings == 0 || h->nrings > RINGSET_RINGS_MAX || ring < CAIRN_RING_MIN ||
		ring > CAIRN_RING_MAX || (ring & (ring - 1)) != 0)
		return false;
	if (h->meta_offset != CAIRN_RING_PAGE || h->meta_bytes > META_MAX ||
		h->meta_bytes % CAIRN_RING_PAGE != 0 || h->meta_len > h->meta_bytes)
		return false;
	return h->ctl_offset == h->meta_offset + h->meta_bytes &&
		h->data_offset == h->ctl_offset + (uint64_t)h->nrings * CAIRN_RING_PAGE &&
		h->data_offset + h->nrings * ring <= bytes;
}

static bool texts_are_valid(const struct cairn_ringset_hdr *h)
{
	if (h->perf_count > CAIRN_CTX_PERF_MAX)
		return false;
	for (uint32_t i = 0; i < h->perf_count; i++)
		if (!is_name(h->perf[i].name, sizeof(h->perf[i].name)))
			return false;
	return is_printable(h->session, sizeof(h->session)) &&
		is_printable(h->channel, sizeof(h->channel));
}

int ringset_check(const struct cairn_ringset_hdr *h, uint64_t bytes)
{
	if (h->magic != CAIRN_RINGSET_MAGIC || h->layout != CAIRN_RING_LAYOUT ||
		h->boundary != sizeof(*h))
		return -EPROTO;
	return kinds_are_valid(h) && sizes_are_valid(h, bytes) && texts_are_valid(h) ? 0 : -EPROTO;
}
