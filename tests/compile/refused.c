/* Each WRONG is to be refused by the compiler (matrix); without, it compiles. */
#include <cairn/trace.h>

struct pair {
	int a, b;
};

void refused(struct pair p, int n, double d);
void refused(struct pair p, int n, double d)
{
	struct pair pairs[2] = {p, p};
	int grid[2][3] = {{n}};

	(void)pairs;
	(void)grid;
	(void)d;
#if WRONG == 1 /* a structure */
	CAIRN(t, e, p);
#elif WRONG == 2 /* an array of structures */
	CAIRN(t, e, pairs);
#elif WRONG == 3 /* an array of arrays */
	CAIRN(t, e, grid);
#elif WRONG == 4 /* a sequence of structures */
	CAIRN(t, e, CAIRN_SEQ(s, pairs, n));
#elif WRONG == 5 /* an enum of no integer */
	CAIRN(t, e, CAIRN_ENUM(d, d, 1));
#elif WRONG == 6 /* a format for another type */
	CAIRN_LOG(t, CAIRN_INFO, "%s", n);
#elif WRONG == 7 /* a format for more */
	CAIRN_LOG(t, CAIRN_INFO, "%d %d", n);
#elif WRONG == 8 /* a format that is no literal */
	static const char format[] = "x";
	CAIRN_LOG(t, CAIRN_INFO, format);
#elif WRONG == 9 /* 33 fields */
	CAIRN(t, e, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
		n, n, n, n, n, n);
#elif WRONG == 10 /* a wide integer */
	CAIRN(t, e, (__int128)n);
#elif WRONG == 11 /* a name of nothing */
	CAIRN(t, e, nothing);
#else
	CAIRN(t, e, p.a, n, d);
#endif
}
