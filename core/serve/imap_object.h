/*
 * imap_object.h - the ids of mailboxes, messages and threads (RFC 8474), as
 * clients see them: a letter for the kind and a number in hexadecimal digits.
 */
#ifndef SERVE_IMAP_OBJECT_H
#define SERVE_IMAP_OBJECT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum imap_object { IMAP_OBJECT_MAILBOX = 'F', IMAP_OBJECT_EMAIL = 'M',
	IMAP_OBJECT_THREAD = 'T' };

/* "(M1f)" */
void imap_object_out(struct buf *out, enum imap_object kind, uint64_t id);
/* "M1f" as a client gives it back; 0: none of that kind. */
uint64_t imap_object_in(struct str text, enum imap_object kind);

#endif
