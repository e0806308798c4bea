/* What the files of the session host share. Nothing outside src/session sees this.
 *
 * Ownership, from the top:
 *	struct cairn_host	conns (programs and commanders), sessions, event classes, commands
 *	struct conn		one connection; as a program: its events and what is on in them
 *	struct session		channels, rules, ring sets, the output
 *	struct rset		one ring set: a channel in one sharing domain; its stream files
 *	struct eclass		what an event is, shared by all programs that describe it equally
 * One thread; everything happens inside cairn_host_step() or a command.
 */
#ifndef CAIRN_SESSION_IMPL_H
#define CAIRN_SESSION_IMPL_H

#include "abi/msg.h"
#include "base/base.h"
#include "ctf/ctf.h"
#include "ring/ring.h"
#include <cairn/session.h>
#include <cairn/site.h>
#include <json-c/json.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define MAX_PROGRAMS 16384 /* connections of programs */
#define MAX_EVENTS 100000u /* of one program */
#define MAX_DESC_BYTES (64u << 20) /* descriptions of one program */
#define MAX_DOMAINS 256u /* ring sets of one channel */
#define MAX_CHANNELS 64u
#define MAX_RULES 4096u
#define MAX_SESSIONS 256u
#define MAX_QUEUED (8u << 20) /* bytes waiting to be sent to one connection */
#define SOLO_RINGS 64u /* threads without rseq that one program may trace */
#define SOLO_GRACE_NS 2000000000u

/* The type of field i for people: "int32", "uint8[]"... (classes.c) */
void desc_field_type(const struct ctf_desc *d, unsigned i, char *buf, size_t size);

/* ---- msg.c: messages from programs, checked ---- */

struct msg_view {
	uint16_t type;
	uint32_t seq;
	const uint8_t *payload; /* 8-byte aligned if the message is */
	size_t len;
};
/* -EPROTO: not a message. -EPROTONOSUPPORT: another version. */
int msg_check(const void *p, size_t n, struct msg_view *ret);
int msg_hello(const struct msg_view *m, struct cairn_msg_hello *ret);
/* Calls fn for each event of an EVENTS message. fn's first non-zero ends it. -EPROTO: damaged. */
int msg_events(const struct msg_view *m,
	int (*fn)(void *arg, const struct cairn_msg_event *ev, const struct ctf_desc *d),
	void *arg);
/* Reads element i of a GONE / HAVE_EVENT list: number of elements, or -EPROTO. */
int msg_list(const struct msg_view *m, size_t head, size_t elem, const uint8_t **ret);

/* ---- event classes (classes.c) ---- */

struct eclass {
	unsigned refs; /* programs' events and channels' ids that point here */
	size_t key_len;
	void *key; /* owned */
	void *desc_bytes; /* owned; the first description that came */
	struct ctf_desc d; /* points into desc_bytes */
};
/* Finds or makes the class of d; takes a reference. NULL without memory. */
struct eclass *eclass_get(struct cairn_host *h, const struct ctf_desc *d);
void eclass_unref(struct cairn_host *h, struct eclass *c);

/* ---- programs and commanders (conn.c, program.c) ---- */

enum conn_kind { CONN_NEW, CONN_PROGRAM, CONN_CONTROL };

struct outmsg { /* waiting to be sent */
	struct outmsg *next;
	struct rset *rset; /* referenced: its descriptor goes along; or NULL */
	size_t len;
	uint8_t bytes[];
};

struct waiting { /* sent, not yet ACKed */
	uint32_t seq;
	uint16_t type;
	uint32_t ringset;
	struct command *cmd; /* borrowed; NULL: nobody waits */
};

struct on { /* one enabling of one event */
	struct attach *at; /* borrowed */
	uint32_t id;
	uint16_t channel;
};

struct pevent { /* an event of a program */
	uint32_t number;
	uint32_t nsites, line;
	struct eclass *cls; /* reference */
	char *file; /* owned; function follows it after its NUL */
	struct on *on; /* owned vector */
	size_t non, con;
};

struct attach_channel {
	struct rset *percpu, *solo; /* references, or NULL: not sent */
	uint32_t percpu_number, solo_number;
};

struct attach { /* a program in a session */
	struct attach *next; /* of the same program */
	struct conn *conn;
	struct session *session;
	size_t dumped; /* events the program had described at its last state dump, plus one */
	size_t nchannels; /* the session's, when the program came */
	struct attach_channel *channels; /* owned: nchannels */
};

