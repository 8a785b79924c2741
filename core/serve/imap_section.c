/*
 * imap_section.c - BODY[...] and BINARY[...]: which bytes of the message they
 * name (RFC 9051 6.4.5.1, RFC 3516), and sending them.
 *
 * The length of a literal stands before it, so it is known from the ranges of
 * the parts; the bytes are then streamed block by block. Only header sections
 * from which fields are picked are taken to memory. What is not there is NIL.
 */
#include "serve/imap_fetch.h"

#include "mail/decode.h"
#include "mail/header.h"

struct span {
	uint64_t at, end;
};

/* ------------------------------------------------------ finding the bytes */

/* HEADER and TEXT behind a number are of the message that the part holds. */
static bool
find_message(const struct mime_view *v, const struct fetch_section *s,
	struct mime_part *p)
{
	if (s->n_path == 0 || s->text == SECTION_ALL || s->text == SECTION_MIME)
		return true;
	return p->is_message && mime_part(v, p->first_child, p);
}

/* false: the message has no such section. */
static bool
find_span(const struct mime_view *v, const struct fetch_section *s,
	struct span *out)
{
	int64_t i = mime_find(v, s->path, s->n_path);
	struct mime_part p;

	if (i < 0 || !mime_part(v, (uint32_t)i, &p) || !find_message(v, s, &p))
		return false;
	switch (s->text) {
	case SECTION_ALL:
		*out = (struct span){s->n_path ? p.body_at : p.header_at,
			p.end};
		return true;
	case SECTION_TEXT:
		*out = (struct span){p.body_at, p.end};
		return true;
	default:
		*out = (struct span){p.header_at, p.body_at};
		return true;
	}
}

/* Cuts *s to what a partial fetch wants of it. */
static void
cut_span(const struct fetch_section *f, struct span *s)
{
	uint64_t length = s->end - s->at;
	uint64_t from = f->from < length ? f->from : length;

	s->at += from;
	if (f->most < s->end - s->at)
		s->end = s->at + f->most;
}

/* ---------------------------------------------------------------- writing */

static void
begin(struct fetch *f, const struct fetch_section *s)
{
	buf_addstr(&f->line, s->label);
	buf_addc(&f->line, ' ');
}

static void
write_nil(struct fetch *f, const struct fetch_section *s)
{
	begin(f, s);
	buf_adds(&f->line, "NIL");
}

static void
begin_literal(struct fetch *f, const char *how, uint64_t length)
{
	buf_adds(&f->line, how);
	imap_number_out(&f->line, length);
	buf_adds(&f->line, "}\r\n");
}

static void
write_bytes(struct fetch *f, struct span s)
{
	struct stream *stream = &f->k->session->stream;
	struct str some;

	fetch_flush(f);
	while (s.at < s.end && !stream_failed(stream)) {
		some = imap_body_peek(&f->body, s.at, s.end);
		if (some.len == 0 && f->body.code == MR_STORE_OK)
			f->body.code = MR_STORE_FAILED;	/* it is too short */
		if (some.len == 0)
			return;
		stream_write_str(stream, some);
		s.at += some.len;
	}
}

static bool
is_named(const struct fetch_section *s, struct str name)
{
	size_t i;

	for (i = 0; i < s->n_field; i++)
		if (str_ieq(s->field[i], name))
			return true;
	return false;
}

/* The fields that are wanted, and what stands behind the last one: the empty
 * line, which belongs to every header section that has one. */
static void
pick_fields(const struct fetch_section *s, struct str section,
	struct buf *out)
{
	struct str rest = section;
	struct header_field h;
	const char *behind = section.at;

	while (header_next(&rest, &h)) {
		if (is_named(s, h.name) == (s->text == SECTION_FIELDS))
			buf_addstr(out, h.raw);
		behind = h.raw.at + h.raw.len;
	}
	buf_add(out, behind, section.len - (size_t)(behind - section.at));
}

static void
write_fields(struct fetch *f, const struct fetch_section *s, struct span span)
{
	struct buf picked;
	struct span part;

	buf_init(&picked, BUF_NO_CAP);
	pick_fields(s, imap_body_range(&f->body, span.at, span.end,
		&f->message), &picked);
	part = (struct span){0, picked.len};
	cut_span(s, &part);
	begin(f, s);
	begin_literal(f, "{", part.end - part.at);
	buf_addstr(&f->line, str_sub(buf_str(&picked), (size_t)part.at,
		(size_t)(part.end - part.at)));
	buf_free(&picked);
}

