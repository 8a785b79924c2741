/*
 * client_parts.h - what the files of the client share: client.c (connection,
 * greeting, TLS, login, life) and client_send.c (a message). Nobody else
 * includes it.
 */
#ifndef QUEUE_CLIENT_PARTS_H
#define QUEUE_CLIENT_PARTS_H

#include "net/stream.h"
#include "queue/client.h"

enum client_offer {		/* extensions, as bits */
	OFFERS_PIPELINING = 1, OFFERS_SIZE = 2, OFFERS_8BITMIME = 4,
	OFFERS_SMTPUTF8 = 8, OFFERS_STARTTLS = 16, OFFERS_CHUNKING = 32,
	OFFERS_BINARYMIME = 64, OFFERS_DSN = 128, OFFERS_DELIVERBY = 256,
	OFFERS_PRIORITY = 512, OFFERS_REQUIRETLS = 1024,
};

/* t, a and out are those of the call that runs; between calls t is `own`. */
struct client {
	const struct client_talk *t;
	struct stream s;
	struct arena *a;
	struct client_result *out;
	unsigned offers;
	uint64_t size_limit;	/* of SIZE, 0: none is told */
	uint64_t rcpt_limit;	/* of LIMITS RCPTMAX, 0: none is told */
	bool auth_plain;
	bool secure, spoiled;
	const char *fault;	/* of the certificate, or NULL */
	int64_t patience;	/* for one answer, ms */
	struct client_talk own;
	struct host host;
};

static inline bool
client_offers(const struct client *k, unsigned what)
{
	return (k->offers & what) == what;
}

/* One answer, all its lines. */
struct reply client_hear(struct client *k, const char *when);
struct reply client_ask(struct client *k, const char *when,
	const char *command);
struct reply client_lost(struct client *k, const char *when);
/* The next calls may wait as long as one answer may take, and not beyond the
 * end of the whole talk. */
void client_limit(struct client *k);

/* client_send.c */
void client_send_message(struct client *k);

#endif
