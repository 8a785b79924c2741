/*
 * conns.h - open connections that wait a moment for the next message.
 *
 * Any thread. A connection is kept under its destination's key together with
 * the terms it was made on, and is given only to a talk on the same terms.
 */
#ifndef QUEUE_CONNS_H
#define QUEUE_CONNS_H

#include <stdint.h>

#include "queue/client.h"

struct conns_settings {
	int64_t idle;		/* ms */
	int64_t uses;		/* messages over one */
	unsigned most;		/* idle ones in all */
};

struct conn {
	struct client *client;
	char *key;
	enum client_tls tls;		/* the terms */
	const struct tls_ctx *tls_ctx;
	int64_t uses, opened, idle_since;
	struct conn *next;
};

struct conns;
struct conns *conns_new(const struct conns_settings *s);
/* Takes the client, for t's terms. */
struct conn *conn_new(const char *key, const struct client_talk *t,
	struct client *take);
/* One that may be used now, or NULL. Closes what it finds broken. */
struct conn *conns_take(struct conns *c, const char *key,
	const struct client_talk *t);
/* After a message: kept, or closed when it has had its day. */
void conns_give(struct conns *c, struct conn *conn);
void conn_close(struct conn *conn, int64_t quit_ms);
/* Closes all. */
void conns_free(struct conns *c);

#endif
