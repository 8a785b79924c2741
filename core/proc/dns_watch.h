/*
 * dns_watch.h - records that were right and are not any more: the admin is
 * told, once for each time.
 */
#ifndef PROC_DNS_WATCH_H
#define PROC_DNS_WATCH_H

#include <jansson.h>

#include "proc/dns_facts.h"

#define DNS_WATCH_SPACE "dns-watch"

struct dns_watching {
	const struct dns_house *house;
	const char *drop;	/* folder that the letter is left in */
};

/* Asks for all records of a domain and tells whom [dns.plan] watch_to names
 * of those that have drifted since the last time. Each of them is appended to
 * `drifted`: {name, type, value, finding, say}. What no server answers for is
 * left to the next time. The store keeps small facts. Blocks. 0 or -1. */
int dns_watch(const struct dns_watching *w, const char *domain,
	json_t *drifted, struct err *e);
/* All domains of the directory, for the daily round, until the house says that
 * it is over; logs what it finds. */
void dns_watch_all(const struct config *c, const struct report_house *h);

#endif
