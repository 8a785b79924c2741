/*
 * imap_url.h - URLs of messages and their sections (RFC 5092), as CATENATE
 * names them: of this account and this server, so without a host.
 */
#ifndef SERVE_IMAP_URL_H
#define SERVE_IMAP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct imap;
struct spool;

#define IMAP_URL_MOST 4096	/* bytes */

struct imap_url {		/* decoded; in the arena */
	struct str mailbox;	/* UTF-8 */
	uint32_t uidvalidity;	/* 0: any */
	uint32_t uid;
	struct str section;	/* as in BODY[...]; "": the whole message */
	uint64_t from, most;	/* of it; most UINT64_MAX: to the end */
};

/* "/INBOX;UIDVALIDITY=5/;UID=20/;SECTION=1.2/;PARTIAL=0.100"; false: not one
 * of those. */
bool imap_url_parse(struct str text, struct arena *a, struct imap_url *out);

enum imap_url_got {
	IMAP_URL_OK,
	IMAP_URL_NONE,		/* no such message or section, or no right */
	IMAP_URL_LARGE,		/* more than `most` bytes */
	IMAP_URL_FAILED,	/* store or disk; e says how */
};
/* Appends what it names to the spool. */
enum imap_url_got imap_url_spool(struct imap *k, const struct imap_url *u,
	uint64_t most, struct spool *to, struct err *e);

#endif
