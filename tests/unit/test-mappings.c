/* Tests of src/kernel/mappings: what is mapped where and when, told by hand and by the kernel. */
#include "kernel/mappings.h"
#include "symbol/symbol.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static uint32_t file(struct mappings *m, const char *path, uint8_t id)
{
	struct mapped_file f = {.path = path,
		.build_id = {id},
		.build_id_len = id ? 20 : 0,
		.shift = SYMBOL_NO_SHIFT};

	return mappings_add_file(m, &f);
}

static void map(struct mappings *m, int32_t pid, uint64_t t, uint64_t begin, uint64_t end,
	uint64_t offset, uint32_t to)
{
	CHECK_INT(mappings_on_map(m, pid,
			  &(struct mapping){.t_ns = t * 1000000,
				  .begin = begin,
				  .end = end,
				  .offset = offset,
				  .file = to}),
		0);
}

/* "PATH+OFFSET", or "". Times are in ms. */
static const char *at(struct mappings *m, int32_t pid, uint64_t t, uint64_t address)
{
	static char text[256];
	uint64_t offset;
	uint32_t f;

	text[0] = 0;
	if (mappings_find(m, pid, t * 1000000, address, &f, &offset))
		(void)snprintf(text, sizeof(text), "%s+0x%" PRIx64, m->files[f].path, offset);
	return text;
}

TEST(files_are_known_by_path_and_build)
{
	struct mappings *m = mappings_new();
	uint32_t a = file(m, "/bin/a", 1);

	CHECK_INT(file(m, "/bin/a", 1), a);
	CHECK(file(m, "/bin/a", 2) != a);
	CHECK(file(m, "/bin/b", 1) != a);
	CHECK(file(m, "[vdso]", 0) != MAPPINGS_NO_FILE);
	CHECK_INT(file(m, "//anon", 0), MAPPINGS_NO_FILE);
	CHECK_INT(file(m, "[heap]", 0), MAPPINGS_NO_FILE);
	CHECK_INT(file(m, "/memfd:jit (deleted)", 0), MAPPINGS_NO_FILE);
	mappings_free(m);
	mappings_free(NULL);
}

TEST(addresses_are_of_their_time)
{
	struct mappings *m = mappings_new();
	uint32_t a = file(m, "/a", 1), b = file(m, "/b", 2);

	map(m, 7, 10, 0x1000, 0x3000, 0x500, a);
	map(m, 7, 20, 0x2000, 0x4000, 0, b); /* over a's end */
	map(m, 7, 30, 0x1000, 0x1800, 0, MAPPINGS_NO_FILE);
	CHECK_STR(at(m, 7, 5, 0x1000), "");
	CHECK_STR(at(m, 7, 10, 0xfff), "");
	CHECK_STR(at(m, 7, 10, 0x1000), "/a+0x500");
	CHECK_STR(at(m, 7, 10, 0x2fff), "/a+0x24ff");
	CHECK_STR(at(m, 7, 20, 0x2fff), "/b+0xfff");
	CHECK_STR(at(m, 7, 20, 0x1fff), "/a+0x14ff");
	CHECK_STR(at(m, 7, 20, 0x4000), "");
	CHECK_STR(at(m, 7, 15, 0x2fff), "/a+0x24ff"); /* looked up later, as of then */
	CHECK_STR(at(m, 7, 30, 0x1000), ""); /* code that was made there */
	CHECK_STR(at(m, 8, 30, 0x1000), "");
	map(m, 7, 12, 0x1000, 0x1100, 0, b); /* told late, by another CPU */
	CHECK_STR(at(m, 7, 11, 0x1000), "/a+0x500");
	CHECK_STR(at(m, 7, 13, 0x1000), "/b+0x0");
	CHECK_STR(at(m, 7, 30, 0x1000), "");
	mappings_free(m);
}

TEST(children_and_exec)
{
	struct mappings *m = mappings_new();
	uint32_t a = file(m, "/a", 1), b = file(m, "/b", 2);

	map(m, 7, 10, 0x1000, 0x2000, 0, a);
	CHECK_INT(mappings_on_fork(m, 8, 7, 20000000), 0);
	CHECK_INT(mappings_on_fork(m, 7, 7, 20000000), 0); /* a thread */
	map(m, 7, 30, 0x1000, 0x2000, 0, b); /* not in the child */
	CHECK_STR(at(m, 8, 40, 0x1000), "/a+0x0");
	CHECK_STR(at(m, 7, 40, 0x1000), "/b+0x0");
	CHECK_STR(at(m, 8, 15, 0x1000), ""); /* not born */
	CHECK_INT(mappings_on_fork(m, 9, 8, 45000000), 0);
	CHECK_INT(mappings_on_exec(m, 8, 50000000), 0);
	CHECK_STR(at(m, 8, 49, 0x1000), "/a+0x0");
	CHECK_STR(at(m, 8, 51, 0x1000), "");
	map(m, 8, 52, 0x1000, 0x2000, 0x100, b);
	CHECK_STR(at(m, 8, 53, 0x1000), "/b+0x100");
	CHECK_STR(at(m, 9, 53, 0x1000), "/a+0x0"); /* the grandchild is as its parent was */
	/* the number 8 again */
	CHECK_INT(mappings_on_fork(m, 8, 7, 60000000), 0);
	CHECK_STR(at(m, 8, 61, 0x1000), "/b+0x0");
	CHECK_STR(at(m, 8, 53, 0x1000), "/b+0x100");
	/* its birth is told after its mappings */
	map(m, 10, 71, 0x9000, 0xa000, 0, b);
	CHECK_INT(mappings_on_fork(m, 10, 9, 70000000), 0);
	CHECK_STR(at(m, 10, 72, 0x9000), "/b+0x0");
	CHECK_STR(at(m, 10, 72, 0x1000), "/a+0x0");
	mappings_free(m);
}

