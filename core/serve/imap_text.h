/*
 * imap_text.h - finding a substring in text of any case, whole or in pieces.
 *
 * Text is UTF-8; case is folded one character to one (no locale), so "ß" and
 * "SS" differ. What is searched for is folded once, what is searched is
 * folded on the way.
 */
#ifndef SERVE_IMAP_TEXT_H
#define SERVE_IMAP_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Appends text folded. Bytes that are no UTF-8 stay as they are. */
void imap_text_fold(struct buf *out, struct str text);
/* needle is folded. `room` is used again from call to call. */
bool imap_text_has(struct str text, struct str needle, struct buf *room);

struct imap_finder {
	struct str needle;	/* folded; borrowed */
	bool found;
	/* private */
	struct buf window;	/* folded text that may begin a match */
	char cut[4];		/* of a character that is not complete */
	size_t n_cut;
};
void imap_finder_init(struct imap_finder *f, struct str needle);
/* Another text begins: matches do not reach over from the one before. */
void imap_finder_restart(struct imap_finder *f);
void imap_finder_add(struct imap_finder *f, struct str piece);
void imap_finder_free(struct imap_finder *f);

#endif
