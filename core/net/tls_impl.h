/*
 * tls_impl.h - what stream.c needs of a context beyond tls.h.
 */
#ifndef NET_TLS_IMPL_H
#define NET_TLS_IMPL_H

#include <openssl/ssl.h>

#include "net/tls.h"

struct tls_ctx {
	SSL_CTX *ssl;
	enum tls_check check;
};

/* The last OpenSSL error of this thread as text; empties its queue. */
void tls_error(struct err *e, const char *what);

#endif
