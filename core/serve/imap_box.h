/*
 * imap_box.h - the selected mailbox as this session has been told of it.
 *
 * Sequence numbers are those the client knows: they change only when this
 * session sends EXISTS or EXPUNGE, whatever other sessions do (RFC 9051
 * section 5.5, 7.5.1). The map between numbers and UIDs is a list of runs of
 * UIDs, so that a mailbox of 100,000 messages costs a few bytes.
 */
#ifndef SERVE_IMAP_BOX_H
#define SERVE_IMAP_BOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/arena.h"
#include "plug/store.h"
#include "serve/imap_out.h"

struct imap;
struct house;
struct imap_context;

struct imap_run {		/* UIDs first..last, the first one is number `seq` */
	uint32_t first, last, seq;
};

struct imap_box {
	int64_t id;
	uint32_t special;	/* what it is for, of the account's own */
	bool read_only;		/* EXAMINE, or no right to change anything */
	char *owner;		/* whose mailbox it is; NULL: the account's */
	uint32_t rights;	/* MR_RIGHT_* of the account */
	uint32_t uidvalidity;
	uint64_t modseq;	/* what the client has been told up to */
	uint64_t vanished_modseq;	/* the same for removals, which may have
					   to wait longer */
	uint32_t recent_from;	/* UIDs from here on are \Recent here */
	uint32_t uidnext, unseen;	/* at SELECT */
	struct imap_run *run;
	size_t n_run, room;
	uint32_t exists;
	struct imap_list saved;	/* UIDs for "$", RFC 5182; some may be gone */
	struct imap_context *contexts;	/* searches kept up to date, RFC 5267 */
};

uint32_t imap_box_exists(const struct imap_box *b);
uint32_t imap_box_last_uid(const struct imap_box *b);	/* 0: empty */
/* 0: no such message. */
uint32_t imap_box_uid(const struct imap_box *b, uint32_t seq);
uint32_t imap_box_seq(const struct imap_box *b, uint32_t uid);
uint32_t imap_box_recent(const struct imap_box *b);	/* how many */
/* The UID ranges that a set of numbers (or UIDs) names, sorted, merged, '*'
 * resolved; in the arena. Numbers out of range: false (RFC 9051: BAD); UIDs
 * that are not there do not matter. */
bool imap_box_ranges(const struct imap_box *b, const struct mr_range *set,
	size_t n, bool uid, struct arena *a, struct mr_range **out,
	size_t *n_out);

/* The UID ranges that "$" names, in the arena: what SEARCH RETURN (SAVE) left.
 * As with other sets, UIDs that are not there any more do not matter. */
struct mr_range *imap_box_saved(const struct imap_box *b, struct arena *a,
	size_t *n);

/* Sorts ranges and joins those that touch; returns how many are left. */
size_t imap_ranges_join(struct mr_range *r, size_t n);

/* Messages with higher UIDs than any so far. */
void imap_box_add(struct imap_box *b, struct mr_range uids);
/* Ranges as imap_ranges_join leaves them; UIDs that are not there do not
 * matter. */
void imap_box_remove(struct imap_box *b, const struct mr_range *gone,
	size_t n);

/* "* 23 EXISTS", and RECENT where the client knows that. */
void imap_exists_out(struct imap *k);
/* Tells the client what changed since it was last told: EXPUNGE or VANISHED
 * (only when `may_expunge`), EXISTS, FETCH with new flags. `with_uid`: FETCH lines carry
 * UID. 0, or a store code: the mailbox is gone or the store failed. Costs one
 * cheap look-up when nothing changed. */
int imap_box_sync(struct imap *k, bool may_expunge, bool with_uid,
	struct mr_error *me);
/* For a client that comes back (RFC 7162 3.2.5): what was removed and changed
 * after `since`, among the UIDs that it knows (sorted; NULL: all). */
int imap_box_resync(struct imap *k, uint64_t since,
	const struct imap_list *known, struct mr_error *me);
/* This session changed flags and has answered for it: no echo, if its modseq
 * (0: it changed nothing) shows that nobody else changed anything in between. */
void imap_box_own_change(struct imap_box *b, uint64_t modseq);

struct imap_box *imap_box_new(const struct mr_mailbox *m, bool read_only);
void imap_box_free(struct imap_box *b);
/* Reads the UIDs from the store: at SELECT. */
int imap_box_load(const struct house *h, struct imap_box *b,
	struct mr_error *me);

#endif
