/* What kernel.c (life) and kernel-read.c (reading) share. */
#ifndef CAIRN_SESSION_KERNEL_IMPL_H
#define CAIRN_SESSION_KERNEL_IMPL_H

#include "kernel/bpf.h"
#include "kernel/dynevent.h"
#include "kernel/kctf.h"
#include "kernel/kstacks.h"
#include "kernel/ksymbols.h"
#include "kernel/texts.h"
#include "kernel/tracefs.h"
#include "session/kernel.h"

#define KREC_BUFFER_DEFAULT (8u << 20) /* of each CPU, if there is memory */
#define KREC_BUFFER_LEAST (1u << 20)
#define KREC_MEMORY_PART \
	32 /* all buffers together have at most this part of the memory by default */
#define KREC_BUFFER_MAX (256u << 20)
#define KREC_FILL_PERCENT "50" /* a buffer so full wakes the host */

struct krec_rule {
	char *pattern, *filter; /* owned; filter may be NULL */
	char **excludes; /* owned vector of owned: patterns that it leaves out */
	size_t nexcludes, cexcludes;
};

struct krec_probe {
	enum dynevent_kind kind;
	enum kprobe_with with;
	char *text; /* owned */
	char *event, *shown_group; /* owned: as it was made last; NULL: never */
	bool is_off; /* taken back, and made still: the kernel would empty the buffer if it went */
	bool is_made; /* in this start */
	uint16_t bpf_id; /* of its records; 0: it is tracefs's */
};

struct krec_cpu {
	int fd; /* trace_pipe_raw; -1: none */
	bool is_bpf; /* of probes by BPF: its file is called bpfN */
	struct kctf_stream s;
	struct stream file;
	uint64_t pages; /* read without a pause: so much was waiting */
	uint64_t unsaid; /* losses that no packet has said yet */
	uint8_t *kept; /* owned: a flight recorder's pages that were read, the oldest first */
	size_t nkept, kept_cap;
};

/* What a flight recorder keeps of a CPU's records by BPF (kernel-keep.c); all zero but size: nothing. */
struct krec_keep {
	uint8_t *bytes; /* owned; made with the first */
	size_t size; /* a multiple of 8 */
	uint64_t head, tail; /* positions: of the oldest, behind the newest */
};

struct krec_kept {
	uint64_t ts, lost; /* lost: so many records, and nothing else */
	struct kbpf_record r; /* without its own time; in the room until something is added */
};

struct krec {
	struct krec_rule *rules; /* owned vector */
	size_t nrules, crules;
	struct krec_probe *probes; /* owned vector */
	size_t nprobes, cprobes;
	struct krec_bpf *bpf; /* owned; NULL: no probe by BPF so far */
	bool has_probes; /* the kernel may have events of ours */
	pid_t *pids; /* owned; none and !all: the session's, or nobody to limit to */
	size_t npids;
	pid_t *traced; /* owned: what these were when the instance was set up; and their children then */
	size_t ntraced;
	bool all, adapt, as_lttng, is_on;
	bool is_recorder; /* nothing is read but for snapshots */
	uint64_t buffer_bytes; /* of each CPU, now */
	uint64_t gap_ns; /* in which the kernel grew them, and neither recorded nor counted */
	struct tracefs *top, *instance; /* owned; instance NULL: not recording */
	struct kpage_layout layout;
	uint8_t *page; /* owned: layout.size, and KCTF_SLACK */
	struct krec_cpu *cpus; /* owned */
	uint32_t ncpus;
	struct kctf *ctf; /* owned; made at the first start */
	unsigned stacks; /* CAIRN_STACK_* */
	uint32_t
		kernel_stack; /* id of the event that kernel stacks are, if probes by BPF need it */
	struct mappings *mappings; /* owned; NULL: no user stacks */
	struct kstacks *kstacks; /* owned; likewise */
	struct knames *names; /* owned; NULL: not started yet */
	uint64_t start_ts; /* of the clock: before anything that is still to be read */
	uint64_t cut_ts; /* when krec_cut() began to read all there was; 0: it could not */
	uint32_t *symbol_ids; /* owned vector: events that print addresses as symbols */
	size_t nsymbol_ids, csymbol_ids;
	struct ksymbols symbols; /* of addresses in the records */
	struct place
		place; /* DIR/kernel, or a piece of it, or a snapshot; or the session's stream */
	struct krec_saved *saved; /* owned: while a snapshot is written (kernel-place.c) */
	struct ctf_text_pos text_pos;
	struct buf meta, texts; /* owned */
	size_t texts_written;
	int texts_fd; /* -1: not made yet */
	bool has_ftrace_formats, symbols_sent;
	uint64_t next_ns; /* when what waits is old enough */
	uint64_t events, bytes, lost; /* written; lost: all reasons */
	int write_error;
};