struct conn {
	struct cairn_host *host;
	int fd;
	enum conn_kind kind;
	bool closing; /* freed at the end of the step */
	bool is_private; /* came by the private socket */
	bool polled_out; /* EPOLLOUT is on */
	pid_t pid; /* by SO_PEERCRED */
	uid_t uid;
	gid_t gid;
	uint32_t seq; /* of what we send */
	struct outmsg *out_first, **out_last;
	size_t out_bytes;
	/* programs */
	struct cairn_msg_hello hello;
	pid_t wanted_root; /* first ancestor (or itself) seen by the host; 0: unknown */
	struct pevent *events; /* owned vector */
	size_t nevents, cevents;
	struct map event_by_number; /* u32 -> index + 1 */
	size_t desc_bytes;
	struct waiting *waiting; /* owned vector */
	size_t nwaiting, cwaiting;
	struct attach *attached; /* owned list */
	bool synced;
	bool refused; /* counted in host.refused */
};

int conn_accept(struct cairn_host *h, int listen_fd, bool is_private);
void conn_ready(struct conn *c, uint32_t epoll_events);
void conn_close(struct conn *c); /* marks it; conn_free() comes at the end of the step */
void conn_free(struct conn *c);
/* Queues (and tries to send) one message. rset: its fd goes along; NULL: none. Returns seq or
 * -errno; on an error the connection is closing. */
int conn_send(struct conn *c, uint16_t type, const void *payload, size_t len, struct rset *rset,
	uint32_t *ret_seq);
/* The same, and an ACK is expected, which cmd (may be NULL) waits for. */
int conn_ask(struct conn *c, uint16_t type, const void *payload, size_t len, struct rset *rset,
	uint32_t ringset, struct command *cmd);

/* Tells a program in another pid namespace how its threads learn our ids of them (ids.c). */
int ids_offer(struct conn *c);
int program_message(struct conn *c, const struct msg_view *m, int *fds, size_t nfds);
void program_done(struct conn *c);
bool program_is_visible(const struct conn *c, uid_t uid); /* to a commander */
/* Makes what is on in c what the session's state and rules ask for; cmd may be NULL. */
int program_update(struct conn *c, struct session *s, struct command *cmd);
void program_detach(struct conn *c, struct session *s, struct command *cmd);
int program_have(struct conn *c, const struct cairn_msg_ringset *m, int fd);
int program_have_event(struct conn *c, const struct cairn_msg_enable *e);
struct attach *program_attach_find(const struct conn *c, const struct session *s);
struct attach *program_attach(struct conn *c, struct session *s); /* found or made */
struct pevent *program_event(const struct conn *c, uint32_t number);

/* ---- commands that wait for programs (command.c) ---- */

typedef void command_done_fn(struct command *cmd);

struct command {
	struct command *next;
	struct cairn_host *host;
	struct conn *from; /* borrowed; NULL: local, or gone */
	uint32_t request_seq;
	uint64_t deadline_ns;
	unsigned pending; /* ACKs still to come */
	bool sealed; /* everything was sent */
	struct cairn_report report;
	struct command_prog { /* owned vector: one a program concerned */
		pid_t pid;
		unsigned pending;
		int err;
	} * progs;
	size_t nprogs, cprogs;
	command_done_fn *done; /* called once; then the command is freed */
	uint64_t session_id; /* stop, destroy: whose; 0: none */
	bool destroy, wants_report;
	struct json_object *reply; /* owned */
	/* where the reply goes if local */
	struct json_object **local_reply;
	bool *local_finished;
};
struct command *command_new(struct cairn_host *h, int timeout_ms);
void command_asked(struct command *cmd, const struct conn *c);
void command_answered(struct command *cmd, const struct conn *c, int err);
void command_gone(struct command *cmd, const struct conn *c); /* the program died: not late */
void command_seal(struct command *cmd); /* may finish and free it */
void commands_step(struct cairn_host *h, uint64_t now);
void command_free(struct command *cmd);

/* ---- sessions ---- */

struct rule {
	char *pattern; /* owned */
	char **excludes; /* owned vector of owned */
	size_t nexcludes, cexcludes;
	int loglevel;
	bool loglevel_only;
	unsigned channel;
};

