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

struct sasl {			/* one exchange; on the stack or in a session */
	const struct plugins *plugins;
	const char *service;	/* "smtp", "imap", "pop3" */
	const char *mechanism;	/* canonical name once begun */
	int state;
	struct str login;	/* who it said to be */
	char account[AUTH_ACCOUNT_MAX];
};

/* "PLAIN LOGIN", the mechanisms on offer. */
const char *auth_mechanisms(void);
/* initial.at NULL: none was sent. in is decoded already. Challenges are
 * appended to out undecoded. Blocks on the plugins. */
enum auth_step sasl_begin(struct sasl *s, const struct plugins *p,
	struct str mechanism, const char *service, struct str initial,
	struct arena *a, struct buf *out);
enum auth_step sasl_next(struct sasl *s, struct str in, struct arena *a,
	struct buf *out);
/* USER/PASS, LOGIN. account holds AUTH_ACCOUNT_MAX bytes. */
enum auth_step auth_password(const struct plugins *p, struct str login,
	struct str password, const char *service, char *account);

#endif
