/* The test harness: TAP on stdout. A test file is a list of TEST(name) { ... } bodies and ends with
 * TEST_MAIN(). A failed CHECK prints where and why and goes on; SKIP("why") leaves the test. */
#ifndef CAIRN_TESTS_TEST_H
#define CAIRN_TESTS_TEST_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *name;
	void (*run)(void);
	struct test *next;
};
static struct test *test_first, **test_last = &test_first;
static int test_failures;
static const char *test_skipped;

#define TEST(id) \
	static void test_##id(void); \
	__attribute__((constructor)) static void test_add_##id(void) \
	{ \
		static struct test t = {#id, test_##id, NULL}; \
		*test_last = &t; \
		test_last = &t.next; \
	} \
	static void test_##id(void)

#define CHECK(cond) \
	((cond) ? (void)0 \
		: (void)(test_failures++, \
			  printf("# %s:%d: failed: %s\n", __FILE__, __LINE__, #cond)))

#define CHECK_INT(got, want) \
	do { \
		long long got_ = (long long)(got), want_ = (long long)(want); \
		if (got_ != want_) { \
			test_failures++; \
			printf("# %s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #got, \
				got_, want_); \
		} \
	} while (0)

#define CHECK_STR(got, want) \
	do { \
		const char *got_ = (got), *want_ = (want); \
		if (!got_ || strcmp(got_, want_) != 0) { \
			test_failures++; \
			printf("# %s:%d: %s is \"%s\", expected \"%s\"\n", __FILE__, __LINE__, \
				#got, got_ ? got_ : "(null)", want_); \
		} \
	} while (0)

#define SKIP(why) \
	do { \
		test_skipped = (why); \
		return; \
	} while (0)

#define TEST_MAIN() \
	int main(int argc, char **argv) \
	{ \
		int n = 0, failed = 0; \
		for (struct test *t = test_first; t; t = t->next) { \
			if (argc > 1 && strcmp(argv[1], t->name) != 0) \
				continue; \
			test_failures = 0; \
			test_skipped = NULL; \
			t->run(); \
			failed += test_failures != 0; \
			printf("%s %d - %s%s%s\n", test_failures ? "not ok" : "ok", ++n, t->name, \
				test_skipped ? " # SKIP " : "", test_skipped ? test_skipped : ""); \
			fflush(stdout); \
		} \
		printf("1..%d\n", n); \
		return failed != 0; \
	}

#endif
