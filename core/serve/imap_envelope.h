/*
 * imap_envelope.h - reading an ENVELOPE again, as mime.h keeps it: SEARCH
 * FROM, SUBJECT and the like are answered without opening the message.
 */
#ifndef SERVE_IMAP_ENVELOPE_H
#define SERVE_IMAP_ENVELOPE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

enum envelope_field { ENVELOPE_DATE, ENVELOPE_SUBJECT, ENVELOPE_FROM,
	ENVELOPE_SENDER, ENVELOPE_REPLY_TO, ENVELOPE_TO, ENVELOPE_CC,
	ENVELOPE_BCC };

/* Appends a field as people read it: encoded words decoded, addresses as
 * "name <local@domain>, ...". false: it is NIL. */
bool imap_envelope_text(struct str envelope, enum envelope_field field,
	struct buf *out);
/* Of the first address of a field, each appended where it is there: its name
 * decoded, its local part, its domain. false: there is no address. */
bool imap_envelope_first(struct str envelope, enum envelope_field field,
	struct buf *name, struct buf *local, struct buf *domain);

#endif
