/* Event classes: their names, formats and ids, and how a stream finds them. */
#include "ctf/ctf-read.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool ctfr_has_slots(const struct ctfr_node *n)
{
	if (n->slot >= 0)
		return true;
	for (uint32_t i = 0; i < n->nkids; i++)
		if (ctfr_has_slots(n->kids[i]))
			return true;
	return false;
}

static char *percent_decoded(struct arena *a, const char *s, size_t n)
{
	char *out = arena_alloc(a, n + 1), *d = out;

	for (size_t i = 0; out && i < n; i++) {
		unsigned v;
		char hex[3] = "";

		if (s[i] == '%' && n - i > 2) {
			memcpy(hex, s + i + 1, 2);
			if (sscanf(hex, "%2x", &v) == 1) {
				*d++ = (char)v;
				i += 2;
				continue;
			}
		}
		*d++ = s[i];
	}
	return out;
}

/* What else is to be known of an event: provider, name without it, format. */
static int name_event(struct ctfr_meta *m, struct ctfr_event *e)
{
	static const char log[] = "cairn:log?format=";
	const char *colon = strchr(e->pub.name, ':');

	e->pub.provider = "";
	e->pub.event = e->pub.name;
	if (colon) {
		e->pub.provider =
			arena_strndup(&m->arena, e->pub.name, (size_t)(colon - e->pub.name));
		e->pub.event = colon + 1;
	}
	if (strncmp(e->pub.uri, log, sizeof(log) - 1) == 0) {
		const char *f = e->pub.uri + sizeof(log) - 1;

		e->pub.format = percent_decoded(&m->arena, f, strcspn(f, "&"));
		if (!e->pub.format)
			return -ENOMEM;
	}
	if (!e->pub.provider)
		return -ENOMEM;
	e->says_who = m->pub.is_cairn && strcmp(e->pub.provider, "cairn_state") == 0;
	e->stream->says_who |= e->says_who;
	return 0;
}

static int add_class(struct ctfr_meta *m, const struct ctfr_event *e)
{
	if (m->nclasses == m->classes_cap) { /* the old array stays: users may hold it */
		size_t cap = m->classes_cap ? m->classes_cap * 2 : 64;
		const struct cairn_event_class **grown =
			arena_alloc(&m->arena, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		if (m->nclasses)
			memcpy(grown, m->classes, m->nclasses * sizeof(*grown));
		m->classes = grown;
		m->classes_cap = cap;
	}
	m->classes[m->nclasses++] = &e->pub;
	m->pub.classes = m->classes;
	m->pub.nclasses = m->nclasses;
	return 0;
}

#define SMALL_IDS 4096

static int add_to_stream(struct ctfr_stream *s, struct ctfr_event *e)
{
	s->only = s->nevents++ ? NULL : e;
	if (e->pub.id < SMALL_IDS) {
		if (!s->by_id) {
			s->by_id = calloc(SMALL_IDS, sizeof(*s->by_id));
			if (!s->by_id)
				return -ENOMEM;
			s->by_id_cap = SMALL_IDS;
		}
		s->by_id[e->pub.id] = e;
		return 0;
	}
	return map_put(&s->big_ids, &e->pub.id, sizeof(e->pub.id), e);
}

struct ctfr_event *ctfr_stream_event(const struct ctfr_stream *s, uint64_t id)
{
	if (id < s->by_id_cap)
		return s->by_id[id];
	return map_get(&s->big_ids, &id, sizeof(id));
}

int ctfr_class_add(struct ctfr_meta *m, struct ctfr_event *e)
{
	int r = name_event(m, e);

	if (r == 0)
		r = add_class(m, e);
	return r < 0 ? r : add_to_stream(e->stream, e);
}
