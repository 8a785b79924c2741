/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dkim.h - the parts of the dkim plugin: feed.c hands a message to libopendkim,
 * verify.c and sign.c use it, keys.c finds the keys of a domain.
 */
#ifndef DKIM_DKIM_H
#define DKIM_DKIM_H

#include <mailroom/plugin.h>

#include "keys.h"

#include <dkim.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MOST 253

struct config {
	const char *keys_path;	/* "": DATA/dkim */
	bool sign_parents;
	const char *third_party;
	struct mr_list domains;
	int64_t signatures_most;
	int64_t least_bits;
	/* made by open */
	DKIM_LIB *lib;
	struct keys *keys;
};

/* ----------------------------------------------------------------- feed.c */

/* What is to be left out of a message's fields. */
typedef bool (*feed_skip)(void *arg, const struct mr_header *h);

/* Header, end of header and body. DKIM_STAT_*; what dkim_eoh said if that is
 * no success; DKIM_STAT_NORESOURCE if the message cannot be read. */
DKIM_STAT feed(DKIM *dkim, struct mr_call *call, bool hardened,
	feed_skip skip, void *arg);
/* Bytes of the body in canonical form (RFC 6376 3.4); -1: cannot be read. */
int64_t feed_canonical_length(struct mr_call *call, bool relaxed);
bool feed_is_name(struct mr_str a, const char *name);

/* --------------------------------------------------------------- verify.c */

/* Once, before the first message. */
void verify_set_up(DKIM_LIB *lib);
/* Adds a result for each signature, or "none". */
enum mr_verdict verify(struct mr_call *call);

/* ----------------------------------------------------------------- sign.c */

/* Adds the signatures of the From field's domain, if we have its keys. */
enum mr_verdict sign(struct mr_call *call);
/* Adds signatures of the domain that `third_party` names, to what goes to a
 * recipient elsewhere. */
enum mr_verdict sign_forwarded(struct mr_call *call);

#endif