struct channel {
	char name[CAIRN_NAME_MAX];
	enum cairn_ring_mode mode;
	uint64_t ring_bytes, block_ns;
	char contexts_text[256];
	uint32_t contexts, perf_count;
	struct cairn_perf_ctx perf[CAIRN_CTX_PERF_MAX];
	struct map ids; /* struct eclass * -> id + 1; holds a reference each */
	struct record_size *sizes; /* owned vector by id, see records.c */
	size_t nsizes;
	size_t csizes;
	struct cairn_stats stats; /* of ring sets that are gone; live ones are added on demand */
};

enum session_state { SESSION_NEW, SESSION_RUNNING, SESSION_STOPPING, SESSION_STOPPED };

struct session {
	struct cairn_host *host;
	char name[CAIRN_NAME_MAX];
	uid_t uid;
	gid_t gid;
	uint64_t id;
	enum session_state state;
	bool recovered;
	bool ran; /* was started, ever */
	struct channel *channels; /* owned array */
	size_t nchannels;
	struct rule *rules; /* owned vector */
	size_t nrules, crules;
	pid_t *pids; /* owned */
	size_t npids;
	int ctf_version;
	char *command; /* owned, or NULL */
	uint64_t snapshot_bytes;
	uint64_t started_ns, ran_ns; /* CLOCK_MONOTONIC */
	uint64_t busy_ns; /* when something last waited in a ring */
	uint64_t next_sweep_ns;
	uint64_t conflicts;
	uint8_t uuid[16];
	struct rset **rsets; /* owned vector of references */
	size_t nrsets, crsets;
	uint32_t next_domain;
	struct output *output; /* owned; never NULL */
	struct krec *kernel; /* owned; NULL: no kernel events (kernel.h) */
};

struct session *session_find(struct cairn_host *h, const char *name, uid_t uid);
struct session *session_by_id(struct cairn_host *h, uint64_t id);
int session_name_check(const char *name, const char *what, struct error *err);
int session_new(struct cairn_host *h, const char *name, uid_t uid, gid_t gid, struct session **ret,
	struct error *err);
void session_free(struct session *s); /* no draining: see session_finish */
int session_channel_add(
	struct session *s, const struct cairn_channel_config *cfg, struct error *err);
/* -EPERM, with what to do instead, if the session was taken over: its metadata cannot grow. */
int session_refuse_recovered(const struct session *s, struct error *err);
int session_rule_add(struct session *s, const struct cairn_rule *rule, struct error *err);
int session_rule_take_back(
	struct session *s, const char *pattern, const char *channel, struct error *err);
int session_start(struct session *s, struct command *cmd, struct error *err);
/* Asks programs to let go; session_stopped() when they have, or time is over. */
void session_stop(struct session *s, struct command *cmd);
void session_stopped(struct session *s);
bool session_wants(const struct session *s, const struct conn *c);
bool rule_matches(const struct rule *r, const struct eclass *c);
/* Id of the class in a channel, new if need be; < 0: -errno. */
int session_event_id(struct session *s, unsigned channel, struct eclass *cls);
int session_channel_find(const struct session *s, const char *name, struct error *err);
/* Brings all programs up to the rules; the first failure. */
int session_update_programs(struct session *s, struct command *cmd);
bool session_event_wanted(const struct session *s, unsigned channel, const struct eclass *cls);
void session_note_left(struct session *s, const struct conn *c);
void session_forget_rsets(struct session *s);
void session_sweep_rsets(struct session *s, uint64_t now); /* solo sets nobody uses any more */
int ringset_error(struct error *err, int code, const char *what, uint64_t bytes);

/* ---- ring sets and their consumption (rset.c, consume.c) ---- */

struct domain_key { /* who may share rings */
	uint64_t userns, pidns;
	uint32_t uid, ring_layout, no_tsc;
	int32_t solo_pid; /* != 0: the rings of one program without rseq */
	uint64_t solo_unique;
};

struct rset_ring { /* consumer's state of one ring */
	struct stream *stream; /* owned by the output; NULL: no packet yet */
	uint64_t seq; /* packets in chunks before the present one */
	uint64_t first_pending_ns; /* when data was first seen waiting; 0: none */
	uint64_t lost[CAIRN_LOST_REASONS]; /* last totals seen */
	uint64_t lost_corrupt; /* packets cut by records_walk() */
	bool said_corrupt;
	uint64_t end_ts, end_pos; /* of the last packet */
};

