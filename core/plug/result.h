/*
 * result.h - results of sender authentication as the header field that
 * carries them, RFC 8601.
 */
#ifndef PLUG_RESULT_H
#define PLUG_RESULT_H

#include "base/buf.h"
#include "plug/facts.h"

/* Appends the value of an Authentication-Results field, one result a line. */
void result_write(struct buf *out, const char *authserv_id,
	const struct result *r);
/* By whom the results in such a value are: its authserv-id, without comments,
 * folds, quotes and a final dot; in the arena. */
struct str result_authserv_id(struct arena *a, struct str value);

#endif
