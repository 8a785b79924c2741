/*
 * rows.h - entries gathered for a change: which they are, and what changing
 * them does to the mailbox's counters. Used by
 * flags.c, copy.c and entries.c.
 */
#ifndef SQLITE_ROWS_H
#define SQLITE_ROWS_H

#include "sq.h"

struct entry {
	uint32_t uid, flags;
	uint64_t modseq;
	int64_t message, length, received_ms, saved_ms;
	struct mr_sent sent;
	char *keywords;		/* malloc, or NULL for none */
};

struct rows {			/* ascending by UID, each once */
	struct entry *item;
	size_t n, room;
};

/* A copy of the ranges in order, those that touch made one; n 0: one that is
 * all. How many; free *out. */
size_t rows_ranges(const struct mr_range *range, size_t n,
	struct mr_range **out);
/* Entries of the ranges (n 0: all) that have all flags of `mask`. */
int rows_gather(struct sq_db *db, int64_t mailbox,
	const struct mr_range *range, size_t n, uint32_t mask,
	struct rows *out, struct mr_error *err);
void rows_free(struct rows *r);
/* The modseq that a change of this mailbox gets. */
int rows_next_modseq(struct sq_db *db, int64_t mailbox, int64_t *modseq,
	struct mr_error *err);
/* Takes the rows out of the mailbox: entries, what vanished, counters, the
 * hint. Unless they moved their messages lose a reference each; expunged they
 * can be put back (undelete.c). */
enum rows_fate { ROWS_MOVED, ROWS_DROPPED, ROWS_EXPUNGED };
int rows_remove(struct sq_tx *tx, int64_t mailbox, const struct rows *r,
	enum rows_fate fate, struct mr_error *err);
/* retain.c: takes out of r what must stay in this mailbox; or RETAINED if
 * anything must. */
int rows_spare(struct sq_tx *tx, int64_t mailbox, struct rows *r,
	struct mr_error *err);
int rows_may_go(struct sq_tx *tx, int64_t mailbox, const struct rows *r,
	struct mr_error *err);
/* undelete.c: remembers what is about to be expunged. */
int sq_removed_keep(struct sq_tx *tx, int64_t mailbox, const struct rows *r,
	struct mr_error *err);

#endif
