/* Functions with a site, and, without -DMARKED, the same without. See check-hot. */
#ifdef MARKED
#include <cairn/trace.h>
#else
#define CAIRN(...)
#define CAIRN_LOG(...)
#endif

struct item {
	long weight;
	const char *name;
};
int external(int x);
extern int effects;

int leaf(int a, int b)
{
	CAIRN(hot, leaf, a, b);
	return a + b;
}

int no_fields(int a)
{
	CAIRN(hot, no_fields);
	return a * 5;
}

long strings(const struct item *item, long n)
{
	CAIRN(hot, strings, item->name, item->weight, n);
	return item->weight + n;
}

double floats(double a, double b)
{
	CAIRN(hot, floats, a, b, (sum, a + b));
	return a * b + 1;
}

int tail_call(int x)
{
	CAIRN(hot, tail_call, x);
	return external(x);
}

int side_effect(int x)
{
	CAIRN(hot, side_effect, (n, ++effects), (m, x / 0x7001));
	return x - 1;
}

int log_line(int x)
{
	CAIRN_LOG(hot, 6, "x is %d of %s", x, "some");
	return x ^ 3;
}

int calls(int x)
{
	int y = external(x);

	CAIRN(hot, calls, x, y);
	return external(y + 1) + x;
}
