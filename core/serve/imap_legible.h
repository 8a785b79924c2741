/*
 * imap_legible.h - what a person reads of a message, as SEARCH looks at it.
 *
 * Legible text is a row of records: NUL, a byte that says what it is, folded
 * UTF-8 (imap_text.h) without NUL. The search index keeps the same bytes, and
 * one function finds in them, so an index changes no result. Transfer
 * encodings, charsets and encoded words are undone; parts that are not text
 * are passed over. The index keeps what comes up to the message's own fields
 * apart from the rest; no record is part of both.
 */
#ifndef SERVE_IMAP_LEGIBLE_H
#define SERVE_IMAP_LEGIBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "mail/charset.h"
#include "mail/decode.h"
#include "mail/mime.h"
#include "serve/imap_body.h"
#include "serve/imap_text.h"

/* Raised when the same message gives other records than before: an index
 * that was filled by another is of no use. */
#define LEGIBLE_VERSION 2

enum legible_kind {
	LEGIBLE_ENVELOPE = 1,	/* and the next: enum envelope_field */
	LEGIBLE_FIELD = 16,	/* "name: value" of the message itself */
	LEGIBLE_PART_FIELD,	/* of a part */
	LEGIBLE_INNER_FIELD,	/* of a message in the message */
	LEGIBLE_BODY,		/* a part's text */
};

struct legible {
	struct imap_body *body;
	/* private */
	struct arena room;
	uint32_t part;
	bool in_text;		/* of this part */
	bool is_begun;		/* and its record */
	struct mime_part at;
	struct str header;
	uint64_t next, end;
	struct decode decode;
	struct charset *charset;
	struct buf decoded, converted;
	struct imap_fold fold;
};

void legible_init(struct legible *l, struct imap_body *b);
/* From the beginning of the message that the body is turned to. */
void legible_begin(struct legible *l);
/* Appends the records of the envelope. */
void legible_envelope(struct legible *l, struct buf *out);
/* Appends some more: all fields of a header (the message's own first), or a
 * block of text. false: that was all, or the body failed. */
bool legible_next(struct legible *l, struct buf *out);
void legible_free(struct legible *l);

struct legible_key {
	enum { IN_TEXT, IN_BODY, IN_FIELD, IN_ENVELOPE } where;
	unsigned field;		/* IN_ENVELOPE: enum envelope_field */
	struct str name;	/* IN_FIELD: folded */
	struct str needle;	/* folded */
};
bool legible_has(struct str records, const struct legible_key *key);
/* Forgets what can be no part of a match that more records complete. */
void legible_keep_end(struct buf *records, const struct legible_key *key);

#endif
