/* Tests of src/base. */
#include "base/base.h"
#include "test.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

TEST(glob)
{
	CHECK(glob_match("*", ""));
	CHECK(glob_match("a*c", "abc"));
	CHECK(glob_match("http:*_done", "http:request_done"));
	CHECK(glob_match("*a*b*", "xxaxxbxx"));
	CHECK(glob_match("?", "x"));
	CHECK(!glob_match("?", ""));
	CHECK(!glob_match("a*c", "abd"));
	CHECK(!glob_match("", "a"));
}

TEST(sizes_and_durations)
{
	uint64_t v = 7;

	CHECK_INT(parse_size("64K", &v), 0);
	CHECK_INT(v, 65536);
	CHECK_INT(parse_size("1MiB", &v), 0);
	CHECK_INT(v, 1 << 20);
	CHECK_INT(parse_size("18000000000G", &v), -EINVAL);
	CHECK_INT(parse_size("", &v), -EINVAL);
	CHECK_INT(parse_size("12Q", &v), -EINVAL);
	CHECK_INT(parse_duration_ns("1.5s", &v), 0);
	CHECK_INT(v, 1500000000);
	CHECK_INT(parse_duration_ns("2", &v), 0);
	CHECK_INT(v, 2000000000);
	CHECK_INT(parse_duration_ns("7us", &v), 0);
	CHECK_INT(v, 7000);
	CHECK_INT(parse_duration_ns("-1s", &v), -EINVAL);
	CHECK_INT(parse_duration_ns("1parsec", &v), -EINVAL);
	CHECK_INT(parse_u64("0x1F", &v), 0);
	CHECK_INT(v, 31);
	CHECK_INT(parse_u64("18446744073709551616", &v), -EINVAL);
	CHECK_INT(parse_u64("1x", &v), -EINVAL);
}

TEST(map)
{
	struct map m = {0};
	static int values[2000];
	size_t seen = 0;

	for (int i = 0; i < 2000; i++)
		CHECK_INT(map_put(&m, &i, sizeof(i), &values[i]), 0);
	for (int i = 0; i < 2000; i += 2)
		CHECK(map_remove(&m, &i, sizeof(i)) == &values[i]);
	for (int i = 0; i < 2000; i++)
		CHECK(map_get(&m, &i, sizeof(i)) == (i % 2 ? &values[i] : NULL));
	for (size_t i = 0; map_next(&m, &i, NULL, NULL);)
		seen++;
	CHECK_INT(seen, 1000);
	CHECK_INT(m.len, 1000);
	map_done(&m);
}

TEST(first_above_a_value)
{
	static const struct {
		uint64_t at;
		char more;
	} all[] = {{2, 0}, {5, 1}, {5, 2}, {9, 3}};

	CHECK_INT(first_above(NULL, 0, sizeof(all[0]), 1), 0);
	CHECK_INT(first_above(all, 4, sizeof(all[0]), 1), 0);
	CHECK_INT(first_above(all, 4, sizeof(all[0]), 2), 1);
	CHECK_INT(first_above(all, 4, sizeof(all[0]), 5), 3);
	CHECK_INT(first_above(all, 4, sizeof(all[0]), 8), 3);
	CHECK_INT(first_above(all, 4, sizeof(all[0]), UINT64_MAX), 4);
}

TEST(json_strings)
{
	struct buf b = {0};
	const char text[] = "a\"\\\n\x01\x7f\xc3\xa9\xff\xc0\x80";

	buf_json_str(&b, text, sizeof(text) - 1);
	CHECK_STR(b.data,
		"\"a\\\"\\\\\\n\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	buf_done(&b);
}

/* The reader of a pipe, asked as the one who waits for it. */
static struct {
	int fd, wake;
	size_t seen;
	bool reads;
	int patience; /* times that it asks for more time */
} reader;

static int read_or_give_up(void *data)
{
	char part[1000];
	ssize_t n;

	CHECK(data == &reader);
	for (size_t i = 0; i < 8 && reader.reads && (n = read(reader.fd, part, sizeof(part))) > 0;
		i++)
		for (ssize_t j = 0; j < n; j++, reader.seen++)
			CHECK_INT((unsigned char)part[j], reader.seen % 251);
	if (!reader.reads)
		CHECK_INT(write(reader.wake, "", 1),
			1); /* to be asked again, although nothing is read */
	return reader.reads || reader.patience-- > 0 ? -1 : 0;
}

TEST(a_pipe_is_written_as_long_as_somebody_reads)
{
	static unsigned char all[1 << 20];
	struct write_wait w = {read_or_give_up, &reader, -1};
	int fds[2], wake[2];

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (unsigned char)(i % 251);
	CHECK(pipe2(fds, O_CLOEXEC) == 0 && pipe2(wake, O_CLOEXEC) == 0);
	CHECK_INT(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	reader.fd = fds[0];
	reader.wake = wake[1];
	reader.reads = true;
	w.wake = wake[0];
	CHECK_INT(write_waiting(fds[1], all, sizeof(all), &w), 0);
	CHECK(reader.seen > sizeof(all) - (1 << 17)); /* the rest is in the pipe */
	reader.reads = false;
	reader.patience = 1000; /* more than there are parts in a pipe */
	CHECK_INT(write_waiting(fds[1], all, sizeof(all), &w), -ETIMEDOUT);
	CHECK(reader.patience < 0);
	CHECK_INT(close(fds[0]), 0);
	(void)signal(SIGPIPE, SIG_IGN); /* a known signal */
	CHECK_INT(write_waiting(fds[1], all, sizeof(all), &w), -EPIPE);
	CHECK_STR(write_strerror(ETIMEDOUT), "nobody reads it");
	(void)close(fds[1]);
	(void)close(wake[0]);
	(void)close(wake[1]);
}

TEST(errors)
{
	struct error e;

	errno = ENOENT;
	CHECK_INT(error_set(&e, -EINVAL, "bad %s", "thing"), -EINVAL);
	error_hint(&e, "try %d", 2);
	CHECK_STR(e.message, "bad thing");
	CHECK_STR(e.where, "");
	CHECK_STR(e.hint, "try 2");
	CHECK_INT(errno, ENOENT);
	CHECK_INT(error_set(NULL, -EIO, "x"), -EIO);
}

TEST(arena)
{
	struct arena a = {0};

	for (int i = 0; i < 3000; i++) {
		char *s = arena_strndup(&a, "hello", 5);

		CHECK(s && strcmp(s, "hello") == 0 && ((uintptr_t)s & 15) == 0);
	}
	CHECK(arena_alloc(&a, 1 << 20) != NULL);
	CHECK(arena_alloc(&a, SIZE_MAX) == NULL);
	arena_done(&a);
}

TEST_MAIN()
