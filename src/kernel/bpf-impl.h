/* Probes by BPF, inside: what the files bpf-*.c share. See bpf.h.
 *
 * A definition's fetch arguments are read back from its text, which dynevent.c has checked (bpf-fetch.c).
 * They are laid out as tracefs lays them out (bpf-format.c), and become a program (bpf-program.c),
 * which is loaded and attached (bpf-load.c). bpf-ring.c reads what the programs wrote; bpf-stack.c knows where
 * stacks are in that.
 */
#ifndef CAIRN_KERNEL_BPF_IMPL_H
#define CAIRN_KERNEL_BPF_IMPL_H

#include "kernel/bpf-insn.h"
#include "kernel/bpf.h"

/* Of a field: the kernel's words. */
struct btype {
	const char *name; /* "u32" */
	uint8_t size; /* in the record; strings: of their location */
	bool is_string, is_user, is_signed;
	const char *c_type; /* "u32", as `format` has it */
	const char *print; /* "%u", as its `print fmt` has it */
};

enum bbase {
	BBASE_REGISTER, /* number: offset in pt_regs */
	BBASE_STACK_POINTER,
	BBASE_STACK, /* number: which word */
	BBASE_ARGUMENT, /* number: which u64 of the context */
	BBASE_RETVAL,
	BBASE_COMM,
	BBASE_NUMBER,
	BBASE_TEXT,
	BBASE_FILE_OFFSET, /* of the probed file, as it is mapped */
};

struct bstep { /* value = *(value + offset) */
	int64_t offset;
	bool user;
};

enum { BSTEPS_MAX = 16 };

struct bfetch {
	const char *name;
	enum bbase base;
	uint64_t number;
	const char *text; /* BBASE_TEXT */
	struct bstep steps[BSTEPS_MAX]; /* in their order; the last one reads the value itself */
	unsigned nsteps;
	const struct btype *type;
	unsigned count; /* elements; 0: no array */
	uint8_t bit_width, bit_offset; /* width 0: no bit field */
	uint32_t at; /* in the record */
};

enum bplace { BPLACE_TRACEPOINT, BPLACE_FENTRY, BPLACE_FEXIT, BPLACE_UPROBE, BPLACE_URETPROBE };

/* What a definition says, as BPF sees it. */
struct bprobe {
	struct arena arena; /* owns names and texts */
	enum bplace place;
	const char *what; /* the tracepoint; the function (without module); the file */
	const char *module; /* of the function, or NULL */
	uint64_t offset, counter; /* in the file: of the probe; of its reference counter, or 0 */
	uint64_t address; /* of function or tracepoint: what records say; 0: not known */
	unsigned nargs; /* fexit: u64s of the context before the return value */
	uint8_t tasks; /* a bit for each argument that is a task the limit looks at, too */
	struct bfetch *fetches; /* owned vector */
	size_t nfetches, fetches_cap;
	unsigned ntexts; /* strings, elements of arrays counted */
	uint32_t fixed; /* bytes of the record without its texts */
	uint16_t id;
};
void bprobe_done(struct bprobe *p);

/* bpf-fetch.c */
int bprobe_read(
	struct bprobe *p, struct dynevent_world *w, const struct dynevent *d, struct error *e);
/* bpf-format.c: sets `at`, fixed, ntexts; adds the format's text. */
int bprobe_lay_out(struct bprobe *p, const struct dynevent *d, struct buf *format);

enum { BPROCESSES = 1 << 22 }; /* the greatest pid_max of any kernel */

/* What programs refer to. */
struct bmaps {
	int rings; /* array of the CPUs' rings */
	int lost; /* array of u64, by CPU */
	int limit; /* array of one: a bit for each process; -1: no limit */
	uint32_t task_tgid, task_pid; /* offsets in struct task_struct; tgid 0: not known */
	uint64_t wake_bytes; /* so much in a ring wakes its reader */
	unsigned stacks; /* KBPF_STACK_* */
};

