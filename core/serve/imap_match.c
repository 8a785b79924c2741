/*
 * imap_match.c - whether a message matches the keys of SEARCH.
 *
 * Children stand in order of cost, so a message is opened only when all that
 * its row and its cached envelope can say has been asked. Text is searched as
 * a person would read it (imap_legible.h). It is read once for all keys,
 * unless it is very long. The session's thread; blocks in the store.
 */
#include "serve/imap_search.h"

#include "base/clock.h"

#define DAY_MS INT64_C(86400000)
#define RECORDS_MOST (4 << 20)	/* longer texts are read for each key */

void
search_match_init(struct search_match *m, const struct store *store)
{
	imap_body_init(&m->body, store);
	buf_init(&m->text, BUF_NO_CAP);
	buf_init(&m->folded, BUF_NO_CAP);
	buf_init(&m->records, BUF_NO_CAP);
	legible_init(&m->legible, &m->body);
	imap_index_init(&m->index, store);
	arena_init(&m->message);
}

void
search_match_free(struct search_match *m)
{
	imap_index_free(&m->index);
	legible_free(&m->legible);
	imap_body_free(&m->body);
	buf_free(&m->text);
	buf_free(&m->folded);
	buf_free(&m->records);
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

/* ----------------------------------------------- what the index tells */

static bool
is_in_index(const struct search_key *key)
{
	return key->cost >= COST_HEADER || key->kind == SEARCH_ENVELOPE;
}

/* Where a key looks: from one space to the other. */
static enum mr_index_space
first_space(const struct search_key *key)
{
	return key->kind == SEARCH_BODY ? MR_INDEX_REST : MR_INDEX_HEAD;
}

static enum mr_index_space
last_space(const struct search_key *key)
{
	return key->cost == COST_BODY ? MR_INDEX_REST : MR_INDEX_HEAD;
}

static bool
excludes(struct search_match *m, enum mr_index_space space,
	const struct search_key *key)
{
	return imap_index_excludes(&m->index, space, key->number, key->text,
		m->body.row->message_id);
}

static bool
is_excluded(struct search_match *m, const struct search_key *key)
{
	return is_in_index(key) && excludes(m, first_space(key), key) &&
		(first_space(key) == last_space(key) ||
		excludes(m, last_space(key), key));
}

/* The index has this text of the message: the bytes that would be gathered. */
static bool
has_kept(struct search_match *m, enum mr_index_space space)
{
	return m->kept[space].at != NULL || imap_index_text(&m->index, space,
		m->body.row->message_id, &m->kept[space]);
}

enum guess { NO, MAYBE, YES };

/* What the index's texts say; MAYBE: some are not kept. */
static enum guess
kept_says(struct search_match *m, const struct search_key *key,
	const struct legible_key *k)
{
	enum mr_index_space space = first_space(key), last = last_space(key);
	enum guess said = NO;

	for (; space <= last && said == NO; space++) {
		if (excludes(m, space, key))
			continue;
		if (!has_kept(m, space))
			said = MAYBE;
		else if (legible_has(m->kept[space], k))
			said = YES;
	}
	return said;
}

/* ------------------------------------------------------ what caches tell */

static bool
envelope_has(struct search_match *m, const struct search_key *key)
{
	const struct legible_key k = {.where = IN_ENVELOPE,
		.field = key->field, .needle = key->text};
	const struct mime_view *v;
	enum guess said = kept_says(m, key, &k);

	if (said != MAYBE)
		return said == YES;
	v = imap_body_view(&m->body);
	buf_reset(&m->text);
	if (v == NULL ||
	    !imap_envelope_text(v->envelope, key->field, &m->text))
		return false;
	buf_reset(&m->folded);
	imap_text_fold(&m->folded, buf_str(&m->text));
	return str_find_str(buf_str(&m->folded), key->text) <
		m->folded.len + (key->text.len == 0);
}

/* Rows know, but those of a store that was not told. */
static struct mr_sent
sent(struct search_match *m)
{
	const struct mr_row *row = m->body.row;
	const struct mime_view *v;

	if (row->sent.ms != 0)
		return row->sent;
	v = imap_body_whole_view(&m->body);
	return v ? (struct mr_sent){v->sent_ms, v->sent_zone} :
		(struct mr_sent){MR_NOT_SENT, 0};
}

/* By the day it says, wherever that was (RFC 9051 6.4.4). */
static bool
was_sent(struct search_match *m, const struct search_key *key)
{
	struct mr_sent at = sent(m);

	if (at.ms == MR_NOT_SENT)
		return false;
	at.ms += (int64_t)at.zone * 60000;
	/* Division rounds towards zero, and there was mail before 1970. */
	return is_between(key, at.ms >= 0 ? at.ms / DAY_MS :
		-((DAY_MS - 1 - at.ms) / DAY_MS));
}

int64_t
search_sent_date(struct search_match *m)
{
	struct mr_sent at = sent(m);

	return at.ms == MR_NOT_SENT ? m->body.row->received_ms : at.ms;
}

static bool
is_in_thread(struct search_match *m, const struct search_key *key)
{
	const struct mime_view *v = key->id == 0 ? NULL :
		imap_body_whole_view(&m->body);

	return v != NULL && v->thread == key->id;
}

/* -------------------------------------------------------- what is legible */

struct str
search_header(struct search_match *m)
{
	const struct mime_view *v = imap_body_view(&m->body);
	struct mime_part p;

	if (v == NULL || !mime_part(v, 0, &p))
		return STR("");
	return imap_body_range(&m->body, p.header_at, p.body_at, &m->message);
}

static bool
gather_more(struct search_match *m)
{
	return m->records.len <= RECORDS_MOST &&
		legible_next(&m->legible, &m->records);
}

/* The header's records are there, or all that are not too many. */
static void
gather(struct search_match *m, enum search_kind kind)
{
	if (m->level == LEVEL_NOTHING) {
		buf_reset(&m->records);
		legible_begin(&m->legible);
		gather_more(m);
		m->level = LEVEL_HEADER;
	}
	if (kind == SEARCH_HEADER || m->level >= LEVEL_ALL)
		return;
	while (gather_more(m))
		;
	m->level = m->records.len <= RECORDS_MOST ? LEVEL_ALL : LEVEL_LONG;
}

/* Reads it again, and keeps no more than a block of it. */
static bool
long_text_has(struct search_match *m, const struct legible_key *key)
{
	bool found = false;

	m->level = LEVEL_NOTHING;
	buf_reset(&m->records);
	legible_begin(&m->legible);
	while (!found && legible_next(&m->legible, &m->records)) {
		found = legible_has(buf_str(&m->records), key);
		legible_keep_end(&m->records, key);
	}
	return found;
}

static bool
legible_says(struct search_match *m, const struct search_key *key)
{
	struct legible_key k = {.where = key->kind == SEARCH_TEXT ? IN_TEXT :
		key->kind == SEARCH_BODY ? IN_BODY : IN_FIELD,
		.name = key->name, .needle = key->text};
	enum guess said;

	if (key->text.len == 0 && key->kind != SEARCH_HEADER)
		return true;
	said = kept_says(m, key, &k);
	if (said != MAYBE)
		return said == YES;
	gather(m, key->kind);
	return legible_has(buf_str(&m->records), &k) ||
		(m->level == LEVEL_LONG && long_text_has(m, &k));
}

/* --------------------------------------------------------------- the tree */

static bool
match_leaf(struct search_match *m, const struct search_key *key)
{
	const struct mr_row *row = m->body.row;

	if (is_excluded(m, key))
		return false;
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
	case SEARCH_BODY:
	case SEARCH_TEXT:
		return legible_says(m, key);
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

/* Without a look at the message: NO and YES are certain. */
static enum guess
guess_leaf(struct search_match *m, const struct search_key *key)
{
	if (key->cost == COST_ROW)
		return match_leaf(m, key) ? YES : NO;
	return is_excluded(m, key) ? NO : MAYBE;
}

static enum guess
guess(struct search_match *m, const struct search_key *key)
{
	const enum guess end = key->kind == SEARCH_OR ? YES : NO;
	const struct search_key *child;
	enum guess all = YES - end, one;

	if (key->kind != SEARCH_OR && key->kind != SEARCH_AND) {
		all = guess_leaf(m, key);
		return key->negated ? YES - all : all;
	}
	for (child = key->first; child && all != end; child = child->next) {
		one = guess(m, child);
		if (end == NO ? one < all : one > all)
			all = one;
	}
	return key->negated ? YES - all : all;
}

bool
search_match_row(struct search_match *m, const struct search_key *top,
	const struct mr_row *row, bool only_rows)
{
	bool found;

	imap_body_turn(&m->body, row);
	m->level = LEVEL_NOTHING;
	memset(m->kept, 0, sizeof m->kept);
	found = only_rows ? guess(m, top) != NO : match(m, top);
	if (m->message.used > 0)
		arena_reset(&m->message);
	return found && m->body.code == MR_STORE_OK;
}
