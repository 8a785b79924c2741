/*
 * index_fill.h - puts the legible texts of messages into the store's search
 * index, a batch at a time. For a thread that is not in a hurry, and for the
 * command line. Blocks in the store.
 */
#ifndef SERVE_INDEX_FILL_H
#define SERVE_INDEX_FILL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "plug/store.h"
#include "serve/imap_legible.h"

#define INDEX_BATCH 256

struct index_fill {
	const struct store *store;
	/* private */
	struct imap_body body;
	struct legible legible;
	struct buf texts;
	struct mr_index_text text[INDEX_BATCH];
	bool gone[INDEX_BATCH];
	size_t n;
};

/* Whether the store has an index at all. */
bool index_is_there(const struct store *s);
struct index_fill *index_fill_new(const struct store *s);
/* How many messages were put; 0: there are no more; -1 with e (MISSING: it
 * is turned off). INDEX_BATCH also when somebody else was faster. */
int index_fill_some(struct index_fill *f, struct err *e);
void index_fill_free(struct index_fill *f);

#endif
