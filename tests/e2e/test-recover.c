/* Rings that nobody read: kept as files, and in the core files of a process that died with them,
 * become traces again. babeltrace2 reads those back, event for event. */
#include "../unit/ring-map.h"
#include "ctf/ctf.h"
#include "recover/recover.h"
#include "test.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __has_feature /* clang's */
#define __has_feature(x) 0
#endif
/* Sanitizers map terabytes: their core files are no use. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || \
	__has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#define RECORDS 1000
#define OVERWRITTEN 20000 /* more than a ring of 64 KiB holds */

static char *make_folder(void)
{
	static char path[] = "/tmp/cairn-recover-XXXXXX";

	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	return mkdtemp(path);
}

static void remove_folder(const char *path)
{
	char command[256];

	(void)snprintf(command, sizeof(command), "rm -rf '%s'", path); /* fits */
	CHECK_INT(system(command), 0);
}

static void make_metadata(struct buf *text)
{
	struct ctf_facts facts = {.uuid = {7, 7, 7}, .hostname = "h", .session = "s"};
	struct ctf_clock clock = {.name = "monotonic", .freq = 1000000000};
	struct ctf_stream state = {.kind = CTF_STREAM_STATE, .name = "state"};
	struct ctf_stream stream = {.name = "c", .contexts = 1u << CAIRN_CTX_TID};
	AUTO(buf) struct buf desc = {0};
	struct ctf_text_pos pos = {0};
	struct ctf_added added;
	struct ctf_trace *t = NULL;
	struct ctf_maker m;
	uint32_t id;

	ctf_make(&m, "test", "n", 6, NULL);
	ctf_make_field(&m, "n", CAIRN_KIND_UINT, CAIRN_FORM_ONE, 4, 0, 0);
	CHECK_INT(ctf_make_done(&m, &desc), 0);
	CHECK_INT(ctf_trace_new(&facts, &clock, &t), 0);
	CHECK_INT(ctf_trace_add_stream(t, &state, &id), 0);
	CHECK_INT(ctf_trace_add_stream(t, &stream, &id), 0); /* two channels, alike */
	CHECK_INT(ctf_trace_add_event(t, id, desc.data, desc.len, &added, NULL), 1);
	CHECK_INT(ctf_trace_add_stream(t, &stream, &id), 0);
	CHECK_INT(ctf_trace_add_event(t, id, desc.data, desc.len, &added, NULL), 1);
	CHECK_INT(ctf_metadata(t, CTF_1_8, &pos, text), 0);
	ctf_trace_free(t);
}

/* Makes a ring set as a session does, and writes `records` into its ring 1 as a program does. */
static struct ringset *make_rings(
	const char *dir, enum cairn_ring_mode mode, uint32_t records, bool meta)
{
	struct ringset_config cfg = {.kind = CAIRN_RING_SOLO,
		.mode = mode,
		.clock = CAIRN_CLOCK_MONOTONIC,
		.nrings = 2,
		.ring_bytes = CAIRN_RING_MIN,
		.contexts = 1u << CAIRN_CTX_TID,
		.session_id = 5,
		.channel_id = mode == CAIRN_MODE_OVERWRITE,
		.session = "s",
		.channel = "c",
		.trace_uuid = {7, 7, 7},
		.dir = dir};
	AUTO(buf) struct buf text = {0};
	struct ring_set_producer *set;
	struct ringset *s = NULL;
	uint32_t busy = 0;

	CHECK_INT(ringset_create(&cfg, &s), 0);
	make_metadata(&text);
	if (meta)
		CHECK_INT(ringset_set_meta(s, text.data, text.len), 0);
	set = map_producer(s);
	for (uint32_t n = 0; n < records; n++) {
		uint32_t body[4] = {4242, n};

		CHECK_INT(ring_append_solo(set, &set->rings[1], &busy, body, 8, 0), RING_OK);
	}
	ring_count_lost(&set->rings[1], CAIRN_LOST_TOO_BIG);
	return s;
}

