/*
 * deflate.h - both directions of a connection as raw DEFLATE (RFC 1951), for
 * COMPRESS=DEFLATE (RFC 4978). Knows no descriptors: stream.c brings what
 * came and takes what is to go.
 *
 * A struct deflate is small. What zlib needs, some 300 KiB, exists between
 * its first use and deflate_rest(); then what stays is the peer's last 32 KiB
 * at most, to which the peer may still refer.
 */
#ifndef NET_DEFLATE_H
#define NET_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct deflate;

struct deflate *deflate_new(void);
void deflate_free(struct deflate *d);		/* NULL is allowed */

/* What came, room for it, and how much of that was filled. Only while
 * deflate_holds() is false. */
char *deflate_room(struct deflate *d, size_t *room);
void deflate_came(struct deflate *d, size_t n);
/* True while something that came may yet give output. */
bool deflate_holds(const struct deflate *d);

enum deflate_got {
	DEFLATE_OK,		/* *n may be 0: more has to come */
	DEFLATE_END,		/* the peer has ended its data */
	DEFLATE_DAMAGED,
};
/* The next plain bytes. */
enum deflate_got deflate_unpack(struct deflate *d, char *out, size_t room,
	size_t *n);

/* Packs from *plain, which shrinks, and returns bytes to be sent, valid until
 * the next call. Call until they are empty. all: nothing may stay behind. */
struct str deflate_pack(struct deflate *d, struct str *plain, bool all);

/* Between turns, with all output taken: gives memory back. */
void deflate_rest(struct deflate *d);

#endif
