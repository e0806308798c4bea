/* The runtime's memory (memory.c), its strings (sys.h) and its lock. */
#include "runtime/runtime-impl.h"
#include "test.h"
#include <signal.h>
#include <unistd.h>

TEST(blocks_are_zeroed_aligned_and_apart)
{
	static const size_t sizes[] = {
		0, 1, 15, 16, 17, 48, 49, 1000, 16368, 16369, 32752, 32753, 100000};
	enum { N = sizeof(sizes) / sizeof(sizes[0]) };

	for (int round = 0; round < 3; round++) { /* what comes back is zero again */
		uint8_t *p[N];

		for (int i = 0; i < N; i++) {
			p[i] = rt_alloc(sizes[i]);
			CHECK(p[i] && (uintptr_t)p[i] % 16 == 0);
			for (size_t k = 0; p[i] && k < sizes[i]; k++)
				if (p[i][k])
					test_failures++;
			memset(p[i], 0x10 + i, sizes[i]);
		}
		for (int i = 0; i < N; i++) {
			for (size_t k = 0; k < sizes[i]; k++)
				if (p[i][k] != 0x10 + i)
					test_failures++;
			rt_free(p[i]);
		}
	}
	CHECK_INT(test_failures, 0);
}

TEST(freed_blocks_serve_again)
{
	void *first = rt_alloc(100);

	rt_free(first);
	CHECK(rt_alloc(100) == first);
	rt_free(first);
	rt_free(NULL);
}

TEST(absurd_sizes_give_nothing)
{
	CHECK(!rt_alloc(SIZE_MAX));
	CHECK(!rt_alloc(SIZE_MAX - 15));
	CHECK(!rt_alloc(((size_t)1 << 40) + 1));
}

TEST(strings_are_cut_and_terminated)
{
	char buf[8] = "xxxxxxx";
	size_t len = 0;

	rt_append(buf, sizeof(buf), &len, "");
	CHECK_STR(buf, "");
	rt_append(buf, sizeof(buf), &len, "abc");
	rt_append_u64(buf, sizeof(buf), &len, 0);
	CHECK_STR(buf, "abc0");
	rt_append_u64(buf, sizeof(buf), &len, UINT64_MAX);
	CHECK_STR(buf, "abc0184");
	CHECK_INT(len, 7);
	rt_append(buf, sizeof(buf), &len, "more");
	CHECK_STR(buf, "abc0184");
	CHECK_INT(rt_strlen(buf), 7);
	CHECK(rt_equal(buf, "abc", 3) && !rt_equal(buf, "abd", 3) && rt_equal(buf, "x", 0));
}

TEST(the_lock_keeps_signals_away_and_gives_the_mask_back)
{
	sigset_t before, inside, after;
	uint64_t mask;

	sigemptyset(&before);
	sigaddset(&before, SIGUSR2);
	sigprocmask(SIG_SETMASK, &before, NULL);
	mask = rt_lock();
	sigprocmask(SIG_BLOCK, NULL, &inside);
	rt_unlock(mask);
	sigprocmask(SIG_SETMASK, NULL, &after);
	CHECK(sigismember(&inside, SIGUSR1) && sigismember(&inside, SIGTERM));
	CHECK(!sigismember(&after, SIGUSR1) && sigismember(&after, SIGUSR2));
	CHECK_INT(rt.lock_word, 0);
}

TEST_MAIN()
