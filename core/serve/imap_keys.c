/*
 * imap_keys.c - the keys of SEARCH, read into a tree (RFC 9051 6.4.4, RFC
 * 5032, RFC 7162, RFC 8514, RFC 8474).
 *
 * Chains that clients write by the hundred, "OR a OR b OR c ..." and "NOT NOT
 * a", become one node; only brackets and an OR in the first place of an OR go
 * down, and no deeper than DEPTH_MOST. NOT is a bit of its key.
 */
#include "serve/imap_search.h"

#include "base/clock.h"
#include "mail/charset.h"
#include "serve/imap_object.h"
#include "serve/imap_text.h"

#define DEPTH_MOST 64
#define KEYS_MOST 20000

struct reader {
	struct search_tree *tree;
	struct imap *k;
	struct imap_in *in;
	struct str charset;
	unsigned depth, n_keys;
	struct mr_range *saved;	/* "$", copied once; NULL: not yet */
	size_t n_saved;
};

struct key_word {
	const char *name;
	struct search_key *(*read)(struct reader *r, const struct key_word *w);
	int64_t what;
	bool negated;
};

static struct search_key *read_key(struct reader *r);
static struct search_key *read_list(struct reader *r);

static struct search_key *
refuse(struct reader *r, const char *why)
{
	if (r->in->wrong == NULL)
		r->in->wrong = why;
	return NULL;
}

static struct search_key *
new_key(struct reader *r, enum search_kind kind, uint32_t want)
{
	struct search_key *key;

	if (r->n_keys++ >= KEYS_MOST)
		return refuse(r, "too many keys");
	key = arena_alloc(r->in->arena, sizeof *key);
	key->kind = kind;
	key->low = 0;
	key->high = INT64_MAX;
	key->cost = kind >= SEARCH_BODY && kind <= SEARCH_TEXT ? COST_BODY :
		kind == SEARCH_HEADER ? COST_HEADER :
		kind >= SEARCH_ENVELOPE && kind <= SEARCH_THREADID ?
		COST_ENVELOPE : COST_ROW;
	key->number = r->n_keys;
	r->tree->want |= want;
	if (key->cost >= COST_HEADER || kind == SEARCH_ENVELOPE) {
		r->tree->has_text = true;
		want &= ~MR_ROW_CACHE;
	}
	r->tree->want_indexed |= want;
	return key;
}

/* Keeps children in order of cost, and those of one cost as they came. */
static void
add_child(struct search_key *parent, struct search_key *child)
{
	struct search_key **at = &parent->first;

	while (*at != NULL && (*at)->cost <= child->cost)
		at = &(*at)->next;
	child->next = *at;
	*at = child;
	if (child->cost > parent->cost)
		parent->cost = child->cost;
}

/* ---------------------------------------------------------------- values */

static struct str
folded(struct arena *a, struct str text)
{
	struct buf b;
	struct str out;

	buf_init(&b, BUF_NO_CAP);
	imap_text_fold(&b, text);
	out = arena_str(a, buf_str(&b));
	buf_free(&b);
	return out;
}

static bool
read_text(struct reader *r, struct str *out)
{
	struct buf utf8;
	struct str text;

	if (!imap_blank(r->in) || !imap_astring(r->in, &text))
		return false;
	buf_init(&utf8, BUF_NO_CAP);
	charset_convert(&utf8, r->charset, text);
	*out = folded(r->in->arena, buf_str(&utf8));
	buf_free(&utf8);
	return true;
}

static struct search_key *
read_all(struct reader *r, const struct key_word *w)
{
	(void)w;
	return new_key(r, SEARCH_ALL, 0);
}

static struct search_key *
read_flag(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_FLAG, 0);

	if (key != NULL)
		key->flag = (uint32_t)w->what;
	return key;
}

static struct search_key *
read_keyword(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_KEYWORD, MR_ROW_KEYWORDS);

	(void)w;
	return key && imap_blank(r->in) && imap_atom(r->in, &key->name) ?
		key : NULL;
}

/* Messages from recent_from on. */
static struct search_key *
read_recent(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_UIDS, 0);
	struct mr_range recent = {r->k->box->recent_from, UINT32_MAX};

	(void)w;
	if (key == NULL)
		return NULL;
	key->range = arena_copy(r->in->arena, &recent, sizeof recent);
	key->n = 1;
	return key;
}

/* RECENT UNSEEN */
static struct search_key *
read_new(struct reader *r, const struct key_word *w)
{
	struct search_key *both = new_key(r, SEARCH_AND, 0);
	struct search_key *recent = read_recent(r, w);
	struct search_key *unseen = new_key(r, SEARCH_FLAG, 0);

	if (both == NULL || recent == NULL || unseen == NULL)
		return NULL;
	unseen->flag = MR_FLAG_SEEN;
	unseen->negated = true;
	add_child(both, recent);
	add_child(both, unseen);
	return both;
}

