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
	struct sock_addr address;
	struct host *next;
};

/* The hosts of a domain or address literal in the order to try them: by
 * preference, equal ones shuffled; without MX its own address (implicit MX).
 * Returns code 0 with *out, or the refusal to record: 5.1.10 for a null MX
 * (RFC 7505), 5.1.2 for a name that does not exist, 4.4.3 when DNS cannot
 * tell now, 5.4.6 when the mail would come back to us. Blocks on DNS. */
struct reply hosts_of_domain(struct dns *d, struct str domain,
	const char *hostname, unsigned port, int64_t deadline, struct arena *a,
	struct host **out);
/* The same for a fixed "host:port" or "address:port". */
struct reply hosts_of_name(struct dns *d, struct str host_port,
	unsigned port, int64_t deadline, struct arena *a, struct host **out);

#endif