struct rset {
	unsigned refs;
	struct session *session; /* borrowed; NULL once the session forgot it */
	unsigned channel;
	uint32_t domain_id;
	uint32_t
		number; /* what programs call it: one number in the host, so that a fork child can name
			  * a set whatever became of its parent */
	struct domain_key key;
	struct ringset *rs; /* owned */
	unsigned users; /* programs attached */
	uint64_t idle_since_ns; /* solo: when the last user left; 0: has users */
	struct rset_ring *rings; /* owned: nrings */
	uint32_t nrings;
};

/* The ring set of a channel for the domain of c, made if need be; borrowed from the session. */
int rset_get(struct session *s, unsigned channel, const struct conn *c, bool solo,
	struct rset **ret, struct error *err);
int rset_adopt(struct session *s, unsigned channel, struct ringset *rs, const struct domain_key *k,
	struct rset **ret);
struct rset *rset_ref(struct rset *r);
void rset_unref(struct rset *r);
struct domain_key domain_of(const struct conn *c, bool solo);

/* Reads all rings that are due; returns ns until the next look is due. */
uint64_t consume_step(struct cairn_host *h, uint64_t now);
/* Reads until empty (rings must be closed, or it is bounded by rounds). */
void consume_drain(struct session *s);
void consume_rset_drain(struct rset *r);
void consume_all(struct session *s); /* what is in the rings now */
/* In the midst of long work: all that is due is read. */
void host_breathe(struct cairn_host *h);

/* ---- where a session's trace goes (output.c, records.c, clock.c, proc.c) ---- */

struct stream { /* the packets of one ring, one file */
	int fd; /* -1: could not be opened */
	uint64_t instance, seq;
	uint64_t offset; /* end of the last whole packet */
	uint64_t lost_written; /* lost_total of the last packet */
	uint64_t lost_disk; /* events read from the ring that could not be written */
};

struct live { /* a pipe, socket or line that a trace goes to while it is made */
	int fd; /* borrowed */
	int err; /* of the first failure: after it, the reader would not find a packet's beginning */
	const struct write_wait *wait; /* borrowed */
};

/* One place that a trace is written to: the output proper, a chunk of it, or a snapshot. */
struct place {
	char *dir; /* owned; NULL: none */
	int dirfd; /* -1: none */
	bool made; /* the directory was not there before */
	struct live *live; /* borrowed; NULL: a directory */
	const struct ctf_trace *stream_trace; /* borrowed: whose metadata goes into the stream */
	int meta_fd; /* -1: not made yet */
	uint64_t meta_bytes; /* of output.meta that are written here */
};

struct clock_point { /* one moment on three clocks */
	uint64_t cycles, mono_ns, real_ns;
};

struct output {
	char *dir; /* owned: as the user sees it; NULL: memory only */
	bool made; /* DIR was not there before */
	bool chunked; /* rotated before: place.dir is DIR/chunk-N */
	unsigned chunk, snapshot; /* numbers of the last ones */
	struct live live; /* what place.live says, if the output is one */
	struct place place; /* present one; nothing in memory-only sessions */
	struct ctf_trace *trace; /* owned; made at first start */
	struct ctf_text_pos text_pos;
	struct buf meta; /* the whole text so far, as rings carry it */
	bool meta_dirty;
	bool verbatim; /* adopted: meta came with the rings and cannot grow */
	struct stream state; /* the state dump */
	struct stream **streams; /* owned vector */
	size_t nstreams, cstreams;
	struct clock_point begin; /* of the calibration */
	struct ctf_clock
		clock; /* as the trace has it; the kernel's has the same, to the last bit */
	uint64_t bytes; /* state dump */
	int write_error; /* 0, or the errno value of the last kind of failure */
};

struct output_facts { /* of the session, for a trace of it; strings live in here or in the session */
	struct ctf_facts facts;
	struct utsname u;
	char created[64];
};
void output_facts(const struct session *s, struct output_facts *ret);
int output_new(struct session *s, const char *dir, int fd, struct error *err);
void output_free(struct session *s);
/* Makes trace and place, if not there yet. Channels are fixed from here on. */
int output_begin(struct session *s, struct error *err);
/* Makes the place of the session's trace in dir: dir itself, or, if there are kernel events, dir/user
 * and dir/kernel. */
