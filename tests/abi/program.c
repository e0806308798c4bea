/* The program whose binaries are kept here: one event of each kind, twice. See remake. */
#include <cairn/trace.h>
#include <errno.h>
#include <stdio.h>

enum color { RED, GREEN = 5, BLUE = -7 };

static inline int in_inline(int n)
{
	CAIRN(abi, in_inline, n);
	return n;
}

static void fire(int n, const char *text, enum color color)
{
	static const int fixed[3] = {1, 2, 3};
	const unsigned char bytes[4] = {0xde, 0xad, 0xbe, 0xef};
	char letter = 'x', name[8] = "name";
	short small = -3;
	unsigned long large = ~0ul;
	double real = n + 0.5;
	float half = 0.5f;

	CAIRN(abi, none);
	CAIRN(abi, numbers, n, small, large, real, half, letter, (yes, n > 0));
	CAIRN(abi, strings, text, (null, (const char *)NULL), name);
	CAIRN(abi, arrays, fixed, CAIRN_SEQ(some, fixed, n), CAIRN_BYTES(blob, bytes, 4));
	CAIRN(abi, labels, CAIRN_ENUM(color, color, RED, GREEN, BLUE), CAIRN_HEX(hex, n));
	CAIRN_LEVEL(CAIRN_WARNING, abi, warning, n);
	CAIRN_LOG(abi, CAIRN_INFO, "%d of %s", n, text);
	in_inline(n);
}

int main(void)
{
	static char longer[3000];
	int i;

	for (i = 0; i < 2999; i++)
		longer[i] = (char)('a' + i % 26);
	fire(1, "one", GREEN);
	fire(2, "two", BLUE);
	CAIRN(abi, longer, (text, (const char *)longer), i);
	return 0;
}
