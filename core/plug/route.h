/*
 * route.h - where does an address lead: local mailboxes, other servers.
 */
#ifndef PLUG_ROUTE_H
#define PLUG_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "plug/plugin.h"

enum route_answer {
	ROUTE_LOCAL,		/* targets were found (they may lead outside) */
	ROUTE_REMOTE,		/* no plugin has this domain: relay, if allowed */
	ROUTE_UNKNOWN_USER,
	ROUTE_OVER_QUOTA,
	ROUTE_DISABLED,
	ROUTE_TEMPFAIL,
};

struct route_target {
	const char *account;	/* NULL: to another server */
	const char *mailbox;
	const char *address;	/* remote address */
	const char *sender;	/* of a list: its owner; else NULL */
	const char *via;	/* domain of the address that leads there */
	struct route_target *next;
};

/* Targets live in the arena. Blocks on the plugins. */
enum route_answer route_resolve(const struct plugins *p, struct arena *a,
	struct str address, uint64_t size, struct route_target **out);
/* 1 yes, 0 no, -1 cannot tell now. */
int route_may_send(const struct plugins *p, const char *account,
	struct str address);
int route_is_local(const struct plugins *p, struct str domain);

#endif
