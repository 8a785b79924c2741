/*
 * bearer.h - OAUTHBEARER (RFC 7628) and XOAUTH2: a token in the place of a
 * password, which an auth plugin judges.
 */
#ifndef PLUG_BEARER_H
#define PLUG_BEARER_H

#include "plug/auth.h"

/* Some plugin judges tokens. */
bool bearer_is_possible(const struct plugins *p);
/* The client's one message; on failure *out is the error that it is told
 * before it is refused (CONTINUE; its next message is none). */
enum auth_step bearer_step(struct sasl *s, bool is_xoauth2, struct str in,
	struct arena *a, struct buf *out);

#endif
