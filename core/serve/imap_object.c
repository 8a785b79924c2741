/*
 * imap_object.c - ids of objects, RFC 8474 section 7 (objectid). Pure; any
 * thread.
 */
#include "serve/imap_object.h"

#include <inttypes.h>

#define DIGITS_MOST 16

void
imap_object_out(struct buf *out, enum imap_object kind, uint64_t id)
{
	buf_addf(out, "(%c%" PRIx64 ")", (int)kind, id);
}

static int
digit_of(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

uint64_t
imap_object_in(struct str text, enum imap_object kind)
{
	uint64_t id = 0;
	size_t i;

	if (text.len < 2 || text.len > DIGITS_MOST + 1 ||
	    text.at[0] != (char)kind)
		return 0;
	for (i = 1; i < text.len; i++) {
		if (digit_of(text.at[i]) < 0)
			return 0;
		id = id << 4 | (uint64_t)digit_of(text.at[i]);
	}
	return id;
}
