/*
 * spf.h - our server in a domain's SPF record (RFC 7208), with as little
 * change to what stands there as there can be.
 */
#ifndef ZONE_SPF_H
#define ZONE_SPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"
#include "net/dns.h"

#define SPF_LOOKUPS_MOST 10	/* RFC 7208 4.6.4 */

struct spf_server {		/* that is to pass */
	const char *domain;	/* whose MX it is */
	const char *hostname;
	const char *const *address;
	size_t n_address;
};

/* Is it "v=spf1", alone or with terms? */
bool spf_is_record(struct str text);
/* Does a term of the record name the server as it is: mx, a:HOSTNAME, the
 * networks of all its addresses? What include: leads to is not looked at. */
bool spf_names(struct str record, const struct spf_server *s);
/* One record out of those that are live, in the arena: all their terms, the
 * server's before them, the "all" of the first. The server is named by
 * addresses where by_address, else by "mx". Pure. */
const char *spf_merge(const struct str *live, size_t n,
	const struct spf_server *s, bool by_address, struct arena *a);
/* How many look-ups the record takes, those of records that it includes with
 * it; counting ends soon after the limit. Blocks up to the deadline. */
unsigned spf_count_lookups(struct dns *d, struct str record,
	int64_t deadline, struct arena *a);

#endif