/* Limits the instance to the processes that are asked for, if any are (kernel-limit.c). */
int krec_limit(struct session *s, struct error *err);
/* Which processes alone, with the children they had; 0: all. Of an instance that is set up. */
size_t krec_pids(const struct session *s, const pid_t **ret);
/* Rules (kernel-rules.c): what is asked for; all switched on; more of them, less of them, and the kernel
 * brought up to it if the session records. */
int krec_rules_read(struct krec *k, struct json_object *o, struct error *err);
int krec_rules_start(struct session *s, struct error *err);
int krec_rules_add(struct session *s, struct json_object *o, struct error *err);
void krec_rules_undo(struct session *s, size_t n); /* the first n stay */
int krec_rules_take_back(struct session *s, const char *pattern, struct error *err);
bool krec_wants(const struct krec *k, const char *system, const char *name);
struct json_object *krec_rules_list(const struct krec *k);
void krec_rules_free(struct krec *k);
/* Pages that a CPU's buffer may hold: each has a head, and one is the reader's. */
static inline size_t krec_pages(const struct krec *k)
{
	return k->buffer_bytes / (k->layout.size - 64) + 3;
}
/* Reading (kernel-read.c): to the end, which comes only when tracing is off; what is in all buffers now. */
void krec_read_to_the_end(struct session *s, struct krec_cpu *c);
bool krec_read_now(struct session *s); /* true: the kernel was faster, more of before waits */
/* Gathers the addresses in records, if any event prints them as symbols: see ksymbols_scan(). */
void krec_take_symbols(struct krec *k, const uint8_t *data, size_t len, size_t step);
int krec_take_page(struct session *s, struct krec_cpu *c, struct kpage *page); /* 0, -ENOMEM */
void krec_flush(struct session *s, struct krec_cpu *c, bool final);
void krec_final_losses(struct session *s, struct krec_cpu *c);
/* Where it goes (kernel-place.c). */
bool krec_has_place(const struct krec *k);
int krec_place_begin(struct session *s, struct error *err); /* there is one, or none is needed */
void krec_begin(struct session *s); /* it is new: who is who */
void krec_write_texts(struct session *s); /* what is new of the kernel's words */
void krec_stream_texts(struct session *s, bool begins); /* what a stream needs before its packets */
void krec_final_texts(struct session *s); /* and what can be told at the end only */
int krec_write_kept(struct session *s); /* all that a flight recorder has, to the present place */
/* One event's format becomes known; shown: the system that the trace gives it. */
int krec_learn(
	struct krec *k, const char *system, const char *name, const char *shown, struct error *err);
int krec_learn_text(struct krec *k, const char *name, const char *shown, const struct buf *text,
	struct error *err);
