/* What kernel.c (life) and kernel-read.c (reading) share. */
#ifndef CAIRN_SESSION_KERNEL_IMPL_H
#define CAIRN_SESSION_KERNEL_IMPL_H

#include "kernel/dynevent.h"
#include "kernel/kctf.h"
#include "kernel/kstacks.h"
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
};

struct krec_probe {
	enum dynevent_kind kind;
	char *text; /* owned */
};

struct krec_cpu {
	int fd; /* trace_pipe_raw; -1: none */
	struct kctf_stream s;
	struct stream file;
	uint64_t pages; /* read without a pause: so much was waiting */
	uint64_t unsaid; /* losses that no packet has said yet */
};

struct krec {
	struct krec_rule *rules; /* owned vector */
	size_t nrules, crules;
	struct krec_probe *probes; /* owned vector */
	size_t nprobes, cprobes;
	bool has_probes; /* the kernel may have events of ours */
	pid_t *pids; /* owned; none and !all: the session's, or nobody to limit to */
	size_t npids;
	bool all, adapt, as_lttng, is_on;
	bool is_polled; /* the host is woken when a buffer fills; else by age alone */
	uint64_t buffer_bytes; /* of each CPU, now */
	struct tracefs *top, *instance; /* owned; instance NULL: not recording */
	struct kpage_layout layout;
	uint8_t *page; /* owned: layout.size */
	struct krec_cpu *cpus; /* owned */
	uint32_t ncpus;
	struct kctf *ctf; /* owned; made at the first start */
	unsigned stacks; /* CAIRN_STACK_* */
	struct mappings *mappings; /* owned; NULL: no user stacks */
	struct kstacks *kstacks; /* owned; likewise */
	struct knames *names; /* owned; NULL: not started yet */
	uint64_t start_ts; /* of the clock: before anything is recorded */
	uint32_t *symbol_ids; /* owned vector: events that print addresses as symbols */
	size_t nsymbol_ids, csymbol_ids;
	char *dir; /* owned: DIR */
	int dirfd; /* of it; -1: not made yet */
	struct place place; /* DIR/kernel */
	struct ctf_text_pos text_pos;
	struct buf meta, texts; /* owned */
	size_t texts_written;
	int texts_fd; /* -1: not made yet */
	bool wants_symbols, has_ftrace_formats;
	uint64_t next_ns; /* when what waits is old enough */
	uint64_t events, bytes, lost; /* written; lost: all reasons */
	int write_error;
};

void krec_read_to_the_end(struct session *s, struct krec_cpu *c); /* of what is there */
void krec_flush(struct session *s, struct krec_cpu *c, bool final);
void krec_write_texts(struct session *s);
void krec_final_losses(struct session *s, struct krec_cpu *c);
/* One event's format becomes known; shown: the system that the trace gives it. */
int krec_learn(
	struct krec *k, const char *system, const char *name, const char *shown, struct error *err);
/* Probes (kernel-probes.c): what is asked for; made and switched on; removed, after the instance. */
int krec_probes_read(struct krec *k, struct json_object *o, struct error *err);
void krec_probes_to_json(const struct cairn_kernel_config *c, struct json_object *o);
int krec_probes_start(struct session *s, struct error *err);
void krec_probes_stop(struct session *s, const char *group);
void krec_probes_free(struct krec *k);
/* Stacks with events (kernel-stacks.c): when the instance is set up, when it goes. */
int krec_stacks_start(struct session *s, struct error *err);
void krec_stacks_stop(struct krec *k);
void krec_stacks_free(struct krec *k);
/* Names of tasks (kernel-names.c): when events are on; now and then; at the end. */
int krec_names_start(struct session *s);
void krec_names_write(struct session *s);
void krec_names_free(struct krec *k);
/* kernel-dump.c: with LTTng's names, before anything is read. */
void krec_dump_lttng(struct session *s);
void krec_flush_metadata(struct session *s);
void krec_unknown(void *arg, uint32_t id); /* for kctf_on_unknown(); arg: struct krec */

#endif
