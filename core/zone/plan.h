/*
 * plan.h - from what is known of a domain and its server to the records that
 * it wants. Pure: what is live comes in as facts.
 */
#ifndef ZONE_PLAN_H
#define ZONE_PLAN_H

#include "zone/record.h"
#include "zone/settings.h"

struct zone_service {		/* RFC 6186, RFC 8314 */
	const char *name;	/* "_imaps" */
	unsigned port;		/* 0: not offered */
};

struct zone_key {		/* of DKIM */
	const char *name, *record;
};

struct zone_facts {
	const char *domain, *hostname;
	const struct zone_settings *settings;
	const char *const *address;	/* as inet_ntop writes them */
	size_t n_address;
	const struct zone_service *service;
	size_t n_service;
	const struct zone_key *key;
	size_t n_key;
	const char *report_to;	/* an address */
	const char *authority;	/* of certificates, or NULL */
	const char *tlsa;	/* "3 1 1 ...", or NULL */
	bool is_signed;		/* the host's zone, by DNSSEC */
	/* Live texts of the domain and of _dmarc. */
	const struct str *spf, *dmarc;
	size_t n_spf, n_dmarc;
	unsigned spf_lookups;	/* that the live one takes */
};

/* Fills an empty plan. */
void zone_plan_make(struct zone_plan *p, const struct zone_facts *f);
/* Of the DMARC record that the plan has. */
enum zone_dmarc zone_policy_of(const struct zone_plan *p);
/* What https://mta-sts.DOMAIN/.well-known/mta-sts.txt is to answer (RFC 8461
 * 3.2), in the arena, with CR LF; and the id of its record, which changes
 * when it does. */
const char *zone_sts_policy(const char *hostname, enum zone_sts mode,
	struct arena *a);
const char *zone_sts_id(const char *policy, struct arena *a);
/* The live DMARC record with a policy at least as strict, and with a place for
 * reports; a new one where it is none. In the arena. Pure. */
const char *zone_merge_dmarc(struct str live, enum zone_dmarc policy,
	const char *report_to, struct arena *a);

#endif
