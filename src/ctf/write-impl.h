/* What the files of the writer's half share; nobody else includes it. */
#ifndef CAIRN_CTF_WRITE_IMPL_H
#define CAIRN_CTF_WRITE_IMPL_H

#include "ctf/ctf.h"

struct fact { /* one line of env; strings owned by the trace's arena */
	const char *name;
	const char *value;
};

struct stream {
	enum ctf_stream_kind kind;
	const char *name; /* arena */
	uint32_t contexts, perf_count, nevents;
	struct cairn_perf_ctx perf[CAIRN_CTX_PERF_MAX]; /* names are identifiers, no two alike */
};

struct event {
	uint32_t stream, id;
	const char *name; /* arena */
	const void *bytes; /* arena: the description, checked */
	size_t len;
};

struct ctf_trace {
	struct arena arena;
	uint8_t uuid[16];
	struct ctf_clock clock; /* strings in the arena */
	struct fact *facts; /* owned */
	size_t nfacts, facts_cap;
	struct stream *streams; /* owned */
	size_t nstreams, streams_cap;
	struct event *events; /* owned; in the order they were added */
	size_t nevents, events_cap;
	struct map by_key; /* stream and ctf_desc_key() to event number + 1 */
	struct map by_name; /* stream and name to how many there are */
	bool as_lttng;
	bool begun; /* metadata was asked for: env is fixed */
};

/* The context fields before PERF, in the order of enum cairn_ctx. */
struct context_type {
	const char *name;
	const char *tsdl; /* type in 1.8 text */
	unsigned bits; /* of the integer; 0: char[16] */
	bool is_signed, hex;
};
extern const struct context_type context_types[CAIRN_CTX_PERF];

/* Those of kernel streams, in the order of struct ctf_kernel_context. */
extern const struct context_type kernel_context_types[3];

/* Labels of enum cairn_ctx SCHED. */
struct sched_class {
	const char *name;
	unsigned value;
};
extern const struct sched_class sched_classes[7];

/* One label of an enum: the value as the field's integer holds it (C conversion), as text. */
struct label {
	const char *text;
	char value[24];
};
/* Walks the labels: start with *at = f->labels and i = 0; gives label i and moves *at on. */
void enum_label(const struct ctf_field *f, uint32_t i, const char **at, struct label *ret);

/* URI of where an event comes from: "cairn:site?..." or "cairn:log?format=...". */
void event_uri(const struct ctf_desc *d, struct buf *out);

/* Adds the events of a state stream. */
int state_add_events(struct ctf_trace *t, uint32_t stream);

void uuid_text(const uint8_t uuid[16], char ret[37]);

/* The two writers: a table row each in metadata.c. `e` is parsed for them. */
struct metadata_writer {
	void (*begin)(const struct ctf_trace *t, struct buf *out);
	void (*stream)(const struct ctf_trace *t, uint32_t id, struct buf *out);
	void (*event)(const struct ctf_trace *t, const struct event *e, const struct ctf_desc *d,
		const struct ctf_names *names, struct buf *out);
};
extern const struct metadata_writer metadata_writer_1_8, metadata_writer_2;

#endif