/* Numbers that are not there match nothing; '*' is the last message, and
 * "9:*" names it even where it comes before 9. */
static size_t
clip_set(struct mr_range *set, size_t n, uint32_t exists)
{
	size_t i, kept = 0;

	for (i = 0; i < n && exists > 0; i++) {
		if (set[i].last == UINT32_MAX && set[i].first > exists)
			set[i].first = exists;
		if (set[i].last > exists)
			set[i].last = exists;
		if (set[i].first <= set[i].last)
			set[kept++] = set[i];
	}
	return kept;
}

static struct search_key *
read_set(struct reader *r, bool uid)
{
	struct search_key *key = new_key(r, SEARCH_UIDS, 0);
	struct mr_range *set, *range;
	bool saved;
	size_t n;

	if (key == NULL || !imap_set(r->in, &set, &n, &saved))
		return NULL;
	if (!uid && !saved && r->k->enabled & IMAP_UIDONLY)
		return refuse(r, imap_uid_required);
	if (saved) {
		if (r->saved == NULL)
			r->saved = imap_box_saved(r->k->box, r->in->arena,
				&r->n_saved);
		key->range = r->saved;
		key->n = r->n_saved;
		return key;
	}
	if (!uid)
		n = clip_set(set, n, imap_box_exists(r->k->box));
	if (n > 0 && imap_box_ranges(r->k->box, set, n, uid, r->in->arena,
	    &range, &key->n))
		key->range = range;
	else
		key->n = 0;
	return key;
}

static struct search_key *
read_uid(struct reader *r, const struct key_word *w)
{
	(void)w;
	return imap_blank(r->in) ? read_set(r, true) : NULL;
}

enum { BELOW, EXACTLY, ABOVE };

/* UIDAFTER and UIDBEFORE, RFC 9738 3.2. */
static struct search_key *
read_uid_end(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_UIDS, 0);
	struct mr_range range = {1, UINT32_MAX};
	uint32_t uid;

	if (key == NULL || !imap_blank(r->in) || !imap_number(r->in, &uid))
		return NULL;
	if (uid == 0)
		return refuse(r, "UIDs begin with 1");
	if (w->what == ABOVE)
		range.first = uid < UINT32_MAX ? uid + 1 : uid;
	else
		range.last = uid - 1;
	key->range = arena_copy(r->in->arena, &range, sizeof range);
	key->n = range.first <= range.last;
	return key;
}

static struct search_key *
read_size(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_SIZE, MR_ROW_MESSAGE);
	uint64_t n;

	if (key == NULL || !imap_blank(r->in) || !imap_number64(r->in, &n))
		return NULL;
	if (w->what == ABOVE)
		key->low = (int64_t)n + 1;
	else
		key->high = (int64_t)n - 1;
	return key;
}

/* A day in the zone in which dates of the store are shown. */
static struct search_key *
read_day(struct reader *r, int64_t side, struct search_key *key)
{
	int64_t day;

	if (key == NULL || !imap_blank(r->in) || !imap_day(r->in, &day))
		return NULL;
	key->low = side == BELOW ? INT64_MIN : clock_day_start(day);
	if (side == BELOW)
		key->high = clock_day_start(day) - 1;
	else if (side == EXACTLY)
		key->high = clock_day_start(day + 1) - 1;
	return key;
}

/* INTERNALDATE */
static struct search_key *
read_received(struct reader *r, const struct key_word *w)
{
	return read_day(r, w->what, new_key(r, SEARCH_RECEIVED,
		MR_ROW_MESSAGE));
}

/* RFC 8514 4.3 */
static struct search_key *
read_saved(struct reader *r, const struct key_word *w)
{
	return read_day(r, w->what, new_key(r, SEARCH_SAVED, MR_ROW_SAVED));
}

/* The Date field, in its own zone: days. */
static struct search_key *
read_sent(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_SENT,
		MR_ROW_SENT | MR_ROW_MESSAGE);
	int64_t day;

	if (key == NULL || !imap_blank(r->in) || !imap_day(r->in, &day))
		return NULL;
	key->low = w->what == BELOW ? INT64_MIN : day;
	key->high = w->what == BELOW ? day - 1 : w->what == EXACTLY ? day :
		INT64_MAX;
	return key;
}

/* OLDER and YOUNGER n seconds, RFC 5032. */
static struct search_key *
read_age(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_RECEIVED, MR_ROW_MESSAGE);
	uint32_t seconds;
	int64_t then;

	if (key == NULL || !imap_blank(r->in) ||
	    !imap_number(r->in, &seconds))
		return NULL;
	then = clock_wall() - (int64_t)seconds * 1000;
	key->low = w->what == BELOW ? INT64_MIN : then;
	key->high = w->what == BELOW ? then : INT64_MAX;
	return key;
}

