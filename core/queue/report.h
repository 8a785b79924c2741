/*
 * report.h - what a sender is told of the fate of mail (RFC 3461, 3464,
 * 6533): when a report is due, and its text.
 *
 * One report speaks of one message and of some of its recipients. It is
 * written for people first: what happened, what the other side said, what
 * can be done. The programs' part stands behind.
 */
#ifndef QUEUE_REPORT_H
#define QUEUE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum report_action { REPORT_NONE, REPORT_FAILED, REPORT_DELAYED,
	REPORT_RELAYED, REPORT_DELIVERED, REPORT_EXPANDED, REPORT_ACTIONS };

struct report_rcpt {
	struct str address;
	struct str args;	/* ESMTP arguments of message and recipient */
	struct str reply;	/* "550 5.1.1 no such user", as it was said */
	struct str remote;	/* the server that said it, "" for ourselves */
	enum report_action action;
};

struct report {
	const char *hostname;
	const char *trace;	/* of the message in question */
	struct str sender;	/* who is told; never "" */
	int64_t arrived_ms, expire_ms;	/* wall clock */
	const struct report_rcpt *rcpt;
	size_t n_rcpt;		/* at least 1 */
	struct str header;	/* the message's header section */
	bool is_whole;		/* the message itself stands in the report */
};

/* report.c: when */

/* Mail that a machine sent and that no report must answer, unless it asked
 * for one (RFC 3834 section 2): by its sender or its header. */
bool report_is_automatic(struct str sender, struct str header);
/* Is a recipient's sender to be told of this action? By NOTIFY (RFC 3461
 * 4.1), else of failures and delays, but those of automatic mail. */
bool report_is_due(struct str args, enum report_action action,
	bool is_automatic);
/* Has the whole message been asked for (RET=FULL), and may it be: a failure,
 * not too large. */
bool report_wants_whole(const struct report *r, uint64_t length);
/* Needs SMTPUTF8 on its way, and the types of RFC 6533. */
bool report_is_utf8(const struct report *r);
/* Arguments to send the report with. */
const char *report_args(const struct report *r);

/* report_text.c: all of the report before the message, if it is_whole, and
 * what follows behind it. */
void report_write(const struct report *r, struct buf *before,
	struct buf *behind);

#endif
