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

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct tls_ctx;

/* Paths of PEM files; the key must not be readable by others unless
 * root owns it. TLS 1.2 and newer, session tickets on. */
/* client_ca: clients are asked for a certificate of this authority, and may
 * have none; NULL: they are not asked. */
struct tls_ctx *tls_server_new(const char *certificate, const char *key,
	const char *client_ca, struct err *e);
/* Connecting. TAKE_ANY: any certificate is taken, and told whether it is
 * valid (opportunistic TLS, RFC 7435). ca_file NULL: the system's. */
enum tls_check { TLS_TAKE_ANY, TLS_CHECK_NAME, TLS_CHECK_DANE };
struct tls_ctx *tls_client_new(enum tls_check check, const char *ca_file,
	struct err *e);
void tls_ctx_free(struct tls_ctx *c);

struct tls_tlsa {		/* a TLSA record (RFC 6698 2.1) */
	uint8_t usage, selector, matching;
	struct str data;
};

struct tls_want {		/* of a server; what it points to is borrowed */
	const char *name;	/* for SNI, and in the certificate */
	const char *other_name;	/* as good in the certificate, or NULL */
	const struct tls_tlsa *tlsa;	/* TLS_CHECK_DANE */
	size_t n_tlsa;
};

struct tls_facts {
	char version[16];	/* "TLSv1.3" */
	char cipher[48];
	int bits;
	bool peer_verified;
};

#endif
