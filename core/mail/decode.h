/*
 * decode.h - undoing a transfer encoding (RFC 2045 section 6) while the bytes
 * pass by, cut anywhere.
 *
 * Lenient: what is not valid base64 is passed over, what is not valid
 * quoted-printable is kept.
 */
#ifndef MAIL_DECODE_H
#define MAIL_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

enum decode_kind { DECODE_NONE, DECODE_BASE64, DECODE_QP };

struct decode {
	enum decode_kind kind;
	uint32_t bits;			/* base64: not yet a byte */
	unsigned n_bits;
	char held[80];			/* QP: behind a '=', not yet decided */
	size_t n_held;
};

/* Of a Content-Transfer-Encoding; empty is 7bit. false: not known. */
bool decode_find(struct str encoding, enum decode_kind *out);
void decode_init(struct decode *d, enum decode_kind kind);
void decode_add(struct decode *d, struct buf *out, struct str bytes);
/* All has come: what was held back is decided. */
void decode_end(struct decode *d, struct buf *out);

#endif
