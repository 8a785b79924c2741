/*
 * tls_policy.h - what is demanded of a server's TLS before it gets mail.
 *
 * Highest first: REQUIRETLS of the message, DANE of the host (RFC 7672),
 * MTA-STS of the domain (RFC 8461), what it was like before (tls_known.h),
 * else whatever it offers. "TLS-Required: No" of the message (RFC 8689) takes
 * DANE, MTA-STS and memory out of account. Routes and the smarthost have
 * their own word; they do not come here.
 */
#ifndef QUEUE_TLS_POLICY_H
#define QUEUE_TLS_POLICY_H

#include "mail/reply.h"
#include "queue/client.h"
#include "queue/sts.h"

/* Counts of the store's small facts: "DAY DOMAIN POLICY RESULT HOST". */
#define TLS_TALLY_SPACE "core.tlsrpt"

#define TLS_NOT_REQUIRED "TLS-REQUIRED"	/* kept argument: "TLS-Required: No" */

struct tls_policies {		/* of the runner */
	struct dns *dns;
	const struct store *store;
	struct sts sts;
	const struct tls_ctx *any, *name, *dane;
	int64_t memory_ms;	/* how long a level counts; 0: never */
	unsigned port;
};

/* Of one attempt: one message, one domain. */
struct tls_asker {
	struct tls_policies *all;
	struct str domain;
	struct str args;	/* of the message */
	struct sts_policy sts;
	bool has_sts;		/* it was looked up */
	int64_t deadline;
	struct arena *arena;
};

struct tls_policy {
	enum client_tls tls;
	const struct tls_ctx *ctx;
	struct tls_want want;
	const char *why;	/* " (DANE)": behind a failure's text */
	const char *kind;	/* RFC 8460: "tlsa", "sts", "no-policy-found" */
};

/* Code 0 with *out; else the host may not get this message, for this reason.
 * Blocks on DNS and the store. */
struct reply tls_policy_for(struct tls_asker *q, const struct host *host,
	struct tls_policy *out);
/* What came of it: remembered, and counted for reports. */
void tls_policy_heed(struct tls_asker *q, const struct host *host,
	const struct tls_policy *p, const struct client_result *r);

#endif
