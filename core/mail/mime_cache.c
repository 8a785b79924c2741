/*
 * mime_cache.c - the parse of a message as one byte string, for the store.
 *
 *	"MRp" version wide	3 + 1 + 1 bytes; wide: offsets have 8 bytes
 *	length			8	of the message
 *	n_parts			4
 *	envelope, body, bodystructure	3 x 4	their lengths
 *	thread, length of the preview	8 + 2	not in version 1
 *	sent_ms, sent_zone	8 + 4	not in version 1
 *	the three texts
 *	the preview
 *	parts			n_parts records:
 *		header_at body_at end	3 x 4, or 3 x 8
 *		lines			4
 *		parent n_children first_child next	4 x 2
 *		flags			1
 *
 * Numbers are big endian. A change of the form or of what the parser makes
 * of a message raises CACHE_VERSION: older caches are then not opened and the
 * message is parsed again, but for version 1, which lacks only what few ask
 * for. The string comes back from a disk, so mime_open
 * checks all of it; afterwards the links of the parts lead forwards only and
 * no walk along them can go in circles. Pure; any thread.
 */
#include "mail/mime_parts.h"

#define MAGIC "MRp"
#define CACHE_VERSION 2
#define HEAD_SIZE 29		/* of version 1 */
#define MORE_SIZE 22
#define FLAG_MULTIPART 1
#define FLAG_MESSAGE 2

static void
put(struct buf *out, uint64_t n, unsigned bytes)
{
	while (bytes-- > 0)
		buf_addc(out, (char)(n >> (8 * bytes)));
}

static uint64_t
take(struct str *in, unsigned bytes)
{
	uint64_t n = 0;
	unsigned i;

	for (i = 0; i < bytes; i++)
		n = n << 8 | (unsigned char)in->at[i];
	*in = str_sub(*in, bytes, in->len);
	return n;
}

static size_t
record_size(bool wide)
{
	return (wide ? 24 : 12) + 13;
}

static void
put_part(struct buf *out, const struct mime_part *p, bool wide)
{
	unsigned width = wide ? 8 : 4;

	put(out, p->header_at, width);
	put(out, p->body_at, width);
	put(out, p->end, width);
	put(out, p->lines, 4);
	put(out, p->parent, 2);
	put(out, p->n_children, 2);
	put(out, p->first_child, 2);
	put(out, p->next, 2);
	put(out, (p->is_multipart ? FLAG_MULTIPART : 0) |
		(p->is_message ? FLAG_MESSAGE : 0), 1);
}

void
mime_cache_write(struct buf *out, const struct mime_result *r)
{
	const struct mime_entity *e = r->part;
	bool wide = r->length > UINT32_MAX;
	struct buf body, structure;
	uint32_t i;

	buf_init(&body, BUF_NO_CAP);
	buf_init(&structure, BUF_NO_CAP);
	mime_text_structure(&body, e, r->text, false);
	mime_text_structure(&structure, e, r->text, true);
	buf_adds(out, MAGIC);
	put(out, CACHE_VERSION, 1);
	put(out, wide, 1);
	put(out, r->length, 8);
	put(out, r->n_parts, 4);
	put(out, e[0].envelope.len, 4);
	put(out, body.len, 4);
	put(out, structure.len, 4);
	put(out, r->thread, 8);
	put(out, r->preview->len, 2);
	put(out, (uint64_t)r->sent_ms, 8);
	put(out, (uint32_t)r->sent_zone, 4);
	buf_add(out, r->text->at + e[0].envelope.at, e[0].envelope.len);
	buf_addstr(out, buf_str(&body));
	buf_addstr(out, buf_str(&structure));
	buf_addstr(out, buf_str(r->preview));
	for (i = 0; i < r->n_parts; i++)
		put_part(out, &e[i].at, wide);
	buf_free(&body);
	buf_free(&structure);
}

static struct mime_part
take_part(const struct mime_view *v, uint32_t index)
{
	size_t size = v->parts.len / v->n_parts;
	unsigned width = size == record_size(true) ? 8 : 4;
	struct str in = str_sub(v->parts, index * size, size);
	struct mime_part p;
	unsigned flags;

	p.header_at = take(&in, width);
	p.body_at = take(&in, width);
	p.end = take(&in, width);
	p.lines = (uint32_t)take(&in, 4);
	p.parent = (uint32_t)take(&in, 2);
	p.n_children = (uint32_t)take(&in, 2);
	p.first_child = (uint32_t)take(&in, 2);
	p.next = (uint32_t)take(&in, 2);
	flags = (unsigned)take(&in, 1);
	p.is_multipart = flags & FLAG_MULTIPART;
	p.is_message = flags & FLAG_MESSAGE;
	return p;
}

