/*
 * submit.h - take a message for good: one durable commit.
 *
 * The bytes are read once for their digest and their structure, then handed
 * to the store with every placement. When submit_message returns 0 the
 * message is safe and 250 may be said.
 */
#ifndef QUEUE_SUBMIT_H
#define QUEUE_SUBMIT_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "mail/message.h"
#include "plug/route.h"
#include "plug/store.h"

struct submit_rcpt {
	struct str address;
	struct str dsn;			/* arguments to remember */
	struct route_target *targets;	/* local and remote ones; NULL: the
					   address itself is remote */
};

struct submit {
	const struct plugins *plugins;
	const char *trace;		/* queue id */
	const char *origin;		/* "smtp 192.0.2.1" */
	struct str sender;
	const struct submit_rcpt *rcpt;
	size_t n_rcpt;
	const char *held_by;		/* quarantine: all go to the queue, held */
	struct str held_reason;
	const char *life;		/* JSON for the ledger, or NULL */
	const char *discarded_by;	/* nothing is placed; ledger only */
	int64_t now_ms;			/* wall clock */
	int64_t lifetime_ms;		/* of queue entries */
};

int submit_message(const struct submit *s, struct message *m,
	const struct store *store, struct arena *a, struct err *e);

/* Digest and structure of pieces, for APPEND and reports too: fills
 * c->piece, n_piece, length, sha256, cache. */
int submit_describe(struct mr_commit *c, const struct mr_piece *piece,
	size_t n, struct arena *a, struct err *e);

#endif