void
fetch_write_section(struct fetch *f, const struct fetch_section *s)
{
	struct span span;

	if (!find_span(imap_body_view(&f->body), s, &span)) {
		write_nil(f, s);
		return;
	}
	if (s->text == SECTION_FIELDS || s->text == SECTION_FIELDS_NOT) {
		write_fields(f, s, span);
		return;
	}
	cut_span(s, &span);
	begin(f, s);
	begin_literal(f, "{", span.end - span.at);
	write_bytes(f, span);
}

bool
fetch_find_bytes(struct imap_body *b, const struct fetch_section *s,
	struct arena *a, struct fetch_bytes *out)
{
	struct span span;
	struct buf picked;

	*out = (struct fetch_bytes){.picked = {NULL, 0}};
	if (!find_span(imap_body_view(b), s, &span))
		return false;
	if (s->text == SECTION_FIELDS || s->text == SECTION_FIELDS_NOT) {
		buf_init(&picked, BUF_NO_CAP);
		pick_fields(s, imap_body_range(b, span.at, span.end, a),
			&picked);
		span = (struct span){0, picked.len};
		cut_span(s, &span);
		out->picked = arena_str(a, str_sub(buf_str(&picked),
			(size_t)span.at, (size_t)(span.end - span.at)));
		buf_free(&picked);
		return true;
	}
	cut_span(s, &span);
	out->at = span.at;
	out->end = span.end;
	return true;
}

/* ----------------------------------------------------------------- BINARY */

/* Which bytes, and how they are encoded. Parts that hold others have no
 * encoding of their own (RFC 2045 6.4); the whole message has none either. */
static bool
find_binary(struct fetch *f, const struct fetch_section *s, struct span *out,
	enum decode_kind *kind)
{
	const struct mime_view *v = imap_body_view(&f->body);
	int64_t i = mime_find(v, s->path, s->n_path);
	struct mime_form form;
	struct mime_part p;

	*kind = DECODE_NONE;
	if (!find_span(v, s, out))
		return false;
	if (s->n_path == 0 || !mime_part(v, (uint32_t)i, &p) ||
	    p.is_multipart || p.is_message)
		return true;
	mime_form_read(imap_body_range(&f->body, p.header_at, p.body_at,
		&f->message), &f->message, &form);
	if (decode_find(form.encoding, kind))
		return true;
	f->unknown_encoding = true;
	return false;
}

/* Decodes a range; counts, and writes those bytes that lie in `part`. */
static uint64_t
decode_span(struct fetch *f, struct span s, enum decode_kind kind,
	const struct span *part)
{
	struct decode d;
	struct buf out;
	struct str some, wanted;
	uint64_t at = 0;
	bool is_last;

	decode_init(&d, kind);
	buf_init(&out, BUF_NO_CAP);
	do {
		some = imap_body_peek(&f->body, s.at, s.end);
		is_last = some.len == 0;
		buf_reset(&out);
		decode_add(&d, &out, some);
		if (is_last)
			decode_end(&d, &out);
		s.at += some.len;
		wanted = buf_str(&out);
		if (part != NULL && at + wanted.len > part->end)
			wanted = str_sub(wanted, 0, part->end > at ?
				(size_t)(part->end - at) : 0);
		if (part != NULL && at < part->at)
			wanted = str_sub(wanted, (size_t)(part->at - at),
				wanted.len);
		if (part != NULL)
			stream_write_str(&f->k->session->stream, wanted);
		at += out.len;
	} while (!is_last);
	buf_free(&out);
	return at;
}

void
fetch_write_binary(struct fetch *f, const struct fetch_section *s)
{
	enum decode_kind kind;
	struct span span, part;

	if (!find_binary(f, s, &span, &kind)) {
		write_nil(f, s);
		return;
	}
	part = (struct span){0, kind == DECODE_NONE ? span.end - span.at :
		decode_span(f, span, kind, NULL)};
	cut_span(s, &part);
	begin(f, s);
	/* NUL may be among the bytes: literal8. */
	begin_literal(f, "~{", part.end - part.at);
	fetch_flush(f);
	if (kind == DECODE_NONE)
		write_bytes(f, (struct span){span.at + part.at,
			span.at + part.end});
	else
		decode_span(f, span, kind, &part);
}

void
fetch_write_binary_size(struct fetch *f, const struct fetch_section *s)
{
	enum decode_kind kind;
	struct span span;

	begin(f, s);
	if (!find_binary(f, s, &span, &kind)) {
		buf_addc(&f->line, '0');
		return;
	}
	imap_number_out(&f->line, kind == DECODE_NONE ? span.end - span.at :
		decode_span(f, span, kind, NULL));
}
