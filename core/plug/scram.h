/*
 * scram.h - the server's side of SCRAM-SHA-1, SCRAM-SHA-256 and their -PLUS
 * forms (RFC 5802, 7677; channel binding tls-exporter, RFC 9266), by libgsasl.
 *
 * An account may have several passwords (its own, and some for single
 * programs). Which of them the client has is found out from its proof.
 */
#ifndef PLUG_SCRAM_H
#define PLUG_SCRAM_H

#include "plug/auth.h"

struct scram;

/* "SCRAM-SHA-256-PLUS" and so on; binding: RFC 9266, empty without TLS. NULL:
 * not such a mechanism, or no plugin has keys. */
struct scram *scram_new(const struct sasl_terms *t, struct str mechanism);
void scram_free(struct scram *s);
/* The next message of the client. CONTINUE: *out is to be sent; OK only after
 * the client has taken the last one. */
enum auth_step scram_step(struct scram *s, struct str in, struct buf *out);
struct str scram_login(const struct scram *s);
/* Once it is OK. */
const char *scram_account(const struct scram *s);
/* Do all plugins that know passwords have keys for it? */
bool scram_is_possible(const struct plugins *p);

#endif
