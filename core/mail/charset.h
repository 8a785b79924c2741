/*
 * charset.h - text of the charsets of mail to UTF-8.
 *
 * Charsets are an allow-list, because strangers choose them and glibc loads
 * whatever converter they name. Nothing is refused: bytes that mean nothing
 * in their charset become U+FFFD, one each.
 */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

bool charset_is_known(struct str name);
/* Appends a whole text. A charset that is not known counts as US-ASCII. */
void charset_convert(struct buf *out, struct str charset, struct str text);
/* The same for UTF-8: what is not valid is replaced. */
void charset_check_utf8(struct buf *out, struct str text);

/* A text that comes in pieces, cut anywhere. NULL: it needs no conversion,
 * being UTF-8, US-ASCII or unknown. */
struct charset;
struct charset *charset_new(struct str name);
void charset_add(struct charset *c, struct buf *out, struct str bytes);
/* What is left of a character that was cut off. */
void charset_end(struct charset *c, struct buf *out);
void charset_free(struct charset *c);

#endif
