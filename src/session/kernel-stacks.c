/* Stacks with the kernel's events: options of our instance, or what BPF's records bring; user stacks by file and
 * offset.
 *
 * What is mapped where is learnt from the kernel as it happens, and read from /proc for the programs
 * that are there at the start. Without the first (perf refused), programs that start later have bare
 * addresses.
 */
#include "session/kernel-impl.h"
#include <errno.h>
#include <string.h>

static int read_what_is_there(struct session *s)
{
	const struct krec *k = s->kernel;
	const pid_t *pids;
	size_t n = krec_pids(s, &pids);
	int r = 0;

	if (!n)
		return mappings_read_process(k->mappings, 0);
	for (size_t i = 0; i < n && r == 0; i++)
		r = mappings_read_process(k->mappings, pids[i]);
	return r;
}

/* An event of ftrace's own becomes known. */
static int learn(struct krec *k, const char *event, uint32_t *ret_id, struct error *err)
{
	AUTO(buf) struct buf text = {0};
	struct kformat *f;
	int r = tracefs_format(k->instance, "ftrace", event, &text, err);

	if (r == 0)
		r = kformat_parse(
			text.data ? text.data : "", text.len, "ftrace", sizeof(long), &f, err);
	if (r < 0)
		return r;
	*ret_id = f->id;
	kformat_free(f);
	return krec_learn_text(k, event, "ftrace", &text, err);
}

static int user_stacks(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	struct error e = {0};
	uint32_t id;
	int r = learn(k, "user_stack", &id, err);

	if (r < 0)
		return r;
	if (!k->mappings)
		k->mappings = mappings_new();
	if (!k->mappings)
		return error_set(err, -ENOMEM, "no memory for user stacks");
	if (mappings_listen(k->mappings, s->host->nrings, s->host->clock == CAIRN_CLOCK_TSC, &e) <
		0)
		host_say(s->host, "session %s: %s; %s", s->name, e.message, e.hint);
	r = read_what_is_there(s);
	if (r == 0 && !k->kstacks)
		r = kstacks_new(k->ctf, id, k->mappings, &k->kstacks);
	if (r < 0)
		return error_set(err, r,
			r == -EPROTO ? "this kernel's user stacks are not understood"
				     : "no memory for user stacks");
	return tracefs_option(k->instance, "userstacktrace", true, err);
}

int krec_stacks_start(struct session *s, struct error *err)
{
	struct krec *k = s->kernel;
	int r = 0;

	if (k->stacks & CAIRN_STACK_KERNEL) {
		r = tracefs_option(k->instance, "stacktrace", true, err);
	}
	if (r == 0 && k->stacks & CAIRN_STACK_USER)
		r = user_stacks(s, err);
	return r;
}

/* ---- with records by BPF ---- */

int krec_stacks_of_bpf(struct krec *k, struct error *err)
{
	return k->stacks & CAIRN_STACK_KERNEL ? learn(k, "kernel_stack", &k->kernel_stack, err) : 0;
}

/* The kernel's event: common fields, s32 frames, padding, u64 for each. */
static int put_kernel_stack(
	struct krec *k, struct kctf_stream *to, uint64_t ts, const struct kbpf_record *r)
{
	uint64_t record[2 + KBPF_FRAMES_MAX];
	struct kpage_event ev = {
		.ts = ts, .data = (const uint8_t *)record, .len = 16 + r->kernel.n * 8};

	memcpy(record, r->data, 8);
	record[1] = r->kernel.n;
	memcpy(record + 2, r->kernel.frames, (size_t)r->kernel.n * 8);
	return kctf_emit(k->ctf, to, k->kernel_stack, &ev);
}

int krec_stacks_put(
	struct krec *k, struct kctf_stream *to, uint64_t ts, const struct kbpf_record *r)
{
	struct kpage_event ev = {.ts = ts, .data = r->data, .len = r->len};
	int err = 0;

	if (r->kernel.n)
		err = put_kernel_stack(k, to, ts, r);
	if (err == 0 && r->user.n && k->kstacks)
		err = kstacks_put(k->kstacks, to, &ev, r->process, r->user.frames, r->user.n);
	return err;
}

void krec_stacks_stop(struct krec *k)
{
	if (k->mappings)
		mappings_stop(k->mappings);
}

void krec_stacks_free(struct krec *k)
{
	kstacks_free(k->kstacks);
	mappings_free(k->mappings);
}
