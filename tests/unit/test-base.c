/* Tests of src/base. */
#include "base/base.h"
#include "test.h"
#include <errno.h>

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

TEST(json_strings)
{
	struct buf b = {0};
	const char text[] = "a\"\\\n\x01\x7f\xc3\xa9\xff\xc0\x80";

	buf_json_str(&b, text, sizeof(text) - 1);
	CHECK_STR(b.data,
		"\"a\\\"\\\\\\n\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	buf_done(&b);
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
