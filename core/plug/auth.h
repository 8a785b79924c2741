/*
 * auth.h - who is this: SASL exchanges and passwords, answered by the auth
 * plugins in the order of the configuration.
 */
#ifndef PLUG_AUTH_H
#define PLUG_AUTH_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "plug/plugin.h"

enum auth_step {
	AUTH_CONTINUE,		/* send the challenge, bring the answer */
	AUTH_OK,
	AUTH_DENIED,
	AUTH_TEMPFAIL,
	AUTH_MALFORMED,		/* not what the mechanism allows */
	AUTH_NO_MECHANISM,
};

#define AUTH_ACCOUNT_MAX 324

struct sasl_terms {		/* what an exchange is held on */
	const struct plugins *plugins;
	const char *service;	/* "smtp", "imap", "pop3" */
	struct str binding;	/* tls-exporter (RFC 9266); empty without TLS */
	struct str certified;	/* the account that the client's certificate
				   is for; empty: none */
};

struct scram;

struct sasl {			/* one exchange; on the stack or in a session */
	struct sasl_terms terms;
	const char *mechanism;	/* canonical name once begun */
	int state;
	struct scram *scram;
	struct str login;	/* who it said to be */
	uint64_t guess;		/* auth_guess, 0: there was no password */
	char account[AUTH_ACCOUNT_MAX];
};

/* The same number for the same login and password, in this process; not 0.
 * It tells nothing of them. */
uint64_t auth_guess(struct str login, struct str password);

/* The mechanisms on offer, best first: "SCRAM-SHA-256 PLAIN LOGIN". */
void auth_mechanisms(const struct sasl_terms *t, struct buf *out);
/* initial.at NULL: none was sent. in is decoded already. Challenges are
 * appended to out undecoded. Blocks on the plugins. sasl_end after each
 * exchange, whatever came of it; more often does no harm. */
enum auth_step sasl_begin(struct sasl *s, const struct sasl_terms *t,
	struct str mechanism, struct str initial, struct arena *a,
	struct buf *out);
enum auth_step sasl_next(struct sasl *s, struct str in, struct arena *a,
	struct buf *out);
void sasl_end(struct sasl *s);
/* USER/PASS, LOGIN. account holds AUTH_ACCOUNT_MAX bytes. */
enum auth_step auth_password(const struct plugins *p, struct str login,
	struct str password, const char *service, char *account);

#endif