/* The same in a process that dies. */
static void write_files(const char *dir, enum cairn_ring_mode mode, uint32_t records, bool meta)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		(void)make_rings(dir, mode, records, meta);
		(void)kill(getpid(), SIGKILL);
	}
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status));
}

/* Reads the trace with babeltrace2, which must not complain: how many events. In each channel n counts
 * by one; *ret_last: of the channel read last. */
static int count_events(const char *dir, uint32_t *ret_last)
{
	char command[192], line[512];
	uint32_t last[2] = {0};
	bool seen[2] = {false};
	int events = 0;
	FILE *f;

	(void)snprintf(command, sizeof(command), "babeltrace2 '%s' 2>'%s.said'", dir, dir);
	f = popen(command, "r");
	while (f && fgets(line, sizeof(line), f)) {
		const char *n = strstr(line, " n = ");
		uint32_t value = n ? (uint32_t)strtoul(n + 5, NULL, 10) : UINT32_MAX;
		int channel = events >= RECORDS; /* the first is written before the other */

		if (!strstr(line, "test:n: ") || !strstr(line, "{ tid = 4242 }")) {
			printf("# not an event: %s", line);
			test_failures++;
			continue;
		}
		CHECK(!seen[channel] || value == last[channel] + 1);
		seen[channel] = true;
		*ret_last = last[channel] = value;
		events++;
	}
	CHECK_INT(f ? pclose(f) : -1, 0);
	(void)snprintf(command, sizeof(command), /* fits */
		"! grep -v -e '^$' -e '^WARNING: Tracer' '%s.said'", dir);
	CHECK_INT(system(command), 0);
	return events;
}

static bool have(const char *command)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "command -v %s >/dev/null 2>&1", command); /* fits */
	return system(text) == 0;
}

static void check_report(const struct recover_report *r, uint32_t sets)
{
	CHECK_INT(r->traces, 1);
	CHECK_INT(r->sets, sets);
	CHECK_INT(r->rings, sets);
	CHECK_INT(r->damaged, 0);
	CHECK_INT(r->no_metadata, 0);
	CHECK_INT(r->lost[CAIRN_LOST_TOO_BIG], sets);
}

TEST(ring_files)
{
	char *dir = make_folder(), out[64];
	struct recover_report r;
	struct error e = {{0}};
	uint32_t last = 0;

	write_files(dir, CAIRN_MODE_DISCARD, RECORDS, true);
	(void)snprintf(out, sizeof(out), "%s/out", dir); /* fits */
	CHECK_INT(recover_path(dir, out, &r, &e), 0);
	CHECK_STR(e.message, "");
	check_report(&r, 1);
	CHECK_INT(r.packets, 1);
	if (have("babeltrace2")) {
		CHECK_INT(count_events(out, &last), RECORDS);
		CHECK_INT(last, RECORDS - 1);
	}
	CHECK_INT(recover_path(dir, out, &r, &e), -EEXIST);
	CHECK_STR(e.where, dir);
	remove_folder(dir);
}

TEST(flight_recorder_file)
{
	char *dir = make_folder(), out[64];
	struct recover_report r;
	struct error e = {{0}};
	uint32_t last = 0;

	write_files(dir, CAIRN_MODE_OVERWRITE, OVERWRITTEN, true);
	(void)snprintf(out, sizeof(out), "%s/out", dir); /* fits */
	CHECK_INT(recover_path(dir, out, &r, &e), 0);
	check_report(&r, 1);
	CHECK(r.packets >= CAIRN_RING_BLOCKS - 2);
	if (have("babeltrace2")) {
		int events = count_events(out, &last);

		CHECK_INT(last, OVERWRITTEN - 1);
		CHECK_INT(events + (int)r.lost[CAIRN_LOST_OVERWRITTEN], OVERWRITTEN);
	}
	remove_folder(dir);
}

