/*
 * client.h - outgoing SMTP, top to bottom: a connection, and messages over it.
 *
 * Knows nothing of queues or retries: it is given a host, an envelope and
 * bytes, and says what became of each recipient. One thread at a time.
 */
#ifndef QUEUE_CLIENT_H
#define QUEUE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "mail/reply.h"
#include "net/tls.h"
#include "queue/hosts.h"

enum client_tls { CLIENT_TLS_NONE, CLIENT_TLS_MAY, CLIENT_TLS_MUST };

#define CLIENT_QUIT_MS 2000	/* a good-bye is worth that much */

struct client_timeouts {	/* RFC 5321 4.5.3.2, ms */
	int64_t connect, greeting, helo, mail, rcpt;
	int64_t data;		/* the answer to DATA */
	int64_t block;		/* sending a piece of the message */
	int64_t dot;		/* the final answer */
};

struct client;

struct client_talk {
	const struct host *host;
	const struct sock_addr *source;	/* our address, or NULL */
	const char *hostname;		/* for EHLO */
	enum client_tls tls;
	const struct tls_ctx *tls_ctx;
	const struct tls_want *want;	/* NULL: the host's name */
	const char *tls_why;		/* behind the text of a TLS failure */
	const char *login, *password;	/* "" for none */
	struct client_timeouts timeout;
	int64_t deadline;		/* of the whole call, clock_mono */
	struct str sender;
	struct str args;		/* of MAIL (mail/esmtp_args.h) */
	const struct str *rcpt;
	const struct str *rcpt_args;	/* of RCPT, one each; NULL: none */
	size_t n_rcpt;
	int64_t created_ms;		/* wall clock; BY counts from there */
	uint64_t length;
	/* Reads the message; 0 at the end, -1: give up (4xx). */
	int64_t (*read)(void *arg, uint64_t offset, void *out, size_t len);
	/* From now on read gives the message as it is, or in 7 bits for a
	 * server that takes no more; *length is set. -1: that cannot be made.
	 * NULL: it is always given as it is. */
	int (*narrow)(void *arg, bool is_narrow, uint64_t *length);
	void *arg;
};

struct client_result {
	/* What the talk as a whole came to: code 0 if the recipients' answers
	 * count; else nobody was served, for this reason. */
	struct reply whole;
	bool connected;			/* false: try the next host */
	bool tls_failed;		/* handshake: try without, if allowed */
	bool began;			/* DATA was said: never say it twice */
	bool lost;			/* the connection did not last */
	bool is_secure;			/* encrypted */
	const char *tls_fault;		/* what was wrong (RFC 8460 4.3), also
					   where that was no failure */
	bool dsn_taken;			/* it reports by itself (RFC 3461) */
	struct reply *rcpt;		/* one each: 250 when delivered */
};

/* Connects, greets, starts TLS and logs in; what t says of the message is
 * not looked at. NULL: out->whole says why. Blocks; replies live in the
 * arena. */
struct client *client_open(const struct client_talk *t, struct arena *a,
	struct client_result *out);
/* The same over a connection that exists; takes fd (non-blocking). */
struct client *client_adopt(int fd, const struct client_talk *t,
	struct arena *a, struct client_result *out);
/* One message. The talk's host and terms are those it was opened with. */
void client_send(struct client *k, const struct client_talk *t,
	struct arena *a, struct client_result *out);
/* May it carry another message? Does not block. */
bool client_is_good(struct client *k);
/* Encrypted, with a certificate that is the host's. */
bool client_is_verified(const struct client *k);
const struct host *client_host(const struct client *k);
/* QUIT, waiting at most ms for the answer; frees. */
void client_close(struct client *k, int64_t ms);

#endif
