/*
 * tls.h - TLS contexts and handshakes by OpenSSL.
 *
 * A tls_ctx is made once a process for serving (a certificate) or for
 * connecting, is read-only afterwards and is shared by threads. Buffers are
 * released between records, so that idle sessions cost little.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>

#include "base/err.h"

struct tls_ctx;

/* Paths of PEM files; the key must not be readable by others unless
 * root owns it. TLS 1.2 and newer, session tickets on. */
struct tls_ctx *tls_server_new(const char *certificate, const char *key,
	struct err *e);
/* Connecting. ca_file NULL: the system's. With verify false any certificate
 * is taken (opportunistic TLS, RFC 7435). */
struct tls_ctx *tls_client_new(bool verify, const char *ca_file,
	struct err *e);
void tls_ctx_free(struct tls_ctx *c);

struct tls_facts {
	char version[16];	/* "TLSv1.3" */
	char cipher[48];
	int bits;
	bool peer_verified;
};

#endif
