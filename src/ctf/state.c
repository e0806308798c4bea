/* The state dump: what the host knows of processes, as events of its own.
 *
 * Events of the provider cairn_state, in a stream of their own, so that readers can name the
 * threads and place the addresses of a trace. Records have extended headers, so order and gaps in
 * time do not matter to their decoding.
 */
#include "ctf/write-impl.h"
#include <string.h>

#define LOGLEVEL_INFO 6
#define BUILD_ID_MAX 64
#define FORM_EXTENDED 2u

enum state_event { /* ids in a state stream: the order of state_add_events */
	STATE_PROCESS = 0,
	STATE_THREAD,
	STATE_MODULE,
	STATE_ATTACH,
	STATE_DONE,
};

static void int_field(struct ctf_maker *m, const char *name)
{
	ctf_make_field(m, name, CAIRN_KIND_INT, CAIRN_FORM_ONE, 4, 0, 0);
}

static void uint_field(struct ctf_maker *m, const char *name, unsigned width, unsigned flags)
{
	ctf_make_field(m, name, CAIRN_KIND_UINT, CAIRN_FORM_ONE, width, 0, flags);
}

static void str_field(struct ctf_maker *m, const char *name)
{
	ctf_make_field(m, name, CAIRN_KIND_STR, CAIRN_FORM_ONE, 1, 0, 0);
}

static void process_fields(struct ctf_maker *m)
{
	int_field(m, "pid");
	int_field(m, "ppid");
	uint_field(m, "uid", 4, 0);
	uint_field(m, "gid", 4, 0);
	str_field(m, "comm");
	str_field(m, "exe");
	str_field(m, "cmdline");
}

static void thread_fields(struct ctf_maker *m)
{
	int_field(m, "pid");
	int_field(m, "tid");
	str_field(m, "comm");
}

static void module_fields(struct ctf_maker *m)
{
	int_field(m, "pid");
	uint_field(m, "base", 8, CAIRN_FIELD_HEX);
	uint_field(m, "size", 8, 0);
	str_field(m, "path");
	ctf_make_field(m, "build_id", CAIRN_KIND_BYTES, CAIRN_FORM_SEQUENCE, 1, 0, 0);
}

static void attach_fields(struct ctf_maker *m)
{
	static const char *const labels[] = {[CTF_ATTACH_JOINED] = "joined",
		[CTF_ATTACH_FORKED] = "forked",
		[CTF_ATTACH_LEFT] = "left",
		[CTF_ATTACH_KEPT] = "kept",
		[CTF_ATTACH_REFUSED] = "refused"};

	int_field(m, "pid");
	ctf_make_field(m, "what", CAIRN_KIND_ENUM, CAIRN_FORM_ONE, 1, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(labels); i++)
		ctf_make_label(m, i, labels[i]);
}

static void done_fields(struct ctf_maker *m)
{
	int_field(m, "pid");
}

static const struct {
	const char *name;
	void (*fields)(struct ctf_maker *m);
} state_events[] = {
	[STATE_PROCESS] = {"process", process_fields},
	[STATE_THREAD] = {"thread", thread_fields},
	[STATE_MODULE] = {"module", module_fields},
	[STATE_ATTACH] = {"attach", attach_fields},
	[STATE_DONE] = {"done", done_fields},
};

int state_add_events(struct ctf_trace *t, uint32_t stream)
{
	AUTO(buf) struct buf desc = {0};
	struct ctf_added added;

	for (size_t i = 0; i < ARRAY_SIZE(state_events); i++) {
		struct ctf_maker m;
		int err;

		ctf_make(&m, CTF_STATE_PROVIDER, state_events[i].name, LOGLEVEL_INFO, NULL);
		state_events[i].fields(&m);
		err = ctf_make_done(&m, &desc);
		if (err == 0)
			err = ctf_trace_add_event(t, stream, desc.data, desc.len, &added, NULL);
		if (err < 0)
			return err;
	}
	return 0;
}

int ctf_state_thread_desc(struct buf *ret)
{
	struct ctf_maker m;

	ctf_make(&m, CTF_STATE_PROVIDER, state_events[STATE_THREAD].name, LOGLEVEL_INFO, NULL);
	thread_fields(&m);
	return ctf_make_done(&m, ret);
}

static void add_header(struct buf *out, enum state_event id, uint64_t ts)
{
	uint32_t word = FORM_EXTENDED | (uint32_t)id << 2;

	buf_add(out, &word, sizeof(word));
	buf_add(out, &ts, sizeof(ts));
}

static void add_i32(struct buf *out, int32_t v)
{
	buf_add(out, &v, sizeof(v));
}

static void add_u32(struct buf *out, uint32_t v)
{
	buf_add(out, &v, sizeof(v));
}

static void add_u64(struct buf *out, uint64_t v)
{
	buf_add(out, &v, sizeof(v));
}

static void add_str(struct buf *out, const char *s)
{
	buf_add(out, s ? s : "", s ? strlen(s) + 1 : 1);
}

void ctf_state_process(struct buf *out, uint64_t ts, const struct ctf_process *p)
{
	add_header(out, STATE_PROCESS, ts);
	add_i32(out, p->pid);
	add_i32(out, p->ppid);
	add_u32(out, p->uid);
	add_u32(out, p->gid);
	add_str(out, p->comm);
	add_str(out, p->exe);
	add_str(out, p->cmdline);
}

void ctf_state_thread(struct buf *out, uint64_t ts, const struct ctf_thread *t)
{
	add_header(out, STATE_THREAD, ts);
	add_i32(out, t->pid);
	add_i32(out, t->tid);
	add_str(out, t->comm);
}

void ctf_state_module(struct buf *out, uint64_t ts, const struct ctf_module *m)
{
	uint32_t len = m->build_id ? MIN(m->build_id_len, BUILD_ID_MAX) : 0;

	add_header(out, STATE_MODULE, ts);
	add_i32(out, m->pid);
	add_u64(out, m->base);
	add_u64(out, m->size);
	add_str(out, m->path);
	add_u32(out, len);
	buf_add(out, len ? (const void *)m->build_id : "", len);
}

void ctf_state_attach(struct buf *out, uint64_t ts, int32_t pid, enum ctf_attach what)
{
	uint8_t byte = (uint8_t)what;

	add_header(out, STATE_ATTACH, ts);
	add_i32(out, pid);
	buf_add(out, &byte, sizeof(byte));
}

void ctf_state_done(struct buf *out, uint64_t ts, int32_t pid)
{
	add_header(out, STATE_DONE, ts);
	add_i32(out, pid);
}
