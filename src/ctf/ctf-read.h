/* Reading CTF: the metadata of 1.8 (TSDL) and of 2 (JSON), and the plans by which packets are decoded.
 *
 * The way of a trace's description:
 *
 *	text		ctfr_meta_feed()		tsdl-lex.c, tsdl-types.c, tsdl-blocks.c
 *	-> types	struct ctfr_type		declared types; names resolved, byte order not yet
 *	-> nodes	struct ctfr_node		one for each place in a scope where a type is used, with
 *						tags and lengths resolved to slots (decode-plan.c)
 *	-> programs	struct ctfr_op		how to step over an event fast (decode-program.c)
 *
 * All of it lives in the arena of struct ctfr_meta and dies with it. Text may come in pieces (a
 * trace that grows): whatever was handed out before stays valid.
 *
 * Decoding works on a window of a packet in memory (struct ctfr_cursor); positions are bits.
 * -CTFR_SHORT says that the window ended; the caller gets more of the packet, or finds it damaged.
 *
 * Nothing that is read is trusted: depth, sizes and numbers have limits (CTFR_MAX_*).
 */
#ifndef CAIRN_CTF_READ_H
#define CAIRN_CTF_READ_H

#include <cairn/reader.h>

#include "base/base.h"

#define CTFR_MAGIC 0xc1fc1fc1u
#define CTFR_META_MAGIC 0x75d11d57u

#define CTFR_MAX_DEPTH 48 /* nesting of types and declarations */
#define CTFR_MAX_META (64u << 20) /* bytes of metadata text */
#define CTFR_MAX_NODES (1u << 20) /* of one trace */
#define CTFR_MAX_SLOTS 4096 /* fields that others refer to */
#define CTFR_MAX_VALUES (1u << 18) /* of one event, not counting arrays of scalars */

/* ---- declared types ---- */

enum ctfr_order { CTFR_NATIVE, CTFR_LE, CTFR_BE };

/* What a field of a packet's header or context, or of an event's header, means. */
enum ctfr_role {
	CTFR_ROLE_NONE,
	CTFR_ROLE_MAGIC,
	CTFR_ROLE_UUID,
	CTFR_ROLE_STREAM_ID,
	CTFR_ROLE_INSTANCE_ID,
	CTFR_ROLE_PACKET_SIZE,
	CTFR_ROLE_CONTENT_SIZE,
	CTFR_ROLE_TIME_BEGIN,
	CTFR_ROLE_TIME_END,
	CTFR_ROLE_DISCARDED,
	CTFR_ROLE_SEQ_NUM,
	CTFR_ROLE_CPU,
	CTFR_ROLE_EVENT_ID,
	CTFR_ROLE_TIME, /* of the event */
	CTFR_ROLES,
};

/* Where a path begins. */
enum ctfr_origin {
	CTFR_BY_NAMES, /* TSDL: its first names may be those of a scope ("stream.event.context") */
	CTFR_RELATIVE, /* CTF 2: in the structure around, or `ups` further out */
	CTFR_FROM_ROOTS, /* CTF 2: this and more: the scopes in the order they are decoded */
};

struct ctfr_path { /* "a.b.c" */
	const char **names;
	uint32_t n, ups;
	int origin; /* enum ctfr_origin, and beyond its last */
	uint32_t line, column;
};

struct ctfr_member {
	const char *name; /* as written */
	struct ctfr_type *type;
};

struct ctfr_type {
	enum cairn_type_kind kind;
	enum ctfr_order order; /* INT, FLOAT */
	uint64_t align; /* bits, a power of two; of structs: the most of their members */
	uint32_t bits; /* INT, FLOAT */
	uint32_t exp_bits; /* FLOAT */
	uint32_t base;
	bool is_signed, is_text;
	bool is_varlen; /* INT, ENUM of CTF 2: LEB128; bits is 64 */
	bool has_body; /* a declared struct, variant or enum, not a forward name */
	const char *clock; /* INT: name of the clock it is mapped to, or NULL */
	struct ctfr_type *of; /* ENUM: its integer; ARRAY, SEQUENCE, OPTIONAL: what is in it */
	struct cairn_label *labels; /* ENUM; INT: names of its bits; own_ranges: below */
	size_t nlabels, labels_cap;
	struct ctfr_member *members; /* STRUCT, VARIANT */
	size_t nmembers, members_cap;
	uint64_t length; /* ARRAY */
	enum ctfr_role role; /* CTF 2: said; CTF 1.8 goes by names */
	bool own_ranges; /* VARIANT of CTF 2: labels say which values select which member; OPTIONAL:
			  * which say that it is there (without: all but 0) */
	struct ctfr_path *path; /* SEQUENCE: length; VARIANT, OPTIONAL: tag (NULL: not yet) */
};

