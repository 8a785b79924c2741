/*
 * imap_subject.h - the base subject of RFC 5256 2.1: what remains when replies
 * and forwards are taken off.
 */
#ifndef SERVE_IMAP_SUBJECT_H
#define SERVE_IMAP_SUBJECT_H

#include "base/buf.h"
#include "base/str.h"

/* Appends it folded. The subject is decoded UTF-8. *is_reply (may be NULL):
 * something was taken off that says so. Pure. */
void imap_base_subject(struct buf *out, struct str subject, bool *is_reply);

#endif
