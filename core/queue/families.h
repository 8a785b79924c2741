/*
 * families.h - IPv4 or IPv6 first?
 *
 * Receivers refuse mail from an address without a reverse record, and many
 * hosts have IPv6 without one. Any thread.
 */
#ifndef QUEUE_FAMILIES_H
#define QUEUE_FAMILIES_H

#include "net/dns.h"
#include "net/sock.h"

enum families_prefer { FAMILIES_AUTO, FAMILIES_IPV4, FAMILIES_IPV6 };

struct families;
struct families *families_new(enum families_prefer prefer);
void families_free(struct families *f);
/* How good it is to go there, 0 the best: by the admin's preference; else
 * whether there is a way at all, and whether the address that we would come
 * from has a name that leads back to it. Blocks on DNS, once an hour. */
int families_rank(struct families *f, struct dns *d,
	const struct sock_addr *to, int64_t deadline);

#endif
