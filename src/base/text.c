/* Patterns, sizes, durations, numbers: what users type. */
#include "base/base.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

bool glob_match(const char *pattern, const char *s)
{
	const char *star = NULL, *resume = NULL;

	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			resume = s;
		} else if (*pattern == '?' || *pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++resume;
		} else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return !*pattern;
}

/* Reads digits at *s in `base` and moves *s past them; false without digits or on overflow. */
static bool read_digits(const char **s, unsigned base, uint64_t *ret)
{
	uint64_t v = 0;
	const char *p = *s;

	for (;; p++) {
		unsigned d = isdigit((unsigned char)*p) ? (unsigned)(*p - '0')
			: base == 16 && isxdigit((unsigned char)*p)
			? (unsigned)(tolower((unsigned char)*p) - 'a' + 10)
			: base;
		if (d >= base)
			break;
		if (__builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v))
			return false;
	}
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

int parse_u64(const char *s, uint64_t *ret)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	uint64_t v;

	s += hex ? 2 : 0;
	if (!read_digits(&s, hex ? 16 : 10, &v) || *s)
		return -EINVAL;
	*ret = v;
	return 0;
}

int parse_size(const char *s, uint64_t *ret)
{
	static const char units[] = "KMGT";
	const char *unit;
	uint64_t v;
	unsigned shift = 0;

	if (!read_digits(&s, 10, &v))
		return -EINVAL;
	if (*s && (unit = strchr(units, toupper((unsigned char)*s)))) {
		shift = 10 * (unsigned)(unit - units + 1);
		s++;
		if (s[0] == 'i' && s[1] == 'B')
			s += 2;
		else if (s[0] == 'B' || s[0] == 'b')
			s++;
	}
	if (*s || (shift && v >> (64 - shift)))
		return -EINVAL;
	*ret = v << shift;
	return 0;
}

int parse_duration_ns(const char *s, uint64_t *ret_ns)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000},
		{"m", 60000000000}, {"min", 60000000000}, {"h", 3600000000000}, {"", 1000000000}};
	uint64_t whole, frac = 0, scale = 1, ns;

	if (!read_digits(&s, 10, &whole))
		return -EINVAL;
	if (*s == '.')
		for (s++; isdigit((unsigned char)*s); s++)
			if (scale < 1000000000) {
				frac = frac * 10 + (uint64_t)(*s - '0');
				scale *= 10;
			}
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(s, units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(whole, units[i].ns, &ns) ||
			__builtin_add_overflow(
				ns, (uint64_t)((unsigned __int128)frac * units[i].ns / scale), &ns))
			return -EINVAL;
		*ret_ns = ns;
		return 0;
	}
	return -EINVAL;
}
