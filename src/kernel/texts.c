/* The file of a kernel trace's texts. See texts.h. */
#include "kernel/texts.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void ktexts_add(struct buf *out, const char *what, const char *system, const char *name,
	const char *text, size_t len)
{
	buf_printf(out, "%s %s %s %zu\n", what, system, name, len);
	buf_add(out, text, len);
	buf_char(out, '\n');
}

int ktexts_next(const char *texts, size_t len, size_t *at, struct ktext *ret)
{
	const char *line = texts + *at, *end;
	char head[512];
	size_t n, body;

	if (*at >= len)
		return 0;
	end = memchr(line, '\n', len - *at);
	n = end ? (size_t)(end - line) : 0;
	if (!end || n >= sizeof(head))
		return -EPROTO;
	memcpy(head, line, n);
	head[n] = 0;
	if (sscanf(head, "%15s %127s %255s %zu", ret->what, ret->system, ret->name, &body) != 4)
		return -EPROTO;
	n += 1;
	if (body > len - *at - n)
		return -EPROTO;
	ret->text = line + n;
	ret->len = body;
	*at += n + body + 1;
	return 1;
}
