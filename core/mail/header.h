/*
 * header.h - the header section of a message: fields in order.
 *
 * Parsing never refuses: a line that is no field ends the header section
 * (RFC 5322 2.2) and belongs to the body. Views point into the parsed bytes.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct header_field {
	struct str name;	/* up to the colon, blanks before it cut */
	struct str value;	/* behind the colon, folds kept as CRLF + blank,
				   leading blank kept, final CRLF cut */
	struct str raw;		/* the whole field with its final CRLF */
};

/* The next field of *in; false at the end of the header section, with *in
 * then behind the empty line if there is one. Bare LF line ends are taken
 * too (stored mail may have them). */
bool header_next(struct str *in, struct header_field *out);
/* First field of that name in a header section. */
bool header_find(struct str section, const char *name,
	struct header_field *out);
/* The next "<a@b>" of *in, without the brackets (Message-ID, References);
 * at NULL: there is none. */
struct str header_next_id(struct str *in);
/* Unfolded and trimmed, in the arena. */
struct str header_unfold(struct arena *a, struct str value);
/* Unfolded, RFC 2047 words decoded to UTF-8 (iconv; bytes that do not
 * convert become U+FFFD). */
void header_decode(struct buf *out, struct str value);
/* What a filter gave as a value, in the form it is sent: line ends (LF or
 * CRLF) become CRLF and stand before a blank (a TAB is put in), lines of
 * blanks and trailing blanks go, NUL and a lone CR become a space: no value
 * can become a second field. leading: puts one blank in front. */
struct str header_normalise(struct arena *a, struct str value, bool leading);
/* A field name of RFC 5322 (printable, no colon, not empty, <= 255). */
bool header_is_name(struct str name);

#endif
