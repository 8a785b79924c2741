/*
 * esmtp_args.h - the ESMTP arguments of an envelope, as they are kept behind
 * acceptance: words as a client would send them, one blank between.
 */
#ifndef MAIL_ESMTP_ARGS_H
#define MAIL_ESMTP_ARGS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

/* Finds one argument by its key, without case. *value is what follows the
 * '=', or empty ("SMTPUTF8"); value may be NULL. false: it is not there. */
bool esmtp_arg(struct str args, const char *key, struct str *value);

/* RFC 3461 section 4. decode: false for what is not xtext, with *out as far
 * as it was read. */
void xtext_encode(struct buf *out, struct str in);
bool xtext_decode(struct buf *out, struct str in);

#endif
