/*
 * imap_legible.c - reads the legible text of a message, piece by piece, and
 * finds in it. Blocks in the store; any thread, one message at a time.
 */
#include "serve/imap_legible.h"

#include "mail/header.h"
#include "serve/imap_envelope.h"

void
legible_init(struct legible *l, struct imap_body *b)
{
	*l = (struct legible){.body = b};
	arena_init(&l->room);
	buf_init(&l->decoded, BUF_NO_CAP);
	buf_init(&l->converted, BUF_NO_CAP);
	imap_fold_init(&l->fold);
}

static void
leave_text(struct legible *l)
{
	charset_free(l->charset);
	l->charset = NULL;
	l->in_text = false;
}

void
legible_begin(struct legible *l)
{
	leave_text(l);
	imap_fold_drop(&l->fold);
	l->part = 0;
}

void
legible_free(struct legible *l)
{
	leave_text(l);
	arena_free(&l->room);
	buf_free(&l->decoded);
	buf_free(&l->converted);
	imap_fold_free(&l->fold);
}

/* --------------------------------------------------------------- records */

static void
begin_record(struct buf *out, unsigned kind)
{
	buf_addc(out, '\0');
	buf_addc(out, (char)kind);
}

void
legible_envelope(struct legible *l, struct buf *out)
{
	static const enum envelope_field fields[] = {ENVELOPE_SUBJECT,
		ENVELOPE_FROM, ENVELOPE_TO, ENVELOPE_CC, ENVELOPE_BCC};
	const struct mime_view *v = imap_body_view(l->body);
	size_t i;

	for (i = 0; v && i < sizeof fields / sizeof *fields; i++) {
		buf_reset(&l->decoded);
		if (!imap_envelope_text(v->envelope, fields[i], &l->decoded))
			continue;
		begin_record(out, LEGIBLE_ENVELOPE + fields[i]);
		imap_text_fold(out, buf_str(&l->decoded));
	}
}

static void
add_fields(struct legible *l, enum legible_kind kind, struct buf *out)
{
	struct str rest = l->header;
	struct header_field h;

	while (header_next(&rest, &h)) {
		begin_record(out, kind);
		imap_text_fold(out, h.name);
		buf_adds(out, ": ");
		buf_reset(&l->decoded);
		header_decode(&l->decoded, h.value);
		imap_text_fold(out, buf_str(&l->decoded));
	}
}

/* ------------------------------------------------------------------ text */

/* Multiparts are met here when they hold no part; their text is there. */
static bool
is_text(const struct mime_form *f)
{
	return str_iis(f->type, "text") || str_iis(f->type, "message") ||
		str_iis(f->type, "multipart");
}

/* Of a part without parts. false: it has no text. */
static bool
begin_text(struct legible *l)
{
	enum decode_kind kind = DECODE_NONE;
	struct mime_form form;

	mime_form_read(l->header, &l->room, &form);
	if (!is_text(&form))
		return false;
	if (!decode_find(form.encoding, &kind))
		kind = DECODE_NONE;
	decode_init(&l->decode, kind);
	l->charset = charset_new(form.charset);
	l->next = l->at.body_at;
	l->end = l->at.end;
	l->is_begun = false;
	return true;
}

static void
add_decoded(struct legible *l, struct str text, struct buf *out)
{
	if (l->charset != NULL) {
		buf_reset(&l->converted);
		charset_add(l->charset, &l->converted, text);
		text = buf_str(&l->converted);
	}
	imap_fold_add(&l->fold, out, text);
}

static void
end_text(struct legible *l, struct buf *out)
{
	buf_reset(&l->decoded);
	decode_end(&l->decode, &l->decoded);
	add_decoded(l, buf_str(&l->decoded), out);
	if (l->charset != NULL) {
		buf_reset(&l->converted);
		charset_end(l->charset, &l->converted);
		imap_fold_add(&l->fold, out, buf_str(&l->converted));
	}
	imap_fold_end(&l->fold, out);
	leave_text(l);
}

/* bytes -> transfer encoding -> charset -> folding */
static void
add_block(struct legible *l, struct buf *out)
{
	struct str some = imap_body_peek(l->body, l->next, l->end);

	if (!l->is_begun)
		begin_record(out, LEGIBLE_BODY);
	l->is_begun = true;
	if (some.len == 0) {
		end_text(l, out);
		return;
	}
	l->next += some.len;
	if (l->decode.kind == DECODE_NONE) {
		add_decoded(l, some, out);
		return;
	}
	buf_reset(&l->decoded);
	decode_add(&l->decode, &l->decoded, some);
	add_decoded(l, buf_str(&l->decoded), out);
}

/* ---------------------------------------------------------------- parts */

