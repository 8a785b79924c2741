/*
 * dns.h - one resolver interface: a query in, records or a reason out.
 *
 * Implemented on libunbound (validating, one asynchronous context a process
 * with its own thread); tests give it servers on loopback. Calls block up to
 * the deadline. An answer says whether DNSSEC proved it.
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct dns;

struct dns_settings {
	const char *const *server;	/* "127.0.0.1:5301"; none: resolv.conf */
	size_t n_server;
	int64_t timeout_ms;
	bool no_cache;		/* nothing is kept beyond a record's TTL */
	bool dnssec;
	const char *anchors;	/* file of further trust anchors, "" or NULL */
};

struct dns *dns_new(const struct dns_settings *s, struct err *e);
void dns_free(struct dns *d);

enum dns_type { DNS_A = 1, DNS_NS = 2, DNS_CNAME = 5, DNS_PTR = 12,
	DNS_MX = 15, DNS_TXT = 16, DNS_AAAA = 28, DNS_DNSKEY = 48,
	DNS_TLSA = 52 };

enum dns_status {
	DNS_OK,		/* at least one record */
	DNS_NODATA,	/* the name exists, not with this type */
	DNS_NXDOMAIN,
	DNS_TEMPFAIL,	/* time-out, SERVFAIL, refused */
	DNS_BOGUS,	/* DNSSEC validation failed */
};

struct dns_record {
	uint32_t ttl;
	uint16_t preference;	/* MX */
	struct str text;	/* A/AAAA: raw address bytes; MX, PTR, CNAME, NS:
				   name without final dot ("" is the root);
				   TXT: strings joined; else raw rdata */
};

struct dns_answer {
	enum dns_status status;
	bool secure;
	struct str canonical;	/* name after CNAMEs */
	struct dns_record *record;
	size_t n;
};

/* Never fails otherwise than by status. Results live in the arena. */
void dns_query(struct dns *d, struct str name, enum dns_type type,
	int64_t deadline, struct arena *a, struct dns_answer *out);
/* PTR of an address whose A/AAAA leads back to it; "" if there is none (iprev,
 * RFC 8601 section 3). */
enum dns_peer {
	DNS_PEER_NAMELESS,	/* no PTR */
	DNS_PEER_FAIL,		/* its names lead elsewhere */
	DNS_PEER_PASS,
	DNS_PEER_TEMPFAIL,
};
struct sock_addr;
enum dns_peer dns_peer_name(struct dns *d, const struct sock_addr *peer,
	int64_t deadline, char *out, size_t size);

#endif
