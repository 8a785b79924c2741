/*
 * imap_reply.h - what an IMAP server that we take mail from says, line by
 * line (RFC 3501 section 7). Servers are strangers: what does not fit gives
 * false or is passed over.
 *
 * A line here has its literals turned into quoted strings, and that of
 * BODY[] into NIL (imap_in.c).
 */
#ifndef MOVE_IMAP_REPLY_H
#define MOVE_IMAP_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "plug/store.h"

/* "* 12 FETCH (UID 5 FLAGS (\Seen) ...)". */
struct imap_fetched {
	uint32_t uid, flags;
	int64_t received_ms;
	bool has_flags;
	char keywords[4000];
};
/* Bytes of a BODY[] that is a quoted string are appended to body. */
bool imap_reply_fetch(struct str line, struct imap_fetched *out,
	struct buf *body);

/* "* LIST (\HasNoChildren \Sent) "/" "Sent Items"", also LSUB. */
struct imap_listed {
	const char *name;	/* as the server has it, arena */
	char separator;		/* 0: none */
	enum mr_special special;
	bool is_selectable, is_subscribed;
	bool is_view;		/* \All, \Flagged, \Important: what is
				   elsewhere, too */
};
bool imap_reply_list(struct str line, struct arena *a,
	struct imap_listed *out);

/* "* OK [UIDVALIDITY 7] text": the number behind the word, or 0. */
uint32_t imap_reply_code(struct str line, const char *word);
/* "* 23 EXISTS": 23 and true. */
bool imap_reply_exists(struct str line, uint32_t *n);
/* "* NAMESPACE (("INBOX." ".")) NIL NIL": the first prefix, "" for none. */
const char *imap_reply_prefix(struct str line, struct arena *a);

/* "x" with \ before what needs it. */
void imap_reply_quote(struct buf *out, struct str text);

#endif
