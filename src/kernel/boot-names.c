/* Names of the tasks of a boot's trace: what the kernel remembers (saved_cmdlines, saved_tgids), else
 * what lives now. See boot-read-impl.h. */
#include "kernel/boot-read-impl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pid_max is at most this. */
enum { TIDS = 4 << 20, WORD = 64 };

int boot_tids_see(struct boot_tids *t, const struct kpage *page)
{
	struct kpage p = *page; /* the reader's own position stays */
	struct kpage_event ev;
	int32_t tid;

	if (!t->seen && !(t->seen = calloc(TIDS / WORD, sizeof(*t->seen))))
		return -ENOMEM;
	while (kpage_next(&p, &ev) > 0) {
		if (ev.len < 8)
			continue;
		memcpy(&tid, ev.data + 4, sizeof(tid)); /* common_pid, where every format has it */
		if (tid > 0 && tid < TIDS)
			t->seen[tid / WORD] |= UINT64_C(1) << tid % WORD;
	}
	return 0;
}

void boot_tids_done(struct boot_tids *t)
{
	free(t->seen);
	*t = (struct boot_tids){0};
}

static bool is_seen(const struct boot_tids *t, int32_t tid)
{
	return tid > 0 && tid < TIDS && (t->seen[tid / WORD] >> tid % WORD & 1);
}

/* The number behind "TID " in the lines of saved_tgids; 0: none. */
static int32_t saved_tgid(const char *text, int32_t tid)
{
	char key[24];
	size_t len = (size_t)snprintf(key, sizeof(key), "%d ", tid);

	for (const char *s = text; s && *s; s = strchr(s, '\n'), s += s != NULL)
		if (strncmp(s, key, len) == 0)
			return (int32_t)strtol(s + len, NULL, 10);
	return 0;
}

/* Of a task that lives: its process; 0: none. */
static int32_t living_tgid(int32_t tid)
{
	AUTO(buf) struct buf b = {0};
	char path[64];
	const char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", tid); /* fits */
	at = read_file(path, 65536, &b) == 0 && b.data ? strstr(b.data, "\nTgid:") : NULL;
	return at ? (int32_t)strtol(at + 6, NULL, 10) : 0;
}

static void name_one(struct buf *out, uint64_t ts, int32_t tid, const char *comm, const char *tgids)
{
	struct ctf_thread th = {.pid = saved_tgid(tgids, tid), .tid = tid, .comm = comm};

	if (!th.pid)
		th.pid = living_tgid(tid);
	if (!th.pid)
		th.pid = -1;
	ctf_state_thread(out, ts, &th);
}

void boot_tids_name(struct boot_tids *t, struct tracefs *top, uint64_t ts, struct buf *out)
{
	AUTO(buf) struct buf comms = {0}, tgids = {0};
	char *save = NULL;

	if (!t->seen)
		return;
	(void)tracefs_read(top, "saved_tgids", &tgids, NULL); /* only with the option record-tgid */
	if (tracefs_read(top, "saved_cmdlines", &comms, NULL) < 0 || !comms.data)
		buf_add(&comms, "", 0);
	for (char *line = comms.data ? strtok_r(comms.data, "\n", &save) : NULL; line;
		line = strtok_r(NULL, "\n", &save)) {
		char *comm;
		int32_t tid = (int32_t)strtol(line, &comm, 10);

		if (*comm != ' ' || !is_seen(t, tid))
			continue;
		name_one(out, ts, tid, comm + 1, tgids.data);
		t->seen[tid / WORD] &= ~(UINT64_C(1) << tid % WORD);
	}
	for (int32_t tid = 1; tid < TIDS; tid++) {
		AUTO(buf) struct buf b = {0};
		char path[64];

		if (tid % WORD == 0 && !t->seen[tid / WORD]) {
			tid += WORD - 1;
			continue;
		}
		(void)snprintf(path, sizeof(path), "/proc/%d/comm", tid); /* fits */
		if (!is_seen(t, tid) || read_file(path, 64, &b) < 0 || !b.len)
			continue;
		b.data[strcspn(b.data, "\n")] = '\0';
		name_one(out, ts, tid, b.data, tgids.data);
	}
}
