/*
 * tls.c - OpenSSL contexts. Made on the start-up thread, shared read-only.
 *
 * Memory: buffers are released between records, session caching on our side
 * is off (clients bring tickets), so that an idle session keeps only what
 * OpenSSL cannot give up.
 */
#include "net/tls_impl.h"

#include <openssl/err.h>
#include <sys/stat.h>

#include "base/arena.h"

void
tls_error(struct err *e, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	err_set(e, ERR_TLS, "%s: %s", what, reason ? reason :
		"connection closed");
}

static struct tls_ctx *
make(const SSL_METHOD *method, struct err *e)
{
	struct tls_ctx *c = mem_alloc(sizeof *c);

	c->ssl = SSL_CTX_new(method);
	if (!c->ssl) {
		tls_error(e, "TLS");
		free(c);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(c->ssl, TLS1_2_VERSION);
	SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS |
		SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(c->ssl, SSL_OP_NO_COMPRESSION |
		SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
		SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
	return c;
}

static int
check_key_file(const char *key, struct err *e)
{
	struct stat st;

	if (stat(key, &st) < 0)
		return err_sys(e, "key %s", key);
	if (st.st_mode & 07)
		return err_set(e, ERR_CONFIG, "key %s can be used by every "
			"user: chmod 600 %s", key, key);
	return 0;
}

/* Whatever the certificate is worth, the handshake goes on: it only counts
 * where it is good (stream_tls_address). */
static int
take_any(int good, X509_STORE_CTX *store)
{
	(void)good;
	(void)store;
	return 1;
}

static int
ask_clients(struct tls_ctx *c, const char *client_ca, struct err *e)
{
	STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);

	if (!names || SSL_CTX_load_verify_file(c->ssl, client_ca) != 1) {
		tls_error(e, client_ca);
		return -1;
	}
	SSL_CTX_set_client_CA_list(c->ssl, names);
	SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, take_any);
	/* Resumed sessions need to know for whom they are. */
	SSL_CTX_set_session_id_context(c->ssl, (const unsigned char *)"mail",
		4);
	return 0;
}

struct tls_ctx *
tls_server_new(const char *certificate, const char *key, const char *client_ca,
	struct err *e)
{
	struct tls_ctx *c;
	char what[160];

	if (check_key_file(key, e) < 0)
		return NULL;
	c = make(TLS_server_method(), e);
	if (!c)
		return NULL;
	SSL_CTX_set_num_tickets(c->ssl, 1);
	snprintf(what, sizeof what, "certificate %.120s", certificate);
	if (SSL_CTX_use_certificate_chain_file(c->ssl, certificate) == 1) {
		snprintf(what, sizeof what, "key %.120s", key);
		if (SSL_CTX_use_PrivateKey_file(c->ssl, key,
			SSL_FILETYPE_PEM) == 1 &&
			SSL_CTX_check_private_key(c->ssl) == 1) {
			if (!client_ca || ask_clients(c, client_ca, e) == 0)
				return c;
			tls_ctx_free(c);
			return NULL;
		}
	}
	tls_error(e, what);
	tls_ctx_free(c);
	return NULL;
}

struct tls_ctx *
tls_client_new(enum tls_check check, const char *ca_file, struct err *e)
{
	struct tls_ctx *c = make(TLS_client_method(), e);

	if (!c)
		return NULL;
	c->check = check;
	if (check != TLS_TAKE_ANY)
		SSL_CTX_set_verify(c->ssl, SSL_VERIFY_PEER, NULL);
	if (check == TLS_CHECK_DANE) {
		if (SSL_CTX_dane_enable(c->ssl) > 0)
			return c;
		tls_error(e, "DANE");
	} else if ((ca_file ? SSL_CTX_load_verify_file(c->ssl, ca_file) :
		SSL_CTX_set_default_verify_paths(c->ssl)) == 1) {
		return c;
	} else {
		tls_error(e, ca_file ? ca_file : "the system's certificates");
	}
	tls_ctx_free(c);
	return NULL;
}

void
tls_ctx_free(struct tls_ctx *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	free(c);
}