/* ---- nodes: types in their place ---- */

struct ctfr_option { /* of a variant or an optional field: tag in first..last selects kid */
	int64_t first, last;
	uint32_t kid;
};

struct ctfr_node {
	struct cairn_type pub; /* what users see; must be the first member */
	const char *raw_name; /* as written */
	uint64_t align;
	uint32_t bits;
	uint8_t be;
	uint8_t simple; /* INT/ENUM of 8, 16, 32 or 64 bits, at least byte-aligned */
	uint8_t varlen; /* INT/ENUM in LEB128, at a byte: its size shows when it is read */
	uint8_t bytes_form; /* an array or sequence of simple unsigned bytes: 1 text, 2 blob */
	enum ctfr_role role;
	int32_t slot; /* >= 0: others refer to this value; it is kept there */
	int32_t ref; /* SEQUENCE, VARIANT, OPTIONAL: slot of the length or tag */
	bool tag_unsigned; /* VARIANT, OPTIONAL */
	struct ctfr_node *
		*kids; /* of STRUCT, VARIANT: members; of ARRAY, SEQUENCE, OPTIONAL: [0] */
	uint32_t nkids;
	struct ctfr_option *options; /* VARIANT, OPTIONAL */
	uint32_t noptions;
	int64_t fixed_bits; /* size if it has only one and needs at most byte alignment; else -1 */
	const struct ctfr_type *type;
};

/* A number of a size that is known before. */
static inline bool ctfr_is_fixed_scalar(const struct ctfr_node *n)
{
	return n->pub.kind <= CAIRN_TYPE_ENUM && !n->varlen;
}

/* ---- stepping over an event fast ---- */

enum ctfr_opcode {
	CTFR_OP_FIX, /* p += n */
	CTFR_OP_ALIGN, /* p is aligned to n bytes from the packet's begin */
	CTFR_OP_LOAD, /* regs[reg] = integer of `size` bytes at p */
	CTFR_OP_STRING, /* p goes behind the next NUL */
	CTFR_OP_SEQ, /* p += regs[reg] * n */
	CTFR_OP_END,
};

#define CTFR_REGS 8

struct ctfr_op {
	uint8_t op, reg, size, be;
	uint32_t n;
};

/* A form of an event header whose fields have fixed places, for headers that begin with a tag. */
struct ctfr_header_form {
	uint64_t first, last; /* of the tag */
	uint16_t id_byte, time_byte; /* where the word is loaded from */
	uint8_t id_shift, id_bits, time_shift, time_bits; /* bits 0: there is none */
	uint16_t bytes; /* of the header */
	uint64_t id_mask, time_mask;
};

#define CTFR_HEADER_FORMS 4

struct ctfr_event {
	struct cairn_event_class pub; /* must be the first member */
	struct ctfr_meta *meta;
	struct ctfr_stream *stream; /* NULL until its stream is described */
	bool has_id, has_stream_id;
	const struct ctfr_type *context_type, *fields_type;
	struct ctfr_node *context, *fields;
	int64_t fixed_bytes; /* of all after the header; -1: run the program */
	const struct ctfr_op *program; /* NULL: walk the nodes */
	/* The fields' values, made but for the numbers, if they are nothing but little-endian integers
	 * of whole bytes one after the other, behind a context of fixed size; else NULL. */
	struct cairn_value *flat;
	bool says_who; /* of a Cairn trace's cairn_state: names processes and threads */
	bool in_row; /* fields are byte-aligned integers and strings alone: ctfr_values_row() */
	struct ctfr_event *next_pending;
};

struct ctfr_clock {
	struct cairn_clock_info pub; /* must be the first member */
	/* ns = cycles * 10^9 / freq, without division: see ctfr_clock_ns() */
	uint64_t ns_whole, ns_frac;
	int64_t base_ns; /* of the clock's zero, since 1970 */
};

struct ctfr_stream {
	uint64_t id;
	bool has_id;
	const struct ctfr_type *packet_context_type, *header_type, *context_type;
	struct ctfr_node *packet_context, *header, *context; /* each may be NULL */
	struct ctfr_clock *clock; /* of its timestamps; never NULL once planned */
	/* fast header: nforms 0 if it has none */
	struct ctfr_header_form forms[CTFR_HEADER_FORMS];
	uint32_t nforms;
	uint64_t tag_mask;
	uint32_t header_align; /* bytes */
	int64_t context_bytes; /* fixed size of the context; -1: not fixed */
	bool context_has_slots; /* later fields refer to fields of the context */
	uint32_t id_bits; /* width of the event id of the header; 0: none */
	struct ctfr_event **by_id; /* small ids: by_id[id]; cap of them */
	size_t by_id_cap;
	struct map big_ids;
	struct ctfr_event *only; /* if there is exactly one */
	size_t nevents;
	bool says_who; /* one of its events does */
	/* tid, pid, comm of the context, if at fixed places in it; -1 */
	int32_t tid_at, pid_at;
	const struct ctfr_node *tid, *pid;
	bool planned;
	struct ctfr_stream *next;
};