/* Probes (kernel-probes.c): what is asked for; made and switched on; removed, after the instance. */
int krec_probes_read(struct krec *k, struct json_object *o, struct error *err);
void krec_probes_to_json(const struct cairn_kernel_config *c, struct json_object *o);
int krec_probes_start(struct session *s, size_t from, struct error *err);
int krec_probes_add(struct session *s, struct json_object *o, struct error *err);
int krec_probes_take_back(struct krec *k, const char *pattern); /* their number */
struct json_object *krec_probes_list(const struct krec *k);
void krec_probes_stop(struct session *s, const char *group);
void krec_probes_free(struct krec *k);
/* Probes by BPF (kernel-bpf.c): one more, loaded; all switched on; off; read and gone. None of the others
 * does anything without the first. */
int krec_bpf_add(struct session *s, struct dynevent_world *w, const struct dynevent *d,
	uint16_t *ret_id, struct error *err);
void krec_bpf_switch(struct krec *k, uint16_t id, bool on);
struct krec_cpu *krec_bpf_cpus(const struct krec *k, uint32_t *ret_n); /* its streams; may be 0 */
int krec_bpf_start(struct session *s, struct error *err);
void krec_bpf_off(struct session *s);
bool krec_bpf_is_full(const struct session *s); /* a quarter of a ring: to be read at once */
void krec_bpf_read(struct session *s);
void krec_bpf_flush(struct session *s);
void krec_bpf_end(struct session *s);
/* Of a flight recorder: what it keeps is brought up to date, and the time of the oldest is told (UINT64_MAX:
 * there is none); all of it into the streams, but for what the limit of a snapshot leaves out (bytes of each
 * CPU; 0: none); forgotten. */
uint64_t krec_bpf_keep(struct session *s, uint64_t limit);
int krec_bpf_write_kept(struct session *s, uint64_t limit);
void krec_bpf_forget(struct krec *k);
/* kernel-keep.c. 0, -ENOMEM, -ENOSPC: greater than the room. */
int krec_keep_add(struct krec_keep *k, uint64_t ts, const struct kbpf_record *r);
int krec_keep_lost(
	struct krec_keep *k, uint64_t n); /* so many between what was added and what will be */
uint64_t krec_keep_begin(const struct krec_keep *k, uint64_t limit); /* for the first _next() */
bool krec_keep_next(const struct krec_keep *k, uint64_t *at, struct krec_kept *ret);
void krec_keep_clear(struct krec_keep *k);
void krec_bpf_stats(const struct krec *k, struct cairn_stats *ret);
void krec_bpf_free(struct krec *k);
/* Stacks with events (kernel-stacks.c): when the instance is set up, when it goes. */
int krec_stacks_start(struct session *s, struct error *err);
/* Of events by BPF, which bring their stacks: what is needed for them; as events behind the one that has them. */
int krec_stacks_of_bpf(struct krec *k, struct error *err);
int krec_stacks_put(
	struct krec *k, struct kctf_stream *to, uint64_t ts, const struct kbpf_record *r);
void krec_stacks_stop(struct krec *k);
void krec_stacks_free(struct krec *k);
/* Names of tasks (kernel-names.c): when events are on; now and then; at the end. */
int krec_names_start(struct session *s);
void krec_names_write(struct session *s);
void krec_names_again(struct krec *k); /* who is there is said once more, as of start_ts */
void krec_names_close(struct krec *k); /* the file; what follows is in another */
void krec_names_fresh(struct krec *k); /* likewise, and times may begin anew */
/* Records for the same stream, at times not before krec_state_ts(). */
uint64_t krec_state_ts(const struct krec *k);
void krec_state_write(struct session *s, const struct buf *records, uint64_t begin, uint64_t end);
bool krec_names_need(const struct krec *k, const char *system, const char *name);
void krec_names_shown(struct krec *k); /* rules have changed: which of its events are hidden */
void krec_names_free(struct krec *k);
/* kernel-dump.c: the state of the system, before anything is read. */
void krec_dump(struct session *s);
void krec_flush_metadata(struct session *s);
void krec_unknown(void *arg, uint32_t id); /* for kctf_on_unknown(); arg: struct krec */

#endif
