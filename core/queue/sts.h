/*
 * sts.h - MTA-STS policies of domains (RFC 8461).
 *
 * A policy is found by a TXT record, fetched by HTTPS through the plugin with
 * the fetcher role, and kept in the store until it expires, so that neither a
 * restart nor an attacker who hides the record makes it forgotten. One fetch
 * a domain at a time; a failure is remembered for some minutes.
 */
#ifndef QUEUE_STS_H
#define QUEUE_STS_H

#include <pthread.h>

#include "base/map.h"
#include "net/dns.h"
#include "plug/store.h"

#define STS_SPACE "core.sts"

enum sts_mode { STS_NONE, STS_TESTING, STS_ENFORCE };

struct sts_policy {
	enum sts_mode mode;
	struct str id;
	struct str *mx;		/* "mx.example.com", "*.example.com" */
	size_t n_mx;
	int64_t max_age_ms;
	int64_t fetched_ms;	/* wall clock */
	struct str text;	/* as it was served */
	const char *fault;	/* RFC 8460 4.3, of what cannot be had; NULL */
};

struct sts {
	struct dns *dns;
	const struct store *store;
	const struct plugin *fetcher;	/* NULL: there is no MTA-STS */
	unsigned port;			/* of policy servers */
	pthread_mutex_t lock;
	struct map failed;		/* domain: not again before */
};

void sts_init(struct sts *s, struct dns *dns, const struct store *store,
	const struct plugin *fetcher, unsigned port);
/* The policy that holds for the domain now; mode STS_NONE: none. Blocks on
 * DNS, and on HTTPS when the policy is new. */
void sts_find(struct sts *s, struct str domain, int64_t deadline,
	struct arena *a, struct sts_policy *out);
/* RFC 8461 4.1 */
bool sts_allows(const struct sts_policy *p, const char *mx);

/* Parts, for tests: "v=STSv1; id=1;" and the policy file. false: not valid. */
bool sts_read_record(struct str txt, struct str *id);
bool sts_read_policy(struct str text, struct arena *a, struct sts_policy *out);

#endif
