/*
 * dns_lexicon.h - changes of DNS through a provider's interface, by running
 * `lexicon`, which knows about 60 of them.
 */
#ifndef PROC_DNS_LEXICON_H
#define PROC_DNS_LEXICON_H

#include "zone/change.h"

/* One change: runs `lexicon PROVIDER create|delete ...` with our environment,
 * which holds the credentials, and waits. -1: it failed; e has the last of
 * what it said. */
int dns_lexicon(const char *provider, const struct zone_change *c,
	struct err *e);

#endif
