/*
 * narrow.h - a message for servers that take less than it holds: parts of
 * 8-bit text or of binary data in quoted-printable or base64 (RFC 6152
 * section 3, RFC 2045 section 6).
 *
 * Structure, boundaries and header fields stay as they are, but for
 * Content-Transfer-Encoding and, where they are missing, MIME-Version and
 * Content-Type. A signature over the old bytes breaks, as it does wherever
 * this is done.
 */
#ifndef MAIL_NARROW_H
#define MAIL_NARROW_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

enum narrow_need {
	NARROW_NOTHING,		/* 7-bit lines of at most 998 bytes */
	NARROW_8BIT,		/* 8-bit lines */
	NARROW_BINARY,		/* NUL, bare CR or LF, or longer lines */
};

/* What a server must offer to take these bytes as they are. */
enum narrow_need narrow_need(struct str message);
/* Writes the message in 7 bits to a descriptor; *length: how much. -1: the
 * disk failed. Blocks. */
int narrow_write(struct str message, int fd, uint64_t *length, struct err *e);

#endif
