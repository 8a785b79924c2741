/*
 * buf.c - growing bytes under a cap. One owner at a time.
 */
#include "base/buf.h"

#include <stdarg.h>

#include "base/arena.h"

void
buf_init(struct buf *b, size_t cap)
{
	*b = (struct buf){.cap = cap};
}

void
buf_free(struct buf *b)
{
	free(b->at);
	buf_init(b, b->cap);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->full = false;
	if (b->at)
		b->at[0] = '\0';
}

char *
buf_reserve(struct buf *b, size_t len)
{
	size_t want = b->len + len, room;

	if (len > b->cap - b->len) {
		b->full = true;
		return NULL;
	}
	if (want > b->room || !b->at) {
		room = b->room ? b->room : 64;
		while (room < want)
			room *= 2;
		b->at = mem_grow(b->at, room + 1);
		b->room = room;
	}
	return b->at + b->len;
}

void
buf_grew(struct buf *b, size_t len)
{
	b->len += len;
	b->at[b->len] = '\0';
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
	size_t fits = b->cap - b->len;
	char *at;

	if (len > fits) {
		b->full = true;
		len = fits;
	}
	at = buf_reserve(b, len);
	if (len)
		memcpy(at, bytes, len);
	buf_grew(b, len);
}

void
buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_adds(struct buf *b, const char *c)
{
	buf_add(b, c, strlen(c));
}

void
buf_addstr(struct buf *b, struct str s)
{
	buf_add(b, s.at, s.len);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	char small[256], *large;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof small, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n < sizeof small) {
		buf_add(b, small, (size_t)n);
		return;
	}
	large = mem_alloc((size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(large, (size_t)n + 1, fmt, ap);
	va_end(ap);
	buf_add(b, large, (size_t)n);
	free(large);
}

void
buf_shift(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n == 0)
		return;
	memmove(b->at, b->at + n, b->len - n);
	b->len -= n;
	b->at[b->len] = '\0';
}

struct str
buf_str(const struct buf *b)
{
	return (struct str){buf_c(b), b->len};
}

const char *
buf_c(const struct buf *b)
{
	return b->at ? b->at : "";
}
