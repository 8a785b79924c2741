/*
 * imap_search.h - what the files of SEARCH, SORT and THREAD share: the tree of
 * keys, the state of matching, the walk. Private to them.
 */
#ifndef SERVE_IMAP_SEARCH_H
#define SERVE_IMAP_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "serve/imap.h"
#include "serve/imap_body.h"
#include "serve/imap_envelope.h"
#include "serve/imap_index.h"
#include "serve/imap_legible.h"

/* In order of what they cost: rows, the cached envelope, the header, all. */
enum search_kind { SEARCH_ALL, SEARCH_FLAG, SEARCH_KEYWORD, SEARCH_UIDS,
	SEARCH_SIZE, SEARCH_RECEIVED, SEARCH_SAVED, SEARCH_MODSEQ,
	SEARCH_EMAILID, SEARCH_SENT,
	SEARCH_ENVELOPE, SEARCH_THREADID,
	SEARCH_HEADER,
	SEARCH_BODY, SEARCH_TEXT,
	SEARCH_AND, SEARCH_OR };
enum search_cost { COST_ROW, COST_ENVELOPE, COST_HEADER, COST_BODY };

struct search_key {
	enum search_kind kind;
	enum search_cost cost;
	bool negated;
	uint32_t flag;
	uint64_t id;			/* of an object; 0: none of ours */
	int64_t low, high;		/* of numbers, both included */
	const struct mr_range *range;	/* of UIDs, sorted */
	size_t n;
	enum envelope_field field;
	struct str name;		/* keyword, or header field folded */
	struct str text;		/* folded UTF-8 */
	unsigned number;		/* of the key in the tree */
	struct search_key *first, *next;	/* children; siblings */
};

struct search_tree {
	struct search_key *top;		/* SEARCH_AND, cheapest child first */
	uint32_t want;			/* MR_ROW_* */
	uint32_t want_indexed;		/* where an index has the texts */
	bool has_text;			/* a key that an index helps with */
	bool has_modseq;
	bool bad_charset;
};

/* "[CHARSET x] keys": the rest of the command. false: in->wrong, or
 * bad_charset. */
bool search_tree_read(struct search_tree *t, struct imap *k,
	struct imap_in *in);
/* The same, with the charset in front that SORT and THREAD demand: "charset
 * keys" (RFC 5256 3). */
bool search_tree_read_sort(struct search_tree *t, struct imap *k,
	struct imap_in *in);

struct search_match {
	struct imap_body body;
	struct buf text, folded;	/* used again and again */
	struct arena message;		/* reset with each row */
	struct legible legible;
	struct buf records;		/* of the message, up to a level: */
	enum { LEVEL_NOTHING, LEVEL_HEADER, LEVEL_ALL, LEVEL_LONG } level;
	struct str kept[MR_INDEX_SPACES];	/* the index's; at NULL: none */
	struct imap_index index;
};
void search_match_init(struct search_match *m, const struct store *store);
void search_match_free(struct search_match *m);
/* Whether a row matches. With `only_rows`, whether it may, as far as the row
 * and the index tell. Look at m->body.code afterwards: the message could not
 * be read. */
bool search_match_row(struct search_match *m, const struct search_key *top,
	const struct mr_row *row, bool only_rows);

/* The header section of the message that is at hand; good until the next. */
struct str search_header(struct search_match *m);

/* The messages that match, in the order of their UIDs. */
struct imap_row;
struct search_walk {
	struct imap *k;
	const struct search_tree *tree;
	uint32_t want;		/* MR_ROW_* that `found` needs besides */
	/* match->body is at the message. */
	void (*found)(void *arg, const struct imap_row *r,
		struct search_match *match);
	void *arg;
	bool limits;		/* looks at no more than MESSAGELIMIT */
	/* out */
	uint32_t lowest;	/* UID that was looked at; 0: all were */
	bool gone, failed;	/* some messages could not be read */
};
/* Whether it would look at more messages than MESSAGELIMIT allows. */
bool search_is_too_large(const struct imap *k, const struct search_tree *tree);
/* A store code. */
int search_walk(struct search_walk *w, struct mr_error *me);
/* What ends an answer: OK, or that some could not be read. */
struct imap_answer search_done(const struct search_walk *w, const char *text);
/* When the message at hand was sent, or else when it came (RFC 5256 2.2); its
 * row was read with MR_ROW_SENT and MR_ROW_MESSAGE. */
int64_t search_sent_date(struct search_match *m);
/* imap_thread.c: THREAD=REFERENCES of what the tree finds. */
struct imap_answer search_references(struct imap *k,
	const struct search_tree *tree, bool uid);
/* NO [BADCHARSET], or BAD. */
struct imap_answer search_bad(const struct search_tree *t, struct imap *k,
	const struct imap_in *in);

#endif
