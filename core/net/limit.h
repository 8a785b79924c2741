/*
 * limit.h - how many at once, by key: connections of a peer's network, of a
 * login. Own lock; any thread. Memory is bounded by what is taken.
 */
#ifndef NET_LIMIT_H
#define NET_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "net/sock.h"

struct limit;

struct limit *limit_new(void);
void limit_free(struct limit *l);
/* false: `most` of this key are taken already (0: no limit). */
bool limit_take(struct limit *l, struct str key, uint32_t most);
void limit_give(struct limit *l, struct str key);

/* The key of a peer: its IPv4 address, or the /64 of its IPv6 address. out
 * holds SOCK_TEXT bytes. */
struct str limit_peer_key(const struct sock_addr *peer, char out[SOCK_TEXT]);
/* Its network: the /24, or the /48; with "net " in front. */
struct str limit_network_key(const struct sock_addr *peer,
	char out[SOCK_TEXT + 4]);

#endif
