/*
 * addr.h - addresses of the envelope (RFC 5321) and of header fields
 * (RFC 5322).
 */
#ifndef MAIL_ADDR_H
#define MAIL_ADDR_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

#define ADDR_MAX 320		/* a path of RFC 5321 4.5.3.1.3 and some */
#define ADDR_LOCAL_MAX 200	/* 64 must be taken (4.5.3.1.1); senders that
				   forwarders rewrote are longer */
#define ADDR_DOMAIN_MAX 255

struct addr {
	struct str full;	/* local@domain as sent; "" is the null path */
	struct str local;	/* quotes as sent */
	struct str domain;	/* "" for <postmaster> */
	bool is_utf8;		/* needs SMTPUTF8 */
};

/* "<local@domain>" followed by blanks and parameters, as behind "FROM:";
 * source routes (RFC 5321 F.2) are read and dropped. *rest receives what
 * follows. allow_null for MAIL, allow_bare_postmaster for RCPT. false:
 * syntax error or too long. */
bool addr_parse_path(struct str in, bool allow_null,
	bool allow_bare_postmaster, struct addr *out, struct str *rest);
/* A bare "local@domain" as typed by an admin. */
bool addr_parse(struct str in, struct addr *out);
/* The address without quotes that its local part does not need (RFC 5321
 * 4.1.2: both name the same mailbox); as it is where it needs them. */
struct str addr_plain(struct arena *a, struct str address);
/* As directories keep it: plain, and the domain in A-labels (RFC 5891). A
 * bare domain may be given too. */
struct str addr_canonical(struct arena *a, struct str address);
/* RFC 1035/5890/5321 syntax: letters, digits, hyphens, or an address literal
 * [1.2.3.4] [IPv6:...]; U-labels if allow_utf8. */
bool addr_is_domain(struct str s, bool allow_utf8);
bool addr_is_literal(struct str s);
/* Lower-case A-label form for look-ups and comparison; NULL-at on error. */
struct str addr_domain_ascii(struct arena *a, struct str domain);

/* One mailbox or group marker of an address list in a header field. */
struct addr_item {
	struct str name;	/* display name, raw (encoded words kept, quotes
				   and comments resolved) */
	struct str local;	/* group start: group name; group end: "" */
	struct str domain;	/* empty for group markers */
	struct str route;	/* obsolete "@a,@b" (RFC 5322 4.4), or "" */
	bool group_start, group_end;
};
/* Iterative and bounded; passes over what it cannot read. *in moves on.
 * false at the end. */
bool addr_list_next(struct str *in, struct arena *a, struct addr_item *out);

#endif
