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

#include "base/str.h"

struct nexthop {
	const char *name;
	struct mr_list domains;		/* A-labels once read */
	const char *transport;		/* NAME of [plugin.NAME], or "" */
	const char *host;		/* "host:port", or "" */
	bool accept;			/* from anybody */
};
extern const struct mr_setting nexthop_settings_table[];

struct nexthops {
	struct nexthop *item;
	size_t n;
};

/* The section for a domain in A-labels: its own name before the longest
 * ".suffix" before "*". NULL: none. all may be NULL: no sections. */
const struct nexthop *nexthop_find(const struct nexthops *all,
	struct str domain);
/* Is mail for this address taken from anybody? */
bool nexthop_accepts(const struct nexthops *all, struct str address);

#endif
