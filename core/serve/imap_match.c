/*
 * imap_match.c - whether a message matches the keys of SEARCH.
 *
 * Children stand in order of cost, so a message is opened only when all that
 * its row and its cached envelope can say has been asked. Text is searched as
 * a person would read it: transfer encodings, charsets and encoded words
 * undone, case folded; parts that are not text are passed over. Parts are
 * streamed. The session's thread; blocks in the store.
 */
#include "serve/imap_search.h"

#include "base/clock.h"
#include "mail/charset.h"
#include "mail/decode.h"
#include "mail/header.h"
#include "serve/imap_text.h"

#define DAY_MS INT64_C(86400000)

void
search_match_init(struct search_match *m, const struct store *store)
{
	imap_body_init(&m->body, store);
	buf_init(&m->text, BUF_NO_CAP);
	buf_init(&m->folded, BUF_NO_CAP);
	arena_init(&m->message);
}

void
search_match_free(struct search_match *m)
{
	imap_body_free(&m->body);
	buf_free(&m->text);
	buf_free(&m->folded);
	arena_free(&m->message);
}

/* -------------------------------------------------------- what rows tell */

static bool
is_between(const struct search_key *key, int64_t n)
{
	return n >= key->low && n <= key->high;
}

static bool
has_uid(const struct search_key *key, uint32_t uid)
{
	size_t low = 0, high = key->n, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (key->range[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < key->n && key->range[low].first <= uid;
}

/* Keywords know no case (RFC 9051 2.3.2). */
static bool
has_keyword(const struct search_key *key, const struct mr_row *row)
{
	struct str rest = {row->keywords.at, row->keywords.len}, word;

	while ((word = str_word(&rest)).len > 0)
		if (str_ieq(word, key->name))
			return true;
	return false;
}

/* ------------------------------------------------------ what caches tell */

static bool
envelope_has(struct search_match *m, const struct search_key *key)
{
	const struct mime_view *v = imap_body_view(&m->body);

	buf_reset(&m->text);
	return v != NULL &&
		imap_envelope_text(v->envelope, key->field, &m->text) &&
		imap_text_has(buf_str(&m->text), key->text, &m->folded);
}

static bool
was_sent(struct search_match *m, const struct search_key *key)
{
	const struct mime_view *v = imap_body_view(&m->body);
	int64_t ms;
	int zone;

	buf_reset(&m->text);
	if (v == NULL || !imap_envelope_text(v->envelope, ENVELOPE_DATE,
	    &m->text) || !clock_parse_mail_date(buf_str(&m->text), &ms, &zone))
		return false;
	ms += (int64_t)zone * 60000;
	/* Division rounds towards zero, and there was mail before 1970. */
	return is_between(key, ms >= 0 ? ms / DAY_MS :
		-((DAY_MS - 1 - ms) / DAY_MS));
}

static bool
is_in_thread(struct search_match *m, const struct search_key *key)
{
	const struct mime_view *v = key->id == 0 ? NULL :
		imap_body_whole_view(&m->body);

	return v != NULL && v->thread == key->id;
}

/* ----------------------------------------------------- what headers tell */

static struct str
header_of(struct search_match *m, uint32_t part)
{
	const struct mime_view *v = imap_body_view(&m->body);
	struct mime_part p;

	if (v == NULL || !mime_part(v, part, &p))
		return STR("");
	return imap_body_range(&m->body, p.header_at, p.body_at, &m->message);
}

struct str
search_header(struct search_match *m)
{
	return header_of(m, 0);
}

static bool
header_has(struct search_match *m, const struct search_key *key)
{
	struct str rest = header_of(m, 0);
	struct header_field h;

	while (header_next(&rest, &h)) {
		if (!str_ieq(h.name, key->name))
			continue;
		buf_reset(&m->text);
		header_decode(&m->text, h.value);
		if (imap_text_has(buf_str(&m->text), key->text, &m->folded))
			return true;
	}
	return false;
}

/* Any field, its name included. */
static bool
any_field_has(struct search_match *m, uint32_t part, struct str text)
{
	struct str rest = header_of(m, part);
	struct header_field h;

	while (header_next(&rest, &h)) {
		buf_reset(&m->text);
		buf_addstr(&m->text, h.name);
		buf_adds(&m->text, ": ");
		header_decode(&m->text, h.value);
		if (imap_text_has(buf_str(&m->text), text, &m->folded))
			return true;
	}
	return false;
}

/* ------------------------------------------------------ what bodies tell */

/* bytes -> transfer encoding -> charset -> finder */
struct pipe {
	struct decode decode;
	struct charset *charset;	/* NULL: nothing to do */
	struct buf decoded, converted;
	struct imap_finder *finder;
};

static void
pipe_decoded(struct pipe *p, struct str text)
{
	if (p->charset == NULL) {
		imap_finder_add(p->finder, text);
		return;
	}
	buf_reset(&p->converted);
	charset_add(p->charset, &p->converted, text);
	imap_finder_add(p->finder, buf_str(&p->converted));
}

static void
pipe_add(struct pipe *p, struct str bytes)
{
	if (p->decode.kind == DECODE_NONE) {
		pipe_decoded(p, bytes);
		return;
	}
	buf_reset(&p->decoded);
	decode_add(&p->decode, &p->decoded, bytes);
	pipe_decoded(p, buf_str(&p->decoded));
}

static void
pipe_end(struct pipe *p)
{
	buf_reset(&p->decoded);
	decode_end(&p->decode, &p->decoded);
	pipe_decoded(p, buf_str(&p->decoded));
	if (p->charset != NULL) {
		buf_reset(&p->converted);
		charset_end(p->charset, &p->converted);
		imap_finder_add(p->finder, buf_str(&p->converted));
	}
	charset_free(p->charset);
	buf_free(&p->decoded);
	buf_free(&p->converted);
}

/* Multiparts are met here when they hold no part; their text is there. */
static bool
is_text(const struct mime_form *f)
{
	return str_iis(f->type, "text") || str_iis(f->type, "message") ||
		str_iis(f->type, "multipart");
}

static void
search_part(struct search_match *m, uint32_t part, const struct mime_part *p,
	struct imap_finder *finder)
{
	enum decode_kind kind = DECODE_NONE;
	struct mime_form form;
	struct pipe pipe = {.finder = finder};
	struct str some;
	uint64_t at = p->body_at;

	mime_form_read(header_of(m, part), &m->message, &form);
	if (!is_text(&form))
		return;
	if (!decode_find(form.encoding, &kind))
		kind = DECODE_NONE;
	decode_init(&pipe.decode, kind);
	pipe.charset = charset_new(form.charset);
	buf_init(&pipe.decoded, BUF_NO_CAP);
	buf_init(&pipe.converted, BUF_NO_CAP);
	imap_finder_restart(finder);
	while (!finder->found &&
	    (some = imap_body_peek(&m->body, at, p->end)).len > 0) {
		pipe_add(&pipe, some);
		at += some.len;
	}
	pipe_end(&pipe);
}

/* BODY is the text of all parts and the headers of messages in the message;
 * TEXT is that and all headers. */
static bool
content_has(struct search_match *m, const struct search_key *key)
{
	const struct mime_view *v = imap_body_view(&m->body);
	struct imap_finder finder;
	struct mime_part p, parent;
	uint32_t i;

	if (v == NULL)
		return false;
	imap_finder_init(&finder, key->text);
	for (i = 0; i < v->n_parts && !finder.found; i++) {
		mime_part(v, i, &p);
		mime_part(v, p.parent, &parent);
		if (key->kind == SEARCH_TEXT || (i > 0 && parent.is_message))
			finder.found = any_field_has(m, i, key->text);
		if (!finder.found && p.first_child == 0)
			search_part(m, i, &p, &finder);
	}
	imap_finder_free(&finder);
	return finder.found;
}

/* --------------------------------------------------------------- the tree */

static bool
match_leaf(struct search_match *m, const struct search_key *key)
{
	const struct mr_row *row = m->body.row;

	switch (key->kind) {
	case SEARCH_FLAG:
		return row->flags & key->flag;
	case SEARCH_KEYWORD:
		return has_keyword(key, row);
	case SEARCH_UIDS:
		return has_uid(key, row->uid);
	case SEARCH_SIZE:
		return is_between(key, (int64_t)row->length);
	case SEARCH_RECEIVED:
		return is_between(key, row->received_ms);
	case SEARCH_SAVED:
		return is_between(key, row->saved_ms);
	case SEARCH_MODSEQ:
		return is_between(key, (int64_t)row->modseq);
	case SEARCH_EMAILID:
		return (uint64_t)row->message_id == key->id;
	case SEARCH_SENT:
		return was_sent(m, key);
	case SEARCH_ENVELOPE:
		return envelope_has(m, key);
	case SEARCH_THREADID:
		return is_in_thread(m, key);
	case SEARCH_HEADER:
		return header_has(m, key);
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return content_has(m, key);
	default:
		return true;	/* SEARCH_ALL */
	}
}

/* As deep as the parser allows. */
static bool
match(struct search_match *m, const struct search_key *key)
{
	const struct search_key *child;
	bool is_or = key->kind == SEARCH_OR, found;

	if (!is_or && key->kind != SEARCH_AND)
		return match_leaf(m, key) != key->negated;
	for (child = key->first, found = !is_or; child && found != is_or;
	    child = child->next)
		found = match(m, child);
	return found != key->negated;
}

bool
search_match_row(struct search_match *m, const struct search_key *top,
	const struct mr_row *row, bool only_rows)
{
	const struct search_key *key;
	bool found = true;

	imap_body_turn(&m->body, row);
	for (key = top->first; key != NULL && found; key = key->next) {
		if (only_rows && key->cost > COST_ROW)
			break;
		found = match(m, key);
	}
	if (m->message.used > 0)
		arena_reset(&m->message);
	return found && m->body.code == MR_STORE_OK;
}
