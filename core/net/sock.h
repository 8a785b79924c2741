/*
 * sock.h - addresses, listening and connecting.
 *
 * Text forms: "127.0.0.1:25", "[::1]:25", "[::]:25" (both families),
 * "unix:/path". v4-mapped peers are shown as IPv4; zones are dropped.
 */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/str.h"

struct sock_addr {
	struct sockaddr_storage sa;
	socklen_t len;
};

#define SOCK_TEXT 128	/* room for sock_host / sock_text and a NUL */

int sock_parse(struct str text, struct sock_addr *out, struct err *e);
void sock_host(const struct sock_addr *a, char out[SOCK_TEXT]);
void sock_text(const struct sock_addr *a, char out[SOCK_TEXT]); /* host:port */
unsigned sock_port(const struct sock_addr *a);
void sock_set_port(struct sock_addr *a, unsigned port);
bool sock_is_loopback(const struct sock_addr *a);	/* unix too */

/* "192.0.2.0/24", "2001:db8::/32", "127.0.0.1". */
struct sock_net {
	uint8_t bits[16];
	unsigned length;
	bool is_v6;
};
int sock_parse_net(struct str text, struct sock_net *out, struct err *e);
bool sock_in_net(const struct sock_addr *a, const struct sock_net *n);
struct sock_nets {
	struct sock_net *item;
	size_t n;
};
bool sock_in_nets(const struct sock_addr *a, const struct sock_nets *l);

/* Non-blocking, close-on-exec, SO_REUSEADDR; for unix sockets a stale file
 * is removed, a living server on it is an error (ERR_EXISTS). */
int sock_listen(const struct sock_addr *a, int backlog, struct err *e);
/* The accepted descriptor, non-blocking and close-on-exec, TCP_NODELAY; -1
 * with e->sys EAGAIN when there is none. */
int sock_accept(int fd, struct sock_addr *peer, struct err *e);
/* Connects before the deadline (clock_mono ms); source may be NULL. */
int sock_connect(const struct sock_addr *to, const struct sock_addr *source,
	int64_t deadline, struct err *e);
/* The local address of a connected socket. */
int sock_local(int fd, struct sock_addr *out, struct err *e);

#endif
