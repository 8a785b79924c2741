/*
 * row_cache.h - the rows of mailboxes that are in use, kept in memory.
 *
 * What is asked for most, flags and dates of all messages of a mailbox, is
 * read from the store once, and after that only what changed: the store says
 * which modseq it is at, and nothing is answered that is older than that. A
 * mailbox of 100,000 messages takes 5 MB; those that were not used for longest
 * go when there is no room. One a process; any thread.
 */
#ifndef SERVE_ROW_CACHE_H
#define SERVE_ROW_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <mailroom/store.h>

#include "plug/store.h"

struct row_cache;

/* Keeps at most so many bytes, and mailboxes that alone would take more not
 * at all. */
struct row_cache *row_cache_new(size_t bytes);
void row_cache_free(struct row_cache *c);

/* As the store's calls of these names (mailroom/store.h), with the same
 * answers; c NULL: they are passed on. Callbacks must not call the store nor
 * wait for anything. */
int row_cache_uids(struct row_cache *c, const struct store *s,
	int64_t mailbox, int (*each)(void *arg, struct mr_range run),
	void *arg, struct mr_error *me);

struct row_query {
	int64_t mailbox;
	const struct mr_range *range;	/* in order; n 0: all */
	size_t n;
	uint64_t since;
	uint32_t want;			/* MR_ROW_*; what MR_ROW_CACHE needs
					   is not kept */
	uint32_t with, without;		/* MR_FLAG_*: only rows that have all
					   of these and none of those */
	int (*each)(void *arg, const struct mr_row *row);
	void *arg;
};
int row_cache_scan(struct row_cache *c, const struct store *s,
	const struct row_query *q, struct mr_error *me);

#endif