/* ---- the metadata of one trace ---- */

struct ctfr_scope;

struct ctfr_meta {
	struct arena arena;
	struct cairn_trace pub; /* what users see; path is set by the caller */
	const char *name; /* borrowed: for error texts */
	struct buf text; /* all fed so far */
	size_t parsed; /* bytes of it */
	uint32_t line, column; /* where `parsed` is */
	enum ctfr_order order; /* CTFR_NATIVE until the trace block came */
	bool has_trace, has_uuid;
	bool is_json; /* CTF 2 */
	bool broken; /* a declaration was wrong */
	uint8_t uuid[16];
	struct ctfr_scope *root;
	struct map types; /* of the root scope */
	const struct ctfr_type *packet_header_type;
	struct ctfr_node *packet_header;
	struct ctfr_stream *streams, **streams_tail;
	size_t nstreams;
	struct ctfr_event *pending, **pending_tail; /* their stream is not described yet */
	struct ctfr_clock **clocks;
	size_t nclocks, clocks_cap;
	struct ctfr_clock *unnamed; /* of a trace without clocks, or NULL */
	struct cairn_fact *facts;
	size_t nfacts, facts_cap;
	const struct cairn_event_class **classes;
	size_t nclasses, classes_cap;
	uint32_t nnodes;
	uint32_t nslots;
	uint64_t env_slots[16]; /* values of env.x that lengths and tags refer to: slots 0..15 */
	uint32_t nenv_slots;
	uint32_t *class_counter; /* borrowed: gives index numbers; may be NULL */
	const void *owner; /* free for the caller */
};

/* name: for error texts ("DIR/metadata"), borrowed for the life of m. */
int ctfr_meta_init(struct ctfr_meta *m, const char *name);
void ctfr_meta_done(struct ctfr_meta *m);
/* Adds text and parses all declarations that are complete. final: no more will come, so an
 * incomplete one at the end is an error (the rest stands all the same). 0 or -EINVAL (err.where
 * "NAME:LINE:COLUMN"), -ENOMEM, -EFBIG. After an error in a declaration, only ctfr_meta_done(). */
int ctfr_meta_feed(struct ctfr_meta *m, const char *text, size_t n, bool final, struct error *err);
/* CTF 2 (json-meta.c): parses the whole fragments of m->text; ctfr_meta_feed() calls it. */
int ctfr_json_parse(struct ctfr_meta *m, bool final, struct error *err);
/* true if text is left that is no complete declaration */
bool ctfr_meta_is_cut(const struct ctfr_meta *m);

struct ctfr_stream *ctfr_meta_stream(const struct ctfr_meta *m, uint64_t id);
struct ctfr_event *ctfr_stream_event(const struct ctfr_stream *s, uint64_t id);

/* Packetized metadata (tsdl-pack.c). Whether bytes begin so; appends the text of all whole packets
 * of p..p+n to *text, *ret_used bytes of them. 0 or -EINVAL. */
bool ctfr_is_packetized(const void *p, size_t n);
int ctfr_unpack(const void *p, size_t n, struct buf *text, size_t *ret_used, struct error *err);
#define CTFR_META_HEADER 37u /* bytes of a metadata packet's header */

/* ---- plans (decode-plan.c, decode-program.c); ctfr_meta_feed() calls them ---- */

int ctfr_plan_trace(struct ctfr_meta *m, struct error *err);
int ctfr_plan_stream(struct ctfr_meta *m, struct ctfr_stream *s, struct error *err);
int ctfr_plan_event(struct ctfr_meta *m, struct ctfr_event *e, struct error *err);
/* Names a planned event and adds it to its trace and stream; 0 or -ENOMEM (decode-classes.c). */
int ctfr_class_add(struct ctfr_meta *m, struct ctfr_event *e);
bool ctfr_has_slots(const struct ctfr_node *n); /* others refer to it or its members */
void ctfr_program_header(struct ctfr_stream *s);
int ctfr_program_event(struct ctfr_meta *m, struct ctfr_event *e);

/* ---- decoding (decode.c, decode-values.c) ---- */

