/*
 * buf.h - bytes that are being built, under a hard cap set at creation.
 *
 * Past the cap a buf drops what is added and stays `full`; callers test that
 * once at the end. Without a cap use BUF_NO_CAP, for output whose size we
 * choose ourselves. The content always has a NUL behind it that is not
 * counted, so buf->at may go to a function that wants a C string.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

#define BUF_NO_CAP SIZE_MAX

struct buf {
	char *at;	/* NULL until the first byte; "" is given by buf_c */
	size_t len;
	size_t room;	/* allocated, less the NUL */
	size_t cap;
	bool full;	/* something did not fit */
};

void buf_init(struct buf *b, size_t cap);
void buf_free(struct buf *b);		/* may be used again, same cap */
void buf_reset(struct buf *b);		/* empties, keeps the memory */

void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_addc(struct buf *b, char c);
void buf_adds(struct buf *b, const char *c);
void buf_addstr(struct buf *b, struct str s);
void buf_addf(struct buf *b, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Room for len more bytes to be written at the returned place and then
 * claimed with buf_grew; NULL where the cap forbids it. */
char *buf_reserve(struct buf *b, size_t len);
void buf_grew(struct buf *b, size_t len);
/* Drops the first n bytes. */
void buf_shift(struct buf *b, size_t n);

struct str buf_str(const struct buf *b);
const char *buf_c(const struct buf *b);

#endif
