/*
 * deflate.c - zlib in both directions of a connection, and what of it can be
 * given back while the connection is parked.
 *
 * Output: after a flush to a byte boundary a fresh compressor may go on. It
 * refers to nothing that was sent before, which the peer cannot tell. So
 * nothing is kept.
 *
 * Input: the peer may refer to its last 32 KiB at any time. Between two
 * blocks these are all that has to be kept, with the bits of the last byte
 * that belong to the next block (none after Z_SYNC_FLUSH, up to seven after
 * Z_PARTIAL_FLUSH). In the middle of a block the state of zlib is kept.
 */
#include "net/deflate.h"

#include <assert.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/arena.h"

#define RAW (-MAX_WBITS)	/* no header, no checksum (RFC 4978 section 3) */
#define LEVEL 4			/* most of the gain at half of the cost of 6 */
#define MEMORY 8
#define WINDOW 32768
#define CAME_ROOM 8192
#define PACKED_ROOM 16384
#define PACK_MOST (1u << 30)	/* in one call of zlib */

/* z_stream.data_type after inflate(). */
#define UNUSED_BITS 7
#define BETWEEN_BLOCKS 128

struct deflate {
	z_stream in, out;
	bool has_in, has_out;	/* zlib's state exists */
	bool more;		/* the last call filled all it was given, or
				   came to the end */
	bool behind;		/* packed bytes are not flushed yet */
	char *came;		/* CAME_ROOM, NULL while resting */
	size_t came_end;
	char *packed;		/* PACKED_ROOM */
	unsigned char *window;	/* while resting */
	unsigned window_length;
	unsigned char last;	/* the last byte, of which ... */
	int bits;		/* ... so many belong to the next block */
};

struct deflate *
deflate_new(void)
{
	return mem_alloc(sizeof(struct deflate));
}

void
deflate_free(struct deflate *d)
{
	if (!d)
		return;
	if (d->has_in)
		inflateEnd(&d->in);
	if (d->has_out)
		deflateEnd(&d->out);
	free(d->came);
	free(d->packed);
	free(d->window);
	free(d);
}

/* ---------------------------------------------------------------- input */

char *
deflate_room(struct deflate *d, size_t *room)
{
	assert(!deflate_holds(d));
	if (!d->came)
		d->came = mem_grow(NULL, CAME_ROOM);
	*room = CAME_ROOM;
	return d->came;
}

void
deflate_came(struct deflate *d, size_t n)
{
	if (n == 0)		/* the last byte that came is needed yet */
		return;
	d->came_end = n;
	d->in.next_in = (unsigned char *)d->came;
	d->in.avail_in = (unsigned)n;
}

bool
deflate_holds(const struct deflate *d)
{
	return d->in.avail_in > 0 || d->more;
}

/* zlib's state as it was before the rest. */
static bool
begin_input(struct deflate *d)
{
	if (d->has_in)
		return true;
	if (inflateInit2(&d->in, RAW) != Z_OK)
		return false;
	d->has_in = true;
	if (d->bits && inflatePrime(&d->in, d->bits,
		d->last >> (8 - d->bits)) != Z_OK)
		return false;
	if (d->window && inflateSetDictionary(&d->in, d->window,
		d->window_length) != Z_OK)
		return false;
	free(d->window);
	d->window = NULL;
	return true;
}

enum deflate_got
deflate_unpack(struct deflate *d, char *out, size_t room, size_t *n)
{
	int code;

	*n = 0;
	if (!begin_input(d))
		return DEFLATE_DAMAGED;
	d->in.next_out = (unsigned char *)out;
	d->in.avail_out = (unsigned)room;
	code = inflate(&d->in, Z_SYNC_FLUSH);
	*n = room - d->in.avail_out;
	d->more = d->in.avail_out == 0 || code == Z_STREAM_END;
	if (code == Z_STREAM_END)
		return *n ? DEFLATE_OK : DEFLATE_END;
	/* Z_BUF_ERROR: there was nothing to do. */
	return code == Z_OK || code == Z_BUF_ERROR ? DEFLATE_OK :
		DEFLATE_DAMAGED;
}

/* --------------------------------------------------------------- output */

struct str
deflate_pack(struct deflate *d, struct str *plain, bool all)
{
	unsigned n = plain->len > PACK_MOST ? PACK_MOST : (unsigned)plain->len;

	if (!plain->len && !(all && d->behind))
		return STR("");
	if (!d->has_out) {
		d->out = (z_stream){.next_in = NULL};
		if (deflateInit2(&d->out, LEVEL, Z_DEFLATED, RAW, MEMORY,
			Z_DEFAULT_STRATEGY) != Z_OK)
			abort();	/* no memory */
		d->has_out = true;
	}
	if (!d->packed)
		d->packed = mem_grow(NULL, PACKED_ROOM);
	d->out.next_in = (const unsigned char *)plain->at;
	d->out.avail_in = n;
	d->out.next_out = (unsigned char *)d->packed;
	d->out.avail_out = PACKED_ROOM;
	deflate(&d->out, all ? Z_SYNC_FLUSH : Z_NO_FLUSH);
	*plain = str_sub(*plain, n - d->out.avail_in, plain->len);
	/* A flush is complete when it leaves room (zlib.h, deflate()). */
	d->behind = !all || d->out.avail_out == 0;
	return str_of(d->packed, PACKED_ROOM - d->out.avail_out);
}

/* ----------------------------------------------------------------- rest */

static void
rest_input(struct deflate *d)
{
	unsigned char window[WINDOW];

	if (!d->has_in || !(d->in.data_type & BETWEEN_BLOCKS))
		return;
	if (inflateGetDictionary(&d->in, window, &d->window_length) != Z_OK)
		return;
	d->bits = d->in.data_type & UNUSED_BITS;
	if (d->bits)
		d->last = (unsigned char)d->came[d->came_end - 1];
	if (d->window_length) {
		d->window = mem_grow(NULL, d->window_length);
		memcpy(d->window, window, d->window_length);
	}
	inflateEnd(&d->in);
	d->has_in = false;
}

void
deflate_rest(struct deflate *d)
{
	assert(!deflate_holds(d) && !d->behind);
	rest_input(d);
	if (d->has_out)
		deflateEnd(&d->out);
	d->has_out = false;
	free(d->came);
	free(d->packed);
	d->came = d->packed = NULL;
}
