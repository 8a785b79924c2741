/*
 * imap_rows.h - the store's rows of the selected mailbox, in batches.
 *
 * A scan of the store holds a snapshot (or a connection) while it runs, and a
 * client may be slow to take what we write: so some thousands of rows are
 * copied, the scan ends, and only then anything is done with them. Memory is
 * used again from batch to batch. Rows of messages that this session was not
 * told of are left out.
 */
#ifndef SERVE_IMAP_ROWS_H
#define SERVE_IMAP_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "base/buf.h"

struct imap;

struct imap_row {
	uint32_t seq;
	struct mr_row row;	/* keywords and cache: views into the batch */
};

struct imap_rows {
	struct imap_row *at;	/* the batch */
	size_t n;
	uint32_t given;		/* rows up to now, this batch included */
	/* private */
	struct imap *k;
	struct mr_range *ranges;	/* malloc'd */
	struct mr_range *range;		/* the first of them that is left */
	size_t n_range;
	uint64_t since;
	uint32_t want;		/* MR_ROW_* */
	uint32_t with, without;	/* MR_FLAG_* */
	size_t room;
	struct buf bytes;
};

/* range: UIDs, sorted; copied. Rows whose modseq is above `since` and that
 * have the flags `with` and not `without`. */
void imap_rows_begin(struct imap_rows *r, struct imap *k,
	const struct mr_range *range, size_t n, uint32_t want);
/* MR_STORE_OK: the next batch, with n 0 at the end. */
int imap_rows_next(struct imap_rows *r, struct mr_error *me);
/* All that is left, one by one, without a copy: `each` must not call the
 * store. */
int imap_rows_each(struct imap_rows *r,
	void (*each)(void *arg, const struct imap_row *row), void *arg,
	struct mr_error *me);
void imap_rows_end(struct imap_rows *r);

#endif
