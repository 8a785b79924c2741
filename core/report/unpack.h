/*
 * unpack.h - what reports come packed in: gzip (RFC 1952), or ZIP with one
 * file, told by their first bytes. Pure.
 */
#ifndef REPORT_UNPACK_H
#define REPORT_UNPACK_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

#define UNPACK_MOST (32u << 20)	/* a report of more bytes is none */

/* Appends the bytes that are packed, or those themselves if they are not.
 * -1: broken, or more than UNPACK_MOST. */
int unpack(struct str packed, struct buf *out, struct err *e);
/* gzip's form, for sending. */
int pack(struct str plain, struct buf *out, struct err *e);

#endif
