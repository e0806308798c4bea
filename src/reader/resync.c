/* Behind damage: the next packet of a file that can be trusted.
 *
 * Packets of one stream class begin alike: with the magic number and, in Cairn's and LTTng's traces,
 * the trace's UUID. These bytes are searched for; a place at which they stand counts if
 *
 *	- the head there makes sense and says its size, within the file;
 *	- its stream class and instance are those of the packets before;
 *	- without a UUID, four bytes only were compared: then another such packet, or the end of the
 *	  file, must follow where it ends.
 *
 * Traces without a magic number are not searched: there the rest of the file is not read.
 */
#include "reader/reader-impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK (256u << 10) /* searched at once */
#define HEAD_MAX 4096u /* of the packets that are looked for */

static bool is_number(const struct ctfr_node *n, enum ctfr_role role)
{
	return n->role == role && n->bits == 32 && n->pub.kind == CAIRN_TYPE_INT && n->align <= 32;
}

static bool is_uuid(const struct ctfr_node *n)
{
	return n->role == CTFR_ROLE_UUID && n->fixed_bits == 128 && n->align <= 32;
}

size_t packet_mark(const struct trace *t, uint8_t mark[MARK_MAX])
{
	const struct ctfr_node *h = t->meta.packet_header;
	uint32_t magic = CTFR_MAGIC;

	if (!h || h->nkids == 0 || !is_number(h->kids[0], CTFR_ROLE_MAGIC))
		return 0;
	for (unsigned i = 0; i < 4; i++)
		mark[h->kids[0]->be ? 3 - i : i] = (uint8_t)(magic >> 8 * i);
	if (h->nkids < 2 || !is_uuid(h->kids[1]) || !t->meta.has_uuid)
		return 4;
	memcpy(mark + 4, t->meta.uuid, 16);
	return MARK_MAX;
}

static ssize_t read_at(int fd, uint8_t *p, size_t n, uint64_t at)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, p + got, n - got, (off_t)(at + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

/* Whether the head at a place of the file makes sense and is of the stream asked for. */
static bool sane_head(const struct resync *r, uint64_t *slots, uint64_t at, struct packet_head *h)
{
	uint8_t buf[HEAD_MAX + CTFR_SLACK];
	ssize_t got = at < r->size ? read_at(r->fd, buf, HEAD_MAX, at) : 0;

	if (got <= 0)
		return false;
	memset(buf + got, 0, CTFR_SLACK);
	memcpy(slots, r->trace->meta.env_slots, sizeof(r->trace->meta.env_slots));
	if (packet_head(r->trace, buf, (size_t)got, slots, h) < 0 || h->bytes == 0)
		return false;
	if (h->end_ns != INT64_MIN && h->begin_ns > h->end_ns)
		return false;
	if (!r->known)
		return true;
	return h->cls->id == r->class_id &&
		(!(h->seen & 1u << CTFR_ROLE_INSTANCE_ID) ||
			h->roles[CTFR_ROLE_INSTANCE_ID] == r->instance_id);
}

/* Whether a packet begins where the mark was found. */
static bool is_packet(const struct resync *r, uint64_t *slots, bool sure, uint64_t at)
{
	struct packet_head h, next;

	if (at == r->bad || !sane_head(r, slots, at, &h))
		return false;
	if (h.bytes > r->size - at) /* the last one, cut off? */
		return sure;
	return sure || at + h.bytes == r->size || sane_head(r, slots, at + h.bytes, &next);
}

int packet_search(const struct resync *r, uint64_t from, uint64_t *ret_at)
{
	AUTO(free) uint64_t *slots = calloc(r->trace->meta.nslots, sizeof(*slots));
	AUTO(free) uint8_t *buf = malloc(CHUNK);
	uint8_t mark[MARK_MAX];
	size_t n = packet_mark(r->trace, mark);

	if (!slots || !buf)
		return -ENOMEM;
	while (n && from < r->size) {
		ssize_t got = read_at(r->fd, buf, CHUNK, from);
		const uint8_t *p = buf, *end = buf + MAX(got, 0);

		if (got < (ssize_t)n)
			return 0; /* also if it cannot be read */
		while ((p = memmem(p, (size_t)(end - p), mark, n))) {
			uint64_t at = from + (uint64_t)(p - buf);

			if (is_packet(r, slots, n == MARK_MAX, at)) {
				*ret_at = at;
				return 1;
			}
			p++;
		}
		from += (uint64_t)got - (n - 1); /* one may lie across */
	}
	return 0;
}

int stream_resync(struct stream *s, uint64_t from, uint64_t bad, uint64_t *ret_at)
{
	struct resync r = {.trace = s->trace,
		.bad = bad,
		.known = s->known,
		.class_id = s->info.class_id,
		.instance_id = s->info.instance_id};

	if (stream_open(s) < 0)
		return 0; /* the next reading says why */
	r.fd = s->fd;
	r.size = s->file_size;
	return packet_search(&r, from, ret_at);
}

/* ---- what the reading of packets does then ---- */

static void say_skipped(struct stream *s, uint64_t bad, uint64_t found, const char *why)
{
	if (found > bad)
		stream_notice(s, CAIRN_NOTICE_DAMAGED, bad,
			"a packet is damaged, the %" PRIu64 " bytes up to the next are skipped: %s",
			found - bad, why);
	else /* the packet before claims to be longer than it is */
		stream_notice(s, CAIRN_NOTICE_DAMAGED, found,
			"a packet begins here, within the one before as its packet_size has it; where "
			"that ends there is none: %s",
			why);
	s->notice.skipped = found > bad ? found - bad : 0;
}

int stream_damaged(struct stream *s, const char *why)
{
	uint64_t bad = s->next_packet, found = 0;
	bool said = s->searching;
	int r = stream_resync(s, said ? s->sound_end : MIN(s->sound_end, bad), bad, &found);

	if (r < 0)
		return r;
	if (r > 0) {
		if (!said)
			say_skipped(s, bad, found, why);
		s->next_packet = s->sound_end = found; /* so that no place is come to twice */
		s->searching = false;
		return 0;
	}
	if (!said) {
		stream_notice(s, CAIRN_NOTICE_DAMAGED, bad,
			"a packet is damaged, and no other is found in the %" PRIu64
			" bytes that follow: %s",
			s->file_size - bad, why);
		s->notice.skipped = s->file_size - bad;
	}
	if (!s->r->follow || s->file + 1 < s->nfiles)
		return stream_next_file(s);
	s->searching = true; /* what is there was looked through */
	s->sound_end = MAX(s->sound_end, s->file_size - MIN(s->file_size, MARK_MAX - 1));
	if (said)
		s->state = STREAM_WAIT;
	return 0;
}

/* A packet that goes beyond the end of its file is cut off, if it is the last one. If another one
 * stands in what there is of it, its size is wrong: then it ends there. 0, or -CTFR_BAD (ret->why)
 * if its content does not end before. */
int stream_oversized(struct stream *s, struct packet_head *h)
{
	uint64_t at = s->next_packet, found;
	int r = stream_resync(s, at + h->head_bits / 8, at, &found);

	if (r <= 0)
		return r;
	h->why = "its packet_size goes beyond the end of the file";
	if (!h->content_bits || (h->content_bits + 7) / 8 > found - at)
		return -CTFR_BAD;
	h->bytes = found - at;
	stream_notice(
		s, CAIRN_NOTICE_DAMAGED, at, "a packet is damaged, but can be read: %s", h->why);
	return 0;
}
