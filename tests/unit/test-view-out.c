#include "../test.h"
#include "view/out.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* What was appended, as a string. */
static const char *text(struct out *o)
{
	out_char(o, '\0');
	return o->data;
}

#define CHECK_OUT(calls, want) \
	do { \
		struct out o AUTO(out) = {0}; \
		CHECK_INT(out_init(&o, -1), 0); \
		calls; \
		CHECK_STR(text(&o), want); \
	} while (0)

TEST(numbers)
{
	CHECK_OUT(out_u64(&o, 0), "0");
	CHECK_OUT(out_u64(&o, 9), "9");
	CHECK_OUT(out_u64(&o, 10), "10");
	CHECK_OUT(out_u64(&o, 12345), "12345");
	CHECK_OUT(out_u64(&o, UINT64_MAX), "18446744073709551615");
	CHECK_OUT(out_i64(&o, -1), "-1");
	CHECK_OUT(out_i64(&o, INT64_MIN), "-9223372036854775808");
	CHECK_OUT(out_hex(&o, 0), "0x0");
	CHECK_OUT(out_hex(&o, 0xf), "0xf");
	CHECK_OUT(out_hex(&o, 0x10), "0x10");
	CHECK_OUT(out_hex(&o, UINT64_MAX), "0xffffffffffffffff");
}

TEST(numbers_against_printf)
{
	char want[32], got[32];
	uint64_t v = 1;

	for (int i = 0; i < 5000; i++) {
		v = v * 6364136223846793005u + 1442695040888963407u;
		uint64_t n = v >> (i % 64);

		(void)snprintf(want, sizeof(want), "%" PRIu64, n);
		*put_u64(got, n) = '\0';
		CHECK_STR(got, want);
		(void)snprintf(want, sizeof(want), "%09" PRIu64, n % 1000000000);
		*put_padded(got, n % 1000000000, 9, '0') = '\0';
		CHECK_STR(got, want);
		*put_nine(got, (uint32_t)(n % 1000000000)) = '\0';
		CHECK_STR(got, want);
	}
}

TEST(doubles_read_back)
{
	CHECK_OUT(out_double(&o, 0), "0");
	CHECK_OUT(out_double(&o, 0.1), "0.1");
	CHECK_OUT(out_double(&o, -2.5), "-2.5");
	CHECK_OUT(out_double(&o, 1.0 / 3), "0.3333333333333333");
	CHECK_OUT(out_double(&o, 1e300), "1e+300");
	CHECK_OUT(out_double(&o, 0.1 + 0.2), "0.30000000000000004");
}

TEST(text_from_traces_does_not_drive_a_terminal)
{
	CHECK_OUT(out_safe(&o, "plain", 5), "plain");
	CHECK_OUT(out_safe(&o, "a\033[2Jb\n\0c", 9), "a\\x1b[2Jb\\x0a\\x00c");
	CHECK_OUT(out_safe(&o, "B\303\266b", 4), "B\303\266b");
	CHECK_OUT(out_safe(&o, "\303", 1), "\\xc3");
	CHECK_OUT(out_safe(&o, "\377\300\200", 3), "\\xff\\xc0\\x80");
	CHECK_OUT(out_safe(&o, "\302\233", 2), "\\xc2\\x9b"); /* CSI, as one character */
	CHECK_OUT(out_safe(&o, "\355\240\200", 3), "\\xed\\xa0\\x80"); /* a surrogate */
}

TEST(json_strings)
{
	CHECK_OUT(out_json(&o, "x", 1), "\"x\"");
	CHECK_OUT(out_json(&o, "a\"b\\\n", 5), "\"a\\\"b\\\\\\n\"");
	CHECK_OUT(out_json(&o, "\377", 1), "\"\357\277\275\"");
}

TEST(for_people)
{
	char b[HUMAN_MAX];

	CHECK_STR(human_bytes(b, 0), "0 B");
	CHECK_STR(human_bytes(b, 1023), "1023 B");
	CHECK_STR(human_bytes(b, 1024), "1.0 KiB");
	CHECK_STR(human_bytes(b, 1048575), "1.0 MiB");
	CHECK_STR(human_bytes(b, UINT64_MAX), "16.0 EiB");
	CHECK_STR(human_count(b, 0), "0");
	CHECK_STR(human_count(b, 999), "999");
	CHECK_STR(human_count(b, 1000), "1,000");
	CHECK_STR(human_count(b, UINT64_MAX), "18,446,744,073,709,551,615");
	CHECK_STR(human_rate(b, 0, 0), "0.0/s");
	CHECK_STR(human_rate(b, 2000000, 1000000000), "2.0 M/s");
	CHECK_STR(human_ns(b, 999), "999 ns");
	CHECK_STR(human_ns(b, 1500000000), "1.500 s");
}

TEST(more_than_the_buffer)
{
	struct out o AUTO(out) = {0};
	int fds[2];
	char big[3000], back[64];
	uint64_t n = 0;
	ssize_t got;

	memset(big, 'x', sizeof(big));
	CHECK_INT(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	CHECK_INT(out_init(&o, fds[1]), 0);
	for (int i = 0; i < 20; i++)
		out_bytes(&o, big, sizeof(big));
	CHECK_INT(out_flush(&o), 0);
	CHECK_INT(o.bytes, 20 * sizeof(big));
	while ((got = read(fds[0], back, sizeof(back))) > 0)
		n += (uint64_t)got;
	CHECK_INT(n, 20 * sizeof(big));
	(void)close(fds[0]);
	(void)close(fds[1]);
}

TEST(a_failed_write_stays)
{
	struct out o AUTO(out) = {0};
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		SKIP("no /dev/full");
	CHECK_INT(out_init(&o, fd), 0);
	out_str(&o, "lost");
	CHECK_INT(out_flush(&o), -ENOSPC);
	out_str(&o, "thrown away");
	CHECK_INT(out_flush(&o), -ENOSPC);
	CHECK_INT(o.bytes, 0);
	(void)close(fd);
}

TEST_MAIN()
