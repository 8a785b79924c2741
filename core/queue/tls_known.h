/*
 * tls_known.h - what TLS with a domain was like before, so that it does not
 * become worse without a word.
 *
 * Kept in the store. A domain that took mail encrypted is not given any in
 * the clear for QUEUE tls_memory afterwards; `mailroom tls` shows and forgets.
 */
#ifndef QUEUE_TLS_KNOWN_H
#define QUEUE_TLS_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "plug/store.h"

#define TLS_SPACE "core.tls"	/* of the store's state */

enum tls_level {
	TLS_LEVEL_NONE,
	TLS_LEVEL_ENCRYPTED,
	TLS_LEVEL_VERIFIED,	/* with a certificate that was valid */
};
extern const char *const tls_level_names[];

/* Blocks on the store. */
enum tls_level tls_known(const struct store *s, struct str domain);
/* After a handshake; writes once a day, and when the level rises. */
void tls_note(const struct store *s, struct str domain, enum tls_level level,
	int64_t memory_ms);

#endif
