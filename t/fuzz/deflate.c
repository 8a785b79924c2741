/*
 * deflate.c - compressed input in pieces, with rests between them: what is
 * unpacked is what zlib makes of the whole, and packs and unpacks again. The
 * first byte says how long the pieces are.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

#include "net/deflate.h"

#define MOST (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char whole[MOST], parts[MOST];

/* By zlib at once; how many bytes came out before the end or a fault. */
static size_t
unpack_whole(const uint8_t *data, size_t size)
{
	z_stream z = {.next_in = data, .avail_in = (unsigned)size,
		.next_out = (unsigned char *)whole, .avail_out = MOST};

	assert(inflateInit2(&z, -15) == Z_OK);
	inflate(&z, Z_SYNC_FLUSH);
	inflateEnd(&z);
	return MOST - z.avail_out;
}

/* false: it is at its end, or damaged. */
static bool
unpack_piece(struct deflate *d, size_t *length)
{
	enum deflate_got got = DEFLATE_OK;
	size_t n;

	while (got == DEFLATE_OK && deflate_holds(d) && *length < MOST) {
		got = deflate_unpack(d, parts + *length,
			MOST - *length < 777 ? MOST - *length : 777, &n);
		*length += n;
	}
	return got == DEFLATE_OK && *length < MOST;
}

static size_t
unpack_parts(const uint8_t *data, size_t size, size_t each)
{
	struct deflate *d = deflate_new();
	size_t at = 0, length = 0, room, n;
	char *to;

	while (at < size) {
		to = deflate_room(d, &room);
		n = size - at < each ? size - at : each;
		n = n < room ? n : room;
		memcpy(to, data + at, n);
		deflate_came(d, n);
		at += n;
		if (!unpack_piece(d, &length))
			break;
		deflate_rest(d);
	}
	deflate_free(d);
	return length;
}

static void
pack_part(struct deflate *d, struct str part, z_stream *z)
{
	struct str out;

	while ((out = deflate_pack(d, &part, true)).len) {
		z->next_in = (const unsigned char *)out.at;
		z->avail_in = (unsigned)out.len;
		inflate(z, Z_SYNC_FLUSH);
		assert(z->avail_in == 0);
	}
	assert(part.len == 0);
	deflate_rest(d);
}

/* Packed with a rest in the middle, it comes back. */
static void
pack_again(size_t length)
{
	struct deflate *d = deflate_new();
	z_stream z = {.next_out = (unsigned char *)whole, .avail_out = MOST};

	assert(inflateInit2(&z, -15) == Z_OK);
	pack_part(d, str_of(parts, length / 2), &z);
	pack_part(d, str_sub(str_of(parts, length), length / 2, length), &z);
	deflate_free(d);
	inflateEnd(&z);
	assert(MOST - z.avail_out == length);
	assert(memcmp(whole, parts, length) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t length, want;

	if (size < 1)
		return 0;
	want = unpack_whole(data + 1, size - 1);
	length = unpack_parts(data + 1, size - 1, data[0] + 1u);
	/* In one call zlib may stop before the last bytes ahead of a fault. */
	assert(length >= want || length == MOST);
	assert(memcmp(whole, parts, want < length ? want : length) == 0);
	if (length < MOST)
		pack_again(length);
	return 0;
}
