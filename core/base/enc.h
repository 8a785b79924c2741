/*
 * enc.h - encodings and digests that several rooms need.
 */
#ifndef BASE_ENC_H
#define BASE_ENC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* RFC 4648 section 4, no line breaks. */
void enc_base64(struct buf *out, const void *bytes, size_t len);
/* Strict: padding needed, no blanks. false leaves *out as it was. */
bool enc_unbase64(struct buf *out, struct str in);

void enc_hex(struct buf *out, const void *bytes, size_t len);

/* RFC 3501 section 5.1.3. Refuses what is not canonical (false). */
bool enc_utf7_to_utf8(struct buf *out, struct str in);
/* Input must be valid UTF-8 (see enc_is_utf8). */
void enc_utf8_to_utf7(struct buf *out, struct str in);
bool enc_is_utf8(struct str s);
bool enc_is_ascii(struct str s);

/* RFC 2045 section 6; lenient decoders that never fail: what is not valid
 * is passed over (base64) or kept (quoted-printable). */
void enc_mime_unbase64(struct buf *out, struct str in);
void enc_mime_unqp(struct buf *out, struct str in);

struct enc_sha256;	/* streaming */
struct enc_sha256 *enc_sha256_new(void);
void enc_sha256_add(struct enc_sha256 *h, const void *bytes, size_t len);
void enc_sha256_end(struct enc_sha256 *h, uint8_t out[32]);	/* frees */

/* Unguessable bytes; ends the process if the system has none. */
void enc_random(void *out, size_t len);
/* n characters of [a-z0-9] without look-alikes, for ids and passwords. */
void enc_random_word(char *out, size_t n);	/* writes n + 1 bytes */

#endif
