/*
 * client.h - one outgoing SMTP talk, top to bottom.
 *
 * Knows nothing of queues or retries: it is given a host, an envelope and
 * bytes, and says what became of each recipient.
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

struct client_talk {
	const struct host *host;
	const char *hostname;		/* for EHLO */
	enum client_tls tls;
	const struct tls_ctx *tls_ctx;
	const char *login, *password;	/* "" for none */
	int64_t connect_timeout, timeout;	/* ms */
	int64_t deadline;		/* of the whole talk, clock_mono */
	struct str sender;
	const struct str *rcpt;
	size_t n_rcpt;
	uint64_t length;
	/* Reads the message; 0 at the end, -1: give up (4xx). */
	int64_t (*read)(void *arg, uint64_t offset, void *out, size_t len);
	void *arg;
};

struct client_result {
	/* What the talk as a whole came to: code 0 if the recipients' answers
	 * count; else nobody was served, for this reason. */
	struct reply whole;
	bool connected;			/* false: try the next host */
	bool tls_failed;		/* handshake: try without, if allowed */
	struct reply *rcpt;		/* one each: 250 when delivered */
};

/* Blocks for the whole talk. Replies live in the arena. */
void client_run(const struct client_talk *t, struct arena *a,
	struct client_result *out);

#endif
