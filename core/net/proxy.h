/*
 * proxy.h - the header that a load balancer puts in front of a connection,
 * so that the real client's address is known (HAProxy's PROXY protocol,
 * versions 1 and 2).
 *
 * Read before TLS and before any greeting, and only from networks that the
 * admin trusts: from them it must be there, from others it is never looked
 * for.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "base/err.h"
#include "net/sock.h"
#include "net/stream.h"

/* Blocks under the stream's limit. peer and local are replaced, unless the
 * balancer speaks for itself (LOCAL, UNKNOWN: a health check). -1: no header
 * that we can read; then the connection is to be closed. */
int proxy_read(struct stream *s, struct sock_addr *peer,
	struct sock_addr *local, struct err *e);

#endif
