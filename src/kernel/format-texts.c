/* Formats of events of probes that fetch arrays of texts. See format.h. */
#include "kernel/format.h"
#include <stdio.h>
#include <string.h>

/* "\tfield:__data_loc char[][2] s;\toffset:16;\tsize:8;\tsigned:1;": a line for each text. */
static bool split_field(const char *line, struct buf *out)
{
	char kind[32], name[64];
	unsigned n, at, size, sign;

	if (sscanf(line, "\tfield:%31[_a-z] char[][%u] %63[^;];\toffset:%u;\tsize:%u;\tsigned:%u;",
		    kind, &n, name, &at, &size, &sign) != 6 ||
		size != n * 4 || n > 64)
		return false;
	for (unsigned i = 0; i < n; i++)
		buf_printf(out, "\tfield:%s char[] %s_%u;\toffset:%u;\tsize:4;\tsigned:%u;\n", kind,
			name, i, at + 4 * i, sign);
	return true;
}

/* "__get_str(s[0])" becomes "__get_str(s_0)". */
static void rename_texts(const char *line, size_t n, struct buf *out)
{
	const char *end = line + n, *at;
	char name[64];
	unsigned i;
	int used;

	while ((at = memmem(line, (size_t)(end - line), "__get_str(", 10))) {
		buf_add(out, line, (size_t)(at - line));
		used = 0;
		if (sscanf(at, "__get_str(%63[_a-zA-Z0-9][%u])%n", name, &i, &used) == 2 && used) {
			buf_printf(out, "__get_str(%s_%u)", name, i);
		} else {
			used = 10;
			buf_add(out, at, 10);
		}
		line = at + used;
	}
	buf_add(out, line, (size_t)(end - line));
}

void kformat_split_texts(const char *text, struct buf *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		n += text[n] == '\n';
		if (!split_field(text, out))
			rename_texts(text, n, out);
		text += n;
	}
}
