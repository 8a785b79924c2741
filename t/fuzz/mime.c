/*
 * mime.c - the MIME parser and its cache. The first byte says how the rest
 * is cut; the cut must not change the cache, the parts must lie in each
 * other, and any bytes given as a cache must be refused or safe to walk.
 */
#include <assert.h>
#include <stdint.h>

#include "mail/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
parse(struct str in, size_t cut, struct buf *cache)
{
	struct mime *m = mime_new();
	size_t at;

	for (at = 0; at < in.len; at += cut)
		mime_feed(m, in.at + at, str_sub(in, at, cut).len);
	mime_end(m, cache);
}

static void
walk(const struct mime_view *v, bool is_ours)
{
	static const uint32_t path[] = {1, 1, 2, 1, 1, 1};
	struct mime_part p, up;
	uint32_t i;
	size_t n;

	assert(v->n_parts > 0);
	for (i = 0; mime_part(v, i, &p); i++) {
		assert(p.header_at <= p.body_at && p.body_at <= p.end);
		assert(p.end <= v->length);
		assert(mime_part(v, p.parent, &up));
		assert(!is_ours || i == 0 ||
			(up.body_at <= p.header_at && p.end <= up.end));
	}
	assert(i == v->n_parts);
	for (n = 0; n <= sizeof path / sizeof path[0]; n++)
		assert(mime_find(v, path, n) < (int64_t)v->n_parts);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole, cut;
	struct mime_view v;
	struct str in;

	if (size == 0)
		return 0;
	in = str_of(data + 1, size - 1);
	if (mime_open(in, &v))
		walk(&v, false);
	buf_init(&whole, BUF_NO_CAP);
	buf_init(&cut, BUF_NO_CAP);
	parse(in, in.len + 1, &whole);
	parse(in, (size_t)data[0] + 1, &cut);
	assert(str_eq(buf_str(&whole), buf_str(&cut)));
	assert(mime_open(buf_str(&whole), &v));
	assert(v.length == in.len);
	walk(&v, true);
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