static enum legible_kind
kind_of_header(const struct mime_view *v, uint32_t part,
	const struct mime_part *p)
{
	struct mime_part parent;

	if (part == 0)
		return LEGIBLE_FIELD;
	return mime_part(v, p->parent, &parent) && parent.is_message ?
		LEGIBLE_INNER_FIELD : LEGIBLE_PART_FIELD;
}

static void
begin_part(struct legible *l, const struct mime_view *v, struct buf *out)
{
	uint32_t part = l->part++;

	arena_reset(&l->room);
	if (!mime_part(v, part, &l->at))
		return;
	l->header = imap_body_range(l->body, l->at.header_at, l->at.body_at,
		&l->room);
	add_fields(l, kind_of_header(v, part, &l->at), out);
	if (l->at.first_child == 0)
		l->in_text = begin_text(l);
}

bool
legible_next(struct legible *l, struct buf *out)
{
	const struct mime_view *v = imap_body_view(l->body);

	if (l->body->code != MR_STORE_OK || v == NULL)
		return false;
	if (l->in_text)
		add_block(l, out);
	else if (l->part < v->n_parts)
		begin_part(l, v, out);
	else
		return false;
	return true;
}

/* --------------------------------------------------------------- finding */

/* The record in which `at` stands: its kind and text. */
static unsigned
record_of(struct str all, size_t at, struct str *text)
{
	const char *nul = memrchr(all.at, '\0', at), *end;
	size_t from = nul ? (size_t)(nul - all.at) : 0;

	end = memchr(all.at + at, '\0', all.len - at);
	*text = str_sub(all, from + 2,
		(end ? (size_t)(end - all.at) : all.len) - from - 2);
	return from + 1 < all.len ? (unsigned char)all.at[from + 1] : 0;
}

/* Whether a match there counts. */
static bool
is_in(const struct legible_key *key, unsigned kind, struct str text,
	size_t at)
{
	switch (key->where) {
	case IN_TEXT:
		return kind >= LEGIBLE_FIELD;
	case IN_BODY:
		return kind >= LEGIBLE_INNER_FIELD;
	case IN_FIELD:
		return kind == LEGIBLE_FIELD && at >= key->name.len + 2 &&
			str_eq(str_sub(text, 0, key->name.len), key->name) &&
			str_eq(str_sub(text, key->name.len, 2), STR(": "));
	default:
		return kind == LEGIBLE_ENVELOPE + key->field;
	}
}

/* Nothing is everywhere, but not in fields that are not there. */
static bool
has_record(struct str rest, const struct legible_key *key)
{
	struct str text;
	unsigned kind;

	if (key->where == IN_TEXT || key->where == IN_BODY)
		return true;
	while (rest.len >= 2) {
		kind = record_of(rest, 1, &text);
		if (is_in(key, kind, text, text.len))
			return true;
		rest = str_sub(rest, text.len + 2, rest.len);
	}
	return false;
}

/* Behind a match that does not count: where the next that may is looked for.
 * What strangers wrote must not be walked again and again. */
static size_t
pass(struct str all, size_t at, const struct legible_key *key,
	unsigned kind, struct str text)
{
	size_t from = (size_t)(text.at - all.at);

	if (at < from)
		return from;
	if (is_in(key, kind, text, text.len) &&
	    at < from + key->name.len + 2)
		return from + key->name.len + 2;
	return from + text.len;
}

/* What of the envelope there is stands in front of all fields. */
static struct str
only_envelope(struct str records)
{
	static const char field[] = {'\0', LEGIBLE_FIELD};

	return str_sub(records, 0, str_find_str(records,
		str_of(field, sizeof field)));
}

bool
legible_has(struct str records, const struct legible_key *key)
{
	const char *hit;
	struct str text;
	size_t at = 0;
	unsigned kind;

	if (key->where == IN_ENVELOPE)
		records = only_envelope(records);
	if (key->needle.len == 0)
		return has_record(records, key);
	while (at < records.len && (hit = memmem(records.at + at,
	    records.len - at, key->needle.at, key->needle.len)) != NULL) {
		at = (size_t)(hit - records.at);
		kind = record_of(records, at, &text);
		if (hit >= text.at && is_in(key, kind, text,
		    (size_t)(hit - text.at)))
			return true;
		at = pass(records, at, key, kind, text);
	}
	return false;
}

void
legible_keep_end(struct buf *records, const struct legible_key *key)
{
	const char *nul = records->len ? memrchr(records->at, '\0',
		records->len) : NULL;
	size_t keep = key->needle.len ? key->needle.len - 1 : 0, from;

	if (nul == NULL)
		return;
	from = (size_t)(nul - records->at) + 2;
	if (from + keep < records->len) {
		char head[2] = {nul[0], nul[1]};

		buf_shift(records, records->len - keep - 2);
		memcpy(records->at, head, 2);
	} else {
		buf_shift(records, from - 2);
	}
}
