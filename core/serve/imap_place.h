/*
 * imap_place.h - where a client's name of a mailbox leads.
 *
 * Every verb that takes a mailbox's name comes by here: whose mailbox it is,
 * what its owner calls it, and what this account may do with it are found
 * and checked in one place. Mailboxes of others have names that begin with
 * IMAP_OTHERS, their owner's account and a slash.
 */
#ifndef SERVE_IMAP_PLACE_H
#define SERVE_IMAP_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/str.h"

struct imap;

#define IMAP_OTHERS "Other Users"

struct imap_place {		/* strings in the command arena */
	const char *shown;	/* as this client calls it */
	const char *account;	/* the owner */
	const char *name;	/* with the owner */
	uint32_t rights;	/* MR_RIGHT_* of this account */
	struct mr_mailbox m;	/* name not set */
};

/* Beside enum mr_store_code: it is there, but that may not be done with it. */
#define IMAP_NO_RIGHT 1000

/* Finds a mailbox in which this account has all the rights in `needs`. OK;
 * MISSING also where it may not know of it (RFC 4314 section 6);
 * IMAP_NO_RIGHT; or how the store failed. */
int imap_place_find(struct imap *k, struct str name, uint32_t needs,
	struct imap_place *out, struct mr_error *me);
/* The same for a mailbox that is to be made (RFC 4314: right k in what will
 * be above it). INVALID: not a name for a new mailbox. out->m is not set. */
int imap_place_new(struct imap *k, struct str name, struct imap_place *out,
	struct mr_error *me);
/* Only the names, without a look at the store; INVALID: not a name. */
int imap_place_name(struct imap *k, struct str name, struct imap_place *out);
/* The client's name of another's mailbox; command arena. */
const char *imap_place_shown(struct imap *k, const char *owner,
	const char *name);
bool imap_place_is_own(const struct imap *k, const struct imap_place *p);

/* What of flags and keywords these rights let be set: takes the others away.
 * false: nothing of what there was is left. */
bool imap_place_limit(uint32_t rights, uint32_t *flags,
	const char **keywords);
/* The selected mailbox is another's: reads again what may be done there.
 * false: it may not be read any more. */
bool imap_place_refresh(struct imap *k);
#define IMAP_BYE_RIGHTS "* BYE The selected mailbox may not be read any " \
	"more, have to disconnect\r\n"

/* The store keeps rights. */
bool imap_has_acl(const struct imap *k);

#endif