static bool
is_link(uint32_t from, uint32_t to, uint32_t n_parts)
{
	return to == 0 || (to > from && to < n_parts);
}

static bool
is_part_sane(const struct mime_view *v, uint32_t i)
{
	struct mime_part p = take_part(v, i);

	return p.header_at <= p.body_at && p.body_at <= p.end &&
		p.end <= v->length && (i == 0 ? p.parent == 0 : p.parent < i) &&
		is_link(i, p.first_child, v->n_parts) &&
		is_link(i, p.next, v->n_parts) &&
		p.n_children < v->n_parts &&
		(p.n_children == 0) == (p.first_child == 0) &&
		!(p.is_multipart && p.is_message) &&
		(!p.is_message || p.n_children == 1) &&
		(p.is_message || p.is_multipart || p.n_children == 0);
}

/* Cuts `len` bytes off *in into *out. */
static bool
cut(struct str *in, uint64_t len, struct str *out)
{
	if (len > in->len)
		return false;
	*out = str_sub(*in, 0, (size_t)len);
	*in = str_sub(*in, (size_t)len, in->len);
	return true;
}

/* What came with version 2. */
static bool
take_more(struct str *in, uint64_t version, struct mime_view *out,
	uint64_t *preview)
{
	out->is_old = version == 1;
	out->thread = 0;
	out->sent_ms = MIME_NOT_SENT;
	out->sent_zone = 0;
	*preview = 0;
	if (out->is_old)
		return true;
	if (in->len < MORE_SIZE)
		return false;
	out->thread = take(in, 8);
	*preview = take(in, 2);
	out->sent_ms = (int64_t)take(in, 8);
	out->sent_zone = (int32_t)take(in, 4);
	return true;
}

bool
mime_open(struct str cache, struct mime_view *out)
{
	uint64_t version, wide, envelope, body, structure, preview, n;
	struct str in = cache;
	uint32_t i;

	if (in.len < HEAD_SIZE || !str_starts(in, MAGIC))
		return false;
	in = str_sub(in, 3, in.len);
	version = take(&in, 1);
	if (version == 0 || version > CACHE_VERSION ||
	    (wide = take(&in, 1)) > 1)
		return false;
	out->length = take(&in, 8);
	n = take(&in, 4);
	envelope = take(&in, 4);
	body = take(&in, 4);
	structure = take(&in, 4);
	if (!take_more(&in, version, out, &preview) || n == 0 ||
	    n > MIME_PARTS_MAX ||
	    !cut(&in, envelope, &out->envelope) ||
	    !cut(&in, body, &out->body) ||
	    !cut(&in, structure, &out->bodystructure) ||
	    !cut(&in, preview, &out->preview) ||
	    in.len != n * record_size(wide))
		return false;
	out->n_parts = (uint32_t)n;
	out->parts = in;
	for (i = 0; i < out->n_parts; i++)
		if (!is_part_sane(out, i))
			return false;
	return true;
}

bool
mime_part(const struct mime_view *v, uint32_t index, struct mime_part *out)
{
	if (index >= v->n_parts)
		return false;
	*out = take_part(v, index);
	return true;
}

/* The nth child (1 first), or -1. */
static int64_t
child(const struct mime_view *v, const struct mime_part *p, uint32_t n)
{
	uint32_t i = p->first_child;

	while (i != 0 && n > 1) {
		i = take_part(v, i).next;
		n--;
	}
	return i == 0 || n == 0 ? -1 : (int64_t)i;
}

/* A number names a child of a multipart; below a message (and at the top)
 * that holds no multipart, 1 names its body, which is the message's own
 * part. */
int64_t
mime_find(const struct mime_view *v, const uint32_t *path, size_t n_path)
{
	bool as_message = true;
	int64_t at = 0;
	struct mime_part p;
	size_t i;

	for (i = 0; i < n_path && at >= 0; i++) {
		p = take_part(v, (uint32_t)at);
		if (!as_message && p.is_message) {
			at = p.first_child;
			p = take_part(v, p.first_child);
			as_message = true;
		}
		if (p.is_multipart)
			at = child(v, &p, path[i]);
		else if (!as_message || path[i] != 1)
			at = -1;
		as_message = false;
	}
	return at;
}