/* MODSEQ ["/flags/\\Seen" all] n: we keep one counter for all of a message,
 * so what it is asked of does not matter (RFC 7162 3.1.5). */
static struct search_key *
read_modseq(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_MODSEQ, 0);
	struct str entry;
	uint64_t n;

	(void)w;
	if (key == NULL || !imap_blank(r->in))
		return NULL;
	if (imap_is_char(r->in, '"') && (!imap_string(r->in, &entry) ||
	    !imap_blank(r->in) || !imap_atom(r->in, &entry) ||
	    !imap_blank(r->in)))
		return NULL;
	if (!imap_number64(r->in, &n))
		return NULL;
	key->low = (int64_t)n;
	r->tree->has_modseq = true;
	return key;
}

/* RFC 8474 section 6. An id that we never gave finds nothing. */
static struct search_key *
read_object(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, (enum search_kind)w->what,
		w->what == SEARCH_EMAILID ? MR_ROW_MESSAGE :
		MR_ROW_CACHE | MR_ROW_MESSAGE);
	struct str id;

	if (key == NULL || !imap_blank(r->in) || !imap_astring(r->in, &id))
		return NULL;
	key->id = imap_object_in(id, w->what == SEARCH_EMAILID ?
		IMAP_OBJECT_EMAIL : IMAP_OBJECT_THREAD);
	return key;
}

static struct search_key *
read_envelope(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_ENVELOPE,
		MR_ROW_CACHE | MR_ROW_MESSAGE);

	if (key == NULL || !read_text(r, &key->text))
		return NULL;
	key->field = (enum envelope_field)w->what;
	return key;
}

static struct search_key *
read_header(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, SEARCH_HEADER,
		MR_ROW_CACHE | MR_ROW_MESSAGE);

	(void)w;
	if (key == NULL || !imap_blank(r->in) ||
	    !imap_astring(r->in, &key->name))
		return NULL;
	key->name = folded(r->in->arena, key->name);
	return read_text(r, &key->text) ? key : NULL;
}

/* BODY, TEXT */
static struct search_key *
read_content(struct reader *r, const struct key_word *w)
{
	struct search_key *key = new_key(r, (enum search_kind)w->what,
		MR_ROW_CACHE | MR_ROW_MESSAGE);

	return key && read_text(r, &key->text) ? key : NULL;
}

/* ------------------------------------------------------------- the tree */

static struct str
peek_word(const struct imap_in *in)
{
	size_t i = 0;

	while (i < in->rest.len && is_alnum(in->rest.at[i]))
		i++;
	return str_sub(in->rest, 0, i);
}

static struct search_key *
read_not(struct reader *r, const struct key_word *w)
{
	struct search_key *key;
	bool negated = true;
	struct str word;

	(void)w;
	for (;;) {
		if (!imap_blank(r->in))
			return NULL;
		if (!str_iis(peek_word(r->in), "NOT"))
			break;
		imap_atom(r->in, &word);
		negated = !negated;
	}
	key = read_key(r);
	if (key != NULL && negated)
		key->negated = !key->negated;
	return key;
}

static struct search_key *
read_or(struct reader *r, const struct key_word *w)
{
	struct search_key *either = new_key(r, SEARCH_OR, 0), *key;
	struct str word;
	bool more;

	(void)w;
	do {
		if (either == NULL || !imap_blank(r->in) ||
		    (key = read_key(r)) == NULL || !imap_blank(r->in))
			return NULL;
		add_child(either, key);
		more = str_iis(peek_word(r->in), "OR");
		if (more)
			imap_atom(r->in, &word);
	} while (more);
	if ((key = read_key(r)) == NULL)
		return NULL;
	add_child(either, key);
	return either;
}

