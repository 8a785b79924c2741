/*
 * dns_facts.h - what the plan of a domain's records rests on: configuration,
 * keys, certificate, directory, and what is live.
 */
#ifndef PROC_DNS_FACTS_H
#define PROC_DNS_FACTS_H

#include "plug/store.h"
#include "proc/config.h"
#include "zone/ask.h"
#include "zone/plan.h"

struct dns_house {
	const struct config *config;
	const struct store *store;
	struct dns *dns;
	struct zone_asker *asker;
	/* Told by the admin, before all others; may be none. */
	const char *const *address;
	size_t n_address;
};

/* How the zones' servers are asked, by the configuration. */
struct zone_ask_settings dns_ask_settings(const struct config *c,
	struct dns *dns);
/* "192.0.2.1" as inet_ntop writes it, in the arena; NULL if it is none. */
const char *dns_clean_address(const char *text, struct arena *a);
/* The plan of a domain, all of it in the arena. Blocks on DNS. -1: its keys
 * cannot be read. */
int dns_make_plan(const struct dns_house *h, const char *domain,
	struct arena *a, struct zone_plan **out, struct err *e);
/* Domains of the directory, a name after another, each with its NUL. -1 with
 * e. */
int dns_domains(const struct store *s, struct buf *out, struct err *e);

#endif
