/* A trace as its writer knows it: facts, clock, streams, and which events it has.
 *
 * An event is found by its key (ctf_desc_key) within its stream; ids are given in order, so that
 * the first 1024 events of a stream fit the short record headers. Two descriptions under one name
 * are two events: the second is called NAME~2 (but not log lines, which often share their name and
 * differ in their formats).
 */
#include "ctf/write-impl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_MAX (1u << 20) /* in a trace; the id has 30 bits */
#define STREAMS_MAX 65535u

static const char *copy(struct ctf_trace *t, const char *s, int *err)
{
	const char *c = s ? arena_strndup(&t->arena, s, strlen(s)) : NULL;

	if (s && !c)
		*err = -ENOMEM;
	return c;
}

static int add_fact(struct ctf_trace *t, const char *name, const char *value)
{
	struct fact *f;
	int err = 0;

	if (!value)
		return 0;
	f = VEC_ADD(t->facts, t->nfacts, t->facts_cap);
	if (!f)
		return -ENOMEM;
	f->name = copy(t, name, &err);
	f->value = copy(t, value, &err);
	if (err < 0)
		t->nfacts--;
	return err;
}

static int add_facts(struct ctf_trace *t, const struct ctf_facts *f)
{
	const struct fact all[] = {
		{"hostname", f->hostname},
		{"domain", f->domain ? f->domain : "ust"},
		{"sysname", "Linux"},
		{"kernel_release", f->kernel_release},
		{"kernel_version", f->kernel_version},
		{"machine", f->machine},
		{"tracer_name", f->as_lttng ? "lttng-modules" : "cairn"},
		{"cairn_version", f->as_lttng ? f->tracer_version : NULL},
		{"tracer_version", f->tracer_version},
		{"trace_name", f->session},
		{"trace_creation_datetime", f->created},
		{"trace_buffering_scheme", "uid"},
		{"command", f->command},
	};
	int err = 0;

	for (size_t i = 0; err == 0 && i < ARRAY_SIZE(all); i++)
		err = add_fact(t, all[i].name, all[i].value);
	return err;
}

int ctf_trace_set_clock(struct ctf_trace *t, const struct ctf_clock *clock)
{
	struct ctf_clock c = *clock;
	int err = 0;

	c.name = copy(t, clock->name, &err);
	c.description = copy(t, clock->description, &err);
	if (err == 0)
		t->clock = c;
	return err;
}

int ctf_trace_new(
	const struct ctf_facts *facts, const struct ctf_clock *clock, struct ctf_trace **ret)
{
	struct ctf_trace *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	memcpy(t->uuid, facts->uuid, sizeof(t->uuid));
	t->as_lttng = facts->as_lttng;
	err = ctf_trace_set_clock(t, clock);
	if (err == 0)
		err = add_facts(t, facts);
	if (err == 0)
		*ret = t;
	else
		ctf_trace_free(t);
	return err;
}

void ctf_trace_free(struct ctf_trace *t)
{
	if (!t)
		return;
	map_done(&t->by_key);
	map_done(&t->by_name);
	free(t->facts);
	free(t->streams);
	free(t->events);
	arena_done(&t->arena);
	free(t);
}

int ctf_trace_env(struct ctf_trace *t, const char *name, const char *value)
{
	if (t->begun)
		return -EBUSY;
	return add_fact(t, name, value);
}

/* Perf names come from the command line and go into metadata as identifiers, told apart. */
static void copy_perf(struct stream *s, const struct ctf_stream *from)
{
	for (uint32_t i = 0; i < s->perf_count; i++) {
		struct cairn_perf_ctx *p = &s->perf[i];
		size_t len = strnlen(from->perf[i].name, sizeof(p->name) - 4);
		bool taken = len == 0;

		*p = from->perf[i];
		p->name[len] = '\0';
		for (char *c = p->name; *c; c++)
			if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789",
				    *c))
				*c = '_';
		for (uint32_t k = 0; k < i; k++)
			taken |= strcmp(s->perf[k].name, p->name) == 0;
		if (taken) { /* len leaves room for it; there are at most 8 */
			p->name[len] = '_';
			p->name[len + 1] = (char)('1' + i);
			p->name[len + 2] = '\0';
		}
	}
}