/* bpf-program.c. The results are bcode_done()'s. */
enum bhow {
	BHOW_PLAIN,
	BHOW_WAITS, /* for memory of programs that is not there yet: loaded as one that sleeps */
	BHOW_TYPED, /* loaded so that the kernel's verifier knows the types of arguments */
};
int bprogram_probe(struct bcode *c, const struct bprobe *p, const struct bmaps *m, enum bhow how);
#define BREG_CTX BPF_REG_6 /* where programs keep their context */

/* bpf-process.c: a member (4 bytes at offset) of the task in argument n of the context, to the frame. */
void bprocess_of_task(struct bcode *c, unsigned n, uint32_t offset, int at);
/* Goes to `there` if the process (register 0) is in the table. Uses registers 0 to 2. */
void bprocess_jump_if_there(struct bcode *c, int map, unsigned there);
int bprogram_fork(struct bcode *c, const struct bmaps *m); /* raw tracepoint sched_process_fork */
int bprogram_end(struct bcode *c, const struct bmaps *m); /* raw tracepoint sched_process_free */
/* Results in the 4 bytes at the kernel's address, or 0. */
int bprogram_peek(struct bcode *c, uint64_t address);

/* Behind the time (u64) that each record in a ring begins with. */
enum { BRECORD_HEAD = 8 };

/* bpf-stack.c: between the time and the record, if stacks are wanted at all:
 *	u32	process
 *	u32	room for so many frames of each stack
 *	s32	bytes of the kernel's stack, s32 of the program's: 0 or less: none
 *	...	the rooms: of the kernel's if that is wanted, of the program's likewise */
enum { BSTACK_FRAMES_FEW = 24, BSTACK_FRAMES_MAX = KBPF_FRAMES_MAX };
uint32_t bstack_bytes(unsigned stacks, unsigned frames);
struct bstack {
	unsigned stacks, frames;
	enum bplace place;
	bool may_grow; /* then `again` is where to go if a stack fills its room */
	unsigned again;
	int room; /* register: the record in the ring */
	int process; /* frame: u32 */
};
void bstack_put(struct bcode *c, const struct bstack *s);
/* Where the stacks of a record are, whose data and len are all behind the time: -EPROTO, if they cannot be. */
int bstack_split(unsigned stacks, struct kbpf_record *r);
/* Register 0 = the return address of the function whose fexit this is, or 0; 16 bytes of the frame are used. */
void bstack_caller(struct bcode *c, const struct bprobe *p, int at);

/* bpf.c: the program of a probe; -1: there is none. */
int kbpf_program(const struct kbpf *k, uint16_t id);

/* bpf-load.c */
struct bload {
	uint32_t type, attach_type; /* BPF_PROG_TYPE_, BPF_TRACE_ */
	uint32_t btf_id; /* of the function; 0: none */
	int btf_fd; /* of the module that it is in; 0: vmlinux */
	const char *name;
	enum bhow how;
};
/* The program's fd, or an error with the verifier's last words. */
int bload(const struct bload *l, const struct bcode *c, struct error *e);
int bpf_refused(struct error *e, int err, const char *what); /* why bpf(2) refuses, in words */
int bload_raw_tracepoint(int prog, const char *name, struct error *e); /* link's fd */
int bload_function(int prog, struct error *e); /* fentry, fexit */
int bload_uprobe_multi(int prog, const struct bprobe *p, struct error *e);
int bload_uprobe_perf(int prog, const struct bprobe *p, struct error *e);
#define BLOAD_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, which older headers lack */

/* bpf-ring.c */
struct bring {
	int fd; /* owned */
	volatile uint64_t *consumer; /* mapped: ours to write */
	const volatile uint64_t *producer; /* mapped: the kernel's */
	const uint8_t *data; /* mapped twice in a row */
	uint64_t size;
};
int bring_open(struct bring *r, uint64_t size, struct error *e);
void bring_close(struct bring *r);
struct bsorted { /* what one read found */
	struct kbpf_record *all; /* owned vector */
	size_t len, cap;
};
int bring_read(struct bring *r, unsigned stacks, struct bsorted *s, kbpf_record_fn *fn, void *arg);

#endif
