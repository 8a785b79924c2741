/*
 * unpack.c - zlib does the work; of a ZIP archive the first file is taken,
 * whose local header has all that is needed (APPNOTE 4.3.7). Sizes that the
 * sender tells are not believed.
 */
#include "report/unpack.h"

#include <zlib.h>

#define PIECE 65536
#define ZIP_HEADER 30
#define ZIP_STORED 0
#define ZIP_DEFLATED 8

static unsigned
little(const char *at)
{
	return (unsigned char)at[0] | (unsigned)(unsigned char)at[1] << 8;
}

/* bits: zlib's window, which names the form: 31 gzip, -15 bare. */
static int
inflate_all(struct str in, int bits, struct buf *out, struct err *e)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.at,
		.avail_in = (uInt)in.len};
	size_t begin = out->len;
	int code;

	if (inflateInit2(&z, bits) != Z_OK)
		return err_set(e, ERR_SYS, "zlib cannot be used");
	do {
		z.next_out = (Bytef *)buf_reserve(out, PIECE);
		z.avail_out = PIECE;
		code = inflate(&z, Z_NO_FLUSH);
		buf_grew(out, PIECE - z.avail_out);
	} while (code == Z_OK && out->len - begin <= UNPACK_MOST);
	inflateEnd(&z);
	if (out->len - begin > UNPACK_MOST)
		return err_set(e, ERR_PROTOCOL, "it unpacks to more than "
			"%u MiB", UNPACK_MOST >> 20);
	return code == Z_STREAM_END ? 0 : err_set(e, ERR_PROTOCOL,
		"it is packed wrongly");
}

static int
unzip(struct str in, struct buf *out, struct err *e)
{
	size_t skip;
	unsigned method;

	if (in.len < ZIP_HEADER)
		return err_set(e, ERR_PROTOCOL, "it ends in its header");
	method = little(in.at + 8);
	skip = ZIP_HEADER + little(in.at + 26) + little(in.at + 28);
	if (skip > in.len || little(in.at + 6) & 1)
		return err_set(e, ERR_PROTOCOL, "its header is wrong, or it "
			"is encrypted");
	in = str_sub(in, skip, in.len);
	if (method == ZIP_DEFLATED)
		return inflate_all(in, -MAX_WBITS, out, e);
	return err_set(e, ERR_PROTOCOL, "it is packed in a way that is not "
		"known (%u)", method);
}

int
unpack(struct str packed, struct buf *out, struct err *e)
{
	if (packed.len > UNPACK_MOST)
		return err_set(e, ERR_PROTOCOL, "it has more than %u MiB",
			UNPACK_MOST >> 20);
	if (str_starts(packed, "\x1f\x8b"))
		return inflate_all(packed, MAX_WBITS + 16, out, e);
	if (str_starts(packed, "PK\x03\x04"))
		return unzip(packed, out, e);
	buf_addstr(out, packed);
	return 0;
}

int
pack(struct str plain, struct buf *out, struct err *e)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)plain.at,
		.avail_in = (uInt)plain.len};
	int code;

	if (deflateInit2(&z, Z_BEST_COMPRESSION, Z_DEFLATED, MAX_WBITS + 16,
		8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(e, ERR_SYS, "zlib cannot be used");
	do {
		z.next_out = (Bytef *)buf_reserve(out, PIECE);
		z.avail_out = PIECE;
		code = deflate(&z, Z_FINISH);
		buf_grew(out, PIECE - z.avail_out);
	} while (code == Z_OK);
	deflateEnd(&z);
	return code == Z_STREAM_END ? 0 : err_set(e, ERR_SYS,
		"zlib does not pack it");
}
