/* Packets: what goes before and after the bytes of a ring. Layout: ctf.h. */
#include "ctf/write-impl.h"
#include <string.h>

#define FORM_MASK 3u
#define FORM_EXTENDED 2u
#define FORM_BLOCK 3u
#define BLOCK_HEADER 24 /* form and id, time, pad, count */
#define EXTENDED_HEADER 12 /* form and id, time */

/* If the body begins with a block header, puts an extended one of the same id and time into the
 * head and lets the body begin after it. */
static void move_block_header(struct ctf_frame *f)
{
	uint32_t word;

	if (f->body_len < BLOCK_HEADER)
		return;
	memcpy(&word, f->body, sizeof(word));
	if ((word & FORM_MASK) != FORM_BLOCK)
		return;
	memcpy(f->head + f->head_len, f->body, EXTENDED_HEADER);
	word = (word & ~FORM_MASK) | FORM_EXTENDED;
	memcpy(f->head + f->head_len, &word, sizeof(word));
	f->head_len += EXTENDED_HEADER;
	f->body += BLOCK_HEADER;
	f->body_len -= BLOCK_HEADER;
}

/* Padding to a multiple of 8, the losses that are not 0, struct ctf_tail. */
static void make_tail(const struct ring_view *v, size_t content, struct ctf_frame *f)
{
	size_t pad = -content & 7;
	struct ctf_tail tail = {
		.begin_pos = v->begin_pos, .end_pos = v->end_pos, .magic = CTF_TAIL_MAGIC};
	uint8_t *p = f->tail;

	for (uint32_t i = 0; i < CAIRN_LOST_REASONS; i++)
		if (v->lost[i])
			tail.nlost = i + 1;
	memset(p, 0, pad);
	p += pad;
	memcpy(p, v->lost, tail.nlost * sizeof(v->lost[0]));
	p += tail.nlost * sizeof(v->lost[0]);
	memcpy(p, &tail, sizeof(tail));
	f->tail_len = (size_t)(p + sizeof(tail) - f->tail);
}

static void frame(
	const uint8_t uuid[16], bool has_cpu, const struct ctf_packet *p, struct ctf_frame *ret)
{
	const struct ring_view *v = p->view;
	size_t fixed = sizeof(struct ctf_head) - (has_cpu ? 0 : sizeof(uint32_t)), content;
	struct ctf_head h = {.magic = CTF_MAGIC,
		.stream_id = p->stream,
		.stream_instance_id = p->instance,
		.timestamp_begin = v->begin_ts,
		.timestamp_end = v->end_ts,
		.events_discarded = v->lost_total,
		.packet_seq_num = p->seq,
		.cpu_id = p->cpu};

	memcpy(h.uuid, uuid, sizeof(h.uuid));
	ret->head_len = fixed;
	ret->body = v->data;
	ret->body_len = v->len;
	move_block_header(ret);
	content = ret->head_len + ret->body_len;
	make_tail(v, content, ret);
	ret->total = content + ret->tail_len;
	h.content_size = content * 8;
	h.packet_size = ret->total * 8;
	memcpy(ret->head, &h, fixed);
}

void ctf_frame(const struct ctf_trace *t, const struct ctf_packet *p, struct ctf_frame *ret)
{
	bool has_cpu = p->stream < t->nstreams && t->streams[p->stream].kind != CTF_STREAM_STATE;

	frame(t->uuid, has_cpu, p, ret);
}

void ctf_frame_events(const uint8_t uuid[16], const struct ctf_packet *p, struct ctf_frame *ret)
{
	frame(uuid, true, p, ret);
}

bool ctf_tail_find(const void *packet, size_t len, struct ctf_tail *ret, uint64_t *lost)
{
	const uint8_t *end = (const uint8_t *)packet + len;
	struct ctf_tail t;

	if (len < sizeof(struct ctf_head) - 4 + sizeof(t))
		return false;
	memcpy(&t, end - sizeof(t), sizeof(t));
	if (t.magic != CTF_TAIL_MAGIC || t.nlost > CAIRN_LOST_REASONS ||
		t.nlost * sizeof(*lost) > len - sizeof(t))
		return false;
	memset(lost, 0, CAIRN_LOST_REASONS * sizeof(*lost));
	memcpy(lost, end - sizeof(t) - t.nlost * sizeof(*lost), t.nlost * sizeof(*lost));
	*ret = t;
	return true;
}
