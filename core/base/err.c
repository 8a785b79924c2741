/*
 * err.c - filling a struct err. Any thread; touches only what it is given.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>

static void
fill(struct err *e, enum err_kind kind, int sys, const char *fmt, va_list ap)
{
	e->kind = kind;
	e->sys = sys;
	vsnprintf(e->text, sizeof e->text, fmt, ap);
}

int
err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return -1;
	va_start(ap, fmt);
	fill(e, kind, 0, fmt, ap);
	va_end(ap);
	return -1;
}

int
err_sys(struct err *e, const char *fmt, ...)
{
	int sys = errno;
	va_list ap;
	size_t n;

	if (!e)
		return -1;
	va_start(ap, fmt);
	fill(e, sys == ENOSPC || sys == EDQUOT ? ERR_FULL : ERR_SYS, sys, fmt,
		ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, ": %s", strerror(sys));
	errno = sys;
	return -1;
}

int
err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof e->text];
	va_list ap;
	size_t n;

	if (!e)
		return -1;
	memcpy(old, e->text, sizeof old);
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	n = strlen(e->text);
	snprintf(e->text + n, sizeof e->text - n, ": %.*s",
		(int)sizeof old - 1, old);
	return -1;
}
