/*
 * bounce.h - the report to the sender when mail cannot be delivered
 * (RFC 3464), written for people first.
 */
#ifndef QUEUE_BOUNCE_H
#define QUEUE_BOUNCE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct bounce_rcpt {
	struct str address;
	struct str reply;	/* "550 5.1.1 no such user", as it was said */
	struct str remote;	/* the server that said it, "" for ourselves */
};

struct bounce {
	const char *hostname;
	const char *trace;		/* of the message that failed */
	struct str sender;		/* who is told; never "" */
	int64_t arrived_ms;		/* wall clock */
	const struct bounce_rcpt *rcpt;
	size_t n_rcpt;
	struct str header;		/* the failed message's header section */
};

/* The whole report as message bytes. */
void bounce_write(const struct bounce *b, struct buf *out);

#endif
