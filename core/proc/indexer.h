/*
 * indexer.h - the runner's thread that fills the search index, behind the
 * deliveries.
 */
#ifndef PROC_INDEXER_H
#define PROC_INDEXER_H

#include "base/err.h"
#include "plug/store.h"

struct indexer;

/* NULL with e->kind ERR_NONE where the store has no index. */
struct indexer *indexer_start(const struct store *s, struct err *e);
/* Something was delivered. Any thread; never blocks. */
void indexer_poke(struct indexer *i);
/* Waits for the batch that is being put. It may be poked still. */
void indexer_stop(struct indexer *i);
/* Once nobody can poke it any more. */
void indexer_free(struct indexer *i);

#endif