int output_open(struct session *s, const char *dir, struct error *err);
/* There will be kernel events: what is in dir moves to dir/user. */
int output_make_room(struct session *s, struct error *err);
void output_discard(struct session *s); /* of a session that never ran: nothing stays on disk */
/* Brings metadata file and rings up to date with the trace; cheap if nothing is new. */
void output_flush_metadata(struct session *s);
/* All packets are in: the final clock and metadata. */
void output_end(struct session *s);
/* Looks at the records of *view: cuts off what makes no sense, and what is beyond `limit` bytes (then
 * true: the view is shortened, and more waits). *ret_events: how many there are in the rest. */
bool output_check(
	struct rset *r, uint32_t ring, struct ring_view *view, size_t limit, uint64_t *ret_events);
/* Writes a view of that many events. `final`: also if it has none. */
void output_packet(
	struct rset *r, uint32_t ring, const struct ring_view *view, uint64_t events, bool final);
void output_state(struct session *s, const struct buf *records, uint64_t ts_begin, uint64_t ts_end);
/* Writes what an overwrite ring holds, but for its `skip` oldest blocks. */
void output_snapshot_ring(struct rset *r, uint32_t ring, unsigned skip);
void output_final_losses(struct rset *r, uint32_t ring);
void output_close_streams(struct session *s);
bool output_has_place(const struct output *o);
int output_make_trace(struct session *s);
void output_text_anew(struct session *s); /* the whole metadata text, with the present clock */
int output_rotate(struct session *s, char *ret_dir, size_t size, struct error *err);
int output_snapshot(
	struct session *s, const char *dir, char *ret_dir, size_t size, struct error *err);

/* place.c */
void place_init(struct place *p);
void place_done(struct place *p);
/* Makes an empty directory, parents too; -EEXIST if it is there and not empty. */
int place_open(struct session *s, struct place *p, const char *dir, struct error *err);
int place_create(const struct session *s, const struct place *p, const char *name);
int place_write_packet(const struct place *p, struct stream *st, const struct ctf_frame *f);
int place_write_metadata(const struct session *s, struct place *p, const struct buf *text);
int place_replace_metadata(const struct session *s, struct place *p, const struct buf *text);
int place_move_down(struct session *s, struct place *p, const char *name);
int place_move(struct place *p, const char *dir); /* the directory gets this path */
void place_discard(struct place *p); /* removes what a trace without events has, and what we made */
/* Packets of texts (ctf_stream_texts()) into the stream. */
int place_stream_texts(const struct place *p, const char *text, size_t len);

/* records.c: how large each event's records are, to count them and to check them */
struct record_size {
	struct record_step {
		uint32_t fixed; /* bytes, contexts included */
		uint32_t width; /* of one scalar of the sequence after them; 0: a string is there */
	} * steps; /* owned */
	size_t nsteps, csteps;
	uint32_t fixed; /* bytes after the steps */
	bool is_state; /* not one of the program's events: not counted */
	bool known;
};
struct records {
	uint64_t events; /* of the programs */
	size_t bytes; /* of whole records, all that made sense */
	uint64_t ts; /* of the last */
	bool bad; /* what follows makes no sense */
};
/* Counts the records of a view; goes no further than the first that ends at `limit` or later. */
void records_walk(
	const struct channel *ch, const struct ring_view *v, size_t limit, struct records *ret);
int records_add(struct channel *ch, uint32_t id, struct eclass *cls);
/* records-meta.c: of all channels, as far as the session's metadata tells. 0 or -errno. */
int records_from_metadata(struct session *s);
void records_free(struct channel *ch);

/* clock.c */
bool clock_tsc_usable(void);
void clock_init(struct cairn_host *h);
void clock_now(enum cairn_clock kind, struct clock_point *ret);
uint64_t clock_cycles(enum cairn_clock kind);
/* The clock for metadata: frequency over the time from begin to now. */
void clock_describe(
	const struct cairn_host *h, const struct clock_point *begin, struct ctf_clock *ret);

/* rate.c: the TSC for those who may not read it */
struct clock_line_point {
	uint64_t raw_ns, cycles;
};
struct clock_line {
	struct clock_line_point first;
	struct cairn_rate rate; /* in force */
	uint64_t due_ns; /* of the next look; CLOCK_MONOTONIC */
};
void rate_init(struct cairn_host *h); /* the host's tsc_hz is known; not if it has another clock */
void rate_follow(struct cairn_host *h, uint64_t now); /* if it is due: looks, tells all rings */
uint64_t rate_at(const struct cairn_rate *r, uint64_t raw_ns);
void rate_next(struct clock_line *l, const struct clock_line_point *now);

