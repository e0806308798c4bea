/* Near spellings by edit distance; a change of neighbours counts once. A name is near if about a
 * third of it at most is different; of equally near ones the first stays. */
#include "kernel/near.h"
#include "base/base.h"
#include <string.h>

enum { NAME_MAX_LEN = 127 };

void near_init(struct near *n, const char *wrong, size_t len)
{
	n->wrong = wrong;
	n->len = MIN(len, (size_t)NAME_MAX_LEN);
	n->best_cost = (unsigned)(n->len < 3 ? 1 : (n->len + 2) / 3) + 1;
	n->best[0] = '\0';
}

/* The cost of making b of a, or more than limit. Rows of the usual table: two back, last, this. */
static unsigned distance(const char *a, size_t la, const char *b, size_t lb, unsigned limit)
{
	unsigned char rows[3][NAME_MAX_LEN + 1];
	unsigned char *two = rows[0], *last = rows[1], *now = rows[2], *t;

	for (size_t j = 0; j <= lb; j++)
		last[j] = (unsigned char)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned least = now[0] = (unsigned char)i;

		for (size_t j = 1; j <= lb; j++) {
			unsigned c = MIN(last[j], now[j - 1]) + 1u;

			c = MIN(c, last[j - 1] + (a[i - 1] != b[j - 1] ? 1u : 0u));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				c = MIN(c, two[j - 2] + 1u);
			now[j] = (unsigned char)c;
			least = MIN(least, c);
		}
		if (least > limit)
			return limit + 1;
		t = two, two = last, last = now, now = t;
	}
	return last[lb];
}

void near_look(struct near *n, const char *name)
{
	size_t len = strlen(name);
	unsigned cost;

	if (len >= sizeof(n->best) || len + n->best_cost <= n->len || n->len + n->best_cost <= len)
		return;
	cost = distance(n->wrong, n->len, name, len, n->best_cost - 1);
	if (cost < n->best_cost) {
		n->best_cost = cost;
		memcpy(n->best, name, len + 1);
	}
}
