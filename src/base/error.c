/* Errors as users read them: filled where the fault is found, printed only by commands. */
#include "base/base.h"
#include <errno.h>
#include <stdio.h>

int error_set(struct error *e, int err, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		(void)vsnprintf(e->message, sizeof(e->message), fmt, ap); /* a cut text is fine */
		va_end(ap);
		e->where[0] = e->hint[0] = '\0';
	}
	errno = saved;
	return err;
}

void error_where(struct error *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		(void)vsnprintf(e->where, sizeof(e->where), fmt, ap); /* a cut text is fine */
		va_end(ap);
	}
	errno = saved;
}

void error_hint(struct error *e, const char *fmt, ...)
{
	int saved = errno;
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		(void)vsnprintf(e->hint, sizeof(e->hint), fmt, ap); /* a cut text is fine */
		va_end(ap);
	}
	errno = saved;
}
