/* Performance counters through the event's page (runtime/perf.c): what of it needs no such
 * counter in the machine. */
#include "runtime/perf.c" /* its inner parts are looked at */
#include "test.h"
#include <fcntl.h>
#include <unistd.h>

TEST(page_of_an_event_off_the_processor)
{
	struct perf_event_mmap_page page = {
		.lock = 2, .index = 0, .offset = 12345, .pmc_width = 48};

	CHECK_INT(read_page(&page), 12345);
	page.cap_user_rdpmc = 1;
	CHECK_INT(read_page(&page), 12345); /* index 0: rdpmc would be killed */
	page.cap_user_rdpmc = 0;
	page.index = 3;
	CHECK_INT(read_page(&page), 12345);
}

/* Any event has a page; a software one can be opened everywhere. */
TEST(pages_are_opened_once_and_leave_no_descriptor)
{
	struct rt_thread t = {.gen = 1, .tid = 7};
	struct cairn_perf_ctx faults = {.type = 1, .config = PERF_COUNT_SW_PAGE_FAULTS};
	int before = open("/dev/null", O_RDONLY), after;
	struct perf_event_mmap_page *page;

	close(before);
	(void)hardware(&t, &faults);
	after = open("/dev/null", O_RDONLY);
	close(after);
	CHECK_INT(after, before);
	CHECK_INT(t.nperf, 1);
	page = t.perf[0].page;
	if (!page)
		SKIP("perf_event_open is not allowed here");
	(void)hardware(&t, &faults);
	CHECK_INT(t.nperf, 1);
	CHECK(t.perf[0].page == page);
	t.tid = 8; /* the slot's next owner */
	(void)hardware(&t, &faults);
	CHECK_INT(t.nperf, 1);
	CHECK_INT(t.perf_tid, 8);
	CHECK(t.perf[0].page != NULL);
	t.gen = 2; /* in a child of fork the pages are not there: other memory may be */
	page = t.perf[0].page;
	(void)hardware(&t, &faults);
	CHECK_INT(page->index, 0); /* still mapped: not ours to unmap */
}

TEST(more_counters_than_room_are_zero)
{
	struct rt_thread t = {.gen = 1, .tid = 7};

	for (uint64_t i = 0; i < CAIRN_CTX_PERF_MAX + 3; i++) {
		struct cairn_perf_ctx none = {.type = 0, .config = 1000 + i}; /* no such event */

		CHECK_INT(hardware(&t, &none), 0);
	}
	for (int i = 0; i < CAIRN_CTX_PERF_MAX; i++)
		CHECK(t.perf[i].page == NULL);
}

TEST_MAIN()