#define CTFR_SHORT 200 /* -CTFR_SHORT: the window ends before the field does */
#define CTFR_BAD 201 /* -CTFR_BAD: the contents make no sense; cursor.why says what */
#define CTFR_SLACK 16 /* readable bytes after a window */

struct ctfr_cursor {
	const uint8_t *buf; /* at a multiple of 64 bytes from the packet's begin */
	uint64_t pos; /* bits from buf */
	uint64_t end; /* bits valid from buf; CTFR_SLACK more bytes are readable */
	uint64_t base; /* bits from the packet's begin to buf */
	uint64_t *slots; /* meta->nslots of them */
	uint64_t *roles; /* CTFR_ROLES values, or NULL */
	uint32_t roles_seen; /* bit n: roles[n] was set */
	uint32_t time_bits; /* width of the time field met last */
	uint8_t uuid[16]; /* of CTFR_ROLE_UUID */
	uint64_t work, max_work; /* nodes gone through in this packet: bounded */
	const char *why;
};

/* Steps over one node and keeps slots and roles. 0, -CTFR_SHORT or -CTFR_BAD. */
int ctfr_skip(struct ctfr_cursor *c, const struct ctfr_node *n);
/* Parts of it, for values: a string; the elements of an array or sequence; a variant's option. */
int ctfr_skip_string(struct ctfr_cursor *c, uint64_t *ret_len);
int ctfr_length(struct ctfr_cursor *c, const struct ctfr_node *n, uint64_t *ret);
int ctfr_selected(struct ctfr_cursor *c, const struct ctfr_node *n, const struct ctfr_node **ret);
bool ctfr_is_there(const struct ctfr_cursor *c, const struct ctfr_node *n); /* OPTIONAL */
/* An integer in LEB128 at the cursor, and steps over it; keeps slot and role. */
int ctfr_varlen(struct ctfr_cursor *c, const struct ctfr_node *n, uint64_t *ret);
/* Steps over what follows an event's header by its program; p, end: bytes. The new p or NULL (walk
 * the nodes instead: short or strange). */
const uint8_t *ctfr_run(
	const struct ctfr_op *op, const uint8_t *buf, const uint8_t *p, const uint8_t *end);

/* Memory for the values of one event: chunks that are used again. */
struct ctfr_values {
	struct ctfr_chunk *first, *current; /* owned */
	uint32_t used; /* of the current chunk */
	uint32_t total; /* since ctfr_values_reset() */
};
void ctfr_values_reset(struct ctfr_values *v);
void ctfr_values_done(struct ctfr_values *v);
struct cairn_value *ctfr_values_alloc(struct ctfr_values *v, uint32_t n);
/* Decodes one node; 0, -CTFR_SHORT, -CTFR_BAD or -ENOMEM. */
int ctfr_value(struct ctfr_cursor *c, const struct ctfr_node *n, struct ctfr_values *mem,
	struct cairn_value *ret);

/* The fields of such an event, all at once, from p up to end; false: take ctfr_value() instead. */
bool ctfr_values_row(struct ctfr_cursor *c, const struct ctfr_node *fields, const uint8_t *p,
	const uint8_t *end, struct cairn_value *ret);

void ctfr_clock_prepare(struct ctfr_clock *k); /* once k->pub is filled */
/* One INT, ENUM or FLOAT at bit pos of buf, all of it there. */
void ctfr_scalar(
	const uint8_t *buf, uint64_t pos, const struct ctfr_node *n, struct cairn_value *ret);

/* Nanoseconds since the clock's zero: floor(cycles * 10^9 / freq). The fraction is rounded down, so
 * the first guess may be one too small: the rest tells. Times beyond 2^64 ns wrap. */
static inline int64_t ctfr_clock_ns(const struct ctfr_clock *k, uint64_t cycles)
{
	uint64_t ns, rest;

	if (k->pub.freq == 1000000000)
		return (int64_t)cycles;
	ns = cycles * k->ns_whole + (uint64_t)(((unsigned __int128)cycles * k->ns_frac) >> 64);
	rest = cycles * 1000000000 - ns * k->pub.freq;
	return (int64_t)(ns + (rest >= k->pub.freq && rest < 2 * k->pub.freq));
}

/* An integer of 1..64 bits at bit position pos of buf. */
uint64_t ctfr_bits(const uint8_t *buf, uint64_t pos, uint32_t bits, bool be);

static inline int64_t ctfr_sign_extend(uint64_t v, uint32_t bits)
{
	return bits >= 64 ? (int64_t)v : (int64_t)(v << (64 - bits)) >> (64 - bits);
}

/* The name users see: without one leading '_'. */
static inline const char *ctfr_shown(const char *name)
{
	return name[0] == '_' && name[1] ? name + 1 : name;
}

#endif
