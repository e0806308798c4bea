/* Sizes of records by a trace's metadata: of sessions that were taken over from a host that died, whose
 * programs describe their events to nobody again. What the text does not say, or says in a way that our own
 * metadata never does, stays unknown: such records are not counted. */
#include "ctf/ctf-read.h"
#include "session/session-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_BYTES 4u /* of a sequence's length, which is a member of its own before it */

/* Bytes of a type of fixed size; 0: it is none. */
static uint64_t fixed_bytes(const struct cairn_type *t)
{
	switch (t->kind) {
	case CAIRN_TYPE_INT:
	case CAIRN_TYPE_FLOAT:
	case CAIRN_TYPE_ENUM: return t->bits % 8 ? 0 : t->bits / 8;
	case CAIRN_TYPE_ARRAY: return t->nmembers ? t->length * fixed_bytes(t->members[0]) : 0;
	default: return 0;
	}
}

static int add_step(struct record_size *rs, uint64_t fixed, uint64_t width)
{
	struct record_step *step = VEC_ADD(rs->steps, rs->nsteps, rs->csteps);

	if (!step)
		return -ENOMEM;
	*step = (struct record_step){(uint32_t)fixed, (uint32_t)width};
	return 0;
}

/* 0, -ENOMEM, -EPROTO: not one of ours. */
static int plan(struct record_size *rs, const struct cairn_type *fields, uint64_t fixed)
{
	int r = 0;

	for (size_t i = 0; fields && i < fields->nmembers && r == 0; i++) {
		const struct cairn_type *t = fields->members[i];
		uint64_t n = fixed_bytes(t);

		if (n) {
			fixed += n;
		} else if (t->kind == CAIRN_TYPE_STRING) {
			r = add_step(rs, fixed, 0);
			fixed = 0;
		} else if (t->kind == CAIRN_TYPE_SEQUENCE && t->nmembers && fixed >= COUNT_BYTES &&
			(n = fixed_bytes(t->members[0]))) {
			r = add_step(rs, fixed - COUNT_BYTES, n);
			fixed = 0;
		} else if (t->kind != CAIRN_TYPE_ARRAY || t->length) {
			r = -EPROTO;
		}
		if (fixed > UINT32_MAX)
			r = -EPROTO;
	}
	rs->fixed = (uint32_t)fixed;
	return r;
}

static int add_class(struct session *s, const struct cairn_event_class *cls)
{
	struct channel *ch;
	struct record_size *rs;
	int r;

	if (cls->stream_class_id < 1 || cls->stream_class_id > s->nchannels ||
		cls->id >= MAX_EVENTS)
		return 0;
	ch = &s->channels[cls->stream_class_id - 1];
	while (ch->nsizes <= cls->id)
		if (!VEC_ADD(ch->sizes, ch->nsizes, ch->csizes))
			return -ENOMEM;
	rs = &ch->sizes[cls->id];
	free(rs->steps);
	*rs = (struct record_size){.is_state = strcmp(cls->provider, CTF_STATE_PROVIDER) == 0};
	r = plan(rs, cls->fields, cairn_ctx_bytes(ch->contexts, ch->perf_count));
	rs->known = r == 0;
	return r == -ENOMEM ? r : 0;
}

int records_from_metadata(struct session *s)
{
	const struct buf *text = &s->output->meta;
	struct error err = {0};
	struct ctfr_meta m;
	int r = ctfr_meta_init(&m, "the metadata of the rings");

	if (r == 0)
		r = ctfr_meta_feed(&m, text->data ? text->data : "", text->len, false, &err);
	for (size_t i = 0; r == 0 && i < m.pub.nclasses; i++)
		r = add_class(s, m.pub.classes[i]);
	ctfr_meta_done(&m);
	return r;
}
