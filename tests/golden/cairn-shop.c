/* What the trace cairn-shop was recorded from:
 *
 *	cc -D_GNU_SOURCE -Iinclude tests/golden/cairn-shop.c -o shop
 *	taskset -c 0 cairn record --ring-size 64K -o cairn-shop ./shop
 *
 * (The pauses make packets.) */
#include <cairn/trace.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>

enum state { NEW, PAID = 2, SENT };

static void *sell(void *arg)
{
	static const char *const names[] = {"Ann", "B\303\266b", "evil\033[31m\ttab\377", NULL};
	int first = *(int *)arg;

	for (int i = first; i < first + 4; i++) {
		const char *who = names[i % 4];
		double price = i * 1.1;
		float part = (float)i / 4;
		bool cheap = price < 3;
		char letter = (char)('a' + i);
		short pair[2] = {(short)i, (short)-i};

		CAIRN(shop, order, i, who, price, part, cheap, letter, pair,
			CAIRN_ENUM(state, (enum state)(i % 4), NEW, PAID, SENT));
		if (i % 3 == 0)
			CAIRN_LEVEL(CAIRN_WARNING, shop, refused, CAIRN_SEQ(all, pair, 2),
				CAIRN_BYTES(raw, who ? who : "", 3), (where, (const void *)0x1234));
		CAIRN_LOG(shop, CAIRN_NOTICE, "%s pays %.2f, %5d%% of %-6s|%#x", who, price, i,
			"all", i * 255);
	}
	return NULL;
}

int main(void)
{
	int one = 0, two = 4;
	pthread_t t;

	sell(&one);
	usleep(400000);
	pthread_create(&t, NULL, sell, &two);
	pthread_setname_np(t, "seller");
	pthread_join(t, NULL);
	usleep(400000);
	CAIRN_LOG(shop, CAIRN_INFO, "closed");
	CAIRN(shop, closed);
	return 0;
}
