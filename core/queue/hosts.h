/*
 * hosts.h - which servers take mail for a destination (RFC 5321 section 5).
 */
#ifndef QUEUE_HOSTS_H
#define QUEUE_HOSTS_H

#include "base/arena.h"
#include "mail/reply.h"
#include "net/dns.h"
#include "net/sock.h"

struct host {			/* one address to try */
	const char *name;	/* for TLS and the log */
	const char *canonical;	/* behind CNAMEs */
	struct sock_addr address;
	unsigned preference;
	int rank;		/* of its family, families.h */
	bool is_secure;		/* DNSSEC proved MX and address */
	struct host *next;
};

struct families;

struct hosts_asker {
	struct dns *dns;
	struct families *families;
	const char *hostname;	/* ours */
	const struct sock_addr *own;	/* where we listen */
	size_t n_own;
	unsigned port;
	int64_t deadline;	/* clock_mono */
};

/* The hosts of a domain or address literal in the order to try them: by
 * preference, equal ones shuffled, of their families the better one first;
 * without MX its own address (implicit MX). Only hosts that are preferred to
 * ourselves are given. Returns code 0 with *out, or the refusal to record:
 * 5.1.10 for a null MX (RFC 7505), 5.1.2 for a name that does not exist, 4.4.3
 * when DNS cannot tell now, 5.4.6 when the mail would come back to us. Blocks
 * on DNS. */
struct reply hosts_of_domain(const struct hosts_asker *q, struct str domain,
	struct arena *a, struct host **out);
/* The same for a fixed "host:port" or "address:port". */
struct reply hosts_of_name(const struct hosts_asker *q, struct str host_port,
	struct arena *a, struct host **out);

#endif