/* What the core file of a host may hold: programs wrote on while it was made. */
TEST(half_overwritten_blocks_are_cut)
{
	char *dir = make_folder(), out[64], command[256];
	const char *name = NULL;
	struct recover_report r;
	struct error e = {{0}};
	uint8_t other[16];
	struct dirent *de;
	struct stat st;
	DIR *d;
	int fd;

	write_files(dir, CAIRN_MODE_OVERWRITE, OVERWRITTEN, true);
	d = opendir(dir);
	while (!name && (de = readdir(d)) != NULL)
		name = strstr(de->d_name, ".ring") ? de->d_name : NULL;
	CHECK(name);
	fd = openat(dirfd(d), name, O_RDWR | O_CLOEXEC);
	CHECK_INT(fstat(fd, &st), 0);
	memset(other, 0xfe, sizeof(other)); /* of ring 1, which is the last: two blocks */
	for (int block = 2; block < 4; block++)
		CHECK_INT(pwrite(fd, other, sizeof(other),
				  st.st_size - block * (CAIRN_RING_MIN / CAIRN_RING_BLOCKS) + 2000),
			sizeof(other));
	close(fd);
	closedir(d);
	(void)snprintf(out, sizeof(out), "%s/out", dir); /* fits */
	CHECK_INT(recover_path(dir, out, &r, &e), 0);
	CHECK_INT(r.lost[CAIRN_LOST_CORRUPT], 2);
	(void)snprintf(command, sizeof(command), "babeltrace2 '%s' >'%s.all' 2>&1", out, out);
	if (have("babeltrace2"))
		CHECK_INT(system(command), 0);
	remove_folder(dir);
}

TEST(without_metadata_it_says_so)
{
	char *dir = make_folder(), out[64];
	struct recover_report r;
	struct error e = {{0}};

	write_files(dir, CAIRN_MODE_DISCARD, 5, false);
	(void)snprintf(out, sizeof(out), "%s/out", dir); /* fits */
	CHECK_INT(recover_path(dir, out, &r, &e), -ENODATA);
	CHECK_INT(r.packets, 1);
	CHECK_INT(r.no_metadata, 1);
	CHECK(e.hint[0]);
	remove_folder(dir);
}

TEST(what_is_not_rings_is_refused)
{
	char *dir = make_folder(), out[64], file[64];
	struct recover_report r;
	struct error e;
	FILE *f;

	(void)snprintf(out, sizeof(out), "%s/out", dir); /* fits */
	(void)snprintf(file, sizeof(file), "%s/file", dir);
	CHECK_INT(recover_path(dir, out, &r, &e), -ENOENT);
	CHECK_INT(recover_path(file, out, &r, &e), -ENOENT);
	f = fopen(file, "w");
	CHECK_INT(recover_path(file, out, &r, &e), -EPROTO);
	fputs("CIRN1RNG and then nothing that a ring set has; long enough to be read as a head", f);
	fclose(f);
	CHECK_INT(recover_path(file, out, &r, &e), -EPROTO);
	CHECK_INT(recover_path(dir, out, &r, &e), -EPROTO); /* all there is is damaged */
	CHECK_INT(recover_path("/bin/true", out, &r, &e), -EPROTO);
	CHECK_INT(access(out, F_OK), -1);
	remove_folder(dir);
}

/* Each run damages other bytes of the header and control pages: no crash, no hang, no lie that a
 * later reader stumbles over. */
