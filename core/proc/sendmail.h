/*
 * sendmail.h - the parts of `mailroom sendmail`: what is asked for, and the
 * two ways in which a message may come.
 */
#ifndef PROC_SENDMAIL_H
#define PROC_SENDMAIL_H

#include <stdio.h>

#include "base/buf.h"
#include "queue/drop.h"

struct sendmail {
	struct arena arena;
	const char *folder;	/* the drop folder */
	const char *hostname;	/* behind names without a domain */
	const char *sender;	/* -f; NULL: who runs us */
	const char *full_name;	/* -F, or NULL */
	bool from_header;	/* -t */
	bool dot_is_text;	/* -i */
	struct drop drop;
	size_t room;		/* for recipients */
};

/* With a domain, in the arena; false: not an address. "" is the null one. */
bool sendmail_address(struct sendmail *s, const char *text, struct str *out);
/* false: not an address, or too many. */
bool sendmail_add_rcpt(struct sendmail *s, const char *text);
/* sendmail_text.c: from standard input, with CR LF and the fields that are
 * missing; -t takes the recipients out of it. Exit status (sysexits.h); 0:
 * *text. */
int sendmail_read(struct sendmail *s, struct buf *text);
/* sendmail_smtp.c: -bs. Exit status. */
int sendmail_smtp(struct sendmail *s, FILE *in, FILE *out);
/* One line of any length up to a cap, without its end; CR LF or LF. false at
 * the end of input. */
bool sendmail_line(FILE *in, struct buf *line);

#endif