int ctf_trace_add_stream(struct ctf_trace *t, const struct ctf_stream *from, uint32_t *ret_stream)
{
	struct stream *s;
	uint32_t id = (uint32_t)t->nstreams;
	int err = 0;

	if (from->perf_count > CAIRN_CTX_PERF_MAX)
		return -EINVAL;
	if (id >= STREAMS_MAX)
		return -ENOSPC;
	s = VEC_ADD(t->streams, t->nstreams, t->streams_cap);
	if (!s)
		return -ENOMEM;
	s->kind = from->kind;
	s->name = copy(t, from->name ? from->name : "", &err);
	if (s->kind == CTF_STREAM_EVENTS) {
		s->contexts = from->contexts & ((1u << CAIRN_CTX_PERF) - 1);
		s->perf_count = from->perf_count;
		copy_perf(s, from);
	}
	if (err == 0 && s->kind == CTF_STREAM_STATE)
		err = state_add_events(t, id);
	if (err < 0)
		t->nstreams--;
	else
		*ret_stream = id;
	return err;
}

/* The name in the trace, and whether it had to be told apart from another. */
static int name_event(
	struct ctf_trace *t, uint32_t stream, const struct ctf_desc *d, struct ctf_added *ret)
{
	AUTO(buf) struct buf name = {0}, key = {0};
	uintptr_t count;

	if (t->as_lttng && t->streams[stream].kind == CTF_STREAM_KERNEL)
		buf_str(&name, d->event);
	else
		buf_printf(&name, "%s:%s", d->provider, d->event);
	buf_add(&key, &stream, sizeof(stream));
	buf_add(&key, name.data ? name.data : "", name.len);
	if (name.err || key.err)
		return -ENOMEM;
	count = (uintptr_t)map_get(&t->by_name, key.data, key.len) + 1;
	if (map_put(&t->by_name, key.data, key.len, (void *)count) < 0)
		return -ENOMEM;
	ret->conflict = count > 1 && !d->format && t->streams[stream].kind != CTF_STREAM_KERNEL;
	if (ret->conflict)
		buf_printf(&name, "~%lu", (unsigned long)count);
	ret->name = name.err ? NULL : arena_strndup(&t->arena, name.data, name.len);
	return ret->name ? 0 : -ENOMEM;
}

static int insert(struct ctf_trace *t, uint32_t stream, const struct ctf_desc *d,
	const struct buf *key, struct ctf_added *ret)
{
	size_t len = d->d->size;
	void *bytes = arena_alloc(&t->arena, len);
	struct event *e;
	int err = bytes ? name_event(t, stream, d, ret) : -ENOMEM;

	if (err < 0)
		return err;
	e = VEC_ADD(t->events, t->nevents, t->events_cap);
	if (!e)
		return -ENOMEM;
	memcpy(bytes, d->d, len);
	*e = (struct event){.stream = stream,
		.id = t->streams[stream].nevents,
		.name = ret->name,
		.bytes = bytes,
		.len = len};
	if (map_put(&t->by_key, key->data, key->len, (void *)(uintptr_t)t->nevents) < 0) {
		t->nevents--;
		return -ENOMEM;
	}
	ret->id = t->streams[stream].nevents++;
	return 1;
}

int ctf_trace_add_event(struct ctf_trace *t, uint32_t stream, const void *desc, size_t len,
	struct ctf_added *ret, struct error *e)
{
	AUTO(buf) struct buf key = {0};
	struct ctf_added added = {0};
	struct ctf_desc d;
	uintptr_t found;
	int err;

	if (stream >= t->nstreams)
		return error_set(e, -EINVAL, "no stream %u in the trace", stream);
	err = ctf_desc_parse(desc, len, &d, e);
	if (err < 0)
		return err;
	buf_add(&key, &stream, sizeof(stream));
	ctf_desc_key(&d, &key);
	if (key.err)
		return key.err;
	found = (uintptr_t)map_get(&t->by_key, key.data, key.len);
	if (found) {
		ret->id = t->events[found - 1].id;
		ret->name = t->events[found - 1].name;
		ret->conflict = strchr(ret->name, '~') != NULL && !d.format &&
			t->streams[stream].kind != CTF_STREAM_KERNEL;
		return 0;
	}
	if (t->nevents >= EVENTS_MAX)
		return error_set(e, -ENOSPC, "more than %u events in one trace", EVENTS_MAX);
	err = insert(t, stream, &d, &key, &added);
	if (err == 1)
		*ret = added;
	return err;
}