TEST(damaged_files_are_survived)
{
	char *dir = make_folder(), out[64], file[300] = "";
	struct recover_report r;
	struct error e;
	struct dirent *de;
	unsigned seed = 1;
	DIR *d;

	write_files(dir, CAIRN_MODE_OVERWRITE, OVERWRITTEN, true);
	d = opendir(dir);
	while ((de = readdir(d)) != NULL)
		if (strstr(de->d_name, ".ring"))
			(void)snprintf(file, sizeof(file), "%s/%s", dir, de->d_name); /* fits */
	closedir(d);
	for (int i = 0; i < 300; i++) {
		int fd = open(file, O_RDWR | O_CLOEXEC);
		uint8_t old, new;
		off_t ctl = (off_t)CAIRN_RING_PAGE * (i % 3 == 0 ? 0 : i % 3 == 1 ? 1025 : 1027);
		off_t at = ctl + (off_t)(rand_r(&seed) % 512);

		CHECK_INT(pread(fd, &old, 1, at), 1);
		new = (uint8_t)(old ^ (1u << rand_r(&seed) % 8));
		CHECK_INT(pwrite(fd, &new, 1, at), 1);
		(void)snprintf(out, sizeof(out), "%s/out%d", dir, i); /* fits */
		(void)recover_path(file, out, &r, &e); /* must only come back */
		CHECK_INT(pwrite(fd, &old, 1, at), 1);
		close(fd);
	}
	for (off_t len = 1 << 20; len > 0; len /= 3) {
		CHECK_INT(truncate(file, len), 0);
		CHECK(recover_path(file, out, &r, &e) < 0);
	}
	remove_folder(dir);
}

static void recover_both(const char *core, const char *dir)
{
	struct recover_report r;
	struct error e = {{0}};
	char out[64];
	uint32_t last = 0;
	int events;

	(void)snprintf(out, sizeof(out), "%s/out", dir); /* fits */
	CHECK_INT(recover_path(core, out, &r, &e), 0);
	CHECK_STR(e.message, "");
	check_report(&r, 2);
	if (!have("babeltrace2"))
		return;
	/* the discard ring was written first: its numbers end where the flight recorder begins */
	events = count_events(out, &last);
	CHECK_INT(events + (int)r.lost[CAIRN_LOST_OVERWRITTEN], RECORDS + OVERWRITTEN);
}

/* A child with a discard ring and a flight recorder. It says that it is ready by closing its end. */
static pid_t start_child(const char *dir, bool dies)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

		if (chdir(dir) < 0 || setrlimit(RLIMIT_CORE, &all) < 0)
			_exit(1);
		(void)make_rings(NULL, CAIRN_MODE_DISCARD, RECORDS, true);
		(void)make_rings(NULL, CAIRN_MODE_OVERWRITE, OVERWRITTEN, true);
		close(ready[1]);
		if (dies)
			abort();
		for (;;)
			pause();
	}
	close(ready[1]);
	(void)!read(ready[0], &c, 1); /* end of file */
	close(ready[0]);
	return pid;
}

TEST(core_file_of_the_kernel)
{
	char *dir, core[64], pattern[128] = "";
	int fd, status = 0;
	pid_t pid;

	if (SANITIZED)
		SKIP("built with a sanitizer");
	fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
	(void)!read(fd, pattern, sizeof(pattern) - 1);
	close(fd);
	if (strcmp(pattern, "core\n") != 0)
		SKIP("core files go elsewhere (core_pattern)");
	dir = make_folder();
	pid = start_child(dir, true);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	(void)snprintf(core, sizeof(core), "%s/core", dir); /* fits */
	if (access(core, F_OK) < 0)
		(void)snprintf(core, sizeof(core), "%s/core.%d", dir, pid); /* core_uses_pid */
	if (!WCOREDUMP(status) || access(core, F_OK) < 0) {
		remove_folder(dir);
		SKIP("no core file was written");
	}
	recover_both(core, dir);
	remove_folder(dir);
}

TEST(core_file_of_gdb)
{
	char *dir, core[64], command[256];
	pid_t pid;
	int status;

	if (SANITIZED)
		SKIP("built with a sanitizer");
	if (!have("gcore"))
		SKIP("no gcore");
	dir = make_folder();
	pid = start_child(dir, false);
	(void)snprintf(command, sizeof(command), /* fits */
		"gcore -o '%s/core' %d >/dev/null 2>&1 </dev/null", dir, pid);
	status = system(command);
	kill(pid, SIGKILL);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	(void)snprintf(core, sizeof(core), "%s/core.%d", dir, pid); /* fits */
	if (status != 0 || access(core, F_OK) < 0) {
		remove_folder(dir);
		SKIP("gcore failed (ptrace not allowed?)");
	}
	recover_both(core, dir);
	remove_folder(dir);
}

TEST_MAIN()