/* proc.c: what a program is, for the trace */
struct process_facts; /* raw text from /proc, read while the program surely lives */
struct process_facts *process_facts_read(pid_t pid);
void process_facts_free(struct process_facts *f);
/* ts: not before anything that the state stream has, and before the first event that needs it. */
void session_dump_program(
	struct session *s, const struct conn *c, const struct process_facts *f, uint64_t ts);
void session_dump_all(struct session *s); /* for a place that has no state dump yet */
pid_t process_parent(pid_t pid);
/* Is pid, or an ancestor of it, one of these? */
bool process_descends(pid_t pid, const pid_t *from, size_t n);

/* ---- the host ---- */

struct cairn_host {
	int epfd, timer_fd;
	int public_fd, private_fd; /* listening; -1: none */
	struct outpost *outposts; /* owned list (outpost.c) */
	int spare_fd; /* given up for a moment when descriptors run out */
	char rundir[96];
	char public_path[108], private_path[108];
	char private_dir[64]; /* made for the private socket; "": none */
	char name[CAIRN_NAME_MAX];
	char *runtime, *output_root, *ring_dir; /* owned, or NULL */
	bool own_link; /* we keep RUNDIR/libcairn-rt.so */
	enum cairn_wanted wanted;
	pid_t *pids; /* owned */
	size_t npids;
	uid_t uid;
	bool shutdown;
	struct write_wait live_wait;
	bool said_closed; /* that users cannot reach their traces below output_root */
	enum cairn_clock clock; /* of all rings here */
	uint64_t tsc_hz; /* first guess; 0: CLOCK_MONOTONIC */
	struct clock_point clock_begin;
	struct clock_line line; /* if clock is the TSC */
	bool accept_paused; /* out of descriptors */
	uint64_t accept_again_ns;
	uint64_t next_look_ns;
	uint64_t breath_ns; /* when host_breathe() last looked */
	char kernel_ready; /* epoll: a buffer of the kernel's fills; its address alone counts */
	uint32_t nrings; /* highest possible CPU + 1 */
	struct conn **conns; /* owned vector */
	size_t nconns, cconns;
	int ids_fd; /* owned; see ids.c. Negative: none */
	bool ids_tried;
	size_t nprograms;
	uint64_t joined, described; /* programs, and descriptions of theirs, ever */
	uint64_t refused; /* programs that could not be traced, and it was said */
	struct session **sessions; /* owned vector */
	size_t nsessions, csessions;
	uint64_t next_session_id;
	uint32_t next_ringset; /* begins anywhere: programs may bring numbers of a dead host */
	struct map classes; /* key -> struct eclass * */
	struct eclass *thread_class; /* of the event by which threads introduce themselves */
	struct command *commands; /* owned list */
	struct { /* messages for the host's user, a ring */
		char text[32][256];
		unsigned first, count, dropped;
	} said;
	uint8_t *msgbuf; /* owned: CAIRN_MSG_MAX + 8, 8-byte aligned */
};

void host_say(struct cairn_host *h, const char *fmt, ...) PRINTF_LIKE(2, 3);
void host_poll_out(struct conn *c, bool on);
int host_listens(struct cairn_host *h, int fd, void *ptr); /* events of fd come with ptr */
void host_wake(struct cairn_host *h); /* look at the rings soon */

/* rundir.c */
int rundir_path(const char *opt, char *buf, size_t size);
int rundir_open(struct cairn_host *h, const struct cairn_host_options *o, struct error *err);
void rundir_close(struct cairn_host *h);
int socket_connect(const char *path, int *ret_fd, struct error *err);
char *runtime_find(const char *opt);

/* outpost.c: where programs of other mount namespaces look. */
struct outpost;
/* Makes sure that the program can find us, if it looks for hosts. What hinders is said. */
void outpost_for(struct cairn_host *h, pid_t pid);
/* Is this an outpost's event? *ret_fd: its listening socket. */
bool outpost_is(const struct cairn_host *h, const void *ptr, int *ret_fd);
void outposts_close(struct cairn_host *h);

/* control.c: commands */
int control_message(struct conn *c, const struct msg_view *m);
/* Runs a request of user `uid`; the answer comes by cmd->... */
void control_request(struct cairn_host *h, struct conn *from, uint32_t seq, uid_t uid, gid_t gid,
	struct json_object *req, struct json_object **local_reply, bool *local_finished);

#endif
