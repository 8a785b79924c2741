/*
 * nexthop.h - where mail for other domains goes when the admin says so:
 * the [route.NAME] sections.
 *
 * Domains of our own directory never come here. A domain without a section
 * goes to its own servers (MX), or to the smarthost.
 */
#ifndef QUEUE_NEXTHOP_H
#define QUEUE_NEXTHOP_H

#include <stdbool.h>
#include <stddef.h>

#include <mailroom/setting.h>

#include "base/err.h"
#include "base/str.h"
#include "net/sock.h"

struct nexthop {
	const char *name;
	struct mr_list domains;		/* A-labels once read */
	struct mr_list senders;		/* none: whoever sends */
	const char *transport;		/* NAME of [plugin.NAME], or "" */
	const char *host;		/* "host:port", or "" */
	const char *login, *password;	/* at the host; "" for none */
	int64_t tls;			/* enum client_tls */
	const char *ca_file;
	struct mr_list source;		/* our addresses; none: the system's */
	int64_t concurrency;		/* deliveries at once; 0: as [queue] */
	int64_t rate;			/* deliveries a minute; 0: as [queue] */
	bool accept;			/* from anybody */
};
extern const struct mr_setting nexthop_settings_table[];

#define NEXTHOP_KEY 600

struct nexthops {
	struct nexthop *item;
	size_t n;
};

/* The section for a domain in A-labels: its own name before the longest
 * ".suffix" before "*"; among equals the one whose senders fit best before
 * one without. NULL: none. all may be NULL: no sections. */
const struct nexthop *nexthop_find(const struct nexthops *all,
	struct str domain, struct str sender);
/* What deliveries share that go one way: the route, else the smarthost if
 * there is one, else the domain. hop: of nexthop_find. */
void nexthop_key(const struct nexthop *hop, bool has_smarthost,
	struct str domain, char out[NEXTHOP_KEY]);
/* An address of ours ("192.0.2.1", "2001:db8::1"), port 0. */
int nexthop_source(const char *text, struct sock_addr *out, struct err *e);
/* Does a section of these depend on who sends? */
bool nexthop_asks_sender(const struct nexthops *all);
/* Is mail for this address taken from anybody? */
bool nexthop_accepts(const struct nexthops *all, struct str address);

#endif
