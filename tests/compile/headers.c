/* trace.h in a program with all warnings on: every kind of field, nothing said. */
#include <cairn/trace.h>
#include <errno.h>

enum mood { CALM, GLAD = 7, GRIM = -2 };
struct thing {
	long length;
	const char *name;
	enum mood mood;
	unsigned char mac[6];
};

void every_kind(const struct thing *t, int n, const double *values);
static inline int in_inline(int x);

static inline int in_inline(int x)
{
	CAIRN(sample, in_inline, x);
	return x;
}

void every_kind(const struct thing *t, int n, const double *values)
{
	char text[8] = "text", letter = 'a';
	int four[4] = {1, 2, 3, 4};
	short small = 3;
	float f = 1.0F;
	long double ld = 2.0L;
	void *p = text;
	unsigned char byte = 0x7f;

	CAIRN(sample, none);
	CAIRN(sample, scalars, n, small, byte, letter, f, ld, p, &n, errno, n > 3, (int)t->length,
		(n + 1), (sum, n + small));
	CAIRN(sample, members, t->length, t->name, t->mood, t->mac, text, four, "literal");
	CAIRN(sample, groups, CAIRN_SEQ(values, values, n), CAIRN_BYTES(raw, t, sizeof(*t)),
		CAIRN_ENUM(mood, t->mood, CALM, GLAD, GRIM), CAIRN_HEX(flags, small));
	CAIRN_LEVEL(CAIRN_WARNING, sample, warning, n);
	CAIRN_LOG(sample, CAIRN_INFO, "got %d of %s", n, t->name);
	CAIRN_LOG(sample, CAIRN_INFO, "nothing");
	CAIRN_AROUND(sample, around, small = 1, n = in_inline(n), small, n);
	if (n)
		CAIRN(sample, then, n);
	else
		CAIRN(sample, other, n);
}

int main(void)
{
	return 0;
}