TEST(who_ended_is_forgotten_later)
{
	struct mappings *m = mappings_new();
	uint32_t a = file(m, "/a", 1);
	const uint64_t keep = MAPPINGS_KEEP_NS / 1000000;

	map(m, 7, 10, 0x1000, 0x2000, 0, a);
	CHECK_INT(mappings_on_fork(m, 8, 7, 20000000), 0);
	CHECK_INT(mappings_on_fork(m, 9, 8, 30000000), 0);
	mappings_on_exit(m, 8, 40000000);
	mappings_on_exit(m, 7, 50000000);
	CHECK_INT(mappings_prune(m, (40 + keep) * 1000000), 0);
	CHECK_INT(m->processes.len, 3); /* too early for one, and 9 needs all */
	CHECK_STR(at(m, 8, 45, 0x1000), "/a+0x0"); /* records may be late */
	CHECK_INT(mappings_prune(m, (60 + keep) * 1000000), 0);
	CHECK_INT(m->processes.len, 3);
	CHECK_STR(at(m, 9, 60, 0x1000), "/a+0x0");
	/* the number 8 again: the older one goes, the newer one stays */
	CHECK_INT(mappings_on_fork(m, 8, 9, 70000000), 0);
	mappings_on_exit(m, 9, 80000000);
	for (int i = 0; i < 3; i++) /* from the youngest to the oldest */
		CHECK_INT(mappings_prune(m, (90 + keep) * 1000000), 0);
	CHECK_STR(at(m, 8, 90, 0x1000), "/a+0x0");
	mappings_on_exit(m, 8, 100000000);
	for (int i = 0; i < 4; i++)
		CHECK_INT(mappings_prune(m, (110 + keep) * 1000000), 0);
	CHECK_INT(m->processes.len, 0);
	CHECK_STR(at(m, 9, 90, 0x1000), "");
	mappings_free(m);
}

/* ---- live ---- */

static char self[4096];

TEST(proc_says_what_was_there)
{
	struct mappings *m = mappings_new();
	uint64_t offset, now;
	uint32_t f;
	const struct mapped_file *file;

	CHECK_INT(mappings_read_process(m, getpid()), 0);
	now = now_ns(CLOCK_MONOTONIC);
	CHECK(mappings_find(m, getpid(), now, (uintptr_t)at, &f, &offset));
	file = mappings_file(m, f);
	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	CHECK_STR(file->path, self);
	CHECK(file->shift != SYMBOL_NO_SHIFT);
	CHECK(!mappings_find(m, getpid(), now, (uintptr_t)&f, &f, &offset)); /* the stack */
	CHECK_INT(mappings_read_process(m, 0x7fffffff), 0); /* nobody */
	mappings_free(m);
}

/* A mapping, and one in its place in a child that ended: whether both were told. */
static bool both_are_told(struct mappings *m, int fd)
{
	uint64_t offset = 0, began = now_ns(CLOCK_MONOTONIC);
	uint32_t f = 0;
	int status = -1;
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 4096), *q;
	pid_t child;
	bool told;

	CHECK(p != MAP_FAILED);
	child = fork();
	if (child == 0) { /* another one, in the child alone, in its place */
		q = mmap(p, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 8192);
		_exit(q != p);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	CHECK_INT(mappings_update(m), 0);
	told = mappings_find(m, getpid(), now_ns(CLOCK_MONOTONIC), (uintptr_t)p + 5, &f, &offset) &&
		offset == 4096 + 5 && strcmp(mappings_file(m, f)->path, self) == 0 &&
		!mappings_find(m, getpid(), began - 1000000, (uintptr_t)p + 5, &f, &offset) &&
		mappings_find(m, child, now_ns(CLOCK_MONOTONIC), (uintptr_t)p + 5, &f, &offset) &&
		offset == 8192 + 5;
	CHECK(munmap(p, 4096) == 0);
	return told;
}

/* Of all processes: on a busy machine, what is told meanwhile may be more than is kept, and then it
 * is lost, and asked again. */
TEST(kernel_tells_of_new_ones)
{
	AUTO(fd) int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool told = false;

	CHECK(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	for (int i = 0; i < 10 && !told; i++) {
		struct mappings *m = mappings_new();
		struct error e;

		if (mappings_listen(m, (uint32_t)sysconf(_SC_NPROCESSORS_CONF), false, &e) < 0) {
			mappings_free(m);
			SKIP("perf_event_open of all processes is refused here");
		}
		told = both_are_told(m, fd);
		mappings_free(m);
	}
	CHECK(told);
}

TEST_MAIN()
