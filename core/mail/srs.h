/*
 * srs.h - senders of mail that is sent on, rewritten so that SPF of the
 * sender's domain does not speak against us, and back again when a bounce
 * comes (Sender Rewriting Scheme).
 *
 *	user@a.example                    mail comes in for alias@us.example
 *	SRS0=h4x2ab=XY=a.example=user@us.example       and leaves like this
 *	SRS1=k7q3cd=b.example==h4x2ab=XY=a.example=user@us.example
 *					  when b.example had rewritten it before
 */
#ifndef MAIL_SRS_H
#define MAIL_SRS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

#define SRS_KEY 32
#define SRS_DAYS 21		/* how long a bounce may come back */

struct srs_keys {		/* the first makes, all are recognised */
	uint8_t key[8][SRS_KEY];
	size_t n;
};

enum srs_answer {
	SRS_OTHER,		/* not an address of this kind */
	SRS_VALID,
	SRS_FORGED,		/* not made with any of the keys */
	SRS_EXPIRED,
};

/* The sender to use in `domain`; false: none can be made of it (the null
 * sender, a quoted local part): keep it. */
bool srs_forward(const struct srs_keys *k, struct arena *a, struct str sender,
	struct str domain, int64_t now_ms, struct str *out);
/* Where mail to such an address goes: one hop back. out only if VALID. */
enum srs_answer srs_reverse(const struct srs_keys *k, struct arena *a,
	struct str address, int64_t now_ms, struct str *out);

#endif
