/* Stacks with the kernel's events: options of our instance; user stacks by file and offset.
 *
 * What is mapped where is learnt from the kernel as it happens, and read from /proc for the programs
 * that are there at the start. Without the first (perf refused), programs that start later have bare
 * addresses.
 */
#include "session/kernel-impl.h"
#include <errno.h>

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

static int user_stacks(struct session *s, struct error *err)
{
	static const char event[] = "user_stack";
	struct krec *k = s->kernel;
	AUTO(buf) struct buf text = {0};
	struct kformat *f;
	struct error e = {0};
	uint32_t id;
	int r = tracefs_format(k->instance, "ftrace", event, &text, err);

	if (r == 0)
		r = kformat_parse(
			text.data ? text.data : "", text.len, "ftrace", sizeof(long), &f, err);
	if (r < 0)
		return r;
	id = f->id;
	r = kctf_add(k->ctf, f, err);
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
