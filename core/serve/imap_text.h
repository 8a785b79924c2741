/*
 * imap_text.h - text in the form in which SEARCH compares it.
 *
 * Folded text is NFC of the full case folding (Unicode 3.13, D145, composed
 * again): "É", "e" with an accent behind it and "é" are one, and so are "ß"
 * and "SS". No locale. What is searched for is folded once, what is searched
 * is folded on the way. It holds no NUL (which becomes 0x01), so that NUL may
 * stand between texts.
 */
#ifndef SERVE_IMAP_TEXT_H
#define SERVE_IMAP_TEXT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Appends a whole text folded. Bytes that are no UTF-8 stay as they are. */
void imap_text_fold(struct buf *out, struct str text);

/* A text that comes in pieces, cut anywhere. */
struct imap_fold {
	struct buf held;	/* what the next piece may still change */
};
void imap_fold_init(struct imap_fold *f);
void imap_fold_add(struct imap_fold *f, struct buf *out, struct str piece);
/* The text ends; another may begin. */
void imap_fold_end(struct imap_fold *f, struct buf *out);
/* It is given up where it is; another may begin. */
void imap_fold_drop(struct imap_fold *f);
void imap_fold_free(struct imap_fold *f);

#endif
