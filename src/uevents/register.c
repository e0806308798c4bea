/* A module's events become user events, and its sites are switched on. In constructors, before the
 * program's own code runs there: so text may be written to for a moment. */
#include "base/atomic.h"
#include "uevents/uevents.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))
#define FD_MIN 900 /* out of the way of programs that count on small numbers */
#define SITE_BYTES 5u

/* include/uapi/linux/user_events.h */
struct user_reg {
	uint32_t size;
	uint8_t enable_bit, enable_size;
	uint16_t flags;
	uint64_t enable_addr, name_args;
	uint32_t write_index;
} __attribute__((packed));
#define USER_REG _IOWR('*', 0, struct user_reg *)
#define FLAG_MULTI_FORMAT 2u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `events`, and registering */
static struct uevent *events;

static int open_file(void)
{
	static const char *const paths[] = {"/sys/kernel/tracing/user_events_data",
		"/sys/kernel/debug/tracing/user_events_data"};
	struct stat st;
	int fd = -1, high;

	for (size_t i = 0; i < 2 && fd < 0; i++)
		fd = open(paths[i], O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	high = fcntl(fd, F_DUPFD_CLOEXEC, FD_MIN);
	if (high >= 0) { /* else few are allowed: it stays where it is */
		(void)close(fd); /* nothing was written */
		fd = high;
	}
	if (fstat(fd, &st) < 0) {
		(void)close(fd); /* nothing was written */
		return -EIO;
	}
	uevents_file = (struct uevents_file){fd, minor(st.st_dev), major(st.st_dev), st.st_ino};
	return 0;
}

/* The kernel knows the event from now on. */
static int tell(struct uevent *e, const char *text)
{
	struct user_reg reg = {.size = sizeof(reg),
		.enable_size = sizeof(e->enabled),
		.enable_addr = (uintptr_t)&e->enabled,
		.name_args = (uintptr_t)text};

	if (ioctl(uevents_file.fd, USER_REG, &reg) < 0) {
		if (errno != EADDRINUSE)
			return -errno;
		reg.flags = FLAG_MULTI_FORMAT; /* another program's of this name has other fields */
		if (ioctl(uevents_file.fd, USER_REG, &reg) < 0)
			return -errno;
	}
	e->index = reg.write_index;
	return 0;
}

/* Equal but for the place in the source: the same event, as site.h has it. */
static bool is_same(const struct cairn_desc *a, const struct cairn_desc *b)
{
	return a == b || (a->size == b->size && memcmp(a, b, a->size) == 0);
}

static struct uevent *event_of(const struct cairn_desc *d)
{
	char text[UEVENTS_TEXT_MAX];
	struct uevent *e;

	for (e = events; e; e = e->next)
		if (is_same(e->desc, d))
			return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->desc = d;
	if (uevents_text(d, text, e) < 0 || tell(e, text) < 0) {
		free(e);
		return NULL;
	}
	e->next = events;
	events = e;
	return e;
}

static void *at(const int32_t *rel)
{
	return (char *)(uintptr_t)rel + *rel;
}

/* Makes the site's NOP a JMP to its cold part. */
static bool patch(const struct cairn_site *s)
{
	static const uint8_t nop[SITE_BYTES] = {0x0f, 0x1f, 0x44, 0x00, 0x00};
	uint8_t *code = at(&s->nop), jmp[SITE_BYTES] = {0xe9};
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t begin = (uintptr_t)code & ~(page - 1);
	size_t bytes = ((uintptr_t)code + SITE_BYTES - begin + page - 1) & ~(page - 1);
	int32_t distance = (int32_t)((uint8_t *)at(&s->target) - (code + SITE_BYTES));

	if (memcmp(code, nop, SITE_BYTES) != 0 ||
		mprotect((void *)begin, bytes, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
		return false;
	memcpy(jmp + 1, &distance, sizeof(distance));
	memcpy(code, jmp, SITE_BYTES);
	(void)mprotect((void *)begin, bytes, PROT_READ | PROT_EXEC); /* as it was: allowed */
	return true;
}

EXPORTED int cairn_rt_register_v1(struct cairn_module *m);
EXPORTED void cairn_rt_unregister_v1(struct cairn_module *m);

int cairn_rt_register_v1(struct cairn_module *m)
{
	int err = 0;

	if (m->abi != CAIRN_ABI)
		return -EPROTO;
	(void)pthread_mutex_lock(&lock); /* an ordinary one: cannot fail */
	if (uevents_file.fd < 0)
		err = open_file();
	m->fire = uevents_fire;
	m->scratch = uevents_scratch;
	m->scratch_done = uevents_scratch_done;
	for (const struct cairn_site *s = m->begin; s < m->end && err == 0; s++) {
		struct cairn_slot *slot = at(&s->slot);
		struct uevent *e = event_of(at(&s->desc));

		if (!e)
			continue; /* it stays off */
		store_release(&slot->sinks, (void *)e); /* pairs with [uevent] in fire.c */
		if (!s->nop || patch(s))
			store_release(&slot->enabled, 1); /* pairs with the site's test */
	}
	(void)pthread_mutex_unlock(&lock); /* held by us */
	return err;
}

/* Its sites are gone with it; the kernel may know its events as long as the program lives. But none may
 * look at its descriptions any more. */
void cairn_rt_unregister_v1(struct cairn_module *m)
{
	const struct cairn_site *s;

	(void)pthread_mutex_lock(&lock); /* an ordinary one: cannot fail */
	for (s = m->begin; s < m->end; s++)
		store_release(&((struct cairn_slot *)at(&s->slot))->sinks, NULL); /* pairs with
									   * [uevent] in fire.c */
	for (struct uevent **e = &events; *e;) {
		struct uevent *gone = *e;

		for (s = m->begin; s < m->end && at(&s->desc) != gone->desc; s++)
			;
		if (s < m->end)
			*e = gone->next; /* its memory stays: the kernel writes to it */
		else
			e = &gone->next;
	}
	(void)pthread_mutex_unlock(&lock); /* held by us */
}