static const struct key_word key_words[] = {
	{"ALL", read_all, 0, false},
	{"ANSWERED", read_flag, MR_FLAG_ANSWERED, false},
	{"BCC", read_envelope, ENVELOPE_BCC, false},
	{"BEFORE", read_received, BELOW, false},
	{"BODY", read_content, SEARCH_BODY, false},
	{"CC", read_envelope, ENVELOPE_CC, false},
	{"DELETED", read_flag, MR_FLAG_DELETED, false},
	{"DRAFT", read_flag, MR_FLAG_DRAFT, false},
	{"EMAILID", read_object, SEARCH_EMAILID, false},
	{"FLAGGED", read_flag, MR_FLAG_FLAGGED, false},
	{"FROM", read_envelope, ENVELOPE_FROM, false},
	{"HEADER", read_header, 0, false},
	{"KEYWORD", read_keyword, 0, false},
	{"LARGER", read_size, ABOVE, false},
	{"MODSEQ", read_modseq, 0, false},
	{"NEW", read_new, 0, false},
	{"NOT", read_not, 0, false},
	{"OLD", read_recent, 0, true},
	{"OLDER", read_age, BELOW, false},
	{"ON", read_received, EXACTLY, false},
	{"OR", read_or, 0, false},
	{"RECENT", read_recent, 0, false},
	{"SAVEDATESUPPORTED", read_all, 0, false},
	{"SAVEDBEFORE", read_saved, BELOW, false},
	{"SAVEDON", read_saved, EXACTLY, false},
	{"SAVEDSINCE", read_saved, ABOVE, false},
	{"SEEN", read_flag, MR_FLAG_SEEN, false},
	{"SENTBEFORE", read_sent, BELOW, false},
	{"SENTON", read_sent, EXACTLY, false},
	{"SENTSINCE", read_sent, ABOVE, false},
	{"SINCE", read_received, ABOVE, false},
	{"SMALLER", read_size, BELOW, false},
	{"SUBJECT", read_envelope, ENVELOPE_SUBJECT, false},
	{"TEXT", read_content, SEARCH_TEXT, false},
	{"THREADID", read_object, SEARCH_THREADID, false},
	{"TO", read_envelope, ENVELOPE_TO, false},
	{"UID", read_uid, 0, false},
	{"UIDAFTER", read_uid_end, ABOVE, false},
	{"UIDBEFORE", read_uid_end, BELOW, false},
	{"UNANSWERED", read_flag, MR_FLAG_ANSWERED, true},
	{"UNDELETED", read_flag, MR_FLAG_DELETED, true},
	{"UNDRAFT", read_flag, MR_FLAG_DRAFT, true},
	{"UNFLAGGED", read_flag, MR_FLAG_FLAGGED, true},
	{"UNKEYWORD", read_keyword, 0, true},
	{"UNSEEN", read_flag, MR_FLAG_SEEN, true},
	{"YOUNGER", read_age, ABOVE, false},
};

static struct search_key *
read_word(struct reader *r)
{
	struct search_key *key;
	struct str word;
	size_t i;

	if (!imap_atom(r->in, &word))
		return NULL;
	for (i = 0; i < sizeof key_words / sizeof *key_words; i++) {
		if (!str_iis(word, key_words[i].name))
			continue;
		key = key_words[i].read(r, &key_words[i]);
		if (key != NULL && key_words[i].negated)
			key->negated = !key->negated;
		return key;
	}
	return refuse(r, "unknown search key");
}

static struct search_key *
read_brackets(struct reader *r)
{
	struct search_key *key;

	imap_char(r->in, '(');
	key = read_list(r);
	return key != NULL && imap_char(r->in, ')') ? key : NULL;
}

static struct search_key *
read_key(struct reader *r)
{
	struct search_key *key;

	if (r->depth >= DEPTH_MOST)
		return refuse(r, "search keys are nested too deep");
	r->depth++;
	if (imap_is_char(r->in, '('))
		key = read_brackets(r);
	else if (imap_is_char(r->in, '*') || imap_is_char(r->in, '$') ||
	    (r->in->rest.len > 0 && is_digit(r->in->rest.at[0])))
		key = read_set(r, false);
	else
		key = read_word(r);
	r->depth--;
	return key;
}

/* Keys with a blank between, up to ')' or the end. */
static struct search_key *
read_list(struct reader *r)
{
	struct search_key *all = new_key(r, SEARCH_AND, 0), *key;

	for (;;) {
		if (all == NULL || (key = read_key(r)) == NULL)
			return NULL;
		add_child(all, key);
		if (!imap_is_char(r->in, ' '))
			return all;
		imap_blank(r->in);
	}
}

/* "charset " */
static bool
take_charset(struct reader *r)
{
	struct str word;

	r->charset = STR("utf-8");	/* which US-ASCII is, too */
	if (!imap_astring(r->in, &word) || !imap_blank(r->in))
		return false;
	if (str_iis(word, "US-ASCII"))
		return true;
	r->charset = word;
	r->tree->bad_charset = !charset_is_known(word);
	return !r->tree->bad_charset;
}

static bool
read_charset(struct reader *r)
{
	struct str word;

	r->charset = STR("utf-8");
	if (!str_iis(peek_word(r->in), "CHARSET"))
		return true;
	return imap_atom(r->in, &word) && imap_blank(r->in) &&
		take_charset(r);
}

bool
search_tree_read_sort(struct search_tree *t, struct imap *k,
	struct imap_in *in)
{
	struct reader r = {.tree = t, .k = k, .in = in};

	return take_charset(&r) && (t->top = read_list(&r)) != NULL &&
		imap_end(in);
}

bool
search_tree_read(struct search_tree *t, struct imap *k, struct imap_in *in)
{
	struct reader r = {.tree = t, .k = k, .in = in};

	return read_charset(&r) && (t->top = read_list(&r)) != NULL &&
		imap_end(in);
}
