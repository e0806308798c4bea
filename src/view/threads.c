/* Names of threads: from an event's own context, else from the trace's state dump (events
 * cairn_state:thread and :process of Cairn's traces). */
#include "view/view.h"
#include <errno.h>
#include <stdlib.h>

static bool has_field(const struct cairn_type *t, const char *name)
{
	for (size_t i = 0; t && i < t->nmembers; i++)
		if (t->members[i]->name && strcmp(t->members[i]->name, name) == 0)
			return true;
	return false;
}

bool threads_teaches(const struct cairn_event_class *cls)
{
	return cls->trace->is_cairn && strcmp(cls->provider, "cairn_state") == 0 &&
		has_field(cls->fields, "comm") && has_field(cls->fields, "pid");
}

static int64_t number(const struct cairn_event *ev, const char *name)
{
	const struct cairn_value *v = cairn_event_get(ev, name);

	return v && (v->kind == CAIRN_VALUE_UINT || v->kind == CAIRN_VALUE_INT) ? v->i : -1;
}

/* The entry for tid, made if need be; NULL without memory. */
static struct thread *entry(struct threads *t, int64_t tid)
{
	struct thread *th = map_get(&t->known, &tid, sizeof(tid));

	if (th)
		return th;
	th = calloc(1, sizeof(*th));
	if (!th || map_put(&t->known, &tid, sizeof(tid), th) != 0) {
		free(th);
		return NULL;
	}
	th->tid = tid;
	th->pid = -1;
	return th;
}

bool threads_learn(struct threads *t, const struct cairn_event *ev)
{
	const struct cairn_value *comm = cairn_event_get(ev, "comm");
	int64_t pid = number(ev, "pid"), tid = number(ev, "tid");
	struct thread *th;
	size_t len;

	if (tid < 0)
		tid = pid; /* a process: its main thread */
	if (tid < 0 || !comm || comm->kind != CAIRN_VALUE_STRING)
		return false;
	th = entry(t, tid);
	if (!th)
		return false; /* shown as <...>: no reason to fail */
	len = MIN((size_t)comm->count, (size_t)THREAD_COMM);
	if (th->pid == pid && strlen(th->comm) == len && memcmp(th->comm, comm->str, len) == 0)
		return false;
	th->pid = pid;
	memset(th->comm, 0, sizeof(th->comm));
	memcpy(th->comm, comm->str, len);
	return true;
}

const struct thread *threads_get(const struct threads *t, int64_t tid)
{
	return tid >= 0 ? map_get(&t->known, &tid, sizeof(tid)) : NULL;
}

bool threads_comm(const struct threads *t, const struct cairn_event *ev, int64_t tid,
	char ret[THREAD_COMM + 1])
{
	const struct thread *th;
	size_t len = 0;
	const char *comm = cairn_event_comm(ev, &len);

	if (!comm) {
		th = threads_get(t, tid);
		if (!th || !th->comm[0])
			return false;
		comm = th->comm;
		len = strlen(comm);
	}
	len = MIN(len, (size_t)THREAD_COMM);
	memcpy(ret, comm, len);
	ret[len] = '\0';
	return true;
}

int64_t threads_pid(const struct threads *t, const struct cairn_event *ev, int64_t tid)
{
	int64_t pid = cairn_event_pid(ev);
	const struct thread *th;

	if (pid >= 0)
		return pid;
	th = threads_get(t, tid);
	return th ? th->pid : -1;
}

void threads_done(struct threads *t)
{
	void *th;

	for (size_t i = 0; (th = map_next(&t->known, &i, NULL, NULL));)
		free(th);
	map_done(&t->known);
}
